"""Thread pools of the libraries underneath."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Literal

from threadpoolctl import ThreadpoolController

_controller: ThreadpoolController | None = None


@contextlib.contextmanager
def single_threaded(libraries: Literal["blas", "openmp"]) -> Iterator[None]:
    """Keep some libraries to one thread: their workers spin while they wait, and take the processors from others."""
    global _controller
    if _controller is None:
        _controller = ThreadpoolController()
    with _controller.limit(limits=1, user_api=libraries):
        yield
