"""Binning from a plan to a run directory, and applying what it found to new rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cipherlane.binning import FittedBinning
from cipherlane.federation.binning_coordinator import BinningCoordinator
from cipherlane.federation.binning_guest import BinningGuest
from cipherlane.federation.binning_host import BinningHost
from cipherlane.federation.binning_party import BINS_FILE, BinningFiles, BinningParty
from cipherlane.federation.binning_results import BinningResult
from cipherlane.federation.engine import LocalEngine, Role, Transcript, TranscriptEntry
from cipherlane.federation.plan import PartyPlan, Plan, load_plan
from cipherlane.federation.responder import Responder
from cipherlane.federation.run_store import RUN_FILE, RunStore, check_complete, plan_of, sealed_store_of
from cipherlane.federation.training import Progress, default_directory, notices_of
from cipherlane.report import read_json, write_report
from cipherlane.vertical.exchange import needed
from cipherlane.vertical.messages import GUEST
from cipherlane.vertical.tables import read_csv

TABLES_FILE = "binning.csv"
REPORT_DATA_FILE = "binning.json"
SELECTED_PREFIX = "selected-"


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
        What the guest has: the tables of all columns, and which are kept.
    transcript
        Every message, whole if they were kept.
    """

    directory: Path
    plan: Plan
    metrics: dict[str, Any]
    result: BinningResult
    transcript: Transcript


def bin_columns(
    plan: Plan | Path | str,
    out: Path | str | None = None,
    *,
    progress: Callable[[Progress], None] | None = None,
    keep_messages: bool = False,
) -> BinningRun:
    """Bin the columns of all parties of a plan by the guest's labels, and write the run directory.

    Every role runs in this process, exchanging nothing but serialised bytes.

    Parameters
    ----------
    plan
        The plan, with a section ``[binning]``, or the path of its TOML file.
    out
        The run directory to make; default: ``runs/NAME-DATE-TIME``.
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
        A disk is full, read-only or failing; the message names the file.
    """
    loaded = plan if isinstance(plan, Plan) else load_plan(plan)
    if loaded.binning is None:
        raise ValueError(
            f"{loaded.name}: the plan's algorithm is {loaded.model.algorithm!r}, which is trained; run cipherlane "
            "train, or give a plan with a section [binning]"
        )
    final = Path(out) if out is not None else default_directory(loaded)
    tell = progress or (lambda event: None)
    tell(Progress("prepare"))
    store = RunStore.create(final, loaded)
    with store.guarded():
        return _binned(loaded, store, tell, keep_messages)


def _binned(plan: Plan, store: RunStore, tell: Callable[[Progress], None], keep_messages: bool) -> BinningRun:
    seconds: dict[str, float] = {}

    @contextmanager
    def stage(name: str, shown: str | None = None) -> Iterator[None]:
        if shown is not None:
            tell(Progress(shown))
        started = time.perf_counter()
        yield
        seconds[name] = time.perf_counter() - started

    def watch(entry: TranscriptEntry) -> None:
        tell(Progress("message", message=entry))

    transcript = Transcript(store.transcript_file, keep_messages=keep_messages, watch=watch)
    with stage("prepare"):
        parties = [_party(party, store) for party in plan.parties]
    coordinator = BinningCoordinator(plan, LocalEngine(list[Role](parties), transcript))
    with notices_of(list[Responder](parties)):
        with stage("agree", "agree"):
            coordinator.open()
        with stage("match", "match"):
            coordinator.match()
        started = time.perf_counter()
        with stage("key", "key"):
            coordinator.make_key()
        with stage("labels", "labels"):
            coordinator.add_labels()
        with stage("verdicts", "verdicts"):
            coordinator.judge()
        with stage("results", "finish"):
            coordinator.finish()
    seconds["binning"] = time.perf_counter() - started
    guest = next(party for party in parties if isinstance(party, BinningGuest))
    metrics = _metrics(plan, coordinator, transcript, seconds)
    store.write_metrics(metrics)
    write_report(store.directory)
    return BinningRun(store.complete(), plan, metrics, needed(guest.result, "a guest without a result"), transcript)


def _party(plan: PartyPlan, store: RunStore) -> BinningParty:
    selected = store.directory / f"{SELECTED_PREFIX}{plan.name}.csv"
    if plan.role != GUEST:
        return BinningHost.prepare(plan, store.party_store(plan), BinningFiles(selected))
    files = BinningFiles(selected, store.directory / TABLES_FILE, store.directory / REPORT_DATA_FILE)
    return BinningGuest.prepare(plan, store.party_store(plan), files)


def _metrics(
    plan: Plan, coordinator: BinningCoordinator, transcript: Transcript, seconds: dict[str, float]
) -> dict[str, Any]:
    key = coordinator.public_key
    return {
        "format": 2,
        "plan": plan.name,
        "algorithm": plan.model.algorithm,
        "engine": "local",
        "concurrent": coordinator.engine.concurrent,
        "rows": coordinator.rows,
        "parties": {
            name: {
                "role": coordinator.engine.roles[name],
                **{key: value for key, value in answer.fields.items() if key not in ("box_key", "clock")},
            }
            for name, answer in coordinator.capabilities.items()
        },
        "binning": asdict(needed(plan.binning, "a plan without a section [binning]")),
        "totals": {
            "seconds": {**seconds, "by_role": coordinator.seconds},
            "ciphertexts": {
                "scheme": key.scheme,
                "key_bits": key.bits,
                "key_fingerprint": key.fingerprint,
                # Whoever received one looked, and refused those without randomness of their own.
                "found_randomised": coordinator.labels + coordinator.sums,
                "labels": coordinator.labels,
                "sums": coordinator.sums,
                "total": coordinator.labels + coordinator.sums,
            },
            "messages": transcript.count,
            "bytes": transcript.total_bytes,
        },
    }


@dataclass(frozen=True)
class TransformedRows:
    """Rows of one party as its bins have them.

    Attributes
    ----------
    id_column
        The column of their ids.
    ids
        In the order of the file.
    columns
        The columns that were kept.
    values
        float64, shape (n, columns).
    form
        "woe" or "index".
    """

    id_column: str
    ids: tuple[str, ...]
    columns: tuple[str, ...]
    values: NDArray[np.float64]
    form: str


def bins_of(run: Path, party: str) -> FittedBinning:
    """Return the bins that a party of a complete binning keeps sealed.

    Raises
    ------
    ValueError
        The run is no complete binning, has no such party, or the file was changed.
    """
    plan = _binning_plan(run)
    section = _section(plan, party)
    run_id = str(read_json(run / RUN_FILE)["id"])
    store = sealed_store_of(run, party, run_id, section.directory, section.seal_key)
    return FittedBinning.from_json(store.read(BINS_FILE))


def transform_rows(run: Path, party: str, data: Path, form: str | None = None) -> TransformedRows:
    """Return new rows of one party with its kept columns as weights of evidence or numbers of bins.

    Parameters
    ----------
    run
        The directory of a complete binning.
    party
        Whose columns.
    data
        A CSV file with the id column and the columns that were kept.
    form
        "woe" or "index"; default: "woe" where the party knows it.

    Raises
    ------
    ValueError
        The run, the party or a cell is at fault; the message says which and what to do.
    """
    fitted = bins_of(run, party)
    section = _section(_binning_plan(run), party)
    names = tuple(column.name for column in fitted.selected)
    if not names:
        raise ValueError(f"{run}: no column of {party!r} was kept; lower `threshold` in the plan")
    texts = tuple(name for name in section.categories if name in names)
    table = read_csv(data, section.id_column, names, None, texts)
    columns: dict[str, Any] = {name: table.values[:, j] for j, name in enumerate(table.columns)} | dict(table.texts)
    used = form or ("woe" if fitted.knows_woe else "index")
    try:
        values = fitted.transform(columns, used)
    except ValueError as error:
        raise ValueError(f"{data}: {error}") from None
    return TransformedRows(section.id_column, table.ids, names, values, used)


def _binning_plan(run: Path) -> Plan:
    plan = plan_of(check_complete(run))
    if plan.binning is None:
        raise ValueError(f"{run}: not a binning (its algorithm is {plan.model.algorithm!r}); give what `bin` printed")
    return plan


def _section(plan: Plan, party: str) -> PartyPlan:
    found = next((section for section in plan.parties if section.name == party), None)
    if found is None:
        raise ValueError(f"party: expected one of {[section.name for section in plan.parties]}, got {party!r}")
    return found
