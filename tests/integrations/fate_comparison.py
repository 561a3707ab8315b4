"""FATE's Paillier and ours, side by side: the same calls on the same numbers. Runs where FATE is installed.

Prints one JSON object: for each case the largest difference between what the two decrypt to.
"""

import importlib
import json
import pickle
import warnings

import numpy as np
import torch

import cipherlane.integrations.fate.paillier as ours
from cipherlane.integrations.fate import install, uninstall

TARGET = "fate.arch.protocol.phe.paillier"
theirs = importlib.import_module(TARGET)
warnings.simplefilter("ignore")


class Side:
    def __init__(self, module):
        self.module, self.e = module, module.evaluator
        self.sk, self.pk, self.coder = module.keygen(1024)

    def encrypted(self, values):
        return self.pk.encrypt_encoded(self.coder.encode_tensor(torch.tensor(values)), obfuscate=True)

    def numbers(self, vector, dtype=torch.float64):
        return self.coder.decode_vec(self.sk.decrypt_to_encoded(vector), dtype)


def in_place(change):
    """Return a case that changes its first vector and gives that."""

    def case(side, a, b):
        change(side, a, b)
        return a

    return case


RNG = np.random.default_rng(5)
FLOATS, OTHER = RNG.normal(size=12), RNG.normal(size=12) * 1e3
INTEGERS = RNG.integers(0, 50, size=12)
MATRIX = RNG.normal(size=(4, 5))
WHOLE = RNG.integers(-9, 9, size=(3, 3))
DOUBLE = torch.float64
POSITIONS = [[0, 3], [1, 4], [0, 5], [2, 3], [1, 3], [2, 5]]
SHUFFLED = RNG.permutation(12).tolist()
T = torch.tensor

CASES = {
    "add": lambda s, a, b: s.e.add(a, b, s.pk),
    "sub": lambda s, a, b: s.e.sub(a, b, s.pk),
    "rsub": lambda s, a, b: s.e.rsub(a, b, s.pk),
    "add_plain": lambda s, a, b: s.e.add_plain(a, T(OTHER), s.pk, s.coder),
    "add_plain integers": lambda s, a, b: s.e.add_plain(a, T(INTEGERS), s.pk, s.coder),
    "sub_plain": lambda s, a, b: s.e.sub_plain(a, T(OTHER), s.pk, s.coder),
    "rsub_plain": lambda s, a, b: s.e.rsub_plain(a, T(OTHER), s.pk, s.coder),
    "add_plain_scalar": lambda s, a, b: s.e.add_plain_scalar(a, 0.3, s.pk, s.coder, DOUBLE),
    "sub_plain_scalar": lambda s, a, b: s.e.sub_plain_scalar(a, T(0.3), s.pk, s.coder, DOUBLE),
    "rsub_plain_scalar": lambda s, a, b: s.e.rsub_plain_scalar(a, 7, s.pk, s.coder, torch.int64),
    "mul_plain": lambda s, a, b: s.e.mul_plain(a, T(OTHER), s.pk, s.coder),
    "mul_plain integers": lambda s, a, b: s.e.mul_plain(a, T(INTEGERS), s.pk, s.coder),
    "mul_plain_scalar": lambda s, a, b: s.e.mul_plain_scalar(a, 1 / (569 * 2**23), s.pk, s.coder, DOUBLE),
    "mul_plain_scalar float32": lambda s, a, b: s.e.mul_plain_scalar(a, -0.1, s.pk, s.coder, torch.float32),
    "matmul": lambda s, a, b: s.e.matmul(a, T(MATRIX), [3, 4], [4, 5], s.pk, s.coder, DOUBLE),
    "rmatmul": lambda s, a, b: s.e.rmatmul(a, T(MATRIX.T), [4, 3], [5, 4], s.pk, s.coder, DOUBLE),
    "rmatmul integers": lambda s, a, b: s.e.rmatmul(a, T(WHOLE), [3, 4], [3, 3], s.pk, s.coder, DOUBLE),
    "slice": lambda s, a, b: s.e.slice(a, 3, 5),
    "cat": lambda s, a, b: s.e.cat([a, s.e.zeros(2, DOUBLE), b]),
    "vector.cat": lambda s, a, b: a.cat([b, a]),
    "shuffle": lambda s, a, b: s.e.shuffle(s.pk, a, SHUFFLED),
    "i_shuffle": in_place(lambda s, a, b: s.e.i_shuffle(s.pk, a, SHUFFLED)),
    "intervals_slice": lambda s, a, b: s.e.intervals_slice(a, [(0, 4), (6, 12), (3, 3)]),
    "i_add": in_place(lambda s, a, b: s.e.i_add(s.pk, a, b)),
    "i_add ranges": in_place(lambda s, a, b: s.e.i_add(s.pk, a, b, 2, 5, 4)),
    "i_add no size": in_place(lambda s, a, b: s.e.i_add(s.pk, a, b, 9, 1)),
    "i_add itself": in_place(lambda s, a, b: s.e.i_add(s.pk, a, a)),
    "i_sub": in_place(lambda s, a, b: s.e.i_sub(s.pk, a, b)),
    "i_sub ranges": in_place(lambda s, a, b: s.e.i_sub(s.pk, a, b, 2, 5, 4)),
    "i_sub itself": in_place(lambda s, a, b: s.e.i_sub(s.pk, a, a)),
    "i_update": in_place(lambda s, a, b: s.e.i_update(s.pk, a, b, POSITIONS, 2)),
    "i_update ragged": in_place(lambda s, a, b: s.e.i_update(s.pk, a, b, [[0], [], [1, 1, 7]], 1)),
    "i_update_with_masks": in_place(
        lambda s, a, b: s.e.i_update_with_masks(s.pk, a, b, POSITIONS[:3], [True, False, True, True], 2)
    ),
    "chunking_cumsum_with_step": in_place(lambda s, a, b: s.e.chunking_cumsum_with_step(s.pk, a, [4, 2, 6], 2)),
    "chunking_cumsum_with_step rest": in_place(lambda s, a, b: s.e.chunking_cumsum_with_step(s.pk, a, [5, 4], 1)),
}


def update_of_zeros(side, a, b):
    zeros = side.e.zeros(12, DOUBLE)
    side.e.i_update(side.pk, zeros, b, POSITIONS, 2)
    side.e.i_add(side.pk, zeros, a, 4, 0, 3)
    side.e.i_sub(side.pk, zeros, b, 0, 2, 5)
    return zeros


CASES["zeros"] = update_of_zeros


def difference(left, right):
    assert left.dtype == right.dtype and left.shape == right.shape, (left, right)
    return float((left.double() - right.double()).abs().max())


def compared(make):
    sides = [make(Side(theirs)), make(Side(ours))]
    return difference(*sides)


def packed(side):
    values = T(np.abs(FLOATS[:9]))
    first = side.pk.encrypt_encoded(side.coder.pack_floats(values, 80, 2, 52), True)
    second = side.pk.encrypt_encoded(side.coder.pack_floats(values.flip(0), 80, 2, 52), True)
    total = side.e.add(first, second, side.pk)
    return side.coder.unpack_floats(side.sk.decrypt_to_encoded(total), 80, 2, 52, 9)


def squeezed(side):
    """A tree's histogram: pairs packed, added by bin, running sums, all squeezed into as few as fit."""
    pairs = T(np.abs(np.column_stack([FLOATS, OTHER / 1e3])))
    rows = side.e.cat([side.pk.encrypt_encoded(side.coder.pack_floats(pair, 64, 2, 50), True) for pair in pairs])
    histogram = side.e.zeros(10, DOUBLE)
    side.e.i_update(side.pk, histogram, rows, [[i % 5, 5 + i % 3] for i in range(12)], 1)
    side.e.chunking_cumsum_with_step(side.pk, histogram, [5, 5], 1)
    few = side.e.pack_squeeze(histogram, 1022 // 128, 128, side.pk)
    return side.coder.unpack_floats(side.sk.decrypt_to_encoded(few), 64, 14, 50, 20)


def main():
    sides = {"theirs": Side(theirs), "ours": Side(ours)}
    results = {}
    for name, case in CASES.items():
        found = [side.numbers(case(side, side.encrypted(FLOATS), side.encrypted(OTHER))) for side in sides.values()]
        results[name] = difference(*found)
    for dtype in (torch.float64, torch.float32, torch.int64, torch.int32):
        for values in (FLOATS * 7, -INTEGERS):
            found = [side.numbers(side.encrypted(values), dtype) for side in sides.values()]
            results[f"decode {values.dtype} to {dtype}"] = difference(*found)
    results["pack_floats"] = difference(*map(packed, sides.values()))
    results["pack_squeeze"] = difference(*map(squeezed, sides.values()))
    names = {name for name in vars(theirs.evaluator) if not name.startswith("_")}
    results["missing"] = sorted(names - set(vars(ours.evaluator)))
    for owner in ("PK", "SK", "Coder"):
        public = {name for name in vars(getattr(theirs, owner)) if not name.startswith("_")}
        results["missing"] += sorted(public - set(dir(getattr(ours, owner))))
    results.update(installed())
    print(json.dumps(results))


def installed():
    """Put ours in place, and send what FATE sends through FATE's own restricted reader of pickles."""
    from fate.arch.federation.api._serdes import TableRemotePersistentUnpickler

    import io

    from fate.arch.tensor.phe import PHETensorCipher

    install()
    from fate.arch.protocol.phe.paillier import evaluator, keygen

    assert evaluator is ours.evaluator
    sk, pk, coder = keygen(1024)
    cipher = PHETensorCipher.from_raw_cipher(pk, coder, sk, evaluator)
    tensor = cipher.pk.encrypt_tensor(T(MATRIX))
    product = T(MATRIX.T) @ tensor
    stream = io.BytesIO(pickle.dumps((cipher.to_public(), product, evaluator)))
    public, read, read_evaluator = TableRemotePersistentUnpickler(None, None, "n", "t", None, stream).load()
    assert read_evaluator is ours.evaluator and type(public.pk._pk) is ours.PK
    found = cipher.sk.decrypt_tensor(read)
    uninstall()
    import fate.arch.protocol.phe.paillier as back

    assert back is theirs and ours.PK.__module__ == "cipherlane.integrations.fate.keys"
    return {"through FATE's pickles": float((found - T(MATRIX.T @ MATRIX)).abs().max())}


if __name__ == "__main__":
    main()
