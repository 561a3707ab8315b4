"""Reading what a run left in its directory, and the words for its figures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cipherlane.report.binning_words import BINNING_CIPHERTEXTS, is_binning

_TIMES = (
    ("em", "parameters and log-densities (parties)"),
    ("encrypt", "encryption (parties)"),
    ("add", "checking, adding and re-randomising ciphertexts (coordinator)"),
    ("decrypt", "checking and decryption (arbiter)"),
    ("e_step", "responsibilities (arbiter)"),
    ("relay", "packing and carrying messages"),
    ("key", "making and giving out the key pair"),
    ("start", "initial responsibilities (guest)"),
    ("parameters", "parameters to the arbiter, encrypted"),
    ("checkpoints", "checkpoints"),
    ("ledger", "the ledger"),
    ("results", "models, assignments, comparison with labels"),
    ("other", "everything else"),
)
_CIPHERTEXTS = (
    ("scores_from_parties", "log-density differences, party to coordinator"),
    ("sums_to_arbiter", "their sums, coordinator to arbiter"),
    ("parameters_from_parties", "parameters, party to coordinator"),
    ("parameters_to_arbiter", "parameters, coordinator to arbiter"),
)
# What the same figures are of where parties hold different rows.
_HORIZONTAL_LABELS = {
    "em": "responsibilities and sums over rows (parties)",
    "e_step": "parameters (arbiter)",
    "start": "centring columns, and the first model",
    "scores_from_parties": "sums over rows, party to coordinator",
}
_NOT_HORIZONTAL = frozenset({"parameters_from_parties", "parameters_to_arbiter"})


def result_owners(metrics: Mapping[str, Any]) -> dict[str, str]:
    """Return the parties that end a run with results of their own rows, with what their files' names end in."""
    parties = metrics["parties"]
    (guest,) = (name for name in parties if parties[name]["role"] == "guest")
    hosts = [name for name in parties if name != guest] if is_horizontal(metrics) else []
    return {guest: "", **{name: f"-{name}" for name in hosts}}


# And in a logistic regression.
_LOGISTIC_LABELS = {
    "em": "partial scores, residuals and gradients on ciphertexts (parties)",
    "encrypt": "encryption and masking (parties)",
    "decrypt": "checking and decrypting masked numbers (arbiter)",
    "start": "labels and batches",
    "results": "scores of the rows, models, comparison with labels",
    "scores_from_parties": "partial scores and residuals, party to party in boxes",
    "sums_to_arbiter": "masked gradients, losses and scores, to the arbiter in boxes",
}
_NOT_LOGISTIC = frozenset({"add", "e_step", "parameters", "parameters_from_parties", "parameters_to_arbiter"})
_LABELS = {"horizontal-gaussian-mixture": _HORIZONTAL_LABELS, "logistic-regression": _LOGISTIC_LABELS}


def is_horizontal(metrics: Mapping[str, Any]) -> bool:
    """Whether the parties of a run hold different rows of the same columns."""
    return bool(metrics["algorithm"] == "horizontal-gaussian-mixture")


def is_logistic(metrics: Mapping[str, Any]) -> bool:
    """Whether a run trained a logistic regression."""
    return metrics.get("algorithm") == "logistic-regression"


def times_of(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the names of a run's figures of time, and what each is."""
    seconds = metrics["totals"]["seconds"]
    return [(name, label) for name, label in _labelled(metrics, _TIMES) if name != "ledger" or name in seconds]


def ciphertexts_of(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the names of a run's counts of ciphertexts, and what each is."""
    if is_binning(metrics):
        return list(BINNING_CIPHERTEXTS)
    unused = _NOT_HORIZONTAL if is_horizontal(metrics) else frozenset()
    return [(name, label) for name, label in _labelled(metrics, _CIPHERTEXTS) if name not in unused]


def _labelled(metrics: Mapping[str, Any], labels: tuple[tuple[str, str], ...]) -> list[tuple[str, str]]:
    others = _LABELS.get(metrics["algorithm"], {})
    absent = _NOT_LOGISTIC if is_logistic(metrics) else frozenset()
    return [(name, others.get(name, label)) for name, label in labels if name not in absent]


def read_json(path: Path) -> dict[str, Any]:
    """Return the content of one of a run's JSON files.

    Raises
    ------
    ValueError
        It is not a JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not valid JSON ({error}); the run's files were changed") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected a JSON object, got {type(content).__name__}; the run's files were changed")
    return content


def read_qualities(run: Path, owners: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Return how the clustering agrees with the labels of each party that has some, of those whose files lie here."""
    paths = {name: run / f"quality{suffix}.json" for name, suffix in owners.items()}
    return {name: read_json(path) for name, path in paths.items() if path.is_file()}


def read_metrics(run: Path) -> dict[str, Any]:
    """Return the metrics of a run.

    Raises
    ------
    ValueError
        There are none, or they are not of this format.
    """
    path = run / "metrics.json"
    if not path.is_file():
        raise ValueError(f"{run}: not a finished run (it has no metrics.json); give what `train` printed")
    metrics = read_json(path)
    if metrics.get("format") != 2:
        raise ValueError(f"{path}: format {metrics.get('format')!r} is not one this software reads")
    return metrics
