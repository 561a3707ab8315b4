from __future__ import annotations

import warnings

import numpy as np
import pytest

import cipherlane as cl
from cipherlane.errors import PlaintextOverflowError
from cipherlane.vertical.score_encoding import (
    NumberEncoding,
    parameter_encoding,
    score_vector,
    split_score_vector,
)


@pytest.fixture(scope="module")
def keys() -> tuple[cl.PublicKey, cl.PrivateKey]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return cl.keygen(bits=1024)


@pytest.mark.parametrize(("parties", "slot_bits"), [(2, 62), (3, 63), (4, 63), (5, 64), (256, 69)])
def test_a_slot_has_sign_integer_fraction_and_headroom_bits(parties: int, slot_bits: int) -> None:
    assert NumberEncoding(parties).slot_bits == slot_bits


def test_the_breast_data_take_eighteen_ciphertexts_a_party_and_round() -> None:
    assert NumberEncoding(2).ciphertexts(569 + 1, 2048) == 18
    assert NumberEncoding(2, packing=False).ciphertexts(570, 2048) == 570


@pytest.mark.parametrize("packing", [True, False])
@pytest.mark.parametrize("parties", [2, 3, 5])
def test_sums_at_the_bounds_are_exact(keys: tuple[cl.PublicKey, cl.PrivateKey], parties: int, packing: bool) -> None:
    public, private = keys
    encoding = NumberEncoding(parties, packing=packing)
    largest = 2.0**20 - 2.0**-32
    values = np.array([largest, -largest, largest, 0.0, 2.0**-40, -(2.0**-40)] * 6)
    encoding.check_fits(values, "host", "scores")
    total = public.encrypt(values, codec=encoding.codec())
    for _ in range(parties - 1):
        total = total + public.encrypt(values, codec=encoding.codec())
    np.testing.assert_array_equal(private.decrypt(total), parties * values)


@pytest.mark.parametrize("value", [2.0**20, -(2.0**20), 1e300, np.nextafter(2.0**20, 0) + 2.0**-33])
def test_a_number_beyond_the_encoding_is_named_with_party_and_remedy(value: float) -> None:
    values = np.array([0.0, value])
    with pytest.raises(PlaintextOverflowError, match=r"party .lab.: scores: 1 of 2 numbers .*fewer components.*_bits"):
        NumberEncoding(2).check_fits(values, "lab", "scores")


@pytest.mark.parametrize("packing", [True, False])
def test_parameters_cross_without_loss_at_ordinary_magnitudes(
    keys: tuple[cl.PublicKey, cl.PrivateKey], packing: bool
) -> None:
    public, private = keys
    rng = np.random.default_rng(1)
    values = rng.normal(size=50) * 10.0 ** rng.integers(-3, 12, size=50)
    sent = public.encrypt(values, codec=parameter_encoding(packing).codec())
    np.testing.assert_allclose(private.decrypt(sent), values, rtol=1e-15, atol=2.0**-65)


def test_scores_split_into_what_they_were_made_of() -> None:
    rng = np.random.default_rng(2)
    densities = rng.normal(size=(7, 3)) * 50
    vector = score_vector(densities)
    assert vector.shape == (7 * 2 + 1,)
    relative, mean = split_score_vector(vector, 7, 3)
    np.testing.assert_allclose(relative, densities - densities[:, -1:])
    assert mean == densities[:, -1].mean()
    with pytest.raises(ValueError, match="expected 15 numbers, got shape"):
        split_score_vector(vector[:-1], 7, 3)
