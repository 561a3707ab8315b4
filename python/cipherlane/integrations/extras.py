"""The packages that adapters need, each of which an extra brings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cipherlane.errors import MissingExtraError


@contextmanager
def needed(package: str, extra: str) -> Iterator[None]:
    """Raise `MissingExtraError` where the body imports a package that is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != package:
            raise
        raise MissingExtraError(f"this adapter needs {package}: pip install 'cipherlane[{extra}]'") from error
