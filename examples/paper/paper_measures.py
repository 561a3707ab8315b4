"""How good probabilities are: area under the curve with bootstrap intervals, curves, calibration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score, brier_score_loss, log_loss, roc_curve

Reals = NDArray[np.float64]
Labels = NDArray[np.int64]
_CURVE_POINTS = 200
_CALIBRATION_BINS = 10
# A probability of 0 or 1, which rounded responsibilities give, would make the cross-entropy infinite.
_LEAST = 1e-6


@dataclass(frozen=True)
class Interval:
    """A number and the interval that holds it in 95 % of the resamples."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Measures:
    """What is said of one model's probabilities on rows it was not trained on."""

    auc: Interval
    accuracy: float
    log_loss: float
    brier: float
    rand: float


@dataclass(frozen=True)
class Said:
    """What a model says of rows it was not trained on.

    Attributes
    ----------
    probabilities
        Of the event, float64 of shape (n,).
    ranks
        What orders rows by how likely the event is: log-odds, which tell rows apart where probabilities are 0 or 1 to
        the last digit of a float64.
    called
        Whether a row is called an event.
    """

    probabilities: Reals
    ranks: Reals
    called: NDArray[np.bool_]


class Bootstrap:
    """Areas under the curve of many models on the same resampled rows.

    Rows are drawn with replacement, the same for all models, so that differences are paired. Models of different folds
    need not have one scale: only rows of the same fold are held against each other, and the folds' areas averaged.

    Parameters
    ----------
    labels
        0 or 1 a row.
    folds
        The number of each row's fold.
    ranks
        By model: what orders the rows.
    resamples
        How many.
    """

    def __init__(self, labels: Labels, folds: Labels, ranks: Mapping[str, Reals], resamples: int) -> None:
        areas = {name: _Areas(labels, folds, values) for name, values in ranks.items()}
        self._values = {name: area.of(np.ones(len(labels))) for name, area in areas.items()}
        self._drawn: dict[str, list[float]] = {name: [] for name in ranks}
        for counts in _counts(len(labels), resamples):
            for name, area in areas.items():
                self._drawn[name].append(area.of(counts))

    def area(self, name: str) -> Interval:
        """Return a model's area under the curve."""
        return Interval(self._values[name], *_ends(np.array(self._drawn[name])))

    def difference(self, name: str, other: str) -> Interval:
        """Return by how much a model's area exceeds another's."""
        drawn = np.array(self._drawn[name]) - np.array(self._drawn[other])
        return Interval(self._values[name] - self._values[other], *_ends(drawn))


def measure(labels: Labels, said: Said, area: Interval) -> Measures:
    """Return what is told of a model."""
    kept = np.clip(said.probabilities, _LEAST, 1 - _LEAST)
    return Measures(
        auc=area,
        accuracy=float((said.called == labels).mean()),
        log_loss=float(log_loss(labels, kept)),
        brier=float(brier_score_loss(labels, said.probabilities)),
        rand=float(adjusted_rand_score(labels, said.called)),
    )


def roc_points(labels: Labels, folds: Labels, ranks: Reals) -> tuple[Reals, Reals]:
    """Return false positive rates and the folds' mean true positive rates."""
    false_rates = np.linspace(0.0, 1.0, _CURVE_POINTS)
    curves = []
    for fold in np.unique(folds):
        xs, ys, _ = roc_curve(labels[folds == fold], ranks[folds == fold])
        curves.append(np.interp(false_rates, xs, ys))
    true_rates: Reals = np.mean(curves, axis=0)
    return np.append(0.0, false_rates), np.append(0.0, true_rates)


def calibration(labels: Labels, probabilities: Reals) -> list[tuple[float, float, int]]:
    """Return mean probability, share of events and rows, for ten bins of equal width that hold any rows."""
    index = np.minimum((probabilities * _CALIBRATION_BINS).astype(np.intp), _CALIBRATION_BINS - 1)
    found = []
    for k in range(_CALIBRATION_BINS):
        chosen = index == k
        if chosen.any():
            found.append((float(probabilities[chosen].mean()), float(labels[chosen].mean()), int(chosen.sum())))
    return found


def _counts(rows: int, resamples: int) -> Iterator[NDArray[np.int64]]:
    rng = np.random.default_rng(0)
    for _ in range(resamples):
        yield np.bincount(rng.integers(0, rows, rows), minlength=rows)


class _Areas:
    """The mean of the folds' areas under a model's curve, for rows that count so many times each."""

    def __init__(self, labels: Labels, folds: Labels, ranks: Reals) -> None:
        order = np.lexsort((ranks, folds))
        new = np.append(True, (np.diff(folds[order]) != 0) | (np.diff(ranks[order]) != 0))
        self._labels = labels
        self._places = np.empty(len(labels), dtype=np.intp)
        # Rows of a fold that rank alike have one place; places rise with the rank, fold by fold.
        self._places[order] = np.cumsum(new) - 1
        self._starts = np.flatnonzero(np.append(True, np.diff(folds[order][new]) != 0))

    def of(self, counts: NDArray[Any]) -> float:
        """Return the share of pairs of the same fold in which the event ranks higher, ties counted half."""
        events = np.bincount(self._places, counts * self._labels)
        others = np.bincount(self._places, counts * (1 - self._labels))
        higher = np.add.reduceat(events * (np.cumsum(others) - others / 2), self._starts)
        all_events, all_others = np.add.reduceat(events, self._starts), np.add.reduceat(others, self._starts)
        earlier = np.cumsum(all_others) - all_others
        return float(((higher / all_events - earlier) / all_others).mean())


def _ends(drawn: Reals) -> tuple[float, float]:
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)
