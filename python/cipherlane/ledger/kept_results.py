"""Results that py-evm asks for several times a block, kept: hashes, signers, and parts of tries.

Each is a function of nothing but bytes, and every copy in a process asks for the same ones. What a copy reads of its
file it still reads and checks itself, and it executes every transaction: nothing is kept of that.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import lru_cache, wraps
from typing import Any, TypeVar

from eth.consensus.clique import _utils as clique_utils
from eth.consensus.clique import clique, snapshot_manager
from eth.consensus.clique.constants import SIGNATURE_LENGTH
from eth.vm import computation
from eth.vm.code_stream import CodeStream
from eth.vm.forks.frontier import transactions
from eth_hash.auto import keccak
from eth_keys.backends.coincurve import CoinCurveECCBackend
from eth_keys.datatypes import PublicKey, Signature
from rlp.sedes.serializable import BaseSerializable

from cipherlane.ledger import keep_recursion_limit
from cipherlane.ledger.kept_nodes import keep_nodes

keep_recursion_limit()

# Of some hundred bytes each, mostly parts of tries.
_KEPT = 8_192
# Codes of contracts whose places to jump to are kept.
_KEPT_CODES = 64

T = TypeVar("T")


def keep_results() -> None:
    """Let py-evm and what it computes with keep their last results, in all of this process."""
    if hasattr(keccak.hasher, "kept"):
        return
    _keep_hashes()
    _keep_keys()
    _keep_senders()
    _keep_sealers()
    _keep_jumps()
    _copy_shallow()
    keep_nodes()


def _once(compute: Callable[[Any], T], name: Callable[[Any], Hashable]) -> Callable[[Any], T]:
    """Return a function that computes once for all arguments of one name."""
    kept: dict[Hashable, T] = {}

    @wraps(compute)
    def computed(argument: Any) -> T:
        key = name(argument)
        if key in kept:
            return kept[key]
        result = compute(argument)
        if len(kept) >= _KEPT:
            kept.clear()
        kept[key] = result
        return result

    return computed


def _keep_hashes() -> None:
    # The first call chooses an implementation.
    keccak(b"")
    compute = lru_cache(_KEPT)(keccak.hasher)

    def hashed(data: bytes | bytearray) -> bytes:
        return bytes(compute(bytes(data)))

    hashed.kept = compute.cache_info  # type: ignore[attr-defined]
    keccak.hasher = hashed


def _keep_keys() -> None:
    """Keep which key made a signature; eth_keys makes a new backend for every signature, so it is in no cache's key."""
    backend = CoinCurveECCBackend()
    recover, verify = CoinCurveECCBackend.ecdsa_recover, CoinCurveECCBackend.ecdsa_verify

    @lru_cache(_KEPT)
    def recovered(digest: bytes, signature: bytes) -> Any:
        return recover(backend, digest, Signature(signature, backend=backend))

    @lru_cache(_KEPT)
    def verified(digest: bytes, signature: bytes, public_key: bytes) -> Any:
        return verify(backend, digest, Signature(signature, backend=backend), PublicKey(public_key, backend=backend))

    @wraps(recover)
    def ecdsa_recover(self: Any, msg_hash: bytes, signature: Any) -> Any:
        return recovered(bytes(msg_hash), signature.to_bytes())

    @wraps(verify)
    def ecdsa_verify(self: Any, msg_hash: bytes, signature: Any, public_key: Any) -> Any:
        # Signatures without the bit that tells the key are another class, which this chain has none of.
        if not isinstance(signature, Signature):
            return verify(self, msg_hash, signature, public_key)
        return verified(bytes(msg_hash), signature.to_bytes(), public_key.to_bytes())

    ecdsa_recover.kept = recovered.cache_info  # type: ignore[attr-defined]
    CoinCurveECCBackend.ecdsa_recover = ecdsa_recover
    CoinCurveECCBackend.ecdsa_verify = ecdsa_verify


def _keep_senders() -> None:
    """Keep that a transaction's signature is valid, and whose it is, by all its bytes."""
    for function in ("validate_transaction_signature", "extract_transaction_sender"):
        compute = getattr(transactions, function)
        setattr(transactions, function, _once(compute, lambda made: (type(made), made.encode())))


def _keep_sealers() -> None:
    compute = clique_utils.get_block_signer
    kept = _once(compute, lambda header: bytes(header.hash))

    @wraps(compute)
    def get_block_signer(header: Any) -> Any:
        # A header without a seal may have no number yet either, and then no hash.
        return kept(header) if len(header.extra_data) >= SIGNATURE_LENGTH else compute(header)

    for module in (clique_utils, clique, snapshot_manager):
        module.get_block_signer = get_block_signer


def _keep_jumps() -> None:
    """Keep which places of a contract's code can be jumped to."""

    @lru_cache(_KEPT_CODES)
    def places(code: bytes) -> tuple[set[int], set[int]]:
        return set(), set()

    class KeptCodeStream(CodeStream):
        def __init__(self, code_bytes: bytes) -> None:
            super().__init__(code_bytes)
            self.invalid_positions, self.valid_positions = places(bytes(code_bytes))

    computation.CodeStream = KeptCodeStream


def _copy_shallow() -> None:
    """Let a changed copy of a header or block share what is not changed, all of which is immutable."""
    deep = BaseSerializable.copy

    @wraps(deep)
    def copy(self: Any, *args: Any, **kwargs: Any) -> Any:
        if args:
            return deep(self, *args, **kwargs)
        return type(self)(**{**dict(zip(self._meta.field_names, self, strict=True)), **kwargs})

    BaseSerializable.copy = copy
