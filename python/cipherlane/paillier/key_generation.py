"""Key generation: primes whose structure gives a generator, or a subgroup for short exponents, for free.

Every prime is p = 2 s t + 1 with primes s, t of about half its length. Then p ≡ 3 (mod 4), as
Damgård-Jurik-Nielsen ask; gcd(p - 1, q - 1) = 2; and since all factors of p - 1 are known, so is a generator
of Z_p*. A safe prime would give the same and take twenty times as long.

For scheme "short", p = 2 s u t + 1 with a prime s of 2 λ bits, which becomes the order of a subgroup, and primes u, t
that share what remains: p - 1 has no other small factors, and u in s's company costs the search nothing.

No branch and no address depends on the primes that are kept; docs/security.md says how, and what remains.
"""

from __future__ import annotations

import math
import secrets
from dataclasses import dataclass

import gmpy2

from cipherlane.paillier.prime_search import random_cofactor, random_prime
from cipherlane.paillier.private_key import PrivateKey
from cipherlane.paillier.public_key import LEAST_BITS, MOST_BITS, PublicKey, check_integer
from cipherlane.paillier.short_parameters import least_exponent_bits, least_order_bits

_SCHEMES = ("djn", "classic", "short")
_BITS_STEP = 256
_MOST_TRIES = 128


@dataclass(frozen=True, repr=False)
class _StructuredPrime:
    """p = 2 s t + 1, or p = 2 s u t + 1, and a generator g of Z_p*, which proves that p is prime if its factors are."""

    p: int
    s: int
    t: int
    g: int
    u: int = 1


def _structured_prime(bits: int, order_bits: int | None = None) -> _StructuredPrime:
    """Return p of exactly ``bits`` bits with its top two bits set: p = 2 s u t + 1 if s has a given length."""
    s_bits = bits // 2 if order_bits is None else order_bits
    u_bits = 0 if order_bits is None else (bits - order_bits) // 2
    while True:
        s, u = random_prime(s_bits), random_prime(u_bits) if u_bits else 1
        t = random_cofactor(s * u, s_bits + u_bits, bits)
        p = 2 * s * u * t + 1
        g = _generator(p, [factor for factor in (s, u, t) if factor != 1])
        if g is not None:
            return _StructuredPrime(p, s, t, g, u)


def _generator(p: int, factors: list[int]) -> int | None:
    """Return a g with g^((p-1)/2) = -1 and g^((p-1)/f) ≠ 1 for the other prime factors f of p - 1, of order p - 1.

    Half the numbers below a prime p are such, and none where p is composite (D. H. Lehmer, "Tests for primality by
    the converse of Fermat's theorem", Bulletin of the American Mathematical Society 33, 1927). None if many are not.
    """
    exponents = [2 * math.prod(factors[:i] + factors[i + 1 :]) for i in range(len(factors))]
    for _ in range(_MOST_TRIES):
        # A number that is rejected has nothing in common with the one that is kept.
        g = 2 + secrets.randbelow(p - 3)
        if gmpy2.powmod_sec(g, p >> 1, p) == p - 1 and 1 not in [gmpy2.powmod_sec(g, e, p) for e in exponents]:
            return g
    return None


def _prime_pair(bits: int, order_bits: int | None = None) -> tuple[_StructuredPrime, _StructuredPrime]:
    while True:
        p, q = _structured_prime(bits // 2, order_bits), _structured_prime(bits // 2, order_bits)
        # Close primes would let Fermat's method factor n; |p - q| this small has probability 2^-98.
        far_apart = abs(p.p - q.p) >> (bits // 2 - 100) != 0
        # Six different factors, or four: gcd(p - 1, q - 1) = 2. One length: gcd(p q, (p - 1)(q - 1)) = 1.
        factors = [factor for prime in (p, q) for factor in (prime.s, prime.t, prime.u) if factor != 1]
        if far_apart and len(set(factors)) == len(factors):
            return p, q


def obfuscator_base(n: int) -> int:
    """Return h_s = h^n mod n² for h = -y² mod n and a uniform y in Z_n*."""
    while True:
        y = 1 + secrets.randbelow(n - 1)
        if gmpy2.gcd(y, n) == 1:
            return int(gmpy2.powmod_sec(-y * y % n, n, n * n))


def _short_obfuscator_base(p: _StructuredPrime, q: _StructuredPrime) -> int:
    """Return h_s = h^n mod n² for h = -y^(2 β) mod n, β = u_p t_p u_q t_q and a uniform y in Z_n*.

    y^(2 β) has the order s_p mod p and s_q mod q, unless it is 1 there; -1 is no square, so h has twice that order.
    """
    n = p.p * q.p
    exponent = 2 * p.u * p.t * q.u * q.t
    while True:
        y = 1 + secrets.randbelow(n - 1)
        power = gmpy2.powmod_sec(y, exponent, n)
        if gmpy2.gcd(y, n) == 1 and gmpy2.gcd(power - 1, n) == 1:
            return int(gmpy2.powmod(-power % n, n, n * n))


def keygen(bits: int = 2048, scheme: str = "djn") -> tuple[PublicKey, PrivateKey]:
    """Make a key pair.

    Primes are p = 2 s t + 1 with primes s, t of half their length, so that the private key carries
    generators of Z_p* and Z_q* and its holder can encrypt with exact Paillier noise at the speed of a table. A key of
    scheme "short" has subgroups of known order in their place.

    Parameters
    ----------
    bits : int, default 2048
        Length of the modulus: 1024 (for interoperation only), 2048, 3072, 4096, or a multiple of 256 between.
    scheme : {"djn", "classic", "short"}, default "djn"
        "djn" adds h_s = (-y²)^n mod n², and encryption is (1 + m n) h_s^α with α of half the key's length.
        "classic" is (1 + m n) r^n, many times slower for those who only have the public key.
        "short" draws h_s from a subgroup of order 2 s_p s_q, for primes of 224 bits up to 2048 bits, 256 up to 3072
        and 304 up to 4096, and α of 448, 512 and 608 bits. It decrypts 4 to 6 times and encrypts 2 to 4 times as
        fast, and rests on a further assumption: no one can tell powers of such an h_s from other n-th residues with
        Jacobi symbol 1.

    Returns
    -------
    public_key : PublicKey
    private_key : PrivateKey

    Raises
    ------
    TypeError
        If ``bits`` is not an integer or ``scheme`` not a str.
    ValueError
        If either is not one of those above.

    Warns
    -----
    WeakKeyWarning
        If ``bits`` is below 2048.

    References
    ----------
    I. Damgård, M. Jurik, J. B. Nielsen, "A generalization of Paillier's public-key system with applications
    to electronic voting", International Journal of Information Security 9 (2010), section 4.2.
    H. Ma, S. Han, H. Lei, "Optimized Paillier's cryptosystem with fast encryption and decryption", ACSAC 2021.

    Examples
    --------
    >>> import cipherlane as cl
    >>> public_key, private_key = cl.keygen(bits=2048)
    >>> public_key.bits, public_key.scheme
    (2048, 'djn')
    """
    bits = check_integer("bits", bits)
    if not LEAST_BITS <= bits <= MOST_BITS or bits % _BITS_STEP != 0:
        raise ValueError(
            f"bits: expected a multiple of {_BITS_STEP} from {LEAST_BITS} to {MOST_BITS}, got {bits}; 2048 "
            "is the usual choice, 3072 for secrets of decades"
        )
    if not isinstance(scheme, str):
        raise TypeError(f"scheme: expected a str, got {type(scheme).__name__}")
    if scheme not in _SCHEMES:
        raise ValueError(f"scheme: expected one of {', '.join(map(repr, _SCHEMES))}, got {scheme!r}")
    if scheme == "short":
        p, q = _prime_pair(bits, least_order_bits(bits))
        # Their generators have proved the primes.
        private_key = PrivateKey.__new__(PrivateKey)._with_primes(
            p.p,
            q.p,
            h_s=_short_obfuscator_base(p, q),
            exponent_bits=least_exponent_bits(bits),
            orders=(p.s, q.s),
        )
        return private_key.public_key, private_key
    p, q = _prime_pair(bits)
    h_s = obfuscator_base(p.p * q.p) if scheme == "djn" else None
    private_key = PrivateKey.__new__(PrivateKey)._with_primes(p.p, q.p, h_s=h_s, generators=(p.g, q.g))
    return private_key.public_key, private_key
