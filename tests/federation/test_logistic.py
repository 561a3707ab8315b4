"""A logistic regression over columns of several parties trains what the same optimiser does on plain numbers."""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cipherlane.cli import main
from cipherlane.errors import PlaintextOverflowError, ProtocolError
from cipherlane.federation import Run, parse_plan, predict_run, train
from cipherlane.federation.logistic_models import load_logistic_model
from cipherlane.federation.transcript_check import Secrets, check_transcript
from cipherlane.ledger import missing_packages
from cipherlane.report import render_report
from cipherlane.report.coefficients import read_coefficients
from cipherlane.report.page import render_page
from cipherlane.vertical.logistic_settings import LogisticSettings
from cipherlane.vertical.separable_logistic import SeparableLogistic
from cipherlane.vertical.tables import read_csv

WriteParties = Callable[..., Path]
WIDTHS = {2: (3, 4), 3: (3, 2, 3)}
ROWS = 120


@pytest.fixture
def write_parties(tmp_path: Path) -> WriteParties:
    """Return a function that writes a plan and one table a party, each in its own order of rows."""

    def write(
        parties: int = 2,
        logistic: str = "",
        training: str = "max_iterations = 5\ntolerance = 0.0",
        encryption: str = "key_bits = 1024",
        labels: np.ndarray | None = None,
        values: np.ndarray | None = None,
        party: str = "",
    ) -> Path:
        rng = np.random.default_rng(3)
        widths = WIDTHS[parties]
        data = rng.normal(size=(ROWS, sum(widths))) * 3 + 1 if values is None else values
        score = data @ rng.normal(size=data.shape[1]) / 2 + rng.logistic(size=len(data))
        truth = np.where(score > np.median(score), "yes", "no") if labels is None else labels
        # Few enough terms for a row's features to share a ciphertext of a short key.
        lines = ["[model]", 'algorithm = "logistic-regression"', "[logistic]", "terms = 6", "reach = 6.0", logistic]
        lines += ["[training]", training, "[encryption]", encryption]
        start = 0
        for number, width in enumerate(widths):
            name = "guest" if number == 0 else f"host{number}"
            with (tmp_path / f"{name}.csv").open("w", newline="") as stream:
                writer = csv.writer(stream)
                writer.writerow(["id", *(["y"] if number == 0 else []), *(f"x{j}" for j in range(width))])
                for i in rng.permutation(len(data)):
                    cells = ["" if np.isnan(v) else repr(v) for v in data[i, start : start + width].tolist()]
                    writer.writerow([f"p{i:03d}", *([truth[i]] if number == 0 else []), *cells])
            lines += [f"[parties.{name}]", f'role = "{"guest" if number == 0 else "host"}"', f'data = "{name}.csv"']
            lines += ['label_column = "y"'] if number == 0 else []
            lines += [party] if number else []
            start += width
        path = tmp_path / "plan.toml"
        path.write_text("\n".join(lines))
        return path

    return write


def _tables(run: Run) -> tuple[list[np.ndarray], np.ndarray]:
    """Return each party's standardised values, sorted by id, and whether the label is "yes"."""
    found, labels = [], None
    for party in run.plan.parties:
        table = read_csv(party.data, "id", party.columns, party.label_column)
        table = table.take(np.argsort(np.array(table.ids)).tolist())
        found.append((table.values - table.values.mean(axis=0)) / table.values.std(axis=0))
        labels = labels if table.labels is None else np.array(table.labels)
    assert labels is not None
    return found, (labels == "yes").astype(float)


def _sigma(u: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-u))


def _separable(a: np.ndarray, b: np.ndarray, terms: int = 6, reach: float = 6.0) -> np.ndarray:
    """Return the approximation of sigma(a + b), written down from its definition."""
    grid = np.linspace(-reach, reach, 201)
    nodes = np.linspace(-0.9 * reach, 0.9 * reach, terms)
    weight = 1 / (1 + (grid / 4) ** 2)
    basis = np.column_stack([np.ones(201), _sigma(grid[:, None] + nodes) - 0.5])
    out = np.empty(len(a))
    for i, (left, right) in enumerate(zip(np.clip(a, -reach, reach), np.clip(b, -reach, reach), strict=True)):
        target = (_sigma(left + grid) - 0.5) * weight
        factors = np.linalg.lstsq(basis * weight[:, None], target, rcond=1e-6)[0]
        out[i] = 0.5 + factors @ np.append(1.0, _sigma(right + nodes) - 0.5)
    return out


def _descend(
    tables: list[np.ndarray],
    y: np.ndarray,
    epochs: int,
    sigmoid: Callable[[list[np.ndarray]], np.ndarray],
    settings: LogisticSettings,
    batches: list[np.ndarray] | None = None,
) -> tuple[list[np.ndarray], float]:
    """Plain proximal gradient descent on plain numbers; returns coefficients of each party, and the intercept."""
    weights = [np.zeros(table.shape[1]) for table in tables]
    intercept = 0.0
    s = np.ones(len(y))
    if settings.class_weight == "balanced":
        s = np.where(y == 1, len(y) / (2 * y.sum()), len(y) / (2 * (len(y) - y.sum())))
    s = np.where(y == 1, s * settings.positive_weight, s)
    for epoch in range(epochs):
        rate = settings.learning_rate
        rate = rate / (1 + settings.decay * epoch) if settings.schedule == "inverse" else rate
        rate = rate * np.exp(-settings.decay * epoch) if settings.schedule == "exponential" else rate
        for rows in batches or [np.arange(len(y))]:
            parts = [table[rows] @ w for table, w in zip(tables, weights, strict=True)]
            parts[0] = parts[0] + intercept
            d = s[rows] * (sigmoid(parts) - y[rows])
            for number, table in enumerate(tables):
                moved = weights[number] - rate * (table[rows].T @ d / len(rows) + settings.l2 * weights[number])
                weights[number] = np.sign(moved) * np.maximum(np.abs(moved) - rate * settings.l1, 0)
            intercept -= rate * d.mean()
    return weights, intercept


def _trained(run: Run) -> tuple[list[np.ndarray], float]:
    models = [load_logistic_model(run.directory / "models" / f"{p.name}.npz") for p in run.plan.parties]
    assert models[0].intercept is not None
    return [model.coefficients for model in models], models[0].intercept


def _assert_same(run: Run, expected: tuple[list[np.ndarray], float], within: float = 1e-4) -> None:
    found = _trained(run)
    for own, other in zip(found[0], expected[0], strict=True):
        np.testing.assert_allclose(own, other, rtol=0, atol=within)
    assert found[1] == pytest.approx(expected[1], abs=within)


@pytest.mark.parametrize(
    ("lines", "encryption"),
    [
        ("l2 = 0.01", "key_bits = 1024"),
        ("l2 = 0.01", "key_bits = 1024\npacking = false"),
        ("l1 = 0.05\nl2 = 0.0", "key_bits = 1024"),
        ('schedule = "inverse"\ndecay = 0.5\nlearning_rate = 2.0', "key_bits = 1024"),
        ('schedule = "exponential"\ndecay = 0.3', "key_bits = 1024"),
        ('class_weight = "balanced"\npositive_weight = 3.0', "key_bits = 1024"),
        ('class_weight = "balanced"\npositive_weight = 3.0', "key_bits = 2048"),
    ],
)
def test_it_equals_the_same_optimiser_on_plain_numbers(
    write_parties: WriteParties, lines: str, encryption: str, tmp_path: Path
) -> None:
    labels = None
    if "class_weight" in lines:
        labels = np.where(np.arange(ROWS) % 4 == 0, "yes", "no")
    run = train(write_parties(logistic=lines, labels=labels, encryption=encryption), tmp_path / "run")
    # A row's seven features are one ciphertext, unless the plan says otherwise or the key is too short.
    packed = "packing" not in encryption and not ("balanced" in lines and "1024" in encryption)
    scored = -(-ROWS // (1022 // 38)) if "1024" in encryption else -(-ROWS // (2046 // 38))
    sent = run.metrics["totals"]["ciphertexts"]["scores_from_parties"]
    assert sent == 5 * ROWS * (2 if packed else 8) + (ROWS if "packing" in encryption else scored)
    assert run.plan.logistic is not None
    tables, y = _tables(run)
    expected = _descend(tables, y, 5, lambda parts: _separable(*parts), run.plan.logistic)
    assert max(np.abs(w).max() for w in expected[0]) > 0.1
    _assert_same(run, expected, 1e-5)
    if "l1" in lines:
        assert any((w == 0).any() for w in _trained(run)[0])


def test_batches_are_dealt_once_and_trained_on_in_turn(write_parties: WriteParties, tmp_path: Path) -> None:
    run = train(write_parties(logistic="batch_rows = 50\nseed = 9\nlearning_rate = 0.2"), tmp_path / "run")
    tables, y = _tables(run)
    batches = np.array_split(np.random.default_rng(9).permutation(ROWS), 3)
    assert run.plan.logistic is not None
    expected = _descend(tables, y, 5, lambda parts: _separable(*parts), run.plan.logistic, batches)
    _assert_same(run, expected, 1e-5)


def test_three_parties_pass_partial_scores_through_each_other(write_parties: WriteParties, tmp_path: Path) -> None:
    run = train(write_parties(parties=3), tmp_path / "run")
    tables, y = _tables(run)
    kernel = SeparableLogistic(6, 6.0)

    def sigmoid(parts: list[np.ndarray]) -> np.ndarray:
        passing, added = kernel.passing_factors(parts[2])
        features = (passing * kernel.features(parts[1])[:, None, :]).sum(axis=-1) + added
        factors, constant = kernel.residual_factors(parts[0])
        return constant + (factors * features).sum(axis=1)

    assert run.plan.logistic is not None
    expected = _descend(tables, y, 5, sigmoid, run.plan.logistic)
    _assert_same(run, expected, 1e-5)
    exact = _descend(tables, y, 5, lambda parts: _sigma(sum(parts)), run.plan.logistic)
    _assert_same(run, exact, 0.02)


def test_the_loss_is_the_cross_entropy(write_parties: WriteParties, tmp_path: Path) -> None:
    run = train(write_parties(training="max_iterations = 4\ntolerance = 0.0"), tmp_path / "run")
    tables, y = _tables(run)
    assert run.plan.logistic is not None
    for record in run.metrics["iterations"]:
        weights, b = _descend(tables, y, record["round"] - 1, lambda parts: _separable(*parts), run.plan.logistic)
        score = sum(table @ w for table, w in zip(tables, weights, strict=True)) + b
        exact = np.logaddexp(0, score) - y * score
        assert -record["log_likelihood"] == pytest.approx(exact.mean(), abs=0.01)


def test_columns_of_few_values_are_added_up_by_value(write_parties: WriteParties, tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    values = rng.integers(0, 4, size=(ROWS, 7)).astype(float)
    values[:, 5] = rng.normal(size=ROWS)
    run = train(write_parties(values=values), tmp_path / "run")
    tables, y = _tables(run)
    assert run.plan.logistic is not None
    _assert_same(run, _descend(tables, y, 5, lambda parts: _separable(*parts), run.plan.logistic), 1e-5)


def test_training_stops_when_the_loss_no_longer_changes(write_parties: WriteParties, tmp_path: Path) -> None:
    run = train(write_parties(training="max_iterations = 50\ntolerance = 0.02"), tmp_path / "run")
    losses = [-record["log_likelihood"] for record in run.metrics["iterations"]]
    assert run.converged
    assert 2 < len(losses) < 50
    assert losses[-2] - losses[-1] < 0.02 <= losses[-3] - losses[-2]


def test_patience_goes_back_to_the_best_epoch(write_parties: WriteParties, tmp_path: Path) -> None:
    lines = "validation = 0.3\npatience = 2\nlearning_rate = 2.0\nl2 = 0.0"
    labels = np.random.default_rng(1).choice(["yes", "no"], size=ROWS)
    run = train(
        write_parties(logistic=lines, labels=labels, training="max_iterations = 30\ntolerance = 1e-9"), tmp_path / "run"
    )
    losses = [record["seconds"]["validation_loss"] for record in run.metrics["iterations"]]
    best = int(np.argmin(losses))
    assert run.converged
    assert best == len(losses) - 3
    tables, y = _tables(run)
    order = np.random.default_rng(0).permutation(ROWS)
    assert run.plan.logistic is not None
    expected = _descend(
        tables, y, best + 1, lambda parts: _separable(*parts), run.plan.logistic, [np.sort(order[round(0.3 * ROWS) :])]
    )
    _assert_same(run, expected)
    with (run.directory / "predictions.csv").open(newline="") as stream:
        kinds = [row["type"] for row in csv.DictReader(stream)]
    assert kinds.count("validate") == round(0.3 * ROWS)
    assert kinds.count("train") == ROWS - round(0.3 * ROWS)
    assert "validation" in json.loads((run.directory / "quality.json").read_text())


def test_predictions_are_those_of_the_coefficients(write_parties: WriteParties, tmp_path: Path) -> None:
    run = train(write_parties(parties=3), tmp_path / "run")
    tables, y = _tables(run)
    coefficients, intercept = _trained(run)
    expected = _sigma(sum(t @ w for t, w in zip(tables, coefficients, strict=True)) + intercept)
    with (run.directory / "predictions.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["index", "label", "predict_result", "predict_score", "predict_detail", "type"]
    np.testing.assert_allclose([float(row["predict_score"]) for row in rows], expected, atol=1e-5)
    assert [row["index"] for row in rows] == [f"p{i:03d}" for i in range(ROWS)]
    assert [row["label"] for row in rows] == ["yes" if label else "no" for label in y]
    assert [row["predict_result"] for row in rows] == ["yes" if p > 0.5 else "no" for p in expected]
    detail = json.loads(rows[7]["predict_detail"])
    assert detail["no"] + detail["yes"] == pytest.approx(1.0)
    assert detail["yes"] == pytest.approx(expected[7], abs=1e-5)
    data = {party.name: party.data for party in run.plan.parties}
    found = predict_run(run.directory, data)
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-5)
    assert set(found.types) == {"test"}
    frame = pytest.importorskip("pandas") and found.to_pandas()
    assert list(frame.columns) == list(rows[0])


def test_new_rows_need_no_labels(write_parties: WriteParties, tmp_path: Path) -> None:
    run = train(write_parties(training="max_iterations = 2"), tmp_path / "run")
    data = {}
    for party in run.plan.parties:
        with party.data.open(newline="") as stream:
            rows = [row for row in csv.DictReader(stream) if row["id"] in ("p003", "p050")]
        data[party.name] = tmp_path / f"new-{party.name}.csv"
        with data[party.name].open("w", newline="") as stream:
            writer = csv.DictWriter(stream, [name for name in rows[0] if name != "y"], extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)
    found = predict_run(run.directory, data)
    assert found.ids == ("p003", "p050")
    assert found.labels is None
    assert found.quality() is None
    with (run.directory / "predictions.csv").open(newline="") as stream:
        trained = {row["index"]: float(row["predict_score"]) for row in csv.DictReader(stream)}
    np.testing.assert_allclose(found.probabilities, [trained["p003"], trained["p050"]], atol=1e-5)


def test_nothing_secret_crosses_in_the_clear(write_parties: WriteParties, tmp_path: Path) -> None:
    path = write_parties(parties=3, logistic="batch_rows = 60")
    run = train(path, tmp_path / "run", keep_messages=True)
    tables, y = _tables(run)
    coefficients, intercept = _trained(run)
    scores = [table @ w for table, w in zip(tables, coefficients, strict=True)]
    gradients = [table.T @ (0.5 - y) / len(y) for table in tables]
    secrets = Secrets([*tables, *coefficients, *scores, *gradients, np.array([intercept])])
    roles = {"arbiter": "arbiter", "guest": "guest", "host1": "host", "host2": "host"}
    assert check_transcript(run.transcript, roles, secrets) == []
    report = render_report(run.directory)
    assert "the arbiter learned nothing" in report.lower()


def test_an_interrupted_run_goes_on_bit_for_bit(
    write_parties: WriteParties, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_parties(logistic="batch_rows = 60\nvalidation = 0.2\npatience = 4")
    whole = train(path, tmp_path / "whole")

    class Interrupted(Exception):
        pass

    def stop(event: Any) -> None:
        if event.record is not None and event.record.round == 2:
            raise Interrupted

    with pytest.raises(Interrupted):
        train(path, tmp_path / "run", progress=stop)
    assert (tmp_path / "run.partial").is_dir()
    resumed = train(path, tmp_path / "run", resume=True)
    for name in ("guest.npz", "host1.npz"):
        ours, theirs = (d.directory / "models" / name for d in (resumed, whole))
        assert ours.read_bytes() == theirs.read_bytes()
    assert [r["log_likelihood"] for r in resumed.metrics["iterations"]] == [
        r["log_likelihood"] for r in whole.metrics["iterations"]
    ]
    assert (resumed.directory / "predictions.csv").read_bytes() == (whole.directory / "predictions.csv").read_bytes()


def test_versions_stand_in_the_registry(write_parties: WriteParties, tmp_path: Path) -> None:
    from cipherlane.federation.registry import version_of

    run = train(write_parties(training="max_iterations = 2"), tmp_path / "run")
    version = version_of(run.directory)
    assert version.facts["algorithm"] == "logistic-regression"
    assert set(version.facts["files"]) == {"guest.npz", "host1.npz"}


def test_the_report_shows_coefficients_of_columns_as_they_are(write_parties: WriteParties, tmp_path: Path) -> None:
    run = train(write_parties(training="max_iterations = 2"), tmp_path / "run")
    found = read_coefficients(run.directory, run.metrics["parties"])
    assert found is not None
    assert found.intercepts is not None
    raw = []
    for party in run.plan.parties:
        table = read_csv(party.data, "id", party.columns, party.label_column)
        raw.append(table.take(np.argsort(np.array(table.ids)).tolist()).values)
    scores = np.hstack(raw) @ [one.original for one in found.columns] + found.intercepts[1]
    with (run.directory / "predictions.csv").open(newline="") as stream:
        predicted = [float(row["predict_score"]) for row in csv.DictReader(stream)]
    np.testing.assert_allclose(_sigma(scores), predicted, atol=1e-5)
    np.testing.assert_array_equal([one.standardised for one in found.columns], np.concatenate(_trained(run)[0]))
    page, markdown = render_page(run.directory), render_report(run.directory)
    assert "Coefficients of standardised columns" in page
    for one in found.columns:
        assert f"{one.standardised:.6g}" in page
        assert f"| {one.party} | {one.column} | {one.standardised:.6g} | {one.original:.6g} |" in markdown
    assert "EM:" not in page
    assert "Computing time by epoch" in page
    # What lies at a party's site alone is not shown, and no intercept that would lack its part.
    (run.directory / "models" / "host1.npz").unlink()
    fewer = read_coefficients(run.directory, run.metrics["parties"])
    assert fewer is not None
    assert {one.party for one in fewer.columns} == {"guest"}
    assert fewer.intercepts is None
    (run.directory / "models" / "guest.npz").write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"guest\.npz: not a whole model file"):
        read_coefficients(run.directory, run.metrics["parties"])
    (run.directory / "models" / "guest.npz").unlink()
    assert "lie with that party alone" in render_page(run.directory)


def test_training_on_ends_as_training_in_one_go(write_parties: WriteParties, tmp_path: Path) -> None:
    from cipherlane.federation.registry import version_of

    whole = train(write_parties(training="max_iterations = 5\ntolerance = 0.0"), tmp_path / "whole")
    short = write_parties(training="max_iterations = 2\ntolerance = 0.0")
    first = train(short, tmp_path / "first")
    path = write_parties(training="max_iterations = 3\ntolerance = 0.0")
    second = train(path, tmp_path / "second", parent=first.directory)
    losses = [[r["log_likelihood"] for r in run.metrics["iterations"]] for run in (first, second, whole)]
    assert losses[0] + losses[1] == losses[2]
    for name in ("guest.npz", "host1.npz"):
        ours, theirs = (run.directory / "models" / name for run in (second, whole))
        assert ours.read_bytes() == theirs.read_bytes()
    assert second.metrics["model"]["parent"] == first.metrics["model"]["version"]
    assert version_of(second.directory).number == 2
    other = write_parties(training="max_iterations = 1", logistic='positive = "no"')
    with pytest.raises(ProtocolError, match="the two labels of the version that training goes on from"):
        train(other, tmp_path / "third", parent=first.directory)


def test_training_on_is_resumed_from_the_same_coefficients(write_parties: WriteParties, tmp_path: Path) -> None:
    first = train(write_parties(training="max_iterations = 1\ntolerance = 0.0"), tmp_path / "first")
    path = write_parties(training="max_iterations = 3\ntolerance = 0.0\ncheckpoint_every = 1")
    whole = train(path, tmp_path / "whole", parent=first.directory)

    def stop(event: Any) -> None:
        if event.record is not None and event.record.round == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        train(path, tmp_path / "second", parent=first.directory, progress=stop)
    second = train(path, tmp_path / "second", parent=first.directory, resume=True)
    assert _trained(second)[1] == _trained(whole)[1]
    assert second.metrics["model"]["parent"] == first.metrics["model"]["version"]


# Bad input.


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array(["a", "b", "c"] * 40), "expected two different labels, got 3"),
        (np.array(["a"] * 120), "got one in every row"),
    ],
)
def test_labels_that_are_not_binary_are_refused(
    write_parties: WriteParties, tmp_path: Path, labels: np.ndarray, message: str
) -> None:
    with pytest.raises(ProtocolError, match=message):
        train(write_parties(labels=labels), tmp_path / "run")
    assert not (tmp_path / "run.partial").exists()


@pytest.mark.parametrize(
    ("logistic", "message"),
    [
        ("batch_rows = 500", "at most the 120 rows that there are to train on, got 500"),
        ("batch_rows = 4", "a batch of 4 rows, and a party with 4 columns"),
        ('positive = "maybe"', "expected one of the guest's two labels"),
        ("validation = 0.001", "is no row"),
    ],
)
def test_settings_that_do_not_fit_the_rows_are_refused(
    write_parties: WriteParties, tmp_path: Path, logistic: str, message: str
) -> None:
    with pytest.raises(ProtocolError, match=message):
        train(write_parties(logistic=logistic), tmp_path / "run")


@pytest.mark.parametrize("column", [0, 4])
def test_missing_cells_and_constant_columns_are_named(write_parties: WriteParties, tmp_path: Path, column: int) -> None:
    values = np.random.default_rng(0).normal(size=(ROWS, 7))
    values[5, column] = np.nan
    with pytest.raises(ValueError, match="the value is missing"):
        train(write_parties(values=values), tmp_path / "run")
    values[:, column] = 2.5
    with pytest.raises(ValueError, match="is constant"):
        train(write_parties(values=values), tmp_path / "run")


def test_a_rate_that_is_too_high_is_told(write_parties: WriteParties, tmp_path: Path) -> None:
    with pytest.raises(ProtocolError, match=r"training diverges.*lower logistic.learning_rate \(it is 1000\)"):
        train(write_parties(logistic="learning_rate = 1000.0"), tmp_path / "run")


def test_numbers_that_do_not_fit_the_encoding_are_told(write_parties: WriteParties, tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(ROWS, 7))
    values[:, 4] *= 1e7
    with pytest.raises(PlaintextOverflowError, match="host1"):
        train(write_parties(values=values, party="standardise = false"), tmp_path / "run")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"algorithm": "vertical-gaussian-mixture"}, "expected only with algorithm"),
        ({"logistic": "patience = 3"}, "with patience"),
        ({"logistic": "decay = 0.1"}, "decay: expected a number above 0 with schedule"),
        ({"logistic": 'schedule = "inverse"'}, "decay: expected a number above 0 with schedule"),
        ({"logistic": 'schedule = "cosine"'}, "expected one of"),
        ({"logistic": "learning_rate = 0.0"}, "learning_rate"),
        ({"logistic": "rate = 0.1"}, "unknown field 'rate'"),
        ({"label": ""}, "label_column is missing"),
        ({"privacy": "[privacy]\nresponsibility_decimals = 2"}, "unknown field 'responsibility_decimals'"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(change: dict[str, str], message: str) -> None:
    found = {"algorithm": "logistic-regression", "logistic": "", "label": 'label_column = "y"', "privacy": ""} | change
    components = "components = 2" if "mixture" in found["algorithm"] else ""
    text = f"""
        [model]
        algorithm = "{found["algorithm"]}"
        {components}
        [logistic]
        {found["logistic"]}
        {found["privacy"]}
        [parties.guest]
        data = "g.csv"
        {found["label"]}
        [parties.host]
        data = "h.csv"
    """
    with pytest.raises(ValueError, match=message):
        parse_plan(text)


def test_settings_cross_whole_and_nothing_else_does() -> None:
    settings = LogisticSettings(positive="1", l1=0.5)
    assert LogisticSettings.from_text(settings.to_text()) == settings
    fields = dataclasses.asdict(settings)
    for changed in ({"l2": "0"}, {"terms": 400}, {"l2": -1.0}, {"learning_rate": float("nan")}, {"other": 1}):
        with pytest.raises(ProtocolError, match="logistic settings"):
            LogisticSettings.from_text(json.dumps(fields | changed))
    with pytest.raises(ProtocolError, match="logistic settings"):
        LogisticSettings.from_text("[" * 100_000)


def test_the_command_line_trains_shows_and_predicts(
    write_parties: WriteParties, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, run, out = write_parties(training="max_iterations = 2"), tmp_path / "run", tmp_path / "found.csv"
    assert main(["train", str(path), "--out", str(run)]) == 0
    assert "after 2 epochs, mean log-likelihood -0." in capsys.readouterr().out
    assert main(["models", str(run)]) == 0
    assert "3 coefficients of guest and an intercept, positive class 'yes'" in capsys.readouterr().out
    data = [f"--data={name}={tmp_path / f'{name}.csv'}" for name in ("guest", "host1")]
    assert main(["score", str(run), *data, "--out", str(out)]) == 0
    assert "120 rows, AUC 0." in capsys.readouterr().err
    with out.open(newline="") as stream:
        assert {row["type"] for row in csv.DictReader(stream)} == {"test"}
    other = tmp_path / "other.csv"
    other.write_text((tmp_path / "guest.csv").read_text().replace(",yes,", ",1,"))
    assert main(["score", str(run), f"--data=guest={other}", data[1], "--out", str(tmp_path / "more.csv")]) == 0
    assert "120 rows; not compared with their labels, which are not both 'no' and 'yes'" in capsys.readouterr().err
    assert main(["score", str(run), data[0]]) == 1
    assert "expected a file for each of" in capsys.readouterr().err


@pytest.mark.skipif(bool(missing_packages()), reason=f"not installed: {', '.join(missing_packages())}")
def test_a_ledger_vouches_for_predictions(write_parties: WriteParties, tmp_path: Path) -> None:
    from cipherlane.ledger.audit import audit

    path = write_parties(training="max_iterations = 2")
    path.write_text(path.read_text() + "\n[ledger]\naccess_hours = 1.0\n")
    run = train(path, tmp_path / "run")
    assert audit(run.directory).failure is None
    predictions = run.directory / "predictions.csv"
    predictions.write_text(predictions.read_text().replace("yes", "no", 1))
    assert "predictions.csv: is not the file that 'guest' recorded" in str(audit(run.directory).failure)
