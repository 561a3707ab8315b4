"""Binning from a plan to a run directory."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cipherlane.errors import LedgerError
from cipherlane.federation.binning_coordinator import BinningCoordinator
from cipherlane.federation.binning_results import BinningResult
from cipherlane.federation.engine import Transcript
from cipherlane.federation.plan import Plan
from cipherlane.federation.plan_reader import load_plan
from cipherlane.federation.run_session import (
    Connect,
    Progress,
    RunSession,
    Tell,
    check_options,
    default_directory,
)
from cipherlane.federation.run_store import (
    METRICS_FILE,
    REPORT_DATA_FILE,
    TRANSCRIPT_FILE,
    RunStore,
    check_complete,
    check_plan,
)
from cipherlane.federation.training import run_over_flare
from cipherlane.files import told
from cipherlane.report import read_json, write_report
from cipherlane.vertical.exchange import needed


@dataclass(frozen=True)
class BinningRun:
    """A finished binning.

    Attributes
    ----------
    directory
        Where it lies.
    plan
        What was run.
    metrics
        The content of ``metrics.json``.
    result
        What the guest has: the tables of all columns, and which are kept; None where that is at the guest's own site.
    transcript
        Every message, whole if they were kept.
    """

    directory: Path
    plan: Plan
    metrics: dict[str, Any]
    result: BinningResult | None
    transcript: Transcript


def bin_columns(
    plan: Plan | Path | str,
    out: Path | str | None = None,
    *,
    engine: str = "local",
    kit: Path | str | None = None,
    resume: bool = False,
    progress: Tell | None = None,
    keep_messages: bool = False,
    patience: float = 3600.0,
) -> BinningRun:
    """Bin the columns of all parties of a plan by the guest's labels, and write the run directory.

    Parameters
    ----------
    plan
        The plan, with a section ``[binning]``, or the path of its TOML file.
    out
        The run directory to make; default: ``runs/NAME-DATE-TIME``.
    engine, kit, patience
        Where the roles run, as for `train`.
    resume
        Go on from the last part of the labels that was added in the unfinished run of this plan beside `out`; from the
        beginning if there is none. Of a run that is complete already, return what is there.
    progress
        Called before each stage and for each message.
    keep_messages
        Keep every message whole in the returned transcript (for `transcript_check`).

    Raises
    ------
    ValueError
        The plan, a data file or an argument is at fault; the message says which and what to do.
    ProtocolError
        A party declines, rows do not match, or a message does not fit the protocol.
    StorageError
        A disk is full, read-only or failing; the message names the file, and the run can be resumed.
    """
    loaded = plan if isinstance(plan, Plan) else load_plan(plan)
    check_options(out, engine, kit, resume, keep_messages, patience)
    if loaded.binning is None:
        raise ValueError(
            f"{loaded.name}: the plan's algorithm is {loaded.model.algorithm!r}, which is trained; run cipherlane "
            "train, or give a plan with a section [binning]"
        )
    final = Path(out) if out is not None else default_directory(loaded)
    tell = progress or (lambda event: None)
    if resume and final.exists():
        return _finished(final, loaded, tell)
    if engine == "nvflare":
        run_over_flare(loaded, final, kit, resume=resume, tell=tell, patience=patience)
        return _read(final, loaded)
    tell(Progress("prepare"))
    store = RunStore.reopen(final, loaded) if resume else RunStore.create(final, loaded)
    with store.guarded():
        return _Session(loaded, store, tell, keep_messages).run()


def bin_elsewhere(plan: Plan, final: Path, connect: Connect, engine: str, *, resume: bool, tell: Tell) -> BinningRun:
    """Bin with parties that run elsewhere, as the coordinator, and write its run directory.

    Parameters
    ----------
    plan, final, resume, tell
        As for `bin_columns`.
    connect
        What reaches the parties.
    engine
        Its name, for the metrics.
    """
    if resume and final.exists():
        return _finished(final, plan, tell)
    tell(Progress("prepare"))
    store = RunStore.reopen(final, plan) if resume else RunStore.create(final, plan)
    with store.guarded():
        return _Session(plan, store, tell, engine=engine, connect=connect).run()


def _finished(directory: Path, plan: Plan, tell: Tell) -> BinningRun:
    tell(Progress("complete"))
    check_plan(check_complete(directory), plan)
    return _read(directory, plan)


def _read(directory: Path, plan: Plan) -> BinningRun:
    metrics, transcript = read_json(directory / METRICS_FILE), Transcript(directory / TRANSCRIPT_FILE)
    return BinningRun(directory, plan, metrics, _result_in(directory), transcript)


def _result_in(directory: Path) -> BinningResult | None:
    path = directory / REPORT_DATA_FILE
    if not path.is_file():
        return None
    with told(path):
        text = path.read_text(encoding="utf-8", errors="replace")
    try:
        return BinningResult.from_json(text)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


class _Session(RunSession):
    """One process's work on a binning."""

    _stages = ("prepare", "agree", "match", "key", "labels", "verdicts", "results")

    def _set_up(self) -> None:
        self._started = time.perf_counter()

    def run(self) -> BinningRun:
        with self._engine(lambda: [self._party(party) for party in self._plan.parties]) as engine:
            return self._binned(BinningCoordinator(self._plan, engine))

    def _binned(self, coordinator: BinningCoordinator) -> BinningRun:
        self._ledger.begin(coordinator, self._transcript)
        if self._ledger.closed:
            return self._concluded(read_json(self._store.directory / METRICS_FILE))
        self._agree(coordinator)
        with self._on_ledger():
            self._ledger.open()
        self._started = time.perf_counter()
        state = self._checkpoint
        if state is not None:
            self._earlier_seconds = state["binning_seconds"]
            coordinator.take_counts(state)
        if state is None or not state["told"]:
            self._tell_all(coordinator, state)
            self._keep(coordinator, told=True)
        with self._timed("results"):
            coordinator.finish()
        metrics = self._metrics(coordinator)
        self._store.write_metrics(metrics)
        return self._concluded(metrics)

    def _tell_all(self, coordinator: BinningCoordinator, state: dict[str, Any] | None) -> None:
        """Do all from the key to the verdicts, or what a checkpoint has left of it."""
        with self._stage("key"):
            coordinator.make_key()
        with self._on_ledger():
            self._ledger.agree_on_key(coordinator.public_key.fingerprint)
        if state is not None:
            with self._going_back():
                coordinator.go_back(state["round"])
        with self._on_ledger():
            self._ledger.commit()
        with self._stage("labels"):
            self._may_go_on()
            for _ in coordinator.add_labels():
                with self._on_ledger():
                    self._ledger.commit()
                coordinator.checkpoint()
                self._keep(coordinator, told=False)
                self._tell(Progress("kept"))
                self._may_go_on()
        with self._stage("verdicts"):
            coordinator.judge()
        self._tell(Progress("finish"))
        with self._timed("results"):
            coordinator.tell()

    def _may_go_on(self) -> None:
        """Stop where the ledger forbids the next part, with everything kept as of the last one."""
        with self._on_ledger():
            try:
                self._ledger.check()
            except LedgerError:
                self._ledger.stop()
                raise

    def _keep(self, coordinator: BinningCoordinator, *, told: bool) -> None:
        state = {**coordinator.state(), "told": told, "binning_seconds": self._elapsed()}
        self._store.write_checkpoint(state)

    def _elapsed(self) -> float:
        return time.perf_counter() - self._started + self._earlier_seconds

    def _concluded(self, metrics: dict[str, Any]) -> BinningRun:
        """Record what the run ended with, and give it its name."""
        self._ledger.close()
        write_report(self._store.directory)
        directory = self._store.complete()
        return BinningRun(directory, self._plan, metrics, _result_in(directory), self._transcript)

    def _metrics(self, coordinator: BinningCoordinator) -> dict[str, Any]:
        seconds = {**self._seconds, "binning": self._elapsed(), "by_role": coordinator.seconds}
        ciphertexts = {"labels": coordinator.labels, "sums": coordinator.sums}
        return {
            **self._common_metrics(coordinator),
            "binning": asdict(needed(self._plan.binning, "a plan without a section [binning]")),
            "totals": self._totals(coordinator, seconds, ciphertexts),
            **self._ledger.metrics(),
        }
