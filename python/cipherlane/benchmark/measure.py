"""Batch sizes that suit, and rounds in which ours and the peers run in turn."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from cipherlane import _native
from cipherlane.benchmark.cases import Case
from cipherlane.benchmark.clock import Seconds, timed
from cipherlane.benchmark.device import is_device

# After so many powers no table of the sizes allowed grows any more.
_ENOUGH_POWERS = 1 << 18
_SHORTEST = 1e-9


@dataclass(frozen=True)
class Timed:
    """A case, and how often it is run for one timing."""

    case: Case
    loops: int

    def run(self) -> Seconds:
        """Return the time of one timing."""
        return timed(self.case.run, self.loops)

    @property
    def operations(self) -> int:
        """Operations in one timing."""
        return self.case.count * self.loops


@dataclass(frozen=True)
class Rounds:
    """What the rounds gave, one value a round."""

    ours: list[Seconds]
    peers: list[list[Seconds]]
    peaks: list[float]
    one_thread: list[Seconds]
    resident: list[Seconds]


def suitable(
    make: Callable[[int], Case],
    most: int,
    seconds: float,
    batch: int | None = None,
    *,
    least: int = 16,
    device: bool = False,
) -> Timed:
    """Return a case with a batch whose call takes about ``seconds``, or with the batch asked for.

    The batch is a power of two from ``least``, or ``most``.
    """
    least = min(least, most)
    if batch is None:
        probe = make(least)
        probe.run()
        wanted = int(probe.count * seconds / max(timed(probe.run).on(device), _SHORTEST))
        batch = most if wanted >= most else max(least, 1 << (max(1, wanted).bit_length() - 1))
    case = make(batch)
    once = timed(case.run).on(device)
    return Timed(case, max(1, math.ceil(seconds / max(once, _SHORTEST) / 2)))


def warm_up(case: Case, seconds: float) -> None:
    """Run a case until the fixed-base table behind it has its final size, or the time is over."""
    end = time.perf_counter() + seconds
    powers = 0
    while powers < _ENOUGH_POWERS and time.perf_counter() < end:
        case.run()
        powers += case.count


def take_rounds(
    ours: Timed, peers: list[Timed], backend: str, threads: int, rounds: int, resident: Timed | None = None
) -> Rounds:
    """Time the peak, ours and each peer in turn; with several threads of a processor, ours on one thread too."""
    taken = Rounds([], [[] for _ in peers], [], [], [])
    for _ in range(rounds):
        taken.peaks.append(_native.multiply_peak(backend))
        taken.ours.append(ours.run())
        if resident is not None:
            taken.resident.append(resident.run())
        if threads > 1 and not is_device(backend):
            _native.set_thread_count(1)
            try:
                taken.one_thread.append(ours.run())
            finally:
                _native.set_thread_count(threads)
        for peer, times in zip(peers, taken.peers, strict=True):
            times.append(peer.run())
    return taken
