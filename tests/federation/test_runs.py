"""Run directories: what they hold, what a failed or interrupted run leaves, and resuming."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import cipherlane as cl
from cipherlane.errors import PlaintextOverflowError, ProtocolError
from cipherlane.federation import Progress, Run, score_models, score_run, train
from cipherlane.federation import capability as own_capability
from cipherlane.federation.engine import Transcript
from cipherlane.federation.models import load_models
from cipherlane.federation.run_store import check_complete
from cipherlane.report import render_report
from cipherlane.vertical.wire import peek

WritePlan = Callable[..., Path]


class Stopped(Exception):
    """Stands for a crash."""


def _stop_after(round_number: int) -> Callable[[Progress], None]:
    def stop(event: Progress) -> None:
        if event.record is not None and event.record.round == round_number:
            raise Stopped

    return stop


def _trajectory(run: Run) -> list[tuple[float, list[float], list[float]]]:
    return [(r["log_likelihood"], r["counts"], r["weights"]) for r in run.metrics["iterations"]]


def _data(run: Run) -> dict[str, Path]:
    return {party.name: party.data for party in run.plan.parties}


def test_a_run_directory_holds_the_whole_run(tmp_path: Path, write_plan: WritePlan) -> None:
    plan = write_plan()
    run = train(plan, tmp_path / "runs" / "first")
    directory = run.directory
    assert directory == tmp_path / "runs" / "first"
    assert [path.name for path in directory.parent.iterdir()] == ["first"]
    assert json.loads((directory / "status.json").read_text()) == {"state": "complete"}
    assert (directory / "plan.toml").read_text() == plan.read_text()
    assert json.loads((directory / "metrics.json").read_text()) == run.metrics
    lines = [json.loads(line) for line in (directory / "transcript.jsonl").read_text().splitlines()]
    assert [line["index"] for line in lines] == list(range(run.metrics["totals"]["messages"]))
    assert sum(line["bytes"] for line in lines) == run.metrics["totals"]["bytes"]
    assert {path.stem for path in (directory / "models").glob("*.npz")} == {"guest", "host1", "joint"}
    rows = (directory / "assignments.csv").read_text().splitlines()
    assert rows[0] == "id,component,r0,r1,r2"
    assert len(rows) == 121
    quality = json.loads((directory / "quality.json").read_text())
    assert 0 <= quality["accuracy"] <= 1
    assert "## What this run showed to whom" in (directory / "report.md").read_text()
    last = run.metrics["iterations"][-1]
    assert set(last["seconds"]) == {"em", "encrypt", "add", "decrypt", "e_step", "relay", "total"}
    for name, width in (("guest", 3), ("host1", 4)):
        answer = run.metrics["parties"][name]
        assert (answer["accepts"], answer["rows"], answer["columns"]) == (True, 120, width)
        assert 0 < answer["memory_needed"] < answer["memory_available"]
        assert answer["seconds_per_iteration"] > 0
        assert answer["software"]["cipherlane"] == cl.__version__
        assert answer["backend"] in cl.backends()
    counted = run.metrics["totals"]["ciphertexts"]
    # 241 numbers at 16 slots of 62 bits in 1022: 16 ciphertexts, from two parties and to the arbiter.
    assert counted["scores_from_parties"] == 2 * 16 * run.iterations
    assert counted["sums_to_arbiter"] == 16 * run.iterations
    assert (counted["scheme"], counted["key_bits"]) == ("djn", 1024)
    assert check_complete(directory) == directory


@pytest.mark.parametrize("sharing", ["end", "every_round"])
def test_the_seconds_of_all_work_add_up_to_those_of_training(
    tmp_path: Path, write_plan: WritePlan, sharing: str
) -> None:
    plan = write_plan(training__checkpoint_every=2, privacy__share_parameters=sharing)
    seconds = train(plan, tmp_path / "run").metrics["totals"]["seconds"]
    outside = {"prepare", "agree", "match", "training"}
    assert all(value > 0 for value in seconds.values())
    inside = {name: value for name, value in seconds.items() if name not in outside}
    assert sum(inside.values()) == pytest.approx(seconds["training"], rel=1e-6)
    assert {"em", "encrypt", "add", "decrypt", "e_step", "key", "start", "parameters"} < set(inside)


def test_features_are_on_disk_sealed_only(tmp_path: Path, write_plan: WritePlan) -> None:
    run = train(write_plan(privacy__share_parameters="never", training__checkpoint_every=2), tmp_path / "run")
    feature = load_models(run.directory / "models" / "guest.npz")[0].preprocessing.centre[0]
    raw = (tmp_path / "guest.csv").read_text().splitlines()[1].split(",")
    for path in (run.directory / "parties").rglob("*.sealed"):
        content = path.read_bytes()
        assert raw[2].encode() not in content
        assert np.float64(raw[2]).tobytes() not in content
        assert np.float64(feature).tobytes() not in content
    assert len(list((run.directory / "parties").rglob("table.sealed"))) == 2


def test_a_plan_can_forbid_sending_parameters(tmp_path: Path, write_plan: WritePlan) -> None:
    run = train(write_plan(privacy__share_parameters="never"), tmp_path / "run")
    kinds = {entry.kind for entry in run.transcript.entries}
    assert not kinds & {"send_parameters", "encrypted_parameters", "joint_parameters"}
    assert {path.stem for path in (run.directory / "models").glob("*.npz")} == {"guest", "host1"}


def test_runs_are_reproducible(tmp_path: Path, write_plan: WritePlan) -> None:
    plan = write_plan()
    first, second = (train(plan, tmp_path / name) for name in ("a", "b"))
    assert _trajectory(first) == _trajectory(second)
    assert (first.directory / "assignments.csv").read_bytes() == (second.directory / "assignments.csv").read_bytes()


@pytest.mark.parametrize("sharing", ["end", "every_round", "never"])
@pytest.mark.parametrize("stop_after", [2, 5])
def test_a_resumed_run_ends_as_an_uninterrupted_one(
    tmp_path: Path, write_plan: WritePlan, stop_after: int, sharing: str
) -> None:
    plan = write_plan(training__checkpoint_every=2, privacy__share_parameters=sharing)
    whole = train(plan, tmp_path / "whole")
    out = tmp_path / "run"
    with pytest.raises(Stopped):
        train(plan, out, progress=_stop_after(stop_after))
    assert not out.exists()
    partial = tmp_path / "run.partial"
    status = json.loads((partial / "status.json").read_text())
    assert status["state"] == "failed"
    with pytest.raises(ValueError, match="this run is failed, not complete"):
        check_complete(partial)
    with pytest.raises(ValueError, match="an unfinished run lies there; go on with --resume"):
        train(plan, out)
    # The sealed tables are what the run goes on from: the files may be gone.
    for party in whole.plan.parties:
        party.data.rename(party.data.with_suffix(".gone"))
    resumed = train(plan, out, resume=True)
    assert _trajectory(resumed) == _trajectory(whole)
    for name in ("guest", "host1"):
        ours, theirs = (load_models(r.directory / "models" / f"{name}.npz")[0] for r in (resumed, whole))
        np.testing.assert_array_equal(ours.parameters.means, theirs.parameters.means)
        np.testing.assert_array_equal(ours.parameters.covariances, theirs.parameters.covariances)
        np.testing.assert_array_equal(ours.weights, theirs.weights)
    assert (out / "assignments.csv").read_bytes() == (whole.directory / "assignments.csv").read_bytes()
    assert not partial.exists()
    stages: list[str] = []
    again = train(plan, out, resume=True, progress=lambda event: stages.append(event.stage))
    assert (stages, again.metrics) == (["complete"], resumed.metrics)
    assert again.transcript.count == again.metrics["totals"]["messages"]


@pytest.mark.parametrize("sharing", ["end", "every_round"])
def test_a_run_that_stopped_after_its_last_round_resumes_to_the_end(
    tmp_path: Path, write_plan: WritePlan, sharing: str
) -> None:
    plan = write_plan(training__checkpoint_every=3, privacy__share_parameters=sharing)
    whole = train(plan, tmp_path / "whole")
    with pytest.raises(Stopped):
        train(plan, tmp_path / "run", progress=_stop_after(6))
    resumed = train(plan, tmp_path / "run", resume=True)
    assert _trajectory(resumed) == _trajectory(whole)
    joint = Path("models") / "joint.npz"
    assert (resumed.directory / joint).read_bytes() == (whole.directory / joint).read_bytes()


def test_what_cannot_be_resumed_says_why(tmp_path: Path, write_plan: WritePlan) -> None:
    plan = write_plan(training__checkpoint_every=2)
    with pytest.raises(ValueError, match="out: name the run to resume"):
        train(plan, resume=True)
    with pytest.raises(Stopped):
        train(plan, tmp_path / "run", progress=_stop_after(3))
    other = write_plan(training__checkpoint_every=2, model__seed=9)
    with pytest.raises(ValueError, match="started from another plan"):
        train(other, tmp_path / "run", resume=True)
    plan = write_plan(training__checkpoint_every=2)
    train(plan, tmp_path / "run", resume=True)
    with pytest.raises(ValueError, match="started from another plan"):
        train(write_plan(model__seed=9), tmp_path / "run", resume=True)


def test_a_run_that_fails_before_a_checkpoint_leaves_nothing(tmp_path: Path, write_plan: WritePlan) -> None:
    with pytest.raises(Stopped):
        train(write_plan(), tmp_path / "runs" / "x", progress=_stop_after(1))
    assert list((tmp_path / "runs").iterdir()) == []


def test_an_existing_directory_is_left_alone(tmp_path: Path, write_plan: WritePlan) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine").write_text("kept")
    with pytest.raises(ValueError, match="exists already; give another directory"):
        train(write_plan(), tmp_path / "run")
    assert (tmp_path / "run" / "mine").read_text() == "kept"
    with pytest.raises(ValueError, match="engine: expected one of"):
        train(write_plan(), tmp_path / "other", engine="remote")


def _fails(tmp_path: Path, plan: Path, error: type[Exception], expected: str) -> str:
    with pytest.raises(error, match=expected) as caught:
        train(plan, tmp_path / "runs" / "x")
    runs = tmp_path / "runs"
    assert not runs.exists() or list(runs.iterdir()) == []
    return str(caught.value)


def test_rows_that_do_not_match_are_counted_and_named(tmp_path: Path, write_plan: WritePlan) -> None:
    plan = write_plan()
    host = tmp_path / "host1.csv"
    lines = host.read_text().splitlines()
    lines[1] = "zz1" + lines[1][4:]
    host.write_text("\n".join([*lines[:-1], ""]))
    text = _fails(tmp_path, plan, ProtocolError, "rows of 'host1' and 'guest' do not match")
    assert "1 ids are only at 'host1' (119 rows), 2 only at 'guest' (120 rows)" in text
    assert "host1.csv: 1 ids are not at 'guest': zz1" in text
    assert "guest.csv: 2 ids are not at 'host1': p" in text


def test_at_most_five_unmatched_ids_are_named_and_none_crosses(tmp_path: Path, write_plan: WritePlan) -> None:
    plan = write_plan()
    host = tmp_path / "host1.csv"
    lines = host.read_text().splitlines()
    gone = [line.split(",")[0] for line in lines[1:10]]
    host.write_text("\n".join([lines[0], *lines[10:], ""]))
    text = _fails(tmp_path, plan, ProtocolError, "do not match")
    named = [identifier for identifier in gone if identifier in text]
    assert named == sorted(gone)[:5] or len(named) == 5


@pytest.mark.parametrize(
    ("settings", "error", "expected"),
    [
        (
            {"model__components": 121},
            ProtocolError,
            "'guest' declines: the plan asks for 121 components",
        ),
        ({"requirements__rows": 500}, ProtocolError, "the plan requires 500 rows, it has 120"),
        ({"requirements__memory_mb": 1 << 29}, ProtocolError, "MB of memory are required"),
        ({"requirements__backend": "abacus"}, ProtocolError, "backend 'abacus' is required, usable here are"),
        (
            {"requirements__seconds_per_iteration": 1e-9},
            ProtocolError,
            "iteration would take .* the plan allows",
        ),
        ({"encryption__integer_bits": 60, "encryption__fraction_bits": 64}, None, ""),
        ({"parties.guest__columns": "x9"}, ValueError, r"\[parties.guest\] columns: expected a list"),
        ({"parties.host1__id_column": "key"}, ValueError, r"host1\.csv: there is no id column 'key'"),
    ],
)
def test_a_plan_that_cannot_be_met_is_declined_with_its_reason(
    tmp_path: Path,
    write_plan: WritePlan,
    settings: dict[str, object],
    error: type[Exception] | None,
    expected: str,
) -> None:
    plan = write_plan(**settings)
    if error is None:
        assert train(plan, tmp_path / "run").iterations == 6
    else:
        _fails(tmp_path, plan, error, expected)


def test_every_reason_of_every_party_is_given(tmp_path: Path, write_plan: WritePlan) -> None:
    text = _fails(
        tmp_path, write_plan(model__components=200, requirements__backend="abacus"), ProtocolError, "declines"
    )
    assert text.count("declines") == 2
    assert text.count("abacus") == 2


def test_a_party_may_decline_and_the_coordinator_says_what_it_did(tmp_path: Path, write_plan: WritePlan) -> None:
    plan = write_plan(**{"parties.host1__declines": "the ethics board has not met yet"})
    text = _fails(tmp_path, plan, ProtocolError, "party 'host1' declines: the ethics board has not met yet; the coord")
    assert "the coordinator ended the run: no key was made, and nothing" in text


def test_a_disk_without_room_for_checkpoints_is_declined(
    tmp_path: Path, write_plan: WritePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1 << 10}))
    _fails(tmp_path, write_plan(), ProtocolError, "its checkpoints would take 10[0-9][0-9] kB more than is free")


def test_another_version_is_declined(tmp_path: Path, write_plan: WritePlan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cipherlane.federation.coordinator.cipherlane.__version__", "99.1.0")
    monkeypatch.setattr("cipherlane.federation.capability.cipherlane", _Old)
    _fails(tmp_path, write_plan(), ProtocolError, "runs version 99.1.0, it runs 1.0.0; install the same")


class _Old:
    __version__ = "1.0.0"


def test_an_extreme_row_names_the_party_and_the_remedy_and_the_row_to_its_owner_only(
    tmp_path: Path, write_plan: WritePlan, overlapping_clusters: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = overlapping_clusters.copy()
    values[:, 5] *= 1e-3
    values[7, 5] = 1e7
    plan = write_plan(values=values, **{"parties.host1__standardise": False, "model__regularisation": 1e-9})
    crossed: list[bytes] = []
    record = Transcript.record

    def spy(self: Transcript, sender: str, receiver: str, data: bytes, **about: str) -> None:
        crossed.append(data)
        record(self, sender, receiver, data, **about)

    monkeypatch.setattr(Transcript, "record", spy)
    text = _fails(tmp_path, plan, PlaintextOverflowError, "party 'host1': log-density differences: ")
    assert "integer_bits in the plan" in text
    assert "1e7" not in text and "10000000" not in text
    extreme = next(line for line in (tmp_path / "host1.csv").read_text().splitlines() if "10000000.0" in line)[:4]
    assert f"host1.csv: rows whose numbers do not fit (1 in all): {extreme}" in text
    assert "failure" in {peek(data)[0] for data in crossed}
    assert not any(extreme.encode() in data for data in crossed)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("x1", "x0", "names 'x0' more than once"),
        (None, "abc", r"host1\.csv: row 1, column 'x0': expected a number, got 'abc'"),
        (None, "nan", r"host1\.csv: row 1, column 'x0': the value is missing"),
        (None, "-inf", r"host1\.csv: row 1, column 'x0': expected a finite number"),
        (None, "", r"host1\.csv: row 1, column 'x0': the value is missing"),
        (None, "constant", r"host1\.csv: column 'x0' is constant over its 120 rows.*leave it out of `columns`"),
    ],
)
def test_a_bad_table_stops_the_run_before_it_starts(
    tmp_path: Path, write_plan: WritePlan, old: str | None, new: str, expected: str
) -> None:
    plan = write_plan()
    host = tmp_path / "host1.csv"
    lines = host.read_text().splitlines()
    if new == "constant":
        lines[1:] = [",".join([line.split(",")[0], "2.5", *line.split(",")[2:]]) for line in lines[1:]]
    elif old is None:
        cells = lines[1].split(",")
        lines[1] = ",".join([cells[0], new, *cells[2:]])
    else:
        lines[0] = lines[0].replace(old, new)
    host.write_text("\n".join([*lines, ""]))
    _fails(tmp_path, plan, ValueError, expected)


def test_missing_values_can_be_imputed(tmp_path: Path, write_plan: WritePlan) -> None:
    plan = write_plan(**{"parties.host1__impute": "median"})
    host = tmp_path / "host1.csv"
    lines = host.read_text().splitlines()
    cells = lines[1].split(",")
    host.write_text("\n".join([lines[0], ",".join([cells[0], "NA", *cells[2:]]), *lines[2:], ""]))
    assert train(plan, tmp_path / "run").iterations == 6


def test_duplicate_ids_are_refused(tmp_path: Path, write_plan: WritePlan) -> None:
    plan = write_plan()
    guest = tmp_path / "guest.csv"
    guest.write_text(guest.read_text() + guest.read_text().splitlines()[1] + "\n")
    _fails(tmp_path, plan, ValueError, r"guest\.csv: column 'id': 1 ids stand more than once")


def test_scoring_gives_back_the_training_rows_result(tmp_path: Path, write_plan: WritePlan) -> None:
    run = train(write_plan((2, 3, 2)), tmp_path / "run")
    transcript = Transcript(keep_messages=True)
    scores = score_run(run.directory, _data(run), transcript=transcript)
    rows = (run.directory / "assignments.csv").read_text().splitlines()[1:]
    assert list(scores.ids) == [row.split(",")[0] for row in rows]
    expected = np.array([[float(cell) for cell in row.split(",")[2:]] for row in rows])
    np.testing.assert_allclose(scores.responsibilities, expected, atol=1e-8)
    assert scores.log_likelihood == pytest.approx(run.log_likelihood, abs=1e-9)
    joint = score_models(run.directory / "models" / "joint.npz", _data(run))
    assert joint.ids == scores.ids
    np.testing.assert_allclose(joint.responsibilities, scores.responsibilities, atol=1e-9)
    assert joint.log_likelihood == pytest.approx(run.log_likelihood, abs=1e-9)
    kinds = [peek(message)[0] for message in transcript.messages]
    assert "evaluate" in kinds
    assert not {"update", "send_parameters"} & set(kinds)


def test_a_single_new_row_can_be_scored(tmp_path: Path, write_plan: WritePlan) -> None:
    run = train(write_plan(requirements__rows=120), tmp_path / "run")
    data = {}
    for name, path in _data(run).items():
        lines = sorted(path.read_text().splitlines()[1:])
        data[name] = tmp_path / f"new_{name}.csv"
        data[name].write_text(path.read_text().splitlines()[0] + "\n" + lines[0] + "\n")
    scores = score_run(run.directory, data)
    assert scores.responsibilities.shape == (1, 3)
    first = (run.directory / "assignments.csv").read_text().splitlines()[1].split(",")
    np.testing.assert_allclose(scores.responsibilities[0], [float(cell) for cell in first[2:]], atol=1e-8)


def test_scoring_refuses_what_does_not_fit(tmp_path: Path, write_plan: WritePlan) -> None:
    run = train(write_plan(), tmp_path / "run")
    data = _data(run)
    with pytest.raises(ValueError, match=r"expected a file for each of \['guest', 'host1'\], got \['guest'\]"):
        score_run(run.directory, {"guest": data["guest"]})
    with pytest.raises(ValueError, match="there is no column 'x3'; it has id"):
        score_run(run.directory, {"guest": data["guest"], "host1": data["guest"]})
    with pytest.raises(ValueError, match="not a run directory"):
        score_run(tmp_path, data)
    with pytest.raises(ValueError, match="no such model file"):
        score_models(tmp_path / "none.npz", data)
    (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04 not an archive")
    with pytest.raises(ValueError, match="not a whole model file"):
        score_models(tmp_path / "bad.npz", data)
    shorter = tmp_path / "shorter.csv"
    shorter.write_text("\n".join(data["host1"].read_text().splitlines()[:-1]))
    with pytest.raises(ValueError, match="1 ids are in one file only"):
        score_models(run.directory / "models" / "joint.npz", {**data, "host1": shorter})
    with pytest.raises(ProtocolError, match="do not match"):
        score_run(run.directory, {**data, "host1": shorter})


def test_scoring_names_rows_as_the_file_has_them(tmp_path: Path, write_plan: WritePlan) -> None:
    run = train(write_plan(), tmp_path / "run")
    host = tmp_path / "host1.csv"
    lines = host.read_text().splitlines()
    lines[3] = ",".join([*lines[3].split(",")[:2], "NA", *lines[3].split(",")[3:]])
    host.write_text("\n".join([*lines, ""]))
    with pytest.raises(ValueError, match=r"host1\.csv: row 3, column 'x1': the value is missing"):
        score_run(run.directory, _data(run))


def test_files_of_a_run_that_were_changed_are_named(tmp_path: Path, write_plan: WritePlan) -> None:
    run = train(write_plan(), tmp_path / "run")
    models, status = run.directory / "models", run.directory / "status.json"
    (models / "guest.npz").replace(models / "host1.npz")
    (models / "guest.npz").write_bytes((models / "host1.npz").read_bytes())
    with pytest.raises(ValueError, match=r"host1\.npz: expected the block of 'host1', got that of 'guest'"):
        score_run(run.directory, _data(run))
    for name, content, expected in [
        ("quality.json", "[1]", "expected a JSON object, got list"),
        ("quality.json", "{}", "lacks what the report needs"),
        ("metrics.json", '{"format": 2}', "lacks what the report needs"),
        ("metrics.json", '{"format": 1}', "format 1 is not one"),
    ]:
        (run.directory / name).write_text(content)
        with pytest.raises(ValueError, match=expected):
            render_report(run.directory)
    status.write_text(status.read_text()[:-4])
    with pytest.raises(ValueError, match=r"status\.json: not valid JSON"):
        check_complete(run.directory)


def test_a_line_cut_short_by_a_crash_does_not_stop_a_resumed_run(tmp_path: Path, write_plan: WritePlan) -> None:
    plan = write_plan(training__checkpoint_every=2)
    with pytest.raises(Stopped):
        train(plan, tmp_path / "run", progress=_stop_after(3))
    transcript = tmp_path / "run.partial" / "transcript.jsonl"
    text = transcript.read_text()
    transcript.write_text("not json\n" + text)
    with pytest.raises(ValueError, match=r"transcript\.jsonl: line 1: not an entry"):
        train(plan, tmp_path / "run", resume=True)
    transcript.write_text(text + text.splitlines()[0][:20])
    run = train(plan, tmp_path / "run", resume=True)
    lines = [json.loads(line) for line in (run.directory / "transcript.jsonl").read_text().splitlines()]
    assert [line["index"] for line in lines] == list(range(len(lines)))


def test_a_singular_covariance_is_explained_in_the_words_of_the_plan(
    tmp_path: Path, write_plan: WritePlan, overlapping_clusters: np.ndarray
) -> None:
    values = overlapping_clusters.copy()
    values[:, 4] = values[:, 3]
    plan = write_plan(values=values, model__regularisation=0.0)
    _fails(tmp_path, plan, ValueError, "host1: model: a covariance of this party's columns.*raise model.regularisation")


def test_memory_and_speed_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    assert own_capability.available_memory() > 1 << 20
    assert 0 < own_capability.encryption_seconds(1024, "djn") < 5
    assert 0 < own_capability.encryption_seconds(1024, "classic") < 5
    assert own_capability.threads() >= 1


def test_labels_play_no_part_in_training(tmp_path: Path, write_plan: WritePlan) -> None:
    plan = write_plan()
    labelled = train(plan, tmp_path / "labelled")
    guest = tmp_path / "guest.csv"
    rows = [line.split(",") for line in guest.read_text().splitlines()]
    guest.write_text("\n".join(",".join([row[0], *row[2:]]) for row in rows) + "\n")
    plan.write_text(plan.read_text().replace('label_column = "y"\n', ""))
    bare = train(plan, tmp_path / "bare")
    assert _trajectory(bare) == _trajectory(labelled)
    assert not (bare.directory / "quality.json").exists()
    sizes = [[(e.sender, e.kind) for e in run.transcript.entries] for run in (bare, labelled)]
    assert sizes[0] == sizes[1]
