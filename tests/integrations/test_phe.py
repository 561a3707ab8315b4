"""The stand-in for python-paillier beside python-paillier itself."""

from __future__ import annotations

import copy
import doctest
import json
import math
import os
import pickle
import random
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import phe as theirs
import pytest

import cipherlane as cl
from cipherlane.integrations import phe as ours

from phe_pairs import DATA, FLOATS, NUMBERS, pair_of, primes_of, state

pytestmark = pytest.mark.filterwarnings("ignore::cipherlane.paillier.WeakKeyWarning")
PAGE = Path(__file__).parents[2] / "docs" / "integrations" / "phe.md"


# ---- its own tests -----------------------------------------------------------------------------------------


def test_python_pailliers_own_tests_pass():
    """All of them: none is excluded. With CIPHERLANE_TEST_PHE_SUITE=full, no prime is used twice."""
    full = ["--full"] if os.environ.get("CIPHERLANE_TEST_PHE_SUITE") == "full" else []
    runner = Path(__file__).with_name("phe_suite.py")
    done = subprocess.run([sys.executable, runner, *full], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    result = json.loads(done.stdout.splitlines()[-1])
    assert result == {
        "run": 234,
        "troubles": [],
        "skipped": [],
        "modules_not_known": [],
        "modules_of_the_original": [],
    }


# ---- the same numbers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", NUMBERS, ids=repr)
@pytest.mark.parametrize("precision", [None, 1e-3, 0.1, 1, 16, 1e-20])
def test_numbers_encrypted_by_one_are_read_by_the_other(our_keys, their_keys, value, precision):
    our_number = our_keys[0].encrypt(value, precision)
    their_number = their_keys[0].encrypt(value, precision)
    assert our_number.exponent == their_number.exponent
    expected = their_keys[1].decrypt(their_number)
    read_there = their_keys[1].decrypt(theirs.EncryptedNumber(their_keys[0], *state(our_number)))
    read_here = our_keys[1].decrypt(ours.EncryptedNumber(our_keys[0], *state(their_number)))
    for got in (read_here, read_there, our_keys[1].decrypt(our_number)):
        assert (type(got), repr(got)) == (type(expected), repr(expected))
    assert our_keys[0].encrypt(value, precision, r_value=7919).ciphertext(be_secure=False) == their_keys[0].encrypt(
        value, precision, r_value=7919
    ).ciphertext(be_secure=False)


def test_the_largest_numbers(our_keys, their_keys):
    for library, (public_key, private_key) in ((ours, our_keys), (theirs, their_keys)):
        most = public_key.max_int
        assert most == public_key.n // 3 - 1
        assert [private_key.decrypt(public_key.encrypt(v)) for v in (most, -most)] == [most, -most]
        for one_more in (most + 1, -most - 1):
            with pytest.raises(ValueError):
                public_key.encrypt(one_more)
        for sign in (1, -1):
            with pytest.raises(OverflowError):
                private_key.decrypt(public_key.encrypt(sign * most) + sign)
        with pytest.raises(ValueError):
            library.EncodedNumber(public_key, public_key.n, 0).decode()


def test_raw_plaintexts_and_ciphertexts_are_the_same(our_keys, their_keys):
    n = our_keys[0].n
    rng = random.Random(3)
    edges = [0, 1, 2, n - 1, n, n + 1, -1, n // 3 - 1, n // 3, n // 2, 2 * n // 3, n - n // 3, 2**64, 2**128 - 1]
    for m in edges + [rng.randrange(n) for _ in range(8)]:
        for r in (1, 2, n - 1, n + 5, -3, rng.randrange(1, n)):
            ciphertext = their_keys[0].raw_encrypt(m, r)
            assert our_keys[0].raw_encrypt(m, r) == ciphertext
            assert our_keys[1].raw_decrypt(ciphertext) == their_keys[1].raw_decrypt(ciphertext) == m % n
        assert their_keys[1].raw_decrypt(our_keys[0].raw_encrypt(m)) == m % n
    assert our_keys[1].raw_decrypt(ciphertext + our_keys[0].nsquare) == m % n


OPERATIONS = {
    "x + y": lambda lib, x, y: x + y,
    "x - y": lambda lib, x, y: x - y,
    "y - x": lambda lib, x, y: y - x,
    "x + 3": lambda lib, x, y: x + 3,
    "3.25 + x": lambda lib, x, y: 3.25 + x,
    "x - 1e-9": lambda lib, x, y: x - 1e-9,
    "7 - x": lambda lib, x, y: 7 - x,
    "x - True": lambda lib, x, y: x - True,
    "x + 0": lambda lib, x, y: x + 0,
    "x + 5e-15": lambda lib, x, y: x + 5e-15,
    "x * 0": lambda lib, x, y: x * 0,
    "x * 1": lambda lib, x, y: x * 1,
    "x * -1": lambda lib, x, y: x * -1,
    "x * -2.5": lambda lib, x, y: x * -2.5,
    "12345678901234 * x": lambda lib, x, y: 12345678901234 * x,
    "x / 3": lambda lib, x, y: x / 3,
    "x / -0.3": lambda lib, x, y: x / -0.3,
    "float64 * x": lambda lib, x, y: np.float64(0.7) * x,
    "x * float64": lambda lib, x, y: x * np.float64(0.7),
    "int64 + x": lambda lib, x, y: np.int64(3) + x,
    "int64 * x": lambda lib, x, y: np.int64(3) * x,
    "float32 - x": lambda lib, x, y: np.float32(0.5) - x,
    "sum": lambda lib, x, y: sum([x, y, x]),
    "mean": lambda lib, x, y: np.mean([x, y, x]),
    "dot": lambda lib, x, y: np.dot([x, y], [0.5, -3.0]),
    "x + encoded": lambda lib, x, y: x + lib.EncodedNumber.encode(x.public_key, 1.25, precision=1e-25),
    "x * encoded": lambda lib, x, y: x * lib.EncodedNumber.encode(x.public_key, -1.25, precision=1e-2),
    "lower": lambda lib, x, y: x.decrease_exponent_to(-20),
    "the same": lambda lib, x, y: x.decrease_exponent_to(x.exponent),
    "max_exponent": lambda lib, x, y: (
        x + lib.EncodedNumber.encode(x.public_key, 3, max_exponent=-5).decrease_exponent_to(-9)
    ),
}


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("values", [(5, -7), (1.5, 2), (-3, 0.1), (2e-7, 1e9)], ids=repr)
def test_operations_give_the_same_ciphertexts_and_exponents(our_keys, their_keys, name, values):
    results = []
    for library, (public_key, private_key) in ((ours, our_keys), (theirs, their_keys)):
        x, y = (public_key.encrypt(value, r_value=1000 + i) for i, value in enumerate(values))
        result = OPERATIONS[name](library, x, y)
        results.append((state(result), private_key.decrypt(result)))
    assert results[0] == results[1]


def test_arrays_of_objects(our_keys, their_keys):
    results = []
    for public_key, private_key in (our_keys, their_keys):
        x = np.array([public_key.encrypt(v, r_value=9) for v in (1.5, -2.0, 4.0)])
        product = (x * np.array([2.0, 0.5, -1.0]) + np.array([1, 2, 3]))[1:]
        results.append([(state(number), private_key.decrypt(number)) for number in product])
    assert results[0] == results[1]


def test_encodings_in_other_bases(our_keys, their_keys):
    for base in (2, 10, 13, 64):
        for value in FLOATS[2:]:
            encoded = []
            for library, (public_key, _) in ((ours, our_keys), (theirs, their_keys)):
                Alternative = type(
                    "Alternative", (library.EncodedNumber,), {"BASE": base, "LOG2_BASE": math.log(base, 2)}
                )
                number = Alternative.encode(public_key, value)
                assert isinstance(number.decrease_exponent_to(number.exponent - 3), Alternative)
                encoded.append((number.encoding, number.exponent, number.decode()))
            assert encoded[0] == encoded[1]


def test_attributes_of_keys_are_the_same(our_keys, their_keys):
    for name in ("n", "g", "nsquare", "max_int"):
        assert getattr(our_keys[0], name) == getattr(their_keys[0], name)
    for name in ("p", "q", "psquare", "qsquare", "p_inverse", "hp", "hq"):
        assert getattr(our_keys[1], name) == getattr(their_keys[1], name)
    assert repr(our_keys[1]) == repr(their_keys[1])
    p = our_keys[1].p
    assert our_keys[1].h_function(p, p * p) == our_keys[1].hp
    assert our_keys[1].crt(3, 5) == their_keys[1].crt(3, 5)


def test_totients(our_keys):
    public_key, private_key = our_keys
    p, q = private_key.p, private_key.q
    assert ours.PaillierPrivateKey.from_totient(public_key, (p - 1) * (q - 1)) == private_key
    for wrong in (7, public_key.n, (p - 1) * (q - 1) + 2, -5):
        with pytest.raises(ValueError, match="totient"):
            ours.PaillierPrivateKey.from_totient(public_key, wrong)


# ---- the same exceptions -----------------------------------------------------------------------------------

MISTAKES = {
    "type of a value": lambda lib, pub, priv: pub.encrypt("1"),
    "None": lambda lib, pub, priv: pub.encrypt(None),
    "int64": lambda lib, pub, priv: pub.encrypt(np.int64(3)),
    "float32": lambda lib, pub, priv: pub.encrypt(np.float32(3)),
    "float32 with precision": lambda lib, pub, priv: pub.encrypt(np.float32(3), precision=0.1),
    "array": lambda lib, pub, priv: pub.encrypt(np.array([1, 2])),
    "fraction": lambda lib, pub, priv: pub.encrypt(Fraction(1, 3)),
    "complex": lambda lib, pub, priv: pub.encrypt(1j),
    "nan": lambda lib, pub, priv: pub.encrypt(float("nan")),
    "infinity": lambda lib, pub, priv: pub.encrypt(float("inf")),
    "precision 0": lambda lib, pub, priv: pub.encrypt(1, precision=0),
    "negative precision": lambda lib, pub, priv: pub.encrypt(1, precision=-1),
    "precision's type": lambda lib, pub, priv: pub.encrypt(1, precision="x"),
    "too fine a precision": lambda lib, pub, priv: pub.encrypt(1e300, precision=1e-40),
    "raw type": lambda lib, pub, priv: pub.raw_encrypt("1"),
    "raw numpy": lambda lib, pub, priv: pub.raw_encrypt(np.int64(1)),
    "r's type": lambda lib, pub, priv: pub.raw_encrypt(1, "x"),
    "raw ciphertext's type": lambda lib, pub, priv: priv.raw_decrypt("1"),
    "not encrypted": lambda lib, pub, priv: priv.decrypt(5),
    "not encrypted, encoded": lambda lib, pub, priv: priv.decrypt_encoded(None),
    "no key": lambda lib, pub, priv: lib.EncryptedNumber(5, 5),
    "x * y": lambda lib, pub, priv: pub.encrypt(1) * pub.encrypt(2),
    "x + str": lambda lib, pub, priv: pub.encrypt(1) + "1",
    "x - list": lambda lib, pub, priv: pub.encrypt(1) - [1],
    "x / str": lambda lib, pub, priv: pub.encrypt(1) / "1",
    "x / 0": lambda lib, pub, priv: pub.encrypt(1) / 0,
    "x + array": lambda lib, pub, priv: pub.encrypt(1) + np.array([1, 2]),
    "x * int64": lambda lib, pub, priv: pub.encrypt(1) * np.int64(2),
    "x < y": lambda lib, pub, priv: pub.encrypt(1) < pub.encrypt(2),
    "-x": lambda lib, pub, priv: -pub.encrypt(1),
    "float(x)": lambda lib, pub, priv: float(pub.encrypt(1)),
    "larger exponent": lambda lib, pub, priv: pub.encrypt(1.5).decrease_exponent_to(0),
    "larger encoded exponent": lambda lib, pub, priv: lib.EncodedNumber.encode(pub, 1.5).decrease_exponent_to(0),
    "factor too large": lambda lib, pub, priv: pub.encrypt(1).decrease_exponent_to(-2000),
    "scalar too large": lambda lib, pub, priv: pub.encrypt(1) * pub.n,
    "encoding out of range": lambda lib, pub, priv: pub.encrypt(1) * lib.EncodedNumber(pub, pub.n, 0),
    "encoding's type": lambda lib, pub, priv: pub.encrypt(1) * lib.EncodedNumber(pub, 1.5, 0),
    "other primes": lambda lib, pub, priv: lib.PaillierPrivateKey(pub, 3, 5),
    "equal primes": lambda lib, pub, priv: lib.PaillierPrivateKey(lib.PaillierPublicKey(101**2), 101, 101),
    "other key": lambda lib, pub, priv: priv.decrypt(lib.PaillierPublicKey(126869).encrypt(1)),
    "sum over keys": lambda lib, pub, priv: pub.encrypt(1) + lib.PaillierPublicKey(126869).encrypt(1),
    "encoded for another key": lambda lib, pub, priv: (
        pub.encrypt(1) + lib.EncodedNumber.encode(lib.PaillierPublicKey(126869), 1)
    ),
    "modulus's type": lambda lib, pub, priv: lib.PaillierPublicKey("x"),
    "length's type": lambda lib, pub, priv: lib.generate_paillier_keypair(n_length="x"),
    "ring without key": lambda lib, pub, priv: lib.PaillierPrivateKeyring().decrypt(pub.encrypt(1)),
    "ring of others": lambda lib, pub, priv: lib.PaillierPrivateKeyring().add(pub),
    "del from ring": lambda lib, pub, priv: lib.PaillierPrivateKeyring([priv]).__delitem__(
        lib.PaillierPublicKey(126869)
    ),
    "base64": lambda lib, pub, priv: lib.util.base64url_decode("a"),
    "empty base64": lambda lib, pub, priv: lib.util.base64_to_int(""),
    "base64 of 0": lambda lib, pub, priv: lib.util.int_to_base64(0),
    "no inverse": lambda lib, pub, priv: lib.util.invert(2, 4),
    "no inverse in a power": lambda lib, pub, priv: lib.util.powmod(2, -1, 4),
    "no inverse in a large power": lambda lib, pub, priv: lib.util.powmod(pub.n, -1, pub.nsquare),
    "power mod 0": lambda lib, pub, priv: lib.util.powmod(2, 3, 0),
    "product mod 0": lambda lib, pub, priv: lib.util.mulmod(2, 3, 0),
    "root of a negative": lambda lib, pub, priv: lib.util.isqrt(-1),
    "improved root of a negative": lambda lib, pub, priv: lib.util.improved_i_sqrt(-1),
    "Miller-Rabin of 3": lambda lib, pub, priv: lib.util.miller_rabin(3, 1),
    "primes of a negative length": lambda lib, pub, priv: lib.util.getprimeover(-1),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_raise_the_same(our_keys, their_keys, name):
    with pytest.raises(Exception) as expected:
        MISTAKES[name](theirs, *their_keys)
    with pytest.raises(expected.type) as got:
        MISTAKES[name](ours, *our_keys)
    # Python's and numpy's own are left as they are; ours say what was expected.
    if not str(got.value) == str(expected.value):
        assert any(word in str(got.value) for word in ("expected", "plain", "does not match", "use a", "<Pail"))


def test_numbers_too_large_for_a_float():
    p, q = primes_of(2048)
    for library in (ours, theirs):
        public_key = library.PaillierPublicKey(p * q)
        assert library.EncodedNumber(public_key, public_key.max_int, 0).decode() == public_key.max_int
        with pytest.raises(OverflowError, match="too large for a float"):
            library.EncodedNumber(public_key, public_key.max_int, -1).decode()


# ---- deliberate differences --------------------------------------------------------------------------------


def test_r_value_0_does_not_switch_randomness_off(our_keys, their_keys):
    bare = 1 + 3 * our_keys[0].n
    assert their_keys[0].encrypt(3, r_value=0).ciphertext(be_secure=False) == bare
    assert our_keys[0].encrypt(3, r_value=0).ciphertext(be_secure=False) != bare


def test_what_is_no_ciphertext_is_refused(our_keys):
    public_key, private_key = our_keys
    for number in (0, public_key.n, private_key.p, public_key.nsquare, 5 * private_key.q):
        with pytest.raises(ValueError, match="ciphertext"):
            private_key.raw_decrypt(number)
    for number in (0, -1, public_key.nsquare):
        with pytest.raises(ValueError, match=r"\[1, n\^2\)"):
            ours.EncryptedNumber(public_key, number)
    for number in ("5", 5.0, None, public_key.encrypt(1)):
        with pytest.raises(TypeError, match="ciphertext"):
            ours.EncryptedNumber(public_key, number)
    with pytest.raises(ValueError, match="factor"):
        ours.EncryptedNumber(public_key, private_key.p) * -1
    with pytest.raises(ValueError, match=r"\[1\]"):
        private_key.decrypt_batch([public_key.encrypt(1), ours.EncryptedNumber(public_key, private_key.p)])
    with pytest.raises(ValueError, match="r_value"):
        public_key.raw_encrypt(1, 2 * public_key.n)


def test_the_decryption_of_0_would_factor_the_modulus(their_keys, our_keys):
    public_key, private_key = their_keys
    for number in (0, public_key.n):
        assert pow(private_key.raw_decrypt(number), -1, public_key.n) == private_key.p + private_key.q
        with pytest.raises(ValueError, match="factor"):
            our_keys[1].raw_decrypt(number)


def test_an_encoding_that_would_wrap_is_refused(our_keys, their_keys):
    steps = our_keys[0].n.bit_length() // 4
    for factor in (1, -1):
        wrapped = theirs.EncodedNumber.encode(their_keys[0], factor * 12345).decrease_exponent_to(-steps)
        try:
            assert wrapped.decode() != factor * 12345
        except OverflowError:
            pass
        with pytest.raises(ValueError, match="exponent"):
            ours.EncodedNumber.encode(our_keys[0], factor * 12345).decrease_exponent_to(-steps)
    assert ours.EncodedNumber.encode(our_keys[0], 0).decrease_exponent_to(-(10**12)).decode() == 0


def test_exponents_from_elsewhere_cannot_ask_for_all_memory(our_keys):
    public_key, private_key = our_keys
    number = public_key.encrypt(-1)
    for exponent in (10**15, -(10**15)):
        hostile = ours.EncryptedNumber(public_key, number.ciphertext(), exponent)
        if exponent > 0:
            with pytest.raises(OverflowError, match="exponent"):
                private_key.decrypt(hostile)
        else:
            assert private_key.decrypt(hostile) == 0
        with pytest.raises(ValueError, match="exponent"):
            hostile + number
        with pytest.raises(ValueError, match="exponent"):
            ours.sum_batch([hostile, number])
    assert math.copysign(1, private_key.decrypt(hostile)) == -1
    with pytest.raises(ValueError, match="max_int"):
        ours.EncodedNumber.encode(public_key, 1, max_exponent=-(10**15))


def test_private_keys_are_not_written_by_accident(our_keys):
    public_key, private_key = our_keys
    with pytest.raises(TypeError, match="pickled"):
        pickle.dumps(private_key)
    shown = repr(private_key) + repr(public_key) + repr(private_key.public_key) + str(private_key)
    for secret in (private_key.p, private_key.q):
        assert str(secret) not in shown and f"{secret:x}" not in shown
    assert copy.copy(private_key) is private_key and copy.deepcopy(private_key) is private_key


def test_primes_are_checked(our_keys):
    public_key, private_key = our_keys
    n = public_key.n * 3
    with pytest.raises(ValueError):
        ours.PaillierPrivateKey(ours.PaillierPublicKey(n), 3 * private_key.p, private_key.q)
    with pytest.raises(ValueError, match="gcd"):
        ours.PaillierPrivateKey(ours.PaillierPublicKey(3 * 7), 3, 7)


def test_short_keys_are_accepted_with_a_warning():
    with pytest.warns(cl.paillier.WeakKeyWarning, match="17-bit key") as caught:
        ours.PaillierPublicKey(126869)
    assert len(caught) == 1 and caught[0].filename == __file__
    with pytest.warns(cl.paillier.WeakKeyWarning, match="1024-bit key") as caught:
        pair_of(ours, 1024)[0]
    for number in (14, -15, 0, 2**600, 2**5000):
        with pytest.raises(ValueError, match="n:"):
            ours.PaillierPublicKey(number)


# ---- randomness --------------------------------------------------------------------------------------------


def test_every_encryption_is_fresh(our_keys, core_keys):
    for public_key, private_key in (our_keys, core_keys):
        loop = [public_key.encrypt(7) for _ in range(40)]
        batch = public_key.encrypt_batch([7] * 20) + public_key.encrypt_batch([7] * 3)
        numbers = loop + batch
        ciphertexts = [number.ciphertext(be_secure=False) for number in numbers]
        assert len(set(ciphertexts)) == len(ciphertexts)
        # Not an obfuscator is shared either: quotients of two ciphertexts are those of two obfuscators.
        assert 1 not in {
            a * pow(b, -1, public_key.nsquare) % public_key.nsquare for a in ciphertexts[:1] for b in ciphertexts[1:]
        }
        assert private_key.decrypt_batch(numbers) == [7] * len(numbers)
        assert all(number.is_obfuscated for number in numbers)


def test_results_leave_re_randomised(our_keys, core_keys):
    for public_key, private_key in (our_keys, core_keys):
        x = public_key.encrypt(2)
        kept = x.ciphertext()
        assert x.ciphertext() == kept
        for result in (x + 1, x * 3, x + x, public_key.encrypt(2, r_value=5), ours.EncryptedNumber(public_key, kept)):
            inside = result.ciphertext(be_secure=False)
            outside = result.ciphertext()
            assert inside != outside == result.ciphertext() == result.ciphertext(be_secure=False)
            assert private_key.raw_decrypt(inside) == private_key.raw_decrypt(outside)
        results = ours.multiply_batch([x] * 12, [3] * 12)
        assert len({number.ciphertext(be_secure=False) for number in results}) == 1
        assert len(set(ours.obfuscate_batch(results))) == 12
        assert ours.obfuscate_batch(results) == [number.ciphertext() for number in results]
        assert private_key.decrypt_batch(results) == [6] * 12


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_obfuscators_made_ahead_are_not_used_by_two_processes(core_keys):
    public_key = ours.PaillierPublicKey(core_keys[0].n, core_keys[0].h_s)
    # One, two and four were made by now, so three are left.
    before = [public_key.encrypt(0) for _ in range(4)]
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, "\n".join(str(public_key.encrypt(0).ciphertext()) for _ in range(20)).encode())
        os._exit(0)
    os.close(write)
    here = {str(public_key.encrypt(0).ciphertext()) for _ in range(20)}
    with os.fdopen(read) as stream:
        there = set(stream.read().split())
    assert os.waitpid(child, 0)[1] == 0
    assert len(before) == 4 and len(here) == len(there) == 20 and not here & there


def test_public_keys_and_numbers_can_be_pickled(our_keys, core_keys):
    for public_key, private_key in (our_keys, core_keys):
        again = pickle.loads(pickle.dumps(public_key))
        assert again == public_key and again.h_s == public_key.h_s and hash(again) == hash(public_key)
        product = public_key.encrypt(2) * 4
        inside = product.ciphertext(be_secure=False)
        restored = pickle.loads(pickle.dumps(product))
        assert restored.ciphertext(be_secure=False) != inside and restored.is_obfuscated
        assert private_key.decrypt(restored) == 8
        twin = copy.deepcopy(product)
        twin.obfuscate()
        assert state(twin) != state(product)
    public_key.max_int = public_key.n // 2
    assert pickle.loads(pickle.dumps(public_key)).max_int == public_key.n // 2
    for wrong in (0, -1, public_key.n):
        with pytest.raises(ValueError, match="max_int"):
            public_key.max_int = wrong
    public_key.max_int = public_key.n // 3 - 1


# ---- key generation ----------------------------------------------------------------------------------------


def test_generated_keys_are_python_pailliers(core_keys):
    public_key, private_key = core_keys
    assert public_key.h_s is not None and public_key.n.bit_length() == 1024
    assert private_key.p % 4 == private_key.q % 4 == 3 and math.gcd(private_key.p - 1, private_key.q - 1) == 2
    there = theirs.PaillierPublicKey(public_key.n)
    reader = theirs.PaillierPrivateKey(there, private_key.p, private_key.q)
    numbers = [public_key.encrypt(2.5), *public_key.encrypt_batch(list(NUMBERS))]
    got = [reader.decrypt(theirs.EncryptedNumber(there, number.ciphertext(), number.exponent)) for number in numbers]
    assert got == [2.5, *NUMBERS]
    classic, _ = ours.generate_paillier_keypair(n_length=1024, scheme="classic")
    assert classic.h_s is None
    assert ours.PaillierPublicKey(public_key.n, public_key.h_s).h_s == public_key.h_s
    with pytest.raises(ValueError, match="scheme"):
        ours.generate_paillier_keypair(n_length=1024, scheme="short")


@pytest.mark.parametrize("length", [8, 9, 16, 33, 64, 100, 129, 257, 1000])
def test_keys_of_other_lengths(length):
    keyring = ours.PaillierPrivateKeyring()
    public_key, private_key = ours.generate_paillier_keypair(keyring, length)
    assert public_key.n.bit_length() == length and keyring[public_key] == private_key
    for value in (0, 3, -3):
        assert keyring.decrypt(public_key.encrypt(value)) == value
    assert private_key.decrypt_batch(public_key.encrypt_batch([1, -2, 3])) == [1, -2, 3]
    for wrong in (7, 0, -8):
        with pytest.raises(ValueError, match="n_length"):
            ours.generate_paillier_keypair(n_length=wrong)


def test_cipherlanes_keys_behind_the_interface():
    p, q = primes_of(1024)
    key = cl.PrivateKey(p, q)
    public_key = ours.PaillierPublicKey.from_cipherlane(key.public_key)
    assert ours.PaillierPrivateKey(public_key, p, q).cipherlane_key == key
    assert public_key.cipherlane_key == key.public_key
    fields = json.loads((DATA / "paillier_test_keys.json").read_text())["short_keys"][0]
    short = cl.PublicKey(
        int(fields["p"], 16) * int(fields["q"], 16), int(fields["h_s"], 16), exponent_bits=fields["exponent_bits"]
    )
    with pytest.raises(ValueError, match="short"):
        ours.PaillierPublicKey.from_cipherlane(short)
    with pytest.raises(TypeError, match="key"):
        ours.PaillierPublicKey.from_cipherlane(public_key)


# ---- documentation -----------------------------------------------------------------------------------------


def test_examples_of_the_page():
    result = doctest.testfile(str(PAGE), module_relative=False)
    assert result.attempted >= 5 and result.failed == 0
