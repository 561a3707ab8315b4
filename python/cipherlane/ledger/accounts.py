"""A member's account: the key that signs its transactions, its seals and its commitments."""

from __future__ import annotations

import secrets

import rlp
from eth_hash.auto import keccak
from eth_keys.datatypes import PrivateKey, Signature
from eth_keys.exceptions import ValidationError

KEY_BYTES = 32
GAS = 8_000_000
_GROUP_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


class Account:
    r"""A secp256k1 key and its address.

    Parameters
    ----------
    key
        The 32-byte secret.

    Attributes
    ----------
    address
        20 bytes.

    Examples
    --------
    >>> Account(bytes(31) + b"\x01").address.hex()
    '7e5f4552091a69125d5dfcb7b8c2659029395bdf'
    """

    def __init__(self, key: bytes) -> None:
        try:
            self.private_key = PrivateKey(key)
            self.address = bytes(self.private_key.public_key.to_canonical_address())
        except (ValidationError, ValueError) as error:
            raise ValueError("key: expected the 32 bytes of a secp256k1 key") from error

    @classmethod
    def new(cls) -> Account:
        """Return an account with a fresh key."""
        return cls(new_key())

    def __repr__(self) -> str:
        """Return the address."""
        return f"Account(0x{self.address.hex()})"

    def transaction(self, chain_id: int, nonce: int, to: bytes, data: bytes) -> bytes:
        """Return a signed transaction (EIP-155) that costs nothing; `to` is empty to make a contract."""
        body = [nonce, 0, GAS, to, 0, data]
        signature = self.sign(keccak(rlp.encode([*body, chain_id, 0, 0])))
        return bytes(rlp.encode([*body, chain_id * 2 + 35 + signature.v, signature.r, signature.s]))

    def sign(self, digest: bytes) -> Signature:
        """Return a signature of 32 bytes."""
        signature: Signature = self.private_key.sign_msg_hash(digest)
        return signature

    def signature_bytes(self, digest: bytes) -> bytes:
        """Return a signature as the contract reads it: r, s, and 27 or 28."""
        raw = self.sign(digest).to_bytes()
        return bytes(raw[:64]) + bytes([raw[64] + 27])


def new_key() -> bytes:
    """Return a fresh secret: uniform in [1, order of the group)."""
    return (1 + secrets.randbelow(_GROUP_ORDER - 1)).to_bytes(KEY_BYTES, "big")


def contract_address(creator: bytes, nonce: int) -> bytes:
    """Return where the contract lies that `creator` makes with its transaction number `nonce`."""
    return bytes(keccak(rlp.encode([creator, nonce]))[12:])
