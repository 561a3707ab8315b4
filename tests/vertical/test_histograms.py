"""Encrypted histograms of gradients: equal to numpy's sums, and to the split that scikit-learn finds."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.tree import DecisionTreeRegressor

import cipherlane as cl
from cipherlane.errors import PlaintextOverflowError
from cipherlane.vertical.histograms import encrypt_gradients, gradient_histograms


@pytest.fixture(scope="module")
def keys() -> tuple[cl.PublicKey, cl.PrivateKey]:
    with pytest.warns(UserWarning):
        return cl.keygen(bits=1024)


def numpys(g, h, indices, bins, nodes, count):
    sums = np.zeros((count, indices.shape[1], bins, 2))
    for i, row in enumerate(indices):
        for j, b in enumerate(row):
            if nodes[i] >= 0:
                sums[nodes[i], j, b] += (g[i], h[i])
    return sums


@pytest.mark.parametrize("count", [1, 3])
def test_they_are_numpys_sums(keys, count: int) -> None:
    rng = np.random.default_rng(count)
    g, h, indices = rng.normal(size=120), rng.random(120), rng.integers(0, 6, (120, 5))
    nodes = np.minimum(rng.integers(-1, count, 120), 1)  # of three nodes the last has no rows
    pairs = encrypt_gradients(keys[1], g, h)
    assert pairs.shape == (120, 2) and pairs.ciphertext_count == 120
    found = gradient_histograms(pairs, indices, 6, nodes=nodes, node_count=count)
    expected = numpys(g, h, indices, 6, nodes, count)
    assert keys[1].decrypt(found) == pytest.approx(expected, abs=120 * 2.0**-25)
    whole = gradient_histograms(cl.CipherArray.from_bytes(keys[0], pairs.to_bytes()), indices, 6)
    assert keys[1].decrypt(whole) == pytest.approx(numpys(g, h, indices, 6, 0 * nodes, 1), abs=120 * 2.0**-25)


def test_the_larger_child_is_what_is_left_of_its_parent(keys) -> None:
    rng = np.random.default_rng(9)
    g, h, indices = rng.normal(size=150), rng.random(150), rng.integers(0, 6, (150, 4))
    nodes = (rng.random(150) < 0.7).astype(np.int64)
    pairs = encrypt_gradients(keys[1], g, h)
    parent = gradient_histograms(pairs, indices, 6)
    smaller = gradient_histograms(pairs, indices, 6, nodes=np.where(nodes == 0, 0, -1))
    found = keys[1].decrypt(parent - smaller)
    assert found == pytest.approx(numpys(g, h, indices, 6, nodes, 2)[1:], abs=150 * 2.0**-24)


def test_the_best_split_is_that_of_a_regression_tree(keys) -> None:
    rng = np.random.default_rng(4)
    indices = rng.integers(0, 8, (200, 3))
    g = np.where(indices[:, 1] > 4, 1.0, -0.5) + rng.normal(scale=0.2, size=200)
    sums = keys[1].decrypt(gradient_histograms(encrypt_gradients(keys[1], g, np.ones(200)), indices, 8))[0]
    left = np.cumsum(sums, axis=1)[:, :-1]
    total = sums.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        gain = left[..., 0] ** 2 / left[..., 1] + (total - left)[..., 0] ** 2 / (total - left)[..., 1]
    column, cut = np.unravel_index(np.nanargmax(gain), gain.shape)
    stump = DecisionTreeRegressor(max_depth=1).fit(indices, g).tree_
    assert (column, cut) == (stump.feature[0], int(np.floor(stump.threshold[0])))


def test_what_does_not_fit_is_named(keys) -> None:
    pairs = encrypt_gradients(keys[1], [0.5, 1.0], [0.1, 0.2])
    for indices, named, said in [
        (np.zeros((3, 1), dtype=int), {}, "indices: expected shape"),
        (np.array([[0], [9]]), {}, "bins from 0 to 1"),
        (np.zeros((2, 1), dtype=int), {"nodes": np.array([0, 2]), "node_count": 2}, "nodes: expected less than 2"),
        (np.zeros((2, 1), dtype=int), {"nodes": np.array([0.0, 1.0])}, "nodes: expected 2 integers"),
        (np.zeros((2, 1), dtype=int), {"node_count": 0}, "node_count"),
        (np.zeros((2, 1), dtype=int), {"node_count": 2}, "nodes: expected each row's node of 2, got none"),
        (np.zeros((2, 0), dtype=int), {}, "with a column or more"),
    ]:
        with pytest.raises(ValueError, match=said):
            gradient_histograms(pairs, indices, 2, **named)
    with pytest.raises(PlaintextOverflowError):
        encrypt_gradients(keys[1], [200.0, 0.0], [0.1, 0.2])
    with pytest.raises(ValueError, match="finite"):
        encrypt_gradients(keys[1], [np.nan, 0.0], [0.1, 0.2])
    with pytest.raises(ValueError, match=r"gradients, hessians: expected one of each a row, got shapes \(1,\) and"):
        encrypt_gradients(keys[1], [0.0], [0.1, 0.2])
    with pytest.raises(ValueError, match="rows: expected at least 1, got 0"):
        encrypt_gradients(keys[1], [0.5], [0.1], rows=0)
