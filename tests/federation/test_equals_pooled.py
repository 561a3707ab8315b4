"""Federated training equals EM on the pooled columns with a block-diagonal covariance, round by round."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from cipherlane.federation.arbiter import Arbiter
from cipherlane.federation.coordinator import Coordinator
from cipherlane.federation.data_party import DataParty, PartyFiles
from cipherlane.federation.engine import LocalEngine
from cipherlane.federation.plan import Plan
from cipherlane.federation.plan_reader import load_plan
from cipherlane.vertical.sealed_files import SealedStore
from cipherlane.vertical.starts import initial_responsibilities


@dataclass
class Pooled:
    """Plain EM on all columns, written down from the formulas, in one process and one float64 table."""

    inputs: np.ndarray
    blocks: list[slice]
    responsibilities: np.ndarray
    regularisation: float
    diagonal: bool

    def iterate(self) -> float:
        counts = self.responsibilities.sum(axis=0)
        self.weights = counts / len(self.inputs)
        self.means = self.responsibilities.T @ self.inputs / counts[:, None]
        width = self.inputs.shape[1]
        mask = np.eye(width, dtype=bool)
        for block in [] if self.diagonal else self.blocks:
            mask[block, block] = True
        self.covariances = np.empty((len(counts), width, width))
        joint = np.empty_like(self.responsibilities)
        for k, count in enumerate(counts):
            centred = self.inputs - self.means[k]
            covariance = (centred * self.responsibilities[:, [k]]).T @ centred / count
            self.covariances[k] = np.where(mask, covariance, 0) + self.regularisation * np.eye(width)
            quadratic = np.einsum("ij,jk,ik->i", centred, np.linalg.inv(self.covariances[k]), centred)
            determinant = np.linalg.slogdet(2 * np.pi * self.covariances[k])[1]
            joint[:, k] = np.log(self.weights[k]) - 0.5 * (quadratic + determinant)
        totals = np.logaddexp.reduce(joint, axis=1)
        self.responsibilities = np.exp(joint - totals[:, None])
        return float(totals.sum())


def _federation(plan: Plan, directory: Path) -> tuple[Coordinator, list[DataParty]]:
    parties = [DataParty.prepare(party, SealedStore(directory / party.name), PartyFiles()) for party in plan.parties]
    coordinator = Coordinator(plan, LocalEngine([Arbiter(), *parties]))
    coordinator.open()
    coordinator.match()
    coordinator.make_key()
    coordinator.start()
    return coordinator, parties


@pytest.mark.parametrize("packing", [True, False])
@pytest.mark.parametrize("widths", [(3, 4), (2, 3, 2), (1, 2, 2, 2)])
@pytest.mark.parametrize("kind", ["full", "diag"])
def test_every_iteration_equals_pooled_block_diagonal_em(
    tmp_path: Path, write_plan: Callable[..., Path], widths: tuple[int, ...], packing: bool, kind: str
) -> None:
    plan = load_plan(
        write_plan(
            widths,
            encryption__packing=packing,
            model__covariance_type=kind,
            model__start="random",
            training__max_iterations=8 if packing else 4,
        )
    )
    coordinator, parties = _federation(plan, tmp_path)
    inputs = np.hstack([party._table.inputs for party in parties])
    edges = np.cumsum([0, *widths])
    blocks = [slice(a, b) for a, b in itertools.pairwise(edges)]
    start = initial_responsibilities(parties[0]._table.inputs, 3, "random", plan.model.seed)
    pooled = Pooled(inputs, blocks, start, plan.model.regularisation, kind == "diag")
    rounds = 0
    for record in coordinator.rounds(1):
        rounds += 1
        log_likelihood = pooled.iterate()
        assert record.log_likelihood * len(inputs) == pytest.approx(log_likelihood, abs=1e-6)
        np.testing.assert_allclose(record.weights, pooled.weights, atol=1e-6)
        for party, block in zip(parties, blocks, strict=True):
            parameters = party._parameters
            assert parameters is not None
            np.testing.assert_allclose(parameters.means, pooled.means[:, block], atol=1e-6)
            expected = pooled.covariances[:, block, block]
            if kind == "diag":
                expected = np.diagonal(expected, axis1=1, axis2=2)
            np.testing.assert_allclose(parameters.covariances, expected, atol=1e-6)
    assert rounds == plan.training.max_iterations


def test_rows_of_every_party_are_in_one_order(tmp_path: Path, write_plan: Callable[..., Path]) -> None:
    plan = load_plan(write_plan())
    _, parties = _federation(plan, tmp_path)
    assert parties[0]._table.ids == parties[1]._table.ids == tuple(sorted(parties[0]._table.ids))
    written = [(tmp_path / f"{party.name}.csv").read_text().splitlines()[1][:4] for party in parties]
    assert written[0] != written[1]


def test_rounding_to_two_decimals_keeps_the_clustering(tmp_path: Path, write_plan: Callable[..., Path]) -> None:
    found = {}
    for decimals in (-1, 2):
        plan = load_plan(write_plan(privacy__responsibility_decimals=decimals, training__max_iterations=30))
        coordinator, parties = _federation(plan, tmp_path / str(decimals))
        last = list(coordinator.rounds(1))[-1]
        coordinator.finish()
        assert parties[0].result is not None
        found[decimals] = parties[0].result.argmax(axis=1), last.log_likelihood
    assert np.mean(found[-1][0] == found[2][0]) > 0.98
    assert found[-1][1] == pytest.approx(found[2][1], abs=0.01)
