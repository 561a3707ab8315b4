"""A role with its part in the ledger: it notes every message that reaches or leaves it, and answers for its copy."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from cipherlane.errors import LedgerError, ProtocolError
from cipherlane.federation.responder import Responder
from cipherlane.ledger.digests import Crossing, is_witnessed
from cipherlane.paillier import PublicKey
from cipherlane.vertical.messages import COORDINATOR, pack, pack_failure, unpack
from cipherlane.vertical.wire import Message, peek

if TYPE_CHECKING:
    from cipherlane.ledger.member import Member

# Messages of a round number that end the round before, and begin none: what was computed may still be kept.
_ENDING_KINDS = ("send_parameters", "joint_parameters", "checkpoint", "restore", "keep_bins", "finish")
# The messages that the run's public key travels in.
_KEY_KINDS = ("public_key", "key", "binning_key", "form_bins")


class Witness(Responder):
    """Stands before a role, passes its messages on, and commits to them on the ledger.

    Parameters
    ----------
    inner
        The role.
    member
        Its part in the ledger.

    Attributes
    ----------
    member
        The same.
    """

    def __init__(self, inner: Responder, member: Member) -> None:
        super().__init__(inner.name, inner.role)
        self._inner = inner
        self.member = member
        self.notices = inner.notices
        self.handlers = {
            "ledger_join": self._on_join,
            "ledger_open": self._on_open,
            "ledger_act": self._on_act,
            "ledger_seal": self._on_seal,
            "ledger_append": self._on_append,
            "ledger_fetch": self._on_fetch,
        }

    def call(self, method: str, data: bytes) -> bytes:
        """Answer a message of the ledger, or let the role answer any other."""
        if not is_witnessed(method):
            return super().call(method, data)
        try:
            kind, round_number = peek(data)
        except ProtocolError:
            # Not a message at all, so no transcript has it either; the role's answer says so.
            return self._inner.call(method, data)
        self._note(COORDINATOR, self.name, kind, round_number, data)
        reply = self._answered(method, round_number, data)
        self._note(self.name, COORDINATOR, *peek(reply), reply)
        return reply

    def close(self) -> None:
        """Close the file of the role's copy of the chain."""
        self.member.close()

    def _answered(self, method: str, round_number: int, data: bytes) -> bytes:
        if round_number > 0 and method not in _ENDING_KINDS:
            try:
                self.member.check_access()
            except LedgerError as error:
                return pack_failure(round_number, error)
        return self._inner.call(method, data)

    def _note(self, sender: str, receiver: str, kind: str, round_number: int, data: bytes) -> None:
        digest = hashlib.sha256(data).hexdigest()
        self.member.note(Crossing(sender, receiver, kind, round_number, digest, len(data)))
        if kind in _KEY_KINDS:
            text = unpack(data, kind)["public_key"]
            self.member.learn_key(bytes.fromhex(PublicKey.from_json(text).fingerprint))

    def _on_join(self, message: Message) -> bytes:
        self.member.begin_session()
        return pack("ledger_account", message.round, account=self.member.address)

    def _on_open(self, message: Message) -> bytes:
        head = self.member.open(message["agreement"])
        return pack("ledger_head", message.round, number=head.number, hash=head.hash)

    def _on_act(self, message: Message) -> bytes:
        return pack("ledger_transactions", message.round, transactions=self.member.act(message["step"]))

    def _on_seal(self, message: Message) -> bytes:
        return pack("ledger_blocks", message.round, blocks=[self.member.seal(message["transactions"])])

    def _on_append(self, message: Message) -> bytes:
        head = self.member.append(message["blocks"])
        return pack("ledger_head", message.round, number=head.number, hash=head.hash)

    def _on_fetch(self, message: Message) -> bytes:
        return pack("ledger_blocks", message.round, blocks=self.member.fetch(message["first"]))
