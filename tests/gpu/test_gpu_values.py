"""Plain numbers that lie on the GPU: the integers, results and errors are those of the host."""

from __future__ import annotations

import operator

import numpy as np
import pytest

import cipherlane as cl
from cipherlane import _native
from cipherlane.paillier import gpu_arrays, plaintexts, values
from cipherlane.paillier.layout import Layout

from gpu_doubles import EMULATED, DlpackArray, InterfaceArray, has_cupy

CODECS = [
    *(
        cl.FixedPoint(),
        cl.FixedPoint(0),
        cl.FixedPoint(20, 12),
        cl.FixedPoint(400, 70),
        cl.Packed(),
        cl.Packed(axis=-1),
    ),
    *(cl.Packed(32, 0, 0), cl.Packed(40, 10, 2, axis=-1), cl.Packed(140, 70, 5), cl.Packed(1000, 300, 8)),
]
INTEGERS = {
    dtype: np.array([np.iinfo(dtype).min, np.iinfo(dtype).max, 0, 1, 2, 3], dtype=dtype).reshape(2, 3)
    for dtype in ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")
}


def outcome(function, *arguments):
    """What a call gives, as comparable lists, or the error that it raises."""
    try:
        return function(*arguments)
    except (ValueError, OverflowError, TypeError) as error:
        return type(error).__name__, str(error)


def encoded(given, codec, n, backend, negate):
    operand = plaintexts.as_operand(given, backend)
    layout = Layout.of(operand.shape, codec, n.bit_length())
    rows = plaintexts.encode(operand, (layout, layout), codec, codec.scale_bits, n, "values", negate=negate)
    return (rows.read() if isinstance(rows, _native.Plaintexts) else rows).tolist()


def arrays(hard_floats):
    grid = hard_floats.reshape(4, 6)
    yield from (
        hard_floats,
        grid,
        grid.T,
        grid[:, ::-2],
        grid[1:, 2:5],
        hard_floats[::3],
        grid.reshape(2, 2, 6)[:, ::-1],
    )
    yield from (hard_floats.astype("f4"), hard_floats[np.abs(hard_floats) < 6e4].astype("f2"), np.array(2.5))
    yield from (np.array([[True, False, True]]), np.zeros((0, 3)), np.broadcast_to(np.array([[1.5], [-2.5]]), (2, 9)))
    yield from (np.array([1.0, np.nan, np.inf]), np.array([[2.0, -np.inf]]), np.array([1.0, 1e300]), *INTEGERS.values())


@pytest.mark.parametrize("codec", CODECS, ids=str)
def test_encoding_is_bit_for_bit_the_hosts(public_key, on_gpu, hard_floats, codec):
    for array in arrays(hard_floats):
        if not array.ndim and isinstance(codec, cl.Packed) and codec.axis == -1:
            continue
        for negate in (False, True):
            expected = outcome(encoded, array, codec, public_key.n, "portable", negate)
            got = outcome(encoded, on_gpu(array), codec, public_key.n, "cuda", negate)
            assert got == expected, (array.dtype, array.shape, negate)


def test_arrays_on_the_gpu_are_encrypted_there(public_key, private_key, on_gpu, hard_floats):
    for key in (public_key, private_key):
        for array in (hard_floats.reshape(4, 6), INTEGERS["i4"], np.float32(1.5) * np.ones((2, 3), dtype="f4")):
            x = key.encrypt(on_gpu(array))
            assert (x.device, x.shape, x.scale_bits) == ("cuda:0", array.shape, 40 if array.dtype.kind == "f" else 0)
            expected = private_key.decrypt(public_key.encrypt(array))
            assert np.array_equal(private_key.decrypt(x), expected)


def test_nothing_of_them_comes_to_the_host(public_key, private_key, counts):
    large = InterfaceArray(np.arange(512.0).reshape(2, 256)[:, ::-1])
    public_key.encrypt(large)
    private_key.encrypt(large)
    x = public_key.encrypt(np.zeros((2, 256)))
    counts()
    for result in (
        lambda: public_key.encrypt(large),
        lambda: x + large,
        lambda: large - x,
        lambda: private_key.encrypt(large),
    ):
        result()
        crossed = counts()
        assert crossed["downloaded"] < 4096 and crossed["uploaded"] < 4096 + 64 * 512, crossed


OPERATIONS = [operator.add, operator.sub, lambda x, y: y + x, lambda x, y: y - x, operator.mul, lambda x, y: y * x]


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("shape", [(2, 3), (3,), (1, 3), (2, 1), (), (4, 2, 3)])
def test_arithmetic_with_them_is_the_hosts(public_key, private_key, on_gpu, operation, shape):
    x = public_key.encrypt(np.array([[1.5, -2.0, 3.25], [0.0, 5.0, -6.5]]))
    for values_ in (np.linspace(-3, 4, 24), np.arange(24) - 7):
        plain = np.resize(values_, shape)
        expected = operation(x, plain)
        got = operation(x, on_gpu(plain))
        assert (got.shape, got.bound, got.scale_bits, got.device) == (
            (expected.shape, expected.bound, expected.scale_bits, "cuda:0")
        )
        assert np.array_equal(private_key.decrypt(got), private_key.decrypt(expected))


def test_packed_rows_take_addends_from_the_gpu(public_key, private_key, on_gpu):
    for codec in (cl.Packed(axis=-1), cl.Packed(), cl.Packed(128, 40, axis=-1)):
        x = public_key.encrypt(np.arange(120).reshape(3, 40) * 0.25, codec=codec)
        for plain in (np.linspace(-9, 9, 40), np.arange(3).reshape(3, 1), np.array(2.5), np.arange(120).reshape(3, 40)):
            expected = outcome(lambda y: private_key.decrypt(y).tolist(), x + plain)
            assert outcome(lambda y: private_key.decrypt(y).tolist(), x + on_gpu(plain)) == expected


def test_matrices_and_ids_may_lie_there(public_key, private_key, on_gpu):
    x = public_key.encrypt(np.arange(6).reshape(3, 2))
    matrix, ids = np.array([[1, -2, 3], [0, 4, -5]]), np.array([1, 0, 1])
    assert np.array_equal(private_key.decrypt(on_gpu(matrix) @ x), matrix @ np.arange(6).reshape(3, 2))
    assert np.array_equal(private_key.decrypt(x.T @ on_gpu(matrix.T)), np.arange(6).reshape(3, 2).T @ matrix.T)
    assert private_key.decrypt(x.segment_sum(on_gpu(ids), 2)).tolist() == [[2, 3], [4, 6]]


def test_errors_are_the_hosts_word_for_word(public_key, on_gpu):
    x = public_key.encrypt(np.zeros((2, 3)))
    whole = public_key.encrypt(np.zeros(3), codec=cl.Packed(scale_bits=0))
    # The second of a column that is stretched over rows: its own place is named.
    column = np.array([[1.0], [np.nan]])
    wide = np.array([[1, 2**40, 3], [2**60, 0, 0]])
    for attempt in (
        lambda put: x + put(column),
        lambda put: x - put(np.array([[0.5], [-np.inf]])),
        lambda put: x + put(np.full(3, 1e300)),
        lambda put: x + put(np.zeros(4)),
        lambda put: whole + put(np.array([1.5, 2.0, 3.0])),
        lambda put: whole + put(np.array([1, 2, 2**62])),
        lambda put: x * put(column),
        lambda put: public_key.encrypt(put(wide), codec=cl.FixedPoint(0, 50)),
        lambda put: public_key.encrypt(put(wide), codec=cl.Packed(64, 8, 8, axis=-1)),
        lambda put: public_key.encrypt(put(np.array([0.0, -np.inf]))),
    ):
        expected = outcome(attempt, lambda array: array)
        assert isinstance(expected, tuple)
        assert outcome(attempt, on_gpu) == expected


def test_complex_numbers_are_refused(public_key):
    with pytest.raises(TypeError, match=r"values: expected real numbers .*, got elements of type '<c16'"):
        public_key.encrypt(InterfaceArray(np.zeros(2, dtype=complex)))
    with pytest.raises(TypeError, match=r"values: expected real numbers .*code 5 with 128 bits"):
        public_key.encrypt(DlpackArray(np.zeros(2, dtype=complex)))


def test_a_choice_by_name_brings_them_to_the_host(public_key, private_key, on_gpu):
    with cl.use_backend("portable"):
        x = public_key.encrypt(on_gpu(np.array([1.5, -2.0])[::-1]))
        y = x + on_gpu(np.array([1.0, 2.0]))
    assert (x.device, y.device) == ("cpu", "cpu")
    assert private_key.decrypt(y).tolist() == [-1.0, 3.5]


def test_addends_on_the_gpu_pull_the_sum_there(public_key, private_key, on_gpu):
    x = public_key.encrypt([1.5, 2.5]).to("cpu")
    y = x + on_gpu(np.array([1, 2]))
    assert y.device == "cuda:0" and private_key.decrypt(y).tolist() == [2.5, 4.5]


INTERFACE = {
    "not a dict": ({}, TypeError, "expected a dict"),
    "version 1": ({"version": 1}, TypeError, "expected version 2 or 3, got 1"),
    "no version": ({"version": None}, TypeError, "expected version 2 or 3, got None"),
    "masked": ({"mask": object()}, TypeError, "masked array"),
    "no shape": ({"shape": None}, TypeError, "shape: expected a tuple of int"),
    "float shape": ({"shape": (6.0,)}, TypeError, "shape: expected a tuple of int"),
    "negative shape": ({"shape": (-1, 3)}, TypeError, "shape: expected 0 or more"),
    "too few strides": ({"strides": (8,)}, TypeError, "strides: expected 2, got 1"),
    "strides of floats": ({"strides": (24.0, 8.0)}, TypeError, "strides: expected a tuple of int"),
    "no typestr": ({"typestr": None}, TypeError, "typestr: expected one like '<f8'"),
    "strange typestr": ({"typestr": "f8"}, TypeError, "typestr: expected one like '<f8'"),
    "big-endian": ({"typestr": ">f8"}, TypeError, "big-endian elements"),
    "long double": ({"typestr": "<f16"}, TypeError, "elements of type '<f16'"),
    "objects": ({"typestr": "|O8"}, TypeError, "elements of type"),
    "no data": ({"data": None}, TypeError, r"data: expected a pair \(address, read-only\)"),
    "null": ({"data": (0, False)}, ValueError, "expected the address of its memory, got 0"),
    "beyond": ({"shape": (3, 3)}, ValueError, "values: address: expected memory of cuda:0"),
    "below": ({"strides": (-24, 8)}, ValueError, "values: address: expected memory of cuda:0"),
    "far strides": ({"strides": (2**62, 8)}, ValueError, "values: "),
    "wrapping strides": ({"strides": (2**63 - 8, 2**63 - 8)}, ValueError, "values: .*further than any memory"),
    "vast": ({"shape": (2**40, 2**40), "strides": (0, 0)}, ValueError, "further than any memory"),
    "misaligned strides": ({"strides": (20, 8)}, ValueError, "multiples of the element's size, 8 bytes"),
    "stream 0": ({"stream": 0}, TypeError, "stream: expected None, or an int of 1 or more, got 0"),
    "stream of text": ({"stream": "1"}, TypeError, "stream: expected None"),
    "negative stream": ({"stream": -1}, TypeError, "stream: expected None"),
}


@pytest.mark.parametrize("case", INTERFACE)
def test_what_an_interface_says_is_checked(public_key, case):
    changes, error, message = INTERFACE[case]
    if case in ("beyond", "below") and not EMULATED:
        pytest.skip("CUDA does not tell where an allocation ends in memory that it holds")
    array = InterfaceArray(np.zeros((2, 3)), **changes)
    if case == "not a dict":
        array.__cuda_array_interface__ = [("shape", (2, 3))]
    with pytest.raises(error, match=message):
        public_key.encrypt(array)


def test_memory_of_others_is_refused(public_key):
    host = np.zeros(3)
    with pytest.raises(ValueError, match="values: address: expected memory of"):
        public_key.encrypt(InterfaceArray(host, data=(host.ctypes.data, False)))
    array = InterfaceArray(np.zeros(4))
    shifted = {"data": (array.memory.address + 4, False), "shape": (3,)}
    array.__cuda_array_interface__.update(shifted)
    with pytest.raises(ValueError, match="multiples of the element's size"):
        public_key.encrypt(array)


@pytest.mark.parametrize(
    ("changes", "device", "error", "message"),
    [
        ({}, (2, 1), ValueError, r"lies on cuda:1, and cuda:0 is in use"),
        ({}, (10, 0), TypeError, "DLPack device 10"),
        ({"device_id": 1}, (2, 0), ValueError, r"gave a tensor on \(2, 1\)"),
        ({"code": 4, "bits": 16}, (2, 0), TypeError, "code 4 with 16 bits"),
        ({"code": 2, "bits": 128}, (2, 0), TypeError, "code 2 with 128 bits"),
        ({"bits": 12}, (2, 0), TypeError, "with 12 bits"),
        ({"lanes": 2}, (2, 0), TypeError, "DLPack elements"),
        ({"data": None, "byte_offset": 0}, (2, 0), ValueError, "address of its memory"),
        ({"byte_offset": 8}, (2, 0), ValueError, "expected memory of"),
    ],
)
def test_what_a_dlpack_tensor_says_is_checked(public_key, changes, device, error, message):
    if changes == {"byte_offset": 8} and not EMULATED:
        pytest.skip("CUDA does not tell where an allocation ends in memory that it holds")
    with pytest.raises(error, match=message):
        public_key.encrypt(DlpackArray(np.zeros((2, 3)), device, **changes))


def test_a_capsule_is_used_once():
    capsule = DlpackArray(np.zeros(3)).__dlpack__()
    tensor = _native.ForeignTensor(capsule)
    assert (tensor.place, tensor.shape, tensor.type) == ((2, 0), [3], (2, 64, 1))
    with pytest.raises(TypeError, match="that nobody has used yet"):
        _native.ForeignTensor(capsule)


def test_arrays_on_the_host_are_taken_as_ever(public_key, private_key):
    class HostTensor:
        def __init__(self, array):
            self.array = array

        def __dlpack_device__(self):
            return (1, 0)

        def __dlpack__(self, *, stream=None):
            raise AssertionError("not asked for")

        def __array__(self, *arguments, **keywords):
            return self.array

    x = public_key.encrypt(HostTensor(np.array([1, 2])))
    assert private_key.decrypt(x).tolist() == [1, 2]


def test_null_is_the_address_of_nothing(public_key, private_key, on_gpu):
    assert public_key.encrypt(on_gpu(np.zeros((0, 3)))).shape == (0, 3)
    empty = InterfaceArray(np.zeros((2, 0)), data=(0, False), stream=7)
    assert private_key.decrypt(public_key.encrypt(empty)).shape == (2, 0)


def test_irregular_arrays_of_many_axes_need_a_copy(public_key, private_key):
    cube = np.zeros((2,) * 9)[..., ::-1]
    assert public_key.encrypt(InterfaceArray(cube)).shape == cube.shape
    apart = np.zeros((3,) * 9, dtype="i1")[(slice(None, None, 2),) * 9]
    with pytest.raises(ValueError, match="at most 8 axes that lie apart in memory, got 9; make a contiguous copy"):
        public_key.encrypt(InterfaceArray(apart))


def test_streams_are_waited_for(public_key, counts):
    for stream, waits in ((None, 0), (1, 1), (2, 1), (94321, 1)):
        array = InterfaceArray(np.arange(3.0), stream=stream)
        counts()
        public_key.encrypt(array)
        assert counts()["stream_waits"] == waits
    tensor = DlpackArray(np.arange(3.0))
    counts()
    public_key.encrypt(tensor)
    assert (counts()["stream_waits"], tensor.streams) == (1, [1])
    # The second version says nothing of streams.
    older = InterfaceArray(np.arange(3.0), version=2)
    counts()
    public_key.encrypt(older)
    assert counts()["waits_for_all"] >= 1


@pytest.mark.skipif(not has_cupy(), reason="no CuPy that can use the GPU")
def test_what_cupy_still_computes_is_waited_for(public_key, private_key):
    import cupy

    with cupy.cuda.Stream(non_blocking=True):
        matrix = cupy.full((2048, 2048), 1 / 2048)
        for _ in range(40):
            matrix = matrix @ matrix
        x = public_key.encrypt(matrix[:2, :3] * 8)
    assert np.array_equal(private_key.decrypt(x), np.full((2, 3), 8 / 2048))


def test_an_interface_without_streams_gives_way_to_dlpack(public_key):
    both = DlpackArray(np.arange(3.0))
    both.__cuda_array_interface__ = {"version": 2}
    public_key.encrypt(both)
    assert both.streams == [1]


def test_views_merge_axes_that_lie_together(hard_floats):
    grid = hard_floats.reshape(2, 3, 4)
    for array, lengths in ((grid, [24]), (grid[:, :, None], [24]), (grid[:, :2], [2, 8]), (grid.T, [4, 3, 2])):
        assert gpu_arrays._coalesced(array.shape, array.strides)[0] == lengths
    assert np.array_equal(values.as_values(InterfaceArray(grid.T)), grid.T)
