"""What of gmpy2 encryption uses, in plain Python: for verifying and timing on a machine that has no gmpy2.

Slow and not constant-time: keys made with it are for nothing else.
"""

from __future__ import annotations

import math
import random
from typing import Any

_ROUNDS = 40

gcd = math.gcd
mpz = int


def mp_version() -> str:
    return "plain Python integers"


def powmod(base: int, exponent: int, modulus: int) -> int:
    return pow(base, exponent, modulus)


def powmod_sec(base: int, exponent: int, modulus: int) -> int:
    return pow(base, exponent, modulus)


def bit_scan1(number: int) -> int:
    """Return the place of the lowest bit that is set; number is not 0."""
    return (number & -number).bit_length() - 1


def is_prime(number: int) -> bool:
    """Miller and Rabin's test to random bases."""
    if number < 4:
        return number > 1
    if number % 2 == 0:
        return False
    twos = bit_scan1(number - 1)
    return all(_passes(number, twos, random.randrange(2, number - 1)) for _ in range(_ROUNDS))


def _passes(number: int, twos: int, base: int) -> bool:
    power = pow(base, number >> twos, number)
    if power in (1, number - 1):
        return True
    for _ in range(twos - 1):
        power = power * power % number
        if power == number - 1:
            return True
    return False


def primorial(limit: int) -> int:
    """Return the product of all primes up to a limit."""
    sieve = bytearray([1]) * (limit + 1)
    sieve[:2] = b"\0\0"
    for i in range(2, math.isqrt(limit) + 1):
        if sieve[i]:
            sieve[i * i :: i] = bytes(len(range(i * i, limit + 1, i)))
    factors: list[int] = [i for i, prime in enumerate(sieve) if prime]
    while len(factors) > 1:
        factors = [math.prod(factors[i : i + 2]) for i in range(0, len(factors), 2)]
    return math.prod(factors)


def is_power(number: int) -> bool:
    """Return whether a number is a perfect power of one above 1."""
    return any(_root(number, k) ** k == number for k in range(2, number.bit_length()))


def _root(number: int, k: int) -> int:
    """Return the largest r with r^k <= number, by Newton's iteration from above."""
    root = 1 << -(-number.bit_length() // k)
    while True:
        lower = ((k - 1) * root + number // root ** (k - 1)) // k
        if lower >= root:
            return root
        root = lower


def __getattr__(name: str) -> Any:
    raise AttributeError(f"gmpy2.{name} has no stand-in; install gmpy2")
