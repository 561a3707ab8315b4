"""Where arrays lie, where operations run, and that ciphertexts stay there."""

from __future__ import annotations

import gc
import operator

import numpy as np
import pytest

import cipherlane as cl
from cipherlane.paillier import hazmat

ROW_BYTES = 2 * 1024 // 8


def test_new_arrays_are_made_on_the_gpu(public_key, private_key):
    x = public_key.encrypt([1.5, -2.0])
    assert (x.device, private_key.encrypt([1]).device) == ("cuda:0", "cuda:0")
    assert cl.CipherArray.from_bytes(public_key, x.to_bytes()).device == "cuda:0"
    assert hazmat.from_integers(public_key, hazmat.to_integers(x)).device == "cuda:0"
    with cl.use_backend("portable"):
        assert public_key.encrypt([1]).device == "cpu"


@pytest.mark.parametrize("codec", [None, cl.Packed(axis=-1)])
def test_arrays_move_with_all_that_they_are(public_key, private_key, codec):
    values = np.arange(80.0).reshape(2, 40)
    x = public_key.encrypt(values, codec=codec)
    there = x.to("cpu")
    back = there.to("cuda")
    assert (x.device, there.device, back.device) == ("cuda:0", "cpu", "cuda:0")
    assert hazmat.to_integers(x) == hazmat.to_integers(there) == hazmat.to_integers(back)
    for array in (there, back):
        assert (array.shape, array.codec, array.scale_bits, array.bound, array.is_fresh) == (
            (x.shape, x.codec, x.scale_bits, x.bound, x.is_fresh)
        )
        assert np.array_equal(private_key.decrypt(array), values)
    assert x.to("cuda") is x and x.to("cuda:0") is x and there.to("cpu") is there
    assert not (there + 1).to("cuda").is_fresh


def test_names_of_other_devices_are_refused(public_key):
    x = public_key.encrypt([1])
    for name in ("gpu", "cuda:", "cuda:1", "cuda:x", "CUDA", ""):
        with pytest.raises(ValueError, match=r"device: expected 'cpu' or 'cuda' \(which is 'cuda:0'"):
            x.to(name)
    with pytest.raises(TypeError, match="device: expected 'cpu' or 'cuda'"):
        x.to(0)


def test_a_moved_array_lives_on_by_itself(public_key, private_key, counts):
    x = public_key.encrypt(np.arange(64))
    here = x.to("cpu")
    gc.collect()
    counts()
    del x
    gc.collect()
    assert counts()["live_bytes"] <= -64 * ROW_BYTES
    there = here.to("cuda")
    assert counts()["live_bytes"] >= 64 * ROW_BYTES
    assert set(here._batches) == {here._home}
    del there
    gc.collect()
    assert counts()["live_bytes"] <= -64 * ROW_BYTES
    assert np.array_equal(private_key.decrypt(here), np.arange(64))


OPERATIONS = [
    lambda x: x + np.array([1.0, 2.0, 3.0]),
    lambda x: 1 - x,
    lambda x: -x,
    lambda x: x * 3,
    lambda x: np.array([[1, -1, 2]]) @ x,
    lambda x: x.sum(),
    lambda x: x.segment_sum([1, 0, 1], 2),
    lambda x: x[::2],
    lambda x: x.reshape(3, 1).T,
    lambda x: x.rerandomize(),
    lambda x: cl.concatenate([x, x]),
    lambda x: x + x,
]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_operations_run_where_the_operand_lies(public_key, private_key, operation):
    x = public_key.encrypt([1.5, -2.0, 4.0])
    on_gpu, on_cpu = operation(x), operation(x.to("cpu"))
    assert (on_gpu.device, on_cpu.device) == ("cuda:0", "cpu")
    assert np.array_equal(private_key.decrypt(on_gpu), private_key.decrypt(on_cpu))
    with cl.use_backend("portable"):
        assert operation(x).device == "cpu"
    with cl.use_backend("cuda"):
        assert operation(x.to("cpu")).device == "cuda:0"


@pytest.mark.parametrize("operation", [operator.add, operator.sub, lambda a, b: cl.concatenate([a, b])])
def test_a_mix_goes_to_the_gpu(public_key, private_key, operation):
    x = public_key.encrypt([1.5, -2.0])
    y = public_key.encrypt([0.25, 8.0]).to("cpu")
    expected = private_key.decrypt(operation(x.to("cpu"), y))
    for a, b in ((x, y), (x.to("cpu"), y.to("cuda"))):
        result = operation(a, b)
        assert result.device == "cuda:0"
        assert np.array_equal(private_key.decrypt(result), expected)
    with cl.use_backend("portable"):
        assert operation(x, y).device == "cpu"


def test_a_choice_by_name_overrules_for_decryption_too(public_key, private_key, counts):
    x = public_key.encrypt([1, 2]).to("cpu")
    counts()
    assert private_key.decrypt(x).tolist() == [1, 2]
    assert counts()["launches"] == 0
    with cl.use_backend("cuda"):
        assert private_key.decrypt(x).tolist() == [1, 2]
    assert counts()["launches"] > 0


def test_ciphertexts_stay_on_the_device_between_operations(public_key, counts):
    """What crosses is bounded, whatever the size: no ciphertext of the batch does. Only ids of rows grow with it."""

    def crossing(size):
        x = public_key.encrypt(np.arange(size))
        y = public_key.encrypt(np.arange(size))
        ids = np.arange(size) % 3
        (x + y - x).rerandomize()  # tables are made
        counts()
        z = x + y
        z = z - x
        z = -z
        z = z.rerandomize()
        z = cl.concatenate([z, x])
        z = z.reshape(2, size)[::-1].sum(axis=0)
        z = z.segment_sum(ids, 3)
        crossed = counts()
        return crossed["uploaded"], crossed["downloaded"]

    (small_up, small_down), (large_up, large_down) = crossing(32), crossing(256)
    assert large_down <= small_down + 8 * ROW_BYTES, "an inversion asks for one number, and no more for more"
    assert large_up - small_up <= 64 * (256 - 32), "bytes of ids, a fraction of a ciphertext"
    assert small_down <= 64 * ROW_BYTES

    x = public_key.encrypt(np.arange(40))
    y = public_key.encrypt(np.arange(40))
    counts()
    x + y + x
    crossed = counts()
    assert (crossed["uploaded"], crossed["downloaded"]) == (0, 0)


def test_plaintexts_are_decoded_where_they_are(public_key, private_key, counts):
    x = public_key.encrypt(np.arange(256) * 0.5)
    private_key.decrypt(x[:2])
    counts()
    private_key.decrypt(x[:64])
    fewer = counts()["downloaded"]
    private_key.decrypt(x)
    # A value of 8 bytes, and 64 for each prime, which say that the obfuscator vanished; a plaintext has 128 more.
    assert counts()["downloaded"] - fewer == (256 - 64) * (8 + 2 * 64)
