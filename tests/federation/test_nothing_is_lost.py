"""Disks that fail, two runs at once and damaged checkpoints: told by name, and the run ends as an undisturbed one."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from same_run import check_same

from cipherlane.federation import Progress, train
from cipherlane.federation.directory_lock import DirectoryLock
from cipherlane.federation.plan_reader import load_plan
from cipherlane.federation.run_store import RunStore

WritePlan = Callable[..., Path]


@pytest.fixture
def short_plan(tmp_path: Path, write_plan: WritePlan) -> Path:
    return write_plan(training__max_iterations=3, training__checkpoint_every=1)


def _stop_after(round_number: int) -> Callable[[Progress], None]:
    def stop(event: Progress) -> None:
        if event.record is not None and event.record.round == round_number:
            raise InterruptedError

    return stop


def test_two_runs_in_one_directory_do_not_collide(tmp_path: Path, short_plan: Path) -> None:
    out = tmp_path / "run"
    refused: list[str] = []

    def meanwhile(event: Progress) -> None:
        if event.record is None or event.record.round != 2:
            return
        for resume in (False, True):
            with pytest.raises(ValueError) as caught:
                train(short_plan, out, resume=resume)
            refused.append(str(caught.value))

    run = train(short_plan, out, progress=meanwhile)
    assert run.iterations == 3
    assert "an unfinished run lies there" in refused[0]
    assert f"process {os.getpid()} on " in refused[1] and "is working on this run" in refused[1]
    assert not (out / "lock").exists()


def test_a_run_that_another_process_finished_in_between_is_left_alone(tmp_path: Path, short_plan: Path) -> None:
    plan = load_plan(short_plan)
    store = RunStore.create(tmp_path / "run", plan)
    with store.guarded():
        (tmp_path / "run.partial").rename(tmp_path / "moved")
        with pytest.raises(ValueError, match="has just finished or removed this run"):
            DirectoryLock(tmp_path / "run.partial")


def test_runs_with_one_party_directory_do_not_collide(tmp_path: Path, write_plan: WritePlan) -> None:
    settings = {"parties.guest__directory": "own", "parties.host1__seal_key": "host.key"}
    plan = write_plan(training__max_iterations=3, training__checkpoint_every=1, **settings)
    whole = train(plan, tmp_path / "whole")
    with pytest.raises(InterruptedError):
        train(plan, tmp_path / "first", progress=_stop_after(2))
    train(plan, tmp_path / "second")
    resumed = train(plan, tmp_path / "first", resume=True)
    check_same(resumed.directory, whole.directory)
    runs = [path.name for path in (tmp_path / "own").iterdir() if path.is_dir()]
    ids = [json.loads((tmp_path / name / "run.json").read_text())["id"] for name in ("whole", "first", "second")]
    assert sorted(runs) == sorted(ids)
    with pytest.raises(ZeroDivisionError):
        train(plan, tmp_path / "third", progress=lambda event: 1 / 0 if event.stage == "match" else None)
    assert sorted(path.name for path in (tmp_path / "own").iterdir() if path.is_dir()) == sorted(runs)


def _spoil(path: Path) -> bytes:
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    return content


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("coordinator/checkpoint-000002.json", "this checkpoint was changed|not valid JSON"),
        ("parties/guest/checkpoint-000002.sealed", "changed since it was sealed"),
        ("parties/arbiter/checkpoint-000002.sealed", "changed since it was sealed"),
        ("parties/host1/table.sealed", "changed since it was sealed"),
    ],
)
def test_a_corrupted_checkpoint_is_named_and_nothing_is_lost(
    tmp_path: Path, short_plan: Path, name: str, expected: str
) -> None:
    whole = train(short_plan, tmp_path / "whole")
    out, partial = tmp_path / "run", tmp_path / "run.partial"
    with pytest.raises(InterruptedError):
        train(short_plan, out, progress=_stop_after(2))
    good = _spoil(partial / name)
    before = {path: path.read_bytes() for path in partial.rglob("checkpoint-*")}
    with pytest.raises(ValueError, match=expected) as caught:
        train(short_plan, out, resume=True)
    text = str(caught.value)
    assert str(partial / name) in text and "from a copy" in text
    assert {path: path.read_bytes() for path in partial.rglob("checkpoint-*")} == before
    if "checkpoint" not in name:
        (partial / name).write_bytes(good)
    else:
        # The way back that the message names.
        newest = partial / "coordinator" / "checkpoint-000002.json"
        assert f"delete {newest} to go on from the one of round 1" in text
        newest.unlink()
    check_same(train(short_plan, out, resume=True).directory, whole.directory)


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path, write_plan: WritePlan) -> None:
    plan = write_plan(
        training__max_iterations=3, training__checkpoint_every=1, **{"parties.guest__seal_key": "guest.key"}
    )
    for name in ("one", "other"):
        with pytest.raises(InterruptedError):
            train(plan, tmp_path / name, progress=_stop_after(2))
    file = Path("parties") / "guest" / "checkpoint-000002.sealed"
    (tmp_path / "one.partial" / file).write_bytes((tmp_path / "other.partial" / file).read_bytes())
    with pytest.raises(ValueError, match=r"checkpoint-000002\.sealed: sealed for another run"):
        train(plan, tmp_path / "one", resume=True)


def test_resuming_where_nothing_began_begins(tmp_path: Path, short_plan: Path) -> None:
    (tmp_path / "run.partial").mkdir()
    check_same(train(short_plan, tmp_path / "run", resume=True).directory, train(short_plan, tmp_path / "b").directory)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("run.json", "missing, though the run has checkpoints; put it back from a copy"),
        ("transcript.jsonl", "missing, though the run has checkpoints; put it back from a copy"),
        ("parties/guest/accepted.sealed", "expected a sealed file, found none"),
        ("parties/host1/table.sealed", "expected a sealed file, found none"),
    ],
)
def test_a_file_that_went_missing_is_named_and_the_run_goes_on_once_it_is_back(
    tmp_path: Path, short_plan: Path, name: str, expected: str
) -> None:
    whole = train(short_plan, tmp_path / "whole")
    with pytest.raises(InterruptedError):
        train(short_plan, tmp_path / "run", progress=_stop_after(2))
    path = tmp_path / "run.partial" / name
    content = path.read_bytes()
    path.unlink()
    with pytest.raises(ValueError, match=expected) as caught:
        train(short_plan, tmp_path / "run", resume=True)
    assert str(path) in str(caught.value)
    path.write_bytes(content)
    check_same(train(short_plan, tmp_path / "run", resume=True).directory, whole.directory)
