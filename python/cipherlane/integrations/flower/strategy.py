"""The strategy of a server's app that adds up weights which it cannot read."""

from __future__ import annotations

from collections.abc import Iterable
from logging import WARNING
from typing import Any

from flwr.app import ArrayRecord, Message, MetricRecord
from flwr.common.logger import log
from flwr.serverapp.strategy import FedAvg

from cipherlane.errors import CipherlaneError, ProtocolError
from cipherlane.integrations.averaging import AveragingTerms, EncryptedSum
from cipherlane.integrations.flower.encrypted_arrays import encrypted_record, message_in
from cipherlane.paillier import PublicKey


class EncryptedFedAvg(FedAvg):  # type: ignore[misc]
    """Flower's `FedAvg` over ciphertexts: weights by `PaillierMod` are added with the public key alone.

    One message goes to each client a round and one comes back, as with `FedAvg`. After the first round
    ``result.arrays`` and what goes to the clients is the encrypted sum. A reply that does not fit (another key, other
    terms, other layers, a second one of a node) is left out, with the reason in the log.

    Parameters
    ----------
    public_key : PublicKey
    terms : AveragingTerms
        The same as the clients'.
    **options
        Those of `FedAvg`. Clients' evaluation is off unless ``fraction_evaluate`` turns it on: its metrics come in the
        clear, and with them each client's number of examples.
    """

    def __init__(self, public_key: PublicKey, terms: AveragingTerms, **options: Any) -> None:
        options = {"fraction_evaluate": 0.0, "min_train_nodes": terms.least_parties, **options}
        super().__init__(**options)
        self._public_key = public_key
        self._terms = terms

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Return the encrypted sum of a round, under fresh randomness, and no metrics.

        Raises
        ------
        ProtocolError
            Fewer clients contributed than the terms ask for.
        """
        valid, _ = self._check_and_log_replies(replies, is_train=True, validate=False)
        total = EncryptedSum(self._public_key, self._terms)
        nodes: set[int] = set()
        for reply in valid:
            node = reply.metadata.src_node_id
            try:
                self._add(total, reply, node in nodes)
            except (ValueError, OverflowError, CipherlaneError) as error:
                log(WARNING, "aggregate_train: round %s, node %s left out: %s", server_round, node, error)
            else:
                nodes.add(node)
        return encrypted_record(total.to_bytes()), None

    @staticmethod
    def _add(total: EncryptedSum, reply: Message, is_second: bool) -> None:
        if is_second:
            raise ProtocolError("reply: a second one to this round; the first counts")
        records = list(reply.content.array_records.values())
        if len(records) != 1:
            raise ProtocolError(f"reply: expected one ArrayRecord, got {len(records)}")
        total.add(message_in(records[0]))
