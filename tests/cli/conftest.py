from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cipherlane.cli import main
from cipherlane.paillier.public_key import WeakKeyWarning

EXAMPLE = Path(__file__).parents[2] / "examples" / "breast_cancer"


def pytest_configure(config: pytest.Config) -> None:
    # 1024-bit keys keep these tests fast; the warning that they are weak is expected.
    name = f"{WeakKeyWarning.__module__}.{WeakKeyWarning.__name__}"
    config.addinivalue_line("filterwarnings", f"ignore::{name}")


@pytest.fixture(scope="session")
def example_plan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the example with a 1024-bit key."""
    directory = tmp_path_factory.mktemp("example")
    for name in ("guest.csv", "host.csv"):
        shutil.copy(EXAMPLE / name, directory / name)
    plan = directory / "plan.toml"
    text = (EXAMPLE / "plan.toml").read_text(encoding="utf-8")
    assert "key_bits = 2048" in text
    plan.write_text(text.replace("key_bits = 2048", "key_bits = 1024"), encoding="utf-8")
    return plan


@pytest.fixture(scope="session")
def trained(example_plan: Path) -> Iterator[Path]:
    """Return the run directory of a finished training."""
    out = example_plan.parent / "runs" / "first"
    assert main(["train", str(example_plan), "--out", str(out)]) == 0
    yield out
