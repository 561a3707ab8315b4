"""Engine and sites of `nvflare` without FLARE: calls that are lost, late, replayed, reordered or of others."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cipherlane.errors import ProtocolError
from cipherlane.federation import Progress, Run, train
from cipherlane.federation.flare import engine as flare_engine
from cipherlane.federation.flare.calls import RoleOrder, confined, run_directory
from cipherlane.federation.flare.engine import Aborted
from cipherlane.federation.flare.role_host import RoleHost
from cipherlane.federation.plan import ALGORITHM, PartyPlan
from cipherlane.vertical.messages import pack, unpack
from cipherlane.vertical.seal_keys import FileKey
from cipherlane.vertical.sealed_files import rotate
from cipherlane.vertical.sealing import BoxKey

from sites_in_process import Line, train_over

WritePlan = Callable[..., Path]
NAMES = ("arbiter", "guest", "host1")
SESSION = b"s" * 16
RUN_ID = "0" * 32
BOX = BoxKey()


def _lines(directory: Path, lose: Callable[[int], str | None] = lambda call: None) -> dict[str, Line]:
    return {name: Line(RoleHost(name, directory), lose) for name in NAMES}


def _trajectory(run: Run) -> list[tuple[float, list[float], list[float]]]:
    return [(r["log_likelihood"], r["counts"], r["weights"]) for r in run.metrics["iterations"]]


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flare_engine, "_PAUSE_SECONDS", 0.0)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory, write_plan_into: WritePlan) -> Run:
    """Return what the local engine makes of the plan that `write_plan` writes."""
    directory = tmp_path_factory.mktemp("local")
    return train(write_plan_into(directory), directory / "run")


@pytest.mark.parametrize("lost", [None, "request", "reply"])
def test_whatever_is_lost_the_result_is_the_local_engines(
    tmp_path: Path, write_plan: WritePlan, local: Run, lost: str | None
) -> None:
    plan = write_plan()
    lines = _lines(tmp_path, lambda call: lost if call % 2 else None)
    run = train_over(plan, tmp_path / "out", lines)
    assert _trajectory(run) == _trajectory(local)
    # Every role computed once for each call, however often it was made.
    counted = [(entry.sender, entry.receiver, entry.kind, entry.round) for entry in run.transcript.entries]
    expected = [(entry.sender, entry.receiver, entry.kind, entry.round) for entry in local.transcript.entries]
    assert sorted(counted) == sorted(expected)
    kept = tmp_path / "runs" / "first"
    for name in ("guest", "host1", "joint"):
        ours, theirs = (root / "models" / f"{name}.npz" for root in (kept, local.directory))
        assert ours.read_bytes() == theirs.read_bytes()
    assert (kept / "assignments.csv").read_bytes() == (local.directory / "assignments.csv").read_bytes()
    assert run.metrics["engine"] == "nvflare" and run.metrics["concurrent"] is True
    kept_here = [path.name for path in (run.directory / "models").iterdir()]
    assert kept_here == ["version.json"], "what is a party's stays with the party"
    assert run.metrics["model"] == local.metrics["model"], "a version stands for the same models whatever the engine"


def test_a_run_over_sites_is_resumed_with_new_sessions(tmp_path: Path, write_plan: WritePlan, local: Run) -> None:
    plan = write_plan(training__checkpoint_every=2)

    def stop(event: Progress) -> None:
        if event.record is not None and event.record.round == 3:
            raise RuntimeError("stands for a crash")

    lines = _lines(tmp_path)
    with pytest.raises(RuntimeError, match="stands for a crash"):
        train_over(plan, tmp_path / "out", lines, tell=stop)
    # The arbiter's process is a new one, the parties' are still the old ones.
    lines["arbiter"] = Line(RoleHost("arbiter", tmp_path))
    resumed = train_over(plan, tmp_path / "out", lines, resume=True)
    assert _trajectory(resumed) == _trajectory(local)


def test_a_site_that_stays_away_is_named(tmp_path: Path, write_plan: WritePlan) -> None:
    lines = _lines(tmp_path)
    lines["host1"] = Line(lines["host1"].host, lambda call: "request" if call > 2 else None)
    with pytest.raises(ProtocolError, match=r"'host1' has not answered for 0 s .*go on with the run by --resume"):
        train_over(write_plan(), tmp_path / "out", lines, patience=0.5)


def test_a_job_that_flare_ends_names_who_was_at_work(tmp_path: Path, write_plan: WritePlan) -> None:
    class Ended(Line):
        def answer(self, session: bytes, number: int, method: str, data: bytes, timeout: float) -> bytes:
            if method == "update":
                raise Aborted
            return super().answer(session, number, method, data, timeout)

    lines = _lines(tmp_path)
    lines["host1"] = Ended(lines["host1"].host)
    with pytest.raises(ProtocolError, match=r"FLARE ended the job while 'host1' worked on 'update'.*--resume"):
        train_over(write_plan(), tmp_path / "out", lines)


def test_sites_must_be_those_of_the_plan_and_may_refuse(tmp_path: Path, write_plan: WritePlan) -> None:
    plan = write_plan()
    lines = _lines(tmp_path)
    with pytest.raises(
        ProtocolError, match=r"sites: expected \['arbiter', 'guest', 'host1'\].*got \['arbiter', 'guest'\]"
    ):
        train_over(plan, tmp_path / "a", {name: lines[name] for name in ("arbiter", "guest")})
    swapped = {**lines, "guest": lines["host1"], "host1": lines["guest"]}
    with pytest.raises(ProtocolError, match="site 'host1' was told to be 'guest'; name the sites as the plan"):
        train_over(plan, tmp_path / "b", swapped)
    (tmp_path / "host1.csv").unlink()
    with pytest.raises(ValueError, match=r"host1: .*host1.csv: no such file"):
        train_over(plan, tmp_path / "c", _lines(tmp_path))


def _order(name: str, **fields: object) -> bytes:
    role = "guest" if name == "guest" else "host"
    party = PartyPlan(name, role, **{"data": Path(f"{name}.csv"), **fields})  # type: ignore[arg-type]
    return RoleOrder(SESSION, "first", RUN_ID, False, ALGORITHM, name, role, False, party).to_bytes()


@pytest.fixture
def opened(tmp_path: Path, write_plan: WritePlan) -> RoleHost:
    """Return a guest's host that has answered call 1."""
    write_plan()
    host = RoleHost("guest", tmp_path)
    assert unpack(host.open_role("server", _order("guest", label_column="y")), "noted", "failure").kind == "noted"
    data = pack("match_open", 0, box_keys={"host1": BOX.public})
    assert unpack(host.answer("server", SESSION, 1, "match_open", data), "match_offer")["rows"] == 120
    return host


def _refusal(reply: bytes) -> str:
    text: str = unpack(reply, "failure")["message"]
    return text


def test_calls_out_of_turn_are_refused_and_change_nothing(opened: RoleHost) -> None:
    data = pack("match_open", 0, box_keys={"host1": BOX.public})
    first = opened.answer("server", SESSION, 1, "match_open", data)
    assert opened.answer("server", SESSION, 1, "match_open", data) == first
    for number in (0, 3, -1):
        text = _refusal(opened.answer("server", SESSION, number, "match_open", data))
        assert f"expected call 2, got {number}; a message was replayed, lost or overtaken" in text
    assert "of another session" in _refusal(opened.answer("server", b"x" * 16, 2, "match_open", data))
    assert "only the server may call it, got a call of 'host1'" in _refusal(
        opened.answer("host1", SESSION, 2, "match_open", data)
    )
    assert "only the server may call it" in _refusal(opened.open_role("arbiter", _order("guest")))
    assert "expected a whole number" in _refusal(opened.answer("server", SESSION, True, "match_open", data))
    assert "the bytes of a message" in _refusal(opened.answer("server", SESSION, 2, "match_open", [1]))  # type: ignore[arg-type]
    again = opened.answer("server", SESSION, 2, "match_open", data)
    assert "replayed message: 'match_open'" in _refusal(again)


def test_a_call_made_again_while_it_is_worked_on_waits_for_the_one_reply(opened: RoleHost) -> None:
    data = pack("match_open", 0, box_keys={"host1": BOX.public})
    replies: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: replies.append(opened.answer("server", SESSION, 2, "match_open", data)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(replies) == 8 and len(set(replies)) == 1


def test_a_sites_keys_are_not_changed_while_it_uses_them(opened: RoleHost, tmp_path: Path) -> None:
    own = tmp_path / "runs" / "first" / "parties" / "guest"
    with pytest.raises(ValueError, match=r"parties/guest: a run is using these files; wait until it has ended"):
        rotate(own, FileKey(own / "seal.key"))
    party = PartyPlan("guest", "guest", Path("guest.csv"), label_column="y")
    order = RoleOrder(b"t" * 16, "second", "1" * 32, False, ALGORITHM, "guest", "guest", False, party)
    assert unpack(opened.open_role("server", order.to_bytes()), "noted", "failure").kind == "noted"
    assert rotate(own, FileKey(own / "seal.key")) == 1


@pytest.mark.parametrize("path", ["../guest.csv", "/etc/passwd", "a/../../guest.csv", "link/guest.csv"])
def test_a_plan_reads_nothing_outside_a_sites_directory(tmp_path: Path, path: str) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "link").symlink_to(tmp_path)
    with pytest.raises(ProtocolError, match="leads out of the site's directory"):
        confined(site, path)
    host = RoleHost("guest", site)
    for fields in ({"data": Path(path)}, {"directory": Path(path)}, {"seal_key": FileKey(Path(path))}):
        assert "leads out of the site's directory" in _refusal(host.open_role("server", _order("guest", **fields)))
    assert confined(site, "a/b.csv") == (site / "a" / "b.csv").resolve()


def test_damaged_orders_are_refused(tmp_path: Path) -> None:
    host = RoleHost("guest", tmp_path)
    whole = _order("guest")
    for data in (b"", whole[:-1], pack("noted", 0, rows=1)):
        assert _refusal(host.open_role("server", data))
    data = pack("match_open", 0, box_keys={"host1": BOX.public})
    assert "of another session" in _refusal(host.answer("server", SESSION, 1, "match_open", data))


def test_a_run_of_the_same_name_keeps_what_the_earlier_one_left(tmp_path: Path, write_plan: WritePlan) -> None:
    plan = write_plan(training__max_iterations=1)
    first = train_over(plan, tmp_path / "a", _lines(tmp_path))
    kept = tmp_path / "runs" / "first"
    models = {path.name: path.read_bytes() for path in (kept / "models").iterdir()}
    run_id = json.loads((first.directory / "run.json").read_text())["id"]
    train_over(plan, tmp_path / "b", _lines(tmp_path))
    earlier = tmp_path / "runs" / f"first-{run_id[:12]}"
    assert {path.name: path.read_bytes() for path in (earlier / "models").iterdir()} == models
    assert sorted(path.name for path in (kept / "models").iterdir()) == sorted(models)


def test_roles_that_share_a_directory_move_an_earlier_run_aside_once(tmp_path: Path) -> None:
    roles, runs = 6, [f"{number:032d}"[::-1] for number in range(1, 41)]
    for run_id in runs:
        together = threading.Barrier(roles)

        def opened(run_id: str, together: threading.Barrier = together) -> Path:
            together.wait()
            return run_directory(tmp_path, "first", run_id)

        with ThreadPoolExecutor(roles) as pool:
            assert set(pool.map(opened, [run_id] * roles)) == {tmp_path / "runs" / "first"}
        (tmp_path / "runs" / "first" / "of").write_text(run_id)
    kept = {path.name: (path / "of").read_text() for path in (tmp_path / "runs").glob("first*")}
    assert kept == {"first": runs[-1], **{f"first-{run_id[:12]}": run_id for run_id in runs[:-1]}}
