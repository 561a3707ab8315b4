"""How short the exponents and subgroups of a key of scheme "short" may be.

H. Ma, S. Han, H. Lei, "Optimized Paillier's cryptosystem with fast encryption and decryption", ACSAC 2021: at a
security of λ bits, obfuscators' exponents of 4 λ bits, and subgroups whose orders have prime factors of 2 λ bits,
448 and 224 at 2048 bits (λ = 112), 512 and 256 at 3072 bits (λ = 128). They give no row for 4096 bits; there λ = 152
of NIST SP 800-56B revision 2, appendix D, goes into the same rule.
"""

from __future__ import annotations

# (longest modulus in bits, λ); a modulus between two sizes takes the λ of the longer, one below 2048 bits that of 2048.
_STRENGTHS = ((2048, 112), (3072, 128), (4096, 152))


def security_bits(bits: int) -> int:
    """Return the λ that sizes the subgroup of a modulus of ``bits`` bits.

    Examples
    --------
    >>> [security_bits(bits) for bits in (1024, 2048, 2304, 3072, 4096)]
    [112, 112, 128, 128, 152]
    """
    return next(strength for longest, strength in _STRENGTHS if bits <= longest)


def least_exponent_bits(bits: int) -> int:
    """Return 4 λ, the fewest bits of an obfuscator's exponent."""
    return 4 * security_bits(bits)


def least_order_bits(bits: int) -> int:
    """Return 2 λ, the fewest bits of the primes s_p and s_q in the order of h_s."""
    return 2 * security_bits(bits)
