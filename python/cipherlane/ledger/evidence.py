"""A run's transcript as an auditor reads it: each message under the commitment it falls under."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from cipherlane.errors import LedgerError
from cipherlane.ledger.digests import Crossing

_FIELDS = ("index", "sender", "receiver", "kind", "round", "sha256", "bytes", "commitment", "session")


@dataclass(frozen=True)
class Transcript:
    """The messages of a run by the number of their commitment.

    Attributes
    ----------
    commitments
        Messages in order, of the last session that worked on a commitment.
    lines
        How many messages the file lists.
    interrupted
        How many of them are of sessions that ended before their commitment: those rounds were done again.
    """

    commitments: dict[int, list[Crossing]]
    lines: int
    interrupted: int


def read_transcript(path: Path) -> Transcript:
    """Return the transcript in a file.

    Raises
    ------
    LedgerError
        A line is not what the run wrote there.
    """
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise LedgerError(f"{path}: no such file; the run's transcript was removed") from None
    except UnicodeDecodeError:
        raise LedgerError(f"{path}: not UTF-8 text; the transcript was changed") from None
    if text and not text.endswith("\n"):
        raise LedgerError(f"{path}: the last line is not whole; the transcript was changed or cut off")
    found: dict[int, tuple[int, list[Crossing]]] = {}
    lines = text.split("\n")[:-1]
    interrupted = 0
    last = (0, 0)
    for number, line in enumerate(lines):
        commitment, session, crossing = _entry(path, number, line)
        if (session, commitment) < last:
            raise LedgerError(f"{path}: line {number + 1}: belongs before the line above it; lines were moved")
        last = (session, commitment)
        known = found.get(commitment)
        if known is None or session > known[0]:
            interrupted += 0 if known is None else len(known[1])
            found[commitment] = (session, [])
        found[commitment][1].append(crossing)
    return Transcript({key: crossings for key, (_, crossings) in found.items()}, len(lines), interrupted)


def _entry(path: Path, number: int, line: str) -> tuple[int, int, Crossing]:
    try:
        values = json.loads(line)
        # Written again it must be the same text, so that no byte of the file is beyond notice.
        if json.dumps({name: values[name] for name in _FIELDS}) != line or values["index"] != number:
            raise ValueError("not as the run wrote it")
        for name in ("commitment", "session", "round", "bytes"):
            if isinstance(values[name], bool) or not isinstance(values[name], int):
                raise ValueError("not a number")
        crossing = Crossing(*(values[name] for name in ("sender", "receiver", "kind", "round", "sha256", "bytes")))
        crossing.leaf(b"")
    except (ValueError, KeyError, TypeError, RecursionError):
        raise LedgerError(f"{path}: line {number + 1}: not an entry as the run wrote it; it was changed") from None
    return values["commitment"], values["session"], crossing
