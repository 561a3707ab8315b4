"""An epoch of federated logistic regression on the breast cancer example, and how well it predicts.

569 rows, ten columns at the guest and twenty at the host; all roles run in this process, in turn, with every message
serialised, sealed and checked as between institutions. The coefficients are compared with those of the same optimiser
on plain numbers before anything is timed. An epoch is the whole of it: encryption, residuals, gradients, decryption,
and the loss.

    python bench/logistic.py --json bench/results/logistic.json

With --folds, five-fold cross-validation instead: the federation trains on four fifths and predicts the fifth through
encrypted sums; scikit-learn's LogisticRegression trains on the same rows with the columns pooled.

    python bench/logistic.py --folds --repeats 2
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold
from timing import environment

from cipherlane.federation import Progress, predict_run, train
from cipherlane.federation.logistic_models import load_logistic_model
from cipherlane.vertical.separable_logistic import SeparableLogistic

EXAMPLE = Path(__file__).parents[1] / "examples" / "breast_cancer"
PARTIES = ("guest", "host")
RATE, PENALTY = 1.0, 0.0022
TARGET_SECONDS = 0.4
TARGET_AUC = -0.002
WITHIN = 1e-4


def read(name: str) -> list[dict[str, str]]:
    with (EXAMPLE / f"{name}.csv").open(newline="", encoding="utf-8") as stream:
        return sorted(csv.DictReader(stream), key=lambda row: row["id"])


def write(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def numbers(rows: list[dict[str, str]]) -> np.ndarray:
    return np.array([[float(value) for name, value in row.items() if name not in ("id", "y")] for row in rows])


def plan(directory: Path, epochs: int, key_bits: int) -> Path:
    path = directory / "plan.toml"
    path.write_text(
        f"""
[model]
algorithm = "logistic-regression"
[logistic]
learning_rate = {RATE}
l2 = {PENALTY}
[training]
max_iterations = {epochs}
tolerance = 0.0
checkpoint_every = 0
[encryption]
key_bits = {key_bits}
[parties.guest]
data = "guest.csv"
label_column = "y"
[parties.host]
data = "host.csv"
"""
    )
    return path


def plain(tables: list[np.ndarray], labels: np.ndarray, epochs: int) -> list[np.ndarray]:
    """The same optimiser in float64: the intercept ends the guest's coefficients."""
    kernel = SeparableLogistic()
    scaled = [(table - table.mean(axis=0)) / table.std(axis=0) for table in tables]
    guest, host = np.zeros(scaled[0].shape[1]), np.zeros(scaled[1].shape[1])
    intercept = 0.0
    for _ in range(epochs):
        factors, constants = kernel.residual_factors(scaled[0] @ guest + intercept)
        residuals = constants + (factors * kernel.features(scaled[1] @ host)).sum(axis=1) - labels
        guest = guest - RATE * (scaled[0].T @ residuals / len(labels) + PENALTY * guest)
        host = host - RATE * (scaled[1].T @ residuals / len(labels) + PENALTY * host)
        intercept -= RATE * residuals.mean()
    return [np.append(guest, intercept), host]


def verify(run: Path, epochs: int) -> float:
    """The largest difference of a coefficient from the plain run's, or an error."""
    rows = {name: read(name) for name in PARTIES}
    labels = np.array([float(row["y"]) for row in rows["guest"]])
    expected = plain([numbers(rows[name]) for name in PARTIES], labels, epochs)
    models = [load_logistic_model(run / "models" / f"{name}.npz") for name in PARTIES]
    found = [np.append(models[0].coefficients, models[0].intercept), models[1].coefficients]
    error = max(float(np.abs(a - b).max()) for a, b in zip(found, expected, strict=True))
    if not error <= WITHIN:
        raise AssertionError(f"coefficients differ by {error}: nothing is timed")
    return error


def time_epochs(epochs: int, key_bits: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as directory:
        for name in PARTIES:
            write(Path(directory) / f"{name}.csv", read(name))
        verified = train(plan(Path(directory), 3, key_bits), Path(directory) / "verified")
        error = verify(verified.directory, 3)
        cpu: list[float] = []

        def note(event: Progress) -> None:
            if event.record is not None:
                cpu.append(time.process_time())

        run = train(plan(Path(directory), epochs + 1, key_bits), Path(directory) / "timed", progress=note)
        verify(run.directory, epochs + 1)
    # The first epoch fills the key's tables.
    records = run.metrics["iterations"][1:]
    wall = [record["seconds"]["total"] for record in records]
    work = [later - earlier for earlier, later in itertools.pairwise(cpu)]
    return {
        "largest_difference": error,
        "epochs": epochs,
        "key_bits": key_bits,
        "seconds": {"median": statistics.median(wall), "low": min(wall), "high": max(wall)},
        "cpu_seconds": {"median": statistics.median(work), "low": min(work), "high": max(work)},
        "bytes_an_epoch": run.metrics["totals"]["bytes"] // (epochs + 1),
    }


def fold_auc(directory: Path, rows: dict[str, list[dict[str, str]]], kept: np.ndarray, key_bits: int) -> float:
    """Train on the rows kept, and return the AUC on the others."""
    directory.mkdir()
    data = {}
    for name in PARTIES:
        write(directory / f"{name}.csv", [row for row, keep in zip(rows[name], kept, strict=True) if keep])
        data[name] = directory / f"test-{name}.csv"
        write(data[name], [row for row, keep in zip(rows[name], kept, strict=True) if not keep])
    run = train(plan(directory, EPOCHS, key_bits), directory / "run")
    quality = predict_run(run.directory, data).quality()
    if quality is None:
        raise AssertionError("the rows held out have one class only")
    return float(quality["auc"])


# At this learning rate fewer end before the optimum, and one fold in five tells.
EPOCHS = 200


def cross_validate(repeats: int, key_bits: int) -> dict[str, Any]:
    rows = {name: read(name) for name in PARTIES}
    labels = np.array([int(row["y"]) for row in rows["guest"]])
    pooled = np.hstack([numbers(rows[name]) for name in PARTIES])
    ours, peers = [], []
    with tempfile.TemporaryDirectory() as directory:
        for repeat in range(repeats):
            folds = StratifiedKFold(5, shuffle=True, random_state=repeat).split(pooled, labels)
            for number, (trained, held_out) in enumerate(folds):
                peer = LogisticRegression(max_iter=1000).fit(pooled[trained], labels[trained])
                peers.append(float(roc_auc_score(labels[held_out], peer.decision_function(pooled[held_out]))))
                kept = np.isin(np.arange(len(labels)), trained)
                ours.append(fold_auc(Path(directory) / f"{repeat}-{number}", rows, kept, key_bits))
                print(f"repeat {repeat}, fold {number}: {ours[-1]:.4f}, scikit-learn {peers[-1]:.4f}", flush=True)
    differences = [a - b for a, b in zip(ours, peers, strict=True)]
    return {
        "auc": {"mean": statistics.mean(ours), "deviation": statistics.stdev(ours)},
        "scikit_learn_auc": {"mean": statistics.mean(peers), "deviation": statistics.stdev(peers)},
        "difference": {"mean": statistics.mean(differences), "low": min(differences), "high": max(differences)},
        "folds": len(ours),
        "epochs": EPOCHS,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=10, help="epochs timed (default: 10)")
    parser.add_argument("--key-bits", type=int, default=2048)
    parser.add_argument("--folds", action="store_true", help="cross-validate instead of timing")
    parser.add_argument("--repeats", type=int, default=1, help="of cross-validation, each with other folds")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    print(f"{environment()['processor']}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    if arguments.folds:
        found = cross_validate(arguments.repeats, arguments.key_bits)
        print(
            f"AUC {found['auc']['mean']:.4f} (deviation {found['auc']['deviation']:.4f}), scikit-learn "
            f"{found['scikit_learn_auc']['mean']:.4f} ({found['scikit_learn_auc']['deviation']:.4f}); difference "
            f"{found['difference']['mean']:+.4f} ({found['difference']['low']:+.4f} to "
            f"{found['difference']['high']:+.4f}), target: at least {TARGET_AUC}"
        )
    else:
        found = time_epochs(arguments.epochs, arguments.key_bits)
        wall, work = found["seconds"], found["cpu_seconds"]
        print(f"verified: coefficients differ from a plain run's by at most {found['largest_difference']:.1e}")
        print(
            f"one epoch: {wall['median']:.3f} s ({wall['low']:.3f} to {wall['high']:.3f}), target: below "
            f"{TARGET_SECONDS} s on two quiet cores; {work['median']:.3f} s ({work['low']:.3f} to {work['high']:.3f}) "
            f"of processor time; {found['bytes_an_epoch'] / 1e6:.2f} MB crossed"
        )
    if arguments.json:
        content = {"environment": environment() | {"load": f"{os.getloadavg()[0]:.1f}"}, **found}
        arguments.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
