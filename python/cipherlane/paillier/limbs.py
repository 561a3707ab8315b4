"""Between Python's integers and the little-endian 64-bit limbs that the compiled core works with."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

LIMB_BITS = 64
_LIMB_BYTES = LIMB_BITS // 8

Limbs = NDArray[np.uint64]


def limb_count(bits: int) -> int:
    """Return how many limbs a number of ``bits`` bits takes; at least one."""
    return max(1, -(-bits // LIMB_BITS))


def to_limbs(values: Iterable[int], limbs: int) -> Limbs:
    """Return non-negative integers below ``2**(64*limbs)`` as an array of shape (count, limbs)."""
    data = b"".join(value.to_bytes(limbs * _LIMB_BYTES, "little") for value in values)
    return np.frombuffer(data, dtype="<u8").astype(np.uint64, copy=False).reshape(-1, limbs)


def from_limbs(values: Limbs) -> list[int]:
    """Return the rows of a (count, limbs) array as Python integers."""
    width = values.shape[1] * _LIMB_BYTES
    data = np.ascontiguousarray(values).astype("<u8", copy=False).tobytes()
    return [int.from_bytes(data[i : i + width], "little") for i in range(0, len(data), width)]


def number_to_limbs(value: int, limbs: int | None = None) -> Limbs:
    """Return one integer as a 1-D array of limbs, as short as it may be unless ``limbs`` is given."""
    number: Limbs = to_limbs([value], limb_count(value.bit_length()) if limbs is None else limbs)[0]
    return number
