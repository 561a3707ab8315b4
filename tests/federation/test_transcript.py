"""Nothing secret crosses in the clear, and the checker that says so finds what is planted."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest

import cipherlane as cl
from cipherlane.federation import train
from cipherlane.federation.arbiter import Arbiter
from cipherlane.federation.coordinator import Coordinator
from cipherlane.federation.data_party import DataParty
from cipherlane.federation.engine import Transcript
from cipherlane.federation.models import load_models
from cipherlane.federation.training import Run
from cipherlane.federation.transcript_check import Secrets, check_transcript
from cipherlane.paillier import PrivateKey
from cipherlane.vertical.messages import ARBITER, COORDINATOR, pack
from cipherlane.vertical.tables import read_csv

ROLES = {"arbiter": "arbiter", "guest": "guest", "host1": "host"}


class Watched:
    """A run with everything that any role ever held."""

    def __init__(self, run: Run, keys: list[tuple[Any, PrivateKey]], densities: list[np.ndarray]) -> None:
        self.run = run
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


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory, write_plan_into: Callable[..., Path]) -> Watched:
    keys: list[tuple[Any, PrivateKey]] = []
    densities: list[np.ndarray] = []
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

    directory = tmp_path_factory.mktemp("watched")
    plan = write_plan_into(directory, privacy__share_parameters="every_round", training__max_iterations=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Arbiter, "_on_task", spy_task)
        patch.setattr(DataParty, "_encrypted_scores", spy_scores)
        return Watched(train(plan, directory / "run", keep_messages=True), keys, densities)


def test_the_whole_transcript_passes(watched: Watched) -> None:
    assert watched.check() == []
    assert len(watched.secrets.numbers) > 2000
    kinds = {entry.kind for entry in watched.run.transcript.entries}
    assert {"encrypted_scores", "score_sums", "encrypted_parameters", "joint_parameters"} <= kinds


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


def test_two_encryptions_of_equal_values_differ(watched: Watched) -> None:
    values = np.array([0.5, -0.25])
    public = watched.private_key.public_key
    first, second = (public.encrypt(values, codec=cl.FixedPoint(40)).to_bytes() for _ in range(2))
    assert first != second


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
