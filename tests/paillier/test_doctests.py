"""The examples in the docstrings run."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import cipherlane
import cipherlane.paillier

MODULES = ["cipherlane"] + [
    f"cipherlane.paillier.{module.name}" for module in pkgutil.iter_modules(cipherlane.paillier.__path__)
]
WITH_EXAMPLES = {
    "cipherlane",
    "cipher_array",
    "joining",
    "codec",
    "hazmat",
    "key_generation",
    "public_key",
    "private_key",
}


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0
    assert (result.attempted > 0) or name.split(".")[-1] not in WITH_EXAMPLES
