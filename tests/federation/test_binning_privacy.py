"""What crosses in a binning: nothing in the clear, and no more than the plan allows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mixed_columns import FRAME, GUEST_COLUMNS, HOST_COLUMNS, ROWS, WritePlan

import cipherlane as cl
from cipherlane.federation import bin_columns, bins_of, transform_rows
from cipherlane.federation.transcript_check import Secrets, check_box, check_transcript
from cipherlane.paillier import hazmat
from cipherlane.vertical.messages import unpack, unpack_sealed


@pytest.mark.parametrize("method", ["quantile", "optimal"])
def test_nothing_crosses_in_the_clear(write_mixed: WritePlan, tmp_path: Path, boxes: list[bytes], method: str) -> None:
    run = bin_columns(write_mixed(binning__method=method), tmp_path / "run", keep_messages=True)
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


def test_what_a_host_sends_has_one_form_whatever_its_bins_are(
    write_mixed: WritePlan, tmp_path: Path, boxes: list[bytes]
) -> None:
    forms = []
    for number, zeros in enumerate((0, 390)):
        # With 390 equal values two bins of h0 are left, and one has nearly all rows.
        frame = FRAME.assign(h0=np.where(np.arange(ROWS) < zeros, 0.0, FRAME["h0"]))
        run = bin_columns(write_mixed(frame), tmp_path / f"run{number}", keep_messages=True)
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
    write_mixed: WritePlan, tmp_path: Path, tell: bool
) -> None:
    frame = FRAME.copy()
    # h4 tells the classes apart, so that its outer quantile bins are pure.
    frame["h4"] = frame["y"] * 3 + np.random.default_rng(1).normal(size=ROWS)
    run = bin_columns(write_mixed(frame, privacy__tell_woe=tell, privacy__least_of_each_class=7), tmp_path / "run")
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
def test_the_size_of_a_verdict_says_nothing_of_it(
    write_mixed: WritePlan, tmp_path: Path, settings: dict[str, Any]
) -> None:
    sizes = []
    for number, threshold in enumerate((0.0, 1e3)):
        run = bin_columns(write_mixed(binning__threshold=threshold, **settings), tmp_path / f"run{number}")
        assert any(run.result.kept["host"]) == (number == 0)
        sizes.append([entry.bytes for entry in run.transcript.entries if entry.kind in ("bin_verdicts", "keep_bins")])
    assert sizes[0] == sizes[1]


def test_no_bin_is_smaller_than_the_plan_allows(write_mixed: WritePlan, tmp_path: Path) -> None:
    run = bin_columns(write_mixed(binning__least_rows=60, binning__method="chi-merge"), tmp_path / "run")
    for tables in run.result.tables.values():
        for table in tables:
            rows = table.events + table.non_events
            assert rows.min() >= 60 and rows.sum() == ROWS
