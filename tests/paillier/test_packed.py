"""Several values a ciphertext: what comes back, what can be computed, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import cipherlane as cl

pytestmark = pytest.mark.usefixtures("backend")

relaxed = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@relaxed
@given(
    st.integers(0, 70),
    st.sampled_from([(64, 24, 8), (33, 3, 4), (20, 0, 2), (130, 40, 9), (500, 100, 20)]),
    st.sampled_from([None, -1]),
    st.integers(0, 99),
)
def test_packed_values_come_back(public_key, private_key, length, widths, axis, seed):
    slot_bits, scale_bits, headroom_bits = widths
    codec = cl.Packed(slot_bits=slot_bits, scale_bits=scale_bits, headroom_bits=headroom_bits, axis=axis)
    most = 2.0 ** min(codec.value_bits(scale_bits), 40)
    values = np.random.default_rng(seed).uniform(-most, most, size=(2, length))
    values = np.clip(np.rint(values * 2.0**scale_bits), 1 - 2.0**52, 2.0**52 - 1) / 2.0**scale_bits
    values = np.where(np.abs(values) < most, values, 0.0)
    x = public_key.encrypt(values, codec=codec)
    slots = (public_key.bits - 2) // slot_bits
    assert x.ciphertext_count == (-(-2 * length // slots) if axis is None else 2 * -(-length // slots))
    assert np.array_equal(private_key.decrypt(x), values)
    assert np.array_equal(private_key.decrypt(x + x), 2 * values)
    assert np.array_equal(private_key.decrypt(x - (values if scale_bits else values.astype(int))), 0 * values)
    assert np.array_equal(private_key.decrypt(3 * x), 3 * values)
    assert np.array_equal(private_key.decrypt(-x), -values)
    assert np.array_equal(private_key.decrypt(private_key.encrypt(values, codec=codec)), values)
    assert np.array_equal(private_key.decrypt(cl.CipherArray.from_bytes(public_key, x.to_bytes())), values)


def test_every_slot_holds_its_extremes_next_to_every_other(public_key, private_key):
    codec = cl.Packed(slot_bits=16, scale_bits=0, headroom_bits=0)
    edges = np.array([2**15 - 1, -(2**15) + 1, 0, 1, -1])
    values = np.array([a for first in edges for second in edges for a in (first, second)])
    x = public_key.encrypt(values, codec=codec)
    assert np.array_equal(private_key.decrypt(x), values)
    assert np.array_equal(private_key.decrypt(-x), -values)


def test_a_packed_table_computes_along_its_leading_axes(public_key, private_key):
    values = np.random.default_rng(3).integers(-1000, 1000, size=(5, 2, 37)) / 8
    x = public_key.encrypt(values, codec=cl.Packed(scale_bits=3, axis=-1))
    for index in [
        0,
        slice(1, 4),
        [3, 3, 0],
        (2, 1),
        (..., slice(None)),
        (slice(None), 0),
        (None, 1),
        ([0, 1], [1, 1]),
    ]:
        assert np.array_equal(private_key.decrypt(x[index]), values[index])
    assert np.array_equal(private_key.decrypt(x.sum(axis=0)), values.sum(axis=0))
    assert np.array_equal(private_key.decrypt(x.sum(axis=(0, 1))), values.sum(axis=(0, 1)))
    assert np.array_equal(private_key.decrypt(x.sum(axis=1, keepdims=True)), values.sum(axis=1, keepdims=True))
    assert np.array_equal(private_key.decrypt(x.reshape(10, 37)), values.reshape(10, 37))
    assert np.array_equal(private_key.decrypt(x.reshape(-1, 37)), values.reshape(-1, 37))
    ids = [1, 0, 1, 3, 1]
    expected = np.zeros((4, 2, 37))
    np.add.at(expected, ids, values)
    assert np.array_equal(private_key.decrypt(x.segment_sum(ids, 4)), expected)
    matrix = np.array([[1, -1, 0, 2, 0], [0, 0, 3, 0, 1]])
    table = x[:, 0]
    assert np.array_equal(private_key.decrypt(matrix @ table), matrix @ values[:, 0])
    assert np.array_equal(private_key.decrypt(matrix[0] @ table), matrix[0] @ values[:, 0])
    factors = np.arange(-2, 3)[:, np.newaxis]
    assert np.array_equal(private_key.decrypt(table * factors), values[:, 0] * factors)
    assert np.array_equal(private_key.decrypt(table + values[0, 0]), values[:, 0] + values[0, 0])
    assert np.array_equal(private_key.decrypt(table[0] + table), values[0, 0] + values[:, 0])
    assert np.array_equal(private_key.decrypt(cl.concatenate([table, table])), np.tile(values[:, 0], (2, 1)))
    joined = cl.concatenate([x, x], axis=1)
    assert np.array_equal(private_key.decrypt(joined), np.concatenate([values, values], axis=1))


def test_an_array_packed_as_a_whole_reshapes_freely(public_key, private_key):
    values = np.arange(60).reshape(4, 15)
    x = public_key.encrypt(values, codec=cl.Packed(scale_bits=0))
    assert np.array_equal(private_key.decrypt(x.reshape(3, 20) + 1), values.reshape(3, 20) + 1)
    assert np.array_equal(private_key.decrypt(x + np.arange(15)), values + np.arange(15))


PACKED_REFUSALS = {
    "index": lambda x: x[0],
    "sum": lambda x: x.sum(),
    "segment_sum": lambda x: x.segment_sum([0, 0, 0, 0], 1),
    "matrix": lambda x: np.ones((2, 4), int) @ x,
    "right matrix": lambda x: x @ np.ones((6, 2), int),
    "concatenate": lambda x: cl.concatenate([x, x]),
    "factors": lambda x: x * np.arange(6),
    "transpose": lambda x: x.T,
    "broadcast": lambda x: x + np.zeros((3, 4, 6), int),
}


@pytest.mark.parametrize("name", PACKED_REFUSALS)
def test_what_an_array_packed_as_a_whole_refuses(public_key, name):
    x = public_key.encrypt(np.arange(24).reshape(4, 6), codec=cl.Packed(scale_bits=0))
    with pytest.raises(ValueError, match="packed"):
        PACKED_REFUSALS[name](x)


ROW_REFUSALS = {
    "column": lambda x: x[:, 0],
    "part of a row": lambda x: x[:, 1:],
    "reversed row": lambda x: x[:, ::-1],
    "element": lambda x: x[0, 0],
    "diagonal": lambda x: x[:, :4][[0, 1, 2, 3], [0, 1, 2, 3]],
    "sum of rows": lambda x: x.sum(axis=1),
    "sum of all": lambda x: x.sum(),
    "right matrix": lambda x: x @ np.ones((6, 2), int),
    "concatenate": lambda x: cl.concatenate([x, x], axis=1),
    "factors": lambda x: x * np.arange(6),
    "transpose": lambda x: x.T,
    "reshape": lambda x: x.reshape(8, 3),
    "ravel": lambda x: x.ravel(),
    "segment_sum": lambda x: x[0].segment_sum([0] * 6, 2),
    "vector": lambda x: np.ones(6, int) @ x[0],
}


@pytest.mark.parametrize("name", ROW_REFUSALS)
def test_what_a_packed_table_refuses(public_key, name):
    x = public_key.encrypt(np.arange(24).reshape(4, 6), codec=cl.Packed(scale_bits=0, axis=-1))
    with pytest.raises((ValueError, IndexError), match="packed"):
        ROW_REFUSALS[name](x)


def test_a_square_packed_tables_diagonal_is_refused(public_key):
    x = public_key.encrypt(np.arange(9).reshape(3, 3), codec=cl.Packed(scale_bits=0, axis=-1))
    with pytest.raises(IndexError, match="packed"):
        x[[0, 1, 2], [0, 1, 2]]


def test_packed_arrays_refuse_floats_where_they_would_be_rounded(public_key):
    x = public_key.encrypt(np.arange(4), codec=cl.Packed(scale_bits=0))
    with pytest.raises(TypeError, match="expected integers"):
        x * 0.5
    with pytest.raises(TypeError, match="scale_bits=0"):
        x + 0.5


def test_codecs_do_not_mix(public_key):
    x = public_key.encrypt(np.arange(4.0))
    packed = public_key.encrypt(np.arange(4.0), codec=cl.Packed())
    rows = public_key.encrypt(np.arange(4.0), codec=cl.Packed(axis=-1))
    narrow = public_key.encrypt(np.arange(4.0), codec=cl.Packed(slot_bits=50))
    for a, b in [(x, packed), (packed, x), (packed, rows), (packed, narrow)]:
        with pytest.raises(ValueError, match=r"packed and unpacked|line up"):
            a + b
