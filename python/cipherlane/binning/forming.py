"""Forming the bins of a column from its values alone, without labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cipherlane.binning.bins import CategoryBins, NumericBins, checked_cuts
from cipherlane.binning.merging import merge_small
from cipherlane.binning.rules import BinningRules


def numeric_bins(
    values: NDArray[Any],
    rules: BinningRules | None = None,
    *,
    cuts: Sequence[float] | None = None,
    column: str = "column",
) -> NumericBins:
    """Return the bins of a column of numbers, before labels are looked at.

    Equal cuts are one cut, so a column with ties, or with fewer rows than bins, has fewer bins; a column of one value
    has one. Bins with fewer rows than `least_rows` are merged into neighbours. Missing values (NaN) get a bin of
    their own, or, where they or the others are fewer than `least_rows`, share the bin with most rows.

    Parameters
    ----------
    values : ndarray of float, shape (n,)
    rules : BinningRules, optional
    cuts : sequence of float, optional
        Cuts to use in place of those that the method makes.
    column : str
        The column's name, for errors.

    Raises
    ------
    ValueError
        There are no values, one is infinite, or one is missing and the rules refuse that.

    Examples
    --------
    >>> numeric_bins(np.arange(20.0), BinningRules(bins=4)).cuts
    (4.0, 9.0, 14.0)
    >>> numeric_bins(np.arange(20.0), BinningRules(bins=4, method="width")).cuts
    (4.75, 9.5, 14.25)
    """
    rules = rules or BinningRules()
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.ndim != 1 or not numbers.size:
        raise ValueError(f"{column}: expected a column of numbers, got shape {numbers.shape}")
    absent = np.isnan(numbers)
    present = np.sort(numbers[~absent])
    if not present.size:
        raise ValueError(f"{column}: has no value in any row; leave it out")
    if not np.isfinite(present[[0, -1]]).all():
        raise ValueError(f"{column}: expected finite numbers, got an infinite one")
    if absent.any() and rules.missing == "error":
        raise ValueError(
            f"{column}: row {int(np.argmax(absent)) + 1}: the value is missing ({int(absent.sum())} such rows); "
            'fill it in, or set missing = "bin"'
        )
    if cuts is not None:
        bins = NumericBins(checked_cuts(cuts, column))
    elif rules.method == "width":
        bins = NumericBins(width_cuts(present, rules.first_bins))
    else:
        bins = NumericBins(quantile_cuts(present, rules.first_bins))
    sizes = np.bincount(bins.index(present), minlength=bins.count)
    bins = bins.merged(merge_small(sizes, rules.least_rows))
    if not absent.any():
        return bins
    if min(absent.sum(), present.size) >= rules.least_rows:
        return NumericBins(bins.cuts, bins.ordered)
    return NumericBins(bins.cuts, int(np.argmax(np.bincount(bins.index(present), minlength=bins.count))))


def quantile_cuts(ordered: NDArray[np.float64], bins: int) -> tuple[float, ...]:
    """Return cut k = sorted(x)[ceil(k n / bins) - 1] for k = 1..bins - 1, each once, below the largest value.

    The cuts are those of ``numpy.quantile(x, k / bins, method="inverted_cdf")``, without its rounding of k n / bins.

    Examples
    --------
    >>> quantile_cuts(np.array([1.0, 1.0, 2.0, 3.0]), 4)
    (1.0, 2.0)
    """
    count = len(ordered)
    places = [-(-k * count // bins) - 1 for k in range(1, bins)]
    cuts = np.unique(ordered[places])
    return tuple(cuts[cuts < ordered[-1]].tolist())


def width_cuts(ordered: NDArray[np.float64], bins: int) -> tuple[float, ...]:
    """Return cut k = low + (high - low) k / bins for k = 1..bins - 1; none where all values are equal."""
    low, high = float(ordered[0]), float(ordered[-1])
    cuts = np.unique(np.linspace(low, high, bins + 1)[1:-1])
    return tuple(cuts[(cuts >= low) & (cuts < high)].tolist())


def category_bins(values: Sequence[str], rules: BinningRules | None = None, *, column: str = "column") -> CategoryBins:
    """Return the bins of a column of categories.

    Every category is a bin. Rare ones share a bin, "other": those with fewer than `least_rows` rows, those beyond the
    `bins` most frequent (of equals, the first in alphabetical order), and, until that bin has `least_rows` rows, the
    next rarest. Missing values (empty texts) get a bin of their own, or, where they are fewer than `least_rows`,
    share the bin with most rows.

    Parameters
    ----------
    values : sequence of str
    rules : BinningRules, optional
    column : str
        The column's name, for errors.

    Raises
    ------
    ValueError
        There are no values, or one is missing and the rules refuse that.

    Examples
    --------
    >>> bins = category_bins(["a"] * 7 + ["b"] * 6 + ["c"] * 2 + ["d"] * 3, BinningRules())
    >>> bins.categories, bins.rare
    (('a', 'b'), ('c', 'd'))
    """
    rules = rules or BinningRules()
    counts = Counter(values)
    absent = counts.pop("", 0)
    if not counts:
        raise ValueError(f"{column}: has no value in any row; leave it out")
    if absent and rules.missing == "error":
        row = next(i for i, value in enumerate(values, start=1) if not value)
        raise ValueError(
            f'{column}: row {row}: the value is missing ({absent} such rows); fill it in, or set missing = "bin"'
        )
    by_rows = sorted(counts, key=lambda name: (-counts[name], name))
    kept = sum(counts[name] >= rules.least_rows for name in by_rows[: rules.bins])
    while 0 < kept < len(by_rows) and sum(counts[name] for name in by_rows[kept:]) < rules.least_rows:
        kept -= 1
    own, rare = sorted(by_rows[:kept]), sorted(by_rows[kept:])
    sizes = [counts[name] for name in own] + ([sum(counts[name] for name in rare)] if rare else [])
    missing = None
    if absent:
        missing = len(sizes) if min(absent, *sizes) >= rules.least_rows else int(np.argmax(sizes))
    with_missing = sizes + ([absent] if missing == len(sizes) else [])
    return CategoryBins(tuple(own), tuple(rare), missing, int(np.argmax(with_missing)), rules.unseen)
