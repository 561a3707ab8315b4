"""Where the ledger's part of a run lies in its directory, and which files of it the ledger speaks of."""

from __future__ import annotations

from pathlib import Path

LEDGER_DIRECTORY = "ledger"
AGREEMENT_FILE = "agreement.json"
PLAN_FILE = "plan.toml"
TRANSCRIPT_FILE = "transcript.jsonl"
METRICS_FILE = "metrics.json"
RUN_FILE = "run.json"


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


def version_file(run: Path) -> Path:
    """Return where a run's directory says which version its models are."""
    return run / "models" / "version.json"


def results_file(run: Path, role: str, predicts: bool | None = None) -> Path | None:
    """Return what else a member ends a run with, and vouches for.

    The guest has either predicted classes of its rows or assigned components; None for `predicts` looks which.
    """
    if role != "guest":
        return run / METRICS_FILE if role == "coordinator" else None
    predictions = run / "predictions.csv"
    return predictions if (predictions.is_file() if predicts is None else predicts) else run / "assignments.csv"
