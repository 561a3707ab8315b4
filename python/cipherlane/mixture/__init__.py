"""Gaussian mixtures: the EM core, its pieces as functions, and an estimator with scikit-learn's interface.

Where the first argument is a CuPy array, all of it computes on that array's device and returns CuPy arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cipherlane.mixture.densities import log_density, responsibilities
from cipherlane.mixture.moments import SingularCovarianceError
from cipherlane.mixture.starts import initial_responsibilities
from cipherlane.mixture.statistics import SufficientStatistics, m_step, sufficient_statistics

if TYPE_CHECKING:
    from cipherlane.mixture.gaussian_mixture import GaussianMixture

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


def __getattr__(name: str) -> object:
    """Load the estimator, and with it scikit-learn, where it is asked for; parties of a federation never do."""
    if name != "GaussianMixture":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from cipherlane.mixture.gaussian_mixture import GaussianMixture

    return GaussianMixture


def __dir__() -> list[str]:
    """Return the names, the estimator's with the others."""
    return sorted({*globals(), *__all__})
