"""Which kernels an operation launches, how often their loops are passed, and the multiply-adds of the algorithm.

As kernels/nadic.cuh, power.cuh and batch_kernels_impl.cuh have them, and cpp/src/paillier.cpp calls them. All counts
are for one result, and for all threads of its group together where not said otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

POWER_WINDOW = 4  # kPowerWindow of kernels/batch_kernels.cuh


@dataclass(frozen=True)
class Passes:
    """Passes of a loop for one result, all passes of those around it together, and its wide multiplies a pass."""

    count: int
    wide: int = 0
    inside: tuple[Passes, ...] = ()


@dataclass(frozen=True)
class LookUps:
    """Bytes read and written for one result in a table that caches may hold, and its size: of all, or of each group."""

    traffic: int
    table: int = 0
    table_of_group: int = 0


@dataclass(frozen=True)
class Step:
    """A kernel as an operation launches it, for one result."""

    kernel: str
    bits: int  # of the modulus
    loops: tuple[Passes, ...]
    multiply_adds: int  # by the algorithm
    row_bytes: int  # read and written once
    look_ups: LookUps | None = None
    times: int = 1

    @property
    def shape(self) -> tuple[int, int]:
        return shape_of(self.bits)


# kShapes of kernels/batch_kernels.cuh
SHAPES = {512: (2, 8), 1024: (4, 8), 1536: (4, 12), 2048: (8, 8), 3072: (8, 12), 4096: (16, 8)}


def shape_of(bits: int) -> tuple[int, int]:
    """Threads of a group and limbs of a thread: the shortest that holds the modulus."""
    return SHAPES[min(size for size in SHAPES if size >= bits)]


def limbs_of(bits: int) -> int:
    return math.prod(shape_of(bits))


# Multiply-adds of the functions of kernels/nadic.cuh on L limbs: their L steps, and the one more of a reduction.
def of_pair_product(limbs: int) -> int:
    return 5 * limbs**2 + 2 * limbs


def of_square(limbs: int) -> int:
    return 4 * limbs**2 + 3 * limbs


def of_number_product(limbs: int) -> int:
    return 4 * limbs**2 + 2 * limbs


def of_product_mod_n(limbs: int) -> int:
    return 2 * limbs**2 + 2 * limbs


def of_digits(limbs: int) -> int:
    return 2 * limbs**2 + 2 * limbs


def of_join(limbs: int) -> int:
    return limbs**2


def product_loop(bits: int, turns: int, products: int) -> Passes:
    """The loop over the threads of a group, W steps a pass, each with ``turns`` rows of W multiply-adds."""
    threads, limbs = shape_of(bits)
    return Passes(products * threads, turns * limbs**2)


def number_loop(bits: int, products: int) -> Passes:
    """That of a product with a plain number, which takes two threads' limbs a pass where there are more."""
    threads, limbs = shape_of(bits)
    together = 2 if threads > 2 else 1
    return Passes(products * threads // together, together * 4 * limbs**2)


def shared_look_up(bits: int, window: int, products: int) -> Passes:
    """Entries of a window, two of each group of the warp a pass."""
    threads, _ = shape_of(bits)
    return Passes(products * max(1, (1 << window) * threads // 64))


def random_exponents(bits: int, exponent_bits: int) -> Step:
    threads, _ = shape_of(bits)
    words = -(-exponent_bits // 32)
    blocks = -(-words // (16 * threads))
    return Step("RandomExponents", bits, (Passes(blocks, 0, (Passes(10 * blocks),)), Passes(0)), 0, row_bytes=4 * words)


def fixed_base_powers(bits: int, exponent_bits: int, window: int, plaintext: bool) -> Step:
    limbs, windows = limbs_of(bits), -(-exponent_bits // window)
    loops = (
        Passes(windows - 1, 0, (number_loop(bits, windows - 1),)),
        product_loop(bits, 2, 1),
        product_loop(bits, 2, int(plaintext)),
        product_loop(bits, 2, 1),
    )
    multiply_adds = (windows - 1) * of_number_product(limbs) + (2 + plaintext) * of_product_mod_n(limbs)
    entries = windows * 8 * limbs
    return Step(
        "FixedBasePowersVartime",
        bits,
        loops,
        multiply_adds,
        row_bytes=8 * limbs + 4 * limbs * plaintext + exponent_bits // 8,
        look_ups=LookUps(entries, table=entries << window),
    )


def fixed_base_powers_masked(bits: int, exponent_bits: int, window: int) -> Step:
    limbs, windows = limbs_of(bits), -(-exponent_bits // window)
    loops = (
        shared_look_up(bits, window, 1),
        Passes(windows - 1, 0, (shared_look_up(bits, window, windows - 1), number_loop(bits, windows - 1))),
        product_loop(bits, 2, 1),
        product_loop(bits, 2, 0),
        product_loop(bits, 2, 1),
    )
    multiply_adds = (windows - 1) * of_number_product(limbs) + 2 * of_product_mod_n(limbs)
    # All groups read the same window at about the same time, so that caches serve them.
    return Step("FixedBasePowersMasked", bits, loops, multiply_adds, row_bytes=8 * limbs + exponent_bits // 8)


def window_power(kernel: str, bits: int, exponent_bits: int, masked: bool) -> Step:
    limbs, windows, entries = limbs_of(bits), -(-exponent_bits // POWER_WINDOW), 1 << POWER_WINDOW
    squares = (windows - 1) * POWER_WINDOW
    table = Passes(entries - 1, 0, (product_loop(bits, 5, entries - 2),))
    square = Passes(squares, 0, (product_loop(bits, 4, squares),))
    product = product_loop(bits, 5, windows - 1)
    row = 8 * limbs
    if masked:
        loops = (table, Passes(entries), Passes(windows - 1, 0, (square, Passes((windows - 1) * entries), product)))
        traffic = row * entries * (1 + windows)
    else:
        loops = (table, Passes(windows - 1, 0, (square, product)))
        traffic = row * (entries + windows)
    multiply_adds = squares * of_square(limbs) + (entries - 2 + windows - 1) * of_pair_product(limbs)
    look_ups = LookUps(traffic, table_of_group=row * entries)
    return Step(kernel, bits, loops, multiply_adds, row_bytes=2 * row, look_ups=look_ups)


def values(bits: int) -> Step:
    limbs = limbs_of(bits)
    _, width = shape_of(bits)
    loops = (Passes(limbs // 2, 4 * width), product_loop(bits, 1, 1), Passes(0))
    return Step("Values", bits, loops, of_digits(limbs) + of_join(limbs), row_bytes=16 * limbs)


def digits(bits: int) -> Step:
    limbs = limbs_of(bits)
    _, width = shape_of(bits)
    return Step(
        "Digits", bits, (Passes(limbs // 2, 4 * width), Passes(0), Passes(0)), of_digits(limbs), row_bytes=16 * limbs
    )


def evaluate(bits: int, numbers: int, number_bits: int) -> Step:
    """A part holds as many bits as n has, and two more."""
    limbs = limbs_of(bits)
    parts = numbers * -(-number_bits // (bits + 2))
    return Step(
        "Evaluate",
        bits,
        (Passes(parts, 0, (number_loop(bits, parts),)),),
        parts * of_number_product(limbs),
        row_bytes=8 * limbs + numbers * number_bits // 8,
    )


def multiply_one_plus(bits: int) -> Step:
    limbs = limbs_of(bits)
    loops = (product_loop(bits, 2, 1), product_loop(bits, 2, 1))
    return Step("MultiplyOnePlus", bits, loops, 2 * of_product_mod_n(limbs), row_bytes=20 * limbs)


def multiply_pairs(bits: int) -> Step:
    limbs = limbs_of(bits)
    return Step("MultiplyPairs", bits, (product_loop(bits, 5, 1),), of_pair_product(limbs), row_bytes=24 * limbs)


def twice(step: Step) -> Step:
    return replace(step, times=2)


def encrypt(bits: int, window: int) -> list[Step]:
    """DJN, with the public key: h_s^α for α of half the key's bits, times 1 + m n."""
    return [random_exponents(bits, bits // 2), fixed_base_powers(bits, bits // 2, window, plaintext=True)]


def encrypt_by_holder(bits: int, window: int) -> list[Step]:
    """DJN, mod p² and mod q² with the same α, no address by α, joined and times 1 + m n."""
    half = bits // 2
    return [
        random_exponents(bits, half),
        twice(fixed_base_powers_masked(half, half, window)),
        twice(values(half)),
        evaluate(bits, 2, 2 * half),
        multiply_one_plus(bits),
    ]


def decrypt(bits: int, window: int) -> list[Step]:
    """c^(p-1) mod p² and c^(q-1) mod q², their second digits joined."""
    half = bits // 2
    return [
        values(bits),
        twice(evaluate(half, 1, 2 * bits)),
        twice(window_power("FixedWindowPowers", half, half, masked=True)),
        twice(digits(half)),
        evaluate(bits, 2, half),
        digits(bits),
    ]


def add(bits: int, window: int) -> list[Step]:
    return [multiply_pairs(bits)]


def multiply_by_64_bits(bits: int, window: int) -> list[Step]:
    return [window_power("PowersEachVartime", bits, 64, masked=False)]


@dataclass(frozen=True)
class Operation:
    title: str
    steps: Callable[[int, int], list[Step]]
    window: int = 0
    target: float | None = None  # a second on an H100 at 2048 bits


OPERATIONS = [
    Operation("encrypt, DJN", encrypt, 8, 2e6),
    Operation("encrypt, DJN", encrypt, 11),
    Operation("encrypt, DJN", encrypt, 14),
    Operation("encrypt, DJN", encrypt, 16),
    Operation("encrypt, DJN, key's holder", encrypt_by_holder, 6, 4e6),
    Operation("encrypt, DJN, key's holder", encrypt_by_holder, 7, 4e6),
    Operation("decrypt", decrypt, POWER_WINDOW, 450e3),
    Operation("add", add, 0, 200e6),
    Operation("multiply by 64 bits", multiply_by_64_bits, POWER_WINDOW),
]
