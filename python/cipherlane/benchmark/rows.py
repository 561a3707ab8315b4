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
    device : bool
        Whether it ran on a device, which is measured as a whole.
    emulated : bool
        Whether that device is only played, for tests: what it computes was verified, its figures mean nothing.
    randomisation : Randomisation or None
    window_bits : int
        Of the fixed-base table; 0 if none is used.
    per_core_second : Range or None
        Operations a CPU second; None on a device.
    per_wall_second : Range
        Operations a second of elapsed time, with all threads; on a device, until it is done.
    speed_up : Range or None
        Elapsed time of one thread over that of all; None for one thread, and on a device.
    over_resident : Range or None
        Elapsed time from host to host over that of ciphertexts which stay on the device; None for what is not moved.
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
    device: bool
    emulated: bool
    randomisation: Randomisation | None
    window_bits: int
    per_core_second: Range | None
    per_wall_second: Range
    speed_up: Range | None
    over_resident: Range | None
    limb_products: float
    peak_percent: Range
    floor_per_second: float
    peers: tuple[PeerFigure, ...]

    @property
    def per_second(self) -> Range:
        """Operations a second of what is measured: of one core's time, or of a whole device's."""
        return self.per_wall_second if self.per_core_second is None else self.per_core_second

    @property
    def label(self) -> str:
        """Text for tables: how it is randomised."""
        return "" if self.randomisation is None else self.randomisation.label
