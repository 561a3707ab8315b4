"""The passes of array libraries: equal to the compiled ones on hard data, on their own side, with few waits."""

from __future__ import annotations

import inspect
import subprocess
import sys
import tracemalloc
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning

from cipherlane.mixture import (
    GaussianMixture,
    SingularCovarianceError,
    array_kernel,
    initial_responsibilities,
    log_density,
    m_step,
    responsibilities,
    sufficient_statistics,
)
from cipherlane.mixture.array_gaussians import inverse_factors
from cipherlane.mixture.array_kernel import ArrayKernel
from cipherlane.mixture.array_module import recognised
from cipherlane.mixture.structure import Structure

import strict_arrays
from array_sides import NOT_COMPILED, NUMPY_PASSES, side, working_cupy
from strict_arrays import LEFTOVERS, StrictArray, strict_module

TYPES = ("full", "tied", "diag", "spherical", "block")
ATTRIBUTES = ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_")


@pytest.fixture(params=NOT_COMPILED)
def arrays(request):
    with side(request.param) as found:
        yield found


def fit(model: GaussianMixture, X, **options) -> GaussianMixture:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(X, **options)


def compiled(function, *arguments, **options):
    with side("numba"):
        return function(*arguments, **options)


def clusters(rows: int, columns: int, components: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = 2 * rng.normal(size=(components, columns))
    mix = rng.normal(size=(columns, columns)) + 2 * np.eye(columns)
    return centres[rng.integers(components, size=rows)] + rng.normal(size=(rows, columns)) @ mix


def close(got: np.ndarray, expected: np.ndarray, tolerance: float = 1e-10) -> None:
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance * max(1e-300, abs(expected).max()))


def blocks_of(kind: str, columns: int) -> list[list[int]] | None:
    if kind != "block":
        return None
    return [part for part in (list(range(columns))[1::2][::-1], list(range(columns))[::2]) if part]


# ---- the same numbers as the compiled passes -------------------------------------------------------------------

# Rows, columns, components, and rows a block; the last divides the first never, once, or is one row.
SIZES = [
    (300, 4, 3, 2**20),
    (300, 1, 2, 7),
    (301, 5, 1, 100),
    (64, 3, 4, 1),
    (400, 7, 3, 100),
    (500, 6, 6, 499),
    (700, 30, 4, 64),
]


def set_block(monkeypatch: pytest.MonkeyPatch, kind: str, rows: int, columns: int, components: int) -> None:
    """Make blocks of so many rows."""
    kernel = ArrayKernel.of(Structure.of(kind, columns, blocks_of(kind, columns)), NUMPY_PASSES)
    monkeypatch.setattr(array_kernel, "BLOCK_WORDS", kernel.gaussians.words(components) * rows)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize(("rows", "columns", "components", "block"), SIZES)
@pytest.mark.parametrize(("offset", "weighted"), [(0.0, False), (1e6, True)])
def test_fits_equal_compiled_ones(arrays, monkeypatch, kind, rows, columns, components, block, offset, weighted):
    set_block(monkeypatch, kind, block, columns, components)
    # Rounded, so that the offset adds no rounding of its own.
    X = np.round(clusters(rows, columns, components), 6) + offset
    weight = np.random.default_rng(1).integers(0, 3, rows) + 0.25 * (np.arange(rows) % 2) if weighted else None
    options = {
        "n_components": components, "covariance_type": kind, "blocks": blocks_of(kind, columns), "max_iter": 6,
        "tol": 0, "random_state": 0, "init_params": "random_from_data" if rows < 100 else "kmeans", "reg_covar": 1e-3,
    }  # fmt: skip
    expected = compiled(fit, GaussianMixture(**options), X, sample_weight=weight)
    given, given_weight = arrays.give(X), None if weight is None else arrays.give(weight)
    got = fit(GaussianMixture(**options), given, sample_weight=given_weight)
    assert got.n_iter_ == expected.n_iter_ == 6
    for name in ATTRIBUTES:
        # Six iterations carry each other's rounding along.
        close(arrays.take(getattr(got, name)), getattr(expected, name), 1e-9)
    np.testing.assert_allclose(got.lower_bounds_, expected.lower_bounds_, rtol=1e-10)
    close(arrays.take(got.score_samples(given)), compiled(expected.score_samples, X))
    close(arrays.take(got.predict_proba(given)), compiled(expected.predict_proba, X), 1e-9)
    labels = arrays.take(got.predict(given))
    assert labels.dtype.kind == "i"
    assert (labels == compiled(expected.predict, X)).all()
    assert got.score(given) == pytest.approx(compiled(expected.score, X), rel=1e-10)
    assert got.bic(given) == pytest.approx(compiled(expected.bic, X), rel=1e-10)
    assert got.aic(given) == pytest.approx(compiled(expected.aic, X), rel=1e-10)
    with pytest.warns(ConvergenceWarning):
        again = GaussianMixture(**options).fit_predict(given, sample_weight=given_weight)
    assert (arrays.take(again) == labels).all()


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize(("rows", "columns", "components", "block"), [*SIZES, (1, 3, 2, 1)])
def test_functions_equal_compiled_ones(arrays, monkeypatch, kind, rows, columns, components, block):
    set_block(monkeypatch, kind, block, columns, components)
    rng = np.random.default_rng(2)
    X, resp = clusters(rows, columns, components) + 1e3, rng.dirichlet(np.ones(components), rows)
    weight = rng.integers(0, 2, rows) + 0.0
    weight[0] = 1.0
    blocks = blocks_of(kind, columns)
    expected = compiled(sufficient_statistics, X, resp, kind, blocks=blocks, sample_weight=weight)
    got = sufficient_statistics(
        arrays.give(X), arrays.give(resp), kind, blocks=blocks, sample_weight=arrays.give(weight)
    )
    scale = weight.sum() * np.abs(X - X.mean(axis=0)).max()
    close(arrays.take(got.counts), expected.counts, 1e-12)
    close(arrays.take(got.centre), expected.centre, 1e-12)
    np.testing.assert_allclose(arrays.take(got.sums), expected.sums, atol=1e-11 * scale)
    np.testing.assert_allclose(arrays.take(got.squares), expected.squares, rtol=1e-10, atol=1e-12 * scale**2)
    means, covariances = m_step(got, reg_covar=0.1)
    expected_means, expected_covariances = compiled(m_step, expected, reg_covar=0.1)
    close(arrays.take(means), expected_means, 1e-12)
    close(arrays.take(covariances), expected_covariances)
    densities = log_density(arrays.give(X), means, covariances, kind, blocks=blocks)
    expected_densities = compiled(log_density, X, expected_means, expected_covariances, kind, blocks=blocks)
    close(arrays.take(densities), expected_densities)
    found, total = responsibilities(densities, arrays.give(resp[0]))
    expected_found, expected_total = compiled(responsibilities, expected_densities, resp[0])
    np.testing.assert_allclose(arrays.take(found), expected_found, rtol=1e-8, atol=1e-12)
    assert isinstance(total, float)
    assert total == pytest.approx(expected_total, rel=1e-10)


@pytest.mark.parametrize("kind", ["full", "diag"])
@pytest.mark.parametrize("change", ["float32", "fortran", "strided", "read-only", "integers"])
def test_any_layout_and_type_is_taken(arrays, kind, change):
    X = np.round(clusters(300, 4, 2) * 8) / 8
    wide = np.zeros((600, 8))
    wide[::2, ::2] = X
    variant = {
        "float32": lambda: arrays.give(X.astype(np.float32)),
        "fortran": lambda: arrays.give(np.asfortranarray(X)),
        "strided": lambda: arrays.give(wide)[::2, ::2],
        "read-only": lambda: arrays.give(X),
        "integers": lambda: arrays.give((8 * X).astype(np.int32)),
    }[change]()
    if change == "read-only" and arrays.name == "numpy":
        variant.setflags(write=False)
    options = {"n_components": 2, "covariance_type": kind, "random_state": 0, "max_iter": 5, "tol": 0}
    factor = 8 if change == "integers" else 1
    expected = compiled(fit, GaussianMixture(**options), X * factor)
    got = fit(GaussianMixture(**options), variant)
    close(arrays.take(got.means_), expected.means_)
    close(arrays.take(got.covariances_), expected.covariances_, 1e-9)
    close(arrays.take(got.predict_proba(variant)), compiled(expected.predict_proba, X * factor), 1e-9)


@pytest.mark.parametrize("kind", TYPES)
def test_a_component_that_empties_keeps_its_mean_in_a_fit(arrays, kind):
    X = clusters(200, 3, 2)
    means = np.vstack([X.mean(axis=0) - 1, X.mean(axis=0) + 1, X.mean(axis=0) + 1e4])
    shape = {"full": (3, 3, 3), "tied": (3, 3), "diag": (3, 3), "spherical": (3,), "block": (3, 3, 3)}[kind]
    precisions = np.broadcast_to(np.eye(3), shape) if len(shape) > 1 and kind != "diag" else np.ones(shape)
    start = {"weights_init": np.full(3, 1 / 3), "means_init": means, "precisions_init": precisions}
    options = {"n_components": 3, "covariance_type": kind, "max_iter": 4, "tol": 0}
    with pytest.warns(RuntimeWarning, match=r"components \[2\] have no rows any more and keep their means"):
        expected = compiled(fit, GaussianMixture(**options, **start), X)
    here = {name: arrays.give(value) for name, value in start.items()}
    with pytest.warns(RuntimeWarning, match=r"components \[2\] have no rows any more and keep their means"):
        got = fit(GaussianMixture(**options, **here), arrays.give(X))
    assert arrays.take(got.weights_)[2] == 0
    np.testing.assert_array_equal(arrays.take(got.means_)[2], means[2])
    for name in ATTRIBUTES:
        close(arrays.take(getattr(got, name)), getattr(expected, name), 1e-9)


def test_a_component_that_k_means_leaves_empty_starts_from_all_rows(arrays):
    X = np.repeat(np.arange(4.0).reshape(2, 2), 5, axis=0)
    options = {"n_components": 3, "random_state": 0, "max_iter": 3, "tol": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = compiled(fit, GaussianMixture(**options), X)
        got = fit(GaussianMixture(**options), arrays.give(X))
    close(arrays.take(got.means_), expected.means_)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("method", ["kmeans", "k-means++", "random", "random_from_data"])
def test_starts_do_not_depend_on_the_side(arrays, method, weighted):
    X, weight = clusters(200, 3, 3), np.arange(200.0) if weighted else None
    expected = initial_responsibilities(X, 3, method, np.random.RandomState(4), weight)
    given_weight = None if weight is None else arrays.give(weight)
    got = initial_responsibilities(arrays.give(X), 3, method, np.random.RandomState(4), given_weight)
    np.testing.assert_array_equal(arrays.take(got), expected)
    options = {"n_components": 3, "n_init": 3, "init_params": method, "random_state": 4, "max_iter": 5, "tol": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        several = compiled(fit, GaussianMixture(**options), X, sample_weight=weight)
        ours = fit(GaussianMixture(**options), arrays.give(X), sample_weight=given_weight)
    close(arrays.take(ours.means_), several.means_, 1e-8)
    assert ours.lower_bound_ == pytest.approx(several.lower_bound_, rel=1e-10)


def test_samples_are_drawn_the_same_on_every_side(arrays):
    X = clusters(200, 3, 2)
    for kind in TYPES:
        options = {"n_components": 2, "covariance_type": kind, "random_state": 0, "max_iter": 3, "tol": 0}
        expected = compiled(fit(GaussianMixture(**options), X).sample, 50)
        got = fit(GaussianMixture(**options), arrays.give(X)).sample(50)
        close(arrays.take(got[0]), expected[0], 1e-8)
        np.testing.assert_array_equal(arrays.take(got[1]), expected[1])


# ---- covariances that are not positive definite -----------------------------------------------------------------


def indefinite(width: int, rng: np.random.Generator, kind: str) -> np.ndarray:
    basis, _ = np.linalg.qr(rng.normal(size=(width, width)))
    values = rng.uniform(1, 2, width)
    values[0] = {"negative": -1.0, "slightly negative": -1e-6}[kind]
    matrix = basis * values @ basis.T
    return (matrix + matrix.T) / 2


@pytest.mark.parametrize("leftover", LEFTOVERS)
@pytest.mark.parametrize("kind", ["negative", "slightly negative"])
@pytest.mark.parametrize("width", [2, 3, 9, 40])
@pytest.mark.parametrize("place", [0, 2])
def test_whatever_a_failed_factorisation_leaves_is_refused(leftover, kind, width, place):
    rng = np.random.default_rng(width)
    covariances = np.broadcast_to(2 * np.eye(width), (3, width, width)).copy()
    covariances[place] = indefinite(width, rng, kind)
    module = strict_module(leftover)
    with recognised(module):
        X = module.xp.asarray(rng.normal(size=(5, width)))
        with pytest.raises(SingularCovarianceError, match=f"component {place} is not positive definite"):
            log_density(X, np.zeros((3, width)), covariances)
        with pytest.raises(SingularCovarianceError, match="the shared covariance is not positive definite"):
            log_density(X, np.zeros((3, width)), covariances[place], "tied")
    with recognised(NUMPY_PASSES), pytest.raises(SingularCovarianceError, match=f"component {place} is not"):
        log_density(rng.normal(size=(5, width)), np.zeros((3, width)), covariances)


def test_singular_covariances_are_named_on_every_side(arrays):
    X, means = arrays.give(np.zeros((3, 2))), arrays.give(np.zeros((3, 2)))
    ones = np.ones((3, 2))
    for bad in (0.0, -1.0):
        diagonal = ones.copy()
        diagonal[1, 1] = bad
        with pytest.raises(SingularCovarianceError, match="component 1 is not positive definite"):
            log_density(X, means, arrays.give(diagonal), "diag")
        with pytest.raises(SingularCovarianceError, match="component 1 is not positive definite"):
            log_density(X, means, arrays.give(diagonal[:, 1]), "spherical")
        full = np.stack([np.diag(row) for row in diagonal])
        with pytest.raises(SingularCovarianceError, match="component 1 is not positive definite"):
            log_density(X, means, arrays.give(full), "block", blocks=[[1], [0]])


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical", "block"])
def test_a_covariance_that_collapses_during_a_fit_is_named(arrays, kind):
    X = np.zeros((20, 2))
    X[10:] = 1.0
    with pytest.raises(SingularCovarianceError, match="is not positive definite"):
        fit(GaussianMixture(2, covariance_type=kind, reg_covar=0.0, random_state=0), arrays.give(X))


@pytest.mark.parametrize("kind", ["full", "tied", "block"])
def test_singular_covariances_that_a_fit_ends_with_are_named(arrays, kind):
    X = arrays.give(np.repeat(np.arange(8.0).reshape(8, 1), 2, axis=1))
    with pytest.raises(SingularCovarianceError, match="is not positive definite"):
        GaussianMixture(1, covariance_type=kind, reg_covar=0.0, max_iter=0).fit(X)


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 30), st.integers(0, 2**32 - 1), st.floats(0, 11), st.floats(0, 12))
def test_ill_conditioned_covariances_are_no_errors(width, seed, conditioning, scaling):
    rng = np.random.default_rng(seed)
    basis, _ = np.linalg.qr(rng.normal(size=(width, width)))
    roots = basis * 10 ** (-conditioning / 2 * rng.uniform(0, 1, width))
    scales = 10 ** (scaling * rng.uniform(-1, 1, width))
    matrix = scales[:, np.newaxis] * (roots @ roots.T) * scales
    for module in (NUMPY_PASSES, strict_module()):
        given = module.xp.asarray(matrix[np.newaxis])
        inverse, log_determinant, definite = map(module.to_host, inverse_factors(module, given))
        assert definite.tolist() == [True]
        # V A V^T = I up to what the condition of the scaled matrix makes of rounding.
        product = inverse[0] @ matrix @ inverse[0].T
        assert np.abs(product - np.eye(width)).max() < 1e-13 * width**2 * 10**conditioning
        assert log_determinant[0] == pytest.approx(-0.5 * np.linalg.slogdet(matrix)[1], abs=1e-2)


def test_only_upper_triangles_are_read_as_by_the_compiled_passes(arrays):
    covariance = np.array([[[2.0, 0.5], [-7.0, 3.0]]])
    X = np.random.default_rng(0).normal(size=(9, 2))
    got = log_density(arrays.give(X), arrays.give([[0.0, 0.0]]), arrays.give(covariance))
    close(arrays.take(got), compiled(log_density, X, [[0.0, 0.0]], covariance))


# ---- which side ------------------------------------------------------------------------------------------------


def test_nothing_imports_cupy_by_itself():
    code = (
        "import sys, numpy as np; from cipherlane.mixture import GaussianMixture, log_density;"
        "X = np.random.default_rng(0).normal(size=(50, 2)); GaussianMixture(2).fit(X).predict(X);"
        "log_density(X.tolist(), [[0, 0]], [[1, 1]], 'diag'); print('cupy' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"


@pytest.fixture(params=["strict", pytest.param("cupy", marks=pytest.mark.gpu)])
def device(request):
    with side(request.param) as found:
        yield found


def test_what_is_on_the_host_follows_data_on_a_device(device):
    X = clusters(100, 2, 2)
    resp = np.random.default_rng(0).dirichlet([1, 1], 100)
    statistics = sufficient_statistics(device.give(X), resp, sample_weight=[1.0] * 100, centre=[0.0, 0.0])
    device.take(statistics.squares)
    previous = np.zeros((2, 2)), np.stack([np.eye(2)] * 2)
    means, covariances = m_step(statistics, previous=previous)
    device.take(log_density(device.give(X), device.take(means), device.take(covariances).tolist()))
    device.take(responsibilities(device.give(np.log(resp)), [0.5, 0.5])[0])
    model = fit(GaussianMixture(2, means_init=X[:2].tolist(), random_state=0), device.give(X), sample_weight=resp[:, 0])
    device.take(model.means_)


def test_what_is_on_a_device_does_not_come_to_data_on_the_host_unasked(device):
    X, resp = clusters(100, 2, 2), np.full((100, 2), 0.5)
    message = r": expected an array of NumPy, as the first argument is, got one of .*; pass both in the same library"
    with pytest.raises(TypeError, match="means" + message):
        log_density(X, device.give(X[:2]), np.ones((2, 2)), "diag")
    with pytest.raises(TypeError, match="covariances" + message):
        log_density(X, X[:2], device.give(np.ones((2, 2))), "diag")
    with pytest.raises(TypeError, match="resp" + message):
        sufficient_statistics(X, device.give(resp))
    with pytest.raises(TypeError, match="centre" + message):
        sufficient_statistics(X, resp, centre=device.give([0.0, 0.0]))
    with pytest.raises(TypeError, match="sample_weight" + message):
        GaussianMixture(2).fit(X, sample_weight=device.give(np.ones(100)))
    with pytest.raises(TypeError, match="weights" + message):
        responsibilities(np.log(resp), device.give([0.5, 0.5]))
    here, there = sufficient_statistics(X, resp, centre=[0, 0]), sufficient_statistics(device.give(X), resp)
    with pytest.raises(TypeError, match="previous" + message):
        m_step(here, previous=(device.give(X[:2]), np.ones((2, 2, 2))))
    with pytest.raises(TypeError, match="statistics: expected both in arrays of one library, got NumPy and"):
        here + there


@pytest.mark.parametrize("kind", TYPES)
def test_parameters_follow_the_data(device, kind):
    X = clusters(200, 3, 2)
    options = {"n_components": 2, "covariance_type": kind, "random_state": 0, "max_iter": 4, "tol": 0}
    host, there = fit(GaussianMixture(**options), X), fit(GaussianMixture(**options), device.give(X))
    expected = host.score_samples(X)
    close(device.take(host.score_samples(device.give(X))), expected)
    got = there.score_samples(X)
    assert type(got) is np.ndarray
    close(got, expected)
    assert type(host.sample(3)[0]) is np.ndarray
    for model, first, second in ((host, X, device.give(X)), (there, device.give(X), X)):
        model.set_params(warm_start=True)
        fit(model, second)
        assert type(model.means_) is type(second)
        fit(model, first)
        assert type(model.means_) is type(first)
        assert model.lower_bound_ > expected.mean() - 1e-9


def test_data_on_a_device_are_checked_as_those_on_the_host(device):
    X = clusters(50, 3, 2)
    fitted = fit(GaussianMixture(2, random_state=0), device.give(X))
    assert fitted.n_features_in_ == 3
    with pytest.raises(ValueError, match="X has 2 features, but GaussianMixture is expecting 3 features"):
        fitted.predict(device.give(X[:, :2]))
    with pytest.raises(ValueError, match=r"X: expected shape \(rows, columns\), both at least 1, got \(3,\)"):
        fitted.predict(device.give(X[0]))
    with pytest.raises(ValueError, match="X: expected at least 2 rows to fit, got 1"):
        GaussianMixture().fit(device.give(X[:1]))
    with pytest.raises(ValueError, match="X: expected real numbers, got the type complex128"):
        GaussianMixture().fit(device.give(X + 1j))
    with pytest.raises(ValueError, match=r"sample_weight: expected finite numbers, got nan at index \(1,\)"):
        GaussianMixture().fit(device.give(X[:2]), sample_weight=device.give([1.0, np.nan]))


def test_a_single_weight_is_that_of_all_rows(arrays):
    X = clusters(60, 2, 2)
    options = {"n_components": 2, "random_state": 0, "max_iter": 3, "tol": 0}
    plain = fit(GaussianMixture(**options), arrays.give(X))
    weighted = fit(GaussianMixture(**options), arrays.give(X), sample_weight=2.0)
    close(arrays.take(weighted.means_), arrays.take(plain.means_))
    assert weighted.lower_bound_ == pytest.approx(plain.lower_bound_, rel=1e-12)


# ---- costs -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("block_words", [2**7, 2**24])
def test_an_iteration_waits_for_the_device_once(monkeypatch, kind, block_words):
    monkeypatch.setattr(array_kernel, "BLOCK_WORDS", block_words)
    waits = {}
    with side("strict") as arrays:
        X = arrays.give(clusters(120, 4, 2))
        for iterations in (3, 8):
            strict_arrays.waits.clear()
            model = GaussianMixture(
                2, covariance_type=kind, blocks=blocks_of(kind, 4), random_state=0, max_iter=iterations, tol=0
            )
            assert fit(model, X).n_iter_ == iterations
            waits[iterations] = len(strict_arrays.waits)
    assert waits[8] - waits[3] == 5


@pytest.mark.parametrize(
    ("method", "copies"), [("kmeans", 1), ("k-means++", 1), ("random", 0), ("random_from_data", 0)]
)
def test_the_data_come_to_the_host_once_where_the_start_looks_at_them(method, copies):
    with side("strict") as arrays:
        X = arrays.give(clusters(150, 3, 2))
        strict_arrays.waits.clear()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            fit(GaussianMixture(2, n_init=3, init_params=method, random_state=0, max_iter=4), X)
    assert sum(shape == (150, 3) for shape in strict_arrays.waits) == copies
    assert all(shape in ((150, 3),) or sum(shape) < 50 for shape in strict_arrays.waits)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("columns", [1, 12])
def test_memory_beside_the_data_is_bounded(monkeypatch, kind, columns):
    words = 2**15
    monkeypatch.setattr(array_kernel, "BLOCK_WORDS", words)
    X = clusters(60_000, columns, 3)
    with recognised(NUMPY_PASSES):
        options = {"n_components": 3, "covariance_type": kind, "blocks": blocks_of(kind, columns), "tol": 0}
        start = fit(GaussianMixture(**options, max_iter=1, init_params="random_from_data", random_state=0), X)
        given = {"weights_init": start.weights_, "means_init": start.means_, "precisions_init": start.precisions_}
        model = GaussianMixture(**options, **given, max_iter=2)
        fit(model, X)
        tracemalloc.start()
        fit(model, X)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    # The check for finite numbers takes a byte or two a number, before the blocks.
    assert peak < 2 * X.size + 8 * words + 50_000


# ---- the stand-in ------------------------------------------------------------------------------------------------


def test_the_stand_in_refuses_what_cupy_refuses():
    xp = strict_module().xp
    array, host = xp.ones((2, 2)), np.ones((2, 2))
    for attempt in (
        lambda: np.asarray(array),
        lambda: np.sum(array),
        lambda: np.exp(array),
        lambda: array + host,
        lambda: host + array,
        lambda: host @ array,
        lambda: xp.exp(host),
        lambda: xp.where(host > 0, array, array),
        lambda: xp.concatenate([array, host]),
        lambda: array[np.arange(2)],
        lambda: array[[0, 1]],
        lambda: array[array > 0],
        lambda: array.__setitem__(0, host[0]),
        lambda: array.__iadd__(host),
        lambda: float(array),
        lambda: bool(array),
    ):
        with pytest.raises(TypeError):
            attempt()
    assert float((array + 1).sum()) == 8.0
    assert isinstance(np.float64(2) * array, StrictArray)
    assert not hasattr(xp, "linspace")


def check_parameters(ours, theirs) -> None:
    offered = inspect.signature(theirs).parameters
    for name, parameter in inspect.signature(ours).parameters.items():
        assert name in offered, (ours.__name__, name)
        assert parameter.kind == offered[name].kind, (ours.__name__, name)
        assert parameter.default == offered[name].default, (ours.__name__, name)


def test_the_stand_in_has_the_functions_of_cupy_with_their_parameters():
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed", exc_type=ImportError)
    for name, function in strict_arrays.FUNCTIONS.items():
        if name != "matmul":  # a generalised ufunc, with the options of all of them
            check_parameters(function, getattr(cupy, name))
    for name in strict_arrays.UFUNCS:
        assert isinstance(getattr(cupy, name), cupy.ufunc), name
    for name in (*strict_arrays.METHODS, "shape", "ndim", "dtype", "T"):
        assert hasattr(cupy.ndarray, name), name
    assert callable(cupy.matmul)
    check_parameters(lambda a: a, cupy.linalg.cholesky)


@pytest.mark.gpu
def test_the_stand_in_solves_like_cupy():
    working_cupy()
    from cupyx.scipy import linalg  # needs the libraries of CUDA

    check_parameters(strict_arrays.solve_triangular, linalg.solve_triangular)
