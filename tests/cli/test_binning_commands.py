from __future__ import annotations

import csv
import json
from html.parser import HTMLParser
from pathlib import Path

import pytest

from cipherlane.cli import main
from cipherlane.report import render_page

EXAMPLE = Path(__file__).parents[2] / "examples" / "breast_cancer"


@pytest.fixture(scope="module")
def binned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run directory of the example, binned."""
    out = tmp_path_factory.mktemp("binning") / "run"
    assert main(["bin", str(EXAMPLE / "binning.toml"), "--out", str(out)]) == 0
    return out


def test_the_example_writes_what_the_help_says(binned: Path) -> None:
    names = {path.name for path in binned.iterdir()}
    assert names == {
        *("binning.csv", "binning.json", "selected-guest.csv", "selected-host.csv", "report.md", "report.html"),
        *("metrics.json", "plan.toml", "run.json", "status.json", "transcript.jsonl", "parties", "coordinator"),
    }
    # The guest's private key is not kept.
    own = {"accepted.sealed", "binning.sealed", "seal.key", "table.sealed"}
    for party, more in (("guest", set()), ("host", {"checkpoint-000001.sealed"})):
        assert {path.name for path in (binned / "parties" / party).iterdir()} == own | more
    with (binned / "binning.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 300
    # The first row of the paper's table, whose WoE has the opposite sign.
    assert (rows[0]["column"], rows[0]["events"], rows[0]["non_events"]) == ("x0", "57", "0")
    assert f"{float(rows[0]['woe']):.6f}" == "4.223783" and f"{float(rows[0]['iv']):.6f}" == "0.670339"


def test_a_run_tells_what_was_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bin", str(EXAMPLE / "binning.toml"), "--out", str(tmp_path / "run")]) == 0
    out = capsys.readouterr().out
    assert "guest: 10 of 10 columns kept" in out and "host: 15 of 20 columns kept" in out
    assert main(["bin", str(EXAMPLE / "binning.toml"), "--out", str(tmp_path / "run")]) == 1
    assert "exists already" in capsys.readouterr().err


def test_new_rows_are_transformed(binned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["transform", str(binned), "--data", f"guest={EXAMPLE / 'guest.csv'}"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 570 and lines[0].startswith("id,x0,x1")
    out = tmp_path / "host.csv"
    arguments = ["transform", str(binned), "--data", f"host={EXAMPLE / 'host.csv'}", "--out", str(out)]
    assert main(arguments) == 0
    with out.open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 569 and len(rows[0]) == 16
    assert {row["x0"] for row in rows} == {str(k) for k in range(10)}
    for wrong, said in [
        (arguments, "exists already"),
        ([*arguments[:3], str(EXAMPLE / "host.csv")], "expected PARTY=FILE"),
        ([*arguments[:4], "--as", "woe"], "tell_woe was false"),
        ([*arguments[:3], "host=nowhere.csv"], "no such file"),
        ([*arguments[:3], f"host={EXAMPLE / 'guest.csv'}"], "there is no column 'x10'"),
        (["transform", str(tmp_path), *arguments[2:4]], "not a run directory"),
        (["train", str(EXAMPLE / "binning.toml")], "run cipherlane bin"),
        (["bin", str(EXAMPLE / "plan.toml")], "run cipherlane train"),
    ]:
        assert main(wrong) == 1
        assert said in capsys.readouterr().err


class _Page(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.titles: list[str] = []
        self.text = ""
        self.bad = 0
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag == "svg":
            self.titles.append(str(named["aria-label"]))
        self.bad += named.get("class") == "bad"

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_report_draws_rows_and_woe_by_bin(binned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(binned)]) == 0
    assert "| guest | x0 | 10 | 6.06" in capsys.readouterr().out
    page = _Page((binned / "report.html").read_text())
    assert "guest: x0: rows by bin" in page.titles and "guest: x0: weight of evidence" in page.titles
    assert "Information value of each column" in page.titles and len(page.titles) == len(set(page.titles))
    assert sum(title.endswith("weight of evidence") for title in page.titles) == 12
    assert "572 of 572 were looked at on arrival" in page.text and page.bad == 0
    assert "Hosts were told which of their columns are kept, and no weight of evidence." in page.text
    for line in (EXAMPLE / "host.csv").read_text().splitlines()[1:50]:
        assert line.split(",")[3] not in (binned / "report.html").read_text()


def test_the_page_of_a_coordinator_elsewhere_and_of_changed_files(binned: Path) -> None:
    path = binned / "binning.json"
    kept = path.read_text()
    try:
        path.unlink()
        assert "lie with the guest alone" in _Page(render_page(binned)).text
        content = json.loads(kept)
        content["columns"][0]["column"] = "<script>alert(1)</script>"
        path.write_text(json.dumps(content))
        assert "<script" not in render_page(binned)
        for damage in ("{", "[]", "{}", '{"columns": [{}]}', '{"columns": [{"information_value": 1}]}'):
            path.write_text(damage)
            with pytest.raises(ValueError, match=r"changed"):
                render_page(binned)
    finally:
        path.write_text(kept)


def test_a_binning_is_no_model_and_says_what_applies_it(binned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "list", str(binned.parent)]) == 1
    assert "no finished run lies there; `cipherlane train PLAN" in capsys.readouterr().err
    for command in (["models", "show"], ["models", "select"], ["score", "--data=guest=g.csv"]):
        assert main([*command, str(binned)]) == 1
        expected = f"{binned}: a binning, which trains no model; `cipherlane transform` applies its bins to new rows"
        assert expected in capsys.readouterr().err
