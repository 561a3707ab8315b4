"""The report of a binning: one HTML page and a text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cipherlane.report.html_parts import cards, charts, in_bytes, in_seconds, page, section, table, text
from cipherlane.report.privacy_note import showed
from cipherlane.report.run_files import ciphertexts_of, read_json
from cipherlane.report.svg import Series, lying_bars, signed_bars, standing_bars
from cipherlane.report.traffic import read_flows
from cipherlane.report.traffic_sections import crossed_section, encryption_section, learned_section

TABLES_FILE = "binning.json"
_MOST_COLUMNS = 12
_MOST_BARS = 20
_STAGES = (
    ("key", "the key pair"),
    ("bins", "cutting columns"),
    ("labels", "encrypting labels"),
    ("sums", "checking and adding labels, packing sums"),
    ("verdicts", "decryption, WoE and IV"),
)
_PHASES = (
    ("prepare", "reading data"),
    ("agree", "what each party has"),
    ("match", "matching rows by id"),
    ("key", "the key pair, and cutting the hosts' columns"),
    ("labels", "encrypting, carrying and adding labels"),
    ("verdicts", "sums by bin, their decryption, WoE and IV"),
    ("results", "telling hosts, writing results"),
)


def render_binning_page(run: Path, metrics: Mapping[str, Any], parties: str) -> str:
    """Return the HTML report of a binning, which ends with a section on the parties.

    Raises
    ------
    ValueError
        A file of the run was changed, or lacks what the report needs.
    """
    flows = read_flows(run, horizontal=False)
    columns = _columns(run)
    try:
        body = [
            _head(metrics, columns),
            _values(columns),
            _bins(columns),
            _time(metrics),
            crossed_section(metrics, flows),
            encryption_section(metrics, flows),
            learned_section(metrics, flows),
            parties,
        ]
    except (KeyError, IndexError, TypeError) as error:
        raise _changed(run, error) from None
    return page(f"Binning {metrics['plan']}", body)


def render_binning_report(run: Path, metrics: Mapping[str, Any]) -> str:
    """Return the report of a binning as Markdown."""
    columns = _columns(run)
    try:
        lines = [f"# Binning {metrics['plan']}", "", f"{metrics['rows']} rows.", ""]
        if columns is None:
            lines += ["Counts, WoE and IV lie with the guest alone.", ""]
        else:
            lines += [
                "| party | column | bins | IV | kept |",
                "|---|---|---|---|---|",
                *(
                    f"| {c['party']} | {c['column']} | {len(c['bins'])} | {c['information_value']:.6f} | "
                    f"{'yes' if c['kept'] else 'no'} |"
                    for c in columns
                ),
                "",
            ]
        totals = metrics["totals"]
        lines += [
            "## Where the time went",
            "",
            f"Binning took {totals['seconds']['binning']:.3f} s in all.",
            "",
            "| work | seconds |",
            "|---|---|",
            *(f"| {label} | {totals['seconds'][name]:.4f} |" for name, label in _PHASES),
            "",
            "## What crossed",
            "",
            f"{totals['messages']} messages, {totals['bytes']} bytes; {totals['ciphertexts']['total']} ciphertexts of "
            f"scheme {totals['ciphertexts']['scheme']} with a {totals['ciphertexts']['key_bits']}-bit key:",
            "",
            "| ciphertexts | number |",
            "|---|---|",
            *(f"| {label} | {totals['ciphertexts'][name]} |" for name, label in ciphertexts_of(metrics)),
            "",
            "## What this run showed to whom",
            "",
            *(f"- {line}" for line in showed(metrics)),
            "",
        ]
    except (KeyError, IndexError, TypeError) as error:
        raise _changed(run, error) from None
    return "\n".join(lines)


def _changed(run: Path, error: Exception) -> ValueError:
    return ValueError(f"{run}: metrics.json or {TABLES_FILE} lacks what the report needs ({error}); they were changed")


def _columns(run: Path) -> list[Mapping[str, Any]] | None:
    """Return the tables of all columns, largest information value first; None where they lie with the guest alone."""
    path = run / TABLES_FILE
    if not path.is_file():
        return None
    try:
        return sorted(read_json(path)["columns"], key=lambda column: -float(column["information_value"]))
    except (KeyError, TypeError, ValueError) as error:
        raise _changed(run, error) from None


def _head(metrics: Mapping[str, Any], columns: Sequence[Mapping[str, Any]] | None) -> str:
    totals, rules = metrics["totals"], metrics["binning"]["rules"]
    kept = "?" if columns is None else f"{sum(bool(column['kept']) for column in columns)}"
    return (
        f"<header><h1>Binning {text(metrics['plan'])}</h1><p>Method {text(rules['method'])}, at most "
        f"{text(rules['bins'])} bins, by the guest's labels; engine {text(metrics['engine'])}.</p></header>"
        + cards(
            [
                ("rows matched", f"{metrics['rows']:,}"),
                ("columns", f"{sum(party['columns'] for party in metrics['parties'].values()):,}"),
                ("columns kept", kept),
                ("binning", in_seconds(totals["seconds"]["binning"])),
                ("crossed", in_bytes(totals["bytes"])),
            ]
        )
    )


def _name(column: Mapping[str, Any]) -> str:
    return f"{column['party']}: {column['column']}"


def _values(columns: Sequence[Mapping[str, Any]] | None) -> str:
    title = "Information value of each column"
    if columns is None:
        return section(title, "<p>Counts, WoE and IV lie with the guest alone.</p>")
    shown = columns[:_MOST_BARS]
    bars = lying_bars(
        title,
        "information value",
        [_name(column) for column in shown],
        [
            Series("kept", [c["information_value"] if c["kept"] else 0.0 for c in shown]),
            Series("not kept", [0.0 if c["kept"] else c["information_value"] for c in shown]),
        ],
    )
    rows = (
        (c["party"], c["column"], len(c["bins"]), f"{c['information_value']:.6f}", "yes" if c["kept"] else "no")
        for c in columns
    )
    every = table(("party", "column", "bins", "IV", "kept"), rows, (2, 3))
    more = f"<p>The {_MOST_BARS} largest of {len(columns)} are drawn.</p>" if len(columns) > _MOST_BARS else ""
    return section(title, charts(bars), more, f"<details><summary>every column</summary>{every}</details>")


def _bins(columns: Sequence[Mapping[str, Any]] | None) -> str:
    if columns is None:
        return ""
    figures = []
    for column in columns[:_MOST_COLUMNS]:
        labels = [str(k + 1) for k in range(len(column["bins"]))]
        figures += [
            standing_bars(
                f"{_name(column)}: rows by bin",
                "bin",
                "rows",
                labels,
                [Series("events", column["events"]), Series("non-events", column["non_events"])],
            ),
            signed_bars(f"{_name(column)}: weight of evidence", "bin", "WoE", labels, column["woe"]),
        ]
    details = "".join(_table_of(column) for column in columns)
    more = f"<p>The {_MOST_COLUMNS} columns with the largest information values are drawn.</p>"
    return section(
        "Bins",
        "<p>WoE = ln((events of the bin / events) / (non-events of the bin / non-events)).</p>",
        charts(*figures),
        more if len(columns) > _MOST_COLUMNS else "",
        f"<details><summary>every bin</summary>{details}</details>",
    )


def _table_of(column: Mapping[str, Any]) -> str:
    rows = (
        (k, name, e, n, f"{w:.6f}", f"{v:.6f}")
        for k, (name, e, n, w, v) in enumerate(
            zip(column["bins"], column["events"], column["non_events"], column["woe"], column["iv"], strict=True), 1
        )
    )
    head = ("bin", "what is in it", "events", "non-events", "WoE", "IV")
    return f"<h3>{text(_name(column))}</h3>" + table(head, rows, (0, 2, 3, 4, 5))


def _time(metrics: Mapping[str, Any]) -> str:
    seconds = metrics["totals"]["seconds"]
    who = list(metrics["parties"])
    series = [Series(label, [seconds["by_role"][name].get(role, 0.0) for role in who]) for name, label in _STAGES]
    rows = [(label, f"{seconds[name]:.4f}") for name, label in _PHASES]
    return section(
        "Where the time went",
        f"<p>Binning took {in_seconds(seconds['binning'])} in all.</p>",
        charts(lying_bars("Computing time by role", "seconds", who, series)),
        f"<details><summary>every phase</summary>{table(('work', 'seconds'), rows, (1,))}</details>",
    )
