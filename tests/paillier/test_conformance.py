"""Every operation of every backend equals the plain-Python formula, at every key size, on hard numbers."""

from __future__ import annotations

import random

import numpy as np
import pytest

import cipherlane as cl
from cipherlane.paillier import hazmat, reference

pytestmark = [
    pytest.mark.usefixtures("backend"),
    pytest.mark.filterwarnings("ignore::cipherlane.paillier.WeakKeyWarning"),
]

# The formula in plain Python is slow at large keys: fewer numbers there.
SLOW = {1024: 27, 2048: 8, 3072: 5, 4096: 3}


def array_of(key, residues, shape=None):
    """An array of given ciphertexts with room to compute."""
    return hazmat.from_integers(key, residues, shape=shape, bound=1 << 64)


def test_encryption_with_given_obfuscators(any_private_key, hard_numbers):
    key = any_private_key.public_key
    numbers = hard_numbers(key.n)[: SLOW[key.bits]]
    noise = [r or 3 for r in reversed(hard_numbers(key.n, seed=5)[: len(numbers)])]
    expected = [reference.encrypt(key.n, m, r) for m, r in zip(numbers, noise, strict=True)]
    assert hazmat.encrypt(key, numbers, noise) == expected


def test_encryption_with_given_exponents(any_private_key, hard_numbers):
    key = any_private_key.public_key
    numbers = hard_numbers(key.n)[: SLOW[key.bits]]
    half = 1 << (key.bits + 1) // 2
    exponents = ([0, 1, half - 1, half // 2, half - 2] + [a % half for a in hard_numbers(key.n)])[: len(numbers)]
    expected = [reference.encrypt_with_exponent(key.n, key.h_s, m, a) for m, a in zip(numbers, exponents, strict=True)]
    assert hazmat.encrypt_with_exponents(key, numbers, exponents) == expected


def test_encryption_without_obfuscator(any_private_key, hard_numbers):
    key = any_private_key.public_key
    numbers = hard_numbers(key.n)
    expected = [reference.encrypt_without_obfuscator(key.n, m) for m in numbers]
    assert hazmat.encrypt_without_obfuscator(key, numbers) == expected


def test_decryption(any_private_key, hard_numbers):
    key = any_private_key.public_key
    numbers = hard_numbers(key.n)
    bare = hazmat.encrypt_without_obfuscator(key, numbers)
    noise = hazmat.encrypt_with_exponents(key, [0] * len(numbers), list(range(1, len(numbers) + 1)))
    ciphertexts = hazmat.add(key, bare, noise)
    assert hazmat.decrypt(any_private_key, ciphertexts) == numbers
    some = SLOW[key.bits]
    crt = [reference.decrypt_crt(any_private_key.p, any_private_key.q, c) for c in ciphertexts[:some]]
    assert crt == numbers[:some]
    first = reference.decrypt(any_private_key.p, any_private_key.q, ciphertexts[3])
    assert first == numbers[3]


@pytest.mark.parametrize("noise", ["djn", "exact", "classic"])
def test_the_key_holders_encryption(any_private_key, hard_numbers, noise):
    key = any_private_key.public_key
    values = np.array([reference.signed(key.n, m) for m in hard_numbers(key.n)], dtype=object)
    codec = cl.FixedPoint(scale_bits=0, integer_bits=key.bits - 2)
    inside = np.array([v for v in values if abs(v) < 1 << (key.bits - 2)], dtype=object)
    encrypted = any_private_key.encrypt(inside, codec=codec, noise=noise)
    assert any_private_key.decrypt(encrypted).tolist() == inside.tolist()
    again = any_private_key.rerandomize(encrypted, noise=noise)
    assert set(hazmat.to_integers(again)).isdisjoint(hazmat.to_integers(encrypted))
    assert any_private_key.decrypt(again).tolist() == inside.tolist()


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9])
def test_sums_and_differences(any_private_key, hard_residues, count):
    key = any_private_key.public_key
    a, b = hard_residues(key, count), hard_residues(key, count, seed=9)[::-1]
    x, y = array_of(key, a), array_of(key, b)
    pairs = list(zip(a, b, strict=True))
    assert hazmat.to_integers(x + y) == [reference.add(key.n, c, d) for c, d in pairs]
    assert hazmat.to_integers(x - y) == [reference.subtract(key.n, c, d) for c, d in pairs]
    assert hazmat.to_integers(-x) == [reference.negate(key.n, c) for c in a]
    assert hazmat.to_integers(x.sum()) == [reference.sum_of(key.n, a)]


def test_large_batches(keys, hard_residues):
    for bits in (1024, 2048):
        key = keys[bits].public_key
        a, b = hard_residues(key, 1000), hard_residues(key, 1000, seed=4)[::-1]
        x, y = array_of(key, a), array_of(key, b)
        assert hazmat.to_integers(x) == a
        assert hazmat.to_integers(x + y) == [reference.add(key.n, c, d) for c, d in zip(a, b, strict=True)]
        assert hazmat.to_integers(-x)[::37] == [reference.negate(key.n, c) for c in a[::37]]
        values = np.arange(-500, 500)
        assert np.array_equal(keys[bits].decrypt(key.encrypt(values)), values)


def test_hard_residues_by_themselves_and_each_other(any_private_key, hard_residues):
    key = any_private_key.public_key
    residues = hard_residues(key, 20)
    a = [c for c in residues for _ in residues]
    b = residues * len(residues)
    expected = [reference.add(key.n, c, d) for c, d in zip(a, b, strict=True)]
    assert hazmat.to_integers(array_of(key, a) + array_of(key, b)) == expected


def test_adding_plaintexts(any_private_key, hard_residues):
    key = any_private_key.public_key
    values = [0, 1, -1, 2**63 - 1, -(2**63) + 1, 2**62, -5]
    a = hard_residues(key, len(values))
    expected = [reference.add_plaintext(key.n, c, v % key.n) for c, v in zip(a, values, strict=True)]
    assert hazmat.to_integers(array_of(key, a) + np.array(values)) == expected
    minus = [reference.add_plaintext(key.n, c, -v % key.n) for c, v in zip(a, values, strict=True)]
    assert hazmat.to_integers(array_of(key, a) - np.array(values)) == minus
    turned = [
        reference.add_plaintext(key.n, reference.negate(key.n, c), v % key.n) for c, v in zip(a, values, strict=True)
    ]
    assert hazmat.to_integers(np.array(values) - array_of(key, a)) == turned


def test_multiplying(any_private_key, hard_residues):
    key = any_private_key.public_key
    factors = [0, 1, -1, 2, 3, -7, 2**31, 2**63 - 1, -(2**63), 12345678901234567]
    a = hard_residues(key, len(factors))
    expected = [reference.multiply(key.n, c, k) for c, k in zip(a, factors, strict=True)]
    assert hazmat.to_integers(array_of(key, a) * np.array(factors)) == expected
    assert hazmat.multiply(key, a, factors) == expected
    for factor in (0, 5, -3):
        expected = [reference.multiply(key.n, c, factor) for c in a]
        assert hazmat.to_integers(factor * array_of(key, a)) == expected


def test_multiplying_by_wide_integers(any_private_key, hard_residues):
    key = any_private_key.public_key
    factors = [2**64, -(2**200) + 1, 2**130 + 2**65, 1]
    a = hard_residues(key, len(factors))
    expected = [reference.multiply(key.n, c, k) for c, k in zip(a, factors, strict=True)]
    assert hazmat.to_integers(array_of(key, a) * np.array(factors, dtype=object)) == expected


def test_segment_sums(any_private_key, hard_residues):
    key = any_private_key.public_key
    a = hard_residues(key, 21)
    ids = [random.Random(3).randrange(5) for _ in a]
    ids = [segment + (segment > 2) for segment in ids]  # 3 stays empty
    expected = reference.segment_sum(key.n, a, ids, 7)
    assert expected[3] == expected[6] == 1
    assert hazmat.to_integers(array_of(key, a).segment_sum(ids, 7)) == expected
    table = array_of(key, a, shape=(7, 3)).segment_sum([1, 0, 1, 1, 4, 0, 1], 5)
    for column in range(3):
        expected = reference.segment_sum(key.n, a[column::3], [1, 0, 1, 1, 4, 0, 1], 5)
        assert hazmat.to_integers(table[:, column]) == expected


def test_matrix_products(any_private_key, hard_residues):
    key = any_private_key.public_key
    a = hard_residues(key, 12)
    x = array_of(key, a, shape=(4, 3))
    weights = np.array([[1, 0, -1, 2], [0, 0, 0, 0], [2**40, -3, 5, -(2**33)], [7, 7, 7, 7], [-1, -1, 0, 0]])
    product = hazmat.to_integers(weights @ x)
    for row in range(5):
        for column in range(3):
            expected = reference.linear_combination(key.n, a[column::3], weights[row].tolist())
            assert product[row * 3 + column] == expected
    right = np.array([[1, -2], [3, 0], [-5, 2**20]])
    product = hazmat.to_integers(x @ right)
    for row in range(4):
        for column in range(2):
            expected = reference.linear_combination(key.n, a[row * 3 : row * 3 + 3], right[:, column].tolist())
            assert product[row * 2 + column] == expected
    vector = np.array([2, -1, 0, 9])
    assert hazmat.to_integers(vector @ x) == [
        reference.linear_combination(key.n, a[column::3], vector.tolist()) for column in range(3)
    ]


def test_a_large_matrix_product_uses_the_same_formula(private_key, public_key, hard_residues):
    a = hard_residues(public_key, 300)
    generator = np.random.default_rng(5)
    weights = generator.integers(-(2**20), 2**20, size=(3, 300))
    expected = [reference.linear_combination(public_key.n, a, row) for row in weights.tolist()]
    assert hazmat.to_integers(weights @ array_of(public_key, a)) == expected


def test_rerandomising_changes_every_ciphertext_and_no_value(any_private_key, hard_numbers):
    key = any_private_key.public_key
    x = key.encrypt(np.arange(-4, 5))
    y = x.rerandomize()
    assert set(hazmat.to_integers(x)).isdisjoint(hazmat.to_integers(y))
    assert np.array_equal(any_private_key.decrypt(y), np.arange(-4, 5))


def test_equal_values_have_different_ciphertexts(any_private_key):
    key = any_private_key.public_key
    for holder in (key, any_private_key):
        ciphertexts = hazmat.to_integers(holder.encrypt(np.zeros(40, dtype=np.int64)))
        assert len(set(ciphertexts)) == 40
    packed = key.encrypt(np.zeros(500), codec=cl.Packed())
    assert len(set(hazmat.to_integers(packed))) == packed.ciphertext_count > 1


def test_djn_obfuscators_are_powers_of_h_s_and_classic_ones_are_residues(private_key, public_key):
    # Every obfuscator is an n-th residue: it vanishes under the exponent λ = (p - 1)(q - 1).
    order = (private_key.p - 1) * (private_key.q - 1)
    classic = cl.PrivateKey(private_key.p, private_key.q, generators=private_key.generators)
    for holder in (public_key, private_key, classic.public_key, classic):
        for ciphertext in hazmat.to_integers(holder.encrypt(np.zeros(4, dtype=np.int64))):
            assert pow(ciphertext, order, public_key.n**2) == 1
            assert ciphertext != 1


def test_exact_noise_reaches_the_whole_group(private_key):
    # Squares only, or one coset only, would show in the Jacobi symbols of c mod p and mod q.
    import gmpy2

    ciphertexts = hazmat.to_integers(private_key.encrypt(np.zeros(200, dtype=np.int64), noise="exact"))
    symbols = {(gmpy2.jacobi(c, private_key.p), gmpy2.jacobi(c, private_key.q)) for c in ciphertexts}
    assert symbols == {(1, 1), (1, -1), (-1, 1), (-1, -1)}  # missing one: probability below 4 · 0.75^200
