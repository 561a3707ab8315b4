"""What a data party encrypts in a round: sums over its rows from which the next parameters follow.

With z_i a row about the columns' means over all parties, and r_ik its responsibilities: N_k = sum_i r_ik,
sum_i r_ik z_i and sum_i r_ik z_i z_i^T for each of K components, and the party's share of the mean log-likelihood.

Bound: where columns are standardised over all n rows, sum_i z_ij^2 = n. As 0 <= r_ik <= 1, N_k <= n,
|sum_i r_ik z_ij| <= sum_i |z_ij| <= sqrt(n sum_i z_ij^2) = n by Cauchy and Schwarz, and
|sum_i r_ik z_ij z_il| <= sum_i (z_ij^2 + z_il^2) / 2 = n: no number, at one party or summed, exceeds n.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cipherlane.mixture import SufficientStatistics, sufficient_statistics


def statistics_size(components: int, columns: int, covariance_type: str) -> int:
    """Return how many numbers a party sends in a round: K (1 + d + d (d + 1) / 2) + 1, or K (1 + 2 d) + 1 for "diag".

    Examples
    --------
    >>> statistics_size(2, 3, "full"), statistics_size(2, 3, "diag")
    (21, 15)
    """
    second = columns if covariance_type == "diag" else columns * (columns + 1) // 2
    return components * (1 + columns + second) + 1


def integer_bits_needed(rows: int) -> int:
    """Return the bits that the statistics of `rows` standardised rows may need above the point (the bound above)."""
    # One more than n itself needs: sums in float64 may exceed the bound by their rounding.
    return (rows + 1).bit_length()


def statistics_of(
    inputs: NDArray[np.float64], responsibilities: NDArray[np.float64], covariance_type: str
) -> SufficientStatistics:
    """Return a party's statistics about the columns' means over all parties, which are zero in its inputs."""
    return sufficient_statistics(inputs, responsibilities, covariance_type, centre=np.zeros(inputs.shape[1]))


def to_vector(statistics: SufficientStatistics, log_likelihood_share: float) -> NDArray[np.float64]:
    """Return counts, sums, each second moment's upper triangle (its diagonal for "diag"), and the last number."""
    squares = statistics.squares
    if statistics.covariance_type == "full":
        rows, columns = np.triu_indices(squares.shape[1])
        squares = squares[:, rows, columns]
    parts = (statistics.counts, statistics.sums.ravel(), squares.ravel(), [log_likelihood_share])
    return np.concatenate(parts)


def from_vector(
    vector: NDArray[np.float64], components: int, columns: int, covariance_type: str, rows: int
) -> tuple[SufficientStatistics, float]:
    """Return the statistics that vectors added over parties stand for, and the mean log-likelihood.

    Raises
    ------
    ValueError
        The vector has another length than those of K components over d columns.
    """
    expected = statistics_size(components, columns, covariance_type)
    if vector.shape != (expected,):
        raise ValueError(f"statistics: expected {expected} numbers, got shape {vector.shape}")
    counts, sums, squares = np.split(vector[:-1], [components, components * (1 + columns)])
    # Fixed point may bring an empty component's count just below zero.
    counts = np.maximum(counts, 0.0)
    if covariance_type == "full":
        second = np.zeros((components, columns, columns))
        at, other = np.triu_indices(columns)
        second[:, at, other] = squares.reshape(components, -1)
        second[:, other, at] = squares.reshape(components, -1)
    else:
        second = squares.reshape(components, columns).copy()
    centre = np.zeros((components, columns))
    statistics = SufficientStatistics(
        counts, sums.reshape(components, columns).copy(), second, centre, covariance_type, None, rows
    )
    return statistics, float(vector[-1])
