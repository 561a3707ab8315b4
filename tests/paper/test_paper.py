"""A quick run of the paper's experiment: what its report, tables and figures hold."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

import cipherlane as cl

EXAMPLES = Path(__file__).parents[2] / "examples"
SCRIPT = EXAMPLES / "paper" / "run.py"
DATA = ("breast", "synthetic")
# The rows of the paper's Table 1.
TABLE_1 = """\
1,-1.047670,57,0,-4.223783,0.670339
2,-0.784675,57,0,-4.223783,0.670339
3,-0.612797,55,2,-2.793036,0.403950
4,-0.469910,55,2,-2.793036,0.403950
5,-0.269040,56,2,-2.811055,0.414430
6,-0.053674,41,16,-0.419834,0.016531
7,0.232100,31,25,0.306038,0.009515
8,0.840923,5,52,2.862955,0.662137
9,1.536720,0,57,5.266082,1.420925
10,,0,56,5.248537,1.391434
"""
TABLES = ("table_1", "table_2", "information_values", "comparison", "differences", "steps", "roc", "calibration")
FIGURES = (
    *("figure_6", "figure_7", "information_values", "time", "traffic"),
    *(f"auc_{key}" for key in DATA),
    *(
        f"{what}_{model}_{key}"
        for what in ("roc", "calibration", "convergence")
        for model in ("logistic", "mixture")
        for key in DATA
    ),
)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("paper")
    package = str(Path(cl.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([package, os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, str(SCRIPT), "--quick", "--out", str(out)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=out, check=False)
    assert result.returncode == 0, result.stderr
    assert re.search(r"^ +\d+\.\d s  Breast cancer: logistic regression on \d+ rows", result.stdout, re.MULTILINE)
    return out


def _rows(report: Path, table: str) -> list[dict[str, str]]:
    with (report / "tables" / f"{table}.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_table_1_has_the_papers_digits(report: Path) -> None:
    text = (report / "tables" / "table_1.csv").read_text(encoding="utf-8")
    assert text == "bin,cut,event,non_event,woe,iv\n" + TABLE_1


def test_table_2_has_every_row_and_predicts_as_the_pooled_model_does(report: Path) -> None:
    rows = _rows(report, "table_2")
    assert list(rows[0]) == ["index", "label", "predict_result", "predict_score", "predict_detail", "type"]
    assert [row["index"] for row in rows] == [str(i) for i in range(569)]
    tables = {}
    for party in ("guest", "host"):
        with (EXAMPLES / "breast_cancer" / f"{party}.csv").open(newline="", encoding="utf-8") as stream:
            tables[party] = sorted(csv.DictReader(stream), key=lambda row: int(row["id"]))
    labels = np.array([int(row["y"]) for row in tables["guest"]])
    assert [int(row["label"]) for row in rows] == labels.tolist()
    training, testing = next(StratifiedKFold(2, shuffle=True, random_state=0).split(labels, labels))
    assert [i for i, row in enumerate(rows) if row["type"] == "test"] == testing.tolist()
    scores = np.array([float(row["predict_score"]) for row in rows])
    assert [row["predict_result"] for row in rows] == ["1" if score > 0.5 else "0" for score in scores]
    values = np.hstack([[[float(row[k]) for k in row if k not in ("id", "y")] for row in t] for t in tables.values()])
    pooled = LogisticRegression(max_iter=1000).fit(values[training], labels[training])
    expected = roc_auc_score(labels[testing], pooled.decision_function(values[testing]))
    found = roc_auc_score(labels[testing], scores[testing])
    assert found >= expected - 0.01
    said = next(row for row in _rows(report, "comparison") if row["data"] == "breast" and row["who"] == "federated")
    assert said["auc"] == f"{found:.4f}" and float(said["auc_low"]) < found < float(said["auc_high"])


def test_the_federation_reaches_what_pooled_columns_do(report: Path) -> None:
    auc = {(row["data"], row["model"], row["who"]): float(row["auc"]) for row in _rows(report, "comparison")}
    for data in DATA:
        for model, pooled in (
            ("logistic regression", "pooled columns"),
            ("mixture", "pooled, block-diagonal, same start"),
        ):
            assert auc[data, model, "federated"] >= auc[data, model, pooled] - 0.01
        assert auc[data, "mixture", "federated"] >= auc[data, "mixture", "pooled, full covariance"] - 0.01
    for who in ("federated, two decimals", "guest's columns alone", "host's columns alone", "pooled, k-means"):
        assert 0.5 < auc["breast", "mixture", who] < 1
    for data, model, who in auc:
        if who == "the truth itself":
            assert auc[data, model, "federated"] < auc[data, model, who] + 0.01
    exact = auc["synthetic", "mixture", "the truth itself"]
    assert exact == pytest.approx(0.945, abs=0.02)


def test_differences_are_those_of_the_areas(report: Path) -> None:
    auc = {(row["data"], row["model"], row["who"]): float(row["auc"]) for row in _rows(report, "comparison")}
    differences = _rows(report, "differences")
    assert len(differences) == len(auc) - 2 * len(DATA)
    for row in differences:
        expected = auc[row["data"], row["model"], "federated"] - auc[row["data"], row["model"], row["against"]]
        assert float(row["difference"]) == pytest.approx(expected, abs=1.5e-4)
        assert float(row["low"]) <= float(row["difference"]) <= float(row["high"])


def test_steps_tell_time_and_traffic(report: Path) -> None:
    steps = _rows(report, "steps")
    assert len(steps) == 5 * len(DATA)
    assert all(float(row["seconds"]) > 0 and int(row["messages"]) > 0 and int(row["bytes"]) > 0 for row in steps)
    training = next(row for row in steps if row["step"] == "mixture, training" and row["data"] == "breast")
    # At least one ciphertext of each party a round.
    assert int(training["ciphertexts"]) > 2 * int(training["rounds"])


def test_every_table_and_figure_is_there(report: Path) -> None:
    assert sorted(path.stem for path in (report / "tables").iterdir()) == sorted(TABLES)
    assert sorted(path.name for path in (report / "figures").iterdir()) == sorted(
        f"{name}.{kind}" for name in FIGURES for kind in ("png", "svg")
    )
    for name in FIGURES:
        assert (report / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        root = ElementTree.parse(report / "figures" / f"{name}.svg").getroot()
        assert root.tag == "{http://www.w3.org/2000/svg}svg"


class _Page(HTMLParser):
    """Collects tags, what they would load, and text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loaded: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loaded += [
            f"{name}={value}" for name, value in attributes if name in ("src", "href", "xlink:href", "srcset")
        ]

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_the_page_loads_nothing_and_tells_all(report: Path) -> None:
    source = (report / "report.html").read_text(encoding="utf-8")
    page = _Page()
    page.feed(source)
    assert not page.loaded
    assert not {"script", "link", "img", "iframe", "object", "embed"} & set(page.tags)
    assert "url(" not in source and "@import" not in source and "default-src 'none'" in source
    # Time and traffic, both tables' figures, and seven figures a data set.
    assert page.tags.count("svg") == len(FIGURES)
    text = " ".join(page.text)
    for line in TABLE_1.splitlines():
        assert all(cell in page.text for cell in line.split(",") if cell)
    for words in (
        "all ten rows, to the last digit printed",
        "What the paper prints inconsistently or leaves open",
        "opposite sign",
        "inverted_cdf",
        "to both counts of that bin",
        "a benign tumour",
        "To two decimals",
        "bootstrap resamples",
    ):
        assert words in text
    assert "nan" not in re.findall(r"\w+", text)


def test_a_directory_with_other_files_is_left_alone(tmp_path: Path) -> None:
    kept = tmp_path / "thesis.txt"
    kept.write_text("mine", encoding="utf-8")
    package = str(Path(cl.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([package, os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, str(SCRIPT), "--quick", "--out", str(tmp_path)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert result.returncode == 1 and "give another directory" in result.stderr
    assert list(tmp_path.iterdir()) == [kept]
