"""The coordinator of a horizontal federation: adds the parties' encrypted statistics and relays sealed models."""

from __future__ import annotations

import time
from typing import Any

from cipherlane.errors import ProtocolError
from cipherlane.federation.coordinator import Coordinator, RoundRecord
from cipherlane.horizontal.statistics import integer_bits_needed, statistics_size
from cipherlane.vertical.exchange import needed
from cipherlane.vertical.messages import ARBITER
from cipherlane.vertical.score_encoding import parameter_encoding


class HorizontalCoordinator(Coordinator):
    """Drives one run of parties with the same columns; holds no private key, no model and no one's numbers."""

    def match(self) -> None:
        """Check that every host has the guest's columns, and let it put them into the guest's order.

        Raises
        ------
        ProtocolError
            They differ; the message says how many, the host's own notice says which.
        """
        keys = {name: self.capabilities[name]["box_key"] for name in self._parties}
        hosts = {name: keys[name] for name in self._hosts}
        offer = self._ask("match_open", 0, {self._guest: {"box_keys": hosts}})[self._guest]
        requests = {name: {"sealed": offer["sealed"][name], "guest_box_key": keys[self._guest]} for name in self._hosts}
        results = self._ask("match_check", 0, requests)
        problems = [
            f"columns of {name!r} and {self._guest!r} do not match: {result['only_here']} are only at {name!r}, "
            f"{result['only_there']} only at {self._guest!r}; name the same columns for both"
            for name, result in results.items()
            if not result["matched"]
        ]
        if problems:
            raise ProtocolError("; ".join(problems))

    def start(self) -> None:
        """Let the columns be centred over all parties, and make the first model from initial responsibilities."""
        self._check_room()
        self._centre_columns()
        model = self.plan.model
        boxes: dict[str, bytes] = {}
        if model.start == "kmeans":
            keys = {name: self.capabilities[name]["box_key"] for name in self._parties}
            request = {"start": model.start, "seed": model.seed, "box_keys": keys}
            boxes = self._ask("initialise", 0, {self._guest: request}, "initial_centres")[self._guest]["sealed"]
        self._begin(boxes, False)

    def continue_from(self, weights: list[float]) -> None:
        """Let the first model follow from a trained one, which every party has."""
        self._check_room()
        self._begin({}, True)

    def restore(self, round_number: int, used_weights: list[float]) -> bool:
        """Let every role go back to its checkpoint after a round; return whether that had converged."""
        self._ask("restore", round_number, {name: {} for name in self._parties}, "noted")
        answer = self._ask("restore", round_number, {ARBITER: {}}, "mixture")[ARBITER]
        self._take(answer)
        self.used_weights = used_weights
        return bool(answer["converged"])

    def collect_parameters(self) -> None:
        """Do nothing: every party has the whole model, and the arbiter made it."""

    def finish(self) -> None:
        """Let every party write the model, and what it says of the party's own rows."""
        requests: dict[str, dict[str, Any]] = {name: {"sealed": None, "weights": None} for name in self.engine.roles}
        self._finish(requests)

    def _begin(self, boxes: dict[str, bytes], from_model: bool) -> None:
        requests = {
            name: {
                "sealed": boxes.get(name),
                "seed": self.plan.model.seed,
                "position": position,
                "from_model": from_model,
            }
            for position, name in enumerate(self._parties)
        }
        replies = self._ask("begin", 0, requests)
        request = {"ciphertexts": self._add(replies, self._values(), self._encoding()), "columns": self._width()}
        self._take(self._ask("added_statistics", 0, {ARBITER: request})[ARBITER])

    def _count_rows(self) -> int:
        return sum(self.capabilities[name]["rows"] for name in self._parties)

    def _width(self) -> int:
        columns: int = self.capabilities[self._guest]["columns"]
        return columns

    def _check_room(self) -> None:
        wanted, bits = integer_bits_needed(self.rows), self.plan.encryption.integer_bits
        if all(party.standardise for party in self.plan.parties) and wanted > bits:
            raise ProtocolError(
                f"encryption.integer_bits: sums over {self.rows} rows need {wanted} bits, the plan has {bits}; set "
                f"integer_bits = {wanted}"
            )

    def _centre_columns(self) -> None:
        encoding = parameter_encoding(self.plan.encryption.packing, len(self._parties))
        columns = self._width()
        replies = self._ask("column_sums", 0, {name: {} for name in self._parties})
        request: dict[str, Any] = {"columns": columns, "ciphertexts": self._add(replies, 2 * columns, encoding)}
        boxes = self._ask("added_column_sums", 0, {ARBITER: request})[ARBITER]["sealed"]
        replies = self._ask("column_spreads", 0, {name: {"sealed": boxes[name]} for name in self._parties})
        request = {"ciphertexts": self._add(replies, columns, encoding)}
        boxes = self._ask("added_column_spreads", 0, {ARBITER: request})[ARBITER]["sealed"]
        self._ask("standardise", 0, {name: {"sealed": boxes[name]} for name in self._parties})

    def _round(self, number: int) -> RoundRecord:
        starting = time.perf_counter()
        self.used_weights = needed(self._next, "a round before a start")["weights"].tolist()
        replies = self._ask("expect", number, {name: {"sealed": self._boxes[name]} for name in self._parties})
        adding = time.perf_counter()
        ciphertexts = self._add(replies, self._values(), self._encoding())
        added = time.perf_counter()
        request = {"ciphertexts": ciphertexts, "columns": self._width()}
        answer = self._ask("added_statistics", number, {ARBITER: request})[ARBITER]
        self._take(answer)
        return self._record(answer, replies, starting, added - adding)

    def _values(self) -> int:
        model = self.plan.model
        return statistics_size(model.components, self._width(), model.covariance_type)
