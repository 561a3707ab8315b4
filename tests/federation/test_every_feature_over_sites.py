"""What the local engine can, sites can: parties with the same columns, a ledger, both, and going on after a stop."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from cipherlane.errors import ProtocolError
from cipherlane.federation import Progress, Run, load_plan, predict_run, train
from cipherlane.federation.engine import Transcript
from cipherlane.federation.flare.calls import RoleOrder
from cipherlane.federation.flare.role_host import RoleHost
from cipherlane.ledger import missing_packages
from cipherlane.report import render_page
from cipherlane.vertical.wire import peek

from sites_in_process import Line, score_over, train_over

WritePlan = Callable[..., Path]
NAMES = ("arbiter", "guest", "host1")

with_ledger = pytest.mark.skipif(bool(missing_packages()), reason=f"not installed: {', '.join(missing_packages())}")


def _sites(directory: Path) -> dict[str, Line]:
    """Return a site for each role, with its own directory and nothing in it but its own data file."""
    lines = {}
    for name in NAMES:
        own = directory / "sites" / name
        own.mkdir(parents=True)
        if name != "arbiter":
            shutil.copy(directory / f"{name}.csv", own)
        lines[name] = Line(RoleHost(name, own))
    return lines


def _own(directory: Path, name: str) -> Path:
    return directory / "sites" / name / "runs" / "first"


def _trajectory(run: Run) -> list[tuple[float, list[float], list[float]]]:
    return [(r["log_likelihood"], r["counts"], r["weights"]) for r in run.metrics["iterations"]]


@pytest.fixture
def same_columns(tmp_path: Path, write_plan: WritePlan) -> Callable[..., Path]:
    """Return a function that writes a plan of two parties with the same columns and different rows."""

    def write(**settings: object) -> Path:
        plan = write_plan((3, 3), model__algorithm="horizontal-gaussian-mixture", **settings)
        # That section is about responsibilities, which do not cross.
        plan.write_text(plan.read_text().replace("[privacy]\nresponsibility_decimals = -1\n", ""))
        host = tmp_path / "host1.csv"
        lines = host.read_text().splitlines()
        host.write_text("\n".join([lines[0], *("q" + line[1:] for line in lines[1:71])]) + "\n")
        return plan

    return write


def _assert_same_models(directory: Path, local: Run, names: Mapping[str, str]) -> None:
    for file, site in names.items():
        ours, theirs = _own(directory, site) / file, local.directory / file
        assert ours.read_bytes() == theirs.read_bytes(), file


def test_parties_with_the_same_columns_train_over_sites(tmp_path: Path, same_columns: Callable[..., Path]) -> None:
    plan = same_columns()
    local = train(plan, tmp_path / "local")
    run = train_over(plan, tmp_path / "out", _sites(tmp_path))
    assert _trajectory(run) == _trajectory(local)
    files = {"models/guest.npz": "guest", "models/host1.npz": "host1"}
    _assert_same_models(tmp_path, local, {**files, "assignments.csv": "guest", "assignments-host1.csv": "host1"})
    assert run.metrics["rows"] == 190
    page = render_page(run.directory)
    assert (
        "rows of all parties" in page and "sums over rows, party to coordinator" in page and "unknown kind" not in page
    )


def test_a_logistic_regression_is_trained_and_predicts_over_sites(tmp_path: Path, write_plan: WritePlan) -> None:
    plan = write_plan()
    text = plan.read_text().replace("[privacy]\nresponsibility_decimals = -1\n", "[logistic]\nbatch_rows = 60\n")
    plan.write_text(text.replace("components = 3\nseed = 1\n", 'algorithm = "logistic-regression"\n'))
    local = train(plan, tmp_path / "local")
    sites = _sites(tmp_path)
    run = train_over(plan, tmp_path / "runs" / "first", sites)
    assert _trajectory(run) == _trajectory(local)
    files = {"models/guest.npz": "guest", "models/host1.npz": "host1", "predictions.csv": "guest"}
    _assert_same_models(tmp_path, local, files)
    page = render_page(run.directory)
    assert "Predictions lie with the guest alone" in page and "unknown kind" not in page
    page = render_page(local.directory)
    assert "Receiver operating characteristic" in page and "unknown kind" not in page
    data = {}
    for name in ("guest", "host1"):
        lines = (tmp_path / f"{name}.csv").read_text().splitlines()
        data[name] = tmp_path / "sites" / name / "new.csv"
        # Other rows: every second id, with labels, in each party's own order.
        data[name].write_text("\n".join([lines[0], *(line for line in lines[1:] if int(line[1:4]) % 2)]) + "\n")
    scored = tmp_path / "sites" / "guest" / "scores" / "new" / "predictions.csv"
    transcript = Transcript(keep_messages=True)
    # Sites that have just trained, rows with labels; sites whose processes are new, rows without.
    for lines in (sites, {name: Line(RoleHost(name, tmp_path / "sites" / name)) for name in NAMES}):
        predict_run(local.directory, data).write(tmp_path / "expected.csv")
        assert score_over(run.directory, dict.fromkeys(data, "new.csv"), lines, transcript) == (60, None)
        assert scored.read_bytes() == (tmp_path / "expected.csv").read_bytes()
        shutil.rmtree(scored.parent)
        rows = [line.split(",") for line in data["guest"].read_text().splitlines()]
        data["guest"].write_text("\n".join(",".join([row[0], *row[2:]]) for row in rows) + "\n")
    kinds = {peek(message)[0] for message in transcript.messages}
    assert "residuals" in kinds and not {"gradient", "checkpoint"} & kinds
    assert not (tmp_path / "sites" / "host1" / "scores").exists()
    with pytest.raises(ValueError, match=r"keeps its model at the sites that trained it; .*--engine nvflare --kit"):
        predict_run(run.directory, data)


@with_ledger
@pytest.mark.parametrize("horizontal", [False, True])
def test_sites_keep_a_ledger_that_the_audit_confirms(
    tmp_path: Path, write_plan: WritePlan, same_columns: Callable[..., Path], horizontal: bool
) -> None:
    from cipherlane.ledger.audit import audit

    plan = (same_columns if horizontal else write_plan)(ledger__access_hours=1.0, training__max_iterations=3)
    local = train(plan, tmp_path / "local")
    assert audit(local.directory).failure is None
    run = train_over(plan, tmp_path / "out", _sites(tmp_path))
    assert _trajectory(run) == _trajectory(local)
    for name in NAMES:
        assert (_own(tmp_path, name) / "ledger" / name / "chain.sqlite").is_file()
    report = audit(run.directory)
    assert report.failure is None
    assert "copies that are not on this machine were not compared: arbiter, guest, host1" in report.notes
    assert any("files that are not on this machine" in note for note in report.notes)
    # With the copies and files of all sites in one place, all of it is compared.
    for name in NAMES:
        shutil.copytree(_own(tmp_path, name) / "ledger" / name, run.directory / "ledger" / name)
    failure = audit(run.directory).failure
    assert failure is not None
    assert f"is not the file that {'guest' if horizontal else 'arbiter'!r} recorded" in failure
    for name in NAMES:
        for part in ("models", "assignments.csv"):
            own = _own(tmp_path, name) / part
            if own.is_dir():
                shutil.copytree(own, run.directory / part, dirs_exist_ok=True)
            elif own.is_file():
                shutil.copy(own, run.directory)
    report = audit(run.directory)
    assert (report.failure, report.notes) == (None, [])
    assert "none yet; run cipherlane audit" in render_page(run.directory)


@with_ledger
def test_a_run_with_a_ledger_over_sites_goes_on_after_a_stop(tmp_path: Path, write_plan: WritePlan) -> None:
    from cipherlane.ledger.audit import audit

    plan = write_plan(ledger__access_hours=1.0, training__checkpoint_every=1, training__max_iterations=4)
    local = train(plan, tmp_path / "local")

    def stop(event: Progress) -> None:
        if event.record is not None and event.record.round == 2:
            raise RuntimeError("stands for a crash")

    sites = _sites(tmp_path)
    with pytest.raises(RuntimeError, match="stands for a crash"):
        train_over(plan, tmp_path / "out", sites, tell=stop)
    sites["guest"] = Line(RoleHost("guest", tmp_path / "sites" / "guest"))
    run = train_over(plan, tmp_path / "out", sites, resume=True)
    assert _trajectory(run) == _trajectory(local)
    assert audit(run.directory).failure is None


def test_a_site_refuses_an_order_that_its_plan_does_not_give(tmp_path: Path, write_plan: WritePlan) -> None:
    plan = load_plan(write_plan(ledger__access_hours=1.0))
    host = next(party for party in plan.parties if party.name == "host1")

    def order(**changes: object) -> bytes:
        section = type(host)(**{"name": "host1", "role": "host", "data": Path("host1.csv"), **changes})
        return RoleOrder(
            b"s" * 16, "first", "0" * 32, False, plan.model.algorithm, "host1", "host", False, section, plan.text
        ).to_bytes()

    assert RoleOrder.from_bytes(order(), tmp_path).plan == plan.text
    for changes, field in (({"standardise": False}, "standardise"), ({"data": Path("x.csv")}, "data")):
        with pytest.raises(ProtocolError, match=rf"is not what the plan says \({field}\)"):
            RoleOrder.from_bytes(order(**changes), tmp_path)
