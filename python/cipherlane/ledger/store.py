"""The records of a copy of the chain in SQLite, each checked whenever it is read."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eth.db.atomic import AtomicDB
from eth.db.backends.base import BaseDB
from eth_hash.auto import keccak

from cipherlane.errors import LedgerError, StorageError
from cipherlane.ledger import keep_recursion_limit

keep_recursion_limit()

_HASH_BYTES = 32
_DIGEST_BYTES = 16
# SQLite's words for what the operating system told it about a file; 3.10 has no codes of its errors.
_STORAGE = {
    "database or disk is full": errno.ENOSPC,
    "attempt to write a readonly database": errno.EROFS,
    "unable to open database file": errno.EACCES,
    "disk I/O error": errno.EIO,
}
# Records read or written lately are kept in memory, some megabytes of them.
_MOST_KEPT = 16_384


def _digest(key: bytes, value: bytes) -> bytes:
    return hashlib.blake2b(len(key).to_bytes(4, "big") + key + value, digest_size=_DIGEST_BYTES).digest()


class RecordStore(BaseDB):
    """Keys and values in one SQLite file, as py-evm wants them.

    py-evm serves whatever its database holds. Here a value stands with a digest of its key and itself, and
    under a key of 32 bytes, as block headers, parts of tries and code have, it must also hash to that key:
    what was edited in the file is refused, not served.

    Parameters
    ----------
    path
        The file, made if it is not there; None keeps everything in memory.

    Raises
    ------
    LedgerError
        The file is no SQLite database.
    StorageError
        It cannot be made, read or written.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._kept: dict[bytes, bytes] = {}
        try:
            # Calls to one role come one at a time, though not always from the same thread of an engine.
            self._connection = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False)
            # A write-ahead log: what was being written when the process was killed is gone as a whole.
            self._connection.execute("pragma journal_mode = wal")
            # Every block reaches the disk before the next step: a power failure leaves no ledger behind its run.
            self._connection.execute("pragma synchronous = full")
            self._connection.execute(
                "create table if not exists records (key blob primary key, value blob not null, digest blob not null) "
                "without rowid"
            )
        except sqlite3.DatabaseError as error:
            self._refuse_storage(error)
            raise LedgerError(f"{path}: not a chain's database ({error}); restore it from a member's copy") from error

    @classmethod
    def duplicate(cls, path: Path) -> RecordStore:
        """Return the records of a file in memory; the file stays as it is.

        Raises
        ------
        LedgerError
            There is no such file.
        """
        if not path.is_file():
            raise LedgerError(f"{path}: no such file; it is a member's copy of the chain")
        store = cls(None)
        store.path = path
        # Even a database opened for reading gets files beside it, so a copy is opened, with what a killed process
        # left in the write-ahead log.
        with tempfile.TemporaryDirectory() as directory:
            for name in (path.name, path.name + "-wal"):
                if (path.parent / name).is_file():
                    shutil.copyfile(path.parent / name, Path(directory) / name)
            source = sqlite3.connect(Path(directory) / path.name)
            try:
                source.backup(store._connection)
            finally:
                source.close()
        return store

    def __getitem__(self, key: bytes) -> bytes:
        """Return the value under `key` after checking it."""
        if key in self._kept:
            return self._kept[key]
        # As bytes, whatever an editor may have left in their place.
        rows = self._execute("select cast(value as blob), cast(digest as blob) from records where key = ?", key)
        row = rows.fetchone()
        if row is None:
            raise KeyError(key)
        value: bytes = row[0]
        self._check(key, value, row[1])
        self._keep(key, value)
        return value

    def __setitem__(self, key: bytes, value: bytes) -> None:
        """Write one record."""
        self._execute("insert or replace into records values (?, ?, ?)", key, bytes(value), _digest(key, value))
        self._keep(key, bytes(value))

    def __delitem__(self, key: bytes) -> None:
        """Remove one record."""
        self._execute("delete from records where key = ?", key)
        self._kept.pop(key, None)

    def _exists(self, key: bytes) -> bool:
        return self._execute("select 1 from records where key = ?", key).fetchone() is not None

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Write what the body writes whole or not at all."""
        self._execute("begin immediate")
        try:
            yield
        except BaseException:
            # SQLite has rolled back by itself where it found no room.
            if self._connection.in_transaction:
                self._execute("rollback")
            self._kept.clear()
            raise
        self._execute("commit")

    def check_all(self) -> int:
        """Check every record and return how many there are."""
        count = 0
        everything = "select cast(key as blob), cast(value as blob), cast(digest as blob) from records order by key"
        for key, value, digest in self._execute(everything):
            self._check(key, value, digest)
            count += 1
        return count

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _execute(self, statement: str, *values: bytes) -> sqlite3.Cursor:
        try:
            return self._connection.execute(statement, values)
        except sqlite3.DatabaseError as error:
            self._refuse_storage(error)
            raise LedgerError(
                f"{self.path}: {error}; check who else has the file open, or restore it from a member's copy"
            ) from error

    def _refuse_storage(self, error: sqlite3.DatabaseError) -> None:
        """Raise `StorageError` where it is the disk that fails, which a resumed run may get over."""
        code = _STORAGE.get(str(error))
        if code is not None:
            path = self.path or Path(":memory:")
            raise StorageError.about(path, OSError(code, os.strerror(code))) from error

    def _keep(self, key: bytes, value: bytes) -> None:
        if len(self._kept) >= _MOST_KEPT:
            self._kept.clear()
        self._kept[key] = value

    def _check(self, key: bytes, value: bytes, digest: bytes) -> None:
        if digest != _digest(key, value) or (len(key) == _HASH_BYTES and keccak(value) != key):
            raise LedgerError(
                f"{self.path}: record {_shown(key)} was changed after it was written; "
                "restore the file from a member's copy"
            )


class AtomicRecordStore(AtomicDB):
    """The same with py-evm's batches on top."""

    def __init__(self, records: RecordStore) -> None:
        super().__init__(records)
        self.records = records


def _shown(key: bytes) -> str:
    return key.decode("ascii") if key.isascii() and key.decode("ascii").isprintable() else key.hex()
