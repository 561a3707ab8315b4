"""Versions of models: listing, selecting, training on from one, and lineage that cannot be changed unseen."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cipherlane.cli import main
from cipherlane.federation import Progress, Run, train
from cipherlane.federation.models import load_models
from cipherlane.federation.registry import find, lineage, select, version_of, versions
from cipherlane.ledger import missing_packages
from cipherlane.ledger.lineage import TRAINED_ANEW

WritePlan = Callable[..., Path]


def _trajectory(run: Run) -> list[tuple[float, list[float], list[float]]]:
    return [(r["log_likelihood"], r["counts"], r["weights"]) for r in run.metrics["iterations"]]


def _limited(plan: Path, rounds: int) -> Path:
    short = plan.with_name(f"plan{rounds}.toml")
    short.write_text(plan.read_text().replace("max_iterations = 6", f"max_iterations = {rounds}"))
    return short


@pytest.mark.parametrize("decimals", [-1, 2])
def test_training_on_ends_as_training_in_one_go(tmp_path: Path, write_plan: WritePlan, decimals: int) -> None:
    plan = write_plan((2, 3, 2), privacy__responsibility_decimals=decimals)
    whole = train(plan, tmp_path / "runs" / "whole")
    first = train(_limited(plan, 2), tmp_path / "runs" / "first")
    second = train(_limited(plan, 4), tmp_path / "runs" / "second", parent=first.directory)
    assert _trajectory(first) + _trajectory(second) == _trajectory(whole)
    for name in ("guest", "host2", "joint"):
        file = Path("models") / f"{name}.npz"
        assert (second.directory / file).read_bytes() == (whole.directory / file).read_bytes()
    assert second.metrics["model"]["parent"] == first.metrics["model"]["version"]
    assert second.metrics["iterations"][0]["change"] is not None


def test_training_on_is_resumed_from_the_same_parent(tmp_path: Path, write_plan: WritePlan) -> None:
    plan = write_plan(training__checkpoint_every=1)
    first = train(_limited(plan, 2), tmp_path / "runs" / "first")
    other = train(_limited(plan, 1), tmp_path / "runs" / "other")
    whole = train(_limited(plan, 3), tmp_path / "runs" / "whole", parent=first.directory)

    def stop(event: Progress) -> None:
        if event.record is not None and event.record.round == 2:
            raise InterruptedError

    out = tmp_path / "runs" / "second"
    with pytest.raises(InterruptedError):
        train(_limited(plan, 3), out, parent=first.directory, progress=stop)
    with pytest.raises(ValueError, match=r"run\.json: this run began from .*first, not .*other; give that one"):
        train(_limited(plan, 3), out, resume=True, parent=other.directory)
    resumed = train(_limited(plan, 3), out, resume=True)
    assert _trajectory(resumed) == _trajectory(whole)
    assert resumed.metrics["model"] == whole.metrics["model"]


def test_training_on_with_new_rows_keeps_the_first_standardisation(tmp_path: Path, write_plan: WritePlan) -> None:
    plan = write_plan()
    first = train(plan, tmp_path / "first")
    kept = sorted(line[:4] for line in (tmp_path / "guest.csv").read_text().splitlines()[1:])[:90]
    for name in ("guest", "host1"):
        header, *rows = (tmp_path / f"{name}.csv").read_text().splitlines()
        (tmp_path / f"{name}.csv").write_text("\n".join([header, *(row for row in rows if row[:4] in kept), ""]))
    second = train(plan, tmp_path / "second", parent=first.directory)
    assert second.metrics["rows"] == 90
    ours, theirs = (load_models(run.directory / "models" / "host1.npz")[0].preprocessing for run in (first, second))
    np.testing.assert_array_equal(ours.centre, theirs.centre)
    np.testing.assert_array_equal(ours.scale, theirs.scale)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"model__components": 2}, "plan: components: training goes on from a model with 3, got 2"),
        ({"model__covariance_type": "diag"}, "covariance_type: training goes on from a model with 'full', got 'diag'"),
        ({"parties.host1__impute": "mean"}, "impute of 'host1': training goes on from a model with 'none'"),
    ],
)
def test_another_kind_of_model_is_not_trained_on(
    tmp_path: Path, write_plan: WritePlan, settings: dict[str, object], expected: str
) -> None:
    first = train(write_plan(training__max_iterations=1), tmp_path / "first")
    with pytest.raises(ValueError, match=expected):
        train(write_plan(training__max_iterations=1, **settings), tmp_path / "second", parent=first.directory)
    assert not (tmp_path / "second.partial").exists()


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory, write_plan_into: WritePlan) -> Path:
    """Return a directory of three runs: a first one, one trained on from it, and one on from that."""
    directory = tmp_path_factory.mktemp("family")
    plan = write_plan_into(directory, training__max_iterations=1)
    parent = None
    for name in ("c", "b", "a"):
        parent = train(plan, directory / "runs" / name, parent=parent).directory
    return directory / "runs"


def test_versions_are_listed_with_their_lineage(family: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = versions(family)
    assert [version.run.name for version in found] == ["c", "b", "a"]
    assert [version.parent for version in found] == [None, found[0].digest, found[1].digest]
    assert lineage(found[2], found) == [found[1].digest, found[0].digest]
    assert find(family, found[1].digest[:8]).run == family / "b"
    capsys.readouterr()
    assert main(["models", "select", found[1].digest[:8], "--runs", str(family)]) == 0
    assert main(["models", "list", str(family)]) == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    assert [line[0] for line in lines] == [" ", "*", " "]
    assert lines[0].endswith("; began anew")
    assert lines[2].endswith(f"; {found[1].digest[:12]} < {found[0].digest[:12]}")
    data = [f"--data={name}={family.parent / name}.csv" for name in ("guest", "host1")]
    assert main(["score", "selected", "--runs", str(family), *data]) == 0
    by_name = capsys.readouterr().out
    assert main(["score", str(family / "b"), *data]) == 0
    assert capsys.readouterr().out == by_name == (family / "b" / "assignments.csv").read_text()


def test_continue_trains_on_from_the_command_line(
    family: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "d"
    digest = versions(family)[2].digest
    capsys.readouterr()
    assert main(["models", "continue", digest[:8], "--runs", str(family), "--out", str(out)]) == 0
    assert f"from {digest[:12]}" in capsys.readouterr().out
    assert version_of(out).parent == digest
    assert main(["models", "continue", str(family / "a"), "--out", str(out), "--resume"]) == 0
    assert "there is nothing left to do" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("file", "old", "new", "expected"),
    [
        ("models/host1.npz", b"", b"", r"host1\.npz: changed, added or removed since"),
        ("plan.toml", b"seed = 1", b"seed = 2", r"plan\.toml: changed since training ended"),
        (
            "models/version.json",
            b'"parent": "',
            b'"parent": "0',
            r"version\.json: its version, number or parent was changed",
        ),
    ],
)
def test_a_changed_version_is_refused_by_name(
    family: Path, tmp_path: Path, file: str, old: bytes, new: bytes, expected: str
) -> None:
    path = family / "b" / file
    good = path.read_bytes()
    path.write_bytes(good.replace(old, new) if old else good[:-1] + bytes([good[-1] ^ 1]))
    try:
        with pytest.raises(ValueError, match=expected):
            version_of(family / "b")
        with pytest.raises(ValueError, match=expected):
            train(family / "c" / "plan.toml", tmp_path / "x", parent=family / "b")
    finally:
        path.write_bytes(good)
    assert version_of(family / "b").parent == version_of(family / "c").digest


def test_what_is_no_version_is_said_so(family: Path, tmp_path: Path) -> None:
    for name, expected in [
        ("ab", "at least 4 digits"),
        ("0000000000", "no version in .* begins so"),
        (str(tmp_path), "not a run directory"),
    ]:
        with pytest.raises(ValueError, match=expected):
            find(family, name)
    with pytest.raises(ValueError, match="no version is selected"):
        find(tmp_path, "selected")
    with pytest.raises(ValueError, match="no such directory"):
        versions(tmp_path / "none")
    select(family, str(family / "a"))
    selected = family / "selected.json"
    selected.write_text(json.dumps({"version": 3}))
    with pytest.raises(ValueError, match=r"selected\.json: expected the digest"):
        find(family, "selected")
    selected.unlink()


@pytest.mark.skipif(bool(missing_packages()), reason=f"not installed: {', '.join(missing_packages())}")
def test_the_ledger_has_the_version_and_its_parent_and_the_audit_compares_them(
    tmp_path: Path, write_plan: WritePlan
) -> None:
    from cipherlane.ledger.audit import audit

    plan = _limited(write_plan(ledger__access_hours=1.0), 1)
    runs = [train(plan, tmp_path / "runs" / "v1")]
    for number in (2, 3):
        runs.append(train(plan, tmp_path / "runs" / f"v{number}", parent=runs[-1].directory))
    assert [run.metrics["model"]["number"] for run in runs] == [1, 2, 3]
    for number, run in enumerate(runs, 1):
        report = audit(run.directory)
        assert report.failure is None, report.failure
        (told,) = [text for text in report.held if text.startswith("the model is version")]
        parent = run.metrics["model"]["parent"]
        assert told == f"the model is version {number}" + (f", trained on from {parent[:12]}..." if parent else "")
    third = runs[2].directory

    def failure(path: Path, old: str, new: str) -> str:
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
        try:
            return str(audit(third).failure)
        finally:
            path.write_text(text)

    version, metrics = third / "models" / "version.json", third / "metrics.json"
    digest = runs[2].metrics["model"]["parent"]
    changed = "version.json: is not the version that metrics.json names; one of the two was changed"
    assert changed in failure(version, '"number": 3', '"number": 2')
    assert changed in failure(version, digest, "0" * 64)
    assert "expected a version's number and parent" in failure(version, '"number": 3', '"number": 1')
    text = version.read_text()
    version.unlink()
    assert "version.json: no such file; the run had one, which was removed" in str(audit(third).failure)
    version.write_text(text)
    # The coordinator's own file is on the ledger whole.
    assert "metrics.json: is not the file that 'coordinator' recorded" in failure(metrics, digest, "0" * 64)
    assert "is not the version that" in failure(tmp_path / "runs" / "v2" / "models" / "version.json", digest, "1" * 64)
    (tmp_path / "runs" / "v2").rename(tmp_path / "elsewhere")
    report = audit(third)
    assert report.failure is None
    assert "the version that was trained on from is not on this machine; not compared" in report.notes
    with pytest.raises(ValueError, match="its version, number or parent was changed"):
        text = version.read_text()
        version.write_text(text.replace('"number": 3', '"number": 2'))
        version_of(third)


@pytest.mark.skipif(bool(missing_packages()), reason=f"not installed: {', '.join(missing_packages())}")
def test_a_member_that_records_another_version_is_named(
    tmp_path: Path, write_plan: WritePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cipherlane.ledger.audit import audit
    from cipherlane.ledger.member import Member

    plan = _limited(write_plan(ledger__access_hours=1.0), 1)
    first = train(plan, tmp_path / "first")
    record = Member._record

    def anew(self: Member, contract: object) -> object:
        if self.name == "host1":
            self._part = replace(self._part, lineage=TRAINED_ANEW)
        return record(self, contract)

    monkeypatch.setattr(Member, "_record", anew)
    second = train(plan, tmp_path / "second", parent=first.directory)
    assert "model: 'host1' recorded version 1, the run's is 2" in str(audit(second.directory).failure)
