"""The federation's side: binning, selection, logistic regression and mixture on the rows of a fold."""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cipherlane.federation import (
    BinningRun,
    Predictions,
    Run,
    Transcript,
    bin_columns,
    bins_of,
    load_plan,
    predict_run,
    score_models,
    score_run,
    train,
)
from cipherlane.federation.run_store import JOINT_MODEL, model_file
from cipherlane.progress import ProgressPrinter

from paper_data import Dataset
from paper_measures import Said

Reals = NDArray[np.float64]
PARTIES = ("guest", "host")


@dataclass(frozen=True)
class Step:
    """What a step of the federation took, and what crossed."""

    name: str
    rows: int
    columns: int
    rounds: int
    seconds: float
    messages: int
    size: int
    ciphertexts: int | None


@dataclass(frozen=True)
class FoldResult:
    """What the federation reached on one fold.

    Attributes
    ----------
    selected
        The columns of each party that binning kept.
    predicted, logistic
        Of the logistic regression, for the rows tested on: the table that the guest has, and what it says.
    trained, rounded, exact
        Responsibilities of the mixture: of the rows it was trained on and of those tested on as the guest has them,
        and of the latter without rounding, as the arbiter can compute them.
    """

    binning: BinningRun
    selected: dict[str, tuple[str, ...]]
    predicted: Predictions
    logistic: Said
    logistic_run: Run
    mixture_run: Run
    trained: Reals
    rounded: Reals
    exact: Reals
    steps: list[Step]


@dataclass(frozen=True)
class Parties:
    """The parties of a data set, who keep their files and runs in a directory."""

    dataset: Dataset
    directory: Path
    key_bits: int
    tell: Callable[[str], None]

    def run_fold(self, number: int) -> FoldResult:
        """Bin, select, train both models on a fold's rows, and apply them to the rows it tests on."""
        training, testing = self.dataset.folds[number]
        limit = self.dataset.settings.logistic_rows
        place = self.directory / f"fold-{number + 1}"
        data = self.dataset.write(place / "test", testing)
        self.dataset.write(place / "train", training)
        self.tell("binning, WoE and IV")
        binning = bin_columns(_write(place / "bin.toml", self._binning_plan("train")), place / "bin")
        selected = selected_columns(binning)
        few = training if limit is None else training[:limit]
        self.dataset.write(place / "logistic", few)
        self.tell(f"logistic regression on {len(few):,} rows, {sum(map(len, selected.values()))} columns")
        plan = _write(place / "logistic.toml", self._logistic_plan("logistic", selected, len(few)))
        logistic = _train(plan, place / "logistic-run")
        crossed, started = Transcript(), time.perf_counter()
        predicted = predict_run(logistic.directory, data, transcript=crossed)
        width = sum(map(len, selected.values()))
        steps = [
            _step("binning, WoE and IV", binning.metrics, "binning"),
            _step("logistic regression, training", logistic.metrics, "training", width),
            _applied("logistic regression, prediction", len(testing), width, started, crossed),
        ]
        self.tell(f"mixture on {len(training):,} rows")
        mixture = _train(_write(place / "mixture.toml", self._mixture_plan("train")), place / "mixture-run")
        crossed, started = Transcript(), time.perf_counter()
        scores = score_run(mixture.directory, data, transcript=crossed)
        steps += [
            _step("mixture, training", mixture.metrics, "training"),
            _applied("mixture, scoring", len(testing), self.dataset.width, started, crossed),
        ]
        exact = score_models(model_file(mixture.directory, JOINT_MODEL), data)
        return FoldResult(
            binning=binning,
            selected=selected,
            predicted=predicted,
            logistic=_logistic_said(predicted),
            logistic_run=logistic,
            mixture_run=mixture,
            trained=_assignments(mixture.directory),
            rounded=_in_order(scores.ids, scores.responsibilities),
            exact=_in_order(exact.ids, exact.responsibilities),
            steps=steps,
        )

    def _binning_plan(self, folder: str) -> str:
        return f"""name = "{self.dataset.key}-bin"
[binning]
threshold = {self.dataset.settings.threshold}
[privacy]
tell_names = true
[encryption]
key_bits = {self.key_bits}
{_parties(folder)}"""

    def _logistic_plan(self, folder: str, selected: dict[str, tuple[str, ...]], rows: int) -> str:
        settings = self.dataset.settings
        return f"""name = "{self.dataset.key}-logistic"
[model]
algorithm = "logistic-regression"
[logistic]
learning_rate = {settings.rate}
batch_rows = {min(settings.batch, rows)}
l2 = {1 / rows!r}
positive = "1"
[training]
max_iterations = {settings.epochs}
tolerance = 0.0
checkpoint_every = 0
[encryption]
key_bits = {self.key_bits}
{_parties(folder, selected)}"""

    def _mixture_plan(self, folder: str) -> str:
        settings = self.dataset.settings
        return f"""name = "{self.dataset.key}-mixture"
[model]
components = {settings.components}
regularisation = {settings.regularisation}
[training]
max_iterations = {settings.iterations}
tolerance = {settings.tolerance}
checkpoint_every = 0
[encryption]
key_bits = {self.key_bits}
{_parties(folder)}"""


def bin_example(directory: Path, example: Path, threshold: float, key_bits: int) -> BinningRun:
    """Bin the example's whole files, as the paper's tables have them."""
    plan = f"""name = "table-1"
[binning]
threshold = {threshold}
[privacy]
tell_names = true
[encryption]
key_bits = {key_bits}
{_parties(str(example))}"""
    return bin_columns(_write(directory / "table-1.toml", plan), directory / "table-1")


def selected_columns(run: BinningRun) -> dict[str, tuple[str, ...]]:
    """Return the names of the columns each party was told to keep."""
    found = {name: tuple(column.name for column in bins_of(run.directory, name).selected) for name in PARTIES}
    for name, columns in found.items():
        if not columns:
            raise ValueError(f"{run.directory}: no column of {name!r} was kept; lower the threshold")
    return found


def _parties(folder: str, selected: dict[str, tuple[str, ...]] | None = None) -> str:
    lines = []
    for name in PARTIES:
        lines += [f"[parties.{name}]", f'data = "{folder}/{name}.csv"']
        lines += ['label_column = "y"'] if name == "guest" else []
        lines += [] if selected is None else [f"columns = {list(selected[name])!r}".replace("'", '"')]
    return "\n".join(lines) + "\n"


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def _train(plan: Path, out: Path) -> Run:
    if not sys.stderr.isatty():
        return train(plan, out)
    loaded = load_plan(plan)
    with ProgressPrinter(loaded.training.max_iterations, ["coordinator", *loaded.roles]) as printer:
        return train(loaded, out, progress=printer.show)


def _step(name: str, metrics: dict[str, Any], what: str, columns: int | None = None) -> Step:
    totals = metrics["totals"]
    return Step(
        name=name,
        rows=metrics["rows"],
        columns=sum(party["columns"] for party in metrics["parties"].values()) if columns is None else columns,
        rounds=len(metrics.get("iterations", ())),
        seconds=totals["seconds"][what],
        messages=totals["messages"],
        size=totals["bytes"],
        ciphertexts=totals["ciphertexts"]["total"],
    )


def _applied(name: str, rows: int, columns: int, started: float, crossed: Transcript) -> Step:
    seconds = time.perf_counter() - started
    return Step(name, rows, columns, 0, seconds, crossed.count, crossed.total_bytes, None)


def _logistic_said(predicted: Predictions) -> Said:
    probabilities = _in_order(predicted.ids, predicted.probabilities)
    return Said(probabilities, _in_order(predicted.ids, predicted.scores), probabilities > 0.5)


def _in_order(ids: Sequence[str], values: Reals) -> Reals:
    """Return rows by rising id, which is the order of a data set's rows."""
    return values[np.argsort(np.array(ids, dtype=np.int64))]


def _assignments(run: Path) -> Reals:
    with (run / "assignments.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.reader(stream))[1:]
    return _in_order([row[0] for row in rows], np.array([[float(cell) for cell in row[2:]] for row in rows]))
