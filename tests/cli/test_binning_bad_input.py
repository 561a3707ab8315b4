"""What `cipherlane bin` and `transform` say of bad tables, and what is a rule and no error."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cipherlane.cli import main

ROWS = 60
Bin = Callable[..., int]


def _frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, ROWS)
    columns = {"g": rng.normal(size=ROWS) + y, "h": rng.normal(size=ROWS) + y, "c": rng.choice(["a", "b", "c"], ROWS)}
    return pd.DataFrame({"id": [f"p{i}" for i in range(ROWS)], "y": y, **columns})


FRAME = _frame()
NEW = FRAME[["id", "h", "c"]].iloc[:2]


@pytest.fixture
def run_bin(tmp_path: Path) -> Bin:
    """Return a function that bins the columns of a table, divided between two files, and returns the exit code."""

    def run(frame: pd.DataFrame = FRAME, binning: str = "", host: str = "", order: np.ndarray | None = None) -> int:
        frame[["id", "y", "g"]].to_csv(tmp_path / "guest.csv", index=False)
        theirs = frame[["id", "h", "c"]]
        (theirs if order is None else theirs.iloc[order]).to_csv(tmp_path / "host.csv", index=False)
        (tmp_path / "cuts.json").write_text('{"h": [0.5, 50, 60]}')
        (tmp_path / "plan.toml").write_text(
            f'[binning]\n{binning}\n[encryption]\nkey_bits = 1024\n[parties.guest]\ndata = "guest.csv"\n'
            f'label_column = "y"\n[parties.host]\ndata = "host.csv"\ncategories = ["c"]\n{host}\n'
        )
        return main(["bin", str(tmp_path / "plan.toml"), "--out", str(tmp_path / "run")])

    return run


def _bins(directory: Path) -> dict[str, int]:
    with (directory / "run" / "binning.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    return {name: sum(row["column"] == name for row in rows) for name in dict.fromkeys(row["column"] for row in rows)}


@pytest.mark.parametrize(
    ("changes", "binning", "said"),
    [
        ({"y": np.arange(ROWS) % 3}, "", "labels: expected two different ones, got 3: ['0', '1', '2']"),
        ({"y": 1}, "", "labels: every row has the label '1'; both classes are needed"),
        ({"y": FRAME["y"].astype(float)}, "", "expected the event '1' as one of the two, got ['0.0', '1.0']"),
        ({"y": [None, *FRAME["y"].astype(str)[1:]]}, "", "guest.csv: row 1, column 'y': the label is missing"),
        ({"h": np.nan}, "", "host.csv: h: has no value in any row; leave it out"),
        ({"g": np.nan}, "", "guest.csv: g: has no value in any row; leave it out"),
        (
            {"h": [np.nan, *FRAME["h"][1:]]},
            'missing = "error"',
            'h: row 1: the value is missing (1 such rows); fill it in, or set missing = "bin"',
        ),
        ({"h": np.inf}, "", "host.csv: row 1, column 'h': expected a finite number, got 'inf'; correct the cell"),
        ({"h": "tall"}, "", "host.csv: row 1, column 'h': expected a number, got 'tall'; correct the cell"),
    ],
)
def test_what_cannot_be_binned_is_told(
    tmp_path: Path, run_bin: Bin, capsys: pytest.CaptureFixture[str], changes, binning: str, said: str
) -> None:
    assert run_bin(FRAME.assign(**changes), binning) == 1
    assert said in capsys.readouterr().err
    assert not list(tmp_path.glob("run*"))


@pytest.mark.parametrize(
    ("frame", "host", "bins"),
    [
        # Columns of one value, fewer rows than bins, and cuts of one's own between which there are no rows.
        (FRAME.assign(h=4.0), "", {"g": 10, "column 1": 1, "column 2": 3}),
        (FRAME.iloc[:4], "", {"g": 1, "column 1": 1, "column 2": 1}),
        (FRAME, 'cuts = "cuts.json"', {"g": 10, "column 1": 2, "column 2": 3}),
    ],
)
def test_what_leaves_fewer_bins_is_no_error(tmp_path: Path, run_bin: Bin, frame, host: str, bins) -> None:
    assert run_bin(frame, host=host) == 0
    assert _bins(tmp_path) == bins


def test_rows_may_stand_in_other_orders(tmp_path: Path, run_bin: Bin) -> None:
    assert run_bin() == 0
    expected = (tmp_path / "run" / "binning.csv").read_bytes()
    (tmp_path / "run").rename(tmp_path / "before")
    assert run_bin(order=np.random.default_rng(1).permutation(ROWS)) == 0
    assert (tmp_path / "run" / "binning.csv").read_bytes() == expected


@pytest.mark.parametrize("unseen", ["error", "other"])
def test_what_new_rows_hold_that_was_not_there(
    tmp_path: Path, run_bin: Bin, capsys: pytest.CaptureFixture[str], unseen: str
) -> None:
    assert run_bin(binning=f'unseen = "{unseen}"') == 0
    out, new = tmp_path / "out.csv", tmp_path / "new.csv"
    for changes, said in [
        (
            {"c": ["a", "zz"]},
            "c: row 2: the category 'zz' was not there when bins were formed; correct it, or set",
        ),
        ({"h": [1.0, None]}, "h: row 2: the value is missing (1 such rows) and bins were formed without one for that"),
        ({"c": ["a", None]}, "c: row 2: the value is missing and bins were formed without one for that; fill it in"),
    ]:
        NEW.assign(**changes).to_csv(new, index=False)
        allowed = unseen == "other" and "zz" in changes.get("c", [])
        capsys.readouterr()
        arguments = ["transform", str(tmp_path / "run"), "--data", f"host={new}", "--out", str(out)]
        assert main(arguments) == (0 if allowed else 1)
        assert (said not in capsys.readouterr().err) == allowed
        assert out.exists() == allowed
        out.unlink(missing_ok=True)
