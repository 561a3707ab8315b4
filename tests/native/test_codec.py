"""Encoding against exact fractions, decoding against the nearest double."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cipherlane import _native

MODULUS = (1 << 1024) - 105
LIMBS = 16


def limbs_of(value: int, count: int = LIMBS) -> np.ndarray:
    return np.frombuffer(value.to_bytes(8 * count, "little"), dtype=np.uint64).copy()


def integers_of(rows: np.ndarray) -> list[int]:
    return [int.from_bytes(row.tobytes(), "little") for row in rows]


def signed(plaintext: int) -> int:
    return plaintext - MODULUS if 2 * plaintext > MODULUS else plaintext


def rounded(value: float, scale_bits: int) -> int:
    return round(Fraction(value) * 2**scale_bits)  # Fraction rounds halves to even


finite = st.floats(allow_nan=False, allow_infinity=False, min_value=-(2.0**80), max_value=2.0**80)


@settings(max_examples=300, deadline=None)
@given(st.lists(finite, max_size=9), st.integers(0, 120))
def test_floats_are_encoded_exactly(values, scale_bits):
    rows = _native.encode(np.array(values, dtype=np.float64), scale_bits, 1, 0, limbs_of(MODULUS))
    assert [signed(row) for row in integers_of(rows)] == [rounded(value, scale_bits) for value in values]


@pytest.mark.parametrize("value", [0.5, 1.5, 2.5, -0.5, -1.5, 0.25, 0.75, 5e-324, -5e-324, 2.0**-54, 0.0, -0.0])
def test_ties_go_to_even_and_dust_to_zero(value):
    rows = _native.encode(np.array([value]), 0, 1, 0, limbs_of(MODULUS))
    assert signed(integers_of(rows)[0]) == rounded(value, 0)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=9), st.integers(0, 64))
def test_integers_are_encoded_exactly(values, scale_bits):
    rows = _native.encode(np.array(values, dtype=np.int64), scale_bits, 1, 0, limbs_of(MODULUS))
    assert [signed(row) for row in integers_of(rows)] == [value << scale_bits for value in values]


@settings(max_examples=200, deadline=None)
@given(st.integers(2, 140), st.data())
def test_packed_digits_survive_sums_of_either_sign(slot_bits, data):
    slots = min(7, 1022 // slot_bits)
    limit = 2 ** (min(slot_bits, 64) - 1) - 1
    values = data.draw(st.lists(st.integers(-limit, limit), min_size=1, max_size=20))
    array = np.array(values, dtype=np.int64)
    rows = _native.encode(array, 0, slots, slot_bits, limbs_of(MODULUS))
    expected = [
        sum(value << slot_bits * k for k, value in enumerate(values[first : first + slots]))
        for first in range(0, len(values), slots)
    ]
    assert [signed(row) for row in integers_of(rows)] == expected
    assert _native.decode_int64(rows, len(values), slots, slot_bits, limbs_of(MODULUS)).tolist() == values


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(-(2**1000), 2**1000), max_size=9), st.integers(0, 500))
def test_decoding_gives_the_nearest_double(values, scale_bits):
    rows = np.array([limbs_of(value % MODULUS) for value in values], dtype=np.uint64).reshape(-1, LIMBS)
    decoded = _native.decode_float64(rows, len(values), scale_bits, 1, 0, limbs_of(MODULUS))
    assert decoded.tolist() == [float(Fraction(value, 2**scale_bits)) for value in values]


@pytest.mark.parametrize("value", [2**63 - 1, -(2**63), 0, -1])
def test_the_edges_of_int64_decode(value):
    rows = limbs_of(value % MODULUS).reshape(1, -1)
    assert _native.decode_int64(rows, 1, 1, 0, limbs_of(MODULUS)).tolist() == [value]


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 2**200])
def test_beyond_int64_raises(value):
    rows = limbs_of(value % MODULUS).reshape(1, -1)
    with pytest.raises(OverflowError, match=r"values\[0\]: does not fit a 64-bit integer"):
        _native.decode_int64(rows, 1, 1, 0, limbs_of(MODULUS))


def test_a_value_that_does_not_fit_is_named_by_its_index():
    with pytest.raises(OverflowError, match=r"values\[2\]"):
        _native.encode(np.array([1, -2, 8, 0], dtype=np.int64), 0, 2, 4, limbs_of(MODULUS))
    with pytest.raises(OverflowError, match=r"values\[1\]"):
        _native.encode(np.array([0.0, 1e300]), 64, 1, 0, limbs_of(MODULUS))


def test_half_the_modulus_is_the_limit():
    largest = (MODULUS - 1) // 2
    assert largest.bit_length() == 1023
    fits = np.array([2.0**1021], dtype=np.float64)
    assert signed(integers_of(_native.encode(-fits, 0, 1, 0, limbs_of(MODULUS)))[0]) == -(2**1021)
    with pytest.raises(OverflowError):
        _native.encode(fits * 2 * 1.9999999999999998, 0, 1, 0, limbs_of(2**1023 + 1))


@pytest.mark.parametrize(("slots", "slot_bits"), [(0, 8), (2, 1), (2, 512), (33, 32)])
def test_layouts_that_do_not_fit_are_refused(slots, slot_bits):
    with pytest.raises(ValueError, match="slots"):
        _native.encode(np.zeros(1), 0, slots, slot_bits, limbs_of(MODULUS))


@pytest.mark.parametrize("width", [1, 7, 8, 9, 128])
def test_bytes_and_limbs_are_inverse(width):
    numbers = [0, 1, 2 ** (8 * width) - 1, 2 ** (8 * width - 1)]
    data = b"".join(number.to_bytes(width, "big") for number in numbers)
    rows = _native.limbs_from_bytes(data, len(numbers), width, LIMBS)
    assert integers_of(rows) == numbers
    assert _native.limbs_to_bytes(rows, width) == data


def test_bytes_of_another_length_are_refused():
    with pytest.raises(ValueError, match="expected 2 numbers of 9 bytes"):
        _native.limbs_from_bytes(bytes(17), 2, 9, LIMBS)
    with pytest.raises(ValueError, match="does not fit 1 bytes"):
        _native.limbs_to_bytes(limbs_of(256).reshape(1, -1), 1)
