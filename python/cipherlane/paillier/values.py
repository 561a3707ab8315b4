"""What users hand in, checked and turned into limbs: plaintexts to encrypt or add, factors to multiply by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cipherlane import _native
from cipherlane.errors import PlaintextOverflowError
from cipherlane.paillier.codec import Codec, FixedPoint, Packed
from cipherlane.paillier.gpu_arrays import on_host
from cipherlane.paillier.limbs import Limbs, limb_count, to_limbs

_INT64_MAX = 2**63 - 1
_UINT64_MAX = 2**64 - 1
# A float at least this large can be an integer that numpy rounded when it looked for a common type.
_EXACT_INT64 = 2.0**63


def at(name: str, flat_index: int, shape: tuple[int, ...]) -> str:
    """Return ``name[i, j]`` for the element at ``flat_index`` of an array of ``shape``."""
    if not shape:
        return name
    return f"{name}[{', '.join(str(int(i)) for i in np.unravel_index(flat_index, shape))}]"


def _unusable(name: str, what: str) -> TypeError:
    return TypeError(f"{name}: expected real numbers (float64, integers or bool), got {what}; convert them first")


def _from_objects(name: str, objects: NDArray[Any]) -> NDArray[Any]:
    """Return an object array of Python integers as the narrowest integer array that holds them."""
    integers = []
    for index, item in enumerate(objects.ravel().tolist()):
        if not isinstance(item, (int, np.integer)):
            place = at(name, index, objects.shape)
            if isinstance(item, float):
                raise TypeError(f"{place}: got a float among Python objects; convert them with array.astype(float)")
            raise _unusable(place, f"an object of type {type(item).__name__}")
        integers.append(int(item))
    least, most = min(integers, default=0), max(integers, default=0)
    if -_INT64_MAX - 1 <= least and most <= _INT64_MAX:
        return np.array(integers, dtype=np.int64).reshape(objects.shape)
    if least >= 0 and most <= _UINT64_MAX:
        return np.array(integers, dtype=np.uint64).reshape(objects.shape)
    exact = np.empty(len(integers), dtype=object)
    exact[:] = integers
    return exact.reshape(objects.shape)


def as_values(values: Any, name: str = "values") -> NDArray[Any]:
    """Return ``values`` as a float64, int64, uint64 or (integers beyond 64 bits) object array.

    What lies on a GPU is copied to the host.

    Raises
    ------
    TypeError
        If they are not real numbers.
    ValueError
        If one is NaN or infinite, or nested lists are ragged.
    """
    if isinstance(values, np.ma.MaskedArray):
        raise _unusable(name, "a masked array, whose mask would be lost")
    if hasattr(values, "to_bytes") and hasattr(values, "segment_sum"):
        raise _unusable(name, "a CipherArray, which is encrypted already")
    values = on_host(values, name)
    try:
        array = np.asarray(values)
    except OverflowError:
        array = np.asarray(values, dtype=object)
    except ValueError as error:
        raise ValueError(f"{name}: expected a rectangular array of numbers ({error})") from None
    kind = array.dtype.kind
    if kind == "f" and array.dtype.itemsize <= 8:
        array = array.astype(np.float64, copy=False)
        if not isinstance(values, (np.ndarray, np.generic)) and bool((np.abs(array) >= _EXACT_INT64).any()):
            objects = np.asarray(values, dtype=object)
            if all(isinstance(item, (int, np.integer)) for item in objects.ravel().tolist()):
                return _from_objects(name, objects)
        finite = np.isfinite(array)
        if not finite.all():
            index = int(np.argmin(finite.ravel()))
            raise not_finite(at(name, index, array.shape), float(array.ravel()[index]))
        return array
    if kind in "bi" or (kind == "u" and array.dtype.itemsize < 8):
        return array.astype(np.int64)
    if kind == "u":
        return array.astype(np.uint64, copy=False)
    if kind == "O":
        return _from_objects(name, array)
    raise _unusable(name, f"dtype {array.dtype}")


def not_finite(place: str, value: float) -> ValueError:
    """Return the error for a value that is no number, or infinite."""
    what = "NaN" if np.isnan(value) else "an infinity"
    return ValueError(f"{place}: expected a finite number, got {what}; remove or impute it")


def default_codec(dtype: np.dtype[Any]) -> FixedPoint:
    """Return the codec of arrays for which none is named: 40 bits after the point, for integers none."""
    return FixedPoint() if dtype.kind == "f" else FixedPoint(scale_bits=0)


def negated(values: NDArray[Any]) -> NDArray[Any]:
    """Return ``-values`` without wrapping at the ends of 64-bit integers."""
    if values.dtype.kind == "f" or (values.dtype == np.int64 and not (values == -_INT64_MAX - 1).any()):
        return -values
    objects = -values.astype(object)
    return _from_objects("values", np.asarray(objects, dtype=object).reshape(values.shape))


def _too_large(values: NDArray[Any], codec: Codec, scale_bits: int) -> NDArray[np.bool_]:
    """Mark the values whose encoded magnitude exceeds what the codec accepts."""
    bits = codec.value_bits(scale_bits)
    if values.dtype.kind == "f":
        beyond: NDArray[np.bool_] = np.abs(values) >= (np.inf if bits > 1023 else 2.0**bits)
        encoded_bits = bits + scale_bits
        if isinstance(codec, Packed) and encoded_bits < 54:
            # Below 2^53 a value just under the limit can still round up to it.
            encoded = np.rint(np.ldexp(np.where(beyond, 0.0, np.abs(values)), scale_bits))
            beyond |= encoded >= 2.0**encoded_bits
        return beyond
    limit = 1 << max(bits, 0)
    if values.dtype == object:
        return np.array([abs(v) >= limit for v in values.ravel().tolist()], dtype=np.bool_).reshape(values.shape)
    if values.dtype == np.uint64:
        return values >= np.uint64(limit) if limit <= _UINT64_MAX else np.zeros(values.shape, dtype=np.bool_)
    if limit > _INT64_MAX + 1:
        return np.zeros(values.shape, dtype=np.bool_)
    return (values > limit - 1) | (values < 1 - limit)


def check_range(values: NDArray[Any], codec: Codec, scale_bits: int, name: str) -> None:
    """Raise `PlaintextOverflowError` with the index of the first value that the codec does not accept."""
    beyond = _too_large(values, codec, scale_bits)
    if beyond.any():
        raise beyond_codec(at(name, int(np.argmax(beyond.ravel())), values.shape), codec, scale_bits)


def beyond_codec(place: str, codec: Codec, scale_bits: int) -> PlaintextOverflowError:
    """Return the error for a value that a codec does not accept."""
    accepts = f"magnitudes below 2^{codec.value_bits(scale_bits)}"
    packed = isinstance(codec, Packed)
    remedy = "raise slot_bits, or lower headroom_bits or scale_bits" if packed else "raise integer_bits"
    return PlaintextOverflowError(f"{place}: {codec} accepts {accepts}, and this value is larger; {remedy}")


def encode(values: NDArray[Any], scale_bits: int, n: int, slots: int = 1, slot_bits: int = 0) -> Limbs:
    """Return the plaintexts of flat values already checked: shape (ceil(size / slots), limbs of n)."""
    limbs = limb_count(n.bit_length())
    flat = np.ascontiguousarray(values).reshape(-1)
    if flat.dtype != object:
        return _native.encode(flat, scale_bits, slots, slot_bits if slots > 1 else 0, to_limbs([n], limbs)[0])
    integers = flat.tolist()
    groups = [integers[i : i + slots] for i in range(0, len(integers), slots)]
    return to_limbs(
        (sum(v << (scale_bits + slot_bits * k) for k, v in enumerate(group)) % n for group in groups), limbs
    )


@dataclass(frozen=True)
class Factors:
    """Multipliers as magnitudes and signs, and what is public about them.

    Attributes
    ----------
    magnitudes : ndarray of uint64, shape (count, limbs)
    negative : ndarray of bool, shape (count,)
    scale_bits : int
        Bits after the point: 0 for integers.
    shape : tuple of int
    integers : ndarray or None
        The integers themselves, None for floats.
    largest : int
        A bound on a magnitude.
    """

    magnitudes: Limbs
    negative: NDArray[np.bool_]
    scale_bits: int
    shape: tuple[int, ...]
    integers: NDArray[Any] | None
    largest: int

    def row_bound(self) -> int:
        """Return a bound on Σ_j |w_ij| over the rows i of a matrix; for integers the largest, rounded up."""
        inner = self.shape[-1]
        if self.integers is None or not self.integers.size:
            return self.largest * inner
        if self.integers.dtype == object:
            return power_of_two_above(int(np.abs(self.integers).sum(axis=-1).max()))
        magnitudes = self.magnitudes.reshape(self.shape)
        # In two halves, so that no sum of 64-bit magnitudes wraps.
        high = (magnitudes >> np.uint64(32)).sum(axis=-1)
        low = (magnitudes & np.uint64(0xFFFFFFFF)).sum(axis=-1)
        rows = zip(high.ravel().tolist(), low.ravel().tolist(), strict=True)
        return power_of_two_above(max((h << 32) + w for h, w in rows))


def power_of_two_above(value: int) -> int:
    """Return the least power of two that is not below ``value``; 1 for 0."""
    return 1 << (value - 1).bit_length() if value > 1 else 1


def as_factors(factors: ArrayLike, codec: Codec, n: int, name: str) -> Factors:
    """Return multipliers for arrays of ``codec``.

    Integers keep the scale; their largest magnitude, rounded up to a power of two, enters the public bound.
    Floats are encoded with the codec's fractional bits and only the codec's own limit enters the bound.

    Raises
    ------
    TypeError
        If they are not real numbers, or floats for a packed array.
    PlaintextOverflowError
        If a float exceeds the codec's limit.
    """
    values = as_values(factors, name)
    if values.dtype.kind == "f":
        if isinstance(codec, Packed):
            raise TypeError(
                f"{name}: expected integers, got floats; a packed array can be multiplied by integers only. "
                "Encrypt with FixedPoint to multiply by floats"
            )
        scale_bits = codec.factor_scale_bits
        check_range(values, codec, scale_bits, name)
        largest = codec.encoded_bound(scale_bits)
        if largest > (n - 1) // 2:
            raise PlaintextOverflowError(
                f"{name}: a float factor of {codec} takes {largest.bit_length()} bits, the key has "
                f"{n.bit_length()}; {codec.remedy}"
            )
        width = limb_count(largest.bit_length())
        magnitudes = np.ascontiguousarray(encode(np.abs(values), scale_bits, n)[:, :width])
        return Factors(magnitudes, np.signbit(values).reshape(-1), scale_bits, values.shape, None, largest)
    negative = np.ascontiguousarray((values < 0).reshape(-1), dtype=np.bool_)
    if values.dtype == object:
        integers = [abs(v) for v in values.ravel().tolist()]
        most = max(integers, default=0)
        if most > (n - 1) // 2:
            raise PlaintextOverflowError(f"{name}: a factor beyond half the modulus would wrap every product")
        magnitudes = to_limbs(integers, limb_count(most.bit_length()))
    else:
        # abs of the least int64 wraps to itself, and read as unsigned that is its magnitude.
        unsigned = np.abs(values).astype(np.uint64) if values.dtype == np.int64 else values
        magnitudes = np.ascontiguousarray(unsigned).reshape(-1, 1)
        most = int(unsigned.max()) if unsigned.size else 0
    return Factors(magnitudes, negative, 0, values.shape, values, power_of_two_above(most))
