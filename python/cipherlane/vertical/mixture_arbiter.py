"""The arbiter's half of the federated mixture: the E-step on sums over parties, and when to stop."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cipherlane import mixture
from cipherlane.vertical.responsibility_table import ROUNDING_OFF, round_rows
from cipherlane.vertical.score_encoding import split_score_vector

# A component no row belongs to keeps a weight above zero, so its logarithm stays finite.
_WEIGHT_FLOOR = 10 * np.finfo(np.float64).eps


def component_weights(
    responsibilities: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return pi_k = N_k / n and N_k = sum_i r_ik, each float64 of shape (K,)."""
    counts: NDArray[np.float64] = responsibilities.sum(axis=0)
    floored = counts + _WEIGHT_FLOOR
    return floored / floored.sum(), counts


@dataclass(frozen=True)
class RoundState:
    """What the arbiter holds between rounds.

    Attributes
    ----------
    responsibilities
        float64, shape (n, K), rounded as they were sent.
    weights
        pi, float64 of shape (K,), from those responsibilities.
    counts
        N_k, float64 of shape (K,).
    log_likelihood
        Mean log-likelihood a row of the round that made the responsibilities; None before the first.
    change
        By how much it rose over the round before; None before the second.
    converged
        Whether training should stop.
    """

    responsibilities: NDArray[np.float64]
    weights: NDArray[np.float64]
    counts: NDArray[np.float64]
    log_likelihood: float | None = None
    change: float | None = None
    converged: bool = False


def first_state(responsibilities: NDArray[np.float64]) -> RoundState:
    """Return the state before the first round."""
    weights, counts = component_weights(responsibilities)
    return RoundState(responsibilities, weights, counts)


def next_state(state: RoundState, summed_scores: NDArray[np.float64], *, decimals: int, tolerance: float) -> RoundState:
    """Return the state after the E-step on the parties' summed scores.

    r_ik is proportional to pi_k exp(s_ik) with s the sum over parties of a_ik - a_iK, and the mean
    log-likelihood is (1/n) sum_i log sum_k pi_k exp(s_ik) plus the summed means of a_iK. Training stops
    when that changes by less than `tolerance`, or when rounded responsibilities repeat.

    Parameters
    ----------
    state
        The state before the round.
    summed_scores
        float64, shape (n (K - 1) + 1,): `score_vector` summed over the parties.
    decimals
        Decimals to round responsibilities to, -1 for none.
    tolerance
        Least change of the mean log-likelihood that goes on.
    """
    rows, components = state.responsibilities.shape
    relative, last_mean = split_score_vector(summed_scores, rows, components)
    exact, relative_total = mixture.responsibilities(relative, state.weights)
    log_likelihood = float(relative_total) / rows + last_mean
    rounded = round_rows(np.asarray(exact, dtype=np.float64), decimals)
    change = None if state.log_likelihood is None else log_likelihood - state.log_likelihood
    repeated = decimals != ROUNDING_OFF and np.array_equal(rounded, state.responsibilities)
    weights, counts = component_weights(rounded)
    return RoundState(
        rounded,
        weights,
        counts,
        log_likelihood,
        change,
        converged=repeated or (change is not None and abs(change) < tolerance),
    )
