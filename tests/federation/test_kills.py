"""A run that is killed at any moment, or whose disk fails, is resumed and ends as one that nothing happened to.

With rows or columns divided between parties, and of a binning; with and without a ledger, which also passes its audit
afterwards.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from same_run import check_same

import cipherlane as cl
from cipherlane.ledger import missing_packages

WritePlan = Callable[..., Path]
SCRIPT = Path(__file__).with_name("killed_runs.py")
ROUNDS = 3
KINDS = ("vertical", "vertical, ledger", "horizontal", "horizontal, ledger", "binning", "binning, ledger")
# `make kills` makes 50 kills of each sort in runs of each kind; a run of all tests fewer, fewest where it takes longer.
KILLS = os.environ.get("CIPHERLANE_TEST_KILLS")


def _counts(kind: str) -> tuple[int, int, int]:
    """Return how many kills at random moments, kills between operations and full disks to try."""
    if KILLS is not None:
        return int(KILLS), int(KILLS), max(int(KILLS) // 2, 2)
    # A binning is over so soon that few kills at random would meet it.
    return {KINDS[0]: (4, 6, 3), "binning": (0, 4, 2), "binning, ledger": (0, 1, 2)}.get(kind, (2, 2, 2))


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    if "ledger" in request.param and missing_packages():
        pytest.skip(f"not installed: {', '.join(missing_packages())}")
    return str(request.param)


@pytest.fixture
def short_plan(kind: str, write_plan: WritePlan, write_parties: WritePlan, write_binning_plan: WritePlan) -> Path:
    if kind.startswith("binning"):
        plan = write_binning_plan()
    elif kind.startswith("vertical"):
        plan = write_plan(training__max_iterations=ROUNDS, training__checkpoint_every=1)
    else:
        plan = write_parties(training=f"max_iterations = {ROUNDS}\ntolerance = 0.0\ncheckpoint_every = 1")
    if "ledger" in kind:
        plan.write_text(plan.read_text() + "\n[ledger]\n")
    return plan


def _trials(plan: Path, directory: Path, trials: list[list[dict[str, float]]]) -> list[list[dict[str, Any]]]:
    """Run trials and check that every one ended, in the end, with the results of the undisturbed run."""
    package = str(Path(cl.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([package, os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(plan), str(directory)],
        input=json.dumps(trials),
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    whole, *ends = [json.loads(line) for line in done.stdout.splitlines()]
    assert whole["operations"] > 40 and whole["flushes"] > 40
    found = [line["ends"] for line in ends]
    assert len(found) == len(trials)
    for number, trial in enumerate(found):
        assert trial[-1] == {"rounds": ROUNDS}, trial
        run = directory / f"trial{number}"
        check_same(run, directory / "whole")
        if (directory / "whole" / "ledger").exists():
            _check_ledger(run)
    assert not list(directory.glob("*.partial"))
    return found


def _check_ledger(run: Path) -> None:
    from cipherlane.ledger.audit import audit

    report = audit(run)
    assert report.failure is None
    # Rounds that were done again crossed twice, a key may have been replaced, and that is all there is to say.
    assert all("interrupted session" in note for note in report.notes)


def test_whatever_stops_a_run_it_ends_as_an_undisturbed_one(tmp_path: Path, kind: str, short_plan: Path) -> None:
    kills, operations, disks = _counts(kind)
    at_random = _random_kills(kills, random.Random(f"20261125 {kind}"))
    # With a ledger, keys drawn at random decide how much is written: 2379 to 2475 operations in twelve runs of a plan.
    # Later than this, kills come at random moments.
    last = 0.93 if "ledger" in kind else 1.0
    between = [[{"at": last * (number + 0.5) / operations}, {}] for number in range(operations)]
    full = [[{"full": 0.95 * number / (disks - 1)}, {}] for number in range(disks)]
    found = _trials(short_plan, tmp_path / "runs", [*at_random, *between, *full])

    ends = [end for trial in found[: len(at_random)] for end in trial[:-1]]
    assert len(ends) == kills
    # A run may have ended before its kill came; most have not.
    assert not kills or {"killed": signal.SIGKILL} in ends
    assert all(end in ({"killed": signal.SIGKILL}, {"rounds": ROUNDS}) for end in ends)

    first = [trial[0] for trial in found[len(at_random) :]]
    assert first[:operations] == [{"killed": signal.SIGKILL}] * operations

    assert {end["error"] for end in first[operations:]} == {"StorageError"}
    messages = [end["message"] for end in first[operations:]]
    for message in messages:
        assert "no space left on device; free some space on that disk" in message
        assert str(tmp_path / "runs") in message
    assert "the run is kept up to round" in messages[-1] and "go on with --resume" in messages[-1]
    assert "--resume" not in messages[0]


def _random_kills(kills: int, drawn: random.Random) -> list[list[dict[str, float]]]:
    """Return trials with that many kills in all, of up to three attempts each before the last."""
    trials: list[list[dict[str, float]]] = []
    while kills:
        attempts = min(drawn.choice((1, 1, 2, 3)), kills)
        kills -= attempts
        trials.append([*({"after": drawn.random()} for _ in range(attempts)), {}])
    return trials
