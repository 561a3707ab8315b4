"""The server's part of a round: ciphertexts added up as they come in."""

from __future__ import annotations

from collections.abc import Mapping

from nvflare.apis.dxo import DXO, DataKind, from_shareable
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import ReservedKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.app_common.abstract.fl_model import FLModel, ParamsType
from nvflare.app_common.aggregators.model_aggregator import ModelAggregator
from nvflare.app_common.app_constant import AppConstants

from cipherlane.errors import CipherlaneError, ProtocolError
from cipherlane.integrations.averaging import AveragingTerms, EncryptedSum
from cipherlane.integrations.nvflare.encrypted_dxo import encrypted_dxo, message_in
from cipherlane.integrations.nvflare.site_keys import KEY_NAME, read_public_key


class PaillierAggregator(ModelAggregator):  # type: ignore[misc]
    """Adds encrypted weights with the public key alone, for FLARE's workflows `FedAvg` and `ScatterAndGather`.

    A contribution that does not fit (another key, other terms, other layers, a second one of the same client or of
    another round) is rejected with the reason in the server's log, and the others are averaged: each client's weight
    is encrypted beside its model, so the average is that of the clients that answered.

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
        super().handle_event(event_type, fl_ctx)
        if event_type == EventType.START_RUN:
            try:
                self.reset(fl_ctx)
            except (ValueError, CipherlaneError) as error:
                self.system_panic(str(error), fl_ctx)

    def reset_stats(self) -> None:
        """Begin a round."""
        self._sum = EncryptedSum(read_public_key(self.key, self.fl_ctx), self._terms)
        self._contributors = set()

    def accept(self, shareable: Shareable, fl_ctx: FLContext) -> bool:
        """Add a client's contribution to a round of `ScatterAndGather`; return whether it was added."""
        client = str(shareable.get_peer_prop(key=ReservedKey.IDENTITY_NAME, default="?"))
        try:
            round_number = fl_ctx.get_prop(AppConstants.CURRENT_ROUND)
            contributed_to = shareable.get_cookie(AppConstants.CONTRIBUTION_ROUND)
            if contributed_to != round_number:
                raise ProtocolError(f"contribution: expected one to round {round_number}, got one to {contributed_to}")
            self._add(client, from_shareable(shareable))
        except (ValueError, OverflowError, CipherlaneError) as error:
            self.log_error(fl_ctx, f"{client}: {error}")
            return False
        return True

    def accept_model(self, model: FLModel) -> None:
        """Add a client's contribution to a round of `FedAvg`, which has seen that it is of this round.

        Raises
        ------
        ProtocolError
            It was not added; `FedAvg` writes the reason into the server's log, and goes on without that client.
        """
        client = str(model.meta.get("client_name", "?"))
        try:
            self._add(client, DXO(DataKind.WEIGHTS, data=model.params, meta=model.meta))
        except (ValueError, OverflowError, CipherlaneError) as error:
            raise ProtocolError(f"{client}: {error}") from error

    def _add(self, client: str, dxo: DXO) -> None:
        if client in self._contributors:
            raise ProtocolError("contribution: a second one to this round; the first counts")
        self._round().add(message_in(dxo))
        self._contributors.add(client)

    def aggregate(self, fl_ctx: FLContext) -> Shareable:
        """Return the encrypted sum of a round of `ScatterAndGather`, under fresh randomness.

        Raises
        ------
        ProtocolError
            Fewer clients contributed than the terms ask for.
        """
        return self._summed(fl_ctx).to_shareable()

    def aggregate_model(self) -> FLModel:
        """Return the encrypted sum of a round of `FedAvg`, under fresh randomness, as a whole model.

        Raises
        ------
        ProtocolError
            Fewer clients contributed than the terms ask for.
        """
        dxo = self._summed(self.fl_ctx)
        return FLModel(params_type=ParamsType.FULL, params=dxo.data, meta=dxo.get_meta_props())

    def _summed(self, fl_ctx: FLContext) -> DXO:
        total = self._round()
        self.log_info(fl_ctx, f"added up the encrypted weights of {total.added} clients")
        return encrypted_dxo(total.to_bytes())

    def _round(self) -> EncryptedSum:
        if self._sum is None:
            raise ProtocolError("aggregator: no round was begun, for want of the public key; see the log above")
        return self._sum
