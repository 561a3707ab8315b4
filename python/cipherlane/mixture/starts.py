"""Initial responsibilities."""

from __future__ import annotations

import contextlib

import numpy as np

from cipherlane.mixture.array_module import module_of
from cipherlane.mixture.structure import Float64
from cipherlane.mixture.threads import LEAST_SAMPLES
from cipherlane.threadpools import single_threaded

METHODS = ("kmeans", "k-means++", "random", "random_from_data")
# Those that look at the samples rather than at their number alone.
LOOKING = ("kmeans", "k-means++")


def initial_responsibilities(
    X: Float64,
    components: int,
    method: str,
    random_state: np.random.RandomState,
    sample_weight: Float64 | None = None,
) -> Float64:
    """Return responsibilities of shape (n, K), rows summing to 1, by one of `METHODS`.

    With the same random state they are those of scikit-learn's GaussianMixture. They are drawn on the host, so that
    they do not depend on where the samples are: the two k-means methods bring a CuPy array to the host for it, the
    other two do not. The result is a CuPy array if ``X`` is.
    """
    module = module_of(X)
    if not module.on_host:
        if method in LOOKING:
            X = module.to_host(X)
        weights = None if sample_weight is None else module_of(sample_weight).to_host(sample_weight)
        found: Float64 = module.xp.asarray(_drawn(X, components, method, random_state, weights))
        return found
    return _drawn(X, components, method, random_state, sample_weight)


def _drawn(
    X: Float64, components: int, method: str, random_state: np.random.RandomState, sample_weight: Float64 | None
) -> Float64:
    rows = len(X)
    if method == "random":
        drawn: Float64 = random_state.uniform(size=(rows, components))
        drawn /= drawn.sum(axis=1)[:, np.newaxis]
        return drawn
    resp = np.zeros((rows, components))
    if method == "kmeans":
        from sklearn.cluster import KMeans

        kmeans = KMeans(n_clusters=components, n_init=1, random_state=random_state)
        with single_threaded("openmp") if rows < LEAST_SAMPLES else contextlib.nullcontext():
            labels = kmeans.fit(X, sample_weight=sample_weight).labels_
        resp[np.arange(rows), labels] = 1.0
    elif method == "random_from_data":
        chosen = random_state.choice(rows, size=components, replace=False)
        resp[chosen, np.arange(components)] = 1.0
    else:
        from sklearn.cluster import kmeans_plusplus

        _, chosen = kmeans_plusplus(X, components, random_state=random_state)
        resp[chosen, np.arange(components)] = 1.0
    return resp
