"""Means and spreads of columns whose rows lie at several parties, from sums that add up.

Two passes, as sums of squares about zero lose the digits of a column far from it: first the parties' counts and sums
give the means, then sums of squares about those means give the standard deviations.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def column_sums(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how many cells of each column are present, then the sum of each, float64 of shape (2 d,).

    Parameters
    ----------
    values
        float64, shape (n, d); NaN marks a missing cell.

    Examples
    --------
    >>> column_sums(np.array([[1.0, 5.0], [3.0, np.nan]]))
    array([2., 1., 4., 5.])
    """
    present = ~np.isnan(values)
    return np.concatenate([present.sum(axis=0).astype(np.float64), np.where(present, values, 0.0).sum(axis=0)])


def column_means(summed: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of what is present in each column, from `column_sums` added over parties.

    Raises
    ------
    ValueError
        A column has no value at any party.
    """
    counts, sums = np.rint(summed[: len(summed) // 2]), summed[len(summed) // 2 :]
    empty = np.flatnonzero(counts < 1)
    if empty.size:
        raise ValueError(f"columns: number {empty[0] + 1} has no value at any party; leave it out of `columns`")
    means: NDArray[np.float64] = sums / counts
    return means


def column_spreads(values: NDArray[np.float64], means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each column's sum of (x_ij - m_j)^2, float64 of shape (d,); a missing cell counts as the mean."""
    deviations = np.where(np.isnan(values), 0.0, values - means)
    spreads: NDArray[np.float64] = (deviations**2).sum(axis=0)
    return spreads


def column_scales(summed: NDArray[np.float64], rows: int) -> NDArray[np.float64]:
    """Return each column's population standard deviation, from `column_spreads` added over parties.

    Raises
    ------
    ValueError
        A column is constant over all parties, or varies too little for the encoding.
    """
    constant = np.flatnonzero(summed <= 0.0)
    if constant.size:
        raise ValueError(
            f"columns: number {constant[0] + 1} is the same in every row of every party, or varies too little to tell; "
            "leave it out of `columns`, or give it in smaller units"
        )
    scales: NDArray[np.float64] = np.sqrt(summed / rows)
    return scales
