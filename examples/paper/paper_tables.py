"""The paper's tables, and all others of the report, as rows of text."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cipherlane.federation import BinningRun, bins_of

from paper_compare import Comparison
from paper_measures import Said, calibration, roc_points

COLUMN = "x0"
BINS = 10
# Table 1 as the paper prints it: cut, events, non-events, WoE, IV of each bin of the guest's x0.
PRINTED = (
    (-1.047670, 57, 0, -4.223783, 0.670339),
    (-0.784675, 57, 0, -4.223783, 0.670339),
    (-0.612797, 55, 2, -2.793036, 0.403950),
    (-0.469910, 55, 2, -2.793036, 0.403950),
    (-0.269040, 56, 2, -2.811055, 0.414430),
    (-0.053674, 41, 16, -0.419834, 0.016531),
    (0.232100, 31, 25, 0.306038, 0.009515),
    (0.840923, 5, 52, 2.862955, 0.662137),
    (1.536720, 0, 57, 5.266082, 1.420925),
    (None, 0, 56, 5.248537, 1.391434),
)
PREDICTIONS_SHOWN = 10


@dataclass(frozen=True)
class Table:
    """A table: its file's name, what it shows, heads, and rows of text; `numbers` are the columns set as figures."""

    key: str
    title: str
    head: tuple[str, ...]
    rows: list[tuple[str, ...]]
    numbers: tuple[int, ...] = ()

    def write(self, directory: Path) -> Path:
        """Write the table as CSV."""
        path = directory / f"{self.key}.csv"
        with path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(self.head)
            writer.writerows(self.rows)
        return path


def table_1(run: BinningRun) -> Table:
    """The bins of the guest's x0 as the paper prints them: WoE with the paper's sign, IV bin by bin."""
    bins = next(column for column in bins_of(run.directory, "guest").columns if column.name == COLUMN).bins
    found = next(table for table in run.result.tables["guest"] if table.column == COLUMN)
    cuts = [*(f"{cut:.6f}" for cut in bins.cuts), ""]
    rows = [
        (str(k), cut, str(events), str(others), f"{woe:.6f}", f"{iv:.6f}")
        for k, (cut, (_, events, others, woe, iv)) in enumerate(zip(cuts, found.rows("paper"), strict=True), 1)
    ]
    head = ("bin", "cut", "event", "non_event", "woe", "iv")
    return Table("table_1", "Table 1: bins of the guest's x0", head, rows, (0, 1, 2, 3, 4, 5))


def agrees_with_print(table: Table) -> bool:
    """Return whether every figure of Table 1 is the printed one, to the last digit printed."""
    printed = [
        (str(k), "" if cut is None else f"{cut:.6f}", str(events), str(others), f"{woe:.6f}", f"{iv:.6f}")
        for k, (cut, events, others, woe, iv) in enumerate(PRINTED, 1)
    ]
    return table.rows == printed


def table_2(comparison: Comparison) -> Table:
    """The guest's predictions, of the rows trained on in the first fold and of those tested on."""
    first = comparison.first
    stream = io.StringIO()
    first.predicted.write_rows(stream)
    stream.seek(0)
    head, *tested = csv.reader(stream)
    with (first.logistic_run.directory / "predictions.csv").open(newline="", encoding="utf-8") as kept:
        trained = list(csv.reader(kept))[1:]
    rows = sorted((tuple(row) for row in trained + tested), key=lambda row: int(row[0]))
    return Table("table_2", "Table 2: predictions of the logistic regression", tuple(head), rows, (0, 3))


def values_table(run: BinningRun) -> Table:
    """The information value of every column, and which are kept."""
    rows = [
        (party, table.column, str(len(table.events)), f"{table.information_value:.6f}", "yes" if keep else "no")
        for party, tables in run.result.tables.items()
        for table, keep in zip(tables, run.result.kept[party], strict=True)
    ]
    rows.sort(key=lambda row: -float(row[3]))
    return Table(
        "information_values",
        "Information value of every column",
        ("party", "column", "bins", "iv", "kept"),
        rows,
        (2, 3),
    )


def comparison_table(comparisons: Iterable[Comparison]) -> Table:
    """How good every model is on the rows tested on."""
    head = ("data", "model", "who", "rows", "auc", "auc_low", "auc_high", "accuracy", "rand_index", "log_loss", "brier")
    rows = [
        (
            c.dataset.key,
            kind,
            name,
            str(len(c.labels)),
            *(f"{x:.4f}" for x in (m.auc.value, m.auc.low, m.auc.high, m.accuracy, m.rand, m.log_loss, m.brier)),
        )
        for c in comparisons
        for kind, found in c.measures.items()
        for name, m in found.items()
    ]
    return Table("comparison", "Federated, pooled, and each party alone", head, rows, tuple(range(3, 11)))


def differences_table(comparisons: Iterable[Comparison]) -> Table:
    """By how much the federation's area under the curve exceeds each other model's, on the same resamples."""
    rows = [
        (c.dataset.key, kind, name, *(f"{x:+.4f}" for x in (d.value, d.low, d.high)))
        for c in comparisons
        for kind, found in c.differences.items()
        for name, d in found.items()
    ]
    head = ("data", "model", "against", "difference", "low", "high")
    return Table("differences", "AUC of the federation less that of others", head, rows, (3, 4, 5))


def steps_table(comparisons: Iterable[Comparison]) -> Table:
    """What every step of the federation took, and what crossed."""
    head = ("data", "step", "rows", "columns", "rounds", "seconds", "messages", "bytes", "ciphertexts")
    rows = [
        (
            c.dataset.key,
            s.name,
            *(str(x) for x in (s.rows, s.columns)),
            str(s.rounds or ""),
            f"{s.seconds:.3f}",
            str(s.messages),
            str(s.size),
            "" if s.ciphertexts is None else str(s.ciphertexts),
        )
        for c in comparisons
        for s in c.first.steps
    ]
    return Table("steps", "Time and traffic of each step", head, rows, tuple(range(2, 9)))


def curves_tables(comparisons: Sequence[Comparison]) -> list[Table]:
    """The points of all receiver operating characteristics and of all calibrations."""
    roc, calibrated = [], []
    for c in comparisons:
        for kind, found in c.said.items():
            for name, said in found.items():
                place = (c.dataset.key, kind, name)
                roc += [(*place, f"{x:.6f}", f"{y:.6f}") for x, y in zip(*_points(c, said), strict=True)]
                calibrated += [
                    (*place, f"{x:.6f}", f"{y:.6f}", str(rows))
                    for x, y, rows in calibration(c.labels, said.probabilities)
                ]
    where = ("data", "model", "who")
    return [
        Table("roc", "Points of every ROC curve", (*where, "false_positive_rate", "true_positive_rate"), roc, (3, 4)),
        Table(
            "calibration",
            "Points of every calibration",
            (*where, "probability", "events", "rows"),
            calibrated,
            (3, 4, 5),
        ),
    ]


def _points(comparison: Comparison, said: Said) -> tuple[list[float], list[float]]:
    false_rates, true_rates = roc_points(comparison.labels, comparison.folds, said.ranks)
    return false_rates.tolist(), true_rates.tolist()
