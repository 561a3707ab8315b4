"""Checks of the arrays that callers pass."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from cipherlane.mixture.array_module import Array, ArrayModule, module_of


def check_finite(name: str, values: Array) -> None:
    """Raise `ValueError` naming the first entry that is NaN or infinite."""
    module = module_of(values)
    bad = ~module.xp.isfinite(values)
    if bad.any():
        index = tuple(int(i) for i in module.to_host(module.xp.argwhere(bad))[0])
        raise ValueError(f"{name}: expected finite numbers, got {values[index]} at index {index}")


def check_samples(X: ArrayLike, name: str = "X", module: ArrayModule | None = None) -> Array:
    """Return the samples as finite float64 of shape (n, d), n, d >= 1, in their own library unless one is given."""
    array = (module or module_of(X)).floats(name, X)
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(f"{name}: expected shape (rows, columns), both at least 1, got {array.shape}")
    check_finite(name, array)
    return array


def check_responsibilities(resp: ArrayLike, rows: int, module: ArrayModule) -> Array:
    """Return responsibilities as float64 of shape (rows, K) with entries of at least 0."""
    array = module.xp.ascontiguousarray(module.floats("resp", resp))
    if array.ndim != 2 or array.shape[0] != rows or array.shape[1] == 0:
        raise ValueError(f"resp: expected shape ({rows}, components), got {array.shape}")
    check_finite("resp", array)
    negative = array < 0
    if negative.any():
        row, column = (int(i) for i in module.to_host(module.xp.argwhere(negative))[0])
        raise ValueError(f"resp: expected numbers of at least 0, got {array[row, column]} at ({row}, {column})")
    return array


def check_sample_weight(sample_weight: ArrayLike, rows: int, module: ArrayModule) -> Array:
    """Return weights as float64 of shape (rows,), none negative, not all zero; a single number is that of all rows."""
    weights = module.floats("sample_weight", sample_weight)
    if weights.ndim == 0:
        weights = module.xp.full(rows, float(weights), dtype=np.float64)
    if weights.shape != (rows,):
        raise ValueError(f"sample_weight: expected shape ({rows},), got {weights.shape}")
    check_finite("sample_weight", weights)
    if (weights < 0).any():
        raise ValueError(f"sample_weight: expected numbers of at least 0, got {weights.min()}")
    if not weights.any():
        raise ValueError("sample_weight: every weight is zero; expected at least one above 0")
    return module.xp.ascontiguousarray(weights)
