"""How calls reach roles: the seam every engine fills, the local engine, and the transcript it keeps."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from cipherlane.errors import ProtocolError
from cipherlane.vertical.messages import COORDINATOR
from cipherlane.vertical.wire import peek


class Role(Protocol):
    """An arbiter or data party, as an engine sees it: methods by name, bytes in, bytes out."""

    name: str
    role: str

    def call(self, method: str, data: bytes) -> bytes:
        """Answer the message `data` of kind `method` with a message."""


class Engine(Protocol):
    """Carries the coordinator's calls to roles, wherever they run.

    An engine knows nothing of what the bytes hold. Adding one (for roles on other machines) means to
    implement these two members; the coordinator and the roles stay as they are.
    """

    @property
    def roles(self) -> Mapping[str, str]:
        """Every role's kind ("arbiter", "guest", "host") by its name."""

    def call_all(self, method: str, requests: Mapping[str, bytes]) -> dict[str, bytes]:
        """Call `method` of every role named in `requests` and return their replies by name."""


@dataclass(frozen=True)
class TranscriptEntry:
    """One message that crossed: who to whom, what kind and round, its SHA-256 and its size."""

    index: int
    sender: str
    receiver: str
    kind: str
    round: int
    sha256: str
    bytes: int


class Transcript:
    """The record of every message of a run, in order.

    Parameters
    ----------
    path
        A file to append entries to as JSON lines; entries already in it are counted.
    keep_messages
        Also keep every message whole, in memory, for the leak check.

    Attributes
    ----------
    entries
        The messages recorded by this object.
    messages
        Their bytes, if kept.
    count, total_bytes
        How many messages the run has seen and their size, with those of earlier sessions in the file.
    """

    def __init__(self, path: Path | None = None, *, keep_messages: bool = False) -> None:
        self.entries: list[TranscriptEntry] = []
        self.messages: list[bytes] = []
        self._path = path
        self._keep_messages = keep_messages
        self.count = 0
        self.total_bytes = 0
        if path is not None and path.exists():
            self._take_in(path)

    def _take_in(self, path: Path) -> None:
        """Count what an earlier session wrote; a line that it did not finish never counted."""
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        if lines and not lines[-1].endswith("\n"):
            path.write_text("".join(lines[:-1]), encoding="utf-8")
            del lines[-1]
        for number, line in enumerate(lines, start=1):
            try:
                self.total_bytes += json.loads(line)["bytes"]
            except (ValueError, KeyError, TypeError):
                raise ValueError(f"{path}: line {number}: not an entry of a transcript; the file was changed") from None
        self.count = len(lines)

    def record(self, sender: str, receiver: str, data: bytes) -> None:
        """Append one message."""
        kind, round_number = peek(data)
        entry = TranscriptEntry(
            self.count,
            sender,
            receiver,
            kind,
            round_number,
            hashlib.sha256(data).hexdigest(),
            len(data),
        )
        self.entries.append(entry)
        self.count += 1
        self.total_bytes += entry.bytes
        if self._keep_messages:
            self.messages.append(data)
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(asdict(entry)) + "\n")


class LocalEngine:
    """Runs every role in this process, one after the other, still passing nothing but bytes.

    Parameters
    ----------
    roles
        The arbiter and the data parties.
    transcript
        Where every request and reply is recorded.
    """

    def __init__(self, roles: list[Role], transcript: Transcript | None = None) -> None:
        self._roles = {role.name: role for role in roles}
        if len(self._roles) != len(roles) or COORDINATOR in self._roles:
            raise ValueError('roles: expected different names, none of them "coordinator"')
        self.transcript = transcript or Transcript()

    @property
    def roles(self) -> Mapping[str, str]:
        """Every role's kind by its name."""
        return {name: role.role for name, role in self._roles.items()}

    def call_all(self, method: str, requests: Mapping[str, bytes]) -> dict[str, bytes]:
        """Call `method` of every role named in `requests`, in order, and return their replies."""
        replies: dict[str, bytes] = {}
        for name, data in requests.items():
            if name not in self._roles:
                raise ProtocolError(f"engine: expected one of the roles {sorted(self._roles)}, got {name!r}")
            self.transcript.record(COORDINATOR, name, data)
            replies[name] = self._roles[name].call(method, data)
            self.transcript.record(name, COORDINATOR, replies[name])
        return replies
