"""Which columns to keep by their information values."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def select(
    information_values: Sequence[float], *, threshold: float | None = None, top: int | None = None
) -> NDArray[np.bool_]:
    """Return which columns to keep: those above `threshold`, those among the `top` largest, or, with both, both.

    Of equal values the first columns count as larger. With neither, all are kept.

    Examples
    --------
    >>> select([0.02, 0.5, 0.3], threshold=0.1, top=1).tolist()
    [False, True, False]
    """
    values = np.asarray(information_values, dtype=np.float64)
    if values.ndim != 1 or not np.isfinite(values).all():
        raise ValueError("information_values: expected a row of finite numbers")
    if top is not None and (isinstance(top, bool) or not isinstance(top, int) or top < 1):
        raise ValueError(f"top: expected an integer of at least 1, got {top!r}")
    if threshold is not None and not (isinstance(threshold, int | float | np.number) and math.isfinite(threshold)):
        raise ValueError(f"threshold: expected a finite number, got {threshold!r}")
    kept = np.ones(len(values), dtype=np.bool_)
    if threshold is not None:
        kept &= values > threshold
    if top is not None:
        kept[np.argsort(-values, kind="stable")[top:]] = False
    return kept
