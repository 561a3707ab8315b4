"""Integers to limbs and back, and the plain-Python formulas against each other."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cipherlane.paillier import reference
from cipherlane.paillier.limbs import from_limbs, limb_count, number_to_limbs, to_limbs


@given(st.lists(st.integers(0, 2**200 - 1)))
def test_integers_survive(values):
    rows = to_limbs(values, 4)
    assert rows.shape == (len(values), 4) and rows.dtype == np.uint64
    assert from_limbs(rows) == values
    assert from_limbs(rows[::2]) == values[::2]
    for value, row in zip(values, rows.tolist(), strict=True):
        assert value == sum(limb << (64 * i) for i, limb in enumerate(row))


@given(st.integers(0, 2**200))
def test_one_number_takes_no_more_limbs_than_it_must(value):
    limbs = number_to_limbs(value)
    assert limbs.shape == (limb_count(value.bit_length()),)
    assert len(limbs) == 1 or limbs[-1] != 0
    assert from_limbs(limbs[np.newaxis]) == [value]
    assert from_limbs(number_to_limbs(value, 5)[np.newaxis]) == [value]


N = (1 << 89) - 1  # any odd modulus will do for codecs


@given(st.floats(-1e9, 1e9), st.integers(0, 40))
def test_reference_encoding_rounds_to_the_nearest(value, scale_bits):
    decoded = reference.decode(N, reference.encode(N, value, scale_bits), scale_bits)
    assert abs(decoded - Fraction(value)) <= Fraction(1, 2 ** (scale_bits + 1))


@given(st.lists(st.integers(-(2**9) + 1, 2**9 - 1), max_size=8))
def test_reference_packing_is_undone(values):
    plaintext = reference.encode_packed(N, values, 0, 10)
    assert reference.packed_integers(N, plaintext, len(values), 10) == values


def test_reference_scheme_on_a_toy_key():
    p, q = 1019, 1187
    n = p * q
    for m in (0, 1, 5, n // 2, n - 1):
        for r in (2, 12345, n - 1):
            c = reference.encrypt(n, m, r)
            assert reference.decrypt(p, q, c) == reference.decrypt_crt(p, q, c) == m
            assert reference.decrypt(p, q, reference.negate(n, c)) == -m % n
            assert reference.decrypt(p, q, reference.multiply(n, c, -3)) == -3 * m % n
            assert reference.decrypt(p, q, reference.add_plaintext(n, c, 7)) == (m + 7) % n
    h_s = reference.obfuscator_base(n, 777)
    c = reference.encrypt_with_exponent(n, h_s, 42, 99)
    assert reference.decrypt(p, q, c) == 42
    d = reference.encrypt(n, 8, 3)
    assert reference.decrypt(p, q, reference.add(n, c, d)) == 50
    assert reference.decrypt(p, q, reference.subtract(n, c, d)) == 34
    assert reference.decrypt(p, q, reference.linear_combination(n, [c, d], [2, -5])) == 44
    assert reference.segment_sum(n, [c, d], [1, 1], 3)[::2] == [1, 1]
    assert reference.decrypt(p, q, reference.encrypt_without_obfuscator(n, 6)) == 6
