"""From decrypted plaintexts back to numbers."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cipherlane import _native
from cipherlane.paillier.layout import Layout
from cipherlane.paillier.limbs import Limbs, from_limbs, number_to_limbs
from cipherlane.paillier.reference import packed_integers


def decode(plaintexts: Limbs, layout: Layout, scale_bits: int, bound: int, n: int) -> NDArray[Any]:
    """Return the values of an array: float64 if it has bits after the point, else integers.

    Raises
    ------
    ValueError
        If a value lies outside the bound that the array states.
    """
    count, slots = layout.padded_size(), layout.slots
    slot_bits = layout.slot_bits if slots > 1 else 0
    flat: NDArray[Any]
    if scale_bits:
        flat = _native.decode_float64(plaintexts, count, scale_bits, slots, slot_bits, number_to_limbs(n))
        # Both are rounded to the nearest float, which keeps their order.
        outside = np.abs(flat) > float_bound(bound, scale_bits)
    else:
        flat = _integers(plaintexts, count, slots, slot_bits, n)
        outside = (flat > bound) | (flat < -bound)
    if outside.any():
        raise outside_bound(int(np.argmax(outside)))
    return layout.unpad(flat)


def float_bound(bound: int, scale_bits: int) -> float:
    """Return an array's bound as the nearest float, infinity beyond the largest."""
    return math.inf if bound.bit_length() - scale_bits > 1023 else float(Fraction(bound, 1 << scale_bits))


def outside_bound(flat_index: int) -> ValueError:
    """Return the error for the value at a place of an array, counted with what fills up packed rows."""
    return ValueError(
        f"array[{flat_index}]: its plaintext lies outside the bound that the array states; it was encrypted with "
        "another codec than stated, or not honestly"
    )


def _integers(plaintexts: Limbs, count: int, slots: int, slot_bits: int, n: int) -> NDArray[Any]:
    """Return ``count`` signed integers from plaintexts: int64, or Python integers if one does not fit."""
    try:
        return _native.decode_int64(plaintexts, count, slots, slot_bits, number_to_limbs(n))
    except OverflowError:
        # slots of one plaintext lie in its first slots * slot_bits bits; one slot is the whole plaintext
        digit_bits = slot_bits if slots > 1 else n.bit_length()
        integers = [i for m in from_limbs(plaintexts) for i in packed_integers(n, m, slots, digit_bits)]
    exact = np.empty(count, dtype=object)
    exact[:] = integers[:count]
    return exact
