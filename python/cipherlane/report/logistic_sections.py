"""What the report of a logistic regression says of its result: loss by epoch, and how it agrees with the labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cipherlane.report.html_parts import charts, facts, section, table
from cipherlane.report.svg import line_chart

_LABELS_USED = "Training used them, but for rows held out."


def result_lines(metrics: Mapping[str, Any]) -> list[str]:
    """Return the result as lines of Markdown."""
    stop = "stopped by itself" if metrics["converged"] else "stopped at the plan's limit without converging"
    return [
        f"{metrics['rows']} rows, logistic regression: {stop} after {len(metrics['iterations'])} epochs.",
        "",
        f"- mean loss a row (cross-entropy, nats), before the last epoch's steps: {-metrics['log_likelihood']:.6f}",
        "",
    ]


def quality_lines(quality: Mapping[str, Any]) -> list[str]:
    """Return how the result agrees with the guest's labels, as lines of Markdown."""
    return [
        "## Against the guest's labels",
        "",
        _LABELS_USED,
        "",
        *(f"- {name}: {value}" for name, value in _figures(quality)),
        "",
    ]


def loss_section(metrics: Mapping[str, Any]) -> str:
    """Return how the loss went."""
    records = metrics["iterations"]
    chart = line_chart(
        "Loss by epoch",
        "epoch",
        "cross-entropy a row (nats)",
        [record["round"] for record in records],
        [-record["log_likelihood"] for record in records],
    )
    rows = (
        (
            record["round"],
            f"{-record['log_likelihood']:.6f}",
            f"{record['seconds']['validation_loss']:.6f}" if "validation_loss" in record["seconds"] else "",
            f"{record['seconds']['total']:.3f}",
        )
        for record in records
    )
    head = ("epoch", "mean loss", "of validation rows", "seconds")
    details = f"<details><summary>every epoch</summary>{table(head, rows, range(4))}</details>"
    return section("Convergence", charts(chart), details)


def prediction_section(quality: Mapping[str, Any] | None) -> str:
    """Return how the guest's predictions agree with its labels, without a row or an id."""
    if quality is None:
        return section("The predictions", "<p>Predictions lie with the guest alone.</p>")
    labels = quality["labels"]
    counts = table(
        ["label", *(f"predicted {label}" for label in labels)],
        [[label, *row] for label, row in zip(labels, quality["counts"], strict=True)],
        range(1, len(labels) + 1),
    )
    curve = line_chart(
        "Receiver operating characteristic",
        "false positives (% of negatives)",
        "true positives (% of positives)",
        range(101),
        [100 * rate for rate in _true_rates(quality["roc"])],
        least=0.0,
    )
    return section("The predictions", f"<p>{_LABELS_USED}</p>", facts(_figures(quality)), charts(curve), counts)


def _figures(quality: Mapping[str, Any]) -> list[tuple[str, object]]:
    figures: list[tuple[str, object]] = [
        ("accuracy", f"{quality['accuracy']:.4f}"),
        ("AUC", f"{quality['auc']:.4f}"),
        ("cross-entropy", f"{quality['log_loss']:.4f}"),
    ]
    if "validation" in quality:
        held_out = quality["validation"]
        figures += [
            (f"accuracy on {held_out['rows']} rows held out", f"{held_out['accuracy']:.4f}"),
            ("AUC on them", f"{held_out['auc']:.4f}"),
        ]
    return figures


def _true_rates(points: Sequence[Sequence[float]]) -> list[float]:
    """Return the best true positive rate at a false positive rate of at most 0, 1, ... 100 percent."""
    return [max((high for low, high in points if low <= percent / 100), default=0.0) for percent in range(101)]
