"""The first block: who seals, and from when; every member makes it from the same few facts."""

from __future__ import annotations

from dataclasses import dataclass

from eth.consensus.clique.constants import NONCE_DROP
from eth.constants import ZERO_ADDRESS, ZERO_HASH32

from cipherlane.ledger import keep_recursion_limit

keep_recursion_limit()

VANITY_BYTES = 32
SEAL_BYTES = 65
GAS_LIMIT = 60_000_000


@dataclass(frozen=True)
class Genesis:
    """The facts a chain begins with.

    Attributes
    ----------
    chain_id
        Signed with every transaction, so that none counts on another chain.
    time
        Seconds since 1970.
    validators
        Addresses that may seal blocks.
    """

    chain_id: int
    time: int
    validators: tuple[bytes, ...]

    @property
    def sealers(self) -> tuple[bytes, ...]:
        """The validators in the order in which they seal."""
        return tuple(sorted(self.validators))

    def in_turn(self, number: int) -> bytes:
        """Return whose turn it is to seal block `number`."""
        return self.sealers[number % len(self.validators)]

    def fields(self) -> dict[str, object]:
        """Return the block's header as py-evm takes it."""
        return {
            "coinbase": ZERO_ADDRESS,
            "difficulty": 1,
            "gas_limit": GAS_LIMIT,
            "nonce": NONCE_DROP,
            "mix_hash": ZERO_HASH32,
            "timestamp": self.time,
            "extra_data": bytes(VANITY_BYTES) + b"".join(self.sealers) + bytes(SEAL_BYTES),
        }
