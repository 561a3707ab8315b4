"""The device code as a program on the host: its build, its operands, and what the answers must be."""

from __future__ import annotations

import itertools
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import gcd
from pathlib import Path

KERNELS = Path(__file__).parents[2] / "kernels"
FILTERS = Path(__file__).parent
# Threads of a group and limbs of a thread, for keys of 1024 to 4096 bits and the halves of those.
SHAPES = [(2, 8), (4, 8), (2, 16), (4, 12), (8, 8), (4, 16), (8, 12), (8, 16), (16, 8), (32, 4)]

Line = tuple[str, tuple]
Check = Callable[[tuple[int, ...]], bool]


def build(program: Path, source: str, shapes: list[tuple[int, int]], *flags: str) -> Path:
    compiler = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    assert compiler, "building the package needs a C++ compiler, so there is one"
    command = [compiler, "-std=c++17", "-O1", "-UNDEBUG", "-Wall", "-Wextra", "-Werror", "-Wno-maybe-uninitialized"]
    defined = " ".join("X({}, {})".format(*shape) for shape in shapes)
    command += [f"-DCIPHERLANE_TEST_SHAPES(X)={defined}", *flags, str(FILTERS / source), "-o", str(program)]
    subprocess.run(command, check=True)
    return program


def run(program: Path, lines: list[Line], shape: tuple[int, int], mutant: int = 0) -> list[tuple[int, ...]]:
    text = "".join(
        " ".join([operation, *map(str, shape), *(x if isinstance(x, str) else format(x, "x") for x in fields)]) + "\n"
        for operation, fields in lines
    )
    result = subprocess.run([str(program), str(mutant)], input=text, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    answers = [tuple(int(part, 16) for part in line.split()) for line in result.stdout.splitlines()]
    assert len(answers) == len(lines)
    return answers


@dataclass(frozen=True)
class Ring:
    """A modulus, in the terms of kernels/nadic.cuh."""

    n: int
    limbs: int

    @property
    def b(self) -> int:
        return 1 << 32 * self.limbs

    @property
    def r(self) -> int:
        return self.b << 32

    @property
    def inverse(self) -> int:
        return pow(self.r, -1, self.n**2)

    @property
    def lazy(self) -> int:
        """Every Lazy number is below this."""
        return min(self.b, self.n << 16)

    @property
    def reduced(self) -> int:
        """Every Reduced number is below this."""
        return min(self.b, self.n + (self.lazy >> 31) + 3)

    def words(self, numbers: list[int]) -> int:
        return sum(x << 32 * self.limbs * i for i, x in enumerate(numbers))

    def pair(self, x: int) -> list[int]:
        x %= self.n**2
        return [x % self.n, x // self.n]

    @property
    def constants(self) -> int:
        parts = [self.n, -(self.r - 1) % self.n, *self.pair(self.r), *self.pair(self.r**2)]
        return self.words([*parts, *self.pair(self.r**2 * self.b)])

    def factored(self, x: int) -> list[int]:
        """The table entry of x: t and s = t1/t R mod n."""
        t, t1 = self.pair(x * self.r)
        return [t, t1 * pow(t, -1, self.n) * self.r % self.n]


def edge_number(bits: int, source: random.Random) -> int:
    number = 0
    for _ in range(bits // 32):
        number = number << 32 | source.choice([0, 0, 1, 2**31 - 1, 2**31, 2**31 + 1, 2**32 - 1, 2**32 - 1])
    return number


def hard_moduli(limbs: int) -> list[int]:
    bits = 32 * limbs
    source = random.Random(bits)
    top, half = 1 << bits, 1 << (bits - 1)
    return [
        top - 1,
        half + 1,
        half + (1 << bits // 2) - 1,
        top - (1 << bits // 2) + 1,
        edge_number(bits, source) | half | 1,
        source.getrandbits(bits) | half | 1,
        (1 << (bits - 15)) + 1,
        source.getrandbits(bits - 12) | 1 << (bits - 13) | 1,
        # Far from filling the limbs: no result leaves the group, and Lazy is less than what fits.
        (1 << (bits - 31)) - 1,
        (1 << 32 * (limbs - 4)) + 1,
        edge_number(bits // 2 + 32, source) >> 31 | 1 << bits // 2 | 1,
    ]


def hard_numbers(n: int, below: int, source: random.Random) -> list[int]:
    bits = below.bit_length()
    numbers = [0, 1, n - 1, n, n + 1, 2 * n - 1, below - 1, below - 2, 1 << (bits - 1), (1 << bits // 2) - 1]
    numbers += [below - (1 << k) for k in range(32, bits, max(32, bits // 5 // 32 * 32))]
    numbers += [edge_number(bits + 32, source) for _ in range(8)]
    return [x % below for x in numbers]


def unit(n: int, source: random.Random) -> int:
    while True:
        x = source.randrange(2, n * n)
        if gcd(x, n) == 1:
            return x


def cases(shape: tuple[int, int], count: int) -> Iterator[tuple[Line, Check]]:
    """Lines for the program with what must hold of each answer; ``count`` scales how many."""
    limbs = shape[0] * shape[1]
    for n in hard_moduli(limbs):
        yield from ring_cases(Ring(n, limbs), shape[0], random.Random(n % (1 << 61)), count)


def ring_cases(ring: Ring, threads: int, source: random.Random, count: int) -> Iterator[tuple[Line, Check]]:
    n, b, constants, inverse = ring.n, ring.b, ring.constants, ring.inverse
    square = n * n
    lazy = hard_numbers(n, ring.lazy, source)
    whole = hard_numbers(n, b, source)
    canonical = hard_numbers(n, n, source)
    reduced = hard_numbers(n, ring.reduced, source)

    def residue(value: int, bounds: tuple[int, int]) -> Check:
        value %= square
        return lambda got: (got[0] + got[1] * n) % square == value and got[0] < bounds[0] and got[1] < bounds[1]

    both_reduced, both_canonical = (ring.reduced, ring.reduced), (n, n)

    def pick(numbers: list[int]) -> tuple[int, int]:
        return source.choice(numbers), source.choice(numbers)

    most = ring.lazy - 1
    edges = [(most, most), (n, n), (0, 0), (1, 0), (0, 1), (0, most), (most, 0)]
    # Products that are small, or a multiple of n and a bit: the carries of the last sum run far.
    near = [ring.r * k % n for k in (1, 2, 1 << 32, n - 1)]
    pairs = edges + list(itertools.product(near[:2], near[2:])) + [pick(lazy) for _ in range(count)]
    for x, y in [*itertools.product(pairs[:11], pairs[:11]), *((pick(lazy), pick(lazy)) for _ in range(4 * count))]:
        value = (x[0] + x[1] * n) * (y[0] + y[1] * n) * inverse
        yield ("multiply", (constants, *x, *y)), residue(value, both_reduced)
    for x in pairs:
        value = x[0] + x[1] * n
        t, any_number = source.choice(lazy), source.choice(whole)
        yield ("square", (constants, *x)), residue(value * value * inverse, both_reduced)
        yield ("number", (constants, *x, t)), residue(value * t * inverse, both_reduced)
        yield ("digits", (constants, *x)), residue(value * inverse, both_canonical)
        x = (x[0] % n, x[1] % n)
        yield ("number", (constants, *x, any_number)), residue((x[0] + x[1] * n) * any_number * inverse, both_reduced)
    small_pairs = [(n - 1, n - 1), (0, 0), (0, n - 1), (n - 1, 0), *(pick(canonical) for _ in range(count))]
    for x, y in [*itertools.product(small_pairs[:4], small_pairs), *((x, x) for x in small_pairs)]:
        value, other = x[0] + x[1] * n, y[0] + y[1] * n
        yield ("add", (constants, *x, *y)), residue(value + other, both_canonical)
        yield ("subtract", (constants, *x, *y)), residue(value - other, both_canonical)
    for x in small_pairs:
        joined = x[0] + x[1] * n
        yield ("join", (constants, *x)), lambda got, joined=joined: got[0] + got[1] * b == joined
    for _ in range(2 * count):
        one, other, top = source.choice(lazy), source.choice(lazy), source.choice([0, 1, 2**32 - 1])
        product = one * other * inverse % n
        yield ("mod", (constants, one, other, 0)), lambda got, v=product: got[0] % n == v and got[0] < ring.reduced
        one, other = source.choice(canonical), source.choice(whole)
        product = one * (other + top * b) * inverse % n
        yield (
            ("mod", (constants, one, other, top)),
            lambda got, v=product: got[0] % n == v and got[0] < min(b, 2 * n),
        )
        x, a = pick(reduced), source.choice(whole)
        yield ("plus", (constants, *x, a)), residue((1 + a * n) * (x[0] + x[1] * n), (ring.reduced, n))
    for x in hard_numbers(n, min(2 * n, b), source):
        yield ("reduce", (constants, x)), lambda got, x=x: got == (x % n, x // n)
    for _ in range(count):
        yield factored_case(ring, threads, pick(reduced), source, whole, canonical)


def factored_case(ring: Ring, threads: int, x: tuple, source: random.Random, whole: list, canonical: list):
    n, square = ring.n, ring.n**2
    # The whole sum stays below 2^32 B.
    overhang = [*(source.choice([0, 1, 2**31, 2**32 - 2]) for _ in range(threads - 1))]
    overhang.append(source.choice([0, 2**31, 2**32 - 3]))
    e, s, a = source.choice(whole), source.choice(canonical), source.choice(whole)
    t = source.choice([*canonical, n - 1])
    share = 32 * ring.limbs // threads
    total = e + s + sum(word << share * (thread + 1) for thread, word in enumerate(overhang))
    step = (x[0] + x[1] * n) * t * ring.inverse % square
    whole = step * (1 + total * pow(ring.r, -1, n) * n) * (1 + a * n) % square

    def check(got: tuple[int, ...]) -> bool:
        z, c, r0, r1 = got
        fits = max(z, c, r0) < ring.reduced and r1 < n
        return fits and (z + c * n) % square == step and (r0 + r1 * n) % square == whole

    owed = sum(word << 32 * thread for thread, word in enumerate(overhang))
    return ("factored", (ring.constants, *x, e, owed, t, s, a)), check
