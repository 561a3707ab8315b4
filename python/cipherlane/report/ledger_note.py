"""What a run's ledger says of it, for the report, from ``ledger.json`` in the run's directory.

The file is written by whoever keeps the ledger and by the audit::

    {
      "format": 1,
      "engine": "embedded",            // or "json-rpc"
      "chain": "0x5af3...",            // what tells this chain from others: its genesis hash or chain id
      "contract": "0x1c7b...",
      "height": 41,                    // of the head
      "head": "0x09ce...",             // hash of the head block
      "commits": 20,                   // of this run
      "audit": {                       // null before the first audit
        "passed": true,
        "checked": 163,                // things looked at
        "when": "2026-01-31T12:00:00Z",
        "problems": []                 // what did not hold, in words
      }
    }
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from cipherlane.files import write_whole
from cipherlane.report.run_files import read_json

LEDGER_FILE = "ledger.json"
LEDGER_FORMAT = 1


@dataclass(frozen=True)
class Audit:
    """The result of an audit."""

    passed: bool
    checked: int
    when: str
    problems: tuple[str, ...]


@dataclass(frozen=True)
class LedgerNote:
    """Where the ledger of a run stood when the run ended, and its last audit."""

    engine: str
    chain: str
    contract: str
    height: int
    head: str
    commits: int
    audit: Audit | None


def write_ledger_note(run: Path, note: LedgerNote) -> None:
    """Write ``ledger.json`` into a run's directory."""
    write_whole(run / LEDGER_FILE, json.dumps({"format": LEDGER_FORMAT, **asdict(note)}, indent=2) + "\n")


def note_audit(run: Path, audit: Audit) -> None:
    """Put the result of an audit into a run's ``ledger.json``; a run that has not ended has none."""
    path = run / LEDGER_FILE
    if path.is_file():
        write_ledger_note(run, replace(ledger_note(read_json(path), path), audit=audit))


def ledger_note(content: Mapping[str, Any], path: Path) -> LedgerNote:
    """Return what ``ledger.json`` holds.

    Raises
    ------
    ValueError
        It is of another format or lacks a field.
    """
    if content.get("format") != LEDGER_FORMAT:
        raise ValueError(f"{path}: format {content.get('format')!r} is not one this software reads")
    try:
        audit = content["audit"]
        return LedgerNote(
            engine=str(content["engine"]),
            chain=str(content["chain"]),
            contract=str(content["contract"]),
            height=int(content["height"]),
            head=str(content["head"]),
            commits=int(content["commits"]),
            audit=None
            if audit is None
            else Audit(
                bool(audit["passed"]), int(audit["checked"]), str(audit["when"]), tuple(map(str, audit["problems"]))
            ),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: lacks what the report needs ({error}); the run's files were changed") from None
