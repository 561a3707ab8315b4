"""What is handed out on the GPU: decrypted values, and ciphertexts as limbs."""

from __future__ import annotations

import gc
import pickle
import random

import numpy as np
import pytest

import cipherlane as cl
from cipherlane import _native
from cipherlane.paillier import hazmat

from gpu_doubles import EMULATED, InterfaceArray, has_cupy, read_back, tensor_in


@pytest.fixture
def values(public_key, private_key):
    return private_key.decrypt(public_key.encrypt(np.arange(6.0).reshape(2, 3) - 2.5), device="cuda")


def test_decryption_may_end_on_the_gpu(public_key, private_key, hard_floats):
    for array, codec in (
        *(
            (hard_floats.reshape(4, 6), None),
            (np.arange(-3, 3), None),
            (np.array(1.25), None),
            (np.zeros((0, 2)), None),
        ),
        *((hard_floats[np.abs(hard_floats) < 99].reshape(2, -1), codec) for codec in (cl.Packed(), cl.Packed(axis=-1))),
    ):
        x = public_key.encrypt(array, codec=codec)
        expected = private_key.decrypt(x.to("cpu"))
        for source in (x, x.to("cpu")):
            got = private_key.decrypt(source, device="cuda")
            assert isinstance(got, cl.DeviceArray)
            assert (got.shape, got.dtype, got.device) == (expected.shape, expected.dtype, "cuda:0")
            assert got.to_numpy().tobytes() == expected.tobytes()
        assert isinstance(private_key.decrypt(x, device="cpu"), np.ndarray)
        assert private_key.decrypt(x).tobytes() == expected.tobytes()


def outcome(function):
    try:
        return function().tolist()
    except (ValueError, OverflowError) as error:
        return str(error)


def test_decoding_and_its_errors_are_the_hosts(public_key, private_key):
    source = random.Random(5)
    n = public_key.n
    seen = set()
    for codec, shape in (
        *((cl.FixedPoint(0), (4,)), (cl.FixedPoint(40), (4,)), (cl.Packed(64, 24, 8), (50,))),
        *(
            (cl.Packed(64, 0, 0, axis=-1), (2, 5)),
            (cl.Packed(100, 0, 3), (12,)),
            (cl.Packed(500, 100, 8, axis=-1), (2, 3)),
        ),
    ):
        for _ in range(8):
            count = cl.paillier.layout.Layout.of(shape, codec, n.bit_length()).count
            size = source.choice([20, 64, 200, 1000])
            numbers = [source.choice([1, -1]) * source.getrandbits(size) % n for _ in range(count)]
            ciphertexts = hazmat.encrypt_without_obfuscator(public_key, numbers)
            for bound in (None, 2**30):
                x = hazmat.from_integers(public_key, ciphertexts, shape=shape, codec=codec, bound=bound)
                on_host = x.to("cpu")
                expected = outcome(lambda on_host=on_host: private_key.decrypt(on_host))
                assert outcome(lambda x=x: private_key.decrypt(x)) == expected
                there = outcome(lambda x=x: private_key.decrypt(x, device="cuda").to_numpy())
                if isinstance(expected, list) and not codec.scale_bits and np.array(expected).dtype == object:
                    assert "does not fit a 64-bit integer" in there
                    seen.add("too wide")
                else:
                    assert there == expected
                    seen.add(type(expected))
    assert seen == {list, str, "too wide"}


def test_devices_that_are_not_there_are_refused(public_key, private_key):
    x = public_key.encrypt([1])
    for call in (private_key.decrypt, hazmat.to_limbs):
        with pytest.raises(ValueError, match="device: expected 'cpu' or 'cuda'"):
            call(x, device="gpu")
        with pytest.raises(TypeError, match="device"):
            call(x, device=0)


def test_interfaces_name_the_memory_itself(values):
    interface = values.__cuda_array_interface__
    assert interface == {
        "shape": (2, 3),
        "typestr": "<f8",
        "data": (interface["data"][0], False),
        "strides": None,
        "stream": None,
        "version": 3,
    }
    assert np.array_equal(read_back(interface), values.to_numpy())
    assert values.__dlpack_device__() == (2, 0)
    for arguments in ({}, {"stream": 1}, {"stream": -1}, {"stream": 2, "max_version": (1, 0)}, {"dl_device": (2, 0)}):
        capsule = values.__dlpack__(**arguments)
        assert tensor_in(capsule).data == interface["data"][0]
        tensor = _native.ForeignTensor(capsule)
        assert (tensor.address, tensor.place, tensor.type) == (interface["data"][0], (2, 0), (2, 64, 1))
        assert (tensor.shape, tensor.strides) == ([2, 3], [3, 1])


def test_dlpack_arguments_are_checked(values):
    for stream in (0, -2):
        with pytest.raises(ValueError, match="stream: expected None, -1, or 1 or more"):
            values.__dlpack__(stream=stream)
    for stream in (True, "1", 1.0):
        with pytest.raises(TypeError, match="stream: expected an int or None"):
            values.__dlpack__(stream=stream)
    for arguments in ({"copy": True}, {"dl_device": (1, 0)}, {"dl_device": (2, 1)}):
        with pytest.raises(BufferError, match="only the array's own memory on its own device"):
            values.__dlpack__(**arguments)


def test_the_ways_out_lead_in_again(public_key, private_key, values):
    expected = values.to_numpy()
    for given in (values, InterfaceArray(expected)):
        assert np.array_equal(private_key.decrypt(public_key.encrypt(given)), expected)
        assert np.array_equal(private_key.decrypt(public_key.encrypt(np.zeros((2, 3))) + given), expected)


@pytest.mark.skipif(not has_cupy(), reason="no CuPy that can use the GPU")
def test_cupy_shares_the_memory(values):
    import cupy

    for seen in (cupy.asarray(values), cupy.from_dlpack(values)):
        assert seen.data.ptr == values.__cuda_array_interface__["data"][0]
        assert np.array_equal(cupy.asnumpy(seen), values.to_numpy())
    cupy.asarray(values)[...] = 7.0
    cupy.cuda.Stream.null.synchronize()
    assert (values.to_numpy() == 7.0).all()


def test_memory_lives_as_long_as_anyone_uses_it(public_key, private_key, counts):
    values = private_key.decrypt(public_key.encrypt(np.arange(4.0)), device="cuda")
    capsule = values.__dlpack__()
    tensor = _native.ForeignTensor(values.__dlpack__())
    address = values.__cuda_array_interface__["data"][0]
    gc.collect()
    counts()
    del values, capsule
    gc.collect()
    assert counts()["live_bytes"] == 0
    interface = {"shape": (4,), "typestr": "<f8", "data": (address, False)}
    assert read_back(interface).tolist() == [0.0, 1.0, 2.0, 3.0]
    counts()
    del tensor
    gc.collect()
    freed = counts()
    assert (freed["live_bytes"], freed["waits_for_all"]) == (-32, 1), "others' work on it ends before it is overwritten"
    private_key.decrypt(public_key.encrypt(np.arange(4.0)), device="cuda").to_numpy()
    gc.collect()
    assert counts()["waits_for_all"] == 0, "nobody else has seen it"


@pytest.mark.skipif(not EMULATED, reason="only the emulated device looks into memory that is freed")
def test_secrets_are_overwritten(public_key, private_key):
    secret = np.array([1234567.125, -7654321.875])
    _native.watch_emulated_memory(secret.tobytes())
    try:
        x = public_key.encrypt(secret)
        private_key.decrypt(x)
        private_key.decrypt(x, device="cuda")
        y = public_key.encrypt(InterfaceArray(secret)) + private_key.decrypt(x, device="cuda")
        del x, y
        gc.collect()
        assert _native.emulated_counts()["found"] == 0
        plaintext = int(secret[0] * 2**40).to_bytes(16, "little")
        _native.watch_emulated_memory(plaintext)
        private_key.decrypt(public_key.encrypt(secret))
        gc.collect()
        assert _native.emulated_counts()["found"] == 0
    finally:
        _native.watch_emulated_memory(b"")


def test_an_array_tells_nothing_by_accident(values):
    assert repr(values) == "DeviceArray(shape=(2, 3), dtype=float64, device='cuda:0')"
    assert (values.ndim, values.size, values.nbytes, len(values)) == (2, 6, 48, 2)
    with pytest.raises(TypeError, match="use to_numpy"):
        np.asarray(values)
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(values)
    with pytest.raises(TypeError, match="not directly"):
        cl.DeviceArray()


@pytest.mark.parametrize("codec", [None, cl.Packed(axis=-1)])
def test_ciphertexts_leave_and_come_back_on_the_gpu(public_key, private_key, counts, codec):
    array = np.arange(240).reshape(6, 40) * 0.5
    x = public_key.encrypt(array, codec=codec)
    on_host = hazmat.to_limbs(x)
    counts()
    limbs = hazmat.to_limbs(x, device="cuda")
    assert counts()["downloaded"] == 0
    assert limbs.shape == (*x._layout.cipher_shape, 32) and limbs.dtype == np.uint64
    assert np.array_equal(limbs.to_numpy(), on_host)
    assert np.array_equal(hazmat.to_limbs(x.to("cpu"), device="cuda").to_numpy(), on_host)
    stated = {"shape": x.shape, "codec": x.codec, "scale_bits": x.scale_bits, "bound": x.bound}
    for given, expected in (
        *((limbs, array), (on_host, array), (InterfaceArray(on_host), array)),
        *((on_host[::-1], array[::-1]), (InterfaceArray(on_host[::-1]), array[::-1])),
    ):
        counts()
        y = hazmat.from_limbs(public_key, given, **stated)
        crossed = counts()
        if not isinstance(given, np.ndarray):
            assert max(crossed["downloaded"], crossed["uploaded"]) < on_host.nbytes / 4, "checked and kept there"
        assert (y.device, y.is_fresh) == ("cuda:0", False)
        assert np.array_equal(private_key.decrypt(y), expected)
        with cl.use_backend("portable"):
            assert hazmat.from_limbs(public_key, given, **stated).device == "cpu"


def test_numbers_that_are_no_ciphertexts_are_refused(public_key, on_gpu):
    limbs = hazmat.to_limbs(public_key.encrypt([1, 2, 3]))
    square = public_key.n**2
    for wrong, message in (
        (0, r"ciphertexts\[1\]: expected a number above 0"),
        (square, r"ciphertexts\[1\]: expected a number .*below n\^2"),
        (square + 1, r"below n\^2"),
        ((1 << 2048) - 1, r"below n\^2"),
        (public_key.n, r"ciphertexts\[1\]: shares a factor with the modulus"),
    ):
        changed = limbs.copy()
        changed[1] = np.frombuffer(wrong.to_bytes(256, "little"), dtype=np.uint64)
        for given in (changed, on_gpu(changed)):
            with pytest.raises(ValueError, match=message):
                hazmat.from_limbs(public_key, given)


def test_limbs_of_another_form_are_refused(public_key, on_gpu):
    for put in (np.asarray, on_gpu):
        with pytest.raises(TypeError, match="ciphertexts: expected uint64, got dtype int64"):
            hazmat.from_limbs(public_key, put(np.ones((2, 32), dtype=np.int64)))
        for shape in ((2, 31), ()):
            with pytest.raises(ValueError, match="ciphertexts: expected 32 limbs along the last axis"):
                hazmat.from_limbs(public_key, put(np.ones(shape, dtype=np.uint64)))
        with pytest.raises(ValueError, match=r"ciphertexts: expected 3 for shape \(3,\), got 2"):
            hazmat.from_limbs(public_key, put(np.ones((2, 32), dtype=np.uint64)), shape=(3,))
        assert hazmat.from_limbs(public_key, put(np.ones((0, 32), dtype=np.uint64))).shape == (0,)
    with pytest.raises(ValueError, match="shape: expected the shape of the packed values"):
        hazmat.from_limbs(public_key, np.ones((2, 32), dtype=np.uint64), codec=cl.Packed())
