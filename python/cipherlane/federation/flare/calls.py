"""What crosses between server and site beside the protocol's messages: how a site is told which role it has."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from cipherlane.errors import ProtocolError
from cipherlane.federation.directory_lock import one_at_a_time
from cipherlane.federation.plan import ALGORITHMS, BINNING, ArbiterPlan, PartyPlan
from cipherlane.federation.plan_reader import parse_plan
from cipherlane.files import create_whole, make_directory, told
from cipherlane.vertical.messages import ARBITER, GUEST, HOST, MAXIMUM_COLUMNS, NAME_PATTERN
from cipherlane.vertical.seal_keys import FileKey, SealKey, parse_seal_key
from cipherlane.vertical.wire import Binary, Flag, ListOf, Message, Nullable, Schema, Text, decode, encode

# How long a site that does not answer is waited for, in seconds.
PATIENCE = 3600.0
SESSION_BYTES = 16
DIGEST_BYTES = 32
RUN_NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
# Set by the simulator alone, whose sites share one disk: the one directory of the run, as the local engine makes it.
RUN_VARIABLE = "CIPHERLANE_RUN_DIR"
# Likewise the run whose model is trained on from or applied.
MODEL_VARIABLE = "CIPHERLANE_MODEL_DIR"
# Where a site keeps its files of runs, and the guest's those of rows that a trained model was applied to.
RUNS = "runs"
SCORES = "scores"

_RUN_ID_FILE = "run-id"
_SHOWN_DIGITS = 12

_path = Nullable(Text(1024))
_run = Text(100, RUN_NAME_PATTERN)
_run_id = Text(32, r"[0-9a-f]{32}")
_SCHEMAS: Mapping[str, Schema] = {
    "open_role": {
        "session": Binary(exactly=SESSION_BYTES),
        "run": _run,
        "run_id": _run_id,
        "resume": Flag(),
        "algorithm": Text(64),
        "name": Text(32, NAME_PATTERN),
        "role": Text(16),
        "joint_model": Flag(),
        "data": _path,
        "id_column": Text(1024),
        "label_column": Nullable(Text(1024)),
        "columns": Nullable(ListOf(Text(1024), MAXIMUM_COLUMNS)),
        "categories": ListOf(Text(1024), MAXIMUM_COLUMNS),
        "cuts": _path,
        "standardise": Flag(),
        "impute": Text(16),
        "declines": Nullable(Text(1 << 16)),
        "directory": _path,
        "seal_key": _path,
        "public_key_fingerprint": Nullable(Text(64, r"[0-9a-f]{64}")),
        "private_key": _path,
        "password": _path,
        "plan": Nullable(Text(1 << 20)),
        "training": Flag(),
        "model_run": Nullable(_run),
        "model_run_id": Nullable(_run_id),
        "model_sha256": Nullable(Binary(exactly=DIGEST_BYTES)),
    }
}


@dataclass(frozen=True)
class ModelOrder:
    """Which of a site's own models a role begins with.

    Attributes
    ----------
    run, run_id
        Of which run it is.
    sha256
        Of the model's file.
    """

    run: str
    run_id: str
    sha256: bytes


@dataclass(frozen=True)
class RoleOrder:
    """Which role a site has in a run, and its own section of the plan; no other party's.

    Attributes
    ----------
    session
        Drawn anew by the coordinator; calls of another session are refused.
    run
        The run's name, under which the site keeps its files.
    run_id
        Of this run and no other; sealed files are bound to it.
    resume
        Whether it goes on from a checkpoint.
    algorithm
        The plan's, which says what the roles do.
    name, role
        Who the site is.
    joint_model
        Whether the arbiter is to write the joint model.
    party
        A data party's section, paths as the plan spells them; None for the arbiter.
    plan
        The plan's whole text in a run with a ledger, on which every member accepts it; None without.
    arbiter
        The key that the run is to use, where the plan names one; where it lies is in the arbiter's own order only.
    model
        The model to train on from or to apply, a data party's alone; None to begin anew.
    training
        False to apply the model to other rows.
    """

    session: bytes
    run: str
    run_id: str
    resume: bool
    algorithm: str
    name: str
    role: str
    joint_model: bool
    party: PartyPlan | None
    plan: str | None = None
    arbiter: ArbiterPlan | None = None
    model: ModelOrder | None = None
    training: bool = True

    def to_bytes(self) -> bytes:
        """Return the order as a message."""
        fields = {
            "session": self.session,
            "run": self.run,
            "run_id": self.run_id,
            "resume": self.resume,
            "algorithm": self.algorithm,
            "name": self.name,
            "role": self.role,
            "joint_model": self.joint_model,
            **_section(self.party),
            **_key_fields(self.arbiter, self.role),
            "plan": self.plan,
            "training": self.training,
            "model_run": None if self.model is None else self.model.run,
            "model_run_id": None if self.model is None else self.model.run_id,
            "model_sha256": None if self.model is None else self.model.sha256,
        }
        return encode("open_role", 0, fields, _SCHEMAS["open_role"])

    @classmethod
    def from_bytes(cls, data: bytes, site: Path) -> RoleOrder:
        """Return the order in a message, its paths taken from, and confined to, the directory `site`.

        Raises
        ------
        ProtocolError
            The message is damaged, a path leads out of the directory, or the order is not what the plan says.
        """
        message = decode(data, _SCHEMAS)
        for field, known in (("algorithm", (*ALGORITHMS, BINNING)), ("role", (ARBITER, GUEST, HOST))):
            if message[field] not in known:
                raise ProtocolError(f"{message['name']!r}: {field}: expected one of {', '.join(known)}")
        if message["plan"] is not None:
            _check_is_of_plan(message)
        party = None
        if message["role"] != ARBITER:
            if message["data"] is None:
                raise ProtocolError(f"party {message['name']!r}: its section of the plan names no data file")
            columns = message["columns"]
            party = PartyPlan(
                name=message["name"],
                role=message["role"],
                data=confined(site, message["data"]),
                id_column=message["id_column"],
                label_column=message["label_column"],
                columns=None if columns is None else tuple(columns),
                standardise=message["standardise"],
                impute=message["impute"],
                declines=message["declines"],
                directory=None if message["directory"] is None else confined(site, message["directory"]),
                seal_key=None if message["seal_key"] is None else _seal_key(site, message["seal_key"]),
                categories=tuple(message["categories"]),
                cuts=None if message["cuts"] is None else confined(site, message["cuts"]),
            )
        return cls(
            message["session"],
            message["run"],
            message["run_id"],
            message["resume"],
            message["algorithm"],
            message["name"],
            message["role"],
            message["joint_model"],
            party,
            message["plan"],
            _arbiter(message, site),
            _model(message),
            message["training"],
        )


def _model(message: Message) -> ModelOrder | None:
    run, run_id, sha256 = (message[f"model_{field}"] for field in ("run", "run_id", "sha256"))
    if run is None and run_id is None and sha256 is None:
        return None
    if run is None or run_id is None or sha256 is None:
        raise ProtocolError(
            f"{message['name']!r}: expected a model's run, its id and the file's SHA-256, or none of them"
        )
    return ModelOrder(run, run_id, sha256)


def _section(party: PartyPlan | None) -> dict[str, Any]:
    """Return a party's section as fields of an order; the arbiter has none."""
    own = party or PartyPlan(ARBITER, ARBITER, Path())
    return {
        "data": None if party is None else own.data.as_posix(),
        "id_column": own.id_column,
        "label_column": own.label_column,
        "columns": None if own.columns is None else list(own.columns),
        "categories": list(own.categories),
        "cuts": None if own.cuts is None else own.cuts.as_posix(),
        "standardise": own.standardise,
        "impute": own.impute,
        "declines": own.declines,
        "directory": None if own.directory is None else own.directory.as_posix(),
        "seal_key": None if own.seal_key is None else own.seal_key.text,
    }


def _key_fields(arbiter: ArbiterPlan | None, role: str) -> dict[str, str | None]:
    """Return the section ``[arbiter]`` as fields of a role's order; only the arbiter's tells where files lie."""
    own = arbiter if role == ARBITER else None
    return {
        "public_key_fingerprint": None if arbiter is None else arbiter.public_key_fingerprint,
        "private_key": None if own is None or own.private_key is None else own.private_key.as_posix(),
        "password": None if own is None or own.password is None else own.password.text,
    }


def _arbiter(message: Message, site: Path) -> ArbiterPlan | None:
    fingerprint, key, password = (message[name] for name in ("public_key_fingerprint", "private_key", "password"))
    if fingerprint is None:
        return None
    return ArbiterPlan(
        fingerprint,
        None if key is None else confined(site, key),
        None if password is None else _seal_key(site, password),
    )


def _check_is_of_plan(message: Message) -> None:
    """Refuse an order that differs from the plan which the role is to accept on the ledger."""
    name, role = message["name"], message["role"]
    try:
        plan = parse_plan(message["plan"], base=".")
    except ValueError as error:
        raise ProtocolError(f"plan: {error}") from error
    party = next((party for party in plan.parties if party.name == name), None)
    kind = ARBITER if party is None else party.role
    section = {
        **_section(party),
        **_key_fields(plan.arbiter, kind),
        "role": kind,
        "algorithm": plan.model.algorithm,
    }
    differing = sorted(field for field, value in section.items() if message[field] != value)
    if (party is None and name != ARBITER) or differing:
        raise ProtocolError(
            f"{role} {name!r}: what it is told to do is not what the plan says ({', '.join(differing) or 'its name'}); "
            "the coordinator must send both from one plan"
        )


def _seal_key(site: Path, text: str) -> SealKey:
    try:
        key = parse_seal_key(text)
    except ValueError as error:
        raise ProtocolError(f"plan: {error}") from error
    return FileKey(confined(site, text)) if isinstance(key, FileKey) else key


def confined(site: Path, text: str) -> Path:
    """Return the path that `text` means below `site`, or refuse one that leads out of it.

    A plan comes from the coordinator; what a site reads for it must lie where the site put it for that purpose.

    Raises
    ------
    ProtocolError
        The path is absolute or leads out of the directory, directly or by a link.
    """
    path = PurePosixPath(text)
    whole = (site / path).resolve()
    if path.is_absolute() or not whole.is_relative_to(site.resolve()):
        raise ProtocolError(
            f"plan: the path {text!r} leads out of the site's directory; expected one below it, relative to it"
        )
    return whole


def run_name_of(directory: Path) -> str:
    """Return the name under which server and sites keep their files of the run that lies in a directory here."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", directory.name)


def run_directory(site: Path, run: str, run_id: str, kind: str = RUNS) -> Path:
    """Return where a role of this site keeps its files of a run, or of `SCORES` under that name.

    What an earlier run of that name left is kept under the name with the beginning of that run's id.
    """
    shared = os.environ.get(RUN_VARIABLE)
    if shared:
        return Path(f"{shared}.partial")
    directory = site / kind / run
    marker = directory / _RUN_ID_FILE
    make_directory(directory.parent)
    # Roles that share a site's directory open at once; the second must find this run's marker, not the earlier one's.
    with one_at_a_time(directory.parent):
        if marker.is_file():
            with told(marker):
                earlier = marker.read_text(encoding="utf-8", errors="replace").strip()
                if earlier != run_id:
                    directory.rename(_earlier(directory, earlier))
        make_directory(directory)
        create_whole(marker, run_id + "\n")
    return directory


def model_directory(site: Path, run: str, run_id: str) -> Path:
    """Return where this site keeps its files of the run whose model is asked for.

    Raises
    ------
    ProtocolError
        It has none of that run.
    """
    shared = os.environ.get(MODEL_VARIABLE)
    if shared:
        return Path(shared)
    directory = site / RUNS / run
    for place in (directory, _earlier(directory, run_id)):
        marker = place / _RUN_ID_FILE
        if marker.is_file():
            with told(marker):
                kept = marker.read_text(encoding="utf-8", errors="replace").strip()
            if kept == run_id:
                return place
    raise ProtocolError(
        f"this site keeps no files of the run {run!r} ({run_id[:_SHOWN_DIGITS]}), whose model is asked for; put its "
        f"directory back into {RUNS!r}, or train anew"
    )


def _earlier(directory: Path, run_id: str) -> Path:
    """Return what a run's directory is called once another run has taken its name."""
    return directory.with_name(f"{directory.name}-{run_id[:_SHOWN_DIGITS]}")
