"""The coordinator's reports of a run, as lines of a file: written at FLARE's server, read by who started the run."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cipherlane.federation.coordinator import RoundRecord
from cipherlane.federation.engine import TranscriptEntry
from cipherlane.federation.run_session import Progress
from cipherlane.vertical.messages import error_named

# In FLARE's folder of the job, which FLARE keeps for whoever submitted it.
RESULT_DIRECTORY = "cipherlane"
RUN_DIRECTORY = "run"
PROGRESS_FILE = "progress.jsonl"
# Under which FLARE's administrator asks a running job for its reports.
PROGRESS_TOPIC = "cipherlane_progress"
SCORES_FILE = "scores.json"


_FAILURE = b'{"error"'


class ReportWriter:
    """Writes what happens in a run to a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def tell(self, event: Progress) -> None:
        """Write one step of a run."""
        fields: dict[str, Any] = {"stage": event.stage}
        if event.record is not None:
            fields["record"] = asdict(event.record)
        if event.message is not None:
            fields["message"] = asdict(event.message)
        self._write(fields)

    def fail(self, error: Exception) -> None:
        """Write how the run failed."""
        self._write({"error": type(error).__name__, "text": str(error)})

    def since(self, start: int) -> bytes:
        """Return the whole lines from byte `start` on, without that of a failure: who asks gets it at the end."""
        if not self._path.exists():
            return b""
        whole, newline, _ = self._path.read_bytes()[start:].rpartition(b"\n")
        lines = (whole + newline).splitlines(keepends=True)
        return b"".join(line for line in lines if not line.startswith(_FAILURE))

    def _write(self, fields: dict[str, Any]) -> None:
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(fields) + "\n")


class ReportReader:
    """Passes on what a `ReportWriter` writes, as far as it has come; raises the error of a run that failed."""

    def __init__(self, tell: Callable[[Progress], None]) -> None:
        self._tell = tell
        self._read = 0

    @property
    def position(self) -> int:
        """How many bytes of the report have been read."""
        return self._read

    def follow(self, path: Path) -> None:
        """Pass on the whole lines that were added since the last call."""
        whole, newline, _ = path.read_bytes()[self._read :].rpartition(b"\n")
        self.take(whole + newline)

    def take(self, lines: bytes) -> None:
        """Pass on whole lines, which follow those before."""
        self._read += len(lines)
        for line in lines.splitlines():
            self._pass_on(json.loads(line))

    def _pass_on(self, fields: dict[str, Any]) -> None:
        if "error" in fields:
            raise error_named(fields["error"])(fields["text"])
        record, message = fields.get("record"), fields.get("message")
        self._tell(
            Progress(
                fields["stage"],
                None if record is None else RoundRecord(**record),
                None if message is None else TranscriptEntry(**message),
            )
        )
