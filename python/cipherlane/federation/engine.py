"""How calls reach roles: the seam every engine fills, the local engine, and the transcript it keeps."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from cipherlane.errors import ProtocolError
from cipherlane.files import append_line, drop_unfinished_line, told
from cipherlane.ledger.digests import is_witnessed
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
    implement these three members; the coordinator and the roles stay as they are.
    """

    @property
    def concurrent(self) -> bool:
        """Whether the roles of one `call_all` work at the same time."""

    @property
    def roles(self) -> Mapping[str, str]:
        """Every role's kind ("arbiter", "guest", "host") by its name."""

    def call_all(self, method: str, requests: Mapping[str, bytes]) -> dict[str, bytes]:
        """Call `method` of every role named in `requests` and return their replies by name."""


@dataclass(frozen=True)
class TranscriptEntry:
    """One message that crossed: who to whom, what kind and round, its SHA-256 and its size.

    With a ledger also the number of the commitment it falls under and of the session it crossed in: a session
    that was interrupted leaves messages that no commitment holds.
    """

    index: int
    sender: str
    receiver: str
    kind: str
    round: int
    sha256: str
    bytes: int
    commitment: int | None = None
    session: int | None = None

    def line(self) -> str:
        """Return the entry as its line in a transcript's file."""
        return json.dumps({name: value for name, value in asdict(self).items() if value is not None})


class Transcript:
    """The record of every message of a run, in order.

    Parameters
    ----------
    path
        A file to append entries to as JSON lines; entries already in it are counted.
    keep_messages
        Also keep every message whole, in memory, for the leak check.
    watch
        Called with every entry as it is recorded.

    Attributes
    ----------
    entries
        The messages recorded by this object.
    messages
        Their bytes, if kept.
    ledger_entries, ledger_messages
        The same for messages that carry the ledger's own blocks and transactions. They stand in no file: what is
        in them, the ledger holds.
    count, total_bytes
        How many messages the run has seen and their size, with those of earlier sessions in the file.
    commitment
        The number of the commitment that messages now fall under; None without a ledger.
    last_commitment
        The highest such number in the file as it was found; None if it had none.
    """

    def __init__(
        self,
        path: Path | None = None,
        *,
        keep_messages: bool = False,
        watch: Callable[[TranscriptEntry], None] | None = None,
    ) -> None:
        self.entries: list[TranscriptEntry] = []
        self.messages: list[bytes] = []
        self.ledger_entries: list[TranscriptEntry] = []
        self.ledger_messages: list[bytes] = []
        self.commitment: int | None = None
        self.last_commitment: int | None = None
        self._session = 1
        self._path = path
        self._keep_messages = keep_messages
        self._watch = watch
        self.count = 0
        self.total_bytes = 0
        if path is not None and path.exists():
            self._take_in(path)

    def _take_in(self, path: Path) -> None:
        """Count what an earlier session wrote; a line that it did not finish never counted."""
        drop_unfinished_line(path)
        with told(path):
            lines = path.read_bytes().splitlines()
        for number, line in enumerate(lines, start=1):
            try:
                entry = json.loads(line)
                self.total_bytes += entry["bytes"]
                self._session = max(self._session, entry.get("session", 0) + 1)
                if "commitment" in entry:
                    self.last_commitment = max(self.last_commitment or 0, entry["commitment"])
            except (ValueError, KeyError, TypeError, AttributeError):
                raise ValueError(f"{path}: line {number}: not an entry of a transcript; the file was changed") from None
        self.count = len(lines)

    def record(self, sender: str, receiver: str, data: bytes, *, answers: str | None = None) -> None:
        """Append one message, which answers another of the kind `answers` if it answers any."""
        kind, round_number = peek(data)
        entry = TranscriptEntry(
            self.count,
            sender,
            receiver,
            kind,
            round_number,
            hashlib.sha256(data).hexdigest(),
            len(data),
            self.commitment,
            None if self.commitment is None else self._session,
        )
        # A role that refuses a message of the ledger commits to that as little as to the message.
        if not is_witnessed(kind) or not is_witnessed(answers or kind):
            self.ledger_entries.append(entry)
            if self._keep_messages:
                self.ledger_messages.append(data)
            return
        self.entries.append(entry)
        self.count += 1
        self.total_bytes += entry.bytes
        if self._keep_messages:
            self.messages.append(data)
        if self._path is not None:
            append_line(self._path, entry.line())
        if self._watch is not None:
            self._watch(entry)


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
    def concurrent(self) -> bool:
        """False: one role after the other."""
        return False

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
            self.transcript.record(name, COORDINATOR, replies[name], answers=method)
        return replies
