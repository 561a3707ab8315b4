"""The backends' arithmetic against Python's integers, on hard and lazily reduced numbers, with debug assertions on."""

from __future__ import annotations

import itertools
import random
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import cipherlane as cl

CPP = Path(__file__).parents[2] / "cpp"
SLACK_BITS = 8
# Radix, name of the instruction set in the sources, flags of its file.
VECTORS = {
    "ifma": (52, "Ifma", ["-mavx512f", "-mavx512ifma"]),
    "avx512": (26, "Avx512", ["-mavx512f"]),
    "avx2": (26, "Avx2", ["-mavx2"]),
}
QUIET = ["-Wno-maybe-uninitialized", "-Wno-uninitialized"]


@dataclass(frozen=True)
class Filter:
    """A program that runs lines of operands through one arithmetic."""

    radix_bits: int
    run: Callable[[list[tuple]], list[tuple[int, ...]]]

    def length(self, m: int) -> int:
        return -(-(m.bit_length() + SLACK_BITS) // self.radix_bits)

    def radix(self, m: int) -> int:
        return 1 << self.radix_bits * self.length(m)

    def offset(self, m: int) -> int:
        """A multiple of m whose digits are 2^w to 2^(w+1)."""
        ones = sum(1 << self.radix_bits * (i + 1) for i in range(self.length(m)))
        return ones + -ones % m


def build(program: Path, sources: list[Path], flags: list[str]) -> None:
    compiler = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    assert compiler, "building the package needs a C++ compiler, so there is one"
    command = [compiler, "-std=c++17", "-O1", "-UNDEBUG", f"-I{CPP / 'include'}", *flags, *map(str, sources)]
    subprocess.run([*command, "-o", str(program)], check=True)


def runner(program: Path) -> Callable[[list[tuple]], list[tuple[int, ...]]]:
    def run(lines: list[tuple]) -> list[tuple[int, ...]]:
        text = "\n".join(
            " ".join([operation, *(format(value, "x") for value in values)]) for operation, *values in lines
        )
        result = subprocess.run([str(program)], input=text + "\n", capture_output=True, text=True, check=True)
        return [tuple(int(part, 16) for part in line.split()) for line in result.stdout.splitlines()]

    return run


@pytest.fixture(scope="module", params=["portable assembly", "portable plain", *VECTORS])
def arithmetic(request, tmp_path_factory):
    program = tmp_path_factory.mktemp("arithmetic") / request.param.replace(" ", "-")
    common = [CPP / "tests" / "arithmetic_filter.cpp", CPP / "src" / "limbs.cpp"]
    if request.param in VECTORS:
        if request.param not in cl.backends():
            pytest.skip(f"this processor has no {request.param}")
        radix_bits, name, flags = VECTORS[request.param]
        kernels = CPP / "src" / f"{request.param}_kernels.cpp"
        build(program, [*common, kernels], [*flags, *QUIET, f"-DCIPHERLANE_TEST_ISA={name}"])
        return Filter(radix_bits, runner(program))
    flags = ["-DCIPHERLANE_NO_ASSEMBLY"] if "plain" in request.param else []
    build(program, [*common, CPP / "src" / "portable_arithmetic.cpp"], flags)
    return Filter(60, runner(program))


def hard_moduli(bits: int) -> list[int]:
    top = 1 << bits
    ones = top - 1
    runs = top // 2 + ((1 << (bits // 2)) - 1)
    source = random.Random(bits)
    edge = 0
    for _ in range(bits // 64):
        edge = edge << 64 | source.choice([0, 1, 2**63 - 1, 2**63, 2**63 + 1, 2**64 - 1])
    return [
        ones,
        top // 2 + 1,
        runs | 1,
        (edge | top // 2 | 1) % top,
        source.getrandbits(bits) | top // 2 | 1,
    ]


def hard_digits(m: int, below: int, radix_bits: int) -> list[int]:
    """Numbers below ``below``: the edges, runs of ones and zeros, and limbs of extreme value in both radices."""
    bits = m.bit_length()
    source = random.Random(m)
    numbers = [0, 1, m - 1, m, m + 1, 2 * m - 1, below - 1, (1 << bits) - 1, 1 << (bits - 1)]
    for width in (radix_bits, 64):
        extremes = [0, 1, 2 ** (width - 1) - 1, 2 ** (width - 1), 2 ** (width - 1) + 1, 2**width - 1]
        for _ in range(3):
            number = 0
            for _ in range(bits // width + 1):
                number = number << width | source.choice(extremes)
            numbers.append(number)
    return [number % below for number in numbers]


SIZES = [256, 512, 768, 1024, 1536, 2048, 3072, 4096, 300, 1027, 2999]


@pytest.mark.parametrize("bits", SIZES)
def test_products_equal_those_of_python_on_hard_numbers(arithmetic, bits):
    lines, expected = [], []
    for m in hard_moduli(bits):
        inverse = pow(arithmetic.radix(m), -1, m * m)
        offset = arithmetic.offset(m)
        digits = hard_digits(m, 4 * m, arithmetic.radix_bits)
        source = random.Random(bits)
        pairs = [(4 * m - 1, 4 * m - 1), (m, m), (0, 0), (1, 0), (0, 4 * m - 1)]
        pairs += [(source.choice(digits), source.choice(digits)) for _ in range(12)]
        for (x0, x1), (y0, y1) in itertools.product(pairs, pairs[:8]):
            x, y = x0 + x1 * m, y0 + y1 * m
            lines.append(("multiply", m, offset, x0, x1, y0, y1))
            expected.append((m, x * y * inverse % (m * m), False))
        for operation, canonical in (("square", False), ("canonical", True)):
            for x0, x1 in pairs:
                x = x0 + x1 * m
                lines.append((operation, m, offset, x0, x1))
                expected.append((m, x * (1 if canonical else x) * inverse % (m * m), canonical))
    answers = arithmetic.run(lines)
    assert len(answers) == len(lines)
    for line, (low, high), (m, value, canonical) in zip(lines, answers, expected, strict=True):
        assert (low + high * m) % (m * m) == value, line
        assert max(low, high) < (m if canonical else 2 * m), line


@pytest.mark.parametrize("bits", SIZES)
def test_the_smaller_operations_equal_those_of_python_on_hard_numbers(arithmetic, bits):
    lines, checks = [], []
    for m in hard_moduli(bits):
        radix = arithmetic.radix(m)
        inverse = pow(radix, -1, m * m)
        offset = arithmetic.offset(m)
        reduced = hard_digits(m, 2 * m, arithmetic.radix_bits)
        source = random.Random(bits + 1)

        def step(z, carried, t, m=m, inverse=inverse):
            def check(got):
                new_z, new_carried, total = got
                product = (z + carried * m) * t * inverse % (m * m)
                return (
                    (new_z + new_carried * m) % (m * m) == product
                    and max(new_z, new_carried) < 2 * m
                    and total == z + t
                )

            return check

        for _ in range(24):
            z, carried, t = (source.choice(reduced) for _ in range(3))
            lines.append(("factored", m, offset, z, carried, t))
            checks.append(step(z, carried, t))
        wide = [radix - 1, radix // 2, *hard_digits(m, radix, arithmetic.radix_bits)]
        for a, b in itertools.product(wide, [0, 1, m // 2, m - 1]):
            lines.append(("mod", m, offset, a, b))
            checks.append(lambda got, v=a * b * inverse % m, m=m: got[0] % m == v and got[0] < 2 * m)
        for _ in range(24):
            a, b = source.choice(reduced), source.choice(reduced)
            lines.append(("add", m, offset, a, b))
            checks.append(lambda got, v=(a + b) % m, m=m: got[0] % m == v and got[0] < 2 * m)
        for a, b in itertools.product([number % m for number in reduced], repeat=2):
            lines.append(("join", m, offset, a, b))
            checks.append(lambda got, v=a + b * m: got[0] == v)
    answers = arithmetic.run(lines)
    assert len(answers) == len(lines)
    for line, answer, check in zip(lines, answers, checks, strict=True):
        assert check(answer), line
