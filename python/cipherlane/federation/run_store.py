"""A run's directory: made beside its final place, and renamed there once it is whole."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cipherlane.federation.data_party import PartyFiles
from cipherlane.federation.plan import PartyPlan, Plan
from cipherlane.report import read_json
from cipherlane.vertical.messages import ARBITER, GUEST
from cipherlane.vertical.sealing import SealedStore

PLAN_FILE = "plan.toml"
METRICS_FILE = "metrics.json"
STATUS_FILE = "status.json"
TRANSCRIPT_FILE = "transcript.jsonl"
ASSIGNMENTS_FILE = "assignments.csv"
QUALITY_FILE = "quality.json"
MODELS_DIRECTORY = "models"
JOINT_MODEL = "joint"
_CHECKPOINT_FILE = "coordinator/checkpoint.json"
_PARTIAL_SUFFIX = ".partial"


def write_json(path: Path, content: Any) -> None:
    """Write JSON to `path`, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    temporary.replace(path)


@dataclass(frozen=True)
class RunStore:
    """The files of a run that is being made.

    Attributes
    ----------
    final
        Where the run will lie once it is whole.
    directory
        Where it lies until then.
    """

    final: Path

    @property
    def directory(self) -> Path:
        """The directory beside `final` that a run is made in."""
        return self.final.with_name(self.final.name + _PARTIAL_SUFFIX)

    @classmethod
    def create(cls, final: Path, plan: Plan) -> RunStore:
        """Make the directory of a new run.

        Raises
        ------
        ValueError
            Something lies there already.
        """
        store = cls(final)
        if final.exists():
            raise ValueError(f"{final}: exists already; give another directory with --out")
        if store.directory.exists():
            raise ValueError(f"{store.directory}: an unfinished run lies there; go on with --resume, or delete it")
        store.directory.mkdir(parents=True)
        (store.directory / PLAN_FILE).write_text(plan.text, encoding="utf-8")
        store._write_status("running")
        return store

    @classmethod
    def reopen(cls, final: Path, plan: Plan) -> RunStore:
        """Open the directory of an unfinished run of the same plan.

        Raises
        ------
        ValueError
            There is none, or it was made from another plan.
        """
        store = cls(final)
        if final.exists():
            raise ValueError(f"{final}: this run is complete; there is nothing to resume")
        kept = store.directory / PLAN_FILE
        if not kept.is_file():
            raise ValueError(f"{store.directory}: no unfinished run lies there; start it without --resume")
        if kept.read_text(encoding="utf-8") != plan.text:
            raise ValueError(
                f"{kept}: the unfinished run was started from another plan; give that plan, or another --out"
            )
        if store.checkpoint() is None:
            raise ValueError(f"{store.directory}: the unfinished run has no checkpoint; delete it and start anew")
        store._write_status("running")
        return store

    @contextmanager
    def guarded(self) -> Iterator[RunStore]:
        """Mark the run as failed if the body raises; without a checkpoint to resume from, remove it."""
        try:
            yield self
        except BaseException as error:
            if self.checkpoint() is None:
                shutil.rmtree(self.directory, ignore_errors=True)
            else:
                self._write_status("failed", f"{type(error).__name__}: {error}")
            raise

    @property
    def transcript_file(self) -> Path:
        """Where the transcript's digests go."""
        return self.directory / TRANSCRIPT_FILE

    @property
    def joint_model_file(self) -> Path:
        """Where the arbiter writes the joint model."""
        return self._model_file(JOINT_MODEL)

    def party_store(self, party: PartyPlan) -> SealedStore:
        """Return a data party's sealed directory: its own if the plan names one."""
        return SealedStore(party.directory or self.directory / "parties" / party.name, party.seal_key)

    def arbiter_store(self) -> SealedStore:
        """Return the arbiter's sealed directory."""
        return SealedStore(self.directory / "parties" / ARBITER)

    def party_files(self, party: PartyPlan) -> PartyFiles:
        """Return where a data party writes its results."""
        model = self._model_file(party.name)
        if party.role != GUEST:
            return PartyFiles(model)
        return PartyFiles(model, self.directory / ASSIGNMENTS_FILE, self.directory / QUALITY_FILE)

    def write_metrics(self, metrics: dict[str, Any]) -> None:
        """Write the run's metrics."""
        write_json(self.directory / METRICS_FILE, metrics)

    def write_checkpoint(self, state: dict[str, Any]) -> None:
        """Keep the coordinator's state, after every role has kept its own."""
        write_json(self.directory / _CHECKPOINT_FILE, state)

    def checkpoint(self) -> dict[str, Any] | None:
        """Return the coordinator's last kept state, or None."""
        path = self.directory / _CHECKPOINT_FILE
        if not path.is_file():
            return None
        return read_json(path)

    def complete(self) -> Path:
        """Declare the run whole, move it to its final place and return that."""
        self._write_status("complete")
        self.directory.replace(self.final)
        return self.final

    def _model_file(self, name: str) -> Path:
        return self.directory / MODELS_DIRECTORY / f"{name}.npz"

    def _write_status(self, state: str, error: str | None = None) -> None:
        status = {"state": state} if error is None else {"state": state, "error": error}
        write_json(self.directory / STATUS_FILE, status)


def check_complete(run: Path) -> Path:
    """Return `run` if it is the directory of a complete run.

    Raises
    ------
    ValueError
        It is not there, is no run, or is unfinished.
    """
    status = run / STATUS_FILE
    if not status.is_file():
        raise ValueError(f"{run}: not a run directory (it has no {STATUS_FILE}); give what `train` printed")
    state = read_json(status).get("state")
    if state != "complete":
        raise ValueError(f"{run}: this run is {state}, not complete; resume it with `cipherlane train --resume`")
    return run
