"""What came out of a run for its rows, counted so that no row and no id shows."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

BINS = 10


@dataclass(frozen=True)
class Clustering:
    """How many rows each component has, and how sure the model is of them.

    Attributes
    ----------
    sizes
        Rows by their likeliest component.
    certainty
        Rows by the largest of their responsibilities, in ten bins of equal width from 0 to 1.
    """

    sizes: tuple[int, ...]
    certainty: tuple[int, ...]


def read_clusterings(run: Path, owners: Mapping[str, str]) -> dict[str, Clustering]:
    """Return what came out for the rows of each party whose assignments lie here.

    Parameters
    ----------
    run
        The run's directory.
    owners
        What the names of a party's files end in, by party.

    Raises
    ------
    ValueError
        A line does not fit; the message names it.
    """
    paths = {name: run / f"assignments{suffix}.csv" for name, suffix in owners.items()}
    return {name: _counted(path) for name, path in paths.items() if path.is_file()}


def _counted(path: Path) -> Clustering:
    with path.open(newline="", encoding="utf-8") as stream:
        reader = csv.reader(stream)
        components = len(next(reader, [])) - 2
        if components < 1:
            raise ValueError(f"{path}: expected columns for the id, the component and each responsibility")
        sizes, certainty = [0] * components, [0] * BINS
        for number, row in enumerate(reader, start=1):
            try:
                sizes[int(row[1])] += 1
                certainty[min(int(max(map(float, row[2:])) * BINS), BINS - 1)] += 1
            except (IndexError, ValueError):
                raise ValueError(f"{path}: row {number}: not an assignment; the run's files were changed") from None
    return Clustering(tuple(sizes), tuple(certainty))
