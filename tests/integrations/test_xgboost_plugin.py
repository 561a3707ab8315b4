"""The encryption plugin for federated XGBoost: its symbols against plain arithmetic, and within XGBoost itself."""

from __future__ import annotations

import importlib.util
import json
import re
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "bench"), str(ROOT / "tests" / "native")]

from cpp_programs import install_package  # noqa: E402
from xgboost_symbols import SYMBOLS, Party, PluginError  # noqa: E402

ROWS, FEATURES, SCALE = 90, 3, 2.0**40
CUTS = np.array([0, 20, 40, 47], dtype=np.uint32)
NODES = [np.arange(ROWS, dtype=np.uint64), np.array([5], dtype=np.uint64), np.zeros(0, dtype=np.uint64)]


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    prefix = install_package(tmp_path_factory.mktemp("prefix"))
    return prefix / "lib" / "libcipherlane_xgboost.so"


@pytest.fixture(scope="module")
def active(library):
    return Party(library, name="cipherlane", federated_rank=0)


@pytest.fixture
def passive(library):
    return Party(library, name="cipherlane")


def hard_pairs(seed: int) -> np.ndarray:
    """Gradients and hessians of all sizes that the plugin takes, both signs, sums that cancel among them."""
    random = np.random.default_rng(seed)
    pairs = random.normal(size=(ROWS, 2)) * 2.0 ** random.integers(-45, 24, size=(ROWS, 2))
    pairs[:8] = [[0, 0], [2.0**24 - 1, -(2.0**24) + 1], [2.0**-40, -(2.0**-40)], [2.0**-41, 3 * 2.0**-41],
                 [-1, 0.25], [1, -0.25], [2.0**24 - 1, 2.0**24 - 1], [1e-45, -1e-45]]  # fmt: skip
    return np.clip(pairs, 1 - 2.0**24, 2.0**24 - 1).astype(np.float32)


def bins_of(owned: list[int], seed: int = 3) -> np.ndarray:
    """The bin of each value of the party's own features; one in nine is missing, and others' are -1."""
    random = np.random.default_rng(seed)
    bins = np.full((ROWS, FEATURES), -1, dtype=np.int32)
    for feature in owned:
        bins[:, feature] = random.integers(CUTS[feature], CUTS[feature + 1], size=ROWS)
        bins[random.random(ROWS) < 1 / 9, feature] = -1
    return bins


def plain_sums(values: np.ndarray, bins: np.ndarray, unit: float) -> np.ndarray:
    """(nodes, bins, 2) sums of values, given as whole multiples of a unit."""
    sums = np.zeros((len(NODES), CUTS[-1], 2), dtype=object)
    for node, rows in enumerate(NODES):
        for row in rows:
            for b in bins[row][bins[row] >= 0]:
                sums[node, b] += values[row]
    return (sums * unit).astype(np.float64)


def fixed_point(pairs: np.ndarray) -> np.ndarray:
    return np.vectorize(int, otypes=[object])(np.rint(pairs.astype(np.float64) * SCALE))


def test_histograms_are_exact_sums_of_the_encoded_pairs(library, active, passive):
    third = Party(library)
    pairs, owned = hard_pairs(1), ([0], [1, 2], [1])
    message = active.encrypt(pairs)
    messages = b""
    for party, features in zip((active, passive, third), owned, strict=True):
        party.sync_pairs(message)
        party.reset(CUTS, bins_of(features))
        messages += party.build(NODES)
    sums = active.sync_histograms(messages).reshape(3, len(NODES), CUTS[-1], 2)
    assert passive.sync_histograms(messages).size == third.sync_histograms(messages).size == 0
    own = np.zeros_like(sums[0])
    for node, rows in enumerate(NODES):
        for row in rows:
            for b in bins_of([0])[row][:1]:
                own[node, b if b >= 0 else 0] += pairs[row].astype(np.float64) * (b >= 0)
    np.testing.assert_array_equal(sums[0], own)
    for party in (1, 2):
        expected = plain_sums(fixed_point(pairs), bins_of(owned[party]), 1 / SCALE)
        np.testing.assert_array_equal(sums[party], expected)
        assert np.count_nonzero(expected[0]) > 10 and not expected[2].any()


def test_the_next_tree_has_new_gradients_under_the_same_key(active, passive):
    passive.reset(CUTS, bins_of([1, 2]))
    active.reset(CUTS, bins_of([0]))
    keys = set()
    for seed in (4, 5):
        pairs = hard_pairs(seed)
        message = active.encrypt(pairs)
        keys.add(message[message.index(b"{") : message.index(b"}") + 1])
        passive.sync_pairs(message)
        sums = active.sync_histograms(active.build(NODES) + passive.build(NODES)).reshape(2, len(NODES), -1, 2)
        np.testing.assert_array_equal(sums[1], plain_sums(fixed_point(pairs), bins_of([1, 2]), 1 / SCALE))
    assert len(keys) == 1 and b'"bits": 2048' in keys.pop()


def entries(message: bytes) -> list[bytes]:
    """The buffers of a message in FLARE's format, read by its description."""
    signature, size, kind, entry, count = struct.unpack_from("<8s4q", message)
    assert (signature, size, len(message) % 8) == (b"NVDADAML", len(message), 0)
    if (kind, entry) == (1, 4):
        assert count + 40 <= size < count + 48
        return [message[40 : 40 + count]]
    assert (kind, entry) == (4, 259)
    sizes = struct.unpack_from(f"<{count}q", message, 40)
    ends = 40 + 8 * count + np.cumsum(sizes)
    return [message[end - n : end] for end, n in zip(ends, sizes, strict=True)]


def test_what_leaves_is_randomised_and_packed(active, passive):
    pairs = np.ones((ROWS, 2), dtype=np.float32)
    ciphertexts = set()
    for _ in range(2):
        message = active.encrypt(pairs)
        (content,) = entries(message)
        content = content[content.index(b"}") + 1 :]
        assert len(content) == ROWS * 512
        ciphertexts.update(content[i : i + 512] for i in range(0, len(content), 512))
    assert len(ciphertexts) == 2 * ROWS
    passive.sync_pairs(message)
    passive.reset(CUTS, bins_of([1, 2]))
    built = [[e for e in entries(passive.build(NODES)) if len(e) > 1] for _ in range(2)]
    # 27 bins of its own features, three nodes, 14 pairs of 2 * 73 bits in a plaintext of 2046 bits
    assert [len(sums) for sums in built] == [2 * 3, 2 * 3]
    flat = built[0] + built[1]
    # Not one like another or like a row's: empty nodes and single rows too are hidden.
    assert len(set(flat)) == len(flat) and not ciphertexts & set(flat)


def test_only_xgboosts_symbols_are_exported(library):
    listed = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True, text=True, check=True).stdout
    names = {f"FederatedPlugin{name}" for name in [*SYMBOLS, "Create", "Close", "ErrorMsg"]}
    assert {line.split()[-1] for line in listed.splitlines()} == names


def changed(message: bytes, at: int, byte: int) -> bytes:
    return message[:at] + bytes([byte]) + message[at + 1 :]


def test_wrong_settings_are_refused(library, capfd):
    for settings, problem in [
        ({"name": "nvflare"}, "name: expected 'cipherlane'"),
        ({"key_bits": "many"}, "key_bits: expected a number of bits up to 4096, got 'many'"),
        ({"fix_seed": 1}, "expected name, key_bits, .* got 'fix_seed'"),
    ]:
        with pytest.raises(PluginError, match=problem):
            Party(library, **settings)
        # XGBoost does not ask why there is no handle.
        assert re.match(f"libcipherlane_xgboost: .*{problem}", capfd.readouterr().err)
    party = Party(library, key_bits=1024)
    with pytest.raises(PluginError, match="bits: expected a multiple of 256 from 2048"):
        party.encrypt(np.ones((2, 2), dtype=np.float32))
    party.close()
    with pytest.raises(PluginError, match="handle: expected one of FederatedPluginCreate, got null"):
        party.call("Close")


def test_wrong_input_is_refused_and_nothing_is_lost(active, passive):
    pairs = hard_pairs(6)
    with pytest.raises(PluginError, match="expected a histogram context first"):
        passive.build(NODES)
    passive.reset(CUTS, bins_of([1]))
    with pytest.raises(PluginError, match="expected encrypted gradients first"):
        passive.build(NODES)
    message = active.encrypt(pairs)
    for row, column, value, problem in [
        (3, 0, np.nan, "gradient of row 3: expected a finite number"),
        (7, 1, -np.inf, "hessian of row 7: expected a finite number"),
        (2, 1, 2.0**24, r"hessian of row 2: expected a magnitude below 2\^24.*raise the plugin's integer_bits"),
    ]:
        wrong = pairs.copy()
        wrong[row, column] = value
        with pytest.raises(PluginError, match=problem):
            active.encrypt(wrong)
    start = message.index(b"}") + 1
    for data, problem in [
        (b"", "expected those of one active party, got 0"),
        (message + message, "expected those of one active party, got 2"),
        (message[:-8], "expected one of this plugin, got one that says it is"),
        (b"NVDADAM1" + message[8:], "expected one of this plugin, got other bytes"),
        (changed(message, 24, 5), "got one of another kind"),
        (changed(message, 32, 9), "encrypted gradients: expected 90 rows, got"),
        (changed(message, 44, 9), "expected version 1 of this plugin's"),
        (message[:start] + b"\xff" * 512 + message[start + 512 :], r"ciphertexts\[0\]: expected a number below n\^2"),
        (message[:start] + bytes(512) + message[start + 512 :], r"ciphertexts\[0\]: expected a number above 0"),
    ]:
        with pytest.raises(PluginError, match=problem):
            passive.sync_pairs(data)
    passive.sync_pairs(message)
    with pytest.raises(PluginError, match=r"ridx\[1\]: expected a row below 90, got 90"):
        passive.build([np.array([0, ROWS], dtype=np.uint64)])
    with pytest.raises(PluginError, match="ridx: expected each of 90 rows once, got 91"):
        passive.build([np.zeros(ROWS + 1, dtype=np.uint64)])
    with pytest.raises(PluginError, match="expected one bin a row and feature, got 4 for 4 cut pointers"):
        passive.reset(CUTS, np.zeros(4, dtype=np.int32))
    active.reset(CUTS, bins_of([0]))
    own, others = active.build(NODES), passive.build(NODES)
    with pytest.raises(PluginError, match="rank 0"):
        active.sync_histograms(others + own)
    with pytest.raises(PluginError, match="got one that says it is"):
        active.sync_histograms(own + others[:-8])
    for name in ("BuildEncryptedHistHori", "SyncEncryptedHistHori"):
        with pytest.raises(PluginError, match=r"horizontal training: .*use FLARE's plugin"):
            active.call(name, None, 0, None, None)
    # An objective with two outputs: XGBoost hands out all pairs at once.
    twice = active.encrypt(np.concatenate([pairs, pairs]))
    passive.sync_pairs(twice)
    for party in (active, passive):
        with pytest.raises(PluginError, match=r"one for each of 90 rows, got 180; .*one output"):
            party.build(NODES)
    passive.sync_pairs(active.encrypt(pairs))
    own, others = active.build(NODES), passive.build(NODES)
    sums = active.sync_histograms(own + others).reshape(2, len(NODES), -1, 2)
    np.testing.assert_array_equal(sums[1], plain_sums(fixed_point(pairs), bins_of([1]), 1 / SCALE))


# ---- within XGBoost ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def figures(library, tmp_path_factory):
    """What examples/xgboost/run.py finds, which compares trees with those of XGBoost without encryption."""
    if importlib.util.find_spec("xgboost") is None:
        pytest.skip("no xgboost; docs/integrations/xgboost.md says which one to build, and how")
    path = tmp_path_factory.mktemp("figures") / "figures.json"
    arguments = [str(ROOT / "examples" / "xgboost" / "run.py"), str(library), "--rounds", "3", "--json", str(path)]
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True)
    if "says which one to build" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(path.read_text())


def test_xgboost_makes_the_same_trees_as_without_encryption(figures):
    assert set(figures["apart"]) == {"pooled", "in the clear"} and figures["trees"] == 3
    assert np.max(list(figures["apart"].values())) < 1e-5


def test_gradients_do_not_cross_in_the_clear(figures):
    assert figures["gradients_seen"] == {"in the clear": True, "encrypted": False}
