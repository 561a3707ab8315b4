"""Training from a plan to a run directory."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cipherlane.errors import LedgerError
from cipherlane.federation.algorithms import arbiter_of, coordinator_of
from cipherlane.federation.coordinator import Coordinator, RoundRecord, Traffic, party_seconds
from cipherlane.federation.engine import Transcript
from cipherlane.federation.logistic_models import LogisticModel
from cipherlane.federation.models import PartyModel
from cipherlane.federation.plan import Plan
from cipherlane.federation.plan_reader import load_plan
from cipherlane.federation.registry import (
    check_continues,
    final_weights,
    parent_models,
    write_version,
)
from cipherlane.federation.responder import Responder
from cipherlane.federation.run_session import (
    Connect,
    Progress,
    RunSession,
    Tell,
    check_options,
    default_directory,
)
from cipherlane.federation.run_store import (
    JOINT_MODEL,
    METRICS_FILE,
    TRANSCRIPT_FILE,
    RunStore,
    check_complete,
    check_plan,
)
from cipherlane.report import read_json, write_report
from cipherlane.vertical.messages import ARBITER

# Before the training; the other stages, and the rounds, make it up.
_OUTSIDE = ("prepare", "agree", "match", "training")


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
    progress: Tell | None = None,
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
    check_options(out, engine, kit, resume, keep_messages, patience)
    if loaded.binning is not None:
        raise ValueError(f"{loaded.name}: this plan bins columns, it trains no model; run cipherlane bin")
    final = Path(out) if out is not None else default_directory(loaded)
    tell = progress or (lambda event: None)
    if resume and final.exists():
        tell(Progress("complete"))
        return _finished(final, loaded)
    if engine == "nvflare":
        return run_over_flare(loaded, final, kit, resume=resume, tell=tell, patience=patience, parent=parent)
    tell(Progress("prepare"))
    store = RunStore.reopen(final, loaded, parent) if resume else RunStore.create(final, loaded, parent)
    with store.guarded():
        return _Session(loaded, store, tell, keep_messages).run()


def run_over_flare(
    plan: Plan,
    final: Path,
    kit: Path | str | None,
    *,
    resume: bool,
    tell: Tell,
    patience: float,
    parent: Path | None = None,
) -> Run:
    """Run a plan with every role as a site of FLARE: in its simulator, or of the federation whose kit is given."""
    # Only here: they need this module.
    if kit is not None:
        from cipherlane.federation.flare.submission import train_on_sites

        return train_on_sites(plan, final, Path(kit), resume=resume, parent=parent, tell=tell, patience=patience)
    from cipherlane.federation.flare.simulator import train_in_simulator

    return train_in_simulator(plan, final, resume=resume, parent=parent, tell=tell, patience=patience)


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
    tell: Tell,
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
        return _Session(plan, store, tell, engine=engine, connect=connect).run()


class _Session(RunSession):
    """One process's work on a training run."""

    _stages = ("prepare", "agree", "match", "key", "start", "parameters", "checkpoints", "results")

    def _set_up(self) -> None:
        self._models: dict[str, PartyModel | LogisticModel] = {}
        if self._parent is not None and self._connect is None:
            self._models = parent_models(self._parent, self._plan)
        elif self._parent is not None:
            check_continues(self._parent, self._plan)
        self._records: list[dict[str, Any]] = []
        self._kept: int | None = None

    def run(self) -> Run:
        with self._engine(self._roles) as engine:
            return self._trained(coordinator_of(self._plan, engine))

    def _trained(self, coordinator: Coordinator) -> Run:
        self._ledger.begin(coordinator, self._transcript)
        if self._ledger.closed:
            return self._concluded(read_json(self._store.directory / METRICS_FILE))
        self._agree(coordinator)
        training = time.perf_counter()
        with self._on_ledger():
            self._ledger.open()
        with self._stage("key"):
            coordinator.make_key()
        with self._on_ledger():
            self._ledger.agree_on_key(coordinator.public_key.fingerprint)
        with self._stage("start"):
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

    def _roles(self) -> list[Responder]:
        parties: list[Responder] = [self._party(party, self._models.get(party.name)) for party in self._plan.parties]
        joint = self._store.joint_model_file if self._plan.writes_joint_model else None
        joined = arbiter_of(self._plan.model.algorithm, self._store.arbiter_store(), joint, self._plan.arbiter)
        return [joined, *parties]

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
        with self._going_back():
            converged = coordinator.restore(state["round"], state["used_weights"])
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
            **self._common_metrics(coordinator),
            "components": plan.model.components,
            "privacy": asdict(plan.privacy),
            "converged": last["converged"],
            "log_likelihood": last["log_likelihood"],
            "iterations": self._records,
            "totals": self._totals(coordinator, seconds, asdict(coordinator.traffic)),
            **self._ledger.metrics(),
        }
