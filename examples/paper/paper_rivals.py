"""What the federation is compared with: the same models on pooled columns, and on one party's columns alone."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.mixture import GaussianMixture

from cipherlane.vertical.starts import initial_responsibilities

from paper_data import Dataset, Settings
from paper_measures import Said

sys.path.insert(0, str(Path(__file__).parents[1] / "breast_cancer"))

from pooled import fit_pooled

Reals = NDArray[np.float64]
_LEAST = 1e-300


def logistic_rivals(dataset: Dataset, fold: int, selected: dict[str, tuple[str, ...]]) -> dict[str, Said]:
    """Return what scikit-learn's logistic regression says of a fold's rows, with the federation's penalty.

    The columns are those that the federation selected, of both parties, of each alone, and all that there are.
    """
    training, testing = dataset.folds[fold]
    few = training[: dataset.settings.logistic_rows]
    chosen = {
        name: dataset.values[name][:, [dataset.columns[name].index(column) for column in columns]]
        for name, columns in selected.items()
    }
    tables = {
        "pooled columns": (np.hstack(list(chosen.values())), few),
        "pooled, without selection": (np.hstack(list(dataset.values.values())), few),
        "guest's columns alone": (chosen["guest"], few),
        "host's columns alone": (chosen["host"], few),
    }
    if len(few) < len(training):
        tables["pooled, all rows"] = (tables["pooled columns"][0], training)
    found = {}
    for name, (values, rows) in tables.items():
        scaled = _scaled(values, values[rows])
        model = LogisticRegression(C=1.0, max_iter=2000).fit(scaled[rows], dataset.labels[rows])
        probabilities = model.predict_proba(scaled[testing])[:, 1]
        found[name] = Said(probabilities, model.decision_function(scaled[testing]), probabilities > 0.5)
    return found


def mixture_rivals(dataset: Dataset, fold: int) -> dict[str, Said]:
    """Return what mixtures of pooled columns, mixtures of one party's and k-means say of a fold's rows."""
    training, testing = dataset.folds[fold]
    # In the federation rows stand in the order of their ids as text, and k-means depends on the order.
    training = training[np.argsort(np.array(dataset.ids)[training])]
    settings = dataset.settings
    parties = {name: _scaled(values, values[training]) for name, values in dataset.values.items()}
    pooled = np.hstack(list(parties.values()))
    first = parties["guest"].shape[1]
    blocks = [range(first), range(first, pooled.shape[1])]
    start = initial_responsibilities(parties["guest"][training], settings.components, "kmeans", 0)
    same = fit_pooled(
        pooled[training],
        "block",
        start,
        blocks,
        components=settings.components,
        regularisation=settings.regularisation,
        tolerance=settings.tolerance,
        iterations=settings.iterations,
    )
    found = {
        "pooled, block-diagonal, same start": (
            same.predict_proba(pooled[training]),
            same.predict_proba(pooled[testing]),
        )
    }
    for name, values in {
        "pooled, full covariance": pooled,
        "guest's columns alone": parties["guest"],
        "host's columns alone": parties["host"],
    }.items():
        mixture = _full(settings).fit(values[training])
        found[name] = (mixture.predict_proba(values[training]), mixture.predict_proba(values[testing]))
    clusters = KMeans(settings.components, n_init=10, random_state=0).fit(pooled[training])
    found["pooled, k-means"] = (_near(clusters, pooled[training]), _near(clusters, pooled[testing]))
    return {name: called(*both, dataset.labels[training]) for name, both in found.items()}


def called(trained: Reals, tested: Reals, labels: NDArray[np.int64]) -> Said:
    """Turn clusters into a classifier with the labels of the rows trained on.

    Component k stands for the event's rate p_k = sum_i r_ik y_i / sum_i r_ik among those rows. A row's probability is
    sum_k r_k p_k, and it is called what most rows of its likeliest component are. Two components rank rows by the
    logarithm of the ratio of their responsibilities, more by the probability.
    """
    rates = trained.T @ labels / np.maximum(trained.sum(axis=0), 1e-12)
    probabilities = np.clip(tested @ rates, 0.0, 1.0)
    ranks = probabilities
    if len(rates) == 2:
        logs = np.log(np.maximum(tested, _LEAST))
        ranks = logs[:, rates.argmax()] - logs[:, rates.argmin()]
    return Said(probabilities, ranks, rates[tested.argmax(axis=1)] > 0.5)


def _full(settings: Settings) -> GaussianMixture:
    return GaussianMixture(
        settings.components,
        reg_covar=settings.regularisation,
        tol=settings.tolerance,
        max_iter=settings.iterations,
        random_state=0,
    )


def _near(clusters: KMeans, values: Reals) -> Reals:
    """Return how much a row belongs to each cluster, as in a mixture of unit spheres of equal weights."""
    distances = clusters.transform(values) ** 2 / 2
    near = np.exp(distances.min(axis=1, keepdims=True) - distances)
    return near / near.sum(axis=1, keepdims=True)


def _scaled(values: Reals, trained: Reals) -> Reals:
    spread = trained.std(axis=0)
    return (values - trained.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
