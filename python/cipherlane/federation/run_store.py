"""A run's directory: made beside its final place, and renamed there once it is whole."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cipherlane.errors import StorageError
from cipherlane.federation.binning_party import BinningFiles
from cipherlane.federation.data_party import PartyFiles
from cipherlane.federation.directory_lock import DirectoryLock
from cipherlane.federation.plan import BINNING, HORIZONTAL, LOGISTIC, PartyPlan, Plan
from cipherlane.federation.plan_reader import parse_plan
from cipherlane.files import make_directory, told, write_whole
from cipherlane.ledger.run_files import ledger_directory, selection_file
from cipherlane.report import read_json
from cipherlane.vertical.messages import ARBITER, COORDINATOR, GUEST
from cipherlane.vertical.seal_keys import FileKey, SealKey
from cipherlane.vertical.sealed_files import KEY_FILE, InUse, SealedStore

PLAN_FILE = "plan.toml"
RUN_FILE = "run.json"
METRICS_FILE = "metrics.json"
STATUS_FILE = "status.json"
TRANSCRIPT_FILE = "transcript.jsonl"
ASSIGNMENTS_FILE = "assignments.csv"
PREDICTIONS_FILE = "predictions.csv"
QUALITY_FILE = "quality.json"
MODELS_DIRECTORY = "models"
JOINT_MODEL = "joint"
TABLES_FILE = "binning.csv"
REPORT_DATA_FILE = "binning.json"
_OWN_FILES = (ASSIGNMENTS_FILE, QUALITY_FILE)
_CHECKPOINTS = "coordinator"
_KEPT_CHECKPOINTS = 2
_PARTIAL_SUFFIX = ".partial"
_RUN_ID = re.compile(r"[0-9a-f]{32}")

_log = logging.getLogger("cipherlane.federation")


def write_json(path: Path, content: Any) -> None:
    """Write JSON to `path`, whole or not at all."""
    make_directory(path.parent)
    write_whole(path, json.dumps(content, indent=2) + "\n")


class RunStore:
    """The files of a run that is being made, held for this process until `guarded` ends.

    Attributes
    ----------
    final
        Where the run will lie once it is whole.
    directory
        Where it lies until then.
    run_id
        32 hexadecimal digits drawn when the run was made; sealed files open in that run only.
    parent
        The directory of the run that it trains on from, or None.
    """

    def __init__(self, final: Path, plan: Plan, parent: Path | None, *, is_new: bool) -> None:
        self.final = final
        self.directory = _partial(final)
        self._plan = plan
        self._is_new = is_new
        self._lock = DirectoryLock(self.directory)
        self._uses: list[InUse] = []
        try:
            self.run_id, self.parent = self._begin(parent)
        except BaseException:
            self._lock.close()
            raise

    @classmethod
    def create(cls, final: Path, plan: Plan, parent: Path | None = None) -> RunStore:
        """Make the directory of a new run.

        Raises
        ------
        ValueError
            Something lies there already.
        StorageError
            It cannot be made there.
        """
        if final.exists():
            raise ValueError(f"{final}: exists already; give another directory with --out")
        directory = _partial(final)
        make_directory(final.parent)
        try:
            directory.mkdir()
        except FileExistsError:
            raise ValueError(f"{directory}: an unfinished run lies there; go on with --resume, or delete it") from None
        except OSError as error:
            raise StorageError.about(directory, error) from error
        try:
            return cls(final, plan, parent, is_new=True)
        except StorageError:
            # Nothing has begun yet, and another process that waits for its chance to resume finds nothing to do.
            shutil.rmtree(directory, ignore_errors=True)
            raise

    @classmethod
    def reopen(cls, final: Path, plan: Plan, parent: Path | None = None) -> RunStore:
        """Open the directory of an unfinished run of the same plan, or make it if there is none.

        Raises
        ------
        ValueError
            The run there was made from another plan, or another process is working on it.
        StorageError
            It cannot be read or written.
        """
        if not _partial(final).exists():
            return cls.create(final, plan, parent)
        return cls(final, plan, parent, is_new=False)

    def _begin(self, parent: Path | None) -> tuple[str, Path | None]:
        """Write what a run begins with, where a kill has not let it be written, and return the run's id and parent."""
        kept = self.directory / PLAN_FILE
        if kept.exists():
            check_plan(self.directory, self._plan)
        else:
            write_whole(kept, self._plan.text)
        path = self.directory / RUN_FILE
        if self._checkpoint_files():
            for needed in (path, self.transcript_file):
                if not needed.exists():
                    raise ValueError(f"{needed}: missing, though the run has checkpoints; put it back from a copy")
        if not path.exists():
            begun = None if parent is None else str(parent.resolve())
            write_json(path, {"id": secrets.token_hex(16), "parent": begun, "base": str(self._plan.base.resolve())})
        content = read_json(path)
        run_id, kept_parent = content.get("id"), content.get("parent")
        if not isinstance(run_id, str) or _RUN_ID.fullmatch(run_id) is None or not isinstance(kept_parent, str | None):
            raise ValueError(f"{path}: expected the run's id and parent; the run's files were changed")
        if parent is not None and kept_parent != str(parent.resolve()):
            raise ValueError(
                f"{path}: this run began from {kept_parent or 'nothing'}, not from {parent}; give that one"
            )
        self._write_status("running")
        return run_id, None if kept_parent is None else Path(kept_parent)

    @contextmanager
    def guarded(self) -> Iterator[RunStore]:
        """Mark the run as failed if the body raises; a new one with neither checkpoint nor ledger is removed."""
        try:
            yield self
        except BaseException as error:
            if self._checkpoint_files() or ledger_directory(self.directory).exists():
                self._note_failure(error)
                if isinstance(error, StorageError):
                    raise StorageError(f"{error}\n  {self._kept_rounds()}: go on with --resume after that") from error
            elif self._is_new:
                self._remove()
            raise
        finally:
            for use in self._uses:
                use.close()
            self._lock.close()

    def _remove(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)
        for party in self._plan.parties:
            if party.directory is not None:
                shutil.rmtree(self._party_directory(party), ignore_errors=True)

    def _note_failure(self, error: BaseException) -> None:
        try:
            self._write_status("failed", f"{type(error).__name__}: {error}")
        except StorageError as second:
            # The disk may be full: what stopped the run is told, and this beside it.
            _log.warning("the run's status could not be written: %s", second)

    @property
    def transcript_file(self) -> Path:
        """Where the transcript's digests go."""
        return self.directory / TRANSCRIPT_FILE

    @property
    def joint_model_file(self) -> Path:
        """Where the arbiter writes the joint model."""
        return self._model_file(JOINT_MODEL)

    def party_store(self, party: PartyPlan) -> SealedStore:
        """Return a data party's sealed directory: one for this run in its own, if the plan names that."""
        self._uses.append(use_of(self.directory, party.name, self.run_id, party.directory))
        return sealed_store_of(self.directory, party.name, self.run_id, party.directory, party.seal_key)

    def arbiter_store(self) -> SealedStore:
        """Return the arbiter's sealed directory."""
        return sealed_store_of(self.directory, ARBITER, self.run_id, None, None)

    def coordinator_store(self) -> SealedStore:
        """Return the coordinator's sealed directory."""
        return sealed_store_of(self.directory, COORDINATOR, self.run_id, None, None)

    def party_files(self, party: PartyPlan) -> PartyFiles | BinningFiles:
        """Return where a data party writes its results."""
        return files_of(party, self.directory, self._plan.model.algorithm)

    def write_metrics(self, metrics: dict[str, Any]) -> None:
        """Write the run's metrics."""
        write_json(self.directory / METRICS_FILE, metrics)

    def write_checkpoint(self, state: dict[str, Any]) -> None:
        """Keep the coordinator's state after a round, which every role has kept by now."""
        path = self.directory / _CHECKPOINTS / f"checkpoint-{state['round']:06d}.json"
        write_json(path, {"sha256": _digest(state), "state": state})
        for old in self._checkpoint_files()[:-_KEPT_CHECKPOINTS]:
            with told(old):
                old.unlink()

    def checkpoint(self) -> dict[str, Any] | None:
        """Return the coordinator's last kept state, or None.

        Raises
        ------
        ValueError
            The file was changed or cut short.
        """
        files = self._checkpoint_files()
        if not files:
            return None
        try:
            content = read_json(files[-1])
            state = content.get("state")
            if not isinstance(state, dict) or content.get("sha256") != _digest(state):
                raise ValueError(f"{files[-1]}: this checkpoint was changed since it was written")
        except ValueError as error:
            raise ValueError(f"{error}; put it back from a copy, or {self.way_back()}") from None
        return state

    def way_back(self) -> str:
        """Return what to do where the last checkpoint cannot be used."""
        files = self._checkpoint_files()
        before = f"the one of round {_round_of(files[-2])}" if len(files) > 1 else "the beginning"
        return f"delete {files[-1]} to go on from {before}"

    def complete(self) -> Path:
        """Declare the run whole, move it to its final place and return that."""
        self._write_status("complete")
        with told(self.final):
            self.directory.replace(self.final)
        self._lock.remove(self.final)
        return self.final

    def _kept_rounds(self) -> str:
        files = self._checkpoint_files()
        return f"the run is kept up to round {_round_of(files[-1])}" if files else "the run's ledger is kept"

    def _checkpoint_files(self) -> list[Path]:
        return sorted((self.directory / _CHECKPOINTS).glob("checkpoint-*.json"))

    def _party_directory(self, party: PartyPlan) -> Path:
        return sealed_directory_of(self.directory, party.name, self.run_id, party.directory)

    def _model_file(self, name: str) -> Path:
        return model_file(self.directory, name)

    def _write_status(self, state: str, error: str | None = None) -> None:
        status = {"state": state} if error is None else {"state": state, "error": error}
        write_json(self.directory / STATUS_FILE, status)


def model_file(run: Path, name: str) -> Path:
    """Return where the model of a party, or the joint one, lies in a run's directory."""
    return run / MODELS_DIRECTORY / f"{name}.npz"


def rows_file(algorithm: str) -> str:
    """Return the name of the guest's file of what a model says of its rows."""
    return PREDICTIONS_FILE if algorithm == LOGISTIC else ASSIGNMENTS_FILE


def files_of(party: PartyPlan, run: Path, algorithm: str) -> PartyFiles | BinningFiles:
    """Return where a data party writes its results in a run's directory."""
    if algorithm == BINNING:
        selected = selection_file(run, party.name)
        tables = (run / TABLES_FILE, run / REPORT_DATA_FILE) if party.role == GUEST else (None, None)
        return BinningFiles(selected, *tables)
    model = model_file(run, party.name)
    if party.role == GUEST:
        return PartyFiles(model, run / rows_file(algorithm), run / QUALITY_FILE)
    if algorithm == HORIZONTAL:
        # Its rows are its own, so what the model says of them is too.
        return PartyFiles(model, *(run / f"{Path(name).stem}-{party.name}{Path(name).suffix}" for name in _OWN_FILES))
    return PartyFiles(model)


def sealed_store_of(run: Path, name: str, run_id: str, named: Path | None, key: SealKey | None) -> SealedStore:
    """Return a role's sealed directory: one for this run in the one that the plan names, or in the run's own."""
    directory = sealed_directory_of(run, name, run_id, named)
    if named is None:
        return SealedStore(directory, key, run_id)
    make_directory(named, 0o700)
    return SealedStore(directory, key or FileKey(named / KEY_FILE), run_id)


def use_of(run: Path, name: str, run_id: str, named: Path | None) -> InUse:
    """Keep the keys of a role's sealed files of a run from being changed, before they are opened."""
    if named is not None:
        make_directory(named, 0o700)
    return InUse(sealed_directory_of(run, name, run_id, named))


def sealed_directory_of(run: Path, name: str, run_id: str, named: Path | None) -> Path:
    """Return where a role's sealed files of a run lie."""
    return run / "parties" / name if named is None else named / run_id


def unfinished(run: Path) -> Path:
    """Return where the run that will be `run` lies until it is whole, or a site's own part of it, which has no status.

    That directory itself may be given too.

    Raises
    ------
    ValueError
        It is whole already, or is not there.
    """
    directory = _partial(run)
    if directory.is_dir():
        return directory
    if run.name.endswith(_PARTIAL_SUFFIX) and run.is_dir():
        return run
    if ledger_directory(run).is_dir() and not (run / STATUS_FILE).exists():
        return run
    if run.exists():
        raise ValueError(f"{run}: this run is complete; access matters only while a run is on")
    raise ValueError(f"{directory}: no unfinished run lies there; give the directory that train was given")


def check_complete(run: Path) -> Path:
    """Return `run` if it is the directory of a complete run.

    Raises
    ------
    ValueError
        It is not there, is no run, or is unfinished.
    """
    status = run / STATUS_FILE
    if not status.is_file():
        raise ValueError(
            f"{run}: not a run directory (it has no {STATUS_FILE}); give the one that `train` or `bin` printed"
        )
    state = read_json(status).get("state")
    if state != "complete":
        raise ValueError(f"{run}: this run is {state}, not complete; go on with --resume")
    return run


def check_trained(run: Path) -> Path:
    """Return `run` if it is the directory of a complete run that trained a model.

    Raises
    ------
    ValueError
        It is none, as for `check_complete`, or a binning.
    """
    if plan_of(check_complete(run)).binning is not None:
        raise ValueError(
            f"{run}: a binning, which trains no model; `cipherlane transform` applies its bins to new rows"
        )
    return run


def plan_of(run: Path) -> Plan:
    """Return the plan of a run, with relative paths taken from where it was read first."""
    base = read_json(run / RUN_FILE).get("base") if (run / RUN_FILE).is_file() else None
    path = run / PLAN_FILE
    with told(path):
        text = path.read_text(encoding="utf-8")
    return parse_plan(text, source=str(path), base=run if not isinstance(base, str) else base)


def check_plan(run: Path, plan: Plan) -> None:
    """Raise `ValueError` unless the run in a directory, unfinished or complete, is one of `plan`."""
    kept = run / PLAN_FILE
    with told(kept):
        text = kept.read_text(encoding="utf-8")
    if text != plan.text:
        raise ValueError(f"{kept}: this run was started from another plan; give that plan, or another --out")


def run_id_of(run: Path) -> str:
    """Return the id of the run in a directory, unfinished or complete."""
    run_id = read_json(run / RUN_FILE).get("id")
    if not isinstance(run_id, str) or _RUN_ID.fullmatch(run_id) is None:
        raise ValueError(f"{run / RUN_FILE}: expected the run's id; the run's files were changed")
    return run_id


def parent_begun_from(final: Path) -> Path | None:
    """Return what the unfinished run that will lie at `final` trains on from; None where nothing has begun."""
    kept = _partial(final) / RUN_FILE
    parent = read_json(kept).get("parent") if kept.is_file() else None
    return None if parent is None else Path(parent)


@contextmanager
def held_run(directory: Path) -> Iterator[None]:
    """Hold the unfinished run that a directory belongs to, if it lies in one.

    Raises
    ------
    ValueError
        A process is working on it.
    """
    inside = [above for above in (directory.resolve(), *directory.resolve().parents) if (above / RUN_FILE).exists()]
    if not inside:
        yield
        return
    lock = DirectoryLock(inside[0])
    try:
        yield
    finally:
        lock.remove(inside[0])
        lock.close()


def _partial(final: Path) -> Path:
    return final.with_name(final.name + _PARTIAL_SUFFIX)


def _round_of(checkpoint: Path) -> int:
    return int(checkpoint.stem.rpartition("-")[2])


def _digest(state: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()
