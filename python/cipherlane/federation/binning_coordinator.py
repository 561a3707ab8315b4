"""The coordinator of a binning: relays boxes that it cannot open between the guest and the hosts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import cipherlane
from cipherlane.errors import ProtocolError
from cipherlane.federation.binning_party import ROWS_A_MESSAGE
from cipherlane.federation.coordinator import Coordinator
from cipherlane.paillier import PublicKey
from cipherlane.vertical.exchange import needed

_MESSAGE_BYTES = 1 << 28
STAGES = ("key", "bins", "labels", "sums", "verdicts")


class BinningCoordinator(Coordinator):
    """Drives one binning; holds no key, and knows numbers of rows, columns and ciphertexts.

    Attributes
    ----------
    seconds
        Computing time of each role by stage.
    labels, sums
        How many ciphertexts of labels, and of packed sums, crossed.
    part
        How many parts of the labels every host has added.
    """

    _requirements_kind: ClassVar[str] = "binning_requirements"

    def __post_init__(self) -> None:
        """Begin with nothing counted."""
        super().__post_init__()
        self.seconds: dict[str, dict[str, float]] = {stage: {} for stage in STAGES}
        self.labels = self.sums = 0
        # The guest's labels cross in one message with a box for each host.
        row_bytes = self.plan.encryption.key_bits // 4 * len(self._hosts)
        self.rows_a_message = max(1, min(ROWS_A_MESSAGE, _MESSAGE_BYTES // row_bytes))
        self.part = 0
        self._layouts: dict[str, bytes] = {}
        self._verdicts: dict[str, bytes] = {}

    def make_key(self) -> None:
        """Let the guest make the key pair, and the hosts cut their columns."""
        box_keys = {name: self.capabilities[name]["box_key"] for name in self._hosts}
        answer = self._ask("make_binning_key", 0, {self._guest: {"box_keys": box_keys}})[self._guest]
        self._spent("key", self._guest, answer["seconds"])
        self._public_key = PublicKey.from_json(answer["public_key"])
        guest_key = self.capabilities[self._guest]["box_key"]
        request = {"public_key": answer["public_key"], "guest_box_key": guest_key}
        for name, formed in self._ask("form_bins", 0, dict.fromkeys(self._hosts, request)).items():
            self._layouts[name] = formed["sealed"]
            self._spent("bins", name, formed["seconds"])

    def add_labels(self) -> Iterator[int]:
        """Let the hosts add the guest's encrypted labels by bin, one part of the rows after the other that is left."""
        for number in range(self.part + 1, self.messages_of_labels() + 1):
            answer = self._ask("encrypt_labels", number, {self._guest: {}})[self._guest]
            if set(answer["sealed"]) != set(self._hosts):
                raise ProtocolError(f"labels: expected a box for each of {self._hosts}, got {sorted(answer['sealed'])}")
            self._spent("labels", self._guest, answer["seconds"])
            self.labels += answer["ciphertexts"] * len(self._hosts)
            requests = {name: {"sealed": answer["sealed"][name]} for name in self._hosts}
            for name, added in self._ask("add_labels", number, requests).items():
                self._spent("sums", name, added["seconds"])
            self.part = number
            yield number

    def judge(self) -> None:
        """Let the guest decrypt the sums and judge every column."""
        answers = self._ask("send_bin_sums", self.part, {name: {} for name in self._hosts})
        for name, answer in answers.items():
            self._spent("sums", name, answer["seconds"])
            self.sums += answer["ciphertexts"]
        request = {"bins": self._layouts, "sums": {name: answer["sealed"] for name, answer in answers.items()}}
        judged = self._ask("evaluate_bins", self.part, {self._guest: request})[self._guest]
        if set(judged["sealed"]) != set(self._hosts):
            raise ProtocolError(f"verdicts: expected a box for each of {self._hosts}, got {sorted(judged['sealed'])}")
        self._spent("verdicts", self._guest, judged["seconds"])
        self._verdicts = judged["sealed"]

    def tell(self) -> None:
        """Tell every host of its columns, and let every party keep its bins."""
        needed(self._verdicts or None, "an end before verdicts")
        requests = {name: {"sealed": self._verdicts.get(name)} for name in self._parties}
        self._ask("keep_bins", self.part, requests)

    def finish(self) -> None:
        """Let every party drop what it needs no longer."""
        self._ask("finish", self.part, {name: {"sealed": None, "weights": None} for name in self._parties})

    def checkpoint(self) -> None:
        """Let every party keep its state after the last part of the labels."""
        self._ask("checkpoint", self.part, {name: {} for name in self._parties})

    def state(self) -> dict[str, Any]:
        """Return what goes into a checkpoint of the coordinator's own."""
        return {
            "round": self.part,
            "labels": self.labels,
            "sums": self.sums,
            "seconds": self.seconds,
            "public_key": self.public_key.to_json(),
        }

    def take_counts(self, state: Mapping[str, Any]) -> None:
        """Go on from a state as far as it is counts, with the key of an earlier session."""
        self._public_key = PublicKey.from_json(state["public_key"])
        self.labels, self.sums, self.seconds = state["labels"], state["sums"], state["seconds"]

    def go_back(self, part: int) -> None:
        """Let every party go back to its state after a part of the labels."""
        self._ask("restore", part, {name: {} for name in self._parties}, "noted")
        self.part = part

    def messages_of_labels(self) -> int:
        """Return in how many parts the labels of all rows cross."""
        return -(-self.rows // self.rows_a_message)

    def _spent(self, stage: str, name: str, seconds: float) -> None:
        self.seconds[stage][name] = self.seconds[stage].get(name, 0.0) + seconds

    def _requirements(self, columns: tuple[str, ...] | None, training: bool) -> dict[str, Any]:
        plan = needed(self.plan.binning, "a plan without a section [binning]")
        rules, wanted = plan.rules, self.plan.requirements
        return {
            "plan_sha256": hashlib.sha256(self.plan.text.encode()).hexdigest(),
            "algorithm": self.plan.model.algorithm,
            "key_bits": self.plan.encryption.key_bits,
            "scheme": self.plan.encryption.scheme,
            "rows_a_message": self.rows_a_message,
            "method": rules.method,
            "bins": rules.bins,
            "fine_bins": rules.fine_bins,
            "least_rows": rules.least_rows,
            "significance": rules.significance,
            "trend": rules.trend,
            "missing": rules.missing,
            "unseen": rules.unseen,
            "event": plan.event,
            "threshold": plan.threshold,
            "top": plan.top,
            "tell_woe": plan.tell_woe,
            "tell_names": plan.tell_names,
            "least_of_each_class": plan.least_of_each_class,
            "columns": None if columns is None else list(columns),
            "rows": wanted.rows,
            "memory_bytes": None if wanted.memory_mb is None else wanted.memory_mb << 20,
            "backend": wanted.backend,
            "software": cipherlane.__version__,
        }
