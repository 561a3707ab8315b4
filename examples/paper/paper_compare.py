"""One data set through all of it: the federation and its rivals on every fold, and what comes of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from paper_data import Dataset
from paper_measures import Bootstrap, Interval, Measures, Said, measure
from paper_parties import FoldResult, Parties
from paper_rivals import called, logistic_rivals, mixture_rivals

LOGISTIC, MIXTURE = "logistic regression", "mixture"
FEDERATED = "federated"
ROUNDED = "federated, two decimals"
TRUTH = "the truth itself"
# What the federation of each kind is held against: the same model of pooled columns.
POOLED = {LOGISTIC: "pooled columns", MIXTURE: "pooled, block-diagonal, same start"}
WITHIN = 0.01


@dataclass(frozen=True)
class Comparison:
    """What was reached on a data set.

    Attributes
    ----------
    labels, folds
        Of the rows tested on: the label, and the number of the fold that tests it.
    said
        By kind of model, then by name: what it says of those rows.
    measures
        The same keys.
    differences
        By kind, then by name: by how much the federation's area under the curve exceeds that one's.
    first
        The first fold's runs.
    """

    dataset: Dataset
    labels: NDArray[np.int64]
    folds: NDArray[np.int64]
    said: dict[str, dict[str, Said]]
    measures: dict[str, dict[str, Measures]]
    differences: dict[str, dict[str, Interval]]
    first: FoldResult

    def holds(self, kind: str) -> bool:
        """Return whether the federation's area is at most `WITHIN` below that of the pooled model."""
        return self.differences[kind][POOLED[kind]].value >= -WITHIN

    def same_class(self, kind: str) -> float:
        """Return the share of rows that the federation and the pooled model call the same."""
        name = ROUNDED if kind == MIXTURE else FEDERATED
        return float((self.said[kind][name].called == self.said[kind][POOLED[kind]].called).mean())


def compare(
    dataset: Dataset, directory: Path, key_bits: int, resamples: int, tell: Callable[[str], None]
) -> Comparison:
    """Run the federation and its rivals on every fold, and measure both on the same rows."""
    rows = dataset.tested
    said: dict[str, dict[str, Said]] = {LOGISTIC: {}, MIXTURE: {}}
    folds = np.zeros(len(rows), dtype=np.int64)
    first: FoldResult | None = None
    for number, (training, testing) in enumerate(dataset.folds):
        fold = f", fold {number + 1} of {len(dataset.folds)}" if len(dataset.folds) > 1 else ""

        def told(what: str, fold: str = fold) -> None:
            tell(f"{dataset.title}{fold}: {what}")

        result = Parties(dataset, directory / dataset.key, key_bits, told).run_fold(number)
        first = first or result
        told("what it is compared with")
        labels = dataset.labels[training]
        logistic = {FEDERATED: result.logistic}
        mixture = {
            FEDERATED: called(result.trained, result.exact, labels),
            ROUNDED: called(result.trained, result.rounded, labels),
        }
        logistic |= logistic_rivals(dataset, number, result.selected)
        mixture |= mixture_rivals(dataset, number)
        if dataset.truth is not None:
            truth = dataset.truth[testing]
            logistic[TRUTH] = mixture[TRUTH] = Said(truth, np.log(truth) - np.log1p(-truth), truth > 0.5)
        places = np.searchsorted(rows, testing)
        folds[places] = number
        for kind, found in ((LOGISTIC, logistic), (MIXTURE, mixture)):
            for name, one in found.items():
                whole = said[kind].setdefault(name, _nothing(len(rows)))
                whole.probabilities[places], whole.ranks[places] = one.probabilities, one.ranks
                whole.called[places] = one.called
    if first is None:
        raise ValueError(f"{dataset.key}: no fold to run")
    return _measured(dataset, dataset.labels[rows], folds, said, first, resamples)


def _nothing(rows: int) -> Said:
    return Said(np.full(rows, np.nan), np.full(rows, np.nan), np.zeros(rows, dtype=np.bool_))


def _measured(
    dataset: Dataset,
    labels: NDArray[np.int64],
    folds: NDArray[np.int64],
    said: dict[str, dict[str, Said]],
    first: FoldResult,
    resamples: int,
) -> Comparison:
    measures, differences = {}, {}
    for kind, found in said.items():
        drawn = Bootstrap(labels, folds, {name: one.ranks for name, one in found.items()}, resamples)
        measures[kind] = {name: measure(labels, one, drawn.area(name)) for name, one in found.items()}
        differences[kind] = {name: drawn.difference(FEDERATED, name) for name in found if name != FEDERATED}
    return Comparison(dataset, labels, folds, said, measures, differences, first)
