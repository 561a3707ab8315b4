"""Sealed boxes, which only their receiver opens."""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from cipherlane.errors import ProtocolError

BOX_KEY_BYTES = 32
_BOX_INFO = b"cipherlane sealed box 1"
_NONCE_BYTES = 12


class BoxKey:
    """An X25519 key pair that opens the boxes sealed to its public half.

    A box is (ephemeral public key, AES-256-GCM ciphertext) under the key HKDF-SHA256(X25519(e, R)), so
    the coordinator can carry it and cannot read it. The pair lives in memory for one session, unless its owner keeps
    `private_bytes`.

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

    def private_bytes(self) -> bytes:
        """Return the private half, to be kept where nobody else reads it."""
        return self._private.private_bytes_raw()

    @classmethod
    def from_private_bytes(cls, private: bytes) -> BoxKey:
        """Return the pair whose private half `private_bytes` gave."""
        pair = cls()
        pair._private = X25519PrivateKey.from_private_bytes(private)
        pair.public = pair._private.public_key().public_bytes_raw()
        return pair

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
