"""What guest and hosts share who hold the same rows: answering whether their ids are the same."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from cipherlane.federation.responder import Handler, Responder
from cipherlane.vertical.exchange import needed
from cipherlane.vertical.matching import compare, draw_salt, name_digests, salted_digests
from cipherlane.vertical.messages import GUEST, box_context, pack, pack_sealed, unpack_sealed
from cipherlane.vertical.sealing import BoxKey, seal
from cipherlane.vertical.wire import Message

_SHOWN_IDS = 5


def shown(ids: Sequence[str]) -> str:
    """Return the first few ids as text."""
    return ", ".join(ids[:_SHOWN_IDS]) + (", ..." if len(ids) > _SHOWN_IDS else "")


class RowMatcher(Responder):
    """A data party with rows that have ids, and a key pair that boxes are sealed to."""

    def __init__(self, name: str, role: str) -> None:
        super().__init__(name, role)
        self._box = BoxKey()
        self._salt: bytes | None = None

    @property
    @abstractmethod
    def row_ids(self) -> tuple[str, ...]:
        """The ids of its rows."""

    @property
    @abstractmethod
    def row_source(self) -> str:
        """The file that its rows came from."""

    def match_handlers(self) -> dict[str, Handler]:
        """Return the handlers of the messages by which rows are matched."""
        return {
            "match_open": self._on_match_open,
            "match_check": self._on_match_check,
            "match_differs": self._on_match_differs,
        }

    def _on_match_open(self, message: Message) -> bytes:
        self._salt = draw_salt()
        digests = salted_digests(self.row_ids, self._salt)
        sealed = self._sealed_to_each("match_table", message, salt=self._salt, digests=digests)
        return pack("match_offer", message.round, rows=len(self.row_ids), sealed=sealed)

    def _on_match_check(self, message: Message) -> bytes:
        content = self._unsealed(message["sealed"], "match_table", message.round)
        difference = compare(self.row_ids, content["digests"], content["salt"])
        missing = None
        if not difference.empty:
            self._tell_unmatched(difference.only_here, GUEST)
            found = {"digests": difference.only_there}
            missing = self._sealed_to(message["guest_box_key"], "match_missing", message.round, GUEST, **found)
        return pack(
            "match_result",
            message.round,
            matched=difference.empty,
            rows=len(self.row_ids),
            only_here=len(difference.only_here),
            only_there=len(difference.only_there),
            sealed=missing,
        )

    def _on_match_differs(self, message: Message) -> bytes:
        salt = needed(self._salt, "rows are compared before they are opened")
        content = self._unsealed(message["sealed"], "match_missing", message.round, GUEST)
        self._tell_unmatched(name_digests(self.row_ids, content["digests"], salt), message["party"])
        return self._noted(message)

    def _tell_unmatched(self, ids: tuple[str, ...], other: str) -> None:
        if ids:
            self.notify(f"{self.row_source}: {len(ids)} ids are not at {other!r}: {shown(ids)}")

    # Boxes between parties, and the plainest answer.

    @staticmethod
    def _sealed_to(key: bytes, kind: str, round_number: int, receiver: str, **fields: Any) -> bytes:
        """Return a box with a message that only the owner of `key` opens, and only as this kind, round and receiver."""
        return seal(key, pack_sealed(kind, round_number, **fields), box_context(kind, round_number, receiver))

    @staticmethod
    def _sealed_to_each(kind: str, message: Message, **fields: Any) -> dict[str, bytes]:
        """Return the same content in a box for each party whose key a message names."""
        content, number = pack_sealed(kind, message.round, **fields), message.round
        keys: Mapping[str, bytes] = message["box_keys"]
        return {name: seal(key, content, box_context(kind, number, name)) for name, key in keys.items()}

    def _unsealed(self, box: bytes, kind: str, round_number: int, receiver: str | None = None) -> Message:
        """Return what a box to this party, or to it under another name, holds."""
        context = box_context(kind, round_number, receiver or self.name)
        return unpack_sealed(self._box.open(box, context), kind)

    def _noted(self, message: Message) -> bytes:
        return pack("noted", message.round, rows=len(self.row_ids))
