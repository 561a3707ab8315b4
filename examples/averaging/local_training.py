"""Logistic regression by gradient descent at three clinics, each with its own rows: what the examples train."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer

Weights = dict[str, NDArray[np.floating]]

CLINICS = 3
# Clinics of different sizes, so that the average has to be a weighted one.
_SHARES = (0.5, 0.3, 0.2)
_STEPS = 20
_RATE = 0.5


def initial_weights() -> Weights:
    """Return what every clinic starts from."""
    return {"coefficients": np.zeros(30, dtype=np.float32), "intercept": np.zeros(1, dtype=np.float32)}


def clinic_rows(clinic: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return inputs and labels of one clinic, numbered from 0."""
    inputs, labels = load_breast_cancer(return_X_y=True)
    inputs = (inputs - inputs.mean(axis=0)) / inputs.std(axis=0)
    order = np.random.default_rng(0).permutation(len(labels))
    ends = np.cumsum([0, *(round(share * len(labels)) for share in _SHARES)])
    ends[-1] = len(labels)
    rows = order[ends[clinic] : ends[clinic + 1]]
    return inputs[rows], labels[rows].astype(np.float64)


def train(weights: Weights, clinic: int) -> tuple[Weights, int]:
    """Return a clinic's weights after some steps from `weights`, and the number of its rows."""
    inputs, labels = clinic_rows(clinic)
    coefficients, intercept = (weights[name].astype(np.float64) for name in ("coefficients", "intercept"))
    for _ in range(_STEPS):
        errors = 1 / (1 + np.exp(-(inputs @ coefficients + intercept))) - labels
        coefficients -= _RATE * inputs.T @ errors / len(labels)
        intercept -= _RATE * errors.mean()
    return {"coefficients": coefficients.astype(np.float32), "intercept": intercept.astype(np.float32)}, len(labels)


def plain_average(rounds: int, absent: Collection[tuple[int, int]] = ()) -> Weights:
    """Return what federated averaging in the clear ends with, without the answers of pairs of round and clinic."""
    weights = initial_weights()
    for number in range(rounds):
        results = [train(weights, clinic) for clinic in range(CLINICS) if (number, clinic) not in absent]
        total = sum(rows for _, rows in results)
        weights = {
            name: (sum(part[name].astype(np.float64) * rows for part, rows in results) / total).astype(np.float32)
            for name in weights
        }
    return weights


def accuracy(weights: Weights) -> float:
    """Return the share of all clinics' rows that are classified right."""
    right = total = 0
    for clinic in range(CLINICS):
        inputs, labels = clinic_rows(clinic)
        right += int((((inputs @ weights["coefficients"] + weights["intercept"]) > 0) == labels).sum())
        total += len(labels)
    return right / total
