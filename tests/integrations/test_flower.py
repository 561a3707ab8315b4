"""Encrypted averaging in Flower: its mod and its strategy one by one, and a federation in its simulation engine.

`make flower` runs these in an environment of their own, which has Flower and Ray.
"""

# What needs Flower is imported after the look whether it is there.
# ruff: noqa: E402

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from cipherlane.errors import PlaintextOverflowError, ProtocolError, StorageError
from cipherlane.integrations.averaging import decrypt_average, encrypt_weights

from averaging_cases import TERMS, WEIGHTS, check_average, model, small_key

pytestmark = pytest.mark.filterwarnings("ignore:a 1024-bit key:cipherlane.paillier.WeakKeyWarning")
pytest.importorskip("flwr", minversion="1.42", reason="Flower is not installed; `make flower` runs these tests with it")

from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Error, Message, MetricRecord, RecordDict
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.supercore.task_identity import TaskIdentity

from cipherlane.integrations.flower.client_mod import KEY_FILE, PaillierMod
from cipherlane.integrations.flower.encrypted_arrays import encrypted_record, is_encrypted, message_in
from cipherlane.integrations.flower.strategy import EncryptedFedAvg

EXAMPLE = Path(__file__).parents[2] / "examples" / "averaging"
PASSWORD = "a password of the tests"


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "averaging.private.pem"
    path.write_text(small_key().to_pem(PASSWORD))
    return path


@pytest.fixture(autouse=True)
def node(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the password to the process, and be one that Flower has started: only such a one makes messages."""
    monkeypatch.setenv("CIPHERLANE_PASSWORD", PASSWORD)
    for name in ("_run_id", "_task_id", "_node_id"):
        monkeypatch.setattr(TaskIdentity, name, 1)


def context_of(**node: str) -> Context:
    return Context(run_id=1, node_id=1, node_config=dict(node), state=RecordDict(), run_config={})


def record_of(weights: dict) -> ArrayRecord:
    return ArrayRecord({name: Array(np.asarray(values)) for name, values in weights.items()})


def asked(arrays: ArrayRecord, kind: str = "train", node: int = 7) -> Message:
    """Return a message as it reaches a node, through Flower's own serialisation."""
    content = RecordDict({"arrays": arrays, "config": ConfigRecord({"server-round": 1})})
    return message_from_proto(message_to_proto(Message(content, dst_node_id=node, message_type=kind)))


def training(weights: dict, examples: object = 100, **more: object):
    """Return an app that replies with a model and its metrics."""

    def app(message: Message, context: Context) -> Message:
        metrics = MetricRecord({"num-examples": examples, "loss": 0.125})
        return Message(RecordDict({"arrays": record_of(weights), "metrics": metrics, **more}), reply_to=message)

    return app


def strategy(**options: object) -> EncryptedFedAvg:
    return EncryptedFedAvg(small_key().public_key, TERMS, **options)


def test_mod_and_strategy_give_the_average_of_numpy_in_one_message_a_client(key_file: Path) -> None:
    mod = PaillierMod(TERMS, key_file)
    models = [model(seed) for seed in range(3)]
    replies = []
    for node, (weights, examples) in enumerate(zip(models, WEIGHTS, strict=True)):
        reply = mod(asked(record_of(weights), node=node), context_of(), training(weights, examples))
        replies.append(message_from_proto(message_to_proto(reply)))
    arrays, metrics = strategy().aggregate_train(1, replies)
    assert metrics is None
    check_average(decrypt_average(small_key(), TERMS, message_in(arrays)), models, WEIGHTS)
    # The next round: the clients' app sees the average, in the clear and in its own shapes and types.
    seen: list[dict] = []

    def look(message: Message, context: Context) -> Message:
        seen.append({name: array.numpy() for name, array in message.content["arrays"].items()})
        return training(models[0])(message, context)

    mod(asked(arrays), context_of(), look)
    assert {name: (v.shape, v.dtype) for name, v in seen[0].items()} == {
        name: (v.shape, v.dtype) for name, v in models[0].items()
    }


def test_nothing_but_ciphertexts_leaves_a_client(key_file: Path) -> None:
    reply = PaillierMod(TERMS, key_file)(
        asked(record_of({"w": np.ones(2)})),
        context_of(),
        training({"layer": np.full(4, 0.123456789)}, 777, notes=ConfigRecord({"text": "left beside the weights"})),
    )
    assert list(reply.content) == ["arrays"] and is_encrypted(reply.content["arrays"])
    sent = message_to_proto(reply).SerializeToString()
    assert np.full(1, 0.123456789).tobytes() not in sent and b"num-examples" not in sent and b"beside" not in sent


@pytest.mark.parametrize(
    ("app", "kind", "error", "words"),
    [
        (training({"w": np.array([np.nan])}), "train", ValueError, r"weights\['w'\]: expected finite numbers"),
        (training({"w": np.array([16.0])}), "train", PlaintextOverflowError, "raise integer_bits"),
        (
            training({"w": np.ones(1)}, 1001),
            "train",
            ValueError,
            "weight: expected an integer from 1 to 1000, got a larger one",
        ),
        (training({"w": np.ones(1)}, 2.5), "train", TypeError, "weight: expected an integer"),
        (training({"w": np.ones(1)}, second=record_of({"v": np.ones(1)})), "train", ValueError, "got 2 and 1; nothing"),
        (training({"w": np.ones(1)}, second=MetricRecord({"num-examples": 1})), "train", ValueError, "got 1 and 2"),
        (training({"w": np.ones(1)}), "evaluate", ValueError, "expected no arrays in answer to .* 'evaluate'"),
        (training({"w": np.ones(1)}), "query", ValueError, "expected no arrays in answer to .* 'query'"),
    ],
)
def test_a_reply_that_cannot_be_encrypted_is_not_sent(key_file: Path, app, kind, error, words) -> None:
    with pytest.raises(error, match=words):
        PaillierMod(TERMS, key_file)(asked(record_of({"w": np.ones(1)}), kind), context_of(), app)


def test_evaluation_gets_the_average_and_its_metrics_pass(key_file: Path) -> None:
    parts = [encrypt_weights(small_key(), TERMS, {"w": [value]}, 1000) for value in (1.0, 2.0)]
    arrays, _ = strategy().aggregate_train(1, [replied(part, node) for node, part in enumerate(parts)])

    def evaluate(message: Message, context: Context) -> Message:
        value = float(message.content["arrays"]["w"].numpy()[0])
        return Message(RecordDict({"metrics": MetricRecord({"value": value})}), reply_to=message)

    reply = PaillierMod(TERMS, key_file)(asked(arrays, "evaluate"), context_of(), evaluate)
    assert reply.content["metrics"]["value"] == pytest.approx(1.5, abs=2**-24)


def replied(part: bytes, node: int, record: ArrayRecord | None = None) -> Message:
    content = RecordDict({"arrays": encrypted_record(part) if record is None else record})
    reply = Message(content, reply_to=asked(record_of({"w": np.ones(1)}), node=node))
    assert reply.metadata.src_node_id == node
    return reply


def test_what_does_not_fit_is_left_out_and_the_others_are_averaged(caplog: pytest.LogCaptureFixture) -> None:
    good = [encrypt_weights(small_key(), TERMS, {"w": [value]}, 1000) for value in (1.0, 2.0)]
    stranger = encrypt_weights(small_key(1), TERMS, {"w": [9.0]}, 1000)
    failed = Message(Error(0, "the disk is full"), reply_to=asked(record_of({"w": np.ones(1)}), node=5))
    replies = [
        replied(good[0], 1),
        replied(good[1], 1),
        replied(stranger, 2),
        replied(b"", 3, record_of({"w": np.ones(1)})),
        failed,
        replied(good[1], 4),
    ]
    with caplog.at_level("WARNING", logger="flwr"):
        arrays, _ = strategy().aggregate_train(1, replies)
    average = decrypt_average(small_key(), TERMS, message_in(arrays))
    assert average.parties == 2 and average.weights["w"][0] == pytest.approx(1.5, abs=2**-24)
    for words in (
        "node 1 left out: reply: a second one",
        "node 2 left out: data: encrypted for another key",
        "node 3 left out: arrays: expected weights that PaillierMod encrypted",
    ):
        assert words in caplog.text
    with pytest.raises(ProtocolError, match="at least 2 clients, got 1"):
        strategy().aggregate_train(1, [replied(good[0], 1), failed])


def test_the_key_is_that_of_the_node_and_its_absence_is_told(key_file: Path, tmp_path: Path, monkeypatch) -> None:
    message, app = asked(record_of({"w": np.ones(1)})), training({"w": np.ones(1)})
    with pytest.raises(ValueError, match="key: none is named; start the node with --node-config"):
        PaillierMod(TERMS)(message, context_of(), app)
    with pytest.raises(StorageError, match=r"nowhere\.pem: no such file"):
        PaillierMod(TERMS, tmp_path / "nowhere.pem")(message, context_of(), app)
    own = context_of(**{KEY_FILE: str(key_file)})
    assert is_encrypted(PaillierMod(TERMS, tmp_path / "nowhere.pem")(message, own, app).content["arrays"])
    other = tmp_path / "other.pem"
    other.write_bytes(key_file.read_bytes())
    monkeypatch.setenv("CIPHERLANE_PASSWORD", "wrong")
    with pytest.raises(ValueError, match="wrong password, or the text was changed"):
        PaillierMod(TERMS, other)(message, context_of(), app)


def test_a_federation_in_the_simulation_engine_ends_as_averaging_in_the_clear(tmp_path: Path, monkeypatch) -> None:
    pytest.importorskip("ray", reason="Flower's simulation engine needs Ray; `make flower` runs this test with it")
    # Ray's workers look for the example's modules there too.
    monkeypatch.setenv("PYTHONPATH", f"{EXAMPLE}:{Path(__file__).parents[2] / 'python'}")
    monkeypatch.syspath_prepend(str(EXAMPLE))
    from flower_run import simulate

    from local_training import initial_weights, plain_average

    average = simulate(tmp_path, small_key(), rounds=2)
    assert (average.parties, average.total_weight) == (3, 569)
    for name, plain in plain_average(2).items():
        # Rounding to float32 in between is the larger part of it.
        np.testing.assert_allclose(average.weights[name], plain, rtol=0, atol=1e-6)
        assert np.abs(plain - initial_weights()[name]).max() > 1e-2
    for name in ("flower_run", "local_training"):
        sys.modules.pop(name, None)
