"""Model files: the blocks of one party, or of all parties, as an ``.npz`` without pickled objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cipherlane.federation.model_files import Arrays, Header, read_model_file, write_model_file
from cipherlane.vertical.mixture_party import COVARIANCE_TYPES, PartyParameters
from cipherlane.vertical.tables import IMPUTATIONS, Preprocessing, Table

_FORMAT = "cipherlane vertical mixture 1"
_ARRAYS = ("means", "covariances", "centre", "scale", "fill")


@dataclass(frozen=True)
class PartyModel:
    """One party's block of a trained mixture, with what turns its raw columns into inputs.

    Attributes
    ----------
    party, id_column
        Whose block it is and which column of its files holds the ids.
    parameters
        Means and covariances of the K components over the party's columns.
    preprocessing
        Columns, centre, scale and fill values.
    weights
        pi, float64 of shape (K,); the same at every party.
    """

    party: str
    id_column: str
    parameters: PartyParameters
    preprocessing: Preprocessing
    weights: NDArray[np.float64]

    @property
    def components(self) -> int:
        """The number of components, K."""
        return len(self.weights)

    def log_densities(self, table: Table) -> NDArray[np.float64]:
        """Return a_ik for the rows of `table`, float64 of shape (n, K)."""
        return self.parameters.log_densities(self.preprocessing.apply(table))


def save_models(path: Path, models: Sequence[PartyModel]) -> bytes:
    """Write the blocks of one or several parties to `path` and return the file's SHA-256."""
    header = {
        "format": _FORMAT,
        "parties": [
            {
                "party": model.party,
                "id_column": model.id_column,
                "columns": list(model.preprocessing.columns),
                "covariance_type": model.parameters.covariance_type,
                "imputation": model.preprocessing.imputation,
            }
            for model in models
        ],
    }
    arrays: dict[str, NDArray[Any]] = {"weights": models[0].weights}
    for index, model in enumerate(models):
        arrays[f"means_{index}"] = model.parameters.means
        arrays[f"covariances_{index}"] = model.parameters.covariances
        arrays[f"centre_{index}"] = model.preprocessing.centre
        arrays[f"scale_{index}"] = model.preprocessing.scale
        arrays[f"fill_{index}"] = model.preprocessing.fill
    return write_model_file(path, header, arrays)


def load_models(path: Path) -> list[PartyModel]:
    """Return the blocks in a model file.

    Raises
    ------
    ValueError
        The file is not there, is not a model file, or its parts do not fit together.
    """
    return read_model_file(path, _FORMAT, _blocks)


def _blocks(header: Header, arrays: Arrays) -> list[PartyModel]:
    return [_block(arrays, index, entry) for index, entry in enumerate(header["parties"])]


def _block(arrays: Arrays, index: int, entry: Header) -> PartyModel:
    means, covariances, centre, scale, fill = (arrays[f"{name}_{index}"] for name in _ARRAYS)
    weights = arrays["weights"]
    columns = tuple(str(name) for name in entry["columns"])
    components, width = len(weights), len(columns)
    kind = entry["covariance_type"]
    if kind not in COVARIANCE_TYPES or entry["imputation"] not in IMPUTATIONS:
        raise ValueError("an unknown covariance type or imputation")
    block_shape = (components, width, width) if kind == "full" else (components, width)
    expected = ((components, width), block_shape, (width,), (width,), (width,), (components,))
    for array, shape in zip((means, covariances, centre, scale, fill, weights), expected, strict=True):
        if array.dtype != np.float64 or array.shape != shape or not np.isfinite(array).all():
            raise ValueError(f"expected a finite float64 array of shape {shape}, got shape {array.shape}")
    return PartyModel(
        str(entry["party"]),
        str(entry["id_column"]),
        PartyParameters(means, covariances, kind),
        Preprocessing(columns, centre, scale, fill, entry["imputation"]),
        weights,
    )
