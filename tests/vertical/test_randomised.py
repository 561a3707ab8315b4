"""Ciphertexts without randomness of their own are refused on arrival, whatever they hold."""

from __future__ import annotations

import numpy as np
import pytest

import cipherlane as cl
from cipherlane.errors import ProtocolError
from cipherlane.paillier import CipherArray, PublicKey, hazmat
from cipherlane.vertical.exchange import read_ciphertexts
from cipherlane.vertical.score_encoding import NumberEncoding

ENCODING = NumberEncoding(2, packing=False)
SCALE = 1 << ENCODING.fraction_bits


@pytest.fixture(scope="module")
def key() -> PublicKey:
    return cl.keygen(bits=2048)[0]


def _bytes(key: PublicKey, ciphertexts: list[int]) -> bytes:
    codec = ENCODING.codec()
    bound = SCALE << ENCODING.integer_bits
    return hazmat.from_integers(key, ciphertexts, codec=codec, bound=bound).to_bytes(rerandomize=False)


def test_randomised_ciphertexts_are_taken_even_of_equal_numbers(key: PublicKey) -> None:
    data = key.encrypt(np.zeros(64), codec=ENCODING.codec()).to_bytes()
    assert read_ciphertexts(key, data, 64, ENCODING, "guest").shape == (64,)
    data = _bytes(key, hazmat.encrypt(key, [0, 0, 5], [2, 3, 4]))
    assert isinstance(read_ciphertexts(key, data, 3, ENCODING, "guest"), CipherArray)


@pytest.mark.parametrize(
    ("plaintexts", "obfuscators", "expected"),
    [
        ([7, 8, 9], [2, 1, 3], "1 of 3 not randomised, they can be read by anyone"),
        ([0, 0, 0], [1, 1, 1], "3 of 3 not randomised"),
        ([7, 8, 9], [5, 6, 5], "random factors repeat"),
    ],
)
def test_ciphertexts_without_their_own_randomness_are_refused(
    key: PublicKey, plaintexts: list[int], obfuscators: list[int], expected: str
) -> None:
    data = _bytes(key, hazmat.encrypt(key, plaintexts, obfuscators))
    with pytest.raises(ProtocolError, match=f"ciphertexts from 'guest': .*{expected}"):
        read_ciphertexts(key, data, 3, ENCODING, "guest")
