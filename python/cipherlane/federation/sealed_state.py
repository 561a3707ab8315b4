"""What roles keep sealed on their own disk: a data party's table, and everyone's checkpoints."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from cipherlane.errors import ProtocolError
from cipherlane.horizontal.mixture_arbiter import MixtureState
from cipherlane.horizontal.mixture_party import MixtureParameters
from cipherlane.vertical.exchange import covariances_from_wire
from cipherlane.vertical.messages import MAXIMUM_COLUMNS
from cipherlane.vertical.mixture_arbiter import RoundState, component_weights
from cipherlane.vertical.mixture_party import PartyParameters
from cipherlane.vertical.sealed_files import SealedStore
from cipherlane.vertical.tables import Preprocessing, Table
from cipherlane.vertical.wire import (
    Array,
    Binary,
    Flag,
    ListOf,
    Message,
    Nullable,
    Real,
    Schema,
    Text,
    decode,
    encode,
)

TABLE_FILE = "table.sealed"
# The coordinator keeps two, and notes a round once every role has kept it: a kill in between leaves a role one more.
_KEPT_CHECKPOINTS = 3

_vector = Array(("<f8",), 1)
_mixture: Schema = {
    "covariance_type": Text(16),
    "weights": _vector,
    "means": Array(("<f8",), 2),
    "covariances": _vector,
}
_SCHEMAS: Mapping[str, Schema] = {
    "table": {
        "source": Text(1 << 16),
        "ids": Binary(),
        "labels": Nullable(Binary()),
        "columns": ListOf(Text(1024), MAXIMUM_COLUMNS),
        "imputation": Text(16),
        "inputs": Array(("<f8",), 2),
        "centre": _vector,
        "scale": _vector,
        "fill": _vector,
    },
    "party_checkpoint": {
        "covariance_type": Text(16),
        "means": Array(("<f8",), 2),
        "covariances": _vector,
    },
    "horizontal_party_checkpoint": _mixture,
    "horizontal_arbiter_checkpoint": {
        **_mixture,
        "counts": _vector,
        "log_likelihood": Nullable(Real()),
        "change": Nullable(Real()),
        "converged": Flag(),
    },
    "logistic_party_checkpoint": {
        "coefficients": _vector,
        "intercept": Real(),
        "earlier": Array(("<f8",), 2),
        "losses": _vector,
    },
    "arbiter_checkpoint": {
        "responsibilities": Array(("<f8",), 2),
        "used_weights": _vector,
        "log_likelihood": Nullable(Real()),
        "change": Nullable(Real()),
        "converged": Flag(),
    },
}


@dataclass(frozen=True)
class PreparedTable:
    """A data party's rows as the model takes them, in the order of their ids.

    Attributes
    ----------
    source
        The file they came from.
    ids
        Sorted ids.
    labels
        One label a row, or None.
    inputs
        float64, shape (n, d): what `preprocessing` made of the file's columns.
    preprocessing
        How the inputs were made.
    """

    source: str
    ids: tuple[str, ...]
    labels: tuple[str, ...] | None
    inputs: NDArray[np.float64]
    preprocessing: Preprocessing

    @classmethod
    def from_table(cls, table: Table, preprocessing: Preprocessing) -> PreparedTable:
        """Preprocess a table and sort its rows by id, which puts matched parties' rows in one order."""
        # Preprocessed first: its errors name rows as the file has them.
        inputs = preprocessing.apply(table)
        order = sorted(range(len(table.ids)), key=table.ids.__getitem__)
        ordered = table.take(order)
        return cls(table.source, ordered.ids, ordered.labels, inputs[order], preprocessing)

    def seal(self, store: SealedStore) -> None:
        """Write the table into the party's store."""
        fields = {
            "source": self.source,
            "ids": json.dumps(self.ids).encode(),
            "labels": None if self.labels is None else json.dumps(self.labels).encode(),
            "columns": list(self.preprocessing.columns),
            "imputation": self.preprocessing.imputation,
            "inputs": self.inputs,
            "centre": self.preprocessing.centre,
            "scale": self.preprocessing.scale,
            "fill": self.preprocessing.fill,
        }
        store.write(TABLE_FILE, encode("table", 0, fields, _SCHEMAS["table"]))

    @classmethod
    def unseal(cls, store: SealedStore) -> PreparedTable:
        """Read the table back from the party's store."""
        message = decode(store.read(TABLE_FILE), {"table": _SCHEMAS["table"]})
        labels = message["labels"]
        return cls(
            message["source"],
            tuple(json.loads(message["ids"])),
            None if labels is None else tuple(json.loads(labels)),
            message["inputs"],
            Preprocessing(
                tuple(message["columns"]),
                message["centre"],
                message["scale"],
                message["fill"],
                message["imputation"],
            ),
        )


@dataclass(frozen=True)
class LogisticState:
    """A party's coefficients in a logistic regression, and what decides when training stops.

    Attributes
    ----------
    coefficients
        float64, shape (d,).
    intercept
        The guest's; 0 at a host.
    earlier
        float64, shape (m, d + 1): coefficients and intercept after the last m epochs, the latest first.
    losses
        The guest's deciding loss of every epoch; empty at a host.
    """

    coefficients: NDArray[np.float64]
    intercept: float = 0.0
    earlier: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))
    losses: tuple[float, ...] = ()

    @classmethod
    def zero(cls, columns: int) -> LogisticState:
        """Return the state that training begins with."""
        return cls(np.zeros(columns), earlier=np.zeros((0, columns + 1)))

    def moved(self, coefficients: NDArray[np.float64], intercept: float) -> LogisticState:
        """Return the state after a step."""
        return replace(self, coefficients=coefficients, intercept=intercept)

    def kept(self, patience: int) -> LogisticState:
        """Return the state with its coefficients noted as those of an epoch, which may be gone back to."""
        now = np.append(self.coefficients, self.intercept)
        return replace(self, earlier=np.vstack([now, self.earlier])[: patience + 1])

    def judged_by(self, loss: float) -> LogisticState:
        """Return the state with the deciding loss of one more epoch."""
        return replace(self, losses=(*self.losses, loss))

    def back(self, epochs: int) -> LogisticState:
        """Return the state with the coefficients of so many epochs ago."""
        if not epochs:
            return self
        if epochs >= len(self.earlier):
            raise ProtocolError(f"coefficients of {epochs} epochs ago are asked for, {len(self.earlier)} are kept")
        return self.moved(self.earlier[epochs, :-1].copy(), float(self.earlier[epochs, -1]))


def seal_logistic_state(store: SealedStore, step: int, state: LogisticState) -> None:
    """Keep a party's coefficients after a step of a logistic regression."""
    fields = {
        "coefficients": state.coefficients,
        "intercept": state.intercept,
        "earlier": state.earlier,
        "losses": np.array(state.losses, dtype=np.float64),
    }
    _write_checkpoint(store, "logistic_party_checkpoint", step, fields)


def unseal_logistic_state(store: SealedStore, step: int) -> LogisticState:
    """Return a party's coefficients as they were after a step."""
    message = _read_checkpoint(store, "logistic_party_checkpoint", step)
    return LogisticState(
        message["coefficients"], message["intercept"], message["earlier"], tuple(message["losses"].tolist())
    )


def seal_parameters(store: SealedStore, round_number: int, parameters: PartyParameters) -> None:
    """Keep a data party's parameters after a round."""
    fields = {
        "covariance_type": parameters.covariance_type,
        "means": parameters.means,
        "covariances": parameters.covariances.ravel(),
    }
    _write_checkpoint(store, "party_checkpoint", round_number, fields)


def unseal_parameters(store: SealedStore, round_number: int) -> PartyParameters:
    """Return a data party's parameters as they were after a round."""
    message = _read_checkpoint(store, "party_checkpoint", round_number)
    means, kind = message["means"], message["covariance_type"]
    return PartyParameters(means, covariances_from_wire(message["covariances"], means.shape, kind), kind)


def seal_round_state(
    store: SealedStore, round_number: int, state: RoundState, used_weights: NDArray[np.float64]
) -> None:
    """Keep the arbiter's state after a round, with the weights that round's E-step used."""
    fields = {
        "responsibilities": state.responsibilities,
        "used_weights": used_weights,
        "log_likelihood": state.log_likelihood,
        "change": state.change,
        "converged": state.converged,
    }
    _write_checkpoint(store, "arbiter_checkpoint", round_number, fields)


def unseal_round_state(store: SealedStore, round_number: int) -> tuple[RoundState, NDArray[np.float64]]:
    """Return the arbiter's state as it was after a round, and the weights that round's E-step used."""
    message = _read_checkpoint(store, "arbiter_checkpoint", round_number)
    weights, counts = component_weights(message["responsibilities"])
    state = RoundState(
        message["responsibilities"],
        weights,
        counts,
        message["log_likelihood"],
        message["change"],
        message["converged"],
    )
    return state, message["used_weights"]


def seal_mixture(store: SealedStore, round_number: int, mixture: MixtureParameters) -> None:
    """Keep the model that a party of a horizontal federation used in a round."""
    _write_checkpoint(store, "horizontal_party_checkpoint", round_number, _mixture_fields(mixture))


def unseal_mixture(store: SealedStore, round_number: int) -> MixtureParameters:
    """Return the model that a party used in a round."""
    return _mixture_of(_read_checkpoint(store, "horizontal_party_checkpoint", round_number))


def seal_mixture_state(store: SealedStore, round_number: int, state: MixtureState) -> None:
    """Keep the state of a horizontal federation's arbiter after a round."""
    fields = {
        **_mixture_fields(state.parameters),
        "counts": state.counts,
        "log_likelihood": state.log_likelihood,
        "change": state.change,
        "converged": state.converged,
    }
    _write_checkpoint(store, "horizontal_arbiter_checkpoint", round_number, fields)


def unseal_mixture_state(store: SealedStore, round_number: int) -> MixtureState:
    """Return the state of a horizontal federation's arbiter as it was after a round."""
    message = _read_checkpoint(store, "horizontal_arbiter_checkpoint", round_number)
    return MixtureState(
        _mixture_of(message), message["counts"], message["log_likelihood"], message["change"], message["converged"]
    )


def _mixture_fields(mixture: MixtureParameters) -> dict[str, object]:
    return {
        "covariance_type": mixture.covariance_type,
        "weights": mixture.weights,
        "means": mixture.means,
        "covariances": mixture.covariances.ravel(),
    }


def _mixture_of(message: Message) -> MixtureParameters:
    means, kind = message["means"], message["covariance_type"]
    covariances = covariances_from_wire(message["covariances"], means.shape, kind)
    return MixtureParameters(message["weights"], means, covariances, kind)


def _write_checkpoint(store: SealedStore, kind: str, round_number: int, fields: Mapping[str, object]) -> None:
    write_checkpoint(store, round_number, encode(kind, round_number, fields, _SCHEMAS[kind]))


def _read_checkpoint(store: SealedStore, kind: str, round_number: int) -> Message:
    return decode(read_checkpoint(store, round_number), {kind: _SCHEMAS[kind]})


def write_checkpoint(store: SealedStore, round_number: int, content: bytes) -> None:
    """Keep a role's state after a round, and of earlier ones the last few."""
    store.write(_checkpoint_file(round_number), content)
    for name in store.names("checkpoint-")[:-_KEPT_CHECKPOINTS]:
        store.remove(name)


def read_checkpoint(store: SealedStore, round_number: int) -> bytes:
    """Return a role's state as it was kept after a round."""
    return store.read(_checkpoint_file(round_number))


def _checkpoint_file(round_number: int) -> str:
    return f"checkpoint-{round_number:06d}.sealed"
