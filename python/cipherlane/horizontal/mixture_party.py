"""The data party's half of the federated mixture: the E-step over its own rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cipherlane import mixture
from cipherlane.horizontal.statistics import statistics_of, to_vector
from cipherlane.threadpools import single_threaded


@dataclass(frozen=True)
class MixtureParameters:
    """The whole model, the same at every party: pi (K,), means (K, d), covariances (K, d, d) or, for "diag", (K, d)."""

    weights: NDArray[np.float64]
    means: NDArray[np.float64]
    covariances: NDArray[np.float64]
    covariance_type: str

    def responsibilities(self, inputs: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
        """Return r_ik, float64 of shape (n, K), and the total log-likelihood of the rows."""
        try:
            densities = mixture.log_density(inputs, self.means, self.covariances, self.covariance_type)
        except mixture.SingularCovarianceError:
            raise ValueError(
                "model: a covariance is not positive definite; raise model.regularisation in the plan, drop repeated "
                "columns, or use fewer components"
            ) from None
        found, log_likelihood = mixture.responsibilities(np.asarray(densities), self.weights)
        return np.asarray(found, dtype=np.float64), float(log_likelihood)


def expected_statistics(
    inputs: NDArray[np.float64], parameters: MixtureParameters, total_rows: int
) -> NDArray[np.float64]:
    """Return what the party sends in a round: its statistics under `parameters`, and its share of the likelihood.

    Parameters
    ----------
    inputs
        float64, shape (n, d): the party's rows, about the means of all parties' columns.
    parameters
        The model that all parties have.
    total_rows
        Rows of all parties together: the shares add up to the mean log-likelihood.
    """
    responsibilities, log_likelihood = parameters.responsibilities(inputs)
    statistics = statistics_of(inputs, responsibilities, parameters.covariance_type)
    return to_vector(statistics, log_likelihood / total_rows)


def cluster_centres(inputs: NDArray[np.float64], components: int, seed: int) -> NDArray[np.float64]:
    """Return the K centres, float64 of shape (K, d), of k-means on one party's rows (best of ten starts).

    Raises
    ------
    ValueError
        The party has fewer distinct rows than components.
    """
    distinct = len(np.unique(inputs, axis=0))
    if distinct < components:
        raise ValueError(
            f"components: the guest has {distinct} distinct rows, too few for {components} k-means clusters; ask for "
            'fewer components or set start = "random"'
        )
    # Here: it takes seconds to load, and only some of the sites cluster.
    from sklearn.cluster import KMeans

    # On one thread the clusters are the same on every machine: threads of k-means add up in the order they finish.
    with single_threaded("openmp"):
        centres = KMeans(n_clusters=components, n_init=10, random_state=seed).fit(inputs).cluster_centers_
    return np.asarray(centres, dtype=np.float64)


def nearest(inputs: NDArray[np.float64], centres: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return one-hot responsibilities, float64 of shape (n, K), for the nearest of K centres (d columns).

    Examples
    --------
    >>> nearest(np.array([[0.0], [4.0]]), np.array([[5.0], [1.0]]))
    array([[0., 1.],
           [1., 0.]])
    """
    distances = np.stack([((inputs - centre) ** 2).sum(axis=1) for centre in centres], axis=1)
    one_hot: NDArray[np.float64] = np.eye(len(centres))[distances.argmin(axis=1)]
    return one_hot


def drawn_responsibilities(rows: int, components: int, seed: int, party: int) -> NDArray[np.float64]:
    """Return random responsibilities of a party's rows, other ones for every number `party` in the plan's order."""
    generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, party))))
    drawn = generator.random((rows, components))
    normalised: NDArray[np.float64] = drawn / drawn.sum(axis=1, keepdims=True)
    return normalised
