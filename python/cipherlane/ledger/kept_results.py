"""Hashes and signers that py-evm asks for several times a block, kept.

Both are functions of nothing but bytes. Every copy in a process asks for the same ones.
"""

from __future__ import annotations

from functools import lru_cache, wraps
from typing import Any

from eth_hash.auto import keccak
from eth_keys.backends.coincurve import CoinCurveECCBackend
from eth_keys.datatypes import Signature

# Of some hundred bytes each, mostly parts of tries.
_KEPT = 8_192


def keep_results() -> None:
    """Let keccak-256 and the recovery of a signature's public key keep their last results, in all of this process."""
    if hasattr(keccak.hasher, "kept"):
        return
    # The first call chooses an implementation.
    keccak(b"")
    compute = lru_cache(_KEPT)(keccak.hasher)

    def hashed(data: bytes | bytearray) -> bytes:
        return bytes(compute(bytes(data)))

    hashed.kept = compute.cache_info  # type: ignore[attr-defined]
    keccak.hasher = hashed
    recover = CoinCurveECCBackend.ecdsa_recover

    @lru_cache(_KEPT)
    def recovered(backend: Any, digest: bytes, signature: bytes) -> Any:
        return recover(backend, digest, Signature(signature, backend=backend))

    @wraps(recover)
    def ecdsa_recover(self: Any, msg_hash: bytes, signature: Any) -> Any:
        return recovered(self, bytes(msg_hash), signature.to_bytes())

    CoinCurveECCBackend.ecdsa_recover = ecdsa_recover
