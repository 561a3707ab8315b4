"""On real records, a federated logistic regression predicts as well as scikit-learn's on pooled columns."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

from cipherlane.federation import predict_run, train
from cipherlane.vertical.logistic_settings import LogisticSettings
from cipherlane.vertical.separable_logistic import SeparableLogistic

EXAMPLE = Path(__file__).parents[2] / "examples" / "breast_cancer"
PLAN = """
[model]
algorithm = "logistic-regression"
[logistic]
l2 = 0.0022
[training]
max_iterations = 40
tolerance = 0.0
checkpoint_every = 0
[encryption]
key_bits = 1024
[parties.guest]
data = "guest.csv"
label_column = "y"
[parties.host]
data = "host.csv"
"""


def test_predictions_of_rows_held_out_are_as_good_as_those_of_pooled_columns(tmp_path: Path) -> None:
    rows, data = {}, {}
    for name in ("guest", "host"):
        with (EXAMPLE / f"{name}.csv").open(newline="") as stream:
            rows[name] = sorted(csv.DictReader(stream), key=lambda row: row["id"])
    labels = np.array([int(row["y"]) for row in rows["guest"]])
    pooled = np.array(
        [
            [float(v) for row in pair for name, v in row.items() if name not in ("id", "y")]
            for pair in zip(rows["guest"], rows["host"], strict=True)
        ]
    )
    trained, held_out = next(StratifiedKFold(5, shuffle=True, random_state=0).split(pooled, labels))
    for name, own in rows.items():
        for path, chosen in ((tmp_path / f"{name}.csv", trained), (tmp_path / f"new-{name}.csv", held_out)):
            with path.open("w", newline="") as stream:
                writer = csv.DictWriter(stream, list(own[0]))
                writer.writeheader()
                writer.writerows(own[i] for i in chosen)
        data[name] = tmp_path / f"new-{name}.csv"
    path = tmp_path / "plan.toml"
    path.write_text(PLAN)
    run = train(path, tmp_path / "run")
    quality = predict_run(run.directory, data).quality()
    assert quality is not None
    peer = LogisticRegression(max_iter=1000).fit(pooled[trained], labels[trained])
    assert quality["auc"] >= roc_auc_score(labels[held_out], peer.decision_function(pooled[held_out])) - 0.002
    assert quality["rows"] == len(held_out)


def _scores(
    tables: list[np.ndarray], labels: np.ndarray, trained: np.ndarray, held_out: np.ndarray, epochs: tuple[int, ...]
) -> list[np.ndarray]:
    """Return scores of rows held out after each of `epochs` of the optimiser on plain numbers."""
    kernel = SeparableLogistic(LogisticSettings().terms, LogisticSettings().reach)
    scaled = [(table - table[trained].mean(axis=0)) / table[trained].std(axis=0) for table in tables]
    scaled[0] = np.column_stack([scaled[0], np.ones(len(labels))])
    weights, found = [np.zeros(table.shape[1]) for table in scaled], []
    for epoch in range(1, max(epochs) + 1):
        a, b = (table[trained] @ w for table, w in zip(scaled, weights, strict=True))
        factors, constants = kernel.residual_factors(a)
        residuals = constants + (factors * kernel.features(b)).sum(axis=1) - labels[trained]
        for table, w in zip(scaled, weights, strict=True):
            decay = np.append(np.full(10, 0.0022), 0.0) if len(w) == 11 else 0.0022
            w -= table[trained].T @ residuals / len(trained) + decay * w
        if epoch in epochs:
            found.append(sum(table[held_out] @ w for table, w in zip(scaled, weights, strict=True)))
    return found


def test_each_fold_holds_and_more_epochs_do_not_spoil_it() -> None:
    """In fold 3, 100 epochs were too few, and a reach of 6 too short: scores there are far beyond it."""
    tables = []
    for name in ("guest", "host"):
        rows = np.loadtxt(EXAMPLE / f"{name}.csv", delimiter=",", skiprows=1)
        tables.append(rows[np.argsort(rows[:, 0].astype(int).astype(str))][:, 1:])
    labels, tables[0] = tables[0][:, 0], tables[0][:, 1:]
    pooled = np.hstack(tables)
    for trained, held_out in StratifiedKFold(5, shuffle=True, random_state=0).split(pooled, labels):
        peer = LogisticRegression(max_iter=1000).fit(pooled[trained], labels[trained])
        expected = roc_auc_score(labels[held_out], peer.decision_function(pooled[held_out]))
        for scores in _scores(tables, labels, trained, held_out, (200, 500)):
            assert roc_auc_score(labels[held_out], scores) >= expected - 0.001
