"""Where a run's model comes from: its version, and the one that it was trained on from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cipherlane.errors import LedgerError
from cipherlane.ledger.digests import salted
from cipherlane.ledger.run_files import METRICS_FILE, RUN_FILE, version_file

_DIGEST_BYTES = 32


@dataclass(frozen=True)
class Lineage:
    """What a model's version says of those before it.

    Attributes
    ----------
    version
        1 for a model that was trained anew, else one more than its parent's.
    parent
        The digest of the version it was trained on from, 32 bytes; None for one that was trained anew.
    """

    version: int = 1
    parent: bytes | None = None

    def parent_digest(self, salt: bytes) -> bytes:
        """Return what stands for the parent on the ledger: 32 zeros where there is none."""
        return bytes(_DIGEST_BYTES) if self.parent is None else salted(salt, "parent", self.parent)


TRAINED_ANEW = Lineage()


def read_lineage(run: Path) -> Lineage | None:
    """Return what a run's directory says of its model's lineage; None where the models lie elsewhere.

    Raises
    ------
    LedgerError
        Its files do not agree: with each other, or with the version it was trained on from where that lies here.
    """
    path = version_file(run)
    told = _read(run / METRICS_FILE).get("model") if (run / METRICS_FILE).is_file() else None
    if not path.is_file():
        if told is not None:
            raise LedgerError(f"{path}: no such file; the run had one, which was removed")
        return None
    stated = _read(path)
    lineage = _lineage(path, stated)
    if told != {name: stated.get(name) for name in ("version", "number", "parent")}:
        raise LedgerError(f"{path}: is not the version that {METRICS_FILE} names; one of the two was changed")
    before = parent_run(run)
    if before is not None and version_file(before).is_file():
        parent = _read(version_file(before))
        if (parent.get("version"), parent.get("number")) != (stated["parent"], lineage.version - 1):
            raise LedgerError(f"{version_file(before)}: is not the version that {run} was trained on from")
    return lineage


def parent_run(run: Path) -> Path | None:
    """Return the directory of the run that this one was trained on from, as the run noted it."""
    path = run / RUN_FILE
    noted = _read(path).get("parent") if path.is_file() else None
    return Path(noted) if isinstance(noted, str) else None


def _lineage(path: Path, stated: dict[str, Any]) -> Lineage:
    number, parent = stated.get("number"), stated.get("parent")
    if isinstance(number, bool) or not isinstance(number, int) or number < 1 or (number == 1) != (parent is None):
        raise LedgerError(f"{path}: expected a version's number and parent; it was changed")
    if parent is None:
        return Lineage()
    try:
        digest = bytes.fromhex(parent)
        if len(digest) != _DIGEST_BYTES:
            raise ValueError("another length")
    except (TypeError, ValueError):
        raise LedgerError(f"{path}: expected the digest of the version before; it was changed") from None
    return Lineage(number, digest)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes().decode("utf-8"))
        if not isinstance(content, dict):
            raise ValueError("no object")
    except (ValueError, RecursionError):
        raise LedgerError(f"{path}: not a JSON object; it was changed") from None
    return content
