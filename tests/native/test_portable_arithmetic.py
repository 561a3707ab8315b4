"""The portable arithmetic against Python's integers, with debug assertions on, with and without assembly."""

from __future__ import annotations

import itertools
import random
import shutil
import subprocess
from pathlib import Path

import pytest

CPP = Path(__file__).parents[2] / "cpp"
RADIX_BITS = 60
SLACK_BITS = 8


@pytest.fixture(scope="module", params=["assembly", "plain"])
def arithmetic_filter(request, tmp_path_factory):
    compiler = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    assert compiler, "building the package needs a C++ compiler, so there is one"
    program = tmp_path_factory.mktemp("arithmetic") / request.param
    flags = ["-std=c++17", "-O1", "-UNDEBUG", f"-I{CPP / 'include'}"]
    if request.param == "plain":
        flags.append("-DCIPHERLANE_NO_ASSEMBLY")
    sources = [
        CPP / "tests" / "arithmetic_filter.cpp",
        CPP / "src" / "portable_arithmetic.cpp",
        CPP / "src" / "limbs.cpp",
    ]
    subprocess.run([compiler, *flags, *map(str, sources), "-o", str(program)], check=True)

    def run(lines: list[tuple]) -> list[tuple[int, int]]:
        text = "\n".join(
            " ".join([operation, *(format(value, "x") for value in values)]) for operation, *values in lines
        )
        result = subprocess.run([str(program)], input=text + "\n", capture_output=True, text=True, check=True)
        return [tuple(int(part, 16) for part in line.split()) for line in result.stdout.splitlines()]

    return run


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


def hard_digits(m: int) -> list[int]:
    """Numbers below 4 m: the edges, runs of ones and zeros, and limbs of extreme value in both radices."""
    bits = m.bit_length()
    source = random.Random(m)
    numbers = [0, 1, m - 1, m, m + 1, 2 * m - 1, 2 * m, 4 * m - 1, (1 << bits) - 1, 1 << (bits - 1)]
    for width in (RADIX_BITS, 64):
        extremes = [0, 1, 2 ** (width - 1) - 1, 2 ** (width - 1), 2 ** (width - 1) + 1, 2**width - 1]
        for _ in range(3):
            number = 0
            for _ in range(bits // width + 1):
                number = number << width | source.choice(extremes)
            numbers.append(number % (4 * m))
    return numbers


@pytest.mark.parametrize("bits", [256, 512, 768, 1024, 1536, 2048, 3072, 4096, 300, 1027, 2999])
def test_products_equal_those_of_python_on_hard_numbers(arithmetic_filter, bits):
    radix = 1 << RADIX_BITS * -(-(bits + SLACK_BITS) // RADIX_BITS)
    lines, expected = [], []
    for m in hard_moduli(bits):
        inverse = pow(radix, -1, m * m)
        digits = hard_digits(m)
        source = random.Random(bits)
        pairs = [(4 * m - 1, 4 * m - 1), (m, m), (0, 0), (1, 0), (0, 4 * m - 1)]
        pairs += [(source.choice(digits), source.choice(digits)) for _ in range(12)]
        for (x0, x1), (y0, y1) in itertools.product(pairs, pairs[:8]):
            x, y = x0 + x1 * m, y0 + y1 * m
            lines.append(("multiply", m, x0, x1, y0, y1))
            expected.append((m, x * y * inverse % (m * m), False))
        for x0, x1 in pairs:
            x = x0 + x1 * m
            lines.append(("square", m, x0, x1, 0, 0))
            expected.append((m, x * x * inverse % (m * m), False))
            lines.append(("canonical", m, x0, x1, 0, 0))
            expected.append((m, x * inverse % (m * m), True))
    answers = arithmetic_filter(lines)
    assert len(answers) == len(lines)
    for line, (low, high), (m, value, canonical) in zip(lines, answers, expected, strict=True):
        assert (low + high * m) % (m * m) == value, line
        assert max(low, high) < (m if canonical else 2 * m), line
