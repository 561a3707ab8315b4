"""Sums of encrypted rows by the bins of many columns, with far fewer additions than rows times columns.

Columns are taken in groups. The rows are added once for a group, into the cells of the product of its bins; the cells
into those of each half of its columns, and these into each column's bins:

    additions = rows + 2 · cells + Σ over both halves of columns of the half · its cells,

in the place of rows · columns of the group. With 100,000 rows and columns of 10 bins, groups of four take 0.30 of the
additions; with 1,000,000 rows and 32 bins groups of three take 0.36.
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
    [range(0, 4), range(4, 7)]
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
    """Return the additions a column of a group; infinite for one with more cells than rows, which shares nothing."""
    if len(bins) > 1 and math.prod(bins) > rows:
        return math.inf
    return (rows + _splitting(bins)) / len(bins)


def _splitting(bins: Sequence[int]) -> int:
    """Return the additions from the cells of a group to the bins of its columns."""
    if len(bins) == 1:
        return 0
    return 2 * math.prod(bins) + sum(len(half) * math.prod(half) for half in _halves(bins) if len(half) > 1)


def _halves(bins: Sequence[int]) -> tuple[Sequence[int], Sequence[int]]:
    middle = len(bins) // 2
    return bins[:middle], bins[middle:]


def additions(rows: int, bins: Sequence[int]) -> int:
    """Return how many additions `sums_by_bin` makes at most, where every cell has rows.

    Examples
    --------
    >>> additions(100_000, [10] * 4), 4 * 100_000
    (120400, 400000)
    """
    groups = group_columns(rows, bins)
    return sum(rows + _splitting(bins[group.start : group.stop]) for group in groups)


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
    sums, cells = _sums_of_cells(values, _numbered(table, bins), math.prod(bins))
    parts: list[CipherArray] = []
    digits = np.column_stack(np.unravel_index(cells, tuple(bins)))
    for half in _halves(bins):
        own, digits = digits[:, : len(half)], digits[:, len(half) :]
        if len(half) == 1:
            parts.append(sums.segment_sum(own[:, 0], half[0]))
            continue
        within, used = _sums_of_cells(sums, _numbered(own, half), math.prod(half))
        columns = np.unravel_index(used, tuple(half))
        parts += [within.segment_sum(column, count) for column, count in zip(columns, half, strict=True)]
    return parts


def _numbered(table: Indices, bins: Sequence[int]) -> NDArray[np.int64]:
    """Return each row's cell in the product of the columns' bins."""
    cells = np.zeros(len(table), dtype=np.int64)
    for j, count in enumerate(bins):
        cells = cells * count + table[:, j]
    return cells


def _sums_of_cells(values: CipherArray, cells: NDArray[np.int64], count: int) -> tuple[CipherArray, NDArray[np.intp]]:
    """Return the sum in each cell that has rows, and which those are: an empty one would cost as much as another."""
    rows = np.bincount(cells, minlength=count)
    used = np.flatnonzero(rows)
    # Cells of about as many rows follow each other: those that are added side by side are then done together.
    used = used[np.argsort(rows[used], kind="stable")]
    places = np.zeros(count, dtype=np.int64)
    places[used] = np.arange(len(used))
    return values.segment_sum(places[cells], len(used)), used
