"""Raw integers: types and ranges, and ciphertexts taken over from elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

import cipherlane as cl
from cipherlane.paillier import hazmat

pytestmark = [
    pytest.mark.usefixtures("backend"),
    pytest.mark.filterwarnings("ignore::cipherlane.paillier.WeakKeyWarning"),
]


def test_one_integer_in_one_integer_out(public_key, private_key):
    c = hazmat.encrypt(public_key, 5, 7)
    assert isinstance(c, int) and [c] == hazmat.encrypt(public_key, [5], [7])
    assert hazmat.decrypt(private_key, c) == 5 and hazmat.decrypt(private_key, [c, c]) == [5, 5]
    assert hazmat.decrypt(private_key, hazmat.add(public_key, c, c)) == 10
    assert hazmat.decrypt(private_key, hazmat.multiply(public_key, c, -2)) == public_key.n - 10
    assert hazmat.decrypt(private_key, hazmat.encrypt_with_exponents(public_key, 9, 3)) == 9
    assert hazmat.encrypt_without_obfuscator(public_key, 9) == 1 + 9 * public_key.n
    assert hazmat.encrypt(public_key, [], []) == hazmat.decrypt(private_key, []) == []


BAD = [
    (
        lambda pk, sk: hazmat.encrypt(pk, -1, 1),
        ValueError,
        r"plaintexts\[0\]: expected an integer in \[0, n\)",
    ),
    (lambda pk, sk: hazmat.encrypt(pk, [0, pk.n], [1, 1]), ValueError, r"plaintexts\[1\]"),
    (lambda pk, sk: hazmat.encrypt(pk, [0, 1], [1, 0]), ValueError, r"obfuscators\[1\]: .*\[1, n\)"),
    (lambda pk, sk: hazmat.encrypt(pk, [0], [pk.n]), ValueError, r"obfuscators\[0\]"),
    (lambda pk, sk: hazmat.encrypt(pk, [0], [1, 2]), ValueError, "as many as plaintexts, 1, got 2"),
    (lambda pk, sk: hazmat.encrypt(pk, 1.0, 1), TypeError, "plaintexts: expected an integer or"),
    (lambda pk, sk: hazmat.encrypt(pk, "1", 1), TypeError, "plaintexts"),
    (lambda pk, sk: hazmat.encrypt(pk, [1, 2.0], [1, 1]), TypeError, r"plaintexts\[1\]"),
    (lambda pk, sk: hazmat.encrypt(pk, True, 1), TypeError, "plaintexts"),
    (lambda pk, sk: hazmat.encrypt_with_exponents(pk, 1, -1), ValueError, r"exponents\[0\]"),
    (lambda pk, sk: hazmat.encrypt_with_exponents(pk, 1, 1 << 512), ValueError, r"exponents\[0\]: .*2\^512"),
    (lambda pk, sk: hazmat.encrypt_with_exponents(cl.PublicKey(pk.n), 1, 1), ValueError, "with h_s"),
    (lambda pk, sk: hazmat.decrypt(sk, 0), ValueError, r"ciphertexts\[0\]: .*\[1, n\^2\)"),
    (lambda pk, sk: hazmat.decrypt(sk, [1, pk.n**2]), ValueError, r"ciphertexts\[1\]"),
    (lambda pk, sk: hazmat.decrypt(sk, [1, pk.n]), ValueError, r"ciphertexts\[1\]: shares a factor"),
    (lambda pk, sk: hazmat.add(pk, [1], [1, 1]), ValueError, "as many as a, 1, got 2"),
    (lambda pk, sk: hazmat.add(pk, 1, 0), ValueError, r"b\[0\]"),
    (lambda pk, sk: hazmat.multiply(pk, [1], []), ValueError, "factors"),
    (lambda pk, sk: hazmat.multiply(pk, 1, 1.5), TypeError, "factors"),
    (lambda pk, sk: hazmat.from_integers(pk, [0]), ValueError, r"ciphertexts\[0\]"),
    (lambda pk, sk: hazmat.from_integers(pk, [1, 2], shape=(3,)), ValueError, "expected 3 for shape"),
    (lambda pk, sk: hazmat.from_integers(pk, [1], codec=cl.Packed()), ValueError, "shape: expected"),
    (lambda pk, sk: hazmat.from_integers(pk, [1], codec="int"), TypeError, "codec"),
    (lambda pk, sk: hazmat.from_integers(pk, [1], scale_bits=-1), ValueError, "scale_bits"),
    (lambda pk, sk: hazmat.from_integers(pk, [1], bound=-1), ValueError, "bound"),
    (lambda pk, sk: hazmat.from_integers(pk, [1], bound=pk.n), cl.PlaintextOverflowError, "bound"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_what_is_refused(public_key, private_key, call, error, message):
    with pytest.raises(error, match=message):
        call(public_key, private_key)


def test_an_obfuscator_that_shares_a_factor_is_found_when_read(public_key, private_key):
    c = hazmat.encrypt(public_key, 1, private_key.p)
    with pytest.raises(ValueError, match="shares a factor"):
        hazmat.from_integers(public_key, [c])


def test_arrays_to_integers_and_back(public_key, private_key):
    values = np.arange(80).reshape(4, 20) / 4
    for codec in (cl.FixedPoint(scale_bits=8), cl.Packed(), cl.Packed(slot_bits=100, scale_bits=50, axis=-1)):
        x = public_key.encrypt(values, codec=codec)
        integers = hazmat.to_integers(x)
        assert len(integers) == x.ciphertext_count
        y = hazmat.from_integers(public_key, integers, shape=(4, 20), codec=codec, bound=x.bound)
        assert np.array_equal(private_key.decrypt(y), values)
        assert hazmat.to_integers(y) == integers


def test_values_of_another_librarys_scale(public_key, private_key):
    # 1.5 and -2.25 at 16 bits after the point
    plaintexts = [3 << 15, public_key.n - (9 << 14)]
    taken = hazmat.from_integers(
        public_key, hazmat.encrypt(public_key, plaintexts, [5, 6]), scale_bits=16, bound=1 << 40
    )
    assert private_key.decrypt(taken).tolist() == [1.5, -2.25]
    assert private_key.decrypt(taken + public_key.encrypt([1.0, 1.0])).tolist() == [2.5, -1.25]


def test_unknown_bounds_allow_no_sum(public_key, private_key):
    taken = hazmat.from_integers(public_key, hazmat.encrypt(public_key, [1, public_key.n - 1], [5, 6]))
    assert private_key.decrypt(taken).tolist() == [1, -1]
    with pytest.raises(cl.PlaintextOverflowError):
        taken + 1


def test_what_is_stated_of_ciphertexts_can_be_stated_anew(public_key, private_key):
    x = public_key.encrypt([[3, -5]])
    halves = hazmat.restate(x, scale_bits=1, codec=cl.FixedPoint(scale_bits=20, integer_bits=8))
    assert hazmat.to_integers(halves) == hazmat.to_integers(x) and halves.is_fresh
    assert (halves.shape, halves.scale_bits, halves.bound) == ((1, 2), 1, x.bound)
    assert private_key.decrypt(halves).tolist() == [[1.5, -2.5]]
    # The codec's scale is that of what is added and multiplied from now on.
    assert private_key.decrypt(halves * 0.25).tolist() == [[0.375, -0.625]]
    with pytest.raises(ValueError, match="outside the bound"):
        private_key.decrypt(hazmat.restate(x, bound=4))
    with pytest.raises(cl.PlaintextOverflowError, match="bound"):
        hazmat.restate(x, bound=public_key.n)
    with pytest.raises(ValueError, match="expected 1 for shape"):
        hazmat.restate(x, codec=cl.Packed(slot_bits=32, scale_bits=0))
