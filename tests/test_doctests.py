"""The examples in the docstrings run."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import cipherlane

# Written for one module after the other as documentation; a name that leaves this list loses its example.
LEAST_EXAMPLES = 20

MODULES = ["cipherlane"] + [
    module.name
    for module in pkgutil.walk_packages(cipherlane.__path__, "cipherlane.")
    if not module.name.endswith(("__main__", "_native", "vector_tiles"))
]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = sum(len(test.examples) > 0 for name in MODULES for test in finder.find(importlib.import_module(name)))
    assert found >= LEAST_EXAMPLES
