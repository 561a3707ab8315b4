"""Running a pass on several threads, and telling the user when it has to be compiled first."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from numba import typeof
from numba.core import event
from threadpoolctl import ThreadpoolController

# Fewer samples than this are done before another thread has woken up.
_LEAST_SAMPLES = 4096
_MOST_THREADS = 1024


def thread_count(threads: int | None = None) -> int:
    """Return the number of threads: the argument, else CIPHERLANE_THREADS, else all processors.

    Raises
    ------
    TypeError
        If ``threads`` is not an integer.
    ValueError
        If it, or the variable, is not from 1 to 1024.
    """
    if threads is None:
        text = os.environ.get("CIPHERLANE_THREADS", "")
        if not text:
            affinity = getattr(os, "sched_getaffinity", None)
            return max(1, len(affinity(0)) if affinity else os.cpu_count() or 1)
        if not text.isdigit() or not 1 <= int(text) <= _MOST_THREADS:
            raise ValueError(f"CIPHERLANE_THREADS: expected a whole number from 1 to {_MOST_THREADS}, got {text!r}")
        return int(text)
    if isinstance(threads, bool) or not isinstance(threads, int):
        raise TypeError(f"threads: expected an int or None, got {type(threads).__name__}")
    if not 1 <= threads <= _MOST_THREADS:
        raise ValueError(f"threads: expected 1 to {_MOST_THREADS}, got {threads}")
    return threads


def run(work: Callable[[int, int, int], Any], samples: int, threads: int) -> list[Any]:
    """Return ``work(part, start, stop)`` for ranges that cover the samples, each on a thread of its own."""
    parts = max(1, min(threads, samples // _LEAST_SAMPLES))
    bounds = [samples * part // parts for part in range(parts + 1)]
    ranges = [(part, bounds[part], bounds[part + 1]) for part in range(parts)]
    if parts == 1:
        return [work(*ranges[0])]
    with ThreadPoolExecutor(parts - 1, thread_name_prefix="cipherlane-em") as pool:
        others = [pool.submit(work, *one) for one in ranges[1:]]
        first = work(*ranges[0])
        return [first, *(other.result() for other in others)]


class _Notice(event.Listener):
    """Says once that a function is being compiled."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._said = False

    def on_start(self, event: Any) -> None:
        """Numba has found no compiled code, in memory or in its cache."""
        if not self._said:
            self._said = True
            text = f"cipherlane: compiling {self._name} for this processor, once; this takes some seconds"
            print(text, file=sys.stderr, flush=True)

    def on_end(self, event: Any) -> None:
        """Nothing more to say."""


_compiling = threading.Lock()


class Announced:
    """A Numba function whose first call tells on standard error why it takes so long, if it has to compile."""

    def __init__(self, function: Any) -> None:
        self._function = function
        self._ready = False
        functools.update_wrapper(self, function.py_func)

    def __call__(self, *arguments: Any) -> Any:
        """Call the function, compiled or loaded from Numba's cache."""
        if not self._ready:
            with (
                _compiling,
                event.install_listener("numba:compile", _Notice(self._function.py_func.__name__)),
            ):
                self._function.compile(tuple(map(typeof, arguments)))
            self._ready = True
        return self._function(*arguments)


_controller: ThreadpoolController | None = None


@contextlib.contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Keep BLAS to one thread: its workers spin while they wait, and would take the processors from ours."""
    global _controller
    if _controller is None:
        _controller = ThreadpoolController()
    with _controller.limit(limits=1, user_api="blas"):
        yield
