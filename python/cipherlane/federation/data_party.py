"""A data party: a guest or host with its own columns, and what it answers the coordinator."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cipherlane.errors import ProtocolError
from cipherlane.federation import capability
from cipherlane.federation.assignments import evaluate_assignments, write_assignments
from cipherlane.federation.models import PartyModel, save_models
from cipherlane.federation.party import Party, PartyT
from cipherlane.federation.plan import ALGORITHM, PartyPlan
from cipherlane.federation.row_matching import shown
from cipherlane.federation.sealed_state import PreparedTable, seal_parameters, unseal_parameters
from cipherlane.files import told
from cipherlane.paillier import PublicKey
from cipherlane.vertical.exchange import (
    check_key,
    encoding_of,
    needed,
    open_responsibilities,
    seal_responsibilities,
)
from cipherlane.vertical.messages import (
    ARBITER,
    GUEST,
    pack,
)
from cipherlane.vertical.mixture_party import COVARIANCE_TYPES, PartyParameters, update_parameters
from cipherlane.vertical.responsibility_table import round_rows
from cipherlane.vertical.score_encoding import NumberEncoding, parameter_encoding, score_vector
from cipherlane.vertical.sealed_files import SealedStore
from cipherlane.vertical.starts import initial_responsibilities
from cipherlane.vertical.tables import Preprocessing, read_csv
from cipherlane.vertical.wire import Message

PROBE_ROWS = 20_000
_DISK_SLACK = 1 << 20


class Trained(Protocol):
    """A party's part of a trained model, as far as its rows depend on it."""

    @property
    def preprocessing(self) -> Preprocessing:
        """How its rows were preprocessed."""


@dataclass(frozen=True)
class PartyFiles:
    """Where a data party writes what is its own in the end; None writes nothing.

    Attributes
    ----------
    model
        The party's block of the model.
    assignments
        The guest's rows with their component and responsibilities.
    quality
        The guest's comparison with its labels.
    """

    model: Path | None = None
    assignments: Path | None = None
    quality: Path | None = None


class DataParty(Party[PreparedTable, PartyFiles]):
    """A guest or host; its rows, parameters and log-densities leave it only encrypted, labels never.

    Parameters
    ----------
    name, role, table, id_column, store, files, declines
        As for `Party`; without a `store` nothing is kept (scoring).
    model
        A trained block, to score the table with or to train on from; None to begin anew.

    Attributes
    ----------
    result
        The guest's final responsibilities, float64 of shape (n, K); None before the end and at hosts.
    """

    algorithm = ALGORITHM

    def __init__(
        self,
        name: str,
        role: str,
        table: PreparedTable,
        *,
        id_column: str = "id",
        store: SealedStore | None = None,
        files: PartyFiles | None = None,
        model: PartyModel | None = None,
        declines: str | None = None,
    ) -> None:
        super().__init__(
            name,
            role,
            table,
            id_column=id_column,
            columns=table.preprocessing.columns,
            store=store,
            files=files or PartyFiles(),
            declines=declines,
        )
        self._parameters = None if model is None else model.parameters
        self._public_key: PublicKey | None = None
        self._arbiter_box_key: bytes | None = None
        self._all_rows: int | None = None
        self._responsibilities: NDArray[np.float64] | None = None
        self.result: NDArray[np.float64] | None = None
        self.handlers = {
            "requirements": self._on_requirements,
            **self.match_handlers(),
            "key": self._on_key,
            "initialise": self._on_initialise,
            "update": self._on_update,
            "evaluate": self._on_evaluate,
            "send_parameters": self._on_send_parameters,
            "checkpoint": self._on_checkpoint,
            "restore": self._on_restore,
            "finish": self._on_finish,
        }

    @classmethod
    def prepare(
        cls: type[PartyT], plan: PartyPlan, store: SealedStore, files: PartyFiles, model: Trained | None = None
    ) -> PartyT:
        """Read and preprocess the party's file as its plan says, and seal the result in its store.

        To train on from a `model`, it is preprocessed as that model's rows were.
        """
        fitted = None if model is None else model.preprocessing
        return cls._of(plan, sealed_table(plan, store, fitted), store, files, model=model)

    @classmethod
    def _kept_rows(cls, store: SealedStore) -> tuple[PreparedTable, dict[str, Any]]:
        return PreparedTable.unseal(store), {}

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of its rows, sorted."""
        return self._table.ids

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of its columns, as they are now."""
        return self._table.preprocessing.columns

    # What it has, and whether it takes part (steps 4 and 5).

    def _seconds_of_a_round(self, task: Message, reasons: list[str]) -> float | None:
        if not task["training"]:
            return None
        seconds, limit = self._expected_seconds(task), task["seconds_per_iteration"]
        if limit is not None and seconds > limit:
            reasons.append(f"an iteration would take {seconds:.3g} s here, the plan allows {limit:.3g} s")
        return seconds

    def _reasons_to_decline(self, task: Message) -> list[str]:
        rows = len(self._table.ids)
        reasons = super()._reasons_to_decline(task)
        if task["algorithm"] != self.algorithm or task["covariance_type"] not in COVARIANCE_TYPES:
            reasons.append(f"it is set up for {self.algorithm} with covariances {' or '.join(COVARIANCE_TYPES)}")
        if task["training"] and rows < self._least_rows(task):
            reasons.append(
                f"the plan asks for {task['components']} components, it has only {rows} rows; lower model.components"
            )
        if self._store is not None and (lacking := self._disk_lacking(self._store, task)) > 0:
            reasons.append(f"its checkpoints would take {lacking >> 10} kB more than is free on its disk")
        if encoding_of(task).slot_bits > task["key_bits"] - 2:
            reasons.append(f"a {task['key_bits']}-bit key has no room for one value of the plan's encoding")
        return reasons

    def _memory_needed(self, task: Message) -> int:
        rows, columns = self._table.inputs.shape
        components: int = task["components"]
        key_bits: int = task["key_bits"]
        ciphertexts = encoding_of(task).ciphertexts(self._values_sent(task), key_bits)
        # Inputs twice (one copy while preparing), four tables of n x K numbers, and ciphertexts (of twice the
        # key's bits) as numbers and as bytes.
        needed_bytes: int = 8 * rows * (2 * columns + 4 * components) + ciphertexts * key_bits
        return needed_bytes

    def _disk_lacking(self, store: SealedStore, task: Message) -> int:
        """Return how many bytes its disk is short of what a run keeps there."""
        columns = self._table.inputs.shape[1]
        # A few checkpoints of means and covariances, and one more while it is written.
        wanted: int = 4 * 8 * task["components"] * columns * (columns + 1) + _DISK_SLACK
        with told(store.directory):
            return wanted - shutil.disk_usage(store.directory).free

    def _expected_seconds(self, task: Message) -> float:
        seconds = 0.0
        # The first pass may compile; the second is what an iteration costs.
        for _ in range(2):
            seconds = self._probe_seconds(task)
        ciphertexts = encoding_of(task).ciphertexts(self._values_sent(task), task["key_bits"])
        return seconds + ciphertexts * capability.encryption_seconds(task["key_bits"], task["scheme"])

    # What differs between algorithms of what it has.

    def _least_rows(self, task: Message) -> int:
        components: int = task["components"]
        return components

    def _values_sent(self, task: Message) -> int:
        """Return how many numbers it encrypts in a round."""
        values: int = len(self._table.ids) * (task["components"] - 1) + 1
        return values

    def _probe_seconds(self, task: Message) -> float:
        """Return the seconds of its own arithmetic in a round, from as many rows as show it."""
        probe = self._table.inputs[:PROBE_ROWS]
        responsibilities = initial_responsibilities(probe, task["components"], "random", 0)
        start = time.perf_counter()
        self._fitted(task, probe, responsibilities).log_densities(probe)
        return (time.perf_counter() - start) * len(self._table.ids) / len(probe)

    def _tell_extreme(self, positions: NDArray[np.intp], components: int) -> None:
        """Name rows whose scores are too large; which ones is for nobody else to know."""
        rows = np.unique(positions // (components - 1))
        ids = [self._table.ids[row] for row in rows if row < len(self._table.ids)]
        if ids:
            self.notify(f"{self._table.source}: rows whose numbers do not fit ({len(ids)} in all): {shown(ids)}")

    # Training.

    def _on_key(self, message: Message) -> bytes:
        public_key = PublicKey.from_json(message["public_key"])
        check_key(public_key, self.expected_key, self.name)
        self._public_key = public_key
        self._arbiter_box_key = message["arbiter_box_key"]
        self._all_rows = message["rows"]
        return self._noted(message)

    def _on_initialise(self, message: Message) -> bytes:
        task = self._current_task()
        start = initial_responsibilities(self._table.inputs, task["components"], message["start"], message["seed"])
        self._responsibilities = round_rows(start, task["decimals"])
        sealed = seal_responsibilities(self._responsibilities, task["decimals"], message.round, message["box_keys"])
        return pack("initial_responsibilities", message.round, sealed=sealed)

    def _on_update(self, message: Message) -> bytes:
        self._check_round(message)
        if message["sealed"] is not None:
            # Responsibilities are bound to the round whose E-step made them, the one before.
            self._responsibilities = self._opened_responsibilities(message["sealed"], message.round - 1)
        responsibilities = needed(self._responsibilities, "an update before any responsibilities")
        start = time.perf_counter()
        task = self._current_task()
        self._parameters = self._fitted(task, self._table.inputs, responsibilities, self._parameters)
        return self._encrypted_scores(message, start)

    def _on_evaluate(self, message: Message) -> bytes:
        return self._encrypted_scores(message, time.perf_counter())

    def _encrypted_scores(self, message: Message, start: float) -> bytes:
        task = self._current_task()
        needed(self._public_key, "scores are asked for before a key")
        parameters = needed(self._parameters, "scores are asked for before a model")
        scores = score_vector(parameters.log_densities(self._table.inputs))
        encoding = encoding_of(task)
        self._tell_extreme(encoding.beyond(scores), task["components"])
        encoding.check_fits(scores, self.name, "log-density differences")
        return self._encrypted("encrypted_scores", message.round, scores, encoding, start)

    def _encrypted(
        self, kind: str, round_number: int, numbers: NDArray[np.float64], encoding: NumberEncoding, start: float
    ) -> bytes:
        """Return the message with `numbers`, which fit the encoding; making them began at `start`."""
        key = needed(self._public_key, "numbers are asked for before a key")
        encrypting = time.perf_counter()
        ciphertexts = key.encrypt(numbers, codec=encoding.codec()).to_bytes()
        return pack(
            kind,
            round_number,
            ciphertexts=ciphertexts,
            em_seconds=encrypting - start,
            encrypt_seconds=time.perf_counter() - encrypting,
        )

    def _on_send_parameters(self, message: Message) -> bytes:
        task = self._current_task()
        if task["share_parameters"] == "never":
            raise ProtocolError('parameters: the plan that this party accepted says share_parameters = "never"')
        key = needed(self._public_key, "parameters are asked for before a key")
        arbiter = needed(self._arbiter_box_key, "parameters are asked for before the arbiter's box key")
        parameters = needed(self._parameters, "parameters are asked for before training")
        fitted = self._table.preprocessing
        vector = np.concatenate([parameters.to_vector(), fitted.centre, fitted.scale, fitted.fill])
        encoding = parameter_encoding(task["packing"])
        encoding.check_fits(vector, self.name, "model parameters")
        own = {"columns": list(fitted.columns), "id_column": self._id_column, "imputation": fitted.imputation}
        return pack(
            "encrypted_parameters",
            message.round,
            columns=len(fitted.columns),
            ciphertexts=key.encrypt(vector, codec=encoding.codec()).to_bytes(),
            names=self._sealed_to(arbiter, "column_names", message.round, f"{ARBITER}/{self.name}", **own),
        )

    def _on_checkpoint(self, message: Message) -> bytes:
        seal_parameters(self.sealed_store, message.round, needed(self._parameters, "a checkpoint before training"))
        return self._noted(message)

    def _on_restore(self, message: Message) -> bytes:
        self._parameters = unseal_parameters(self.sealed_store, message.round)
        return self._noted(message)

    def _on_finish(self, message: Message) -> bytes:
        parameters = needed(self._parameters, "training is declared finished before it began")
        digest = None
        if message["weights"] is not None and self._files.model is not None:
            model = PartyModel(self.name, self._id_column, parameters, self._table.preprocessing, message["weights"])
            digest = save_models(self._files.model, [model])
        if message["sealed"] is not None and self.role == GUEST:
            self.result = self._opened_responsibilities(message["sealed"], message.round)
            self._keep_result(self.result)
        return self._finished(message, digest)

    def _keep_result(self, responsibilities: NDArray[np.float64]) -> None:
        if self._files.assignments is not None:
            write_assignments(self._files.assignments, self._id_column, self._table.ids, responsibilities)
        if self._files.quality is not None and self._table.labels is not None:
            evaluate_assignments(self._files.quality, self._table.labels, responsibilities)

    # Small parts.

    def _fitted(
        self,
        task: Message,
        inputs: NDArray[np.float64],
        responsibilities: NDArray[np.float64],
        previous: PartyParameters | None = None,
    ) -> PartyParameters:
        return update_parameters(inputs, responsibilities, task["covariance_type"], task["regularisation"], previous)

    def _opened_responsibilities(self, box: bytes, round_number: int) -> NDArray[np.float64]:
        task = self._current_task()
        shape = (len(self._table.ids), task["components"])
        return open_responsibilities(box, self._box, self.name, round_number, shape, task["decimals"])

    def _check_round(self, message: Message) -> None:
        most = self._current_task()["max_iterations"]
        if message.round > most:
            raise ProtocolError(f"round {message.round}: the plan that this party accepted ends after round {most}")

    def _finished(self, message: Message, model_sha256: bytes | None) -> bytes:
        return pack("finished", message.round, rows=len(self._table.ids), model_sha256=model_sha256)


def sealed_table(plan: PartyPlan, store: SealedStore, fitted: Preprocessing | None) -> PreparedTable:
    """Return the rows of a party's file, preprocessed as its plan says or as a model's rows were, and seal them."""
    columns = plan.columns if fitted is None else fitted.columns
    table = read_csv(plan.data, plan.id_column, columns, plan.label_column)
    if fitted is None:
        fitted = Preprocessing.fit(table, standardise=plan.standardise, imputation=plan.impute)
    prepared = PreparedTable.from_table(table, fitted)
    prepared.seal(store)
    return prepared
