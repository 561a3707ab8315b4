"""What an array of encrypted numbers refuses, with the reason, where Python would answer nonsense."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

ONLY_SUMS = "Paillier encryption can only add, and multiply by plain numbers"
COMPARISON = "encrypted numbers cannot be compared, equal ones look different; decrypt them first"
RECIPROCAL = "not possible on encrypted numbers; multiply by the reciprocal, x * (1 / y)"


def _refusal(operation: str, reason: str) -> Callable[..., NoReturn]:
    def refuse(*_: object) -> NoReturn:
        raise TypeError(f"{operation}: {reason}")

    refuse.__doc__ = f"Refuse: {reason}."
    return refuse


class Refusals:
    """Operations that need the values, which are hidden."""

    __slots__ = ()

    __eq__ = _refusal("x == y", COMPARISON)
    __ne__ = _refusal("x != y", COMPARISON)
    __lt__ = _refusal("x < y", COMPARISON)
    __le__ = _refusal("x <= y", COMPARISON)
    __gt__ = _refusal("x > y", COMPARISON)
    __ge__ = _refusal("x >= y", COMPARISON)
    __contains__ = _refusal("y in x", COMPARISON)
    # What compares equal must have one hash, and nothing here compares.
    __hash__ = None  # type: ignore[assignment]

    __bool__ = _refusal("bool(x)", "encrypted numbers have no truth value; decrypt them first")
    __float__ = _refusal("float(x)", "the number is encrypted; decrypt it first")
    __int__ = _refusal("int(x)", "the number is encrypted; decrypt it first")
    __complex__ = _refusal("complex(x)", "the number is encrypted; decrypt it first")
    __index__ = _refusal("x as an index", "the number is encrypted; decrypt it first")
    __round__ = _refusal("round(x)", f"{ONLY_SUMS}; decrypt first")
    __abs__ = _refusal("abs(x)", f"{ONLY_SUMS}; decrypt first")

    __truediv__ = _refusal("x / y", RECIPROCAL)
    __rtruediv__ = _refusal("y / x", f"{ONLY_SUMS}; decrypt first")
    __floordiv__ = __rfloordiv__ = _refusal("x // y", f"{ONLY_SUMS}; decrypt first")
    __mod__ = __rmod__ = _refusal("x % y", f"{ONLY_SUMS}; decrypt first")
    __pow__ = __rpow__ = _refusal("x ** y", f"{ONLY_SUMS}; decrypt first")

    __setitem__ = _refusal(
        "x[...] = y", "a CipherArray never changes; join parts with cl.concatenate, or add to all of x"
    )

    def __array__(self, *_: object, **__: object) -> NoReturn:
        """Refuse: the values are hidden."""
        raise TypeError(
            "numpy array of a CipherArray: the numbers are encrypted; decrypt them first, or take the ciphertexts "
            "with to_bytes() or cl.paillier.hazmat.to_limbs(x)"
        )

    def __reduce_ex__(self, _: object) -> NoReturn:
        """Refuse to be pickled."""
        raise TypeError("CipherArray: cannot be pickled; send to_bytes() and read it with CipherArray.from_bytes")
