"""The errors that Cipherlane raises beside the built-in ``TypeError`` and ``ValueError``."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from pathlib import Path

_REMEDIES: Mapping[int | None, str] = {
    errno.ENOSPC: "free some space on that disk, or give a directory on another",
    errno.EDQUOT: "free some space, or have the quota raised",
    errno.EFBIG: "the limit on the size of files is too low; have it raised",
    errno.EROFS: "give a directory on a disk that can be written to",
    errno.EACCES: "give a directory that you may write to",
    errno.EPERM: "give a directory that you may write to",
}
_OTHER_REMEDY = "check the path and the disk it lies on"


class CipherlaneError(Exception):
    """Base of every error that is Cipherlane's own."""


class KeyMismatchError(CipherlaneError, ValueError):
    """A ciphertext, key or message belongs to another key."""


class PlaintextOverflowError(CipherlaneError, OverflowError):
    """A value, or a bound on what a sum of values may reach, does not fit the plaintext space."""


class BackendUnavailableError(CipherlaneError):
    """A backend was asked for by name and cannot be used on this machine."""


class MissingExtraError(CipherlaneError, ImportError):
    """A package is not installed that only one of the extras brings."""


class ProtocolError(CipherlaneError):
    """A party sent something that the protocol does not allow at that point."""


class LedgerError(ProtocolError):
    """The ledger refuses something, or is not what it should be."""


class StorageError(CipherlaneError):
    """A file could not be written or read: no space, no permission, or a disk that fails."""

    @classmethod
    def about(cls, path: Path, error: OSError) -> StorageError:
        """Return the error that says what the operating system said about `path`."""
        text = error.strerror or str(error)
        return cls(f"{path}: {text[0].lower()}{text[1:]}; {_REMEDIES.get(error.errno, _OTHER_REMEDY)}")
