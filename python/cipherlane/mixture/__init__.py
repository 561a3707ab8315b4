"""Gaussian mixtures: the EM core, its pieces as functions, and an estimator with scikit-learn's interface.

Where the first argument is a CuPy array, all of it computes on that array's device and returns CuPy arrays.
"""

from __future__ import annotations

from cipherlane.mixture.densities import log_density, responsibilities
from cipherlane.mixture.gaussian_mixture import GaussianMixture
from cipherlane.mixture.moments import SingularCovarianceError
from cipherlane.mixture.starts import initial_responsibilities
from cipherlane.mixture.statistics import SufficientStatistics, m_step, sufficient_statistics

__all__ = [
    "GaussianMixture",
    "SingularCovarianceError",
    "SufficientStatistics",
    "initial_responsibilities",
    "log_density",
    "m_step",
    "responsibilities",
    "sufficient_statistics",
]
