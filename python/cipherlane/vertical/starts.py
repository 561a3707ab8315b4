"""Where EM starts: initial responsibilities from k-means on the guest's own columns, or at random."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cipherlane.threadpools import single_threaded

STARTS = ("kmeans", "random")


def initial_responsibilities(
    inputs: NDArray[np.float64], components: int, start: str, seed: int
) -> NDArray[np.float64]:
    """Return initial responsibilities, float64 of shape (n, K), reproducible from `seed`.

    "kmeans": one-hot rows from scikit-learn's k-means (best of ten starts) on the guest's own columns.
    "random": rows uniform on [0, 1) and normalised, drawn from PCG64; they hold nothing of the data.

    Raises
    ------
    ValueError
        An unknown start, or more components than the guest has distinct rows.
    """
    if start not in STARTS:
        raise ValueError(f"start: expected one of {STARTS}, got {start!r}")
    rows = len(inputs)
    if components > rows:
        raise ValueError(
            f"components: expected at most the number of rows, {rows}, got {components}; "
            "ask for fewer components or bring more rows"
        )
    if start == "random":
        drawn = np.random.Generator(np.random.PCG64(seed)).random((rows, components))
        normalised: NDArray[np.float64] = drawn / drawn.sum(axis=1, keepdims=True)
        return normalised
    distinct = len(np.unique(inputs, axis=0))
    if distinct < components:
        raise ValueError(
            f"components: the guest's columns have {distinct} distinct rows, too few for {components} "
            'k-means clusters; ask for fewer components or set start = "random"'
        )
    # Here: it takes seconds to load, and only some of the sites cluster.
    from sklearn.cluster import KMeans

    # On one thread the clusters are the same on every machine: threads of k-means add up in the order they finish.
    with single_threaded("openmp"):
        clusters = KMeans(n_clusters=components, n_init=10, random_state=seed).fit_predict(inputs)
    one_hot: NDArray[np.float64] = np.eye(components)[clusters]
    return one_hot
