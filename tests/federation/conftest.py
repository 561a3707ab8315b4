from __future__ import annotations

import csv
import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mixed_columns import CUTS, FRAME, GUEST_COLUMNS, HOST_COLUMNS

from cipherlane.federation import row_matching
from cipherlane.paillier.public_key import WeakKeyWarning
from cipherlane.vertical.binning_messages import BINNING_SEALED
from cipherlane.vertical.messages import pack_sealed

WritePlan = Callable[..., Path]

# Of a horizontal federation: the columns of all parties, and how many rows each has.
_COLUMNS = ("a", "b", "c", "d")
_SIZES = {2: (70, 50), 3: (60, 37, 23), 5: (40, 30, 25, 5, 20)}


def pytest_configure(config: pytest.Config) -> None:
    # 1024-bit keys keep these tests fast; the warning that they are weak is expected.
    config.addinivalue_line("filterwarnings", f"ignore::{WeakKeyWarning.__module__}.{WeakKeyWarning.__name__}")


@pytest.fixture(scope="session")
def overlapping_clusters() -> np.ndarray:
    """120 rows of 7 columns from three overlapping Gaussians, correlated within and across columns."""
    rng = np.random.default_rng(11)
    centres = rng.normal(scale=1.5, size=(3, 7))
    mixing = rng.normal(size=(7, 7)) / 3 + np.eye(7)
    return centres[rng.integers(0, 3, size=120)] + rng.normal(size=(120, 7)) @ mixing


def write_table(path: Path, ids: list[str], values: np.ndarray, labels: list[str] | None = None) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        columns = [f"x{j}" for j in range(values.shape[1])]
        writer.writerow(["id", *([] if labels is None else ["y"]), *columns])
        for i, row in enumerate(values):
            writer.writerow([ids[i], *([] if labels is None else [labels[i]]), *map(repr, row.tolist())])


@pytest.fixture(scope="session")
def write_plan_into(overlapping_clusters: np.ndarray) -> WritePlan:
    """Return a function that writes a plan, and one table a party, each in its own order of rows."""

    def write(
        directory: Path,
        widths: tuple[int, ...] = (3, 4),
        values: np.ndarray | None = None,
        **settings: object,
    ) -> Path:
        data = overlapping_clusters if values is None else values
        rng = np.random.default_rng(5)
        ids = [f"p{i:03d}" for i in rng.permutation(len(data))]
        names = ["guest", *(f"host{i}" for i in range(1, len(widths)))]
        sections = {
            "model": {"components": 3, "seed": 1},
            "training": {"max_iterations": 6, "tolerance": 0.0, "checkpoint_every": 0},
            "encryption": {"key_bits": 1024},
            "privacy": {"responsibility_decimals": -1},
        }
        for dotted, value in settings.items():
            section, _, field = dotted.partition("__")
            sections.setdefault(section, {})[field] = value
        start = 0
        for name, width in zip(names, widths, strict=True):
            order = rng.permutation(len(data))
            labels = [str(int(v > 0)) for v in data[order, 0]] if name == "guest" else None
            part = data[order, start : start + width]
            write_table(directory / f"{name}.csv", [ids[i] for i in order], part, labels)
            party = {"role": "guest" if name == "guest" else "host", "data": f"{name}.csv"}
            sections.setdefault(f"parties.{name}", {}).update(
                party | ({"label_column": "y"} if name == "guest" else {})
            )
            start += width
        path = directory / "plan.toml"
        path.write_text("\n".join(_section(name, fields) for name, fields in sections.items()))
        return path

    return write


@pytest.fixture
def write_plan(tmp_path: Path, write_plan_into: WritePlan) -> WritePlan:
    """Return `write_plan_into` for this test's own directory."""
    return functools.partial(write_plan_into, tmp_path)


@pytest.fixture
def write_parties(tmp_path: Path, overlapping_clusters: np.ndarray) -> WritePlan:
    """Return a function that writes a plan and one table a party, with the columns in its own order."""

    def write(
        parties: int = 2,
        values: np.ndarray | None = None,
        model: str = "",
        encryption: str = "key_bits = 1024",
        training: str = "max_iterations = 6\ntolerance = 0.0",
        party: str = "",
    ) -> Path:
        data = (
            overlapping_clusters[:, : len(_COLUMNS)] * [1, 50, 1e-3, 1] + [0, 1e6, 0, -3] if values is None else values
        )
        rng = np.random.default_rng(7)
        lines = ["[model]", 'algorithm = "horizontal-gaussian-mixture"', "components = 3", "seed = 4", model]
        lines += ["[training]", training, "[encryption]", encryption]
        start = 0
        for number, size in enumerate(_SIZES[parties]):
            name = "guest" if number == 0 else f"host{number}"
            order = np.arange(len(_COLUMNS)) if number == 0 else rng.permutation(len(_COLUMNS))
            with (tmp_path / f"{name}.csv").open("w", newline="") as stream:
                writer = csv.writer(stream)
                writer.writerow(["id", "y", *(_COLUMNS[j] for j in order)])
                for i in range(start, start + size):
                    row = ["" if np.isnan(v) else repr(v) for v in data[i, order].tolist()]
                    writer.writerow([f"p{i:03d}", "yn"[int(data[i, 0] > 0)], *row])
            lines += [f"[parties.{name}]", f'role = "{"guest" if number == 0 else "host"}"', f'data = "{name}.csv"']
            lines += ['label_column = "y"', party]
            start += size
        path = tmp_path / "plan.toml"
        path.write_text("\n".join(lines))
        return path

    return write


@pytest.fixture
def write_binning_plan(write_plan: WritePlan) -> WritePlan:
    """Return a function that writes a plan which bins those tables' columns by the guest's label, and the tables."""

    def write(*sections: str, widths: tuple[int, ...] = (3, 4)) -> Path:
        plan = write_plan(widths)
        text = plan.read_text()
        own = ['[binning]\nmethod = "optimal"\nbins = 4\nfine_bins = 8\ntop = 5', "[encryption]\nkey_bits = 1024"]
        plan.write_text("\n".join([*own, *sections, text[text.index("[parties.") :]]))
        return plan

    return write


@pytest.fixture
def write_mixed(tmp_path: Path) -> WritePlan:
    """Return a function that writes the files of mixed_columns, rows in different orders, and a plan to bin them."""

    def written(frame: pd.DataFrame = FRAME, host: dict[str, object] | None = None, **settings: Any) -> Path:
        guest_part, host_part = frame[["id", "y", *GUEST_COLUMNS]], frame[["id", *HOST_COLUMNS]]
        guest_part.to_csv(tmp_path / "guest.csv", index=False)
        host_part.sample(frac=1, random_state=3).to_csv(tmp_path / "host.csv", index=False)
        (tmp_path / "cuts.json").write_text(json.dumps(CUTS))
        sections: dict[str, dict[str, object]] = {
            "binning": {},
            "encryption": {"key_bits": 1024},
            "parties.guest": {"data": "guest.csv", "label_column": "y"},
            "parties.host": {"data": "host.csv", "categories": ["blood"], **(host or {})},
        }
        for dotted, value in settings.items():
            section, _, field = dotted.partition("__")
            sections.setdefault(section.replace("party_", "parties."), {})[field] = value
        lines = []
        for name, fields in sections.items():
            lines += [f"[{name}]", *(f"{field} = {json.dumps(value)}" for field, value in fields.items())]
        (tmp_path / "plan.toml").write_text("\n".join(lines) + "\n")
        return tmp_path / "plan.toml"

    return written


@pytest.fixture
def boxes(monkeypatch) -> list[bytes]:
    """Collect what is sealed in every box between the parties."""
    contents: list[bytes] = []

    def watched(kind: str, round_number: int, **fields: Any) -> bytes:
        content = pack_sealed(kind, round_number, **fields)
        if kind in BINNING_SEALED:
            contents.append(content)
        return content

    monkeypatch.setattr(row_matching, "pack_sealed", watched)
    return contents


def _section(name: str, fields: dict[str, object]) -> str:
    lines = [f"{field} = {_toml(value)}" for field, value in fields.items()]
    return "\n".join([f"[{name}]", *lines, ""])


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else repr(value)
