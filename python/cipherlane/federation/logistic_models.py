"""Model files of logistic regressions: one party's coefficients as an ``.npz`` without pickled objects."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cipherlane.federation.model_files import Arrays, Header, read_model_file, write_model_file
from cipherlane.vertical.tables import IMPUTATIONS, Preprocessing

_FORMAT = "cipherlane logistic regression 1"


@dataclass(frozen=True)
class LogisticModel:
    """One party's coefficients, with what turns its raw columns into inputs.

    Attributes
    ----------
    party, id_column
        Whose they are and which column of its files holds the ids.
    coefficients
        float64, shape (d,), of the inputs.
    intercept
        The guest's; None at a host.
    labels
        The names of the negative and the positive class; None at a host.
    preprocessing
        Columns, centre, scale and fill values.
    """

    party: str
    id_column: str
    coefficients: NDArray[np.float64]
    intercept: float | None
    labels: tuple[str, str] | None
    preprocessing: Preprocessing

    def scores(self, inputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the party's part of the rows' scores, float64 of shape (n,)."""
        return inputs @ self.coefficients + (self.intercept or 0.0)


def save_logistic_model(path: Path, model: LogisticModel) -> bytes:
    """Write a party's model to `path` and return the file's SHA-256."""
    fitted = model.preprocessing
    header = {
        "format": _FORMAT,
        "party": model.party,
        "id_column": model.id_column,
        "columns": list(fitted.columns),
        "imputation": fitted.imputation,
        "intercept": model.intercept,
        "labels": None if model.labels is None else list(model.labels),
    }
    arrays = {
        "coefficients": model.coefficients,
        "centre": fitted.centre,
        "scale": fitted.scale,
        "fill": fitted.fill,
    }
    return write_model_file(path, header, arrays)


def load_logistic_model(path: Path) -> LogisticModel:
    """Return the model in a file.

    Raises
    ------
    ValueError
        The file is not there, is not such a model, or its parts do not fit together.
    """
    return read_model_file(path, _FORMAT, _model)


def _model(header: Header, arrays: Arrays) -> LogisticModel:
    columns = tuple(str(name) for name in header["columns"])
    numbers = [arrays[name] for name in ("coefficients", "centre", "scale", "fill")]
    for array in numbers:
        if array.dtype != np.float64 or array.shape != (len(columns),) or not np.isfinite(array).all():
            raise ValueError(f"expected {len(columns)} finite float64 numbers, got shape {array.shape}")
    if header["imputation"] not in IMPUTATIONS:
        raise ValueError("an unknown imputation")
    labels, intercept = header["labels"], header["intercept"]
    if labels is not None:
        negative, positive = map(str, labels)
        labels = (negative, positive)
    return LogisticModel(
        str(header["party"]),
        str(header["id_column"]),
        numbers[0],
        None if intercept is None else float(intercept),
        labels,
        Preprocessing(columns, numbers[1], numbers[2], numbers[3], header["imputation"]),
    )
