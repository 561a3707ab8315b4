"""What FATE computes with ciphertexts, under FATE's names."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cipherlane.integrations.fate import packing
from cipherlane.integrations.fate.ciphertexts import CiphertextVector, check_range, concatenated
from cipherlane.integrations.fate.keys import PK
from cipherlane.integrations.fate.plaintexts import Coder
from cipherlane.integrations.fate.settings import NUMBERS
from cipherlane.integrations.fate.tensors import indices as as_indices
from cipherlane.integrations.fate.tensors import to_numpy
from cipherlane.paillier import CipherArray, FixedPoint, concatenate, hazmat
from cipherlane.vertical.grouped_sums import sums_by_bin

# Beyond these bits after the point a scalar factor is rounded.
_MOST_SCALAR_BITS = 128
# Rows with different numbers of positions are added so many at a time, which bounds the memory they take.
_ADDED_AT_A_TIME = 1 << 16


class evaluator:
    """Operations on vectors of ciphertexts; ``a`` and ``b`` are encrypted unless the name says plain.

    Vectors must be as long as each other, where FATE cuts the longer one off. Plain numbers are encoded in the vector's
    fixed point, plain factors with 53 bits after it, and scalar factors exactly: their binary exponent becomes part of
    the scale, which is public. Results carry no fresh randomness until they are pickled, which gives it to them.
    """

    # ---- sums ------------------------------------------------------------------------------------------------

    @staticmethod
    def add(a: CiphertextVector, b: CiphertextVector, pk: PK) -> CiphertextVector:
        """Return a + b."""
        return _combined(a, b, pk, "+")

    @staticmethod
    def add_plain(a: CiphertextVector, b: Any, pk: PK, coder: Coder, output_dtype: Any = None) -> CiphertextVector:
        """Return a + b for a plain tensor b."""
        return CiphertextVector(_numbers(a, pk) + _as_long_as(a, coder.encode_tensor(b).values))

    @staticmethod
    def add_plain_scalar(a: CiphertextVector, b: Any, pk: PK, coder: Coder, output_dtype: Any) -> CiphertextVector:
        """Return a + b for a plain number b."""
        return CiphertextVector(_numbers(a, pk) + coder.encode(b, output_dtype).values)

    @staticmethod
    def sub(a: CiphertextVector, b: CiphertextVector, pk: PK) -> CiphertextVector:
        """Return a - b."""
        return _combined(a, b, pk, "-")

    @staticmethod
    def sub_plain(a: CiphertextVector, b: Any, pk: PK, coder: Coder, output_dtype: Any = None) -> CiphertextVector:
        """Return a - b for a plain tensor b."""
        return CiphertextVector(_numbers(a, pk) - _as_long_as(a, coder.encode_tensor(b).values))

    @staticmethod
    def sub_plain_scalar(a: CiphertextVector, b: Any, pk: PK, coder: Coder, output_dtype: Any) -> CiphertextVector:
        """Return a - b for a plain number b."""
        return CiphertextVector(_numbers(a, pk) - coder.encode(b, output_dtype).values)

    @staticmethod
    def rsub(a: CiphertextVector, b: CiphertextVector, pk: PK) -> CiphertextVector:
        """Return b - a."""
        return _combined(b, a, pk, "-")

    @staticmethod
    def rsub_plain(a: CiphertextVector, b: Any, pk: PK, coder: Coder, output_dtype: Any = None) -> CiphertextVector:
        """Return b - a for a plain tensor b."""
        return CiphertextVector(-_numbers(a, pk) + _as_long_as(a, coder.encode_tensor(b).values))

    @staticmethod
    def rsub_plain_scalar(a: CiphertextVector, b: Any, pk: PK, coder: Coder, output_dtype: Any) -> CiphertextVector:
        """Return b - a for a plain number b."""
        return CiphertextVector(-_numbers(a, pk) + coder.encode(b, output_dtype).values)

    # ---- products --------------------------------------------------------------------------------------------

    @staticmethod
    def mul_plain(a: CiphertextVector, b: Any, pk: PK, coder: Coder, output_dtype: Any = None) -> CiphertextVector:
        """Return a * b, element by element, for a plain tensor b."""
        return CiphertextVector(_numbers(a, pk) * _as_long_as(a, coder.encode_tensor(b).values))

    @staticmethod
    def mul_plain_scalar(a: CiphertextVector, b: Any, pk: PK, coder: Coder, output_dtype: Any) -> CiphertextVector:
        """Return a * b for a plain number b."""
        numerator, bits = _as_dyadic(coder.encode(b, output_dtype).values.tolist()[0])
        array = _numbers(a, pk)
        product = array if numerator == 1 else array * numerator
        return CiphertextVector(hazmat.restate(product, scale_bits=product.scale_bits + bits) if bits else product)

    @staticmethod
    def matmul(
        a: CiphertextVector,
        b: Any,
        a_shape: Sequence[int],
        b_shape: Sequence[int],
        pk: PK,
        coder: Coder,
        output_dtype: Any,
    ) -> CiphertextVector:
        """Return a @ b for a plain tensor b; both have one or two axes."""
        matrix = coder.encode_tensor(b).values.reshape(tuple(b_shape))
        return CiphertextVector(_numbers(a, pk).reshape(tuple(a_shape)) @ matrix)

    @staticmethod
    def rmatmul(
        a: CiphertextVector,
        b: Any,
        a_shape: Sequence[int],
        b_shape: Sequence[int],
        pk: PK,
        coder: Coder,
        output_dtype: Any,
    ) -> CiphertextVector:
        """Return b @ a for a plain tensor b; both have one or two axes."""
        matrix = coder.encode_tensor(b).values.reshape(tuple(b_shape))
        return CiphertextVector(_numbers(a, pk).reshape(tuple(a_shape)).__rmatmul__(matrix))

    # ---- in place --------------------------------------------------------------------------------------------

    @staticmethod
    def zeros(size: int, dtype: Any) -> CiphertextVector:
        """Return zeros, for which no key is needed."""
        return CiphertextVector.zeros(size)

    @staticmethod
    def i_add(
        pk: PK, a: CiphertextVector, b: CiphertextVector, sa: int = 0, sb: int = 0, size: int | None = None
    ) -> None:
        """Add in place: a[sa : sa + size] += b[sb : sb + size], as far as both go if there is no size."""
        _add_range(pk, a, b, (sa, sb, size), "+")

    @staticmethod
    def i_sub(
        pk: PK, a: CiphertextVector, b: CiphertextVector, sa: int = 0, sb: int = 0, size: int | None = None
    ) -> None:
        """Subtract in place: a[sa : sa + size] -= b[sb : sb + size], as far as both go if there is no size."""
        _add_range(pk, a, b, (sa, sb, size), "-")

    @staticmethod
    def i_update(
        pk: PK, a: CiphertextVector, b: CiphertextVector, positions: Sequence[Sequence[int]], stride: int
    ) -> None:
        """Add rows of b to rows of a, in place: a[stride p + k] += b[stride i + k] for p in positions[i]."""
        _update(pk, a, b, positions, np.arange(len(positions), dtype=np.int64), stride)

    @staticmethod
    def i_update_with_masks(
        pk: PK,
        a: CiphertextVector,
        b: CiphertextVector,
        positions: Sequence[Sequence[int]],
        masks: Sequence[bool],
        stride: int,
    ) -> None:
        """Do as `i_update` with the rows of b whose mask is true; there are positions for these alone."""
        chosen = np.flatnonzero(np.asarray(to_numpy(masks), dtype=np.bool_)).astype(np.int64)
        if len(chosen) != len(positions):
            raise ValueError(
                f"positions: expected one entry for each of {len(chosen)} true masks, got {len(positions)}"
            )
        _update(pk, a, b, positions, chosen, stride)

    @staticmethod
    def chunking_cumsum_with_step(pk: PK, a: CiphertextVector, chunk_sizes: Sequence[int], step: int) -> None:
        """Replace each chunk by its running sums, in place: out[i] = a[i] + out[i - step] within a chunk."""
        sizes = as_indices(chunk_sizes)
        stride = packing.check_count("step", step, 1)
        if (sizes < 0).any() or int(sizes.sum()) > len(a):
            raise ValueError(f"chunk_sizes: expected lengths that sum to at most {len(a)}, got {sizes.tolist()}")
        if a.is_zero or not sizes.size:
            return
        a.replace(_summed(a.array(pk.pk), lambda array: _running_sums(array, sizes, stride)))

    # ---- selection -------------------------------------------------------------------------------------------

    @staticmethod
    def slice(a: CiphertextVector, start: int, size: int) -> CiphertextVector:
        """Return a[start : start + size]."""
        return a.slice(start, size)

    @staticmethod
    def shuffle(pk: PK, a: CiphertextVector, indices: Any) -> CiphertextVector:
        """Return a[indices]."""
        return a.take(_permutation(indices, len(a)))

    @staticmethod
    def i_shuffle(pk: PK, a: CiphertextVector, indices: Any) -> None:
        """Replace a by a[indices]."""
        permutation = _permutation(indices, len(a))
        if not a.is_zero:
            a.replace(a.array(pk.pk)[permutation])

    @staticmethod
    def intervals_slice(a: CiphertextVector, intervals: Sequence[tuple[int, int]]) -> CiphertextVector:
        """Return the elements of intervals [start, end), one after the other."""
        for start, end in intervals:
            check_range("intervals_slice", start, end - start, len(a))
        pieces = [np.arange(start, end, dtype=np.int64) for start, end in intervals]
        return a.take(np.concatenate([np.empty(0, dtype=np.int64), *pieces]))

    @staticmethod
    def intervals_sum_with_step(
        pk: PK, a: CiphertextVector, intervals: Sequence[tuple[int, int]], step: int
    ) -> CiphertextVector:
        """Return, for each interval, the ``step`` sums of its elements whose places are alike modulo ``step``."""
        stride = packing.check_count("step", step, 1)
        for start, end in intervals:
            check_range("intervals_sum_with_step", start, end - start, len(a))
        chosen = evaluator.intervals_slice(a, intervals)
        places = [
            i * stride + np.arange(end - start, dtype=np.int64) % stride for i, (start, end) in enumerate(intervals)
        ]
        if chosen.is_zero:
            return CiphertextVector(len(intervals) * stride)
        targets = np.concatenate([np.empty(0, dtype=np.int64), *places])
        groups = len(intervals) * stride
        return CiphertextVector(_summed(chosen.array(pk.pk), lambda array: array.segment_sum(targets, groups)))

    @staticmethod
    def cat(list: Sequence[CiphertextVector]) -> CiphertextVector:
        """Return vectors one after the other."""
        return concatenated(list)

    @staticmethod
    def pack_squeeze(a: CiphertextVector, pack_num: int, shift_bit: int, pk: PK) -> CiphertextVector:
        """Return ``pack_num`` integers in each ciphertext, ``shift_bit`` bits apart, the first in the highest bits."""
        count, shift = packing.check_count("pack_num", pack_num, 1), packing.check_count("shift_bit", shift_bit, 1)
        array = a.array(pk.pk)
        if array.scale_bits:
            raise ValueError("a: expected encrypted integers, got numbers with bits after the point; pack them first")
        return CiphertextVector(_squeezed(array, count, shift) if len(array) else array)


def _same_length(name: str, length: int, a: CiphertextVector) -> None:
    if length != len(a):
        raise ValueError(f"{name}: expected {len(a)} numbers, as many as there are ciphertexts, got {length}")


def _as_long_as(a: CiphertextVector, values: NDArray[Any]) -> NDArray[Any]:
    _same_length("b", len(values), a)
    return values


def _numbers(a: CiphertextVector, pk: PK) -> CipherArray:
    """Return the ciphertexts; what is added to zeros, or multiplies them, is encoded as numbers are."""
    array = a.array(pk.pk)
    return hazmat.restate(array, codec=NUMBERS) if a.is_zero else array


def _is_packed(array: CipherArray) -> bool:
    return isinstance(array.codec, FixedPoint) and array.codec.scale_bits == array.scale_bits == 0


def _loose(arrays: Sequence[CipherArray]) -> list[CipherArray] | None:
    """Return arrays of packed integers without their bounds, None if some are not packed.

    Whoever packed them vouches that sums fit the width they were packed for, which FATE's callers choose so.
    """
    return [hazmat.restate(array, bound=0) for array in arrays] if all(map(_is_packed, arrays)) else None


def _firm(array: CipherArray) -> CipherArray:
    """Return a sum of packed integers with the bound that is vouched for."""
    assert isinstance(array.codec, FixedPoint)
    return hazmat.restate(array, bound=(1 << array.codec.integer_bits) - 1)


def _added(left: CipherArray, right: CipherArray, sign: str) -> CipherArray:
    pair = _loose([left, right])
    x, y = pair or (left, right)
    total = x + y if sign == "+" else x - y
    return _firm(total) if pair else total


def _combined(a: CiphertextVector, b: CiphertextVector, pk: PK, sign: str) -> CiphertextVector:
    _same_length("b", len(b), a)
    if b.is_zero:
        return a.slice(0, len(a))
    if a.is_zero:
        return CiphertextVector(b.array(pk.pk) if sign == "+" else -b.array(pk.pk))
    return CiphertextVector(_added(a.array(pk.pk), b.array(pk.pk), sign))


def _summed(array: CipherArray, sums: Callable[[CipherArray], CipherArray]) -> CipherArray:
    """Return sums of an array's elements."""
    alone = _loose([array])
    return _firm(sums(alone[0])) if alone else sums(array)


def _add_range(pk: PK, a: CiphertextVector, b: CiphertextVector, place: tuple[int, int, int | None], sign: str) -> None:
    sa, sb, size = place
    check_range("sa", sa, 0, len(a))
    check_range("sb", sb, 0, len(b))
    count = min(len(a) - sa, len(b) - sb) if size is None else size
    check_range("a", sa, count, len(a))
    check_range("b", sb, count, len(b))
    middle = _combined(a.slice(sa, count), b.slice(sb, count), pk, sign)
    parts = [a.slice(0, sa), middle, a.slice(sa + count, len(a) - sa - count)]
    joined = concatenated(parts)
    if not joined.is_zero:
        a.replace(joined.array(pk.pk))


def _update(
    pk: PK,
    a: CiphertextVector,
    b: CiphertextVector,
    positions: Sequence[Sequence[int]],
    rows: NDArray[np.int64],
    stride: int,
) -> None:
    width = packing.check_count("stride", stride, 1)
    if len(a) % width or len(b) % width:
        raise ValueError(f"stride: expected a divisor of both lengths, {len(a)} and {len(b)}, got {width}")
    if len(rows) and int(rows[-1]) * width >= len(b):
        raise ValueError(f"positions: expected at most {len(b) // width} rows of b, got {int(rows[-1]) + 1}")
    if b.is_zero or not any(len(row) for row in positions):
        return
    values, groups = b.array(pk.pk).reshape(-1, width), len(a) // width
    sums = CiphertextVector(_summed(values, lambda array: _sums_at(array, positions, rows, groups)))
    a.replace(_combined(a, sums, pk, "+").array(pk.pk))


def _sums_at(
    values: CipherArray, positions: Sequence[Sequence[int]], rows: NDArray[np.int64], groups: int
) -> CipherArray:
    """Return the sums of rows at their positions, of which there are some, shape (groups, stride)."""
    if len({len(row) for row in positions}) == 1:
        # A histogram: each row has a bin in each column.
        table = as_indices(positions)
        if (table < 0).any() or (table >= groups).any():
            raise IndexError(f"positions: expected 0 to {groups - 1}, got one outside")
        bins, places = zip(*(np.unique(column, return_inverse=True) for column in table.T), strict=True)
        sums = sums_by_bin(values[rows], np.column_stack(places), [len(column) for column in bins])
        return sums.segment_sum(np.concatenate(bins), groups)
    sources = np.repeat(rows, [len(row) for row in positions])
    targets = np.array([target for row in positions for target in row], dtype=np.int64)
    parts = [slice(start, start + _ADDED_AT_A_TIME) for start in range(0, len(targets), _ADDED_AT_A_TIME)]
    sums_of_parts = (values[sources[part]].segment_sum(targets[part], groups) for part in parts)
    return functools.reduce(operator.add, sums_of_parts)


def _running_sums(array: CipherArray, sizes: NDArray[np.int64], step: int) -> CipherArray:
    """Return running sums within chunks, a level of all chunks at a time."""
    starts = np.cumsum(sizes) - sizes
    levels = [np.arange(size, dtype=np.int64) // step for size in sizes]
    places = np.concatenate([start + np.arange(len(level)) for start, level in zip(starts, levels, strict=True)])
    level = np.concatenate(levels)
    rest = np.arange(int(sizes.sum()), len(array), dtype=np.int64)
    parts, order, before = [], [rest], None
    if len(rest):
        parts.append(array[rest])
    for number in range(int(level.max(initial=-1)) + 1):
        here = places[level == number]
        sums = array[here]
        if before is not None:
            # The elements one step back, which lie in the level before, in the same order.
            sums = sums + parts[-1][np.searchsorted(before, here - step)]
        parts.append(sums)
        order.append(here)
        before = here
    inverse = np.empty(len(array), dtype=np.int64)
    inverse[np.concatenate(order)] = np.arange(len(array), dtype=np.int64)
    return concatenate(parts)[inverse]


def _squeezed(array: CipherArray, count: int, shift: int) -> CipherArray:
    """Return Σ_i x_i 2^(shift (k - 1 - i)) of each ``count`` integers, of fewer at the end."""
    assert isinstance(array.codec, FixedPoint)
    groups = -(-len(array) // count)
    width = array.codec.integer_bits + shift * (min(count, len(array)) - 1)
    packed = _is_packed(array)
    left = hazmat.restate(array, bound=0) if packed else array
    total, ended = left[::count], None
    for place in range(1, min(count, len(array))):
        column = left[place::count]
        if len(column) < groups and ended is None:
            # The last group is over.
            ended, total = total[groups - 1 :], total[: groups - 1]
        total = total * (1 << shift) + column
    joined = total if ended is None else concatenate([total, ended])
    codec = FixedPoint(scale_bits=0, integer_bits=width)
    return hazmat.restate(joined, codec=codec, bound=(1 << width) - 1 if packed else joined.bound)


def _permutation(indices: Any, length: int) -> NDArray[np.int64]:
    order = as_indices(indices)
    if order.shape != (length,) or not np.array_equal(np.sort(order), np.arange(length)):
        raise ValueError(f"indices: expected each of 0 to {length - 1} once, got something else")
    return order


def _as_dyadic(value: float | int) -> tuple[int, int]:
    """Return (m, e) with m / 2^e = value, exactly up to e = 128 bits."""
    numerator, denominator = value.as_integer_ratio()
    bits = denominator.bit_length() - 1
    if bits > _MOST_SCALAR_BITS:
        return round(value * 2.0**_MOST_SCALAR_BITS), _MOST_SCALAR_BITS
    return numerator, bits
