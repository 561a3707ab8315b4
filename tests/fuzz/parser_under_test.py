"""One parser to be fuzzed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Parser:
    """``parse`` reads bytes or raises one of ``refusals``; anything else that comes out is a finding."""

    name: str
    parse: Callable[[bytes], object]
    corpus: list[bytes]
    refusals: tuple[type[Exception], ...]


def as_text(read: Callable[[str], object]) -> Callable[[bytes], object]:
    """Return a function of bytes that gives ``read`` the text they stand for, whole or not."""
    return lambda data: read(data.decode("utf-8", "surrogatepass" if data[:1] == b"\xed" else "replace"))
