"""Between FATE's torch tensors and numpy's arrays; torch itself is never imported here."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray


def to_numpy(values: Any) -> NDArray[Any]:
    """Return a tensor, array or sequence as a numpy array, from whatever device."""
    return values.detach().cpu().numpy() if hasattr(values, "detach") else np.asarray(values)


def to_tensor(values: NDArray[Any]) -> Any:
    """Return numbers as a torch tensor where torch is imported, as it is in FATE, else as they are."""
    torch = sys.modules.get("torch")
    return values if torch is None else torch.from_numpy(np.ascontiguousarray(values))


def in_default_dtype(values: NDArray[Any]) -> Any:
    """Return floats as `to_tensor` does, in torch's default type, which is what FATE unpacks to."""
    tensor = to_tensor(values)
    torch = sys.modules.get("torch")
    return tensor if torch is None else tensor.to(torch.get_default_dtype())


def dtype_name(dtype: Any) -> str:
    """Return "float64" for ``torch.float64``, ``np.float64`` and the like."""
    text = str(dtype)
    return text.removeprefix("torch.") if text.startswith("torch.") else np.dtype(dtype).name


def indices(values: Any) -> NDArray[np.int64]:
    """Return positions, given as a tensor or a sequence, as int64."""
    return np.asarray(to_numpy(values), dtype=np.int64)
