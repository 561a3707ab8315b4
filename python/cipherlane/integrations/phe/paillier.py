"""Keys, keyrings and encrypted numbers under the name of python-paillier's module."""

from __future__ import annotations

from cipherlane.integrations.phe.encoding import EncodedNumber
from cipherlane.integrations.phe.encrypted_number import EncryptedNumber
from cipherlane.integrations.phe.key_generation import DEFAULT_KEYSIZE, generate_paillier_keypair
from cipherlane.integrations.phe.private_key import PaillierPrivateKey, PaillierPrivateKeyring
from cipherlane.integrations.phe.public_key import PaillierPublicKey
from cipherlane.integrations.phe.util import getprimeover, invert, isqrt, mulmod, powmod

__all__ = [
    "DEFAULT_KEYSIZE",
    "EncodedNumber",
    "EncryptedNumber",
    "PaillierPrivateKey",
    "PaillierPrivateKeyring",
    "PaillierPublicKey",
    "generate_paillier_keypair",
    "getprimeover",
    "invert",
    "isqrt",
    "mulmod",
    "powmod",
]
