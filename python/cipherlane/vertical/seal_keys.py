"""Where a role's secrets come from, a key or a password: a file, an environment variable, or the system's keyring."""

from __future__ import annotations

import base64
import binascii
import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cipherlane.errors import MissingExtraError
from cipherlane.files import PRIVATE, create_whole, take_lock, told

KEY_BYTES = 32
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NEXT = ".next"


class SealKey(Protocol):
    """A 256-bit key for AES-256-GCM that lies somewhere under a name."""

    @property
    def text(self) -> str:
        """How a plan names it, for `parse_seal_key`."""

    def load_or_make(self) -> bytes:
        """Return the key, made if there is none yet and this kind of place can keep one."""

    def load(self) -> bytes:
        """Return the key; `ValueError` if there is none, `MissingExtraError` if what holds it is not installed."""

    def load_password(self) -> str:
        """Return the text that lies there instead of a key, or raise `ValueError` if there is none."""

    def stage(self) -> bytes:
        """Return the key that will replace this one, kept beside it; the same one until `replace`."""

    def replace(self) -> None:
        """Put the staged key in place of this one."""


def parse_seal_key(text: str, base: Path = Path(), *, field: str = "seal_key") -> SealKey:
    """Return the key, or the password, that a plan or a command names.

    Parameters
    ----------
    text
        The path of a file, ``env:NAME``, or ``keyring:SERVICE/NAME``.
    base
        What relative paths are taken from.
    field
        What it is called in errors.

    Examples
    --------
    >>> parse_seal_key("env:CLINIC_KEY")
    VariableKey(name='CLINIC_KEY')
    >>> parse_seal_key("keyring:cipherlane/clinic")
    KeyringKey(service='cipherlane', name='clinic')
    """
    kind, separator, rest = text.partition(":")
    if separator and kind == "env":
        if _VARIABLE.fullmatch(rest) is None:
            raise ValueError(f"{field}: expected env:NAME with the name of a variable, got {text!r}")
        return VariableKey(rest)
    if separator and kind == "keyring":
        service, separator, name = rest.partition("/")
        if not service or not name:
            raise ValueError(f"{field}: expected keyring:SERVICE/NAME, got {text!r}")
        return KeyringKey(service, name)
    return FileKey(base / text)


def make_key() -> bytes:
    """Return a fresh key."""
    return AESGCM.generate_key(bit_length=8 * KEY_BYTES)


@dataclass(frozen=True)
class FileKey:
    """A key of 32 bytes in a file of mode 0600."""

    path: Path

    @property
    def text(self) -> str:
        """The path."""
        return self.path.as_posix()

    def load_or_make(self) -> bytes:
        """Return the key in the file, made if it is not there."""
        if self._next.exists():
            raise _interrupted(self._next)
        key = make_key()
        return key if create_whole(self.path, key, mode=PRIVATE) else self.load()

    def load(self) -> bytes:
        """Return the key in the file."""
        return self._read(self.path)

    def load_password(self) -> str:
        """Return the file's first line."""
        try:
            lines = self._private_bytes(self.path).decode("utf-8").splitlines()
        except UnicodeDecodeError:
            raise ValueError(f"{self.path}: expected a password as UTF-8 text") from None
        return _not_empty(lines[0] if lines else "", self.path)

    def stage(self) -> bytes:
        """Return the key in the file beside it, made if it is not there."""
        create_whole(self._next, make_key(), mode=PRIVATE)
        return self._read(self._next)

    def replace(self) -> None:
        """Rename the file beside it."""
        with told(self.path):
            os.replace(self._next, self.path)

    @property
    def _next(self) -> Path:
        return self.path.with_name(self.path.name + _NEXT)

    @staticmethod
    def _private_bytes(path: Path) -> bytes:
        if not path.is_file():
            raise ValueError(f"{path}: expected the file of a key, found none; name the right one")
        with told(path):
            if path.stat().st_mode & 0o077:
                raise ValueError(f"{path}: others may read this key; run: chmod 600 {path}")
            return path.read_bytes()

    @classmethod
    def _read(cls, path: Path) -> bytes:
        key = cls._private_bytes(path)
        if len(key) != KEY_BYTES:
            raise ValueError(f"{path}: expected a key of {KEY_BYTES} bytes, got {len(key)}")
        return key


@dataclass(frozen=True)
class VariableKey:
    """A key in an environment variable, as base64; whoever sets the variable keeps it."""

    name: str

    @property
    def text(self) -> str:
        """``env:NAME``."""
        return f"env:{self.name}"

    def load_or_make(self) -> bytes:
        """Return the key in the variable."""
        return self.load()

    def load(self) -> bytes:
        """Return the key in the variable."""
        text = os.environ.get(self.name)
        if text is None:
            raise ValueError(
                f"{self.name}: this environment variable is not set; set it to a key of {KEY_BYTES} bytes in base64, "
                "as `openssl rand -base64 32` prints one"
            )
        return _decoded(text, f"the environment variable {self.name}")

    def load_password(self) -> str:
        """Return the text in the variable."""
        text = os.environ.get(self.name)
        if text is None:
            raise ValueError(f"{self.name}: this environment variable is not set; set it to the password")
        return _not_empty(text, self.name)

    def stage(self) -> bytes:
        """Raise: a program cannot change the variables of its caller."""
        raise ValueError(f"env:{self.name}: a variable's key is replaced by another's; name that with --new-key")

    def replace(self) -> None:
        """Do nothing: the caller sets the variable."""


@dataclass(frozen=True)
class KeyringKey:
    """A key in the system's keyring (the extra ``cipherlane[keyring]``), as base64."""

    service: str
    name: str

    @property
    def text(self) -> str:
        """``keyring:SERVICE/NAME``."""
        return f"keyring:{self.service}/{self.name}"

    def load_or_make(self) -> bytes:
        """Return the key in the keyring, made if there is none."""
        if self._get(self.name + _NEXT) is not None:
            raise _interrupted(f"{self.text}{_NEXT}")
        self._make(self.name)
        return self.load()

    def load(self) -> bytes:
        """Return the key in the keyring."""
        return self._loaded(self.name)

    def load_password(self) -> str:
        """Return the text in the keyring."""
        text = self._get(self.name)
        if text is None:
            raise ValueError(f"{self.text}: the keyring holds no such password; name the right one")
        return _not_empty(text, self.text)

    def stage(self) -> bytes:
        """Return the key kept under the name with ``.next``, made if there is none."""
        self._make(self.name + _NEXT)
        return self._loaded(self.name + _NEXT)

    def replace(self) -> None:
        """Keep the staged key under this name."""
        self._set(self.name, self._loaded(self.name + _NEXT))
        self._module().delete_password(self.service, self.name + _NEXT)

    def _make(self, name: str) -> None:
        """Keep a fresh key under a name that has none."""
        if self._get(name) is None:
            with _one_maker():
                if self._get(name) is None:
                    self._set(name, make_key())

    def _loaded(self, name: str) -> bytes:
        text = self._get(name)
        if text is None:
            raise ValueError(f"keyring:{self.service}/{name}: the keyring holds no such key; name the right one")
        return _decoded(text, f"keyring:{self.service}/{name}")

    def _get(self, name: str) -> str | None:
        module = self._module()
        try:
            found: str | None = module.get_password(self.service, name)
        except module.errors.KeyringError as error:
            raise self._unusable(error) from error
        return found

    def _set(self, name: str, key: bytes) -> None:
        module = self._module()
        try:
            module.set_password(self.service, name, base64.b64encode(key).decode())
        except module.errors.KeyringError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> ValueError:
        return ValueError(
            f"{self.text}: the system's keyring cannot be used ({type(error).__name__}); unlock or set up one, or "
            "name a file or env:NAME instead"
        )

    def _module(self) -> Any:
        try:
            import keyring
            import keyring.errors
        except ModuleNotFoundError as error:
            raise MissingExtraError(
                f"{self.text}: the package `keyring` is not installed; run: pip install 'cipherlane[keyring]', or name "
                "a file or env:NAME instead"
            ) from error
        return keyring


@contextmanager
def _one_maker() -> Iterator[None]:
    """Let one process of this user at a time make a key: a keyring replaces what another put there meanwhile."""
    with ExitStack() as held:
        # The lock is the operating system's on the user's home directory; without one, nothing can be locked.
        with suppress(OSError, RuntimeError):
            descriptor = os.open(Path.home(), os.O_RDONLY)
            held.callback(os.close, descriptor)
            take_lock(descriptor, fcntl.LOCK_EX)
        yield


def _interrupted(where: object) -> ValueError:
    return ValueError(
        f"{where}: a change of keys was interrupted; finish it with `cipherlane rotate-key` as it was begun"
    )


def _not_empty(password: str, where: object) -> str:
    if not password:
        raise ValueError(f"{where}: the password is empty")
    return password


def _decoded(text: str, source: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        # The text is a secret, so nothing of it is shown.
        key = b""
    if len(key) != KEY_BYTES:
        raise ValueError(f"{source}: expected a key of {KEY_BYTES} bytes in base64, got something else")
    return key
