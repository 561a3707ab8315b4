"""Integers, primes and base64 by python-paillier's names; time depends on the arguments unless a function says not."""

from __future__ import annotations

import base64
import math
import re
import secrets
from collections.abc import Iterator

import gmpy2

from cipherlane.integrations.phe.arithmetic import multiplied
from cipherlane.paillier.prime_search import is_probable_prime, random_prime

# What python-paillier's code asks for; here GMP is always there, and nothing else is used.
HAVE_GMP = True
HAVE_CRYPTO = False

_LAST_SMALL_PRIME = 17863
_LEAST_SEARCHED_BITS = 64
_BASE64URL = re.compile(r"[A-Za-z0-9_-]*={0,2}")


class NoInverseError(ZeroDivisionError, ValueError):
    """A number has no inverse; python-paillier raises one or the other."""


class ArgumentError(AssertionError, ValueError):
    """An argument is out of range where python-paillier has an assertion."""


def _primes_to(limit: int) -> Iterator[int]:
    prime = gmpy2.mpz(2)
    while prime <= limit:
        yield int(prime)
        prime = gmpy2.next_prime(prime)


first_primes = list(_primes_to(_LAST_SMALL_PRIME))


def powmod(a: int, b: int, c: int) -> int:
    """Return a^b mod c.

    Raises
    ------
    ValueError
        If ``c`` is 0, or ``b`` is negative and ``a`` has no inverse.

    Examples
    --------
    >>> from cipherlane.integrations.phe import util
    >>> util.powmod(2, 10, 1000)
    24
    """
    if c == 0:
        raise ValueError("c: expected a modulus other than 0")
    try:
        return int(gmpy2.powmod(a, b, c))
    except (ValueError, ZeroDivisionError) as error:  # which of them depends on gmpy2's version
        raise NoInverseError("a: expected a number with an inverse mod c, as b is negative, got none") from error


def mulmod(a: int, b: int, c: int) -> int:
    """Return a b mod c.

    Raises
    ------
    ZeroDivisionError
        If ``c`` is 0.
    """
    if c == 0:
        raise ZeroDivisionError("c: expected a modulus other than 0")
    return multiplied(a, b, c)


def extended_euclidean_algorithm(a: int, b: int) -> tuple[int, int, int]:
    """Return r, s, t with r = s a + t b and r = ±gcd(a, b).

    Examples
    --------
    >>> from cipherlane.integrations.phe import util
    >>> util.extended_euclidean_algorithm(240, 46)
    (2, -9, 47)
    """
    rows = (a, 1, 0), (b, 0, 1)
    while rows[1][0]:
        quotient = rows[0][0] // rows[1][0]
        (r, s, t), (r_next, s_next, t_next) = rows
        rows = rows[1], (r - quotient * r_next, s - quotient * s_next, t - quotient * t_next)
    return rows[0]


def invert(a: int, b: int) -> int:
    """Return a^-1 mod b.

    Raises
    ------
    ZeroDivisionError
        If there is none.

    Examples
    --------
    >>> from cipherlane.integrations.phe import util
    >>> util.invert(3, 4)
    3
    """
    try:
        return int(gmpy2.invert(a, b))
    except ZeroDivisionError as error:
        raise NoInverseError("a: expected a number with an inverse mod b, got none") from error


def getprimeover(N: int) -> int:
    """Return a random prime of N bits; of 64 bits and more, one ≡ 3 (mod 4), found in constant time.

    Raises
    ------
    ValueError
        If N is below 1.
    """
    if N < 1:
        raise ValueError(f"N: expected at least 1 bit, got {N}")
    if N >= _LEAST_SEARCHED_BITS:
        return random_prime(N)
    if N == 1:
        return 2  # there is none of one bit, and this is the next
    while True:
        candidate = 1 << (N - 1) | secrets.randbits(N - 1)
        if is_probable_prime(candidate):
            return candidate


def isqrt(N: int) -> int:
    """Return ⌊√N⌋.

    Raises
    ------
    ValueError
        If N is negative.
    """
    if N < 0:
        raise ValueError(f"N: expected at least 0, got {N}")
    return math.isqrt(N)


def improved_i_sqrt(n: int) -> int:
    """Return ⌊√n⌋.

    Raises
    ------
    AssertionError
        If n is negative.
    """
    if n < 0:
        raise ArgumentError(f"n: expected at least 0, got {n}")
    return math.isqrt(n)


def base64url_encode(payload: bytes | str) -> str:
    """Return bytes in the URL-safe alphabet without padding (RFC 4648, section 5).

    Examples
    --------
    >>> from cipherlane.integrations.phe import util
    >>> util.base64url_decode(util.base64url_encode("a")) == b"a"
    True
    """
    data = payload if isinstance(payload, bytes) else payload.encode()
    return base64.urlsafe_b64encode(data).decode("ascii").rstrip("=")


def base64url_decode(payload: str) -> bytes:
    """Return the bytes of text in the URL-safe alphabet, with or without padding.

    Raises
    ------
    TypeError
        If the text is not a str.
    ValueError
        If it has other characters, which python-paillier skips, or a length that no bytes have.
    """
    if not isinstance(payload, str):
        raise TypeError(f"payload: expected base64url text (str), got {type(payload).__name__}")
    if not _BASE64URL.fullmatch(payload):
        raise ValueError("payload: expected letters, digits, - and _ (base64url), got other characters")
    text = payload.rstrip("=")
    if len(text) % 4 == 1:
        raise ValueError(f"payload: expected base64url text, got {len(text)} characters, which no bytes have")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def base64_to_int(source: str) -> int:
    """Return the integer whose big-endian bytes are given in base64url.

    Raises
    ------
    TypeError, ValueError
        As `base64url_decode`, and `ValueError` for empty text.
    """
    data = base64url_decode(source)
    if not data:
        raise ValueError("source: expected a number in base64url, got empty text")
    return int.from_bytes(data, "big")


def int_to_base64(source: int) -> str:
    """Return a positive integer's big-endian bytes in base64url.

    Raises
    ------
    AssertionError
        If it is 0.
    ValueError
        If it is not positive.

    Examples
    --------
    >>> from cipherlane.integrations.phe import util
    >>> util.int_to_base64(65537), util.base64_to_int("AQAB")
    ('AQAB', 65537)
    """
    if source <= 0:
        raise ArgumentError(f"source: expected a positive integer, got {'0' if source == 0 else 'a negative one'}")
    return base64url_encode(source.to_bytes((source.bit_length() + 7) // 8, "big"))


def miller_rabin(n: int, k: int) -> bool:
    """Return whether n > 3 passes k rounds of Miller's and Rabin's test to random bases; a prime always does.

    Raises
    ------
    AssertionError
        If n is 3 or less.
    """
    if n <= 3:
        raise ArgumentError(f"n: expected more than 3, got {n}")
    if n % 2 == 0:
        return False
    for _ in range(k):
        base = 2 + secrets.randbelow(n - 3)
        if gmpy2.gcd(base, n) != 1 or not gmpy2.is_strong_prp(n, base):
            return False
    return True


def is_prime(n: int, mr_rounds: int = 25) -> bool:
    """Return whether n is a prime, wrongly for a composite with probability 4^-mr_rounds at most.

    Examples
    --------
    >>> from cipherlane.integrations.phe import util
    >>> [n for n in range(20) if util.is_prime(n)]
    [2, 3, 5, 7, 11, 13, 17, 19]
    """
    return n in (2, 3) or (n > 3 and miller_rabin(n, mr_rounds))
