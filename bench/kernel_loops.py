"""Loops of the compiled kernels, and what a thread issues in one pass of each: what kernel_rates.py counts with.

    python bench/kernel_loops.py [--shape 8x8 ...] [--arch sm_90 ...]

Compiles the kernels that the operations of kernel_rates.py launch, disassembles them, and writes kernel_loops.json:
the instructions of a thread by the pipe that takes them, loop by loop. Needs nvcc, and nvdisasm
on PATH or from the package nvidia-cuda-nvdisasm.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from disassembly import nvdisasm, sections
from kernel_budget import KERNEL, compile_shape, nvcc_version

LOOPS = Path(__file__).with_suffix(".json")
SHAPES = ["2x8", "4x8", "4x12", "8x8", "8x12", "16x8"]
ARCHITECTURES = ["sm_75", "sm_80", "sm_90"]
KERNELS = [
    "Digits",
    "Evaluate",
    "FixedBasePowersMasked",
    "FixedBasePowersVartime",
    "FixedWindowPowers",
    "MultiplyOnePlus",
    "MultiplyPairs",
    "PowersEachVartime",
    "RandomExponents",
    "Values",
]
CLASSES = ("wide", "multiply", "integer", "shuffle", "memory", "other")
INSTRUCTION = re.compile(r"^\s*/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]*)(.*)$")
LABEL = re.compile(r"^(\.L_x_\d+):")
TARGET = re.compile(r"`\((\.L_x_\d+)\)")
# Where control goes to places that these lines do not name.
INDIRECT = ("BRX", "BRXU", "JMP", "JMX", "RET")


@dataclass
class Loop:
    """What one pass issues outside of the loops within; for a kernel, what is outside of any loop."""

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CLASSES, 0))
    loops: list[Loop] = field(default_factory=list)

    def to_json(self) -> dict[str, object]:
        return {**self.counts, "loops": [loop.to_json() for loop in self.loops]}


def class_of(opcode: str) -> str | None:
    """By the pipe that takes it; None for padding."""
    name = opcode.split(".")[0]
    if name == "NOP":
        return None
    if opcode.startswith("IMAD.WIDE"):
        return "wide"
    if name == "IMAD":
        return "multiply"
    if name in ("SHFL", "LDS", "STS"):
        return "shuffle"
    if name in ("LDG", "STG", "LD", "ST"):
        return "memory"
    if (
        name in ("BRA", "CALL", "EXIT", "BSSY", "BSYNC", "WARPSYNC", "S2R", "S2UR", "CS2R", "LDC", "VOTE", "R2UR")
        or name[0] == "U"
    ):
        return "other"
    return "integer"


def loops_of(section: str) -> Loop:
    """Return the loops of a disassembled kernel: from the target of each branch back to the branch."""
    labels: dict[str, int] = {}
    instructions: list[tuple[str, str]] = []
    for line in section.splitlines():
        if label := LABEL.match(line):
            labels[label.group(1)] = len(instructions)
        elif instruction := INSTRUCTION.match(line):
            instructions.append((instruction.group(1), instruction.group(2)))
    # Warps that have come apart do their shuffles in copies behind the code; ours never do.
    apart = [labels[target] for opcode, rest in instructions if opcode == "BRA.DIV" for target in TARGET.findall(rest)]
    if apart:
        del instructions[min(apart) :]
    ends: dict[int, int] = {}
    for place, (opcode, rest) in enumerate(instructions):
        # Some versions leave a loop by a call that never returns.
        if opcode.split(".")[0] in INDIRECT or (opcode.startswith("CALL") and not TARGET.search(rest)):
            raise ValueError(f"{opcode} in a kernel: its loops cannot be read off its branches")
        if opcode not in ("BRA", "BRA.U") or instructions[place - 1][0] == "BRA.U":
            continue  # what follows BRA.U waits for the warp's other threads
        start = labels[TARGET.findall(rest)[0]]
        if start == place:  # padding starts with a jump to itself
            instructions[place] = ("NOP", "")
        elif start < place:
            ends[start] = max(place, ends.get(start, 0))
    whole = Loop()
    inside = [(whole, len(instructions))]
    for place, (opcode, _) in enumerate(instructions):
        while place > inside[-1][1]:
            inside.pop()
        if place in ends:
            if ends[place] > inside[-1][1]:
                raise ValueError("two loops overlap")
            loop = Loop()
            inside[-1][0].loops.append(loop)
            inside.append((loop, ends[place]))
        kind = class_of(opcode)
        if kind is not None:
            inside[-1][0].counts[kind] += 1
    return whole


def disassembled(shape: str, architecture: str, disassembler: str) -> dict[str, Loop]:
    """Return the loops of each kernel of a shape."""
    with tempfile.TemporaryDirectory() as directory:
        cubin = Path(directory) / "launch.cubin"
        compile_shape(shape, architecture, cubin)
        found = {KERNEL.search(mangled): section for mangled, section in sections(cubin, disassembler).items()}
    kernels = {name.group(1): section for name, section in found.items() if name is not None}
    missing = set(KERNELS) - set(kernels)
    if missing:
        raise RuntimeError(f"not in the disassembly: {', '.join(sorted(missing))}")
    return {name: loops_of(kernels[name]) for name in KERNELS}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", nargs="+", default=SHAPES, help="threads x limbs, such as 8x8")
    parser.add_argument("--arch", nargs="+", default=ARCHITECTURES, help="such as sm_90")
    arguments = parser.parse_args()
    disassembler = nvdisasm()
    if shutil.which("nvcc") is None or disassembler is None:
        print("nvcc and nvdisasm: both are needed; install the CUDA toolkit", file=sys.stderr)
        return 2
    version = nvcc_version()
    found = json.loads(LOOPS.read_text()) if LOOPS.exists() else {"nvcc": version, "kernels": {}}
    if found["nvcc"] != version:
        found = {"nvcc": version, "kernels": {}}
    for architecture in arguments.arch:
        for shape in arguments.shape:
            for name, loop in disassembled(shape, architecture, disassembler).items():
                found["kernels"][f"{name} {shape} {architecture}"] = loop.to_json()
            print(f"{shape} {architecture}: {len(KERNELS)} kernels")
    lines = [f"    {json.dumps(name)}: {json.dumps(loop)}" for name, loop in sorted(found["kernels"].items())]
    text = ",\n".join(lines)
    LOOPS.write_text(f'{{\n  "nvcc": {json.dumps(version)},\n  "kernels": {{\n{text}\n  }}\n}}\n')
    return 0


if __name__ == "__main__":
    sys.exit(main())
