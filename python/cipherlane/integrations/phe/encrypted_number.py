"""One encrypted number with its public exponent."""

from __future__ import annotations

from typing import Any

from cipherlane.errors import KeyMismatchError
from cipherlane.integrations.phe.arithmetic import multiplied, power
from cipherlane.integrations.phe.encoding import EncodedNumber, check_steps
from cipherlane.integrations.phe.modulus import Modulus
from cipherlane.paillier.public_key import check_integer


class EncryptedNumber:
    """A ciphertext of an `EncodedNumber`, whose exponent is beside it in the clear.

    Supports ``+`` and ``-`` with encrypted, encoded and plain numbers, and ``*`` and ``/`` by plain ones. Operations
    do not re-randomise; `ciphertext` does when it hands out a result.

    Parameters
    ----------
    public_key : PaillierPublicKey
    ciphertext : int
        In [1, n²).
    exponent : int, default 0

    Raises
    ------
    TypeError
        If the key is no key, or the others are not integers.
    ValueError
        If the ciphertext is out of range.

    Examples
    --------
    >>> from cipherlane.integrations import phe
    >>> public_key, private_key = phe.generate_paillier_keypair(n_length=2048)
    >>> x = public_key.encrypt(1.5)
    >>> private_key.decrypt((x + 2) * -3)
    -10.5
    """

    def __init__(self, public_key: Modulus, ciphertext: int, exponent: int = 0) -> None:
        if not isinstance(public_key, Modulus):
            raise TypeError(f"public_key: expected a PaillierPublicKey, got {type(public_key).__name__}")
        ciphertext = check_integer("ciphertext", ciphertext)
        if not 0 < ciphertext < public_key.nsquare:
            raise ValueError("ciphertext: expected an integer in [1, n^2), got one outside; it belongs to another key")
        self.public_key = public_key
        self.exponent = check_integer("exponent", exponent)
        self.__ciphertext = ciphertext
        self.__is_obfuscated = False

    @classmethod
    def _made(cls, public_key: Modulus, ciphertext: int, exponent: int, *, fresh: bool = False) -> EncryptedNumber:
        """Return a number of a ciphertext that was computed here."""
        number = cls.__new__(cls)
        number.public_key = public_key
        number.exponent = exponent
        number.__ciphertext = ciphertext
        number.__is_obfuscated = fresh
        return number

    @property
    def is_obfuscated(self) -> bool:
        """Whether the ciphertext carries randomness that no operation has used; not in python-paillier."""
        return self.__is_obfuscated

    def ciphertext(self, be_secure: bool = True) -> int:
        """Return the ciphertext for others to see, re-randomised first unless it is fresh.

        Parameters
        ----------
        be_secure : bool, default True
            False returns it as it is: whoever knows the operands can then tell what was computed from them.
        """
        if be_secure and not self.__is_obfuscated:
            self.obfuscate()
        return self.__ciphertext

    def obfuscate(self) -> None:
        """Re-randomise the ciphertext in place."""
        (fresh,) = self.public_key.arithmetic.rerandomise([self.__ciphertext])
        self._replace(fresh)

    def _replace(self, fresh: int) -> None:
        self.__ciphertext = fresh
        self.__is_obfuscated = True

    def decrease_exponent_to(self, new_exp: int) -> EncryptedNumber:
        """Return the same number with a lower exponent, multiplied by 16 for each step.

        Whether the hidden number still fits cannot be told; one that does not makes decryption raise or, at worst,
        return another number.

        Raises
        ------
        ValueError
            If the exponent would increase, or the factor alone is too large for the key.
        """
        new_exp = check_integer("new_exp", new_exp)
        steps = self.exponent - new_exp
        if steps < 0:
            raise ValueError(f"new_exp: expected at most the exponent {self.exponent}, got {new_exp}")
        factor = check_steps(self.public_key, steps, EncodedNumber.BASE)
        raised = power(self.__ciphertext, factor, self.public_key.nsquare)
        return self._made(self.public_key, raised, new_exp)

    def __add__(self, other: Any) -> EncryptedNumber:
        """Return the sum with an encrypted, encoded or plain number."""
        if isinstance(other, EncryptedNumber):
            check_same_key(self.public_key, other.public_key, "x + y")
            a, b = self._aligned(other.exponent), other._aligned(self.exponent)
            addend = b.__ciphertext
        else:
            if not isinstance(other, EncodedNumber):
                other = EncodedNumber.encode(self.public_key, other, max_exponent=self.exponent)
            check_same_key(self.public_key, other.public_key, "x + encoded")
            a = self._aligned(other.exponent)
            encoded = other if other.exponent <= self.exponent else other.decrease_exponent_to(self.exponent)
            addend = 1 + encoded.encoding % self.public_key.n * self.public_key.n
        return self._made(self.public_key, multiplied(a.__ciphertext, addend, self.public_key.nsquare), a.exponent)

    __radd__ = __add__

    def __sub__(self, other: Any) -> EncryptedNumber:
        """Return the difference."""
        return self.__add__(other._negated() if isinstance(other, EncryptedNumber) else other * -1)

    def __rsub__(self, other: Any) -> EncryptedNumber:
        """Return a plain number minus this one."""
        return self._negated().__add__(other)

    def __mul__(self, other: Any) -> EncryptedNumber:
        """Return the product with an encoded or plain number; its time depends on that number."""
        if isinstance(other, EncryptedNumber):
            raise NotImplementedError(
                "x * y: both are encrypted, and Paillier encryption can only add; one of them must be plain"
            )
        encoded = other if isinstance(other, EncodedNumber) else EncodedNumber.encode(self.public_key, other)
        check_same_key(self.public_key, encoded.public_key, "x * encoded")
        product = power(self.__ciphertext, factor_of(encoded), self.public_key.nsquare)
        return self._made(self.public_key, product, self.exponent + encoded.exponent)

    __rmul__ = __mul__

    def __truediv__(self, scalar: Any) -> EncryptedNumber:
        """Return the product with 1 / scalar, a float."""
        return self.__mul__(1 / scalar)

    def _negated(self) -> EncryptedNumber:
        return self._made(self.public_key, power(self.__ciphertext, -1, self.public_key.nsquare), self.exponent)

    def _aligned(self, exponent: int) -> EncryptedNumber:
        return self if self.exponent <= exponent else self.decrease_exponent_to(exponent)

    def __copy__(self) -> EncryptedNumber:
        """Return another object of the same ciphertext."""
        return self._made(self.public_key, self.__ciphertext, self.exponent, fresh=self.__is_obfuscated)

    def __deepcopy__(self, memo: dict[int, Any]) -> EncryptedNumber:
        """Return another object of the same ciphertext; the key is shared."""
        return self.__copy__()

    def __reduce__(self) -> tuple[Any, ...]:
        """Be pickled re-randomised, as for others to see."""
        return _restored, (self.public_key, self.ciphertext(), self.exponent)


def _restored(public_key: Modulus, ciphertext: int, exponent: int) -> EncryptedNumber:
    number = EncryptedNumber(public_key, ciphertext, exponent)
    return EncryptedNumber._made(public_key, number.ciphertext(be_secure=False), exponent, fresh=True)


def check_same_key(public_key: Modulus, other: Modulus, operation: str) -> None:
    """Raise `KeyMismatchError`, a ValueError, unless the moduli are the same."""
    if public_key.n != other.n:
        raise KeyMismatchError(f"{operation}: {other} does not match {public_key}; use numbers of one public key")


def factor_of(encoded: EncodedNumber) -> int:
    """Return the integer that a ciphertext is raised to: the encoding, negative if it lies in the upper third.

    Raises
    ------
    TypeError
        If the encoding is not an integer.
    ValueError
        If it is not in [0, n).
    """
    encoding, public_key = check_integer("encoding", encoded.encoding), encoded.public_key
    if not 0 <= encoding < public_key.n:
        raise ValueError("encoding: expected an integer in [0, n), got one outside")
    return encoding - public_key.n if encoding >= public_key.n - public_key.max_int else encoding
