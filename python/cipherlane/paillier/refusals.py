"""What an array of encrypted numbers refuses, with the reason, where Python would answer nonsense."""

from __future__ import annotations

from typing import NoReturn


class Refusals:
    """Operations that need the values, which are hidden."""

    __slots__ = ()

    def __eq__(self, other: object) -> NoReturn:
        """Refuse: equal values have different ciphertexts."""
        raise TypeError("x == y: encrypted numbers cannot be compared; decrypt them first")

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> NoReturn:
        """Refuse: the values are hidden."""
        raise TypeError("bool(x): encrypted numbers have no truth value; decrypt them first")

    def __float__(self) -> NoReturn:
        """Refuse: the values are hidden."""
        raise TypeError("float(x): the number is encrypted; decrypt it first")

    def __int__(self) -> NoReturn:
        """Refuse: the values are hidden."""
        raise TypeError("int(x): the number is encrypted; decrypt it first")

    def __array__(self, *_: object, **__: object) -> NoReturn:
        """Refuse: the values are hidden."""
        raise TypeError("numpy array of a CipherArray: the numbers are encrypted; decrypt them first")

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled."""
        raise TypeError("CipherArray: cannot be pickled; send to_bytes() and read it with CipherArray.from_bytes")

    def __truediv__(self, other: object) -> NoReturn:
        """Refuse: there is no exact inverse in fixed point."""
        raise TypeError("x / y: not possible on encrypted numbers; multiply by the reciprocal, x * (1 / y)")
