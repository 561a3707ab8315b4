"""What FLARE is asked for before anything of it is used."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cipherlane.errors import MissingExtraError


@contextmanager
def flare_needed() -> Iterator[None]:
    """Raise `MissingExtraError` where the body imports FLARE and it is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != "nvflare":
            raise
        raise MissingExtraError("engine nvflare needs NVIDIA FLARE: pip install 'cipherlane[nvflare]'") from error
