"""FATE's packing: several non-negative numbers in one integer, the first of them in the highest bits.

packed = Σ_i round(v_i · 2^precision) · 2^(offset_bit · (k - 1 - i)),    k numbers together, fewer in the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cipherlane.errors import PlaintextOverflowError


def check_count(name: str, value: Any, least: int) -> int:
    """Return an integer that is not below ``least``."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name}: expected an integer, got {type(value).__name__}")
    number = int(value.__index__())
    if number < least:
        raise ValueError(f"{name}: expected at least {least}, got {number}")
    return number


def _rounded(value: float | int, precision: int) -> int:
    """Return value · 2^precision to the nearest integer, halves away from zero as FATE rounds."""
    exact = Fraction(value) * (1 << precision)
    return int(abs(exact) + Fraction(1, 2)) * (1 if exact >= 0 else -1)


def pack(values: Sequence[float | int], offset_bit: int, pack_num: int, precision: int) -> NDArray[Any]:
    """Return the packed integers, an object array.

    Raises
    ------
    PlaintextOverflowError
        If a number is negative or does not fit ``offset_bit`` bits.
    """
    integers = []
    for index, value in enumerate(values):
        integer = _rounded(value, precision)
        if not 0 <= integer < 1 << offset_bit:
            raise PlaintextOverflowError(
                f"values[{index}]: expected 0 to 2^{offset_bit} as an integer with {precision} bits after the point, "
                "got one outside; add an offset to negative numbers, or pack with a larger offset_bit"
            )
        integers.append(integer)
    packed = []
    for start in range(0, len(integers), pack_num):
        total = 0
        for integer in integers[start : start + pack_num]:
            total = (total << offset_bit) + integer
        packed.append(total)
    return as_objects(packed)


def unpack(packed: Sequence[int], offset_bit: int, pack_num: int, total_num: int) -> list[int]:
    """Return the ``total_num`` integers that were packed, sums of them included.

    Raises
    ------
    ValueError
        If there are fewer, or a packed integer is negative.
    """
    if total_num > len(packed) * pack_num:
        raise ValueError(
            f"total_num: expected at most {len(packed) * pack_num} numbers in what is packed, got {total_num}"
        )
    mask = (1 << offset_bit) - 1
    numbers: list[int] = []
    for index, value in enumerate(packed):
        if value < 0:
            raise ValueError(f"packed[{index}]: expected an integer of packed numbers, got a negative one")
        count = min(pack_num, total_num - len(numbers))
        numbers += [(value >> (offset_bit * place)) & mask for place in reversed(range(count))]
    return numbers


def as_objects(integers: Sequence[int]) -> NDArray[Any]:
    """Return integers of any size as an object array."""
    array = np.empty(len(integers), dtype=object)
    array[:] = integers
    return array
