"""Models as versions: each finished run holds one, with its digest and that of the version it was trained on from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from cipherlane.federation.logistic_models import LogisticModel, load_logistic_model
from cipherlane.federation.models import PartyModel, load_models
from cipherlane.federation.plan import LOGISTIC, PartyPlan, Plan
from cipherlane.federation.run_store import (
    JOINT_MODEL,
    METRICS_FILE,
    MODELS_DIRECTORY,
    PLAN_FILE,
    check_complete,
    write_json,
)
from cipherlane.files import told
from cipherlane.ledger.lineage import Lineage
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
        SHA-256 of the model files' digests, the plan's, the parent's and the number: it stands for the model and all
        before it.
    number
        1 where training began anew, else one more than the parent's.
    parent
        The digest of the version it was trained on from; None where training began anew.
    run
        The directory it lies in.
    facts
        What ``version.json`` says besides: plan, algorithm, components, covariance_type, iterations, log_likelihood,
        finished, files, and which of the files are kept elsewhere, at the sites that made them.
    """

    digest: str
    number: int
    parent: str | None
    run: Path
    facts: Mapping[str, Any]


def write_version(
    directory: Path, plan: Plan, parent: Version | None, metrics: Mapping[str, Any], files: Mapping[str, str]
) -> dict[str, str | int | None]:
    """Write the version of a run's model files, given with their SHA-256; return its digest, number and parent."""
    before, number = (None, 1) if parent is None else (parent.digest, parent.number + 1)
    facts = {
        "plan": plan.name,
        "plan_sha256": hashlib.sha256(plan.text.encode()).hexdigest(),
        "algorithm": plan.model.algorithm,
        "components": plan.model.components,
        "covariance_type": plan.model.covariance_type,
        "iterations": len(metrics["iterations"]),
        "log_likelihood": metrics["log_likelihood"],
        "finished": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "files": dict(sorted(files.items())),
        "elsewhere": sorted(set(files) - set(_file_digests(directory))),
    }
    digest = _digest(facts["files"], facts["plan_sha256"], before, number)
    stated: dict[str, str | int | None] = {"version": digest, "number": number, "parent": before}
    write_json(directory / MODELS_DIRECTORY / VERSION_FILE, {**stated, **facts})
    return stated


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
    # Whoever keeps a file elsewhere checks it there.
    files = {name: stated.get(name) for name in version.facts.get("elsewhere", ())} | files
    changed = sorted(name for name in {*files, *stated} if files.get(name) != stated.get(name))
    if changed:
        raise ValueError(f"{run / MODELS_DIRECTORY / changed[0]}: changed, added or removed since training ended")
    plan = run / PLAN_FILE
    with told(plan):
        plan_digest = hashlib.sha256(plan.read_bytes()).hexdigest()
    if plan_digest != version.facts["plan_sha256"]:
        raise ValueError(f"{plan}: changed since training ended")
    if _digest(files, plan_digest, version.parent, version.number) != version.digest:
        raise ValueError(f"{run / MODELS_DIRECTORY / VERSION_FILE}: its version, number or parent was changed")
    return version


def lineage_of(parent: Version | None) -> Lineage:
    """Return the lineage of a model that is trained on from `parent`, or anew."""
    return Lineage() if parent is None else Lineage(parent.number + 1, bytes.fromhex(parent.digest))


def models_elsewhere(run: Path) -> dict[str, str]:
    """Return the model files of a run that are kept at the sites that made them, with the SHA-256 of each."""
    if not (run / MODELS_DIRECTORY / VERSION_FILE).is_file():
        return {}
    facts = _stated(run).facts
    here = _file_digests(run)
    return {name: facts["files"][name] for name in facts.get("elsewhere", ()) if name not in here}


def check_models_here(run: Path) -> None:
    """Raise `ValueError` if a run's model is kept at the sites that trained it."""
    if models_elsewhere(run):
        raise ValueError(
            f"{run}: this run keeps its model at the sites that trained it; score there with --engine nvflare --kit KIT"
        )


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


def parent_models(version: Version, plan: Plan) -> dict[str, PartyModel | LogisticModel]:
    """Return each party's block or coefficients of a version, to train on from under `plan`.

    Raises
    ------
    ValueError
        The plan is about another kind of model, or other parties.
    """
    check_continues(version, plan)
    models: dict[str, PartyModel | LogisticModel] = {}
    for party in plan.parties:
        path = version.run / MODELS_DIRECTORY / f"{party.name}.npz"
        block = trained_model(path, party.name, plan.model.algorithm)
        check_block_continues(block, party)
        models[party.name] = block
    return models


def trained_model(path: Path, name: str, algorithm: str) -> PartyModel | LogisticModel:
    """Return what a party called `name` has of a model of an algorithm, from its file, which must be its own."""
    if algorithm != LOGISTIC:
        return party_block(path, name)
    model = load_logistic_model(path)
    if model.party != name:
        raise ValueError(
            f"{path}: expected the coefficients of {name!r}, got those of {model.party!r}; the run's files were changed"
        )
    return model


def party_block(path: Path, name: str) -> PartyModel:
    """Return the block in a model file, which must be that of the party `name` and no other."""
    blocks = load_models(path)
    if [block.party for block in blocks] != [name]:
        found = ", ".join(repr(block.party) for block in blocks)
        raise ValueError(f"{path}: expected the block of {name!r}, got that of {found}; the run's files were changed")
    return blocks[0]


def check_continues(version: Version, plan: Plan) -> None:
    """Raise `ValueError` unless `plan` is about a model of the version's kind and parties."""
    for field in ("algorithm", "components", "covariance_type"):
        _check_same(field, version.facts.get(field), getattr(plan.model, field))
    blocks = {file.removesuffix(".npz") for file in version.facts["files"]} - {JOINT_MODEL}
    names = {party.name for party in plan.parties}
    for name in sorted(blocks - names):
        raise ValueError(f"plan: the version has a block of {name!r}, which the plan leaves out")
    for name in sorted(names - blocks):
        raise ValueError(f"plan: the version has no block of {name!r}, which the plan names; train anew with it")


def check_block_continues(block: PartyModel | LogisticModel, party: PartyPlan) -> None:
    """Raise `ValueError` unless a party's section of a plan reads its file as its block was trained."""
    if party.columns is not None:
        _check_same(f"columns of {party.name!r}", sorted(block.preprocessing.columns), sorted(party.columns))
    _check_same(f"impute of {party.name!r}", block.preprocessing.imputation, party.impute)


def final_weights(version: Version) -> list[float]:
    """Return the weights pi that a version ended with, which are public, from its run's metrics."""
    weights: list[float] = read_json(version.run / METRICS_FILE)["iterations"][-1]["weights"]
    return weights


def _check_same(what: str, had: object, wanted: object) -> None:
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
    number = content.pop("number", None)
    if not isinstance(digest, str) or not isinstance(parent, str | None) or not isinstance(files, dict):
        raise ValueError(f"{path}: expected a version, its parent and its files; the run's files were changed")
    if isinstance(number, bool) or not isinstance(number, int) or number < 1 or (number == 1) != (parent is None):
        raise ValueError(
            f"{path}: expected a number, 1 for a version without a parent; the run's files were changed, or made by an "
            "earlier version of this software"
        )
    return Version(digest, number, parent, run, content)


def _file_digests(run: Path) -> dict[str, str]:
    found = {}
    for path in sorted((run / MODELS_DIRECTORY).glob("*.npz")):
        with told(path):
            found[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def _digest(files: Mapping[str, str], plan_sha256: str, parent: str | None, number: int) -> str:
    stated = {"files": dict(files), "plan": plan_sha256, "parent": parent, "number": number}
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
