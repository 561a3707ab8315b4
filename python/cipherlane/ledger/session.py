"""The coordinator's side of a run's ledger: who acts when, who seals, and that all copies stay alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from cipherlane.errors import LedgerError
from cipherlane.ledger.agreement import Agreement
from cipherlane.ledger.chain import Head


class Peers(Protocol):
    """Every member of a run by name, wherever it is."""

    def open(self, agreement: str) -> dict[str, Head]:
        """Let every member open its ledger; return each one's last block."""

    def act(self, step: str) -> dict[str, list[bytes]]:
        """Return every member's signed transactions for a step."""

    def seal(self, name: str, transactions: Sequence[bytes]) -> bytes:
        """Let one member seal a block and return it."""

    def append(self, blocks: Mapping[str, Sequence[bytes]]) -> dict[str, Head]:
        """Give members blocks; return each one's last block."""

    def fetch(self, name: str, first: int) -> list[bytes]:
        """Return one member's blocks from number `first` on."""

    def next_sealer(self) -> str:
        """Return whose turn it is to seal."""

    def commitments(self) -> int:
        """Return how many commitments of each member stand on the ledger."""

    def is_closed(self) -> bool:
        """Return whether all that the run ends with stands on the ledger."""


class LedgerSession:
    """One session's work on a run's ledger.

    Parameters
    ----------
    agreement
        What the members agreed on.
    peers
        The members.
    """

    def __init__(self, agreement: Agreement, peers: Peers) -> None:
        self._agreement = agreement
        self._peers = peers

    def open(self, *, commitments: int = 0) -> None:
        """Open every member's ledger, bring copies that are behind up to the longest, and agree on the plan.

        Parameters
        ----------
        commitments
            How many of each member an earlier session has seen on the ledger.

        Raises
        ------
        LedgerError
            Copies differ, all are behind the run, or a member refuses the agreement, the contract or the plan.
        """
        heads = self._peers.open(self._agreement.to_json())
        if self._embedded:
            self._level(heads)
        else:
            self._finish_step(heads)
        found = self._peers.commitments()
        if found < commitments:
            # A ledger begun anew would forget what was committed, and who revoked access.
            raise LedgerError(
                f"ledger: it is behind the run: {found} commitments of each member stand on it, {commitments} were "
                "seen there before; put a member's copy of the chain back, or start the run anew"
            )
        if self._peers.is_closed():
            return
        for step in ("deploy", "propose", "accept", "access"):
            self.do(step)

    def agree_on_key(self) -> None:
        """Put the new key of its holder on the ledger with the votes of all who were given it."""
        self.do("key")
        self.do("vote")

    def commit(self) -> None:
        """Let every member commit to the round's messages."""
        self.do("commit")

    def close(self) -> None:
        """Commit to the last messages, record what everybody ends with, and let others seal on top of it.

        Of a ledger that was closed before its session was interrupted, only the last is left to do.
        """
        if not self._peers.is_closed():
            self.do("commit")
            self.do("record")
        if self._embedded:
            # With these, a majority of the validators has sealed the record or a block after it.
            for _ in range(len(self._agreement.validators) // 2):
                self._block([])

    def do(self, step: str) -> None:
        """Let every member do one step; what comes of it goes into one block, if anything does."""
        transactions = [raw for made in self._peers.act(step).values() for raw in made]
        if not self._embedded:
            # Each member sends its own, now that all have signed, and waits until they are in a block.
            self._peers.append({name: [] for name in self._agreement.members})
        elif transactions:
            self._block(transactions)

    @property
    def _embedded(self) -> bool:
        return self._agreement.url is None

    def _block(self, transactions: Sequence[bytes]) -> None:
        sealer = self._peers.next_sealer()
        block = self._peers.seal(sealer, transactions)
        others = {name: [block] for name in self._agreement.members if name != sealer}
        heads = self._peers.append(others)
        if len(set(heads.values())) != 1:
            raise LedgerError(f"ledger: copies differ after a block of {sealer!r}: {_told(heads)}")

    def _finish_step(self, heads: Mapping[str, Head]) -> None:
        """Send again what all members had signed when a session was cut short, or let all forget what only some had.

        No transaction is sent before all have signed, so in the second case the network has none of them.
        """
        self.do("resend" if len(set(heads.values())) == 1 else "forget")

    def _level(self, heads: Mapping[str, Head]) -> None:
        longest = max(heads, key=lambda name: heads[name].number)
        behind: dict[str, list[bytes]] = {}
        for name, head in heads.items():
            if head.number < heads[longest].number:
                behind[name] = self._peers.fetch(longest, head.number + 1)
        levelled = {**heads, **(self._peers.append(behind) if behind else {})}
        if len(set(levelled.values())) != 1:
            raise LedgerError(
                f"ledger: the members' copies of the chain differ: {_told(levelled)}; "
                "run `cipherlane audit` on the run's directory"
            )


def _told(heads: Mapping[str, Head]) -> str:
    return ", ".join(f"{name!r} has block {head.number} ({head.hash.hex()[:12]}...)" for name, head in heads.items())
