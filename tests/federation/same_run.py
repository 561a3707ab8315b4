"""Whether two runs of one plan ended with the same results, to the last bit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cipherlane.federation import bins_of


def results(run: Path) -> dict[str, bytes]:
    """Return every file of a run that holds a result, by its name: models, assignments and their quality."""
    patterns = ("models/*.npz", "assignments*.csv", "quality*.json", "binning.*", "selected-*.csv")
    found = [path for pattern in patterns for path in run.glob(pattern)]
    # A party's bins are sealed, each time with randomness of their own.
    bins = {
        f"bins of {name}": bins_of(run, name).to_json().encode()
        for name in ("guest", "host1")
        if (run / "binning.csv").exists()
    }
    return {str(path.relative_to(run)): path.read_bytes() for path in found} | bins


def check_same(ours: Path, theirs: Path) -> None:
    """Check that a complete run has the results and the iterations of another, and a whole transcript."""
    expected = results(theirs)
    if (theirs / "binning.csv").exists():
        assert {"binning.json", "selected-guest.csv", "selected-host1.csv", "bins of host1"} <= set(expected)
    else:
        assert {"assignments.csv", "quality.json", "models/guest.npz", "models/host1.npz"} <= set(expected)
    assert results(ours) == expected
    assert _trajectory(ours) == _trajectory(theirs)
    assert json.loads((ours / "status.json").read_text()) == {"state": "complete"}
    lines = [json.loads(line) for line in (ours / "transcript.jsonl").read_text().splitlines()]
    assert [line["index"] for line in lines] == list(range(len(lines)))


def _trajectory(run: Path) -> list[Any]:
    records = json.loads((run / "metrics.json").read_text()).get("iterations", [])
    return [(record["log_likelihood"], record["counts"], record["weights"]) for record in records]
