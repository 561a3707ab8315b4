"""The functions of NumPy that take encrypted numbers: sums, joins, and those that only put values in other places."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cipherlane.paillier.cipher_array import CipherArray
from cipherlane.paillier.joining import concatenate
from cipherlane.paillier.refusals import COMPARISON

_MOVES: tuple[Callable[..., Any], ...] = (
    np.broadcast_to,
    np.compress,
    np.delete,
    np.diagonal,
    np.expand_dims,
    np.flip,
    np.fliplr,
    np.flipud,
    np.moveaxis,
    np.repeat,
    np.roll,
    np.rot90,
    np.squeeze,
    np.swapaxes,
    np.take,
    np.tile,
    np.transpose,
)
_COMPARISONS: tuple[Callable[..., Any], ...] = (np.allclose, np.array_equal, np.array_equiv, np.isclose)


def answer(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return what ``function`` gives for arguments among which are encrypted numbers.

    Raises
    ------
    TypeError
        If it is not among those that are possible, or an argument is not.
    """
    name = f"np.{function.__name__}"
    if function in _COMPARISONS:
        raise TypeError(f"{name}: {COMPARISON}")
    if function in _MOVES:
        return _moved(function, name, args, kwargs)
    ours = _OWN.get(function)
    if ours is None:
        possible = ", ".join(sorted(f"np.{each.__name__}" for each in (*_OWN, *_MOVES)))
        raise TypeError(f"{name}: not possible on encrypted numbers; decrypt first, or use one of {possible}")
    signature = inspect.signature(ours)
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(f"{name}: {error}; with encrypted numbers it takes {', '.join(signature.parameters)}") from None
    return ours(*args, **kwargs)


def _moved(function: Callable[..., Any], name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> CipherArray:
    if kwargs.get("out") is not None:
        raise TypeError(f"{name}: out: encrypted numbers cannot be written into an array; leave it out")
    arrays = [value for value in (*args, *kwargs.values()) if isinstance(value, CipherArray)]
    if len(arrays) != 1:
        raise TypeError(f"{name}: expected one CipherArray, got {len(arrays)}")
    (array,) = arrays

    def move(stand_in: NDArray[Any]) -> Any:
        given = [stand_in if value is array else value for value in args]
        return function(*given, **{key: stand_in if value is array else value for key, value in kwargs.items()})

    return array._rearranged(move, name)


def _sum(a: CipherArray, axis: int | tuple[int, ...] | None = None, *, keepdims: bool = False) -> CipherArray:
    return a.sum(axis, keepdims)


def _concatenate(arrays: Sequence[CipherArray], axis: int | None = 0) -> CipherArray:
    return concatenate(arrays, axis) if axis is not None else concatenate([array.ravel() for array in arrays])


def _stack(arrays: Sequence[CipherArray], axis: int = 0) -> CipherArray:
    return concatenate([_moved(np.expand_dims, "np.stack", (array, axis), {}) for array in arrays], axis)


def _vstack(tup: Sequence[CipherArray]) -> CipherArray:
    return concatenate([array if array.ndim > 1 else array.reshape(1, -1) for array in tup])


def _hstack(tup: Sequence[CipherArray]) -> CipherArray:
    parts = [array if array.ndim else array.reshape(1) for array in tup]
    return concatenate(parts, axis=0 if parts[0].ndim == 1 else 1)


def _reshape(a: CipherArray, shape: int | Sequence[int]) -> CipherArray:
    return a.reshape(shape)


def _ravel(a: CipherArray) -> CipherArray:
    return a.ravel()


def _copy(a: CipherArray) -> CipherArray:
    return a


def _dot(a: Any, b: Any) -> CipherArray:
    plain_scalar = any(not isinstance(each, CipherArray) and np.ndim(each) == 0 for each in (a, b))
    result: CipherArray = a * b if plain_scalar else a @ b
    return result


def _shape(a: CipherArray) -> tuple[int, ...]:
    return a.shape


def _ndim(a: CipherArray) -> int:
    return a.ndim


def _size(a: CipherArray, axis: int | None = None) -> int:
    return a.size if axis is None else a.shape[axis]


_OWN: dict[Callable[..., Any], Callable[..., Any]] = {
    np.concatenate: _concatenate,
    np.copy: _copy,
    np.dot: _dot,
    np.hstack: _hstack,
    np.ndim: _ndim,
    np.ravel: _ravel,
    np.reshape: _reshape,
    np.shape: _shape,
    np.size: _size,
    np.stack: _stack,
    np.sum: _sum,
    np.vstack: _vstack,
}
