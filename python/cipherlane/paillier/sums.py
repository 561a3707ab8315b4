"""Sums of encrypted arrays: with each other, with plain numbers, over axes and by segment."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from cipherlane.paillier import layout as layouts
from cipherlane.paillier import segments
from cipherlane.paillier.alignment import aligned, at_scale
from cipherlane.paillier.codec import FixedPoint, check_bound
from cipherlane.paillier.devices import GPU_BACKEND, backend_for
from cipherlane.paillier.gpu_arrays import on_gpu
from cipherlane.paillier.plaintexts import Operand, as_operand, encode
from cipherlane.paillier.values import power_of_two_above

if TYPE_CHECKING:
    from cipherlane.paillier.cipher_array import CipherArray


def add(first: CipherArray, second: CipherArray, sign: str) -> CipherArray:
    """Return the sum of two encrypted arrays for the sign "+", their difference for "-"."""
    (a, b), codec = aligned([first, second], f"x {sign} y")
    layout = layouts.broadcast(a._layout, b._layout, f"x {sign} y")
    bound = a._bound + b._bound
    check_bound(f"x {sign} y", bound, codec, a._key.n)
    name = a._backend(b)
    context = a._key.context(name)
    operation = context.add if sign == "+" else context.subtract
    batch = operation(a._spread_to(layout, name), b._spread_to(layout, name))
    return a._derived(batch, layout, bound, codec=codec)


def add_plain(array: CipherArray, values: ArrayLike, operation: str, *, negate: bool = False) -> CipherArray:
    """Return the sum with plain numbers, or with their negatives."""
    source = on_gpu(values, operation)
    name = array._backend() if source is None else backend_for(array._home, GPU_BACKEND)
    operand = as_operand(values if source is None else source, name, operation)
    if operand.dtype.kind == "f" and array._scale_bits == 0:
        if not isinstance(array._codec, FixedPoint):
            raise TypeError(
                f"{operation}: expected integers for an array packed with scale_bits=0, got floats; "
                "encrypt with scale_bits above 0, or round first"
            )
        scaled = at_scale(array, array._codec.factor_scale_bits, operation)
        return _add_operand(scaled, operand, operation, name, negate)
    return _add_operand(array, operand, operation, name, negate)


def _add_operand(array: CipherArray, operand: Operand, operation: str, name: str, negate: bool) -> CipherArray:
    plain, layout = layouts.broadcast_plain(array._layout, operand.shape, operation)
    bound = array._bound + array._codec.encoded_bound(array._scale_bits)
    check_bound(operation, bound, array._codec, array._key.n)
    plaintexts = encode(
        operand, (plain, layout), array._codec, array._scale_bits, array._key.n, operation, negate=negate
    )
    batch = array._key.context(name).add_plaintexts(array._spread_to(layout, name), plaintexts)
    return array._derived(batch, layout, bound)


def over_axes(array: CipherArray, axis: int | tuple[int, ...] | None, keepdims: bool) -> CipherArray:
    """Return sums over axes; see `CipherArray.sum`."""
    axes = layouts.check_axes(array._layout, axis, "sum")
    count = math.prod(array.shape[one] for one in axes)
    bound = array._bound * count
    check_bound("sum", bound, array._codec, array._key.n)
    layout = array._layout.reshaped(
        tuple(
            1 if index in axes else length for index, length in enumerate(array.shape) if keepdims or index not in axes
        )
    )
    kept = [index for index in range(len(array._layout.cipher_shape)) if index not in axes]
    indices = np.ascontiguousarray(array._layout.positions().transpose(*kept, *axes)).reshape(-1)
    offsets = np.arange(layout.count + 1, dtype=np.int64) * count
    context, batch = array._here()
    return array._derived(context.segment_sum(batch, indices, offsets), layout, bound)


def by_segment(array: CipherArray, segment_ids: ArrayLike, num_segments: int) -> CipherArray:
    """Return one sum a segment; see `CipherArray.segment_sum`."""
    if not array.shape:
        raise ValueError("segment_sum: expected an array with at least one axis, got a scalar")
    layouts.check_axes(array._layout, 0, "segment_sum")
    ids = segments.check_segment_ids(segment_ids, num_segments, len(array))
    layout = array._layout.reshaped((num_segments, *array.shape[1:]))
    layouts.check_shape(layout.shape)
    counts = np.bincount(ids, minlength=num_segments)
    largest = power_of_two_above(int(counts.max())) if counts.size else 1
    bound = array._bound * largest
    check_bound("segment_sum", bound, array._codec, array._key.n)
    indices, offsets = segments.members(ids, array._layout, layout)
    context, batch = array._here()
    return array._derived(context.segment_sum(batch, indices, offsets), layout, bound)
