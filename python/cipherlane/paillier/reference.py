"""Every operation in plain Python, one formula each: what all backends are compared with.

Nothing here is fast or constant-time; it is for reading and for tests. Numbers are Python integers.

P. Paillier, "Public-key cryptosystems based on composite degree residuosity classes", EUROCRYPT 1999, with g
= n + 1.
I. Damgård, M. Jurik, J. B. Nielsen, "A generalization of Paillier's public-key system with applications to
electronic voting", International Journal of Information Security 9 (2010), section 4.2, for h_s.
H. Ma, S. Han, H. Lei, "Optimized Paillier's cryptosystem with fast encryption and decryption", ACSAC 2021, for
keys of scheme "short".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction


def encrypt(n: int, plaintext: int, obfuscator: int) -> int:
    """Return (1 + m n) r^n mod n²."""
    return (1 + plaintext * n) * pow(obfuscator, n, n * n) % (n * n)


def encrypt_with_exponent(n: int, h_s: int, plaintext: int, exponent: int) -> int:
    """Return (1 + m n) h_s^α mod n²."""
    return (1 + plaintext * n) * pow(h_s, exponent, n * n) % (n * n)


def encrypt_without_obfuscator(n: int, plaintext: int) -> int:
    """Return 1 + m n, which hides nothing."""
    return 1 + plaintext * n


def obfuscator_base(n: int, y: int) -> int:
    """Return h_s = h^n mod n² for h = -y² mod n."""
    return pow(-y * y % n, n, n * n)


def short_obfuscator_base(p: int, q: int, order_p: int, order_q: int, y: int) -> int:
    """Return h_s = h^n mod n² for h = -y^(2 β) mod n, β = (p - 1)(q - 1) / (4 s_p s_q): h² has the order s_p s_q."""
    n = p * q
    return pow(-pow(y, (p - 1) * (q - 1) // (2 * order_p * order_q), n) % n, n, n * n)


def decrypt_short(p: int, q: int, order_p: int, order_q: int, ciphertext: int) -> int | None:
    """Return L(c^(2 α) mod n²) / (2 α) mod n for α = s_p s_q, or None if the obfuscator is no power of h_s.

    It is one only if c^(2 s_p) ≡ 1 mod p and c^(2 s_q) ≡ 1 mod q.
    """
    n = p * q
    if pow(ciphertext, 2 * order_p, p) != 1 or pow(ciphertext, 2 * order_q, q) != 1:
        return None
    exponent = 2 * order_p * order_q
    return (pow(ciphertext, exponent, n * n) - 1) // n * pow(exponent, -1, n) % n


def decrypt(p: int, q: int, ciphertext: int) -> int:
    """Return L(c^λ mod n²) / L((1 + n)^λ mod n²) mod n, with L(u) = (u - 1) / n and λ = lcm(p - 1, q - 1)."""
    n = p * q
    order = math.lcm(p - 1, q - 1)
    logarithm = (pow(ciphertext, order, n * n) - 1) // n
    return logarithm * pow(order, -1, n) % n


def decrypt_crt(p: int, q: int, ciphertext: int) -> int:
    """Return the plaintext from m mod p = L_p(c^(p-1) mod p²) · (-q)^-1 mod p, and mod q alike."""
    residue_p = (pow(ciphertext, p - 1, p * p) - 1) // p * pow(-q, -1, p) % p
    residue_q = (pow(ciphertext, q - 1, q * q) - 1) // q * pow(-p, -1, q) % q
    return residue_p + p * ((residue_q - residue_p) * pow(p, -1, q) % q)


def add(n: int, a: int, b: int) -> int:
    """Return a b mod n², which holds the sum of the plaintexts."""
    return a * b % (n * n)


def negate(n: int, a: int) -> int:
    """Return a^-1 mod n², which holds minus the plaintext."""
    return pow(a, -1, n * n)


def subtract(n: int, a: int, b: int) -> int:
    """Return a b^-1 mod n², which holds the difference of the plaintexts."""
    return add(n, a, negate(n, b))


def add_plaintext(n: int, a: int, plaintext: int) -> int:
    """Return a (1 + m n) mod n², which holds the plaintext of a plus m."""
    return a * (1 + plaintext * n) % (n * n)


def multiply(n: int, a: int, factor: int) -> int:
    """Return a^k mod n² for any integer k, which holds k times the plaintext."""
    return pow(a, factor, n * n)


def sum_of(n: int, ciphertexts: Sequence[int]) -> int:
    """Return the product of all ciphertexts mod n², which holds the sum of the plaintexts; 1 for none."""
    total = 1
    for ciphertext in ciphertexts:
        total = add(n, total, ciphertext)
    return total


def segment_sum(n: int, ciphertexts: Sequence[int], segment_ids: Sequence[int], num_segments: int) -> list[int]:
    """Return one ciphertext a segment: the product of those whose id is that of the segment."""
    totals = [1] * num_segments
    for ciphertext, segment in zip(ciphertexts, segment_ids, strict=True):
        totals[segment] = add(n, totals[segment], ciphertext)
    return totals


def linear_combination(n: int, ciphertexts: Sequence[int], weights: Sequence[int]) -> int:
    """Return Π c_j^w_j mod n², which holds Σ w_j m_j."""
    return sum_of(n, [multiply(n, c, w) for c, w in zip(ciphertexts, weights, strict=True)])


def encode(n: int, value: float | int, scale_bits: int) -> int:
    """Return round(v · 2^scale_bits) mod n, ties to even."""
    encoded: int = round(Fraction(value) * 2**scale_bits)
    return encoded % n


def signed(n: int, plaintext: int) -> int:
    """Return the representative of a plaintext in (-n/2, n/2)."""
    return plaintext - n if plaintext > n // 2 else plaintext


def decode(n: int, plaintext: int, scale_bits: int) -> Fraction:
    """Return signed(m) · 2^-scale_bits, exactly."""
    return Fraction(signed(n, plaintext), 2**scale_bits)


def encode_packed(n: int, values: Sequence[float | int], scale_bits: int, slot_bits: int) -> int:
    """Return Σ_i round(v_i · 2^scale_bits) · 2^(slot_bits · i) mod n."""
    digits: list[int] = [round(Fraction(v) * 2**scale_bits) for v in values]
    return sum(digit << (slot_bits * i) for i, digit in enumerate(digits)) % n


def packed_integers(n: int, plaintext: int, count: int, slot_bits: int) -> list[int]:
    """Return the signed digits d_i of a plaintext Σ_i d_i · 2^(slot_bits · i), |d_i| < 2^(slot_bits - 1)."""
    rest = signed(n, plaintext)
    digits = []
    for _ in range(count):
        digit = rest % 2**slot_bits
        if digit >= 2 ** (slot_bits - 1):
            digit -= 2**slot_bits
        digits.append(digit)
        rest = (rest - digit) >> slot_bits
    return digits
