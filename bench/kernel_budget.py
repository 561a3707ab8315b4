"""What the compiler makes of the device code: registers, spills and instructions, against a committed budget.

    python bench/kernel_budget.py [--shape 8x8 ...] [--arch sm_90 ...] [--write]

Compiles kernels/launchers.cu with nvcc, once for each architecture and shape (threads of a group x limbs of a thread),
and prints what ptxas reports of each kernel. Where nvdisasm is found, on PATH or from the package nvidia-cuda-nvdisasm,
also its instructions and wide multiplies. Exit code 1 if a kernel spills, uses a stack, or is worse than
kernel_budget.json says, which holds for one version of nvcc; --write replaces the figures in that file instead.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
BUDGET = Path(__file__).with_suffix(".json")
SHAPES = ["2x8", "4x8", "4x12", "8x8", "8x12", "16x8", "4x16"]
ARCHITECTURES = ["sm_75", "sm_80", "sm_90"]
KERNEL = re.compile(r"7kernels\d+(\w+?)ILi\d+ELi\d+EEE")


def nvdisasm() -> str | None:
    installed = sorted(Path(sysconfig.get_paths()["purelib"]).glob("nvidia/**/bin/nvdisasm"))
    return shutil.which("nvdisasm") or next(map(str, installed), None)


def compile_shape(shape: str, architecture: str, cubin: Path) -> dict[str, dict[str, int]]:
    """Return registers, bytes of stack and of spills of each kernel, as ptxas reports them."""
    command = ["nvcc", "-std=c++17", "-cubin", f"-arch={architecture}", "-Xptxas", "-v"]
    threads, limbs = shape.split("x")
    command += [f"-DCIPHERLANE_ONLY_THREADS={threads}", f"-DCIPHERLANE_ONLY_LIMBS={limbs}"]
    command += [str(ROOT / "kernels" / "launchers.cu")]
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


def count_instructions(cubin: Path, disassembler: str) -> dict[str, dict[str, int]]:
    """Return all instructions and wide multiplies (32 x 32 + 64 bits) of each kernel."""
    text = subprocess.run([disassembler, "-c", str(cubin)], capture_output=True, text=True, check=True).stdout
    counts: dict[str, dict[str, int]] = {}
    for section in re.split(r"\.section\s+\.text\.", text)[1:]:
        name = KERNEL.search(section)
        if name is None:
            continue
        instructions = re.findall(r"^\s*/\*[0-9a-f]{4,}\*/\s+(?:@!?\w+\s+)?([A-Z][A-Z0-9_.]*)", section, re.M)
        counts[name.group(1)] = {
            "instructions": sum(instruction not in ("NOP", "BRA") for instruction in instructions),
            "wide_multiplies": sum(instruction.startswith("IMAD.WIDE") for instruction in instructions),
        }
    return counts


def measure(shape: str, architecture: str) -> dict[str, dict[str, int]]:
    with tempfile.TemporaryDirectory() as directory:
        cubin = Path(directory) / "launchers.cubin"
        report = compile_shape(shape, architecture, cubin)
        disassembler = nvdisasm()
        if disassembler:
            for name, counts in count_instructions(cubin, disassembler).items():
                report[name].update(counts)
    return report


def spills(kernel: str, figures: dict[str, int]) -> list[str]:
    return [f"{kernel}: {figures[what]} bytes of {what}" for what in ("stack", "spilled") if figures[what] > 0]


def excesses(kernel: str, figures: dict[str, int], allowed: dict[str, int] | None) -> list[str]:
    if allowed is None:
        return [f"{kernel}: not in {BUDGET.name}; run with --write"]
    return [
        f"{kernel}: {value} {what.replace('_', ' ')}, {allowed[what]} allowed"
        for what, value in figures.items()
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
    for shape in arguments.shape:
        for architecture in arguments.arch:
            for name, figures in sorted(measure(shape, architecture).items()):
                kernel = f"{name} {shape} {architecture}"
                print(f"{kernel:45}", *(f"{value:6} {what.replace('_', ' ')}" for what, value in figures.items()))
                found += spills(kernel, figures)
                if arguments.write:
                    budget["kernels"][kernel] = figures
                elif comparable:
                    found += excesses(kernel, figures, budget["kernels"].get(kernel))
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
