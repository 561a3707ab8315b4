"""How good probabilities are: area under the curve with bootstrap intervals, curves, calibration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score, brier_score_loss, log_loss, roc_auc_score, roc_curve

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


class Bootstrap:
    """Areas under the curve of many models on the same resampled rows.

    The rows are drawn with replacement, the same for all models, so that differences are paired.
    """

    def __init__(self, labels: Labels, probabilities: Mapping[str, Reals], resamples: int) -> None:
        self._values = {name: float(roc_auc_score(labels, p)) for name, p in probabilities.items()}
        places = {name: np.unique(p, return_inverse=True)[1] for name, p in probabilities.items()}
        self._drawn: dict[str, list[float]] = {name: [] for name in probabilities}
        for counts in _counts(len(labels), resamples):
            events, others = counts * labels, counts * (1 - labels)
            for name, place in places.items():
                self._drawn[name].append(_area(np.bincount(place, events), np.bincount(place, others)))

    def area(self, name: str) -> Interval:
        """Return a model's area under the curve."""
        return Interval(self._values[name], *_ends(np.array(self._drawn[name])))

    def difference(self, name: str, other: str) -> Interval:
        """Return by how much a model's area exceeds another's."""
        drawn = np.array(self._drawn[name]) - np.array(self._drawn[other])
        return Interval(self._values[name] - self._values[other], *_ends(drawn))


def measure(labels: Labels, probabilities: Reals, called: NDArray[np.bool_], area: Interval) -> Measures:
    """Return what is said of probabilities of the event, and of the class that the model calls."""
    kept = np.clip(probabilities, _LEAST, 1 - _LEAST)
    return Measures(
        auc=area,
        accuracy=float((called == labels).mean()),
        log_loss=float(log_loss(labels, kept)),
        brier=float(brier_score_loss(labels, probabilities)),
        rand=float(adjusted_rand_score(labels, called)),
    )


def roc_points(labels: Labels, probabilities: Reals) -> tuple[Reals, Reals]:
    """Return false and true positive rates, of a few hundred thresholds at most."""
    false_rates, true_rates, _ = roc_curve(labels, probabilities)
    shown = np.unique(np.linspace(0, len(false_rates) - 1, _CURVE_POINTS).astype(np.intp))
    return false_rates[shown], true_rates[shown]


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


def _area(events: Reals, others: Reals) -> float:
    """Return the share of pairs in which the event stands higher, ties counted half, from counts by rising value."""
    below = np.cumsum(others) - others
    return float((events * (below + others / 2)).sum() / (events.sum() * others.sum()))


def _ends(drawn: Reals) -> tuple[float, float]:
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)
