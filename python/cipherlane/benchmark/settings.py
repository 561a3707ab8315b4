"""What is to be measured, checked before anything is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cipherlane import _native
from cipherlane.benchmark.device import is_device
from cipherlane.benchmark.operations import HOST_TO_HOST, ON_DEVICE, ON_PROCESSOR, OPERATIONS
from cipherlane.benchmark.peers import PEERS, installed_peers
from cipherlane.errors import BackendUnavailableError
from cipherlane.paillier import backends, current_backend
from cipherlane.paillier.public_key import LEAST_BITS, MOST_BITS

_BITS_STEP = 256
_MOST_THREADS = 1024
_MOST_BATCH = 10_000_000
_MOST_ROUNDS = 1000


@dataclass(frozen=True)
class Settings:
    """Conditions to measure under; every combination of them.

    Attributes
    ----------
    bits : tuple of int
    backends : tuple of str
    operations : tuple of str, or None
        None: those of `operations_of`.
    threads : tuple of int
        On a processor.
    device_threads : int
        That work beside a device, on what comes from the host and goes there.
    batches : tuple of (int or None)
        None: chosen for each operation so that a call takes about ``sample_seconds``.
    peers : tuple of str
        Measured beside processors; a device shares no unit with them.
    rounds : int
    sample_seconds : float
        What each timing lasts at least.
    warm_up_seconds : float
        Longest time spent before timing until the fixed-base table has its size.
    """

    bits: tuple[int, ...]
    backends: tuple[str, ...]
    operations: tuple[str, ...] | None
    threads: tuple[int, ...]
    device_threads: int
    batches: tuple[int | None, ...]
    peers: tuple[str, ...]
    rounds: int
    sample_seconds: float
    warm_up_seconds: float
    quick: bool

    @classmethod
    def of(
        cls,
        *,
        bits: Sequence[int] = (2048,),
        backends: Sequence[str] | None = None,
        operations: Sequence[str] | None = None,
        threads: Sequence[int] | None = None,
        batches: Sequence[int] | None = None,
        against: Sequence[str] | None = None,
        rounds: int | None = None,
        quick: bool = False,
    ) -> Settings:
        """Return checked settings.

        Parameters
        ----------
        bits : sequence of int, default (2048,)
            Key sizes, multiples of 256 from 1024 to 4096.
        backends : sequence of str, optional
            Default: the current one, which is the best usable unless ``CIPHERLANE_BACKEND`` says otherwise.
        operations : sequence of str, optional
            Names in `OPERATIONS`. Default: all that the backend is measured by.
        threads : sequence of int, optional
            Default: 1; beside a device, as many as `cipherlane` uses. A device is measured once, beside the most.
        batches : sequence of int, optional
            Sizes of the batch (rows, for the matrix). Default: one for each operation, to suit its speed.
        against : sequence of str, optional
            Names in `PEERS`. Default: those installed.
        rounds : int, optional
            Default: 5, or 3 if quick.
        quick : bool, default False
            Shorter timings.

        Raises
        ------
        ValueError
            If one is unknown, out of range, given twice, or a peer is not installed.
        BackendUnavailableError
            If there is no such backend here; the message names those that are.

        Examples
        --------
        >>> Settings.of(operations=["add", "decrypt"], quick=True).rounds
        3
        """
        rounds = (3 if quick else 5) if rounds is None else rounds
        _check_numbers("--rounds", [rounds], 1, _MOST_ROUNDS)
        for size in _check_numbers("--bits", bits, LEAST_BITS, MOST_BITS):
            if size % _BITS_STEP:
                raise ValueError(f"--bits: expected multiples of {_BITS_STEP}, got {size}; 2048 is the usual choice")
        if batches is not None:
            _check_numbers("--batch", batches, 1, _MOST_BATCH)
        if threads is not None:
            _check_numbers("--threads", threads, 1, _MOST_THREADS)
        chosen = _check_backends(backends)
        return cls(
            bits=tuple(bits),
            backends=chosen,
            operations=_check_operations(operations, chosen),
            threads=(1,) if threads is None else tuple(threads),
            device_threads=_native.thread_count() if threads is None else max(threads),
            batches=(None,) if batches is None else tuple(batches),
            peers=_check_peers(against),
            rounds=rounds,
            sample_seconds=0.03 if quick else 0.2,
            warm_up_seconds=0.3 if quick else 5.0,
            quick=quick,
        )

    def operations_of(self, backend: str) -> tuple[str, ...]:
        """Return the operations to measure on a backend."""
        return self.operations or (ON_DEVICE if is_device(backend) else ON_PROCESSOR)

    def threads_of(self, backend: str) -> tuple[int, ...]:
        """Return the thread counts to measure a backend with."""
        return (self.device_threads,) if is_device(backend) else self.threads

    @property
    def measured_peers(self) -> tuple[str, ...]:
        """The peers that stand beside any backend."""
        return () if all(map(is_device, self.backends)) else self.peers


def _check_numbers(option: str, numbers: Sequence[int], least: int, most: int) -> Sequence[int]:
    if not numbers:
        raise ValueError(f"{option}: expected at least one number, got none")
    for number in numbers:
        if isinstance(number, bool) or not isinstance(number, int) or not least <= number <= most:
            raise ValueError(f"{option}: expected integers from {least} to {most}, got {number!r}")
    _check_distinct(option, numbers)
    return numbers


def _check_distinct(option: str, values: Sequence[object]) -> None:
    for index, value in enumerate(values):
        if value in values[:index]:
            raise ValueError(f"{option}: {value!r} is given twice; give it once")


def _check_operations(names: Sequence[str] | None, backends: Sequence[str]) -> tuple[str, ...] | None:
    if names is None:
        return None
    _check_names("--operations", "operation", names, OPERATIONS)
    processors = [backend for backend in backends if not is_device(backend)]
    if HOST_TO_HOST in names and processors:
        raise ValueError(
            f"--operations: {HOST_TO_HOST!r} measures the way to a device and back, and {processors[0]!r} has none; "
            "leave it out, or name a device with --backend"
        )
    return tuple(names)


def _check_names(option: str, kind: str, names: Sequence[str], known: Iterable[str]) -> tuple[str, ...]:
    known = tuple(known)
    if not names:
        raise ValueError(f"{option}: expected at least one {kind}, got none; choose from {', '.join(known)}")
    for name in names:
        if name not in known:
            raise ValueError(f"{option}: there is no {kind} {name!r}; choose from {', '.join(known)}")
    _check_distinct(option, names)
    return tuple(names)


def _check_backends(names: Sequence[str] | None) -> tuple[str, ...]:
    if names is None:
        return (current_backend(),)
    usable = backends()
    for name in names:
        if name not in usable:
            raise BackendUnavailableError(
                f"--backend: {name!r} cannot be used on this machine; usable here: {', '.join(usable)}"
            )
    _check_distinct("--backend", names)
    return tuple(names)


def _check_peers(names: Sequence[str] | None) -> tuple[str, ...]:
    if names is None:
        return tuple(installed_peers())
    if names:
        _check_names("--against", "peer", names, PEERS)
    for name in names:
        if PEERS[name].version() is None:
            raise ValueError(
                f"--against: peer {name!r} is not installed; get it with: {PEERS[name].install}, or leave it out"
            )
    return tuple(names)
