"""The wire form: what comes back, what is re-randomised, and that nothing malformed is taken."""

from __future__ import annotations

import hashlib
import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import cipherlane as cl
from cipherlane.paillier import hazmat

pytestmark = [
    pytest.mark.usefixtures("backend"),
    pytest.mark.filterwarnings("ignore::cipherlane.paillier.WeakKeyWarning"),
]
relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

CODECS = [
    cl.FixedPoint(),
    cl.FixedPoint(scale_bits=0, integer_bits=20),
    cl.Packed(),
    cl.Packed(slot_bits=40, scale_bits=10, headroom_bits=3, axis=-1),
]


def resealed(content: bytes) -> bytes:
    return content + hashlib.sha256(content).digest()


@pytest.fixture
def message(public_key):
    return public_key.encrypt(np.arange(6.0).reshape(2, 3)).to_bytes()


@pytest.mark.parametrize("codec", CODECS, ids=repr)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 5), (2, 0, 3), (2, 2, 40)])
def test_arrays_survive(public_key, private_key, codec, shape):
    if shape == () and isinstance(codec, cl.Packed) and codec.axis == -1:
        shape = (1,)
    values = np.round(np.random.default_rng(1).normal(size=shape) * 100)
    x = public_key.encrypt(values, codec=codec)
    for source in (x, x + x, x * 3, x - values):
        for data in (source.to_bytes(), bytearray(source.to_bytes()), memoryview(source.to_bytes())):
            y = cl.CipherArray.from_bytes(public_key, data)
            assert (y.shape, y.codec, y.scale_bits, y.bound) == (
                source.shape,
                source.codec,
                source.scale_bits,
                source.bound,
            )
            assert y.public_key is public_key
            assert np.array_equal(private_key.decrypt(y), private_key.decrypt(source))


def test_every_key_size(any_private_key):
    key = any_private_key.public_key
    x = key.encrypt([1, -2, 3])
    data = x.to_bytes()
    assert len(data) == 50 + 8 + len(f"{x.bound:x}") // 2 + 1 + 3 * key.bits // 4 + 32
    assert any_private_key.decrypt(cl.CipherArray.from_bytes(key, data)).tolist() == [1, -2, 3]


def test_the_form_is_as_documented(public_key):
    x = public_key.encrypt(np.array([[1.5, 2.5]])) * 0.5
    data = x.to_bytes(rerandomize=False)
    assert data[:8] == b"CLCA\x01\x00\x02\x00"
    assert data[8:40] == public_key.modulus_digest
    assert struct.unpack(">HHHHH", data[40:50]) == (64, 40, 0, 80, 27)
    assert struct.unpack(">QQ", data[50:66]) == (1, 2)
    assert int.from_bytes(data[66:93], "big") == x.bound == 2**208
    width = public_key.bits // 4
    assert [int.from_bytes(data[93 + i * width : 93 + (i + 1) * width], "big") for i in range(2)] == hazmat.to_integers(
        x
    )
    assert data[93 + 2 * width :] == hashlib.sha256(data[: 93 + 2 * width]).digest()


def test_only_stale_ciphertexts_are_rerandomised(public_key, private_key):
    x = public_key.encrypt([1, 2, 3])
    assert x.is_fresh and x.to_bytes() == x.to_bytes() == x.to_bytes(rerandomize=False)
    assert x.to_bytes(rerandomize=True) != x.to_bytes()
    assert private_key.encrypt([1]).is_fresh and x.rerandomize().is_fresh and x.reshape(3, 1).is_fresh
    derived = {
        "x + y": x + x,
        "x + 1": x + 1,
        "x * 1": x * 1,
        "-x": -x,
        "sum": x.sum(),
        "segment_sum": x.segment_sum([0, 1, 0], 2),
        "matrix @ x": np.eye(3, dtype=int) @ x,
        "index": x[:2],
        "concatenate": cl.concatenate([x, x]),
        "received": cl.CipherArray.from_bytes(public_key, x.to_bytes()),
    }
    for name, array in derived.items():
        assert not array.is_fresh, name
        kept = set(hazmat.to_integers(array))
        sent = cl.CipherArray.from_bytes(public_key, array.to_bytes())
        assert kept.isdisjoint(hazmat.to_integers(sent)), name
        same = cl.CipherArray.from_bytes(public_key, array.to_bytes(rerandomize=False))
        assert kept == set(hazmat.to_integers(same)), name


def test_an_empty_segment_does_not_show_once_sent(public_key, private_key):
    total = public_key.encrypt([1]).segment_sum([1], 3)
    assert hazmat.to_integers(total)[0] == hazmat.to_integers(total)[2] == 1
    sent = cl.CipherArray.from_bytes(public_key, total.to_bytes())
    assert 1 not in hazmat.to_integers(sent)
    assert private_key.decrypt(sent).tolist() == [0, 1, 0]


# ---- malformed messages ------------------------------------------------------------------------------------


def test_every_truncation_is_noticed(public_key, message):
    for length in [*range(120), *range(120, len(message), 31), len(message) - 1]:
        with pytest.raises(ValueError, match=r"data: .*(truncated|does not start)"):
            cl.CipherArray.from_bytes(public_key, message[:length])


def test_bytes_that_follow_are_noticed(public_key, message):
    for extra in (b"\0", message, bytes(256)):
        with pytest.raises(ValueError, match="followed by other bytes"):
            cl.CipherArray.from_bytes(public_key, message + extra)


@relaxed
@given(st.data())
def test_any_changed_byte_is_noticed(public_key, message, data):
    index = data.draw(st.integers(0, len(message) - 1))
    flip = data.draw(st.integers(1, 255))
    changed = message[:index] + bytes([message[index] ^ flip]) + message[index + 1 :]
    with pytest.raises(ValueError, match="data:"):
        cl.CipherArray.from_bytes(public_key, changed)


@settings(relaxed, max_examples=300)
@given(st.data())
def test_a_changed_header_under_a_new_checksum_is_noticed_or_harmless(public_key, private_key, message, data):
    index = data.draw(st.integers(0, 80))
    flip = data.draw(st.integers(1, 255))
    content = message[:-32]
    changed = content[:index] + bytes([content[index] ^ flip]) + content[index + 1 :]
    try:
        array = cl.CipherArray.from_bytes(public_key, resealed(changed))
    except ValueError as error:
        assert "data:" in str(error) or "ciphertexts" in str(error)
        return
    # What is taken says exactly what was sent.
    assert array.to_bytes(rerandomize=False) == resealed(changed)


@relaxed
@given(st.binary(max_size=300))
def test_noise_is_refused(public_key, noise):
    for data in (noise, b"CLCA\x01" + noise, b"CLCA\x01\x00\x01\x00" + public_key.modulus_digest + noise):
        with pytest.raises(ValueError, match="data:"):
            cl.CipherArray.from_bytes(public_key, data)
        with pytest.raises(ValueError, match="data:"):
            cl.CipherArray.from_bytes(public_key, resealed(data))


def header(key, kind=0, width=64, codec_scale=0, headroom=0, scale=0, bound=1, shape=(1,), version=1, zero=0, pad=0):
    encoded = b"\0" * pad + bound.to_bytes((bound.bit_length() + 7) // 8, "big")
    fixed = struct.pack(
        ">4sBBBB32sHHHHH",
        b"CLCA",
        version,
        kind,
        len(shape),
        zero,
        key.modulus_digest,
        width,
        codec_scale,
        headroom,
        scale,
        len(encoded),
    )
    return fixed + struct.pack(f">{len(shape)}Q", *shape) + encoded


def test_headers_that_are_refused(public_key):
    n, bits = public_key.n, public_key.bits
    one = b"\0" * (bits // 4 - 1) + b"\2"
    good = header(public_key) + one
    assert cl.CipherArray.from_bytes(public_key, resealed(good)).bound == 1
    for fields, message in [
        ({"version": 2}, "expected version 1"),
        ({"kind": 3}, "codec 3 is unknown"),
        ({"zero": 1}, "contradicts itself"),
        ({"headroom": 1}, "contradicts itself"),
        ({"pad": 1}, "contradicts itself"),
        ({"scale": bits + 1}, "contradicts itself"),
        ({"width": 5000}, "integer_bits"),
        ({"width": bits}, "longer key"),
        ({"codec_scale": bits}, "longer key"),
        ({"bound": (n + 1) // 2}, "bound: the result could reach"),
        ({"shape": (2,)}, "truncated"),
        ({"shape": (0,)}, "followed by other bytes"),
        ({"shape": (2**63, 2**63)}, "at most 32 axes"),
        ({"shape": (2**62, 0)}, "at most 32 axes"),
        ({"shape": (2**40,)}, "truncated"),
        ({"shape": (1,) * 33}, "at most 32 axes"),
        ({"shape": (1,) * 200}, "at most 32 axes"),
        ({"kind": 1, "width": 1}, "slot_bits"),
        ({"kind": 1, "width": bits}, "does not fit"),
        ({"kind": 1, "width": 64, "headroom": 64}, "no room for a sign"),
        ({"kind": 1, "bound": 2**63}, "bound: the result could reach"),
        ({"kind": 2, "shape": ()}, "at least one axis"),
    ]:
        with pytest.raises(ValueError, match=message):
            cl.CipherArray.from_bytes(public_key, resealed(header(public_key, **fields) + one))


def test_numbers_that_are_no_ciphertexts_are_named(public_key, private_key):
    n, width = public_key.n, public_key.bits // 4
    for bad, message in [
        (0, r"ciphertexts\[2\]"),
        (n * n, r"ciphertexts\[2\]"),
        (256**width - 1, r"ciphertexts\[2\]"),
        (n, r"ciphertexts\[2\].*factor"),
        (private_key.p, r"ciphertexts\[2\].*factor"),
        (private_key.q * 12345, r"ciphertexts\[2\].*factor"),
    ]:
        numbers = [2, 3, bad, 4, 5]
        content = header(public_key, shape=(5,)) + b"".join(c.to_bytes(width, "big") for c in numbers)
        with pytest.raises(ValueError, match=message):
            cl.CipherArray.from_bytes(public_key, resealed(content))
    content = header(public_key, shape=(1,)) + (n * n - 1).to_bytes(width, "big")
    assert hazmat.to_integers(cl.CipherArray.from_bytes(public_key, resealed(content))) == [n * n - 1]


def test_another_key_is_named(public_key, keys, message):
    with pytest.raises(cl.KeyMismatchError, match="another key"):
        cl.CipherArray.from_bytes(keys[2048].public_key, message)
    classic = cl.PublicKey(public_key.n)
    assert cl.CipherArray.from_bytes(classic, message).shape == (2, 3)


def test_arguments_of_the_wrong_type(public_key, private_key, message):
    with pytest.raises(TypeError, match="data: expected bytes, got str"):
        cl.CipherArray.from_bytes(public_key, "CLCA")
    with pytest.raises(TypeError, match="public_key: expected a PublicKey, got PrivateKey"):
        cl.CipherArray.from_bytes(private_key, message)
