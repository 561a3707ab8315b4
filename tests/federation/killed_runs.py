"""Run a plan in children of this process that are killed or have their disks fail, and say how it ended.

A script of its own so that children fork from a process that has imported everything and started no thread.
``python killed_runs.py PLAN DIRECTORY < trials.json`` prints one JSON line a trial. A trial is a list of attempts
at one run, tried in turn with ``resume=True``; an attempt is

- ``{"after": share}``: SIGKILL after that share of an undisturbed run's time,
- ``{"at": share}``: SIGKILL at that share of the operations on files, and on a ledger's databases, that an undisturbed
  run makes,
- ``{"full": share}``: from that share of the flushes on, the disk is full,
- ``{}``: nothing happens to it.
"""

from __future__ import annotations

import errno
import importlib
import json
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Plots play no part here, and take longer than the run.
sys.modules["matplotlib"] = None  # type: ignore[assignment]

import numpy as np  # noqa: E402

from cipherlane import mixture  # noqa: E402
from cipherlane.federation import bin_columns, binning_coordinator, load_plan, train  # noqa: E402

# So that the labels of a binning of 120 rows cross in three parts.
_ROWS_A_MESSAGE = 40
_WATCHED = {"open", "os.rename", "os.link", "os.mkdir", "os.remove", "os.rmdir", "os.truncate"}


class FileOperations:
    """Counts changes to files below a directory and to databases, and kills this process before number `limit`, from 0.

    SQLite changes files where Python does not see it: what is written to a ledger's database is counted by statement.
    """

    def __init__(self, directory: Path) -> None:
        self.count = 0
        self._directory = str(directory)
        self.limit: int | None = None
        sys.addaudithook(self._heard)
        if "cipherlane.ledger.store" in sys.modules:
            self._watch_databases()

    def _heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in _WATCHED or not str(arguments[0]).startswith(self._directory):
            return
        if event == "open" and not self._writes(arguments):
            return
        self._next()

    def _watch_databases(self) -> None:
        store = sys.modules["cipherlane.ledger.store"].RecordStore
        execute = store._execute

        def counted(records: Any, statement: str, *values: bytes) -> Any:
            if not statement.startswith("select"):
                self._next()
            return execute(records, statement, *values)

        store._execute = counted

    def _next(self) -> None:
        if self.limit == self.count:
            os.kill(os.getpid(), signal.SIGKILL)
        self.count += 1

    @staticmethod
    def _writes(arguments: tuple[Any, ...]) -> bool:
        return bool(arguments[2] & (os.O_WRONLY | os.O_RDWR))


class FullDisk:
    """Stands in for ``os.fsync``: counts calls, and fails from number `limit` on."""

    def __init__(self) -> None:
        self.count = 0
        self.limit: int | None = None
        self._flush = os.fsync
        os.fsync = self  # type: ignore[assignment]

    def __call__(self, descriptor: int) -> None:
        if self.limit is not None and self.count >= self.limit:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.count += 1
        self._flush(descriptor)


def forked(work: Callable[[], dict[str, Any]], kill_after: float | None = None) -> dict[str, Any]:
    """Run `work` in a child, and return what it returned or how it ended."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                answer = work()
            except Exception as error:
                answer = {"error": type(error).__name__, "message": str(error)}
        os.write(write, json.dumps(answer).encode())
        os._exit(0)
    os.close(write)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    with os.fdopen(read, "rb") as stream:
        answer = stream.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return {"killed": os.WTERMSIG(status)}
    return json.loads(answer)


def load_kernels() -> None:
    """Compile the kernels, or load them, once for all children; so few rows start no thread."""
    rows = np.random.default_rng(0).normal(size=(20, 3))
    weights = np.full((20, 2), 0.5)
    means, covariances = mixture.m_step(mixture.sufficient_statistics(rows, weights, "full"), reg_covar=1e-6)
    mixture.responsibilities(np.asarray(mixture.log_density(rows, means, covariances, "full")), weights[0])


def rounds_of(plan: Path, out: Path, *, resume: bool) -> int:
    """Run the plan to its end, and return of how many rounds, or of how many parts of its labels, that consists."""
    if load_plan(plan).binning is None:
        return train(plan, out, resume=resume).iterations
    binning_coordinator.ROWS_A_MESSAGE = _ROWS_A_MESSAGE
    run = bin_columns(plan, out, resume=resume)
    return run.metrics["totals"]["ciphertexts"]["labels"] // _ROWS_A_MESSAGE


def main(plan: Path, directory: Path) -> None:
    def measured() -> dict[str, Any]:
        operations, disk = FileOperations(directory), FullDisk()
        start = time.perf_counter()
        rounds_of(plan, directory / "whole", resume=False)
        return {
            "seconds": time.perf_counter() - start,
            "operations": operations.count,
            "flushes": disk.count,
        }

    if load_plan(plan).binning is None:
        load_kernels()
    if load_plan(plan).ledger is not None:
        # Once for all children too.
        importlib.import_module("cipherlane.ledger.session")
        importlib.import_module("cipherlane.ledger.member")
    whole = forked(measured)
    if "error" in whole:
        sys.exit(f"the undisturbed run failed: {whole['message']}")
    print(json.dumps(whole), flush=True)
    for number, attempts in enumerate(json.load(sys.stdin)):
        out = directory / f"trial{number}"

        def attempt(wanted: dict[str, float], out: Path = out) -> dict[str, Any]:
            operations, disk = FileOperations(directory), FullDisk()
            if "at" in wanted:
                operations.limit = int(wanted["at"] * whole["operations"])
            if "full" in wanted:
                disk.limit = int(wanted["full"] * whole["flushes"])
            return {"rounds": rounds_of(plan, out, resume=True)}

        ends = []
        for wanted in attempts:
            kill_after = wanted["after"] * whole["seconds"] if "after" in wanted else None
            ends.append(forked(lambda wanted=wanted, attempt=attempt: attempt(wanted), kill_after))
        print(json.dumps({"ends": ends}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
