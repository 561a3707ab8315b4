"""The examples in the docstrings run."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import pkgutil

import pytest

import cipherlane
from cipherlane.ledger import missing_packages

# Written for one module after the other as documentation; a name that leaves this list loses its example.
LEAST_EXAMPLES = 20

MODULES = ["cipherlane"] + [
    module.name
    for module in pkgutil.walk_packages(cipherlane.__path__, "cipherlane.")
    if not module.name.endswith(("__main__", "_native", "vector_tiles"))
]
NEED_LEDGER = [name for name in MODULES if name.startswith("cipherlane.ledger.")]


# Modules whose examples need a package that an extra brings.
NEEDED = {
    "cipherlane.vertical.alignment": "private_set_intersection",
    "cipherlane.integrations.arrow": "pyarrow",
    "cipherlane.integrations.pandas": "pandas",
    **{f"cipherlane.federation.flare.{name}": "nvflare" for name in ("job", "server", "site")},
    **{
        name: needed
        for package, needed in (("nvflare", "nvflare"), ("flower", "flwr"))
        for name in MODULES
        if name.startswith(f"cipherlane.integrations.{package}.")
    },
}


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    if name in NEED_LEDGER and missing_packages():
        pytest.skip(f"the extra `ledger` is not installed: {', '.join(missing_packages())}")
    needed = NEEDED.get(name)
    if needed is not None and importlib.util.find_spec(needed) is None:
        pytest.skip(f"{needed} is not installed")
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder(exclude_empty=True)
    names = sorted(set(MODULES) - set(NEED_LEDGER) - set(NEEDED))
    found = sum(len(test.examples) > 0 for name in names for test in finder.find(importlib.import_module(name)))
    assert found >= LEAST_EXAMPLES
