"""Predicted rates: loops read off compiled code, counts of multiply-adds, and one row by hand."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "bench"))

import kernel_rates  # noqa: E402
from kernel_loops import LOOPS, loops_of  # noqa: E402
from kernel_rates import GPUS, OPERATIONS, RESULTS, Compiled, all_rows, rate_row  # noqa: E402
from kernel_steps import Passes, Step, multiply_pairs, shape_of  # noqa: E402


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    return Compiled.committed()


def listing(text: str) -> str:
    """A disassembly: labels end with a colon, all else is an instruction."""
    lines = []
    for place, line in enumerate(part.strip() for part in text.strip().splitlines()):
        lines.append(line if line.endswith(":") else f"        /*{16 * place:04x}*/                   {line} ;")
    return "\n".join(lines)


def test_loops_end_with_the_branch_back() -> None:
    found = loops_of(
        listing("""
        IMAD.MOV.U32 R1, RZ, RZ, RZ
        .L_x_1:
        LDG.E.128 R4, desc[UR4][R2.64]
        .L_x_2:
        IMAD.WIDE.U32 R8, P0, R4, R5, R8
        SHFL.IDX PT, R3, R4, R5, 0x1f
        @P0 BRA `(.L_x_2)
        IADD3 R1, R1, 0x1, RZ
        @P1 BRA `(.L_x_1)
        EXIT
        .L_x_3:
        BRA `(.L_x_3)
        NOP
        """)
    )
    assert (found.counts["multiply"], found.counts["other"], len(found.loops)) == (1, 1, 1)
    (outer,) = found.loops
    assert (outer.counts["memory"], outer.counts["integer"], outer.counts["wide"]) == (1, 1, 0)
    (inner,) = outer.loops
    assert (inner.counts["wide"], inner.counts["shuffle"], inner.loops) == (1, 1, [])


def test_what_is_behind_the_code_for_warps_that_came_apart_does_not_count() -> None:
    found = loops_of(
        listing("""
        .L_x_1:
        BRA.DIV UR4, `(.L_x_2)
        IMAD R1, R2, R3, RZ
        @P0 BRA `(.L_x_1)
        EXIT
        .L_x_2:
        CALL.REL.NOINC `($shuffle)
        BRA `(.L_x_1)
        """)
    )
    (loop,) = found.loops
    assert (loop.counts["multiply"], loop.counts["other"]) == (1, 2)
    assert found.counts["other"] == 1


def test_jumps_to_places_that_are_not_named_are_refused() -> None:
    with pytest.raises(ValueError, match="BRX in a kernel: its loops cannot be read off"):
        loops_of(listing("BRX R2 -0x10"))
    overlapping = ".L_x_1:\nIADD3 R1, R1, R1, RZ\n.L_x_2:\n@P0 BRA `(.L_x_1)\n@P1 BRA `(.L_x_2)"
    with pytest.raises(ValueError, match="two loops overlap"):
        loops_of(listing(overlapping))


def test_a_kernel_with_other_loops_than_the_algorithm_is_refused(compiled: Compiled) -> None:
    step = multiply_pairs(2048)
    wrong = Step(step.kernel, step.bits, (Passes(8, 4 * 64),), step.multiply_adds, step.row_bytes)
    with pytest.raises(
        ValueError, match=r"MultiplyPairs 8x8 sm_90: expected a loop with 256 wide .* found 32[0-2] and 0"
    ):
        compiled.counts(wrong, "sm_90")
    with pytest.raises(ValueError, match="2 loops inside, found"):
        compiled.counts(Step(step.kernel, step.bits, (*step.loops, Passes(1)), 0, 0), "sm_90")


@pytest.mark.parametrize("bits", kernel_rates.BITS)
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: f"{one.title} w{one.window}")
@pytest.mark.parametrize("architecture", ["sm_75", "sm_80", "sm_90"])
def test_compiled_code_multiplies_as_often_as_the_algorithm(
    bits: int, operation: kernel_rates.Operation, architecture: str, compiled: Compiled
) -> None:
    """Beside addresses, which take a wide multiply here and there, and four at most for two entries that are masked."""
    for step in operation.steps(bits, operation.window):
        wide = compiled.counts(step, architecture)["wide"]
        threads, _ = step.shape
        masked = sum(
            loop.count for one in step.loops for loop in (one, *one.inside) if not loop.inside and not loop.wide
        )
        assert step.multiply_adds <= wide <= 1.005 * step.multiply_adds + threads * (40 + 4 * masked)


def test_encryption_at_2048_bits_takes_what_the_formula_says() -> None:
    # 128 windows of 8 bits: 127 products with a table's entry, 4 L^2 + 2 L each, and three products mod n at the end.
    (encrypt,) = [one for one in OPERATIONS if one.title == "encrypt, DJN" and one.window == 8]
    steps = encrypt.steps(2048, 8)
    assert sum(step.multiply_adds for step in steps) == 127 * (4 * 64**2 + 2 * 64) + 3 * (2 * 64**2 + 2 * 64)


def test_a_row_by_hand(compiled: Compiled) -> None:
    """Additions at 2048 bits on an H100: 8 threads, 8 passes of the loop, the rest once."""
    kernel = json.loads(LOOPS.read_text())["kernels"]["MultiplyPairs 8x8 sm_90"]
    (loop,) = kernel["loops"]

    def issued(kind: str) -> int:
        return 8 * (kernel[kind] + 8 * loop[kind])

    wide, multiply = issued("wide"), issued("multiply")
    seconds = (2 * wide + multiply) / 64 / (132 * 1.98e9)
    # The multiplier is full before the schedulers and before memory, which moves three rows of 512 bytes.
    everything = sum(issued(kind) for kind in ("wide", "multiply", "integer", "shuffle", "memory", "other"))
    assert seconds > everything / 128 / (132 * 1.98e9)
    assert seconds > 3 * 512 / 3.35e12
    (add,) = [operation for operation in OPERATIONS if operation.title == "add"]
    row = rate_row("H100 SXM", 2048, add, compiled)
    assert row.per_second == pytest.approx(1 / seconds, rel=5e-3)
    assert row.multiply_adds == 5 * 64**2 + 2 * 64
    assert (row.wide, row.instructions) == (wide, everything)
    assert row.kernels[0].full_first == "multiplier"


def test_memory_bounds_what_moves_much_and_computes_little(compiled: Compiled) -> None:
    (add,) = [operation for operation in OPERATIONS if operation.title == "add"]
    slow = kernel_rates.Gpu(132, 1.98, 100, 50, 64, "sm_90")
    figures = kernel_rates.figures(add.steps(2048, 0)[0], slow, compiled)
    assert figures.full_first == "memory"
    assert figures.nanoseconds == pytest.approx(3 * 512 / 100)


def test_tables_that_a_cache_holds_cost_no_memory(compiled: Compiled) -> None:
    (step,) = [s for s in OPERATIONS[0].steps(2048, 8) if s.kernel == "FixedBasePowersVartime"]
    assert step.look_ups is not None
    assert step.look_ups.table == 128 * 256 * 512
    assert kernel_rates._uncached(step, GPUS["H100 SXM"], 16) == 0
    (large,) = [s for s in OPERATIONS[0].steps(2048, 16) if s.kernel == "FixedBasePowersVartime"]
    assert kernel_rates._uncached(large, GPUS["H100 SXM"], 16) == pytest.approx(64 * 512, rel=0.05)


def test_loops_and_budget_are_of_the_same_code() -> None:
    budget = json.loads((ROOT / "bench" / "kernel_budget.json").read_text())["kernels"]

    def wide(loop: dict[str, Any]) -> int:
        return loop["wide"] + sum(wide(inner) for inner in loop["loops"])

    for name, loop in json.loads(LOOPS.read_text())["kernels"].items():
        # Copies for warps that came apart are in the budget, and hold no products.
        assert wide(loop) == budget[name]["wide_multiplies"], name


def test_the_committed_rates_are_those_of_the_committed_code(compiled: Compiled) -> None:
    assert RESULTS.read_text() == kernel_rates.text_of(kernel_rates.document(compiled, all_rows(compiled)))


def test_the_manual_has_these_tables(compiled: Compiled) -> None:
    manual = (ROOT / "docs" / "gpu.md").read_text(encoding="utf-8")
    for table in kernel_rates.tables(all_rows(compiled)):
        assert table in manual


def test_the_shortest_shape_that_holds_a_modulus_is_taken() -> None:
    assert shape_of(1024) == (4, 8)
    assert shape_of(1280) == (4, 12)
    assert shape_of(2304) == (8, 12)
