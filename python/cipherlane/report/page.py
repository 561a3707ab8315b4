"""The report of a run as one HTML page that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cipherlane.report.binning_page import render_binning_page
from cipherlane.report.binning_words import is_binning
from cipherlane.report.clustering import read_clusterings
from cipherlane.report.coefficients import coefficient_section, read_coefficients
from cipherlane.report.html_parts import cards, facts, in_bytes, in_seconds, notes, page, section, table, text, verdict
from cipherlane.report.ledger_note import LEDGER_FILE, LedgerNote, ledger_note
from cipherlane.report.logistic_sections import loss_section, prediction_section
from cipherlane.report.result_sections import clustering_section, convergence_section, time_section
from cipherlane.report.run_files import (
    is_horizontal,
    is_logistic,
    read_json,
    read_metrics,
    read_qualities,
    result_owners,
)
from cipherlane.report.traffic import read_flows
from cipherlane.report.traffic_sections import crossed_section, encryption_section, learned_section


def render_page(run: Path) -> str:
    """Return the HTML report of the run in a directory.

    Raises
    ------
    ValueError
        A file of the run is not there, was changed, or lacks what the report needs.
    """
    metrics = read_metrics(run)
    if is_binning(metrics):
        return render_binning_page(run, metrics, _parties(metrics["parties"]))
    flows = read_flows(run, horizontal=is_horizontal(metrics))
    ledger = run / LEDGER_FILE
    note = ledger_note(read_json(ledger), ledger) if ledger.is_file() else None
    try:
        body = [
            _head(metrics),
            *_found(run, metrics),
            time_section(metrics),
            crossed_section(metrics, flows),
            encryption_section(metrics, flows),
            learned_section(metrics, flows),
            _ledger(note),
            _parties(metrics["parties"]),
        ]
    except (KeyError, IndexError, TypeError) as error:
        raise ValueError(
            f"{run}: metrics.json or quality.json lacks what the report needs ({error}); the run's files were changed"
        ) from None
    return page(f"Run {metrics['plan']}", body)


def _found(run: Path, metrics: Mapping[str, Any]) -> list[str]:
    owners = result_owners(metrics)
    qualities = read_qualities(run, owners)
    if is_logistic(metrics):
        (guest,) = owners
        coefficients = read_coefficients(run, metrics["parties"])
        return [loss_section(metrics), prediction_section(qualities.get(guest)), coefficient_section(coefficients)]
    return [convergence_section(metrics), clustering_section(metrics, read_clusterings(run, owners), qualities)]


def _head(metrics: Mapping[str, Any]) -> str:
    logistic = is_logistic(metrics)
    model, rounds = ("logistic regression", "epochs") if logistic else ("Gaussian mixture", "iterations")
    stop = "converged" if metrics["converged"] else "stopped at the plan's limit without converging"
    totals = metrics["totals"]
    divided = f"{'rows' if is_horizontal(metrics) else 'columns'} divided between {len(metrics['parties'])} parties"
    return (
        f"<header><h1>Run {text(metrics['plan'])}</h1><p>Federated {model}, {divided}, engine "
        f"{text(metrics['engine'])}: {stop} after {len(metrics['iterations'])} {rounds}.</p></header>"
        + cards(
            [
                ("rows of all parties" if is_horizontal(metrics) else "rows matched", f"{metrics['rows']:,}"),
                ("classes" if logistic else "components", f"{metrics['components']}"),
                (rounds, f"{len(metrics['iterations'])}"),
                ("mean log-likelihood a row", f"{metrics['log_likelihood']:.4f}"),
                ("training", in_seconds(totals["seconds"]["training"])),
                ("crossed", in_bytes(totals["bytes"])),
            ]
        )
    )


def _ledger(note: LedgerNote | None) -> str:
    if note is None:
        return section("Ledger", "<p>This run kept no ledger: nothing but this directory vouches for it.</p>")
    pairs: list[tuple[str, object]] = [
        ("engine", note.engine),
        ("chain", note.chain),
        ("contract", note.contract),
        ("head", f"{note.head}, block {note.height:,}"),
        ("commits of this run", f"{note.commits:,}"),
    ]
    if note.audit is None:
        pairs.append(("audit", "none yet; run cipherlane audit on the run directory"))
        return section("Ledger", facts(pairs))
    words = "everything holds" if note.audit.passed else "something does not hold"
    pairs.append(("audit", verdict(note.audit.passed, f"{words}: {note.audit.checked:,} checks, {note.audit.when}")))
    return section("Ledger", facts(pairs), notes(note.audit.problems) if note.audit.problems else "")


def _parties(parties: Mapping[str, Mapping[str, Any]]) -> str:
    rows = (
        (
            name,
            party["role"],
            f"{party['rows']:,}",
            party["columns"],
            party["backend"],
            party["threads"],
            ", ".join(f"{library} {version}" for library, version in party["software"].items()),
            "" if party["seconds_per_iteration"] is None else f"{party['seconds_per_iteration']:.4f}",
        )
        for name, party in parties.items()
    )
    head = ("party", "role", "rows", "columns", "backend", "threads", "software", "promised seconds an iteration")
    return section("Parties", table(head, rows, (2, 3, 5, 7), texts=True))
