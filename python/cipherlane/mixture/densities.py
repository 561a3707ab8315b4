"""Log densities of Gaussians, and responsibilities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from cipherlane.mixture.array_module import module_of
from cipherlane.mixture.checks import check_finite, check_samples
from cipherlane.mixture.kernels import kernel_for, log_sums
from cipherlane.mixture.structure import Float64, Structure
from cipherlane.mixture.threads import Workers, thread_count


def covariance_shape(covariance_type: str, components: int, features: int) -> tuple[int, ...]:
    """Return the shape that covariances of a type have."""
    return {
        "full": (components, features, features),
        "block": (components, features, features),
        "tied": (features, features),
        "diag": (components, features),
        "spherical": (components,),
    }[covariance_type]


def log_density(
    X: ArrayLike,
    means: ArrayLike,
    covariances: ArrayLike,
    covariance_type: str = "full",
    *,
    blocks: Sequence[Sequence[int]] | None = None,
    threads: int | None = None,
) -> Float64:
    """Return log N(x_i; mu_k, Sigma_k), without weights.

    log N(x; mu, Sigma) = -(d log 2 pi + log det Sigma + (x - mu)^T Sigma^-1 (x - mu)) / 2

    Parameters
    ----------
    X : array_like of shape (n, d)
        A CuPy array is read where it is, other arguments follow it, and the result is a CuPy array.
    means : array_like of shape (K, d)
    covariances : array_like
        Shape (K, d, d) for "full" and "block", (d, d) for "tied", (K, d) for "diag", (K,) for "spherical".
    covariance_type : {"full", "tied", "diag", "spherical", "block"}
    blocks : sequence of sequence of int, optional
        For "block": groups of columns, each column in exactly one; entries between groups are ignored. Default: one
        group of all.
    threads : int, optional
        Default: CIPHERLANE_THREADS, or all processors.

    Returns
    -------
    ndarray of shape (n, K), float64

    Raises
    ------
    ValueError
        If a shape, type or block is not as above, or a number is not finite.
    SingularCovarianceError
        A `ValueError`, if a covariance is not positive definite.
    TypeError
        If ``X`` is on the host and another argument a CuPy array.

    Examples
    --------
    >>> import numpy as np
    >>> from cipherlane.mixture import log_density
    >>> log_density([[0.0, 0.0]], [[0.0, 0.0]], [[1.0, 1.0]], "diag").round(4)
    array([[-1.8379]])
    """
    module = module_of(X)
    samples = check_samples(X, module=module)
    centres = check_samples(means, "means", module)
    components, features = centres.shape
    if samples.shape[1] != features:
        raise ValueError(f"means: expected {samples.shape[1]} columns as X has, got {features}")
    structure = Structure.of(covariance_type, features, blocks)
    spreads = module.floats("covariances", covariances)
    expected = covariance_shape(covariance_type, components, features)
    if spreads.shape != expected:
        raise ValueError(f"covariances: expected shape {expected} for {covariance_type!r}, got {spreads.shape}")
    check_finite("covariances", spreads)
    with Workers(thread_count(threads)) as workers:
        kernel = kernel_for(structure, module, workers)
        found: Float64 = kernel.densities(kernel.prepare(samples), centres, spreads, module.xp.zeros(components))
    return found


def responsibilities(log_densities: ArrayLike, weights: ArrayLike) -> tuple[Float64, float]:
    """Return r_ik = pi_k N_ik / sum_j pi_j N_ij, and the log-likelihood sum_i log sum_k pi_k N_ik.

    Parameters
    ----------
    log_densities : array_like of shape (n, K)
        log N_ik. A constant added to a row changes the likelihood by it and the responsibilities not at all. Of a CuPy
        array the responsibilities are one too.
    weights : array_like of shape (K,)
        pi_k, at least 0; a component of weight 0 gets no responsibility.

    Returns
    -------
    resp : ndarray of shape (n, K)
        Rows sum to 1.
    log_likelihood : float
        The total over rows.

    Raises
    ------
    ValueError
        If shapes do not fit, or a number is not finite or a weight negative.

    Examples
    --------
    >>> import numpy as np
    >>> from cipherlane.mixture import responsibilities
    >>> resp, log_likelihood = responsibilities(np.log([[0.2, 0.6]]), [0.5, 0.5])
    >>> resp.round(6), round(log_likelihood, 6)
    (array([[0.25, 0.75]]), -0.916291)
    """
    module = module_of(log_densities)
    densities = check_samples(log_densities, "log_densities", module)
    prior = module.floats("weights", weights)
    if prior.shape != (densities.shape[1],):
        raise ValueError(f"weights: expected shape ({densities.shape[1]},), got {prior.shape}")
    check_finite("weights", prior)
    if (prior < 0).any() or not prior.any():
        raise ValueError("weights: expected numbers of at least 0, not all of them 0")
    with np.errstate(divide="ignore"):
        joint = densities + module.xp.log(prior)
    normaliser = log_sums(module, joint)
    return module.xp.exp(joint - normaliser[:, np.newaxis]), float(normaliser.sum())
