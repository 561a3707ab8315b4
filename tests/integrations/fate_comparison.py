"""FATE's Paillier, ours and numpy, side by side: the same calls on the same numbers. Runs where FATE is installed.

Prints one JSON object: for each case the largest difference between what FATE's and ours decrypt to, and between
ours and numpy; and what of FATE's module is missing in ours.
"""

import importlib
import inspect
import io
import json
import pickle
import warnings

import numpy as np
import torch

import cipherlane.integrations.fate.paillier as ours
from cipherlane.integrations.fate import install, uninstall

from fate_cases import CASES, FLOATS, INTEGERS, MATRIX, OTHER, Side, squeezed, squeezed_expected

TARGET = "fate.arch.protocol.phe.paillier"


def difference(left, right):
    assert left.dtype == right.dtype and left.shape == right.shape, (left, right)
    return float((left.double() - right.double()).abs().max())


def missing(theirs):
    """Return what FATE's classes have and ours do not, or with other parameters."""
    found = []
    for owner in ("evaluator", "PK", "SK", "Coder"):
        for name in filter(lambda name: not name.startswith("_"), vars(getattr(theirs, owner))):
            wanted = list(inspect.signature(getattr(getattr(theirs, owner), name)).parameters)
            own = getattr(getattr(ours, owner), name, None)
            if own is None or list(inspect.signature(own).parameters) != wanted:
                found.append(f"{owner}.{name}")
    return found


def through_fates_pickles():
    """Put ours in place, and send what FATE sends through the reader of pickles that FATE receives with."""
    from fate.arch.federation.api._serdes import TableRemotePersistentUnpickler
    from fate.arch.protocol.phe.paillier import evaluator, keygen
    from fate.arch.tensor.phe import PHETensorCipher

    assert evaluator is ours.evaluator
    sk, pk, coder = keygen(1024)
    cipher = PHETensorCipher.from_raw_cipher(pk, coder, sk, evaluator)
    product = torch.tensor(MATRIX.T) @ cipher.pk.encrypt_tensor(torch.tensor(MATRIX))
    stream = io.BytesIO(pickle.dumps((cipher.to_public(), product, evaluator)))
    public, read, read_evaluator = TableRemotePersistentUnpickler(None, None, "n", "t", None, stream).load()
    assert read_evaluator is ours.evaluator and type(public.pk._pk) is ours.PK
    return difference(cipher.sk.decrypt_tensor(read), torch.tensor(MATRIX.T @ MATRIX))


def repeats(side):
    """Return whether encrypting the same labels twice, as FATE's hetero binning encrypts them, gives the same bytes."""
    from fate.arch.tensor.phe import PHETensorCipher

    encryptor = PHETensorCipher.from_raw_cipher(side.pk, side.coder, side.sk, side.e).pk
    first, second = (pickle.dumps(encryptor.encrypt_tensor(torch.tensor([1, 0])).data) for _ in range(2))
    return first == second


def main():
    warnings.simplefilter("ignore")
    theirs = importlib.import_module(TARGET)
    sides = [Side(module, torch, torch.tensor, module.keygen(1024)) for module in (theirs, ours)]
    apart, from_numpy = {}, {}
    for name, (case, expected) in CASES.items():
        found = [side.numbers(case(side, side.encrypted(FLOATS), side.encrypted(OTHER))) for side in sides]
        apart[name] = difference(*found)
        from_numpy[name] = difference(found[1], torch.tensor(expected))
    for dtype in ("float64", "float32", "int64", "int32"):
        for values in (FLOATS * 7, -INTEGERS):
            found = [side.numbers(side.encrypted(values), dtype) for side in sides]
            apart[f"{values.dtype} decoded to {dtype}"] = difference(*found)
    (their_count, their_sums), (our_count, our_sums) = (squeezed(side) for side in sides)
    assert their_count == our_count
    apart["pack_squeeze"] = difference(their_sums, our_sums)
    # FATE unpacks to single precision.
    from_numpy["pack_squeeze"] = difference(our_sums, torch.tensor(squeezed_expected().astype(np.float32)))
    install()
    from_numpy["pickles"] = through_fates_pickles()
    uninstall()
    back = importlib.import_module(TARGET)
    assert back is theirs and ours.PK.__module__ == "cipherlane.integrations.fate.keys"
    readable = dict(zip(("FATE", "ours"), map(repeats, sides), strict=True))
    print(json.dumps({"apart": apart, "from_numpy": from_numpy, "missing": missing(theirs), "repeats": readable}))


if __name__ == "__main__":
    main()
