"""The guest's result: a component for each of its rows, and how that compares with its labels."""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from cipherlane.files import write_whole

# Trying every matching of components to labels is exact, and cheap up to this many components.
_MAXIMUM_MATCHED = 8


def write_assignments(path: Path, id_column: str, ids: Sequence[str], responsibilities: NDArray[np.float64]) -> None:
    """Write one CSV row an id: the id, its most likely component, and its K responsibilities."""
    stream = io.StringIO(newline="")
    write_assignment_rows(stream, id_column, ids, responsibilities)
    write_whole(path, stream.getvalue())


def write_assignment_rows(
    stream: TextIO, id_column: str, ids: Iterable[str], responsibilities: NDArray[np.float64]
) -> None:
    """Write the header and rows of an assignments CSV to an open text stream."""
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([id_column, "component", *(f"r{k}" for k in range(responsibilities.shape[1]))])
    for identifier, row in zip(ids, responsibilities, strict=True):
        writer.writerow([identifier, int(row.argmax()), *(format(value, ".9g") for value in row)])


def evaluate_assignments(path: Path, labels: Sequence[str], responsibilities: NDArray[np.float64]) -> None:
    """Write `compare_with_labels` as JSON."""
    found = compare_with_labels(labels, responsibilities)
    write_whole(path, json.dumps(found, indent=2) + "\n")


def compare_with_labels(labels: Sequence[str], responsibilities: NDArray[np.float64]) -> dict[str, Any]:
    """Return how well components agree with labels that training never saw.

    Returns
    -------
    dict
        "accuracy": share of rows whose component's label (best one-to-one matching for up to 8 components,
        else each component's most frequent label) is their own; "adjusted_rand_index"; and for two labels
        and two components "auc" of the responsibility of the component matched to the later label.

    Examples
    --------
    >>> resp = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]])
    >>> found = compare_with_labels(["0", "0", "1"], resp)
    >>> found["accuracy"], found["adjusted_rand_index"], found["auc"]
    (1.0, 1.0, 1.0)
    """
    # Here: it takes seconds to load, and of the sites only the guest's compares.
    from sklearn.metrics import adjusted_rand_score, roc_auc_score

    names = sorted(set(labels))
    truth = np.searchsorted(np.array(names), np.array(labels))
    components = responsibilities.shape[1]
    assigned = responsibilities.argmax(axis=1)
    table = np.zeros((components, len(names)), dtype=np.int64)
    np.add.at(table, (assigned, truth), 1)
    matching = _best_matching(table)
    agreeing = sum(table[k, label] for k, label in enumerate(matching) if label >= 0)
    result: dict[str, Any] = {
        "labels": names,
        "rows": len(labels),
        "accuracy": float(agreeing / len(labels)),
        "adjusted_rand_index": float(adjusted_rand_score(truth, assigned)),
        "counts": table.tolist(),
    }
    if len(names) == 2 and components == 2:
        positive = matching.index(1) if 1 in matching else 1
        result["auc"] = float(roc_auc_score(truth, responsibilities[:, positive]))
    return result


def _best_matching(table: NDArray[np.int64]) -> list[int]:
    """Return the label of each component, -1 for none, that makes the most rows agree."""
    components, labels = table.shape
    if max(components, labels) > _MAXIMUM_MATCHED:
        return [int(row.argmax()) for row in table]
    choices = [*range(labels), *[-1] * max(0, components - labels)]
    best = max(
        itertools.permutations(choices, components),
        key=lambda chosen: sum(table[k, label] for k, label in enumerate(chosen) if label >= 0),
    )
    return list(best)
