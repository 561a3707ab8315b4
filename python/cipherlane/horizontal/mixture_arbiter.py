"""The arbiter's half of the federated mixture: the M-step on sums over parties, and when to stop."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cipherlane import mixture
from cipherlane.horizontal.mixture_party import MixtureParameters
from cipherlane.horizontal.statistics import from_vector

# A component no row belongs to keeps a weight above zero, so its logarithm stays finite.
_WEIGHT_FLOOR = 10 * np.finfo(np.float64).eps


@dataclass(frozen=True)
class MixtureState:
    """What the arbiter holds between rounds.

    Attributes
    ----------
    parameters
        The model that the next round uses.
    counts
        N_k, float64 of shape (K,), from which its weights follow.
    log_likelihood
        Mean a row, under the model before this one; None at the start.
    change
        By how much it rose over the round before; None before the second.
    converged
        Whether training should stop.
    """

    parameters: MixtureParameters
    counts: NDArray[np.float64]
    log_likelihood: float | None = None
    change: float | None = None
    converged: bool = False


def next_state(
    summed: NDArray[np.float64],
    *,
    shape: tuple[int, int],
    rows: int,
    covariance_type: str,
    regularisation: float,
    tolerance: float,
    before: MixtureState | None,
) -> MixtureState:
    """Return the state after the M-step on the parties' summed statistics.

    mu_k = s_k / N_k and Sigma_k = S_k / N_k - mu_k mu_k^T + regularisation I; pi_k = N_k / n. Training stops when the
    mean log-likelihood changes by less than `tolerance`.

    Parameters
    ----------
    summed
        `to_vector` summed over the parties.
    shape
        (K, d).
    rows
        n, of all parties together.
    before
        The state before the round; None at the start, where the likelihood is none.
    """
    components, columns = shape
    statistics, log_likelihood = from_vector(summed, components, columns, covariance_type, rows)
    previous = None if before is None else (before.parameters.means, before.parameters.covariances)
    means, covariances = mixture.m_step(statistics, reg_covar=regularisation, previous=previous)
    floored = statistics.counts + _WEIGHT_FLOOR
    parameters = MixtureParameters(floored / floored.sum(), means, covariances, covariance_type)
    if before is None:
        return MixtureState(parameters, statistics.counts)
    change = None if before.log_likelihood is None else log_likelihood - before.log_likelihood
    converged = change is not None and abs(change) < tolerance
    return MixtureState(parameters, statistics.counts, log_likelihood, change, converged)
