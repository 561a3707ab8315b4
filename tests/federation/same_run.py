"""Whether two runs of one plan ended with the same results, to the last bit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def results(run: Path) -> dict[str, bytes]:
    """Return every file of a run that holds a result, by its name: models, assignments and their quality."""
    found = [path for pattern in ("models/*.npz", "assignments*.csv", "quality*.json") for path in run.glob(pattern)]
    return {str(path.relative_to(run)): path.read_bytes() for path in found}


def check_same(ours: Path, theirs: Path) -> None:
    """Check that a complete run has the results and the iterations of another, and a whole transcript."""
    expected = results(theirs)
    assert {"assignments.csv", "quality.json", "models/guest.npz", "models/host1.npz"} <= set(expected)
    assert results(ours) == expected
    assert _trajectory(ours) == _trajectory(theirs)
    assert json.loads((ours / "status.json").read_text()) == {"state": "complete"}
    lines = [json.loads(line) for line in (ours / "transcript.jsonl").read_text().splitlines()]
    assert [line["index"] for line in lines] == list(range(len(lines)))


def _trajectory(run: Path) -> list[Any]:
    records = json.loads((run / "metrics.json").read_text())["iterations"]
    return [(record["log_likelihood"], record["counts"], record["weights"]) for record in records]
