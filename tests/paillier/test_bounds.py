"""The bound that keeps sums from wrapping, and input that is refused with a message that helps."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import cipherlane as cl

pytestmark = pytest.mark.usefixtures("backend")


def test_the_bound_follows_the_operations(public_key):
    x = public_key.encrypt(np.arange(12.0).reshape(4, 3))
    one = 2**104
    assert x.bound == one
    assert (x + x).bound == (x - x).bound == (x + 1.0).bound == 2 * one
    assert (-x).bound == x[1:].bound == x.T.bound == x.rerandomize().bound == one
    assert x.sum(axis=0).bound == 4 * one
    assert x.sum().bound == 12 * one
    assert (x * 5).bound == 8 * one
    assert (x * np.array([1, -4, 2])).bound == 4 * one
    assert (x * 0.001).bound == (x * 1e18).bound == one * 2**104
    assert (np.array([[1, 2, -3, 0]]) @ x).bound == 8 * one
    assert x.segment_sum([0, 1, 1, 1], 2).bound == 4 * one
    assert cl.concatenate([x, x + x]).bound == 2 * one


def test_the_bound_never_depends_on_encrypted_values(public_key):
    small, large = public_key.encrypt(np.zeros(3)), public_key.encrypt(np.full(3, 1e15))
    assert small.bound == large.bound
    assert (small + 1.0).bound == (small + 1e15).bound
    assert (small * 0.5).bound == (small * 1e15).bound


def test_a_slot_is_full_exactly_when_its_headroom_is(public_key, private_key):
    codec = cl.Packed(slot_bits=20, scale_bits=0, headroom_bits=3)
    values = np.array([2**16 - 1, -(2**16) + 1])
    x = public_key.encrypt(values, codec=codec)
    total = x
    for _ in range(7):
        total = total + x
    assert np.array_equal(private_key.decrypt(total), 8 * values)
    with pytest.raises(cl.PlaintextOverflowError, match="slot"):
        total + x
    assert np.array_equal(private_key.decrypt(x * 8), 8 * values)
    with pytest.raises(cl.PlaintextOverflowError, match="slot"):
        x * 9


def test_a_plaintext_is_full_exactly_at_half_the_modulus(public_key, private_key):
    n = public_key.n
    codec = cl.FixedPoint(scale_bits=0, integer_bits=public_key.bits - 3)
    most = 2 ** (public_key.bits - 3) - 1
    x = public_key.encrypt(np.array([most, -most], dtype=object), codec=codec)
    assert 2 * x.bound <= (n - 1) // 2 < 4 * x.bound  # n lies above 2^1023
    assert private_key.decrypt(x + x).tolist() == [2 * most, -2 * most]
    with pytest.raises(cl.PlaintextOverflowError, match="plaintext of this 1024-bit key"):
        x * 4


OVERFLOWS = {
    "x \\+ y": lambda x: x + x,
    "x - y": lambda x: x - x,
    "x \\+ values": lambda x: x + 1,
    "x \\* factors": lambda x: x * 2,
    "sum": lambda x: x.sum(),
    "matrix @ x": lambda x: np.array([1, 1]) @ x,
    "segment_sum": lambda x: x.segment_sum([0, 0], 1),
}


@pytest.mark.parametrize("name", OVERFLOWS)
def test_every_operation_stops_before_it_could_wrap(public_key, name):
    full = cl.paillier.hazmat.from_integers(public_key, cl.paillier.hazmat.to_integers(public_key.encrypt([1, 2])))
    with pytest.raises(cl.PlaintextOverflowError, match=name):
        OVERFLOWS[name](full)


def test_products_of_floats_stop_in_time(public_key):
    x = public_key.encrypt(np.array([1.0]))
    with pytest.raises(cl.PlaintextOverflowError, match="fewer integer_bits or scale_bits"):
        for _ in range(20):
            x = x * 1.5


def test_what_was_not_encrypted_as_stated_is_found_at_decryption(public_key, private_key):
    hazmat = cl.paillier.hazmat
    ciphertexts = hazmat.to_integers(public_key.encrypt([5, 1000, -1000]))
    for codec in (cl.FixedPoint(scale_bits=0), cl.FixedPoint(scale_bits=2)):
        honest = hazmat.from_integers(public_key, ciphertexts, codec=codec, bound=1000)
        assert len(private_key.decrypt(honest)) == 3
        with pytest.raises(ValueError, match=r"array\[1\].*outside the bound"):
            private_key.decrypt(hazmat.from_integers(public_key, ciphertexts, codec=codec, bound=999))


# ---- bad input ---------------------------------------------------------------------------------------------


BAD_VALUES = [
    ([1.0, np.nan], ValueError, r"values\[1\].*NaN"),
    ([[1.0, 2.0], [np.inf, 0.0]], ValueError, r"values\[1, 0\].*infinity"),
    (np.nan, ValueError, "values: expected a finite number"),
    ([1 + 2j], TypeError, "complex"),
    (["a"], TypeError, "real numbers"),
    ("12", TypeError, "real numbers"),
    (None, TypeError, "NoneType"),
    ([1, None], TypeError, r"values\[1\].*NoneType"),
    (np.array([1, 2.5], dtype=object), TypeError, r"values\[1\].*float"),
    ([[1, 2], [3]], ValueError, "rectangular"),
    (np.array(["2020-01-01"], dtype="M8[D]"), TypeError, "datetime"),
    (np.ma.array([1, 2], mask=[0, 1]), TypeError, "mask"),
    (np.array([1.0], dtype=np.longdouble), TypeError, "dtype"),
]


@pytest.mark.parametrize(("values", "error", "message"), BAD_VALUES)
def test_what_cannot_be_encrypted(public_key, private_key, values, error, message):
    for holder in (public_key, private_key):
        with pytest.raises(error, match=message):
            holder.encrypt(values)


def test_values_beyond_the_codec_are_named_by_index_and_never_shown(public_key):
    secret = 2.0**64 * 1.2345678
    with pytest.raises(cl.PlaintextOverflowError, match=r"values\[0, 1\].*2\^64.*raise integer_bits") as caught:
        public_key.encrypt([[1.0, secret]])
    assert "2345678" not in str(caught.value)
    with pytest.raises(cl.PlaintextOverflowError, match=r"values\[1\].*raise slot_bits"):
        public_key.encrypt([1, 2**60], codec=cl.Packed(scale_bits=0))
    with pytest.raises(cl.PlaintextOverflowError, match=r"x \+ values\[1\]"):
        public_key.encrypt([1.0, 2.0]) + np.array([1.0, 1e30])


@pytest.mark.parametrize("bits", [3, 10, 63, 64])
def test_the_codecs_limit_is_exact(public_key, private_key, bits):
    codec = cl.FixedPoint(scale_bits=0, integer_bits=bits)
    inside = [2**bits - 1, -(2**bits) + 1]
    assert private_key.decrypt(public_key.encrypt(np.array(inside, dtype=object), codec=codec)).tolist() == inside
    below = float(np.nextafter(2.0**bits, 0))
    assert len(public_key.encrypt(np.array([below, -below]), codec=codec)) == 2
    for outside in [2**bits, -(2**bits)]:
        with pytest.raises(cl.PlaintextOverflowError):
            public_key.encrypt(np.array([outside], dtype=object), codec=codec)
        with pytest.raises(cl.PlaintextOverflowError):
            public_key.encrypt(np.array([float(outside)]), codec=codec)


def test_a_packed_value_that_rounds_up_to_the_limit_is_refused(public_key, private_key):
    codec = cl.Packed(slot_bits=12, scale_bits=2, headroom_bits=1)  # |round(4 v)| < 2^10
    assert private_key.decrypt(public_key.encrypt([255.75, -255.75], codec=codec)).tolist() == [
        255.75,
        -255.75,
    ]
    assert private_key.decrypt(public_key.encrypt([255.874], codec=codec)).tolist() == [255.75]
    for outside in (255.875, 255.99, 256.0, -255.9):
        with pytest.raises(cl.PlaintextOverflowError):
            public_key.encrypt([0.0, outside], codec=codec)


BAD_CODECS = [
    (lambda: cl.FixedPoint(scale_bits=-1), ValueError, "scale_bits"),
    (lambda: cl.FixedPoint(scale_bits=1.5), TypeError, "scale_bits"),
    (lambda: cl.FixedPoint(integer_bits=True), TypeError, "integer_bits"),
    (lambda: cl.Packed(slot_bits=1), ValueError, "slot_bits"),
    (lambda: cl.Packed(slot_bits=20, scale_bits=24), ValueError, "raise slot_bits to at least 33"),
    (lambda: cl.Packed(axis=0), ValueError, "axis"),
    (lambda: cl.Packed(axis=True), ValueError, "axis"),
]


@pytest.mark.parametrize(("make", "error", "message"), BAD_CODECS)
def test_codecs_that_cannot_be(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_codecs_that_do_not_fit_the_key_or_the_array(public_key):
    with pytest.raises(TypeError, match="codec: expected FixedPoint"):
        public_key.encrypt([1], codec=40)
    with pytest.raises(cl.PlaintextOverflowError, match="longer key"):
        public_key.encrypt([1], codec=cl.FixedPoint(integer_bits=1100))
    with pytest.raises(cl.PlaintextOverflowError, match="at most 1022"):
        public_key.encrypt([1], codec=cl.Packed(slot_bits=1023))
    with pytest.raises(ValueError, match="at least one axis"):
        public_key.encrypt(1.0, codec=cl.Packed(axis=-1))


BAD_OPERATIONS = {
    "two ciphertexts": (lambda x: x * x, TypeError, "can only add"),
    "two ciphertexts @": (lambda x: x @ x, TypeError, "can only add"),
    "division": (lambda x: x / 2, TypeError, "reciprocal"),
    "equality": (lambda x: x == x, TypeError, "cannot be compared"),
    "hash": (hash, TypeError, "unhashable"),
    "truth": (bool, TypeError, "truth value"),
    "float": (float, TypeError, "decrypt"),
    "int": (int, TypeError, "decrypt"),
    "array": (np.asarray, TypeError, "encrypted"),
    "pickle": (pickle.dumps, TypeError, "to_bytes"),
    "shapes": (lambda x: x + np.zeros(5), ValueError, "do not broadcast"),
    "inner lengths": (lambda x: np.ones((2, 3)) @ x, ValueError, "do not fit"),
    "axes of a matrix": (lambda x: np.ones((2, 2, 2)) @ x, ValueError, "1 or 2 axes"),
    "reshape": (lambda x: x.reshape(3, 3), ValueError, "cannot reshape"),
    "reshape twice unknown": (lambda x: x.reshape(-1, -1), ValueError, "at most one -1"),
    "axis": (lambda x: x.sum(axis=2), ValueError, "axis 2 does not exist"),
    "axis twice": (lambda x: x.sum(axis=(0, -2)), ValueError, "twice"),
    "axis type": (lambda x: x.sum(axis=1.0), TypeError, "axis"),
    "index": (lambda x: x[7], IndexError, "out of bounds"),
    "number of ids": (lambda x: x.segment_sum([0], 2), ValueError, "expected shape"),
    "id too large": (lambda x: x.segment_sum([0, 2], 2), ValueError, r"segment_ids\[1\].*0 to 1, got 2"),
    "id negative": (lambda x: x.segment_sum([-1, 0], 2), ValueError, r"segment_ids\[0\]"),
    "id type": (lambda x: x.segment_sum([0.0, 1.0], 2), TypeError, "integers"),
    "segments": (lambda x: x.segment_sum([0, 1], -1), ValueError, "num_segments"),
    "segments type": (lambda x: x.segment_sum([0, 1], 2.0), TypeError, "num_segments"),
    "scalar segments": (lambda x: x.sum().segment_sum([], 1), ValueError, "at least one axis"),
    "encrypt twice": (lambda x: x.public_key.encrypt(x), TypeError, "encrypted already"),
    "NaN factor": (lambda x: x * np.nan, ValueError, "finite"),
    "string addend": (lambda x: x + "1", TypeError, "real numbers"),
    "length": (lambda x: len(x.sum()), TypeError, "no length"),
    "nothing to join": (lambda x: cl.concatenate([]), ValueError, "none"),
    "one to join": (cl.concatenate, TypeError, "in a list"),
    "other things to join": (lambda x: cl.concatenate([x, 1]), TypeError, r"arrays\[1\]"),
    "shapes to join": (lambda x: cl.concatenate([x, x[:, :1]]), ValueError, "same shape except"),
    "scalars to join": (lambda x: cl.concatenate([x.sum()]), ValueError, "at least one axis"),
    "construction": (lambda x: cl.CipherArray(), TypeError, "encrypt"),
}


@pytest.mark.parametrize("name", BAD_OPERATIONS)
def test_operations_that_make_no_sense(public_key, name):
    operation, error, message = BAD_OPERATIONS[name]
    x = public_key.encrypt(np.arange(4).reshape(2, 2))
    with pytest.raises(error, match=message):
        operation(x)


def test_keys_do_not_mix(keys):
    x, y = keys[1024].public_key.encrypt([1, 2]), keys[2048].public_key.encrypt([1, 2])
    with pytest.raises(cl.KeyMismatchError, match="same key"):
        x + y
    with pytest.raises(cl.KeyMismatchError, match="same key"):
        cl.concatenate([x, y])
    with pytest.raises(cl.KeyMismatchError, match="encrypted for"):
        keys[2048].decrypt(x)
    with pytest.raises(cl.KeyMismatchError, match="encrypted for"):
        keys[2048].rerandomize(x)
    with pytest.raises(TypeError, match="expected a CipherArray"):
        keys[1024].decrypt([1, 2])


@pytest.mark.filterwarnings("ignore::cipherlane.paillier.WeakKeyWarning")
def test_the_same_modulus_with_and_without_h_s_is_one_key(public_key, private_key):
    classic = cl.PrivateKey(private_key.p, private_key.q)
    x, y = public_key.encrypt([1, 2]), classic.public_key.encrypt([10, 20])
    assert classic.public_key != public_key
    for holder in (private_key, classic):
        assert holder.decrypt(x + y).tolist() == [11, 22]
        assert holder.decrypt(cl.concatenate([y, x])).tolist() == [10, 20, 1, 2]


def test_repr_shows_nothing_but_what_is_public(public_key):
    text = repr(public_key.encrypt([[123456.0]]))
    start = public_key.fingerprint[:16]
    assert text == f"CipherArray(shape=(1, 1), codec=FixedPoint(scale_bits=40, integer_bits=64), key={start}...)"
