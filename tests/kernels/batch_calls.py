"""Calls of the batch kernels: their fields, read from the header, and how a test hands them over.

A call names every field of its kernel's struct: an integer, or the words of an array. ``None`` is a null pointer, a
string the name of an earlier field with the same array.
"""

from __future__ import annotations

import re
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from device_code import KERNELS

HEADER = (KERNELS / "batch_kernels.cuh").read_text()
FORMATS = {"std::uint32_t": "I", "std::size_t": "Q", "std::uint64_t": "Q"}
Words = np.ndarray
Fields = dict[str, "int | str | Words | None"]


def kernel_names() -> list[str]:
    [text] = re.findall(r"#define CIPHERLANE_KERNELS\(X\)(.*?)[^\\]\n", HEADER, re.S)
    return re.findall(r"  X\((\w+)\)", text + ")")


def fields_of(kernel: str) -> list[tuple[str, str]]:
    """Return type and name of each field; an array field as many times as it has elements."""
    [body] = re.findall(rf"^struct {kernel} {{\n(.*?)^}};", HEADER, re.M | re.S)
    fields = []
    for line in body.splitlines():
        declaration = re.fullmatch(r"  ([\w:]+(?:<.*>)?) ([\w, \[\]]+);(?:  //.*)?", line)
        if declaration is None or "(" in line:
            continue
        kind, names = declaration.groups()
        for name in names.split(", "):
            if "[kMostNumbers]" in name:
                fields += [(kind, f"{name.partition('[')[0]}{i}") for i in range(2)]
            else:
                fields.append((kind, name))
    return fields


def is_result(kind: str) -> bool:
    return kind == "WordPointer"


@dataclass(frozen=True)
class Call:
    """One launch of ``groups`` groups."""

    kernel: str
    groups: int
    fields: Fields

    def __post_init__(self) -> None:
        assert set(self.fields) == {name for _, name in fields_of(self.kernel)}, self.kernel

    def line(self, shape: tuple[int, int]) -> str:
        text = [self.kernel, *map(str, shape), format(self.groups, "x")]
        for _, name in fields_of(self.kernel):
            value = self.fields[name]
            if value is None:
                text.append("none")
            elif isinstance(value, str):
                text.append(f"={self.arrays().index(value)}")
            elif isinstance(value, int):
                text.append(format(value, "x"))
            else:
                text += [str(len(value)), format(int.from_bytes(value.astype("<u4").tobytes(), "little"), "x")]
        return " ".join(text)

    def arrays(self) -> list[str]:
        return [name for _, name in fields_of(self.kernel) if isinstance(self.fields[name], np.ndarray)]

    def results(self) -> list[str]:
        names = [name for kind, name in fields_of(self.kernel) if is_result(kind)]
        return [name for name in names if self.fields[name] is not None]

    def place(self) -> Placed:
        # The first 16 bytes are nobody's, so that no array is at address 0.
        parts, places, results, values, layout = [gap(4)], {}, {}, [], "@"  # "@": as C lays a struct out
        where = 4
        for kind, name in fields_of(self.kernel):
            value = self.fields[name]
            layout += FORMATS.get(kind, "Q")
            if isinstance(value, np.ndarray):
                # On 16 bytes, and at least as many to the next.
                parts += [value.astype(np.uint32), gap(4 + -len(value) % 4)]
                places[name] = 4 * where
                if is_result(kind):
                    results[name] = slice(where, where + len(value))
                where += len(parts[-2]) + len(parts[-1])
            elif isinstance(value, str):
                places[name] = places[value]
            values.append(places.get(name, 0 if value is None else value))
        usable = np.concatenate([np.full(len(part), i % 2 == 1) for i, part in enumerate(parts)])
        return Placed(np.concatenate(parts), usable, struct.pack(layout, *values), results)


def gap(words: int) -> Words:
    return np.full(words, 0x5AFE5AFE, dtype=np.uint32)


@dataclass(frozen=True)
class Placed:
    """A call's arrays in one memory with gaps between them, and the struct that points into it."""

    memory: Words
    usable: np.ndarray
    parameter: bytes
    results: dict[str, slice]


def run_on_host(program: Path, calls: list[Call], shape: tuple[int, int], mutant: int = 0) -> list[dict[str, Words]]:
    text = "".join(call.line(shape) + "\n" for call in calls)
    done = subprocess.run([str(program), str(mutant)], input=text, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == len(calls)
    answers = []
    for call, line in zip(calls, lines, strict=True):
        names, numbers = call.results(), line.split()
        assert len(names) == len(numbers)
        arrays = [np.frombuffer(bytes.fromhex(number)[::-1], dtype="<u4") for number in numbers]
        answers.append(dict(zip(names, arrays, strict=True)))
    return answers
