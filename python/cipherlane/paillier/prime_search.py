"""The search for secret primes: independent draws, each tested in constant time.

A candidate that is rejected is thrown away and has nothing in common with the one that is accepted, so it does not
matter what of it shows. The accepted one passes through every test on the path that passing takes: residues by matrix
products of public shape, powers by GMP's `mpz_powm_sec`. Hence there is no sieve, which would step from candidate to
candidate and whose pattern of survivors would tell the residues of the prime. Instead a draw is put together from its
residues modulo the first few dozen primes, none of them zero. What shows is how many draws it took.
"""

from __future__ import annotations

import functools
import itertools
import secrets
from dataclasses import dataclass
from typing import Any

import gmpy2
import numpy as np
from numpy.typing import NDArray

from cipherlane.threadpools import single_threaded

ROUNDS = 40
_SHORTEST_SECRET = 64
_DRAWS_FOR_ONE, _DRAWS_FOR_TWO = 1 << 6, 1 << 8  # at a time, for one prime and for two at once
_LIMB_BITS = 16
_STAGE_LIMITS = (1 << 10, 1 << 12, 1 << 14)
_LEAST_MULTIPLES_BITS = 40  # of the number of draws that have the same residues

Numbers = NDArray[np.float64]


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
    """Return a prime t ≡ 3 (mod 4) for which p = 2 known t + 1 seems a prime of ``bits`` bits, its top two bits set.

    p passes one round of Miller's and Rabin's test; the factors of p - 1 that the caller has prove more (Lucas).
    ``known`` < 2^known_bits is a product of odd numbers. t is uniform among such primes in an interval of
    2^(bits - known_bits - 3) numbers.
    """
    # 3 2^(bits-2) < p < 2^bits for t from `least` on, over at least 2^(bits-2) / 2^(known_bits+1) numbers
    least = int((gmpy2.mpz(3) << (bits - 2)) // (2 * gmpy2.mpz(known))) + 1
    return _search(least + (3 - least) % 4, bits - known_bits - 3, known)


def _search(least: int, free_bits: int, known: int | None) -> int:
    """Return a prime t = least + x, x a uniform multiple of 4 below 2^free_bits, perhaps with 2 known t + 1 prime."""
    while True:
        with single_threaded("blas"):
            candidates = _without_small_factors(least, free_bits, known)
        for t in candidates:
            if not is_probable_prime(t, 1) or (known is not None and not is_probable_prime(2 * known * t + 1, 1)):
                continue
            if is_probable_prime(t):
                return t


def _without_small_factors(least: int, free_bits: int, known: int | None) -> list[int]:
    """Return those of a number of draws t for which neither t nor 2 known t + 1 has a factor below 2^14."""
    wheel = _wheel(free_bits)
    limbs = _draws(wheel, least, known)
    stages = [len(wheel.primes), *(i for i in _stage_ends() if i > len(wheel.primes))]
    for start, end in itertools.pairwise(stages):
        primes, sums = _small_primes()[start:end], _sums(limbs, start, end)
        alive = ~_divisible(sums, primes)
        if known is not None:
            # The sums are below 2^38, and with the factor below 2^52.
            sums *= _residues(_limbs_of(2 * known), start, end)
            sums += 1
            alive &= ~_divisible(sums, primes)
        limbs = limbs[alive]
    return [int.from_bytes(row.tobytes(), "little") for row in limbs.astype("<u2")]


# ---- draws -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Wheel:
    """Numbers x below 2^free_bits by their residues r_f: x = Σ_f r_f e_f + M k, for M = 4 Π f and any k.

    e_f is 1 modulo f, and 0 modulo 4 and the other primes. The sum is below M Σ f, so k from -Σ f on reaches every x.
    """

    primes: Numbers  # the first odd ones
    places: Numbers  # limbs of each e_f, then of M 2^(16 i) for the limbs of k + Σ f: shape (primes and limbs, width)
    start: Numbers  # limbs of -M Σ f, as a complement of two
    bounds: NDArray[np.uint64]  # of the limbs of k + Σ f
    free_bits: int


@functools.cache
def _wheel(free_bits: int) -> _Wheel:
    count, period = 0, 4
    for prime in map(int, _small_primes()):
        if (period * prime).bit_length() > free_bits - _LEAST_MULTIPLES_BITS:
            break
        count, period = count + 1, period * prime
    primes = [int(prime) for prime in _small_primes()[:count]]
    units = [period // prime * pow(period // prime, -1, prime) for prime in primes]
    multiples = (1 << free_bits) // period + 1 + sum(primes)
    # All limbs but the highest are uniform; that one has at least 8 bits, so that few of the draws lie beyond.
    limbs = max(0, multiples.bit_length() - 9) // _LIMB_BITS
    bounds = [1 << _LIMB_BITS] * limbs + [(multiples >> _LIMB_BITS * limbs) + 1]
    units += [period << _LIMB_BITS * i for i in range(limbs + 1)]
    width = free_bits // _LIMB_BITS + 2
    places = np.concatenate([_limbs_of(unit, width) for unit in units]).astype(np.float64)
    start = _limbs_of(-period * sum(primes) % (1 << _LIMB_BITS * width), width).astype(np.float64)
    return _Wheel(_small_primes()[:count], places, start, np.array(bounds, dtype=np.uint64), free_bits)


def _draws(wheel: _Wheel, least: int, known: int | None) -> NDArray[np.int64]:
    """Return limbs of t = least + x for uniform multiples x of 4 below 2^free_bits, all that pass the wheel's primes.

    A prime passes if it divides neither t nor, where it is given, 2 known t + 1.
    """
    primes, count = wheel.primes, len(wheel.primes)
    draws = _DRAWS_FOR_ONE if known is None else _DRAWS_FOR_TWO
    refused = np.zeros_like(primes) if known is None else _negated_inverses(_residues(_limbs_of(2 * known), 0, count))
    is_refused = refused > 0
    bounds = np.concatenate([(primes - 1 - is_refused).astype(np.uint64), wheel.bounds])
    digits = _uniform_below(bounds, draws)
    residues = 1 + digits[:, :count]
    residues += is_refused & (residues >= refused)
    offsets = residues - _residues(_limbs_of(least), 0, count)
    digits[:, :count] = offsets + primes * (offsets < 0)
    limbs = _carried(digits @ wheel.places + wheel.start)
    place, shift = divmod(wheel.free_bits, _LIMB_BITS)
    limbs = limbs[(limbs[:, place] >> shift == 0) & np.all(limbs[:, place + 1 :] == 0, axis=1)]
    summand = _limbs_of(least)
    width = max(limbs.shape[1], summand.shape[1]) + 1
    sums = np.zeros((len(limbs), width))
    sums[:, : limbs.shape[1]] = limbs
    sums[:, : summand.shape[1]] += summand
    return _carried(sums)


def _uniform_below(bounds: NDArray[np.uint64], draws: int) -> Numbers:
    """Return draws of a number below each bound, at most 2^25: ⌊bound u / 2^64⌋, uniform but for 2^-39."""
    shape = draws, len(bounds)
    words = np.frombuffer(secrets.token_bytes(8 * draws * len(bounds)), dtype="<u8").reshape(shape)
    half = np.uint64(32)
    low = (words & np.uint64(0xFFFFFFFF)) * bounds >> half
    return np.asarray((words >> half) * bounds + low >> half, dtype=np.float64)


def _negated_inverses(residues: Numbers) -> Numbers:
    """Return -1 / r modulo each of the first primes, 0 where r is 0, from the table of all products."""
    primes = _small_primes()[: residues.size, np.newaxis]
    numbers = np.arange(primes.max(initial=1))
    matches = (_modulo(residues.reshape(-1, 1) * numbers + 1, primes) == 0) & (numbers < primes)
    return np.asarray((matches * numbers).sum(axis=1))


def _carried(sums: Numbers) -> NDArray[np.int64]:
    """Return the limbs, modulo the number of all limbs, of Σ_i sums[:, i] 2^(16 i) for sums below 2^52."""
    limbs = sums.astype(np.int64)
    for i in range(1, limbs.shape[1]):
        limbs[:, i] += limbs[:, i - 1] >> _LIMB_BITS
    limbs &= (1 << _LIMB_BITS) - 1
    return limbs


# ---- residues ----------------------------------------------------------------------------------------------


@functools.cache
def _small_primes() -> Numbers:
    """Return the odd primes below 2^14."""
    composite = np.zeros(_STAGE_LIMITS[-1], dtype=np.bool_)
    for i in range(3, int(_STAGE_LIMITS[-1] ** 0.5) + 1, 2):
        composite[i * i :: 2 * i] = True
    return (np.flatnonzero(~composite[1::2])[1:] * 2 + 1).astype(np.float64)


@functools.cache
def _stage_ends() -> list[int]:
    return [int(end) for end in np.searchsorted(_small_primes(), _STAGE_LIMITS)]


def _limbs_of(number: int, width: int | None = None) -> NDArray[np.uint16]:
    width = -(-number.bit_length() // _LIMB_BITS) if width is None else width
    return np.frombuffer(number.to_bytes(2 * width, "little"), dtype="<u2").reshape(1, width)


@functools.cache
def _weights(width: int, start: int, end: int) -> Numbers:
    """Return 2^(16 i) mod some of the small primes, shape (width, number of primes)."""
    primes = _small_primes()[start:end]
    rows = [np.ones_like(primes)]
    while len(rows) < width:
        rows.append(_modulo(rows[-1] * (1 << _LIMB_BITS), primes))
    return np.array(rows)


def _sums(limbs: NDArray[np.integer[Any]], start: int, end: int) -> Numbers:
    """Return numbers congruent to Σ_i limbs[:, i] 2^(16 i), one for each of some small primes."""
    # A sum of at most 256 products below 2^30: exact in float64, in whatever order it is added.
    return limbs.astype(np.float64) @ _weights(limbs.shape[1], start, end)


def _residues(limbs: NDArray[np.integer[Any]], start: int, end: int) -> Numbers:
    return _modulo(_sums(limbs, start, end), _small_primes()[start:end])


def _modulo(numbers: Numbers, primes: Numbers) -> Numbers:
    """Return numbers mod primes for numbers below 2^40, by float64 products, whose time does not depend on them."""
    # The rounded quotient is off by one at most.
    rest = numbers - np.floor(numbers * (1 / primes)) * primes
    rest += primes * (rest < 0)
    rest -= primes * (rest >= primes)
    return rest


def _divisible(numbers: Numbers, primes: Numbers) -> NDArray[np.bool_]:
    """Return for which rows one of the primes divides its number, a whole one below 2^52."""
    # Where it does, the rounded quotient is the quotient: it is off by less than 2^52 / 3 / 2^52.
    quotients = numbers * (1 / primes)
    np.rint(quotients, out=quotients)
    quotients *= primes
    return np.asarray((quotients == numbers).any(axis=1))
