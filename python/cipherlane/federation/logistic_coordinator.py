"""The coordinator of a logistic regression: carries boxes, and learns each epoch's mean loss."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from cipherlane.errors import ProtocolError
from cipherlane.federation.coordinator import Coordinator, RoundRecord
from cipherlane.vertical.exchange import needed
from cipherlane.vertical.logistic_settings import LogisticSettings
from cipherlane.vertical.logistic_steps import Batches
from cipherlane.vertical.messages import ARBITER
from cipherlane.vertical.row_packing import RowPacking
from cipherlane.vertical.wire import Message

_TRAIN = "train"
_VALIDATE = "validate"
_SCORE = "score"


class LogisticCoordinator(Coordinator):
    """Drives one run of parties with different columns of the same rows; every ciphertext passes it in a sealed box.

    Messages are numbered by steps: each epoch has one for each batch, and one for validation rows if there are any.
    """

    def __post_init__(self) -> None:
        """Check that the engine runs the roles the plan names."""
        super().__post_init__()
        self._batches: Batches | None = None
        self._best = 0

    def start(self) -> None:
        """Give every party the others' box keys, and let it settle labels and batches."""
        self._batches = Batches.deal(self.rows, self._settings())
        self._join()

    def continue_from(self, weights: list[float]) -> None:
        """Start from coefficients of another run, which the parties have; a logistic regression has no weights."""
        self.start()

    def restore(self, round_number: int, used_weights: list[float]) -> bool:
        """Let every party go back to its checkpoint after an epoch; return whether training had converged."""
        self.start()
        self._made_in = round_number * self._dealt().steps
        answer = self._ask("restore", self._made_in, {name: {} for name in self._parties}, "applied")[self._guest]
        self._ask("restore", self._made_in, {ARBITER: {}}, "noted")
        self._best = answer["best"]
        return bool(answer["converged"])

    def rounds(self, first: int) -> Iterator[RoundRecord]:
        """Run epochs from number `first` until the guest or the plan says stop."""
        for epoch in range(first, self.plan.training.max_iterations + 1):
            record = self._epoch(epoch)
            yield record
            if record.converged:
                return

    def collect_parameters(self) -> None:
        """Do nothing: coefficients stay with their party."""

    def finish(self) -> None:
        """Let every party keep its coefficients, and the guest the scores of its rows."""
        if self._best:
            self._ask("settle", self._made_in, {name: {"best": self._best} for name in self._parties})
        self._score_rows(self._made_in + 1)
        requests: dict[str, dict[str, Any]] = {name: {"sealed": None, "weights": None} for name in self.engine.roles}
        self._finish(requests)

    def score_rows(self) -> None:
        """Let the guest learn the scores of rows with trained coefficients, and keep them."""
        self._join()
        self._score_rows(1)
        self._ask("finish", self._made_in, {self._guest: {"sealed": None, "weights": None}})

    # Small parts.

    def _join(self) -> None:
        keys = {name: self.capabilities[name]["box_key"] for name in self._parties}
        columns = {name: answer["columns"] for name, answer in self.capabilities.items()}
        tolerance = self.plan.training.tolerance
        requests = {
            name: {
                "box_keys": keys,
                "tolerance": tolerance,
                "columns": max(width for other, width in columns.items() if other != name),
            }
            for name in self._parties
        }
        self._ask("join", 0, requests)

    def _epoch(self, epoch: int) -> RoundRecord:
        starting = time.perf_counter()
        batches = self._dealt()
        seconds: dict[str, Any] = {
            "em": dict.fromkeys(self._parties, 0.0),
            "encrypt": dict.fromkeys(self._parties, 0.0),
            **dict.fromkeys(("add", "decrypt", "e_step"), 0.0),
        }
        last = epoch * batches.steps
        verdict: Message | None = None
        for step in range(last - batches.steps + 1, last + 1):
            verdict = self._step(step, _VALIDATE if batches.validates(step) else _TRAIN, seconds)
        found = needed(verdict, "an epoch without a step")
        loss = found["loss"]
        if loss is None:
            raise ProtocolError(f"{self._guest!r} answered without the loss of epoch {epoch}")
        self._best = found["best"]
        total = time.perf_counter() - starting
        spent = sum(seconds["em"].values()) + sum(seconds["encrypt"].values()) + seconds["decrypt"]
        if found["validation_loss"] is not None:
            seconds["validation_loss"] = found["validation_loss"]
        return RoundRecord(
            round=epoch,
            log_likelihood=-loss,
            change=found["change"],
            counts=[],
            weights=[],
            converged=found["converged"],
            seconds={**seconds, "relay": max(total - spent, 0.0), "total": total},
        )

    def _step(self, step: int, purpose: str, seconds: dict[str, Any]) -> Message:
        """Run one step and return the guest's answer to what the arbiter decrypted."""
        answer = self._residuals(step, purpose, seconds)
        masked = {self._guest: answer["masked"]}
        if purpose == _TRAIN:
            lacking = sorted(set(self._hosts) - set(answer["sealed"]))
            if lacking:
                raise ProtocolError(f"{self._guest!r} sent no residuals for {', '.join(lacking)}")
            requests = {name: {"sealed": answer["sealed"][name]} for name in self._hosts}
            gradients = self._ask("gradient", step, requests)
            self._note(seconds, gradients)
            masked |= {name: reply["masked"] for name, reply in gradients.items()}
        self._count(step, purpose)
        decrypted = self._decrypted(step, masked, seconds)
        parties = self._parties if purpose == _TRAIN else [self._guest]
        applied = self._ask("apply", step, {name: {"sealed": decrypted[name]} for name in parties})
        self._made_in = step
        return applied[self._guest]

    def _residuals(self, step: int, purpose: str, seconds: dict[str, Any]) -> Message:
        """Let partial scores pass through the hosts, one by one, to the guest, and return what that makes of them."""
        sealed = None
        for position, host in enumerate(self._hosts):
            last = position + 1 == len(self._hosts)
            receiver = self._guest if last else self._hosts[position + 1]
            request = {"purpose": purpose, "position": position, "receiver": receiver, "sealed": sealed}
            reply = self._ask("forward", step, {host: request})
            self._note(seconds, reply)
            sealed = reply[host]["sealed"]
        reply = self._ask("residuals", step, {self._guest: {"purpose": purpose, "sealed": sealed}})
        self._note(seconds, reply)
        return reply[self._guest]

    def _decrypted(self, step: int, masked: Mapping[str, bytes], seconds: dict[str, Any]) -> Mapping[str, bytes]:
        answer = self._ask("masked_sums", step, {ARBITER: {"sealed": dict(masked)}})[ARBITER]
        seconds["decrypt"] += answer["decrypt_seconds"]
        if set(answer["sealed"]) != set(masked):
            raise ProtocolError(f"{ARBITER!r} answered for {sorted(answer['sealed'])}, expected {sorted(masked)}")
        sealed: Mapping[str, bytes] = answer["sealed"]
        return sealed

    def _score_rows(self, step: int) -> None:
        seconds: dict[str, Any] = {"em": {}, "encrypt": {}, "decrypt": 0.0}
        answer = self._residuals(step, _SCORE, seconds)
        self._count(step, _SCORE)
        decrypted = self._decrypted(step, {self._guest: answer["masked"]}, seconds)
        self._ask("apply", step, {self._guest: {"sealed": decrypted[self._guest]}})
        self._made_in = step

    @staticmethod
    def _note(seconds: dict[str, Any], replies: Mapping[str, Message]) -> None:
        for name, reply in replies.items():
            for kind in ("em", "encrypt"):
                seconds[kind][name] = seconds[kind].get(name, 0.0) + reply[f"{kind}_seconds"]

    def _count(self, step: int, purpose: str) -> None:
        """Count the ciphertexts of a step: it sees none, but knows how many a box of each kind holds."""
        if purpose == _SCORE:
            packed = self._encoding().ciphertexts(self.rows, self.public_key.bits)
            self.traffic.scores_from_parties += packed * len(self._hosts)
            self.traffic.sums_to_arbiter += packed
            return
        rows = len(self._dealt().rows_of(step))
        features = 1 if self._packs_rows() else self._settings().terms + 1
        self.traffic.scores_from_parties += rows * features * len(self._hosts)
        self.traffic.sums_to_arbiter += 1
        if purpose == _TRAIN:
            self.traffic.scores_from_parties += rows * len(self._hosts)
            self.traffic.sums_to_arbiter += 1 + sum(answer["columns"] for answer in self.capabilities.values())

    def _packs_rows(self) -> bool:
        encryption = self.plan.encryption
        if len(self._hosts) > 1 or not encryption.packing:
            return False
        packing = RowPacking.of(self._settings(), encryption.fraction_bits, self.rows, self.public_key.bits)
        return packing is not None

    def _dealt(self) -> Batches:
        return needed(self._batches, "a step before the parties have joined")

    def _settings(self) -> LogisticSettings:
        return needed(self.plan.logistic, "a logistic regression without settings")

    def _requirements(self, columns: tuple[str, ...] | None, training: bool) -> dict[str, Any]:
        fields = super()._requirements(columns, training)
        return {**fields, "logistic": self._settings().to_text()}
