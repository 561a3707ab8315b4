"""Seconds: of the processor, which a busy machine does not stretch, and of the wall."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Seconds:
    """Time that a piece of work took: CPU seconds of all threads of this process, and elapsed seconds."""

    cpu: float
    wall: float

    def on(self, device: bool) -> float:
        """Return what a rate divides by: CPU seconds, or elapsed ones where a device does the work."""
        return self.wall if device else self.cpu


def timed(work: Callable[[], Any], loops: int = 1) -> Seconds:
    """Return the time of ``loops`` calls, the garbage collector held off."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(loops):
            work()
        return Seconds(time.process_time() - cpu, time.perf_counter() - wall)
    finally:
        if collecting:
            gc.enable()
