"""The report of a run as Markdown, and all its files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cipherlane.files import write_whole
from cipherlane.report.binning_page import render_binning_report
from cipherlane.report.binning_words import is_binning
from cipherlane.report.coefficients import coefficient_lines, read_coefficients
from cipherlane.report.logistic_sections import quality_lines, result_lines
from cipherlane.report.page import render_page
from cipherlane.report.privacy_note import showed
from cipherlane.report.run_files import ciphertexts_of, is_logistic, read_json, read_metrics, times_of

REPORT_FILE = "report.md"
PAGE_FILE = "report.html"


def write_report(run: Path) -> list[Path]:
    """Write ``report.md``, ``report.html``, and plots where matplotlib is installed, into a run directory.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    ValueError
        The directory holds no metrics or no transcript of a run.
    """
    written = [run / REPORT_FILE, run / PAGE_FILE]
    for path, content in zip(written, (render_report(run), render_page(run)), strict=True):
        write_whole(path, content)
    if is_binning(read_metrics(run)):
        # Its figures are on the page.
        return written
    try:
        from cipherlane.report.plots import write_plots
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != "matplotlib":
            raise
        return written
    return [*written, *write_plots(run, read_metrics(run))]


def render_report(run: Path) -> str:
    """Return the report of the run in a directory as Markdown."""
    metrics = read_metrics(run)
    if is_binning(metrics):
        return render_binning_report(run, metrics)
    quality_file = run / "quality.json"
    quality = read_json(quality_file) if quality_file.is_file() else None
    logistic = is_logistic(metrics)
    try:
        lines = [
            f"# Run {metrics['plan']}",
            "",
            *(result_lines(metrics) if logistic else _result(metrics)),
            *((quality_lines if logistic else _quality)(quality) if quality is not None else []),
            *(coefficient_lines(read_coefficients(run, metrics["parties"])) if logistic else []),
            *_parties(metrics["parties"]),
            *_time(metrics),
            *_traffic(metrics),
            "## What this run showed to whom",
            "",
            *(f"- {line}" for line in showed(metrics)),
            "",
        ]
    except (KeyError, IndexError, TypeError) as error:
        raise ValueError(
            f"{run}: metrics.json or quality.json lacks what the report needs ({error}); the run's files were changed"
        ) from None
    return "\n".join(lines)


def _result(metrics: Mapping[str, Any]) -> list[str]:
    last = metrics["iterations"][-1]
    stop = "converged" if metrics["converged"] else "stopped at the plan's limit without converging"
    counts = ", ".join(f"{count:.2f}" for count in last["counts"])
    return [
        f"{metrics['rows']} rows, {metrics['components']} components: {stop} after "
        f"{len(metrics['iterations'])} iterations.",
        "",
        f"- mean log-likelihood a row: {metrics['log_likelihood']:.6f}",
        f"- rows in each component: {counts}",
        "",
    ]


def _quality(quality: Mapping[str, Any]) -> list[str]:
    lines = [
        "## Against the guest's labels",
        "",
        "Training never saw them.",
        "",
        f"- accuracy: {quality['accuracy']:.4f}",
        f"- adjusted Rand index: {quality['adjusted_rand_index']:.4f}",
    ]
    if "auc" in quality:
        lines.append(f"- AUC: {quality['auc']:.4f}")
    return [*lines, ""]


def _parties(parties: Mapping[str, Mapping[str, Any]]) -> list[str]:
    rows = [
        f"| {name} | {party['role']} | {party['rows']} | {party['columns']} | {party['backend']} | "
        f"{party['seconds_per_iteration']:.4f} |"
        for name, party in parties.items()
    ]
    return [
        "## Parties",
        "",
        "| party | role | rows | columns | backend | seconds an iteration, as promised |",
        "|---|---|---|---|---|---|",
        *rows,
        "",
    ]


def _time(metrics: Mapping[str, Any]) -> list[str]:
    seconds = metrics["totals"]["seconds"]
    return [
        "## Where the time went",
        "",
        f"Training took {seconds['training']:.3f} s in all.",
        "",
        "| work | seconds |",
        "|---|---|",
        *(f"| {label} | {seconds[name]:.4f} |" for name, label in times_of(metrics)),
        "",
    ]


def _traffic(metrics: Mapping[str, Any]) -> list[str]:
    totals = metrics["totals"]
    ciphertexts = totals["ciphertexts"]
    return [
        "## What crossed",
        "",
        f"{totals['messages']} messages, {totals['bytes']} bytes; {ciphertexts['total']} ciphertexts of "
        f"scheme {ciphertexts['scheme']} with a {ciphertexts['key_bits']}-bit key:",
        "",
        "| ciphertexts | number |",
        "|---|---|",
        *(f"| {label} | {ciphertexts[name]} |" for name, label in ciphertexts_of(metrics)),
        "",
    ]
