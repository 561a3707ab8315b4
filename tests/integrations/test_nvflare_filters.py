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

from averaging_cases import TERMS, WEIGHTS, check_average, model, plain_average, small_key

pytestmark = pytest.mark.filterwarnings("ignore:a 1024-bit key:cipherlane.paillier.WeakKeyWarning")
pytest.importorskip("nvflare", minversion="2.9", reason="the extra `nvflare` is not installed")

from nvflare.apis.dxo import DXO, DataKind, MetaKey, from_shareable
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import FLMetaKey, ReservedKey, ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable, make_reply
from nvflare.app_common.abstract.fl_model import FLModel, ParamsType
from nvflare.app_common.abstract.model import ModelLearnableKey, make_model_learnable
from nvflare.app_common.app_constant import AppConstants
from nvflare.app_common.decomposers import common_decomposers
from nvflare.app_common.utils.fl_model_utils import FLModelUtils
from nvflare.app_common.workflows.fedavg import FedAvg
from nvflare.fuel.utils import fobs
from nvflare.fuel.utils.constants import FrameworkType
from nvflare.job_config.api import FedJob

from cipherlane.integrations.nvflare.aggregator import PaillierAggregator
from cipherlane.integrations.nvflare.encrypted_dxo import encrypted_dxo, message_in
from cipherlane.integrations.nvflare.job import add_encrypted_averaging
from cipherlane.integrations.nvflare.model_decryptor import PaillierModelDecryptor
from cipherlane.integrations.nvflare.model_encryptor import PaillierModelEncryptor
from cipherlane.integrations.nvflare.persistor import AVERAGE_FILE, EncryptedModelPersistor
from cipherlane.integrations.nvflare.recipe import EncryptedFedAvgRecipe
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
        (result_of({"w": np.ones(2)}, 3, DataKind.WEIGHT_DIFF), "the model that the round began with.* and know none"),
        (result_of({"accuracy": 1.0}, 3, DataKind.METRICS), "expected kind WEIGHTS or WEIGHT_DIFF, got .*METRICS; not"),
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


def new_task(context: FLContext) -> FLContext:
    """Return the context of another task at the same site."""
    task = FLContext()
    for name in (ReservedKey.ENGINE, ReservedKey.RUN_NUM):
        task.set_prop(name, context.get_prop(name), private=True, sticky=False)
    return task


def test_differences_are_averaged_as_whole_models_whoever_answers(context: FLContext) -> None:
    """`FedAvg` itself, by its aggregator and its own update of the model, without the processes of a simulator."""
    common_decomposers.register()
    workflow = FedAvg(num_clients=3, aggregator=PaillierAggregator(SETTINGS))
    workflow.fl_ctx = context
    workflow.event = lambda event_type: None
    workflow.aggregator.handle_event(EventType.START_RUN, context)
    encryptor, decryptor = PaillierModelEncryptor(SETTINGS), PaillierModelDecryptor(SETTINGS)
    held = FLModel(params=model(9))
    expected = model(9)
    for number, present in enumerate([(0, 1, 2), (0, 2), (0, 1, 2)]):
        workflow.current_round = held.current_round = number
        workflow._received_count = 0
        workflow.aggregator.reset_stats()
        for client in present:
            task = new_task(context)
            arriving = over_the_wire(FLModelUtils.to_shareable(held))
            received = FLModelUtils.from_shareable(decryptor.process(arriving, task))
            for name, values in received.params.items():
                # What the terms state, a few rounds of it, and rounding to the layer's type at clients and server.
                allowed = 5 * TERMS.tolerance(sum(WEIGHTS), 3) + 8 * np.finfo(values.dtype).eps
                np.testing.assert_allclose(values, expected[name], rtol=0, atol=allowed)
            # Of float64, and of all layers but one: the bias stays as it was.
            difference = {name: values * 1.0 for name, values in model(client).items() if name != "dense.bias"}
            for values in received.params.values():
                # An executor may train on the arrays that it was given.
                values += 5
            meta = {FLMetaKey.NUM_STEPS_CURRENT_ROUND: WEIGHTS[client]}
            result = FLModel(params_type=ParamsType.DIFF, params=difference, meta=meta, metrics={"loss": 0.25})
            sent = over_the_wire(encryptor.process(FLModelUtils.to_shareable(result), task))
            answered = FLModelUtils.from_shareable(sent)
            assert answered.metrics is None
            answered.meta["client_name"] = f"site-{client}"
            assert workflow._aggregate_one_result(answered)
        with pytest.raises(ProtocolError, match="site-0: contribution: a second one to this round; the first counts"):
            answered.meta["client_name"] = "site-0"
            workflow._aggregate_one_result(answered)
        held = workflow.update_model(held, workflow._get_aggregated_result())
        assert held.params_type == ParamsType.FULL and held.meta["nr_aggregated"] == len(present)
        weights = [WEIGHTS[client] for client in present]
        step = plain_average([model(client) for client in present], weights)
        expected = {
            name: values if name == "dense.bias" else (values + step[name]).astype(values.dtype)
            for name, values in expected.items()
        }
    workflow.aggregator.reset_stats()
    with pytest.raises(ProtocolError, match="at least 2 clients, got 0"):
        workflow._get_aggregated_result()
    with pytest.raises(ProtocolError, match="site-1: weights: expected those that PaillierModelEncryptor encrypted"):
        workflow._aggregate_one_result(FLModel(params=model(0), meta={"client_name": "site-1"}))


@pytest.mark.parametrize(
    ("first", "difference", "words"),
    [
        (
            {},
            {"w": np.ones(2)},
            r"the difference is added, and know none; give a first model \(initial\), or send whole",
        ),
        ({"w": np.ones(2)}, {"v": np.ones(2)}, r"expected differences of the round's layers, got others too: \['v'\]"),
        ({"w": np.ones(2)}, {"w": np.ones(3)}, r"weights\['w'\]: expected a difference of shape \(2,\) .*, got \(3,\)"),
    ],
)
def test_a_difference_to_another_model_is_not_sent(
    context: FLContext, first: dict, difference: dict, words: str
) -> None:
    PaillierModelDecryptor(SETTINGS).process(FLModelUtils.to_shareable(FLModel(params=first)), context)
    with pytest.raises(ValueError, match=words):
        PaillierModelEncryptor(SETTINGS).process(result_of(difference, 3, DataKind.WEIGHT_DIFF), context)


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("aggregation_weights", {"site-1": 2.0}, "NUM_STEPS_CURRENT_ROUND, which is encrypted"),
        ("exclude_vars", "bias", "have the clients leave them out"),
        ("stop_cond", "accuracy >= 0.9", "metrics do not leave the clients"),
        ("model", {"w": [0.0]}, r"name the file of the first model \(initial\)"),
    ],
)
def test_options_that_need_what_the_server_cannot_see_are_refused(option: str, value: object, words: str) -> None:
    with pytest.raises(ValueError, match=f"{option}: not with encrypted averaging: .*{words}"):
        add_encrypted_averaging(FedJob(name="j"), TERMS, rounds=1, **{option: value})
    with pytest.raises(ValueError, match=f"{option}: not with encrypted averaging: .*{words}"):
        EncryptedFedAvgRecipe(terms=TERMS, train_script="train.py", **{option: value})


def test_a_workflow_of_another_name_is_refused() -> None:
    with pytest.raises(ValueError, match="workflow: expected 'FedAvg' or 'ScatterAndGather', got 'Cyclic'"):
        add_encrypted_averaging(FedJob(name="j"), TERMS, rounds=1, workflow="Cyclic")


def test_a_recipe_filters_at_every_site_and_asks_no_site_for_what_it_does_not_send(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("")
    options = {"train_script": str(tmp_path / "train.py"), "framework": FrameworkType.RAW}
    for sites in ([], ["a", "b", "c"]):
        recipe = EncryptedFedAvgRecipe(terms=TERMS, name="encrypted", initial="first.npz", **options)
        if sites:
            recipe.set_per_site_config({site: {} for site in sites})
        recipe.export(str(tmp_path / f"job{len(sites)}"))
        job = tmp_path / f"job{len(sites)}" / "encrypted"
        apps = [f"app_{site}" for site in sites] or ["app"]
        for app in apps:
            client = json.loads((job / app / "config" / "config_fed_client.json").read_text())
            for kind, name in (("task_data_filters", "Decryptor"), ("task_result_filters", "Encryptor")):
                (chain,) = client[kind]
                (one,) = chain["filters"]
                assert chain["tasks"] == ["train"] and one["path"].endswith(f"PaillierModel{name}")
                assert one["args"]["terms"] == SETTINGS
        server = json.loads(
            (job / ("app_server" if sites else "app") / "config" / "config_fed_server.json").read_text()
        )
        (workflow,) = server["workflows"]
        assert workflow["args"]["aggregator"]["path"].endswith("PaillierAggregator")
        assert not any("IntimeModelSelector" in component["path"] for component in server["components"])


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
        (good[1], "site-1", 4, "site-1: contribution: a second one to this round"),
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
    with pytest.raises(ProtocolError, match="expected the encrypted sum that PaillierAggregator makes"):
        EncryptedModelPersistor().save_model(make_model_learnable(model(0), {}), context)


# The clinic's own script, whose third site has no rows to count the second time: the filter sends nothing of it.
ABSENT = f"""
import sys
sys.path.insert(0, {str(EXAMPLE)!r})
import flare_script
from local_training import train

calls = []

def train_but_once(weights, clinic):
    calls.append(clinic)
    weights, rows = train(weights, clinic)
    return weights, 0 if calls == [2, 2] else rows

flare_script.train = train_but_once
flare_script.main()
"""


def simulated(directory: Path, workflow: str, **options: object) -> tuple[dict[str, np.ndarray], int, int]:
    """Run the example in a process of its own; return the average's weights, total weight and clients."""
    script = (
        "import json, sys; from pathlib import Path; sys.path[:0] = sys.argv[3:]\n"
        "from averaging_cases import small_key\n"
        "from flare_run import simulate\n"
        "average = simulate(Path(sys.argv[1]), small_key(), **json.loads(sys.argv[2]))\n"
        "values = {name: v.tolist() for name, v in average.weights.items()}\n"
        "print('RESULT', json.dumps([values, average.total_weight, average.parties]))\n"
    )
    settings = json.dumps({"workflow": workflow, **options})
    finished = subprocess.run(
        [sys.executable, "-c", script, str(directory), settings, str(EXAMPLE), str(Path(__file__).parent)],
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    lines = [line for line in finished.stdout.splitlines() if line.startswith("RESULT ")]
    assert len(lines) == 1, finished.stdout[-3000:] + finished.stderr[-3000:]
    values, total_weight, parties = json.loads(lines[0].removeprefix("RESULT "))
    return {name: np.array(v) for name, v in values.items()}, total_weight, parties


def check_against_plain(values: dict[str, np.ndarray], rounds: int, absent: set[tuple[int, int]]) -> None:
    """Check weights against averaging in the clear, without the answers of these pairs of round and clinic."""
    sys.path.insert(0, str(EXAMPLE))
    try:
        from local_training import initial_weights, plain_average
    finally:
        sys.path.remove(str(EXAMPLE))
    expected = plain_average(rounds, absent)
    assert list(values) == list(expected)
    for name, plain in expected.items():
        # Rounding to float32 in between is the larger part of it.
        np.testing.assert_allclose(values[name], plain, rtol=0, atol=1e-6)
        assert np.abs(plain - initial_weights()[name]).max() > 1e-2


def test_a_recipe_of_fedavg_averages_differences_and_whoever_answers(tmp_path: Path) -> None:
    (tmp_path / "absent.py").write_text(ABSENT)
    script = str(tmp_path / "absent.py")
    values, total_weight, parties = simulated(
        tmp_path, "recipe", rounds=3, train_script=script, ignore_result_error=True
    )
    # After the round without it, the third clinic has the others' average and goes on with all of them.
    assert (total_weight, parties) == (569, 3)
    check_against_plain(values, 3, absent={(1, 2)})
    (log,) = (tmp_path / "workspace" / "encrypted" / "server").rglob("log.txt")
    said = log.read_text()
    assert said.count("encrypted weights of 3 clients") == 2 and said.count("encrypted weights of 2 clients") == 1
    kept = b"".join(path.read_bytes() for path in log.parents[1].rglob("*") if path.is_file())
    assert b"PRIVATE KEY" not in kept


def test_a_job_of_scatter_and_gather_ends_as_averaging_in_the_clear(tmp_path: Path) -> None:
    values, total_weight, parties = simulated(tmp_path, "ScatterAndGather", rounds=2, clinics=2)
    assert (total_weight, parties) == (455, 2)
    check_against_plain(values, 2, absent={(0, 2), (1, 2)})
    kept = b"".join(path.read_bytes() for path in (tmp_path / "workspace" / "server").rglob("*") if path.is_file())
    assert b"encrypted weights of 2 clients" in kept and b"PRIVATE KEY" not in kept
