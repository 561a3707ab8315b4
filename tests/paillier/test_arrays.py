"""CipherArray against numpy: values, shapes and scales."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import cipherlane as cl

pytestmark = pytest.mark.usefixtures("backend")

relaxed = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
floats = st.floats(-1e6, 1e6, width=32)
small_integers = st.integers(-(10**6), 10**6)
shapes = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)
ROUNDING = 2.0**-41


def float_array(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape) * 100


# ---- values come back --------------------------------------------------------------------------------------


@relaxed
@given(hnp.arrays(np.float64, shapes, elements=floats))
def test_floats_come_back_to_the_codecs_precision(public_key, private_key, values):
    decrypted = private_key.decrypt(public_key.encrypt(values))
    assert decrypted.shape == values.shape
    assert decrypted.dtype == np.float64
    assert np.all(np.abs(decrypted - values) <= ROUNDING)


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, bool])
def test_integers_come_back_exactly(public_key, private_key, dtype):
    if dtype is bool:
        values = np.array([True, False])
    else:
        values = np.array([np.iinfo(dtype).min, 0, 1, np.iinfo(dtype).max], dtype=dtype)
    decrypted = private_key.decrypt(public_key.encrypt(values))
    assert decrypted.dtype == np.int64
    assert decrypted.tolist() == [int(v) for v in values]


def test_integers_beyond_64_bits_come_back_as_python_integers(public_key, private_key):
    decrypted = private_key.decrypt(public_key.encrypt(np.array([2**64 - 1, 0], dtype=np.uint64)))
    assert decrypted.dtype == object
    assert decrypted.tolist() == [2**64 - 1, 0]
    codec = cl.FixedPoint(scale_bits=0, integer_bits=300)
    values = np.array([[2**299, -(2**299)], [5, 2**64]], dtype=object)
    decrypted = private_key.decrypt(public_key.encrypt(values, codec=codec))
    assert decrypted.tolist() == values.tolist()
    shifted = private_key.decrypt(public_key.encrypt(values, codec=cl.FixedPoint(8, 300)))
    assert shifted.tolist() == [[2.0**299, -(2.0**299)], [5.0, 2.0**64]]


@pytest.mark.parametrize("codec", [None, cl.Packed(scale_bits=0), cl.Packed(scale_bits=0, axis=-1)])
@pytest.mark.parametrize("values", [[2**62, -1], [-5], [[1, 2], [3, 4]]])
def test_object_arrays_equal_int64_arrays(public_key, private_key, values, codec):
    if codec is not None:
        values = np.clip(values, -(2**54), 2**54).tolist()
    plain = np.array(values)
    exact = np.array(values, dtype=object)
    decrypted = private_key.decrypt(public_key.encrypt(exact, codec=codec))
    assert decrypted.tolist() == plain.tolist()


def test_python_numbers_and_lists(public_key, private_key):
    assert private_key.decrypt(public_key.encrypt(3.25)).shape == ()
    assert private_key.decrypt(public_key.encrypt(7)) == 7
    assert private_key.decrypt(public_key.encrypt([[1, 2], [3, 4]])).tolist() == [[1, 2], [3, 4]]
    # numpy alone would make float64 of these two and lose the last digits of both
    assert private_key.decrypt(public_key.encrypt([2**63, -3])).tolist() == [2**63, -3]
    assert private_key.decrypt(public_key.encrypt(np.float32([1.5, 2.5]))).tolist() == [1.5, 2.5]


def test_rounding_is_to_nearest_even(public_key, private_key):
    codec = cl.FixedPoint(scale_bits=0)
    values = np.array([0.5, 1.5, 2.5, -0.5, -1.5, 2.49999999])
    assert private_key.decrypt(public_key.encrypt(values, codec=codec)).tolist() == [0, 2, 2, 0, -2, 2]


def test_empty_arrays(public_key, private_key):
    for shape in [(0,), (0, 3), (3, 0)]:
        values = np.zeros(shape)
        x = public_key.encrypt(values)
        assert private_key.decrypt(x).shape == shape
        assert private_key.decrypt(x + x).shape == shape
        assert private_key.decrypt(-x * 3 - 1).shape == shape
        assert private_key.decrypt(x.sum(axis=0)).tolist() == values.sum(axis=0).tolist()
        assert private_key.decrypt(cl.CipherArray.from_bytes(public_key, x.to_bytes())).shape == shape
        assert private_key.decrypt(x.rerandomize()).shape == shape
    assert private_key.decrypt(public_key.encrypt(np.zeros((0, 2), int)).sum()) == 0
    assert private_key.decrypt(np.ones((2, 0)) @ public_key.encrypt(np.zeros((0, 2)))).tolist() == [[0, 0]] * 2
    assert private_key.decrypt(public_key.encrypt(np.zeros((2, 0))) @ np.ones((0, 3))).shape == (2, 3)
    for axis in (None, -1):
        packed = public_key.encrypt(np.zeros((2, 0)), codec=cl.Packed(axis=axis))
        assert private_key.decrypt(packed + packed).shape == (2, 0)


# ---- arithmetic as numpy's ---------------------------------------------------------------------------------


@relaxed
@given(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3, min_side=0), st.integers(0, 99))
def test_sums_differences_and_products_broadcast_like_numpy(public_key, private_key, broadcast, seed):
    shape_a, shape_b = broadcast.input_shapes
    a, b = float_array(seed, *shape_a), float_array(seed + 1, *shape_b)
    x, y = public_key.encrypt(a), public_key.encrypt(b)
    tolerance = {"rtol": 0, "atol": 1e-8}
    for got, expected in [
        (x + y, a + b),
        (x - y, a - b),
        (x + b, a + b),
        (b + x, a + b),
        (x - b, a - b),
        (b - x, b - a),
        (x * b, a * b),
        (b * x, a * b),
        (x * np.rint(b).astype(int), a * np.rint(b)),
        (-x, -a),
    ]:
        decrypted = private_key.decrypt(got)
        assert decrypted.shape == expected.shape == got.shape
        np.testing.assert_allclose(decrypted, expected, **tolerance)


@relaxed
@given(hnp.arrays(np.int64, shapes, elements=small_integers), st.data())
def test_sums_over_axes(public_key, private_key, values, data):
    x = public_key.encrypt(values)
    axes = data.draw(st.none() | st.sets(st.integers(0, max(values.ndim - 1, 0)), max_size=values.ndim))
    axis = axes if axes is None else tuple(axes)
    keepdims = data.draw(st.booleans())
    expected = values.sum(axis=axis, keepdims=keepdims)
    got = x.sum(axis=axis, keepdims=keepdims)
    assert got.shape == np.shape(expected)
    assert np.array_equal(private_key.decrypt(got), expected)


INDICES = [
    2,
    -1,
    slice(1, 3),
    slice(None, None, -2),
    (slice(None), 0),
    (..., 1),
    (None, 2),
    [0, 3, 0],
    np.array([[1, 2], [3, 0]]),
    ([0, 1], [2, 0]),
    np.array([True, False, True, True]),
    (1, 2),
    ...,
    (),
]


@pytest.mark.parametrize("index", INDICES, ids=repr)
def test_indexing(public_key, private_key, index):
    values = np.arange(12).reshape(4, 3)
    got = public_key.encrypt(values)[index]
    assert got.shape == values[index].shape
    assert np.array_equal(private_key.decrypt(got), values[index])


def test_boolean_masks_of_the_whole_array(public_key, private_key):
    values = np.arange(12).reshape(4, 3)
    assert np.array_equal(private_key.decrypt(public_key.encrypt(values)[values > 5]), values[values > 5])


def test_shapes(public_key, private_key):
    values = np.arange(24).reshape(2, 3, 4)
    x = public_key.encrypt(values)
    assert (x.shape, x.ndim, x.size, len(x)) == ((2, 3, 4), 3, 24, 2)
    for shape in [(6, 4), (-1,), (24,), (2, -1, 2), (1, 24)]:
        assert np.array_equal(private_key.decrypt(x.reshape(shape)), values.reshape(shape))
    assert np.array_equal(private_key.decrypt(x.reshape(4, 6)), values.reshape(4, 6))
    assert np.array_equal(private_key.decrypt(x.ravel()), values.ravel())
    assert np.array_equal(private_key.decrypt(x.T), values.T)
    assert [private_key.decrypt(part).tolist() for part in x] == values.tolist()
    assert private_key.decrypt(x.reshape(24)[5].reshape(())).shape == ()


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_concatenation(public_key, private_key, axis):
    values = np.arange(24).reshape(2, 3, 4)
    x = public_key.encrypt(values)
    y = public_key.encrypt(-values[:, :, :])
    got = cl.concatenate([x, y, x + 1], axis=axis)
    assert np.array_equal(private_key.decrypt(got), np.concatenate([values, -values, values + 1], axis=axis))


def test_concatenation_brings_all_to_one_scale(public_key, private_key):
    x = public_key.encrypt([1, 2])
    y = public_key.encrypt([0.5])
    z = y * 0.25
    joined = cl.concatenate([x, y, z])
    assert private_key.decrypt(joined).tolist() == [1.0, 2.0, 0.5, 0.125]
    assert joined.scale_bits == 80


@relaxed
@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4), st.integers(0, 99), st.booleans())
def test_matrix_products(public_key, private_key, rows, inner, columns, seed, whole):
    left, right = float_array(seed, rows, inner), float_array(seed + 7, inner, columns)
    if whole:
        left = np.rint(left).astype(int)
    x = public_key.encrypt(right)
    np.testing.assert_allclose(private_key.decrypt(left @ x), left @ right, rtol=0, atol=1e-7)
    np.testing.assert_allclose(private_key.decrypt(left[0] @ x), left[0] @ right, rtol=0, atol=1e-7)
    np.testing.assert_allclose(private_key.decrypt(left @ x[:, 0]), left @ right[:, 0], rtol=0, atol=1e-7)
    np.testing.assert_allclose(private_key.decrypt(left[0] @ x[:, 0]), left[0] @ right[:, 0], rtol=0, atol=1e-7)
    np.testing.assert_allclose(private_key.decrypt(x.T @ left.T), right.T @ left.T, rtol=0, atol=1e-7)
    np.testing.assert_allclose(private_key.decrypt(x[:, 0] @ left.T), right[:, 0] @ left.T, rtol=0, atol=1e-7)
    assert (left.tolist() @ x).shape == (rows, columns)


@relaxed
@given(st.integers(0, 12), st.integers(1, 4), st.sampled_from([(), (2,), (2, 3)]), st.integers(0, 99))
def test_segment_sums(public_key, private_key, rows, segments, rest, seed):
    generator = np.random.default_rng(seed)
    values = generator.integers(-9, 9, size=(rows, *rest))
    ids = generator.integers(0, segments, size=rows)
    expected = np.zeros((segments, *rest), dtype=np.int64)
    np.add.at(expected, ids, values)
    assert np.array_equal(private_key.decrypt(public_key.encrypt(values).segment_sum(ids, segments)), expected)


def test_numpy_scalars_on_the_left(public_key, private_key):
    x = public_key.encrypt(np.array([1.5, -2.0]))
    assert private_key.decrypt(np.float64(2) * x).tolist() == [3.0, -4.0]
    assert private_key.decrypt(np.int64(1) - x).tolist() == [-0.5, 3.0]
    assert private_key.decrypt(np.array(2.0) + x).tolist() == [3.5, 0.0]


def test_operations_leave_their_operands_alone(public_key, private_key):
    x = public_key.encrypt([1, 2])
    kept = x
    x += 1
    x *= 2
    assert private_key.decrypt(kept).tolist() == [1, 2]
    assert private_key.decrypt(x).tolist() == [4, 6]
    assert copy.copy(x) is x and copy.deepcopy(x) is x


# ---- scales ------------------------------------------------------------------------------------------------


def test_scales_add_up_and_are_aligned(public_key, private_key):
    x = public_key.encrypt(np.array([1.5, -0.75]))
    product = x * 0.5
    assert (x.scale_bits, product.scale_bits, (product * 3).scale_bits) == (40, 80, 80)
    assert private_key.decrypt(product + x).tolist() == [2.25, -1.125]
    assert private_key.decrypt(x - product).tolist() == [0.75, -0.375]
    coarse = public_key.encrypt(np.array([4.0, 8.0]), codec=cl.FixedPoint(scale_bits=10))
    assert private_key.decrypt(coarse + x).tolist() == [5.5, 7.25]
    assert (coarse + x).codec == cl.FixedPoint(40, 64)


def test_a_float_added_to_integers_is_not_rounded(public_key, private_key):
    x = public_key.encrypt([1, 2])
    assert private_key.decrypt(x + 0.25).tolist() == [1.25, 2.25]
    assert private_key.decrypt(0.25 - x).tolist() == [-0.75, -1.75]
    assert private_key.decrypt(x * 0.5).tolist() == [0.5, 1.0]


def test_the_ends_of_64_bit_integers_can_be_subtracted(public_key, private_key):
    codec = cl.FixedPoint(scale_bits=0, integer_bits=70)
    x = public_key.encrypt([0, 0], codec=codec)
    ends = np.array([-(2**63), 2**63 - 1])
    assert private_key.decrypt(x - ends).tolist() == [2**63, -(2**63) + 1]
    assert private_key.decrypt(x - np.array([2**64 - 1, 3], dtype=np.uint64)).tolist() == [-(2**64) + 1, -3]
