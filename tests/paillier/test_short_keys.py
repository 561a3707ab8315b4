"""Keys of scheme "short": the parameters' floor, decryption by a subgroup's order, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import gmpy2
import numpy as np
import pytest

import cipherlane as cl
from cipherlane import _native
from cipherlane.paillier import hazmat, key_generation, pem, reference, short_parameters

pytestmark = pytest.mark.filterwarnings("ignore::cipherlane.paillier.WeakKeyWarning")

DATA = Path(__file__).parents[1] / "data"
SLOW = {1024: 27, 2048: 8, 3072: 5, 4096: 3}


def made_of(key: cl.PrivateKey, **changes) -> cl.PrivateKey:
    """The same private key with some arguments exchanged."""
    arguments = {
        "p": key.p,
        "q": key.q,
        "h_s": key.public_key.h_s,
        "exponent_bits": key.public_key.exponent_bits,
        "orders": key.orders,
        **changes,
    }
    return cl.PrivateKey(**arguments)


# ---- parameters and generation -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bits", "order_bits", "exponent_bits"),
    [
        (1024, 224, 448),
        (2047, 224, 448),
        (2048, 224, 448),
        (2304, 256, 512),
        (3072, 256, 512),
        (3328, 304, 608),
        (4096, 304, 608),
    ],
)
def test_the_floor_is_that_of_the_paper_and_never_falls_between_its_rows(bits, order_bits, exponent_bits):
    assert short_parameters.least_order_bits(bits) == order_bits
    assert short_parameters.least_exponent_bits(bits) == exponent_bits


@pytest.mark.parametrize("bits", [1024, 2048, 2304, 3072, 4096])
def test_generated_keys_have_the_promised_structure(bits):
    public_key, private_key = cl.keygen(bits=bits, scheme="short")
    p, q, n, h_s = private_key.p, private_key.q, public_key.n, public_key.h_s
    assert public_key.scheme == "short" and public_key.bits == bits and n == p * q
    assert public_key.exponent_bits == short_parameters.least_exponent_bits(bits)
    assert private_key.generators is None and private_key.default_noise == "short"
    assert gmpy2.gcd(p - 1, q - 1) == 2 and gmpy2.gcd(n, (p - 1) * (q - 1)) == 1
    for prime, order in zip((p, q), private_key.orders, strict=True):
        assert gmpy2.is_prime(prime, 50) and gmpy2.is_prime(order, 50)
        assert prime.bit_length() == bits // 2 and prime >> (bits // 2 - 2) == 3 and prime % 4 == 3
        assert order.bit_length() == short_parameters.least_order_bits(bits)
        assert (prime - 1) % order == 0
        # h_s has the order 2 s mod p²: neither half of it nor a part does.
        square = prime * prime
        assert pow(h_s, 2 * order, square) == 1
        assert pow(h_s, order, square) == square - 1
        assert pow(h_s, 2, prime) != 1
    assert abs(p - q).bit_length() > bits // 2 - 100
    values = np.array([0, 1, -1, 2**40])
    assert np.array_equal(private_key.decrypt(public_key.encrypt(values)), values)


def test_a_structured_prime_with_a_given_order_has_three_large_factors():
    prime = key_generation._structured_prime(512, 224)
    assert prime.p == 2 * prime.s * prime.u * prime.t + 1
    assert all(gmpy2.is_prime(part, 50) for part in (prime.p, prime.s, prime.u, prime.t))
    assert prime.s.bit_length() == 224
    assert prime.u.bit_length() == 144 and prime.t.bit_length() in (143, 144, 145)


def test_the_obfuscator_base_follows_its_formula(monkeypatch):
    p, q = key_generation._prime_pair(1024, 224)
    drawn = iter([p.p - 1, 12344])  # y = p, which shares a factor with n, then y = 12345
    monkeypatch.setattr(key_generation.secrets, "randbelow", lambda bound: next(drawn))
    h_s = key_generation._short_obfuscator_base(p, q)
    assert h_s == reference.short_obfuscator_base(p.p, q.p, p.s, q.s, 12345)
    assert next(drawn, None) is None


def test_two_keys_differ():
    one, other = (cl.keygen(1024, scheme="short")[1] for _ in range(2))
    assert set(one.orders).isdisjoint(other.orders) and one != other


# ---- conformance -------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("backend")
def test_encryption_with_given_exponents(any_short_key, hard_numbers):
    key = any_short_key.public_key
    numbers = hard_numbers(key.n)[: SLOW[key.bits]]
    beyond = 1 << key.exponent_bits
    exponents = ([beyond - 1, 0, beyond // 2, 1, beyond - 2] + [a % beyond for a in hard_numbers(key.n)])[
        : len(numbers)
    ]
    expected = [reference.encrypt_with_exponent(key.n, key.h_s, m, a) for m, a in zip(numbers, exponents, strict=True)]
    assert hazmat.encrypt_with_exponents(key, numbers, exponents) == expected
    with pytest.raises(ValueError, match=rf"exponents\[0\]: expected an integer in \[0, 2\^{key.exponent_bits}\)"):
        hazmat.encrypt_with_exponents(key, [1], [beyond])


@pytest.mark.usefixtures("backend")
def test_decryption(any_short_key, hard_numbers):
    key, (order_p, order_q) = any_short_key.public_key, any_short_key.orders
    p, q = any_short_key.p, any_short_key.q
    numbers = hard_numbers(key.n)
    noise = [(1 << key.exponent_bits) - 1 - i for i in range(len(numbers))]
    ciphertexts = hazmat.encrypt_with_exponents(key, numbers, noise)
    ciphertexts[0] = numbers[0] * key.n + 1  # no obfuscator at all
    assert hazmat.decrypt(any_short_key, ciphertexts) == numbers
    some = SLOW[key.bits]
    for formula in (
        lambda c: reference.decrypt_short(p, q, order_p, order_q, c),
        lambda c: reference.decrypt_crt(p, q, c),
        lambda c: hazmat.decrypt(cl.PrivateKey(p, q), c),
    ):
        assert [formula(c) for c in ciphertexts[:some]] == numbers[:some]


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("count", [1, 7, 8, 9, 130])
def test_batches_of_every_shape(short_keys, count):
    private_key = short_keys[1024]
    values = np.arange(count) - count // 2
    for holder in (private_key.public_key, private_key):
        assert np.array_equal(private_key.decrypt(holder.encrypt(values)), values)


@pytest.mark.usefixtures("backend")
def test_the_key_holders_encryption(any_short_key, hard_numbers):
    key = any_short_key.public_key
    codec = cl.FixedPoint(scale_bits=0, integer_bits=key.bits - 2)
    values = [reference.signed(key.n, m) for m in hard_numbers(key.n)]
    inside = np.array([v for v in values if abs(v) < 1 << (key.bits - 2)], dtype=object)
    for noise in (None, "short"):
        encrypted = any_short_key.encrypt(inside, codec=codec, noise=noise)
        assert any_short_key.decrypt(encrypted).tolist() == inside.tolist()
        again = any_short_key.rerandomize(encrypted, noise=noise)
        assert set(hazmat.to_integers(again)).isdisjoint(hazmat.to_integers(encrypted))
        assert any_short_key.decrypt(again).tolist() == inside.tolist()


@pytest.mark.usefixtures("backend")
def test_computing_on_ciphertexts_stays_in_the_subgroup(any_short_key):
    key = any_short_key.public_key
    a, b = np.array([5, -3, 2**31]), np.array([7, 0, -1])
    x, y = key.encrypt(a), any_short_key.encrypt(b)
    for result, expected in [
        (x + y, a + b),
        (x - y, a - b),
        (-x, -a),
        (x * b, a * b),
        (x + b, a + b),
        (b - x, b - a),
        (np.array([[1, -2, 3]]) @ x, [5 + 6 + 3 * 2**31]),
        (x.segment_sum([1, 1, 0], num_segments=3), [2**31, 2, 0]),
        (x.rerandomize(), a),
        (cl.CipherArray.from_bytes(key, x.to_bytes()), a),
    ]:
        assert np.array_equal(any_short_key.decrypt(result), expected)
    packed = key.encrypt(np.linspace(-1, 1, 70), codec=cl.Packed())
    assert np.allclose(any_short_key.decrypt(packed), np.linspace(-1, 1, 70), atol=1e-6)


@pytest.mark.usefixtures("backend")
def test_obfuscators_are_powers_of_h_s_and_differ(short_keys):
    private_key = short_keys[1024]
    key, (order_p, order_q) = private_key.public_key, private_key.orders
    zeros = np.zeros(60, dtype=np.int64)
    noise = hazmat.to_integers(key.encrypt(zeros)) + hazmat.to_integers(private_key.encrypt(zeros))
    assert len(set(noise)) == 120
    assert all(pow(c, 2 * order_p * order_q, key.n**2) == 1 for c in noise)
    # Odd exponents too: the Jacobi symbol of h_s is -1 modulo either prime. All even: probability 2^-60.
    for half in (noise[:60], noise[60:]):
        assert {gmpy2.jacobi(c, private_key.p) for c in half} == {1, -1}


# ---- ciphertexts that were not made with this key's h_s -----------------------------------------------------


def joined(mod_p: int, p: int, mod_q: int, q: int) -> int:
    """The number with these residues mod p² and mod q²."""
    return int(mod_p + p * p * ((mod_q - mod_p) * gmpy2.invert(p * p, q * q) % (q * q)))


@pytest.mark.usefixtures("backend")
def test_a_foreign_obfuscator_is_noticed_and_the_first_named(any_short_key):
    key, p, q, n = any_short_key.public_key, any_short_key.p, any_short_key.q, any_short_key.public_key.n
    own = hazmat.encrypt_with_exponents(key, list(range(10)), list(range(100, 110)))
    foreign = pow(12345, n, n * n)
    rho = pow(key.h_s, 77, n * n)
    # Right modulo one prime only, a sign in one half, a cofactor's element: none of them may slip through.
    strange = [
        foreign,
        joined(rho % (p * p), p, foreign % (q * q), q),
        joined(foreign % (p * p), p, rho % (q * q), q),
        pow(reference.obfuscator_base(n, 3), 5, n * n),
        rho * pow(7, 2 * any_short_key.orders[0] * n, n * n) % (n * n),
    ]
    for obfuscator in strange:
        assert reference.decrypt_short(p, q, *any_short_key.orders, obfuscator) is None
        for position in (0, 9):
            given = list(own)
            given[position] = (1 + 3 * n) * obfuscator % (n * n)
            given[9] = given[9] if position == 0 else given[position]
            with pytest.raises(ValueError, match=rf"^ciphertexts\[{position}\]: expected an obfuscator that vanishes"):
                hazmat.decrypt(any_short_key, given)
    given = list(own)
    given[4] = given[6] = foreign
    with pytest.raises(ValueError, match=r"^ciphertexts\[4\]: .*scheme 'short' decrypts only"):
        hazmat.decrypt(any_short_key, given)
    # The primes alone decrypt all of them.
    assert hazmat.decrypt(cl.PrivateKey(p, q), given) == [0, 1, 2, 3, 0, 5, 0, 7, 8, 9]


@pytest.mark.usefixtures("backend")
def test_powers_of_h_s_are_accepted_whatever_made_them(short_keys):
    private_key = short_keys[2048]
    n, h_s = private_key.public_key.n, private_key.public_key.h_s
    longer = cl.PublicKey(n, h_s)  # exponents of half the modulus
    assert longer.scheme == "djn" and longer != private_key.public_key
    x = longer.encrypt([4, -5])
    assert private_key.decrypt(x).tolist() == [4, -5]
    x = cl.PublicKey(n).encrypt([4, -5])
    with pytest.raises(ValueError, match=r"ciphertexts\[0\]"):
        private_key.decrypt(x)
    for sign in (1, -1):  # -1 is a power of h_s
        c = sign * (1 + 9 * n) % (n * n)
        assert hazmat.decrypt(private_key, c) == 9


def test_noises_that_the_key_cannot_decrypt_are_refused(keys, short_keys):
    private_key = short_keys[1024]
    x = private_key.encrypt([1])
    for noise in ("djn", "exact", "classic"):
        for use in (
            lambda noise: private_key.encrypt([1], noise=noise),
            lambda noise: private_key.rerandomize(x, noise),
        ):
            with pytest.raises(ValueError, match=f"noise: expected 'short', .*, got '{noise}'"):
                use(noise)
    with pytest.raises(ValueError, match="noise: 'short' needs a key of that scheme; use 'djn'"):
        keys[1024].encrypt([1], noise="short")
    with pytest.raises(ValueError, match="noise: expected one of 'djn', 'exact', 'classic', 'short', got 'none'"):
        private_key.encrypt([1], noise="none")
    with pytest.raises(ValueError, match="got 'short', whose private key does not decrypt r\\^n"):
        hazmat.encrypt(private_key.public_key, [1], [2])


# ---- what is refused ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("bits", "least"), [(1024, 448), (2048, 448), (3072, 512), (4096, 608)])
def test_exponents_below_the_floor_are_refused(short_keys, bits, least):
    key = short_keys[bits].public_key
    assert key.exponent_bits == least
    for wrong in (least - 1, 0, -least, bits // 2, 10**9):
        with pytest.raises(ValueError, match=rf"exponent_bits: expected {least} to {bits // 2 - 1} .*, got {wrong}"):
            cl.PublicKey(key.n, key.h_s, exponent_bits=wrong)
        with pytest.raises(ValueError, match="exponent_bits: expected"):
            made_of(short_keys[bits], exponent_bits=wrong)
    for allowed in (least, bits // 2 - 1):
        assert cl.PublicKey(key.n, key.h_s, exponent_bits=allowed).exponent_bits == allowed


def test_longer_exponents_are_used_in_full(short_keys):
    private_key = made_of(short_keys[1024], exponent_bits=500)
    key = private_key.public_key
    assert key.context().noise_exponent_bits == 500
    top = (1 << 500) - 1
    c = hazmat.encrypt_with_exponents(key, 3, top)
    assert c == reference.encrypt_with_exponent(key.n, key.h_s, 3, top)
    assert hazmat.decrypt(private_key, c) == 3


def test_public_arguments_that_are_refused(short_keys):
    key = short_keys[1024].public_key
    with pytest.raises(ValueError, match="exponent_bits: expected a key with h_s"):
        cl.PublicKey(key.n, exponent_bits=448)
    for wrong in (448.0, "448", True):
        with pytest.raises(TypeError, match="exponent_bits: expected an integer"):
            cl.PublicKey(key.n, key.h_s, exponent_bits=wrong)
    with pytest.raises(ValueError, match="exponent_bits: expected at most 512, got 513"):
        _native.PublicContext(np.frombuffer(key.n.to_bytes(128, "little"), dtype=np.uint64), None, "portable", 0, 513)


def test_private_arguments_that_are_refused(keys, short_keys):
    key = short_keys[1024]
    order_p, order_q = key.orders
    cofactor = (key.p - 1) // (2 * order_p)
    below = int(gmpy2.prev_prime(1 << 223))
    stranger = int(gmpy2.next_prime(order_p))
    for orders, message in [
        ((order_q, order_p), r"orders\[0\]: expected an odd prime factor"),
        ((order_p, stranger), r"orders\[1\]: expected an odd prime factor"),
        ((2 * order_p, order_q), r"orders\[0\]: expected an odd prime factor"),
        ((cofactor, order_q), r"orders\[0\]: expected an odd prime factor"),
        ((below, order_q), r"orders\[0\]: expected a prime of at least 224 bits .* 1024 bits"),
        ((order_p, 3), r"orders\[1\]: expected a prime of at least 224 bits"),
        ((order_p, -order_q), r"orders\[1\]: expected a prime of at least 224 bits"),
    ]:
        with pytest.raises(ValueError, match=message) as caught:
            made_of(key, orders=orders)
        assert not any(str(order)[:12] in str(caught.value) for order in orders if order > 3)
    n = key.public_key.n
    for h_s in (keys[1024].public_key.h_s % n**2, reference.obfuscator_base(n, 5), n**2 - 1):
        with pytest.raises(ValueError, match=r"orders\[0\]: expected the order of h_s"):
            made_of(key, h_s=h_s)
    half = joined(key.public_key.h_s % key.p**2, key.p, pow(3, n, key.q**2), key.q)
    with pytest.raises(ValueError, match=r"orders\[1\]: expected the order of h_s"):
        made_of(key, h_s=half)
    for missing in ("exponent_bits", "orders"):
        with pytest.raises(ValueError, match="exponent_bits, orders: expected both"):
            made_of(key, **{missing: None})
    with pytest.raises(ValueError, match="generators: expected none for scheme 'short'"):
        made_of(key, generators=(3, 3))
    with pytest.raises(ValueError, match="exponent_bits: expected a key with h_s"):
        made_of(key, h_s=None)
    for wrong in (7, (order_p,), (order_p, order_q, 3), "ab"):
        with pytest.raises(TypeError, match="orders: expected a pair"):
            made_of(key, orders=wrong)
    with pytest.raises(TypeError, match=r"orders\[1\]: expected an integer"):
        made_of(key, orders=(order_p, 1.5))
    context = key.public_key.context()
    limbs = [np.frombuffer(number.to_bytes(64, "little"), dtype=np.uint64) for number in (key.p, key.q)]
    with pytest.raises(ValueError, match="order_p, order_q: expected both or neither"):
        _native.PrivateContext(context, *limbs, None, None, limbs[0], None)


def test_primes_with_a_common_factor_are_refused():
    s = int(gmpy2.next_prime(3 << 222))
    found = []
    k = 5 << 285
    while len(found) < 2:
        k += 1
        if gmpy2.is_prime(2 * s * k + 1):
            found.append(2 * s * k + 1)
    p, q = found
    h_s = reference.short_obfuscator_base(p, q, s, s, 2)
    with pytest.raises(ValueError, match=r"p, q: expected gcd\(p - 1, q - 1\) = 2 for scheme 'short'"):
        cl.PrivateKey(p, q, h_s=h_s, exponent_bits=448, orders=(s, s))


# ---- what crosses ------------------------------------------------------------------------------------------


def test_the_fingerprint_covers_the_exponent_length(short_keys):
    key = short_keys[2048].public_key
    others = [cl.PublicKey(key.n, key.h_s, exponent_bits=bits) for bits in (449, 704, 1023)]
    everyone = [key, *others, cl.PublicKey(key.n, key.h_s), cl.PublicKey(key.n)]
    assert len({one.fingerprint for one in everyone}) == len(set(everyone)) == 6
    assert len({one.modulus_digest for one in everyone}) == 1
    same = cl.PublicKey(key.n, key.h_s, exponent_bits=448)
    assert same == key and hash(same) == hash(key) and same.fingerprint == key.fingerprint
    assert repr(key) == f"PublicKey(bits=2048, scheme='short', fingerprint={key.fingerprint[:16]}...)"


def test_other_schemes_keep_their_fingerprints_and_exponents(keys):
    key = keys[1024].public_key
    assert key.fingerprint == "e4bc63dbce27bf7b3bad764b98a26b0be4126c5ebdc8a9dad0526520efe34d4c"
    classic = cl.PublicKey(key.n)
    assert classic.fingerprint == "b985c7e8c6b7d73a9475c91a638131bb0d1a622fe70372774b6fe1289baa27d8"
    assert (key.exponent_bits, classic.exponent_bits) == (512, None)
    assert json.loads(key.to_json()).keys() == {"format", "version", "bits", "scheme", "n", "h_s"}
    assert json.loads(key.to_json())["version"] == 1


def test_public_keys_survive_json(any_short_key):
    key = any_short_key.public_key
    fields = json.loads(key.to_json())
    assert (fields["version"], fields["scheme"], fields["exponent_bits"]) == (2, "short", key.exponent_bits)
    read = cl.PublicKey.from_json(key.to_json())
    assert read == key and read.exponent_bits == key.exponent_bits
    assert any_short_key.decrypt(read.encrypt([3, -3])).tolist() == [3, -3]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"exponent_bits": 447}, "exponent_bits: expected 448 to 1023 .*, got 447"),
        ({"exponent_bits": 1}, "exponent_bits: expected 448"),
        ({"exponent_bits": -448}, "exponent_bits: expected 448"),
        ({"exponent_bits": 1024}, "exponent_bits: expected 448 to 1023"),
        ({"exponent_bits": "448"}, "exponent_bits: expected an integer, got str"),
        ({"exponent_bits": True}, "exponent_bits: expected an integer, got bool"),
        ({"exponent_bits": None}, "exponent_bits: expected an integer, got NoneType"),
        ({"exponent_bits": "drop"}, r"missing fields \['exponent_bits'\]"),
        ({"version": 1}, r"unknown fields \['exponent_bits'\]"),
        ({"version": 3}, "expected version 1 or 2, got 3"),
        ({"scheme": "djn"}, "says scheme 'djn', .* it is 'short'"),
        ({"scheme": "classic"}, "says scheme 'classic', .* it is 'short'"),
        ({"h_s": None}, "says scheme 'short', .* it is 'classic'"),
        ({"version": 1, "exponent_bits": "drop"}, "says scheme 'short', .* it is 'djn'"),
    ],
)
def test_json_that_is_refused(short_keys, changes, message):
    fields = {**json.loads(short_keys[2048].public_key.to_json()), **changes}
    text = json.dumps({name: value for name, value in fields.items() if value != "drop"})
    with pytest.raises(ValueError, match=message):
        cl.PublicKey.from_json(text)


def test_private_keys_survive_pem(any_short_key):
    text = any_short_key.to_pem("a password")
    assert text.splitlines()[1] == "Version: 2"
    read = cl.PrivateKey.from_pem(text, "a password")
    assert read == any_short_key and read.orders == any_short_key.orders and read.default_noise == "short"
    assert read.public_key.exponent_bits == any_short_key.public_key.exponent_bits
    assert not any(f"{order:x}"[:8] in text for order in any_short_key.orders)
    with pytest.raises(ValueError, match="wrong password, or the text was changed"):
        cl.PrivateKey.from_pem(text.replace("Version: 2", "Version: 1"), "a password")


def test_pem_of_version_1_still_loads(keys):
    text = (DATA / "paillier_private_key_v1.pem").read_text()
    read = cl.PrivateKey.from_pem(text, "a password")
    assert (read, read.generators, read.orders) == (keys[1024], keys[1024].generators, None)
    assert keys[1024].to_pem("a password").splitlines()[1] == "Version: 1"


def test_an_authentic_pem_is_validated_like_any_other_key(short_keys):
    key = short_keys[1024]
    order_p, order_q = key.orders
    fields = (key.p, key.q, key.public_key.h_s, None)
    for exponent_bits, orders, message in [
        (448, (order_q, order_p), "odd prime factor"),
        (447, (order_p, order_q), "exponent_bits: expected 448"),
    ]:
        text = pem.seal(pem.Secrets(*fields, exponent_bits, orders), "x")
        with pytest.raises(ValueError, match=message):
            cl.PrivateKey.from_pem(text, "x")
    for exponent_bits, orders in [(None, (order_p, order_q)), (448, (order_p,)), (448, (1, 2, 3))]:
        text = pem.seal(pem.Secrets(*fields, exponent_bits, orders), "x")
        with pytest.raises(ValueError, match="its content is not that of version 2"):
            cl.PrivateKey.from_pem(text, "x")


def test_nothing_secret_shows(short_keys):
    key = short_keys[2048]
    text = repr(key) + str(key) + repr(key.public_key) + key.public_key.to_json()
    for secret in (key.p, key.q, *key.orders):
        assert str(secret)[:12] not in text and f"{secret:x}"[:12] not in text
