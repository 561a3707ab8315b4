"""The bound on what parties send, and that vectors stand for the statistics they were made of."""

from __future__ import annotations

import numpy as np
import pytest

from cipherlane.horizontal.standardisation import column_means, column_scales, column_spreads, column_sums
from cipherlane.horizontal.statistics import from_vector, integer_bits_needed, statistics_of, statistics_size, to_vector


def _tables(seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    # One row far from all others makes the largest squares; one party with few rows and one with many.
    tables = [rng.normal(size=(size, 3)) * [1, 1e6, 1e-4] + [1e9, 0, 5] for size in (200, 3, 40)]
    tables[1][0] += [1e7, 1e11, 1e3]
    return tables


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kind", ["full", "diag"])
def test_no_number_exceeds_the_rows_of_all_parties(seed: int, kind: str) -> None:
    tables = _tables(seed)
    rows = sum(map(len, tables))
    means = column_means(sum(column_sums(table) for table in tables))
    scales = column_scales(sum(column_spreads(table, means) for table in tables), rows)
    rng = np.random.default_rng(seed)
    total = np.zeros(statistics_size(2, 3, kind))
    for table in tables:
        inputs = (table - means) / scales
        # Hard assignments that gather what is largest in one component.
        split = (inputs @ rng.normal(size=3) > 0).astype(float)
        for first in (np.ones(len(table)), split, rng.random(len(table))):
            vector = to_vector(statistics_of(inputs, np.stack([first, 1 - first], axis=1), kind), -3.0)
            assert len(vector) == statistics_size(2, 3, kind)
            assert np.abs(vector[:-1]).max() <= rows * (1 + 1e-9) < 2.0 ** integer_bits_needed(rows)
        total += vector
    assert np.abs(total[:-1]).max() <= rows * (1 + 1e-9)
    # The bound is reached: all rows in one component have N = n, and each column's squares add up to n.
    everything = np.concatenate([(table - means) / scales for table in tables])
    ones = np.stack([np.ones(rows), np.zeros(rows)], axis=1)
    np.testing.assert_allclose(to_vector(statistics_of(everything, ones, kind), 0.0).max(), rows, rtol=1e-9)


@pytest.mark.parametrize(("rows", "bits"), [(1, 2), (254, 8), (255, 9), (256, 9), (1 << 20, 21)])
def test_bits_hold_the_rows_and_the_rounding_of_their_sums(rows: int, bits: int) -> None:
    assert integer_bits_needed(rows) == bits
    assert rows * (1 + 1e-9) < 2.0**bits


@pytest.mark.parametrize("kind", ["full", "diag"])
def test_a_vector_gives_back_its_statistics_and_vectors_add_up(kind: str) -> None:
    rng = np.random.default_rng(3)
    inputs, responsibilities = rng.normal(size=(60, 4)), rng.dirichlet(np.ones(3), 60)
    parts = [statistics_of(inputs[s], responsibilities[s], kind) for s in (slice(0, 25), slice(25, 60))]
    summed, mean = from_vector(sum(to_vector(part, -1.0) for part in parts), 3, 4, kind, 60)
    whole = statistics_of(inputs, responsibilities, kind)
    np.testing.assert_allclose(summed.counts, whole.counts, atol=1e-12)
    np.testing.assert_allclose(summed.sums, whole.sums, atol=1e-12)
    np.testing.assert_allclose(summed.squares, whole.squares, atol=1e-12)
    assert (mean, summed.n_rows) == (-2.0, 60)
    with pytest.raises(ValueError, match=r"statistics: expected \d+ numbers, got shape \(5,\)"):
        from_vector(np.zeros(5), 3, 4, kind, 60)


def test_columns_that_tell_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="number 2 has no value at any party"):
        column_means(column_sums(np.array([[1.0, np.nan], [2.0, np.nan]])))
    with pytest.raises(ValueError, match="number 1 is the same in every row"):
        column_scales(np.array([0.0, 1.0]), 5)
