"""The sections of the page on what a run computed and how long that took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cipherlane.report.clustering import BINS, Clustering
from cipherlane.report.html_parts import (
    charts,
    facts,
    in_seconds,
    section,
    table,
    text,
)
from cipherlane.report.run_files import is_horizontal, is_logistic, times_of
from cipherlane.report.svg import Series, line_chart, lying_bars, standing_bars

_COORDINATOR = "coordinator"
_ARBITER = "arbiter"
_WORK = (
    ("em", "EM: parameters and log-densities"),
    ("encrypt", "encryption"),
    ("add", "adding ciphertexts"),
    ("decrypt", "decryption"),
    ("e_step", "EM: responsibilities"),
    ("relay", "packing and carrying"),
)
_HORIZONTAL_WORK = {"em": "EM: responsibilities and sums", "e_step": "EM: parameters"}
_LOGISTIC_WORK = {
    "em": "scores, residuals and gradients on ciphertexts",
    "encrypt": "encryption and masking",
    "decrypt": "decryption of masked numbers",
    "relay": "packing and carrying",
}
_CARRYING = "(between them)"
_MOST_BARS = 40
# As many as there are colours, less one for the others.
_MOST_COMPONENTS = 6


def convergence_section(metrics: Mapping[str, Any]) -> str:
    """Return how the log-likelihood and the components went."""
    records = metrics["iterations"]
    rounds = [record["round"] for record in records]
    likelihood = line_chart(
        "Log-likelihood by iteration",
        "iteration",
        "nats a row, mean",
        rounds,
        [record["log_likelihood"] for record in records],
    )
    groups = grouped(len(records))
    sizes = standing_bars(
        "Component sizes by iteration",
        "iteration",
        "sum of responsibilities",
        [str(rounds[group.start]) for group in groups],
        _component_series([records[group.start]["counts"] for group in groups]),
    )
    rows = (
        (
            record["round"],
            f"{record['log_likelihood']:.6f}",
            "" if record["change"] is None else f"{record['change']:+.6f}",
            f"{record['seconds']['total']:.3f}",
        )
        for record in records
    )
    head = ("iteration", "mean log-likelihood", "change", "seconds")
    details = f"<details><summary>every iteration</summary>{table(head, rows, range(4))}</details>"
    return section("Convergence", charts(likelihood, sizes), details)


def _component_series(counts: Sequence[Sequence[float]]) -> list[Series]:
    """Return one series a component; where they are many, all but the largest share one."""
    order = sorted(range(len(counts[-1])), key=lambda k: -counts[-1][k])
    shown = sorted(order[:_MOST_COMPONENTS])
    series = [Series(f"component {k}", [row[k] for row in counts]) for k in shown]
    if len(order) > len(shown):
        series.append(Series("the others", [sum(row) - sum(row[k] for k in shown) for row in counts]))
    return series


def clustering_section(
    metrics: Mapping[str, Any], found: Mapping[str, Clustering], qualities: Mapping[str, Mapping[str, Any]]
) -> str:
    """Return how many rows each component has, how sure that is, and how it agrees with labels, if there are any.

    Parameters
    ----------
    metrics
        Of the run.
    found, qualities
        What came out for rows, and how that agrees with labels, by the party whose they are.
    """
    horizontal = is_horizontal(metrics)
    if not found:
        owner = "each party" if horizontal else "the guest"
        return section("The clustering", f"<p>Assignments lie with {owner} alone.</p>")
    several = len(found) > 1
    components = range(max(len(clustering.sizes) for clustering in found.values()))
    sizes = standing_bars(
        "Rows by likeliest component",
        "component",
        "rows",
        [str(k) for k in components],
        [Series(name, clustering.sizes) for name, clustering in found.items()],
        legend=several,
    )
    certainty = standing_bars(
        "How sure the model is of a row",
        "largest responsibility of the row",
        "rows",
        [f"{i / BINS:.1f}–{(i + 1) / BINS:.1f}" if i % 2 else "" for i in range(BINS)],
        [Series(name, clustering.certainty) for name, clustering in found.items()],
        legend=several,
    )
    parts = [charts(sizes, certainty)]
    decimals = int(metrics["privacy"]["responsibility_decimals"])
    if horizontal and len(found) < len(metrics["parties"]):
        parts.append(f"<p>Drawn are the rows of {text(', '.join(found))}: the others' assignments lie with them.</p>")
    if not horizontal and decimals >= 0:
        parts.append(f"<p>Responsibilities are rounded to {decimals} decimals, so most stand at 0 or 1.</p>")
    parts += [_quality(name if horizontal else "the guest", quality) for name, quality in qualities.items()]
    return section("The clustering", *parts)


def _quality(owner: str, quality: Mapping[str, Any]) -> str:
    pairs = [
        ("accuracy", f"{quality['accuracy']:.4f}"),
        ("adjusted Rand index", f"{quality['adjusted_rand_index']:.4f}"),
    ]
    if "auc" in quality:
        pairs.append(("AUC", f"{quality['auc']:.4f}"))
    labels = quality["labels"]
    counts = table(
        ["component", *(f"label {label}" for label in labels)],
        [[k, *row] for k, row in enumerate(quality["counts"])],
        range(len(labels) + 1),
    )
    return f"<p><b>Against {text(owner)}'s labels</b>, which training never saw:</p>{facts(pairs)}{counts}"


def time_section(metrics: Mapping[str, Any]) -> str:
    """Return how long each role and each phase took."""
    records, seconds = metrics["iterations"], metrics["totals"]["seconds"]
    parties = list(metrics["parties"])
    who = [*parties, _COORDINATOR, _ARBITER, _CARRYING]
    # A logistic regression has no other phases than these.
    others = _HORIZONTAL_WORK if is_horizontal(metrics) else {}
    named = tuple(_LOGISTIC_WORK.items()) if is_logistic(metrics) else _WORK
    work = [(name, others.get(name, label)) for name, label in named]
    word = "epoch" if is_logistic(metrics) else "iteration"
    owner = {"add": _COORDINATOR, "decrypt": _ARBITER, "e_step": _ARBITER, "relay": _CARRYING}
    by_role = []
    for name, label in work:
        if name in owner:
            values = [seconds[name] if role == owner[name] else 0.0 for role in who]
        else:
            values = [sum(r["seconds"][name].get(role, 0.0) for r in records) for role in who]
        by_role.append(Series(label, values))
    groups = grouped(len(records))
    by_round = [
        Series(label, [sum(_spent(records[i], name) for i in group) / len(group) for group in groups])
        for name, label in work
    ]
    labels = [str(records[group.start]["round"]) for group in groups]
    each = "each bar is the mean of up to " + f"{len(groups[0])} {word}s" if len(groups[0]) > 1 else ""
    rows = [(label, f"{seconds[name]:.4f}") for name, label in (*_BEFORE, *times_of(metrics)) if name in seconds]
    return section(
        "Where the time went",
        f"<p>Training took {in_seconds(seconds['training'])} in all{_for_the_ledger(seconds)}.</p>",
        charts(
            lying_bars("Computing time by role", f"seconds, all {word}s", who, by_role),
            standing_bars(f"Computing time by {word}", word, "seconds", labels, by_round),
        ),
        "<p>Parties worked at the same time, so bars are higher than the time that passed.</p>"
        if metrics.get("concurrent")
        else "",
        f"<p>{each}.</p>" if each else "",
        f"<details><summary>every phase</summary>{table(('work', 'seconds'), rows, (1,))}</details>",
    )


def _for_the_ledger(seconds: Mapping[str, float]) -> str:
    return f", {in_seconds(seconds['ledger'])} of it for the ledger" if "ledger" in seconds else ""


_BEFORE = (
    ("prepare", "before training: reading and sealing data (parties)"),
    ("agree", "before training: what each party has, and how fast it is"),
    ("match", "before training: matching rows by id"),
)


def grouped(count: int) -> list[range]:
    """Return the positions of up to 40 groups of iterations that follow each other."""
    size = -(-count // _MOST_BARS)
    return [range(start, min(start + size, count)) for start in range(0, count, size)]


def _spent(record: Mapping[str, Any], name: str) -> float:
    spent = record["seconds"][name]
    return float(sum(spent.values()) if isinstance(spent, dict) else spent)
