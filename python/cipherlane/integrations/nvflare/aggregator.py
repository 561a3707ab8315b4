"""The server's part of a round: ciphertexts added up as they come in."""

from __future__ import annotations

from collections.abc import Mapping

from nvflare.apis.dxo import from_shareable
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import ReservedKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.app_common.abstract.aggregator import Aggregator
from nvflare.app_common.app_constant import AppConstants

from cipherlane.errors import CipherlaneError, ProtocolError
from cipherlane.integrations.averaging import AveragingTerms, EncryptedSum
from cipherlane.integrations.nvflare.encrypted_dxo import encrypted_dxo, message_in
from cipherlane.integrations.nvflare.site_keys import KEY_NAME, read_public_key


class PaillierAggregator(Aggregator):  # type: ignore[misc]
    """Adds encrypted weights with the public key alone, for FLARE's workflow `ScatterAndGather`.

    A contribution that does not fit (another key, other terms, other layers, a second one of the same client or of
    another round) is rejected with the reason in the server's log, and the others are averaged.

    Parameters
    ----------
    terms : mapping of str to int
        The arguments of `AveragingTerms`, the same at every site.
    key : str, default "averaging"
        The key's name: the file ``<key>.public.json`` in the server's directory.
    """

    def __init__(self, terms: Mapping[str, int], key: str = KEY_NAME) -> None:
        super().__init__()
        self.terms = dict(terms)
        self.key = key
        self._terms = AveragingTerms(**self.terms)
        self._sum: EncryptedSum | None = None
        self._contributors: set[str] = set()

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Read the key when a job starts, so that a missing one ends it at once."""
        if event_type == EventType.START_RUN:
            try:
                self.reset(fl_ctx)
            except (ValueError, CipherlaneError) as error:
                self.system_panic(str(error), fl_ctx)

    def reset(self, fl_ctx: FLContext) -> None:
        """Begin a round."""
        self._sum = EncryptedSum(read_public_key(self.key, fl_ctx), self._terms)
        self._contributors = set()

    def accept(self, shareable: Shareable, fl_ctx: FLContext) -> bool:
        """Add a client's contribution; return whether it was added."""
        client = str(shareable.get_peer_prop(key=ReservedKey.IDENTITY_NAME, default="?"))
        try:
            self._accept(client, shareable, fl_ctx)
        except (ValueError, OverflowError, CipherlaneError) as error:
            self.log_error(fl_ctx, f"{client}: {error}")
            return False
        return True

    def _accept(self, client: str, shareable: Shareable, fl_ctx: FLContext) -> None:
        round_number = fl_ctx.get_prop(AppConstants.CURRENT_ROUND)
        contributed_to = shareable.get_cookie(AppConstants.CONTRIBUTION_ROUND)
        if contributed_to != round_number:
            raise ProtocolError(f"contribution: expected one to round {round_number}, got one to {contributed_to}")
        if client in self._contributors:
            raise ProtocolError(f"contribution: a second one to round {round_number}; the first counts")
        self._round().add(message_in(from_shareable(shareable)))
        self._contributors.add(client)

    def aggregate(self, fl_ctx: FLContext) -> Shareable:
        """Return the encrypted sum of the round, under fresh randomness.

        Raises
        ------
        ProtocolError
            Fewer clients contributed than the terms ask for.
        """
        total = self._round()
        self.log_info(fl_ctx, f"added up the encrypted weights of {total.added} clients")
        return encrypted_dxo(total.to_bytes()).to_shareable()

    def _round(self) -> EncryptedSum:
        if self._sum is None:
            raise ProtocolError("aggregator: no round was begun, for want of the public key; see the log above")
        return self._sum
