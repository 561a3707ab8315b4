"""Keys: generation, validation, JSON, encrypted PEM, and that nothing secret shows."""

from __future__ import annotations

import copy
import json
import pickle
import random
import warnings

import gmpy2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import cipherlane as cl
from cipherlane.paillier import WeakKeyWarning, hazmat, reference

weak_keys_are_fine = pytest.mark.filterwarnings("ignore::cipherlane.paillier.WeakKeyWarning")


# ---- generation --------------------------------------------------------------------------------------------


@weak_keys_are_fine
@pytest.mark.parametrize(
    ("bits", "scheme"),
    [(1024, "djn"), (1280, "classic"), (2048, "djn"), (2048, "classic"), (3072, "djn"), (4096, "djn")],
)
def test_generated_keys_have_the_promised_structure(bits, scheme):
    public_key, private_key = cl.keygen(bits=bits, scheme=scheme)
    p, q, n = private_key.p, private_key.q, public_key.n
    assert n == p * q
    assert public_key.bits == bits and public_key.scheme == scheme
    assert private_key.public_key == public_key
    for prime in (p, q):
        assert gmpy2.is_prime(prime, 50)
        assert prime.bit_length() == bits // 2
        assert prime >> (bits // 2 - 2) == 3
        assert prime % 4 == 3
    assert gmpy2.gcd(p - 1, q - 1) == 2
    assert gmpy2.gcd(n, (p - 1) * (q - 1)) == 1
    assert abs(p - q).bit_length() > bits // 2 - 100
    for generator, prime in zip(private_key.generators, (p, q), strict=True):
        assert gmpy2.jacobi(generator, prime) == -1
    if scheme == "djn":
        # h_s is an n-th residue, and h = -y² has Jacobi symbol 1 but is no square modulo either prime.
        assert gmpy2.powmod(public_key.h_s, (p - 1) * (q - 1), n * n) == 1
        assert gmpy2.jacobi(public_key.h_s, p) == gmpy2.jacobi(public_key.h_s, q) == -1
    else:
        assert public_key.h_s is None
    values = np.array([0, 1, -1, 2**40])
    assert np.array_equal(private_key.decrypt(public_key.encrypt(values)), values)
    assert np.array_equal(private_key.decrypt(private_key.encrypt(values, noise="exact")), values)


def test_a_structured_prime_is_twice_two_primes_plus_one():
    from cipherlane.paillier import key_generation

    prime = key_generation._structured_prime(512)
    assert prime.p == 2 * prime.s * prime.t + 1
    assert all(gmpy2.is_prime(part, 50) for part in (prime.p, prime.s, prime.t))
    assert prime.s.bit_length() == 256 and prime.t.bit_length() in (254, 255, 256)
    g = key_generation._generator(prime)
    for order in (prime.p - 1) // 2, (prime.p - 1) // prime.s, (prime.p - 1) // prime.t:
        assert pow(g, order, prime.p) != 1
    assert pow(g, prime.p - 1, prime.p) == 1


def has_small_factor(number: int, limit: int = 1 << 14) -> bool:
    return gmpy2.gcd(number, gmpy2.primorial(limit - 1)) != 1


@pytest.mark.parametrize("known", [None, 10**40 + 1])
def test_trial_division_drops_only_what_has_a_small_factor(known, monkeypatch):
    from cipherlane.paillier import prime_search

    drawn = []

    def token_bytes(count):
        drawn.append(random.Random(5).randbytes(count))
        return drawn[-1]

    monkeypatch.setattr(prime_search.secrets, "token_bytes", token_bytes)
    least, free_bits, width = 10**40 + 3, 100, 14
    survivors = prime_search._without_small_factors(least, free_bits, known)
    rows = [int.from_bytes(drawn[0][i : i + width], "little") for i in range(0, len(drawn[0]), width)]
    draws = [least + (row & ((1 << free_bits) - 4)) for row in rows]
    expected = [t for t in draws if not has_small_factor(t * (1 if known is None else 2 * known * t + 1))]
    assert survivors == expected
    assert len(expected) > 2


@pytest.mark.parametrize("prime", [2, 3, 5, 65537, 2**61 - 1, 2**89 - 1, 2**521 - 1, 5 * 2**127 + 1])
def test_primes_pass(prime):
    from cipherlane.paillier.prime_search import is_probable_prime

    assert is_probable_prime(prime) == bool(gmpy2.is_prime(prime))


# Products of two primes p (2 p - 1), a strong pseudoprime to all bases to 40 (Arnault), a Carmichael number, a square.
@pytest.mark.parametrize(
    "composite",
    [
        *(-7, 0, 1, 4, 561, 2**64, 2**128 + 1),
        (2**89 - 1) ** 2,
        (2**89 - 1) * (2**107 - 1),
        1195068768795265792518361315725116351898245581,
        (6 * 10**20 + 1) * (12 * 10**20 + 1) * (18 * 10**20 + 1),
    ],
)
def test_composites_do_not_pass(composite):
    from cipherlane.paillier.prime_search import is_probable_prime

    assert not is_probable_prime(composite)


@pytest.mark.parametrize("bits", [64, 100, 256])
def test_the_search_finds_primes_of_the_promised_size(bits):
    from cipherlane.paillier.prime_search import random_cofactor, random_prime

    s = random_prime(bits)
    t = random_cofactor(s, bits, 2 * bits)
    p = 2 * s * t + 1
    assert all(gmpy2.is_prime(prime) for prime in (s, t, p))
    assert s.bit_length() == bits and p >> (2 * bits - 2) == 3
    assert s % 4 == t % 4 == p % 4 == 3


@weak_keys_are_fine
def test_two_keys_differ():
    assert cl.keygen(1024)[0] != cl.keygen(1024)[0]


@pytest.mark.parametrize("bits", [0, -2048, 512, 1000, 1025, 2047, 2049, 4097, 8192])
def test_sizes_that_are_refused(bits):
    with pytest.raises(ValueError, match=r"bits: expected a multiple of 256 from 1024 to 4096"):
        cl.keygen(bits=bits)


def test_other_arguments_that_are_refused():
    with pytest.raises(TypeError, match="bits"):
        cl.keygen(bits=2048.0)
    with pytest.raises(ValueError, match="scheme: expected one of 'djn', 'classic', 'short', got 'fast'"):
        cl.keygen(scheme="fast")
    with pytest.raises(TypeError, match="scheme"):
        cl.keygen(scheme=None)


def test_a_weak_key_warns_and_names_the_line_that_made_it(keys):
    weak = keys[1024]
    text = weak.public_key.to_json()
    for make in (
        lambda: cl.keygen(1024),
        lambda: cl.PublicKey(weak.public_key.n),
        lambda: cl.PrivateKey(weak.p, weak.q),
        lambda: cl.PublicKey.from_json(text),
    ):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            make()
        assert [warning.category for warning in caught] == [WeakKeyWarning]
        assert "interoperation" in str(caught[0].message)
        assert caught[0].filename == __file__


def test_a_strong_key_does_not_warn(keys):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cl.PublicKey(keys[2048].public_key.n)
        cl.PrivateKey(keys[2048].p, keys[2048].q)


# ---- validation --------------------------------------------------------------------------------------------


def prime_of(bits: int, seed: int = 0) -> int:
    return int(gmpy2.next_prime((3 << (bits - 2)) + 12345678910 * seed))


@weak_keys_are_fine
def test_moduli_that_are_refused(keys):
    n = keys[1024].public_key.n
    p = keys[1024].p
    for bad, message in [
        (n - 1, "even"),
        (-n, "negative"),
        (15, "1024 to 4096 bits, got 4 bits"),
        (1 << 5000, "5001 bits"),
        (prime_of(1024), "prime"),
        (1048573 * prime_of(1030), "factor below 2\\^20"),
        (3 * prime_of(2000), "factor below 2\\^20"),
        (p * p, "power"),
    ]:
        with pytest.raises(ValueError, match=message):
            cl.PublicKey(bad)
    for bad in (1.5, "7", None, True):
        with pytest.raises(TypeError, match="n: expected an integer"):
            cl.PublicKey(bad)


@weak_keys_are_fine
def test_obfuscator_bases_that_are_refused(keys):
    n, p = keys[1024].public_key.n, keys[1024].p
    for bad, message in [
        (0, "in \\[2"),
        (1, "in \\[2"),
        (n * n, "in \\[2"),
        (-5, "in \\[2"),
        (p, "coprime"),
        (n, "coprime"),
    ]:
        with pytest.raises(ValueError, match=f"h_s: .*{message}"):
            cl.PublicKey(n, bad)
    with pytest.raises(TypeError, match="h_s"):
        cl.PublicKey(n, 2.0)


@weak_keys_are_fine
def test_primes_that_are_refused(keys):
    p, q = keys[1024].p, keys[1024].q
    shorter = prime_of(300)
    dividing = prime_of(500)
    k = next(k for k in range(2, 10**6, 2) if gmpy2.is_prime(k * (1 << 40) * dividing + 1))
    for a, b, message in [
        (p + 2, q, "p: expected an odd prime"),
        (p, 4, "q: expected an odd prime"),
        (2, q, "p: expected an odd prime"),
        (-p, q, "p: expected an odd prime"),
        (p, p, "different primes"),
        (shorter, prime_of(1024), "about 662 bits each"),
        (dividing, k * (1 << 40) * dividing + 1, "gcd"),
        (prime_of(256), prime_of(256, 1), "1024 to 4096"),
    ]:
        with pytest.raises(ValueError, match=message):
            cl.PrivateKey(a, b)
    with pytest.raises(TypeError, match="p: expected an integer"):
        cl.PrivateKey(1.0, q)


@weak_keys_are_fine
def test_generators_that_are_refused(keys):
    key = keys[1024]
    good_p, good_q = key.generators
    square = pow(good_p, 2, key.p)
    for bad in [(square, good_q), (good_p, 1), (0, good_q), (good_p + key.p, good_q)]:
        with pytest.raises(ValueError, match="generators\\["):
            cl.PrivateKey(key.p, key.q, generators=bad)
    for bad in [(good_p,), 5, (good_p, "q")]:
        with pytest.raises(TypeError, match="generators"):
            cl.PrivateKey(key.p, key.q, generators=bad)


@weak_keys_are_fine
def test_keys_from_integers_work_in_either_order(keys):
    key = keys[1024]
    for made in (cl.PrivateKey(key.p, key.q), cl.PrivateKey(key.q, key.p)):
        assert made.public_key.scheme == "classic"
        assert made.default_noise == "classic"
        assert made.decrypt(made.public_key.encrypt([1.5, -2])).tolist() == [1.5, -2]
        assert made.decrypt(made.encrypt([1.5, -2])).tolist() == [1.5, -2]
    with pytest.raises(ValueError, match=r"h_s: expected an n-th residue.*this very key"):
        cl.PrivateKey(key.p, key.q, h_s=4)
    swapped = cl.PrivateKey(key.q, key.p, h_s=key.public_key.h_s, generators=key.generators[::-1])
    assert swapped == key and hash(swapped) == hash(key)
    assert swapped.decrypt(swapped.encrypt([7], noise="exact")).tolist() == [7]
    assert swapped.decrypt(key.public_key.encrypt([7])).tolist() == [7]


@weak_keys_are_fine
def test_primes_of_different_length_work():
    private_key = cl.PrivateKey(prime_of(460), prime_of(600))
    values = np.array([0, -1, 2**62, -(2**62)])
    assert np.array_equal(private_key.decrypt(private_key.public_key.encrypt(values)), values)
    assert np.array_equal(private_key.decrypt(private_key.encrypt(values)), values)


@weak_keys_are_fine
@pytest.mark.parametrize("bits", [1025, 1026, 1055, 1057, 1087, 1088, 1089])
def test_moduli_of_any_length_work(bits):
    half = bits // 2
    p = int(gmpy2.next_prime(1 << (half - 1)))
    q = int(gmpy2.next_prime((1 << (bits - 1)) // p + (1 << (bits - half - 2))))
    private_key = cl.PrivateKey(p, q)
    public_key = private_key.public_key
    assert public_key.bits == bits
    plaintexts = [0, 1, public_key.n - 1, public_key.n // 2]
    ciphertexts = hazmat.encrypt(public_key, plaintexts, [2, 3, public_key.n - 2, 5])
    assert ciphertexts[2] == reference.encrypt(public_key.n, public_key.n - 1, public_key.n - 2)
    assert hazmat.decrypt(private_key, ciphertexts) == plaintexts
    x = public_key.encrypt([1, 2, 3])
    assert private_key.decrypt(cl.CipherArray.from_bytes(public_key, x.to_bytes())).tolist() == [1, 2, 3]


@weak_keys_are_fine
def test_noises(keys):
    djn = keys[1024]
    bare = cl.PrivateKey(djn.p, djn.q)
    with_generators = cl.PrivateKey(djn.p, djn.q, generators=djn.generators)
    assert (djn.default_noise, bare.default_noise, with_generators.default_noise) == (
        "djn",
        "classic",
        "exact",
    )
    with pytest.raises(ValueError, match="'exact' needs generators"):
        bare.encrypt([1], noise="exact")
    with pytest.raises(ValueError, match="'djn' needs a key with h_s"):
        with_generators.encrypt([1], noise="djn")
    with pytest.raises(ValueError, match="noise: expected one of 'djn', 'exact', 'classic', 'short', got 'none'"):
        djn.encrypt([1], noise="none")


# ---- what shows --------------------------------------------------------------------------------------------


def test_nothing_secret_shows(keys):
    key = keys[2048]
    text = repr(key) + str(key)
    assert text.startswith("PrivateKey(bits=2048, scheme='djn', fingerprint=")
    assert str(key.p)[:12] not in text and f"{key.p:x}"[:12] not in text
    assert len(text) < 200
    with pytest.raises(TypeError, match="to_pem"):
        pickle.dumps(key)
    with pytest.raises(TypeError, match="to_json"):
        pickle.dumps(key.public_key)
    assert not hasattr(key, "__dict__")
    for one in (key, key.public_key):
        assert copy.copy(one) is one and copy.deepcopy(one) is one


def test_public_keys_compare_by_value(keys):
    key = keys[2048].public_key
    same, classic = cl.PublicKey(key.n, key.h_s), cl.PublicKey(key.n)
    assert same == key and hash(same) == hash(key) and same.fingerprint == key.fingerprint
    assert classic != key and classic.fingerprint != key.fingerprint
    assert classic.modulus_digest == key.modulus_digest
    assert key != key.n and keys[2048] != key
    assert len({key, same, classic}) == 2
    assert repr(key) == f"PublicKey(bits=2048, scheme='djn', fingerprint={key.fingerprint[:16]}...)"
    assert len(bytes.fromhex(key.fingerprint)) == 32


# ---- JSON --------------------------------------------------------------------------------------------------


@weak_keys_are_fine
def test_public_keys_survive_json(keys):
    for private_key in keys.values():
        for key in (private_key.public_key, cl.PublicKey(private_key.public_key.n)):
            assert cl.PublicKey.from_json(key.to_json()) == key


def changed(text, **fields):
    content = json.loads(text)
    content.update(fields)
    return json.dumps({name: value for name, value in content.items() if value != "drop"})


BAD_JSON = [
    (lambda text: "", "not valid JSON"),
    (lambda text: text[:-5], "not valid JSON"),
    (lambda text: "[]", "JSON object"),
    (lambda text: "[" * 30000, "not valid JSON"),
    (lambda text: " " * 70000, "at most 65536"),
    (lambda text: changed(text, format="other"), "JSON object with"),
    (lambda text: changed(text, version=3), "expected version 1 or 2, got 3"),
    (lambda text: changed(text, version=True), "expected version 1"),
    (lambda text: changed(text, version="drop"), "expected version 1"),
    (lambda text: changed(text, g="1"), r"unknown fields \['g'\]"),
    (lambda text: changed(text, h_s="drop"), r"missing fields \['h_s'\]"),
    (lambda text: changed(text, bits=2047), "says bits 2047, but n has 2048"),
    (lambda text: changed(text, bits="2048"), "bits: expected an integer"),
    (lambda text: changed(text, bits=True), "bits: expected an integer"),
    (lambda text: changed(text, scheme="classic"), "says scheme 'classic'"),
    (lambda text: changed(text, h_s=None), "says scheme 'djn'"),
    (lambda text: changed(text, n=15), "n: expected lower-case hexadecimal"),
    (lambda text: changed(text, n="0x1f"), "n: expected lower-case hexadecimal"),
    (lambda text: changed(text, n="0" + json.loads(text)["n"]), "n: expected lower-case hexadecimal"),
    (lambda text: changed(text, n=json.loads(text)["n"].upper()), "n: expected lower-case hexadecimal"),
    (lambda text: changed(text, n="f" * 3000), "n: expected lower-case hexadecimal"),
    (lambda text: changed(text, h_s="1"), "h_s: expected an integer in"),
    (lambda text: text.replace('"version": 1', '"version": 1, "version": 1'), "twice"),
]


@pytest.mark.parametrize(("change", "message"), BAD_JSON)
def test_json_that_is_refused(keys, change, message):
    with pytest.raises(ValueError, match=message):
        cl.PublicKey.from_json(change(keys[2048].public_key.to_json()))


def test_json_must_be_text(keys):
    with pytest.raises(TypeError, match="JSON text"):
        cl.PublicKey.from_json(keys[2048].public_key.to_json().encode())


# ---- PEM ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pem(keys):
    return keys[2048].to_pem("a password")


@weak_keys_are_fine
def test_private_keys_survive_pem(keys, pem):
    for text in (pem, pem.encode(), pem.replace("\n", "\r\n"), "\n " + pem.strip()):
        read = cl.PrivateKey.from_pem(text, "a password")
        assert (read, read.p, read.generators) == (keys[2048], keys[2048].p, keys[2048].generators)
    bare = cl.PrivateKey(keys[1024].p, keys[1024].q)
    read = cl.PrivateKey.from_pem(bare.to_pem(b"\x00\xff"), b"\x00\xff")
    assert (read, read.generators) == (bare, None)


def test_pem_hides_the_key_and_never_repeats(keys, pem):
    again = keys[2048].to_pem("a password")
    assert again != pem
    assert pem.startswith("-----BEGIN CIPHERLANE PAILLIER PRIVATE KEY-----\nVersion: 1\nScrypt: n=32768 r=8 p=1 salt=")
    assert f"{keys[2048].p:x}"[:8] not in pem
    assert max(map(len, pem.splitlines())) <= 110


def test_a_wrong_password_and_a_changed_text_look_the_same(pem):
    message = "^private key: wrong password, or the text was changed$"
    with pytest.raises(ValueError, match=message):
        cl.PrivateKey.from_pem(pem, "another password")
    lines = pem.splitlines(keepends=True)
    swapped = "".join([*lines[:5], ("B" if lines[5][0] == "A" else "A") + lines[5][1:], *lines[6:]])
    with pytest.raises(ValueError, match=message):
        cl.PrivateKey.from_pem(swapped, "a password")
    for field in ("salt=", "nonce="):
        index = pem.index(field) + len(field)
        digit = "0" if pem[index] != "0" else "1"
        with pytest.raises(ValueError, match=message):
            cl.PrivateKey.from_pem(pem[:index] + digit + pem[index + 1 :], "a password")
    with pytest.raises(ValueError, match=message):
        cl.PrivateKey.from_pem(pem.replace("p=1 ", "p=2 "), "a password")


BAD_PEM = [
    (lambda text: "", "malformed"),
    (lambda text: "x" * 100_000, "at most 65536"),
    (lambda text: text.replace("BEGIN", "START"), "malformed"),
    (lambda text: text + text, "malformed"),
    (lambda text: text.replace("Version: 1", "Version: 3"), "expected version 1 or 2, got 3"),
    (lambda text: text.replace("Version: 1", "Version: 2"), "wrong password, or the text was changed"),
    (lambda text: text.replace("n=32768", "n=16384"), "scrypt parameters"),
    (lambda text: text.replace("n=32768", "n=1048576"), "scrypt parameters"),
    (lambda text: text.replace("n=32768", "n=40000"), "scrypt parameters"),
    (lambda text: text.replace("r=8", "r=4096"), "scrypt parameters"),
    (lambda text: text.replace("p=1", "p=99999"), "scrypt parameters"),
    (
        lambda text: text.replace("=\n-----END", "\n-----END").replace("\n-----END", "A\n-----END"),
        "base64|changed",
    ),
    (lambda text: "\n".join([*text.splitlines()[:5], "====", *text.splitlines()[-1:]]), "base64|changed"),
    (lambda text: "\n".join([*text.splitlines()[:5], "QUJD", *text.splitlines()[-1:]]), "changed"),
    (lambda text: "é" + text, "malformed"),
    (lambda text: ("é" + text).encode(), "ASCII"),
]


@pytest.mark.parametrize(("change", "message"), BAD_PEM)
def test_pem_that_is_refused(pem, change, message):
    with pytest.raises(ValueError, match=message):
        cl.PrivateKey.from_pem(change(pem), "a password")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_change_of_the_text_is_noticed(pem, data):
    index = data.draw(st.integers(0, len(pem) - 2))
    replacement = data.draw(st.sampled_from("A0=z:- \x00"))
    mutated = pem[:index] + replacement + pem[index + 1 :]
    if mutated.strip() == pem.strip():
        return
    with pytest.raises(ValueError, match="private key"):
        cl.PrivateKey.from_pem(mutated, "a password")


def test_passwords_that_are_refused(keys, pem):
    for empty in ("", b""):
        with pytest.raises(ValueError, match="at least one character"):
            keys[2048].to_pem(empty)
        with pytest.raises(ValueError, match="at least one character"):
            cl.PrivateKey.from_pem(pem, empty)
    for wrong in (None, 5):
        with pytest.raises(TypeError, match="password"):
            keys[2048].to_pem(wrong)
    with pytest.raises(TypeError, match="text"):
        cl.PrivateKey.from_pem(5, "a password")
