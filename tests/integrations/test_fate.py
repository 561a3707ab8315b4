"""What stands in for FATE's Paillier: against numpy anywhere, and against FATE itself where FATE is installed.

FATE's packages clash with others here, so it has an environment of its own: `make fate` sets one up in build/fate-venv,
and CIPHERLANE_FATE_PYTHON names the interpreter of another.
"""

import importlib.metadata
import json
import os
import pickle
import subprocess
import sys
import types
import warnings
from pathlib import Path

import numpy as np
import pytest

import cipherlane as cl
from cipherlane.errors import MissingExtraError
from cipherlane.integrations.fate import install, installing, paillier, settings, uninstall

from fate_cases import CASES, FLOATS, INEXACT, OTHER, Side, squeezed, squeezed_expected

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent


def key_of(index):
    fields = json.loads((ROOT / "tests" / "data" / "paillier_test_keys.json").read_text())["keys"][index]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", cl.paillier.WeakKeyWarning)
        generators = tuple(int(generator, 16) for generator in fields["generators"])
        return cl.PrivateKey(
            int(fields["p"], 16), int(fields["q"], 16), h_s=int(fields["h_s"], 16), generators=generators
        )


@pytest.fixture(scope="module")
def side():
    key = key_of(0)
    return Side(paillier, np, np.asarray, (paillier.SK(key), paillier.PK(key.public_key), paillier.Coder()))


@pytest.fixture
def told(monkeypatch):
    """Return what sets one thing that `install` sets, for this test."""
    return lambda name, value: monkeypatch.setattr(settings.CURRENT, name, value)


def ciphertexts(side, vector):
    return cl.paillier.hazmat.to_integers(vector.array(side.pk.pk))


def copied(vector):
    return pickle.loads(pickle.dumps(vector))


@pytest.mark.parametrize("name", CASES)
def test_operations_are_those_of_numpy(side, name):
    case, expected = CASES[name]
    found = side.numbers(case(side, side.encrypted(FLOATS), side.encrypted(OTHER)))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-15 if name in INEXACT else 0)


def test_every_operation_has_a_case():
    covered = {name.split()[0] for name in CASES} | {"intervals_sum_with_step", "pack_squeeze"}
    assert {name for name in vars(paillier.evaluator) if not name.startswith("_")} <= covered | {"zeros"}


def test_sums_of_intervals(side):
    vector = side.e.intervals_sum_with_step(side.pk, side.encrypted(FLOATS), [(0, 5), (6, 12)], 2)
    x = FLOATS
    expected = [x[0] + x[2] + x[4], x[1] + x[3], x[6] + x[8] + x[10], x[7] + x[9] + x[11]]
    np.testing.assert_array_equal(side.numbers(vector), expected)


@pytest.mark.parametrize(
    ("dtype", "values", "expected"),
    [
        ("float64", [0.125 + 2**-53, -1e9, 2**-54], [0.125 + 2**-53, -1e9, 0]),
        ("float32", [2.7, -2.5], [np.float32(2.7), -2.5]),
        ("int64", [2**63 - 1, -(2**63), 0], [2**63 - 1, -(2**63), 0]),
        ("int32", [7, -(2**31)], [7, -(2**31)]),
        # As FATE: 64-bit integers are rounded down, 32-bit ones towards zero.
        ("int64", [2.7, -2.7], [2, -3]),
        ("int32", [2.7, -2.7], [2, -2]),
    ],
)
def test_numbers_come_back_in_the_type_asked_for(side, dtype, values, expected):
    array = (
        np.asarray(values) if np.asarray(values).dtype.kind == "f" and dtype[0] == "i" else np.asarray(values, dtype)
    )
    found = side.numbers(side.encrypted(array), dtype)
    assert found.dtype == ("int64" if dtype == "int32" else dtype)
    assert found.tolist() == np.asarray(expected, found.dtype).tolist()
    single = side.coder.encode(values[0], "float64" if isinstance(values[0], float) and dtype[0] == "i" else dtype)
    assert getattr(side.coder, f"decode_{dtype[0]}{dtype[-2:]}")(single) == pytest.approx(expected[0], rel=1e-7)


def test_what_does_not_fit_the_type_is_an_error(side):
    large = side.e.mul_plain_scalar(side.encrypted(np.array([2**31])), 2**40, side.pk, side.coder, np.int64)
    decrypted = side.sk.decrypt_to_encoded(large)
    assert decrypted.values.tolist() == [2**71]
    with pytest.raises(OverflowError, match=r"vec\[0\]: does not fit an integer of 64 bits"):
        side.coder.decode_i64_vec(decrypted)
    with pytest.raises(OverflowError, match="32 bits"):
        side.coder.decode_i32_vec(side.coder.encode_i64_vec(np.array([2**31])))
    for val, dtype, error in (
        (0.5, np.int64, TypeError),
        (2**31, np.int32, OverflowError),
        (2**63, np.int64, OverflowError),
    ):
        with pytest.raises(error):
            side.coder.encode(val, dtype)
    with pytest.raises(NotImplementedError, match="got uint8"):
        side.coder.encode_vec(np.array([1], dtype=np.uint8))
    with pytest.raises(cl.PlaintextOverflowError):
        side.encrypted(np.array([2.0**64]))


def test_histograms_of_trees_are_packed_and_squeezed(side):
    count, found = squeezed(side)
    assert count == 2
    np.testing.assert_allclose(found, squeezed_expected(), rtol=0, atol=12 * 2.0**-51)


def test_packing_refuses_what_would_run_into_the_neighbour(side):
    with pytest.raises(cl.PlaintextOverflowError, match=r"values\[1\]: expected 0 to 2\^8"):
        side.coder.pack_vec(np.array([255, 256]), 8, 2)
    with pytest.raises(cl.PlaintextOverflowError, match=r"values\[0\].*add an offset"):
        side.coder.pack_floats(np.array([-0.5]), 8, 2, 4)
    packed = side.pk.encrypt_encoded(side.coder.pack_vec(np.array([200, 100, 3]), 8, 2), True)
    assert side.coder.unpack_vec(side.sk.decrypt_to_encoded(packed), 8, 2, 3).tolist() == [200, 100, 3]
    # The highest slot overflows: what was vouched for does not hold, and that is seen.
    with pytest.raises(ValueError, match="outside the bound"):
        side.sk.decrypt_to_encoded(side.e.add(packed, packed, side.pk))


def test_encryption_is_randomised_whatever_fate_asks(side, told):
    vector = side.coder.encode_tensor(np.array([1, 1, 0]))
    modulus = side.pk.pk.n
    for obfuscate in (True, False):
        first, second = (ciphertexts(side, side.pk.encrypt_encoded(vector, obfuscate)) for _ in range(2))
        assert len({*first, *second}) == 6
        scalar = ciphertexts(side, side.pk.encrypt_encoded_scalar(side.coder.encode_i64(1), obfuscate))
        assert scalar != [1 + modulus]
    told("force_obfuscation", False)
    assert ciphertexts(side, side.pk.encrypt_encoded(vector, False)) == [1 + modulus, 1 + modulus, 1]
    assert len(set(ciphertexts(side, side.pk.encrypt_encoded(vector, True)))) == 3
    assert side.numbers(side.pk.encrypt_encoded(side.coder.encode_tensor(FLOATS), False)).tolist() == FLOATS.tolist()


def test_results_get_fresh_randomness_when_they_leave(side, told):
    fresh = side.encrypted(FLOATS)
    assert ciphertexts(side, copied(fresh)) == ciphertexts(side, fresh)
    total = side.e.add(fresh, fresh, side.pk)
    sent = copied(total)
    assert not set(ciphertexts(side, sent)) & set(ciphertexts(side, total))
    assert side.numbers(sent).tolist() == (2 * FLOATS).tolist()
    # Passed on as received: it carries randomness already. What is computed with it does not.
    assert ciphertexts(side, copied(sent)) == ciphertexts(side, sent)
    side.e.i_add(side.pk, sent, fresh)
    assert not set(ciphertexts(side, copied(sent))) & set(ciphertexts(side, sent))
    told("force_obfuscation", False)
    assert ciphertexts(side, copied(total)) == ciphertexts(side, total)


def test_a_sum_of_nothing_leaves_as_a_ciphertext_like_others(side):
    histogram = side.e.zeros(4, np.int64)
    assert len(copied(histogram)) == 4 and copied(histogram).is_zero
    side.e.i_update(side.pk, histogram, side.encrypted(np.array([5, 6])), [[0], [0]], 1)
    assert ciphertexts(side, histogram)[1:] == [1, 1, 1]
    sent = copied(histogram)
    assert len(set(ciphertexts(side, sent))) == 4
    assert side.numbers(sent, "int64").tolist() == [11, 0, 0, 0]


def test_pickles_are_validated_when_they_are_read(side):
    text, data = side.encrypted(FLOATS).__getstate__()
    other = key_of(1)
    for damaged in ((text, data[:-1]), (text, data[:100] + bytes([data[100] ^ 1]) + data[101:]), (text[:-2], data)):
        with pytest.raises(ValueError):
            paillier.CiphertextVector().__setstate__(damaged)
    with pytest.raises(cl.KeyMismatchError):
        paillier.CiphertextVector().__setstate__((other.public_key.to_json(), data))
    with pytest.raises(TypeError, match="state"):
        paillier.CiphertextVector().__setstate__((text, [1, 2]))
    with pytest.raises(ValueError, match="flat vector"):
        matrix = side.pk.pk.encrypt(FLOATS.reshape(3, 4)).to_bytes()
        paillier.CiphertextVector().__setstate__((text, matrix))
    with pytest.raises(ValueError, match="state"):
        paillier.PlaintextVector().__setstate__(("<c8", b"", 64))


def test_keys_coder_and_plaintexts_survive_pickling(side, told):
    public, coder = copied(side.pk), copied(side.coder)
    assert public.pk == side.pk.pk and isinstance(coder, paillier.Coder)
    # One key object a process, so that its tables are made once.
    assert copied(side.pk).pk is public.pk
    for values in (FLOATS, np.array([1, -2]), np.array([2**70, -(2**90)], dtype=object)):
        assert copied(paillier.PlaintextVector(values)).values.tolist() == values.tolist()
    with pytest.raises(TypeError, match=r"install\(pickle_private_keys=True\)"):
        pickle.dumps(side.sk)
    told("pickle_private_keys", True)
    read = copied(side.sk)
    assert read.sk == side.sk.sk and read.sk.generators == side.sk.sk.generators
    vector = side.pk.encrypt_encoded(side.coder.encode_tensor(FLOATS), True)
    assert read.decrypt_to_encoded(vector).values.tolist() == FLOATS.tolist()


def test_vectors_of_another_key_or_length_are_refused(side):
    vector, other = side.encrypted(FLOATS), paillier.PK(key_of(1).public_key)
    with pytest.raises(cl.KeyMismatchError):
        side.e.add_plain(vector, FLOATS, other, side.coder)
    with pytest.raises(cl.KeyMismatchError):
        side.e.add(vector, other.encrypt_encoded(side.coder.encode_tensor(FLOATS), True), side.pk)
    with pytest.raises(ValueError, match="as many as there are ciphertexts"):
        side.e.add_plain(vector, FLOATS[:1], side.pk, side.coder)
    with pytest.raises(ValueError, match="as many as there are ciphertexts"):
        side.e.sub(vector, side.e.slice(vector, 0, 3), side.pk)
    with pytest.raises(IndexError, match="got 10 to 13"):
        side.e.slice(vector, 10, 3)
    with pytest.raises(IndexError, match="positions"):
        side.e.i_update(side.pk, vector, vector, [[12]], 1)
    with pytest.raises(ValueError, match="each of 0 to 11 once"):
        side.e.shuffle(side.pk, vector, [0] * 12)
    with pytest.raises(ValueError, match="true masks"):
        side.e.i_update_with_masks(side.pk, vector, vector, [[1]], [True, True], 1)
    with pytest.raises(ValueError, match="chunk_sizes"):
        side.e.chunking_cumsum_with_step(side.pk, vector, [10, 3], 1)
    with pytest.raises(ValueError, match="bits after the point"):
        side.e.pack_squeeze(vector, 2, 64, side.pk)


def test_keys_made_for_fate_are_djn_keys():
    with pytest.warns(cl.paillier.WeakKeyWarning):
        sk, pk, coder = paillier.keygen(1024)
    assert (pk.pk.bits, pk.pk.scheme) == (1024, "djn") and sk.sk.public_key == pk.pk
    assert isinstance(coder, paillier.Coder)
    for secret in (sk.sk.p, sk.sk.q):
        assert str(secret) not in repr(sk) and hex(secret) not in repr(sk)


@pytest.fixture
def packages(monkeypatch):
    """Stand for the packages above FATE's module, which are empty, and for a module that took names from it."""
    names = ["fate", "fate.arch", "fate.arch.protocol", "fate.arch.protocol.phe"]
    for name in names:
        package = types.ModuleType(name)
        package.__path__ = []
        monkeypatch.setitem(sys.modules, name, package)
    original = types.ModuleType(installing.TARGET)
    original.PK, original.keygen = type("PK", (), {}), lambda size: None
    sys.modules[names[-1]].paillier = original
    monkeypatch.setitem(sys.modules, installing.TARGET, original)
    user = types.ModuleType("fate.arch.user")
    user.PK, user.other = original.PK, 1
    monkeypatch.setitem(sys.modules, "fate.arch.user", user)
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "2.2.0")
    yield original, user
    uninstall()


def test_install_replaces_the_module_and_uninstall_puts_it_back(packages):
    original, user = packages
    install(force_obfuscation=False, pickle_private_keys=True)
    install(force_obfuscation=False, pickle_private_keys=True)
    import fate.arch.protocol.phe.paillier as found

    assert found is paillier and user.PK is paillier.PK and user.other == 1
    assert paillier.PK.__module__ == paillier.evaluator.__module__ == installing.TARGET
    assert settings.CURRENT == settings.Settings(force_obfuscation=False, pickle_private_keys=True)
    uninstall()
    assert sys.modules[installing.TARGET] is original and user.PK is original.PK
    assert sys.modules["fate.arch.protocol.phe"].paillier is original
    assert paillier.PK.__module__.startswith("cipherlane.") and settings.CURRENT == settings.Settings()


def test_install_says_what_is_missing(packages, monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "2.3.0")
    with pytest.raises(MissingExtraError, match=r"pyfate 2\.3\.0.*2\.1\.0, 2\.1\.1, 2\.2\.0"):
        install()

    def absent(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", absent)
    with pytest.raises(MissingExtraError, match="pip install pyfate==2"):
        install()
    assert installing.TARGET in sys.modules and sys.modules[installing.TARGET] is packages[0]


# ---- against FATE itself -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fate_python():
    """Return an interpreter that has FATE, or skip."""
    python = Path(os.environ.get("CIPHERLANE_FATE_PYTHON", ROOT / "build" / "fate-venv" / "bin" / "python"))
    if not python.exists():
        pytest.skip(f"no FATE at {python}: `make fate` sets it up, or set CIPHERLANE_FATE_PYTHON")
    return str(python)


def run_with_fate(python, *arguments):
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'python'}{os.pathsep}{HERE}"}
    done = subprocess.run([python, *arguments], env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_operations_are_those_of_fate(fate_python):
    found = json.loads(run_with_fate(fate_python, str(HERE / "fate_comparison.py")).splitlines()[-1])
    assert found["missing"] == []
    # FATE's own encryption of labels is without randomness where it is not told otherwise: the reason to force it.
    assert found["repeats"] == {"FATE": True, "ours": False}
    assert set(CASES) <= set(found["apart"])
    for kind in ("apart", "from_numpy"):
        assert max(found[kind].values()) < 1e-11, {k: v for k, v in found[kind].items() if v >= 1e-11}


@pytest.mark.parametrize("task", ["logistic", "binning", "trees"])
def test_fates_algorithms_give_the_same_in_three_processes(fate_python, tmp_path, task):
    figures = tmp_path / "figures.json"
    arguments = ["--task", task, "--key-bits", "1024", "--epochs", "2", "--keys", "1", "--json", str(figures)]
    run_with_fate(fate_python, str(ROOT / "examples" / "fate" / "run.py"), *arguments)
    found = json.loads(figures.read_text())["tasks"][task]["run_of_median_ratio"]
    assert found["alike"].startswith("weights within") or found["alike"].endswith("equal")
    # Every party's processes used ours: they encrypted, and what they sent was read.
    for operation in ("PK.encrypt_encoded", "SK.decrypt_to_encoded", "CiphertextVector.__setstate__"):
        assert found["cipherlane"]["operations"][operation]["calls"] > 0
