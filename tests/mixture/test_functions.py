"""The functions below the estimator: densities, statistics, M step, responsibilities; blocks, weights, bad input."""

from __future__ import annotations

import concurrent.futures
import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.exceptions import ConvergenceWarning

from cipherlane.mixture import (
    GaussianMixture,
    instruction_set,
    log_density,
    m_step,
    responsibilities,
    sufficient_statistics,
)

from array_sides import NAMES, side

TYPES = ("full", "tied", "diag", "spherical", "block")


def covariances_of(kind: str, components: int, columns: int, rng: np.random.Generator) -> np.ndarray:
    roots = rng.normal(size=(components, columns, columns)) + 2 * np.eye(columns)
    full = roots @ roots.transpose(0, 2, 1)
    return {
        "full": full,
        "tied": full[0],
        "diag": np.diagonal(full, axis1=1, axis2=2).copy(),
        "spherical": full[:, 0, 0].copy(),
    }[kind]


def fit(model: GaussianMixture, X: np.ndarray, **options) -> GaussianMixture:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(X, **options)


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical"])
@pytest.mark.parametrize("rows", [1, 7, 8, 9, 31, 32, 33, 255, 256, 257, 1000])
@pytest.mark.parametrize("columns", [1, 3, 4, 5, 8, 9, 30])
def test_log_density_equals_scipy_s(arrays, kind, rows, columns):
    rng = np.random.default_rng(rows * 100 + columns)
    components = 1 + rows % 6
    X = 3 * rng.normal(size=(rows, columns)) + 10
    means = rng.normal(size=(components, columns)) + 10
    covariances = covariances_of(kind, components, columns, rng)
    expected = np.empty((rows, components))
    for k in range(components):
        covariance = {
            "full": lambda k=k: covariances[k],
            "tied": lambda: covariances,
            "diag": lambda k=k: np.diag(covariances[k]),
            "spherical": lambda k=k: covariances[k] * np.eye(columns),
        }[kind]()
        expected[:, k] = multivariate_normal(means[k], covariance).logpdf(X)
    got = arrays.take(log_density(arrays.give(X), arrays.give(means), arrays.give(covariances), kind))
    np.testing.assert_allclose(got, expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("rows", [1, 8, 33, 257, 600])
@pytest.mark.parametrize("columns", [2, 4, 5, 7, 12])
def test_statistics_equal_plain_sums(arrays, kind, rows, columns):
    rng = np.random.default_rng(columns)
    components = 3
    X = rng.normal(size=(rows, columns)) * 5 - 40
    resp = rng.dirichlet(np.ones(components), size=rows)
    weight = rng.integers(0, 4, rows) + 0.5
    blocks = [list(range(columns))[::2][::-1], list(range(columns))[1::2]] if kind == "block" else None
    centre = rng.normal(size=columns) - 40
    given = arrays.give(X), arrays.give(resp), arrays.give(weight)
    options = {"blocks": blocks, "centre": arrays.give(centre)}
    got = sufficient_statistics(given[0], given[1], kind, sample_weight=given[2], **options)
    r = resp * weight[:, None]
    scatter = np.einsum("nk,ni,nj->kij", r, X - centre, X - centre)
    if kind == "tied":
        scatter = scatter.sum(axis=0)
    elif kind == "block":
        free = np.zeros((columns, columns), dtype=bool)
        for block in blocks:
            free[np.ix_(block, block)] = True
        scatter = np.where(free, scatter, 0.0)
    elif kind in ("diag", "spherical"):
        scatter = np.diagonal(scatter, axis1=1, axis2=2)
    np.testing.assert_allclose(arrays.take(got.counts), r.sum(axis=0), rtol=1e-12)
    np.testing.assert_allclose(arrays.take(got.sums), r.T @ (X - centre), rtol=1e-9, atol=1e-9 * rows)
    np.testing.assert_allclose(arrays.take(got.squares), scatter, rtol=1e-9, atol=1e-8 * rows)
    half = rows // 2
    if half:
        parts = [
            sufficient_statistics(given[0][part], given[1][part], kind, sample_weight=given[2][part], **options)
            for part in (slice(0, half), slice(half, rows))
        ]
        joined = parts[0] + parts[1]
        assert joined.n_rows == rows
        np.testing.assert_allclose(arrays.take(joined.squares), arrays.take(got.squares), rtol=1e-9, atol=1e-8 * rows)


def test_statistics_about_other_points_do_not_add(arrays):
    X, resp = arrays.give(np.arange(6.0).reshape(3, 2)), arrays.give(np.ones((3, 1)))
    a, b = sufficient_statistics(X, resp, centre=[0, 0]), sufficient_statistics(X, resp, centre=[1, 0])
    with pytest.raises(ValueError, match="same `centre`"):
        a + b


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_responsibilities_equal_those_of_logsumexp(name, rows, components, seed):
    rng = np.random.default_rng(seed)
    densities = rng.normal(size=(rows, components)) * 300
    weights = rng.dirichlet(np.ones(components))
    with side(name) as arrays:
        resp, total = responsibilities(arrays.give(densities), arrays.give(weights))
        resp = arrays.take(resp)
    joint = densities + np.log(weights)
    np.testing.assert_allclose(resp, np.exp(joint - logsumexp(joint, axis=1, keepdims=True)), atol=1e-12)
    assert total == pytest.approx(logsumexp(joint, axis=1).sum(), rel=1e-12)


def test_one_block_is_full_and_single_columns_are_diagonal(arrays):
    X = np.random.default_rng(0).normal(size=(500, 5)) @ np.random.default_rng(1).normal(size=(5, 5))
    X = arrays.give(X)
    options = {"n_components": 3, "random_state": 0, "max_iter": 10, "tol": 0}
    full = fit(GaussianMixture(**options), X)
    one = fit(GaussianMixture(covariance_type="block", blocks=[[3, 1, 0, 2, 4]], **options), X)
    np.testing.assert_allclose(arrays.take(one.covariances_), arrays.take(full.covariances_), rtol=1e-9, atol=1e-10)
    diag = fit(GaussianMixture(covariance_type="diag", **options), X)
    single = fit(GaussianMixture(covariance_type="block", blocks=[[4], [0], [1], [3], [2]], **options), X)
    variances = np.diagonal(arrays.take(single.covariances_), axis1=1, axis2=2)
    np.testing.assert_allclose(variances, arrays.take(diag.covariances_), rtol=1e-9)


def test_no_blocks_are_one_block_of_all_columns(arrays):
    X = np.random.default_rng(0).normal(size=(300, 4)) @ np.random.default_rng(1).normal(size=(4, 4))
    X = arrays.give(X)
    options = {"n_components": 2, "random_state": 0, "max_iter": 5, "tol": 0}
    full = fit(GaussianMixture(**options), X)
    block = fit(GaussianMixture(covariance_type="block", **options), X)
    np.testing.assert_array_equal(arrays.take(block.covariances_), arrays.take(full.covariances_))
    assert block.bic(X) == full.bic(X)
    resp = full.predict_proba(X)
    assert sufficient_statistics(X, resp, "block").blocks == ((0, 1, 2, 3),)
    one = log_density(X, block.means_, block.covariances_, "block")
    other = log_density(X, full.means_, full.covariances_)
    np.testing.assert_array_equal(arrays.take(one), arrays.take(other))


@pytest.mark.parametrize("blocks", [[[0.5, 1], [2]], [0, 1, 2], 3, ["ab", "c"]])
def test_blocks_that_are_no_lists_of_columns_are_named(blocks):
    with pytest.raises(
        TypeError, match=r"blocks: expected lists of column indices, such as \[\[0, 1\], \[2, 3, 4\]\], got"
    ):
        GaussianMixture(covariance_type="block", blocks=blocks).fit(np.eye(3))


def test_blocks_multiply_the_densities_of_their_columns(arrays):
    rng = np.random.default_rng(3)
    blocks = [[5, 0, 2], [1], [6, 3, 4]]
    X, means = rng.normal(size=(100, 7)), rng.normal(size=(2, 7))
    covariances = covariances_of("full", 2, 7, rng)
    got = log_density(arrays.give(X), arrays.give(means), arrays.give(covariances), "block", blocks=blocks)
    expected = sum(log_density(X[:, b], means[:, b], covariances[:, b][:, :, b], "full") for b in map(list, blocks))
    np.testing.assert_allclose(arrays.take(got), expected, rtol=1e-10)


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical"])
def test_weights_stand_for_repeated_rows(arrays, kind):
    rng = np.random.default_rng(4)
    X, weight = rng.normal(size=(150, 3)), rng.integers(0, 4, 150)
    start = fit(GaussianMixture(2, covariance_type=kind, random_state=0, max_iter=1), arrays.give(X))
    options = {
        "n_components": 2, "covariance_type": kind, "max_iter": 8, "tol": 0, "weights_init": start.weights_,
        "means_init": start.means_, "precisions_init": start.precisions_,
    }  # fmt: skip
    weighted = fit(GaussianMixture(**options), arrays.give(X), sample_weight=arrays.give(weight))
    repeated = fit(GaussianMixture(**options), arrays.give(np.repeat(X, weight, axis=0)))
    np.testing.assert_allclose(arrays.take(weighted.covariances_), arrays.take(repeated.covariances_), rtol=1e-8)
    assert weighted.lower_bound_ == pytest.approx(repeated.lower_bound_, abs=1e-10)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["full", "tied", "diag", "spherical"]), st.integers(1, 4))
def test_the_likelihood_never_falls(seed, kind, components):
    X = np.random.default_rng(seed).standard_t(2, size=(60, 2))
    model = GaussianMixture(components, covariance_type=kind, random_state=seed % 1000, max_iter=20, tol=0)
    bounds = fit(model, X).lower_bounds_
    assert (np.diff(bounds) >= -1e-5).all()  # reg_covar may cost that much


def test_layouts_of_the_input_do_not_matter():
    X = np.random.default_rng(5).normal(size=(300, 4)).astype(np.float32).astype(np.float64)
    expected = fit(GaussianMixture(2, random_state=0), X).means_
    read_only = X.copy()
    read_only.setflags(write=False)
    wide = np.zeros((600, 8))
    wide[::2, ::2] = X
    for variant in (np.asfortranarray(X), read_only, wide[::2, ::2], X.astype(np.float32), X.tolist()):
        np.testing.assert_allclose(fit(GaussianMixture(2, random_state=0), variant).means_, expected, atol=1e-6)


def test_threads_agree():
    X = np.random.default_rng(6).normal(size=(20_000, 5))
    one = fit(GaussianMixture(3, random_state=0, max_iter=5, tol=0, threads=1), X)
    two = fit(GaussianMixture(3, random_state=0, max_iter=5, tol=0, threads=2), X)
    np.testing.assert_allclose(one.covariances_, two.covariances_, rtol=1e-10, atol=1e-12)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        models = [GaussianMixture(3, random_state=0, max_iter=5, tol=0) for _ in range(8)]
        means = [model.means_ for model in pool.map(lambda model: model.fit(X), models)]
    for other in means:
        np.testing.assert_allclose(other, two.means_, rtol=1e-10, atol=1e-12)


def test_an_empty_component_keeps_what_it_had_or_is_refused(arrays):
    X = np.arange(10.0).reshape(5, 2)
    statistics = sufficient_statistics(arrays.give(X), arrays.give([[1.0, 0.0]] * 5))
    with pytest.raises(ValueError, match=r"components \[1\] have no rows; use fewer components"):
        m_step(statistics)
    kept = arrays.give([[0.0, 0.0], [7.0, 8.0]]), arrays.give([np.eye(2), 3 * np.eye(2)])
    with pytest.warns(RuntimeWarning, match=r"components \[1\] have no rows any more"):
        means, covariances = map(arrays.take, m_step(statistics, previous=kept))
    assert means[1].tolist() == [7.0, 8.0]
    assert covariances[1].tolist() == [[3.0, 0.0], [0.0, 3.0]]
    np.testing.assert_allclose(means[0], X.mean(axis=0))


def test_duplicated_rows_and_as_many_components_as_rows(arrays):
    X = arrays.give(np.repeat(np.arange(4.0).reshape(2, 2), 5, axis=0))
    model = fit(GaussianMixture(2, random_state=0), X)
    assert sorted(arrays.take(model.predict(X)).tolist()) == [0] * 5 + [1] * 5
    X = arrays.give(np.arange(6.0).reshape(3, 2) ** 2)
    single = fit(GaussianMixture(3, covariance_type="diag", random_state=0), X)
    assert np.isfinite(arrays.take(single.covariances_)).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_components": 0}, "n_components: expected at least 1, got 0"),
        ({"n_components": 9}, "n_samples >= n_components"),
        ({"covariance_type": "round"}, "covariance_type: expected one of"),
        ({"covariance_type": "block", "blocks": []}, "each of the columns 0 to 2 in exactly one"),
        (
            {"covariance_type": "block", "blocks": [[0, 1], [1, 2]]},
            "each of the columns 0 to 2 in exactly one",
        ),
        ({"blocks": [[0, 1, 2]]}, 'blocks: only for covariance_type="block"'),
        ({"reg_covar": -1.0}, "reg_covar: expected a number of at least 0"),
        ({"init_params": "luck"}, "init_params: expected one of"),
        ({"weights_init": [0.5, 0.6]}, "sum to 1"),
        ({"means_init": [[0.0], [1.0]]}, "shape of"),
        ({"precisions_init": -np.ones((2, 3, 3))}, "positive definite"),
        ({"threads": 0}, "threads: expected 1 to 1024"),
    ],
)
def test_impossible_parameters_are_named(arrays, change, message):
    X = arrays.give(np.random.default_rng(0).normal(size=(8, 3)))
    with pytest.raises(ValueError, match=message):
        GaussianMixture(**{"n_components": 2, **change}).fit(X)


def test_a_constant_column_without_regularisation_is_explained(arrays):
    X = np.random.default_rng(0).normal(size=(50, 3))
    X[:, 1] = 4.0
    for kind in ("full", "diag", "tied"):
        with pytest.raises(ValueError, match=r"not positive definite.*raise reg_covar, drop constant"):
            GaussianMixture(1, covariance_type=kind, reg_covar=0.0).fit(arrays.give(X))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_named(arrays, bad):
    X = np.zeros((4, 2))
    X[2, 1] = bad
    X = arrays.give(X)
    with pytest.raises(ValueError, match=r"X: expected finite numbers, got .* at index \(2, 1\)"):
        log_density(X, [[0.0, 0.0]], [[1.0, 1.0]], "diag")
    with pytest.raises(ValueError, match=r"NaN|infinity|X: expected finite numbers, got .* at index \(2, 1\)"):
        GaussianMixture().fit(X)


def test_bad_responsibilities_and_weights_are_named(arrays):
    X, ones = arrays.give(np.zeros((3, 1))), arrays.give(np.ones((3, 1)))
    with pytest.raises(ValueError, match=r"resp: expected shape \(3, components\)"):
        sufficient_statistics(X, arrays.give(np.ones((2, 1))))
    with pytest.raises(ValueError, match=r"resp: expected numbers of at least 0, got -1.0 at \(0, 0\)"):
        sufficient_statistics(X, -ones)
    with pytest.raises(ValueError, match=r"sample_weight: expected shape \(3,\)"):
        sufficient_statistics(X, ones, sample_weight=arrays.give([1.0, 2.0]))
    with pytest.raises(ValueError, match="sample_weight: expected numbers of at least 0"):
        sufficient_statistics(X, ones, sample_weight=arrays.give([1.0, -2.0, 0.0]))
    with pytest.raises(ValueError, match="covariances: expected shape"):
        log_density(X, [[0.0]], [1.0], "full")


PROBE = """
import sys, numpy as np
from cipherlane.mixture import log_density, sufficient_statistics, GaussianMixture
rng = np.random.default_rng(0)
X = rng.normal(size=(300, 6)); resp = rng.dirichlet(np.ones(7), 300); means = rng.normal(size=(7, 6))
out = [log_density(X, means, np.ones((7, 6)), "diag").ravel()]
out.append(log_density(X, means, np.repeat(2 * np.eye(6)[None], 7, 0)).ravel())
for kind in ("full", "diag"):
    out.append(sufficient_statistics(X, resp, kind).squares.ravel())
    model = GaussianMixture(7, covariance_type=kind, random_state=0, max_iter=4, tol=1e9).fit(X)
    out.append(model.covariances_.ravel())
np.save(sys.argv[1], np.concatenate(out))
"""


def test_every_instruction_set_gives_the_same(tmp_path):
    results = {}
    for name in instruction_set.usable():
        file = tmp_path / f"{name}.npy"
        environment = {**os.environ, instruction_set.VARIABLE: name}
        subprocess.run([sys.executable, "-c", PROBE, str(file)], check=True, env=environment)
        results[name] = np.load(file)
    assert "plain" in results
    for result in results.values():
        np.testing.assert_allclose(result, results["plain"], rtol=1e-10, atol=1e-10)


def test_an_instruction_set_that_is_not_there_is_refused():
    environment = {**os.environ, instruction_set.VARIABLE: "abacus"}
    result = subprocess.run(
        [sys.executable, "-c", "import cipherlane.mixture"], env=environment, capture_output=True, text=True
    )
    assert result.returncode != 0
    assert "CIPHERLANE_MIXTURE_ISA: expected one of" in result.stderr


def test_compilation_is_announced_once_and_only_when_it_happens(tmp_path):
    code = (
        "from cipherlane.mixture import log_density; log_density([[0.0]], [[0.0]], [[1.0]], 'diag');"
        "log_density([[0.0]], [[0.0]], [[1.0]], 'diag')"
    )
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    environment.pop(instruction_set.VARIABLE, None)
    notices = [
        subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
        ).stderr.count("compiling diagonal_densities")
        for _ in range(2)
    ]
    assert notices == [1, 0]
