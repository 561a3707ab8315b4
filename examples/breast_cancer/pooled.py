"""Mixtures of pooled columns, which a federated one is compared with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cipherlane.mixture import GaussianMixture

REGULARISATION = 1e-6


def fit_pooled(
    inputs: NDArray[np.float64],
    kind: str,
    start: NDArray[np.float64] | None = None,
    blocks: list[range] | None = None,
    *,
    components: int = 2,
    regularisation: float = REGULARISATION,
    tolerance: float = 1e-3,
    iterations: int = 100,
) -> GaussianMixture:
    """Fit by EM from responsibilities (n, K), or from k-means on the inputs."""
    mixture = GaussianMixture(
        components,
        covariance_type=kind,
        blocks=blocks,
        reg_covar=regularisation,
        tol=tolerance,
        max_iter=iterations,
        random_state=0,
    )
    if start is not None:
        weights = start.mean(axis=0)
        means = start.T @ inputs / start.sum(axis=0)[:, None]
        joint = blocks or [range(inputs.shape[1])]
        covariances = [_block_covariance(inputs, column, joint, regularisation) for column in start.T]
        mixture.set_params(weights_init=weights, means_init=means, precisions_init=np.linalg.inv(np.stack(covariances)))
    return mixture.fit(inputs)


def _block_covariance(
    inputs: NDArray[np.float64], weights: NDArray[np.float64], blocks: list[range], regularisation: float
) -> NDArray[np.float64]:
    covariance = np.cov(inputs, rowvar=False, aweights=weights, ddof=0) + regularisation * np.eye(inputs.shape[1])
    kept = np.zeros_like(covariance)
    for block in blocks:
        kept[np.ix_(block, block)] = covariance[np.ix_(block, block)]
    return kept
