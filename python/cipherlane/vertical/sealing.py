"""Symmetric sealing: boxes that only their receiver opens, and files that only their owner opens."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from cipherlane.errors import ProtocolError

BOX_KEY_BYTES = 32
_BOX_INFO = b"cipherlane sealed box 1"
_FILE_MAGIC = b"CLSEAL1\n"
_NONCE_BYTES = 12


class BoxKey:
    """An X25519 key pair that opens the boxes sealed to its public half.

    A box is (ephemeral public key, AES-256-GCM ciphertext) under the key HKDF-SHA256(X25519(e, R)), so
    the coordinator can carry it and cannot read it. The pair lives in memory for one session only.

    Examples
    --------
    >>> receiver = BoxKey()
    >>> box = seal(receiver.public, b"responsibilities", b"round 1 to host")
    >>> receiver.open(box, b"round 1 to host")
    b'responsibilities'
    """

    def __init__(self) -> None:
        self._private = X25519PrivateKey.generate()
        self.public: bytes = self._private.public_key().public_bytes_raw()

    def open(self, box: bytes, context: bytes) -> bytes:
        """Return what `box` holds; `context` must be the one it was sealed with.

        Raises
        ------
        ProtocolError
            The box was sealed to another key or for another context, or was changed on the way.
        """
        if len(box) < BOX_KEY_BYTES:
            raise ProtocolError(f"sealed box: expected at least {BOX_KEY_BYTES} bytes, got {len(box)}")
        ephemeral = box[:BOX_KEY_BYTES]
        try:
            shared = self._private.exchange(X25519PublicKey.from_public_bytes(ephemeral))
            key = _box_cipher_key(shared, ephemeral, self.public)
            return AESGCM(key).decrypt(bytes(_NONCE_BYTES), box[BOX_KEY_BYTES:], context)
        except (InvalidTag, ValueError) as error:
            raise ProtocolError(
                "sealed box: it was sealed to another key, meant for another round, or changed on the way"
            ) from error


def seal(receiver_public: bytes, content: bytes, context: bytes) -> bytes:
    """Return a box around `content` that only the holder of `receiver_public`'s private half opens."""
    ephemeral = X25519PrivateKey.generate()
    ephemeral_public = ephemeral.public_key().public_bytes_raw()
    try:
        shared = ephemeral.exchange(X25519PublicKey.from_public_bytes(receiver_public))
    except ValueError as error:
        raise ProtocolError("box key: not a valid X25519 public key") from error
    key = _box_cipher_key(shared, ephemeral_public, receiver_public)
    # The key is fresh for every box, so a constant nonce never repeats under one key.
    return ephemeral_public + AESGCM(key).encrypt(bytes(_NONCE_BYTES), content, context)


def _box_cipher_key(shared: bytes, ephemeral_public: bytes, receiver_public: bytes) -> bytes:
    derivation = HKDF(hashes.SHA256(), 32, salt=ephemeral_public + receiver_public, info=_BOX_INFO)
    return derivation.derive(shared)


class SealedStore:
    """A directory of files sealed with AES-256-GCM under one key, which lies in a 0600 file.

    Parameters
    ----------
    directory
        Where the sealed files lie; made with mode 0700 if it is not there.
    key_file
        The file with the 32-byte key; made if it is not there. Default: ``seal.key`` in `directory`.
        Put it on other storage than the directory: whoever reads both reads the data.

    Raises
    ------
    ValueError
        The key file is not 32 bytes long, or others may read it.
    """

    def __init__(self, directory: Path, key_file: Path | None = None) -> None:
        self.directory = directory
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._cipher = AESGCM(_load_or_make_key(key_file or directory / "seal.key"))

    def write(self, name: str, content: bytes) -> Path:
        """Seal `content` into the file `name`, whole or not at all, and return its path."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = _FILE_MAGIC + nonce + self._cipher.encrypt(nonce, content, name.encode())
        path = self.directory / name
        temporary = path.with_name(path.name + ".tmp")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(sealed)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
        return path

    def read(self, name: str) -> bytes:
        """Return the content of the sealed file `name`.

        Raises
        ------
        ValueError
            The file is not there, was changed, or was sealed with another key.
        """
        path = self.directory / name
        if not path.is_file():
            raise ValueError(f"{path}: expected a sealed file, found none; start the run anew")
        sealed = path.read_bytes()
        start = len(_FILE_MAGIC) + _NONCE_BYTES
        if not sealed.startswith(_FILE_MAGIC) or len(sealed) < start:
            raise ValueError(f"{path}: this is not a sealed file of this software")
        try:
            return self._cipher.decrypt(sealed[len(_FILE_MAGIC) : start], sealed[start:], name.encode())
        except InvalidTag as error:
            raise ValueError(
                f"{path}: changed since it was sealed, or sealed with another key; give the right key file"
            ) from error

    def names(self, prefix: str) -> list[str]:
        """Return the names of the files that start with `prefix`, sorted."""
        return sorted(path.name for path in self.directory.glob(prefix + "*") if path.suffix == ".sealed")

    def remove(self, name: str) -> None:
        """Delete one sealed file."""
        (self.directory / name).unlink(missing_ok=True)


def _load_or_make_key(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        if path.stat().st_mode & 0o077:
            raise ValueError(f"{path}: others may read this key; run: chmod 600 {path}") from None
        key = path.read_bytes()
        if len(key) != 32:
            raise ValueError(f"{path}: expected a key of 32 bytes, got {len(key)}") from None
        return key
    key = AESGCM.generate_key(bit_length=256)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(key)
    return key
