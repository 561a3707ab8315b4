"""What was measured: one row an operation under given conditions, with the peers' figures beside it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from cipherlane.benchmark.operations import Operation
from cipherlane.benchmark.randomisation import Randomisation


@dataclass(frozen=True)
class Range:
    """The median over rounds, the lowest and the highest."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Range:
        """Return the range of some values.

        Examples
        --------
        >>> Range.of([3.0, 1.0, 2.0])
        Range(median=2.0, low=1.0, high=3.0)
        """
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True)
class PeerFigure:
    """A peer at the same operation, timed in turn with ours.

    Attributes
    ----------
    peer, method : str
    randomisation : Randomisation or None
    unlike : str or None
        Why the ratio does not compare like with like; None if it does.
    batch : int
    per_core_second : Range
    ratio : Range
        Our operations a CPU second over the peer's, round by round.
    """

    peer: str
    method: str
    randomisation: Randomisation | None
    unlike: str | None
    batch: int
    per_core_second: Range
    ratio: Range


@dataclass(frozen=True)
class Row:
    """One of our operations.

    Attributes
    ----------
    operation : Operation
    bits, backend, threads, batch
        The conditions.
    randomisation : Randomisation or None
    window_bits : int
        Of the fixed-base table; 0 if none is used.
    per_core_second : Range
        Operations a CPU second.
    per_wall_second : Range
        Operations a second of elapsed time, with all threads.
    speed_up : Range or None
        Elapsed time of one thread over that of all; None for one thread.
    limb_products : float
        The least products of two limbs an operation needs.
    peak_percent : Range
        Multiplications that those take, in per cent of the peak measured in the same round.
    floor_per_second : float
        Operations a second at the median peak with nothing but those.
    peers : tuple of PeerFigure
    """

    operation: Operation
    bits: int
    backend: str
    threads: int
    batch: int
    randomisation: Randomisation | None
    window_bits: int
    per_core_second: Range
    per_wall_second: Range
    speed_up: Range | None
    limb_products: float
    peak_percent: Range
    floor_per_second: float
    peers: tuple[PeerFigure, ...]

    @property
    def label(self) -> str:
        """Text for tables: how it is randomised."""
        return "" if self.randomisation is None else self.randomisation.label
