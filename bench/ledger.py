"""What a ledger costs: whole training runs of one plan with and without it, in turn, each in a process of its own.

As `cipherlane train` makes them: packages are imported, a checkpoint is kept every round, and with the ledger all four
roles keep their copies of the chain in that one process. The results of both must be equal, and the run with the
ledger must pass its audit, before anything is told.

Two figures, from CPU seconds, as a busy machine stretches all others: the ratio of a run with to the one without beside
it, and what was spent in the ledger's own part of the run, its imports among it, in per cent of the rest of that run.
The second hardly depends on what else the machine does. Both are told of elapsed time too, imports among it: the
ledger's part, on one processor and with its waits for the disk, is then more of a run whose rest uses several.

    python bench/ledger.py --json bench/results/ledger.json
"""

from __future__ import annotations

import argparse
import csv
import functools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from timing import environment, write_json

TARGET = 1.10
GUEST_COLUMNS = 10
PLAN = """
[model]
components = {components}
start = "random"
[training]
max_iterations = {iterations}
tolerance = 0.0
checkpoint_every = 1
[parties.guest]
data = "guest.csv"
[parties.host]
data = "host.csv"
"""
NAMES = ("without", "with")


class Clock:
    """Adds up the seconds of the outermost of what it counts: of this thread's CPU, and elapsed ones."""

    def __init__(self) -> None:
        self.cpu = 0.0
        self.wall = 0.0
        self._inside = False

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count what the body takes."""
        self._inside, cpu, wall = True, time.thread_time(), time.perf_counter()
        try:
            yield
        finally:
            self._inside = False
            self.cpu += time.thread_time() - cpu
            self.wall += time.perf_counter() - wall

    def count(self, owner: Any, *names: str) -> None:
        """Count these methods of a class from now on."""
        for name in names:
            setattr(owner, name, self._counted(getattr(owner, name)))

    def _counted(self, method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def counted(*arguments: Any) -> Any:
            if self._inside:
                return method(*arguments)
            with self.running():
                return method(*arguments)

        return counted


def one_run(plan: Path, out: Path) -> dict[str, float]:
    """Train in this process, and return what it took since it began."""
    began = time.perf_counter()
    from cipherlane.federation import load_plan, train

    clock = Clock()
    if load_plan(plan).ledger is not None:
        with clock.running():
            from cipherlane.federation.run_ledger import RunLedger
            from cipherlane.federation.witness import Witness
            from cipherlane.ledger.member import Member
        clock.count(RunLedger, "begin", "open", "agree_on_key", "commit", "check", "close", "note", "metrics")
        # What the roles do beside their work: digests of messages, and whether access is live.
        clock.count(Witness, "_note")
        clock.count(Member, "check_access")
    train(plan, out)
    wall = time.perf_counter() - began
    return {"cpu": time.process_time(), "wall": wall, "ledger": clock.cpu, "ledger_wall": clock.wall}


def write_table(path: Path, values: np.ndarray) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", *(f"x{column}" for column in range(values.shape[1]))])
        writer.writerows([f"p{row}", *map(repr, numbers)] for row, numbers in enumerate(values.tolist()))


def measured(plan: Path, out: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--one", str(plan), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"the run ended with {done.returncode}: {done.stderr[-2000:]}")
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def verify(bare: Path, with_ledger: Path) -> None:
    from cipherlane.ledger.audit import audit

    records = [json.loads((run / "metrics.json").read_text())["iterations"] for run in (bare, with_ledger)]
    for name in ("log_likelihood", "counts", "weights"):
        if [record[name] for record in records[0]] != [record[name] for record in records[1]]:
            raise AssertionError(f"{name}: differs with the ledger; nothing is told")
    failure = audit(with_ledger).failure
    if failure is not None:
        raise AssertionError(f"the audit fails: {failure}; nothing is told")


def spread(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "low": min(values), "high": max(values)}


def compare(directory: Path, pairs: int) -> dict[str, Any]:
    """Measure pairs of runs after one that warms caches up; which is first alternates, as load comes and goes."""
    found: list[dict[str, dict[str, float]]] = []
    for number in range(-1, pairs):
        pair = {}
        for name in NAMES if number % 2 else NAMES[::-1]:
            pair[name] = measured(directory / f"{name}.toml", directory / f"{name}-{number}")
        verify(*(directory / f"{name}-{number}" for name in NAMES))
        if number >= 0:
            found.append(pair)

    def share(whole: str, part: str) -> dict[str, float]:
        return spread([pair["with"][part] / (pair["with"][whole] - pair["with"][part]) for pair in found])

    return {
        "runs": found,
        **{f"cpu_{name}": spread([pair[name]["cpu"] for pair in found]) for name in NAMES},
        "cpu_ledger": spread([pair["with"]["ledger"] for pair in found]),
        "wall_ledger": spread([pair["with"]["ledger_wall"] for pair in found]),
        "cpu_ratio": spread([pair["with"]["cpu"] / pair["without"]["cpu"] for pair in found]),
        "wall_ratio": spread([pair["with"]["wall"] / pair["without"]["wall"] for pair in found]),
        "share": share("cpu", "ledger"),
        "wall_share": share("wall", "ledger_wall"),
    }


def told(figures: dict[str, float], factor: float = 1.0) -> str:
    middle, low, high = (factor * figures[name] for name in ("median", "low", "high"))
    return f"{middle:.3g} ({low:.3g} to {high:.3g})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--columns", type=int, default=30, help="of both parties; the guest has 10 (default: 30)")
    parser.add_argument("--components", type=int, nargs="+", default=[8])
    parser.add_argument("--iterations", type=int, default=10)
    parser.add_argument("--pairs", type=int, default=3, help="pairs of runs (default: 3)")
    parser.add_argument("--json", type=Path, help="also write the figures to this file, after those it holds")
    parser.add_argument("--one", type=Path, nargs=2, metavar=("PLAN", "OUT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(one_run(*arguments.one)))
        return
    from mixture import clusters

    print(f"{environment()['processor']}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
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
            figures = compare(directory, arguments.pairs)
        conditions = {
            "rows": arguments.rows,
            "columns": arguments.columns,
            "components": components,
            "iterations": arguments.iterations,
            "key_bits": 2048,
            "copies": 4,
            "pairs": arguments.pairs,
            "load": os.getloadavg()[0],
        }
        found.append({**conditions, **figures})
        print(
            f"n={arguments.rows}, d={arguments.columns}, K={components}, {arguments.iterations} iterations, 4 copies:\n"
            f"  CPU s without {told(figures['cpu_without'])}, with {told(figures['cpu_with'])}, "
            f"of them in the ledger {told(figures['cpu_ledger'])}\n"
            f"  ratio of CPU {told(figures['cpu_ratio'])}, elapsed {told(figures['wall_ratio'])}; the ledger in "
            f"per cent of the rest {told(figures['share'], 100)}, elapsed {told(figures['wall_share'], 100)}, "
            f"at most {100 * (TARGET - 1):.0f} are wanted"
        )
    if arguments.json:
        earlier = json.loads(arguments.json.read_text())["ledger"] if arguments.json.is_file() else []
        write_json(arguments.json, [], ledger=[*earlier, *found], target=TARGET)


if __name__ == "__main__":
    main()
