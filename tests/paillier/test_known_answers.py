"""Encryptions, sums and products computed by python-paillier 1.5.0, and that library itself as a peer."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import cipherlane as cl
from cipherlane.paillier import hazmat

phe = pytest.importorskip("phe")

ANSWERS = Path(__file__).parents[1] / "data" / "paillier_known_answers.json"
KEYS = json.loads(ANSWERS.read_text())["keys"]
pytestmark = [
    pytest.mark.usefixtures("backend"),
    pytest.mark.filterwarnings("ignore::cipherlane.paillier.WeakKeyWarning"),
]


def numbers(items, name):
    return [int(item[name], 16) for item in items]


@pytest.fixture(params=KEYS, ids=lambda key: str(key["bits"]))
def answers(request):
    return request.param


@pytest.fixture
def answers_key(answers):
    return cl.PrivateKey(int(answers["p"], 16), int(answers["q"], 16))


def test_there_are_answers_for_every_size():
    assert [key["bits"] for key in KEYS] == [1024, 2048, 3072, 4096]
    assert all(len(key["cases"]) == 16 and len(key["ops"]) == 15 for key in KEYS)


def test_the_key(answers, answers_key):
    assert answers_key.public_key.n == int(answers["n"], 16)
    assert answers_key.public_key.bits == answers["bits"]


def test_encryptions(answers, answers_key):
    cases = answers["cases"]
    got = hazmat.encrypt(answers_key.public_key, numbers(cases, "m"), numbers(cases, "r"))
    assert got == numbers(cases, "c")


def test_decryptions(answers, answers_key):
    cases = answers["cases"]
    assert hazmat.decrypt(answers_key, numbers(cases, "c")) == numbers(cases, "m")


def test_sums_and_products(answers, answers_key):
    key, operations = answers_key.public_key, answers["ops"]
    ciphertexts = numbers(answers["cases"], "c")
    a = [ciphertexts[operation["a"]] for operation in operations]
    b = [ciphertexts[operation["b"]] for operation in operations]
    sums = hazmat.add(key, a, b)
    assert sums == numbers(operations, "add")
    assert hazmat.decrypt(answers_key, sums) == numbers(operations, "add_plain")
    products = hazmat.multiply(key, a, numbers(operations, "k"))
    assert products == numbers(operations, "mul")
    assert hazmat.decrypt(answers_key, products) == numbers(operations, "mul_plain")


@pytest.mark.parametrize("bits", [1024, 2048])
def test_phe_decrypts_ours_and_we_decrypt_its(keys, bits, hard_numbers):
    private_key = keys[bits]
    public_key = private_key.public_key
    theirs = phe.PaillierPublicKey(public_key.n)
    their_private = phe.PaillierPrivateKey(theirs, private_key.p, private_key.q)
    plaintexts = hard_numbers(public_key.n)[:12]

    from_them = [theirs.raw_encrypt(m) for m in plaintexts]
    assert hazmat.decrypt(private_key, from_them) == plaintexts

    for holder in (public_key, private_key):
        ours = holder.encrypt(np.array([0, 1, -1, 10**12, -(10**12)]))
        decrypted = [their_private.raw_decrypt(c) for c in hazmat.to_integers(ours * 3 + 1)]
        expected = [m % public_key.n for m in (1, 4, -2, 3 * 10**12 + 1, -3 * 10**12 + 1)]
        assert decrypted == expected


def test_phe_numbers_can_be_taken_over_and_computed_with():
    their_public, their_private = phe.generate_paillier_keypair(n_length=1024)
    private_key = cl.PrivateKey(their_private.p, their_private.q)
    assert private_key.public_key == cl.PublicKey(their_public.n)
    encrypted = [their_public.encrypt(value) for value in (3, -4, 5)]
    assert {number.exponent for number in encrypted} == {0}
    taken = hazmat.from_integers(private_key.public_key, [number.ciphertext() for number in encrypted], bound=1 << 64)
    assert private_key.decrypt(taken * 2 + 1).tolist() == [7, -7, 11]
