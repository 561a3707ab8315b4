"""A stand-in for CuPy on a machine without a device: NumPy underneath, and CuPy's refusals on top.

An array refuses what CuPy's refuses: to become a NumPy array by itself, and to meet one in an operation. The module has
only the functions listed here, with CuPy's parameters; `test_array_modules.py` holds them against CuPy's own where that
is installed. Every wait for the device is noted.
"""

from __future__ import annotations

import operator
from types import SimpleNamespace
from typing import Any

import numpy as np
import scipy.linalg

from cipherlane.mixture.array_module import ArrayModule

SCALARS = (bool, int, float, np.bool_, np.integer, np.floating)
# The shape of what came to the host at each wait.
waits: list[tuple[int, ...]] = []


class StrictArray:
    """An array that stays on its device."""

    __slots__ = ("_values",)
    # NumPy leaves operations with this to this class, and refuses its functions.
    __array_ufunc__ = None

    def __init__(self, values: np.ndarray) -> None:
        self._values = values

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`")

    def __array_function__(self, function: Any, *_: Any) -> Any:
        raise TypeError(f"{function.__name__} of NumPy got an array of the device")

    # ---- to the host -----------------------------------------------------------------------------------------

    def get(self) -> np.ndarray:
        waits.append(self.shape)
        return self._values.copy(order="C")

    def item(self) -> Any:
        return self._one()

    def _one(self) -> Any:
        if self._values.ndim:
            raise TypeError(f"expected an array without dimensions, got shape {self.shape}")
        waits.append(self.shape)
        return self._values.item()

    def __bool__(self) -> bool:
        return bool(self._one())

    def __float__(self) -> float:
        return float(self._one())

    def __int__(self) -> int:
        return int(self._one())

    def __str__(self) -> str:
        return str(self.get())

    __repr__ = __str__

    # ---- shape -----------------------------------------------------------------------------------------------

    shape = property(lambda self: self._values.shape)
    ndim = property(lambda self: self._values.ndim)
    dtype = property(lambda self: self._values.dtype)
    T = property(lambda self: StrictArray(self._values.T))

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self)))

    def reshape(self, *shape: int, order: str = "C") -> StrictArray:
        return StrictArray(self._values.reshape(*shape, order=order))

    def transpose(self, *axes: int) -> StrictArray:
        return StrictArray(self._values.transpose(*axes))

    def swapaxes(self, axis1: int, axis2: int) -> StrictArray:
        return StrictArray(self._values.swapaxes(axis1, axis2))

    def astype(self, dtype: Any, order: str = "K", copy: bool = True) -> StrictArray:
        return StrictArray(self._values.astype(dtype, order=order, copy=copy))

    def copy(self, order: str = "C") -> StrictArray:
        return StrictArray(self._values.copy(order=order))

    # ---- sums ------------------------------------------------------------------------------------------------

    def sum(self, axis: Any = None, dtype: Any = None, out: None = None, keepdims: bool = False) -> StrictArray:
        return _wrapped(self._values.sum(axis=axis, dtype=dtype, keepdims=keepdims))

    def mean(self, axis: Any = None, dtype: Any = None, out: None = None, keepdims: bool = False) -> StrictArray:
        return _wrapped(self._values.mean(axis=axis, dtype=dtype, keepdims=keepdims))

    def max(self, axis: Any = None, out: None = None, keepdims: bool = False) -> StrictArray:
        return _wrapped(self._values.max(axis=axis, keepdims=keepdims))

    def min(self, axis: Any = None, out: None = None, keepdims: bool = False) -> StrictArray:
        return _wrapped(self._values.min(axis=axis, keepdims=keepdims))

    def any(self, axis: Any = None, out: None = None, keepdims: bool = False) -> StrictArray:
        return _wrapped(self._values.any(axis=axis, keepdims=keepdims))

    def all(self, axis: Any = None, out: None = None, keepdims: bool = False) -> StrictArray:
        return _wrapped(self._values.all(axis=axis, keepdims=keepdims))

    # ---- parts -----------------------------------------------------------------------------------------------

    def __getitem__(self, index: Any) -> StrictArray:
        return _wrapped(self._values[_index(index)])

    def __setitem__(self, index: Any, value: Any) -> None:
        self._values[_index(index)] = _operand(value)

    # ---- arithmetic ------------------------------------------------------------------------------------------

    def __neg__(self) -> StrictArray:
        return StrictArray(-self._values)

    def __invert__(self) -> StrictArray:
        return StrictArray(~self._values)

    __hash__ = None  # type: ignore[assignment]


def _wrapped(values: Any) -> StrictArray:
    return StrictArray(np.asarray(values))


def _operand(value: Any) -> Any:
    if isinstance(value, StrictArray):
        return value._values
    if isinstance(value, SCALARS):
        return value
    raise TypeError(f"Unsupported type {type(value)}")


def _index(index: Any) -> Any:
    if isinstance(index, tuple):
        return tuple(map(_index, index))
    if isinstance(index, StrictArray):
        if index.dtype.kind != "i":
            raise TypeError("a mask waits for the device to count its entries; use where")
        return index._values
    if index is None or index is Ellipsis or isinstance(index, (int, slice)):
        return index
    raise TypeError(f"Unsupported index {type(index)}")


def _install_operators() -> None:
    def plain(function: Any) -> Any:
        return lambda self, other: _wrapped(function(self._values, _operand(other)))

    def reflected(function: Any) -> Any:
        return lambda self, other: _wrapped(function(_operand(other), self._values))

    def in_place(function: Any) -> Any:
        def apply(self: StrictArray, other: Any) -> StrictArray:
            function(self._values, _operand(other), out=self._values, casting="same_kind")
            return self

        return apply

    arithmetic = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.true_divide, "pow": np.power}
    for name, function in {**arithmetic, "matmul": np.matmul, "and": np.bitwise_and}.items():
        setattr(StrictArray, f"__{name}__", plain(function))
        setattr(StrictArray, f"__r{name}__", reflected(function))
    for name, function in arithmetic.items():
        setattr(StrictArray, f"__i{name}__", in_place(function))
    for name in ("lt", "le", "gt", "ge", "eq", "ne"):
        setattr(StrictArray, f"__{name}__", plain(getattr(operator, name)))


_install_operators()


def _device(array: Any) -> np.ndarray:
    if not isinstance(array, StrictArray):
        raise TypeError(f"Unsupported type {type(array)}")
    return array._values


# ---- functions, with the parameters that CuPy's have ---------------------------------------------------------


def asarray(a, dtype=None, order=None, *, blocking=False):
    values = a._values if isinstance(a, StrictArray) else np.array(a)
    return StrictArray(np.asarray(values, dtype=dtype, order=order))


def ascontiguousarray(a, dtype=None):
    return StrictArray(np.ascontiguousarray(_device(a), dtype=dtype))


def empty(shape, dtype=float, order="C"):
    # What is never written shows.
    return StrictArray(np.full(shape, np.nan, dtype=dtype, order=order))


def zeros(shape, dtype=float, order="C"):
    return StrictArray(np.zeros(shape, dtype=dtype, order=order))


def ones(shape, dtype=float, order="C"):
    return StrictArray(np.ones(shape, dtype=dtype, order=order))


def full(shape, fill_value, dtype=None, order="C"):
    return StrictArray(np.full(shape, _operand(fill_value), dtype=dtype, order=order))


def eye(N, M=None, k=0, dtype=float, order="C"):
    return StrictArray(np.eye(N, M, k, dtype=dtype, order=order))


def arange(start, stop=None, step=1, dtype=None):
    return StrictArray(np.arange(start, stop, step, dtype=dtype) if stop is not None else np.arange(start, dtype=dtype))


def concatenate(tup, axis=0, out=None, *, dtype=None, casting="same_kind"):
    return StrictArray(np.concatenate([_device(part) for part in tup], axis=axis, dtype=dtype, casting=casting))


def stack(tup, axis=0, out=None, *, dtype=None, casting="same_kind"):
    return StrictArray(np.stack([_device(part) for part in tup], axis=axis, dtype=dtype, casting=casting))


def where(condition, x=None, y=None):
    return _wrapped(np.where(_device(condition), _operand(x), _operand(y)))


def take(a, indices, axis=None, out=None):
    return _wrapped(np.take(_device(a), _device(indices), axis=axis))


def triu(m, k=0):
    return StrictArray(np.triu(_device(m), k))


def tril(m, k=0):
    return StrictArray(np.tril(_device(m), k))


def swapaxes(a, axis1, axis2):
    return StrictArray(np.swapaxes(_device(a), axis1, axis2))


def diagonal(a, offset=0, axis1=0, axis2=1):
    return StrictArray(np.diagonal(_device(a), offset, axis1, axis2))


def broadcast_to(array, shape):
    return StrictArray(np.broadcast_to(_device(array), shape))


def argmax(a, axis=None, dtype=None, out=None, keepdims=False):
    return _wrapped(np.argmax(_device(a), axis=axis, keepdims=keepdims))


def argwhere(a):
    waits.append(())  # for the number of rows of the result
    return StrictArray(np.argwhere(_device(a)))


def array_equal(a1, a2, equal_nan=False):
    return _wrapped(np.array_equal(_device(a1), _device(a2), equal_nan=equal_nan))


def matmul(a, b):
    return StrictArray(np.matmul(_device(a), _device(b)))


def asnumpy(a, stream=None, order="C", out=None, *, blocking=True):
    return _wrapped(_device(a)).get()


def _unary(function: Any) -> Any:
    def apply(x):
        with np.errstate(all="ignore"):
            return _wrapped(function(_device(x)))

    return apply


UFUNCS = {name: _unary(getattr(np, name)) for name in ("abs", "exp", "isfinite", "log", "sqrt")}
UFUNCS["maximum"] = lambda x1, x2: _wrapped(np.maximum(_operand(x1), _operand(x2)))
FUNCTIONS = {
    function.__name__: function
    for function in (
        argmax, argwhere, array_equal, arange, asarray, ascontiguousarray, asnumpy, broadcast_to, concatenate, diagonal,
        empty, eye, full, matmul, ones, stack, swapaxes, take, tril, triu, where, zeros,
    )
}  # fmt: skip
METHODS = (
    "all", "any", "astype", "copy", "get", "item", "max", "mean", "min", "reshape", "sum", "swapaxes", "transpose",
)  # fmt: skip


# ---- linear algebra that tells of no failure -----------------------------------------------------------------


def _unfinished(matrix: np.ndarray, least: float | None = None) -> np.ndarray:
    """Factor columns until a pivot is not positive and leave the rest as it was, or go on with the least pivot."""
    lower = np.tril(matrix)
    for j in range(len(lower)):
        pivot = lower[j, j] - lower[j, :j] @ lower[j, :j]
        if not pivot > 0:
            if least is None:
                return lower
            pivot = least
        lower[j, j] = np.sqrt(pivot)
        lower[j + 1 :, j] = (lower[j + 1 :, j] - lower[j + 1 :, :j] @ lower[j, :j]) / lower[j, j]
    return lower


# What a failed factorisation may leave: CuPy documents nothing but that it is invalid.
LEFTOVERS = {
    "unfinished": _unfinished,
    "small pivots": lambda matrix: _unfinished(matrix, 1e-18),
    "input": np.tril,
    "nan": lambda matrix: np.tril(np.full_like(matrix, np.nan)),
    "identity": lambda matrix: np.eye(len(matrix)),
}


def solve_triangular(a, b, trans=0, lower=False, unit_diagonal=False, overwrite_b=False, check_finite=False):
    left, right = _device(a), _device(b)
    if left.ndim != 2:
        raise ValueError("expected square matrix")  # CuPy 13; 14 takes stacks
    if not np.diagonal(left).all():
        return StrictArray(np.full(right.shape, np.inf))
    return StrictArray(
        scipy.linalg.solve_triangular(left, right, trans, lower, unit_diagonal, overwrite_b, check_finite=check_finite)
    )


def strict_module(leftover: str = "unfinished") -> ArrayModule:
    """Return the stand-in's description; ``leftover`` says what a failed factorisation leaves."""

    def cholesky(a):
        values = _device(a)
        factors = np.empty_like(values)
        for index in np.ndindex(values.shape[:-2]):
            try:
                factors[index] = np.linalg.cholesky(values[index])
            except np.linalg.LinAlgError:
                factors[index] = LEFTOVERS[leftover](values[index])
        return StrictArray(factors)

    xp = SimpleNamespace(**FUNCTIONS, **UFUNCS, linalg=SimpleNamespace(cholesky=cholesky))
    return ArrayModule("the stand-in", xp, StrictArray, asnumpy, solve_triangular)
