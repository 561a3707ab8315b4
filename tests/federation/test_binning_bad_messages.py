"""Messages of a binning that are wrong or out of turn: refused, with the party that sent them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mixed_columns import WritePlan, refused

import cipherlane as cl
from cipherlane.federation import binning_coordinator, binning_guest, binning_host, row_matching
from cipherlane.paillier import hazmat
from cipherlane.vertical.label_sums import LABEL_CODEC, pack_sums
from cipherlane.vertical.messages import pack_sealed


def _sums_of(change: Callable[[Any, int], Any]) -> Callable[[Any, int], Any]:
    def changed(sums: Any, rows: int) -> Any:
        return change(pack_sums(sums, rows), rows)

    return changed


def test_a_host_that_answers_with_wrong_sums_is_named(write_mixed: WritePlan, tmp_path: Path, monkeypatch) -> None:
    plan = write_mixed()
    for change, said in [
        (lambda packed, rows: cl.concatenate([packed, packed.rerandomize()]), "expected the sums of .* bins in"),
        (lambda packed, rows: packed[:-1], "expected the sums of .* bins in"),
        (
            lambda packed, rows: packed + 1,
            "a bin has more events than rows|the events of a column's bins are not those",
        ),
        (lambda packed, rows: -packed, "a ciphertext holds no sums of labels|more events than rows"),
        (lambda packed, rows: cl.concatenate([packed[:1]] * len(packed)), "more events than rows|are not those"),
    ]:
        monkeypatch.setattr(binning_host, "pack_sums", _sums_of(change))
        refused(plan, tmp_path / "run", said, kept=True)
    monkeypatch.undo()
    monkeypatch.setattr(binning_host, "add_labels", lambda so_far, labels, indices, bins: labels[: sum(bins)])
    refused(plan, tmp_path / "run", "from 'host'", kept=True)


@pytest.mark.parametrize(
    ("field", "change", "said"),
    [
        ("totals", lambda a: a + np.eye(1, len(a), 0, dtype=np.int64)[0], "the rows of a column's bins are not 400"),
        ("totals", lambda a: a[:-1], "expected .* sizes"),
        ("totals", lambda a: np.concatenate([[1, a[0] + a[1] - 1], a[2:]]), "fewer rows than the plan's least_rows"),
        ("bins", lambda a: a[:-1], "expected at least one bin a column"),
        ("bins", lambda a: a * 0, "expected at least one bin a column"),
        ("ordered", lambda a: a + 1, "at most so many in order"),
        ("names", lambda a: ["one"], "expected 6 names"),
    ],
)
def test_a_host_whose_bins_contradict_themselves_is_named(
    write_mixed: WritePlan, tmp_path: Path, monkeypatch, field: str, change, said: str
) -> None:
    def changed(kind: str, round_number: int, **fields: Any) -> bytes:
        if kind == "bin_layout":
            fields[field] = change(fields[field])
        return pack_sealed(kind, round_number, **fields)

    monkeypatch.setattr(row_matching, "pack_sealed", changed)
    refused(write_mixed(), tmp_path / "run", f"bins of 'host': .*{said}", kept=True)


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("kept", lambda a: a[:-1]),
        ("merges", lambda a: a[:-1]),
        ("merges", lambda a: a + 1),
        ("woe", lambda a: np.ones(3)),
        ("told", lambda a: np.ones(9, dtype=np.uint8)),
        ("told", lambda a: np.ones(6, dtype=np.uint8)),
    ],
)
def test_a_verdict_that_does_not_fit_is_refused(
    write_mixed: WritePlan, tmp_path: Path, monkeypatch, field: str, change
) -> None:
    def changed(kind: str, round_number: int, **fields: Any) -> bytes:
        if kind == "bin_verdict":
            fields[field] = change(fields[field])
        return pack_sealed(kind, round_number, **fields)

    monkeypatch.setattr(row_matching, "pack_sealed", changed)
    refused(write_mixed(), tmp_path / "run", "verdict from 'guest': does not fit the bins of 'host'", kept=True)


def test_labels_without_randomness_are_refused_by_the_host(write_mixed: WritePlan, tmp_path: Path, monkeypatch) -> None:
    def bare(key: Any, events: Any) -> bytes:
        public = key.public_key
        plain = [hazmat.encrypt(public, int(event), 1) for event in events]
        return hazmat.from_integers(public, plain, codec=LABEL_CODEC).to_bytes(rerandomize=False)

    monkeypatch.setattr(binning_guest, "encrypt_labels", bare)
    refused(write_mixed(), tmp_path / "run", "ciphertexts from 'guest': 400 of 400 not randomised")


def test_messages_out_of_turn_are_refused(write_mixed: WritePlan, tmp_path: Path, monkeypatch) -> None:
    coordinator = binning_coordinator.BinningCoordinator
    plan = write_mixed()

    def early(self: Any) -> Iterator[int]:
        self._ask("send_bin_sums", 1, {"host": {}})
        yield 1

    monkeypatch.setattr(coordinator, "add_labels", early)
    refused(plan, tmp_path / "run", "sums are asked for before labels|before the labels of all rows")
    monkeypatch.undo()
    original = coordinator.add_labels

    def twice(self: Any) -> Iterator[int]:
        yield from original(self)
        self._ask("encrypt_labels", 1, {"guest": {}})

    monkeypatch.setattr(coordinator, "add_labels", twice)
    refused(plan, tmp_path / "run", "replayed message: 'encrypt_labels' of round 1", kept=True)
