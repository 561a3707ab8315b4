"""One process at a time in a run's directory, one role at a time where several find or make theirs."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cipherlane.errors import StorageError
from cipherlane.files import told

LOCK_FILE = "lock"
# No run can have this name.
_WAITED_FOR = ".lock"


@contextmanager
def one_at_a_time(directory: Path) -> Iterator[None]:
    """Hold a directory for moments, once every other thread and process that holds it so has let go.

    Raises
    ------
    StorageError
        The file ``.lock`` cannot be made in it.
    """
    path = directory / _WAITED_FOR
    with told(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        with told(path):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


class DirectoryLock:
    """Holds a directory for this process until it lets go or ends, in whatever way it ends.

    The lock is the operating system's on the file ``lock``, so a killed process leaves none behind.

    Raises
    ------
    ValueError
        Another process holds the directory, or it is no longer there.
    StorageError
        The file cannot be made.
    """

    def __init__(self, directory: Path) -> None:
        path = directory / LOCK_FILE
        try:
            self._descriptor = self._opened(path)
        except BlockingIOError:
            raise ValueError(
                f"{directory}: {self._holder(path)} is working on this run; wait until it has ended, or give another "
                "directory with --out"
            ) from None
        except FileNotFoundError:
            raise ValueError(f"{directory}: another process has just finished or removed this run") from None
        except OSError as error:
            raise StorageError.about(path, error) from error

    def remove(self, directory: Path) -> None:
        """Remove the file from the directory, which by now may have this other name; it stays held until `close`."""
        (directory / LOCK_FILE).unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the directory."""
        os.close(self._descriptor)

    @staticmethod
    def _opened(path: Path) -> int:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever held it may have moved or removed the directory between the two lines above.
            if os.stat(path).st_ino != os.fstat(descriptor).st_ino:
                raise FileNotFoundError(path)
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode())
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    @staticmethod
    def _holder(path: Path) -> str:
        try:
            return path.read_text(encoding="utf-8") or "another process"
        except (OSError, UnicodeDecodeError):
            return "another process"
