from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import cipherlane as cl
from cipherlane.benchmark import Row, Settings, measure
from cipherlane.benchmark.device import is_device

Tiny = Callable[..., Settings]


# What is measured beside peers; where there is a GPU, the best backend is another.
PROCESSOR = next(name for name in cl.backends() if not is_device(name))


def _tiny(**chosen: Any) -> Settings:
    settings = Settings.of(**{"bits": [1024], "rounds": 1, "quick": True, "backends": [PROCESSOR], **chosen})
    return replace(settings, sample_seconds=0.0005, warm_up_seconds=0.0)


@pytest.fixture(scope="session")
def tiny() -> Tiny:
    """Return a function whose settings measure as little as there is to measure."""
    return _tiny


@pytest.fixture(scope="session")
def settings(tiny: Tiny) -> Settings:
    return tiny(against=["phe", "gmpy2"], rounds=2, batches=[5])


@pytest.fixture(scope="session")
def rows(settings: Settings) -> dict[str, Row]:
    """Return one row of each operation."""
    return {row.operation.name: row for row in measure(settings)}
