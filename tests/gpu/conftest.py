"""Tests that need a GPU. They also run on the emulated device, for which tests/native starts them."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest

import cipherlane as cl
from cipherlane import _native

import gpu_doubles

DATA = Path(__file__).parents[1] / "data"
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    missing = None if "cuda" in cl.backends() else f"no GPU to use: {_native.why_no_device()}"
    for item in items:
        if HERE in item.path.parents and item.path.name.startswith("test_gpu"):
            item.add_marker("gpu")
            if missing:
                item.add_marker(pytest.mark.skip(reason=missing))


@pytest.fixture(autouse=True)
def no_backend_is_chosen(monkeypatch):
    monkeypatch.delenv("CIPHERLANE_BACKEND", raising=False)


@pytest.fixture(scope="session")
def private_key():
    fields = json.loads((DATA / "paillier_test_keys.json").read_text())["keys"][0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", cl.paillier.WeakKeyWarning)
        return cl.PrivateKey(
            int(fields["p"], 16),
            int(fields["q"], 16),
            h_s=int(fields["h_s"], 16),
            generators=tuple(int(g, 16) for g in fields["generators"]),
        )


@pytest.fixture(scope="session")
def public_key(private_key):
    return private_key.public_key


@pytest.fixture(params=gpu_doubles.makers(), ids=lambda maker: maker.__name__)
def on_gpu(request):
    """Put a numpy array on the GPU, in one of the forms that users have them in."""
    return request.param


@pytest.fixture
def counts():
    """Return what the emulated device has counted since the last call."""
    if not gpu_doubles.EMULATED:
        pytest.skip("only the emulated device counts")
    last = _native.emulated_counts()

    def since() -> dict[str, int]:
        nonlocal last
        now = _native.emulated_counts()
        change = {name: now[name] - last[name] for name in now if isinstance(now[name], int)}
        last = now
        return change

    return since


@pytest.fixture(autouse=True, scope="session")
def the_device_saw_no_fault():
    yield
    if gpu_doubles.EMULATED:
        assert _native.emulated_counts()["fault"] == ""


@pytest.fixture
def hard_floats():
    edges = [0.0, 0.5, 1.5, 2.5, 1 / 3, 2.0**53 - 1, 2.0**53, 2.0**53 + 2, 5e-324, 2.0**-41, 3 * 2.0**-41, 1e19]
    return np.array([x for value in edges for x in (value, -value)])
