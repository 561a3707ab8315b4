from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cipherlane.vertical.matching import compare, draw_salt, name_digests, salted_digests
from cipherlane.vertical.mixture_arbiter import component_weights, first_state, next_state
from cipherlane.vertical.mixture_party import PartyParameters, update_parameters
from cipherlane.vertical.responsibility_table import from_wire, round_rows, to_wire
from cipherlane.vertical.score_encoding import score_vector
from cipherlane.vertical.starts import initial_responsibilities


@given(st.integers(2, 12), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_rounded_rows_sum_to_one_and_move_less_than_a_unit(components: int, decimals: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    exact = rng.dirichlet(np.full(components, 0.3), size=20)
    rounded = round_rows(exact, decimals)
    units = rounded * 10**decimals
    np.testing.assert_allclose(units, np.rint(units), atol=1e-9)
    assert (np.rint(units).sum(axis=1) == 10**decimals).all()
    assert np.abs(rounded - exact).max() < 10.0**-decimals * (1 + 1e-6)
    np.testing.assert_array_equal(round_rows(rounded, decimals), rounded)
    np.testing.assert_array_equal(from_wire(to_wire(rounded, decimals), decimals), rounded)


def test_exact_responsibilities_cross_unchanged() -> None:
    exact = np.random.default_rng(0).dirichlet(np.ones(3), size=5)
    assert round_rows(exact, -1) is exact
    np.testing.assert_array_equal(from_wire(to_wire(exact, -1), -1), exact)


@pytest.mark.parametrize(
    ("table", "decimals"),
    [
        (np.array([[60, 50]], dtype=np.uint8), 2),
        (np.array([[0.6, 0.6]]), -1),
        (np.array([[1.5, -0.5]]), -1),
        (np.array([[0.5, 0.5]]), 2),
        (np.array([[50, 50]], dtype=np.uint8), -1),
    ],
)
def test_tables_that_are_not_responsibilities_are_refused(table: np.ndarray, decimals: int) -> None:
    with pytest.raises(ValueError, match="responsibilities"):
        from_wire(table, decimals)


def test_the_e_step_on_sums_is_the_e_step_on_all_columns() -> None:
    rng = np.random.default_rng(3)
    densities = [rng.normal(size=(30, 4)) * 20 - 40 for _ in range(3)]
    state = first_state(rng.dirichlet(np.ones(4), size=30))
    after = next_state(state, sum(map(score_vector, densities)), decimals=-1, tolerance=1e-3)
    joint = np.log(state.weights) + sum(densities)
    normaliser = np.logaddexp.reduce(joint, axis=1)
    np.testing.assert_allclose(after.responsibilities, np.exp(joint - normaliser[:, None]), atol=1e-12)
    assert after.log_likelihood == pytest.approx(normaliser.mean(), abs=1e-11)
    assert after.change is None
    assert not after.converged
    again = next_state(after, sum(map(score_vector, densities)), decimals=-1, tolerance=1e9)
    assert again.converged
    assert again.change == pytest.approx(again.log_likelihood - after.log_likelihood)


def test_repeated_rounded_responsibilities_end_training() -> None:
    vector = score_vector(np.array([[0.0, -50.0], [-50.0, 0.0]]))
    state = next_state(first_state(np.eye(2)), vector, decimals=2, tolerance=0.0)
    assert state.converged


def test_weights_of_an_empty_component_stay_above_zero() -> None:
    weights, counts = component_weights(np.array([[1.0, 0.0], [1.0, 0.0]]))
    assert counts.tolist() == [2.0, 0.0]
    assert 0 < weights[1] < 1e-12


@pytest.mark.parametrize("kind", ["full", "diag"])
def test_party_parameters_are_the_weighted_moments(kind: str) -> None:
    rng = np.random.default_rng(4)
    inputs, responsibilities = rng.normal(size=(40, 3)), rng.dirichlet(np.ones(2), size=40)
    found = update_parameters(inputs, responsibilities, kind, 1e-3)
    for k in range(2):
        weight = responsibilities[:, k] / responsibilities[:, k].sum()
        mean = weight @ inputs
        covariance = (inputs - mean).T @ ((inputs - mean) * weight[:, None]) + 1e-3 * np.eye(3)
        np.testing.assert_allclose(found.means[k], mean, atol=1e-12)
        expected = covariance if kind == "full" else np.diag(covariance)
        np.testing.assert_allclose(found.covariances[k], expected, atol=1e-12)
    back = PartyParameters.from_vector(found.to_vector(), 2, 3, kind)
    np.testing.assert_array_equal(back.means, found.means)
    np.testing.assert_allclose(back.covariances, found.covariances, atol=1e-15)
    with pytest.raises(ValueError, match="parameters: expected"):
        PartyParameters.from_vector(found.to_vector()[:-1], 2, 3, kind)


def test_starts_are_reproducible_and_bounded() -> None:
    inputs = np.random.default_rng(5).normal(size=(30, 2))
    for start in ("kmeans", "random"):
        first, second = (initial_responsibilities(inputs, 3, start, 7) for _ in range(2))
        np.testing.assert_array_equal(first, second)
        np.testing.assert_allclose(first.sum(axis=1), 1)
    assert not np.array_equal(
        initial_responsibilities(inputs, 3, "random", 8), initial_responsibilities(inputs, 3, "random", 7)
    )
    with pytest.raises(ValueError, match="at most the number of rows, 30, got 31"):
        initial_responsibilities(inputs, 31, "kmeans", 0)
    with pytest.raises(ValueError, match="1 distinct rows, too few for 2"):
        initial_responsibilities(np.zeros((5, 2)), 2, "kmeans", 0)
    with pytest.raises(ValueError, match="start: expected one of"):
        initial_responsibilities(inputs, 2, "best", 0)


def test_matching_finds_what_either_side_lacks() -> None:
    salt = draw_salt()
    mine, theirs = ["a", "b", "c", "d"], ["d", "c", "x"]
    difference = compare(mine, salted_digests(theirs, salt), salt)
    assert difference.only_here == ("a", "b")
    assert name_digests(theirs, difference.only_there, salt) == ("x",)
    assert compare(mine, salted_digests(mine[::-1], salt), salt).empty
    other = salted_digests(theirs, draw_salt())
    assert len(compare(mine, other, salt).only_there) == 3
