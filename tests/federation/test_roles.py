"""Roles answer only what they should, in order, and refuse in words instead of crashing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import cipherlane as cl
from cipherlane.errors import KeyMismatchError, ProtocolError
from cipherlane.federation.arbiter import Arbiter
from cipherlane.federation.coordinator import Coordinator
from cipherlane.federation.data_party import DataParty, PartyFiles
from cipherlane.federation.engine import LocalEngine, Transcript
from cipherlane.federation.plan_reader import load_plan
from cipherlane.vertical.messages import pack, unpack
from cipherlane.vertical.sealed_files import SealedStore
from cipherlane.vertical.wire import Message


@pytest.fixture
def federation(tmp_path: Path, write_plan: Callable[..., Path]) -> tuple[Coordinator, LocalEngine, dict]:
    plan = load_plan(write_plan())
    parties = {
        party.name: DataParty.prepare(party, SealedStore(tmp_path / party.name), PartyFiles()) for party in plan.parties
    }
    engine = LocalEngine([Arbiter(), *parties.values()])
    return Coordinator(plan, engine), engine, parties


def _reply(role: DataParty | Arbiter, kind: str, **fields: object) -> Message:
    return unpack(role.call(kind, pack(kind, 1, **fields)), "failure", "noted", "capability")


WEIGHTS = {"weights": np.ones(3) / 3, "counts": np.ones(3)}


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("update", {"sealed": None, **WEIGHTS}),
        ("evaluate", {}),
        ("send_parameters", {}),
        ("checkpoint", {}),
        ("finish", {"sealed": None, "weights": None}),
        ("initialise", {"start": "kmeans", "seed": 0, "box_keys": {}}),
        ("match_differs", {"party": "host1", "sealed": b""}),
    ],
)
def test_a_party_refuses_messages_out_of_order(federation: tuple, kind: str, fields: dict) -> None:
    answer = _reply(federation[2]["guest"], kind, **fields)
    assert answer["error"] == "ProtocolError"
    assert answer["message"].startswith("out of order: ")


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("start", {"sealed": b""}),
        ("score_sums", {"ciphertexts": b"", "weights": None, "receivers": []}),
        ("checkpoint", {}),
        ("restore", {}),
        ("joint_parameters", {"columns": {}, "ciphertexts": {}, "names": {}, "weights": np.ones(3)}),
    ],
)
def test_the_arbiter_refuses_messages_out_of_order(kind: str, fields: dict) -> None:
    answer = _reply(Arbiter(), kind, **fields)
    assert answer["error"] == "ProtocolError"
    assert answer["message"].startswith("out of order: ")


def test_a_role_answers_only_its_own_kinds(federation: tuple) -> None:
    guest, host = federation[2]["guest"], federation[2]["host1"]
    for role, kind, fields in [
        (guest, "start", {"sealed": b""}),
        (host, "initialise", {"start": "kmeans", "seed": 0, "box_keys": {}}),
        (host, "match_open", {"box_keys": {}}),
        (guest, "match_check", {"sealed": b"", "guest_box_key": bytes(32)}),
    ]:
        assert f"does not answer '{kind}' messages" in _reply(role, kind, **fields)["message"]
    wrong = unpack(guest.call("evaluate", pack("checkpoint", 0)), "failure")
    assert "does not answer 'evaluate'" in wrong["message"]
    assert unpack(guest.call("evaluate", b"\xc1"), "failure")["error"] == "ProtocolError"


def _ready(federation: tuple) -> Coordinator:
    coordinator: Coordinator = federation[0]
    coordinator.open()
    coordinator.match()
    coordinator.make_key()
    coordinator.start()
    return coordinator


class Tampering:
    """An engine that changes one kind of reply on its way."""

    def __init__(self, engine: LocalEngine, method: str, change: Callable[[bytes], bytes]) -> None:
        self._engine, self._method, self._change = engine, method, change

    @property
    def roles(self) -> dict:
        return dict(self._engine.roles)

    def call_all(self, method: str, requests: dict) -> dict:
        replies = self._engine.call_all(method, requests)
        if method != self._method:
            return replies
        return {name: self._change(data) for name, data in replies.items()}


def _swap_key(other: bytes) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        message = unpack(data, "encrypted_scores")
        return pack("encrypted_scores", message.round, **{**message.fields, "ciphertexts": other})

    return change


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda own, foreign, codec: foreign.encrypt(np.zeros(241), codec=codec).to_bytes(), KeyMismatchError),
        (lambda own, foreign, codec: own.encrypt(np.zeros(240), codec=codec).to_bytes(), ProtocolError),
        (lambda own, foreign, codec: own.encrypt(np.zeros(241)).to_bytes(), ProtocolError),
        (lambda own, foreign, codec: b"not ciphertexts", ValueError),
    ],
)
def test_ciphertexts_of_another_key_or_shape_are_refused(
    federation: tuple, make: Callable[..., bytes], error: type[Exception]
) -> None:
    coordinator = _ready(federation)
    foreign, _ = cl.keygen(bits=1024)
    data = make(coordinator.public_key, foreign, coordinator._encoding().codec())
    coordinator.engine = Tampering(federation[1], "update", _swap_key(data))
    with pytest.raises(error):
        next(iter(coordinator.rounds(1)))


def test_a_box_from_another_round_is_refused(federation: tuple) -> None:
    coordinator = _ready(federation)
    old = dict(coordinator._boxes)
    next(iter(coordinator.rounds(1)))
    coordinator._boxes = old
    with pytest.raises(ProtocolError, match=r"host1: sealed box: .* meant for another round"):
        next(iter(coordinator.rounds(2)))


def test_an_answer_out_of_turn_is_refused(federation: tuple) -> None:
    coordinator = _ready(federation)

    def older(data: bytes) -> bytes:
        message = unpack(data, "encrypted_scores")
        return pack("encrypted_scores", 7, **message.fields)

    coordinator.engine = Tampering(federation[1], "update", older)
    with pytest.raises(ProtocolError, match="'guest' answered 'update' out of turn"):
        next(iter(coordinator.rounds(1)))
    coordinator.engine = Tampering(federation[1], "update", lambda data: pack("noted", 1, rows=1))
    with pytest.raises(ProtocolError, match="expected one of the kinds"):
        next(iter(coordinator.rounds(1)))


def test_the_arbiter_seals_only_to_parties_of_the_task(federation: tuple) -> None:
    coordinator = _ready(federation)
    next(iter(coordinator.rounds(1)))
    arbiter = federation[1]._roles["arbiter"]
    ciphertexts = coordinator.public_key.encrypt(np.zeros(241), codec=coordinator._encoding().codec()).to_bytes()
    fields = {"ciphertexts": ciphertexts, "weights": None, "receivers": ["stranger"]}
    answer = unpack(arbiter.call("score_sums", pack("score_sums", 2, **fields)), "failure")
    assert "receivers: expected some of ['guest', 'host1'], got ['stranger']" in answer["message"]


def test_an_engine_runs_the_roles_of_the_plan_and_no_others(federation: tuple, tmp_path: Path) -> None:
    coordinator, engine, parties = federation
    with pytest.raises(ProtocolError, match="engine: expected the roles"):
        Coordinator(coordinator.plan, LocalEngine([Arbiter(), parties["guest"]]))
    with pytest.raises(ValueError, match="roles: expected different names"):
        LocalEngine([Arbiter(), Arbiter()])
    with pytest.raises(ProtocolError, match="engine: expected one of the roles"):
        engine.call_all("evaluate", {"nobody": pack("evaluate", 0)})


def test_a_transcript_file_goes_on_where_it_ended(tmp_path: Path) -> None:
    path = tmp_path / "transcript.jsonl"
    for _ in range(2):
        transcript = Transcript(path)
        transcript.record("coordinator", "host1", pack("evaluate", 1))
    assert transcript.count == 2
    assert [entry.index for entry in transcript.entries] == [1]
    assert transcript.total_bytes == 2 * len(pack("evaluate", 1))
