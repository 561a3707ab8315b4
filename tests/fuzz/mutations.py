"""Mutations of valid examples, the same for the same seed: what fuzzing does where there is no atheris."""

from __future__ import annotations

import random
from collections.abc import Iterator

_EDGES = (0x00, 0x01, 0x7F, 0x80, 0xC0, 0xC1, 0xCB, 0xDF, 0xFE, 0xFF)


def _changed(data: bytearray, other: bytes, source: random.Random) -> bytearray:
    at = source.randrange(len(data) + 1)
    length = min(len(data) - at, 1 << source.randrange(6))
    kind = source.randrange(8)
    if kind == 0 and at < len(data):
        data[at] ^= 1 << source.randrange(8)
    elif kind == 1 and at < len(data):
        data[at] = source.choice(_EDGES)
    elif kind == 2:
        data[at : at + length] = source.randbytes(length)
    elif kind == 3:
        del data[at : at + length]
    elif kind == 4:
        data[at:at] = data[at : at + length] * source.randrange(1, 4)
    elif kind == 5:
        start = source.randrange(len(other) + 1)
        data[at : at + length] = other[start : start + length]
    elif kind == 6:
        digits = [i for i, byte in enumerate(data) if chr(byte).isdigit()]
        if digits:
            data[source.choice(digits)] = source.choice(b"0123456789-.eEx")
    else:
        del data[at:]
    return data


def mutated(corpus: list[bytes], runs: int, seed: int) -> Iterator[bytes]:
    """Yield the corpus itself, the empty input, then ``runs`` inputs with one to four changes each."""
    source = random.Random(seed)
    yield from corpus
    yield b""
    for _ in range(runs):
        data = bytearray(source.choice(corpus))
        for _ in range(source.randrange(1, 5)):
            data = _changed(data, source.choice(corpus), source)
        yield bytes(data)
