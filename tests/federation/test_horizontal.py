"""Parties with the same columns and different rows train what one party with all rows would."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cipherlane.errors import PlaintextOverflowError, ProtocolError
from cipherlane.federation import Progress, Run, parse_plan, score_models, score_run, train
from cipherlane.federation.horizontal_arbiter import HorizontalArbiter
from cipherlane.federation.models import load_models
from cipherlane.federation.transcript_check import Secrets, check_transcript
from cipherlane.horizontal.mixture_party import cluster_centres, drawn_responsibilities, nearest
from cipherlane.report import render_page, render_report
from cipherlane.vertical.tables import read_csv

WriteParties = Callable[..., Path]
COLUMNS = ("a", "b", "c", "d")


def _tables(run: Run) -> list[np.ndarray]:
    """Return each party's raw values, sorted by id, with the columns in the guest's order."""
    return [read_csv(party.data, "id", COLUMNS, "y").values for party in run.plan.parties]


def _pooled(
    inputs: np.ndarray, responsibilities: np.ndarray, rounds: int, regularisation: float, diagonal: bool
) -> tuple[list[float], np.ndarray, np.ndarray, np.ndarray]:
    """Plain EM in float64 on all rows, written down from the formulas; the model is the last E-step's."""
    likelihoods = []
    for _ in range(rounds):
        counts = responsibilities.sum(axis=0)
        weights = counts / len(inputs)
        means = responsibilities.T @ inputs / counts[:, None]
        joint = np.empty_like(responsibilities)
        covariances = np.empty((len(counts), inputs.shape[1], inputs.shape[1]))
        for k, count in enumerate(counts):
            centred = inputs - means[k]
            covariance = (centred * responsibilities[:, [k]]).T @ centred / count
            covariances[k] = (
                covariance * np.eye(len(covariance)) if diagonal else covariance
            ) + regularisation * np.eye(inputs.shape[1])
            quadratic = np.einsum("ij,jk,ik->i", centred, np.linalg.inv(covariances[k]), centred)
            joint[:, k] = np.log(weights[k]) - 0.5 * (quadratic + np.linalg.slogdet(2 * np.pi * covariances[k])[1])
        totals = np.logaddexp.reduce(joint, axis=1)
        responsibilities = np.exp(joint - totals[:, None])
        likelihoods.append(float(totals.mean()))
    return likelihoods, weights, means, covariances


@pytest.mark.parametrize(
    ("parties", "kind", "start", "packing"),
    [
        (2, "full", "kmeans", True),
        (3, "diag", "random", True),
        (5, "full", "random", True),
        (2, "diag", "kmeans", False),
    ],
)
def test_every_iteration_equals_pooled_em(
    tmp_path: Path, write_parties: WriteParties, parties: int, kind: str, start: str, packing: bool
) -> None:
    run = train(
        write_parties(
            parties,
            model=f'covariance_type = "{kind}"\nstart = "{start}"',
            encryption=f"key_bits = 1024\npacking = {str(packing).lower()}",
        ),
        tmp_path / "run",
    )
    tables = _tables(run)
    pooled = np.concatenate(tables)
    centre, scale = pooled.mean(axis=0), pooled.std(axis=0)
    inputs = [(table - centre) / scale for table in tables]
    if start == "kmeans":
        centres = cluster_centres(inputs[0], 3, 4)
        first = np.concatenate([nearest(part, centres) for part in inputs])
    else:
        first = np.concatenate([drawn_responsibilities(len(part), 3, 4, i) for i, part in enumerate(inputs)])
    likelihoods, weights, means, covariances = _pooled(np.concatenate(inputs), first, 6, 1e-6, kind == "diag")
    assert [r["log_likelihood"] for r in run.metrics["iterations"]] == pytest.approx(likelihoods, abs=1e-8)
    assert run.metrics["rows"] == len(pooled) == 120
    blocks = [load_models(run.directory / "models" / f"{party.name}.npz")[0] for party in run.plan.parties]
    for block in blocks:
        assert block.preprocessing.columns == COLUMNS
        np.testing.assert_allclose(block.preprocessing.centre, centre, rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(block.preprocessing.scale, scale, rtol=1e-9)
        np.testing.assert_allclose(block.weights, weights, atol=1e-8)
        np.testing.assert_allclose(block.parameters.means, means, atol=1e-7)
        expected = np.diagonal(covariances, axis1=1, axis2=2) if kind == "diag" else covariances
        np.testing.assert_allclose(block.parameters.covariances, expected, atol=1e-7)
        np.testing.assert_array_equal(block.parameters.means, blocks[0].parameters.means)


def test_a_run_directory_holds_each_party_s_result(tmp_path: Path, write_parties: WriteParties) -> None:
    run = train(write_parties(3), tmp_path / "run")
    files = {path.name for path in run.directory.iterdir()}
    assert {"assignments.csv", "assignments-host1.csv", "assignments-host2.csv", "quality-host2.json"} <= files
    assert {path.stem for path in (run.directory / "models").glob("*.npz")} == {"guest", "host1", "host2"}
    assert len((run.directory / "assignments-host1.csv").read_text().splitlines()) == 38
    report = render_report(run.directory)
    assert "sums over rows, party to coordinator" in report
    assert "those of the other parties together" in report
    assert "of its rows can estimate" not in report and "responsibilities (arbiter)" not in report
    page = render_page(run.directory)
    assert "Gaussian mixture, rows divided between 3 parties" in page
    # What is said of parties with the same rows is not so here.
    for wrong in ("salted digests", "are rounded to", "parameters, party to coordinator", "final responsibilities"):
        assert wrong not in page, wrong
    for right in ("guest's labels", "host2's labels", "the guest&#x27;s column names", "</span>host1</li>"):
        assert right in page, right
    assert "assignments lie with them" not in page
    (run.directory / "assignments-host1.csv").unlink()
    assert "Drawn are the rows of guest, host2" in render_page(run.directory)
    counted = run.metrics["totals"]["ciphertexts"]
    # 46 numbers at 16 slots of 63 bits take 3 ciphertexts, in every round and at the start; columns' sums 8 and 4 at
    # 8 slots of 127 bits.
    assert counted["sums_to_arbiter"] == 3 * (run.iterations + 1) + 1 + 1
    assert counted["scores_from_parties"] == 3 * counted["sums_to_arbiter"]


def test_columns_are_centred_where_they_are_not_standardised(tmp_path: Path, write_parties: WriteParties) -> None:
    run = train(
        write_parties(encryption="key_bits = 1024\ninteger_bits = 30", party="standardise = false"), tmp_path / "r"
    )
    fitted = load_models(run.directory / "models" / "guest.npz")[0].preprocessing
    np.testing.assert_array_equal(fitted.scale, np.ones(4))
    np.testing.assert_allclose(fitted.centre, np.concatenate(_tables(run)).mean(axis=0), rtol=1e-12)


def test_missing_cells_become_the_mean_over_all_parties(
    tmp_path: Path, write_parties: WriteParties, overlapping_clusters: np.ndarray
) -> None:
    values = overlapping_clusters[:, :4].copy()
    values[5, 1] = values[100, 1] = values[101, 3] = np.nan
    with pytest.raises(ValueError, match=r"guest\.csv: row 6, column 'b': the value is missing"):
        train(write_parties(values=values), tmp_path / "x")
    run = train(write_parties(values=values, party='impute = "mean"'), tmp_path / "run")
    fitted = load_models(run.directory / "models" / "host1.npz")[0].preprocessing
    np.testing.assert_allclose(fitted.fill, np.nanmean(values, axis=0), rtol=1e-12)
    filled = np.where(np.isnan(values), np.nanmean(values, axis=0), values)
    np.testing.assert_allclose(fitted.scale, filled.std(axis=0), rtol=1e-12)


def _stop_after(round_number: int) -> Callable[[Progress], None]:
    def stop(event: Progress) -> None:
        if event.record is not None and event.record.round == round_number:
            raise InterruptedError

    return stop


@pytest.mark.parametrize("stop", [2, 6])
def test_a_resumed_run_ends_as_an_uninterrupted_one(tmp_path: Path, write_parties: WriteParties, stop: int) -> None:
    plan = write_parties(3)
    whole = train(plan, tmp_path / "whole")
    with pytest.raises(InterruptedError):
        train(plan, tmp_path / "run", progress=_stop_after(stop))
    for party in whole.plan.parties:
        party.data.rename(party.data.with_suffix(".gone"))
    resumed = train(plan, tmp_path / "run", resume=True)
    for name in ("models/guest.npz", "models/host2.npz", "assignments.csv", "assignments-host1.csv"):
        assert (resumed.directory / name).read_bytes() == (whole.directory / name).read_bytes()
    assert [r["log_likelihood"] for r in resumed.metrics["iterations"]] == [
        r["log_likelihood"] for r in whole.metrics["iterations"]
    ]


def test_scoring_needs_one_party_s_rows_and_no_one_else(tmp_path: Path, write_parties: WriteParties) -> None:
    run = train(write_parties(), tmp_path / "run")
    data = {party.name: party.data for party in run.plan.parties}
    for name, result in (("guest", "assignments.csv"), ("host1", "assignments-host1.csv")):
        scores = score_run(run.directory, {name: data[name]})
        rows = (run.directory / result).read_text().splitlines()[1:]
        expected = np.array([[float(cell) for cell in row.split(",")[2:]] for row in rows])
        np.testing.assert_allclose(scores.responsibilities, expected, atol=1e-8)
        alone = score_models(run.directory / "models" / f"{name}.npz", {name: data[name]})
        np.testing.assert_array_equal(alone.responsibilities, scores.responsibilities)
    with pytest.raises(ValueError, match=r"expected the file of one of \['guest', 'host1'\]"):
        score_run(run.directory, data)


def test_nothing_secret_crosses(tmp_path: Path, write_parties: WriteParties, monkeypatch: pytest.MonkeyPatch) -> None:
    keys: list[Any] = []
    on_task = HorizontalArbiter._on_task

    def spy(self: HorizontalArbiter, message: Any) -> bytes:
        reply = on_task(self, message)
        keys.append(self._keys)
        return reply

    monkeypatch.setattr(HorizontalArbiter, "_on_task", spy)
    run = train(write_parties(3, training="max_iterations = 2"), tmp_path / "run", keep_messages=True)
    block = load_models(run.directory / "models" / "guest.npz")[0]
    fitted, tables = block.preprocessing, _tables(run)
    secrets = Secrets(
        [
            *tables,
            *((table - fitted.centre) / fitted.scale for table in tables),
            *(table.sum(axis=0) for table in tables),
            block.parameters.means,
            block.parameters.covariances,
            fitted.centre,
            fitted.scale,
        ]
    )
    roles = {"arbiter": "arbiter", "guest": "guest", "host1": "host", "host2": "host"}
    private = keys[0][1]
    assert check_transcript(run.transcript, roles, secrets, key_numbers=(private.p, private.q)) == []
    kinds = {entry.kind for entry in run.transcript.entries}
    assert {"encrypted_statistics", "added_statistics", "mixture", "column_moments"} <= kinds
    assert not kinds & {"responsibilities", "encrypted_scores", "send_parameters"}


def test_what_does_not_fit_is_refused_in_words(
    tmp_path: Path, write_parties: WriteParties, overlapping_clusters: np.ndarray
) -> None:
    plan = write_parties(encryption="key_bits = 1024\ninteger_bits = 8", training="max_iterations = 2")
    assert train(plan, tmp_path / "fits").iterations == 2
    host = tmp_path / "host1.csv"
    text = host.read_text()
    host.write_text(text.replace(",a", ",z").replace("a,", "z,"))
    with pytest.raises(
        ProtocolError, match="columns of 'host1' and 'guest' do not match: 1 are only at 'host1'"
    ) as caught:
        train(plan, tmp_path / "x")
    assert "columns that only this party has: z; that only the guest has: a" in str(caught.value)
    values = overlapping_clusters[:, :4].copy()
    values[:, 2] = 5.0
    with pytest.raises(ValueError, match="columns: number 3 is the same in every row of every party"):
        train(write_parties(values=values), tmp_path / "x")
    values[:, 2] = overlapping_clusters[:, 2] * 1e12
    plan = write_parties(values=values, party="standardise = false")
    with pytest.raises(PlaintextOverflowError, match=r"party 'guest': sums (of columns|over its rows): .* do not fit"):
        train(plan, tmp_path / "x")


def test_rows_that_need_more_bits_are_told_before_anything_is_sent(
    tmp_path: Path, write_parties: WriteParties, overlapping_clusters: np.ndarray
) -> None:
    plan = write_parties(5, encryption="key_bits = 1024\ninteger_bits = 8")
    guest = tmp_path / "guest.csv"
    lines = guest.read_text().splitlines()
    more = [f"q{i}{line}" for i in range(5) for line in lines[1:]]
    guest.write_text("\n".join([*lines, *more, ""]))
    with pytest.raises(ProtocolError, match=r"sums over 320 rows need 9 bits, the plan has 8; set integer_bits = 9"):
        train(plan, tmp_path / "x")


HORIZONTAL = """
[model]
algorithm = "horizontal-gaussian-mixture"
components = 2
[parties.guest]
data = "guest.csv"
[parties.host]
data = "host.csv"
label_column = "y"
"""


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "[parties.host]",
            '[parties.host]\nimpute = "median"',
            r"\[parties.host\] impute: expected \"none\" or \"mean\"",
        ),
        ("[parties.host]", "[parties.host]\nstandardise = false", "the same standardise and impute at every party"),
        ("[parties.guest]", "[privacy]\nresponsibility_decimals = 2\n[parties.guest]", r"\[privacy\]: unknown field"),
        ("horizontal-", "diagonal-", '"vertical-gaussian-mixture", "horizontal-gaussian-mixture"'),
    ],
)
def test_a_horizontal_plan_is_read_strictly(old: str, new: str, expected: str) -> None:
    assert parse_plan(HORIZONTAL).is_horizontal
    with pytest.raises(ValueError, match=expected):
        parse_plan(HORIZONTAL.replace(old, new))


def test_metrics_name_the_algorithm(tmp_path: Path, write_parties: WriteParties) -> None:
    run = train(write_parties(training="max_iterations = 1"), tmp_path / "run")
    assert json.loads((run.directory / "metrics.json").read_text())["algorithm"] == "horizontal-gaussian-mixture"


def test_training_on_ends_as_training_in_one_go(tmp_path: Path, write_parties: WriteParties) -> None:
    runs = {}
    for rounds, parent in ((5, None), (2, None), (3, 2)):
        plan = write_parties(3, training=f"max_iterations = {rounds}\ntolerance = 0.0")
        before = None if parent is None else runs[parent].directory
        runs[rounds] = train(plan, tmp_path / f"run{rounds}", parent=before)
    likelihoods = {key: [r["log_likelihood"] for r in run.metrics["iterations"]] for key, run in runs.items()}
    assert likelihoods[2] + likelihoods[3] == likelihoods[5]
    for name in ("guest", "host2"):
        file = Path("models") / f"{name}.npz"
        assert (runs[3].directory / file).read_bytes() == (runs[5].directory / file).read_bytes()
