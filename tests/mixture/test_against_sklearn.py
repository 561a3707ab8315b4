"""The estimator against scikit-learn's: same starts, same iterations, same numbers; and its conventions."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture as Peer
from sklearn.utils.estimator_checks import parametrize_with_checks

from cipherlane.mixture import GaussianMixture
from cipherlane.mixture.array_module import recognised

from array_sides import NUMPY_PASSES

TYPES = ("full", "tied", "diag", "spherical")
ATTRIBUTES = ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_")


def clusters(rows: int, columns: int, components: int, seed: int = 0, offset: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    parts = [
        rng.normal(size=(rows // components + 1, columns)) @ rng.normal(size=(columns, columns))
        + 3 * rng.normal(size=columns)
        for _ in range(components)
    ]
    return np.concatenate(parts)[:rows] + offset


def fit(estimator, X: np.ndarray, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return estimator.fit(X, **options)


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize(
    ("rows", "columns", "components"),
    [
        (40, 1, 2),
        (255, 2, 3),
        (256, 3, 2),
        (257, 4, 5),
        (1000, 7, 3),
        (777, 9, 4),
        (600, 30, 4),
        (700, 64, 2),
    ],
)
def test_the_same_fit_as_scikit_learn(arrays, covariance_type, rows, columns, components):
    X = clusters(rows, columns, components)
    options = {
        "n_components": components,
        "covariance_type": covariance_type,
        "random_state": 1,
        "max_iter": 15,
        "tol": 0,
    }
    given = arrays.give(X)
    ours, peer = fit(GaussianMixture(**options), given), fit(Peer(**options), X)
    assert ours.n_iter_ == peer.n_iter_
    for name in ATTRIBUTES:
        expected = getattr(peer, name)
        np.testing.assert_allclose(
            arrays.take(getattr(ours, name)), expected, rtol=1e-6, atol=1e-6 * abs(expected).max()
        )
    assert ours.lower_bound_ == pytest.approx(peer.lower_bound_, abs=1e-6)
    np.testing.assert_allclose(arrays.take(ours.score_samples(given)), peer.score_samples(X), atol=1e-6)
    np.testing.assert_allclose(arrays.take(ours.predict_proba(given)), peer.predict_proba(X), atol=1e-6)
    assert (arrays.take(ours.predict(given)) == peer.predict(X)).all()
    assert ours.bic(given) == pytest.approx(peer.bic(X), rel=1e-9)
    assert ours.aic(given) == pytest.approx(peer.aic(X), rel=1e-9)


@pytest.mark.parametrize("init_params", ["kmeans", "k-means++", "random", "random_from_data"])
def test_starts_are_those_of_scikit_learn(arrays, init_params):
    X = clusters(400, 3, 3)
    options = {"n_components": 3, "init_params": init_params, "random_state": 5, "max_iter": 3, "tol": 0}
    ours, peer = fit(GaussianMixture(**options), arrays.give(X)), fit(Peer(**options), X)
    np.testing.assert_allclose(arrays.take(ours.means_), peer.means_, rtol=1e-7, atol=1e-7)


def test_the_best_of_several_starts_is_kept(arrays):
    X = arrays.give(clusters(300, 2, 4))
    model = fit(GaussianMixture(4, n_init=5, init_params="random", random_state=3, max_iter=30), X)
    singles = []
    state = np.random.RandomState(3)
    for _ in range(5):
        single = GaussianMixture(4, init_params="random", random_state=state, max_iter=30)
        singles.append(fit(single, X).lower_bound_)
    assert model.lower_bound_ == pytest.approx(max(singles), abs=1e-12)


def test_a_given_start_is_used(arrays):
    X = clusters(300, 3, 2)
    start = fit(Peer(2, random_state=0, max_iter=2, tol=0), X)
    given = {
        "weights_init": start.weights_,
        "means_init": start.means_,
        "precisions_init": start.precisions_,
    }
    options = {"n_components": 2, "max_iter": 5, "tol": 0, **given}
    here = {name: arrays.give(value) for name, value in given.items()}
    ours, peer = fit(GaussianMixture(**{**options, **here}), arrays.give(X)), fit(Peer(**options), X)
    np.testing.assert_allclose(arrays.take(ours.covariances_), peer.covariances_, rtol=1e-7, atol=1e-9)


def test_warm_start_goes_on(arrays):
    X = arrays.give(clusters(500, 3, 3))
    whole = fit(GaussianMixture(3, random_state=0, max_iter=10, tol=0), X)
    halves = GaussianMixture(3, random_state=0, max_iter=5, tol=0, warm_start=True)
    fit(halves, X)
    fit(halves, X)
    np.testing.assert_allclose(arrays.take(halves.means_), arrays.take(whole.means_), rtol=1e-9)


def test_sampling_is_scikit_learn_s(arrays):
    X = arrays.give(clusters(300, 3, 2))
    for covariance_type in TYPES:
        ours = GaussianMixture(2, covariance_type=covariance_type, random_state=0).fit(X)
        rows, labels = map(arrays.take, ours.sample(500))
        assert rows.shape == (500, 3)
        assert (np.bincount(labels, minlength=2) > 0).all()
        for k in range(2):
            np.testing.assert_allclose(rows[labels == k].mean(axis=0), arrays.take(ours.means_)[k], atol=2.0)


@pytest.mark.parametrize("covariance_type", ["full", "diag"])
def test_accuracy_does_not_suffer_from_an_offset(arrays, covariance_type):
    X = clusters(600, 3, 2)
    options = {
        "n_components": 2,
        "covariance_type": covariance_type,
        "random_state": 0,
        "max_iter": 5,
        "tol": 0,
        "init_params": "random",
    }
    near = fit(GaussianMixture(**options), arrays.give(X))
    # This offset adds no rounding of its own to most bits.
    far = fit(GaussianMixture(**options), arrays.give(X + 2.0**20))
    np.testing.assert_allclose(arrays.take(far.covariances_), arrays.take(near.covariances_), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(arrays.take(far.means_) - 2.0**20, arrays.take(near.means_), rtol=1e-6, atol=1e-6)


# A start drawn at random, and k-means draws too, takes other rows where equal rows stand for a weight.
DRAWS = {
    "check_sample_weight_equivalence_on_dense_data": "the start is drawn from other rows, from one start they agree"
}


@parametrize_with_checks(
    [GaussianMixture(covariance_type=name, max_iter=20) for name in (*TYPES, "block")]
    + [GaussianMixture(2, covariance_type=name, max_iter=20) for name in ("full", "diag")],
    expected_failed_checks=lambda estimator: DRAWS if estimator.n_components > 1 else {},
)
def test_scikit_learn_conventions(estimator, check):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        check(estimator)


@parametrize_with_checks([GaussianMixture(covariance_type=name, max_iter=20) for name in ("full", "diag", "block")])
def test_scikit_learn_conventions_in_the_passes_of_array_libraries(estimator, check):
    with warnings.catch_warnings(), recognised(NUMPY_PASSES):
        warnings.simplefilter("ignore", ConvergenceWarning)
        check(estimator)


def test_the_conventions_that_scikit_learn_checks_only_on_request():
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        __file__,
        "-k",
        "conventions and array_api and not passes",
    ]
    environment = {**os.environ, "SCIPY_ARRAY_API": "1"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    if result.returncode == pytest.ExitCode.NO_TESTS_COLLECTED:
        pytest.skip("this scikit-learn has no such check")
    assert result.returncode == 0, result.stdout
    assert re.search(r"^7 passed, \d+ deselected", result.stdout, re.MULTILINE), result.stdout
