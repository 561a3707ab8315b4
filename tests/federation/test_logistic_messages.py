"""Messages of a logistic regression that are not what they should be are refused by name, and nothing is used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cipherlane.errors import ProtocolError
from cipherlane.federation import logistic_arbiter as arbiter_module
from cipherlane.federation import parse_plan, train
from cipherlane.federation.logistic_coordinator import LogisticCoordinator
from cipherlane.federation.logistic_party import LogisticParty
from cipherlane.paillier import CipherArray, FixedPoint, hazmat
from cipherlane.vertical import masks as masks_module

ROWS = 40


def _plan(tmp_path: Path, packing: bool = True) -> Any:
    rng = np.random.default_rng(2)
    data = rng.normal(size=(ROWS, 4))
    for name, columns in (("guest", [0, 1]), ("host", [2, 3])):
        lines = ["id,a,b" + (",y" if name == "guest" else "")]
        for i, row in enumerate(data):
            label = f",{int(row.sum() > 0)}" if name == "guest" else ""
            lines.append(f"{i},{float(row[columns[0]])!r},{float(row[columns[1]])!r}{label}")
        (tmp_path / f"{name}.csv").write_text("\n".join(lines))
    text = f"""
        [model]
        algorithm = "logistic-regression"
        [logistic]
        terms = 6
        reach = 6.0
        [training]
        max_iterations = 2
        [encryption]
        key_bits = 1024
        packing = {str(packing).lower()}
        [parties.guest]
        data = "guest.csv"
        label_column = "y"
        [parties.host]
        data = "host.csv"
    """
    return parse_plan(text, base=tmp_path)


@pytest.fixture
def plan(tmp_path: Path) -> Any:
    return _plan(tmp_path)


def _bare(array: CipherArray) -> CipherArray:
    """Return an array of the same form whose ciphertexts have no random factor."""
    key = array.public_key
    bare = [hazmat.encrypt_without_obfuscator(key, 7)] * array.ciphertext_count
    return hazmat.from_integers(key, bare, shape=array.shape, codec=array.codec, bound=array.bound)


@pytest.mark.parametrize(
    ("packing", "change", "message"),
    [
        (True, lambda array: array[:-1], r"expected shape \(40,\).* got shape \(39,\)"),
        (True, lambda array: array.reshape(20, 2), r"expected shape \(40,\).* got shape \(20, 2\)"),
        (True, lambda array: array * 0.5, "with 0 bits after the point.* with 40"),
        (True, lambda array: array.public_key.encrypt(np.zeros(40), FixedPoint(scale_bits=30)), "scale_bits=30"),
        (False, lambda array: array[:-1], r"expected shape \(40, 7\).* got shape \(39, 7\)"),
        (False, lambda array: array[:, :-1], r"expected shape \(40, 7\).* got shape \(40, 6\)"),
        (False, lambda array: array * 0.5, "with 16 bits after the point.* with 32"),
    ],
)
def test_scores_of_another_form_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packing: bool, change: Any, message: str
) -> None:
    plan = _plan(tmp_path, packing)
    whole = LogisticParty._passed_features

    def changed(self: LogisticParty, *arguments: Any) -> Any:
        array, computed = whole(self, *arguments)
        return change(array), computed

    monkeypatch.setattr(LogisticParty, "_passed_features", changed)
    with pytest.raises(ProtocolError, match=message):
        train(plan, tmp_path / "run")


def test_scores_without_randomness_are_refused(plan: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = LogisticParty._passed_features

    class Sent:
        def __init__(self, array: CipherArray) -> None:
            self.array = _bare(array)

        def to_bytes(self) -> bytes:
            return self.array.to_bytes(rerandomize=False)

    monkeypatch.setattr(LogisticParty, "_passed_features", lambda self, *a: (Sent(whole(self, *a)[0]), 0.0))
    with pytest.raises(ProtocolError, match="40 of 40 not randomised"):
        train(plan, tmp_path / "run")


@pytest.mark.parametrize(
    ("packing", "change", "message"),
    [
        (True, lambda data: data[:-1], "expected 8 bytes each"),
        (True, lambda data: data[:-8], "masked numbers: expected [24], got"),
        (True, lambda data: bytes(len(data)), "is not what was sent"),
        (False, lambda data: data[:-1], "expected 128 bytes each"),
        (False, lambda data: bytes(len(data)), "is not what was sent"),
        (False, lambda data: b"\xff" * len(data), "is not what was sent"),
    ],
)
def test_answers_of_the_arbiter_that_do_not_fit_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packing: bool, change: Any, message: str
) -> None:
    plan = _plan(tmp_path, packing)
    whole = arbiter_module.decrypted_masked
    monkeypatch.setattr(arbiter_module, "decrypted_masked", lambda *arguments: change(whole(*arguments)))
    with pytest.raises(ProtocolError, match=message):
        train(plan, tmp_path / "run")


def test_a_box_for_somebody_else_stays_closed(plan: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = LogisticParty._sealed

    def misdirected(self: LogisticParty, kind: str, data: bytes, round_number: int, receiver: str) -> bytes:
        return whole(self, kind, data, round_number, self.name)

    monkeypatch.setattr(LogisticParty, "_sealed", misdirected)
    with pytest.raises(ProtocolError, match="sealed to another key"):
        train(plan, tmp_path / "run")


@pytest.mark.parametrize("packing", [True, False])
def test_what_the_arbiter_decrypts_is_uniform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packing: bool) -> None:
    """The top bits of what it sees have all values, run over run of the same data, and share nothing."""
    plan = _plan(tmp_path, packing)
    whole, seen = masks_module.hazmat.decrypt, []

    def noted(key: Any, ciphertexts: Any) -> Any:
        numbers = whole(key, ciphertexts)
        seen.extend(number / key.public_key.n for number in numbers)
        return numbers

    monkeypatch.setattr(masks_module.hazmat, "decrypt", noted)
    for number in range(4):
        train(plan, tmp_path / f"run{number}")
    shares = np.array(seen)
    assert len(np.unique(shares)) == len(shares) > 50
    # Sums are below 2^-90 of the modulus: unmasked, all of these would stand at the very ends.
    assert 0.2 < shares.mean() < 0.8
    assert ((shares > 0.05) & (shares < 0.95)).mean() > 0.7


@pytest.mark.parametrize(
    ("purpose", "message"),
    [("validate", "it is no step to validate by the plan"), ("train", "ends after epoch 2")],
)
def test_steps_that_the_plan_does_not_have_are_refused(
    plan: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, purpose: str, message: str
) -> None:
    if purpose == "train":
        monkeypatch.setattr(LogisticCoordinator, "rounds", lambda self, first: _epochs(self, 5))
    else:
        whole = LogisticCoordinator._residuals
        monkeypatch.setattr(
            LogisticCoordinator, "_residuals", lambda self, step, _, seconds: whole(self, step, purpose, seconds)
        )
    with pytest.raises(ProtocolError, match=message):
        train(plan, tmp_path / "run")


def _epochs(coordinator: LogisticCoordinator, count: int) -> Any:
    return (coordinator._epoch(epoch) for epoch in range(1, count + 1))
