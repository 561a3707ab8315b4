"""What becomes of models that stay at their sites: versions, training on from one, and scoring other rows."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cipherlane.cli import main
from cipherlane.errors import ProtocolError
from cipherlane.federation import Progress, Run, score_run, train
from cipherlane.federation.assignments import write_assignments
from cipherlane.federation.engine import Transcript
from cipherlane.federation.flare.role_host import RoleHost
from cipherlane.federation.registry import find, version_of
from cipherlane.vertical.wire import peek

from sites_in_process import Line, score_over, train_over

WritePlan = Callable[..., Path]
NAMES = ("arbiter", "guest", "host1")


@pytest.fixture
def sites(tmp_path: Path) -> Callable[[], dict[str, Line]]:
    """Return a function that starts a site for each role, each with a directory and data file of its own."""

    def start() -> dict[str, Line]:
        lines = {}
        for name in NAMES:
            own = tmp_path / "sites" / name
            own.mkdir(parents=True, exist_ok=True)
            if name != "arbiter":
                shutil.copy(tmp_path / f"{name}.csv", own)
            lines[name] = Line(RoleHost(name, own))
        return lines

    return start


Sites = Callable[[], dict[str, Line]]


def _limited(plan: Path, rounds: int) -> Path:
    short = plan.with_name(f"plan{rounds}.toml")
    short.write_text(plan.read_text().replace("max_iterations = 6", f"max_iterations = {rounds}"))
    return short


def _trajectory(run: Run) -> list[tuple[float, list[float], list[float]]]:
    return [(r["log_likelihood"], r["counts"], r["weights"]) for r in run.metrics["iterations"]]


def _kept(directory: Path, run: str, site: str) -> Path:
    return directory / "sites" / site / "runs" / run


def _horizontal(directory: Path, plan: Path) -> Path:
    """Make parties of the same columns and different rows of a plan's."""
    plan.write_text(plan.read_text().replace("[privacy]\nresponsibility_decimals = -1\n", ""))
    host = directory / "host1.csv"
    lines = host.read_text().splitlines()
    host.write_text("\n".join([lines[0], *("q" + line[1:] for line in lines[1:71])]) + "\n")
    return plan


@pytest.mark.parametrize("horizontal", [False, True])
def test_training_on_over_sites_ends_as_the_local_engine_does(
    tmp_path: Path, write_plan: WritePlan, sites: Sites, horizontal: bool
) -> None:
    plan = write_plan()
    if horizontal:
        plan = _horizontal(tmp_path, write_plan((3, 3), model__algorithm="horizontal-gaussian-mixture"))
    short, runs = _limited(plan, 2), tmp_path / "runs"
    locally = train(short, tmp_path / "local1")
    local = train(_limited(plan, 3), tmp_path / "local2", parent=locally.directory)
    first = train_over(short, runs / "first", sites())
    assert version_of(first.directory).digest == version_of(locally.directory).digest
    # Sites whose processes are new: all they need lies on their disks.
    second = train_over(_limited(plan, 3), runs / "second", sites(), run="second", parent=first.directory)
    assert _trajectory(second) == _trajectory(local)
    assert second.metrics["model"] == local.metrics["model"]
    files = {"guest.npz": "guest", "host1.npz": "host1"} | ({} if horizontal else {"joint.npz": "arbiter"})
    for file, site in files.items():
        ours = _kept(tmp_path, "second", site) / "models" / file
        assert ours.read_bytes() == (local.directory / "models" / file).read_bytes()
    assert find(runs, second.metrics["model"]["version"]).parent == first.metrics["model"]["version"]


def test_training_on_over_sites_is_resumed(tmp_path: Path, write_plan: WritePlan, sites: Sites) -> None:
    plan = write_plan(training__checkpoint_every=1)
    first = train_over(_limited(plan, 2), tmp_path / "runs" / "first", sites())
    whole = train_over(_limited(plan, 3), tmp_path / "runs" / "whole", sites(), run="whole", parent=first.directory)

    for stopping in ("key", "round"):

        def stop(event: Progress, stopping: str = stopping) -> None:
            if event.stage == stopping:
                raise InterruptedError

        out = tmp_path / "runs" / f"second-{stopping}"
        with pytest.raises(InterruptedError):
            train_over(_limited(plan, 3), out, sites(), run=out.name, parent=first.directory, tell=stop)
        # Where nothing was kept, it begins anew from the parent that it is given.
        kept = out.with_name(out.name + ".partial").exists()
        assert kept == (stopping == "round")
        parent = None if kept else first.directory
        run = train_over(_limited(plan, 3), out, sites(), run=out.name, parent=parent, resume=True)
        assert _trajectory(run) == _trajectory(whole)
        assert run.metrics["model"] == whole.metrics["model"]


def test_a_site_trains_on_only_from_its_own_unchanged_model_of_that_run(
    tmp_path: Path, write_plan: WritePlan, sites: Sites
) -> None:
    plan = _limited(write_plan(), 1)
    runs = tmp_path / "runs"
    first = train_over(plan, runs / "first", sites())

    def refused(expected: str, plan: Path = plan) -> None:
        with pytest.raises((ProtocolError, ValueError), match=expected):
            train_over(plan, runs / "second", sites(), run="second", parent=first.directory)
        assert not (runs / "second.partial").exists()

    model = _kept(tmp_path, "first", "host1") / "models" / "host1.npz"
    whole = model.read_bytes()
    model.write_bytes(whole[:-1] + b"x")
    refused("'host1': its model file of the run 'first' is not the one that the version speaks of")
    model.write_bytes(whole)
    # Another run of that name: what was the first is kept beside it, and still found.
    train_over(plan, tmp_path / "elsewhere" / "first", sites())
    second = train_over(plan, runs / "second", sites(), run="second", parent=first.directory)
    assert second.metrics["model"]["parent"] == first.metrics["model"]["version"]
    shutil.rmtree(runs / "second")
    shutil.rmtree(next((tmp_path / "sites" / "guest" / "runs").glob("first-*")))
    refused(r"guest: this site keeps no files of the run 'first' \([0-9a-f]{12}\), whose model is asked for")
    refused("plan: components: training goes on from a model with 3, got 2", write_plan(model__components=2))
    refused("impute of 'host1': training goes on from", _limited(write_plan(**{"parties.host1__impute": "mean"}), 1))


def _new_rows(directory: Path, site: str, rows: int = 40) -> Path:
    lines = (directory / f"{site}.csv").read_text().splitlines()
    header, kept = lines[0], sorted(lines[1:])[:rows]
    path = directory / "sites" / site / "new.csv"
    # In an order of each party's own, as files come.
    path.write_text("\n".join([header, *(kept if site == "guest" else reversed(kept)), ""]))
    return path


@pytest.mark.parametrize("decimals", [-1, 2])
def test_scores_over_sites_are_the_local_engines(
    tmp_path: Path, write_plan: WritePlan, sites: Sites, decimals: int
) -> None:
    plan = write_plan(privacy__responsibility_decimals=decimals, requirements__rows=120)
    local = train(plan, tmp_path / "local")
    run = train_over(plan, tmp_path / "runs" / "first", sites())
    data = {name: _new_rows(tmp_path, name) for name in ("guest", "host1")}
    expected = score_run(local.directory, data)
    write_assignments(tmp_path / "expected.csv", expected.id_column, expected.ids, expected.responsibilities)
    transcript = Transcript(keep_messages=True)
    found = score_over(run.directory, dict.fromkeys(data, "new.csv"), sites(), transcript)
    assert found == (40, expected.log_likelihood)
    scored = tmp_path / "sites" / "guest" / "scores" / "new" / "assignments.csv"
    assert scored.read_bytes() == (tmp_path / "expected.csv").read_bytes()
    assert [path.name for path in (tmp_path / "sites" / "host1").iterdir() if path.name == "scores"] == []
    kinds = {peek(message)[0] for message in transcript.messages}
    assert "evaluate" in kinds and not {"update", "send_parameters"} & kinds


def test_scoring_over_sites_says_what_does_not_fit(tmp_path: Path, write_plan: WritePlan, sites: Sites) -> None:
    run = train_over(_limited(write_plan(), 1), tmp_path / "runs" / "first", sites())
    data = {name: _new_rows(tmp_path, name).name for name in ("guest", "host1")}
    with pytest.raises(ValueError, match=r"expected a file for each of \['guest', 'host1'\], got \['guest'\]"):
        score_over(run.directory, {"guest": "new.csv"}, sites())
    with pytest.raises(ProtocolError, match=r"'\.\./guest\.csv' leads out of the site's directory"):
        score_over(run.directory, {**data, "host1": "../guest.csv"}, sites())
    with pytest.raises(ValueError, match=r"host1: .*none\.csv: no such file"):
        score_over(run.directory, {**data, "host1": "none.csv"}, sites())
    _new_rows(tmp_path, "host1", 39)
    with pytest.raises(ProtocolError, match=r"rows of 'host1' and 'guest' do not match.* 1 only at 'guest'"):
        score_over(run.directory, data, sites())
    with pytest.raises(ValueError, match=r"keeps its model at the sites that trained it; .*--engine nvflare --kit"):
        score_run(run.directory, {name: tmp_path / f"{name}.csv" for name in data})


def test_a_version_at_sites_is_listed_shown_and_checked(
    tmp_path: Path, write_plan: WritePlan, sites: Sites, capsys: pytest.CaptureFixture[str]
) -> None:
    run = train_over(_limited(write_plan(), 1), tmp_path / "runs" / "first", sites())
    digest = run.metrics["model"]["version"]
    assert main(["models", "list", str(run.directory.parent)]) == 0
    assert digest[:12] in capsys.readouterr().out
    assert main(["models", "show", str(run.directory)]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in shown] == ["guest.npz", "host1.npz", "joint.npz"]
    assert all("kept at the site that made it" in line for line in shown)
    # A copy that is fetched from its site counts, and one that was changed is refused.
    model = run.directory / "models" / "host1.npz"
    shutil.copy(_kept(tmp_path, "first", "host1") / "models" / "host1.npz", model)
    assert version_of(run.directory).digest == digest
    model.write_bytes(model.read_bytes()[:-1] + b"x")
    with pytest.raises(ValueError, match=r"host1\.npz: changed, added or removed since training ended"):
        version_of(run.directory)
