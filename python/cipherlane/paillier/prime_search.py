"""The search for secret primes: independent draws, each tested in constant time.

A candidate that is rejected is thrown away and has nothing in common with the one that is accepted, so it does not
matter what of it shows. The accepted one passes through every test on the path that passing takes: residues by matrix
products of public shape, powers by GMP's `mpz_powm_sec`. Hence there is no sieve, which would step from candidate to
candidate and whose pattern of survivors would tell the residues of the prime. What shows is how many draws it took.
"""

from __future__ import annotations

import functools
import secrets
from typing import Any

import gmpy2
import numpy as np
from numpy.typing import NDArray

from cipherlane.threadpools import single_threaded

ROUNDS = 40
_SHORTEST_SECRET = 64
_DRAWS_FOR_ONE, _DRAWS_FOR_TWO = 1 << 9, 1 << 14  # at a time, for one prime and for two at once
_LIMB_BITS = 16
_STAGE_LIMITS = (1 << 6, 1 << 9, 1 << 14)

Residues = NDArray[np.float64]


def is_probable_prime(candidate: int, rounds: int = ROUNDS) -> bool:
    """Return whether a number passes Miller's and Rabin's test to random bases, in constant time if it does.

    Each round passes a composite with probability 1/4 at most (M. O. Rabin, "Probabilistic algorithm for testing
    primality", Journal of Number Theory 12, 1980). What shows is k in candidate = 2^k d + 1 for an odd d; k = 1 for
    the primes that this package makes.
    """
    if candidate.bit_length() < _SHORTEST_SECRET:
        return bool(gmpy2.is_prime(candidate))
    if candidate % 2 == 0:
        return False
    n = gmpy2.mpz(candidate)
    twos = gmpy2.bit_scan1(n - 1)
    return all(_passes(n, twos, 2 + secrets.randbelow(candidate - 3)) for _ in range(rounds))


def _passes(n: Any, twos: int, base: int) -> bool:
    power = gmpy2.powmod_sec(base, n >> twos, n)
    passed = (power == 1) | (power == n - 1)
    for _ in range(twos - 1):
        power = gmpy2.powmod_sec(power, 2, n)
        passed |= power == n - 1
    return bool(passed)


def random_prime(bits: int) -> int:
    """Return a uniform prime ≡ 3 (mod 4) with its top bit set."""
    return _search(1 << (bits - 1) | 3, bits - 1, None)


def random_cofactor(known: int, known_bits: int, bits: int) -> int:
    """Return a prime t ≡ 3 (mod 4) for which p = 2 known t + 1 is a prime of ``bits`` bits, its top two bits set.

    ``known`` < 2^known_bits is a product of odd numbers. t is uniform among such primes in an interval of
    2^(bits - known_bits - 3) numbers.
    """
    # 3 2^(bits-2) < p < 2^bits for t from `least` on, over at least 2^(bits-2) / 2^(known_bits+1) numbers
    least = int((gmpy2.mpz(3) << (bits - 2)) // (2 * gmpy2.mpz(known))) + 1
    return _search(least + (3 - least) % 4, bits - known_bits - 3, known)


def _search(least: int, free_bits: int, known: int | None) -> int:
    """Return a prime t = least + r, r a uniform multiple of 4 below 2^free_bits, perhaps with 2 known t + 1 prime."""
    while True:
        with single_threaded("blas"):
            candidates = _without_small_factors(least, free_bits, known)
        for t in candidates:
            p = 0 if known is None else 2 * known * t + 1
            if not is_probable_prime(t, 1) or (p and not is_probable_prime(p, 1)):
                continue
            if is_probable_prime(t) and (not p or is_probable_prime(p)):
                return t


def _without_small_factors(least: int, free_bits: int, known: int | None) -> list[int]:
    """Return those of a number of draws t for which neither t nor 2 known t + 1 has a small factor."""
    draws = _DRAWS_FOR_ONE if known is None else _DRAWS_FOR_TWO
    width = -(-free_bits // _LIMB_BITS)
    limbs = np.frombuffer(secrets.token_bytes(2 * draws * width), dtype="<u2").reshape(draws, width).copy()
    limbs[:, 0] &= 0xFFFC
    limbs[:, -1] &= (1 << (free_bits - _LIMB_BITS * (width - 1))) - 1
    for stage, primes in enumerate(_small_primes()):
        residues = _modulo(_residues(limbs, stage) + _residues(_limbs_of(least), stage), primes)
        alive = np.all(residues != 0, axis=1)
        if known is not None:
            factors = _residues(_limbs_of(2 * known), stage)
            alive &= np.all(_modulo(residues * factors + 1, primes) != 0, axis=1)
        limbs = limbs[alive]
    return [least + int.from_bytes(row.tobytes(), "little") for row in limbs]


@functools.cache
def _small_primes() -> tuple[Residues, ...]:
    """Return the odd primes below the limits of the stages, each in the first stage that has it."""
    composite = np.zeros(_STAGE_LIMITS[-1], dtype=np.bool_)
    for i in range(3, int(_STAGE_LIMITS[-1] ** 0.5) + 1, 2):
        composite[i * i :: 2 * i] = True
    primes = np.flatnonzero(~composite[1::2])[1:] * 2 + 1
    return tuple(part.astype(np.float64) for part in np.split(primes, np.searchsorted(primes, _STAGE_LIMITS[:-1])))


def _limbs_of(number: int) -> NDArray[np.uint16]:
    width = -(-number.bit_length() // _LIMB_BITS)
    return np.frombuffer(number.to_bytes(2 * width, "little"), dtype="<u2").reshape(1, width)


@functools.cache
def _weights(width: int, stage: int) -> Residues:
    """Return 2^(16 i) mod each prime of a stage, shape (width, number of primes)."""
    primes = _small_primes()[stage]
    rows = [np.ones_like(primes)]
    while len(rows) < width:
        rows.append(_modulo(rows[-1] * (1 << _LIMB_BITS), primes))
    return np.array(rows)


def _residues(limbs: NDArray[np.uint16], stage: int) -> Residues:
    """Return Σ_i limbs[:, i] 2^(16 i) mod each prime of a stage, shape (len(limbs), number of primes)."""
    # A sum of at most 256 products below 2^30: exact in float64, in whatever order it is added.
    sums = limbs.astype(np.float64) @ _weights(limbs.shape[1], stage)
    return _modulo(sums, _small_primes()[stage])


def _modulo(numbers: Residues, primes: Residues) -> Residues:
    """Return numbers mod primes for numbers below 2^40, by float64 products, whose time does not depend on them."""
    # The rounded quotient is off by one at most.
    rest = numbers - np.floor(numbers * (1 / primes)) * primes
    rest += primes * (rest < 0)
    rest -= primes * (rest >= primes)
    return rest
