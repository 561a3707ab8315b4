"""Powers of h_s from tables: every width of window, every way to run out of room, and how large tables may grow."""

from __future__ import annotations

import os
import random
import subprocess
import sys

import gmpy2
import numpy as np
import pytest

import cipherlane as cl
from cipherlane import _native
from cipherlane.paillier import reference
from cipherlane.paillier.limbs import from_limbs, limb_count, number_to_limbs, to_limbs

pytestmark = pytest.mark.filterwarnings("ignore::cipherlane.paillier.WeakKeyWarning")


def context_of(n: int, h_s: int, backend: str, window_bits: int):
    bits = n.bit_length()
    return _native.PublicContext(number_to_limbs(n), number_to_limbs(h_s, limb_count(2 * bits)), backend, window_bits)


def check_powers(n: int, h_s: int, backend: str, window_bits: int, count: int) -> None:
    """Encryptions with hard exponents, window by window: all zeros, all ones, one digit at a time."""
    half = (n.bit_length() + 1) // 2
    source = random.Random(window_bits)
    exponents = [0, 1, (1 << half) - 1, 1 << (half - 1), (1 << window_bits) - 1, 1 << window_bits]
    exponents += [((1 << window_bits) - 1) << (window_bits * source.randrange(half // window_bits)) for _ in range(3)]
    exponents += [source.getrandbits(half) for _ in range(max(0, count - len(exponents)))]
    exponents = [a % (1 << half) for a in exponents[:count]]
    messages = [source.choice([0, 1, n - 1, n // 2, source.randrange(n)]) for _ in exponents]
    context = context_of(n, h_s, backend, window_bits)
    encrypted = context.encrypt_with_exponents(
        to_limbs(messages, limb_count(n.bit_length())), to_limbs(exponents, limb_count(half))
    )
    expected = [reference.encrypt_with_exponent(n, h_s, m, a) for m, a in zip(messages, exponents, strict=True)]
    assert from_limbs(context.download(encrypted)) == expected


@pytest.mark.parametrize("window_bits", range(1, 13))
@pytest.mark.parametrize("backend", cl.backends())
def test_every_window_gives_the_powers_of_the_reference(public_key, backend, window_bits):
    check_powers(public_key.n, public_key.h_s, backend, window_bits, 19)


# With 8 bits to spare, the sum of the entries' second halves must be reduced every 128 windows. A modulus of 1072 bits
# has just that in radix 2^60, one of 1084 bits in radix 2^52.
@pytest.mark.parametrize("bits", [1072, 1084])
@pytest.mark.parametrize("window_bits", [1, 2, 3])
@pytest.mark.parametrize("backend", cl.backends())
def test_long_sums_are_reduced_in_time(backend, window_bits, bits):
    source = random.Random(bits)
    n = (1 << bits) - 2 * source.getrandbits(bits - 3) - 1  # odd is all that the arithmetic asks for
    h_s = pow(source.randrange(n), n, n * n)
    assert gmpy2.gcd(n, h_s) == 1
    check_powers(n, h_s, backend, window_bits, 10)


@pytest.mark.parametrize("noise", ["djn", "exact"])
@pytest.mark.parametrize("backend", cl.backends())
def test_the_key_holders_tables_are_right_at_every_size_they_grow_to(private_key, backend, noise):
    key = cl.PrivateKey(private_key.p, private_key.q, h_s=private_key.public_key.h_s, generators=private_key.generators)
    with cl.use_backend(backend):
        for count in (1, 9, 100, 500, 3000):
            values = np.arange(count) - count // 2
            assert (key.decrypt(key.encrypt(values, noise=noise)) == values).all()


def run_with_table_limit(limit: str) -> subprocess.CompletedProcess[str]:
    code = (
        "import warnings; warnings.simplefilter('ignore')\n"
        "import cipherlane as cl\n"
        "public_key, private_key = cl.keygen(1024)\n"
        "values = list(range(3000))\n"
        "print(private_key.decrypt(public_key.encrypt(values)).tolist() == values)\n"
    )
    environment = {**os.environ, "CIPHERLANE_TABLE_MIB": limit}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)


def test_a_small_limit_on_tables_is_kept_and_a_senseless_one_refused():
    small = run_with_table_limit("1")
    assert small.stdout == "True\n", small.stderr
    for wrong in ("0", "-3", "many", "10MB"):
        refused = run_with_table_limit(wrong)
        assert refused.returncode != 0
        assert "CIPHERLANE_TABLE_MIB: expected a whole number of mebibytes" in refused.stderr
