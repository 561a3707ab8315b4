"""Small keys for all adapters."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest

import cipherlane as cl

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture(scope="session")
def private_key():
    fields = json.loads((DATA / "paillier_test_keys.json").read_text())["keys"][0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", cl.paillier.WeakKeyWarning)
        return cl.PrivateKey(int(fields["p"], 16), int(fields["q"], 16), h_s=int(fields["h_s"], 16))


@pytest.fixture(scope="session")
def public_key(private_key):
    return private_key.public_key


# Of python-paillier, which is imported only where its stand-in is tried: other adapters are tested without it.


@pytest.fixture(scope="module", params=[512, 1024], ids=["gmp", "core"])
def bits(request):
    return request.param


@pytest.fixture(scope="module")
def our_keys(bits):
    """Return a pair of the stand-in."""
    from cipherlane.integrations import phe

    from phe_pairs import pair_of

    return pair_of(phe, bits)


@pytest.fixture(scope="module")
def their_keys(bits):
    """Return a pair of python-paillier with the same primes."""
    import phe

    from phe_pairs import pair_of

    return pair_of(phe, bits)


@pytest.fixture(scope="module")
def core_keys():
    """Return a pair whose public key has h_s."""
    from cipherlane.integrations import phe

    return phe.generate_paillier_keypair(n_length=1024)
