"""What a kernel's machine code holds: its instructions, and those of its hottest loop."""

from __future__ import annotations

import re
import shutil
import subprocess
import sysconfig
from dataclasses import dataclass
from pathlib import Path

INSTRUCTION = re.compile(r"\s*/\*[0-9a-f]{4,}\*/\s+(@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]*)\s*([^;]*);")
LABEL = re.compile(r"\s*(\.L_\w+):")
TARGET = re.compile(r"`\((\.L_\w+)\)")


def nvdisasm() -> str | None:
    """Return the disassembler, on PATH or from the package nvidia-cuda-nvdisasm."""
    installed = sorted(Path(sysconfig.get_paths()["purelib"]).glob("nvidia/**/bin/nvdisasm"))
    return shutil.which("nvdisasm") or next(map(str, installed), None)


def sections(cubin: Path, disassembler: str) -> dict[str, str]:
    """Return the code of each kernel by its mangled name."""
    text = subprocess.run([disassembler, "-c", str(cubin)], capture_output=True, text=True, check=True).stdout
    return {section.split(None, 1)[0].split(",")[0]: section for section in re.split(r"\.section\s+\.text\.", text)[1:]}


@dataclass(frozen=True)
class Code:
    """Opcodes in order, and for each the places that may come next."""

    opcodes: list[str]
    successors: list[list[int]]


def parse(section: str) -> Code:
    labels: dict[str, int] = {}
    found: list[re.Match[str]] = []
    for line in section.splitlines():
        label, instruction = LABEL.match(line), INSTRUCTION.match(line)
        if label:
            labels[label.group(1)] = len(found)
        elif instruction:
            found.append(instruction)
    successors: list[list[int]] = []
    for place, match in enumerate(found):
        guard, opcode, operands = match.groups()
        follows = [place + 1] if place + 1 < len(found) else []
        # BRA.DIV leads to the shuffles of a warp whose threads have come apart: these kernels' never do. The compiler
        # also jumps by CALL.REL.NOINC, to places that do not return.
        if opcode.startswith(("BRA", "CALL")) and not opcode.startswith("BRA.DIV"):
            target = TARGET.search(operands)
            always = guard is None and operands.startswith("`(")
            follows = ([] if always else follows) + ([labels[target.group(1)]] if target else [])
        elif opcode == "EXIT" and guard is None:
            follows = []
        successors.append(follows)
    return Code([match.group(2) for match in found], successors)


def reachable(successors: list[list[int]], without: int | None = None) -> set[int]:
    """Return the places that the first leads to, not through ``without``."""
    seen: set[int] = set()
    waiting = [0] if without != 0 else []
    while waiting:
        place = waiting.pop()
        if place not in seen:
            seen.add(place)
            waiting += [place for place in successors[place] if place != without]
    return seen


def loops(code: Code) -> list[set[int]]:
    """Return the bodies of the natural loops: a jump back to a place through which every way to the jump leads."""
    executed = reachable(code.successors)
    predecessors: list[list[int]] = [[] for _ in code.opcodes]
    for place in executed:
        for following in code.successors[place]:
            predecessors[following].append(place)
    bodies: list[set[int]] = []
    for jump in executed:
        for head in code.successors[jump]:
            if head <= jump and jump not in reachable(code.successors, without=head):
                body = {head}
                waiting = [jump]
                while waiting:
                    place = waiting.pop()
                    if place not in body:
                        body.add(place)
                        waiting += predecessors[place]
                bodies.append(body)
    return bodies


def hottest_loop(code: Code) -> set[int]:
    """Return the loop with wide multiplies that lies in most others; of several, that with most multiplies."""
    found = loops(code)

    def heat(body: set[int]) -> tuple[int, int]:
        return sum(body < other for other in found), wide_multiplies(code, body)

    return max((body for body in found if wide_multiplies(code, body)), key=heat, default=set())


def wide_multiplies(code: Code, places: set[int]) -> int:
    """Count products of 32 x 32 bits added to 64."""
    return sum(code.opcodes[place].startswith("IMAD.WIDE") for place in places)


def figures(section: str) -> dict[str, int]:
    """Return how many instructions a kernel has, how many are wide multiplies, and both for its hottest loop.

    ``loop_other_multiplies`` are those instructions of the loop which the multiplier executes too.
    """
    code = parse(section)
    everything = set(range(len(code.opcodes)))
    loop = hottest_loop(code)
    multiplier = sum(code.opcodes[place].startswith("IMAD") for place in loop)
    return {
        "instructions": sum(opcode not in ("NOP", "BRA") for opcode in code.opcodes),
        "wide_multiplies": wide_multiplies(code, everything),
        "loop_instructions": sum(code.opcodes[place] != "NOP" for place in loop),
        "loop_wide_multiplies": wide_multiplies(code, loop),
        "loop_other_multiplies": multiplier - wide_multiplies(code, loop),
    }
