"""Training from a plan to a run directory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cipherlane.errors import LedgerError, PlaintextOverflowError, ProtocolError, StorageError
from cipherlane.federation.algorithms import arbiter_of, coordinator_of, party_type_of
from cipherlane.federation.coordinator import Coordinator, RoundRecord, Traffic, party_seconds
from cipherlane.federation.data_party import DataParty
from cipherlane.federation.engine import Engine, LocalEngine, Role, Transcript, TranscriptEntry
from cipherlane.federation.logistic_models import LogisticModel
from cipherlane.federation.models import PartyModel
from cipherlane.federation.plan import PartyPlan, Plan, load_plan
from cipherlane.federation.registry import (
    Version,
    check_continues,
    final_weights,
    lineage_of,
    parent_models,
    version_of,
    write_version,
)
from cipherlane.federation.responder import Responder
from cipherlane.federation.run_ledger import ledger_for
from cipherlane.federation.run_store import (
    JOINT_MODEL,
    METRICS_FILE,
    TRANSCRIPT_FILE,
    RunStore,
    check_complete,
    check_plan,
)
from cipherlane.report import read_json, write_report
from cipherlane.vertical.messages import ARBITER, GUEST

ENGINES = ("local", "nvflare")
# Makes the engine of a run whose roles are elsewhere, given its transcript, the run's id, whether they go on from a
# checkpoint, and the version that they train on from, if any.
Connect = Callable[[Transcript, str, bool, Version | None], Engine]
_STAGES = ("prepare", "agree", "match", "key", "start", "parameters", "checkpoints", "results")
# Before the training; the other stages, and the rounds, make it up.
_OUTSIDE = ("prepare", "agree", "match", "training")


@dataclass(frozen=True)
class Progress:
    """One step of a run: what happens now, and in a round what came out of it.

    Attributes
    ----------
    stage
        "prepare", "agree", "match", "key", "start", "message", "round" or "finish"; before them "connect" where roles
        are sites of a federation; "score" where a model is applied; "complete" if there was nothing left to do. A
        binning has "labels" and "verdicts" in the place of "start" and "round".
    record
        The round just done, for "round".
    message
        What was just sent to a role or came back from it, for "message".
    """

    stage: str
    record: RoundRecord | None = None
    message: TranscriptEntry | None = None


@dataclass(frozen=True)
class Run:
    """A finished training run.

    Attributes
    ----------
    directory
        Where it lies.
    plan
        What was run.
    metrics
        The content of ``metrics.json``.
    transcript
        Every message of this session, whole if they were kept.
    """

    directory: Path
    plan: Plan
    metrics: dict[str, Any]
    transcript: Transcript

    @property
    def iterations(self) -> int:
        """How many EM iterations were run."""
        return len(self.metrics["iterations"])

    @property
    def converged(self) -> bool:
        """Whether training stopped by itself before the plan's limit."""
        return bool(self.metrics["converged"])

    @property
    def log_likelihood(self) -> float:
        """The mean log-likelihood a row in the last iteration."""
        return float(self.metrics["log_likelihood"])


def train(
    plan: Plan | Path | str,
    out: Path | str | None = None,
    *,
    engine: str = "local",
    kit: Path | str | None = None,
    resume: bool = False,
    parent: Path | None = None,
    progress: Callable[[Progress], None] | None = None,
    keep_messages: bool = False,
    patience: float = 3600.0,
) -> Run:
    """Train the federated mixture of a plan and write its run directory.

    Parameters
    ----------
    plan
        The plan, or the path of its TOML file.
    out
        The run directory to make; default: ``runs/NAME-DATE-TIME``.
    engine
        "local": every role in this process, exchanging nothing but serialised bytes. "nvflare": every role in a
        process of its own, as a site of NVIDIA FLARE's simulator on this machine (extra `nvflare`), or with `kit` on
        the sites of a federation that is up.
    kit
        The folder of the startup kit of the federation's administrator, for engine "nvflare".
    resume
        Go on from the last checkpoint of the unfinished run of this plan beside `out`; from the beginning if it has
        none. Of a run that is complete already, return what is there.
    parent
        The directory of a complete run, whose model training goes on from. With `kit`, of a run on the same sites.
    progress
        Called before each stage, for each message and after each round.
    keep_messages
        Keep every message whole in the returned transcript (for `transcript_check`).
    patience
        Seconds to wait for a site that does not answer before the run stops with its name, for engine "nvflare"; more
        than the longest step takes.

    Returns
    -------
    Run
        The run, complete on disk.

    Raises
    ------
    ValueError
        The plan, a data file or an argument is at fault; the message says which and what to do.
    ProtocolError
        A party declines, rows do not match, or a message does not fit the protocol.
    PlaintextOverflowError
        A number does not fit the encoding; the message names the party.
    StorageError
        A disk is full, read-only or failing; the message names the file, and the run can be resumed.
    """
    loaded = plan if isinstance(plan, Plan) else load_plan(plan)
    if engine not in ENGINES:
        raise ValueError(f"engine: expected one of {ENGINES}, got {engine!r}")
    if loaded.binning is not None:
        raise ValueError(f"{loaded.name}: this plan bins columns, it trains no model; run cipherlane bin")
    if resume and out is None:
        raise ValueError("out: name the run to resume with --out")
    final = Path(out) if out is not None else default_directory(loaded)
    tell = progress or (lambda event: None)
    if not patience > 0:
        raise ValueError(f"patience: expected a number of seconds above 0, got {patience!r}")
    if kit is not None and (engine != "nvflare" or keep_messages):
        raise ValueError("kit: expected with engine 'nvflare' and without keep_messages")
    if resume and final.exists():
        tell(Progress("complete"))
        return _finished(final, loaded)
    if kit is not None:
        from cipherlane.federation.flare.submission import train_on_sites

        return train_on_sites(loaded, final, Path(kit), resume=resume, parent=parent, tell=tell, patience=patience)
    if engine == "nvflare":
        # Only here: it needs this module.
        from cipherlane.federation.flare.simulator import train_in_simulator

        if keep_messages:
            raise ValueError("keep_messages: messages cross between processes and are kept by engine 'local' alone")
        return train_in_simulator(loaded, final, resume=resume, parent=parent, tell=tell, patience=patience)
    tell(Progress("prepare"))
    store = RunStore.reopen(final, loaded, parent) if resume else RunStore.create(final, loaded, parent)
    with store.guarded():
        return _Session(loaded, store, tell, keep_messages).run()


def _finished(directory: Path, plan: Plan) -> Run:
    check_plan(check_complete(directory), plan)
    return Run(directory, plan, read_json(directory / METRICS_FILE), Transcript(directory / TRANSCRIPT_FILE))


def train_elsewhere(
    plan: Plan,
    final: Path,
    connect: Connect,
    engine: str,
    *,
    resume: bool,
    tell: Callable[[Progress], None],
    parent: Path | None = None,
) -> Run:
    """Train with roles that run elsewhere, as the coordinator, and write its run directory.

    Parameters
    ----------
    plan, final, resume, tell, parent
        As for `train`.
    connect
        What reaches the roles.
    engine
        Its name, for the metrics.
    """
    if resume and final.exists():
        tell(Progress("complete"))
        return _finished(final, plan)
    tell(Progress("prepare"))
    store = RunStore.reopen(final, plan, parent) if resume else RunStore.create(final, plan, parent)
    with store.guarded():
        return _Session(plan, store, tell, keep_messages=False, engine=engine, connect=connect).run()


def default_directory(plan: Plan) -> Path:
    """Return ``runs/NAME-DATE-TIME`` for a run of `plan` that starts now."""
    return Path("runs") / f"{plan.name.replace(' ', '-')}-{datetime.now():%Y%m%d-%H%M%S}"


class _Session:
    """One process's work on a run: the whole of it, or what was left to do."""

    def __init__(
        self,
        plan: Plan,
        store: RunStore,
        tell: Callable[[Progress], None],
        keep_messages: bool,
        *,
        engine: str = "local",
        connect: Connect | None = None,
    ) -> None:
        self._plan = plan
        self._store = store
        self._tell = tell
        self._engine_name = engine
        self._connect = connect
        self._checkpoint = store.checkpoint()
        self._parent = None if store.parent is None else version_of(store.parent)
        self._ledger = ledger_for(plan, store, lineage_of(self._parent))
        self._models: dict[str, PartyModel | LogisticModel] = {}
        if self._parent is not None and connect is None:
            self._models = parent_models(self._parent, plan)
        elif self._parent is not None:
            check_continues(self._parent, plan)
        self._transcript = Transcript(store.transcript_file, keep_messages=keep_messages, watch=self._crossed)
        self._records: list[dict[str, Any]] = []
        self._kept: int | None = None
        self._seconds = dict.fromkeys(_STAGES, 0.0)
        self._earlier_seconds = 0.0

    def run(self) -> Run:
        with self._timed("prepare"):
            roles = self._ledger.witnessed(self._roles()) if self._connect is None else []
            engine = self._engine(roles)
        coordinator = coordinator_of(self._plan, engine)
        try:
            with notices_of(roles):
                return self._trained(coordinator)
        finally:
            self._ledger.release()

    def _crossed(self, entry: TranscriptEntry) -> None:
        self._ledger.note(entry)
        self._tell(Progress("message", message=entry))

    def _trained(self, coordinator: Coordinator) -> Run:
        self._ledger.begin(coordinator, self._transcript)
        if self._ledger.closed:
            return self._concluded(read_json(self._store.directory / METRICS_FILE))
        self._agree(coordinator)
        training = time.perf_counter()
        with self._on_ledger():
            self._ledger.open()
        self._tell(Progress("key"))
        with self._timed("key"):
            coordinator.make_key()
        with self._on_ledger():
            self._ledger.agree_on_key(coordinator.public_key.fingerprint)
        self._tell(Progress("start"))
        with self._timed("start"):
            first = self._begin(coordinator)
        with self._on_ledger():
            self._ledger.commit()
        if first is not None:
            self._rounds(coordinator, first, training)
        self._tell(Progress("finish"))
        sharing = self._plan.privacy.share_parameters
        # What the arbiter was sent in the last round is in no checkpoint.
        if sharing == "end" or (sharing == "every_round" and first is None):
            self._collect_parameters(coordinator)
        with self._timed("results"):
            coordinator.finish()
        self._seconds["training"] = time.perf_counter() - training + self._earlier_seconds
        metrics = self._metrics(coordinator)
        files = {f"{JOINT_MODEL if name == ARBITER else name}.npz": sha for name, sha in coordinator.models.items()}
        metrics["model"] = write_version(self._store.directory, self._plan, self._parent, metrics, files)
        self._store.write_metrics(metrics)
        return self._concluded(metrics)

    def _concluded(self, metrics: dict[str, Any]) -> Run:
        """Record what the run ended with, and give it its name."""
        self._ledger.close()
        write_report(self._store.directory)
        return Run(self._store.complete(), self._plan, metrics, self._transcript)

    def _engine(self, roles: list[Responder]) -> Engine:
        if self._connect is not None:
            return self._connect(self._transcript, self._store.run_id, self._checkpoint is not None, self._parent)
        return LocalEngine(list[Role](roles), self._transcript)

    def _roles(self) -> list[Responder]:
        parties: list[Responder] = [self._party(party) for party in self._plan.parties]
        joint = self._store.joint_model_file if self._plan.writes_joint_model else None
        joined = arbiter_of(self._plan.model.algorithm, self._store.arbiter_store(), joint, self._plan.arbiter)
        return [joined, *parties]

    def _party(self, party: PartyPlan) -> DataParty:
        party_type = party_type_of(self._plan.model.algorithm)
        store, files = self._store.party_store(party), self._store.party_files(party)
        if self._checkpoint is not None:
            made = party_type.reopen(party, store, files)
        else:
            # Of the kind that the algorithm's parties take.
            trained: Any = self._models.get(party.name)
            made = party_type.prepare(party, store, files, trained)
        made.expected_key = self._plan.expected_key
        return made

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self._seconds[stage] += time.perf_counter() - started

    def _agree(self, coordinator: Coordinator) -> None:
        self._tell(Progress("agree"))
        with self._timed("agree"):
            coordinator.open()
        if self._checkpoint is not None:
            # Matched before the checkpoint was made; the sealed tables are those that matched.
            return
        self._tell(Progress("match"))
        with self._timed("match"):
            coordinator.match()

    def _collect_parameters(self, coordinator: Coordinator) -> None:
        with self._timed("parameters"):
            coordinator.collect_parameters()

    def _begin(self, coordinator: Coordinator) -> int | None:
        """Start, or go back to the checkpoint, and return the next round, or None if none is left to do."""
        state = self._checkpoint
        if state is None:
            if self._parent is None:
                coordinator.start()
            else:
                trained = self._models.get(self._plan.guest.name)
                weights = trained.weights.tolist() if isinstance(trained, PartyModel) else final_weights(self._parent)
                coordinator.continue_from(weights)
            return 1
        self._records = state["iterations"]
        self._earlier_seconds = state["training_seconds"]
        coordinator.traffic = Traffic(**state["ciphertexts"])
        try:
            converged = coordinator.restore(state["round"], state["used_weights"])
        except (ProtocolError, StorageError, ValueError) as error:
            raise type(error)(
                f"{error}\n  nothing was changed: put the file right, or {self._store.way_back()}"
            ) from error
        last = state["round"] >= self._plan.training.max_iterations
        return None if converged or last else state["round"] + 1

    def _rounds(self, coordinator: Coordinator, first: int, training: float) -> None:
        every = self._plan.training.checkpoint_every
        self._may_begin(coordinator, None, training)
        for record in coordinator.rounds(first):
            self._records.append(asdict(record))
            if self._plan.privacy.share_parameters == "every_round":
                self._collect_parameters(coordinator)
            with self._on_ledger():
                self._ledger.commit()
            if every and record.round % every == 0:
                with self._timed("checkpoints"):
                    self._keep(coordinator, record, training)
            self._tell(Progress("round", record))
            if not record.converged:
                self._may_begin(coordinator, record, training)

    def _may_begin(self, coordinator: Coordinator, last: RoundRecord | None, training: float) -> None:
        """Stop where the ledger forbids the next round, with everything kept as of the last one."""
        with self._on_ledger():
            try:
                self._ledger.check()
            except LedgerError:
                if last is not None and last.round != self._kept:
                    self._keep(coordinator, last, training)
                self._ledger.stop()
                raise

    @contextmanager
    def _on_ledger(self) -> Iterator[None]:
        if not self._ledger.enabled:
            yield
            return
        self._seconds.setdefault("ledger", 0.0)
        with self._timed("ledger"):
            yield

    def _keep(self, coordinator: Coordinator, record: RoundRecord, training: float) -> None:
        coordinator.checkpoint()
        self._kept = record.round
        self._store.write_checkpoint(
            {
                "round": record.round,
                "iterations": self._records,
                "used_weights": record.weights,
                "ciphertexts": asdict(coordinator.traffic),
                "training_seconds": time.perf_counter() - training + self._earlier_seconds,
            }
        )

    def _metrics(self, coordinator: Coordinator) -> dict[str, Any]:
        last = self._records[-1]
        plan = self._plan
        totals = {
            name: sum(record["seconds"][name] for record in self._records)
            for name in ("add", "decrypt", "e_step", "relay")
        }
        for name in ("em", "encrypt"):
            totals[name] = sum(sum(record["seconds"][name].values()) for record in self._records)
        seconds = {**self._seconds, **totals}
        concurrent = coordinator.engine.concurrent
        parties = sum(party_seconds(record["seconds"], concurrent) for record in self._records)
        # What a resumed run did before its checkpoint is in no stage but the total.
        inside = [*(set(self._seconds) - set(_OUTSIDE)), "add", "decrypt", "e_step", "relay"]
        seconds["other"] = max(seconds["training"] - sum(seconds[name] for name in inside) - parties, 0.0)
        return {
            "format": 2,
            "plan": plan.name,
            "algorithm": plan.model.algorithm,
            "engine": self._engine_name,
            "concurrent": concurrent,
            "components": plan.model.components,
            "rows": coordinator.rows,
            "parties": {
                name: {
                    "role": coordinator.engine.roles[name],
                    **{key: value for key, value in answer.fields.items() if key not in ("box_key", "clock")},
                }
                for name, answer in coordinator.capabilities.items()
            },
            "privacy": asdict(plan.privacy),
            "converged": last["converged"],
            "log_likelihood": last["log_likelihood"],
            "iterations": self._records,
            "totals": {
                "seconds": seconds,
                "ciphertexts": {
                    "scheme": coordinator.public_key.scheme,
                    "key_bits": coordinator.public_key.bits,
                    "key_fingerprint": coordinator.public_key.fingerprint,
                    # Whoever received one looked: `read_ciphertexts` refuses those without randomness of their own.
                    "found_randomised": coordinator.traffic.total(),
                    **asdict(coordinator.traffic),
                    "total": coordinator.traffic.total(),
                },
                "messages": self._transcript.count,
                "bytes": self._transcript.total_bytes,
            },
            **self._ledger.metrics(),
        }


@contextmanager
def notices_of(roles: Sequence[Responder]) -> Iterator[None]:
    """Add to a refusal what the roles of this process have to tell their own operators."""
    try:
        yield
    except (PlaintextOverflowError, ProtocolError, StorageError) as error:
        notices = [f"{role.role} {role.name!r}: {text}" for role in roles for text in role.notices]
        # Guest first: it is the one that wants the result.
        notices.sort(key=lambda text: not text.startswith(GUEST))
        raise type(error)("\n  ".join([str(error), *notices])) from error
