"""What every run does whatever its algorithm: its engine, transcript and ledger, and how long each stage took."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

from cipherlane.errors import PlaintextOverflowError, ProtocolError, StorageError
from cipherlane.federation.algorithms import party_type_of
from cipherlane.federation.coordinator import Coordinator, RoundRecord
from cipherlane.federation.engine import Engine, LocalEngine, Role, Transcript, TranscriptEntry
from cipherlane.federation.party import Party
from cipherlane.federation.plan import PartyPlan, Plan
from cipherlane.federation.registry import Version, lineage_of, version_of
from cipherlane.federation.responder import Responder
from cipherlane.federation.run_ledger import ledger_for
from cipherlane.federation.run_store import RunStore
from cipherlane.vertical.messages import GUEST

ENGINES = ("local", "nvflare")
# Makes the engine of a run whose roles are elsewhere, given its transcript, the run's id, whether they go on from a
# checkpoint, and the version that they train on from, if any.
Connect = Callable[[Transcript, str, bool, Version | None], Engine]


@dataclass(frozen=True)
class Progress:
    """One step of a run: what happens now, and in a round what came out of it.

    Attributes
    ----------
    stage
        "prepare", "agree", "match", "key", "start", "message", "round" or "finish"; before them "connect" where roles
        are sites of a federation; "score" where a model is applied; "complete" if there was nothing left to do. A
        binning has "labels", "kept" and "verdicts" in the place of "start" and "round"; "kept" comes after each
        checkpoint.
    record
        The round just done, for "round".
    message
        What was just sent to a role or came back from it, for "message".
    """

    stage: str
    record: RoundRecord | None = None
    message: TranscriptEntry | None = None


Tell = Callable[[Progress], None]


def check_options(
    out: Path | str | None, engine: str, kit: Path | str | None, resume: bool, keep_messages: bool, patience: float
) -> None:
    """Raise `ValueError` unless the arguments of a run fit each other."""
    if engine not in ENGINES:
        raise ValueError(f"engine: expected one of {ENGINES}, got {engine!r}")
    if resume and out is None:
        raise ValueError("out: name the run to resume with --out")
    if not patience > 0:
        raise ValueError(f"patience: expected a number of seconds above 0, got {patience!r}")
    if kit is not None and (engine != "nvflare" or keep_messages):
        raise ValueError("kit: expected with engine 'nvflare' and without keep_messages")
    if keep_messages and engine == "nvflare":
        raise ValueError("keep_messages: messages cross between processes and are kept by engine 'local' alone")


def default_directory(plan: Plan) -> Path:
    """Return ``runs/NAME-DATE-TIME`` for a run of `plan` that starts now."""
    return Path("runs") / f"{plan.name.replace(' ', '-')}-{datetime.now():%Y%m%d-%H%M%S}"


class RunSession:
    """One process's work on a run: the whole of it, or what was left to do.

    Parameters
    ----------
    plan, store
        What is run, and its files.
    tell
        What progress is passed on to.
    keep_messages
        Whether the transcript keeps every message whole.
    engine
        Its name, for the metrics.
    connect
        What reaches the roles; None where they run in this process.
    """

    _stages: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        plan: Plan,
        store: RunStore,
        tell: Tell,
        keep_messages: bool = False,
        *,
        engine: str = "local",
        connect: Connect | None = None,
    ) -> None:
        self._plan = plan
        self._store = store
        self._tell = tell
        self._engine_name = engine
        self._connect = connect
        self._parent = None if store.parent is None else version_of(store.parent)
        self._ledger = ledger_for(plan, store, lineage_of(self._parent))
        self._checkpoint = store.checkpoint()
        self._transcript = Transcript(store.transcript_file, keep_messages=keep_messages, watch=self._crossed)
        self._seconds = dict.fromkeys(self._stages, 0.0)
        self._earlier_seconds = 0.0
        self._set_up()

    def _set_up(self) -> None:
        """Begin what an algorithm's session has of its own; the base has nothing."""

    def _crossed(self, entry: TranscriptEntry) -> None:
        self._ledger.note(entry)
        self._tell(Progress("message", message=entry))

    @contextmanager
    def _engine(self, roles: Callable[[], Sequence[Responder]]) -> Iterator[Engine]:
        """Reach the roles, which `roles` makes where they are in this process, and tell what they had to say."""
        with self._timed("prepare"):
            own = self._ledger.witnessed(roles()) if self._connect is None else []
            engine: Engine
            if self._connect is None:
                engine = LocalEngine(list[Role](own), self._transcript)
            else:
                goes_on = self._checkpoint is not None
                engine = self._connect(self._transcript, self._store.run_id, goes_on, self._parent)
        try:
            with notices_of(own):
                yield engine
        finally:
            self._ledger.release()

    def _party(self, party: PartyPlan, model: object = None) -> Party[Any, Any]:
        """Return a data party of this process, which goes on from its checkpoint or begins, perhaps from a `model`."""
        party_type = party_type_of(self._plan.model.algorithm, party.role)
        store, files = self._store.party_store(party), self._store.party_files(party)
        if self._checkpoint is not None:
            made = party_type.reopen(party, store, files)
        else:
            made = party_type.prepare(party, store, files, model)
        made.expected_key = self._plan.expected_key
        return made

    @contextmanager
    def _going_back(self) -> Iterator[None]:
        """Say what to do where the roles cannot go back to the last checkpoint."""
        try:
            yield
        except (ProtocolError, StorageError, ValueError) as error:
            raise type(error)(
                f"{error}\n  nothing was changed: put the file right, or {self._store.way_back()}"
            ) from error

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self._seconds[stage] = self._seconds.get(stage, 0.0) + time.perf_counter() - started

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        """Tell of a stage, and time it."""
        self._tell(Progress(name))
        with self._timed(name):
            yield

    @contextmanager
    def _on_ledger(self) -> Iterator[None]:
        if not self._ledger.enabled:
            yield
            return
        with self._timed("ledger"):
            yield

    def _agree(self, coordinator: Coordinator) -> None:
        with self._stage("agree"):
            coordinator.open()
        if self._checkpoint is not None:
            # Matched before the checkpoint was made; the sealed tables are those that matched.
            return
        with self._stage("match"):
            coordinator.match()

    def _common_metrics(self, coordinator: Coordinator) -> dict[str, Any]:
        """Return what the metrics of every run begin with."""
        return {
            "format": 2,
            "plan": self._plan.name,
            "algorithm": self._plan.model.algorithm,
            "engine": self._engine_name,
            "concurrent": coordinator.engine.concurrent,
            "rows": coordinator.rows,
            "parties": {
                name: {
                    "role": coordinator.engine.roles[name],
                    **{key: value for key, value in answer.fields.items() if key not in ("box_key", "clock")},
                }
                for name, answer in coordinator.capabilities.items()
            },
        }

    def _totals(self, coordinator: Coordinator, seconds: dict[str, Any], ciphertexts: dict[str, int]) -> dict[str, Any]:
        """Return what the metrics of every run say of its cost."""
        key, total = coordinator.public_key, sum(ciphertexts.values())
        return {
            "seconds": seconds,
            "ciphertexts": {
                "scheme": key.scheme,
                "key_bits": key.bits,
                "key_fingerprint": key.fingerprint,
                # Whoever received one looked, and refused those without randomness of their own.
                "found_randomised": total,
                **ciphertexts,
                "total": total,
            },
            "messages": self._transcript.count,
            "bytes": self._transcript.total_bytes,
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
