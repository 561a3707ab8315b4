"""The bins of one column and their table, and which labels are events."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cipherlane.binning.bins import ColumnBins
from cipherlane.binning.evidence import BinTable
from cipherlane.binning.forming import category_bins, numeric_bins
from cipherlane.binning.merging import merge_by_label
from cipherlane.binning.rules import BinningRules
from cipherlane.binning.values import Column, as_numbers, as_texts, is_missing


def bin_column(
    name: str,
    values: Column,
    labels: NDArray[np.bool_],
    rules: BinningRules,
    *,
    is_category: bool = False,
    cuts: Sequence[float] | None = None,
) -> tuple[ColumnBins, BinTable]:
    """Return the bins of one column and their table, given which rows are events."""
    bins: ColumnBins
    if is_category:
        texts = as_texts(values)
        bins = category_bins(texts, rules, column=name)
        index = bins.index(texts, name)
    else:
        numbers = as_numbers(values, name)
        bins = numeric_bins(numbers, rules, cuts=cuts, column=name)
        index = bins.index(numbers, name)
        if cuts is None:
            merge = merge_by_label(*_counts(index, labels, bins.count, bins.ordered), rules)
            bins = bins.merged(merge)
            index = bins.index(numbers, name)
    events, non_events = _counts(index, labels, bins.count, bins.count)
    return bins, BinTable(name, bins.names, events, non_events)


def _counts(
    index: NDArray[np.int64], labels: NDArray[np.bool_], bins: int, shown: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    events = np.bincount(index[labels], minlength=bins)
    return events[:shown], (np.bincount(index, minlength=bins) - events)[:shown]


def binary_labels(y: ArrayLike, event: object = 1) -> NDArray[np.bool_]:
    """Return which labels are the event.

    Raises
    ------
    ValueError
        The labels are not exactly two different ones, none of them missing, or none of the two is `event`.

    Examples
    --------
    >>> binary_labels(["sick", "well"], "sick").tolist()
    [True, False]
    """
    labels = np.asarray(y)
    if labels.ndim != 1:
        raise ValueError(f"labels: expected one a row, got shape {labels.shape}")
    if any(map(is_missing, labels)) if labels.dtype.kind == "O" else (labels != labels).any():
        raise ValueError("labels: one is missing; label every row")
    different = sorted(set(labels.tolist()), key=str)
    if len(different) == 1:
        raise ValueError(f"labels: every row has the label {different[0]!r}; both classes are needed")
    if len(different) != 2:
        raise ValueError(f"labels: expected two different ones, got {len(different)}: {different[:5]}")
    if event not in different:
        raise ValueError(f"labels: expected the event {event!r} as one of the two, got {different}; name it as `event`")
    found: NDArray[np.bool_] = labels == event
    return found
