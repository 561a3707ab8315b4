"""One data set through all of it: the federation and its rivals on every fold, and what comes of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from paper_data import Dataset
from paper_measures import Bootstrap, Interval, Measures, measure
from paper_parties import FoldResult, Parties
from paper_rivals import Said, called, logistic_rivals, mixture_rivals

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
    labels
        Of the rows tested on.
    said
        By kind of model, then by name: probabilities of the event and called classes of those rows.
    measures
        The same keys.
    differences
        By kind, then by name: by how much the federation's area under the curve exceeds that one's.
    first
        The first fold's runs.
    """

    dataset: Dataset
    labels: NDArray[np.int64]
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
        return float((self.said[kind][name][1] == self.said[kind][POOLED[kind]][1]).mean())


def compare(
    dataset: Dataset, directory: Path, key_bits: int, resamples: int, tell: Callable[[str], None]
) -> Comparison:
    """Run the federation and its rivals on every fold, and measure both on the same rows."""
    rows = dataset.tested
    said: dict[str, dict[str, Said]] = {LOGISTIC: {}, MIXTURE: {}}
    first: FoldResult | None = None
    for number, (training, testing) in enumerate(dataset.folds):
        fold = f", fold {number + 1} of {len(dataset.folds)}" if len(dataset.folds) > 1 else ""

        def told(what: str, fold: str = fold) -> None:
            tell(f"{dataset.title}{fold}: {what}")

        result = Parties(dataset, directory / dataset.key, key_bits, told).run_fold(number)
        first = first or result
        told("what it is compared with")
        labels = dataset.labels[training]
        logistic = {FEDERATED: (result.logistic, result.logistic > 0.5)}
        mixture = {
            FEDERATED: called(result.trained, result.exact, labels),
            ROUNDED: called(result.trained, result.rounded, labels),
        }
        logistic |= logistic_rivals(dataset, number, result.selected)
        mixture |= mixture_rivals(dataset, number)
        if dataset.truth is not None:
            truth = dataset.truth[testing]
            logistic[TRUTH] = mixture[TRUTH] = (truth, truth > 0.5)
        places = np.searchsorted(rows, testing)
        for kind, found in ((LOGISTIC, logistic), (MIXTURE, mixture)):
            for name, (probabilities, classes) in found.items():
                whole = said[kind].setdefault(name, (np.full(len(rows), np.nan), np.zeros(len(rows), dtype=np.bool_)))
                whole[0][places], whole[1][places] = probabilities, classes
    if first is None:
        raise ValueError(f"{dataset.key}: no fold to run")
    return _measured(dataset, dataset.labels[rows], said, first, resamples)


def _measured(
    dataset: Dataset,
    labels: NDArray[np.int64],
    said: dict[str, dict[str, Said]],
    first: FoldResult,
    resamples: int,
) -> Comparison:
    measures, differences = {}, {}
    for kind, found in said.items():
        drawn = Bootstrap(labels, {name: probabilities for name, (probabilities, _) in found.items()}, resamples)
        measures[kind] = {name: measure(labels, *both, drawn.area(name)) for name, both in found.items()}
        differences[kind] = {name: drawn.difference(FEDERATED, name) for name in found if name != FEDERATED}
    return Comparison(dataset, labels, said, measures, differences, first)
