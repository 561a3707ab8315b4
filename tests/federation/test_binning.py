"""Binning over parties: equal to binning the pooled columns, and no more crosses than the plan allows."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import cipherlane as cl
from cipherlane.binning import WoeBinner, weight_of_evidence
from cipherlane.errors import ProtocolError
from cipherlane.federation import (
    Progress,
    bin_columns,
    binning_coordinator,
    binning_guest,
    binning_host,
    bins_of,
    parse_plan,
    row_matching,
    train,
    transform_rows,
)
from cipherlane.federation.transcript_check import Secrets, check_box, check_transcript
from cipherlane.paillier import hazmat
from cipherlane.vertical.binning_messages import BINNING_SEALED
from cipherlane.vertical.label_sums import LABEL_CODEC, pack_sums
from cipherlane.vertical.messages import pack_sealed, unpack, unpack_sealed

EXAMPLE = Path(__file__).parents[2] / "examples" / "breast_cancer"
ROWS = 400


def _frame() -> pd.DataFrame:
    rng = np.random.default_rng(8)
    y = rng.integers(0, 2, ROWS)
    frame = pd.DataFrame({"id": [f"p{i:03d}" for i in rng.permutation(ROWS)], "y": y})
    for j in range(2):
        frame[f"g{j}"] = rng.normal(size=ROWS) + 0.8 * (j + 1) * y
    for j in range(5):
        frame[f"h{j}"] = rng.normal(size=ROWS) + 0.5 * j * y
    frame["h1"] = np.round(frame["h1"] * 8) / 8  # many ties
    frame.loc[rng.random(ROWS) < 0.1, "h2"] = np.nan
    frame["blood"] = rng.choice(["a", "b", "ab", "0"], ROWS, p=[0.5, 0.3, 0.19, 0.01])
    return frame


FRAME = _frame()
GUEST_COLUMNS = ["g0", "g1"]
HOST_COLUMNS = ["h0", "h1", "h2", "h3", "h4", "blood"]
CUTS = {"h0": [-1.0, 0.25, 1.5]}
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes both parties' files, rows in different orders, and a plan."""

    def written(frame: pd.DataFrame = FRAME, host: dict[str, object] | None = None, **settings: Any) -> Path:
        guest_part, host_part = frame[["id", "y", *GUEST_COLUMNS]], frame[["id", *HOST_COLUMNS]]
        guest_part.to_csv(tmp_path / "guest.csv", index=False)
        host_part.sample(frac=1, random_state=3).to_csv(tmp_path / "host.csv", index=False)
        (tmp_path / "cuts.json").write_text(json.dumps(CUTS))
        sections: dict[str, dict[str, object]] = {
            "binning": {},
            "encryption": {"key_bits": 1024},
            "parties.guest": {"data": "guest.csv", "label_column": "y"},
            "parties.host": {"data": "host.csv", "categories": ["blood"], **(host or {})},
        }
        for dotted, value in settings.items():
            section, _, field = dotted.partition("__")
            sections.setdefault(section.replace("party_", "parties."), {})[field] = value
        lines = []
        for name, fields in sections.items():
            lines += [f"[{name}]", *(f"{field} = {json.dumps(value)}" for field, value in fields.items())]
        (tmp_path / "plan.toml").write_text("\n".join(lines) + "\n")
        return tmp_path / "plan.toml"

    return written


@pytest.fixture
def boxes(monkeypatch) -> list[bytes]:
    """Collect what is sealed in every box between the parties."""
    contents: list[bytes] = []

    def watched(kind: str, round_number: int, **fields: Any) -> bytes:
        content = pack_sealed(kind, round_number, **fields)
        if kind in BINNING_SEALED:
            contents.append(content)
        return content

    monkeypatch.setattr(row_matching, "pack_sealed", watched)
    return contents


def pooled(frame: pd.DataFrame = FRAME, **parameters: Any) -> WoeBinner:
    """Bin the columns of both parties where they are in one hand."""
    columns = frame.sort_values("id")[[*GUEST_COLUMNS, *HOST_COLUMNS]]
    return WoeBinner(categorical=["blood"], **parameters).fit(columns, frame.sort_values("id")["y"])


# ---- the result ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["quantile", "width", "chi-merge", "optimal"])
def test_it_equals_binning_the_pooled_columns(write: Write, tmp_path: Path, method: str, monkeypatch) -> None:
    monkeypatch.setattr(binning_coordinator, "ROWS_A_MESSAGE", 150)  # three messages of labels
    plan = write(binning__method=method, binning__bins=6, binning__fine_bins=20, privacy__tell_names=True)
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


def test_two_hosts_judged_together_and_told_apart(write: Write, tmp_path: Path, boxes: list[bytes]) -> None:
    plan = write(binning__top=3, privacy__tell_names=True, privacy__tell_woe=True)
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


def test_counts_are_those_of_pandas_crosstab(write: Write, tmp_path: Path) -> None:
    run = bin_columns(write(binning__bins=5), tmp_path / "run")
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


def test_ones_own_cuts_stay_with_the_host_and_are_not_merged(write: Write, tmp_path: Path) -> None:
    run = bin_columns(
        write(host={"cuts": "cuts.json"}, binning__method="optimal", binning__bins=2),
        tmp_path / "run",
        keep_messages=True,
    )
    column = bins_of(run.directory, "host").columns[0]
    assert column.name == "h0" and column.bins.cuts == tuple(CUTS["h0"])
    assert len(run.result.tables["host"][0].events) == 4 and len(run.result.tables["host"][3].events) == 2


def test_selection_by_threshold_by_number_and_by_both(write: Write, tmp_path: Path) -> None:
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
        run = bin_columns(write(privacy__tell_names=True, **settings), tmp_path / f"run{number}")
        kept = [name for party in ("guest", "host") for name in run.result.selected(party)]
        assert kept == [name for name in names if name in expected]
        for party in ("guest", "host"):
            with (run.directory / f"selected-{party}.csv").open() as stream:
                rows = list(csv.DictReader(stream))
            assert [row["column"] for row in rows if row["kept"] == "1"] == run.result.selected(party)
            assert [c.name for c in bins_of(run.directory, party).selected] == run.result.selected(party)


# ---- what crosses ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["quantile", "optimal"])
def test_nothing_crosses_in_the_clear(write: Write, tmp_path: Path, boxes: list[bytes], method: str) -> None:
    run = bin_columns(write(binning__method=method), tmp_path / "run", keep_messages=True)
    cuts = [np.array(c.bins.cuts) for p in run.result.tables for c in bins_of(run.directory, p).columns[:5] if c.bins]
    woe = [table.woe for tables in run.result.tables.values() for table in tables]
    iv = [np.array([table.information_value]) for tables in run.result.tables.values() for table in tables]
    values = [FRAME[name].to_numpy() for name in [*GUEST_COLUMNS, *HOST_COLUMNS[:-1]]]
    secrets = Secrets([*values, *cuts, *woe, *iv])
    assert len(secrets.numbers) > 2000
    roles = {"guest": "guest", "host": "host"}
    assert check_transcript(run.transcript, roles, secrets) == []
    assert len(boxes) == 4 and [problem for content in boxes for problem in check_box(content, secrets)] == []
    for content in [*run.transcript.messages, *boxes]:
        assert b"blood" not in content


def test_what_a_host_sends_has_one_form_whatever_its_bins_are(write: Write, tmp_path: Path, boxes: list[bytes]) -> None:
    forms = []
    for number, zeros in enumerate((0, 390)):
        # With 390 equal values two bins of h0 are left, and one has nearly all rows.
        frame = FRAME.assign(h0=np.where(np.arange(ROWS) < zeros, 0.0, FRAME["h0"]))
        run = bin_columns(write(frame), tmp_path / f"run{number}", keep_messages=True)
        place = [entry.kind for entry in run.transcript.entries].index("binning_key")
        key = cl.PublicKey.from_json(unpack(run.transcript.messages[place], "binning_key")["public_key"])
        content = [c for c in boxes if b"bin_sum_ciphertexts" in c[:40]][-1]
        sums = cl.CipherArray.from_bytes(key, unpack_sealed(content, "bin_sum_ciphertexts")["ciphertexts"])
        forms.append((sums.shape, sums.codec, sums.scale_bits, sums.bound))
        labels = [c for c in boxes if b"label_ciphertexts" in c[:40]][-1]
        sent = cl.CipherArray.from_bytes(key, unpack_sealed(labels, "label_ciphertexts")["ciphertexts"])
        assert sent.shape == (ROWS,) and len(set(hazmat.to_integers(sent))) == ROWS
    assert forms[0] == forms[1]


@pytest.mark.parametrize("tell", [False, True])
def test_a_host_is_told_woe_only_if_the_plan_says_so_and_of_no_pure_bin(
    write: Write, tmp_path: Path, tell: bool
) -> None:
    frame = FRAME.copy()
    # h4 tells the classes apart, so that its outer quantile bins are pure.
    frame["h4"] = frame["y"] * 3 + np.random.default_rng(1).normal(size=ROWS)
    run = bin_columns(write(frame, privacy__tell_woe=tell, privacy__least_of_each_class=7), tmp_path / "run")
    fitted = bins_of(run.directory, "host")
    table = run.result.tables["host"][4]
    if not tell:
        assert all(column.woe is None for column in fitted.columns)
        assert min(table.events.min(), table.non_events.min()) < 7 and len(table.events) == 10
        assert transform_rows(run.directory, "host", tmp_path / "host.csv").form == "index"
        with pytest.raises(ValueError, match="tell_woe was false"):
            transform_rows(run.directory, "host", tmp_path / "host.csv", "woe")
        return
    assert min(table.events.min(), table.non_events.min()) >= 7 and len(table.events) < 10
    for column, made in zip(fitted.columns, run.result.tables["host"], strict=True):
        least = min(made.events.min(), made.non_events.min())
        # The 1 % of blood group "0" are in no bin of their own; a bin of missing values may be too pure to be told.
        assert (column.woe is not None) == (least >= 7), column.name
        if column.woe is not None:
            assert column.woe == pytest.approx(made.woe, rel=1e-12)
    rows = transform_rows(run.directory, "host", tmp_path / "host.csv")
    expected = dict(zip(*np.unique(rows.values[:, 4], return_counts=True), strict=True))
    assert {round(k, 9): v for k, v in expected.items()} == {
        round(float(w), 9): int(e + n) for w, e, n in zip(table.woe, table.events, table.non_events, strict=True)
    }


@pytest.mark.parametrize("settings", [{"binning__method": "chi-merge"}, {"privacy__tell_woe": True}])
def test_the_size_of_a_verdict_says_nothing_of_it(write: Write, tmp_path: Path, settings: dict[str, Any]) -> None:
    sizes = []
    for number, threshold in enumerate((0.0, 1e3)):
        run = bin_columns(write(binning__threshold=threshold, **settings), tmp_path / f"run{number}")
        assert any(run.result.kept["host"]) == (number == 0)
        sizes.append([entry.bytes for entry in run.transcript.entries if entry.kind in ("bin_verdicts", "keep_bins")])
    assert sizes[0] == sizes[1]


def test_no_bin_is_smaller_than_the_plan_allows(write: Write, tmp_path: Path) -> None:
    run = bin_columns(write(binning__least_rows=60, binning__method="chi-merge"), tmp_path / "run")
    for tables in run.result.tables.values():
        for table in tables:
            rows = table.events + table.non_events
            assert rows.min() >= 60 and rows.sum() == ROWS


# ---- applying it -----------------------------------------------------------------------------------------------


def test_new_rows_are_transformed_by_what_a_party_keeps_sealed(write: Write, tmp_path: Path) -> None:
    run = bin_columns(write(binning__bins=4), tmp_path / "run")
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


def test_a_run_goes_on_from_the_last_part_that_was_added(write: Write, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(binning_coordinator, "ROWS_A_MESSAGE", 150)
    plan, out = write(binning__method="optimal"), tmp_path / "run"
    whole = bin_columns(plan, tmp_path / "whole")
    with pytest.raises(Stopped):
        bin_columns(plan, out, progress=_stop_after(2))
    partial = tmp_path / "run.partial"
    with pytest.raises(ValueError, match="an unfinished run lies there; go on with --resume"):
        bin_columns(plan, out)
    with pytest.raises(ValueError, match="started from another plan"):
        bin_columns(parse_plan(plan.read_text() + "\n"), out, resume=True)
    # What was matched counts, and not what has come of the files since.
    write(FRAME.iloc[:100], binning__method="optimal")
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


# ---- what is refused -------------------------------------------------------------------------------------------


def refused(plan: Path, out: Path, message: str, error: type[Exception] = ProtocolError, *, kept: bool = False) -> str:
    """Return what a run is refused with that leaves nothing, or, once sums are kept, what may be resumed."""
    with pytest.raises(error, match=message) as caught:
        bin_columns(plan, out)
    partial = out.with_name(out.name + ".partial")
    assert not out.exists() and partial.exists() == kept
    if kept:
        assert json.loads((partial / "status.json").read_text())["state"] == "failed"
        shutil.rmtree(partial)
    return str(caught.value)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([0, 1, 2], "expected two different ones, got 3"),
        ([1], "every row has the label '1'"),
        ([2, 3], "expected the event '1' as one of the two, got ['2', '3']"),
    ],
)
def test_labels_that_are_not_two_are_told_to_the_guest_alone(write: Write, tmp_path: Path, labels, said) -> None:
    text = refused(
        write(FRAME.assign(y=np.resize(labels, ROWS))),
        tmp_path / "run",
        "party 'guest' declines: its labels are not two",
    )
    crossed, _, notices = text.partition("\n")
    assert said in notices and said not in crossed


def test_labels_may_be_words(write: Write, tmp_path: Path) -> None:
    words = FRAME.assign(y=np.where(FRAME["y"] == 1, "sick", "well"))
    run = bin_columns(write(words, binning__event="sick"), tmp_path / "run")
    assert run.result.tables["host"][0].events.sum() == FRAME["y"].sum()


def test_other_ids_are_named_to_their_owners(write: Write, tmp_path: Path) -> None:
    plan = write()
    host = pd.read_csv(tmp_path / "host.csv")
    host.loc[5, "id"] = "stranger"
    host.to_csv(tmp_path / "host.csv", index=False)
    text = refused(plan, tmp_path / "run", "rows of 'host' and 'guest' do not match")
    assert "stranger" in text.split("\n", 1)[1]


def test_a_column_that_cannot_be_cut_is_named_to_its_owner(write: Write, tmp_path: Path) -> None:
    text = refused(write(FRAME.assign(h3=np.nan)), tmp_path / "run", "host 'host': one of its columns cannot be cut")
    crossed, _, notices = text.partition("\n")
    assert "h3" not in crossed and "h3: has no value in any row" in notices
    text = refused(write(FRAME.assign(g1=np.nan)), tmp_path / "run", "guest 'guest': one of its columns cannot be cut")
    crossed, _, notices = text.partition("\n")
    assert "g1" not in crossed and "g1: has no value in any row" in notices


def test_a_column_of_one_value_and_few_rows_are_no_error(write: Write, tmp_path: Path) -> None:
    run = bin_columns(write(FRAME.assign(h3=4.0).iloc[:12], binning__threshold=0.0), tmp_path / "run")
    table = run.result.tables["host"][3]
    assert len(table.events) == 1 and table.information_value == 0.0
    assert not run.result.kept["host"][3]
    assert all(len(table.events) <= 2 for table in run.result.tables["host"])


def test_who_declines_and_what_a_plan_requires(write: Write, tmp_path: Path) -> None:
    refused(write(host={"declines": "not today"}), tmp_path / "run", "party 'host' declines: not today")
    refused(write(requirements__rows=399), tmp_path / "run", "the plan requires 399 rows, it has 400")
    refused(write(requirements__backend="abacus"), tmp_path / "run", "backend 'abacus' is required")
    refused(write(requirements__memory_mb=1 << 29), tmp_path / "run", "MB of memory are required")


def _sums_of(change: Callable[[Any, int], Any]) -> Callable[[Any, int], Any]:
    def changed(sums: Any, rows: int) -> Any:
        return change(pack_sums(sums, rows), rows)

    return changed


def test_a_host_that_answers_with_wrong_sums_is_named(write: Write, tmp_path: Path, monkeypatch) -> None:
    plan = write()
    for change, said in [
        (lambda packed, rows: cl.concatenate([packed, packed.rerandomize()]), "expected the sums of .* bins in"),
        (lambda packed, rows: packed[:-1], "expected the sums of .* bins in"),
        (
            lambda packed, rows: packed + 1,
            "a bin has more events than rows|the events of a column's bins are not those",
        ),
        (lambda packed, rows: -packed, "a ciphertext holds no sums of labels|more events than rows"),
        (lambda packed, rows: cl.concatenate([packed[:1]] * len(packed)), "more events than rows|are not those"),
    ]:
        monkeypatch.setattr(binning_host, "pack_sums", _sums_of(change))
        refused(plan, tmp_path / "run", said, kept=True)
    monkeypatch.undo()
    monkeypatch.setattr(binning_host, "add_labels", lambda so_far, labels, indices, bins: labels[: sum(bins)])
    refused(plan, tmp_path / "run", "from 'host'", kept=True)


@pytest.mark.parametrize(
    ("field", "change", "said"),
    [
        ("totals", lambda a: a + np.eye(1, len(a), 0, dtype=np.int64)[0], "the rows of a column's bins are not 400"),
        ("totals", lambda a: a[:-1], "expected .* sizes"),
        ("totals", lambda a: np.concatenate([[1, a[0] + a[1] - 1], a[2:]]), "fewer rows than the plan's least_rows"),
        ("bins", lambda a: a[:-1], "expected at least one bin a column"),
        ("bins", lambda a: a * 0, "expected at least one bin a column"),
        ("ordered", lambda a: a + 1, "at most so many in order"),
        ("names", lambda a: ["one"], "expected 6 names"),
    ],
)
def test_a_host_whose_bins_contradict_themselves_is_named(
    write: Write, tmp_path: Path, monkeypatch, field: str, change, said: str
) -> None:
    def changed(kind: str, round_number: int, **fields: Any) -> bytes:
        if kind == "bin_layout":
            fields[field] = change(fields[field])
        return pack_sealed(kind, round_number, **fields)

    monkeypatch.setattr(row_matching, "pack_sealed", changed)
    refused(write(), tmp_path / "run", f"bins of 'host': .*{said}", kept=True)


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("kept", lambda a: a[:-1]),
        ("merges", lambda a: a[:-1]),
        ("merges", lambda a: a + 1),
        ("woe", lambda a: np.ones(3)),
        ("told", lambda a: np.ones(9, dtype=np.uint8)),
        ("told", lambda a: np.ones(6, dtype=np.uint8)),
    ],
)
def test_a_verdict_that_does_not_fit_is_refused(write: Write, tmp_path: Path, monkeypatch, field: str, change) -> None:
    def changed(kind: str, round_number: int, **fields: Any) -> bytes:
        if kind == "bin_verdict":
            fields[field] = change(fields[field])
        return pack_sealed(kind, round_number, **fields)

    monkeypatch.setattr(row_matching, "pack_sealed", changed)
    refused(write(), tmp_path / "run", "verdict from 'guest': does not fit the bins of 'host'", kept=True)


def test_labels_without_randomness_are_refused_by_the_host(write: Write, tmp_path: Path, monkeypatch) -> None:
    def bare(key: Any, events: Any) -> bytes:
        public = key.public_key
        plain = [hazmat.encrypt(public, int(event), 1) for event in events]
        return hazmat.from_integers(public, plain, codec=LABEL_CODEC).to_bytes(rerandomize=False)

    monkeypatch.setattr(binning_guest, "encrypt_labels", bare)
    refused(write(), tmp_path / "run", "ciphertexts from 'guest': 400 of 400 not randomised")


def test_messages_out_of_turn_are_refused(write: Write, tmp_path: Path, monkeypatch) -> None:
    coordinator = binning_coordinator.BinningCoordinator
    plan = write()

    def early(self: Any) -> Iterator[int]:
        self._ask("send_bin_sums", 1, {"host": {}})
        yield 1

    monkeypatch.setattr(coordinator, "add_labels", early)
    refused(plan, tmp_path / "run", "sums are asked for before labels|before the labels of all rows")
    monkeypatch.undo()
    original = coordinator.add_labels

    def twice(self: Any) -> Iterator[int]:
        yield from original(self)
        self._ask("encrypt_labels", 1, {"guest": {}})

    monkeypatch.setattr(coordinator, "add_labels", twice)
    refused(plan, tmp_path / "run", "replayed message: 'encrypt_labels' of round 1", kept=True)


def test_plans_of_other_kinds_are_sent_to_the_right_command(write: Write, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="run cipherlane bin"):
        train(write(), tmp_path / "run")
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
def test_fields_that_do_not_fit_are_named(write: Write, tmp_path: Path, section, field, value, said) -> None:
    with pytest.raises(ValueError, match=said):
        bin_columns(write(**{f"{section}__{field}": value}), tmp_path / "run")


def test_a_plan_without_labels_or_with_bad_cuts_is_refused(write: Write, tmp_path: Path) -> None:
    plan = write()
    plan.write_text(plan.read_text().replace('label_column = "y"', ""))
    with pytest.raises(ValueError, match="label_column: expected the column with the guest's labels"):
        bin_columns(plan, tmp_path / "run")
    for content, said in [
        ("[1, 2]", "expected an object"),
        ("{", "not valid JSON"),
        ('{"h9": [1]}', "no column to cut 'h9'"),
    ]:
        plan = write(host={"cuts": "bad.json"})
        (tmp_path / "bad.json").write_text(content)
        with pytest.raises(ValueError, match=said):
            bin_columns(plan, tmp_path / "run")
    plan = write(host={"categories": ["blod"]})
    with pytest.raises(ValueError, match="did you mean 'blood'"):
        bin_columns(plan, tmp_path / "run")
