"""One call of each operation that FATE makes, and what numpy says of it.

A case takes a side, whose tensors are torch's or numpy's, and two encrypted vectors, FLOATS and OTHER.
"""

import numpy as np

RNG = np.random.default_rng(5)
# With 20 bits after the point, so that products of two are exact, in numpy and in ours.
FLOATS, OTHER = (np.rint(RNG.normal(size=12) * factor) / 2**20 for factor in (2**20, 2**30))
INTEGERS = RNG.integers(0, 50, size=12)
MATRIX = np.rint(RNG.normal(size=(4, 5)) * 2**20) / 2**20
WHOLE = RNG.integers(-9, 9, size=(3, 3))
POSITIONS = [[0, 3], [1, 4], [0, 5], [2, 3], [1, 3], [2, 5]]
RAGGED = [[0], [], [1, 1, 7]]
MASKS = [True, False, True, True]
SHUFFLED = RNG.permutation(12).tolist()
TINY = 1 / (569 * 2**23)
X, Y = FLOATS, OTHER


class Side:
    """A module under FATE's name, with keys, and the library of its tensors."""

    def __init__(self, module, library, tensor, keys):
        self.e, self.library, self.tensor = module.evaluator, library, tensor
        self.sk, self.pk, self.coder = keys

    def encrypted(self, values):
        return self.pk.encrypt_encoded(self.coder.encode_tensor(self.tensor(values)), obfuscate=True)

    def numbers(self, vector, dtype="float64"):
        return self.coder.decode_vec(self.sk.decrypt_to_encoded(vector), getattr(self.library, dtype))


def plain(operation, other, *rest):
    """Return a case of an operation with a plain tensor, or a plain number of a type."""

    def case(side, a, b):
        if rest:
            return getattr(side.e, operation)(a, other, side.pk, side.coder, getattr(side.library, *rest))
        return getattr(side.e, operation)(a, side.tensor(other), side.pk, side.coder)

    return case


def product(operation, matrix, a_shape):
    """Return a case of a product with a plain matrix."""

    def case(side, a, b):
        dtype = side.library.float64
        return getattr(side.e, operation)(a, side.tensor(matrix), a_shape, matrix.shape, side.pk, side.coder, dtype)

    return case


def in_place(operation, *arguments, alone=False, itself=False):
    """Return a case of an operation that changes its first vector."""

    def case(side, a, b):
        operands = [a] if alone else [a, a if itself else b]
        getattr(side.e, operation)(side.pk, *operands, *arguments)
        return a

    return case


def added_at(target, source, target_start, source_start, size, sign=1):
    result = target.copy()
    result[target_start : target_start + size] += sign * source[source_start : source_start + size]
    return result


def histogram(target, source, positions, rows, stride):
    result, values = target.copy().reshape(-1, stride), source.reshape(-1, stride)
    for row, places in zip(rows, positions, strict=True):
        np.add.at(result, places, values[row])
    return result.reshape(-1)


def running(values, sizes, step):
    result, start = values.copy(), 0
    for size in sizes:
        for i in range(start + step, start + size):
            result[i] += result[i - step]
        start += size
    return result


def of_zeros(side, a, b):
    """Start from zeros that know no key, as FATE's histograms do."""
    zeros = side.e.zeros(12, side.library.float64)
    side.e.i_update(side.pk, zeros, b, POSITIONS, 2)
    side.e.i_add(side.pk, zeros, a, 4, 0, 3)
    side.e.i_sub(side.pk, zeros, b, 0, 2, 5)
    return zeros


SUMMED = histogram(np.zeros(12), Y, POSITIONS, range(6), 2)

# Where a plain number is not one of the fixed point, or numpy has to round.
INEXACT = {"add_plain_scalar", "sub_plain_scalar", "mul_plain_scalar"}

# name -> (the calls, what numpy says)
CASES = {
    "add": (lambda s, a, b: s.e.add(a, b, s.pk), X + Y),
    "sub": (lambda s, a, b: s.e.sub(a, b, s.pk), X - Y),
    "rsub": (lambda s, a, b: s.e.rsub(a, b, s.pk), Y - X),
    "add_plain": (plain("add_plain", OTHER), X + Y),
    "add_plain integers": (plain("add_plain", INTEGERS), X + INTEGERS),
    "sub_plain": (plain("sub_plain", OTHER), X - Y),
    "rsub_plain": (plain("rsub_plain", OTHER), Y - X),
    "add_plain_scalar": (plain("add_plain_scalar", 0.3, "float64"), X + 0.3),
    "sub_plain_scalar": (plain("sub_plain_scalar", 0.3, "float64"), X - 0.3),
    "rsub_plain_scalar": (plain("rsub_plain_scalar", 7, "int64"), 7 - X),
    "mul_plain": (plain("mul_plain", OTHER), X * Y),
    "mul_plain integers": (plain("mul_plain", INTEGERS), X * INTEGERS),
    "mul_plain_scalar": (plain("mul_plain_scalar", TINY, "float64"), X * TINY),
    "mul_plain_scalar float32": (plain("mul_plain_scalar", -0.1, "float32"), X * float(np.float32(-0.1))),
    "mul_plain_scalar integer": (plain("mul_plain_scalar", -3, "int32"), X * -3),
    "matmul": (product("matmul", MATRIX, (3, 4)), (X.reshape(3, 4) @ MATRIX).reshape(-1)),
    "rmatmul": (product("rmatmul", MATRIX.T, (4, 3)), (MATRIX.T @ X.reshape(4, 3)).reshape(-1)),
    "rmatmul integers": (product("rmatmul", WHOLE, (3, 4)), (WHOLE @ X.reshape(3, 4)).reshape(-1)),
    "slice": (lambda s, a, b: s.e.slice(a, 3, 5), X[3:8]),
    "cat": (lambda s, a, b: s.e.cat([a, s.e.zeros(2, s.library.float64), b]), np.concatenate([X, [0, 0], Y])),
    "vector.cat": (lambda s, a, b: a.cat([b, a]), np.concatenate([X, Y, X])),
    "shuffle": (lambda s, a, b: s.e.shuffle(s.pk, a, SHUFFLED), X[SHUFFLED]),
    "i_shuffle": (in_place("i_shuffle", SHUFFLED, alone=True), X[SHUFFLED]),
    "intervals_slice": (lambda s, a, b: s.e.intervals_slice(a, [(0, 4), (6, 12), (3, 3)]), np.r_[X[:4], X[6:]]),
    "i_add": (in_place("i_add"), X + Y),
    "i_add ranges": (in_place("i_add", 2, 5, 4), added_at(X, Y, 2, 5, 4)),
    "i_add no size": (in_place("i_add", 9, 1), added_at(X, Y, 9, 1, 3)),
    "i_add itself": (in_place("i_add", itself=True), 2 * X),
    "i_sub": (in_place("i_sub"), X - Y),
    "i_sub ranges": (in_place("i_sub", 2, 5, 4), added_at(X, Y, 2, 5, 4, -1)),
    "i_sub itself": (in_place("i_sub", itself=True), 0 * X),
    "i_update": (in_place("i_update", POSITIONS, 2), histogram(X, Y, POSITIONS, range(6), 2)),
    "i_update ragged": (in_place("i_update", RAGGED, 1), histogram(X, Y, RAGGED, range(3), 1)),
    "i_update_with_masks": (
        in_place("i_update_with_masks", POSITIONS[:3], MASKS, 2),
        histogram(X, Y, POSITIONS[:3], [0, 2, 3], 2),
    ),
    "chunking_cumsum_with_step": (
        in_place("chunking_cumsum_with_step", [4, 2, 6], 2, alone=True),
        running(X, [4, 2, 6], 2),
    ),
    "chunking_cumsum_with_step rest": (
        in_place("chunking_cumsum_with_step", [5, 4], 1, alone=True),
        running(X, [5, 4], 1),
    ),
    "zeros": (of_zeros, added_at(added_at(SUMMED, X, 4, 0, 3), Y, 0, 2, 5, -1)),
}
# What a tree squeezes: a pair of numbers for each row, and the row's bin in two columns.
PAIRS = np.abs(np.column_stack([FLOATS, OTHER / 1e3]))
BINS = [[i % 5, 5 + i % 3] for i in range(12)]


def squeezed(side):
    """Return running sums of packed pairs by bin, which travelled in as few ciphertexts as hold them."""
    rows = [side.coder.pack_floats(side.tensor(pair), 64, 2, 50) for pair in PAIRS]
    values = side.e.cat([side.pk.encrypt_encoded(row, True) for row in rows])
    sums = side.e.zeros(10, side.library.float64)
    side.e.i_update(side.pk, sums, values, BINS, 1)
    side.e.chunking_cumsum_with_step(side.pk, sums, [5, 5], 1)
    few = side.e.pack_squeeze(sums, 1022 // 128, 128, side.pk)
    return len(few), side.coder.unpack_floats(side.sk.decrypt_to_encoded(few), 64, 14, 50, 20)


def squeezed_expected():
    sums = np.zeros((10, 2))
    for places, pair in zip(BINS, PAIRS, strict=True):
        sums[places] += pair
    return np.concatenate([sums[:5].cumsum(axis=0), sums[5:].cumsum(axis=0)]).reshape(-1)
