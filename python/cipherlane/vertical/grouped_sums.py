"""Sums of encrypted rows by the bins of many columns, with far fewer additions than rows times columns.

Columns are taken in groups. The rows are added once for a group, into the cells of the product of its bins, and the
cells then into each column's bins:

    additions = rows + columns of the group · cells,    in the place of    rows · columns of the group.

With 100,000 rows and columns of 10 bins, groups of three take 0.34 of the additions; with 1,000,000 rows and 32 bins
0.37.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cipherlane.paillier import CipherArray, concatenate

Indices = NDArray[np.integer]


def group_columns(rows: int, bins: Sequence[int]) -> list[range]:
    """Return columns in groups that follow each other, each as long as another column makes it cheaper a column.

    Examples
    --------
    >>> group_columns(100_000, [10] * 7)
    [range(0, 3), range(3, 6), range(6, 7)]
    >>> group_columns(569, [10] * 4)
    [range(0, 2), range(2, 4)]
    """
    groups, start = [], 0
    for end in range(1, len(bins) + 1):
        group = bins[start : end + 1]
        if end == len(bins) or _cost(rows, group) >= _cost(rows, group[:-1]):
            groups.append(range(start, end))
            start = end
    return groups


def _cost(rows: int, bins: Sequence[int]) -> float:
    """Return the additions a column of a group."""
    if len(bins) == 1:
        return rows
    return rows / len(bins) + min(math.prod(bins), rows)


def additions(rows: int, bins: Sequence[int]) -> int:
    """Return how many additions `sums_by_bin` makes at most, where every cell has rows.

    Examples
    --------
    >>> additions(100_000, [10] * 3), 3 * 100_000
    (103000, 300000)
    """
    total = 0
    for group in group_columns(rows, bins):
        cells = min(math.prod(bins[j] for j in group), rows)
        total += rows + (len(group) * cells if len(group) > 1 else 0)
    return total


def sums_by_bin(values: CipherArray, indices: Indices, bins: Sequence[int]) -> CipherArray:
    """Return, for each column's bins one after the other, the sum of the values of the rows in it.

    Parameters
    ----------
    values : CipherArray, shape (n, ...)
        One element a row.
    indices : ndarray of int, shape (n, columns)
        Each row's bin in each column.
    bins : sequence of int
        How many bins each column has.

    Returns
    -------
    CipherArray, shape (sum of bins, ...)
        A bin without rows is an encryption of zero without randomness. Nothing is re-randomised.

    Raises
    ------
    ValueError
        The shapes do not fit, or an index is outside its column's bins.
    PlaintextOverflowError
        A sum could wrap.

    Examples
    --------
    >>> import cipherlane as cl
    >>> public_key, private_key = cl.keygen(bits=2048)
    >>> labels = public_key.encrypt([1, 0, 1, 1])
    >>> sums = sums_by_bin(labels, np.array([[0, 2], [0, 1], [1, 0], [1, 2]]), [2, 3])
    >>> private_key.decrypt(sums)
    array([1, 2, 1, 0, 2])
    """
    table = np.asarray(indices)
    if table.ndim != 2 or table.shape != (len(values), len(bins)) or not bins:
        raise ValueError(f"indices: expected shape ({len(values)}, {len(bins)}), got {table.shape}")
    if table.dtype.kind not in "iu":
        raise ValueError(f"indices: expected integers, got dtype {table.dtype}")
    for j, count in enumerate(bins):
        column = table[:, j]
        if count < 1 or (column.size and not (0 <= column.min() and column.max() < count)):
            raise ValueError(f"indices[:, {j}]: expected bins from 0 to {count - 1}")
    parts = []
    for group in group_columns(len(values), bins):
        if len(group) == 1:
            parts.append(values.segment_sum(table[:, group[0]], bins[group[0]]))
        else:
            parts += _sums_of_group(values, table[:, group.start : group.stop], [bins[j] for j in group])
    return concatenate(parts)


def _sums_of_group(values: CipherArray, table: Indices, bins: Sequence[int]) -> list[CipherArray]:
    cells = np.zeros(len(table), dtype=np.int64)
    for j, count in enumerate(bins):
        cells = cells * count + table[:, j]
    # Only cells with rows are added up again: an empty one would cost as much as another.
    used = np.flatnonzero(np.bincount(cells, minlength=math.prod(bins)))
    places = np.zeros(math.prod(bins), dtype=np.int64)
    places[used] = np.arange(len(used))
    sums = values.segment_sum(places[cells], len(used))
    digits = np.unravel_index(used, tuple(bins))
    return [sums.segment_sum(digit, count) for digit, count in zip(digits, bins, strict=True)]
