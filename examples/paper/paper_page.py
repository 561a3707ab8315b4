"""The report as one HTML page that loads nothing and runs nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cipherlane.report.html_parts import (
    Markup,
    cards,
    charts,
    in_bytes,
    in_seconds,
    notes,
    page,
    section,
    table,
    text,
    verdict,
)

from paper_compare import FEDERATED, LOGISTIC, MIXTURE, POOLED, ROUNDED, WITHIN, Comparison
from paper_figures import FEWEST_DRAWN, Figure
from paper_notes import INCONSISTENT, OPEN
from paper_tables import PREDICTIONS_SHOWN, Table, agrees_with_print


@dataclass(frozen=True)
class Report:
    """All that the page shows."""

    about: str
    key_bits: int
    resamples: int
    seconds: float
    comparisons: Sequence[Comparison]
    tables: Mapping[str, Table]
    figures: Mapping[str, Figure]


def render(report: Report) -> str:
    """Return the page."""
    return page(
        "The paper's experiment",
        [
            _head(report),
            _verdicts(report),
            _binning(report),
            _predictions(report),
            *(_comparison(report, comparison) for comparison in report.comparisons),
            _differences(report),
            _cost(report),
            _open(),
            _files(report),
        ],
    )


def _head(report: Report) -> str:
    breast = report.comparisons[0]
    rows = sum(len(training) for c in report.comparisons for training, _ in c.dataset.folds[:1])
    return (
        "<header><h1>Two parties, one model: the paper's experiment</h1>"
        "<p>Binning with WoE and IV, selection, logistic regression and a Gaussian mixture between a "
        "guest and a host; "
        f"keys of {report.key_bits} bits. {text(report.about)}</p></header>"
        + cards(
            [
                ("data sets", str(len(report.comparisons))),
                ("rows trained on, first folds", f"{rows:,}"),
                ("breast cancer: AUC, logistic regression", f"{breast.measures[LOGISTIC][FEDERATED].auc.value:.4f}"),
                ("breast cancer: AUC, mixture", f"{breast.measures[MIXTURE][FEDERATED].auc.value:.4f}"),
                ("the whole experiment", in_seconds(report.seconds)),
            ]
        )
    )


def _verdicts(report: Report) -> str:
    printed = agrees_with_print(report.tables["table_1"])
    rows: list[tuple[object, ...]] = [
        (
            "Table 1 is the paper's",
            verdict(printed, "all ten rows, to the last digit printed" if printed else "some figure differs"),
        )
    ]
    for c in report.comparisons:
        for kind in (LOGISTIC, MIXTURE):
            found = c.differences[kind][POOLED[kind]]
            words = (
                f"AUC {found.value:+.4f} ({found.low:+.4f} to {found.high:+.4f}); "
                f"{100 * c.same_class(kind):.1f} % of the rows are called the same"
            )
            claim = f"{c.dataset.title}, {kind}: the federation against the same model of pooled columns"
            rows.append((claim, verdict(c.holds(kind), words)))
    return section(
        "In short",
        table(("claim", f"found (good: AUC at most {WITHIN} below)"), rows),
        "<p>In brackets: the 95 % interval of the difference. What each party reaches alone is "
        "below, and where it is as "
        "good, federation was not worth it.</p>",
    )


def _binning(report: Report) -> str:
    names = ("figure_6", "figure_7")
    return section(
        "Binning: Table 1, Figures 6 and 7",
        "<p>All 569 rows of the paper's data, ten bins of equal frequency. The guest's x0 is binned "
        "by the guest itself; "
        "columns of the host by sums of encrypted labels. WoE here has the paper's sign, "
        "ln(non-event rate / event rate), and "
        "IV is that of the bin alone.</p>",
        _table(report.tables["table_1"]),
        charts(*(report.figures[name].html() for name in names)),
        "<details><summary>information value of every column of both parties</summary>"
        + charts(report.figures["information_values"].html())
        + _table(report.tables["information_values"])
        + "</details>",
    )


def _predictions(report: Report) -> str:
    whole = report.tables["table_2"]
    first: dict[str, list[tuple[str, ...]]] = {}
    for row in whole.rows:
        first.setdefault(row[-1], []).append(row)
    shown = [row for rows in first.values() for row in rows[: PREDICTIONS_SHOWN // 2]]
    shown.sort(key=lambda row: int(row[0]))
    selected = report.comparisons[0].first.selected
    return section(
        "Predictions: Table 2",
        f"<p>The logistic regression on the {sum(map(len, selected.values()))} columns with an information value above "
        f"{report.comparisons[0].dataset.settings.threshold}: {len(selected['guest'])} of the guest, "
        f"{len(selected['host'])} "
        f"of the host. The first {len(shown) // 2} rows of each type; all {len(whole.rows)} are in table_2.csv.</p>",
        table([name.replace("_", " ") for name in whole.head], shown, whole.numbers, texts=True),
    )


def _comparison(report: Report, c: Comparison) -> str:
    key = c.dataset.key
    parts = [_about(report, c), charts(report.figures[f"auc_{key}"].html())]
    for kind in (LOGISTIC, MIXTURE):
        file = kind.split()[0]
        parts += [
            f"<h3>{text(_upper(kind))}</h3>",
            _measures(c, kind),
            charts(*(report.figures[f"{name}_{file}_{key}"].html() for name in ("roc", "calibration"))),
        ]
    parts += [
        "<h3>Convergence, first fold</h3>",
        charts(*(report.figures[f"convergence_{kind.split()[0]}_{key}"].html() for kind in (LOGISTIC, MIXTURE))),
    ]
    return section(c.dataset.title, *parts)


def _about(report: Report, c: Comparison) -> str:
    settings, (training, _) = c.dataset.settings, c.dataset.folds[0]
    folds = len(c.dataset.folds)
    judged = (
        f"Judged by {folds}-fold cross-validation, stratified: every row by models that were not trained on it; "
        "AUC and ROC are means over the folds."
        if folds > 1
        else f"Trained on {len(training):,} rows, judged on {len(c.labels):,} others."
    )
    few = f" on the first {settings.logistic_rows:,} of those rows" if settings.logistic_rows else ""
    sentences = [
        f"{text(_upper(c.dataset.what))}. Event: {text(c.dataset.event)}. {judged}",
        f"Intervals are the 2.5 and 97.5 percentiles over {report.resamples:,} bootstrap resamples of the rows judged, "
        "the same resamples for all models.",
        f"Logistic regression{few}: columns with an information value above {settings.threshold}, "
        f"{settings.epochs} epochs, batches of {settings.batch}, rate {settings.rate}, scikit-learn's "
        "penalty with C = 1.",
        f"Mixture: all columns, {settings.components} components, at most {settings.iterations} iterations, tolerance "
        f"{settings.tolerance}, regularisation {settings.regularisation}.",
        f"Calibration: ten bins of equal width; those with fewer than {FEWEST_DRAWN} rows are not drawn.",
    ]
    return f"<p>{' '.join(sentences)}</p>"


def _upper(words: str) -> str:
    return words[0].upper() + words[1:]


def _measures(c: Comparison, kind: str) -> str:
    rows: list[tuple[object, ...]] = []
    for name, m in c.measures[kind].items():
        shown = Markup(f"<b>{text(name)}</b>") if name in (FEDERATED, ROUNDED) else name
        rows.append(
            (
                shown,
                f"{m.auc.value:.4f} ({m.auc.low:.4f} to {m.auc.high:.4f})",
                f"{m.accuracy:.4f}",
                f"{m.rand:.4f}",
                f"{m.log_loss:.4f}",
                f"{m.brier:.4f}",
            )
        )
    return table(
        ("who", "AUC (95 %)", "accuracy", "adjusted Rand", "cross-entropy", "Brier"), rows, range(1, 6), texts=True
    )


def _differences(report: Report) -> str:
    return section(
        "What federation adds",
        "<p>AUC of the federation less that of each other model, on the same resamples. An interval "
        "on one side of 0 is a "
        "difference that these rows can show.</p>",
        _table(report.tables["differences"]),
    )


def _cost(report: Report) -> str:
    rows = [
        (
            c.dataset.title,
            step.name,
            f"{step.rows:,}",
            step.columns,
            step.rounds or "",
            in_seconds(step.seconds),
            f"{step.messages:,}",
            in_bytes(step.size),
            "" if step.ciphertexts is None else f"{step.ciphertexts:,}",
        )
        for c in report.comparisons
        for step in c.first.steps
    ]
    head = ("data", "step", "rows", "columns", "rounds", "time", "messages", "traffic", "ciphertexts")
    return section(
        "Time and traffic",
        "<p>Of the first fold. All roles run in one process in turn, every message serialised, sealed and checked as "
        "between institutions; a network would add its own time. Reading files counts in predicting and scoring only. "
        "Ciphertexts are told where the coordinator counts them.</p>",
        table(head, rows, range(2, 9), texts=True),
        charts(*(report.figures[name].html() for name in ("time", "traffic"))),
    )


def _open() -> str:
    return section(
        "What the paper prints inconsistently or leaves open",
        "<h3>Printed inconsistently</h3>",
        table(("the paper", "here"), INCONSISTENT, texts=True),
        "<h3>Left open</h3>",
        table(("question", "here"), OPEN, texts=True),
    )


def _files(report: Report) -> str:
    lines = [f"tables/{one.key}.csv: {one.title}" for one in report.tables.values()]
    lines += [f"figures/{key}.svg and .png: {one.title}" for key, one in report.figures.items()]
    return section(
        "Files beside this page", f"<details><summary>{len(lines)} tables and figures</summary>{notes(lines)}</details>"
    )


def _table(one: Table) -> str:
    return table([name.replace("_", " ") for name in one.head], one.rows, one.numbers)
