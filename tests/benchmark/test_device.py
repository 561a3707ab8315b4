"""Rows of a device, with the backend `portable` in the part of one."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import cipherlane as cl
from cipherlane import _native
from cipherlane.benchmark import Row, Settings, VerificationError, device, document, measure, planned, render
from cipherlane.benchmark.clock import Seconds
from cipherlane.benchmark.floor import instructions, limb_products
from cipherlane.benchmark.measure import Timed
from cipherlane.benchmark.operations import ON_DEVICE, ON_PROCESSOR, OPERATIONS
from cipherlane.benchmark.ours import Ours
from cipherlane.benchmark.plot import write_plot
from cipherlane.cli import main

# The package has a function of that name.
TIMING = sys.modules[Timed.__module__]
DEVICE = {
    "name": "Abacus 9000",
    "total_memory": 16 << 30,
    "compute_capability": "7.5",
    "driver_version": "13.1",
    "runtime_version": "13.0",
    "emulated": False,
}


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Return what is told of the device; a test may change it."""
    about = dict(DEVICE)
    monkeypatch.setattr(device, "BACKENDS", frozenset({"portable"}))
    monkeypatch.setattr(_native, "device_info", lambda: about, raising=False)
    monkeypatch.setattr(Ours, "where_batches_lie", lambda self, numbers: numbers)
    decrypt = cl.PrivateKey.decrypt
    monkeypatch.setattr(cl.PrivateKey, "decrypt", lambda key, array, device=None: decrypt(key, array))
    with cl.use_backend("portable"):
        yield about


@pytest.fixture
def on_device(played: dict[str, Any], tiny: Callable[..., Settings]) -> Callable[..., Settings]:
    return lambda **chosen: tiny(**{"backends": ["portable"], "batches": [5], **chosen})


def test_a_device_has_rows_of_its_own_in_elapsed_time(on_device: Callable[..., Settings]) -> None:
    settings = on_device(rounds=2)
    rows = list(measure(settings))
    assert [row.operation.name for row in rows] == list(ON_DEVICE)
    assert len(rows) == planned(settings)
    for row in rows:
        assert (row.device, row.emulated, row.per_core_second, row.speed_up, row.peers) == (True, False, None, None, ())
        assert row.per_second is row.per_wall_second
        assert 0 < row.per_wall_second.low <= row.per_wall_second.median
        assert row.peak_percent.low > 0
        assert (row.over_resident is not None) == (row.operation.name == "host-to-host")


def test_rates_of_a_device_divide_by_elapsed_time(
    on_device: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TIMING, "timed", lambda work, loops=1: Seconds(cpu=0.001, wall=0.5))
    monkeypatch.setattr(_native, "multiply_peak", lambda backend: 1e9)
    (row,) = measure(on_device(operations=["add"]))
    assert row.per_wall_second.median == 10  # a batch of 5 in half a second
    products = instructions("portable", limb_products("add", "portable", 1024))
    assert row.peak_percent.median == pytest.approx(100 * 10 * products / 1e9)
    (row,) = measure(on_device(operations=["host-to-host"]))
    assert row.over_resident is not None
    assert row.over_resident.median == 1.0


def test_batches_fill_a_device_and_fit_its_memory(played: dict[str, Any]) -> None:
    assert device.batches(2048, quick=False) == (1 << 14, 1 << 19)
    played["total_memory"] = 80 << 30
    assert device.batches(2048, quick=False) == (1 << 14, 1 << 20)
    assert device.batches(2048, quick=True) == (1 << 14, 1 << 16)
    played["total_memory"] = 1 << 28
    least, most = device.batches(4096, quick=False)
    assert least == most == 1 << 12
    assert 32 * most * 1024 <= played["total_memory"] // 2


def test_the_batch_of_a_device_is_chosen_by_elapsed_time(
    on_device: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "_LEAST", 8)
    monkeypatch.setattr(device, "_MOST", 64)
    monkeypatch.setattr(device, "_MOST_QUICK", 64)
    monkeypatch.setattr(device, "_CIPHERTEXTS_EACH", 1)
    # A call of any size takes no CPU time, and longer than is asked for.
    monkeypatch.setattr(TIMING, "timed", lambda work, loops=1: Seconds(cpu=0.0, wall=1.0))
    (row,) = measure(replace(on_device(operations=["add"]), batches=(None,)))
    assert row.batch == 8
    monkeypatch.setattr(TIMING, "timed", lambda work, loops=1: Seconds(cpu=1.0, wall=1e-9))
    (row,) = measure(replace(on_device(operations=["add"]), batches=(None,)))
    assert row.batch == 64


@pytest.mark.parametrize("name", ["encrypt", "add", "decrypt", "packed", "host-to-host"])
def test_what_a_device_computes_is_compared_with_plain_python(
    name: str, on_device: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device that encrypts wrongly, and decrypts what it encrypted to what was meant, is found out."""
    right = cl.PrivateKey.encrypt, cl.PublicKey.encrypt, cl.PrivateKey.decrypt
    private_key_encrypt, public_key_encrypt, decrypt = right
    list(measure(on_device(operations=[name])))

    def one_more(encrypt: Callable[..., cl.CipherArray]) -> Callable[..., cl.CipherArray]:
        return lambda self, values, *rest, **named: encrypt(self, values + 1, *rest, **named)

    monkeypatch.setattr(cl.PrivateKey, "encrypt", one_more(private_key_encrypt))
    monkeypatch.setattr(cl.PublicKey, "encrypt", one_more(public_key_encrypt))
    monkeypatch.setattr(cl.PrivateKey, "decrypt", lambda self, array, device=None: decrypt(self, array) - 1)
    with pytest.raises(VerificationError, match=r"cipherlane: .* gave a wrong result at 5 of 5 places"):
        list(measure(on_device(operations=[name])))


def test_a_processor_and_a_device_in_one_table(on_device: Callable[..., Settings], tmp_path: Path) -> None:
    other = next(name for name in cl.backends() if name not in ("cuda", "portable"))
    settings = on_device(operations=["encrypt", "add"], backends=[other, "portable"], against=["gmpy2"], threads=[1, 2])
    rows = list(measure(settings))
    assert len(rows) == planned(settings) == 6
    assert [(row.backend, row.device, row.threads) for row in rows[::2]] == [
        (other, False, 1), (other, False, 2), ("portable", True, 2)
    ]  # fmt: skip
    assert all(bool(row.peers) != row.device for row in rows)
    lines = [line for line in render(rows).splitlines() if " portable " in line]
    assert len(lines) == 2
    assert all(" device " in line for line in lines)
    written = json.loads(json.dumps(document(settings, rows)))
    assert written["machine"]["device"] == DEVICE
    assert [row["measured"] for row in written["rows"]] == ["core"] * 4 + ["device"] * 2
    assert written["rows"][-1]["per_core_second"] is None
    assert written["rows"][-1]["per_wall_second"]["median"] > 0
    assert set(written["conditions"]["peers"]) == {"gmpy2"}
    write_plot(tmp_path / "both.svg", rows)
    text = (tmp_path / "both.svg").read_text(encoding="utf-8")
    assert "Abacus 9000" in text


def test_the_command_says_what_device_and_how_it_is_measured(
    played: dict[str, Any], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    arguments = ["bench", "--quick", "--bits", "1024", "--rounds", "1", "--batch", "4", "--backend", "portable"]
    plot = tmp_path / "device.svg"
    assert main([*arguments, "--operations", "encrypt", "host-to-host", "--plot", str(plot)]) == 0
    captured = capsys.readouterr()
    assert "portable: Abacus 9000, 16 GiB, compute capability 7.5, driver 13.1, runtime 13.0" in captured.out
    assert "elapsed time until it is done" in captured.out
    assert "x the resident time)" in captured.out
    assert "CPU seconds of the process" not in captured.out
    assert "encrypt at 1024 bits, portable: " in captured.err
    assert " a second of the device" in captured.err
    assert "on a device" in plot.read_text(encoding="utf-8")


def test_an_emulated_device_shows_no_figures(
    played: dict[str, Any], on_device: Callable[..., Settings], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    played["emulated"] = True
    json_file = tmp_path / "emulated.json"
    arguments = ["bench", "--quick", "--bits", "1024", "--rounds", "1", "--backend", "portable"]
    arguments += ["--operations", "encrypt", "decrypt", "host-to-host", "matmul"]
    assert main([*arguments, "--json", str(json_file)]) == 0
    captured = capsys.readouterr()
    assert "emulated device: figures mean nothing" in captured.out
    assert "encrypt at 1024 bits, portable: verified; emulated device: figures mean nothing" in captured.err
    table = captured.out[captured.out.index("\noperation ") :].splitlines()[2:]
    assert len(table) == 4
    assert all(line.rstrip().endswith("(verified)") for line in table)
    written = json.loads(json_file.read_text(encoding="utf-8"))
    assert written["machine"]["device"]["emulated"] is True
    assert written["machine"]["multiply_peak"] == {}
    for row in written["rows"]:
        assert row["emulated"] is True
        assert row["batch"] <= 8
        for figure in ("per_core_second", "per_wall_second", "over_resident", "peak_percent", "floor_per_second"):
            assert row[figure] is None
    assert main([*arguments, "--plot", str(tmp_path / "emulated.svg")]) == 1
    assert "--plot: expected a device to draw the figures of, got an emulated device" in capsys.readouterr().err
    assert not (tmp_path / "emulated.svg").exists()


def test_the_floor_of_a_gpu_counts_full_limbs_of_32_bits() -> None:
    assert limb_products("add", "cuda", 2048) == 5 * 64**2
    assert instructions("cuda", limb_products("encrypt", "cuda", 2048, window_bits=8)) == (127 * 4 + 2) * 64**2
    assert set(ON_DEVICE) <= set(OPERATIONS)
    assert set(ON_PROCESSOR) == set(OPERATIONS) - {"host-to-host"}


def test_rows_of_a_processor_have_no_device(rows: dict[str, Row]) -> None:
    assert not any(row.device or row.emulated or row.over_resident for row in rows.values())
