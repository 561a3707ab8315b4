"""Replayed, reordered and misplaced messages, changed plans and wrong clocks: refused by name, and nothing is lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgpack
import pytest

from cipherlane.errors import ProtocolError
from cipherlane.federation import train
from cipherlane.federation.arbiter import Arbiter
from cipherlane.federation.coordinator import CLOCK_TOLERANCE, Coordinator
from cipherlane.federation.data_party import DataParty, PartyFiles
from cipherlane.federation.engine import LocalEngine
from cipherlane.federation.plan import Plan
from cipherlane.federation.plan_reader import load_plan
from cipherlane.vertical.messages import unpack
from cipherlane.vertical.sealed_files import SealedStore

WritePlan = Callable[..., Path]


class Wire(LocalEngine):
    """An engine that keeps what it carries, and may change or swap it."""

    def __init__(self, roles: list[Any]) -> None:
        super().__init__(roles)
        self.sent: list[tuple[str, str, bytes]] = []
        self.answers: list[tuple[str, str, bytes]] = []
        self.change: Callable[[str, str, bytes], bytes] = lambda name, method, data: data

    def call_all(self, method: str, requests: Mapping[str, bytes]) -> dict[str, bytes]:
        self.sent += [(name, method, data) for name, data in requests.items()]
        replies = super().call_all(method, requests)
        self.answers += [(name, method, data) for name, data in replies.items()]
        return {name: self.change(name, method, data) for name, data in replies.items()}

    def again(self, name: str, method: str, nth: int = 0) -> str:
        """Deliver a message a second time and return how it is refused."""
        data = [data for to, kind, data in self.sent if (to, kind) == (name, method)][nth]
        return str(unpack(self._roles[name].call(method, data), "failure")["message"])


def _federation(plan: Plan, directory: Path) -> tuple[Coordinator, Wire, dict[str, DataParty]]:
    stores = {party.name: SealedStore(directory / party.name) for party in plan.parties}
    parties = {party.name: DataParty.prepare(party, stores[party.name], PartyFiles()) for party in plan.parties}
    wire = Wire([Arbiter(SealedStore(directory / "arbiter")), *parties.values()])
    return Coordinator(plan, wire), wire, parties


@pytest.fixture
def begun(tmp_path: Path, write_plan: WritePlan) -> tuple[Coordinator, Wire]:
    coordinator, wire, _ = _federation(load_plan(write_plan()), tmp_path)
    for step in (coordinator.open, coordinator.match, coordinator.make_key, coordinator.start):
        step()
    return coordinator, wire


def _rounds(coordinator: Coordinator, first: int, count: int) -> list[float]:
    return [record.log_likelihood for _, record in zip(range(count), coordinator.rounds(first), strict=False)]


def test_a_replayed_or_reordered_message_is_refused_and_the_run_goes_on_unharmed(
    tmp_path: Path, write_plan: WritePlan, begun: tuple[Coordinator, Wire]
) -> None:
    coordinator, wire = begun
    found = _rounds(coordinator, 1, 2)
    for name, method, nth, expected in [
        ("host1", "update", 1, "host1' *: *replayed message: 'update' of round 2 has been answered already"),
        ("host1", "update", 0, "reordered message: 'update' of round 1 came late, after one of round 2"),
        ("arbiter", "score_sums", 1, "replayed message: 'score_sums' of round 2"),
        ("arbiter", "arbiter_task", 0, "reordered message: 'arbiter_task' of round 0 came late"),
        ("guest", "key", 0, "reordered message: 'key' of round 0 came late"),
        ("guest", "initialise", 0, "reordered message: 'initialise' of round 0 came late"),
    ]:
        assert expected.split("*: *")[-1] in wire.again(name, method, nth)
    host = wire._roles["host1"]
    early = msgpack.unpackb(next(data for to, kind, data in wire.sent if (to, kind) == ("host1", "update")))
    early[2] = 5
    answer = unpack(host.call("update", msgpack.packb(early)), "failure")
    assert (
        "reordered message: 'update' of round 5 came early, in round 2; those between are missing" in answer["message"]
    )
    found += _rounds(coordinator, 3, 4)
    whole = train(write_plan(), tmp_path / "whole")
    assert found == [record["log_likelihood"] for record in whole.metrics["iterations"]]


def test_an_answer_for_another_round_or_of_another_kind_is_named(begun: tuple[Coordinator, Wire]) -> None:
    coordinator, wire = begun
    _rounds(coordinator, 1, 1)
    old = {(name, method): data for name, method, data in wire.answers}
    wire.change = lambda name, method, data: old[name, method] if (name, method) == ("host1", "update") else data
    with pytest.raises(
        ProtocolError,
        match=r"'host1' answered 'update' out of turn: expected an answer for round 2, got one for round 1",
    ):
        _rounds(coordinator, 2, 1)


def test_an_answer_of_another_kind_names_who_gave_it(begun: tuple[Coordinator, Wire]) -> None:
    coordinator, wire = begun
    wire.change = lambda name, method, data: wire.answers[0][2] if name == "host1" else data
    with pytest.raises(
        ProtocolError, match=r"'host1' answered 'update' with what is no answer to it: .* expected one of"
    ):
        _rounds(coordinator, 1, 1)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"model__components": 2}, "components was 3, is 2"),
        ({"privacy__responsibility_decimals": 4}, "decimals was -1, is 4"),
        ({"privacy__share_parameters": "never"}, 'share_parameters was "end", is "never"'),
        ({"model__seed": 99}, "the plan's text (SHA-256) was \""),
    ],
)
def test_a_plan_that_changed_after_acceptance_is_refused_in_this_session_and_in_another(
    tmp_path: Path, write_plan: WritePlan, settings: dict[str, object], expected: str
) -> None:
    plan = load_plan(write_plan())
    coordinator, wire, _ = _federation(plan, tmp_path / "a")
    coordinator.open()
    changed = load_plan(write_plan(**settings))
    with pytest.raises(ProtocolError, match="the plan changed after this party accepted it: ") as caught:
        Coordinator(changed, wire).open()
    assert expected in str(caught.value) and str(caught.value).startswith("guest: ")
    parties = [DataParty.reopen(p, SealedStore(tmp_path / "a" / p.name), PartyFiles()) for p in changed.parties]
    with pytest.raises(ProtocolError, match="the plan changed after this party accepted it: ") as caught:
        Coordinator(changed, LocalEngine([Arbiter(), *parties])).open()
    assert expected in str(caught.value)
    # What was accepted still stands.
    coordinator.match()
    parties = [DataParty.reopen(p, SealedStore(tmp_path / "a" / p.name), PartyFiles()) for p in plan.parties]
    Coordinator(plan, LocalEngine([Arbiter(), *parties])).open()


def test_requirements_that_come_twice_unchanged_are_a_replay(begun: tuple[Coordinator, Wire]) -> None:
    assert "replayed message: 'requirements' have been answered already" in begun[1].again("guest", "requirements")


def test_an_arbiter_told_other_decimals_than_the_parties_accepted_is_found(
    tmp_path: Path, write_plan: WritePlan
) -> None:
    coordinator, _, _ = _federation(load_plan(write_plan(privacy__responsibility_decimals=2)), tmp_path / "a")
    coordinator.open()
    coordinator.match()
    coordinator.plan = load_plan(write_plan(privacy__responsibility_decimals=-1))
    coordinator.make_key()
    with pytest.raises(ProtocolError, match="they are exact in the plan accepted, and came with 2 decimals"):
        coordinator.start()


def test_parties_keep_to_the_rounds_and_the_sharing_that_they_accepted(tmp_path: Path, write_plan: WritePlan) -> None:
    settings = {"privacy__share_parameters": "never", "training__max_iterations": 1}
    coordinator, _, _ = _federation(load_plan(write_plan(**settings)), tmp_path / "a")
    for step in (coordinator.open, coordinator.match, coordinator.make_key, coordinator.start):
        step()
    assert len(_rounds(coordinator, 1, 1)) == 1
    with pytest.raises(ProtocolError, match='the plan that this party accepted says share_parameters = "never"'):
        coordinator.collect_parameters()
    coordinator.plan = load_plan(write_plan(training__max_iterations=2))
    with pytest.raises(ProtocolError, match="round 2: the plan that this party accepted ends after round 1"):
        _rounds(coordinator, 2, 1)


@pytest.mark.parametrize(("offset", "word"), [(3600.0, "3600 s ahead"), (-7200.0, "7200 s behind")])
@pytest.mark.parametrize("module", ["party", "arbiter"])
def test_clocks_that_are_apart_are_named(
    tmp_path: Path, write_plan: WritePlan, monkeypatch: pytest.MonkeyPatch, offset: float, word: str, module: str
) -> None:
    class Clock:
        perf_counter = staticmethod(time.perf_counter)

        @staticmethod
        def time() -> float:
            return time.time() + offset

    monkeypatch.setattr(f"cipherlane.federation.{module}.time", Clock)
    name = "guest" if module == "party" else "arbiter"
    with pytest.raises(ProtocolError, match=f"clocks apart: of the coordinator's, that of '{name}' ") as caught:
        train(write_plan(), tmp_path / "run")
    told, seconds = str(caught.value), int(word.split()[0])
    # However long the call took, its answer is measured from the nearer end.
    assert any(f"'{name}' {seconds - late} {word.split(' ', 1)[1]}" in told for late in range(200))
    assert f"at most {CLOCK_TOLERANCE:.0f} s" in told
    assert not (tmp_path / "run.partial").exists()
