"""Areas, intervals, calibration and clusters as classifiers, held against scikit-learn and against hand counts."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "paper"))

from paper_data import synthetic
from paper_measures import Bootstrap, calibration
from paper_rivals import called
from paper_tables import PRINTED, Table, agrees_with_print


@pytest.mark.parametrize("folds", [1, 3])
def test_resampled_areas_are_scikit_learns(folds: int) -> None:
    rng = np.random.default_rng(1)
    labels, fold = rng.integers(0, 2, 200), rng.integers(0, folds, 200)
    # Rounded, so that there are ties; folds have scales of their own.
    first = np.round(np.clip(0.3 * labels + rng.random(200) * 0.7, 0, 1), 1) + 5 * fold
    second = rng.random(200)
    found = Bootstrap(labels, fold, {"first": first, "second": second}, 300)

    def area(rows: np.ndarray, ranks: np.ndarray) -> float:
        parts = [rows[fold[rows] == k] for k in range(folds)]
        return float(np.mean([roc_auc_score(labels[part], ranks[part]) for part in parts]))

    drawn = np.random.default_rng(0)
    areas = []
    for _ in range(300):
        rows = drawn.integers(0, 200, 200)
        areas.append([area(rows, ranks) for ranks in (first, second)])
    low, high = np.quantile(areas, [0.025, 0.975], axis=0)
    whole, difference = found.area("first"), found.difference("first", "second")
    assert whole.value == pytest.approx(area(np.arange(200), first))
    assert (whole.low, whole.high) == pytest.approx((low[0], high[0]))
    paired = np.quantile(np.subtract(*np.transpose(areas)), [0.025, 0.975])
    assert (difference.low, difference.high) == pytest.approx(tuple(paired))
    assert difference.low > 0


def test_calibration_counts_by_hand() -> None:
    found = calibration(np.array([0, 1, 1, 1]), np.array([0.01, 0.09, 0.55, 1.0]))
    assert found == [(pytest.approx(0.05), 0.5, 2), (pytest.approx(0.55), 1.0, 1), (1.0, 1.0, 1)]


def test_clusters_take_the_rates_of_their_training_rows() -> None:
    trained = np.array([[1.0, 0.0], [1.0, 0.0], [0.5, 0.5], [0.0, 1.0]])
    said = called(trained, np.array([[1.0, 0.0], [0.4, 0.6], [1.0, 1e-30]]), np.array([1, 1, 0, 0]))
    assert said.probabilities == pytest.approx([0.8, 0.32, 0.8])
    assert said.called.tolist() == [True, False, True]
    # Where probabilities cannot be told apart, ranks can.
    assert said.ranks[0] > said.ranks[2] > said.ranks[1]


def test_the_truth_of_the_synthetic_rows_is_calibrated_and_as_far_apart_as_it_says() -> None:
    data = synthetic(rows=40_000, tested=40_000, logistic_rows=100, batch=10, epochs=1)
    assert data.truth is not None
    for probability, share, rows in calibration(data.labels, data.truth):
        assert abs(probability - share) < 5 * np.sqrt(probability * (1 - probability) / rows)
    assert roc_auc_score(data.labels, data.truth) == pytest.approx(0.9452, abs=0.004)
    assert data.tested.tolist() == list(range(40_000, 80_000))


def test_one_wrong_digit_is_not_the_papers_table() -> None:
    rows = [
        (str(k), "" if c is None else f"{c:.6f}", str(e), str(n), f"{w:.6f}", f"{v:.6f}")
        for k, (c, e, n, w, v) in enumerate(PRINTED, 1)
    ]
    table = Table("table_1", "", (), rows)
    assert agrees_with_print(table)
    changed = [*rows[:4], (*rows[4][:4], "-2.811054", rows[4][5]), *rows[5:]]
    assert not agrees_with_print(dataclasses.replace(table, rows=changed))
