"""What a GPU should reach, from the compiled kernels alone: nothing here was measured on one.

    python bench/kernel_rates.py [--write]

For every operation, counts what each of its kernels issues for one ciphertext: passes of its loops by the algorithm
(kernel_steps.py), times instructions of a pass by the compiled code (kernel_loops.json). The rate is that of whatever
is full first on a device: the multiplier, the other integer units, the schedulers, shuffles, the L1 cache, or memory.
It takes for granted that the warps at once (by registers, from kernel_budget.json) hide every latency, so it is a
ceiling.
Prints tables; --write puts all rows into results/kernel_rates.json, and the tables into docs/gpu.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kernel_steps import OPERATIONS, Operation, Passes, Step

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "kernel_rates.json"
MANUAL = HERE.parent / "docs" / "gpu.md"
BEGIN, END = (f"<!-- kernel_rates: {end} -->" for end in ("begin", "end"))
BLOCK_THREADS = 128  # of kernels/launch.cu


@dataclass(frozen=True)
class Gpu:
    """Peak figures of a device: clock at boost, memory as sold."""

    multiprocessors: int
    clock_ghz: float
    memory_gb_per_second: float
    cache_mb: float  # second level
    most_warps: int  # of a multiprocessor
    architecture: str  # whose code kernel_loops.json has; 8.9 runs that of 8.0


# NVIDIA's data sheets and architecture white papers (Turing, Ampere GA100, Ada, Hopper); clocks from the peak
# single-precision rates there, which are 2 x lanes x clock.
GPUS = {
    "H100 SXM": Gpu(132, 1.98, 3350, 50, 64, "sm_90"),
    "H200 SXM": Gpu(132, 1.98, 4800, 50, 64, "sm_90"),
    "A100 80 GB": Gpu(108, 1.41, 2039, 40, 64, "sm_80"),
    "RTX 4090": Gpu(128, 2.52, 1008, 72, 48, "sm_80"),
    "L4": Gpu(58, 2.04, 300, 48, 48, "sm_80"),
    "T4": Gpu(40, 1.59, 320, 4, 32, "sm_75"),
}
REGISTERS = 65536  # of a multiprocessor; allotted to warps by 8 a thread
REGISTER_STEP = 8

# Lanes of a multiprocessor that take an instruction a clock, the same for 7.5 to 9.0: CUDA C++ programming guide,
# "Throughput of native arithmetic instructions" (32-bit multiply-add 64, add and logic 64, shuffle 32), four schedulers
# of 32 lanes, and an L1 cache of 128 bytes a clock, 16 of them for each lane of a load. A 32 x 32 + 64 bit multiply-add
# (IMAD.WIDE) takes two turns of the multiplier: an assumption, which `cipherlane bench --backend cuda` replaces by a
# measurement (`multiply_peak`).
MULTIPLY_LANES = 64
WIDE_TURNS = 2
INTEGER_LANES = 64
ISSUE_LANES = 128
SHUFFLE_LANES = 32
MEMORY_LANES = 8


BITS = [1024, 2048, 3072, 4096]
CLASSES = ("wide", "multiply", "integer", "shuffle", "memory", "other")


class Compiled:
    """What the compiler made of the kernels."""

    def __init__(self, loops: dict[str, Any], budget: dict[str, Any]) -> None:
        if loops["nvcc"] != budget["nvcc"]:
            raise ValueError(f"kernel_loops.json is by nvcc {loops['nvcc']}, kernel_budget.json by {budget['nvcc']}")
        self.nvcc = loops["nvcc"]
        self._loops, self._budget = loops["kernels"], budget["kernels"]

    @classmethod
    def committed(cls) -> Compiled:
        loops, budget = (json.loads((HERE / f"kernel_{name}.json").read_text()) for name in ("loops", "budget"))
        return cls(loops, budget)

    def registers(self, step: Step, architecture: str) -> int:
        return int(self._budget[self._name(step, architecture)]["registers"])

    def counts(self, step: Step, architecture: str) -> dict[str, int]:
        """What all threads of a group issue for one result, by class."""
        name = self._name(step, architecture)
        total = dict.fromkeys(CLASSES, 0)
        _add(name, total, self._loops[name], Passes(1, 0, step.loops))
        return {kind: count * step.shape[0] for kind, count in total.items()}

    @staticmethod
    def _name(step: Step, architecture: str) -> str:
        threads, limbs = step.shape
        return f"{step.kernel} {threads}x{limbs} {architecture}"


def _add(name: str, total: dict[str, int], compiled: dict[str, Any], passes: Passes) -> None:
    # What is outside of the inner loops has the ends of products, and an address takes a wide multiply or two; a pass
    # has at most two.
    fits = bool(passes.inside) or 0 <= compiled["wide"] - passes.wide <= 4
    if not fits or len(compiled["loops"]) != len(passes.inside):
        raise ValueError(
            f"{name}: expected a loop with {passes.wide} wide multiplies and {len(passes.inside)} loops inside, found "
            f"{compiled['wide']} and {len(compiled['loops'])}; bring the passes here in line with the kernel"
        )
    for kind in CLASSES:
        total[kind] += passes.count * compiled[kind]
    for loop, inside in zip(compiled["loops"], passes.inside, strict=True):
        _add(name, total, loop, inside)


@dataclass(frozen=True)
class KernelFigures:
    """One kernel of an operation on a device, for one result."""

    kernel: str
    shape: str
    times: int
    registers: int
    warps: int  # of a multiprocessor at once
    occupancy_percent: float
    multiply_adds: int  # by the algorithm
    wide: int  # by the compiled code
    instructions: int
    share_of_issue_percent: float  # wide multiplies among all that is issued
    share_of_multiplier_percent: float  # turns that wide multiplies take, of all
    full_first: str
    nanoseconds: float


def figures(step: Step, gpu: Gpu, compiled: Compiled) -> KernelFigures:
    counts = compiled.counts(step, gpu.architecture)
    registers = compiled.registers(step, gpu.architecture)
    allotted = -(-registers // REGISTER_STEP) * REGISTER_STEP
    warps = min(REGISTERS // (allotted * BLOCK_THREADS) * BLOCK_THREADS // 32, gpu.most_warps)
    turns = WIDE_TURNS * counts["wide"] + counts["multiply"]
    instructions = sum(counts.values())
    clock = gpu.multiprocessors * gpu.clock_ghz  # of all multiprocessors, a nanosecond
    nanoseconds = {
        "multiplier": turns / (MULTIPLY_LANES * clock),
        "integer units": counts["integer"] / (INTEGER_LANES * clock),
        "schedulers": instructions / (ISSUE_LANES * clock),
        "shuffles": counts["shuffle"] / (SHUFFLE_LANES * clock),
        "L1 cache": counts["memory"] / (MEMORY_LANES * clock),
        "memory": (step.row_bytes + _uncached(step, gpu, warps)) / gpu.memory_gb_per_second,
    }
    full_first = max(nanoseconds, key=lambda name: nanoseconds[name])
    threads, limbs = step.shape
    return KernelFigures(
        kernel=step.kernel,
        shape=f"{threads}x{limbs}",
        times=step.times,
        registers=registers,
        warps=warps,
        occupancy_percent=round(100 * warps / gpu.most_warps, 1),
        multiply_adds=step.multiply_adds,
        wide=counts["wide"],
        instructions=instructions,
        share_of_issue_percent=round(100 * counts["wide"] / instructions, 1),
        share_of_multiplier_percent=round(100 * WIDE_TURNS * counts["wide"] / turns, 1) if turns else 0.0,
        full_first=full_first,
        nanoseconds=round(nanoseconds[full_first], 4),
    )


def _uncached(step: Step, gpu: Gpu, warps: int) -> float:
    """Bytes of look-ups that go to memory: those in the part of the table which the second-level cache cannot hold."""
    if step.look_ups is None:
        return 0.0
    groups = gpu.multiprocessors * warps * 32 // step.shape[0]
    table = step.look_ups.table + groups * step.look_ups.table_of_group
    return step.look_ups.traffic * max(0.0, 1 - gpu.cache_mb * 1e6 / table)


@dataclass(frozen=True)
class RateRow:
    """An operation at a key size on a device."""

    device: str
    bits: int
    operation: str
    window_bits: int
    kernels: list[KernelFigures]
    multiply_adds: int
    wide: int
    instructions: int
    share_of_issue_percent: float
    per_second: float
    target: float | None


def rate_row(device: str, bits: int, operation: Operation, compiled: Compiled) -> RateRow:
    kernels = [figures(step, GPUS[device], compiled) for step in operation.steps(bits, operation.window)]
    wide = sum(kernel.times * kernel.wide for kernel in kernels)
    instructions = sum(kernel.times * kernel.instructions for kernel in kernels)
    per_second = 1e9 / sum(kernel.times * kernel.nanoseconds for kernel in kernels)
    return RateRow(
        device=device,
        bits=bits,
        operation=operation.title,
        window_bits=operation.window,
        kernels=kernels,
        multiply_adds=sum(kernel.times * kernel.multiply_adds for kernel in kernels),
        wide=wide,
        instructions=instructions,
        share_of_issue_percent=round(100 * wide / instructions, 1),
        per_second=float(f"{per_second:.3g}"),
        target=operation.target if (device, bits) == ("H100 SXM", 2048) else None,
    )


def all_rows(compiled: Compiled) -> list[RateRow]:
    return [rate_row(device, bits, operation, compiled) for device in GPUS for bits in BITS for operation in OPERATIONS]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}, and the tables of {MANUAL.name}")
    arguments = parser.parse_args()
    compiled = Compiled.committed()
    rows = all_rows(compiled)
    print("\n\n".join(tables(rows)))
    if arguments.write:
        RESULTS.write_text(text_of(document(compiled, rows)))
        before, rest = MANUAL.read_text(encoding="utf-8").split(BEGIN)
        after = rest.split(END)[1]
        tabled = "\n\n".join(["", *tables(rows), ""]).strip("\n")
        MANUAL.write_text(f"{before}{BEGIN}\n{tabled}\n{END}{after}", encoding="utf-8")
    return 0


def document(compiled: Compiled, rows: list[RateRow]) -> dict[str, Any]:
    return {
        "schema": "cipherlane-predicted-rates",
        "measured": False,
        "note": "computed from compiled code, not measured",
        "nvcc": compiled.nvcc,
        "lanes_a_clock": {
            "multiply": MULTIPLY_LANES,
            "wide multiply": MULTIPLY_LANES / WIDE_TURNS,
            "integer": INTEGER_LANES,
            "issue": ISSUE_LANES,
            "shuffle": SHUFFLE_LANES,
            "128-bit load": MEMORY_LANES,
        },
        "devices": {name: asdict(gpu) for name, gpu in GPUS.items()},
        "rows": [asdict(row) for row in rows],
    }


def text_of(written: dict[str, Any]) -> str:
    """JSON with a line for each row and device."""
    rows = ",\n".join(f"  {json.dumps(row)}" for row in written["rows"])
    head = json.dumps({**written, "rows": []}, indent=1)
    return head.replace('"rows": []', f'"rows": [\n{rows}\n ]') + "\n"


def tables(rows: list[RateRow]) -> list[str]:
    """Those of docs/gpu.md."""
    return [counts_table(rows), rates_table(rows, "H100 SXM"), devices_table(rows, 2048)]


def counts_table(rows: list[RateRow]) -> str:
    """What an operation issues on sm_90 at 2048 bits; the kernel is the one that takes longest."""
    heads = ["operation, 2048 bits, sm_90", "w", "kernel", "shape", "registers", "warps", "multiply-adds", "of issue"]
    lines = ["| " + " | ".join([*heads, "of multiplier"]) + " |", "|---" * (len(heads) + 1) + "|"]
    for row in rows:
        if (row.device, row.bits) == ("H100 SXM", 2048):
            kernel = max(row.kernels, key=lambda kernel: kernel.times * kernel.nanoseconds)
            lines.append(
                f"| {row.operation} | {row.window_bits or ''} | `{kernel.kernel}` | {kernel.shape} "
                f"| {kernel.registers} | {kernel.warps} ({kernel.occupancy_percent:.0f} %) | {row.multiply_adds:,} "
                f"| {row.share_of_issue_percent:.0f} % | {kernel.share_of_multiplier_percent:.0f} % |"
            )
    return "\n".join(lines)


def rates_table(rows: list[RateRow], device: str) -> str:
    lines = [
        f"| {device}, a second | w | "
        + " | ".join(f"{bits} bits" for bits in BITS)
        + " | full first | target at 2048 |"
    ]
    lines.append("|---" * (len(BITS) + 4) + "|")
    for operation in OPERATIONS:
        found = [row for row in rows if row.device == device and _is(row, operation)]
        at_2048 = next(row for row in found if row.bits == 2048)
        longest = max(at_2048.kernels, key=lambda kernel: kernel.times * kernel.nanoseconds)
        target = (
            "" if at_2048.target is None else f"{_short(at_2048.target)}: {at_2048.per_second / at_2048.target:.1f}x"
        )
        lines.append(
            f"| {operation.title} | {operation.window or ''} | "
            + " | ".join(_short(row.per_second) for row in found)
            + f" | {longest.full_first} | {target} |"
        )
    return "\n".join(lines)


def devices_table(rows: list[RateRow], bits: int) -> str:
    lines = [f"| {bits} bits, a second | w | " + " | ".join(GPUS) + " |", "|---" * (len(GPUS) + 2) + "|"]
    for operation in OPERATIONS:
        found = [row for row in rows if row.bits == bits and _is(row, operation)]
        lines.append(
            f"| {operation.title} | {operation.window or ''} | "
            + " | ".join(_short(row.per_second) for row in found)
            + " |"
        )
    return "\n".join(lines)


def _is(row: RateRow, operation: Operation) -> bool:
    return (row.operation, row.window_bits) == (operation.title, operation.window)


def _short(rate: float) -> str:
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if rate >= size:
            return f"{rate / size:.3g} {unit}"
    return f"{rate:.3g}"


if __name__ == "__main__":
    sys.exit(main())
