"""One process at a time in a run's directory, one role at a time where several find or make theirs."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cipherlane.errors import StorageError
from cipherlane.files import take_lock, told

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
            take_lock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def check_not_held(directory: Path) -> None:
    """Raise `ValueError` if a process is working on the run in a directory, in which nothing is written.

    Whose files are somebody else's, and may not be opened, are taken as left alone.
    """
    path = directory / LOCK_FILE
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except (FileNotFoundError, PermissionError):
        return
    try:
        take_lock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ValueError(
            f"{directory}: {holder_of(path)} is working on this run; wait until it has ended or stopped"
        ) from None
    finally:
        os.close(descriptor)


def holder_of(path: Path) -> str:
    """Return what the holder of a lock has written into its file."""
    try:
        return path.read_text(encoding="utf-8") or "another process"
    except (OSError, UnicodeDecodeError):
        return "another process"


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
                f"{directory}: {holder_of(path)} is working on this run; wait until it has ended, or give another "
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
