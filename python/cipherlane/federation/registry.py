"""Models as versions: each finished run holds one, with its digest and that of the version it was trained on from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from cipherlane.federation.models import PartyModel, load_models
from cipherlane.federation.plan import Plan
from cipherlane.federation.run_store import MODELS_DIRECTORY, PLAN_FILE, check_complete, write_json
from cipherlane.files import told
from cipherlane.report import read_json

VERSION_FILE = "version.json"
SELECTED_FILE = "selected.json"
SELECTED = "selected"
_LEAST_PREFIX = 4


@dataclass(frozen=True)
class Version:
    """The model of a finished run.

    Attributes
    ----------
    digest
        SHA-256 of the model files' digests, the plan's and the parent's: it stands for the model and all before it.
    parent
        The digest of the version it was trained on from; None where training began anew.
    run
        The directory it lies in.
    facts
        What ``version.json`` says besides: plan, algorithm, components, iterations, log_likelihood, finished, files.
    """

    digest: str
    parent: str | None
    run: Path
    facts: Mapping[str, Any]


def write_version(directory: Path, plan: Plan, parent: str | None, metrics: Mapping[str, Any]) -> str:
    """Write the version of the models in a run's directory, and return its digest."""
    files = _file_digests(directory)
    facts = {
        "plan": plan.name,
        "plan_sha256": hashlib.sha256(plan.text.encode()).hexdigest(),
        "algorithm": plan.model.algorithm,
        "components": plan.model.components,
        "iterations": len(metrics["iterations"]),
        "log_likelihood": metrics["log_likelihood"],
        "finished": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "files": files,
    }
    digest = _digest(files, facts["plan_sha256"], parent)
    content = {"version": digest, "parent": parent, **facts}
    write_json(directory / MODELS_DIRECTORY / VERSION_FILE, content)
    return digest


def version_of(run: Path) -> Version:
    """Return the version in the directory of a complete run, after checking every digest it rests on.

    Raises
    ------
    ValueError
        The run is not complete or has no version, or its plan or a model file was changed.
    """
    version = _stated(check_complete(run))
    files = _file_digests(run)
    stated = version.facts["files"]
    changed = sorted(name for name in {*files, *stated} if files.get(name) != stated.get(name))
    if changed:
        raise ValueError(f"{run / MODELS_DIRECTORY / changed[0]}: changed, added or removed since training ended")
    plan = run / PLAN_FILE
    with told(plan):
        plan_digest = hashlib.sha256(plan.read_bytes()).hexdigest()
    if plan_digest != version.facts["plan_sha256"]:
        raise ValueError(f"{plan}: changed since training ended")
    if _digest(files, plan_digest, version.parent) != version.digest:
        raise ValueError(f"{run / MODELS_DIRECTORY / VERSION_FILE}: its version or parent was changed")
    return version


def versions(root: Path) -> list[Version]:
    """Return the versions of the complete runs in a directory, parents before children and older before newer."""
    if not root.is_dir():
        raise ValueError(f"{root}: no such directory; give the one that runs lie in")
    runs = sorted(path.parent.parent for path in root.glob(f"*/{MODELS_DIRECTORY}/{VERSION_FILE}"))
    found = sorted(
        (_stated(run) for run in runs), key=lambda version: (str(version.facts["finished"]), version.run.name)
    )
    ordered: list[Version] = []
    known = {version.digest for version in found}
    while found:
        placed = {version.digest for version in ordered}
        ready = [v for v in found if v.parent is None or v.parent in placed or v.parent not in known]
        # Only a parent that was tampered with can make a circle.
        ordered.append((ready or found)[0])
        found.remove(ordered[-1])
    return ordered


def find(root: Path, name: str) -> Version:
    """Return the checked version that `name` stands for.

    Parameters
    ----------
    root
        The directory that runs lie in.
    name
        A run's directory, a digest or at least four digits that it begins with, or "selected".

    Raises
    ------
    ValueError
        There is none, or more than one, or its files were changed.
    """
    if Path(name).is_dir():
        return version_of(Path(name))
    wanted = _selected_digest(root) if name == SELECTED else name
    if len(wanted) < _LEAST_PREFIX:
        raise ValueError(f"version: expected a run's directory or at least {_LEAST_PREFIX} digits, got {name!r}")
    found = [version for version in versions(root) if version.digest.startswith(wanted)]
    if not found:
        raise ValueError(f"{name}: no version in {root} begins so; `cipherlane models list {root}` shows them")
    if len({version.digest for version in found}) > 1:
        raise ValueError(f"{name}: {len(found)} versions in {root} begin so; give more digits")
    return version_of(found[0].run)


def select(root: Path, name: str) -> Version:
    """Make a version the one that "selected" stands for in a directory of runs, and return it."""
    version = find(root, name)
    write_json(root / SELECTED_FILE, {"version": version.digest})
    return version


def selected(root: Path) -> str | None:
    """Return the digest of the selected version, or None."""
    return _selected_digest(root) if (root / SELECTED_FILE).exists() else None


def parent_models(version: Version, plan: Plan) -> dict[str, PartyModel]:
    """Return each party's block of a version, to train on from under `plan`.

    Raises
    ------
    ValueError
        The plan is about another kind of model, or other parties.
    """
    if plan.logistic is not None:
        raise ValueError("parent: a logistic regression is trained anew; leave the version out")
    models: dict[str, PartyModel] = {}
    for party in plan.parties:
        path = version.run / MODELS_DIRECTORY / f"{party.name}.npz"
        blocks = load_models(path)
        if [block.party for block in blocks] != [party.name]:
            raise ValueError(f"{path}: expected the block of {party.name!r} alone")
        models[party.name] = blocks[0]
        _check_continues("algorithm", version.facts["algorithm"], plan.model.algorithm)
        _check_continues("components", blocks[0].components, plan.model.components)
        _check_continues("covariance_type", blocks[0].parameters.covariance_type, plan.model.covariance_type)
        columns = blocks[0].preprocessing.columns
        if party.columns is not None:
            _check_continues(f"columns of {party.name!r}", sorted(columns), sorted(party.columns))
        _check_continues(f"impute of {party.name!r}", blocks[0].preprocessing.imputation, party.impute)
    left = sorted(set(version.facts["files"]) - {f"{name}.npz" for name in [*models, "joint"]})
    if left:
        raise ValueError(
            f"plan: the version has a block of {left[0].removesuffix('.npz')!r}, which the plan leaves out"
        )
    return models


def _check_continues(what: str, had: object, wanted: object) -> None:
    if had != wanted:
        raise ValueError(f"plan: {what}: training goes on from a model with {had!r}, got {wanted!r}; keep it as it was")


def _selected_digest(root: Path) -> str:
    path = root / SELECTED_FILE
    if not path.is_file():
        raise ValueError(f"{root}: no version is selected; `cipherlane models select VERSION --runs {root}` does")
    digest = read_json(path).get("version")
    if not isinstance(digest, str) or len(digest) != 64:
        raise ValueError(f"{path}: expected the digest of a version; select one anew")
    return digest


def _stated(run: Path) -> Version:
    path = run / MODELS_DIRECTORY / VERSION_FILE
    if not path.is_file():
        raise ValueError(f"{run}: this run has no {VERSION_FILE}; it was made by an earlier version of this software")
    content = read_json(path)
    digest, parent, files = content.pop("version", None), content.pop("parent", None), content.get("files")
    if not isinstance(digest, str) or not isinstance(parent, str | None) or not isinstance(files, dict):
        raise ValueError(f"{path}: expected a version, its parent and its files; the run's files were changed")
    return Version(digest, parent, run, content)


def _file_digests(run: Path) -> dict[str, str]:
    found = {}
    for path in sorted((run / MODELS_DIRECTORY).glob("*.npz")):
        with told(path):
            found[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def _digest(files: Mapping[str, str], plan_sha256: str, parent: str | None) -> str:
    stated = {"files": dict(files), "plan": plan_sha256, "parent": parent}
    return hashlib.sha256(json.dumps(stated, sort_keys=True).encode()).hexdigest()


def lineage(version: Version, known: Sequence[Version]) -> list[str]:
    """Return the digests of the versions before one, nearest first, as far as their runs are known."""
    by_digest = {other.digest: other for other in known}
    before: list[str] = []
    parent = version.parent
    while parent is not None and parent not in before:
        before.append(parent)
        parent = by_digest[parent].parent if parent in by_digest else None
    return before
