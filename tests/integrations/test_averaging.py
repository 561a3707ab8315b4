"""Averages of weights under encryption: equal to numpy's, and nothing wrong is added or shown."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import cipherlane as cl
from cipherlane.errors import KeyMismatchError, PlaintextOverflowError, ProtocolError
from cipherlane.integrations.averaging import (
    AveragingTerms,
    EncryptedSum,
    decrypt_average,
    encrypt_weights,
)
from cipherlane.integrations.averaging_messages import Layers, pack_message, unpack_message

from averaging_cases import TERMS, WEIGHTS, check_average, model, small_key

KEY = small_key()
PUBLIC = KEY.public_key


def summed(contributions: list[bytes], terms: AveragingTerms = TERMS) -> bytes:
    total = EncryptedSum(PUBLIC, terms)
    for contribution in contributions:
        total.add(contribution)
    return total.to_bytes()


@pytest.mark.parametrize("key", [KEY, PUBLIC], ids=["private", "public"])
def test_the_average_is_that_of_numpy(key):
    models = [model(seed) for seed in range(3)]
    contributions = [encrypt_weights(key, TERMS, one, weight) for one, weight in zip(models, WEIGHTS, strict=True)]
    check_average(decrypt_average(KEY, TERMS, summed(contributions)), models, WEIGHTS)


def test_the_error_stays_within_the_tolerance_and_reaches_half_of_it():
    # Weights that are not the largest cost precision: the bound says how much, and is not far too wide.
    terms = AveragingTerms(parties=2, most_weight=10_000, scale_bits=20)
    values = np.random.default_rng(5).uniform(-1, 1, 500)
    parts = [encrypt_weights(KEY, terms, {"w": values * sign}, 7) for sign in (1.0, 0.5)]
    average = decrypt_average(KEY, terms, summed(parts, terms))
    error = np.abs(average.weights["w"] - 0.75 * values).max()
    tolerance = terms.tolerance(14, 2)
    assert 0.5 * tolerance < error <= tolerance


def test_every_slot_at_its_extreme_adds_up_without_wrapping():
    terms = AveragingTerms(parties=4, most_weight=2**28 - 1)
    largest = terms.largest_value
    signs = np.array([1.0, -1.0] * 60)
    contributions = [encrypt_weights(KEY, terms, {"w": signs * largest}, terms.most_weight) for _ in range(4)]
    average = decrypt_average(KEY, terms, summed(contributions, terms))
    np.testing.assert_array_equal(average.weights["w"], signs * largest)
    assert average.total_weight == 4 * terms.most_weight


def test_one_client_more_than_the_terms_have_room_for_is_refused_and_nothing_is_lost():
    terms = AveragingTerms(parties=2, most_weight=10)
    total = EncryptedSum(PUBLIC, terms)
    parts = [encrypt_weights(KEY, terms, {"w": [value]}, 10) for value in (1.0, 2.0, 3.0)]
    total.add(parts[0])
    total.add(parts[1])
    with pytest.raises(PlaintextOverflowError, match="room for 2 clients, and one more came; raise parties"):
        total.add(parts[2])
    assert decrypt_average(KEY, terms, total.to_bytes()).weights["w"][0] == pytest.approx(1.5, abs=2**-24)


@pytest.mark.parametrize(
    ("weights", "weight", "error", "words"),
    [
        ({}, 1, ValueError, "expected at least one layer, got none"),
        ([1.0], 1, TypeError, "expected a mapping from layers' names to arrays, got list"),
        ({"a": [1.0, np.nan]}, 1, ValueError, r"weights\['a'\]: expected finite numbers"),
        ({"a": [1.0, -np.inf]}, 1, ValueError, r"weights\['a'\]: expected finite numbers"),
        ({"a": ["x"]}, 1, TypeError, r"weights\['a'\]: expected real numbers"),
        ({"a": [1j]}, 1, TypeError, r"weights\['a'\]: expected real numbers"),
        (
            {"a": [[0.0, 0.0], [0.0, -16.0]]},
            1,
            PlaintextOverflowError,
            r"below 2\^4, got a larger one at index \(1, 1\)",
        ),
        ({"a": [1.0]}, 0, ValueError, "weight: expected an integer from 1 to 1000, got a smaller one$"),
        (
            {"a": [1.0]},
            1001,
            ValueError,
            "weight: expected an integer from 1 to 1000, got a larger one; raise most_weight",
        ),
        ({"a": [1.0]}, 2.5, TypeError, "weight: expected an integer from 1 to 1000, got float"),
        ({"a": [1.0]}, True, TypeError, "weight: expected an integer from 1 to 1000, got bool"),
    ],
)
def test_what_cannot_be_averaged_is_refused(weights, weight, error, words):
    with pytest.raises(error, match=words):
        encrypt_weights(PUBLIC, TERMS, weights, weight)


def test_values_too_large_are_clipped_where_that_is_asked_for():
    parts = [encrypt_weights(KEY, TERMS, {"w": [99.0, -99.0, 1.0]}, 1000, clip=True) for _ in range(2)]
    average = decrypt_average(KEY, TERMS, summed(parts))
    np.testing.assert_array_equal(average.weights["w"], [TERMS.largest_value, -TERMS.largest_value, 1.0])


def test_integers_are_averaged_as_floats():
    parts = [encrypt_weights(KEY, TERMS, {"steps": np.array(count)}, 1000) for count in (3, 4)]
    average = decrypt_average(KEY, TERMS, summed(parts)).weights["steps"]
    assert average.dtype == np.float64 and average == 3.5


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"a": np.zeros(3)}, r"missing \['b'\], unknown \[\]"),
        ({"a": np.zeros(3), "c": np.zeros(2)}, r"missing \['b'\], unknown \['c'\]"),
        ({"b": np.zeros(2), "a": np.zeros(3)}, "the same names in another order"),
        ({"a": np.zeros(4), "b": np.zeros(2)}, r"'a': expected <f8 of shape \(3,\) .* got <f8 of shape \(4,\)"),
        ({"a": np.zeros(3), "b": np.zeros(2, np.float32)}, r"'b': expected <f8 of shape \(2,\) .* got <f4"),
    ],
)
def test_a_model_of_other_layers_is_refused_and_the_others_are_averaged(changed, words):
    total = EncryptedSum(PUBLIC, TERMS)
    good = [encrypt_weights(KEY, TERMS, {"a": np.full(3, v), "b": np.full(2, v)}, 1000) for v in (1.0, 2.0)]
    total.add(good[0])
    with pytest.raises(ProtocolError, match=words):
        total.add(encrypt_weights(KEY, TERMS, changed, 1))
    total.add(good[1])
    assert total.added == 2
    np.testing.assert_allclose(decrypt_average(KEY, TERMS, total.to_bytes()).weights["a"], 1.5, atol=2**-24)


def test_other_keys_and_other_terms_are_refused():
    total = EncryptedSum(PUBLIC, TERMS)
    part = encrypt_weights(KEY, TERMS, {"a": [1.0]}, 1)
    with pytest.raises(KeyMismatchError, match="another key"):
        total.add(encrypt_weights(small_key(1), TERMS, {"a": [1.0]}, 1))
    for terms in (replace(TERMS, scale_bits=23), replace(TERMS, parties=5), replace(TERMS, most_weight=999)):
        with pytest.raises(ProtocolError, match="give every client and the server the same terms"):
            total.add(encrypt_weights(KEY, terms, {"a": [1.0]}, 1))
    assert total.added == 0
    with pytest.raises(KeyMismatchError, match="another key"):
        decrypt_average(small_key(1), TERMS, summed([part, part]))
    with pytest.raises(ProtocolError, match="contribution: expected that of one client, got a sum of 2"):
        total.add(summed([part, part]))


@pytest.mark.parametrize("data", [b"", b"x", b"\xc0", None, "text"])
def test_what_is_no_message_is_refused(data):
    with pytest.raises((ProtocolError, TypeError)):
        EncryptedSum(PUBLIC, TERMS).add(data)


def test_damaged_ciphertexts_are_refused():
    part = bytearray(encrypt_weights(KEY, TERMS, {"a": np.ones(5)}, 1))
    begin = len(part) - len(unpack_message(bytes(part)).ciphertexts)
    for position in range(begin, len(part), 3):
        damaged = part.copy()
        damaged[position] ^= 0x41
        with pytest.raises((ProtocolError, KeyMismatchError)):
            EncryptedSum(PUBLIC, TERMS).add(bytes(damaged))


def test_the_average_of_fewer_clients_than_agreed_is_not_shown():
    part = encrypt_weights(KEY, TERMS, {"a": [1.0]}, 1)
    total = EncryptedSum(PUBLIC, TERMS)
    total.add(part)
    with pytest.raises(ProtocolError, match="at least 2 clients, got 1"):
        total.to_bytes()
    # A server that hands one client's contribution out all the same.
    with pytest.raises(ProtocolError, match="expected one of at least 2 clients, got one of 1"):
        decrypt_average(KEY, TERMS, part)


def test_a_sum_that_claims_other_clients_than_it_holds_is_refused():
    part = encrypt_weights(KEY, TERMS, {"a": [1.0]}, 5)
    message = unpack_message(part)
    array = cl.CipherArray.from_bytes(PUBLIC, message.ciphertexts)
    zeros = PUBLIC.encrypt(np.zeros(array.size), TERMS.codec)
    padded = pack_message(message.layers, TERMS.most_weight, 2, array + zeros)
    with pytest.raises(ProtocolError, match="says that it is of 2 clients, and holds 1 with weights of 5"):
        decrypt_average(KEY, TERMS, padded)
    with pytest.raises(ProtocolError, match="bound: not that of 2 clients"):
        decrypt_average(KEY, TERMS, pack_message(message.layers, TERMS.most_weight, 2, array))
    other = Layers(("a",), ("<f8",), ((7,),))
    with pytest.raises(ProtocolError, match="expected 9 values, got shape"):
        decrypt_average(KEY, TERMS, pack_message(other, TERMS.most_weight, 2, array + array))


def test_messages_are_fresh_and_do_not_tell_the_client_weight():
    one, two = (encrypt_weights(KEY, TERMS, {"a": [1.0]}, 7) for _ in range(2))
    assert one != two
    total = EncryptedSum(PUBLIC, TERMS)
    total.add(one)
    total.add(two)
    # The same sum is never sent in the same form, so nobody can tell of which contributions it was made.
    assert total.to_bytes() != total.to_bytes()
    plain_sum = cl.CipherArray.from_bytes(PUBLIC, unpack_message(one).ciphertexts) + cl.CipherArray.from_bytes(
        PUBLIC, unpack_message(two).ciphertexts
    )
    assert unpack_message(total.to_bytes()).ciphertexts != plain_sum.to_bytes(rerandomize=False)
    fewer, more = (len(encrypt_weights(KEY, TERMS, {"a": [1.0]}, weight)) for weight in (1, 1000))
    assert fewer == more


@pytest.mark.parametrize(
    ("fields", "error", "words"),
    [
        ({"parties": 1}, ValueError, "parties: expected an integer from 2 to 65536, got 1"),
        ({"parties": 2.0}, TypeError, "parties: expected an integer"),
        ({"most_weight": 2**28}, ValueError, f"most_weight: expected an integer from 1 to {2**28 - 1}"),
        ({"least_parties": 4}, ValueError, "least_parties: expected an integer from 1 to 3"),
        ({"scale_bits": 0}, ValueError, "scale_bits"),
        ({"integer_bits": 65}, ValueError, "integer_bits"),
    ],
)
def test_terms_out_of_range_are_refused(fields, error, words):
    with pytest.raises(error, match=words):
        AveragingTerms(**{"parties": 3, "most_weight": 1000, **fields})
