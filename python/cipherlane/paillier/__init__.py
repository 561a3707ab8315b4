"""Batch Paillier encryption: keys, fixed-point and packed plaintexts, arrays of ciphertexts."""

from __future__ import annotations

from cipherlane.paillier import hazmat, reference
from cipherlane.paillier.backend_choice import backends, current_backend, use_backend
from cipherlane.paillier.cipher_array import CipherArray
from cipherlane.paillier.codec import Codec, FixedPoint, Packed
from cipherlane.paillier.device_array import DeviceArray
from cipherlane.paillier.joining import concatenate
from cipherlane.paillier.key_generation import keygen
from cipherlane.paillier.private_key import PrivateKey
from cipherlane.paillier.public_key import PublicKey, WeakKeyWarning

__all__ = [
    "CipherArray",
    "Codec",
    "DeviceArray",
    "FixedPoint",
    "Packed",
    "PrivateKey",
    "PublicKey",
    "WeakKeyWarning",
    "backends",
    "concatenate",
    "current_backend",
    "hazmat",
    "keygen",
    "reference",
    "use_backend",
]
