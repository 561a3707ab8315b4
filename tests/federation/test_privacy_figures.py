"""The figures that docs/privacy.md and run reports give for what responsibilities reveal, measured."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cipherlane import mixture
from cipherlane.federation import parse_plan, train
from cipherlane.federation.models import load_models
from cipherlane.report.privacy_note import privacy_note
from cipherlane.vertical.responsibility_table import round_rows
from cipherlane.vertical.tables import read_csv

EXAMPLE = Path(__file__).parents[2] / "examples" / "breast_cancer"


@pytest.mark.parametrize(
    ("decimals", "least", "most", "auc", "stated"),
    [
        (-1, 0.93, 0.95, 0.984, "94 %"),
        (4, 0.045, 0.065, 0.963, "5 to 6 %"),
        (3, 0.015, 0.03, 0.958, "2 to 3 %"),
        (2, 0.0, 0.01, 0.952, "less than 1 %"),
    ],
)
def test_how_many_rows_give_away_the_other_party_s_log_ratio(
    tmp_path: Path, decimals: int, least: float, most: float, auc: float, stated: str
) -> None:
    text = (EXAMPLE / "plan.toml").read_text(encoding="utf-8").replace("key_bits = 2048", "key_bits = 1024")
    text = text.replace("responsibility_decimals = 2", f"responsibility_decimals = {decimals}")
    plan = parse_plan(text, base=EXAMPLE)
    run = train(plan, tmp_path / "run")
    blocks = load_models(run.directory / "models" / "joint.npz")
    weights = blocks[0].weights
    densities = []
    for block, party in zip(blocks, plan.parties, strict=True):
        table = read_csv(party.data, "id", label_column=party.label_column)
        densities.append(block.log_densities(table.take(np.argsort(table.ids).tolist())))
    exact, _ = mixture.responsibilities(densities[0] + densities[1], weights)
    sent = round_rows(exact, decimals)
    for own, other in ((0, 1), (1, 0)):
        truth = densities[other][:, 0] - densities[other][:, 1]
        with np.errstate(divide="ignore"):
            ratio = np.log(sent[:, 0]) - np.log(sent[:, 1]) - np.log(weights[0] / weights[1])
        guessed = ratio - (densities[own][:, 0] - densities[own][:, 1])
        recovered = np.mean(np.abs(guessed - truth) <= 0.01 * np.abs(truth))
        assert least <= recovered <= most
    quality = json.loads((run.directory / "quality.json").read_text(encoding="utf-8"))
    assert quality["adjusted_rand_index"] == pytest.approx(0.7927, abs=1e-4)
    assert quality["auc"] == pytest.approx(auc, abs=1e-3)
    assert f"for {stated} of the rows" in " ".join(privacy_note(run.metrics["privacy"], 569))
    assert stated in (Path(__file__).parents[2] / "docs" / "privacy.md").read_text(encoding="utf-8")
