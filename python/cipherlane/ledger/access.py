"""How a data party's operator grants or revokes access while a run is on: a wish beside the party's copy.

The running party puts it on the ledger with its own account, and refuses rounds from the moment it is there.
"""

from __future__ import annotations

import json
from pathlib import Path

from cipherlane.errors import LedgerError
from cipherlane.files import write_whole

_WISH_FILE = "access.json"
REVOKED = 0


def request_access(directory: Path, expiry: int) -> Path:
    """Write the wish that access ends at `expiry` (seconds since 1970; 0: now) and return its file.

    Raises
    ------
    ValueError
        The directory is not that of a party's ledger.
    """
    if not directory.is_dir():
        raise ValueError(f"{directory}: no ledger of a party lies there; give the run's directory and the party's name")
    path = directory / _WISH_FILE
    write_whole(path, json.dumps({"expiry": expiry}) + "\n")
    return path


def requested_access(directory: Path) -> int | None:
    """Return the expiry wished for, or None where there is no wish."""
    path = directory / _WISH_FILE
    if not path.is_file():
        return None
    try:
        expiry = json.loads(path.read_text(encoding="utf-8"))["expiry"]
        if isinstance(expiry, bool) or not isinstance(expiry, int) or not 0 <= expiry < 1 << 63:
            raise ValueError("expected an integer")
    except (ValueError, KeyError, TypeError, RecursionError):
        raise LedgerError(f'{path}: expected {{"expiry": SECONDS}}; use `cipherlane access`') from None
    return expiry


def fulfil(directory: Path) -> None:
    """Remove a wish that the ledger now holds."""
    (directory / _WISH_FILE).unlink(missing_ok=True)
