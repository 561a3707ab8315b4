"""Plots of a run, as PNG files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from cipherlane.files import told

_WORK = (("em", "EM"), ("encrypt", "encrypt"), ("add", "add"), ("decrypt", "decrypt"), ("e_step", "E-step"))


def write_plots(run: Path, metrics: Mapping[str, Any]) -> list[Path]:
    """Write ``log_likelihood.png`` and ``seconds.png`` into the run directory and return their paths."""
    records = metrics["iterations"]
    rounds = [record["round"] for record in records]
    likelihood, axes = _figure("Log-likelihood by iteration", "iteration", "mean log-likelihood a row (nats)")
    axes.plot(rounds, [record["log_likelihood"] for record in records], marker="o", markersize=3)
    time, axes = _figure("Computing time by iteration, all roles", "iteration", "seconds")
    axes.stackplot(
        rounds,
        *([_seconds(record, name) for record in records] for name, _ in _WORK),
        labels=[label for _, label in _WORK],
    )
    axes.legend(loc="upper right")
    paths = [run / "log_likelihood.png", run / "seconds.png"]
    for path, figure in zip(paths, (likelihood, time), strict=True):
        with told(path):
            figure.savefig(path)
    return paths


def _figure(title: str, x_label: str, y_label: str) -> tuple[Figure, Any]:
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_title(title)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    return figure, axes


def _seconds(record: Mapping[str, Any], name: str) -> float:
    spent = record["seconds"][name]
    return float(sum(spent.values()) if isinstance(spent, dict) else spent)
