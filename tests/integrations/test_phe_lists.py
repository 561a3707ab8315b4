"""Functions on whole lists beside python-paillier's loops, and Cipherlane's arrays made of them."""

from __future__ import annotations

import math
import random
from fractions import Fraction

import numpy as np
import phe as theirs
import pytest

import cipherlane as cl
from cipherlane.integrations import phe as ours

from phe_pairs import NUMBERS, pair_of, state

pytestmark = pytest.mark.filterwarnings("ignore::cipherlane.paillier.WeakKeyWarning")


def mixed(public_key, count, seed):
    """Return numbers of many exponents, the same for the same seed whatever the library."""
    rng = random.Random(seed)
    values = [rng.choice([rng.randrange(-99, 99), rng.uniform(-1, 1), rng.uniform(-1, 1) * 1e6]) for _ in range(count)]
    return values, [public_key.encrypt(value, r_value=rng.randrange(2, 2**64)) for value in values]


@pytest.mark.parametrize("count", [1, 5, 30])
def test_lists_give_what_python_paillier_gives_one_by_one(our_keys, their_keys, count):
    (_, here), (_, there) = (mixed(keys[0], count, 1) for keys in (our_keys, their_keys))
    (weights, others_here), (_, others_there) = (mixed(keys[0], count, 2) for keys in (our_keys, their_keys))
    assert state(ours.sum_batch(here)) == state(sum(there))
    assert state(ours.dot_batch(weights, here)) == state(sum(w * x for w, x in zip(weights, there, strict=True)))
    products = ours.multiply_batch(here, weights)
    assert [*map(state, products)] == [state(x * w) for w, x in zip(weights, there, strict=True)]
    sums = ours.add_batch(here, others_here)
    assert [*map(state, sums)] == [state(x + y) for x, y in zip(there, others_there, strict=True)]
    expected = [their_keys[1].decrypt(x + y) for x, y in zip(there, others_there, strict=True)]
    assert our_keys[1].decrypt_batch(sums) == expected
    assert our_keys[1].decrypt_batch(iter(sums)) == expected


def test_sums_of_positive_exponents_begin_with_0(core_keys):
    public_key, private_key = core_keys
    there = theirs.PaillierPublicKey(public_key.n)
    here = public_key.encrypt_batch([1e30, 3e40])
    assert min(number.exponent for number in here) > 0
    copies = [theirs.EncryptedNumber(there, *state(number)) for number in here]
    assert state(ours.sum_batch(here)) == state(sum(copies))
    assert state(ours.dot_batch([2, 3], here)) == state(sum(w * x for w, x in zip([2, 3], copies, strict=True)))
    assert private_key.decrypt(ours.sum_batch(here)) == int(1e30) + int(3e40)


@pytest.mark.parametrize("precision", [None, 1e-3])
def test_lists_are_encrypted_as_one_by_one(our_keys, their_keys, precision):
    values = [*NUMBERS, 2**100, -(2**100)]
    numbers = our_keys[0].encrypt_batch(values, precision)
    there = [their_keys[0].encrypt(value, precision) for value in values]
    assert [number.exponent for number in numbers] == [number.exponent for number in there]
    assert our_keys[1].decrypt_batch(numbers) == [their_keys[1].decrypt(number) for number in there]
    assert our_keys[1].decrypt_batch(our_keys[0].encrypt_batch(np.arange(-5, 5))) == list(range(-5, 5))
    array = np.array([0.1, -7.5], dtype=np.float32)
    assert our_keys[1].decrypt_batch(our_keys[0].encrypt_batch(array)) == array.tolist()
    encoded = [ours.EncodedNumber.encode(our_keys[0], 5, max_exponent=-3)]
    assert [number.exponent for number in our_keys[0].encrypt_batch(encoded)] == [-3]
    assert our_keys[0].encrypt_batch([]) == our_keys[1].decrypt_batch([]) == []


def test_one_exponent_for_all(our_keys):
    public_key, private_key = our_keys
    values = [1e6, 1e-6, 3, -2.5, 1 / 3]
    numbers = public_key.encrypt_batch(values, exponent=-6)
    assert {number.exponent for number in numbers} == {-6}
    assert private_key.decrypt_batch(numbers) == [round(Fraction(v) * 16**6) / 16**6 for v in values]
    # Ties go to the even neighbour, as Python rounds.
    ties = [ours.EncodedNumber.at_exponent(public_key, v, 0).decode() for v in (0.5, 1.5, 2.5, -0.5, -1.5)]
    assert ties == [0, 2, 2, 0, -2]
    assert private_key.decrypt_batch(public_key.encrypt_batch([8, 9, 24, 25], exponent=1)) == [0, 16, 32, 32]
    assert [ours.EncodedNumber.at_exponent(public_key, v, 10**15).encoding for v in (1e300, -(2**3000))] == [0, 0]
    with pytest.raises(ValueError, match="precision, exponent"):
        public_key.encrypt_batch(values, precision=0.1, exponent=-6)


LIST_MISTAKES = [
    (TypeError, r"values\[1\]: scalar", lambda pub, priv, x: pub.encrypt_batch([1, "2"])),
    (ValueError, r"values\[2\]", lambda pub, priv, x: pub.encrypt_batch([1, 2, pub.n])),
    (OverflowError, r"values\[0\]", lambda pub, priv, x: pub.encrypt_batch([float("inf")])),
    (TypeError, "values", lambda pub, priv, x: pub.encrypt_batch("123")),
    (TypeError, "values: .*got int", lambda pub, priv, x: pub.encrypt_batch(5)),
    (TypeError, "factors: .*got int", lambda pub, priv, x: ours.multiply_batch([x], 2)),
    (TypeError, r"weights\[0\]", lambda pub, priv, x: ours.dot_batch(["2"], [x])),
    (TypeError, "numbers: .*got EncryptedNumber", lambda pub, priv, x: priv.decrypt_batch(x)),
    (TypeError, "a: .*got EncryptedNumber", lambda pub, priv, x: ours.add_batch(x, [x])),
    (ValueError, "one axis", lambda pub, priv, x: pub.encrypt_batch(np.ones((2, 2)))),
    (TypeError, r"numbers\[1\]", lambda pub, priv, x: priv.decrypt_batch([x, 5])),
    (ValueError, "numbers", lambda pub, priv, x: priv.decrypt_batch([ours.PaillierPublicKey(126869).encrypt(1)])),
    (ValueError, r"numbers\[1\]", lambda pub, priv, x: ours.sum_batch([x, ours.PaillierPublicKey(126869).encrypt(1)])),
    (OverflowError, r"numbers\[1\]", lambda pub, priv, x: priv.decrypt_batch([x, pub.encrypt(pub.max_int) + 1])),
    (ValueError, "at least one", lambda pub, priv, x: ours.sum_batch([])),
    (ValueError, "weights", lambda pub, priv, x: ours.dot_batch([1, 2], [x])),
    (ValueError, "factors", lambda pub, priv, x: ours.multiply_batch([x], [])),
    (ValueError, "b: expected as many", lambda pub, priv, x: ours.add_batch([x], [x, x])),
    (TypeError, r"b\[0\]", lambda pub, priv, x: ours.add_batch([x], [3])),
]


@pytest.mark.parametrize("error, message, mistake", LIST_MISTAKES)
def test_mistakes_in_lists_name_the_place(our_keys, error, message, mistake):
    with pytest.raises(error, match=message):
        mistake(*our_keys, our_keys[0].encrypt(1))


def test_to_and_from_cipherlanes_arrays(core_keys):
    public_key, private_key = core_keys
    key = private_key.cipherlane_key
    values = [1.5, -2, 1000.25, 3, 0.1]
    numbers_of_floats = public_key.encrypt_batch(values)
    array = ours.to_cipher_array(numbers_of_floats, magnitude=1001)
    assert key.decrypt(array).tolist() == values
    assert key.decrypt(array.sum() * 2)[()] == float(2 * sum(Fraction(v) for v in values))
    for same in (np.int64(1001), np.float32(1001)):
        assert ours.to_cipher_array(numbers_of_floats, magnitude=same).bound == array.bound
    numbers = ours.from_cipher_array(public_key, array)
    assert private_key.decrypt_batch(numbers) == values and len({number.exponent for number in numbers}) == 1
    for scale_bits in (0, 1, 30, 32, 35):
        fresh = public_key.cipherlane_key.encrypt([3, -4], codec=cl.FixedPoint(scale_bits=scale_bits))
        (three, minus_four) = ours.from_cipher_array(public_key, fresh)
        assert three.exponent == -math.ceil(scale_bits / 4) and three.is_obfuscated == (scale_bits % 4 == 0)
        assert private_key.decrypt_batch([three, minus_four]) == [3, -4]
    too_small = ours.to_cipher_array(public_key.encrypt_batch(values), magnitude=10)
    with pytest.raises(ValueError, match="bound"):
        key.decrypt(too_small)
    with pytest.raises(cl.PlaintextOverflowError):
        ours.to_cipher_array(public_key.encrypt_batch(values), magnitude=2.0**1000)
    with pytest.raises(cl.PlaintextOverflowError, match="max_int"):
        ours.from_cipher_array(
            public_key, cl.paillier.hazmat.from_integers(public_key.cipherlane_key, [numbers[0].ciphertext()])
        )
    with pytest.raises(ValueError, match="one value"):
        packed = public_key.cipherlane_key.encrypt([1, 2], codec=cl.Packed(slot_bits=64, scale_bits=8, headroom_bits=8))
        ours.from_cipher_array(public_key, packed)
    other = pair_of(ours, 512)[0]
    with pytest.raises(ValueError, match="modulus"):
        ours.from_cipher_array(other, array)
    with pytest.raises(ValueError, match="1024 to 4096"):
        ours.to_cipher_array(other.encrypt_batch([1]), magnitude=1)
    for wrong in (0, -1, math.inf, "1"):
        with pytest.raises(ValueError, match="magnitude"):
            ours.to_cipher_array(numbers, magnitude=wrong)
    with pytest.raises(TypeError, match="array"):
        ours.from_cipher_array(public_key, numbers)
