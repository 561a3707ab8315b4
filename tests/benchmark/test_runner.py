from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import cipherlane as cl
from cipherlane import _native
from cipherlane.benchmark import OPERATIONS, PEERS, Range, Row, Settings, VerificationError, measure, planned
from cipherlane.benchmark.cases import Case, verify
from cipherlane.benchmark.operations import Operation
from cipherlane.benchmark.ours import Ours
from cipherlane.benchmark.peers.gmpy2_peer import Gmpy2Peer
from cipherlane.benchmark.peers.peer import PeerSession
from cipherlane.benchmark.randomisation import Randomisation


def test_every_operation_is_measured(rows: dict[str, Row], settings: Settings) -> None:
    assert list(rows) == [name for name in OPERATIONS if name != "host-to-host"]
    assert len(rows) == planned(settings)
    for row in rows.values():
        assert (row.bits, row.backend, row.threads, row.batch) == (1024, settings.backends[0], 1, 5)
        for measured in (row.per_core_second, row.per_wall_second, row.peak_percent):
            assert 0 < measured.low <= measured.median <= measured.high
        assert row.limb_products > 0
        assert row.speed_up is None
        assert (row.window_bits > 0) == (row.operation.noise in ("djn", "exact", "short"))
        assert row.peers


def test_rows_say_how_ciphertexts_are_randomised(rows: dict[str, Row]) -> None:
    assert {name: row.label for name, row in rows.items() if row.label} == {
        "encrypt": "DJN, alpha 512 bits",
        "encrypt-classic": "classic r^n",
        "encrypt-short": "short, 448 bits",
        "holder-short": "short, 448 bits",
        "holder-djn": "DJN, alpha 512 bits",
        "holder-exact": "exact noise",
        "holder-classic": "classic r^n",
        "encode-encrypt": "DJN, alpha 512 bits",
        "packed": "DJN, alpha 512 bits",
        "rerandomize": "DJN, alpha 512 bits",
    }


def test_like_is_compared_with_like(rows: dict[str, Row]) -> None:
    def unlike(operation: str) -> list[tuple[str, str | None]]:
        return sorted((figure.peer, figure.unlike) for figure in rows[operation].peers)

    classic = "classic r^n"
    for operation in ("encrypt", "rerandomize", "encode-encrypt"):
        figures = rows[operation].peers
        assert {(figure.peer, figure.unlike) for figure in figures} == {
            ("gmpy2", None), ("gmpy2", classic), ("phe", classic)
        }  # fmt: skip
    assert unlike("encrypt-classic") == [("gmpy2", None), ("phe", None)]
    assert unlike("encrypt-short") == [("gmpy2", None), ("phe", classic)]
    assert {reason for _, reason in unlike("decrypt-short")} == {"exponents of the size of p and q"}
    for operation in ("holder-djn", "holder-exact", "holder-classic", "holder-short"):
        assert unlike(operation) == [("gmpy2", None)]
    assert all("one value a ciphertext" in str(figure.unlike) for figure in rows["packed"].peers)
    assert unlike("matmul") == [("cipherlane", None), ("gmpy2", None), ("phe", None)]
    for operation in ("add", "subtract", "multiply", "sum", "segment-sum", "decrypt"):
        assert unlike(operation) == [("gmpy2", None), ("phe", None)]


def test_randomisations_differ_by_kind_length_and_who_makes_them() -> None:
    djn, classic = Randomisation("djn", 1024), Randomisation("classic", 2048)
    assert djn.difference(djn) is None
    assert djn.difference(Randomisation("djn", 448)) == "DJN, alpha 448 bits"
    assert djn.difference(classic) == "classic r^n"
    assert classic.difference(djn) == "DJN, alpha 1024 bits"
    assert djn.difference(Randomisation("djn", 1024, holder=True)) == "DJN, alpha 1024 bits, by the private key"
    assert Randomisation("exact", 1024, True).difference(Randomisation("classic", 1024, True)) is None
    assert Randomisation("short", 448).label == "short, 448 bits"
    assert djn.difference(Randomisation("short", 1024)) == "short, 1024 bits"
    with pytest.raises(ValueError, match="noise: expected one of djn, classic, exact, short, got 'pink'"):
        Randomisation("pink", 1)


def test_several_threads_are_compared_with_one(tiny: Callable[..., Settings]) -> None:
    before = _native.thread_count()
    (row,) = measure(tiny(operations=["add"], threads=[2], against=[]))
    assert row.threads == 2
    assert row.speed_up is not None
    assert row.speed_up.low > 0
    assert row.peers == ()
    assert _native.thread_count() == before


def test_the_batch_is_swept_and_chosen_where_it_is_not(tiny: Callable[..., Settings]) -> None:
    settings = tiny(operations=["add"], batches=[3, 17], against=[])
    assert [row.batch for row in measure(settings)] == [3, 17]
    (row,) = measure(replace(settings, batches=(None,)))
    assert 16 <= row.batch <= OPERATIONS["add"].most
    assert row.batch.bit_count() == 1


def test_every_backend_gives_its_own_rows_and_is_left_as_it_was(tiny: Callable[..., Settings]) -> None:
    current = cl.paillier.current_backend()
    measured = measure(tiny(operations=["add", "decrypt"], backends=cl.backends(), against=[]))
    first = next(measured)
    assert cl.paillier.current_backend() == current
    assert [first.backend, *(row.backend for row in measured)] == [name for name in cl.backends() for _ in range(2)]


class _WrongSession(PeerSession):
    """gmpy2, but one sum in the middle of the batch is off by one."""

    def __init__(self, session: PeerSession, timed: list[str]) -> None:
        self.session = session
        self.timed = timed

    def cases(self, operation: Operation, count: int) -> list[Case]:
        (case,) = self.session.cases(operation, count)

        def wrong() -> list[Any]:
            self.timed.append(operation.name)
            result = case.run()
            result[count // 2] = result[count // 2] * self.session.n % self.session.square + 1
            return result

        return [replace(case, run=wrong)]


class _WrongPeer(Gmpy2Peer):
    def __init__(self) -> None:
        self.timed: list[str] = []

    def session(self, ours: Ours) -> PeerSession:
        return _WrongSession(super().session(ours), self.timed)


def test_a_wrong_result_of_a_peer_is_found_before_anything_is_timed(
    monkeypatch: pytest.MonkeyPatch, tiny: Callable[..., Settings]
) -> None:
    peer = _WrongPeer()
    monkeypatch.setitem(PEERS, "gmpy2", peer)
    with pytest.raises(VerificationError, match=r"gmpy2: add at 1024 bits .* wrong .* 1 of 4 places .* index 2"):
        list(measure(tiny(operations=["add"], against=["gmpy2"])))
    assert peer.timed == ["add"]


@pytest.mark.parametrize("name", ["encrypt", "add", "decrypt", "to-bytes", "sum"])
def test_a_wrong_result_of_ours_is_found(
    name: str, monkeypatch: pytest.MonkeyPatch, tiny: Callable[..., Settings]
) -> None:
    original = Ours._work

    def planted(self: Ours, operation: Operation, count: int) -> tuple[Callable[[], Any], Callable[..., list[Any]]]:
        run, plaintexts = original(self, operation, count)
        return run, lambda result, indices: [value + 1 for value in plaintexts(result, indices)]

    monkeypatch.setattr(Ours, "_work", planted)
    with pytest.raises(VerificationError, match=f"cipherlane: {name} at 1024 bits"):
        list(measure(tiny(operations=[name], against=[])))


def test_what_is_checked_is_spread_over_the_batch() -> None:
    seen: list[int] = []

    def plaintexts(result: list[int], indices: list[int]) -> list[int]:
        seen.extend(indices)
        return [result[index] for index in indices]

    numbers = list(range(1000))
    verify(Case("library", "how", 1000, lambda: numbers, numbers, plaintexts), "counting")
    assert len(seen) == 64
    assert (seen[0], seen[-1]) == (0, 999)
    with pytest.raises(VerificationError, match="64 of 64 places"):
        verify(Case("library", "how", 1000, lambda: [*numbers[1:], 0], numbers, plaintexts), "counting")


def test_a_range_is_median_low_and_high() -> None:
    assert Range.of([5.0, 1.0, 2.0, 4.0]) == Range(3.0, 1.0, 5.0)
