"""Nothing secret crosses in the clear, and the checker that says so finds what is planted."""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest

import cipherlane as cl
from cipherlane.federation import row_matching, score_run, train
from cipherlane.federation.arbiter import Arbiter
from cipherlane.federation.coordinator import Coordinator
from cipherlane.federation.data_party import DataParty
from cipherlane.federation.engine import LocalEngine, Transcript
from cipherlane.federation.models import load_models
from cipherlane.federation.responder import Responder
from cipherlane.federation.sealed_state import PreparedTable
from cipherlane.federation.training import Run
from cipherlane.federation.transcript_check import Secrets, check_box, check_transcript
from cipherlane.paillier import PrivateKey, hazmat
from cipherlane.vertical import exchange
from cipherlane.vertical.messages import ARBITER, COORDINATOR, pack, pack_sealed
from cipherlane.vertical.mixture_party import PartyParameters
from cipherlane.vertical.sealed_files import SealedStore
from cipherlane.vertical.sealing import BoxKey, seal
from cipherlane.vertical.tables import read_csv
from cipherlane.vertical.wire import peek

ROLES = {"arbiter": "arbiter", "guest": "guest", "host1": "host", "host2": "host"}


class Watched:
    """A run with everything that any role ever held."""

    def __init__(
        self, run: Run, keys: list[tuple[Any, PrivateKey]], densities: list[np.ndarray], boxes: list[bytes]
    ) -> None:
        self.run = run
        self.boxes = boxes
        self.private_key = keys[0][1]
        tables = [read_csv(party.data, "id", label_column=party.label_column) for party in run.plan.parties]
        models = load_models(run.directory / "models" / "joint.npz")
        parameters = [array for m in models for array in (m.parameters.means, m.parameters.covariances)]
        statistics = [array for m in models for array in (m.preprocessing.centre, m.preprocessing.scale)]
        inputs = [m.preprocessing.apply(table) for m, table in zip(models, tables, strict=True)]
        features = [table.values for table in tables]
        self.groups = {
            "feature": features,
            "input": inputs,
            "parameter": parameters + statistics,
            "density": densities,
        }
        self.secrets = Secrets([array for group in self.groups.values() for array in group])

    def check(self, transcript: Transcript | None = None) -> list[Any]:
        p, q = self.private_key.p, self.private_key.q
        return check_transcript(transcript or self.run.transcript, ROLES, self.secrets, key_numbers=(p, q))

    def replaced(self, kind: str, change: Callable[[bytes], bytes], sender: str | None = None) -> Transcript:
        """Return the transcript with the first message of a kind changed."""
        planted = Transcript(keep_messages=True)
        changed = False
        for entry, data in zip(self.run.transcript.entries, self.run.transcript.messages, strict=True):
            if not changed and entry.kind == kind and sender in (None, entry.sender):
                data, changed = change(data), True
            planted.record(entry.sender, entry.receiver, data)
        assert changed
        return planted


def _watch(plan: Path, out: Path) -> Watched:
    """Train with spies on what the arbiter and the data parties hold."""
    keys: list[tuple[Any, PrivateKey]] = []
    densities: list[np.ndarray] = []
    boxes: list[bytes] = []
    on_task, scores = Arbiter._on_task, DataParty._encrypted_scores

    def spy_task(self: Arbiter, message: Any) -> bytes:
        reply = on_task(self, message)
        assert self._keys is not None
        keys.append(self._keys)
        return reply

    def spy_scores(self: DataParty, message: Any, start: float) -> bytes:
        assert self._parameters is not None
        found = self._parameters.log_densities(self._table.inputs)
        densities.extend([found, found[:, :-1] - found[:, -1:], found.mean(axis=0)])
        return scores(self, message, start)

    def spy_seal(receiver_public: bytes, content: bytes, context: bytes) -> bytes:
        boxes.append(content)
        return seal(receiver_public, content, context)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exchange, "seal", spy_seal)
        patch.setattr(row_matching, "seal", spy_seal)
        patch.setattr(Arbiter, "_on_task", spy_task)
        patch.setattr(DataParty, "_encrypted_scores", spy_scores)
        return Watched(train(plan, out, keep_messages=True), keys, densities, boxes)


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory, write_plan_into: Callable[..., Path]) -> Watched:
    directory = tmp_path_factory.mktemp("watched")
    plan = write_plan_into(directory, privacy__share_parameters="every_round", training__max_iterations=3)
    return _watch(plan, directory / "run")


@pytest.fixture(scope="module")
def twins(
    tmp_path_factory: pytest.TempPathFactory, write_plan_into: Callable[..., Path], overlapping_clusters: np.ndarray
) -> Watched:
    """Two hosts with the same columns encrypt the same numbers in every round, one number a ciphertext."""
    directory = tmp_path_factory.mktemp("twins")
    values = np.hstack([overlapping_clusters[:, :3], overlapping_clusters[:, 3:5], overlapping_clusters[:, 3:5]])
    plan = write_plan_into(
        directory, (3, 2, 2), values, encryption__packing=False, training__max_iterations=2, model__components=2
    )
    return _watch(plan, directory / "run")


def test_the_whole_transcript_passes(watched: Watched) -> None:
    assert watched.check() == []
    assert len(watched.secrets.numbers) > 2000
    kinds = {entry.kind for entry in watched.run.transcript.entries}
    assert {"encrypted_scores", "score_sums", "encrypted_parameters", "joint_parameters"} <= kinds


def test_no_box_for_another_role_holds_a_secret(watched: Watched) -> None:
    assert {peek(content)[0] for content in watched.boxes} == {"responsibility_table", "match_table", "column_names"}
    assert all(check_box(content, watched.secrets) == [] for content in watched.boxes)


@pytest.mark.parametrize("group", ["feature", "input", "parameter", "density"])
def test_a_secret_in_a_box_is_found(watched: Watched, group: str) -> None:
    table = np.ascontiguousarray(watched.groups[group][0].reshape(-1, 1))
    leak = pack_sealed("responsibility_table", 1, decimals=-1, table=table)
    assert "a secret as a number in a field" in check_box(leak, watched.secrets)


def test_scoring_new_rows_passes_as_well(watched: Watched) -> None:
    transcript = Transcript(keep_messages=True)
    score_run(
        watched.run.directory, {party.name: party.data for party in watched.run.plan.parties}, transcript=transcript
    )
    assert "encrypted_scores" in {entry.kind for entry in transcript.entries}
    assert watched.check(transcript) == []


def test_digests_on_disk_are_those_of_the_messages(watched: Watched) -> None:
    lines = (watched.run.directory / "transcript.jsonl").read_text().splitlines()
    found = [(json.loads(line)["sha256"], json.loads(line)["bytes"]) for line in lines]
    assert found == [(hashlib.sha256(data).hexdigest(), len(data)) for data in watched.run.transcript.messages]


def _with_field(data: bytes, field: str, change: Callable[[Any], Any]) -> bytes:
    outer = msgpack.unpackb(data)
    outer[3][field] = change(outer[3][field])
    return msgpack.packb(outer)


ENCODINGS = {
    "float64 little-endian": lambda v: v.astype("<f8").tobytes(),
    "float64 big-endian": lambda v: v.astype(">f8").tobytes(),
    "float32 little-endian": lambda v: v.astype("<f4").tobytes(),
    "float32 big-endian": lambda v: v.astype(">f4").tobytes(),
    "fixed point, 40 bits": lambda v: np.rint(v * 2.0**40).astype("<i8").tobytes(),
    "fixed point, 24 bits, big-endian": lambda v: np.rint(v * 2.0**24).astype(">i8").tobytes(),
    "text": lambda v: b" ".join(repr(x).encode() for x in v.tolist()),
    "text, six decimals": lambda v: b";".join(b"%.6f" % x for x in v.tolist()),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("group", ["feature", "input", "parameter", "density"])
def test_a_planted_secret_is_found_in_any_encoding(watched: Watched, group: str, encoding: str) -> None:
    array = watched.groups[group][0].ravel()
    values = array[np.isin(array, watched.secrets.numbers) & (np.abs(array) > 0.2)][:2]
    planted = b"\x07" + ENCODINGS[encoding](values)

    def leak(data: bytes) -> bytes:
        return _with_field(data, "ciphertexts", lambda raw: raw[:100] + planted + raw[100:])

    findings = watched.check(watched.replaced("encrypted_scores", leak))
    assert findings
    assert {(f.sender, f.kind) for f in findings} == {("guest", "encrypted_scores")}
    assert any("secret" in finding.problem for finding in findings)


@pytest.mark.parametrize("precision", [np.float64, np.float32])
def test_a_single_secret_number_in_a_field_is_found(watched: Watched, precision: type) -> None:
    secret = float(precision(watched.secrets.numbers[100]))
    leaked = watched.replaced("encrypted_scores", lambda d: _with_field(d, "em_seconds", lambda _: secret))
    assert any("a secret as a number in a field" in finding.problem for finding in watched.check(leaked))


def test_a_leaked_private_key_is_found(watched: Watched) -> None:
    for text in (str(watched.private_key.p), f"{watched.private_key.q:X}"):
        leak = functools.partial(_with_field, field="public_key", change=lambda key, t=text: key + t)
        findings = watched.check(watched.replaced("public_key", leak))
        assert any("private key" in finding.problem for finding in findings)


def test_a_party_s_own_ciphertexts_at_the_arbiter_are_found(watched: Watched) -> None:
    entries, messages = watched.run.transcript.entries, watched.run.transcript.messages
    own = next(d for e, d in zip(entries, messages, strict=True) if e.kind == "encrypted_scores")
    ciphertexts = msgpack.unpackb(own)[3]["ciphertexts"]
    leaked = watched.replaced("score_sums", lambda d: _with_field(d, "ciphertexts", lambda _: ciphertexts))
    assert any("not re-randomised" in finding.problem for finding in watched.check(leaked))


def test_a_message_on_a_wrong_edge_or_of_a_wrong_form_is_found(watched: Watched) -> None:
    planted = Transcript(keep_messages=True)
    planted.record("guest", "host1", pack("noted", 0, rows=1))
    planted.record(COORDINATOR, "guest", pack("restore", 0))
    planted.record(COORDINATOR, ARBITER, pack("evaluate", 0))
    planted.record("host1", COORDINATOR, msgpack.packb([1, "noted", 0, {"rows": 1, "extra": 2}]))
    problems = {finding.index: finding.problem for finding in watched.check(planted)}
    assert "may not go from a guest to a host" in problems[0]
    assert 1 not in problems
    assert "may not go from a coordinator to a arbiter" in problems[2]
    assert "not a message that fits its schema" in problems[3]


def test_only_digests_are_kept_unless_asked(tmp_path: Path, write_plan: Callable[..., Path]) -> None:
    run = train(write_plan(training__max_iterations=1), tmp_path / "run")
    assert run.transcript.messages == []
    with pytest.raises(ValueError, match="keep_messages=True"):
        check_transcript(run.transcript, ROLES, Secrets([np.ones(1)]))


def _scores(watched: Watched, host: str) -> list[bytes]:
    entries, messages = watched.run.transcript.entries, watched.run.transcript.messages
    sent = [messages[e.index] for e in entries if e.kind == "encrypted_scores" and e.sender == host]
    return [msgpack.unpackb(data)[3]["ciphertexts"] for data in sent]


def test_two_encryptions_of_equal_values_differ(twins: Watched) -> None:
    private = twins.private_key
    for pair in zip(_scores(twins, "host1"), _scores(twins, "host2"), strict=True):
        first, second = (cl.CipherArray.from_bytes(private.public_key, data) for data in pair)
        np.testing.assert_array_equal(private.decrypt(first), private.decrypt(second))
        assert not set(hazmat.to_integers(first)) & set(hazmat.to_integers(second))
    assert twins.check() == []


def test_an_encryption_that_shows_equal_values_is_found(twins: Watched) -> None:
    same = _scores(twins, "host1")[0]
    alike = twins.replaced("encrypted_scores", lambda d: _with_field(d, "ciphertexts", lambda _: same), "host2")
    findings = twins.check(alike)
    assert [(f.sender, f.problem) for f in findings] == [
        ("host2", "a ciphertext that crossed before: equal numbers would show")
    ]


def test_equal_values_in_one_message_that_show_are_found(twins: Watched) -> None:
    public = twins.private_key.public_key
    array = cl.CipherArray.from_bytes(public, _scores(twins, "host1")[0])
    repeated = cl.concatenate([array[:1], array[:1], array[2:]]).to_bytes(rerandomize=False)
    alike = twins.replaced("encrypted_scores", lambda d: _with_field(d, "ciphertexts", lambda _: repeated), "host1")
    assert any("crossed before" in finding.problem for finding in twins.check(alike))


def test_ciphertexts_of_no_known_key_are_found(watched: Watched) -> None:
    foreign, _ = cl.keygen(bits=1024)
    other = foreign.encrypt(np.ones(3)).to_bytes()
    leaked = watched.replaced("encrypted_scores", lambda d: _with_field(d, "ciphertexts", lambda _: other))
    assert any("of no key that has crossed" in finding.problem for finding in watched.check(leaked))


def test_the_arbiter_decrypts_the_sum_and_the_coordinator_has_no_private_key(watched: Watched) -> None:
    private = watched.private_key
    entries, messages = watched.run.transcript.entries, watched.run.transcript.messages

    def opened(kind: str) -> list[np.ndarray]:
        sent = [messages[e.index] for e in entries if e.kind == kind and e.round == 1]
        fields = [msgpack.unpackb(data)[3]["ciphertexts"] for data in sent]
        return [private.decrypt(cl.CipherArray.from_bytes(private.public_key, data)) for data in fields]

    (total,) = opened("score_sums")
    parts = opened("encrypted_scores")
    assert len(parts) == 2
    np.testing.assert_allclose(total, sum(parts), atol=2.0**-38)


def test_nothing_the_coordinator_holds_is_a_private_key(
    tmp_path: Path, write_plan: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[Coordinator] = []
    finish = Coordinator.finish

    def spy(self: Coordinator) -> None:
        held.append(self)
        finish(self)

    monkeypatch.setattr(Coordinator, "finish", spy)
    train(write_plan(training__max_iterations=1), tmp_path / "run")
    reached = _reachable({name: value for name, value in vars(held[0]).items() if name != "engine"})
    assert any(isinstance(value, cl.PublicKey) for value in reached)
    assert not any(isinstance(value, PrivateKey | DataParty | Arbiter) for value in reached)


def test_roles_share_no_object_that_holds_data(
    tmp_path: Path, write_plan: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    roles: list[Responder] = []
    init = LocalEngine.__init__

    def spy(self: LocalEngine, given: list[Any], transcript: Transcript | None = None) -> None:
        roles.extend(given)
        init(self, given, transcript)

    monkeypatch.setattr(LocalEngine, "__init__", spy)
    train(write_plan((2, 3, 2), training__max_iterations=2), tmp_path / "run")
    assert {role.name for role in roles} == {"arbiter", "guest", "host1", "host2"}
    held = [{id(value): value for value in _reachable(role) if isinstance(value, DATA)} for role in roles]
    assert all(len(values) > 5 for values in held)
    for one, other in itertools.combinations(held, 2):
        assert [value for key, value in one.items() if key in other] == []


DATA = (
    np.ndarray,
    bytearray,
    list,
    dict,
    PrivateKey,
    cl.PublicKey,
    BoxKey,
    SealedStore,
    PreparedTable,
    PartyParameters,
)


def _reachable(root: object) -> list[object]:
    found: list[object] = []
    waiting, seen = [root], set()
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        found.append(value)
        if isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, list | tuple | set):
            waiting.extend(value)
        elif type(value).__module__.startswith("cipherlane"):
            waiting.extend(vars(value).values() if hasattr(value, "__dict__") else [])
            for slot in getattr(type(value), "__slots__", ()):
                if slot != "__weakref__":
                    waiting.append(getattr(value, slot, None))
    return found
