"""Sealed files, which only their owner opens, and changing the key they are sealed with."""

from __future__ import annotations

import fcntl
import os
import secrets
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cipherlane.files import PRIVATE, make_directory, take_lock, told, write_whole
from cipherlane.vertical.seal_keys import FileKey, SealKey

KEY_FILE = "seal.key"
_MAGIC = b"CLSEAL2\n"
_NONCE_BYTES = 12
_SUFFIX = ".sealed"


class InUse:
    """Keeps the keys of a directory's sealed files from being changed until it is closed; any number may at once.

    The lock is the operating system's on the directory, so a killed process leaves none behind.

    Raises
    ------
    ValueError
        The keys are being changed.
    StorageError
        The directory cannot be made or read.
    """

    def __init__(self, directory: Path) -> None:
        make_directory(directory, 0o700)
        try:
            self._descriptor = _locked(directory, fcntl.LOCK_SH)
        except BlockingIOError:
            raise ValueError(
                f"{directory}: the key of these files is being changed; wait until `cipherlane rotate-key` has ended"
            ) from None

    def close(self) -> None:
        """Let the keys be changed."""
        os.close(self._descriptor)


class SealedStore:
    """A directory of files sealed with AES-256-GCM under one key.

    Parameters
    ----------
    directory
        Where the sealed files lie; made with mode 0700 if it is not there.
    key
        The key, or the path of its file; made if it is not there. Default: the file ``seal.key`` in `directory`.
        Put it on other storage than the directory: whoever reads both reads the data.
    context
        What the files belong to, a run's id for example: a file that was sealed in another context does not open.

    Raises
    ------
    ValueError
        The key cannot be had, is not 32 bytes long, or others may read its file.
    StorageError
        The directory or the key cannot be written or read.
    """

    def __init__(self, directory: Path, key: SealKey | Path | None = None, context: str = "") -> None:
        self.directory = directory
        self._context = context.encode()
        make_directory(directory, 0o700)
        source = directory / KEY_FILE if key is None else key
        if isinstance(source, Path):
            source = FileKey(source)
        self._key = source.load_or_make()

    def write(self, name: str, content: bytes) -> Path:
        """Seal `content` into the file `name`, whole or not at all, and return its path."""
        path = self.directory / name
        write_whole(path, _sealed(content, name, self._context, self._key), mode=PRIVATE)
        return path

    def read(self, name: str) -> bytes:
        """Return the content of the sealed file `name`.

        Raises
        ------
        ValueError
            The file is not there, was changed, or was sealed with another key or for another run.
        StorageError
            It cannot be read.
        """
        path = self.directory / name
        if not path.is_file():
            raise ValueError(
                f"{path}: expected a sealed file, found none; put it back from a copy, or start the run anew"
            )
        found = _SealedFile.read(path)
        if found.context != self._context:
            raise ValueError(f"{path}: sealed for another run; put the file back from a copy of this one")
        return found.opened(self._key)

    def names(self, prefix: str) -> list[str]:
        """Return the names of the files that start with `prefix`, sorted."""
        return sorted(path.name for path in self.directory.glob(prefix + "*") if path.suffix == _SUFFIX)

    def remove(self, name: str) -> None:
        """Delete one sealed file."""
        with told(self.directory / name):
            (self.directory / name).unlink(missing_ok=True)


def rotate(directory: Path, key: SealKey, new_key: SealKey | None = None) -> int:
    """Seal every file below a directory with another key, and return how many there are.

    Killed at any moment, the same call finishes what was begun: each file opens with one of the two keys, and the new
    one replaces the old when all are sealed with it.

    Parameters
    ----------
    directory
        Where the files lie, in whatever depth.
    key
        The key they are sealed with.
    new_key
        The key to seal them with; default: a fresh one that takes the place of `key`.

    Raises
    ------
    ValueError
        A file opens with neither key; it is named, and all files keep the key they have. Or a run is using them.
    """
    files = sorted(directory.rglob("*" + _SUFFIX))
    with ExitStack() as held:
        for parent in sorted({path.parent for path in files}):
            held.callback(os.close, _not_in_use(parent))
        old = key.load()
        new = key.stage() if new_key is None else new_key.load_or_make()
        # All of them are opened before the first is written.
        for path in files:
            found = _SealedFile.read(path)
            if not found.opens_with(new):
                found.opened(old)
        for path in files:
            found = _SealedFile.read(path)
            if not found.opens_with(new):
                write_whole(path, _sealed(found.opened(old), path.name, found.context, new), mode=PRIVATE)
        if new_key is None:
            key.replace()
    return len(files)


def _not_in_use(directory: Path) -> int:
    try:
        return _locked(directory, fcntl.LOCK_EX)
    except BlockingIOError:
        raise ValueError(f"{directory}: a run is using these files; wait until it has ended") from None


def _locked(directory: Path, operation: int) -> int:
    """Return a descriptor of a directory that holds a lock on it, or raise `BlockingIOError` if another's is there."""
    with told(directory):
        descriptor = os.open(directory, os.O_RDONLY)
    try:
        take_lock(descriptor, operation | fcntl.LOCK_NB)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


@dataclass(frozen=True)
class _SealedFile:
    """Magic, nonce, the length of the context in one byte, the context, and the ciphertext bound to it and the name."""

    path: Path
    nonce: bytes
    context: bytes
    ciphertext: bytes

    @classmethod
    def read(cls, path: Path) -> _SealedFile:
        with told(path):
            data = path.read_bytes()
        start = len(_MAGIC) + _NONCE_BYTES
        if not data.startswith(_MAGIC) or len(data) <= start or len(data) <= start + data[start]:
            raise ValueError(f"{path}: this is not a sealed file of this software; put it back from a copy")
        end = start + 1 + data[start]
        return cls(path, data[len(_MAGIC) : start], data[start + 1 : end], data[end:])

    def opened(self, key: bytes) -> bytes:
        try:
            return AESGCM(key).decrypt(self.nonce, self.ciphertext, _bound_to(self.path.name, self.context))
        except InvalidTag as error:
            raise ValueError(
                f"{self.path}: changed since it was sealed, or sealed with another key; give the right key, or put the "
                "file back from a copy"
            ) from error

    def opens_with(self, key: bytes) -> bool:
        try:
            self.opened(key)
        except ValueError:
            return False
        return True


def _sealed(content: bytes, name: str, context: bytes, key: bytes) -> bytes:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    ciphertext = AESGCM(key).encrypt(nonce, content, _bound_to(name, context))
    return _MAGIC + nonce + bytes([len(context)]) + context + ciphertext


def _bound_to(name: str, context: bytes) -> bytes:
    # Names hold no slash, so that no two pairs of context and name join to the same bytes.
    return context + b"/" + name.encode()
