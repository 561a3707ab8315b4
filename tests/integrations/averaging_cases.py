"""A small key, small models and their average in the clear, for the tests of averaging under encryption."""

from __future__ import annotations

import functools
import json
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import cipherlane as cl
from cipherlane.integrations.averaging import Average, AveragingTerms

DATA = Path(__file__).parents[1] / "data"
TERMS = AveragingTerms(parties=3, most_weight=1000)
WEIGHTS = (1000, 37, 512)

Model = dict[str, NDArray[np.floating]]


@functools.cache
def small_key(index: int = 0) -> cl.PrivateKey:
    """Return a fixed key: 0 has 1024 bits, 1 has 2048."""
    fields = json.loads((DATA / "paillier_test_keys.json").read_text())["keys"][index]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", cl.paillier.WeakKeyWarning)
        return cl.PrivateKey(int(fields["p"], 16), int(fields["q"], 16), h_s=int(fields["h_s"], 16))


def model(seed: int) -> Model:
    """Return a model with layers of several types and shapes, one of them a scalar and one empty."""
    generator = np.random.default_rng(seed)
    return {
        "dense.weight": generator.normal(size=(17, 5)).astype(np.float32),
        "dense.bias": generator.normal(size=5),
        "scale": np.array(generator.normal(), dtype=np.float16),
        "unused": np.empty((0, 4), dtype=np.float32),
    }


def plain_average(models: list[Model], weights: list[int] | tuple[int, ...]) -> Model:
    """Return the weighted average in float64, by numpy."""
    return {
        name: np.average([one[name].astype(np.float64) for one in models], axis=0, weights=weights)
        for name in models[0]
    }


def check_average(average: Average, models: list[Model], weights: list[int] | tuple[int, ...]) -> None:
    """Check an average against numpy's, to the stated precision and what rounding to the layer's type adds."""
    assert (average.parties, average.total_weight) == (len(models), sum(weights))
    expected = plain_average(models, weights)
    assert list(average.weights) == list(expected)
    tolerance = TERMS.tolerance(sum(weights), len(models))
    for name, values in average.weights.items():
        assert values.dtype == models[0][name].dtype and values.shape == models[0][name].shape, name
        rounding = np.finfo(values.dtype).eps * np.abs(expected[name])
        assert (np.abs(values - expected[name]) <= tolerance + rounding).all(), name
