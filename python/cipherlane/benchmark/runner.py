"""Every combination of the settings, verified and measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cipherlane import _native
from cipherlane.benchmark import floor
from cipherlane.benchmark.cases import Case, verify
from cipherlane.benchmark.device import batches, is_device, is_emulated
from cipherlane.benchmark.measure import Rounds, Timed, suitable, take_rounds, warm_up
from cipherlane.benchmark.operations import HOST_TO_HOST, MATRIX_COLUMNS, OPERATIONS, Operation
from cipherlane.benchmark.ours import Ours, entry_by_entry
from cipherlane.benchmark.peers import PEERS, PeerSession
from cipherlane.benchmark.rows import PeerFigure, Range, Row
from cipherlane.benchmark.settings import Settings
from cipherlane.benchmark.workload import Workload
from cipherlane.paillier import use_backend

Tell = Callable[[str], None]
# Peers are slow: their batches stay small enough to make.
_MOST_OF_A_PEER = 4096
_SMALL_BATCH = 16
_WARMING_BATCH = 256
_MOST_TRIES = 3


def planned(settings: Settings) -> int:
    """Return how many rows `measure` will give."""
    return (
        len(settings.bits)
        * len(settings.batches)
        * sum(len(settings.threads_of(name)) * len(settings.operations_of(name)) for name in settings.backends)
    )


def measure(settings: Settings, tell: Tell = lambda text: None) -> Iterator[Row]:
    """Measure row by row; stop at any time by leaving the loop.

    Parameters
    ----------
    settings : Settings
    tell : callable, optional
        Called with what is being done.

    Raises
    ------
    VerificationError
        If an operation, ours or a peer's, gives a wrong result; nothing of it has been timed then.
    """
    threads_before = _native.thread_count()
    try:
        for bits in settings.bits:
            tell(f"{bits} bits: making keys")
            keys = _keys(settings, bits)
            for backend in settings.backends:
                for threads in settings.threads_of(backend):
                    for batch in settings.batches:
                        for name in settings.operations_of(backend):
                            tell(f"{bits} bits, {backend}, {_threads_text(threads)}: {name}")
                            ours, sessions = keys[OPERATIONS[name].scheme]
                            yield _row(settings, ours, sessions, OPERATIONS[name], backend, threads, batch)
    finally:
        _native.set_thread_count(threads_before)


def _keys(settings: Settings, bits: int) -> dict[str, tuple[Ours, dict[str, PeerSession]]]:
    """Return a key pair of each scheme that an operation needs, and the peers at work beside it."""
    workload = Workload()
    keys = {}
    names = [name for backend in settings.backends for name in settings.operations_of(backend)]
    for scheme in dict.fromkeys(OPERATIONS[name].scheme for name in names):
        ours = Ours(bits, workload, scheme)
        keys[scheme] = ours, {name: PEERS[name].session(ours) for name in settings.measured_peers}
    return keys


def _threads_text(threads: int) -> str:
    return "1 thread" if threads == 1 else f"{threads} threads"


def _row(
    settings: Settings,
    ours: Ours,
    sessions: dict[str, PeerSession],
    operation: Operation,
    backend: str,
    threads: int,
    batch: int | None,
) -> Row:
    # The backend holds for one row: a generator must not leave it changed for its caller.
    with use_backend(backend):
        _native.set_thread_count(threads)
        what = f"{operation.name} at {ours.bits} bits"
        sizes = _sizes(settings, operation, backend, ours.bits)
        verify(ours.case(operation, min(_SMALL_BATCH, sizes.most) if batch is None else batch), what)
        if ours.needs_warming(operation):
            warm_up(ours.case(operation, sizes.warming), settings.warm_up_seconds)
        own = suitable(
            lambda count: ours.case(operation, count),
            sizes.most,
            operation.patience * settings.sample_seconds,
            batch,
            least=sizes.least,
            device=is_device(backend),
        )
        verify(own.case, what)
        peers = []
        if not is_device(backend):
            peers = [_verified(timed, what) for timed in _peers(settings, ours, sessions, operation)]
        resident = None
        if operation.name == HOST_TO_HOST:
            resident = _verified(Timed(ours.case(OPERATIONS["encrypt"], own.case.count), own.loops), what)
        for _ in range(_MOST_TRIES):
            window_bits = ours.window_bits(operation)
            taken = take_rounds(own, peers, backend, threads, settings.rounds, resident)
            if ours.window_bits(operation) == window_bits:
                break  # else a round paid for a larger table
        return _figures(ours, operation, backend, threads, own, peers, taken)


@dataclass(frozen=True)
class _Sizes:
    """Batches: to make a table with, the smallest and the largest to time."""

    warming: int
    least: int
    most: int


def _sizes(settings: Settings, operation: Operation, backend: str, bits: int) -> _Sizes:
    if not is_device(backend):
        return _Sizes(_WARMING_BATCH, _SMALL_BATCH, operation.most)
    least, most = batches(bits, settings.quick)
    if operation.name == "matmul":  # as many ciphertexts are gathered for a row as it has weights
        least, most = max(1, least // MATRIX_COLUMNS), max(1, most // MATRIX_COLUMNS)
    return _Sizes(least, least, most)


def _verified(timed: Timed, what: str) -> Timed:
    verify(timed.case, what)
    return timed


def _peers(settings: Settings, ours: Ours, sessions: dict[str, PeerSession], operation: Operation) -> Iterator[Timed]:
    def timed(make: Callable[[int], Case]) -> Timed:
        verify(make(4), f"{operation.name} at {ours.bits} bits")
        return suitable(make, min(operation.most, _MOST_OF_A_PEER), settings.sample_seconds)

    if operation.name == "matmul":
        yield timed(lambda count: entry_by_entry(ours, count))
    for session in sessions.values():
        for index in range(len(session.cases(operation, 1))):
            yield timed(lambda count, session=session, index=index: session.cases(operation, count)[index])  # type: ignore[misc]


def _figures(
    ours: Ours, operation: Operation, backend: str, threads: int, own: Timed, peers: list[Timed], taken: Rounds
) -> Row:
    window_bits = ours.window_bits(operation)
    products = floor.limb_products(
        operation.name,
        backend,
        ours.bits,
        window_bits=window_bits,
        count=own.case.count,
        slots=ours.slots(operation),
    )
    instructions = floor.instructions(backend, products)
    device = is_device(backend)
    rates = [own.operations / seconds.on(device) for seconds in taken.ours]
    peaks = Range.of(taken.peaks)
    return Row(
        operation=operation,
        bits=ours.bits,
        backend=backend,
        threads=threads,
        batch=own.case.count,
        device=device,
        emulated=is_emulated(backend),
        randomisation=own.case.randomisation,
        window_bits=window_bits,
        per_core_second=None if device else Range.of(rates),
        per_wall_second=Range.of([own.operations / seconds.wall for seconds in taken.ours]),
        speed_up=Range.of([one.wall / all_.wall for one, all_ in zip(taken.one_thread, taken.ours, strict=True)])
        if taken.one_thread
        else None,
        over_resident=Range.of(
            [moved.wall / stays.wall for moved, stays in zip(taken.ours, taken.resident, strict=True)]
        )
        if taken.resident
        else None,
        limb_products=products,
        peak_percent=Range.of(
            [100 * rate * instructions / peak for rate, peak in zip(rates, taken.peaks, strict=True)]
        ),
        floor_per_second=peaks.median / instructions,
        peers=tuple(
            _peer_figure(own.case, peer, rates, [peer.operations / seconds.cpu for seconds in times])
            for peer, times in zip(peers, taken.peers, strict=True)
        ),
    )


def _peer_figure(own: Case, peer: Timed, rates: list[float], peer_rates: list[float]) -> PeerFigure:
    return PeerFigure(
        peer=peer.case.library,
        method=peer.case.method,
        randomisation=peer.case.randomisation,
        unlike=_unlike(own, peer.case),
        batch=peer.case.count,
        per_core_second=Range.of(peer_rates),
        ratio=Range.of([rate / other for rate, other in zip(rates, peer_rates, strict=True)]),
    )


def _unlike(own: Case, peer: Case) -> str | None:
    """Return all in which the peer's case is unlike ours."""
    reasons = []
    if own.randomisation is not None and peer.randomisation is not None:
        reasons.append(own.randomisation.difference(peer.randomisation))
    reasons.append(peer.caveat)
    return "; ".join(reason for reason in reasons if reason is not None) or None
