"""Fixtures of the mixture's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from array_sides import NAMES, Side, side


@pytest.fixture(params=NAMES)
def arrays(request: pytest.FixtureRequest) -> Iterator[Side]:
    """Each side that the mixture computes on."""
    with side(request.param) as found:
        yield found
