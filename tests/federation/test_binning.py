"""Binning over parties equals binning the pooled columns, also once it is applied and after a stop."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mixed_columns import CUTS, FRAME, GUEST_COLUMNS, HOST_COLUMNS, ROWS, WritePlan, pooled

from cipherlane.binning import weight_of_evidence
from cipherlane.federation import Progress, bin_columns, binning_coordinator, bins_of, parse_plan, transform_rows
from cipherlane.vertical.messages import unpack_sealed

EXAMPLE = Path(__file__).parents[2] / "examples" / "breast_cancer"


# ---- the result ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["quantile", "width", "chi-merge", "optimal"])
def test_it_equals_binning_the_pooled_columns(write_mixed: WritePlan, tmp_path: Path, method: str, monkeypatch) -> None:
    monkeypatch.setattr(binning_coordinator, "ROWS_A_MESSAGE", 150)  # three messages of labels
    plan = write_mixed(binning__method=method, binning__bins=6, binning__fine_bins=20, privacy__tell_names=True)
    run = bin_columns(plan, tmp_path / "run")
    expected = pooled(method=method, bins=6, fine_bins=20)
    by_name = {table.column: table for tables in run.result.tables.values() for table in tables}
    # A file's columns of numbers come before those of categories.
    assert list(by_name) == [*GUEST_COLUMNS, *HOST_COLUMNS]
    for table in expected.tables_:
        found = by_name[table.column]
        assert found.events.tolist() == table.events.tolist(), table.column
        assert found.non_events.tolist() == table.non_events.tolist(), table.column
        assert found.woe == pytest.approx(table.woe, rel=1e-12)
        assert found.information_value == pytest.approx(table.information_value, rel=1e-12)
    # The edges that a host keeps are those of its merged bins.
    fitted = {c.name: c.bins for c in expected.fitted_.columns}
    for party in ("guest", "host"):
        for column in bins_of(run.directory, party).columns:
            assert column.bins == fitted[column.name], column.name
    kinds = [entry.kind for entry in run.transcript.entries]
    assert kinds.count("encrypted_labels") == 3 and kinds.count("bin_sums") == 1


def test_two_hosts_judged_together_and_told_apart(write_mixed: WritePlan, tmp_path: Path, boxes: list[bytes]) -> None:
    plan = write_mixed(binning__top=3, privacy__tell_names=True, privacy__tell_woe=True)
    lines = plan.read_text().replace('categories = ["blood"]', 'columns = ["h0", "h1", "h2"]')
    more = '[parties.laboratory]\nrole = "host"\ndata = "host.csv"\n'
    more += 'categories = ["blood"]\ncolumns = ["h3", "h4", "blood"]\n'
    plan.write_text(lines + more)
    run = bin_columns(plan, tmp_path / "run")
    expected = pooled(top=3)
    kept = [c.name for c in expected.fitted_.selected]
    found = {party: run.result.selected(party) for party in ("guest", "host", "laboratory")}
    assert [name for names in found.values() for name in names] == kept
    assert [c.name for c in bins_of(run.directory, "laboratory").columns] == ["h3", "h4", "blood"]
    verdicts = [unpack_sealed(c, "bin_verdict") for c in boxes if b"bin_verdict" in c[:40]]
    assert [v["kept"].tolist() for v in verdicts] == [
        [int(name in kept) for name in names] for names in (["h0", "h1", "h2"], ["h3", "h4", "blood"])
    ]
    # Both hosts were sent the same labels, each in a box of its own, in one message.
    assert sum(entry.kind == "encrypted_labels" for entry in run.transcript.entries) == 1
    assert sum(entry.kind == "add_labels" for entry in run.transcript.entries) == 2


def test_counts_are_those_of_pandas_crosstab(write_mixed: WritePlan, tmp_path: Path) -> None:
    run = bin_columns(write_mixed(binning__bins=5), tmp_path / "run")
    frame = FRAME.set_index("id")
    for position, name in enumerate(HOST_COLUMNS[:2], 1):
        edges = np.unique(np.quantile(frame[name], np.arange(1, 5) / 5, method="inverted_cdf"))
        bins = pd.cut(frame[name], [-np.inf, *edges, np.inf])
        table = pd.crosstab(bins, frame["y"])
        found = next(t for t in run.result.tables["host"] if t.column == f"column {position}")
        assert found.events.tolist() == table[1].tolist() and found.non_events.tolist() == table[0].tolist()


def test_the_papers_table_in_a_run_with_a_2048_bit_key(tmp_path: Path) -> None:
    text = f"""
    [binning]
    least_rows = 1
    [parties.guest]
    data = "{EXAMPLE / "guest.csv"}"
    label_column = "y"
    [parties.host]
    data = "{EXAMPLE / "host.csv"}"
    """
    run = bin_columns(parse_plan(text), tmp_path / "run")
    table = run.result.tables["guest"][0]
    assert table.rows("paper")[0][1:3] == (57, 0) and f"{table.rows('paper')[0][3]:.6f}" == "-4.223783"
    assert f"{table.rows('paper')[8][4]:.6f}" == "1.420925"
    # The host's columns against the same rule over its file, which the guest never saw.
    host = pd.read_csv(EXAMPLE / "host.csv").merge(pd.read_csv(EXAMPLE / "guest.csv")[["id", "y"]], on="id")
    for j, found in enumerate(run.result.tables["host"]):
        x, events = host[f"x{j}"], host["y"]
        cuts = np.unique(np.sort(x)[[-(-k * 569 // 10) - 1 for k in range(1, 10)]])
        index = np.searchsorted(cuts, x)
        assert found.events.tolist() == np.bincount(index, events).tolist()
        assert found.woe == pytest.approx(
            weight_of_evidence(np.bincount(index, events), np.bincount(index, 1 - events))
        )


def test_ones_own_cuts_stay_with_the_host_and_are_not_merged(write_mixed: WritePlan, tmp_path: Path) -> None:
    run = bin_columns(
        write_mixed(host={"cuts": "cuts.json"}, binning__method="optimal", binning__bins=2),
        tmp_path / "run",
        keep_messages=True,
    )
    column = bins_of(run.directory, "host").columns[0]
    assert column.name == "h0" and column.bins.cuts == tuple(CUTS["h0"])
    assert len(run.result.tables["host"][0].events) == 4 and len(run.result.tables["host"][3].events) == 2


def test_selection_by_threshold_by_number_and_by_both(write_mixed: WritePlan, tmp_path: Path) -> None:
    values = pooled().information_values_
    names = [*GUEST_COLUMNS, *HOST_COLUMNS]
    order = [names[j] for j in np.argsort(-values)]
    limit = float((np.sort(values)[3] + np.sort(values)[4]) / 2)
    for number, (settings, expected) in enumerate(
        [
            ({"binning__top": 3}, order[:3]),
            ({"binning__threshold": limit}, order[:4]),
            ({"binning__threshold": limit, "binning__top": 2}, order[:2]),
            ({"binning__threshold": limit, "binning__top": 6}, order[:4]),
            ({}, order),
        ]
    ):
        run = bin_columns(write_mixed(privacy__tell_names=True, **settings), tmp_path / f"run{number}")
        kept = [name for party in ("guest", "host") for name in run.result.selected(party)]
        assert kept == [name for name in names if name in expected]
        for party in ("guest", "host"):
            with (run.directory / f"selected-{party}.csv").open() as stream:
                rows = list(csv.DictReader(stream))
            assert [row["column"] for row in rows if row["kept"] == "1"] == run.result.selected(party)
            assert [c.name for c in bins_of(run.directory, party).selected] == run.result.selected(party)


def test_labels_may_be_words(write_mixed: WritePlan, tmp_path: Path) -> None:
    words = FRAME.assign(y=np.where(FRAME["y"] == 1, "sick", "well"))
    run = bin_columns(write_mixed(words, binning__event="sick"), tmp_path / "run")
    assert run.result.tables["host"][0].events.sum() == FRAME["y"].sum()


def test_a_column_of_one_value_and_few_rows_are_no_error(write_mixed: WritePlan, tmp_path: Path) -> None:
    run = bin_columns(write_mixed(FRAME.assign(h3=4.0).iloc[:12], binning__threshold=0.0), tmp_path / "run")
    table = run.result.tables["host"][3]
    assert len(table.events) == 1 and table.information_value == 0.0
    assert not run.result.kept["host"][3]
    assert all(len(table.events) <= 2 for table in run.result.tables["host"])


# ---- applying it -----------------------------------------------------------------------------------------------


def test_new_rows_are_transformed_by_what_a_party_keeps_sealed(write_mixed: WritePlan, tmp_path: Path) -> None:
    run = bin_columns(write_mixed(binning__bins=4), tmp_path / "run")
    expected = pooled(bins=4)
    rows = transform_rows(run.directory, "guest", tmp_path / "guest.csv")
    assert rows.form == "woe" and rows.columns == ("g0", "g1")
    frame = FRAME.set_index("id").loc[list(rows.ids)]
    assert rows.values == pytest.approx(expected.transform(frame[[*GUEST_COLUMNS, *HOST_COLUMNS]])[:, :2])
    new = pd.DataFrame({"id": ["n1", "n2"], "h0": [-99.0, 99.0], "h1": [0, 0], "h2": [None, 0.0], "h3": [0, 9]})
    new["h4"], new["blood"] = [0.0, 1.0], ["a", "ab"]
    new.to_csv(tmp_path / "new.csv", index=False)
    index = transform_rows(run.directory, "host", tmp_path / "new.csv", "index")
    assert index.values[:, 0].tolist() == [0, 3]
    assert index.values[0, 2] == 4  # the bin of missing values comes last
    new.assign(blood=["a", "x"]).to_csv(tmp_path / "new.csv", index=False)
    with pytest.raises(ValueError, match=r"new.csv: blood: row 2: the category 'x' was not there"):
        transform_rows(run.directory, "host", tmp_path / "new.csv")
    new.assign(h0=[None, 1.0]).to_csv(tmp_path / "new.csv", index=False)
    with pytest.raises(ValueError, match=r"new.csv: h0: row 1: the value is missing"):
        transform_rows(run.directory, "host", tmp_path / "new.csv")
    with pytest.raises(ValueError, match="party: expected one of"):
        transform_rows(run.directory, "hosst", tmp_path / "new.csv")
    sealed = run.directory / "parties" / "host" / "binning.sealed"
    assert b"cuts" not in sealed.read_bytes() and b"blood" not in sealed.read_bytes()
    sealed.write_bytes(sealed.read_bytes()[:-1] + b"\0")
    with pytest.raises(ValueError, match="changed since it was sealed"):
        transform_rows(run.directory, "host", tmp_path / "new.csv")


# ---- going on after a stop -------------------------------------------------------------------------------------


class Stopped(Exception):
    """Stands for a crash."""


def _stop_after(parts: int) -> Callable[[Progress], None]:
    seen: list[str] = []

    def watch(event: Progress) -> None:
        seen.extend([event.stage] if event.stage == "kept" else [])
        if len(seen) == parts:
            raise Stopped

    return watch


def test_a_run_goes_on_from_the_last_part_that_was_added(write_mixed: WritePlan, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(binning_coordinator, "ROWS_A_MESSAGE", 150)
    plan, out = write_mixed(binning__method="optimal"), tmp_path / "run"
    whole = bin_columns(plan, tmp_path / "whole")
    with pytest.raises(Stopped):
        bin_columns(plan, out, progress=_stop_after(2))
    partial = tmp_path / "run.partial"
    with pytest.raises(ValueError, match="an unfinished run lies there; go on with --resume"):
        bin_columns(plan, out)
    with pytest.raises(ValueError, match="started from another plan"):
        bin_columns(parse_plan(plan.read_text() + "\n"), out, resume=True)
    # What was matched counts, and not what has come of the files since.
    write_mixed(FRAME.iloc[:100], binning__method="optimal")
    key = partial / "parties" / "guest" / "private-key.sealed"
    kept = key.read_bytes()
    key.unlink()
    with pytest.raises(ValueError, match=r"private-key.sealed: expected a sealed file, found none; put it back"):
        bin_columns(plan, out, resume=True)
    key.write_bytes(kept)
    sums = partial / "parties" / "host" / "checkpoint-000002.sealed"
    kept = sums.read_bytes()
    sums.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
    with pytest.raises(ValueError, match=r"changed since it was sealed(?s:.*)delete .*-000002.json to go on"):
        bin_columns(plan, out, resume=True)
    sums.write_bytes(kept)
    asked: list[str] = []

    def note(event: Progress) -> None:
        asked.extend([event.message.kind] if event.message is not None else [])

    run = bin_columns(plan, out, resume=True, progress=note)
    assert asked.count("encrypt_labels") == 1 and asked.count("match_open") == 0
    assert run.result is not None and whole.result is not None
    assert run.result.to_json() == whole.result.to_json()
    assert bins_of(out, "host") == bins_of(tmp_path / "whole", "host")
    assert run.metrics["totals"]["ciphertexts"]["labels"] == ROWS
    assert not (out / "parties" / "guest" / "private-key.sealed").exists()
    again = bin_columns(plan, out, resume=True)
    assert again.result is not None and again.result.to_json() == whole.result.to_json()
