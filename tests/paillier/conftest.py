"""Fixed keys of every size, the numbers that break carries, and one run a backend."""

from __future__ import annotations

import json
import random
import warnings
from pathlib import Path

import pytest

import cipherlane as cl

DATA = Path(__file__).parents[1] / "data"


def load_key(index: int) -> cl.PrivateKey:
    fields = json.loads((DATA / "paillier_test_keys.json").read_text())["keys"][index]
    generators = tuple(int(g, 16) for g in fields["generators"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", cl.paillier.WeakKeyWarning)
        return cl.PrivateKey(
            int(fields["p"], 16), int(fields["q"], 16), h_s=int(fields["h_s"], 16), generators=generators
        )


def load_short_key(index: int) -> cl.PrivateKey:
    fields = json.loads((DATA / "paillier_test_keys.json").read_text())["short_keys"][index]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", cl.paillier.WeakKeyWarning)
        return cl.PrivateKey(
            int(fields["p"], 16),
            int(fields["q"], 16),
            h_s=int(fields["h_s"], 16),
            exponent_bits=fields["exponent_bits"],
            orders=tuple(int(order, 16) for order in fields["orders"]),
        )


@pytest.fixture(scope="session")
def short_keys():
    return {bits: load_short_key(index) for index, bits in enumerate((1024, 2048, 3072, 4096))}


@pytest.fixture(params=[1024, 2048, 3072, 4096])
def any_short_key(request, short_keys):
    return short_keys[request.param]


@pytest.fixture(scope="session")
def keys():
    return {bits: load_key(index) for index, bits in enumerate((1024, 2048, 3072, 4096))}


@pytest.fixture(params=[1024, 2048, 3072, 4096])
def any_private_key(request, keys):
    return keys[request.param]


@pytest.fixture(scope="session")
def private_key(keys):
    return keys[1024]


@pytest.fixture(scope="session")
def public_key(private_key):
    return private_key.public_key


@pytest.fixture(params=cl.backends())
def backend(request):
    with cl.use_backend(request.param) as name:
        yield name


def _hard_numbers(n: int, seed: int = 1) -> list[int]:
    """Numbers below n where carries run far: ends, middle, runs of ones and zeros, limbs at a word's edge."""
    generator = random.Random(seed)
    bits = n.bit_length()
    limbs = (bits + 63) // 64
    numbers = [0, 1, 2, n - 1, n - 2, n // 2, n // 2 + 1, (1 << (bits - 1)) - 1, 1 << (bits - 1)]
    for length in (63, 64, 65, 127, bits // 2, bits - 2):
        start = generator.randrange(bits - length)
        run = ((1 << length) - 1) << start
        numbers += [run, n - 1 - run % n]
    edges = [0, 1, 2**63 - 1, 2**63, 2**63 + 1, 2**64 - 1]
    for _ in range(6):
        numbers.append(sum(generator.choice(edges) << (64 * i) for i in range(limbs)))
    return [number % n for number in numbers]


@pytest.fixture(scope="session")
def hard_numbers():
    return _hard_numbers


@pytest.fixture(scope="session")
def hard_residues():
    """Numbers in [1, n²) and coprime to n that are hard to multiply mod n²."""

    def make(key: cl.PublicKey, count: int, seed: int = 2) -> list[int]:
        square = key.n**2
        numbers = [c for c in _hard_numbers(square, seed) if c % key.n]
        generator = random.Random(seed)
        numbers += [generator.randrange(1, square) for _ in range(max(0, count - len(numbers)))]
        return numbers[:count]

    return make
