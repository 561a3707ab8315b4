"""What the compiler makes of the device code: registers, spills and instructions, against a committed budget.

    python bench/kernel_budget.py [--shape 8x8 ...] [--arch sm_90 ...] [--jobs 2] [--write]

Compiles kernels/launch.cu with nvcc, once for each architecture and shape (threads of a group x limbs of a thread),
and prints what ptxas reports of each kernel. Where nvdisasm is found, on PATH or from the package nvidia-cuda-nvdisasm,
also its instructions and wide multiplies, and those of its hottest loop (disassembly.py). Exit code 1 if a kernel
spills, uses a stack, or is worse than kernel_budget.json says, which holds for one version of nvcc; --write replaces
the figures in that file instead.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

from disassembly import figures, nvdisasm, sections

ROOT = Path(__file__).parents[1]
BUDGET = Path(__file__).with_suffix(".json")
SHAPES = ["2x8", "4x8", "4x12", "8x8", "8x12", "16x8", "4x16"]
ARCHITECTURES = ["sm_75", "sm_80", "sm_90"]
KERNEL = re.compile(r"10run_kernelILi\d+ELi\d+ENS0_\d+([A-Za-z]+?)EEEvT1_")


def compile_shape(shape: str, architecture: str, cubin: Path) -> dict[str, dict[str, int]]:
    """Return registers, bytes of stack and of spills of each kernel, as ptxas reports them."""
    command = ["nvcc", "-std=c++17", "-cubin", f"-arch={architecture}", "-Xptxas", "-v"]
    threads, limbs = shape.split("x")
    command += [f"-DCIPHERLANE_THREADS={threads}", f"-DCIPHERLANE_LIMBS={limbs}"]
    command += [str(ROOT / "kernels" / "launch.cu")]
    done = subprocess.run([*command, "-o", str(cubin)], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"nvcc failed:\n{done.stderr}")
    report: dict[str, dict[str, int]] = {}
    for entry in done.stderr.split("Compiling entry function")[1:]:
        name = KERNEL.search(entry)
        memory = re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", entry)
        registers = re.search(r"Used (\d+) registers", entry)
        if not (name and memory and registers):
            raise RuntimeError(f"no figures in the report of ptxas:\n{entry}")
        stack, stores, loads = map(int, memory.groups())
        report[name.group(1)] = {"registers": int(registers.group(1)), "stack": stack, "spilled": stores + loads}
    return report


def measure(shape: str, architecture: str) -> tuple[dict[str, dict[str, int]], float]:
    """Return the figures of each kernel, and the seconds that nvcc took."""
    with tempfile.TemporaryDirectory() as directory:
        cubin = Path(directory) / "launch.cubin"
        start = time.perf_counter()
        report = compile_shape(shape, architecture, cubin)
        seconds = time.perf_counter() - start
        disassembler = nvdisasm()
        if disassembler:
            for mangled, section in sections(cubin, disassembler).items():
                name = KERNEL.search(mangled)
                if name:
                    report[name.group(1)].update(figures(section))
    return report, seconds


def spills(kernel: str, found: dict[str, int]) -> list[str]:
    return [f"{kernel}: {found[what]} bytes of {what}" for what in ("stack", "spilled") if found[what] > 0]


def excesses(kernel: str, found: dict[str, int], allowed: dict[str, int] | None) -> list[str]:
    if allowed is None:
        return [f"{kernel}: not in {BUDGET.name}; run with --write"]
    return [
        f"{kernel}: {value} {what.replace('_', ' ')}, {allowed[what]} allowed"
        for what, value in found.items()
        if what in allowed and value > allowed[what]
    ]


def nvcc_version() -> str:
    text = subprocess.run(["nvcc", "--version"], capture_output=True, text=True, check=True).stdout
    release = re.search(r"release ([\d.]+)", text)
    if release is None:
        raise RuntimeError(f"no release in the answer of nvcc --version:\n{text}")
    return release.group(1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", nargs="+", default=SHAPES, help="threads x limbs, such as 8x8")
    parser.add_argument("--arch", nargs="+", default=ARCHITECTURES, help="such as sm_90")
    parser.add_argument("--jobs", type=int, default=2, help="compilations at a time")
    parser.add_argument("--write", action="store_true", help=f"replace the figures in {BUDGET.name}")
    arguments = parser.parse_args()
    if shutil.which("nvcc") is None:
        print("nvcc: not on PATH; install the CUDA toolkit", file=sys.stderr)
        return 2
    version = nvcc_version()
    budget = json.loads(BUDGET.read_text()) if BUDGET.exists() else {"nvcc": version, "kernels": {}}
    comparable = budget["nvcc"] == version
    print(f"nvcc {version}" + ("" if comparable else f"; the budget is for {budget['nvcc']}: only spills are judged"))
    if arguments.write and not comparable:
        budget = {"nvcc": version, "kernels": {}}
    found: list[str] = []
    pairs = list(product(arguments.shape, arguments.arch))
    with ThreadPoolExecutor(arguments.jobs) as pool:
        for (shape, architecture), (report, seconds) in zip(pairs, pool.map(lambda p: measure(*p), pairs), strict=True):
            print(f"{shape} {architecture}: compiled in {seconds:.1f} s")
            for name, kernel_figures in sorted(report.items()):
                kernel = f"{name} {shape} {architecture}"
                columns = (f"{value:6} {what.replace('_', ' ')}" for what, value in kernel_figures.items())
                print(f"{kernel:40}", *columns)
                found += spills(kernel, kernel_figures)
                if arguments.write:
                    budget["kernels"][kernel] = kernel_figures
                elif comparable:
                    found += excesses(kernel, kernel_figures, budget["kernels"].get(kernel))
    if arguments.write:
        lines = [
            f"    {json.dumps(name)}: {json.dumps(figures)}" for name, figures in sorted(budget["kernels"].items())
        ]
        text = ",\n".join(lines)
        BUDGET.write_text(f'{{\n  "nvcc": {json.dumps(budget["nvcc"])},\n  "kernels": {{\n{text}\n  }}\n}}\n')
    for failure in found:
        print("spill or excess:", failure, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
