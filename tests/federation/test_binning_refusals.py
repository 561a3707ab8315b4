"""Tables and plans that a binning refuses, and who is told what of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mixed_columns import FRAME, ROWS, WritePlan, refused

from cipherlane.federation import bin_columns, parse_plan, train


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([0, 1, 2], "expected two different ones, got 3"),
        ([1], "every row has the label '1'"),
        ([2, 3], "expected the event '1' as one of the two, got ['2', '3']"),
    ],
)
def test_labels_that_are_not_two_are_told_to_the_guest_alone(
    write_mixed: WritePlan, tmp_path: Path, labels, said
) -> None:
    text = refused(
        write_mixed(FRAME.assign(y=np.resize(labels, ROWS))),
        tmp_path / "run",
        "party 'guest' declines: its labels are not two",
    )
    crossed, _, notices = text.partition("\n")
    assert said in notices and said not in crossed


def test_other_ids_are_named_to_their_owners(write_mixed: WritePlan, tmp_path: Path) -> None:
    plan = write_mixed()
    host = pd.read_csv(tmp_path / "host.csv")
    host.loc[5, "id"] = "stranger"
    host.to_csv(tmp_path / "host.csv", index=False)
    text = refused(plan, tmp_path / "run", "rows of 'host' and 'guest' do not match")
    assert "stranger" in text.split("\n", 1)[1]


def test_a_column_that_cannot_be_cut_is_named_to_its_owner(write_mixed: WritePlan, tmp_path: Path) -> None:
    text = refused(
        write_mixed(FRAME.assign(h3=np.nan)), tmp_path / "run", "host 'host': one of its columns cannot be cut"
    )
    crossed, _, notices = text.partition("\n")
    assert "h3" not in crossed and "h3: has no value in any row" in notices
    text = refused(
        write_mixed(FRAME.assign(g1=np.nan)), tmp_path / "run", "guest 'guest': one of its columns cannot be cut"
    )
    crossed, _, notices = text.partition("\n")
    assert "g1" not in crossed and "g1: has no value in any row" in notices


def test_who_declines_and_what_a_plan_requires(write_mixed: WritePlan, tmp_path: Path) -> None:
    refused(write_mixed(host={"declines": "not today"}), tmp_path / "run", "party 'host' declines: not today")
    refused(write_mixed(requirements__rows=399), tmp_path / "run", "the plan requires 399 rows, it has 400")
    refused(write_mixed(requirements__backend="abacus"), tmp_path / "run", "backend 'abacus' is required")
    refused(write_mixed(requirements__memory_mb=1 << 29), tmp_path / "run", "MB of memory are required")


def test_plans_of_other_kinds_are_sent_to_the_right_command(write_mixed: WritePlan, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="run cipherlane bin"):
        train(write_mixed(), tmp_path / "run")
    mixture = '[model]\ncomponents = 2\n[parties.guest]\ndata = "g.csv"\n[parties.host]\ndata = "h.csv"\n'
    with pytest.raises(ValueError, match="run cipherlane train"):
        bin_columns(parse_plan(mixture), tmp_path / "run")


@pytest.mark.parametrize(
    ("section", "field", "value", "said"),
    [
        ("binning", "methd", "quantile", "unknown field 'methd'; did you mean 'method'"),
        ("binning", "method", "kmeans", "one of"),
        ("binning", "bins", 1, "an integer from 2"),
        ("binning", "threshold", -1.0, "a number from 0"),
        ("binning", "top", 0, "an integer from 1"),
        ("privacy", "responsibility_decimals", 2, "unknown field"),
        ("privacy", "tell_woe", "yes", "true or false"),
        ("party_host", "impute", "mean", "unknown field 'impute'"),
        ("party_host", "label_column", "h0", "labels belong to the guest"),
        ("encryption", "packing", True, "unknown field 'packing'"),
        ("model", "components", 3, "unknown field 'components'"),
        ("ledger", "validators", ["arbiter"], "names among"),
        ("training", "max_iterations", 3, "unknown field 'training'"),
    ],
)
def test_fields_that_do_not_fit_are_named(write_mixed: WritePlan, tmp_path: Path, section, field, value, said) -> None:
    with pytest.raises(ValueError, match=said):
        bin_columns(write_mixed(**{f"{section}__{field}": value}), tmp_path / "run")


def test_a_plan_without_labels_or_with_bad_cuts_is_refused(write_mixed: WritePlan, tmp_path: Path) -> None:
    plan = write_mixed()
    plan.write_text(plan.read_text().replace('label_column = "y"', ""))
    with pytest.raises(ValueError, match="label_column: expected the column with the guest's labels"):
        bin_columns(plan, tmp_path / "run")
    for content, said in [
        ("[1, 2]", "expected an object"),
        ("{", "not valid JSON"),
        ('{"h9": [1]}', "no column to cut 'h9'"),
    ]:
        plan = write_mixed(host={"cuts": "bad.json"})
        (tmp_path / "bad.json").write_text(content)
        with pytest.raises(ValueError, match=said):
            bin_columns(plan, tmp_path / "run")
    plan = write_mixed(host={"categories": ["blod"]})
    with pytest.raises(ValueError, match="did you mean 'blood'"):
        bin_columns(plan, tmp_path / "run")
