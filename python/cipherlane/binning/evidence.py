"""Weight of evidence and information value of bins, from their counts of events and non-events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

STYLES = ("standard", "paper")
Counts = NDArray[np.int64]
Reals = NDArray[np.float64]


def weight_of_evidence(events: ArrayLike, non_events: ArrayLike) -> Reals:
    """Return WoE_k = ln((event_k / events) / (non_event_k / non_events)) of each bin.

    Where either count of a bin is 0, 0.5 is added to both of that bin; the totals stay as they are. FATE 1.x and
    SecretFlow do the same.

    Parameters
    ----------
    events, non_events : array_like of int, shape (bins,)

    Returns
    -------
    ndarray of float64, shape (bins,)

    Raises
    ------
    ValueError
        The shapes differ, a count is negative or no whole number, or one of the totals is 0.

    Examples
    --------
    >>> weight_of_evidence([57, 300], [0, 212]).round(6)
    array([ 4.223783, -0.173953])
    """
    event_rates, non_event_rates = _rates(events, non_events)
    return np.log(event_rates / non_event_rates)


def information_values(events: ArrayLike, non_events: ArrayLike) -> Reals:
    """Return each bin's part of the information value, (event rate - non-event rate) · WoE_k; its sum is the IV.

    The rates are those of `weight_of_evidence`, with its rule for counts of 0.

    Examples
    --------
    >>> information_values([57, 300], [0, 212]).round(6)
    array([0.670339, 0.027774])
    """
    event_rates, non_event_rates = _rates(events, non_events)
    parts: Reals = (event_rates - non_event_rates) * np.log(event_rates / non_event_rates)
    return parts


def _rates(events: ArrayLike, non_events: ArrayLike) -> tuple[Reals, Reals]:
    first, second = checked_counts(events, "events"), checked_counts(non_events, "non_events")
    if first.shape != second.shape:
        raise ValueError(f"non_events: expected {len(first)} counts as in events, got {len(second)}")
    for name, counts in (("events", first), ("non_events", second)):
        if counts.sum() == 0:
            raise ValueError(f"{name}: there are none in any bin; labels of both classes are needed")
    add = 0.5 * ((first == 0) | (second == 0))
    return (first + add) / first.sum(), (second + add) / second.sum()


def checked_counts(counts: ArrayLike, name: str) -> Counts:
    """Return counts as int64 of shape (bins,), or raise `ValueError`."""
    array = np.asarray(counts)
    whole = array.dtype.kind in "iu" or (array.dtype.kind == "f" and bool(np.all(array == np.floor(array))))
    if array.ndim != 1 or not array.size or not whole or (array < 0).any():
        raise ValueError(f"{name}: expected a row of counts, whole numbers of at least 0, got {counts!r:.60}")
    return array.astype(np.int64)


@dataclass(frozen=True)
class BinTable:
    """The bins of a column with their counts, weight of evidence and information value.

    Attributes
    ----------
    column
        The column's name.
    names
        One name a bin.
    events, non_events
        int64, shape (bins,).

    Examples
    --------
    >>> table = BinTable("age", ("(-inf, 40.0]", "(40.0, inf)"), np.array([30, 70]), np.array([60, 40]))
    >>> round(table.information_value, 6), table.woe.round(3)
    (0.375829, array([-0.693,  0.56 ]))
    """

    column: str
    names: tuple[str, ...]
    events: Counts
    non_events: Counts

    @property
    def woe(self) -> Reals:
        """Weight of evidence of each bin, float64 of shape (bins,)."""
        return weight_of_evidence(self.events, self.non_events)

    @property
    def iv(self) -> Reals:
        """Each bin's part of the information value, float64 of shape (bins,)."""
        return information_values(self.events, self.non_events)

    @property
    def information_value(self) -> float:
        """The information value over all bins."""
        return float(self.iv.sum())

    def rows(self, style: str = "standard") -> list[tuple[str, int, int, float, float]]:
        """Return (name, events, non-events, WoE, IV of the bin) of each bin.

        Parameters
        ----------
        style
            "standard", or "paper": the sign of WoE is that of ln(non-event rate / event rate).
        """
        if style not in STYLES:
            raise ValueError(f"style: expected one of {', '.join(map(repr, STYLES))}, got {style!r}")
        sign = -1.0 if style == "paper" else 1.0
        columns: Sequence[Sequence[float]] = (
            self.events.tolist(),
            self.non_events.tolist(),
            (sign * self.woe).tolist(),
            self.iv.tolist(),
        )
        return [(name, int(e), int(n), w, v) for name, e, n, w, v in zip(self.names, *columns, strict=True)]
