"""Arithmetic modulo n² below the drop-in: by the compiled core, or by GMP for lengths that the core refuses."""

from __future__ import annotations

import os
import secrets
import weakref
from abc import ABC, abstractmethod
from collections.abc import Sequence

import gmpy2
import numpy as np

from cipherlane import _native
from cipherlane.paillier import PrivateKey, PublicKey, hazmat, use_backend
from cipherlane.paillier.devices import HOST, backend_on
from cipherlane.paillier.limbs import Limbs, from_limbs, limb_count, to_limbs
from cipherlane.paillier.prime_search import is_probable_prime
from cipherlane.paillier.public_key import LEAST_BITS, MOST_BITS, warn_of_weak_key

# From here on a batch of its own is no slower a ciphertext than obfuscators made ahead.
_LEAST_BATCH = 8
_MOST_AHEAD = 16


def multiplied(a: int, b: int, modulus: int) -> int:
    """Return a b mod modulus."""
    return int(gmpy2.mpz(a) * b % modulus)


def power(base: int, exponent: int, modulus: int) -> int:
    """Return base^exponent mod modulus, in time that depends on them; negative exponents need an invertible base.

    Raises
    ------
    ValueError
        If it has no inverse.
    """
    if exponent < 0 and gmpy2.gcd(base, modulus) != 1:
        raise ValueError("ciphertext: shares a factor with the modulus n, so it is no ciphertext")
    return int(gmpy2.powmod(base, exponent, modulus))


class Arithmetic(ABC):
    """What can be computed on plaintexts in [0, n) and ciphertexts in [1, n²) with the public key alone."""

    @property
    @abstractmethod
    def key(self) -> PublicKey | None:
        """The key of the compiled core, None if it refuses this length."""

    @abstractmethod
    def encrypt(self, plaintexts: Sequence[int]) -> list[int]:
        """Return encryptions, each with fresh randomness."""

    @abstractmethod
    def encrypt_with(self, plaintext: int, obfuscator: int) -> int:
        """Return (1 + m n) r^n mod n² for a given r in [1, n)."""

    @abstractmethod
    def rerandomise(self, ciphertexts: Sequence[int]) -> list[int]:
        """Return the ciphertexts times fresh encryptions of zero."""

    @abstractmethod
    def powers(self, ciphertexts: Sequence[int], exponents: Sequence[int]) -> list[int]:
        """Return c^k for exponents of any sign."""

    @abstractmethod
    def products(self, a: Sequence[int], b: Sequence[int]) -> list[int]:
        """Return a b, one by one."""

    @abstractmethod
    def combination(self, ciphertexts: Sequence[int], exponents: Sequence[int]) -> int:
        """Return the product of all c^k."""

    @abstractmethod
    def product(self, ciphertexts: Sequence[int]) -> int:
        """Return the product of all."""


class Obfuscators:
    """Encryptions of zero for single ciphertexts, made a few at a time: a vector unit makes eight as fast as one.

    Each is handed out once. A process that forks leaves them to its parent.
    """

    def __init__(self) -> None:
        self._rows: list[Limbs] = []
        self._next = 1
        _all_obfuscators.add(self)

    def take(self, context: _native.PublicContext) -> Limbs:
        """Return one, shape (1, limbs)."""
        try:
            return self._rows.pop()
        except IndexError:
            count = self._next
        # Who encrypts one number only pays for one.
        self._next = min(2 * count, _MOST_AHEAD)
        zeros = np.zeros((count, context.plaintext_limbs), dtype=np.uint64)
        rows = context.download(context.encrypt(zeros))
        self._rows.extend(row[np.newaxis].copy() for row in rows[1:])
        return rows[:1]

    def drop(self) -> None:
        """Forget those that were made ahead."""
        self._rows.clear()


_all_obfuscators: weakref.WeakSet[Obfuscators] = weakref.WeakSet()


def _drop_all() -> None:
    for obfuscators in _all_obfuscators:
        obfuscators.drop()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_drop_all)


class CoreArithmetic(Arithmetic):
    """By the compiled core; what touches plaintexts or obfuscators is constant-time."""

    def __init__(self, key: PublicKey) -> None:
        self._key = key
        self._obfuscators = Obfuscators()

    @property
    def key(self) -> PublicKey:
        """The key of the compiled core."""
        return self._key

    def encrypt(self, plaintexts: Sequence[int]) -> list[int]:
        """Return encryptions, each with fresh randomness."""
        context = self._context(len(plaintexts))
        limbs = to_limbs(plaintexts, context.plaintext_limbs)
        if len(plaintexts) >= _LEAST_BATCH:
            return from_limbs(context.download(context.encrypt(limbs)))
        noise = self._noise(context, len(plaintexts))
        return from_limbs(context.download(context.add_plaintexts(context.upload(noise), limbs)))

    def encrypt_with(self, plaintext: int, obfuscator: int) -> int:
        """Return (1 + m n) r^n mod n² for a given r in [1, n)."""
        with use_backend(backend_on(HOST)):
            if obfuscator == 1:
                return hazmat.encrypt_without_obfuscator(self._key, plaintext)
            return hazmat.encrypt(self._key, plaintext, obfuscator)

    def rerandomise(self, ciphertexts: Sequence[int]) -> list[int]:
        """Return the ciphertexts times fresh encryptions of zero."""
        context = self._context(len(ciphertexts))
        batch = self._upload(context, ciphertexts)
        if len(ciphertexts) >= _LEAST_BATCH:
            return from_limbs(context.download(context.rerandomise(batch)))
        noise = context.upload(self._noise(context, len(ciphertexts)))
        return from_limbs(context.download(context.add(batch, noise)))

    def powers(self, ciphertexts: Sequence[int], exponents: Sequence[int]) -> list[int]:
        """Return c^k for exponents of any sign."""
        context = self._context(len(ciphertexts))
        magnitudes, negative = _signed(exponents)
        product = context.multiply(self._upload(context, ciphertexts), magnitudes, negative)
        return from_limbs(context.download(product))

    def products(self, a: Sequence[int], b: Sequence[int]) -> list[int]:
        """Return a b, one by one."""
        context = self._context(len(a))
        return from_limbs(context.download(context.add(self._upload(context, a), self._upload(context, b))))

    def combination(self, ciphertexts: Sequence[int], exponents: Sequence[int]) -> int:
        """Return the product of all c^k."""
        context = self._context(len(ciphertexts))
        magnitudes, negative = _signed(exponents)
        batch = self._upload(context, ciphertexts)
        total = context.linear_combinations(batch, 1, magnitudes[np.newaxis], negative[np.newaxis])
        return from_limbs(context.download(total))[0]

    def product(self, ciphertexts: Sequence[int]) -> int:
        """Return the product of all."""
        context = self._context(len(ciphertexts))
        count = len(ciphertexts)
        batch = self._upload(context, ciphertexts)
        total = context.segment_sum(batch, np.arange(count, dtype=np.int64), np.array([0, count], dtype=np.int64))
        return from_limbs(context.download(total))[0]

    def _context(self, count: int) -> _native.PublicContext:
        # A GPU answers late: it is for batches.
        return self._key.context(backend_on(HOST) if count < _LEAST_BATCH else None)

    def _upload(self, context: _native.PublicContext, ciphertexts: Sequence[int]) -> _native.Batch:
        return context.upload(to_limbs(ciphertexts, context.ciphertext_limbs))

    def _noise(self, context: _native.PublicContext, count: int) -> Limbs:
        return np.concatenate([self._obfuscators.take(context) for _ in range(count)])


def _signed(exponents: Sequence[int]) -> tuple[Limbs, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    magnitudes = [abs(k) for k in exponents]
    width = limb_count(max(magnitudes, default=0).bit_length())
    return to_limbs(magnitudes, width), np.array([k < 0 for k in exponents], dtype=np.bool_)


class GmpArithmetic(Arithmetic):
    """By GMP, one number at a time, for moduli of fewer than 1024 bits, which protect nothing, or more than 4096."""

    def __init__(self, n: int) -> None:
        self._n, self._square = gmpy2.mpz(n), gmpy2.mpz(n) ** 2

    @property
    def key(self) -> None:
        """None: the compiled core refuses this length."""
        return None

    def encrypt(self, plaintexts: Sequence[int]) -> list[int]:
        """Return encryptions, each with fresh randomness."""
        return [multiplied(self._plain(m), self._zero(), self._square) for m in plaintexts]

    def encrypt_with(self, plaintext: int, obfuscator: int) -> int:
        """Return (1 + m n) r^n mod n² for a given r in [1, n)."""
        if gmpy2.gcd(obfuscator, self._n) != 1:
            raise ValueError("r_value: expected an integer coprime to n, got one that shares a factor with it")
        noise = int(gmpy2.powmod_sec(obfuscator, self._n, self._square))
        return multiplied(self._plain(plaintext), noise, self._square)

    def rerandomise(self, ciphertexts: Sequence[int]) -> list[int]:
        """Return the ciphertexts times fresh encryptions of zero."""
        return [multiplied(c, self._zero(), self._square) for c in ciphertexts]

    def powers(self, ciphertexts: Sequence[int], exponents: Sequence[int]) -> list[int]:
        """Return c^k for exponents of any sign."""
        return [power(c, k, self._square) for c, k in zip(ciphertexts, exponents, strict=True)]

    def products(self, a: Sequence[int], b: Sequence[int]) -> list[int]:
        """Return a b, one by one."""
        return [multiplied(x, y, self._square) for x, y in zip(a, b, strict=True)]

    def combination(self, ciphertexts: Sequence[int], exponents: Sequence[int]) -> int:
        """Return the product of all c^k."""
        return self.product(self.powers(ciphertexts, exponents))

    def product(self, ciphertexts: Sequence[int]) -> int:
        """Return the product of all."""
        total = 1
        for c in ciphertexts:
            total = multiplied(total, c, self._square)
        return total

    def _plain(self, plaintext: int) -> int:
        return int(1 + plaintext * self._n)

    def _zero(self) -> int:
        while True:
            r = 1 + secrets.randbelow(int(self._n) - 1)
            if gmpy2.gcd(r, self._n) == 1:
                return int(gmpy2.powmod_sec(r, self._n, self._square))


def arithmetic_of(n: int, h_s: int | None) -> Arithmetic:
    """Return the arithmetic for a modulus.

    Raises
    ------
    TypeError, ValueError
        If the numbers are no key.
    """
    if LEAST_BITS <= n.bit_length() <= MOST_BITS:
        return CoreArithmetic(PublicKey(n, h_s))
    if h_s is not None:
        raise ValueError(
            f"h_s: expected none for a modulus of {n.bit_length()} bits, got one; only moduli of {LEAST_BITS} to "
            f"{MOST_BITS} bits take it"
        )
    if n < 15 or n % 2 == 0:
        raise ValueError("n: expected the product of two odd primes, got another number")
    if n.bit_length() < LEAST_BITS:
        warn_of_weak_key(n.bit_length())
    return GmpArithmetic(n)


class Decryption(ABC):
    """What the two primes allow."""

    @property
    @abstractmethod
    def key(self) -> PrivateKey | None:
        """The key of the compiled core, None if it refuses this length."""

    @abstractmethod
    def decrypt(self, ciphertexts: Sequence[int]) -> list[int]:
        """Return the plaintexts, in [0, n), of ciphertexts in [1, n²); a ValueError for one not coprime to n."""


class CoreDecryption(Decryption):
    """By the compiled core, in constant time."""

    def __init__(self, key: PrivateKey) -> None:
        self._key = key

    @property
    def key(self) -> PrivateKey:
        """The key of the compiled core."""
        return self._key

    def decrypt(self, ciphertexts: Sequence[int]) -> list[int]:
        """Return the plaintexts of ciphertexts."""
        if len(ciphertexts) >= _LEAST_BATCH:
            return hazmat.decrypt(self._key, ciphertexts)
        with use_backend(backend_on(HOST)):
            return hazmat.decrypt(self._key, ciphertexts)


class GmpDecryption(Decryption):
    """By GMP's constant-time powers, for lengths that the compiled core refuses."""

    def __init__(self, p: int, q: int) -> None:
        for name, prime in (("p", p), ("q", q)):
            if prime < 3 or not is_probable_prime(prime):
                raise ValueError(f"{name}: expected an odd prime, got a number that is not")
        if gmpy2.gcd(p * q, (p - 1) * (q - 1)) != 1:
            raise ValueError("p, q: expected gcd(p q, (p - 1)(q - 1)) = 1, which decryption needs; make another pair")
        self._p, self._q = p, q
        self._p_inverse = inverse_of(p, q)
        self._scales = (inverse_of(-q, p), inverse_of(-p, q))

    @property
    def key(self) -> None:
        """None: the compiled core refuses this length."""
        return None

    def decrypt(self, ciphertexts: Sequence[int]) -> list[int]:
        """Return the plaintexts of ciphertexts."""
        return [self._one(index, c) for index, c in enumerate(ciphertexts)]

    def _one(self, index: int, ciphertext: int) -> int:
        p, q = self._p, self._q
        if gmpy2.gcd(ciphertext, p * q) != 1:
            raise ValueError(f"ciphertexts[{index}]: shares a factor with the modulus n, so it is no ciphertext")
        residues = [
            (int(gmpy2.powmod_sec(ciphertext, prime - 1, prime * prime)) - 1) // prime * scale % prime
            for prime, scale in zip((p, q), self._scales, strict=True)
        ]
        return residues[0] + p * ((residues[1] - residues[0]) * self._p_inverse % q)


def inverse_of(number: int, prime: int) -> int:
    """Return number^-1 modulo an odd prime as a power, by Fermat, so that the time does not depend on them."""
    return int(gmpy2.powmod_sec(number % prime, prime - 2, prime))


def decryption_of(p: int, q: int, key: PublicKey | None) -> Decryption:
    """Return decryption by two primes whose public key in the compiled core is ``key``.

    Raises
    ------
    ValueError
        If they are not two different primes fit for a key.
    """
    return GmpDecryption(p, q) if key is None else CoreDecryption(PrivateKey(p, q, h_s=key.h_s))
