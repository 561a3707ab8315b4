"""What a ledger costs: whole training runs of one plan with and without it, in turn, in one process.

The results of both must be equal, and the run with the ledger must pass its audit, before anything is told. Time is CPU
seconds of the process, in which all roles run with their copies of the chain, and wall time beside it.

    python bench/ledger.py --json bench/results/ledger.json
"""

from __future__ import annotations

import argparse
import csv
import functools
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from mixture import clusters
from timing import environment, write_json

from cipherlane.federation import Run, train
from cipherlane.federation.run_ledger import RunLedger
from cipherlane.ledger.audit import audit

TARGET = 1.10
GUEST_COLUMNS = 10
PLAN = """
[model]
components = {components}
start = "random"
[training]
max_iterations = {iterations}
tolerance = 0.0
[parties.guest]
data = "guest.csv"
[parties.host]
data = "host.csv"
"""


_in_ledger = 0.0
_nested = False


def count_ledger() -> None:
    """Let the ledger's own part of a run count its CPU seconds: a share that a busy machine does not blur."""
    for name in ("begin", "open", "agree_on_key", "commit", "check", "close"):
        setattr(RunLedger, name, _counted(getattr(RunLedger, name)))


def _counted(method: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(method)
    def counted(*arguments: Any) -> None:
        global _in_ledger, _nested
        start, outermost, _nested = time.thread_time(), not _nested, True
        try:
            method(*arguments)
        finally:
            if outermost:
                _nested = False
                _in_ledger += time.thread_time() - start

    return counted


def write_table(path: Path, values: np.ndarray) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", *(f"x{column}" for column in range(values.shape[1]))])
        writer.writerows([f"p{row}", *map(repr, numbers)] for row, numbers in enumerate(values.tolist()))


def timed(plan: Path, out: Path) -> tuple[Run, float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    run = train(plan, out)
    return run, time.process_time() - cpu, time.perf_counter() - wall


def verify(bare: Run, with_ledger: Run) -> None:
    for name in ("log_likelihood", "counts", "weights"):
        if [record[name] for record in bare.metrics["iterations"]] != [
            record[name] for record in with_ledger.metrics["iterations"]
        ]:
            raise AssertionError(f"{name}: differs with the ledger; nothing is told")
    failure = audit(with_ledger.directory).failure
    if failure is not None:
        raise AssertionError(f"the audit fails: {failure}; nothing is told")


def compare(directory: Path, rounds: int, warm_up: bool = True) -> dict[str, Any]:
    plans = {"without": directory / "without.toml", "with": directory / "with.toml"}
    global _in_ledger
    figures: dict[str, list[float]] = {f"{clock}_{name}": [] for clock in ("cpu", "wall") for name in plans}
    inside: list[float] = []
    shares: list[float] = []
    for number in range(-warm_up, rounds):
        runs = {}
        for name, plan in plans.items():
            _in_ledger = 0.0
            runs[name], cpu, wall = timed(plan, directory / f"{name}-{number}")
            if number >= 0:
                figures[f"cpu_{name}"].append(cpu)
                figures[f"wall_{name}"].append(wall)
        if number >= 0:
            inside.append(_in_ledger)
            shares.append(_in_ledger / (figures["cpu_with"][-1] - _in_ledger))
        verify(runs["without"], runs["with"])
    ratios = {
        clock: [a / b for a, b in zip(figures[f"{clock}_with"], figures[f"{clock}_without"], strict=True)]
        for clock in ("cpu", "wall")
    }
    return {
        **{name: statistics.median(values) for name, values in figures.items()},
        "cpu_ratio": statistics.median(ratios["cpu"]),
        "cpu_ratio_low": min(ratios["cpu"]),
        "cpu_ratio_high": max(ratios["cpu"]),
        "wall_ratio": statistics.median(ratios["wall"]),
        "cpu_in_ledger": statistics.median(inside),
        "share": statistics.median(shares),
        "share_low": min(shares),
        "share_high": max(shares),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--columns", type=int, default=30, help="of both parties; the guest has 10 (default: 30)")
    parser.add_argument("--components", type=int, nargs="+", default=[8])
    parser.add_argument("--iterations", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3, help="pairs of runs (default: 3)")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    count_ledger()
    print(f"{environment()['processor']}, {os.cpu_count()} processors")
    found = []
    for components in arguments.components:
        with tempfile.TemporaryDirectory() as name:
            directory = Path(name)
            values = clusters(arguments.rows, arguments.columns, components)
            write_table(directory / "guest.csv", values[:, :GUEST_COLUMNS])
            write_table(directory / "host.csv", values[:, GUEST_COLUMNS:])
            text = PLAN.format(components=components, iterations=arguments.iterations)
            (directory / "without.toml").write_text(text)
            (directory / "with.toml").write_text(text + "[ledger]\n")
            figures = compare(directory, arguments.rounds)
        conditions = {
            "rows": arguments.rows,
            "columns": arguments.columns,
            "components": components,
            "iterations": arguments.iterations,
            "key_bits": 2048,
            "copies": 4,
        }
        found.append({**conditions, **figures})
        print(
            f"n={arguments.rows}, d={arguments.columns}, K={components}, {arguments.iterations} iterations, 4 copies: "
            f"{figures['cpu_without']:.2f} CPU s without, {figures['cpu_with']:.2f} with the ledger: "
            f"{figures['cpu_ratio']:.3f}x ({figures['cpu_ratio_low']:.3f}..{figures['cpu_ratio_high']:.3f}), "
            f"wall {figures['wall_ratio']:.3f}x; {figures['cpu_in_ledger']:.2f} CPU s in the ledger, "
            f"{100 * figures['share']:.1f} % ({100 * figures['share_low']:.1f}..{100 * figures['share_high']:.1f}) of "
            f"the rest; at most {100 * (TARGET - 1):.0f} % is wanted"
        )
    if arguments.json:
        write_json(arguments.json, [], ledger=found, target=TARGET)


if __name__ == "__main__":
    main()
