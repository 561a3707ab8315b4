"""The members of a run's ledger as the coordinator reaches them: its own here, the others by messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from cipherlane.federation.coordinator import Coordinator
from cipherlane.vertical.wire import Message

if TYPE_CHECKING:
    from cipherlane.ledger.chain import Head
    from cipherlane.ledger.member import Member


class LedgerPeers:
    """Carries what a `LedgerSession` wants done to whoever is to do it.

    Parameters
    ----------
    coordinator
        Asks the roles.
    own
        The coordinator's own part.
    """

    def __init__(self, coordinator: Coordinator, own: Member) -> None:
        self._coordinator = coordinator
        self._own = own
        self._others = list(coordinator.engine.roles)

    def open(self, agreement: str) -> dict[str, Head]:
        """Let every member open its ledger; return each one's last block."""
        head = self._own.open(agreement)
        fields = {name: {"agreement": agreement} for name in self._others}
        return {self._own.name: head, **_heads(self._coordinator.ask("ledger_open", 0, fields))}

    def act(self, step: str) -> dict[str, list[bytes]]:
        """Return every member's signed transactions for a step."""
        own = self._own.act(step)
        replies = self._coordinator.ask("ledger_act", 0, {name: {"step": step} for name in self._others})
        return {self._own.name: own, **{name: reply["transactions"] for name, reply in replies.items()}}

    def seal(self, name: str, transactions: Sequence[bytes]) -> bytes:
        """Let one member seal a block and return it."""
        if name == self._own.name:
            return self._own.seal(transactions)
        reply = self._coordinator.ask("ledger_seal", 0, {name: {"transactions": list(transactions)}})[name]
        (block,) = reply["blocks"]
        return bytes(block)

    def append(self, blocks: Mapping[str, Sequence[bytes]]) -> dict[str, Head]:
        """Give members blocks; return each one's last block."""
        others = {name: {"blocks": list(given)} for name, given in blocks.items() if name != self._own.name}
        heads = {self._own.name: self._own.append(blocks[self._own.name])} if self._own.name in blocks else {}
        return {**heads, **_heads(self._coordinator.ask("ledger_append", 0, others))}

    def fetch(self, name: str, first: int) -> list[bytes]:
        """Return one member's blocks from number `first` on."""
        if name == self._own.name:
            return self._own.fetch(first)
        return list(self._coordinator.ask("ledger_fetch", 0, {name: {"first": first}})[name]["blocks"])

    def next_sealer(self) -> str:
        """Return whose turn it is to seal."""
        return self._own.next_sealer

    def commitments(self) -> int:
        """Return how many commitments of each member stand on the ledger."""
        return self._own.commitments

    def is_closed(self) -> bool:
        """Return whether all that the run ends with stands on the ledger."""
        return self._own.plan_is_closed


def _heads(replies: Mapping[str, Message]) -> dict[str, Head]:
    from cipherlane.ledger.chain import Head

    return {name: Head(reply["number"], reply["hash"]) for name, reply in replies.items()}
