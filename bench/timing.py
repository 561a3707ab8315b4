"""Timing shared by the benchmarks: CPU seconds, ours and the peer's in turn, medians of the rounds."""

from __future__ import annotations

import json
import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any


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


def cpu_seconds(work: Callable[[], Any]) -> float:
    """CPU time of this process for one call of ``work``."""
    start = time.process_time()
    work()
    return time.process_time() - start


def compare(
    operation: str,
    conditions: str,
    ours: Callable[[], Any],
    ours_count: int,
    peer_name: str,
    peer: Callable[[], Any],
    peer_count: int,
    *,
    rounds: int,
    target: float | None = None,
) -> Row:
    """Time both in turn ``rounds`` times, after one call each that is not counted."""
    ours()
    peer()
    ours_rates, peer_rates, ratios = [], [], []
    for _ in range(rounds):
        ours_rates.append(ours_count / cpu_seconds(ours))
        peer_rates.append(peer_count / cpu_seconds(peer))
        ratios.append(ours_rates[-1] / peer_rates[-1])
    return Row(
        operation,
        conditions,
        statistics.median(ours_rates),
        peer_name,
        statistics.median(peer_rates),
        statistics.median(ratios),
        min(ratios),
        max(ratios),
        target,
    )


def processor() -> str:
    """The processor's name, where the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def commit() -> str:
    """The checkout's commit, with a mark when files differ from it."""
    result = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12"],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent,
        check=False,
    )
    return result.stdout.strip() or "unknown"


def environment() -> dict[str, str]:
    """What a figure depends on."""
    return {
        "processor": processor(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "commit": commit(),
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
