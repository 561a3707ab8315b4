"""The parts of a federated logistic regression: the separable function, batches, stopping, gradients and masks."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit

import cipherlane as cl
from cipherlane.errors import ProtocolError
from cipherlane.paillier.public_key import WeakKeyWarning
from cipherlane.vertical.logistic_ciphertexts import (
    GuestRows,
    encrypted_gradient,
    packed_loss,
    packed_residuals,
    passed_on,
)
from cipherlane.vertical.logistic_settings import LogisticSettings
from cipherlane.vertical.logistic_steps import Batches, binary_labels, descended, judged, row_weights
from cipherlane.vertical.masks import Masks, decrypted_masked, masked, numbers_from
from cipherlane.vertical.row_packing import RowPacking, Slot
from cipherlane.vertical.separable_logistic import SeparableLogistic

CODEC = cl.FixedPoint(scale_bits=20, integer_bits=20)
EXAMPLE = Path(__file__).parents[2] / "examples" / "breast_cancer"


@pytest.fixture(scope="module")
def keys() -> tuple[cl.PublicKey, cl.PrivateKey]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", WeakKeyWarning)
        return cl.keygen(bits=1024)


def _square(kernel: SeparableLogistic, points: int = 61) -> tuple[np.ndarray, np.ndarray]:
    line = np.linspace(-kernel.reach, kernel.reach, points)
    a, b = np.meshgrid(line, line)
    return a.ravel(), b.ravel()


@pytest.mark.parametrize(
    ("terms", "reach", "error"), [(8, 10.0, 0.064), (6, 6.0, 0.032), (5, 6.0, 0.068), (6, 8.0, 0.089), (10, 6.0, 6e-3)]
)
def test_the_separable_function_is_the_logistic_one(terms: int, reach: float, error: float) -> None:
    kernel = SeparableLogistic(terms, reach)
    a, b = _square(kernel)
    factors, constants = kernel.residual_factors(a)
    found = constants + (factors * kernel.features(b)).sum(axis=1)
    assert np.abs(found - expit(a + b)).max() < error
    assert np.abs(factors).max() < 3


def test_beyond_the_reach_it_stays_bounded() -> None:
    kernel = SeparableLogistic(6, 6.0)
    a, b = np.array([1e6, -1e6, 50.0, 0.0]), np.array([1e6, -1e6, 0.0, -50.0])
    factors, constants = kernel.residual_factors(a)
    found = constants + (factors * kernel.features(b)).sum(axis=1)
    np.testing.assert_allclose(found, [1, 0, 1, 0], atol=0.04)


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_the_loss_is_the_cross_entropy(label: float) -> None:
    kernel = SeparableLogistic(6, 6.0)
    a, b = _square(kernel)
    factors, constants = kernel.loss_factors(a, np.full(len(a), label))
    found = constants + (factors * kernel.features(b)).sum(axis=1)
    exact = np.logaddexp(0, a + b) - label * (a + b)
    assert np.abs(found - exact).max() < 0.044


def test_features_pass_from_one_party_to_the_next(keys: tuple[cl.PublicKey, cl.PrivateKey]) -> None:
    public_key, private_key = keys
    kernel = SeparableLogistic(6, 6.0)
    a, b = _square(kernel, 7)
    before = public_key.encrypt(kernel.features(b), codec=CODEC)
    found = private_key.decrypt(passed_on(before, kernel, a))
    nodes = np.linspace(-0.9 * kernel.reach, 0.9 * kernel.reach, kernel.terms)
    exact = np.column_stack([expit((a + b)[:, None] + nodes) - 0.5, a + b])
    assert np.abs(found - exact).max() < 0.032
    factors, constants = kernel.passing_factors(a)
    plain = (factors * kernel.features(b)[:, None, :]).sum(axis=-1) + constants
    np.testing.assert_allclose(found, plain, atol=2e-5)


@pytest.mark.parametrize("kinds", ["many", "few", "both", "constant"])
def test_gradients_are_exact_whichever_way_they_are_summed(
    keys: tuple[cl.PublicKey, cl.PrivateKey], kinds: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    public_key, private_key = keys
    rng = np.random.default_rng(4)
    binned = np.round(rng.normal(size=(80, 3)))
    continuous = rng.normal(size=(80, 2))
    inputs = {"many": continuous, "few": binned, "constant": np.ones((80, 1))}.get(
        kinds, np.column_stack([continuous[:, 0], binned[:, 0], continuous[:, 1], binned[:, 1]])
    )
    residuals = rng.normal(size=80)
    calls = []
    whole = cl.CipherArray.segment_sum
    monkeypatch.setattr(cl.CipherArray, "segment_sum", lambda self, *a: calls.append(1) or whole(self, *a))
    found = private_key.decrypt(encrypted_gradient(inputs, public_key.encrypt(residuals, codec=CODEC)))
    np.testing.assert_allclose(found, inputs.T @ residuals, atol=1e-4)
    assert len(calls) == {"many": 0, "few": 3, "both": 2, "constant": 1}[kinds]


def test_masks_come_off_and_hide_everything(keys: tuple[cl.PublicKey, cl.PrivateKey]) -> None:
    public_key, private_key = keys
    array = public_key.encrypt(np.array([1.5, -2.25, 0.0]), codec=CODEC)
    data, masks = masked([array])
    seen = numbers_from(decrypted_masked(private_key, data, 3, "host"), public_key)
    assert [(a - m) % public_key.n for a, m in zip(seen, masks.values, strict=True)] != seen
    bound = 1 << 40
    assert masks.removed(seen, [bound] * 3) == [round(v * 2**20) for v in (1.5, -2.25, 0.0)]
    with pytest.raises(ProtocolError, match="expected 3, got 2"):
        masks.removed(seen[:2], [bound] * 2)
    with pytest.raises(ProtocolError, match="is not what was sent"):
        masks.removed(seen, [1, 1, 1])
    with pytest.raises(ProtocolError, match="expected 1 to 2 integers"):
        decrypted_masked(private_key, data, 2, "host")
    again, others = masked([array])
    assert not set(others.values) & set(masks.values)
    assert again != data
    assert isinstance(others, Masks)


@pytest.mark.parametrize(
    ("settings", "fraction_bits", "largest"),
    [
        (LogisticSettings(terms=6, reach=6.0), 16, 1.0),
        (LogisticSettings(terms=4, reach=5.0), 12, 1.0),
        (LogisticSettings(class_weight="balanced", positive_weight=2.0, terms=4), 12, 80.0),
    ],
)
def test_packed_rows_give_residuals_losses_and_gradients(
    keys: tuple[cl.PublicKey, cl.PrivateKey], settings: LogisticSettings, fraction_bits: int, largest: float
) -> None:
    """At the largest scores, weights and inputs that the bounds allow, and at ordinary ones, in whole numbers."""
    public_key, private_key = keys
    rows, kernel = 80, SeparableLogistic(settings.terms, settings.reach)
    packing = RowPacking.of(settings, fraction_bits, rows, public_key.bits)
    assert packing is not None
    rng = np.random.default_rng(6)
    a, b = (rng.choice([-9.0, -0.1, 0.3, 9.0], size=rows) * rng.random(rows) for _ in range(2))
    labels, weights = rng.integers(0, 2, size=rows).astype(float), np.where(rng.random(rows) < 0.5, largest, 0.5)
    # The last column holds the largest sum of magnitudes, in one row.
    inputs = np.column_stack([rng.normal(size=(rows, 2)), np.ones(rows), np.zeros(rows)])
    inputs[7, 3] = -255.5
    integers = packing.inputs(inputs, "guest")
    unit = 1 << fraction_bits

    features = public_key.encrypt(packing.packed(kernel.features(b)), codec=packing.codec)
    received = cl.CipherArray.from_bytes(public_key, features.to_bytes())
    own = GuestRows(kernel, a, labels, weights)
    residuals, loss = packed_residuals(received, packing, own), packed_loss(received, packing, own)
    gradient = encrypted_gradient(integers, residuals)
    assert residuals.bound == packing.residual_bound

    factors, constants = kernel.residual_factors(a)
    rounded = np.rint(kernel.features(b)[:, :-1] * unit).astype(np.int64).astype(object)
    whole = np.rint(weights[:, None] * factors[:, :-1] * unit).astype(np.int64).astype(object)
    added = np.rint(weights * (constants - labels) * unit * unit).astype(np.int64).astype(object)
    exact = ((rounded * whole).sum(axis=1) + added) @ integers.astype(object)

    bounds = [*packing.gradient_bounds(integers), loss.bound]
    for _ in range(3):
        data, masks = masked([gradient, loss.encrypted], packing.slot)
        answer = decrypted_masked(private_key, data, 5, "guest", packing.slot)
        found = masks.removed(numbers_from(answer, public_key, packing.slot), bounds)
        assert found[:-1] == exact.tolist()
    loss_factors, loss_constants = kernel.loss_factors(a, labels)
    plain = (weights * ((loss_factors * kernel.features(b)).sum(axis=1) + loss_constants)).sum()
    assert found[-1] / unit**2 + loss.plain == pytest.approx(plain, abs=80 * largest * 40 / unit)


def test_a_slot_comes_back_without_its_neighbours(keys: tuple[cl.PublicKey, cl.PrivateKey]) -> None:
    """Numbers at the ends of a slot, between neighbours at the ends of theirs, whatever the mask."""
    public_key, private_key = keys
    slot = Slot(198, 52, 2)
    ends = [-(1 << 49) + 1, -1, 0, 1, (1 << 49) - 1]
    cases = [(above, here, below) for above in ends for here in ends for below in ends]
    plain = [(above << 260) + (here << 200) + (below << 140) for above, here, below in cases]
    array = public_key.encrypt(np.array(plain, dtype=object), codec=cl.FixedPoint(scale_bits=0, integer_bits=320))
    data, masks = masked([array], slot)
    found = decrypted_masked(private_key, data, len(cases), "host", slot)
    assert len(found) == 7 * len(cases)
    assert masks.removed(numbers_from(found, public_key, slot), [1 << 49] * len(cases)) == [case[1] for case in cases]
    with pytest.raises(ValueError, match="at least 82 bits shorter than the key"):
        masked([array.with_bound(1 << 950)], slot)
    with pytest.raises(ValueError, match="bound: expected at least 2"):
        array.with_bound(1)


def test_residuals_stay_within_the_packings_bounds() -> None:
    """Of every setting that a plan may have: factors below 4, approximated probabilities between -3 and 4."""
    for terms in range(4, 17):
        for reach in (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 20.0, 60.0):
            kernel = SeparableLogistic(terms, reach)
            a, b = _square(kernel, 41)
            factors, constants = kernel.residual_factors(a)
            assert np.abs(factors).max() < 4
            assert np.abs(constants).max() < 2
            assert np.abs(constants + (factors * kernel.features(b)).sum(axis=1)).max() < 3


def test_packing_is_left_out_where_it_does_not_fit() -> None:
    assert RowPacking.of(LogisticSettings(), 16, 569, 2048) is not None
    assert RowPacking.of(LogisticSettings(), 16, 1_000_000, 2048) is not None
    assert RowPacking.of(LogisticSettings(), 16, 569, 1024) is None
    assert RowPacking.of(LogisticSettings(), 40, 569, 4096) is None
    assert RowPacking.of(LogisticSettings(positive_weight=1e30), 16, 569, 4096) is None
    packing = RowPacking.of(LogisticSettings(), 16, 50, 2048)
    assert packing is not None
    for column in (np.full(50, 2.6), np.append(np.zeros(49), np.inf), np.append(np.zeros(49), np.nan)):
        with pytest.raises(cl.PlaintextOverflowError, match=r"'host': column 1.*standardise"):
            packing.inputs(np.column_stack([np.zeros(50), column]), "host")


def test_batches_share_the_rows_out() -> None:
    batches = Batches.deal(100, LogisticSettings(batch_rows=30, validation=0.1, seed=3))
    assert [len(rows) for rows in batches.training] == [30, 30, 30]
    everything = np.sort(np.concatenate([*batches.training, batches.validation]))
    np.testing.assert_array_equal(everything, np.arange(100))
    assert batches.steps == 4
    assert [batches.validates(step) for step in range(1, 9)] == [False, False, False, True] * 2
    assert [batches.ends_training(step) for step in range(1, 5)] == [False, False, True, False]
    assert [batches.epoch_of(step) for step in (1, 4, 5)] == [0, 0, 1]
    assert Batches.deal(10, LogisticSettings()).ends_training(7)


def test_a_proximal_step_shrinks_and_zeroes() -> None:
    found = descended(np.array([1.0, -1.0, 0.05]), np.array([0.5, 0.5, 0.0]), 0.1, 1.0, 0.0)
    np.testing.assert_allclose(found, [0.85, -0.95, 0.0])


def test_classes_weigh_the_same_when_balanced() -> None:
    labels = np.array([1.0, 0.0, 0.0, 0.0])
    weights = row_weights(labels, LogisticSettings(class_weight="balanced"))
    assert weights[labels == 1].sum() == pytest.approx(weights[labels == 0].sum())
    assert weights.sum() == pytest.approx(4)


def test_the_positive_label_can_be_chosen() -> None:
    assert binary_labels(["b", "a"], None)[1] == ("a", "b")
    found, names = binary_labels(["b", "a"], "a")
    assert (found.tolist(), names) == ([0.0, 1.0], ("b", "a"))


def test_stopping_looks_at_the_loss() -> None:
    assert not judged([0.69], 0.69, 1e-3, 0, 0.1).converged
    assert judged([0.69, 0.6895], 0.69, 1e-3, 0, 0.1).converged
    waiting = judged([0.6, 0.5, 0.55, 0.56], 0.69, 1e-3, 3, 0.1)
    assert (waiting.converged, waiting.best) == (False, 2)
    assert judged([0.6, 0.5, 0.55, 0.56, 0.5], 0.69, 1e-3, 3, 0.1).converged
    with pytest.raises(ProtocolError, match="training diverges"):
        judged([1.5], 0.69, 1e-3, 0, 0.1)


@pytest.mark.parametrize(
    ("rows", "low", "high"), [(569, 0.93, 0.96), (72, 0.96, 0.98), (24, 0.995, 1.0), (16, 1.0, 1.0)]
)
def test_what_a_hosts_first_gradients_tell_of_labels(rows: int, low: float, high: float) -> None:
    """The figures of docs/privacy.md."""
    guest = np.loadtxt(EXAMPLE / "guest.csv", delimiter=",", skiprows=1)
    host = np.loadtxt(EXAMPLE / "host.csv", delimiter=",", skiprows=1)
    labels = guest[np.argsort(guest[:, 0]), 1]
    inputs = host[np.argsort(host[:, 0]), 1:]
    order = np.random.default_rng(0).permutation(len(labels))
    right = 0
    for batch in np.array_split(order, -(-len(labels) // rows)):
        gradient = inputs[batch].T @ (0.5 - labels[batch])
        residuals = np.linalg.pinv(inputs[batch].T) @ gradient
        right += int(((residuals < 0) == (labels[batch] == 1)).sum())
    assert low <= right / len(labels) <= high
