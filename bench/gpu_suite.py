"""The suite for GPUs: verify, measure, profile. `make gpu-test`, `make gpu-bench` and `make gpu-profile` run it.

    python bench/gpu_suite.py test
    python bench/gpu_suite.py bench [--bits 2048 3072] [--quick] [--build]
    python bench/gpu_suite.py profile
    python bench/gpu_suite.py packages      # on a machine with a network: what one without needs, into build/gpu

It needs this checkout, an interpreter with numpy, and nvcc or a native module built with CUDA; what else is missing is
worked around or named. Exit code 0 only if all that was asked for was done and right.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
from typing import Any

from gpu_setup import PACKAGES, ROOT, Missing, check_interpreter, ensure_native, environment, has_package, install, say

RESULTS = ROOT / "bench" / "results"
SCRATCH = ROOT / "build" / "gpu"
# Those that need a GPU, and those of every backend that are run on this one.
CONFORMANCE = [f"tests/paillier/test_{name}.py" for name in ("conformance", "known_answers", "hazmat", "fixed_base")]
TESTS = (["tests/gpu", "-m", "gpu"], [*CONFORMANCE, "-k", "cuda"])
# Windows of the public key's table at 2048 bits, and mebibytes that hold them: 20 and 2048, with room for the others.
WINDOWS = {8: 24, 16: 2200}
SANITIZERS = ("memcheck", "racecheck")
FOUND = 99
ABOUT = (
    "import json; from cipherlane import _native; print(json.dumps([_native.device_info(), _native.why_no_device()]))"
)
PACKAGES_TO_CARRY = ["gmpy2", "threadpoolctl", "tqdm", "pybind11", "pytest", "hypothesis", "cmake"]


def device() -> dict[str, Any]:
    """Return what the native module tells of the device."""
    done = run([sys.executable, "-c", ABOUT], capture_output=True, text=True)
    if done.returncode != 0:
        raise Missing(f"the package cannot be imported:\n{done.stderr}")
    found, reason = json.loads(done.stdout)
    if found is None:
        raise Missing(f"there is no GPU to use: {reason}")
    return dict(found)


def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[Any]:
    given = {**environment(), **options.pop("variables", {})}
    return subprocess.run(command, cwd=ROOT, env=given, **options)


def bench_command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "cipherlane", "bench", "--backend", "cuda", *arguments]


def test() -> list[str]:
    """Return what failed."""
    failed = []
    if has_package("pytest"):
        for tests in TESTS:
            if run([sys.executable, "-m", "pytest", "-q", *tests]).returncode:
                failed.append(tests[0])
    else:
        say("pytest is not installed: the benchmark verifies every operation in plain Python instead")
        if run(bench_command("--quick", "--rounds", "1", "--batch", "64", "--bits", "1024", "2048")).returncode:
            failed.append("verification by the benchmark")
    sanitizer = shutil.which("compute-sanitizer")
    if sanitizer is None:
        say("compute-sanitizer is not on PATH: memory accesses and races of the kernels were not checked")
        return failed
    small = bench_command("--quick", "--rounds", "1", "--batch", "40", "--bits", "1024")
    for tool in SANITIZERS:
        say(f"compute-sanitizer, {tool}")
        command = [sanitizer, "--tool", tool, "--error-exitcode", str(FOUND), "--target-processes", "all", *small]
        if run(command).returncode:
            failed.append(f"compute-sanitizer {tool}")
    return failed


def bench(bits: list[str], quick: bool) -> list[str]:
    """Measure, write the figures, and print them with what was predicted, last."""
    about = device()
    folder = SCRATCH if about["emulated"] else RESULTS
    folder.mkdir(parents=True, exist_ok=True)
    name = "gpu-" + re.sub(r"[^a-z0-9]+", "-", about["name"].lower()).strip("-")
    more = ["--quick"] if quick else []
    main = folder / f"{name}.json"
    if run(bench_command("--bits", *bits, *more, "--json", str(main))).returncode:
        return ["benchmark"]
    written = [main]
    for window, mebibytes in WINDOWS.items():
        path = folder / f"{name}-w{window}.json"
        command = bench_command("--operations", "encrypt", *more, "--json", str(path))
        if run(command, variables={"CIPHERLANE_TABLE_MIB": str(mebibytes)}).returncode:
            return [f"benchmark with tables of {mebibytes} MiB"]
        written.append(path)
    print()
    for path in written:
        print(f"written: {path.relative_to(ROOT)}")
    print()
    print(short_table([json.loads(path.read_text()) for path in written]))
    return []


def short_table(documents: list[dict[str, Any]]) -> str:
    about = documents[0]["machine"]["device"]
    lines = [f"{about['name']}, commit {documents[0]['commit']}, {documents[0]['date']}"]
    if about["emulated"]:
        return f"{lines[0]}\nemulated device: figures mean nothing; all operations were verified"
    form = "{:<34} {:>5} {:>3} {:>10} {:>14} {:>8} {:>14}"
    lines.append(form.format("operation", "bits", "w", "batch", "a second", "of peak", "predicted most"))
    for row in [row for document in documents for row in document["rows"]]:
        label = row["title"] + ("" if row["randomisation"] is None else f", {row['randomisation']['label']}")
        predicted = prediction(about["name"], row)
        lines.append(
            form.format(
                label[:34],
                row["bits"],
                row["window_bits"] or "",
                f"{row['batch']:,}",
                f"{row['per_wall_second']['median']:,.0f}",
                f"{row['peak_percent']['median']:.0f} %",
                "" if predicted is None else f"{predicted:,.0f}",
            )
        )
        if row["over_resident"] is not None:
            lines.append(f"  {row['over_resident']['median']:.2f}x the time of ciphertexts that stay on the device")
    return "\n".join(lines)


# The benchmark's names of what kernel_rates.py predicts.
PREDICTED = {
    "encrypt": "encrypt, DJN",
    "holder-djn": "encrypt, DJN, key's holder",
    "decrypt": "decrypt",
    "add": "add",
    "multiply": "multiply by 64 bits",
}


def prediction(name: str, row: dict[str, Any]) -> float | None:
    """Return the rate that bench/results/kernel_rates.json has for such a device, operation and window."""
    for one in json.loads((RESULTS / "kernel_rates.json").read_text())["rows"]:
        if (
            one["device"].split()[0] in name.replace("-", " ").split()
            and (one["bits"], one["operation"]) == (row["bits"], PREDICTED.get(row["operation"]))
            and row["window_bits"] in (0, one["window_bits"])
        ):
            return float(one["per_second"])
    return None


def profile() -> list[str]:
    """Run what profilers there are over a short benchmark; return what failed."""
    SCRATCH.mkdir(parents=True, exist_ok=True)
    work = bench_command("--quick", "--rounds", "1", "--operations", "encrypt", "holder-djn", "add", "decrypt")
    tools = {
        "nsys": ["profile", "--force-overwrite", "true", "--stats", "true", "-o", str(SCRATCH / "nsys")],
        "ncu": ["--force-overwrite", "--set", "detailed", "--launch-count", "40", "-o", str(SCRATCH / "ncu")],
    }
    there = {name: options for name, options in tools.items() if shutil.which(name)}
    if not there:
        raise Missing("neither nsys nor ncu is on PATH; install Nsight Systems or Nsight Compute")
    failed = []
    for name, options in there.items():
        say(f"{name}: the report goes to {(SCRATCH / name).relative_to(ROOT)}")
        if run([name, *options, *work]).returncode:
            failed.append(name)
    return failed


def packages() -> list[str]:
    """Install what a machine without a network may lack; it must have this version of Python and this processor."""
    if not install(*PACKAGES_TO_CARRY):
        return [f"pip install {' '.join(PACKAGES_TO_CARRY)}"]
    print(f"carry {PACKAGES.relative_to(ROOT)}, and python/cipherlane/_native*.so if nvcc is not there")
    return []


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["test", "bench", "profile", "packages"])
    parser.add_argument(
        "--bits", nargs="+", default=["2048", "3072", "4096"], help="key sizes (default: 2048 3072 4096)"
    )
    parser.add_argument("--quick", action="store_true", help="small batches, short timings")
    parser.add_argument("--build", action="store_true", help="build the native module even if there is one")
    arguments = parser.parse_args()
    try:
        if arguments.what == "packages":
            failed = packages()
        else:
            check_interpreter()
            ensure_native(arguments.build)
            about = device()
            say(f"{about['name']}" + (": an emulated device, whose figures mean nothing" if about["emulated"] else ""))
            if arguments.what == "test":
                failed = test()
            else:
                failed = bench(arguments.bits, arguments.quick) if arguments.what == "bench" else profile()
    except Missing as missing:
        say(str(missing))
        return 2
    for name in failed:
        say(f"FAILED: {name}")
    if not failed and arguments.what == "test":
        say("passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
