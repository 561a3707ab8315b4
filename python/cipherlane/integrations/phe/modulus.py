"""A modulus and what its numbers need of it; the public key adds encryption."""

from __future__ import annotations

from typing import Any

from cipherlane.integrations.phe.arithmetic import Arithmetic, arithmetic_of
from cipherlane.paillier import PublicKey
from cipherlane.paillier.public_key import check_integer


class Modulus:
    """A modulus n, the limits of what is encoded for it, and its arithmetic."""

    def __init__(self, n: int, h_s: int | None = None) -> None:
        n = check_integer("n", n)
        self._arithmetic = arithmetic_of(n, h_s)
        self._n = n
        self._nsquare = n * n
        self._max_int = n // 3 - 1

    @property
    def n(self) -> int:
        """The modulus."""
        return self._n

    @property
    def g(self) -> int:
        """The generator, n + 1."""
        return self._n + 1

    @property
    def nsquare(self) -> int:
        """n², the modulus of ciphertexts."""
        return self._nsquare

    @property
    def max_int(self) -> int:
        """The largest magnitude that is encoded, n // 3 - 1 unless it was set: larger ones leave less for overflows."""
        return self._max_int

    @max_int.setter
    def max_int(self, value: int) -> None:
        value = check_integer("max_int", value)
        if not 0 < value <= (self._n - 1) // 2:
            raise ValueError("max_int: expected at least 1 and at most (n - 1) / 2, where signs begin to overlap")
        self._max_int = value

    @property
    def h_s(self) -> int | None:
        """The base of fast obfuscators, None without; python-paillier's keys have none."""
        return None if self._arithmetic.key is None else self._arithmetic.key.h_s

    @property
    def cipherlane_key(self) -> PublicKey | None:
        """The same key for Cipherlane's own interface, None for lengths that it refuses."""
        return self._arithmetic.key

    @property
    def arithmetic(self) -> Arithmetic:
        """What computes modulo n²."""
        return self._arithmetic

    def __eq__(self, other: object) -> bool:
        """Return whether the modulus is the same, which is what ciphertexts belong to."""
        if not isinstance(other, Modulus):
            return NotImplemented
        return self._n == other._n

    def __hash__(self) -> int:
        """Return the hash of the modulus."""
        return hash(self._n)

    def __repr__(self) -> str:
        """Return the class and the start of the modulus's hash in hexadecimal."""
        return f"<{type(self).__name__} {f'{hash(self):x}'[:10]}>"

    def __reduce__(self) -> tuple[Any, ...]:
        """Be pickled as the numbers, which are checked again."""
        return _restored, (type(self), self._n, self.h_s, self._max_int)


def _restored(cls: type[Modulus], n: int, h_s: int | None, max_int: int) -> Modulus:
    key = cls(n, h_s)
    key.max_int = max_int
    return key
