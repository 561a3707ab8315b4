"""The HTML report: whole in one file, true to the run's files, and it says when something is wrong."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from cipherlane.cli import main
from cipherlane.report import render_page
from cipherlane.report.svg import Series, line_chart, lying_bars, nice_ticks, standing_bars, whole_ticks
from cipherlane.report.traffic import HORIZONTAL_KINDS, KINDS
from cipherlane.vertical.messages import EDGES

FILES = ("metrics.json", "quality.json", "transcript.jsonl", "assignments.csv", "status.json")
VOID = {"meta", "br"}
LEDGER: dict[str, Any] = {
    "format": 1,
    "engine": "embedded",
    "chain": "0x11",
    "contract": "0x22",
    "height": 41,
    "head": "0x33",
    "commits": 20,
    "audit": None,
}


class Reader(HTMLParser):
    """Takes a page apart, and sees that every element is closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def marked(self, kind: str) -> int:
        return sum(attributes.get("class") == kind for _, attributes in self.tags)


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """Return a copy of a finished run, to be changed."""
    for name in FILES:
        shutil.copy(trained / name, tmp_path / name)
    return tmp_path


def _edit(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_the_page_is_whole_and_loads_nothing(trained: Path) -> None:
    (trained / "report.html").unlink()
    assert main(["report", str(trained)]) == 0
    page = (trained / "report.html").read_text(encoding="utf-8")
    reader = Reader(page)
    assert not {tag for tag, _ in reader.tags} & {"script", "link", "img", "iframe", "object", "a", "base", "form"}
    assert not {name for _, attributes in reader.tags for name in attributes} & {"src", "href", "srcset", "onload"}
    assert not re.search(r"url\(|@import|https?:", page)
    metrics = json.loads((trained / "metrics.json").read_text())
    ciphertexts = metrics["totals"]["ciphertexts"]
    for part in (
        "Run breast-cancer",
        f"{metrics['log_likelihood']:.4f}",
        f"{ciphertexts['total']:,} of 256 bytes each",
        ciphertexts["key_fingerprint"],
        f"{ciphertexts['total']:,} of {ciphertexts['total']:,} were looked at on arrival",
        "0 messages went straight between data parties or to the arbiter",
        "The parties know each other's ids: all 569 of them are matched.",
        "adjusted Rand index",
        "This run kept no ledger",
    ):
        assert part in reader.text, part
    assert reader.marked("bad") == 0
    titles = [attributes["aria-label"] for tag, attributes in reader.tags if tag == "svg"]
    assert len(titles) == len(set(titles)) == 8
    labels = [attributes for tag, attributes in reader.tags if tag == "text" and attributes.get("class") == "axis"]
    assert len(labels) == 5 * 2 + 3


def test_no_id_of_a_row_is_on_the_page(run: Path) -> None:
    lines = (run / "assignments.csv").read_text().splitlines()
    renamed = [lines[0], *(f"patient-{line}" for line in lines[1:])]
    (run / "assignments.csv").write_text("\n".join(renamed))
    page = render_page(run)
    assert "patient-" not in page
    (run / "assignments.csv").unlink()
    assert "Assignments lie with the guest alone" in Reader(render_page(run)).text


def test_what_a_run_names_cannot_break_the_page(run: Path) -> None:
    def rename(quality: dict[str, Any]) -> None:
        quality["labels"] = ["</td><script>alert(1)</script>", "\"'&"]

    _edit(run / "quality.json", rename)
    page = render_page(run)
    assert "<script" not in page
    assert "</td><script>alert(1)</script>" in Reader(page).text


def test_every_kind_of_message_is_explained() -> None:
    assert set(KINDS) == set(EDGES)
    assert set(HORIZONTAL_KINDS) < set(KINDS)


def _append(run: Path, **entry: object) -> None:
    path = run / "transcript.jsonl"
    last = json.loads(path.read_text().splitlines()[-1])
    with path.open("a") as stream:
        stream.write(json.dumps({**last, "index": last["index"] + 1, **entry}) + "\n")


def test_signs_that_encryption_was_off_are_marked(run: Path) -> None:
    first = next(
        entry
        for entry in map(json.loads, (run / "transcript.jsonl").read_text().splitlines())
        if entry["kind"] == "encrypted_scores"
    )
    _append(run, **{key: first[key] for key in ("sender", "receiver", "kind", "sha256", "bytes")})
    reader = Reader(render_page(run))
    assert reader.marked("bad") == 1
    assert "34 messages with ciphertexts have 33 different SHA-256 digests" in reader.text
    _append(run, sender="guest", receiver="arbiter", kind="encrypted_scores", sha256="0" * 64)
    assert Reader(render_page(run)).marked("bad") == 2

    def forget(metrics: dict[str, Any]) -> None:
        metrics["totals"]["ciphertexts"]["found_randomised"] -= 1
        metrics["totals"]["ciphertexts"]["key_bits"] = 2048

    _edit(run / "metrics.json", forget)
    reader = Reader(render_page(run))
    assert reader.marked("bad") == 4


def test_the_ledger_is_told_if_there_is_one(run: Path) -> None:
    (run / "ledger.json").write_text(json.dumps(LEDGER))
    text = Reader(render_page(run)).text
    assert "0x33, block 41" in text and "none yet" in text
    audit = {"passed": True, "checked": 163, "when": "2026-01-31T12:00:00Z", "problems": []}
    (run / "ledger.json").write_text(json.dumps({**LEDGER, "audit": audit}))
    assert "everything holds: 163 checks" in Reader(render_page(run)).text
    failed = {**audit, "passed": False, "problems": ["round 3: <changed>"]}
    (run / "ledger.json").write_text(json.dumps({**LEDGER, "audit": failed}))
    reader = Reader(render_page(run))
    assert "something does not hold" in reader.text and "round 3: <changed>" in reader.text
    assert reader.marked("bad") == 1
    for broken, expected in (({**LEDGER, "format": 7}, "format 7"), ({"format": 1}, "lacks what the report needs")):
        (run / "ledger.json").write_text(json.dumps(broken))
        with pytest.raises(ValueError, match=expected):
            render_page(run)


def test_what_the_ledger_took_is_told_beside_the_run_s_own(run: Path) -> None:
    def add(metrics: dict[str, Any]) -> None:
        metrics["totals"]["seconds"].update(training=9.5, ledger=2.25)
        metrics["ledger"] = {"messages": 1234, "bytes": 5_600_000}

    assert "for the ledger" not in render_page(run)
    _edit(run / "metrics.json", add)
    text = Reader(render_page(run)).text
    assert "Training took 9.500 s in all, 2.250 s of it for the ledger." in text
    assert "The ledger's own 1,234 messages, 5.6 MB of blocks and transactions, are not among them." in text


def test_plots_read_well_on_narrow_pages_and_beside_each_other(trained: Path) -> None:
    style = re.search(r"<style>(.*?)</style>", render_page(trained), re.DOTALL)
    assert style is not None
    # 460 units shrink to some 310 pixels on a telephone: 16 of them are 11 pixels then.
    assert re.search(r"@media \(max-width: 640px\).*svg text \{ font-size: 16px; \}", style[1], re.DOTALL)
    # Titles, legends and drawings of neighbours share their lines, whether there is a legend or not.
    assert "grid-template-rows: subgrid; grid-row: span 3" in style[1] and re.search(
        r"svg \{[^}]*grid-row: 3", style[1]
    )
    svg = standing_bars("t", "x", "y", ["a"], [Series("rows", [250_000.0])])
    labels = re.findall(r'<text x="([\d.]+)" [^>]*text-anchor="end">([^<]+)</text>', svg)
    assert labels[-1][1] in ("250,000", "300,000")
    # They end there, and stay clear of the axis's name at 15, at the larger size too.
    assert all(float(end) - len(label) * 16 * 0.5 > 20 for end, label in labels)


def test_a_number_below_zero_has_a_minus_sign() -> None:
    assert ">−10.4<" in line_chart("t", "x", "y", [1, 2], [-10.6, -9.9])


def test_files_that_were_changed_are_named(run: Path) -> None:
    lines = len((run / "transcript.jsonl").read_bytes().splitlines())
    with (run / "transcript.jsonl").open("a") as stream:
        stream.write("{}\n")
    with pytest.raises(ValueError, match=rf"transcript.jsonl: line {lines + 1}: not an entry"):
        render_page(run)
    (run / "transcript.jsonl").unlink()
    with pytest.raises(ValueError, match="the run's transcript was removed"):
        render_page(run)


def test_long_runs_and_many_components_stay_readable(run: Path) -> None:
    def lengthen(metrics: dict[str, Any]) -> None:
        record = metrics["iterations"][-1]
        record["counts"] = [569 / 20] * 20
        metrics["components"] = 20
        metrics["iterations"] = [{**record, "round": number} for number in range(1, 1001)]

    _edit(run / "metrics.json", lengthen)
    page = render_page(run)
    reader = Reader(page)
    assert "each bar is the mean of up to 25 iterations" in reader.text
    assert "the others" in reader.text
    assert page.count("<rect") < 1000


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-10.725, -9.996), (3, 3), (0, 0), (-1e-7, 1e-7), (0, 123456789)])
def test_ticks_are_round_and_span_the_data(low: float, high: float) -> None:
    ticks = nice_ticks(low, high)
    assert ticks[0] <= low + 1e-12 and ticks[-1] >= high - 1e-12
    assert 2 <= len(ticks) <= 8
    step = ticks[1] - ticks[0]
    assert f"{step:.12e}"[0] in "125" or f"{step:.6e}".startswith("9.999")


def test_bars_are_as_long_as_their_numbers() -> None:
    series = [Series("a", [1.0, 2.0]), Series("b", [3.0, 0.0])]
    lying = [float(width) for width in re.findall(r'<rect [^>]*width="([\d.]+)"', lying_bars("t", "x", "pq", series))]
    assert lying == pytest.approx([lying[0], 3 * lying[0], 2 * lying[0], 0], abs=0.2)
    drawn = standing_bars("t", "x", "y", "pq", series)
    standing = [float(height) for height in re.findall(r'<rect [^>]*height="([\d.]+)"', drawn)]
    assert standing == pytest.approx([standing[0], 3 * standing[0], 2 * standing[0], 0], abs=0.2)
    assert whole_ticks(1, 1) == [1]
