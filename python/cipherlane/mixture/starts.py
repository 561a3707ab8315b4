"""Initial responsibilities."""

from __future__ import annotations

import contextlib

import numpy as np
from sklearn.cluster import KMeans, kmeans_plusplus

from cipherlane.mixture.structure import Float64
from cipherlane.mixture.threads import LEAST_SAMPLES
from cipherlane.threadpools import single_threaded

METHODS = ("kmeans", "k-means++", "random", "random_from_data")


def initial_responsibilities(
    X: Float64,
    components: int,
    method: str,
    random_state: np.random.RandomState,
    sample_weight: Float64 | None = None,
) -> Float64:
    """Return responsibilities of shape (n, K), rows summing to 1, by one of `METHODS`.

    With the same random state they are those of scikit-learn's GaussianMixture.
    """
    rows = len(X)
    if method == "random":
        drawn: Float64 = random_state.uniform(size=(rows, components))
        drawn /= drawn.sum(axis=1)[:, np.newaxis]
        return drawn
    resp = np.zeros((rows, components))
    if method == "kmeans":
        kmeans = KMeans(n_clusters=components, n_init=1, random_state=random_state)
        with single_threaded("openmp") if rows < LEAST_SAMPLES else contextlib.nullcontext():
            labels = kmeans.fit(X, sample_weight=sample_weight).labels_
        resp[np.arange(rows), labels] = 1.0
    elif method == "random_from_data":
        chosen = random_state.choice(rows, size=components, replace=False)
        resp[chosen, np.arange(components)] = 1.0
    else:
        _, chosen = kmeans_plusplus(X, components, random_state=random_state)
        resp[chosen, np.arange(components)] = 1.0
    return resp
