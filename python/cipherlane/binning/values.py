"""The values of a column as they come, from arrays, lists or frames, as what bins take."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Column = Sequence[Any] | NDArray[Any]


def as_texts(values: Column) -> list[str]:
    """Return categories as texts; missing ones (None, NaN, pandas' NA, empty) as ""."""
    return ["" if is_missing(value) else str(value) for value in values]


def as_numbers(values: Column, name: str) -> NDArray[np.float64]:
    """Return a column as float64, missing values (None, NaN, pandas' NA) as NaN; a `ValueError` has its name."""
    try:
        if isinstance(values, np.ndarray) and values.dtype.kind == "O":
            values = [math.nan if is_missing(value) else value for value in values]
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: expected numbers ({error}); name it in `categorical` if it has categories") from None


def is_missing(value: Any) -> bool:
    """Return whether a cell holds None, NaN or pandas' NA."""
    try:
        return value is None or bool(value != value)
    except TypeError:
        # Of pandas' NA nothing can be said but that it is missing.
        return True
