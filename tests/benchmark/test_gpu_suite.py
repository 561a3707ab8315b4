"""The suite for GPUs where there is none: what it says, what it runs, and the stand-ins for packages."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import gmpy2
import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "bench"))

import gpu_setup  # noqa: E402
import gpu_suite as gpu  # noqa: E402


def stand_in() -> Any:
    spec = importlib.util.spec_from_file_location("plain_gmpy2", gpu_setup.STAND_INS / "gmpy2.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_stand_ins_compute_what_gmpy2_does() -> None:
    plain = stand_in()
    assert [plain.is_prime(n) for n in range(2000)] == [gmpy2.is_prime(n) for n in range(2000)]
    prime = int(gmpy2.next_prime(1 << 200))
    # A Carmichael number, a product of two primes, and a prime.
    numbers = [561, prime * int(gmpy2.next_prime(prime)), prime]
    assert [plain.is_prime(n) for n in numbers] == [False, False, True]
    assert plain.primorial(1000) == gmpy2.primorial(1000)
    powers = [prime**2, prime**3, prime**5 * 2, 3**7, 3**7 + 1, 2]
    assert [plain.is_power(n) for n in powers] == [gmpy2.is_power(n) for n in powers]
    assert [plain.bit_scan1(n) for n in (1, 12, 1 << 70)] == [0, 2, 70]
    assert plain.powmod_sec(3, 1 << 80, prime) == plain.powmod(3, 1 << 80, prime) == pow(3, 1 << 80, prime)
    with pytest.raises(AttributeError, match=r"gmpy2.next_prime has no stand-in; install gmpy2"):
        plain.next_prime(1)


def test_the_package_encrypts_with_stand_ins_alone(tmp_path: Path) -> None:
    for name in gpu_setup.WITH_STAND_IN:
        shutil.copy(gpu_setup.STAND_INS / f"{name}.py", tmp_path)
    code = (
        "import gmpy2, tqdm, threadpoolctl; from cipherlane.benchmark import Settings, measure\n"
        "settings = Settings.of(bits=[1024], operations=['add', 'decrypt'], against=[], batches=[4], quick=True)\n"
        "print(gmpy2.mp_version(), [row.operation.name for row in measure(settings)])"
    )
    paths = os.pathsep.join([str(tmp_path), str(ROOT / "python")])
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True
    )
    assert done.stdout.strip() == "plain Python integers ['add', 'decrypt']", done.stderr


def test_stand_ins_are_offered_for_missing_packages_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(gpu_setup, "has_package", lambda name: name != "tqdm")
    monkeypatch.setattr(gpu_setup, "ROOT", tmp_path)
    folder = gpu_setup._stand_ins()
    assert [path.name for path in folder.iterdir()] == ["tqdm.py"]
    monkeypatch.setattr(gpu_setup, "has_package", lambda name: True)
    assert str(folder) not in gpu_setup.environment()["PYTHONPATH"]


def test_an_interpreter_without_numpy_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpu_setup, "has_package", lambda name: name not in ("gmpy2", "numpy"))
    with pytest.raises(
        gpu_setup.Missing, match=r"numpy is not there for .*; name an interpreter that has it with PYTHON="
    ):
        gpu_setup.check_interpreter()
    monkeypatch.setattr(gpu_setup, "has_package", lambda name: name != "gmpy2")
    gpu_setup.check_interpreter()
    assert "not installed: gmpy2; stand-ins in plain Python do" in capsys.readouterr().err


def test_what_a_build_lacks_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_setup, "_has_cuda", lambda: False)
    monkeypatch.setattr(gpu_setup, "_pybind11", lambda: None)
    monkeypatch.setattr(gpu_setup.shutil, "which", lambda tool: None if tool == "nvcc" else f"/bin/{tool}")
    with pytest.raises(gpu_setup.Missing) as caught:
        gpu_setup.ensure_native()
    message = str(caught.value)
    assert "these are missing: nvcc (the CUDA toolkit), pybind11 (pip install pybind11, or carry" in message
    assert "bring a module that was built with CUDA for Python 3." in message


class Recorder:
    """Stands for running commands: keeps them, and gives some of them a code."""

    def __init__(self, codes: dict[str, int] | None = None) -> None:
        self.commands: list[str] = []
        self.codes = codes or {}

    def __call__(self, command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        text = " ".join([*(f"{key}={value}" for key, value in options.get("variables", {}).items()), *command])
        self.commands.append(text)
        code = next((code for part, code in self.codes.items() if part in text), 0)
        return subprocess.CompletedProcess(command, code, "", "")


def test_the_tests_run_on_the_device_and_then_under_the_sanitizers(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder({"racecheck": gpu.FOUND})
    monkeypatch.setattr(gpu, "run", recorder)
    monkeypatch.setattr(gpu.shutil, "which", lambda tool: f"/cuda/{tool}")
    assert gpu.test() == ["compute-sanitizer racecheck"]
    on_gpu, conformance, memcheck, racecheck = recorder.commands
    assert "-m pytest -q tests/gpu -m gpu" in on_gpu
    assert "-m pytest -q tests/paillier/test_conformance.py " in conformance
    assert conformance.endswith(" -k cuda")
    assert memcheck.startswith("/cuda/compute-sanitizer --tool memcheck --error-exitcode 99")
    assert "bench --backend cuda" in memcheck
    assert "--tool racecheck" in racecheck


def test_without_pytest_and_sanitizer_the_benchmark_verifies(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recorder = Recorder({"bench": 1})
    monkeypatch.setattr(gpu, "run", recorder)
    monkeypatch.setattr(gpu, "has_package", lambda name: False)
    monkeypatch.setattr(gpu.shutil, "which", lambda tool: None)
    assert gpu.test() == ["verification by the benchmark"]
    assert len(recorder.commands) == 1
    assert "cipherlane bench --backend cuda --quick" in recorder.commands[0]
    said = capsys.readouterr().err
    assert "pytest is not installed" in said
    assert "compute-sanitizer is not on PATH" in said


def test_a_profile_takes_what_profilers_there_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(gpu, "SCRATCH", gpu.ROOT / "build" / "gpu")
    monkeypatch.setattr(gpu.shutil, "which", lambda tool: None)
    with pytest.raises(gpu.Missing, match="neither nsys nor ncu is on PATH"):
        gpu.profile()
    recorder = Recorder({"ncu": 1})
    monkeypatch.setattr(gpu, "run", recorder)
    monkeypatch.setattr(gpu.shutil, "which", lambda tool: f"/cuda/{tool}")
    assert gpu.profile() == ["ncu"]
    assert [command.split()[0] for command in recorder.commands] == ["nsys", "ncu"]


def row(**changes: Any) -> dict[str, Any]:
    return {
        "title": "encrypt", "operation": "encrypt", "bits": 2048, "window_bits": 8, "batch": 1 << 20,
        "randomisation": {"label": "DJN, alpha 1024 bits"}, "per_wall_second": {"median": 2345678.9},
        "peak_percent": {"median": 61.4}, "over_resident": None, **changes,
    }  # fmt: skip


def test_the_table_comes_last_and_stands_beside_the_prediction() -> None:
    device = {"name": "NVIDIA H100 80GB HBM3", "emulated": False}
    moved = row(title="float64 in", operation="host-to-host", over_resident={"median": 1.25})
    document = {"machine": {"device": device}, "commit": "abc", "date": "2026-11-25", "rows": [row(), moved]}
    lines = gpu.short_table([document]).splitlines()
    assert lines[0] == "NVIDIA H100 80GB HBM3, commit abc, 2026-11-25"
    predicted = gpu.prediction(device["name"], row())
    assert predicted is not None
    assert lines[2].split()[-5:] == ["1,048,576", "2,345,679", "61", "%", f"{predicted:,.0f}"]
    assert lines[4] == "  1.25x the time of ciphertexts that stay on the device"
    assert gpu.prediction("Abacus 9000", row()) is None
    assert gpu.prediction(device["name"], row(window_bits=9)) is None


def test_an_emulated_device_has_no_table() -> None:
    device = {"name": "emulated device", "emulated": True}
    document = {"machine": {"device": device}, "commit": "abc", "date": "2026-11-25", "rows": [row()]}
    text = gpu.short_table([document])
    assert "figures mean nothing" in text
    assert "2,345,679" not in text


@pytest.mark.skipif(shutil.which("make") is None, reason="no make on PATH")
@pytest.mark.parametrize("what", ["test", "bench", "profile", "packages"])
def test_make_sets_nothing_up(what: str) -> None:
    # The tests themselves may run under make, which would say where it enters and leaves.
    alone = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    command = ["make", "-n", f"gpu-{what}", "GPU_OPTIONS=--quick"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=alone)
    assert done.stdout.strip().endswith(f"bench/gpu_suite.py {what} --quick")
    assert len(done.stdout.splitlines()) == 1
