"""How an array of encrypted numbers answers Python's protocols for arrays, and NumPy's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from cipherlane.paillier.refusals import COMPARISON, ONLY_SUMS, RECIPROCAL, Refusals

if TYPE_CHECKING:
    from typing_extensions import Self

# The operator with the encrypted operand on the left, and on the right.
_BINARY = {
    np.add: ("__add__", "__radd__"),
    np.subtract: ("__sub__", "__rsub__"),
    np.multiply: ("__mul__", "__rmul__"),
    np.matmul: ("__matmul__", "__rmatmul__"),
}
_UNARY = {np.negative: "__neg__", np.positive: "__pos__"}
_COMPARISONS = {np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal, np.maximum, np.minimum}
_POSSIBLE = ", ".join(f"np.{ufunc.__name__}" for ufunc in (*_BINARY, *_UNARY))


def _answer_ufunc(array: ArrayProtocols, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
    """Return what a ufunc of NumPy gives, as the operators do."""
    name = f"np.{ufunc.__name__}"
    if options.pop("out", None) is not None:
        raise TypeError(
            f"{name}: out: encrypted numbers cannot be written into an array, nor added in place (a += x); "
            "write y = a + x"
        )
    if ufunc is np.add and method == "reduce":
        return np.sum(*inputs, **{"axis": 0, **options})
    if method != "__call__":
        raise TypeError(f"{name}.{method}: not possible on encrypted numbers; use x.sum or x.segment_sum")
    if ufunc in _COMPARISONS:
        raise TypeError(f"{name}: {COMPARISON}")
    if ufunc is np.divide:
        raise TypeError(f"{name}: {RECIPROCAL}")
    if ufunc not in _BINARY and ufunc not in _UNARY:
        raise TypeError(f"{name}: {ONLY_SUMS} ({_POSSIBLE}); decrypt first")
    if options:
        raise TypeError(f"{name}: {', '.join(options)}: not possible with encrypted numbers; leave it out")
    if ufunc in _UNARY:
        return getattr(array, _UNARY[ufunc])()
    left, right = inputs
    forward, reflected = _BINARY[ufunc]
    return getattr(left, forward)(right) if left is array else getattr(array, reflected)(left)


class _OnTheClassAlone:
    """An attribute that is None on instances.

    NumPy looks ``__array_ufunc__`` up on the class, CuPy on the array, where None makes it leave ``cupy_array + x`` to
    this class.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __get__(self, instance: object, _: type) -> Callable[..., Any] | None:
        return self._function if instance is None else None


class ArrayProtocols(Refusals):
    """Length, iteration, copies, and NumPy's functions of arrays."""

    __slots__ = ()

    if TYPE_CHECKING:

        @property
        def shape(self) -> tuple[int, ...]:
            """Lengths of the axes."""

        def __getitem__(self, key: Any) -> Self:
            """Return chosen elements."""

    __array_ufunc__ = _OnTheClassAlone(_answer_ufunc)

    def __array_function__(
        self, function: Callable[..., Any], types: object, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Return what a function of NumPy gives: sums, joins, and values in other places; others are refused."""
        # That module knows CipherArray, which is built on this one.
        from cipherlane.paillier import numpy_functions

        return numpy_functions.answer(function, args, kwargs)

    def __len__(self) -> int:
        """Return the length of the first axis."""
        if not self.shape:
            raise TypeError("len: a CipherArray without axes has no length")
        return self.shape[0]

    def __iter__(self) -> Iterator[Self]:
        """Iterate over the first axis."""
        return (self[index] for index in range(len(self)))

    def copy(self) -> Self:
        """Return the array itself, which never changes."""
        return self

    __copy__ = copy

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return the array itself, which never changes."""
        return self
