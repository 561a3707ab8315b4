"""Two parties' columns to bin, of numbers with ties and gaps and of categories; runs and the pooled answer."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cipherlane.binning import WoeBinner
from cipherlane.errors import ProtocolError
from cipherlane.federation import bin_columns

WritePlan = Callable[..., Path]
ROWS = 400


def _frame() -> pd.DataFrame:
    rng = np.random.default_rng(8)
    y = rng.integers(0, 2, ROWS)
    frame = pd.DataFrame({"id": [f"p{i:03d}" for i in rng.permutation(ROWS)], "y": y})
    for j in range(2):
        frame[f"g{j}"] = rng.normal(size=ROWS) + 0.8 * (j + 1) * y
    for j in range(5):
        frame[f"h{j}"] = rng.normal(size=ROWS) + 0.5 * j * y
    frame["h1"] = np.round(frame["h1"] * 8) / 8  # many ties
    frame.loc[rng.random(ROWS) < 0.1, "h2"] = np.nan
    frame["blood"] = rng.choice(["a", "b", "ab", "0"], ROWS, p=[0.5, 0.3, 0.19, 0.01])
    return frame


FRAME = _frame()
GUEST_COLUMNS = ["g0", "g1"]
HOST_COLUMNS = ["h0", "h1", "h2", "h3", "h4", "blood"]
CUTS = {"h0": [-1.0, 0.25, 1.5]}


def pooled(frame: pd.DataFrame = FRAME, **parameters: Any) -> WoeBinner:
    """Bin the columns of both parties where they are in one hand."""
    columns = frame.sort_values("id")[[*GUEST_COLUMNS, *HOST_COLUMNS]]
    return WoeBinner(categorical=["blood"], **parameters).fit(columns, frame.sort_values("id")["y"])


def refused(plan: Path, out: Path, message: str, error: type[Exception] = ProtocolError, *, kept: bool = False) -> str:
    """Return what a run is refused with that leaves nothing, or, once sums are kept, what may be resumed."""
    with pytest.raises(error, match=message) as caught:
        bin_columns(plan, out)
    partial = out.with_name(out.name + ".partial")
    assert not out.exists() and partial.exists() == kept
    if kept:
        assert json.loads((partial / "status.json").read_text())["state"] == "failed"
        shutil.rmtree(partial)
    return str(caught.value)
