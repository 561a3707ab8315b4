"""Rows of a benchmark as text and JSON, with what they depend on."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from cipherlane.benchmark.machine import commit, processor


@dataclass(frozen=True)
class Row:
    """One line of a benchmark: operations a second of one core, ours beside a peer's."""

    operation: str
    conditions: str
    ours_per_second: float
    peer: str
    peer_per_second: float
    ratio: float
    ratio_low: float
    ratio_high: float
    target: float | None = None


def environment() -> dict[str, str]:
    """What a figure depends on."""
    return {
        "processor": processor(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "commit": commit() or "unknown",
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
    }


def table(rows: list[Row]) -> str:
    """The rows as aligned text."""
    head = ("operation", "conditions", "ours/s", "peer", "peer/s", "ratio", "low..high", "target")
    lines = [head]
    for row in rows:
        lines.append(
            (
                row.operation,
                row.conditions,
                f"{row.ours_per_second:,.0f}",
                row.peer,
                f"{row.peer_per_second:,.0f}",
                f"{row.ratio:.2f}x",
                f"{row.ratio_low:.2f}..{row.ratio_high:.2f}",
                "" if row.target is None else f">= {row.target:g}x",
            )
        )
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def write_json(path: Path, rows: list[Row], **extra: Any) -> None:
    """Write the rows with their environment."""
    document = {"environment": environment(), **extra, "rows": [asdict(row) for row in rows]}
    path.write_text(json.dumps(document, indent=1) + "\n")
