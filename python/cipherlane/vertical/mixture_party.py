"""The data party's half of the federated mixture: its own parameters, and its log-densities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cipherlane import mixture

COVARIANCE_TYPES = ("full", "diag")


@dataclass(frozen=True)
class PartyParameters:
    """One party's block of the model: means (K, d); covariances (K, d, d) for "full", (K, d) for "diag"."""

    means: NDArray[np.float64]
    covariances: NDArray[np.float64]
    covariance_type: str

    def log_densities(self, inputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return a_ik = log N(x_i; mu_k, Sigma_k), float64 of shape (n, K), for inputs of shape (n, d)."""
        try:
            found = mixture.log_density(inputs, self.means, self.covariances, self.covariance_type)
        except mixture.SingularCovarianceError:
            raise ValueError(
                "model: a covariance of this party's columns is not positive definite; raise model.regularisation in "
                "the plan, drop repeated columns, or use fewer components"
            ) from None
        return np.asarray(found, dtype=np.float64)

    def to_vector(self) -> NDArray[np.float64]:
        """Return the means, then each covariance's upper triangle (its diagonal for "diag")."""
        return np.concatenate([self.means.ravel(), self._upper().ravel()])

    @classmethod
    def from_vector(
        cls, vector: NDArray[np.float64], components: int, width: int, covariance_type: str
    ) -> PartyParameters:
        """Rebuild the parameters of K components over d columns from `to_vector`.

        Raises
        ------
        ValueError
            The vector has another length than those parameters.
        """
        triangle = width * (width + 1) // 2 if covariance_type == "full" else width
        expected = components * (width + triangle)
        if vector.shape != (expected,):
            raise ValueError(f"parameters: expected {expected} numbers, got shape {vector.shape}")
        means = vector[: components * width].reshape(components, width).copy()
        upper = vector[components * width :].reshape(components, triangle)
        if covariance_type == "diag":
            return cls(means, upper.copy(), covariance_type)
        covariances = np.zeros((components, width, width))
        rows, columns = np.triu_indices(width)
        covariances[:, rows, columns] = upper
        covariances[:, columns, rows] = upper
        return cls(means, covariances, covariance_type)

    def _upper(self) -> NDArray[np.float64]:
        if self.covariance_type == "diag":
            return self.covariances
        rows, columns = np.triu_indices(self.means.shape[1])
        upper: NDArray[np.float64] = self.covariances[:, rows, columns]
        return upper


def update_parameters(
    inputs: NDArray[np.float64],
    responsibilities: NDArray[np.float64],
    covariance_type: str,
    regularisation: float,
    previous: PartyParameters | None = None,
) -> PartyParameters:
    """Return the M-step over the party's own columns.

    mu_k = sum_i r_ik x_i / N_k and Sigma_k = sum_i r_ik (x_i - mu_k)(x_i - mu_k)^T / N_k + regularisation I;
    a component no row belongs to keeps its `previous` parameters.
    """
    statistics = mixture.sufficient_statistics(inputs, responsibilities, covariance_type)
    kept = None if previous is None else (previous.means, previous.covariances)
    means, covariances = mixture.m_step(statistics, reg_covar=regularisation, previous=kept)
    return PartyParameters(np.asarray(means), np.asarray(covariances), covariance_type)
