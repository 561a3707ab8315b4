"""Files that are whole or not there: written beside their place, flushed and renamed; failures name them."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from cipherlane.errors import StorageError

PRIVATE = 0o600
PUBLIC = 0o666
_UNFINISHED_SUFFIX = ".tmp"
# Where a FLARE site's data lie; default: the folder "cipherlane" beside its other local settings.
SITE_VARIABLE = "CIPHERLANE_SITE_DIR"


def site_directory(local: Path) -> Path:
    """Return where this FLARE site's data lie, given the folder of its local settings."""
    given = os.environ.get(SITE_VARIABLE)
    return Path(given) if given else local / "cipherlane"


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Turn an error of the operating system about `path` into `StorageError` with its name and a remedy."""
    try:
        yield
    except OSError as error:
        raise StorageError.about(path, error) from error


def make_directory(path: Path, mode: int = 0o777) -> None:
    """Make a directory and its parents, if it is not there."""
    with told(path):
        path.mkdir(mode=mode, parents=True, exist_ok=True)


def write_whole(path: Path, content: bytes | str, *, mode: int = PUBLIC) -> None:
    """Write `content` to `path`: a crash, a kill or a full disk leaves what was there before, or all of it.

    Of several that write at once, each writes its whole file, one after the other.

    Raises
    ------
    StorageError
        The directory is not there or read-only, the disk is full, or it fails.
    """
    unfinished = path.with_name(path.name + _UNFINISHED_SUFFIX)
    with told(path):
        with os.fdopen(_held(unfinished, mode), "wb") as stream:
            try:
                _write(stream, content)
                os.replace(unfinished, path)
            except OSError:
                unfinished.unlink(missing_ok=True)
                raise
        _flush_directory(path.parent)


def create_whole(path: Path, content: bytes | str, *, mode: int = PUBLIC) -> bool:
    """Write `content` to `path` unless something is there; return whether it was written.

    Of several processes that try at once, one writes and the others see its whole file.
    """
    unfinished = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}{_UNFINISHED_SUFFIX}")
    with told(path):
        try:
            with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as stream:
                _write(stream, content)
            os.link(unfinished, path)
        except FileExistsError:
            return False
        finally:
            unfinished.unlink(missing_ok=True)
        _flush_directory(path.parent)
    return True


def append_line(path: Path, line: str) -> None:
    """Append one line to a file; `drop_unfinished_line` removes what a crash left of one."""
    with told(path), path.open("a", encoding="utf-8") as stream:
        stream.write(line + "\n")


def drop_unfinished_line(path: Path) -> None:
    """Cut off a last line that was not finished."""
    with told(path), path.open("rb+") as stream:
        content = stream.read()
        if content and not content.endswith(b"\n"):
            stream.truncate(content.rfind(b"\n") + 1)


def take_lock(descriptor: int, operation: int) -> None:
    """Take the operating system's lock (`fcntl.flock`) on an open file, where its file system has any."""
    try:
        fcntl.flock(descriptor, operation)
    except OSError as error:
        # Network and user-space file systems may lack locks, or have them for files open to writing alone.
        if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF):
            raise


def _held(path: Path, mode: int) -> int:
    """Return a descriptor of an empty file at `path`, which nobody else writes until it is closed."""
    while True:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, mode)
        try:
            take_lock(descriptor, fcntl.LOCK_EX)
            # Whoever held it may have given it its name, or removed it, meanwhile.
            if _is_at(descriptor, path):
                os.ftruncate(descriptor, 0)
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _write(stream: BinaryIO, content: bytes | str) -> None:
    stream.write(content.encode() if isinstance(content, str) else content)
    stream.flush()
    os.fsync(stream.fileno())


def _flush_directory(path: Path) -> None:
    # Without this a power failure may forget a rename that later ones build on.
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
