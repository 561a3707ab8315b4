"""The sides that the mixture computes on, so that one test body runs on each.

"numba": NumPy arrays in compiled passes. "numpy": NumPy arrays in the passes of array libraries. "strict": the same
passes on arrays that refuse what CuPy's refuse. "cupy": CuPy's, where there is a device.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from cipherlane.mixture.array_module import NUMPY, ArrayModule, module_of, recognised

from strict_arrays import strict_module

NUMPY_PASSES = dataclasses.replace(NUMPY, compiled=False)
ON_HOST = ("numba", "numpy")
NAMES = (*ON_HOST, "strict", pytest.param("cupy", marks=pytest.mark.gpu))
NOT_COMPILED = NAMES[1:]


class Side:
    """Brings arrays to one side and back."""

    def __init__(self, name: str, module: ArrayModule) -> None:
        self.name, self._module = name, module

    def give(self, array: Any) -> Any:
        """Return a NumPy array, or what makes one, as an array of this side, order and type kept."""
        array = np.asarray(array)
        return array if self._module.on_host else self._module.xp.asarray(array, order="K")

    def take(self, array: Any) -> np.ndarray:
        """Return an array of this side, and of no other, as a NumPy array."""
        assert isinstance(array, self._module.array_type), type(array)
        return self._module.to_host(array)


def working_cupy() -> Any:
    """Return CuPy, or skip the test for what keeps it from working."""
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed", exc_type=ImportError)
    try:
        available = cupy.is_available()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        pytest.skip(f"CuPy finds no device: {error}")
    if not available:
        pytest.skip("CuPy finds no device")
    return cupy


@contextlib.contextmanager
def side(name: str) -> Iterator[Side]:
    if name == "numba":
        yield Side(name, NUMPY)
    elif name == "cupy":
        yield Side(name, module_of(working_cupy().zeros(1)))
    else:
        module = NUMPY_PASSES if name == "numpy" else strict_module()
        with recognised(module):
            yield Side(name, module)
