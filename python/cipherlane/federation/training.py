"""Training from a plan to a run directory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cipherlane.errors import PlaintextOverflowError, ProtocolError
from cipherlane.federation.arbiter import Arbiter
from cipherlane.federation.coordinator import Coordinator, RoundRecord, Traffic
from cipherlane.federation.data_party import DataParty
from cipherlane.federation.engine import LocalEngine, Role, Transcript
from cipherlane.federation.plan import Plan, load_plan
from cipherlane.federation.responder import Responder
from cipherlane.federation.run_store import RunStore
from cipherlane.report import write_report
from cipherlane.vertical.messages import GUEST

ENGINES = ("local",)
# The last five, and the rounds, make up the training.
_STAGES = ("prepare", "agree", "match", "key", "start", "parameters", "checkpoints", "results")


@dataclass(frozen=True)
class Progress:
    """One step of a run: what happens now, and in a round what came out of it.

    Attributes
    ----------
    stage
        "prepare", "agree", "match", "key", "start", "round" or "finish".
    record
        The round just done, for "round".
    """

    stage: str
    record: RoundRecord | None = None


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
    resume: bool = False,
    progress: Callable[[Progress], None] | None = None,
    keep_messages: bool = False,
) -> Run:
    """Train the federated mixture of a plan and write its run directory.

    Parameters
    ----------
    plan
        The plan, or the path of its TOML file.
    out
        The run directory to make; default: ``runs/NAME-DATE-TIME``.
    engine
        "local": every role in this process, exchanging nothing but serialised bytes.
    resume
        Go on from the last checkpoint of the unfinished run of this plan beside `out`.
    progress
        Called before each stage and after each round.
    keep_messages
        Keep every message whole in the returned transcript (for `transcript_check`).

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
    """
    loaded = plan if isinstance(plan, Plan) else load_plan(plan)
    if engine not in ENGINES:
        raise ValueError(f"engine: expected one of {ENGINES}, got {engine!r}")
    if resume and out is None:
        raise ValueError("out: name the run to resume with --out")
    final = Path(out) if out is not None else default_directory(loaded)
    tell = progress or (lambda event: None)
    tell(Progress("prepare"))
    store = RunStore.reopen(final, loaded) if resume else RunStore.create(final, loaded)
    with store.guarded():
        return _Session(loaded, store, tell, keep_messages).run(resume)


def default_directory(plan: Plan) -> Path:
    """Return ``runs/NAME-DATE-TIME`` for a run of `plan` that starts now."""
    return Path("runs") / f"{plan.name.replace(' ', '-')}-{datetime.now():%Y%m%d-%H%M%S}"


class _Session:
    """One process's work on a run: the whole of it, or what was left to do."""

    def __init__(self, plan: Plan, store: RunStore, tell: Callable[[Progress], None], keep_messages: bool) -> None:
        self._plan = plan
        self._store = store
        self._tell = tell
        self._transcript = Transcript(store.transcript_file, keep_messages=keep_messages)
        self._records: list[dict[str, Any]] = []
        self._seconds = dict.fromkeys(_STAGES, 0.0)
        self._earlier_seconds = 0.0

    def run(self, resume: bool) -> Run:
        with self._timed("prepare"):
            roles = self._roles(resume)
        coordinator = Coordinator(self._plan, LocalEngine(list[Role](roles), self._transcript))
        with notices_of(roles):
            return self._trained(coordinator, resume)

    def _trained(self, coordinator: Coordinator, resume: bool) -> Run:
        self._agree(coordinator, resume)
        training = time.perf_counter()
        self._tell(Progress("key"))
        with self._timed("key"):
            coordinator.make_key()
        self._tell(Progress("start"))
        with self._timed("start"):
            first = self._restore(coordinator) if resume else self._start(coordinator)
        if first is not None:
            self._rounds(coordinator, first, training)
        self._tell(Progress("finish"))
        if self._plan.privacy.share_parameters == "end":
            self._collect_parameters(coordinator)
        with self._timed("results"):
            coordinator.finish()
        self._seconds["training"] = time.perf_counter() - training + self._earlier_seconds
        metrics = self._metrics(coordinator)
        self._store.write_metrics(metrics)
        write_report(self._store.directory)
        return Run(self._store.complete(), self._plan, metrics, self._transcript)

    def _roles(self, resume: bool) -> list[Responder]:
        make = DataParty.reopen if resume else DataParty.prepare
        parties: list[Responder] = [
            make(party, self._store.party_store(party), self._store.party_files(party)) for party in self._plan.parties
        ]
        joint = None if self._plan.privacy.share_parameters == "never" else self._store.joint_model_file
        return [Arbiter(self._store.arbiter_store(), joint), *parties]

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self._seconds[stage] += time.perf_counter() - started

    def _agree(self, coordinator: Coordinator, resume: bool) -> None:
        self._tell(Progress("agree"))
        with self._timed("agree"):
            coordinator.open()
        if resume:
            # Matched before the checkpoint was made; the sealed tables are those that matched.
            return
        self._tell(Progress("match"))
        with self._timed("match"):
            coordinator.match()

    def _collect_parameters(self, coordinator: Coordinator) -> None:
        with self._timed("parameters"):
            coordinator.collect_parameters()

    @staticmethod
    def _start(coordinator: Coordinator) -> int:
        coordinator.start()
        return 1

    def _restore(self, coordinator: Coordinator) -> int | None:
        """Go back to the checkpoint and return the next round, or None if none is left to do."""
        state = self._store.checkpoint()
        assert state is not None, "a run is only reopened with a checkpoint"
        self._records = state["iterations"]
        self._earlier_seconds = state["training_seconds"]
        coordinator.traffic = Traffic(**state["ciphertexts"])
        converged = coordinator.restore(state["round"], state["used_weights"])
        last = state["round"] >= self._plan.training.max_iterations
        return None if converged or last else state["round"] + 1

    def _rounds(self, coordinator: Coordinator, first: int, training: float) -> None:
        every = self._plan.training.checkpoint_every
        for record in coordinator.rounds(first):
            self._records.append(asdict(record))
            if self._plan.privacy.share_parameters == "every_round":
                self._collect_parameters(coordinator)
            if every and record.round % every == 0:
                with self._timed("checkpoints"):
                    self._keep(coordinator, record, training)
            self._tell(Progress("round", record))

    def _keep(self, coordinator: Coordinator, record: RoundRecord, training: float) -> None:
        coordinator.checkpoint()
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
        # What a resumed run did before its checkpoint is in no stage but the total.
        seconds["other"] = max(seconds["training"] - sum(seconds[name] for name in (*_STAGES[3:], *totals)), 0.0)
        return {
            "format": 2,
            "plan": plan.name,
            "engine": "local",
            "components": plan.model.components,
            "rows": coordinator.capabilities[plan.guest.name]["rows"],
            "parties": {
                name: {
                    "role": coordinator.engine.roles[name],
                    **{key: value for key, value in answer.fields.items() if key != "box_key"},
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
                    **asdict(coordinator.traffic),
                    "total": coordinator.traffic.total(),
                },
                "messages": self._transcript.count,
                "bytes": self._transcript.total_bytes,
            },
        }


@contextmanager
def notices_of(roles: Sequence[Responder]) -> Iterator[None]:
    """Add to a refusal what the roles of this process have to tell their own operators."""
    try:
        yield
    except (PlaintextOverflowError, ProtocolError) as error:
        notices = [f"{role.role} {role.name!r}: {text}" for role in roles for text in role.notices]
        # Guest first: it is the one that wants the result.
        notices.sort(key=lambda text: not text.startswith(GUEST))
        raise type(error)("\n  ".join([str(error), *notices])) from error
