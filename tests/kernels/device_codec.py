"""The device's codec as a program on the host: its build, lines for it, and its answers."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cipherlane.paillier.layout import Layout
from cipherlane.paillier.limbs import limb_count

FILTER = Path(__file__).parent / "codec_filter.cpp"
ELEMENTS = ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"]
FAULTS = [
    "not_finite",
    "beyond_codec",
    "beyond_room",
    "reaches_half",
    "outside_bound",
    "beyond_integer",
    "not_in_range",
]
UNLIMITED = 2**32 - 1


def build(program: Path, *flags: str) -> Path:
    compiler = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    assert compiler, "building the package needs a C++ compiler, so there is one"
    command = [compiler, "-std=c++17", "-O1", "-UNDEBUG", "-Wall", "-Wextra", "-Werror", "-Wno-maybe-uninitialized"]
    subprocess.run([*command, *flags, str(FILTER), "-o", str(program)], check=True)
    return program


@dataclass(frozen=True)
class Answer:
    """The bytes of a result, and the first place of each kind of fault there is."""

    data: bytes
    faults: dict[str, int]


def run(program: Path, lines: list[str]) -> list[Answer]:
    result = subprocess.run([str(program)], input="\n".join(lines) + "\n", capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    answers = []
    for line in result.stdout.splitlines():
        data, *places = line.split()
        faults = {fault: int(place) for fault, place in zip(FAULTS, places, strict=True) if place != "-"}
        answers.append(Answer(b"" if data == "-" else bytes.fromhex(data), faults))
    assert len(answers) == len(lines)
    return answers


def hexadecimal(data: bytes) -> str:
    return data.hex() or "-"


def number(value: int, limbs: int) -> str:
    return value.to_bytes(8 * limbs, "little").hex()


def strided(values: np.ndarray) -> str:
    """The fields of an array: the memory from its lowest byte on, and where in it the first element lies."""
    element = ELEMENTS.index("?" if values.dtype.kind == "b" else values.dtype.str[1:])
    reach = [(length - 1) * stride for length, stride in zip(values.shape, values.strides, strict=True)]
    below = -sum(min(step, 0) for step in reach)
    above = sum(max(step, 0) for step in reach) + values.itemsize
    if values.size == 0:
        memory, below = b"", 0
    else:
        base = values.__array_interface__["data"][0]
        memory = np.ctypeslib.as_array(
            (np.ctypeslib.ctypes.c_ubyte * (below + above)).from_address(base - below)
        ).tobytes()
    fields = [element, values.ndim, *values.shape, *values.strides, below, hexadecimal(memory)]
    return " ".join(map(str, fields))


def rows(layout: Layout, scale_bits: int, limbs: int) -> str:
    whole_array = layout.whole or not layout.packed
    row_length = layout.size if whole_array else layout.shape[-1]
    row_plaintexts = layout.count if whole_array else layout.cipher_shape[-1]
    slot_bits = layout.slot_bits if layout.slots > 1 else 64 * limbs
    return " ".join(map(str, (row_length, row_plaintexts, layout.slots, slot_bits, scale_bits, limbs)))


def encode(values: np.ndarray, layout: Layout, scale_bits: int, n: int, limits: tuple[int, int], negate: bool) -> str:
    """A line that encodes; limits: bits of a value, and of its integer."""
    limbs = limb_count(n.bit_length())
    ends = (int(negate), *limits, number(n, limbs), n.bit_length(), layout.count)
    return f"encode {strided(values)} {rows(layout, scale_bits, limbs)} {' '.join(map(str, ends))}"


def decode(plaintexts: np.ndarray, layout: Layout, scale_bits: int, n: int, bound: int | None) -> str:
    """A line that decodes to floats if there are bits after the point; bound: in the form that the kernel takes."""
    limbs = limb_count(n.bit_length())
    start = (
        int(scale_bits > 0),
        int(bound is not None),
        bound or 0,
        layout.padded_size() // max(1, _row_count(layout)),
    )
    ends = (number(n, limbs), hexadecimal(plaintexts.tobytes()), layout.count)
    return f"decode {' '.join(map(str, start))} {rows(layout, scale_bits, limbs)} {' '.join(map(str, ends))}"


def _row_count(layout: Layout) -> int:
    if layout.whole or not layout.packed or not layout.count:
        return 1
    return layout.count // layout.cipher_shape[-1]
