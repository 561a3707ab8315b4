"""Thread pools of the libraries underneath."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Literal

from threadpoolctl import ThreadpoolController

# It knows the libraries that were loaded when it was made, which is too slow to do for every call.
_controller: ThreadpoolController | None = None
_modules = 0


@contextlib.contextmanager
def single_threaded(libraries: Literal["blas", "openmp"]) -> Iterator[None]:
    """Keep some libraries to one thread: their workers spin while they wait, and take the processors from others."""
    global _controller, _modules
    if _controller is None or len(sys.modules) != _modules:
        _controller, _modules = ThreadpoolController(), len(sys.modules)
    with _controller.limit(limits=1, user_api=libraries):
        yield
