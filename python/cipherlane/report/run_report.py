"""The report of a run, from the files in its directory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cipherlane.report.privacy_note import privacy_note

REPORT_FILE = "report.md"
_TIMES = (
    ("em", "parameters and log-densities (parties)"),
    ("encrypt", "encryption (parties)"),
    ("add", "checking, adding and re-randomising ciphertexts (coordinator)"),
    ("decrypt", "checking and decryption (arbiter)"),
    ("e_step", "responsibilities (arbiter)"),
    ("relay", "packing and carrying messages"),
    ("key", "making and giving out the key pair"),
    ("start", "initial responsibilities (guest)"),
    ("parameters", "parameters to the arbiter, encrypted"),
    ("checkpoints", "checkpoints"),
    ("results", "models, assignments, comparison with labels"),
    ("other", "everything else"),
)
_CIPHERTEXTS = (
    ("scores_from_parties", "log-density differences, party to coordinator"),
    ("sums_to_arbiter", "their sums, coordinator to arbiter"),
    ("parameters_from_parties", "parameters, party to coordinator"),
    ("parameters_to_arbiter", "parameters, coordinator to arbiter"),
)


def write_report(run: Path) -> list[Path]:
    """Write ``report.md``, and plots where matplotlib is installed, into a run directory.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    ValueError
        The directory holds no metrics of a run.
    """
    page = run / REPORT_FILE
    page.write_text(render_report(run), encoding="utf-8")
    try:
        from cipherlane.report.plots import write_plots
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != "matplotlib":
            raise
        return [page]
    return [page, *write_plots(run, read_metrics(run))]


def read_json(path: Path) -> dict[str, Any]:
    """Return the content of one of a run's JSON files.

    Raises
    ------
    ValueError
        It is not a JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not valid JSON ({error}); the run's files were changed") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected a JSON object, got {type(content).__name__}; the run's files were changed")
    return content


def read_metrics(run: Path) -> dict[str, Any]:
    """Return the metrics of a run.

    Raises
    ------
    ValueError
        There are none, or they are not of this format.
    """
    path = run / "metrics.json"
    if not path.is_file():
        raise ValueError(f"{run}: not a finished run (it has no metrics.json); give what `train` printed")
    metrics = read_json(path)
    if metrics.get("format") != 2:
        raise ValueError(f"{path}: format {metrics.get('format')!r} is not one this software reads")
    return metrics


def render_report(run: Path) -> str:
    """Return the report of the run in a directory as Markdown."""
    metrics = read_metrics(run)
    quality_file = run / "quality.json"
    quality = read_json(quality_file) if quality_file.is_file() else None
    try:
        lines = [
            f"# Run {metrics['plan']}",
            "",
            *_result(metrics),
            *(_quality(quality) if quality is not None else []),
            *_parties(metrics["parties"]),
            *_time(metrics),
            *_traffic(metrics["totals"]),
            "## What this run showed to whom",
            "",
            *(f"- {line}" for line in privacy_note(metrics["privacy"], metrics["rows"])),
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
        *(f"| {label} | {seconds[name]:.4f} |" for name, label in _TIMES),
        "",
    ]


def _traffic(totals: Mapping[str, Any]) -> list[str]:
    ciphertexts = totals["ciphertexts"]
    return [
        "## What crossed",
        "",
        f"{totals['messages']} messages, {totals['bytes']} bytes; {ciphertexts['total']} ciphertexts of "
        f"scheme {ciphertexts['scheme']} with a {ciphertexts['key_bits']}-bit key:",
        "",
        "| ciphertexts | number |",
        "|---|---|",
        *(f"| {label} | {ciphertexts[name]} |" for name, label in _CIPHERTEXTS),
        "",
    ]
