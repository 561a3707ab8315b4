"""From numbers to plaintexts and back, on the host or, for a backend that works there, on the GPU."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cipherlane import _native
from cipherlane.paillier import decoding, values
from cipherlane.paillier.codec import Codec, Packed
from cipherlane.paillier.device_array import DeviceArray
from cipherlane.paillier.devices import is_gpu_backend
from cipherlane.paillier.gpu_arrays import GpuValues, on_gpu
from cipherlane.paillier.layout import Layout
from cipherlane.paillier.limbs import Limbs, number_to_limbs

_UNLIMITED = 2**32 - 1
_UINT64_MAX = 2**64 - 1

Operand = NDArray[Any] | GpuValues


def as_operand(given: ArrayLike | GpuValues, backend: str, name: str = "values") -> Operand:
    """Return numbers where ``backend`` encodes them; see `values.as_values` and `gpu_arrays.on_gpu` for errors.

    On the GPU they are checked when they are encoded.
    """
    if not is_gpu_backend(backend):
        return values.as_values(given, name)
    source = on_gpu(given, name)
    if source is not None and source.size:
        return source
    array = values.as_values(given, name)
    return array if array.dtype == object or not array.size else GpuValues.from_numpy(array)


def encode(
    operand: Operand,
    layouts: tuple[Layout, Layout],
    codec: Codec,
    scale_bits: int,
    n: int,
    name: str,
    *,
    negate: bool = False,
) -> Limbs | _native.Plaintexts:
    """Return the plaintexts of ``operand``, or of minus it, for a layout to which it is broadcast.

    Parameters
    ----------
    operand : ndarray or GpuValues
        From `as_operand`.
    layouts : tuple of (Layout, Layout)
        The operand's, and that of the plaintexts.
    codec, scale_bits, n
        How they are encoded.
    name : str
        Of the operand, for errors.
    negate : bool, default False

    Raises
    ------
    ValueError
        If a value is NaN or infinite.
    PlaintextOverflowError
        If a value is larger than the codec accepts; the message names its index.
    """
    plain, target = layouts
    if isinstance(operand, GpuValues) and target.size:
        return _encode_on_gpu(operand, target, codec, scale_bits, n, name, negate)
    array = values.as_values(operand, name)
    array = values.negated(array) if negate else array
    values.check_range(array, codec, scale_bits, name)
    stretched = plain.pad(np.broadcast_to(array, plain.shape))
    rows = values.encode(stretched, scale_bits, n, plain.slots, plain.slot_bits)
    index = plain.spread(target)
    return rows if index is None else rows[index]


def _row_length(layout: Layout) -> int:
    """Return how many values fill plaintexts of their own: an axis that is packed, or the whole array."""
    return layout.shape[-1] if layout.packed and not layout.whole else layout.size


def _encode_on_gpu(
    operand: GpuValues, layout: Layout, codec: Codec, scale_bits: int, n: int, name: str, negate: bool
) -> _native.Plaintexts:
    plaintexts, not_finite, beyond = _native.encode_on_device(
        operand.view(layout.shape),
        _row_length(layout),
        scale_bits,
        layout.slots,
        layout.slot_bits if layout.slots > 1 else 0,
        negate,
        codec.value_bits(scale_bits),
        codec.encoded_bound(scale_bits).bit_length() if isinstance(codec, Packed) else _UNLIMITED,
        number_to_limbs(n),
    )
    if not_finite is not None:
        place = _place_in(operand.shape, layout.shape, not_finite)
        raise values.not_finite(values.at(name, place, operand.shape), float(operand.item(place)))
    if beyond is not None:
        place = _place_in(operand.shape, layout.shape, beyond)
        raise values.beyond_codec(values.at(name, place, operand.shape), codec, scale_bits)
    return plaintexts


def _place_in(shape: tuple[int, ...], stretched: tuple[int, ...], flat_index: int) -> int:
    """Return which element of an array of ``shape`` lies at a place of the array that it was broadcast to."""
    places = np.unravel_index(flat_index, stretched)[len(stretched) - len(shape) :]
    own = tuple(0 if length == 1 else int(place) for place, length in zip(places, shape, strict=True))
    return int(np.ravel_multi_index(own, shape)) if shape else 0


def decode_on_gpu(plaintexts: _native.Plaintexts, layout: Layout, scale_bits: int, bound: int) -> DeviceArray | None:
    """Return the values as `decoding.decode` does, on the GPU; None if an integer within the bound exceeds 64 bits.

    Raises
    ------
    ValueError
        If a value lies outside the bound that the array states.
    """
    dtype: np.dtype[Any] = np.dtype(np.float64 if scale_bits else np.int64)
    if not layout.size:
        return DeviceArray._from_numpy(np.empty(layout.shape, dtype=dtype))
    whole_rows = layout.packed and not layout.whole
    memory, outside, beyond = _native.decode_on_device(
        plaintexts,
        _row_length(layout),
        layout.cipher_shape[-1] * layout.slots if whole_rows else layout.size,
        scale_bits,
        layout.slots,
        layout.slot_bits if layout.slots > 1 else 0,
        bool(scale_bits),
        _bound_for(bound, scale_bits),
    )
    if outside is not None:
        raise decoding.outside_bound(outside)
    return None if beyond is not None else DeviceArray._make(memory, layout.shape, dtype)


def to_gpu(decoded: NDArray[Any]) -> DeviceArray:
    """Return decrypted values as an array on the GPU.

    Raises
    ------
    OverflowError
        If they are integers beyond 64 bits.
    """
    if decoded.dtype == object:
        wide = next(i for i, value in enumerate(decoded.ravel().tolist()) if not -(2**63) <= value < 2**63)
        raise OverflowError(
            f"{values.at('array', wide, decoded.shape)}: does not fit a 64-bit integer, and an array on the GPU holds "
            "no larger ones; decrypt it without device"
        )
    return DeviceArray._from_numpy(decoded)


def _bound_for(bound: int, scale_bits: int) -> int | None:
    """Return a bound as the core takes it: a float as its bits, None where it is beyond all values."""
    if not scale_bits:
        return bound if bound <= _UINT64_MAX else None
    limit = decoding.float_bound(bound, scale_bits)
    return None if math.isinf(limit) else int(np.float64(limit).view(np.uint64))
