"""A data party of a horizontal federation: its own rows of columns that every party has."""

from __future__ import annotations

import dataclasses
import time

import numpy as np
from numpy.typing import NDArray

from cipherlane.errors import ProtocolError
from cipherlane.federation.data_party import PROBE_ROWS, DataParty, PartyFiles, Trained, sealed_table
from cipherlane.federation.models import PartyModel, save_models
from cipherlane.federation.party import PartyT
from cipherlane.federation.plan import HORIZONTAL, PartyPlan
from cipherlane.federation.sealed_state import PreparedTable, seal_mixture, unseal_mixture
from cipherlane.horizontal.mixture_party import (
    MixtureParameters,
    cluster_centres,
    drawn_responsibilities,
    expected_statistics,
    nearest,
)
from cipherlane.horizontal.standardisation import column_spreads, column_sums
from cipherlane.horizontal.statistics import statistics_of, statistics_size, to_vector
from cipherlane.vertical.exchange import covariances_from_wire, encoding_of, needed
from cipherlane.vertical.messages import pack
from cipherlane.vertical.mixture_party import PartyParameters
from cipherlane.vertical.score_encoding import NumberEncoding, parameter_encoding
from cipherlane.vertical.sealed_files import SealedStore
from cipherlane.vertical.tables import Preprocessing, Table, check_present, read_csv
from cipherlane.vertical.wire import Message


class HorizontalParty(DataParty):
    """A guest or host with rows of its own; they leave it only as encrypted sums over them.

    Its table is made ready once the columns' means and deviations over all parties are known.
    """

    algorithm = HORIZONTAL

    def __init__(
        self,
        name: str,
        role: str,
        table: PreparedTable,
        *,
        id_column: str = "id",
        store: SealedStore | None = None,
        files: PartyFiles | None = None,
        raw: Table | None = None,
        standardise: bool = True,
        model: PartyModel | None = None,
        declines: str | None = None,
    ) -> None:
        super().__init__(name, role, table, id_column=id_column, store=store, files=files, declines=declines)
        self._raw = raw
        self._standardise = standardise
        self._means: NDArray[np.float64] | None = None
        self._mixture = None if model is None else _mixture_of(model)
        self.handlers = {
            "requirements": self._on_requirements,
            "match_open": self._on_match_open,
            "match_check": self._on_match_check,
            "key": self._on_key,
            "column_sums": self._on_column_sums,
            "column_spreads": self._on_column_spreads,
            "standardise": self._on_standardise,
            "initialise": self._on_initialise,
            "begin": self._on_begin,
            "expect": self._on_expect,
            "checkpoint": self._on_checkpoint,
            "restore": self._on_restore,
            "finish": self._on_finish,
        }

    @classmethod
    def prepare(
        cls: type[PartyT], plan: PartyPlan, store: SealedStore, files: PartyFiles, model: Trained | None = None
    ) -> PartyT:
        """Read the party's file; it is preprocessed and sealed when all parties' columns are known.

        To train on from a `model`, it is preprocessed at once as that model's rows were.
        """
        if model is not None:
            return cls._of(plan, sealed_table(plan, store, model.preprocessing), store, files, model=model)
        raw = read_csv(plan.data, plan.id_column, plan.columns, plan.label_column)
        check_present(raw, plan.impute)
        table = PreparedTable.from_table(raw, _as_they_are(raw.columns, plan.impute))
        return cls._of(plan, table, store, files, raw=raw, standardise=plan.standardise)

    # What it has.

    def _least_rows(self, task: Message) -> int:
        return 1

    def _values_sent(self, task: Message) -> int:
        columns = self._table.inputs.shape[1]
        return statistics_size(task["components"], columns, task["covariance_type"])

    def _probe_seconds(self, task: Message) -> float:
        # Rows of no one's data: until the columns are centred, this party's own may be of any magnitude.
        rows, columns = len(self._table.ids), self._table.inputs.shape[1]
        probe = np.random.default_rng(0).normal(size=(min(rows, PROBE_ROWS), columns))
        components: int = task["components"]
        unit = np.ones(columns) if task["covariance_type"] == "diag" else np.eye(columns)
        parameters = MixtureParameters(
            np.full(components, 1.0 / components),
            np.zeros((components, columns)),
            np.repeat(unit[np.newaxis], components, axis=0),
            task["covariance_type"],
        )
        start = time.perf_counter()
        expected_statistics(probe, parameters, rows)
        seconds: float = time.perf_counter() - start
        return seconds * rows / min(rows, PROBE_ROWS)

    # Whether its columns are the others' columns.

    def _on_match_open(self, message: Message) -> bytes:
        fitted = self._table.preprocessing
        fields = {"columns": list(fitted.columns), "id_column": self._id_column, "imputation": fitted.imputation}
        sealed = self._sealed_to_each("column_names", message, **fields)
        return pack("match_offer", message.round, rows=len(self._table.ids), sealed=sealed)

    def _on_match_check(self, message: Message) -> bytes:
        columns = self._unsealed(message["sealed"], "column_names", message.round)["columns"]
        own = self._table.preprocessing.columns
        only_here, only_there = sorted(set(own) - set(columns)), sorted(set(columns) - set(own))
        if only_here or only_there:
            self.notify(
                f"{self._table.source}: columns that only this party has: {', '.join(only_here) or 'none'}; that only "
                f"the guest has: {', '.join(only_there) or 'none'}; name the same ones under `columns` in the plan"
            )
        else:
            self._arrange(columns)
        return pack(
            "match_result",
            message.round,
            matched=not only_here and not only_there,
            rows=len(self._table.ids),
            only_here=len(only_here),
            only_there=len(only_there),
            sealed=None,
        )

    def _arrange(self, columns: list[str]) -> None:
        """Put the raw table's columns into the guest's order."""
        if tuple(columns) == self._table.preprocessing.columns:
            return
        raw = needed(self._raw, "columns are in another order than those of the model to train on from")
        order = [raw.columns.index(name) for name in columns]
        self._raw = dataclasses.replace(raw, columns=tuple(columns), values=raw.values[:, order])
        imputation = self._table.preprocessing.imputation
        self._table = PreparedTable.from_table(self._raw, _as_they_are(tuple(columns), imputation))

    # The columns' means and deviations over all parties.

    def _on_column_sums(self, message: Message) -> bytes:
        raw = needed(self._raw, "sums of columns are asked for after the table was made ready")
        start = time.perf_counter()
        return self._moments(message, column_sums(raw.values), start)

    def _on_column_spreads(self, message: Message) -> bytes:
        raw = needed(self._raw, "spreads of columns are asked for after the table was made ready")
        self._means = self._column_values("column_means", message, raw)
        start = time.perf_counter()
        return self._moments(message, column_spreads(raw.values, self._means), start)

    def _moments(self, message: Message, numbers: NDArray[np.float64], start: float) -> bytes:
        task = self._current_task()
        encoding = parameter_encoding(task["packing"], task["parties"])
        encoding.check_fits(numbers, self.name, "sums of columns")
        return self._encrypted("encrypted_statistics", message.round, numbers, encoding, start)

    def _on_standardise(self, message: Message) -> bytes:
        raw = needed(self._raw, "the table is made ready twice")
        means = needed(self._means, "deviations of columns come before their means")
        scales = self._column_values("column_scales", message, raw)
        if not (scales > 0).all():
            raise ProtocolError("column scales: expected numbers above 0")
        used = scales if self._standardise else np.ones_like(scales)
        imputation = self._table.preprocessing.imputation
        fitted = Preprocessing(raw.columns, means, used, means, imputation)
        self._table = PreparedTable.from_table(raw, fitted)
        self._table.seal(needed(self._store, "a table without a directory to seal it in"))
        self._raw = None
        return self._noted(message)

    def _column_values(self, kind: str, message: Message, raw: Table) -> NDArray[np.float64]:
        content = self._unsealed(message["sealed"], kind, message.round)
        values: NDArray[np.float64] = content["values"]
        if values.shape != (len(raw.columns),):
            raise ProtocolError(f"{kind}: expected {len(raw.columns)} numbers, got shape {values.shape}")
        return values

    # Training.

    def _on_initialise(self, message: Message) -> bytes:
        centres = cluster_centres(self._table.inputs, self._current_task()["components"], message["seed"])
        sealed = self._sealed_to_each("centres", message, means=centres)
        return pack("initial_centres", message.round, sealed=sealed)

    def _on_begin(self, message: Message) -> bytes:
        task = self._current_task()
        inputs, components = self._table.inputs, task["components"]
        start = time.perf_counter()
        if message["from_model"]:
            model = needed(self._mixture, "training goes on from a model that this party does not have")
            vector = expected_statistics(inputs, model, self._total_rows())
            return self._encrypted_statistics(message, vector, start)
        if message["sealed"] is None:
            first = drawn_responsibilities(len(inputs), components, message["seed"], message["position"])
        else:
            centres = self._unsealed(message["sealed"], "centres", message.round)["means"]
            if centres.shape != (components, inputs.shape[1]):
                raise ProtocolError(f"centres: expected shape ({components}, {inputs.shape[1]}), got {centres.shape}")
            first = nearest(inputs, centres)
        vector = to_vector(statistics_of(inputs, first, task["covariance_type"]), 0.0)
        return self._encrypted_statistics(message, vector, start)

    def _on_expect(self, message: Message) -> bytes:
        self._check_round(message)
        # The model is bound to the round whose M-step made it, the one before.
        self._mixture = self._opened_mixture(message["sealed"], message.round - 1)
        start = time.perf_counter()
        vector = expected_statistics(self._table.inputs, self._mixture, self._total_rows())
        return self._encrypted_statistics(message, vector, start)

    def _encrypted_statistics(self, message: Message, vector: NDArray[np.float64], start: float) -> bytes:
        encoding: NumberEncoding = encoding_of(self._current_task())
        encoding.check_fits(vector, self.name, "sums over its rows")
        return self._encrypted("encrypted_statistics", message.round, vector, encoding, start)

    def _total_rows(self) -> int:
        return needed(self._all_rows, "a round before the number of rows is known")

    def _opened_mixture(self, box: bytes, round_number: int) -> MixtureParameters:
        task = self._current_task()
        content = self._unsealed(box, "mixture_parameters", round_number)
        shape = (task["components"], self._table.inputs.shape[1])
        if content["means"].shape != shape or content["weights"].shape != shape[:1]:
            raise ProtocolError(f"model: expected means of shape {shape}, got {content['means'].shape}")
        kind = task["covariance_type"]
        covariances = covariances_from_wire(content["covariances"], shape, kind)
        return MixtureParameters(content["weights"], content["means"], covariances, kind)

    def _on_checkpoint(self, message: Message) -> bytes:
        seal_mixture(self.sealed_store, message.round, needed(self._mixture, "a checkpoint before training"))
        return self._noted(message)

    def _on_restore(self, message: Message) -> bytes:
        self._mixture = unseal_mixture(self.sealed_store, message.round)
        return self._noted(message)

    def _on_finish(self, message: Message) -> bytes:
        found = needed(self._mixture, "training is declared finished before it began")
        digest = None
        if self._files.model is not None:
            block = PartyParameters(found.means, found.covariances, found.covariance_type)
            model = PartyModel(self.name, self._id_column, block, self._table.preprocessing, found.weights)
            digest = save_models(self._files.model, [model])
        self.result, _ = found.responsibilities(self._table.inputs)
        self._keep_result(self.result)
        return self._finished(message, digest)


def _mixture_of(model: PartyModel) -> MixtureParameters:
    block = model.parameters
    return MixtureParameters(model.weights, block.means, block.covariances, block.covariance_type)


def _as_they_are(columns: tuple[str, ...], imputation: str) -> Preprocessing:
    """Return what leaves a table's numbers as they are, but for missing cells, which it fills with zeros."""
    zeros = np.zeros(len(columns))
    return Preprocessing(columns, zeros, np.ones(len(columns)), zeros, imputation)
