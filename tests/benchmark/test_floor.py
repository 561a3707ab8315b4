from __future__ import annotations

import pytest

import cipherlane as cl
from cipherlane import _native
from cipherlane.benchmark.floor import instructions, limb_products
from cipherlane.benchmark.operations import OPERATIONS


@pytest.mark.parametrize(("bits", "limbs"), [(1024, 20), (2048, 40), (3072, 60), (4096, 79)])
def test_the_floor_of_a_product_is_five_squares_of_the_limbs(bits: int, limbs: int) -> None:
    assert limb_products("add", "ifma", bits) == 5 * limbs**2
    assert instructions("ifma", limb_products("add", "ifma", bits)) == 10 * limbs**2


def test_a_table_power_costs_four_squares_a_window_after_the_first_and_the_end_two() -> None:
    square = 40**2
    assert limb_products("encrypt", "ifma", 2048, window_bits=8) == (127 * 4 + 2) * square
    assert limb_products("rerandomize", "ifma", 2048, window_bits=8) == (128 * 4 + 2) * square
    assert limb_products("packed", "ifma", 2048, window_bits=8, slots=31) == (127 * 4 + 2) * square / 31


def test_powers_cost_their_squares_and_the_best_window() -> None:
    # 64 squares; with windows of 3 bits, 22 products and 6 for the table.
    assert limb_products("multiply", "ifma", 2048) == (64 * 3.5 + 28 * 5) * 40**2
    # By the two primes, half the limbs each: about a quarter of the work of a power mod n^2 for half its length.
    ratio = limb_products("holder-classic", "ifma", 2048) / limb_products("encrypt-classic", "ifma", 2048)
    assert 0.2 < ratio < 0.3


def test_shared_work_is_spread_over_the_batch() -> None:
    assert limb_products("sum", "portable", 1024, count=1) == 0
    assert limb_products("matmul", "ifma", 2048, count=1000) < limb_products("matmul", "ifma", 2048, count=10)


def test_every_operation_has_a_floor_on_every_backend() -> None:
    for name in OPERATIONS:
        for backend in _native.known_backends():
            assert limb_products(name, backend, 2048, window_bits=6, count=64) > 0


def test_the_peak_is_measured_for_usable_backends_only() -> None:
    for backend in cl.backends():
        assert _native.multiply_peak(backend) > 0
    with pytest.raises(cl.BackendUnavailableError, match=r"backend: 'abacus' cannot be used .* portable"):
        _native.multiply_peak("abacus")


def test_the_window_of_a_table_shows_once_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIPHERLANE_BACKEND", "portable")
    public_key, private_key = cl.keygen(2048)
    context = public_key.context()
    assert context.window_bits == 0
    public_key.encrypt([1])
    assert 2 <= context.window_bits <= 16
    own = private_key._context("portable")
    assert own.window_bits("exact") == 0
    private_key.encrypt([1], noise="exact")
    assert own.window_bits("exact") >= 2
    assert own.window_bits("djn") == own.window_bits("classic") == 0
    assert cl.PublicKey(public_key.n).context().window_bits == 0
    with pytest.raises(ValueError, match="noise: expected 'djn', 'classic' or 'exact', got 'pink'"):
        own.window_bits("pink")
