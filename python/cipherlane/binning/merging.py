"""Which neighbouring bins to merge: small ones by their rows, and others by their counts of events.

A merge is an int64 array of shape (bins,): the number of the merged bin that each bin goes into, from 0, never falling.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cipherlane.binning.evidence import Counts, checked_counts
from cipherlane.binning.rules import BinningRules

Merge = NDArray[np.int64]


def merge_small(rows: ArrayLike, least_rows: int) -> Merge:
    """Return the merge after which every bin has at least `least_rows` rows, if there are as many.

    The smallest bin below that, the first of equals, goes to the smaller of its neighbours, the lower of equals; and
    so on until none is left.

    Examples
    --------
    >>> merge_small([9, 1, 4, 8], 5).tolist()
    [0, 1, 1, 2]
    """
    sizes = checked_counts(rows, "rows").tolist()
    members = [[i] for i in range(len(sizes))]
    while len(sizes) > 1 and min(sizes) < least_rows:
        at = sizes.index(min(sizes))
        upper = at == 0 or (at + 1 < len(sizes) and sizes[at + 1] < sizes[at - 1])
        _join(at if upper else at - 1, sizes, members)
    return _merge_of(members)


def chi_merge(
    events: ArrayLike, non_events: ArrayLike, *, most_bins: int = 10, significance: float = 0.05, least_rows: int = 1
) -> Merge:
    """Return the merge that ChiMerge (Kerber, AAAI 1992) makes of neighbouring bins.

    The two neighbours with the least chi² = Σ (observed - expected)² / expected of their 2 x 2 table, the first of
    equals, are merged while that is below the quantile of chi² with one degree of freedom at 1 - `significance`, or
    there are more than `most_bins`; then bins with fewer than `least_rows` rows.

    Examples
    --------
    >>> chi_merge([10, 11, 40, 41], [40, 39, 10, 9], most_bins=4).tolist()
    [0, 0, 1, 1]
    """
    e, n = _both(events, non_events)
    limit = NormalDist().inv_cdf(1 - significance / 2) ** 2
    ones, others = e.tolist(), n.tolist()
    members = [[i] for i in range(len(ones))]
    chi = [chi_squared(ones[i], others[i], ones[i + 1], others[i + 1]) for i in range(len(ones) - 1)]
    while chi and (min(chi) < limit or len(ones) > most_bins):
        at = chi.index(min(chi))
        ones[at] += ones.pop(at + 1)
        others[at] += others.pop(at + 1)
        members[at] += members.pop(at + 1)
        chi.pop(at)
        for pair in (at - 1, at):
            if 0 <= pair < len(chi):
                chi[pair] = chi_squared(ones[pair], others[pair], ones[pair + 1], others[pair + 1])
    merge = _merge_of(members)
    return merge_small(np.bincount(merge, weights=e + n), least_rows)[merge]


def chi_squared(a: int, b: int, c: int, d: int) -> float:
    """Return chi² = (ad - bc)² (a+b+c+d) / ((a+b)(c+d)(a+c)(b+d)) of a 2 x 2 table, 0 where a margin is 0.

    Examples
    --------
    >>> chi_squared(10, 20, 20, 10)
    6.666666666666667
    """
    margins = (a + b) * (c + d) * (a + c) * (b + d)
    return (a * d - b * c) ** 2 * (a + b + c + d) / margins if margins else 0.0


def optimal_merge(
    events: ArrayLike, non_events: ArrayLike, *, most_bins: int = 10, trend: str = "auto", least_rows: int = 1
) -> Merge:
    """Return the merge of neighbouring bins with the largest information value, found by dynamic programming.

    Among merges into at most `most_bins` bins, each of at least `least_rows` rows and with both classes in it, whose
    event rates follow `trend`: never falling ("increasing"), never rising ("decreasing"), the better of the two
    ("auto"), or any ("none"). Of equals the one with fewest bins. One bin where there is no other.

    With f(k, i, j) the largest IV of bins 0..j-1 in k merged bins of which i..j-1 is the last,
    f(k, i, j) = iv(i, j) + max over h < i with rates in order of f(k - 1, h, i).

    Examples
    --------
    >>> optimal_merge([1, 3, 2, 8, 7], [9, 7, 8, 2, 3], most_bins=3).tolist()
    [0, 1, 1, 2, 2]
    """
    e, n = _both(events, non_events)
    directions = {"auto": (1, -1), "increasing": (1,), "decreasing": (-1,), "none": (0,)}
    if trend not in directions:
        raise ValueError(f"trend: expected one of {', '.join(map(repr, directions))}, got {trend!r}")
    found = [_best(e, n, most_bins, direction, least_rows) for direction in directions[trend]]
    return max(found, key=lambda pair: pair[0])[1]


def _best(e: Counts, n: Counts, most_bins: int, direction: int, least_rows: int) -> tuple[float, Merge]:
    """Return the largest information value in one direction of event rates, and its merge."""
    count = len(e)
    ones, others = _spans(e), _spans(n)
    allowed = (ones > 0) & (others > 0) & (ones + others >= least_rows)
    iv = np.full(ones.shape, -np.inf)
    one_rate, other_rate = ones[allowed] / max(e.sum(), 1), others[allowed] / max(n.sum(), 1)
    iv[allowed] = (one_rate - other_rate) * np.log(one_rate / other_rate)
    rates = np.where(allowed, ones / np.maximum(ones + others, 1), 0.0)
    # In order: the rate of (h, i) before that of (i, j), with indices [h, i, j].
    before, after = rates[:, :, np.newaxis], rates[np.newaxis, :, :]
    in_order = np.ones((count + 1,) * 3, dtype=bool) if direction == 0 else direction * (after - before) >= 0
    values = np.full(iv.shape, -np.inf)
    values[0] = iv[0]
    best, kept = float(values[0, count]), [(values, np.zeros(iv.shape, dtype=np.int64))]
    best_at = 0
    for k in range(1, min(most_bins, count)):
        candidates = np.where(in_order, values[:, :, np.newaxis], -np.inf)
        chosen = candidates.argmax(axis=0)
        values = iv + np.take_along_axis(candidates, chosen[np.newaxis], axis=0)[0]
        kept.append((values, chosen))
        largest = float(values[:, count].max())
        if largest > best + 1e-12:
            best, best_at = largest, k
    if best == -np.inf:
        return best, np.zeros(count, dtype=np.int64)
    merge = np.zeros(count, dtype=np.int64)
    end, start = count, int(kept[best_at][0][:, count].argmax())
    for k in range(best_at, -1, -1):
        merge[start:end] = k
        start, end = int(kept[k][1][start, end]), start
    return best, merge


def _spans(counts: Counts) -> NDArray[np.int64]:
    """Return the sums of counts over i..j-1, shape (bins + 1, bins + 1); 0 where j <= i."""
    sums = np.concatenate([[0], np.cumsum(counts)])
    spans: NDArray[np.int64] = np.triu(sums[np.newaxis, :] - sums[:, np.newaxis])
    return spans


def merge_by_label(events: ArrayLike, non_events: ArrayLike, rules: BinningRules) -> Merge:
    """Return the merge that the rules' method makes of neighbouring bins: none for "quantile" and "width"."""
    if rules.method == "chi-merge":
        return chi_merge(
            events,
            non_events,
            most_bins=rules.bins,
            significance=rules.significance,
            least_rows=rules.least_rows,
        )
    if rules.method == "optimal":
        return optimal_merge(events, non_events, most_bins=rules.bins, trend=rules.trend, least_rows=rules.least_rows)
    return np.arange(len(checked_counts(events, "events")), dtype=np.int64)


def merge_pure(events: ArrayLike, non_events: ArrayLike, least: int) -> Merge:
    """Return the merge after which every bin has at least `least` rows of each class, if there are as many.

    As in `merge_small`, by the lesser of the two counts.
    """
    e, n = (counts.tolist() for counts in _both(events, non_events))
    members = [[i] for i in range(len(e))]
    while len(e) > 1:
        lesser = [min(pair) for pair in zip(e, n, strict=True)]
        if min(lesser) >= least:
            break
        at = lesser.index(min(lesser))
        upper = at == 0 or (at + 1 < len(e) and lesser[at + 1] < lesser[at - 1])
        left = at if upper else at - 1
        n[left] += n.pop(left + 1)
        _join(left, e, members)
    return _merge_of(members)


def merged(counts: ArrayLike, merge: Merge) -> Counts:
    """Return the counts of merged bins."""
    return np.bincount(merge, weights=np.asarray(counts), minlength=int(merge.max()) + 1).astype(np.int64)


def check_merge(merge: NDArray[np.int64], bins: int) -> Merge:
    """Return `merge` if it is one of `bins` bins, else raise `ValueError`."""
    steps = np.diff(merge)
    if merge.shape != (bins,) or merge[0] != 0 or not ((steps == 0) | (steps == 1)).all():
        raise ValueError(f"merge: expected {bins} numbers from 0 that rise by at most 1, got shape {merge.shape}")
    return merge


def _both(events: ArrayLike, non_events: ArrayLike) -> tuple[Counts, Counts]:
    e, n = checked_counts(events, "events"), checked_counts(non_events, "non_events")
    if e.shape != n.shape:
        raise ValueError(f"non_events: expected {len(e)} counts as in events, got {len(n)}")
    return e, n


def _join(left: int, sizes: list[int], members: list[list[int]]) -> None:
    sizes[left] += sizes.pop(left + 1)
    members[left] += members.pop(left + 1)


def _merge_of(members: list[list[int]]) -> Merge:
    return np.repeat(np.arange(len(members), dtype=np.int64), [len(group) for group in members])
