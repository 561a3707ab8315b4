"""Key generation: primes whose structure gives a generator, or a subgroup for short exponents, for free.

Every prime is p = 2 s t + 1 with primes s, t of about half its length. Then p ≡ 3 (mod 4), as
Damgård-Jurik-Nielsen ask; gcd(p - 1, q - 1) = 2; and since all factors of p - 1 are known, so is a generator
of Z_p*. A safe prime would give the same and take twenty times as long.

For scheme "short", p = 2 s u t + 1 with a prime s of 2 λ bits, which becomes the order of a subgroup, and primes u, t
that share what remains: p - 1 has no other small factors, and u in s's company costs the search nothing.
"""

from __future__ import annotations

import functools
import secrets
from dataclasses import dataclass

import gmpy2
import numpy as np
from numpy.typing import NDArray

from cipherlane.paillier.private_key import PrivateKey
from cipherlane.paillier.public_key import LEAST_BITS, MOST_BITS, PublicKey, check_integer
from cipherlane.paillier.short_parameters import least_exponent_bits, least_order_bits

_SCHEMES = ("djn", "classic", "short")
_BITS_STEP = 256
_FINAL_ROUNDS = 40
_SIEVE_LIMIT = 1 << 16
_WINDOW = 1 << 18


@dataclass(frozen=True, repr=False)
class _StructuredPrime:
    """p = 2 s t + 1, or p = 2 s u t + 1."""

    p: int
    s: int
    t: int
    u: int = 1


@functools.cache
def _sieving_primes() -> NDArray[np.int64]:
    """Return the odd primes below the limit."""
    composite = np.zeros(_SIEVE_LIMIT, dtype=np.bool_)
    composite[:2] = True
    composite[4::2] = True
    for i in range(3, int(_SIEVE_LIMIT**0.5) + 1, 2):
        if not composite[i]:
            composite[i * i :: 2 * i] = True
    return np.flatnonzero(~composite)[1:].astype(np.int64)


def _is_prime(candidate: int) -> bool:
    return bool(gmpy2.is_prime(candidate, _FINAL_ROUNDS))


def _random_prime(bits: int) -> int:
    """Return a uniform prime with its top bit set."""
    while True:
        candidate = secrets.randbits(bits) | 1 << (bits - 1) | 1
        if _is_prime(candidate):
            return candidate


def _survivors(s: int, start: int) -> list[int]:
    """Return the i for which neither t = start + 2 i nor 2 s t + 1 has a small factor.

    t ≡ 0 (mod l) at i ≡ -start/2, and 2 s t ≡ -1 (mod l) at i ≡ (-1/(2 s) - start)/2. s need not be prime.
    """
    alive = np.ones(_WINDOW, dtype=np.bool_)
    big_s, big_start = gmpy2.mpz(s), gmpy2.mpz(start)
    for prime in _sieving_primes().tolist():
        half = (prime + 1) // 2
        start_residue = int(big_start % prime)
        alive[-start_residue * half % prime :: prime] = False
        s_residue = int(big_s % prime)
        if s_residue:
            wanted = -pow(2 * s_residue, -1, prime)
            alive[(wanted - start_residue) * half % prime :: prime] = False
    return [int(i) for i in np.flatnonzero(alive)]


def _structured_prime(bits: int, order_bits: int | None = None) -> _StructuredPrime:
    """Return p of exactly ``bits`` bits with its top two bits set: p = 2 s u t + 1 if s has a given length."""
    while True:
        s = _random_prime(bits // 2 if order_bits is None else order_bits)
        u = 1 if order_bits is None else _random_prime((bits - order_bits) // 2)
        # 3·2^(bits-2) < 2 s u t + 1 < 2^bits
        known = s * u
        least, beyond = (3 << (bits - 2)) // (2 * known) + 1, ((1 << bits) - 1) // (2 * known)
        start = (least + secrets.randbelow(beyond - least - 2 * _WINDOW)) | 1
        for i in _survivors(known, start):
            t = start + 2 * i
            p = 2 * known * t + 1
            distinct = len({s, t, u}) == 3
            if gmpy2.is_strong_prp(t, 2) and gmpy2.is_strong_prp(p, 2) and distinct and _is_prime(t) and _is_prime(p):
                return _StructuredPrime(p, s, t, u)


def _generator(prime: _StructuredPrime) -> int:
    """Return a g with g^((p-1)/f) ≠ 1 for every prime factor f of p - 1, hence of order p - 1."""
    while True:
        g = 2 + secrets.randbelow(prime.p - 3)
        if all(gmpy2.powmod(g, (prime.p - 1) // factor, prime.p) != 1 for factor in (2, prime.s, prime.t)):
            return g


def _prime_pair(bits: int, order_bits: int | None = None) -> tuple[_StructuredPrime, _StructuredPrime]:
    while True:
        p, q = _structured_prime(bits // 2, order_bits), _structured_prime(bits // 2, order_bits)
        # Close primes would let Fermat's method factor n; |p - q| this small has probability 2^-98.
        far_apart = abs(p.p - q.p) >> (bits // 2 - 100) != 0
        if far_apart and gmpy2.gcd(p.p - 1, q.p - 1) == 2 and gmpy2.gcd(p.p * q.p, (p.p - 1) * (q.p - 1)) == 1:
            return p, q


def _obfuscator_base(n: int) -> int:
    """Return h_s = h^n mod n² for h = -y² mod n and a uniform y in Z_n*."""
    while True:
        y = 1 + secrets.randbelow(n - 1)
        if gmpy2.gcd(y, n) == 1:
            return int(gmpy2.powmod(-y * y % n, n, n * n))


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
        and 304 up to 4096, and α of 448, 512 and 608 bits. It decrypts 4 to 6 times and encrypts 2 to 3 times as
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
        private_key = PrivateKey(
            p.p,
            q.p,
            h_s=_short_obfuscator_base(p, q),
            exponent_bits=least_exponent_bits(bits),
            orders=(p.s, q.s),
        )
        return private_key.public_key, private_key
    p, q = _prime_pair(bits)
    h_s = _obfuscator_base(p.p * q.p) if scheme == "djn" else None
    private_key = PrivateKey(p.p, q.p, h_s=h_s, generators=(_generator(p), _generator(q)))
    return private_key.public_key, private_key
