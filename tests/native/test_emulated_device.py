"""The host side of the backend "cuda" on a device that runs the kernels on the host (cpp/src/emulated_device.cpp).

That device finds what a real one lets pass: host code that looks into its memory, rows past an end, memory that was
given back or never written, work that nobody waited for, launches of nothing.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time

import pytest

import emulated_device


@pytest.fixture(scope="session")
def folder():
    return emulated_device.build()


# ---- the Paillier layer's own tests -------------------------------------------------------------------------------

# By file, which of its tests run on "cuda", and how many at least: the slow ones at 1024 and 2048 bits alone, and of
# tables neither the widest window nor those of exact noise, which take a minute here.
PAILLIER = {
    "test_conformance": (
        "not large_batches and not ((3072 or 4096) and (holder or decryption or obfuscator or rerandomising or equal))",
        60,
    ),
    "test_arrays": ("", 20),
    "test_packed": ("", 10),
    "test_known_answers": ("not (3072 or 4096)", 1),
    "test_hazmat": ("not (3072 or 4096)", 1),
    "test_short_keys": ("not (3072 or 4096)", 1),
    "test_fixed_base": ("not cuda-12 and not cuda-exact", 18),
    "test_threads_and_forks": ("32_threads", 6),
}


@pytest.mark.parametrize("name", PAILLIER)
def test_the_paillier_layer(folder, name):
    selection, fewest = PAILLIER[name]
    process = subprocess.run(
        [
            *(sys.executable, "-X", "faulthandler", "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            *(str(emulated_device.ROOT / "tests" / "paillier" / f"{name}.py"), "-k"),
            " and ".join(["cuda", *([f"({selection})"] if selection else [])]),
        ],
        cwd=emulated_device.ROOT,
        env=emulated_device.environment(folder),
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    passed = re.search(r"(\d+) passed", process.stdout)
    assert passed and int(passed[1]) >= fewest, process.stdout


def test_the_tests_for_gpus(folder):
    process = subprocess.run(
        [
            *(sys.executable, "-X", "faulthandler", "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            str(emulated_device.ROOT / "tests" / "gpu"),
        ],
        cwd=emulated_device.ROOT,
        env=emulated_device.environment(folder),
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    passed = re.search(r"(\d+) passed", process.stdout)
    assert passed and int(passed[1]) >= 180, process.stdout


# ---- on the native module itself ----------------------------------------------------------------------------------

PREPARE = """
import os, random, signal
from functools import reduce
from math import gcd
import numpy as np
import cipherlane as cl
from cipherlane import _native
from cipherlane.paillier.limbs import from_limbs, limb_count, number_to_limbs, to_limbs

signal.signal(signal.SIGINT, signal.default_int_handler)
source = random.Random(5)

def odd(bits):
    return source.getrandbits(bits) | 1 | 1 << (bits - 1)

class Ring:
    def __init__(self, n, backend="cuda", h_s=None, window_bits=0):
        self.n, self.bits = n, n.bit_length()
        base = None if h_s is None else number_to_limbs(h_s, limb_count(2 * self.bits))
        self.context = _native.PublicContext(number_to_limbs(n), base, backend, window_bits)
    def up(self, numbers):
        return self.context.upload(to_limbs(numbers, limb_count(2 * self.bits)))
    def down(self, batch):
        return from_limbs(self.context.download(batch))
    def plain(self, numbers):
        return to_limbs(numbers, limb_count(self.bits))
    def hard(self, count):
        square = self.n**2
        ends = [1, 2, self.n - 1, self.n + 1, square - 1, square - self.n, square // 2, (1 << (2 * self.bits - 1)) - 1]
        return [(e % square) or 1 for e in ends + [source.randrange(1, square) for _ in range(count)]][:count]
    def units(self, count):
        return [x for x in self.hard(2 * count + 99) if gcd(x, self.n) == 1][:count]

P, Q = 2**521 - 1, 2**607 - 1
def private(backend="cuda"):
    public = _native.PublicContext(number_to_limbs(P * Q), None, backend)
    return public, _native.PrivateContext(public, number_to_limbs(P), number_to_limbs(Q), None, None)

counts = _native.emulated_counts
"""


def run(folder, code, **options):
    return emulated_device.run(folder, PREPARE + code, **options)


def test_moduli_of_every_length(folder):
    code = """
for bits in (256, 257, 500, 511, 512, 513, 1000, 1024, 1025, 1500, 1537, 2047, 2048, 2049, 3073, 4095, 4096):
    ring = Ring(odd(bits))
    n, square = ring.n, ring.n**2
    x, y = ring.hard(9), ring.hard(9)[::-1]
    a, b = ring.up(x), ring.up(y)
    assert ring.down(a) == x
    assert ring.down(ring.context.add(a, b)) == [c * d % square for c, d in zip(x, y)]
    assert ring.down(ring.context.take(ring.context.concatenate([a, b]), np.array([17, 0, 9, 0]))) == [
        (x + y)[i] for i in (17, 0, 9, 0)]
    m = [0, 1, n - 1, n // 2, n - 2, 1 << (bits - 1), 3, 4, 5]
    assert ring.down(ring.context.add_plaintexts(a, ring.plain(m))) == [
        c * (1 + k * n) % square for c, k in zip(x, m)]
    k = [0, 1, 2, 3, 2**64 - 1, 2**64, 2**100 + 1, 15, 16]
    assert ring.down(ring.context.multiply(a, to_limbs(k, 2), np.zeros(9, dtype=np.bool_))) == [
        pow(c, e, square) for c, e in zip(x, k)]
    sums = ring.context.segment_sum(a, np.arange(9)[::-1].copy(), np.array([0, 4, 4, 9]))
    product = lambda numbers: reduce(lambda c, d: c * d % square, numbers, 1)
    assert ring.down(sums) == [product(x[5:]), 1, product(x[:5])]
print("same")
"""
    assert run(folder, code) == "same\n"


def test_primes_of_other_lengths_than_the_modulus_has_room_for(folder):
    code = """
public, key = private()
n = P * Q
limbs = limb_count(n.bit_length())
numbers = [0, 1, n - 1, n // 2, P, Q, n - P, (1 << (n.bit_length() - 1)) - 1, 12345]
for noise in ("classic",):
    assert from_limbs(key.decrypt(key.encrypt(to_limbs(numbers, limbs), noise))) == numbers
assert from_limbs(key.decrypt(public.encrypt(to_limbs(numbers, limbs)))) == numbers
print("same")
"""
    assert run(folder, code) == "same\n"


def test_chunks_cover_every_element(folder):
    # Four groups run at a time: a power comes in chunks of 4, then 8, ...; a product of 8000.
    code = """
ring = Ring(odd(256))
for count in (1, 3, 4, 5, 11, 12, 13, 60):
    x = ring.units(count)
    k = [source.getrandbits(1500) for _ in x]
    signs = [i % 3 == 0 for i in range(count)]
    got = ring.down(ring.context.multiply(ring.up(x), to_limbs(k, 24), np.array(signs)))
    assert got == [pow(c, -e if sign else e, ring.n**2) for c, e, sign in zip(x, k, signs)]
x = ring.hard(8003)
assert ring.down(ring.context.add(ring.up(x), ring.up(x[::-1]))) == [c * d % ring.n**2 for c, d in zip(x, x[::-1])]
print("same")
"""
    assert run(folder, code) == "same\n"


def test_long_and_uneven_segments(folder):
    # Of 8 to 64 rows a piece: three passes for the longest.
    code = """
ring = Ring(odd(256))
x = ring.hard(300)
a = ring.up(x)
lengths = [0, 1, 64, 65, 9000, 0, 7, 8, 9, 128, 0]
indices = np.array([source.randrange(300) for _ in range(sum(lengths))])
offsets = np.concatenate([[0], np.cumsum(lengths)])
expected = [reduce(lambda c, d: c * d % ring.n**2, (x[i] for i in indices[b:e]), 1)
            for b, e in zip(offsets, offsets[1:])]
assert ring.down(ring.context.segment_sum(a, indices, offsets)) == expected
assert ring.down(ring.context.segment_sum(ring.up([]), np.array([], dtype=np.int64), np.array([0, 0]))) == [1]
print("same")
"""
    assert run(folder, code) == "same\n"


def test_long_linear_combinations_come_in_parts(folder):
    code = """
ring = Ring(odd(256))
square = ring.n**2
for rows, inner, columns, signed in ((2, 3000, 1, True), (3, 700, 2, False), (40, 5, 3, True)):
    x = ring.units(inner * columns)
    w = [[source.getrandbits(source.choice([1, 12, 40])) for _ in range(inner)] for _ in range(rows)]
    negative = np.array([[signed and source.random() < 0.5 for _ in range(inner)] for _ in range(rows)])
    weights = np.array(w, dtype=np.uint64)[:, :, None]
    got = ring.down(ring.context.linear_combinations(ring.up(x), columns, weights, negative))
    expected = [
        reduce(lambda c, d: c * d % square,
               (pow(x[j * columns + c], -w[i][j] if negative[i, j] else w[i][j], square) for j in range(inner)), 1)
        for i in range(rows) for c in range(columns)]
    assert got == expected
print("same")
"""
    assert run(folder, code) == "same\n"


OUT_OF_MEMORY = """
import hashlib
n = P * Q
h_s = pow(3, 2 * n, n * n)
ring = Ring(n, h_s=h_s, window_bits=6)
public, key = private()
x = ring.units(200)
plain = ring.plain([source.randrange(n) for _ in x])
exponents = to_limbs([source.getrandbits(564) for _ in x], 9)
factors, signs = to_limbs([source.getrandbits(90) for _ in x], 2), np.arange(200) % 5 == 0
indices, offsets = np.array([source.randrange(200) for _ in range(3000)]), np.array([0, 10, 2500, 3000])
weights = np.array([[source.getrandbits(20) for _ in x] for _ in range(3)], dtype=np.uint64)[:, :, None]

def results():
    c = ring.context
    a = ring.up(x)
    key_batch = public.upload(c.download(a))
    yield c.download(a)
    yield c.download(c.encrypt_with_exponents(plain, exponents))
    yield c.download(c.add_plaintexts(a, plain))
    yield c.download(c.multiply(a, factors, signs))
    yield c.download(c.segment_sum(a, indices, offsets))
    yield c.download(c.linear_combinations(a, 1, weights, np.zeros((3, 200), dtype=np.bool_)))
    yield c.download(c.negate(a))
    yield c.download(c.take(a, np.arange(200)[::-1].copy()))
    yield key.decrypt(public.encrypt_without_obfuscator(plain))

digests = lambda: [hashlib.sha256(r.tobytes()).hexdigest() for r in results()]
"""


def test_where_memory_is_short_the_batch_is_split_and_nothing_else_changes(folder):
    code = """
ample = digests()
before, live = counts(), counts()["live_bytes"]
# Room for what stays and for some of what comes and goes, found by trying: too little is an error, not a wrong result.
tight, failures, spare = None, 0, 100_000
while spare < 10_000_000:
    spare += spare // 4
    _native.set_emulated_memory(live + spare)
    try:
        assert digests() == ample
        tight = spare
        break
    except MemoryError as error:
        failures += 1
        assert "has no room for" in str(error) and "smaller batches" in str(error), error
_native.set_emulated_memory(1 << 30)
assert digests() == ample
after = counts()
assert tight is not None and failures > 0 and after["refused"] > failures, (tight, failures, after)
assert after["live_bytes"] == live and after["fault"] == ""
print("same")
"""
    assert run(folder, OUT_OF_MEMORY + code, timeout=600) == "same\n"


def test_a_result_without_room_is_an_error_with_sizes(folder):
    code = """
ring = Ring(odd(1024))
one = ring.up([3])
_native.set_emulated_memory(1 << 20)
try:
    ring.context.take(one, np.zeros(100_000, dtype=np.int64))
except MemoryError as error:
    print(error)
assert ring.down(ring.context.add(one, one)) == [9]
"""
    message = run(folder, code)
    assert re.fullmatch(
        r"the device has no room for 25600000 bytes: \d+ of 1048576 are free\. Work on smaller batches, .*\n", message
    )


def test_secrets_are_wiped_before_memory_is_given_back(folder):
    # The device looks for given words in every allocation that is given back without being wiped. That it finds them
    # shows with row numbers, which are no secret.
    code = """
import gc
words = lambda number: number.to_bytes((number.bit_length() + 7) // 8, "little")

def found_in(run, secret):
    _native.watch_emulated_memory(secret)
    run()
    gc.collect()
    return counts()["found"]

ring = Ring(odd(512))
a = ring.up(ring.hard(40))
order = np.array([1, 0, 3, 2, 5, 4, 7, 6])
assert found_in(lambda: ring.context.take(a, order), order.astype(np.uint32).tobytes()) == 1

n, limbs = P * Q, limb_count((P * Q).bit_length())
m = source.getrandbits(1000)
def everything():
    public, key = private()
    c = key.encrypt(to_limbs([m, 5], limbs), "classic")
    key.decrypt(c)
    public.encrypt(to_limbs([m, 5], limbs))
# Primes of Mersenne's form are all ones; what stands for them are e = p - 1, p's inverse modulo q^2 and the like.
q_square_inverse = pow(Q * Q, -1, P * P)
for secret in (words(P - 1)[:48], words(Q - 1)[:48], words(m), words(P)[:65], words(q_square_inverse)[:64],
               words(Q * Q * q_square_inverse % (n * n))[:64]):
    assert found_in(everything, secret) == 0, secret

h_s = pow(5, 2 * n, n * n)
exponent = source.getrandbits(560)
def with_exponent():
    djn = Ring(n, h_s=h_s)
    djn.context.encrypt_with_exponents(to_limbs([m, 1], limbs), to_limbs([exponent, 0], limb_count(564)))
for secret in (words(exponent), words(m)):
    assert found_in(with_exponent, secret) == 0
print("wiped", counts()["wiped"] > 100, repr(counts()["fault"]))
"""
    assert run(folder, code) == "wiped True ''\n"


OPERATIONS = {
    "encrypt": "x = ring.plain([1]) .repeat(200_000, axis=0); work = lambda: ring.context.encrypt(x)",
    "multiply": (
        "x = many(100_000); factors = np.full((100_000, 16), 2**64 - 1, dtype=np.uint64);"
        "work = lambda: ring.context.multiply(x, factors, np.zeros(100_000, dtype=np.bool_))"
    ),
    "add": "x = many(400_000); work = lambda: [ring.context.add(x, x) for _ in range(100)]",
    "segment_sum": (
        "x = many(8); indices = np.zeros(40_000_000, dtype=np.int64);"
        "work = lambda: ring.context.segment_sum(x, indices, np.array([0, 40_000_000]))"
    ),
    "linear_combinations": (
        "x = many(64); weights = np.full((20_000, 64, 1), 2**63 - 25, dtype=np.uint64);"
        "work = lambda: ring.context.linear_combinations(x, 1, weights, np.zeros((20_000, 64), dtype=np.bool_))"
    ),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_ctrl_c_stops_a_long_batch(folder, operation):
    code = f"""{PREPARE}
ring = Ring(odd(512))
many = lambda count: ring.context.take(ring.up([3]), np.zeros(count, dtype=np.int64))
{OPERATIONS[operation]}
print("started", flush=True)
try:
    work()
except KeyboardInterrupt:
    print("interrupted", flush=True)
print(ring.down(ring.context.add(ring.up([3]), ring.up([5]))), repr(counts()["fault"]), flush=True)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=emulated_device.environment(folder)
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    time.sleep(0.2)  # into the batch; it holds for whatever moment
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=120)
    assert (process.returncode, out) == (0, "interrupted\n[15] ''\n")


def test_a_forked_child_is_told_and_has_the_other_backends(folder):
    code = """
ring = Ring(odd(512))
a = ring.up([3, 4])
child = os.fork()
if child == 0:
    status = 1
    try:
        assert "cuda" not in cl.backends() and "portable" in cl.backends()
        assert _native.device_info() is None
        for work in (lambda: ring.context.add(a, a), lambda: ring.down(a), lambda: ring.up([5])):
            try:
                work()
            except RuntimeError as error:
                assert "no device survives a fork" in str(error) and "spawn" in str(error), error
            else:
                raise AssertionError("a device that survived")
        other = Ring(ring.n, "portable")
        assert other.down(other.context.add(other.up([3]), other.up([5]))) == [15]
        try:
            Ring(ring.n)
        except cl.BackendUnavailableError as error:
            assert "no device survives a fork" in str(error), error
        else:
            raise AssertionError("a ring on a device that is not there")
        del a, ring
        status = 0
    except BaseException as error:
        print(repr(error), flush=True)
    finally:
        os._exit(status)
assert os.waitpid(child, 0)[1] == 0
assert ring.down(ring.context.add(a, a)) == [9, 16]
print(a.device, a.backend, _native.device_info()["emulated"])
"""
    assert run(folder, code) == "cuda:0 cuda True\n"


def test_threads_share_a_ring_and_take_up_each_others_results(folder):
    code = """
from concurrent.futures import ThreadPoolExecutor
ring = Ring(odd(512))
x = ring.hard(30)
def power(k):
    a = ring.up(x)
    for _ in range(k):
        a = ring.context.add(a, a)
    return k, a
with ThreadPoolExecutor(8) as pool:
    made = list(pool.map(power, range(24)))
    read = list(pool.map(lambda pair: (pair[0], ring.down(pair[1])), made))
assert all(numbers == [pow(c, 2**k, ring.n**2) for c in x] for k, numbers in read)
print(repr(counts()["fault"]))
"""
    assert run(folder, code) == "''\n"
