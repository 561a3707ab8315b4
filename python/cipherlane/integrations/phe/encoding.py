"""Numbers as integers modulo n with a public exponent each, by python-paillier's rules."""

from __future__ import annotations

import math
import sys
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from cipherlane.paillier.public_key import check_integer

if TYPE_CHECKING:
    from cipherlane.integrations.phe.modulus import Modulus

_Self = TypeVar("_Self", bound="EncodedNumber")

# More bits than that a decoded integer is not given: an exponent from elsewhere could ask for any amount of memory.
_MOST_DECODED_BITS = 1 << 20
# Below the exponent of the smallest float64, quotients are zero.
_LEAST_FLOAT_BITS = 1100


class EncodedNumber:
    """An integer e in [0, n) and an exponent x that stand for ±|e| BASE^x; the upper third of [0, n) is negative.

    Parameters
    ----------
    public_key : PaillierPublicKey
    encoding : int
        In [0, n).
    exponent : int
        Public: it tells how large a float was. `at_exponent` gives all numbers the same.

    Examples
    --------
    >>> from cipherlane.integrations import phe
    >>> public_key, _ = phe.generate_paillier_keypair(n_length=2048)
    >>> encoded = phe.EncodedNumber.encode(public_key, -1.5)
    >>> encoded.exponent, encoded.decode()
    (-13, -1.5)
    """

    BASE: ClassVar[int] = 16
    LOG2_BASE: ClassVar[float] = math.log(BASE, 2)
    FLOAT_MANTISSA_BITS: ClassVar[int] = sys.float_info.mant_dig

    def __init__(self, public_key: Modulus, encoding: int, exponent: int) -> None:
        self.public_key = public_key
        self.encoding = encoding
        self.exponent = exponent

    @classmethod
    def encode(
        cls: type[_Self],
        public_key: Modulus,
        scalar: Any,
        precision: float | None = None,
        max_exponent: int | None = None,
    ) -> _Self:
        """Return a number's encoding: exact, unless a precision is stated.

        Parameters
        ----------
        public_key : PaillierPublicKey
        scalar : int or float
        precision : float, optional
            The exponent is ⌊log_BASE(precision)⌋, and the number is rounded to a multiple of BASE^exponent. Default: 0
            for integers, and what holds all bits of a float's mantissa.
        max_exponent : int, optional
            The exponent is not larger than that.

        Raises
        ------
        TypeError
            If the number is neither int nor float, and no precision is stated.
        ValueError
            If it is NaN, or too large for the key at that exponent, or the precision is not positive.
        OverflowError
            If it is infinite.
        """
        exponent = cls._exponent_for(scalar, precision)
        if max_exponent is not None:
            exponent = min(exponent, max_exponent)
        return cls.at_exponent(public_key, scalar, exponent)

    @classmethod
    def at_exponent(cls: type[_Self], public_key: Modulus, scalar: Any, exponent: int) -> _Self:
        """Return a number rounded to a multiple of BASE^exponent, with just that exponent, whatever the number is.

        Not in python-paillier. Numbers that all have one exponent do not tell how large they are.

        Raises
        ------
        TypeError, ValueError, OverflowError
            As `encode`.

        Examples
        --------
        >>> from cipherlane.integrations import phe
        >>> public_key, _ = phe.generate_paillier_keypair(n_length=2048)
        >>> [phe.EncodedNumber.at_exponent(public_key, x, -8).exponent for x in (1e6, 0.001, 3)]
        [-8, -8, -8]
        """
        exponent = check_integer("exponent", exponent)
        if isinstance(scalar, float):
            numerator, denominator = scalar.as_integer_ratio()
        else:
            ratio = Fraction(scalar)
            numerator, denominator = int(ratio.numerator), int(ratio.denominator)
        if numerator == 0 or exponent * cls.LOG2_BASE > numerator.bit_length() + 1:
            whole = 0  # less than half of BASE^exponent, so the power is not computed
        elif exponent > 0:
            whole = _nearest(numerator, denominator * cls.BASE**exponent)
        elif -exponent * cls.LOG2_BASE < public_key.n.bit_length() + denominator.bit_length():
            whole = _nearest(numerator * cls.BASE**-exponent, denominator)
        else:  # too large in any case, so the power is not computed
            whole = public_key.n
        if not -public_key.max_int <= whole <= public_key.max_int:
            raise ValueError(
                f"scalar: expected a number within max_int, {public_key.max_int.bit_length()} bits for this key, when "
                f"it is encoded with exponent {exponent}, got a larger one; use a longer key or a coarser precision"
            )
        return cls(public_key, whole % public_key.n, exponent)

    @classmethod
    def _exponent_for(cls, scalar: object, precision: float | None) -> int:
        if precision is not None:
            return math.floor(math.log(precision, cls.BASE))
        if isinstance(scalar, int):
            return 0
        if isinstance(scalar, float):
            lowest_bit = math.frexp(scalar)[1] - cls.FLOAT_MANTISSA_BITS
            return math.floor(lowest_bit / cls.LOG2_BASE)
        raise TypeError(
            f"scalar: expected an int or float, got {type(scalar).__name__}, whose precision is not known; convert it "
            "with int() or float(), or an array with tolist()"
        )

    def decode(self) -> int | float:
        """Return the number: an int if the exponent is not negative, else a float.

        Raises
        ------
        ValueError
            If the encoding is not below n.
        OverflowError
            If it lies in the middle third, where only sums that grew too large get, or the result is too large.
        """
        whole = self.signed()
        digits = abs(self.exponent) * self.LOG2_BASE
        if self.exponent >= 0:
            if digits > _MOST_DECODED_BITS:
                raise OverflowError(f"exponent: {self.exponent} asks for an integer of more than 2^20 bits")
            return whole * int(self.BASE**self.exponent)
        if digits > whole.bit_length() + _LEAST_FLOAT_BITS:
            return -0.0 if whole < 0 else 0.0
        try:
            return whole / int(self.BASE**-self.exponent)
        except OverflowError as error:
            raise OverflowError("decoded number: too large for a float; decode encoding and exponent apart") from error

    def signed(self) -> int:
        """Return the integer that the encoding stands for, in [-max_int, max_int]; not in python-paillier.

        Raises
        ------
        ValueError, OverflowError
            As `decode`.
        """
        n, most = self.public_key.n, self.public_key.max_int
        if self.encoding >= n:
            raise ValueError("encoding: expected an integer below n, got one that is not; it is damaged")
        if most < self.encoding < n - most:
            raise OverflowError(
                "encoding: lies between max_int and n - max_int, where no number is; a sum or product became too large"
            )
        return self.encoding if self.encoding <= most else self.encoding - n

    def decrease_exponent_to(self: _Self, new_exp: int) -> _Self:
        """Return the same number with a lower exponent, the encoding multiplied by BASE for each step.

        Raises
        ------
        ValueError
            If the exponent would increase, or the number would leave what the key can hold; python-paillier wraps it.
        OverflowError
            As `decode`.
        """
        steps = self.exponent - new_exp
        if steps < 0:
            raise ValueError(f"new_exp: expected at most the exponent {self.exponent}, got {new_exp}")
        whole = self.signed()
        if whole != 0:
            whole *= check_steps(self.public_key, steps, self.BASE)
            if abs(whole) > self.public_key.max_int:
                raise ValueError(
                    f"new_exp: the number does not fit the key with exponent {new_exp}; use a longer key or an "
                    f"exponent closer to {self.exponent}"
                )
        return type(self)(self.public_key, whole % self.public_key.n, new_exp)


def check_steps(public_key: Modulus, steps: int, base: int) -> int:
    """Return base^steps, a factor that lowers an exponent, or raise `ValueError` if it is no plaintext of the key."""
    if steps * math.log2(base) <= public_key.n.bit_length():
        factor = int(base**steps)
        if factor <= public_key.max_int:
            return factor
    raise ValueError(
        f"exponent: lowering it by {steps} takes a factor of {steps * math.log2(base):.0f} bits, and the key holds "
        f"numbers of {public_key.max_int.bit_length()}; use a longer key or exponents that are closer"
    )


def _nearest(numerator: int, denominator: int) -> int:
    """Return the nearest integer, of two the even one."""
    whole, rest = divmod(numerator, denominator)
    twice = 2 * rest
    return whole + (twice > denominator or (twice == denominator and whole % 2 == 1))
