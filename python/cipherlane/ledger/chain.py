"""What a client needs of a chain, whether it is a copy in this process or a network's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from cipherlane.errors import LedgerError


@dataclass(frozen=True)
class Head:
    """The last block of a copy."""

    number: int
    hash: bytes


@dataclass(frozen=True)
class Log:
    """One event of a contract, as the chain has it."""

    block: int
    timestamp: int
    contract: bytes
    topics: tuple[bytes, ...]
    data: bytes


class Reverted(LedgerError):
    """The contract refused; `reason` is its word for it."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the ledger's contract refuses: {reason}")
        self.reason = reason


class Chain(Protocol):
    """Reads of a chain."""

    chain_id: int

    def call(self, to: bytes, data: bytes, sender: bytes = bytes(20)) -> bytes:
        """Return what a contract answers to a call that changes nothing, or raise `Reverted`."""

    def code(self, address: bytes) -> bytes:
        """Return the code at an address, empty if there is none."""

    def nonce(self, address: bytes) -> int:
        """Return how many transactions an account has made."""

    def logs(self, contract: bytes) -> Iterator[Log]:
        """Return every event of a contract, in order."""
