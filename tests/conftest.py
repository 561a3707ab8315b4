"""Which files come first: those that take longest, so that no processor waits at the end for the last of them."""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).parent
# By how long they take where nothing is compiled yet, longest first.
LONG = [
    "native/test_emulated_device.py",
    "kernels/test_ptx.py",
    "native/test_constant_time.py",
    "ledger/test_network.py",
    "kernels/test_batch_kernels.py",
    "federation/test_kills.py",
    "mixture/test_functions.py",
    "paillier/test_short_keys.py",
    "federation/test_ledger_runs.py",
    "federation/test_flare_simulator.py",
    "fuzz/test_parsers.py",
    "paillier/test_conformance.py",
    "kernels/test_device_code.py",
    "test_doctests.py",
    "federation/test_runs.py",
    "federation/test_logistic.py",
    "native/test_arithmetic.py",
    "kernels/test_mutants.py",
    "native/test_cpp_package.py",
    "integrations/test_phe.py",
    "cli/test_cli.py",
    "test_documentation_site.py",
    "kernels/test_budget.py",
]
PLACES = {TESTS / name: place for place, name in enumerate(LONG)}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: PLACES.get(item.path, len(LONG)))
