"""The paper's experiment in one go: binning with WoE and IV, selection, logistic regression and mixture between a guest
and a host, held against pooled columns and against each party alone, on three data sets; and one report of it.

    python examples/paper/run.py                    # a few minutes on two cores; build/paper/report.html
    python examples/paper/run.py --quick --out DIR  # on few rows with a short key, to see that it works
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

import cipherlane as cl
from cipherlane.federation import BinningRun
from cipherlane.paillier.public_key import WeakKeyWarning

import paper_data
from paper_compare import Comparison, compare
from paper_data import EXAMPLE, Dataset
from paper_figures import (
    Figure,
    areas_figure,
    convergence_figures,
    cost_figures,
    figure_6,
    figure_7,
    model_figures,
    values_figure,
)
from paper_page import Report, render
from paper_parties import bin_example
from paper_tables import (
    Table,
    agrees_with_print,
    comparison_table,
    curves_tables,
    differences_table,
    steps_table,
    table_1,
    table_2,
    values_table,
)

DEFAULT = Path(__file__).parents[2] / "build" / "paper"
RUNS = "runs"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=DEFAULT, help="where the report goes (default: build/paper)")
    parser.add_argument("--quick", action="store_true", help="two data sets, few rows, 1024-bit keys: seconds")
    options = parser.parse_args()
    key_bits, resamples, datasets = settings(options.quick)
    if options.quick:
        warnings.simplefilter("ignore", WeakKeyWarning)
    out = clean(options.out)
    clock = Clock()
    clock.tell("binning of the paper's whole data: Table 1")
    whole = bin_example(out / RUNS, EXAMPLE, datasets[0].settings.threshold, key_bits)
    comparisons = [compare(dataset, out / RUNS, key_bits, resamples, clock.tell) for dataset in datasets]
    clock.tell("tables, figures and report")
    tables = {table.key: table for table in all_tables(whole, comparisons)}
    figures = {figure.key: figure for figure in all_figures(whole, comparisons)}
    for table in tables.values():
        table.write(out / "tables")
    for figure in figures.values():
        figure.write(out / "figures")
    about = f"Cipherlane {cl.__version__}, backend {cl.backends()[0]}, {machine()}."
    if options.quick:
        about += " A quick run on few rows with a short key: to see that it works, not to judge by."
    report = Report(about, key_bits, resamples, clock.seconds, comparisons, tables, figures)
    (out / "report.html").write_text(render(report), encoding="utf-8")
    print(f"{clock.seconds:6.1f} s  report: {out / 'report.html'}; tables and figures beside it")
    return judge(tables["table_1"], comparisons)


def settings(quick: bool) -> tuple[int, int, list[Dataset]]:
    """Return the key's bits, the number of resamples, and the data sets."""
    if quick:
        return (
            1024,
            100,
            [
                paper_data.breast(folds=2, used=1, epochs=6),
                paper_data.synthetic(rows=2_000, tested=1_000, logistic_rows=400, batch=50, epochs=3),
            ],
        )
    return (
        2048,
        1000,
        [
            paper_data.breast(folds=5, epochs=12),
            paper_data.digits(folds=5, epochs=6),
            paper_data.synthetic(rows=100_000, tested=20_000, logistic_rows=20_000, batch=500, epochs=2),
        ],
    )


def all_tables(whole: BinningRun, comparisons: Sequence[Comparison]) -> list[Table]:
    return [
        table_1(whole),
        table_2(comparisons[0]),
        values_table(whole),
        comparison_table(comparisons),
        differences_table(comparisons),
        steps_table(comparisons),
        *curves_tables(comparisons),
    ]


def all_figures(whole: BinningRun, comparisons: Sequence[Comparison]) -> list[Figure]:
    figures = [figure_6(whole), figure_7(whole), values_figure(whole)]
    for comparison in comparisons:
        figures += [areas_figure(comparison), *model_figures(comparison), *convergence_figures(comparison)]
    return figures + cost_figures(comparisons)


def judge(printed: Table, comparisons: Sequence[Comparison]) -> int:
    """Print what fell short, and return the exit code."""
    short = [] if agrees_with_print(printed) else ["Table 1 differs from the paper's"]
    for comparison in comparisons:
        for kind in comparison.measures:
            if not comparison.holds(kind):
                short.append(f"{comparison.dataset.title}, {kind}: the federation is below the pooled columns")
    for line in short:
        print(line, file=sys.stderr)
    return 1 if short else 0


def clean(out: Path) -> Path:
    """Return the directory, empty of what an earlier run of this script left in it."""
    if out.exists() and any(out.iterdir()) and not (out / RUNS).is_dir():
        raise SystemExit(f"{out}: holds other files than those of this script; give another directory")
    for name in (RUNS, "tables", "figures"):
        shutil.rmtree(out / name, ignore_errors=True)
        (out / name).mkdir(parents=True)
    (out / "report.html").unlink(missing_ok=True)
    return out


def machine() -> str:
    return f"{os.cpu_count()} processors ({platform.machine()}), Python {platform.python_version()}"


class Clock:
    """Tells what happens, and since when."""

    def __init__(self) -> None:
        self._started = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.perf_counter() - self._started

    def tell(self, what: str) -> None:
        """Print a line."""
        print(f"{self.seconds:6.1f} s  {what}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
