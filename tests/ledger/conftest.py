from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cipherlane.ledger import missing_packages

if missing_packages():
    # Their modules import the extra `ledger`, so they are left out before they are read; the header says so.
    collect_ignore_glob = ["test_*.py"]


def pytest_report_header() -> str:
    missing = missing_packages()
    return f"tests/ledger: left out, not installed: {', '.join(missing)}" if missing else "tests/ledger: run"


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole run of five rounds with its ledger; read-only, see `run`."""
    from consortium import Consortium

    consortium = Consortium(tmp_path_factory.mktemp("finished") / "run")
    consortium.begin()
    for _ in range(5):
        consortium.round()
    consortium.finish()
    return consortium.run


@pytest.fixture
def run(finished_run: Path, tmp_path: Path) -> Path:
    """A copy of the whole run, for a test to tamper with."""
    return shutil.copytree(finished_run, tmp_path / "run")
