"""Encrypted averaging in NVIDIA FLARE: its filters one by one, and a whole job in its simulator."""

# What needs FLARE is imported after the look whether it is there.
# ruff: noqa: E402

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from cipherlane.errors import ProtocolError
from cipherlane.integrations.averaging import decrypt_average, encrypt_weights

from averaging_cases import TERMS, WEIGHTS, check_average, model, small_key

pytestmark = pytest.mark.filterwarnings("ignore:a 1024-bit key:cipherlane.paillier.WeakKeyWarning")
pytest.importorskip("nvflare", minversion="2.9", reason="the extra `nvflare` is not installed")

from nvflare.apis.dxo import DXO, DataKind, MetaKey, from_shareable
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import ReservedKey, ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable, make_reply
from nvflare.app_common.abstract.model import ModelLearnableKey, make_model_learnable
from nvflare.app_common.app_constant import AppConstants
from nvflare.app_common.decomposers import common_decomposers
from nvflare.fuel.utils import fobs

from cipherlane.integrations.nvflare.aggregator import PaillierAggregator
from cipherlane.integrations.nvflare.encrypted_dxo import encrypted_dxo, message_in
from cipherlane.integrations.nvflare.model_decryptor import PaillierModelDecryptor
from cipherlane.integrations.nvflare.model_encryptor import PaillierModelEncryptor
from cipherlane.integrations.nvflare.persistor import AVERAGE_FILE, EncryptedModelPersistor
from cipherlane.integrations.nvflare.site_keys import private_key_file, public_key_file

EXAMPLE = Path(__file__).parents[2] / "examples" / "averaging"
SETTINGS = asdict(TERMS)
PASSWORD = "a password of the tests"


@pytest.fixture(scope="module")
def pem() -> str:
    return small_key().to_pem(PASSWORD)


@pytest.fixture
def site(tmp_path: Path, pem: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Lay the directory of a site out, and name it to the filters."""
    private_key_file(tmp_path).write_text(pem)
    public_key_file(tmp_path).write_text(small_key().public_key.to_json())
    monkeypatch.setenv("CIPHERLANE_SITE_DIR", str(tmp_path))
    monkeypatch.setenv("CIPHERLANE_PASSWORD", PASSWORD)
    return tmp_path


@pytest.fixture
def context(site: Path) -> FLContext:
    workspace = SimpleNamespace(get_site_config_dir=lambda: str(site), get_result_root=lambda job: str(site / job))
    fl_ctx = FLContext()
    engine = SimpleNamespace(get_workspace=lambda: workspace, fire_event=lambda event_type, fl_ctx: None)
    fl_ctx.set_prop(ReservedKey.ENGINE, engine, private=True, sticky=False)
    fl_ctx.set_prop(ReservedKey.RUN_NUM, "job", private=True, sticky=False)
    fl_ctx.set_prop(AppConstants.CURRENT_ROUND, 4, private=True, sticky=False)
    return fl_ctx


def result_of(weights: dict, steps: int | None, kind: str = DataKind.WEIGHTS) -> Shareable:
    meta = {"loss": 0.25, **({} if steps is None else {MetaKey.NUM_STEPS_CURRENT_ROUND: steps})}
    return DXO(kind, data=weights, meta=meta).to_shareable()


def over_the_wire(shareable: Shareable) -> Shareable:
    """Return what arrives: FLARE's own serialisation there and back."""
    return fobs.loads(fobs.dumps(shareable))


def arrived(shareable: Shareable, client: str, round_number: int = 4) -> Shareable:
    received = over_the_wire(shareable)
    received.set_peer_props({ReservedKey.IDENTITY_NAME: client})
    received.add_cookie(AppConstants.CONTRIBUTION_ROUND, round_number)
    return received


def begun(context: FLContext) -> PaillierAggregator:
    aggregator = PaillierAggregator(SETTINGS)
    aggregator.handle_event(EventType.START_RUN, context)
    return aggregator


def test_filters_and_aggregator_give_the_average_of_numpy(context: FLContext) -> None:
    encryptor, decryptor = PaillierModelEncryptor(SETTINGS), PaillierModelDecryptor(SETTINGS)
    aggregator = begun(context)
    models = [model(seed) for seed in range(3)]
    for client, (weights, steps) in enumerate(zip(models, WEIGHTS, strict=True)):
        sent = encryptor.process(result_of(weights, steps), context)
        assert aggregator.accept(arrived(sent, f"site-{client}"), context)
    total = over_the_wire(aggregator.aggregate(context))
    check_average(decrypt_average(small_key(), TERMS, message_in(from_shareable(total))), models, WEIGHTS)
    received = from_shareable(decryptor.process(total, context))
    assert received.data_kind == DataKind.WEIGHTS and MetaKey.PROCESSED_ALGORITHM not in received.get_meta_props()
    for name, values in received.data.items():
        assert values.dtype == models[0][name].dtype and values.shape == models[0][name].shape


def test_nothing_but_ciphertexts_leaves_a_client(context: FLContext) -> None:
    shareable = result_of({"layer": np.full(4, 0.123456789)}, 777)
    shareable["notes"] = "left beside the weights"
    sent = PaillierModelEncryptor(SETTINGS).process(shareable, context)
    assert "notes" not in sent and set(from_shareable(sent).get_meta_props()) == {
        MetaKey.PROCESSED_ALGORITHM,
        MetaKey.FILTER_HISTORY,
    }
    as_bytes = fobs.dumps(sent)
    assert np.full(1, 0.123456789).tobytes() not in as_bytes and b"layer" in as_bytes and b"loss" not in as_bytes


@pytest.mark.parametrize(
    ("shareable", "words"),
    [
        (
            result_of({"w": np.ones(2)}, 3, DataKind.WEIGHT_DIFF),
            "expected kind WEIGHTS, got .*WEIGHT_DIFF; nothing was",
        ),
        (result_of({"accuracy": 1.0}, 3, DataKind.METRICS), "expected kind WEIGHTS, got .*METRICS; nothing was sent"),
        (result_of({"w": np.ones(2)}, None), "expected the client's weight as NUM_STEPS_CURRENT_ROUND"),
        (result_of({}, 3), "got an empty one; nothing was sent"),
        (Shareable({"weights": [1.0]}), "expected weights in a DXO, got none"),
        (result_of({"w": np.array([np.nan])}, 3), r"weights\['w'\]: expected finite numbers"),
        (result_of({"w": np.ones(2)}, 1001), "weight: expected an integer from 1 to 1000, got a larger one"),
    ],
)
def test_a_result_that_cannot_be_encrypted_is_not_sent(context: FLContext, shareable: Shareable, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        PaillierModelEncryptor(SETTINGS).process(shareable, context)


def test_of_a_failed_task_only_the_code_is_sent(context: FLContext) -> None:
    failed = make_reply(ReturnCode.EXECUTION_EXCEPTION)
    failed["half a model"] = [1.0]
    sent = PaillierModelEncryptor(SETTINGS).process(failed, context)
    assert sent.get_return_code() == ReturnCode.EXECUTION_EXCEPTION and "half a model" not in sent


def test_the_first_model_passes_the_decryptor_as_it_is(context: FLContext) -> None:
    shareable = result_of({"w": np.arange(3.0)}, None)
    received = PaillierModelDecryptor(SETTINGS).process(shareable, context)
    np.testing.assert_array_equal(from_shareable(received).data["w"], np.arange(3.0))


def test_what_does_not_fit_is_rejected_and_the_others_are_averaged(
    context: FLContext, caplog: pytest.LogCaptureFixture
) -> None:
    # For the plain weights alone: ciphertexts are bytes, which FOBS carries by itself.
    common_decomposers.register()
    aggregator = begun(context)
    models = [model(seed) for seed in range(2)]
    good = [encrypted_dxo(encrypt_weights(small_key(), TERMS, one, 10)).to_shareable() for one in models]
    stranger = encrypted_dxo(encrypt_weights(small_key(1), TERMS, models[0], 10)).to_shareable()
    plain = result_of(models[0], 10)
    assert aggregator.accept(arrived(good[0], "site-1"), context)
    for shareable, client, round_number, words in [
        (good[1], "site-1", 4, "site-1: contribution: a second one to round 4"),
        (good[1], "site-2", 3, "site-2: contribution: expected one to round 4, got one to 3"),
        (stranger, "site-2", 4, "site-2: data: encrypted for another key"),
        (plain, "site-2", 4, "site-2: weights: expected those that PaillierModelEncryptor encrypted"),
        (make_reply(ReturnCode.OK), "site-2", 4, "site-2: "),
    ]:
        caplog.clear()
        assert not aggregator.accept(arrived(shareable, client, round_number), context)
        assert words in caplog.text
    assert aggregator.accept(arrived(good[1], "site-2"), context)
    total = message_in(from_shareable(aggregator.aggregate(context)))
    check_average(decrypt_average(small_key(), TERMS, total), models, [10, 10])
    aggregator.reset(context)
    with pytest.raises(ProtocolError, match="at least 2 clients, got 0"):
        aggregator.aggregate(context)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda site, patch: private_key_file(site).unlink(), "expected the federation's key, found no file"),
        (lambda site, patch: patch.setenv("CIPHERLANE_PASSWORD", "wrong"), "wrong password, or the text was changed"),
        (lambda site, patch: patch.delenv("CIPHERLANE_PASSWORD"), "this environment variable is not set"),
    ],
    ids=["no file", "wrong password", "no password"],
)
def test_a_key_that_cannot_be_read_is_told_before_anything_is_trained(
    site: Path, context: FLContext, monkeypatch: pytest.MonkeyPatch, spoil: object, words: str
) -> None:
    told: list[str] = []
    encryptor = PaillierModelEncryptor(SETTINGS)
    monkeypatch.setattr(encryptor, "system_panic", lambda reason, fl_ctx: told.append(reason))
    spoil(site, monkeypatch)
    encryptor.handle_event(EventType.START_RUN, context)
    assert len(told) == 1 and words in told[0] and PASSWORD not in told[0]


def test_the_server_reads_the_public_key_alone(site: Path, context: FLContext, monkeypatch: pytest.MonkeyPatch) -> None:
    private_key_file(site).unlink()
    monkeypatch.delenv("CIPHERLANE_PASSWORD")
    aggregator = begun(context)
    for client in range(2):
        part = encrypted_dxo(encrypt_weights(small_key(), TERMS, {"w": [1.0]}, 1)).to_shareable()
        assert aggregator.accept(arrived(part, f"site-{client}"), context)
    assert aggregator.aggregate(context).get_return_code() == ReturnCode.OK
    public_key_file(site).unlink()
    told: list[str] = []
    monkeypatch.setattr(aggregator, "system_panic", lambda reason, fl_ctx: told.append(reason))
    aggregator.handle_event(EventType.START_RUN, context)
    assert len(told) == 1 and "expected the federation's key, found no file" in told[0]


def test_the_persistor_keeps_ciphertexts_and_loads_plain_arrays_only(site: Path, context: FLContext) -> None:
    np.savez(site / "first.npz", **model(0))
    loaded = EncryptedModelPersistor(str(site / "first.npz")).load_model(context)[ModelLearnableKey.WEIGHTS]
    np.testing.assert_array_equal(loaded["dense.weight"], model(0)["dense.weight"])
    np.savez(site / "pickled.npz", w=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle=False"):
        EncryptedModelPersistor(str(site / "pickled.npz")).load_model(context)
    dxo = encrypted_dxo(b"a sum")
    EncryptedModelPersistor().save_model(make_model_learnable(dxo.data, dxo.get_meta_props()), context)
    assert (site / "job" / AVERAGE_FILE).read_bytes() == b"a sum"
    with pytest.raises(ProtocolError, match="expected those that PaillierModelEncryptor encrypted"):
        EncryptedModelPersistor().save_model(make_model_learnable(model(0), {}), context)


def test_a_job_in_the_simulator_ends_as_averaging_in_the_clear(tmp_path: Path) -> None:
    script = (
        "import json, sys; from pathlib import Path; sys.path[:0] = sys.argv[2:]\n"
        "from averaging_cases import small_key\n"
        "from flare_run import simulate\n"
        "average = simulate(Path(sys.argv[1]), small_key(), rounds=2)\n"
        "values = {name: v.tolist() for name, v in average.weights.items()}\n"
        "print('RESULT', json.dumps([values, average.total_weight, average.parties]))\n"
    )
    finished = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path), str(EXAMPLE), str(Path(__file__).parent)],
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    lines = [line for line in finished.stdout.splitlines() if line.startswith("RESULT ")]
    assert len(lines) == 1, finished.stdout[-3000:] + finished.stderr[-3000:]
    values, total_weight, parties = json.loads(lines[0].removeprefix("RESULT "))
    sys.path.insert(0, str(EXAMPLE))
    try:
        from local_training import initial_weights, plain_average
    finally:
        sys.path.remove(str(EXAMPLE))
    expected = plain_average(2)
    assert (total_weight, parties) == (569, 3)
    for name, plain in expected.items():
        # Rounding to float32 in between is the larger part of it.
        np.testing.assert_allclose(np.array(values[name]), plain, rtol=0, atol=1e-6)
        assert np.abs(plain - initial_weights()[name]).max() > 1e-2
    server = tmp_path / "workspace" / "server"
    kept = b"".join(path.read_bytes() for path in server.rglob("*") if path.is_file())
    assert b"encrypted weights of 3 clients" in kept and b"PRIVATE KEY" not in kept
