"""One small key for all adapters."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest

import cipherlane as cl

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture(scope="session")
def private_key():
    fields = json.loads((DATA / "paillier_test_keys.json").read_text())["keys"][0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", cl.paillier.WeakKeyWarning)
        return cl.PrivateKey(int(fields["p"], 16), int(fields["q"], 16), h_s=int(fields["h_s"], 16))


@pytest.fixture(scope="session")
def public_key(private_key):
    return private_key.public_key
