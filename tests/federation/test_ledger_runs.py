"""Runs with a ledger: the same result, a trail that holds, and a stop where access is revoked."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cipherlane.errors import LedgerError, MissingExtraError, ProtocolError
from cipherlane.federation import Progress, Run, load_plan, train
from cipherlane.federation.engine import LocalEngine, Transcript
from cipherlane.federation.models import load_models
from cipherlane.federation.transcript_check import Secrets, check_transcript
from cipherlane.ledger import missing_packages
from cipherlane.ledger.access import request_access
from cipherlane.ledger.run_files import member_directory
from cipherlane.paillier import keygen
from cipherlane.vertical.messages import pack, unpack
from cipherlane.vertical.wire import peek

WritePlan = Callable[..., Path]

pytestmark = pytest.mark.skipif(bool(missing_packages()), reason=f"not installed: {', '.join(missing_packages())}")


class Stopped(Exception):
    """Stands for a crash."""


def _at_round(number: int, action: Callable[[], object]) -> Callable[[Progress], None]:
    def act(event: Progress) -> None:
        if event.record is not None and event.record.round == number:
            action()

    return act


def _stop() -> None:
    raise Stopped


def _trajectory(run: Run) -> list[tuple[float, list[float], list[float]]]:
    return [(r["log_likelihood"], r["counts"], r["weights"]) for r in run.metrics["iterations"]]


def _audited(directory: Path) -> tuple[str | None, list[str]]:
    from cipherlane.ledger.audit import audit

    report = audit(directory)
    return report.failure, report.notes


def test_a_run_with_a_ledger_has_the_same_result_and_passes_the_audit(tmp_path: Path, write_plan: WritePlan) -> None:
    bare = train(write_plan((2, 3, 2)), tmp_path / "bare")
    run = train(write_plan((2, 3, 2), ledger__access_hours=1.0), tmp_path / "run", keep_messages=True)
    assert _trajectory(run) == _trajectory(bare)
    assert _audited(run.directory) == (None, [])
    ledger = run.metrics["ledger"]
    # One for what comes before the rounds, one each round; the last comes after the metrics.
    assert ledger["commitments"] == 1 + run.iterations
    assert ledger["validators"] == ["coordinator", "arbiter", "guest", "host1", "host2"]
    assert "ledger" not in bare.metrics
    assert run.metrics["totals"]["seconds"]["ledger"] > 0
    # The ledger's own traffic is in no count of the protocol's.
    assert run.metrics["totals"]["messages"] == bare.metrics["totals"]["messages"]
    assert len(run.transcript.ledger_entries) >= ledger["messages"] > 0
    lines = [json.loads(line) for line in (run.directory / "transcript.jsonl").read_text().splitlines()]
    assert {line["commitment"] for line in lines} == set(range(ledger["commitments"] + 1))
    assert not any(line["kind"].startswith("ledger_") for line in lines)
    assert "commitment" not in (bare.directory / "transcript.jsonl").read_text()


def test_no_secret_crosses_with_the_ledgers_messages(
    tmp_path: Path, write_plan: WritePlan, overlapping_clusters: np.ndarray
) -> None:
    run = train(write_plan(ledger__access_hours=1.0), tmp_path / "run", keep_messages=True)
    models = [load_models(run.directory / "models" / f"{name}.npz")[0] for name in ("guest", "host1")]
    secrets = Secrets([overlapping_clusters, *(model.preprocessing.centre for model in models)])
    roles = {"arbiter": "arbiter", "guest": "guest", "host1": "host"}
    assert check_transcript(run.transcript, roles, secrets) == []
    # The check sees these messages: one of them with a feature in it is found.
    forged = Transcript(keep_messages=True)
    feature = np.float64(overlapping_clusters[0, 0]).tobytes()
    forged.record("guest", "coordinator", pack("ledger_transactions", 0, transactions=[feature]))
    assert [finding.kind for finding in check_transcript(forged, roles, secrets)] == ["ledger_transactions"]


@pytest.mark.parametrize("every", [0, 2])
def test_access_revoked_between_rounds_stops_the_next_and_loses_nothing(
    tmp_path: Path, write_plan: WritePlan, every: int
) -> None:
    plan = write_plan(ledger__access_hours=1.0, training__checkpoint_every=every)
    whole = train(plan, tmp_path / "whole")
    out, partial = tmp_path / "run", tmp_path / "run.partial"
    own = member_directory(partial, "host1")
    with pytest.raises(LedgerError, match="'host1' has revoked the plan's access to its data set; the run stops"):
        train(plan, out, progress=_at_round(3, lambda: request_access(own, 0)))
    transcript = [json.loads(line) for line in (partial / "transcript.jsonl").read_text().splitlines()]
    assert max(line["round"] for line in transcript) == 3
    status = json.loads((partial / "status.json").read_text())
    assert status["state"] == "failed"
    assert "access" in status["error"]
    failure, _ = _audited(partial)
    assert failure is not None
    assert "the run is not complete" in failure
    # It is on the ledger by now, not only the party's wish, so that a resumed run stops too.
    assert not (own / "access.json").exists()
    with pytest.raises(LedgerError, match="access to the data set of 'host1' was revoked on the ledger"):
        train(plan, out, resume=True)
    request_access(own, 1 << 40)
    run = train(plan, out, resume=True)
    assert _trajectory(run) == _trajectory(whole)
    assert (run.directory / "assignments.csv").read_bytes() == (whole.directory / "assignments.csv").read_bytes()
    failure, notes = _audited(run.directory)
    assert failure is None
    assert len(notes) == 1
    assert "interrupted sessions" in notes[0]


def test_access_revoked_before_the_first_round_keeps_the_ledger(tmp_path: Path, write_plan: WritePlan) -> None:
    partial = tmp_path / "run.partial"

    def revoke(event: Progress) -> None:
        if event.stage == "start":
            request_access(member_directory(partial, "guest"), 0)

    with pytest.raises(LedgerError, match="access to the data set of 'guest' was revoked on the ledger"):
        train(write_plan(ledger__access_hours=1.0), tmp_path / "run", progress=revoke)
    assert (partial / "ledger" / "guest" / "chain.sqlite").is_file()
    assert "round 1" not in (partial / "transcript.jsonl").read_text()


@pytest.mark.parametrize("stop_after", [2, 5])
def test_a_resumed_run_goes_on_with_its_ledger(tmp_path: Path, write_plan: WritePlan, stop_after: int) -> None:
    plan = write_plan(ledger__access_hours=1.0, training__checkpoint_every=2)
    whole = train(plan, tmp_path / "whole")
    with pytest.raises(Stopped):
        train(plan, tmp_path / "run", progress=_at_round(stop_after, _stop))
    run = train(plan, tmp_path / "run", resume=True)
    assert _trajectory(run) == _trajectory(whole)
    assert _audited(run.directory)[0] is None


def test_a_copy_lost_between_sessions_comes_back_from_the_others(tmp_path: Path, write_plan: WritePlan) -> None:
    plan = write_plan(ledger__access_hours=1.0, training__checkpoint_every=2)
    with pytest.raises(Stopped):
        train(plan, tmp_path / "run", progress=_at_round(4, _stop))
    shutil.rmtree(member_directory(tmp_path / "run.partial", "guest"))
    run = train(plan, tmp_path / "run", resume=True)
    assert _audited(run.directory)[0] is None


def test_a_ledger_that_was_tampered_with_stops_the_resumed_run(tmp_path: Path, write_plan: WritePlan) -> None:
    plan = write_plan(ledger__access_hours=1.0, training__checkpoint_every=2)
    with pytest.raises(Stopped):
        train(plan, tmp_path / "run", progress=_at_round(4, _stop))
    agreement = tmp_path / "run.partial" / "ledger" / "agreement.json"
    text = agreement.read_text()
    agreement.write_text(json.dumps({**json.loads(text), "salt": "ab" * 32}))
    with pytest.raises(LedgerError, match="'coordinator': the agreement was changed since the run began"):
        train(plan, tmp_path / "run", resume=True)
    agreement.write_text(text)
    assert _audited(train(plan, tmp_path / "run", resume=True).directory)[0] is None


def test_a_key_that_the_coordinator_exchanges_is_noticed_before_anything_is_encrypted(
    tmp_path: Path, write_plan: WritePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The attack that the fingerprint is for: who relays the key puts its own in its place, and could read sums."""
    own, _ = keygen(bits=1024)
    call_all = LocalEngine.call_all
    kinds: list[str] = []

    def exchange(self: object, method: str, requests: dict[str, bytes]) -> dict[str, bytes]:
        if method == "key":
            for name, data in requests.items():
                fields = {**unpack(data, "key").fields, "public_key": own.to_json()}
                requests = {**requests, name: pack("key", 0, **fields)}
        kinds.append(method)
        return call_all(self, method, requests)

    monkeypatch.setattr(LocalEngine, "call_all", exchange)
    expected = "'guest': the key it was given has the fingerprint .*, the ledger names .* as the arbiter's"
    with pytest.raises(LedgerError, match=expected):
        train(write_plan(ledger__access_hours=1.0), tmp_path / "run")
    assert "update" not in kinds


def test_a_role_refuses_a_round_whatever_the_coordinator_says(
    tmp_path: Path, write_plan: WritePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A coordinator that does not ask whether access is live still gets nothing."""
    monkeypatch.setattr("cipherlane.federation.run_ledger.RunLedger.check", lambda self: None)
    own = member_directory(tmp_path / "run.partial", "host1")
    crossed: list[str] = []
    record = Transcript.record

    def spy(self: Transcript, sender: str, receiver: str, data: bytes, **about: str) -> None:
        crossed.append(f"{peek(data)[0]} {sender}")
        record(self, sender, receiver, data, **about)

    monkeypatch.setattr(Transcript, "record", spy)
    with pytest.raises(LedgerError, match="'host1' has revoked"):
        train(
            write_plan(ledger__access_hours=1.0),
            tmp_path / "run",
            progress=_at_round(2, lambda: request_access(own, 0)),
        )
    assert crossed.count("encrypted_scores host1") == 2
    assert crossed[-1] == "failure host1"


def test_accounts_in_the_plan_are_checked(tmp_path: Path, write_plan: WritePlan) -> None:
    plan = write_plan(ledger__access_hours=1.0)
    plan.write_text(plan.read_text() + f'[ledger.accounts]\nhost1 = "0x{"ab" * 20}"\n')
    with pytest.raises(ProtocolError, match="the plan gives 'host1' the account 0xabab"):
        train(plan, tmp_path / "run")


def test_the_section_is_read_strictly(write_plan: WritePlan) -> None:
    plan = write_plan()
    text = plan.read_text()
    assert load_plan(plan).ledger is None
    for lines, expected in [
        ("[ledger]", None),
        ("[ledger]\nenabled = false", None),
        ('[ledger]\nvalidators = ["guest", "host1", "arbiter"]', None),
        ('[ledger]\nurl = "https://node:8545"', None),
        ('[ledger]\nurl = "node:8545"', r"\[ledger\] url: expected the JSON-RPC address"),
        ('[ledger]\nvalidators = ["guest", "nobody"]', r"\[ledger\] validators: expected names among"),
        ('[ledger]\nvalidators = ["guest"]\nurl = "http://x"', r"\[ledger\] validators: expected none beside `url`"),
        ("[ledger]\naccess_hours = -1.0", r"\[ledger\] access_hours: expected a number from 0"),
        ("[ledger]\nacces_hours = 1.0", "unknown field 'acces_hours'; did you mean 'access_hours'"),
        ('[ledger.accounts]\nguest = "0x12"', r"\[ledger\] accounts: expected 0x and 40 hexadecimal digits"),
        (f'[ledger.accounts]\nnobody = "0x{"0" * 40}"', r"\[ledger\] accounts: expected names among"),
        ("[ledger.accounts]\nguest = 7", r"\[ledger.accounts\] guest: expected text"),
        ("ledger = 7", "ledger: expected a table"),
    ]:
        plan.write_text(lines + "\n" + text if lines.startswith("ledger") else text + lines + "\n")
        if expected is None:
            assert (load_plan(plan).ledger is None) == ("false" in lines)
        else:
            with pytest.raises(ValueError, match=expected):
                load_plan(plan)


def test_without_the_extra_the_plan_is_refused_with_the_remedy(
    tmp_path: Path, write_plan: WritePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cipherlane.ledger.missing_packages", lambda: ["eth", "web3"])
    wanted = r"ledger: eth, web3 not installed; run: pip install 'cipherlane\[ledger\]'"
    with pytest.raises(MissingExtraError, match=wanted):
        train(write_plan(ledger__access_hours=1.0), tmp_path / "run")
    assert not (tmp_path / "run.partial").exists()


def test_a_run_that_was_killed_once_its_ledger_was_closed_keeps_what_was_recorded(
    tmp_path: Path, write_plan: WritePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = write_plan(ledger__access_hours=1.0)
    with monkeypatch.context() as patched:
        patched.setattr("cipherlane.federation.training.write_report", lambda run: _stop())
        with pytest.raises(Stopped):
            train(plan, tmp_path / "run")
    recorded = (tmp_path / "run.partial" / "metrics.json").read_bytes()
    run = train(plan, tmp_path / "run", resume=True)
    assert (run.directory / "metrics.json").read_bytes() == recorded
    assert _audited(run.directory) == (None, [])


def test_two_runs_at_once_with_the_same_parties_keep_ledgers_of_their_own(
    tmp_path: Path, write_plan: WritePlan
) -> None:
    settings = {"parties.guest__directory": "own", "ledger__access_hours": 1.0, "training__max_iterations": 3}
    plan = write_plan(**settings)
    refused: list[str] = []

    def meanwhile() -> None:
        inner = train(plan, tmp_path / "inner")
        assert _audited(inner.directory) == (None, [])
        for resume in (False, True):
            with pytest.raises(ValueError) as caught:
                train(plan, tmp_path / "outer", resume=resume)
            refused.append(str(caught.value))

    outer = train(plan, tmp_path / "outer", progress=_at_round(2, meanwhile))
    assert _audited(outer.directory) == (None, [])
    assert f"{tmp_path / 'outer'}.partial: an unfinished run lies there" in refused[0]
    assert f"process {os.getpid()} on " in refused[1] and "is working on this run" in refused[1]
    first, second = (json.loads((tmp_path / name / "ledger.json").read_text()) for name in ("outer", "inner"))
    assert first["chain"] != second["chain"]
    for name in ("models/joint.npz", "assignments.csv"):
        assert (outer.directory / name).read_bytes() == (tmp_path / "inner" / name).read_bytes()


def test_a_copy_that_another_process_holds_open_is_named_and_the_run_goes_on_after_it(
    tmp_path: Path, write_plan: WritePlan
) -> None:
    plan = write_plan(ledger__access_hours=1.0, training__max_iterations=3, training__checkpoint_every=1)
    copy = member_directory(tmp_path / "run.partial", "host1") / "chain.sqlite"
    with contextlib.ExitStack() as held:

        def hold() -> None:
            other = held.enter_context(contextlib.closing(sqlite3.connect(copy, isolation_level=None)))
            other.execute("begin immediate")

        with pytest.raises(LedgerError, match=r"chain\.sqlite: database is locked; check who else has the file open"):
            train(plan, tmp_path / "run", progress=_at_round(2, hold))
    run = train(plan, tmp_path / "run", resume=True)
    assert _audited(run.directory)[0] is None


def test_a_ledger_that_is_behind_its_run_is_refused_until_a_copy_is_back(tmp_path: Path, write_plan: WritePlan) -> None:
    plan = write_plan(ledger__access_hours=1.0, training__max_iterations=3, training__checkpoint_every=1)
    ledger, copies = tmp_path / "run.partial" / "ledger", tmp_path / "copies"

    def copy() -> None:
        shutil.copytree(ledger, copies)

    def stop(event: Progress) -> None:
        _at_round(1, copy)(event)
        _at_round(2, _stop)(event)

    with pytest.raises(Stopped):
        train(plan, tmp_path / "run", progress=stop)
    newest = ledger.rename(tmp_path / "newest")
    for older, found in ((copies, 2), (None, 0)):
        if older is None:
            (ledger / "agreement.json").parent.mkdir()
            shutil.copy(newest / "agreement.json", ledger)
        else:
            shutil.copytree(older, ledger)
        expected = (
            f"behind the run: {found} commitments of each member stand on it, 3 were seen there before; put a member"
        )
        with pytest.raises(LedgerError, match=expected):
            train(plan, tmp_path / "run", resume=True)
        shutil.rmtree(ledger)
    # One member's copy is enough.
    ledger.mkdir()
    shutil.copy(newest / "agreement.json", ledger)
    shutil.copytree(newest / "guest", ledger / "guest")
    run = train(plan, tmp_path / "run", resume=True)
    assert _audited(run.directory)[0] is None


def test_a_run_killed_before_its_key_was_confirmed_passes_the_audit(
    tmp_path: Path, write_plan: WritePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cipherlane.ledger.session import LedgerSession

    plan = write_plan(ledger__access_hours=1.0, training__max_iterations=3)

    def half(self: LedgerSession) -> None:
        self.do("key")
        raise Stopped

    with monkeypatch.context() as patched:
        patched.setattr(LedgerSession, "agree_on_key", half)
        with pytest.raises(Stopped):
            train(plan, tmp_path / "run")
    failure, notes = _audited(train(plan, tmp_path / "run", resume=True).directory)
    assert failure is None
    assert any("the arbiter's key of block" in note and "interrupted session" in note for note in notes)
