"""What a pass over the samples returns, and the error that it may end in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cipherlane.mixture.array_module import Array, ArrayModule
from cipherlane.mixture.structure import Float64


class SingularCovarianceError(ValueError):
    """A covariance is not positive definite, so its density does not exist."""


def singular(component: int | None) -> SingularCovarianceError:
    """Return the error for a component's covariance, or for the shared one."""
    which = "the shared covariance" if component is None else f"the covariance of component {component}"
    return SingularCovarianceError(
        f"covariances: {which} is not positive definite, so its density does not exist; raise reg_covar, drop constant "
        "or repeated columns, or use fewer components"
    )


def require_definite(definite: NDArray[np.bool_], shared: bool) -> None:
    """Raise `SingularCovarianceError` for the first component whose covariance is not positive definite."""
    if not definite.all():
        raise singular(None if shared else int(np.flatnonzero(~definite)[0]))


@dataclass(frozen=True)
class Moments:
    """Sums over samples: counts, shape (K,), and first and second moments about points, shape (K, d).

    ``host_counts`` are the counts as NumPy array, whatever the library of the others.
    """

    counts: Array
    first: Array
    second: Array
    points: Array
    host_counts: Float64

    @classmethod
    def of(cls, module: ArrayModule, counts: Array, first: Array, second: Array, points: Array) -> Moments:
        """Return the moments with the counts brought to the host."""
        return cls(counts, first, second, points, module.to_host(counts))
