"""Plots of a run, as PNG files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from cipherlane.files import told
from cipherlane.report.run_files import is_logistic

_WORK = (("em", "EM"), ("encrypt", "encrypt"), ("add", "add"), ("decrypt", "decrypt"), ("e_step", "E-step"))
_LOGISTIC_WORK = (("em", "residuals and gradients"), ("encrypt", "encrypt and mask"), ("decrypt", "decrypt"))


def write_plots(run: Path, metrics: Mapping[str, Any]) -> list[Path]:
    """Write ``log_likelihood.png`` (or ``loss.png``) and ``seconds.png`` into the run directory; return their paths."""
    records = metrics["iterations"]
    rounds = [record["round"] for record in records]
    logistic = is_logistic(metrics)
    word, work = ("epoch", _LOGISTIC_WORK) if logistic else ("iteration", _WORK)
    what, sign = ("Mean loss", -1) if logistic else ("Log-likelihood", 1)
    unit = "mean cross-entropy a row (nats)" if logistic else "mean log-likelihood a row (nats)"
    likelihood, axes = _figure(f"{what} by {word}", word, unit)
    axes.plot(rounds, [sign * record["log_likelihood"] for record in records], marker="o", markersize=3)
    time, axes = _figure(f"Computing time by {word}, all roles", word, "seconds")
    axes.stackplot(
        rounds,
        *([_seconds(record, name) for record in records] for name, _ in work),
        labels=[label for _, label in work],
    )
    axes.legend(loc="upper right")
    paths = [run / ("loss.png" if logistic else "log_likelihood.png"), run / "seconds.png"]
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
