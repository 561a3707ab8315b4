"""Where the ledger's part of a run lies in its directory, and which files of it the ledger speaks of."""

from __future__ import annotations

from pathlib import Path

LEDGER_DIRECTORY = "ledger"
AGREEMENT_FILE = "agreement.json"
PLAN_FILE = "plan.toml"
TRANSCRIPT_FILE = "transcript.jsonl"
METRICS_FILE = "metrics.json"
RUN_FILE = "run.json"
ASSIGNED, PREDICTED, BINNED = "assigned", "predicted", "binned"
_GUEST_RESULTS = {PREDICTED: "predictions.csv", BINNED: "binning.csv", ASSIGNED: "assignments.csv"}


def ledger_directory(run: Path) -> Path:
    """Return where the copies of all members of this machine lie."""
    return run / LEDGER_DIRECTORY


def member_directory(run: Path, name: str) -> Path:
    """Return where one member's copy lies."""
    return ledger_directory(run) / name


def agreement_file(run: Path) -> Path:
    """Return where the members' agreement lies."""
    return ledger_directory(run) / AGREEMENT_FILE


def model_file(run: Path, name: str, role: str) -> Path | None:
    """Return the model that a member ends a run with; None for the coordinator, who has none."""
    if role == "coordinator":
        return None
    return run / "models" / f"{'joint' if role == 'arbiter' else name}.npz"


def selection_file(run: Path, name: str) -> Path:
    """Return where a party of a binning writes which of its columns were kept."""
    return run / f"selected-{name}.csv"


def version_file(run: Path) -> Path:
    """Return where a run's directory says which version its models are."""
    return run / "models" / "version.json"


def results_file(run: Path, name: str, role: str, kind: str | None = None) -> Path | None:
    """Return what else a member ends a run with, and vouches for.

    The guest has assigned components to its rows, predicted their classes, or binned columns; None for `kind` looks
    which. The hosts of a binning are told which of their columns were kept.
    """
    if role == "coordinator":
        return run / METRICS_FILE
    found = kind or next((each for each, file in _GUEST_RESULTS.items() if (run / file).is_file()), ASSIGNED)
    if role == "guest":
        return run / _GUEST_RESULTS[found]
    return selection_file(run, name) if role == "host" and found == BINNED else None
