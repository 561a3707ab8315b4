"""A step of federated logistic regression in plain numbers: batches, coefficients, and when to stop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cipherlane.errors import ProtocolError
from cipherlane.vertical.logistic_settings import LogisticSettings

# From coefficients of zero, a mean loss is log 2 at first; at so many times that, training has gone astray.
_ASTRAY = 2.0


@dataclass(frozen=True)
class Batches:
    """Which rows each step of an epoch takes.

    Attributes
    ----------
    training
        Row numbers of each batch.
    validation
        Row numbers that no batch has; empty where there is no validation.
    """

    training: tuple[NDArray[np.intp], ...]
    validation: NDArray[np.intp]

    @classmethod
    def deal(cls, rows: int, settings: LogisticSettings) -> Batches:
        """Deal `rows` rows into batches of nearly equal size, the same at every party.

        Raises
        ------
        ProtocolError
            A batch would be larger than the rows that there are to train on, or too few rows are left.
        """
        order = np.random.default_rng(settings.seed).permutation(rows)
        held_out = round(settings.validation * rows)
        training, validation = order[held_out:], order[:held_out]
        if settings.validation and not held_out:
            raise ProtocolError(f"logistic.validation: a share of {settings.validation} of {rows} rows is no row")
        if settings.batch_rows > len(training):
            raise ProtocolError(
                f"logistic.batch_rows: expected at most the {len(training)} rows that there are to train on, got "
                f"{settings.batch_rows}; lower it, or set 0 for all rows at once"
            )
        if len(training) < 2:
            raise ProtocolError(f"logistic.validation: of {rows} rows it leaves {len(training)} to train on")
        count = -(-len(training) // (settings.batch_rows or len(training)))
        return cls(tuple(np.sort(part) for part in np.array_split(training, count)), np.sort(validation))

    @property
    def steps(self) -> int:
        """Steps of an epoch: one a batch, and one for the validation rows if there are any."""
        return len(self.training) + (1 if len(self.validation) else 0)

    def rows_of(self, step: int) -> NDArray[np.intp]:
        """Return the rows of a step, counted from 1 over all epochs."""
        place = (step - 1) % self.steps
        return self.training[place] if place < len(self.training) else self.validation

    def validates(self, step: int) -> bool:
        """Return whether a step takes the validation rows."""
        return (step - 1) % self.steps == len(self.training)

    def epoch_of(self, step: int) -> int:
        """Return the epoch of a step, counted from 0."""
        return (step - 1) // self.steps

    def ends_training(self, step: int) -> bool:
        """Return whether a step takes the last batch of its epoch."""
        return step % self.steps == len(self.training) % self.steps

    def ends_epoch(self, step: int) -> bool:
        """Return whether a step is the last of its epoch."""
        return step % self.steps == 0


def descended(
    coefficients: NDArray[np.float64], gradient: NDArray[np.float64], rate: float, l1: float, l2: float
) -> NDArray[np.float64]:
    """Return coefficients after a proximal gradient step on loss + l1 |w| + l2 |w|² / 2.

    w' = soft(w - rate (gradient + l2 w), rate l1), with soft(v, t) = sign(v) max(|v| - t, 0).

    Examples
    --------
    >>> descended(np.array([1.0, 0.01]), np.array([0.5, 0.0]), 0.1, 0.2, 0.0)
    array([0.93, 0.  ])
    """
    moved = coefficients - rate * (gradient + l2 * coefficients)
    return np.sign(moved) * np.maximum(np.abs(moved) - rate * l1, 0.0)


def row_weights(labels: NDArray[np.float64], settings: LogisticSettings) -> NDArray[np.float64]:
    """Return the weight of each row, float64 of shape (n,), from labels in {0, 1}."""
    weights = np.ones(len(labels))
    if settings.class_weight == "balanced":
        positive = labels.sum()
        weights = np.where(labels == 1.0, len(labels) / (2 * positive), len(labels) / (2 * (len(labels) - positive)))
    return np.where(labels == 1.0, settings.positive_weight * weights, weights)


def binary_labels(labels: Sequence[str], positive: str | None) -> tuple[NDArray[np.float64], tuple[str, str]]:
    """Return labels as 0.0 and 1.0, and the names of the negative and the positive class.

    Raises
    ------
    ProtocolError
        There are not two different labels, or none is the positive one. The message holds no label: others read it.
    """
    names = sorted(set(labels))
    if len(names) == 1:
        raise ProtocolError("label_column: expected two different labels, got one in every row; add rows of the other")
    if len(names) != 2:
        raise ProtocolError(
            f"label_column: expected two different labels, got {len(names)}; choose a column that says yes or no"
        )
    if positive is not None and positive not in names:
        raise ProtocolError("logistic.positive: expected one of the guest's two labels, got another text")
    chosen = names[1] if positive is None else positive
    other = names[0] if chosen == names[1] else names[1]
    return np.array([float(label == chosen) for label in labels]), (other, chosen)


@dataclass(frozen=True)
class Verdict:
    """What the guest makes of an epoch.

    Attributes
    ----------
    converged
        Whether training stops.
    best
        How many epochs ago the best coefficients were made, 0 for now.
    change
        By how much the deciding loss fell; None in the first epoch.
    """

    converged: bool
    best: int
    change: float | None


def judged(losses: Sequence[float], first: float, tolerance: float, patience: int, rate: float) -> Verdict:
    """Return whether to stop after epochs with the mean losses given.

    Training stops when the loss changes by less than `tolerance`, or when for `patience` epochs (if not 0) none fell
    below the best by `tolerance`.

    Parameters
    ----------
    losses
        The deciding loss of every epoch so far.
    first
        The loss of coefficients that are all zero.
    tolerance, patience
        From the plan.
    rate
        The learning rate of the epoch, for the message.

    Raises
    ------
    ProtocolError
        The loss shows that training diverges.
    """
    if losses[-1] > _ASTRAY * first:
        raise ProtocolError(
            f"training diverges: the mean loss is {losses[-1]:.4g} after epoch {len(losses)}, with coefficients of "
            f"zero it was {first:.4g}; lower logistic.learning_rate (it is {rate:.4g}), or raise logistic.l2"
        )
    change = None if len(losses) < 2 else losses[-2] - losses[-1]
    best, best_loss = 0, losses[0]
    for epoch, loss in enumerate(losses):
        if loss < best_loss - tolerance:
            best, best_loss = epoch, loss
    waited = len(losses) - 1 - best
    still = change is not None and abs(change) < tolerance
    if not patience:
        return Verdict(still, 0, change)
    return Verdict(waited >= patience, waited, change)
