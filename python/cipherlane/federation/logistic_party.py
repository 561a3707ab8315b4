"""A data party of a logistic regression: its own columns and coefficients; the guest has the labels as well."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cipherlane.errors import ProtocolError
from cipherlane.federation import capability
from cipherlane.federation.data_party import DataParty, PartyFiles
from cipherlane.federation.logistic_models import LogisticModel, save_logistic_model
from cipherlane.federation.plan import LOGISTIC
from cipherlane.federation.predictions import Predictions, predictions_of
from cipherlane.federation.sealed_state import (
    LogisticState,
    PreparedTable,
    seal_logistic_state,
    unseal_logistic_state,
)
from cipherlane.paillier import CipherArray, FixedPoint, Packed, PublicKey
from cipherlane.paillier.reference import packed_integers
from cipherlane.threadpools import single_threaded
from cipherlane.vertical.exchange import encoding_of, needed, read_ciphertexts
from cipherlane.vertical.logistic_ciphertexts import (
    GuestRows,
    encrypted_gradient,
    encrypted_loss,
    encrypted_residuals,
    packed_loss,
    packed_residuals,
    passed_on,
    read_array,
)
from cipherlane.vertical.logistic_settings import LogisticSettings
from cipherlane.vertical.logistic_steps import Batches, Verdict, binary_labels, descended, judged, row_weights
from cipherlane.vertical.masks import Masks, masked, numbers_from
from cipherlane.vertical.messages import ARBITER, GUEST, pack
from cipherlane.vertical.row_packing import RowPacking
from cipherlane.vertical.score_encoding import NumberEncoding
from cipherlane.vertical.sealed_files import SealedStore
from cipherlane.vertical.separable_logistic import SeparableLogistic, softplus
from cipherlane.vertical.wire import Message

_SCORE = "score"
_TRAIN = "train"
_VALIDATE = "validate"


@dataclass(frozen=True)
class _Sums:
    """Encrypted numbers to be masked and decrypted: bits after the point, and a bound for each ciphertext."""

    array: CipherArray
    scale_bits: int
    bounds: tuple[int, ...]

    @classmethod
    def of(cls, array: CipherArray, bound: int | None = None) -> _Sums:
        """Take scale and, unless it is given, bound from the array."""
        return cls(array, array.scale_bits, (array.bound if bound is None else bound,) * array.ciphertext_count)


@dataclass(frozen=True)
class _Sent:
    """What this party has masked and awaits back: for which rows and purpose, and how its numbers are read."""

    purpose: str
    rows: NDArray[np.intp]
    masks: Masks
    bounds: tuple[int, ...]
    scale_bits: tuple[int, ...]
    plain_loss: float = 0.0


class LogisticParty(DataParty):
    """A guest or host; partial scores and residuals leave it encrypted, its gradient is masked for the key's holder.

    Attributes
    ----------
    predictions
        The guest's, once rows were scored; None before and at hosts.
    """

    algorithm = LOGISTIC

    def __init__(
        self,
        name: str,
        role: str,
        table: PreparedTable,
        *,
        id_column: str = "id",
        store: SealedStore | None = None,
        files: PartyFiles | None = None,
        model: LogisticModel | None = None,
        declines: str | None = None,
    ) -> None:
        super().__init__(name, role, table, id_column=id_column, store=store, files=files, declines=declines)
        self._trained_from = model
        self._settings = LogisticSettings()
        self._kernel = SeparableLogistic()
        self._batches: Batches | None = None
        self._box_keys: dict[str, bytes] = {}
        self._tolerance = 0.0
        self._labels: NDArray[np.float64] | None = None
        self._weights = np.ones(len(table.ids))
        self._classes: tuple[str, str] | None = None if model is None else model.labels
        self._state = LogisticState.zero(table.inputs.shape[1])
        self._packing: RowPacking | None = None
        self._packed_inputs = np.empty((0, 0), dtype=np.int64)
        self._sent: _Sent | None = None
        self._epoch_losses: list[float] = []
        self._epoch_rows: list[int] = []
        self.predictions: Predictions | None = None
        if model is not None:
            self._state = self._state.moved(model.coefficients, model.intercept or 0.0)
        self.handlers = {
            "requirements": self._on_requirements,
            **self.match_handlers(),
            "key": self._on_key,
            "join": self._on_join,
            "forward": self._on_forward,
            "residuals": self._on_residuals,
            "gradient": self._on_gradient,
            "apply": self._on_apply,
            "settle": self._on_settle,
            "checkpoint": self._on_checkpoint,
            "restore": self._on_restore,
            "finish": self._on_finish,
        }

    def call(self, method: str, data: bytes) -> bytes:
        """Answer the message `data` of kind `method`."""
        # The small products of plain matrices between batches of ciphertexts would leave workers that spin.
        with single_threaded("blas"):
            return super().call(method, data)

    # What it has, and on which terms it takes part.

    def _on_requirements(self, message: Message) -> bytes:
        if message["logistic"] is None:
            raise ProtocolError("logistic settings: the plan's requirements have none")
        self._settings = LogisticSettings.from_text(message["logistic"])
        self._kernel = SeparableLogistic(self._settings.terms, self._settings.reach)
        return super()._on_requirements(message)

    def _reasons_to_decline(self, task: Message) -> list[str]:
        reasons = super()._reasons_to_decline(task)
        if task["training"] and self.role == GUEST and self._table.labels is None:
            reasons.append("it has no labels; name their column (label_column)")
        return reasons

    def _values_sent(self, task: Message) -> int:
        return self._kernel.width * len(self._table.ids)

    def _memory_needed(self, task: Message) -> int:
        rows, columns = self._table.inputs.shape
        key_bits: int = task["key_bits"]
        # Inputs twice, and the ciphertexts of a row (of twice the key's bits) as numbers, as bytes and in a box.
        needed_bytes: int = 8 * rows * 2 * columns + rows * self._kernel.width * 3 * key_bits // 4
        return needed_bytes

    def _expected_seconds(self, task: Message) -> float:
        # Features are encrypted by a host and multiplied by the guest, which costs about as much.
        each: float = capability.encryption_seconds(task["key_bits"], task["scheme"])
        return each * self._values_sent(task)

    def _on_join(self, message: Message) -> bytes:
        """Take the others' box keys, and settle labels and batches, before anything is computed."""
        self._box_keys, self._tolerance = message["box_keys"], message["tolerance"]
        if not self._current_task()["training"]:
            return self._noted(message)
        self._batches = Batches.deal(len(self._table.ids), self._settings)
        smallest = min(len(rows) for rows in self._batches.training)
        if smallest <= message["columns"]:
            raise ProtocolError(
                f"logistic.batch_rows: a batch of {smallest} rows, and a party with {message['columns']} columns: from "
                f"its gradient that party could work out each row's residual, and so its label; take more than "
                f"{message['columns']} rows a batch"
            )
        if self.role == GUEST:
            labels = needed(self._table.labels, "training without labels")
            self._labels, classes = binary_labels(labels, self._settings.positive)
            if self._trained_from is not None and self._trained_from.labels != classes:
                raise ProtocolError(
                    "label_column: expected the two labels of the version that training goes on from, and the same "
                    "positive one; set logistic.positive as it was, or train anew"
                )
            self._classes = classes
            self._weights = row_weights(self._labels, self._settings)
        self._settle_packing()
        return self._noted(message)

    def _settle_packing(self) -> None:
        """Decide, as every party does, whether a row's features share a ciphertext; of several hosts they do not."""
        task = self._current_task()
        if task["parties"] != 2 or not task["packing"]:
            return
        rows = len(self._table.ids)
        self._packing = RowPacking.of(self._settings, task["fraction_bits"], rows, task["key_bits"])
        if self._packing is not None:
            inputs = self._table.inputs
            if self.role == GUEST:
                inputs = np.column_stack([inputs, np.ones(rows)])
            self._packed_inputs = self._packing.inputs(inputs, self.name)

    # A step: partial scores at hosts, residuals at the guest, gradients everywhere.

    def _on_forward(self, message: Message) -> bytes:
        key = needed(self._public_key, "partial scores are asked for before a key")
        start = time.perf_counter()
        rows = self._rows_of(message.round, message["purpose"])
        scores = self._partial_scores(rows)
        before = None if message["sealed"] is None else self._opened("scores_so_far", message["sealed"], message.round)
        if message["purpose"] == _SCORE:
            array, computed = self._added_scores(key, scores, before)
        else:
            array, computed = self._passed_features(key, scores, before, message["position"])
        data = array.to_bytes()
        receiver = message["receiver"]
        return pack(
            "partial_scores",
            message.round,
            sealed=self._sealed("scores_so_far", data, message.round, receiver),
            em_seconds=computed - start,
            encrypt_seconds=time.perf_counter() - computed,
        )

    def _added_scores(
        self, key: PublicKey, scores: NDArray[np.float64], before: bytes | None
    ) -> tuple[CipherArray, float]:
        """Return the packed partial scores so far with this party's, and when they were ready to encrypt."""
        encoding = encoding_of(self._current_task())
        encoding.check_fits(scores, self.name, "partial scores")
        computed = time.perf_counter()
        own = key.encrypt(scores, codec=encoding.codec())
        if before is None:
            return own, computed
        return own + read_ciphertexts(key, before, len(scores), encoding, "a host"), computed

    def _passed_features(
        self, key: PublicKey, scores: NDArray[np.float64], before: bytes | None, position: int
    ) -> tuple[CipherArray, float]:
        """Return the encrypted features of the score so far with this party's part, and when they were ready."""
        codec = self._codec()
        if before is None:
            features = self._kernel.features(scores)
            computed = time.perf_counter()
            if self._packing is not None:
                return key.encrypt(self._packing.packed(features), codec=self._packing.codec), computed
            return key.encrypt(features, codec=codec), computed
        earlier = self._read_features(before, len(scores), position)
        return passed_on(earlier, self._kernel, scores), time.perf_counter()

    def _read_features(self, data: bytes, rows: int, parties: int) -> CipherArray:
        """Return the features that `parties` hosts have contributed to."""
        key, codec = needed(self._public_key, "features come before a key"), self._codec()
        if self._packing is not None:
            return read_array(key, data, (rows,), self._packing.codec, 0, "a host")
        return read_array(key, data, (rows, self._kernel.width), codec, parties * codec.scale_bits, "a host")

    def _on_residuals(self, message: Message) -> bytes:
        key = needed(self._public_key, "residuals are asked for before a key")
        rows = self._rows_of(message.round, message["purpose"])
        start = time.perf_counter()
        data = self._opened("scores_so_far", message["sealed"], message.round)
        hosts = self._current_task()["parties"] - 1
        if message["purpose"] == _SCORE:
            total, _ = self._added_scores(key, self._partial_scores(rows), data)
            # Of packed numbers the bound holds for each slot; whole plaintexts have only that of the modulus.
            boxes, sums, plain = dict[str, bytes](), [_Sums.of(total, key.n)], 0.0
        else:
            features = self._read_features(data, len(rows), hosts)
            boxes, sums, plain = self._residuals(message, rows, features)
        masks_from = time.perf_counter()
        sealed = self._masked(message, rows, sums, plain)
        return pack(
            "encrypted_residuals",
            message.round,
            sealed=boxes,
            masked=sealed,
            em_seconds=masks_from - start,
            encrypt_seconds=time.perf_counter() - masks_from,
        )

    def _residuals(
        self, message: Message, rows: NDArray[np.intp], features: CipherArray
    ) -> tuple[dict[str, bytes], list[_Sums], float]:
        """Return the encrypted residuals for each host, what the guest lets decrypt, and the loss's plain part."""
        labels = needed(self._labels, "residuals are asked for before the labels")[rows]
        own = GuestRows(self._kernel, self._partial_scores(rows), labels, self._weights[rows])
        if self._packing is None:
            loss, plain = encrypted_loss(features, own)
            losses = _Sums.of(loss)
        else:
            packed = packed_loss(features, self._packing, own)
            losses, plain = _Sums(packed.encrypted, 2 * self._packing.fraction_bits, (packed.bound,)), packed.plain
        if message["purpose"] == _VALIDATE:
            return {}, [losses], plain
        if self._packing is None:
            residuals = encrypted_residuals(features, own)
        else:
            residuals = packed_residuals(features, self._packing, own)
        data = residuals.to_bytes()
        hosts = [name for name in self._box_keys if name != self.name]
        boxes = {host: self._sealed("residuals_for", data, message.round, host) for host in hosts}
        return boxes, [self._gradient(rows, residuals), losses], plain

    def _gradient(self, rows: NDArray[np.intp], residuals: CipherArray) -> _Sums:
        """Return the encrypted gradient of the party's coefficients; the guest's ends with that of the intercept."""
        if self._packing is not None:
            inputs = self._packed_inputs[rows]
            return _Sums(
                encrypted_gradient(inputs, residuals),
                3 * self._packing.fraction_bits,
                self._packing.gradient_bounds(inputs),
            )
        own = self._table.inputs[rows]
        if self.role == GUEST:
            own = np.column_stack([own, np.ones(len(rows))])
        return _Sums.of(encrypted_gradient(own, residuals))

    def _on_gradient(self, message: Message) -> bytes:
        key, codec = needed(self._public_key, "a gradient is asked for before a key"), self._codec()
        start = time.perf_counter()
        rows = self._rows_of(message.round, _TRAIN)
        data = self._opened("residuals_for", message["sealed"], message.round)
        scale_bits = self._current_task()["parties"] * codec.scale_bits
        if self._packing is not None:
            codec, scale_bits = self._packing.codec, 0
        gradient = self._gradient(rows, read_array(key, data, (len(rows),), codec, scale_bits, GUEST))
        masks_from = time.perf_counter()
        sealed = self._masked(message, rows, [gradient], 0.0)
        return pack(
            "masked_gradient",
            message.round,
            masked=sealed,
            em_seconds=masks_from - start,
            encrypt_seconds=time.perf_counter() - masks_from,
        )

    def _masked(self, message: Message, rows: NDArray[np.intp], sums: Sequence[_Sums], plain_loss: float) -> bytes:
        """Return encrypted numbers, masked, sealed to the arbiter; and remember how to read the answer."""
        purpose = _TRAIN if message.kind == "gradient" else message["purpose"]
        slot = None if self._packing is None or purpose == _SCORE else self._packing.slot
        data, masks = masked([some.array for some in sums], slot)
        bounds = tuple(bound for some in sums for bound in some.bounds)
        scales = tuple(some.scale_bits for some in sums for _ in some.bounds)
        self._sent = _Sent(purpose, rows, masks, bounds, scales, plain_loss)
        bits = {"first_bit": 0, "bits": 0} if slot is None else {"first_bit": slot.first, "bits": slot.bits}
        arbiter = needed(self._arbiter_box_key, "numbers are masked before the arbiter's key")
        receiver = f"{ARBITER}/{self.name}"
        return self._sealed_to(arbiter, "masked_numbers", message.round, receiver, ciphertexts=data, **bits)

    # After the arbiter's answer.

    def _on_apply(self, message: Message) -> bytes:
        sent = needed(self._sent, "an answer comes before anything was masked")
        self._sent = None
        content = self._unsealed(message["sealed"], "decrypted_numbers", message.round)
        key = needed(self._public_key, "an answer comes before a key")
        integers = sent.masks.removed(numbers_from(content["numbers"], key, sent.masks.slot), sent.bounds)
        if sent.purpose == _SCORE:
            self._take_scores(key, integers)
            return self._applied(message, None, None, None)
        numbers = np.array([number / (1 << bits) for number, bits in zip(integers, sent.scale_bits, strict=True)])
        loss = float(numbers[-1] + sent.plain_loss) if self.role == GUEST else None
        gradient = numbers if loss is None else numbers[:-1]
        if len(gradient):
            self._descend(gradient / len(sent.rows), self._current_batches().epoch_of(message.round))
        return self._closed_epoch(message, sent, loss)

    def _descend(self, gradient: NDArray[np.float64], epoch: int) -> None:
        settings, state = self._settings, self._state
        rate, columns = settings.rate(epoch), len(state.coefficients)
        coefficients = descended(state.coefficients, gradient[:columns], rate, settings.l1, settings.l2)
        intercept = state.intercept
        if self.role == GUEST:
            intercept -= rate * float(gradient[columns])
        self._state = state.moved(coefficients, intercept)

    def _closed_epoch(self, message: Message, sent: _Sent, loss: float | None) -> bytes:
        """Take note of a step's loss, and at the end of an epoch of what it amounts to."""
        batches = self._current_batches()
        validation = None
        if loss is not None and sent.purpose == _VALIDATE:
            validation = loss / len(sent.rows)
        elif loss is not None:
            self._epoch_losses.append(loss)
            self._epoch_rows.append(len(sent.rows))
        if batches.ends_training(message.round):
            self._state = self._state.kept(self._settings.patience)
        if self.role != GUEST or not batches.ends_epoch(message.round):
            return self._applied(message, None, None, None)
        training = sum(self._epoch_losses) / sum(self._epoch_rows)
        self._epoch_losses, self._epoch_rows = [], []
        self._state = self._state.judged_by(training if validation is None else validation)
        return self._applied(message, training, validation, self._verdict(batches.epoch_of(message.round)))

    def _verdict(self, epoch: int) -> Verdict:
        settings = self._settings
        first = float(softplus(np.zeros(1))[0] * self._weights.mean())
        return judged(self._state.losses, first, self._tolerance, settings.patience, settings.rate(epoch))

    def _applied(
        self, message: Message, loss: float | None, validation_loss: float | None, verdict: Verdict | None
    ) -> bytes:
        return pack(
            "applied",
            message.round,
            loss=loss,
            validation_loss=validation_loss,
            change=None if verdict is None else verdict.change,
            converged=verdict is not None and verdict.converged,
            best=0 if verdict is None else verdict.best,
        )

    def _take_scores(self, key: PublicKey, integers: Sequence[int]) -> None:
        encoding = encoding_of(self._current_task())
        scores = _unpacked(key, integers, len(self._table.ids), encoding)
        classes = needed(self._classes, "rows are scored before the classes are known")
        held_out = None if self._batches is None else self._batches.validation
        self.predictions = predictions_of(self._table.ids, self._table.labels, classes, scores, held_out)

    def _on_settle(self, message: Message) -> bytes:
        self._state = self._state.back(message["best"])
        return self._noted(message)

    # What is kept.

    def _on_checkpoint(self, message: Message) -> bytes:
        store = needed(self._store, "a checkpoint without a directory to keep it in")
        seal_logistic_state(store, message.round, self._state)
        return self._noted(message)

    def _on_restore(self, message: Message) -> bytes:
        store = needed(self._store, "a checkpoint is asked for, and there is no directory with one")
        self._state = unseal_logistic_state(store, message.round)
        if len(self._state.coefficients) != self._table.inputs.shape[1]:
            raise ProtocolError("checkpoint: it is of another table or plan; start the run anew")
        if self.role != GUEST:
            return self._applied(message, None, None, None)
        epoch = self._current_batches().epoch_of(message.round)
        return self._applied(message, None, None, self._verdict(epoch))

    def _on_finish(self, message: Message) -> bytes:
        digest = None
        if self._files.model is not None:
            digest = save_logistic_model(self._files.model, self._model())
        if self.predictions is not None and self._files.assignments is not None:
            self.predictions.write(self._files.assignments)
        if self.predictions is not None and self._files.quality is not None:
            self.predictions.write_quality(self._files.quality)
        return self._finished(message, digest)

    def _model(self) -> LogisticModel:
        guest = self.role == GUEST
        return LogisticModel(
            self.name,
            self._id_column,
            self._state.coefficients,
            self._state.intercept if guest else None,
            self._classes if guest else None,
            self._table.preprocessing,
        )

    # Small parts.

    def _rows_of(self, step: int, purpose: str) -> NDArray[np.intp]:
        """Return the rows of a step, which must be one of that purpose by the accepted plan."""
        if purpose == _SCORE:
            return np.arange(len(self._table.ids))
        batches = self._current_batches()
        most = self._current_task()["max_iterations"]
        if batches.epoch_of(step) >= most:
            raise ProtocolError(f"step {step}: the plan that this party accepted ends after epoch {most}")
        if step < 1 or batches.validates(step) != (purpose == _VALIDATE):
            raise ProtocolError(f"step {step}: it is no step to {purpose} by the plan that this party accepted")
        return batches.rows_of(step)

    def _partial_scores(self, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        return self._table.inputs[rows] @ self._state.coefficients + self._state.intercept

    def _codec(self) -> FixedPoint:
        task = self._current_task()
        return FixedPoint(scale_bits=task["fraction_bits"], integer_bits=task["integer_bits"])

    def _current_batches(self) -> Batches:
        return needed(self._batches, "a step before the parties have joined")

    def _sealed(self, kind: str, data: bytes, round_number: int, receiver: str) -> bytes:
        if receiver not in self._box_keys:
            raise ProtocolError(f"receiver: expected one of {sorted(self._box_keys)}, got another name")
        return self._sealed_to(self._box_keys[receiver], kind, round_number, receiver, ciphertexts=data)

    def _opened(self, kind: str, box: bytes, round_number: int) -> bytes:
        data: bytes = self._unsealed(box, kind, round_number)["ciphertexts"]
        return data


def _unpacked(key: PublicKey, integers: Sequence[int], values: int, encoding: NumberEncoding) -> NDArray[np.float64]:
    """Return the numbers in decrypted plaintexts, from which masks were taken off."""
    codec = encoding.codec()
    slots = codec.slots(key.bits)
    digits = list(integers)
    if isinstance(codec, Packed):
        digits = [
            digit for number in integers for digit in packed_integers(key.n, number % key.n, slots, codec.slot_bits)
        ]
    if len(digits) < values:
        raise ProtocolError(f"scores: expected {values} numbers, got {len(digits)}")
    return np.array([digit / (1 << codec.scale_bits) for digit in digits[:values]])
