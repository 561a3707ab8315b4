"""Which array library an argument belongs to: NumPy, or CuPy where the caller uses it.

CuPy is never imported here before the caller has: an argument can be a CuPy array only where it has been.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

# A NumPy array, or one of the library that the arguments belong to.
Array: TypeAlias = Any


@dataclass(frozen=True)
class ArrayModule:
    """An array library, and what differs between such libraries.

    Attributes
    ----------
    name : str
        As users know it.
    xp : module
        Functions under NumPy's names.
    array_type : type
    to_host : callable
        Returns one of its arrays as a NumPy array in C order; waits for the device.
    solve_triangular : callable
        Two-dimensional, with the keywords ``lower`` and ``check_finite`` of SciPy's.
    compiled : bool
        Whether its arrays go to the passes that Numba compiles.
    """

    name: str
    xp: Any
    array_type: type
    to_host: Callable[[Array], NDArray[Any]]
    solve_triangular: Callable[..., Array]
    compiled: bool = False

    @property
    def on_host(self) -> bool:
        """Whether its arrays are NumPy's."""
        return self.array_type is np.ndarray

    def floats(self, name: str, value: Any) -> Array:
        """Return an argument as float64 array of this library; a copy only where needed.

        What is no array of any library, or is on the host, goes to the device; nothing comes back unasked.

        Raises
        ------
        TypeError
            If it is an array of another library that is not the host's.
        ValueError
            If its entries are not real numbers.
        """
        owner = module_of(value)
        if owner.on_host:
            host = np.asarray(value, dtype=np.float64)
            return host if self.on_host else self.xp.asarray(host)
        if owner.name != self.name:
            raise TypeError(
                f"{name}: expected an array of {self.name}, as the first argument is, got one of {owner.name}; pass "
                "both in the same library"
            )
        if value.dtype.kind not in "biuf":
            raise ValueError(f"{name}: expected real numbers, got the type {value.dtype}")
        return value.astype(np.float64, copy=False)

    def moved(self, value: Array) -> Array:
        """Return an array of whichever library as float64 array of this one."""
        owner = module_of(value)
        return self.floats("", value if owner.name == self.name else owner.to_host(value))


NUMPY = ArrayModule("NumPy", np, np.ndarray, np.asarray, scipy.linalg.solve_triangular, compiled=True)

_substitutes: ContextVar[tuple[ArrayModule, ...]] = ContextVar("substitutes", default=())


@functools.cache
def _cupy_module() -> ArrayModule:
    import cupy
    from cupyx.scipy.linalg import solve_triangular

    return ArrayModule("CuPy", cupy, cupy.ndarray, cupy.asnumpy, solve_triangular)


def module_of(value: Any) -> ArrayModule:
    """Return the library that an argument belongs to; NumPy's for lists and other things that are no arrays."""
    host = NUMPY
    for module in _substitutes.get():
        if isinstance(value, module.array_type):
            return module
        host = module if module.on_host else host
    cupy = sys.modules.get("cupy")
    if cupy is not None and isinstance(value, getattr(cupy, "ndarray", ())):
        return _cupy_module()
    return host


@contextlib.contextmanager
def recognised(module: ArrayModule) -> Iterator[None]:
    """Treat arrays of a library as its description says; for tests of the passes that are not compiled."""
    token = _substitutes.set((module, *_substitutes.get()))
    try:
        yield
    finally:
        _substitutes.reset(token)
