"""Running a pass on several threads, and telling the user when it has to be compiled first."""

from __future__ import annotations

import functools
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from numba import typeof
from numba.core import event

# Fewer samples than this are done before another thread has woken up.
LEAST_SAMPLES = 4096
_PARTS_A_THREAD = 4
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


class Workers:
    """Threads that share the samples of one pass after another, from `__enter__` to `__exit__`.

    The caller's thread works too. A pass is cut into more parts than there are threads, which take them as they come,
    so that a thread that another program holds up leaves its parts to the others.

    Parameters
    ----------
    threads : int
        How many, with the caller's.

    Examples
    --------
    >>> with Workers(2) as workers:
    ...     sum(workers.run(lambda start, stop: stop - start, 20_000))
    20000
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> Workers:
        """Start nothing yet: a thread starts with the first pass that needs it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Wait for the threads to end."""
        if self._pool is not None:
            self._pool.shutdown()

    def run(self, work: Callable[[int, int], Any], samples: int) -> list[Any]:
        """Return ``work(start, stop)`` of ranges that cover the samples, in their order.

        The ranges depend on the number of threads and of samples alone, so that sums over them are reproducible.
        """
        most = 1 if self._threads == 1 else self._threads * _PARTS_A_THREAD
        parts = max(1, min(most, samples // LEAST_SAMPLES))
        if parts == 1:
            return [work(0, samples)]
        results: list[Any] = [None] * parts
        waiting = iter(range(parts))
        taking = threading.Lock()

        def share() -> None:
            while True:
                with taking:
                    part = next(waiting, None)
                if part is None:
                    return
                results[part] = work(samples * part // parts, samples * (part + 1) // parts)

        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads - 1, thread_name_prefix="cipherlane-em")
        others = [self._pool.submit(share) for _ in range(min(self._threads, parts) - 1)]
        share()
        for other in others:
            # One that has not woken up yet has nothing left to do.
            if not other.cancel():
                other.result()
        return results


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
