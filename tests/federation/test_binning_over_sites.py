"""A binning over sites is the local one, count by count: with a ledger, after a stop, and in FLARE's simulator."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from same_run import check_same

from cipherlane.errors import ProtocolError
from cipherlane.federation import Progress, bin_columns, binning_coordinator, bins_of, load_plan, transform_rows
from cipherlane.federation.binning_transform import keep_section
from cipherlane.federation.flare.calls import RoleOrder
from cipherlane.federation.flare.role_host import RoleHost
from cipherlane.federation.plan import PartyPlan
from cipherlane.ledger import missing_packages
from cipherlane.report import render_page

from sites_in_process import Line, bin_over

WritePlan = Callable[..., Path]
NAMES = ("guest", "host1")
PARTS = 3


@pytest.fixture(autouse=True)
def _in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binning_coordinator, "ROWS_A_MESSAGE", 40)


def _sites(directory: Path) -> dict[str, Line]:
    """Return a site for each party, with its own directory and nothing in it but its own data file."""
    lines = {}
    for name in NAMES:
        own = directory / "sites" / name
        own.mkdir(parents=True)
        shutil.copy(directory / f"{name}.csv", own)
        lines[name] = Line(RoleHost(name, own))
    return lines


def _own(directory: Path, name: str) -> Path:
    return directory / "sites" / name / "runs" / "first"


def test_sites_find_what_one_process_finds_and_apply_it_each_by_itself(
    tmp_path: Path, write_binning_plan: WritePlan
) -> None:
    plan = write_binning_plan()
    local = bin_columns(plan, tmp_path / "local")
    sites = _sites(tmp_path)
    # The answer to a part of the labels is lost, and asked for again.
    sites["host1"].lose = lambda call: "reply" if call == 5 else None
    run = bin_over(plan, tmp_path / "out", sites)
    assert run.result is None and run.metrics["engine"] == "nvflare"
    assert run.metrics["totals"]["ciphertexts"]["labels"] == local.metrics["totals"]["ciphertexts"]["labels"]
    for name in ("binning.csv", "binning.json", "selected-guest.csv"):
        assert (_own(tmp_path, "guest") / name).read_bytes() == (local.directory / name).read_bytes(), name
    theirs = local.directory / "selected-host1.csv"
    assert (_own(tmp_path, "host1") / "selected-host1.csv").read_bytes() == theirs.read_bytes()
    for name in NAMES:
        assert bins_of(_own(tmp_path, name), name) == bins_of(local.directory, name)
        ours, expected = (
            transform_rows(at, name, tmp_path / f"{name}.csv") for at in (_own(tmp_path, name), local.directory)
        )
        assert ours.ids == expected.ids and ours.columns == expected.columns
        assert (ours.values == expected.values).all()
    with pytest.raises(ValueError, match="party: expected 'guest', whose site this is, got 'host1'"):
        bins_of(_own(tmp_path, "guest"), "host1")
    page = render_page(run.directory)
    assert "lie with the guest alone" in page and "unknown kind" not in page


def test_parties_that_share_a_sites_directory_keep_a_section_each(tmp_path: Path) -> None:
    for name, role in (("guest", "guest"), ("host1", "host")):
        keep_section(tmp_path, PartyPlan(name, role, Path("data.csv"), id_column=f"{name}s"), "0" * 32)
    for name in NAMES:
        # Their bins are asked for, which are not there.
        with pytest.raises(ValueError, match=rf"parties/{name}/binning\.sealed: expected a sealed file, found none"):
            bins_of(tmp_path, name)
    with pytest.raises(ValueError, match="party: expected 'guest' or 'host1', whose site this is, got 'host2'"):
        bins_of(tmp_path, "host2")


@pytest.mark.skipif(bool(missing_packages()), reason=f"not installed: {', '.join(missing_packages())}")
def test_sites_that_keep_a_ledger_go_on_after_a_stop(tmp_path: Path, write_binning_plan: WritePlan) -> None:
    from cipherlane.ledger.audit import audit

    plan = write_binning_plan("[ledger]\naccess_hours = 1.0")
    sites = _sites(tmp_path)
    parts: list[str] = []

    def stop(event: Progress) -> None:
        if event.stage == "kept":
            parts.append(event.stage)
            if len(parts) == PARTS - 1:
                raise RuntimeError("stands for a crash")

    with pytest.raises(RuntimeError, match="stands for a crash"):
        bin_over(plan, tmp_path / "out", sites, tell=stop)
    assert (_own(tmp_path, "guest") / "parties" / "guest" / "private-key.sealed").exists()
    for name in NAMES:
        sites[name] = Line(RoleHost(name, tmp_path / "sites" / name))
    asked: list[int] = []

    def note(event: Progress) -> None:
        if event.message is not None and event.message.kind == "encrypt_labels":
            asked.append(event.message.round)

    run = bin_over(plan, tmp_path / "out", sites, resume=True, tell=note)
    assert asked == [PARTS], "what was added before the stop is not added again"
    assert not (_own(tmp_path, "guest") / "parties" / "guest" / "private-key.sealed").exists()
    report = audit(run.directory)
    assert report.failure is None
    # With everybody's copies and files in one place, all is compared.
    for name in NAMES:
        shutil.copytree(_own(tmp_path, name) / "ledger" / name, run.directory / "ledger" / name)
        for file in _own(tmp_path, name).glob("*.csv"):
            shutil.copy(file, run.directory)
    report = audit(run.directory)
    assert report.failure is None
    assert "these files are as recorded: metrics.json, binning.csv, selected-host1.csv" in report.held
    assert any("every member confirmed the guest's key" in text for text in report.held)
    local = bin_columns(write_binning_plan(), tmp_path / "local")
    for name in ("binning.csv", "selected-guest.csv", "selected-host1.csv"):
        assert (run.directory / name).read_bytes() == (local.directory / name).read_bytes(), name
    path = run.directory / "binning.csv"
    path.write_text(path.read_text().replace("1", "2", 1))
    assert "binning.csv: is not the file that 'guest' recorded" in (audit(run.directory).failure or "")


def test_a_simulated_federation_bins_as_one_process_does(tmp_path: Path, write_binning_plan: WritePlan) -> None:
    pytest.importorskip("nvflare", minversion="2.9", reason="the extra `nvflare` is not installed")
    plan = write_binning_plan("[privacy]\ntell_woe = true")
    local = bin_columns(plan, tmp_path / "local")
    events: list[Progress] = []
    run = bin_columns(plan, tmp_path / "flare", engine="nvflare", progress=events.append)
    check_same(run.directory, local.directory)
    assert run.result is not None and local.result is not None
    assert run.result.to_json() == local.result.to_json()
    assert run.metrics["engine"] == "nvflare" and run.metrics["concurrent"]
    assert [event.stage for event in events if event.message is None][-3:] == ["kept", "verdicts", "finish"]
    again: list[Progress] = []
    assert bin_columns(plan, tmp_path / "flare", engine="nvflare", resume=True, progress=again.append).result
    assert [event.stage for event in again] == ["complete"]


def test_a_site_refuses_cuts_outside_its_directory_and_other_algorithms(
    tmp_path: Path, write_binning_plan: WritePlan
) -> None:
    plan = load_plan(write_binning_plan())
    host = plan.hosts[0]

    def order(algorithm: str = "binning", role: str = "host", **changes: object) -> bytes:
        section = type(host)(**{"name": "host1", "role": "host", "data": Path("host1.csv"), **changes})
        return RoleOrder(b"s" * 16, "first", "0" * 32, False, algorithm, "host1", role, False, section).to_bytes()

    taken = RoleOrder.from_bytes(order(categories=("x3",), cuts=Path("cuts.json")), tmp_path).party
    assert taken is not None and taken.categories == ("x3",) and taken.cuts == tmp_path.resolve() / "cuts.json"
    with pytest.raises(ProtocolError, match=r"'../cuts.json' leads out"):
        RoleOrder.from_bytes(order(cuts=Path("../cuts.json")), tmp_path)
    with pytest.raises(ProtocolError, match=r"algorithm: expected one of .*, binning"):
        RoleOrder.from_bytes(order("kmeans"), tmp_path)
    with pytest.raises(ProtocolError, match="role: expected one of arbiter, guest, host"):
        RoleOrder.from_bytes(order(role="owner"), tmp_path)
