"""Sums by bin under encryption: equal to numpy's, with few additions, packed and checked."""

from __future__ import annotations

import numpy as np
import pytest

import cipherlane as cl
from cipherlane.errors import ProtocolError
from cipherlane.paillier import hazmat
from cipherlane.vertical import grouped_sums
from cipherlane.vertical.grouped_sums import additions, group_columns, sums_by_bin
from cipherlane.vertical.label_sums import (
    LABEL_CODEC,
    add_labels,
    encrypt_labels,
    pack_sums,
    packed_count,
    read_labels,
    sum_bits,
    sums_a_ciphertext,
    unpack_sums,
)


@pytest.fixture(scope="module")
def keys() -> tuple[cl.PublicKey, cl.PrivateKey]:
    with pytest.warns(UserWarning):
        return cl.keygen(bits=1024)


def numpys(values: np.ndarray, indices: np.ndarray, bins: list[int]) -> np.ndarray:
    return np.concatenate([np.bincount(indices[:, j], values, minlength=b) for j, b in enumerate(bins)])


@pytest.mark.parametrize("rows", [1, 7, 300])
@pytest.mark.parametrize("bins", [[1], [3], [2, 5, 1, 4], [10] * 7, [40, 2, 2, 2]])
def test_sums_by_bin_are_numpys(keys, rows: int, bins: list[int]) -> None:
    public_key, private_key = keys
    rng = np.random.default_rng(rows)
    values, indices = rng.integers(-9, 10, rows), np.column_stack([rng.integers(0, b, rows) for b in bins])
    found = private_key.decrypt(sums_by_bin(public_key.encrypt(values), indices, bins))
    assert found.tolist() == numpys(values, indices, bins).tolist()


def test_columns_share_additions(keys, monkeypatch) -> None:
    public_key, private_key = keys
    rng = np.random.default_rng(0)
    values, indices = rng.integers(0, 2, 2000), rng.integers(0, 5, (2000, 6))
    added = []
    original = cl.CipherArray.segment_sum

    def counted(self, ids, count):
        added.append(len(self))
        return original(self, ids, count)

    monkeypatch.setattr(cl.CipherArray, "segment_sum", counted)
    found = private_key.decrypt(sums_by_bin(public_key.encrypt(values), indices, [5] * 6))
    assert found.tolist() == numpys(values, indices, [5] * 6).tolist()
    assert sum(added) <= additions(2000, [5] * 6) < 0.45 * 2000 * 6


@pytest.mark.parametrize(("rows", "bins"), [(100_000, [10] * 100), (50, [10] * 9), (1_000_000, [32] * 50), (5, [2])])
def test_groups_cover_every_column_once_and_never_cost_more(rows: int, bins: list[int]) -> None:
    groups = group_columns(rows, bins)
    assert [j for group in groups for j in group] == list(range(len(bins)))
    assert additions(rows, bins) <= rows * len(bins)


@pytest.mark.parametrize(
    ("indices", "bins", "said"),
    [
        (np.zeros((3, 2), dtype=int), [2], "expected shape"),
        (np.zeros((2, 1), dtype=int), [2], "expected shape"),
        (np.zeros((3, 1)), [2], "expected integers"),
        (np.array([[0], [2], [1]]), [2], "bins from 0 to 1"),
        (np.array([[0], [-1], [1]]), [2], "bins from 0 to 1"),
        (np.zeros((3, 0), dtype=int), [], "expected shape"),
    ],
)
def test_bins_that_do_not_fit_are_named(keys, indices, bins, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        sums_by_bin(keys[0].encrypt([1, 0, 1]), indices, bins)


@pytest.mark.parametrize(("rows", "columns", "bins"), [(9, 1, 2), (200, 5, 7), (500, 37, 4)])
def test_labels_come_back_as_sums_in_few_ciphertexts(keys, rows: int, columns: int, bins: int) -> None:
    public_key, private_key = keys
    rng = np.random.default_rng(rows)
    events, indices = rng.random(rows) < 0.4, rng.integers(0, bins, (rows, columns))
    sums = None
    for start in range(0, rows, 100):  # in parts
        part = slice(start, start + 100)
        labels = read_labels(public_key, encrypt_labels(private_key, events[part]), len(events[part]), "guest")
        sums = add_labels(sums, labels, indices[part], [bins] * columns)
    assert sums is not None
    packed = pack_sums(sums, rows)
    assert (
        len(packed) == packed_count(bins * columns, rows, 1024) == bins * columns // sums_a_ciphertext(rows, 1024) + 1
    )
    totals = numpys(np.ones(rows), indices, [bins] * columns).astype(np.int64)
    found = unpack_sums(private_key, packed.to_bytes(), totals, rows, "host")
    assert found.tolist() == numpys(events, indices, [bins] * columns).tolist()


def test_what_a_host_sends_cannot_be_traced_to_rows(keys) -> None:
    # Who has the key can compute the random factor of a ciphertext: without a fresh one, that of a sum would be the
    # product of those of its rows.
    public_key, private_key = keys
    labels = read_labels(public_key, encrypt_labels(private_key, np.array([True, False, True, True])), 4, "guest")
    sums = add_labels(None, labels, np.array([[0], [1], [1], [0]]), [2])
    first, second = pack_sums(sums, 4), pack_sums(sums, 4)
    assert first.is_fresh
    n = public_key.n
    factors = [{c % n for c in hazmat.to_integers(packed)} for packed in (first, second)]
    assert factors[0].isdisjoint(factors[1])
    traced = 1
    width = sum_bits(4) + 1
    for j, c in enumerate(hazmat.to_integers(sums)):
        traced = traced * pow(c, 1 << (width * j), n * n) % (n * n)
    assert traced % n not in factors[0]


def test_all_rows_in_one_bin_and_none_in_others(keys) -> None:
    public_key, private_key = keys
    labels = read_labels(public_key, encrypt_labels(private_key, np.ones(64, dtype=bool)), 64, "guest")
    sums = add_labels(None, labels, np.zeros((64, 3), dtype=int), [4, 4, 4])
    totals = np.array([64, 0, 0, 0] * 3)
    assert unpack_sums(private_key, pack_sums(sums, 64).to_bytes(), totals, 64, "host").tolist() == totals.tolist()


def test_what_does_not_fit_is_refused_with_its_sender(keys) -> None:
    public_key, private_key = keys
    data = encrypt_labels(private_key, np.array([True, False, True]))
    with pytest.raises(ProtocolError, match="from 'guest': expected 4 labels"):
        read_labels(public_key, data, 4, "guest")
    with pytest.raises(ProtocolError, match="expected 3 labels as FixedPoint"):
        read_labels(public_key, public_key.encrypt([1.0, 0.0, 1.0]).to_bytes(), 3, "guest")
    sums = add_labels(None, read_labels(public_key, data, 3, "guest"), np.array([[0], [1], [1]]), [2])
    packed = pack_sums(sums, 3)
    with pytest.raises(ProtocolError, match="from 'host': a bin has more events than rows"):
        unpack_sums(private_key, packed.to_bytes(), np.array([0, 3]), 3, "host")
    with pytest.raises(ProtocolError, match="expected the sums of 9999 bins"):
        unpack_sums(private_key, packed.to_bytes(), np.ones(9999, dtype=np.int64), 3, "host")


def test_the_cost_rule_weighs_cells_against_rows() -> None:
    assert grouped_sums.group_columns(10, [10] * 3) == [range(0, 1), range(1, 2), range(2, 3)]
    assert grouped_sums.group_columns(10**6, [2] * 4) == [range(0, 4)]


@pytest.mark.parametrize("bins", [[4, 4, 4], [2] * 6, [64], [8, 8], [1, 64]])
@pytest.mark.parametrize("piled", [0, 31, 63])
def test_sums_keep_the_bound_that_both_sides_know_however_rows_pile_up(keys, bins: list[int], piled: int) -> None:
    public_key, private_key = keys
    rows = 64
    # Some rows share one cell, the others have one each, so that every step adds as many as it can.
    cells = np.concatenate([np.zeros(piled, dtype=np.int64), np.arange(rows - piled) % np.prod(bins)])
    indices = np.column_stack(np.unravel_index(cells, bins))
    sums = sums_by_bin(public_key.encrypt(np.ones(rows, dtype=np.int64), codec=LABEL_CODEC), indices, bins)
    assert sums.bound < 1 << sum_bits(rows)
    totals = numpys(np.ones(rows, dtype=np.int64), indices, bins)
    data = pack_sums(sums, rows).to_bytes()
    assert unpack_sums(private_key, data, totals, rows, "host").tolist() == totals.tolist()
