from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import cipherlane as cl
from cipherlane.benchmark import OPERATIONS, PEERS, Row, Settings, document, render
from cipherlane.benchmark.device import is_device
from cipherlane.benchmark.machine import commit
from cipherlane.benchmark.peers.heu_peer import HeuPeer
from cipherlane.benchmark.plot import write_plot
from cipherlane.cli import main

PROCESSOR = next(name for name in cl.backends() if not is_device(name))
QUICK = ("bench", "--quick", "--bits", "1024", "--rounds", "1", "--against", "gmpy2", "--backend", PROCESSOR)


def test_help_names_every_operation_and_peer(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["bench", "--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    listed = text[text.index("operations: ") :].replace(",", " ").split()
    assert set(OPERATIONS) <= set(listed)
    assert set(PEERS) <= set(listed)


def test_bench_prints_and_writes_what_it_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    json_file, plot_file = tmp_path / "bench.json", tmp_path / "bench.svg"
    arguments = ["--operations", "encrypt", "add", "--batch", "8", "--json", str(json_file), "--plot", str(plot_file)]
    assert main([*QUICK, *arguments]) == 0
    captured = capsys.readouterr()
    assert "DJN, alpha 512 bits" in captured.out
    assert "unlike: classic r^n" in captured.out
    assert "encrypt at 1024 bits" in captured.err
    assert f"written: {json_file}" in captured.err
    written = json.loads(json_file.read_text(encoding="utf-8"))
    assert written["complete"] is True
    assert [row["operation"] for row in written["rows"]] == ["encrypt", "add"]
    assert "<svg" in plot_file.read_text(encoding="utf-8")


def test_the_document_has_all_that_figures_depend_on(rows: dict[str, Row], settings: Settings) -> None:
    written = json.loads(json.dumps(document(settings, list(rows.values()))))
    assert (written["schema"], written["schema_version"]) == ("cipherlane-benchmark", 2)
    assert written["commit"] == commit()
    assert {"processor", "logical_cores", "features", "system", "backends", "multiply_peak", "device"} == set(
        written["machine"]
    )
    assert written["machine"]["device"] is None
    assert written["machine"]["multiply_peak"][settings.backends[0]]["products_per_second"] > 0
    assert {"cipherlane", "python", "numpy", "gmp", "phe", "gmpy2", "heu"} == set(written["versions"])
    assert written["versions"]["cipherlane"] == cl.__version__
    assert written["conditions"]["rounds"] == 2
    assert set(written["conditions"]["peers"]) == {"phe", "gmpy2"}
    assert [row["operation"] for row in written["rows"]] == list(rows)
    for row in written["rows"]:
        assert set(row) == {
            "operation", "title", "unit", "bits", "randomisation", "backend", "threads", "batch", "window_bits",
            "measured", "emulated", "per_core_second", "per_wall_second", "speed_up", "over_resident", "limb_products",
            "peak_percent", "floor_per_second", "peers",
        }  # fmt: skip
        assert set(row["per_core_second"]) == {"median", "low", "high"}
        for peer in row["peers"]:
            assert set(peer) == {
                "peer", "method", "randomisation", "unlike", "batch", "per_core_second", "ratio"
            }  # fmt: skip
            assert peer["ratio"]["low"] <= peer["ratio"]["median"] <= peer["ratio"]["high"]
    encrypt = written["rows"][0]["randomisation"]
    assert encrypt == {"noise": "djn", "exponent_bits": 512, "holder": False, "label": "DJN, alpha 512 bits"}


def test_the_table_says_what_is_unlike(rows: dict[str, Row]) -> None:
    lines = render(list(rows.values())).splitlines()
    encrypt = next(index for index, line in enumerate(lines) if line.startswith("encrypt "))
    assert "DJN, alpha 512 bits" in lines[encrypt]
    alike, *others = lines[encrypt + 1 : encrypt + 4]
    assert "gmpy2" in alike
    assert "unlike" not in alike
    assert all("unlike: classic r^n" in line for line in others)
    assert len(lines) == 1 + len(rows) + sum(len(row.peers) for row in rows.values())


@pytest.mark.parametrize(
    ("suffix", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")], ids=["png", "svg", "pdf"]
)
def test_plots_are_what_their_names_say(suffix: str, start: bytes, rows: dict[str, Row], tmp_path: Path) -> None:
    path = tmp_path / f"bench.{suffix}"
    write_plot(path, list(rows.values()))
    assert path.read_bytes().startswith(start)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--bits", "2000"], "--bits: expected multiples of 256, got 2000"),
        (["--bits", "512"], "--bits: expected integers from 1024 to 4096, got 512"),
        (["--bits", "2048", "2048"], "--bits: 2048 is given twice"),
        (["--backend", "abacus"], "--backend: 'abacus' cannot be used on this machine; usable here: "),
        (["--operations", "host-to-host", "--backend", "portable"], "--operations: 'host-to-host' measures the way to"),
        (["--operations", "divide"], "--operations: there is no operation 'divide'; choose from encrypt, "),
        (["--against", "pen"], "--against: there is no peer 'pen'; choose from phe, gmpy2, heu"),
        (["--against", "gmpy2,gmpy2"], "--against: 'gmpy2' is given twice"),
        (["--threads", "0"], "--threads: expected integers from 1 to 1024, got 0"),
        (["--batch", "0"], "--batch: expected integers from 1 to 10000000, got 0"),
        (["--rounds", "0"], "--rounds: expected integers from 1 to 1000, got 0"),
        (["--plot", "bench.gif"], "--plot: expected a name that ends in .png, .svg, .pdf, got 'bench.gif'"),
    ],
)
def test_bad_input_is_refused_before_anything_is_measured(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", *arguments]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith(f"cipherlane: error: {message}")
    assert captured.out == ""


@pytest.mark.parametrize("arguments", [["--threads", "two"], ["--bits"], ["--rounds", "1.5"], ["--fast"]])
def test_a_wrong_call_is_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["bench", *arguments])
    assert caught.value.code == 2


@pytest.mark.parametrize("option", ["--json", "--plot"])
def test_a_file_that_cannot_be_written_is_refused_at_once(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = tmp_path / "results.png"
    directory.mkdir()
    for path in (tmp_path / "missing" / "bench.png", directory):
        assert main(["bench", option, str(path)]) == 1
        assert f"{option}: {path} cannot be written" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [directory]


def test_trying_a_file_leaves_it_as_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    there = tmp_path / "there.json"
    there.write_text("kept", encoding="utf-8")
    for path in (there, tmp_path / "new.json"):
        # The plot's name is refused after the file for JSON was tried.
        assert main(["bench", "--json", str(path), "--plot", "bench.gif"]) == 1
    capsys.readouterr()
    assert there.read_text(encoding="utf-8") == "kept"
    assert list(tmp_path.iterdir()) == [there]


def test_a_peer_that_is_missing_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Missing(HeuPeer):
        module = "a_module_that_nobody_has"

    monkeypatch.setitem(PEERS, "heu", Missing())
    assert main(["bench", "--against", "gmpy2,heu"]) == 1
    error = capsys.readouterr().err
    assert "--against: peer 'heu' is not installed; get it with: pip install sf-heu" in error
    assert "heu" not in Settings.of().peers


def test_ctrl_c_prints_what_was_measured(tmp_path: Path) -> None:
    json_file = tmp_path / "bench.json"
    # Two hundred rounds take seconds, so that the signal comes while they run.
    arguments = [*QUICK, "--operations", "add", "encrypt-classic", "--batch", "4", "--rounds", "200"]
    command = [sys.executable, "-m", "cipherlane", *arguments, "--json", str(json_file)]

    def heed_interrupts() -> None:
        # Whoever runs the tests in the background may have had SIGINT ignored, and a child inherits that.
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heed_interrupts
    )
    assert process.stderr is not None
    assert process.stderr.readline().startswith("add at 1024 bits")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "cipherlane: interrupted after 1 of 2 rows" in err
    assert "\nadd " in out
    written = json.loads(json_file.read_text(encoding="utf-8"))
    assert written["complete"] is False
    assert [row["operation"] for row in written["rows"]] == ["add"]


def test_what_was_measured_is_told_when_a_later_operation_is_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    original: Callable[..., list[object]] = cl.benchmark.workload.Workload.expected

    def planted(self: object, operation: object, count: int) -> list[object]:
        expected = original(self, operation, count)
        return [value + 1 for value in expected] if getattr(operation, "name", "") == "sum" else expected

    monkeypatch.setattr("cipherlane.benchmark.workload.Workload.expected", planted)
    assert main([*QUICK, "--operations", "add", "sum", "--batch", "4"]) == 1
    captured = capsys.readouterr()
    assert "\nadd " in captured.out
    assert "cipherlane: error: cipherlane: sum at 1024 bits" in captured.err
