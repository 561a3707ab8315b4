"""One party of vertical federated XGBoost, in a process of its own: trains on its columns and writes what it has then.

    python party.py --rank 1 --address localhost:9091 --data host.csv --out host.json \\
        --plugin /opt/cipherlane/lib/libcipherlane_xgboost.so

Rank 0 has the labels, in the column ``y``. Without ``--plugin``, gradients go to the other party in the clear.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xgboost
from numpy.typing import NDArray

PARAMETERS = {"objective": "binary:logistic", "base_score": 0.5, "tree_method": "hist", "max_depth": 3, "max_bin": 32}
LABELS = "y"


def read(path: Path) -> tuple[list[str], NDArray[np.float32]]:
    """The names and values of all columns but the first, the row's id."""
    with open(path, newline="", encoding="utf-8") as file:
        names, *lines = csv.reader(file)
    return names[1:], np.array([line[1:] for line in lines], dtype=np.float32)


def columns_and_labels(path: Path) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """A party's table."""
    names, values = read(path)
    features = [column for column, name in enumerate(names) if name != LABELS]
    return values[:, features], values[:, names.index(LABELS)] if LABELS in names else None


class Clock(xgboost.callback.TrainingCallback):
    """Seconds of each round, and of this process's processors."""

    def __init__(self) -> None:
        self.rounds: list[dict[str, float]] = []

    def before_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        self._start = time.perf_counter(), time.process_time()
        return False

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        wall, cpu = self._start
        self.rounds.append({"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu})
        return False


def run(data: xgboost.DMatrix, rounds: int) -> dict[str, Any]:
    """Train; the trees as XGBoost writes them, the margins of all rows and the seconds of each round."""
    clock = Clock()
    model = xgboost.train(PARAMETERS, data, num_boost_round=rounds, callbacks=[clock])
    margins = model.predict(data, output_margin=True)
    return {
        "trees": json.loads(model.save_raw("json"))["learner"]["gradient_booster"]["model"]["trees"],
        "margins": [float(margin) for margin in margins],
        "seconds": clock.rounds,
    }


def run_pooled(paths: Sequence[Path], rounds: int) -> dict[str, Any]:
    """The same on the columns of all parties, in one process."""
    tables = [columns_and_labels(path) for path in paths]
    return run(xgboost.DMatrix(np.hstack([columns for columns, _ in tables]), label=tables[0][1]), rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rank", type=int, required=True)
    parser.add_argument("--parties", type=int, default=2)
    parser.add_argument("--address", required=True, help="of the federated server")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--plugin", type=Path, help="the encryption plugin")
    parser.add_argument("--settings", type=json.loads, default={}, help="the plugin's, as JSON")
    options = parser.parse_args()
    communicator: dict[str, Any] = {
        "dmlc_communicator": "federated",
        "federated_server_address": options.address,
        "federated_world_size": options.parties,
        "federated_rank": options.rank,
    }
    if options.plugin is not None:
        communicator["federated_plugin"] = {"name": "cipherlane", "path": str(options.plugin), **options.settings}
    with xgboost.collective.CommunicatorContext(**communicator):
        columns, labels = columns_and_labels(options.data)
        found = run(xgboost.DMatrix(columns, label=labels, data_split_mode=1), options.rounds)
    options.out.write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
