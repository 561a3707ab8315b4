"""Keys of python-paillier and of its stand-in with the same primes, and the numbers that both are tried with."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import phe as theirs

DATA = Path(__file__).parents[1] / "data"
# The primes of a 512-bit key, which goes through GMP, are the next ones from here.
MEDIUM = (
    0xE8ECB3B5A3E9A9E3FBA7A1F17B8F4F55B1C0A2D3E4F5061728394A5B6C7D8E93,
    0xD1B54A32D192ED03A3F1C2B4958677695A4B3C2D1E0F10213243546576879ABB,
)
FLOATS = (0.0, -0.0, 1.5, -1 / 3, math.pi, 1e-20, 1e20, -123456.789, 2.0**-60, 1 + 2.0**-52, 0.1)
NUMBERS = (0, 1, -1, 2**62, -(2**63), 10**30, True, np.float64(-2.5), *FLOATS)


def next_prime(number: int) -> int:
    while not theirs.util.is_prime(number):
        number += 1
    return number


def primes_of(bits: int) -> tuple[int, int]:
    if bits == 512:
        return tuple(map(next_prime, MEDIUM))
    fields = json.loads((DATA / "paillier_test_keys.json").read_text())["keys"]
    (key,) = (key for key in fields if int(key["p"], 16).bit_length() * 2 == bits)
    return int(key["p"], 16), int(key["q"], 16)


def pair_of(library, bits):
    p, q = primes_of(bits)
    public_key = library.PaillierPublicKey(p * q)
    return public_key, library.PaillierPrivateKey(public_key, p, q)


def state(number):
    return number.ciphertext(be_secure=False), number.exponent
