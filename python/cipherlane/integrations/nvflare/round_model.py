"""The model that a client's round began with, from which a difference becomes whole weights again.

The server could not add differences to a model that it cannot read, and a client that missed a round could not either.
So a client sends w + d, with w the model of the round, which all clients have: Σ n_i (w + d_i) / Σ n_i is w plus the
average difference.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray
from nvflare.apis.fl_context import FLContext

_PROPERTY = "cipherlane_round_model"


def keep_round_model(weights: Mapping[str, ArrayLike], fl_ctx: FLContext) -> None:
    """Keep a copy of the model, which the executor may change, for as long as the task's context lasts."""
    # Private: it is not sent to anyone. Not sticky: the next task has its own.
    kept = {name: np.array(values) for name, values in weights.items()}
    fl_ctx.set_prop(_PROPERTY, kept, private=True, sticky=False)


def whole_weights(difference: Mapping[str, ArrayLike], fl_ctx: FLContext) -> dict[str, NDArray[np.floating]]:
    """Return the model of the round plus a difference, in the model's layers and floating-point types.

    Layers that the difference does not have are as they were.

    Raises
    ------
    ValueError
        The round's model is not known or empty, or the difference has other layers or shapes.
    """
    model: Mapping[str, NDArray[np.floating]] | None = fl_ctx.get_prop(_PROPERTY)
    if not model:
        raise ValueError(
            "result: expected to know the model that the round began with, to which the difference is added, and know "
            "none; give a first model (initial), or send whole weights in a round that begins without; and let "
            "PaillierModelDecryptor be a task data filter"
        )
    unknown = sorted(set(difference) - set(model))
    if unknown:
        raise ValueError(f"result: expected differences of the round's layers, got others too: {unknown}")
    return {
        name: values if name not in difference else _added(name, values, np.asarray(difference[name]))
        for name, values in model.items()
    }


def _added(name: str, values: NDArray[np.floating], difference: NDArray[np.floating]) -> NDArray[np.floating]:
    if difference.shape != values.shape:
        raise ValueError(
            f"weights[{name!r}]: expected a difference of shape {values.shape} as in the round's model, got "
            f"{difference.shape}"
        )
    # Of the model's type, which all clients have, whatever that of a difference is.
    total: NDArray[np.floating] = np.add(values, difference, dtype=np.float64)
    return total.astype(values.dtype) if values.dtype.kind == "f" else total
