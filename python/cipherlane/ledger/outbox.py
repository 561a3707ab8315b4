"""What a member has signed for a network and may not have sent yet, kept over the end of its process."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cipherlane.errors import LedgerError
from cipherlane.files import PRIVATE, write_whole

_FIELDS = {"step", "transactions"}


@dataclass(frozen=True)
class Signed:
    """One step's signed transactions; both are empty where none is kept."""

    step: str = ""
    transactions: tuple[bytes, ...] = ()


class Outbox:
    """The transactions of the last step, in a file.

    A network takes transactions one by one. So that a step is done by all members or by none, each keeps what it
    signed here before the first is sent, until the next step: after an interruption the members can tell whether all
    had come so far, and then finish it together.

    Parameters
    ----------
    path
        The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def keep(self, step: str, transactions: Sequence[bytes]) -> None:
        """Keep a step's transactions in the place of those before."""
        content = {"step": step, "transactions": [raw.hex() for raw in transactions]}
        write_whole(self._path, json.dumps(content) + "\n", mode=PRIVATE)

    def forget(self) -> None:
        """Keep nothing."""
        self._path.unlink(missing_ok=True)

    def read(self) -> Signed:
        """Return what is kept.

        Raises
        ------
        LedgerError
            The file was changed.
        """
        if not self._path.is_file():
            return Signed()
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
            if set(content) != _FIELDS or not isinstance(content["step"], str):
                raise ValueError("other fields")
            return Signed(content["step"], tuple(bytes.fromhex(raw) for raw in content["transactions"]))
        except (ValueError, TypeError, RecursionError):
            raise LedgerError(f"{self._path}: not what this member wrote there; put it back from a copy") from None
