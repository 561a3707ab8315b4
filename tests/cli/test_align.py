"""Two hospitals with partly overlapping, shuffled rows align them by files and train on what they share."""

from __future__ import annotations

import csv
import random
import shutil
import sys
from pathlib import Path

import pytest

from cipherlane.cli import main
from cipherlane.federation import train

EXAMPLE = Path(__file__).parents[2] / "examples" / "breast_cancer"
PLAN = """
[model]
components = 2
[training]
max_iterations = 5
[encryption]
key_bits = 1024
[parties.guest]
data = "guest_aligned.csv"
label_column = "y"
[parties.host]
data = "host_aligned.csv"
"""


@pytest.fixture(autouse=True)
def library() -> None:
    pytest.importorskip("private_set_intersection.python", reason="the extra `align` is not installed")


def _rows(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.reader(stream))


def _write(path: Path, rows: list[list[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(rows)


@pytest.fixture
def sites(tmp_path: Path) -> dict[str, Path]:
    """Return each site's file: the guest lacks the last 69 tumours and the host the first 100, both shuffled."""
    rng = random.Random(8)
    files = {}
    for name, part in (("guest", slice(0, 500)), ("host", slice(100, None))):
        head, *rows = _rows(EXAMPLE / f"{name}.csv")
        at = head.index("id")
        kept = [[f"T-{cell.zfill(4)}" if i == at else cell for i, cell in enumerate(row)] for row in rows[part]]
        if name == "host":
            kept[3][at] = f"  {kept[3][at]} "
        files[name] = tmp_path / f"{name}.csv"
        _write(files[name], [head, *rng.sample(kept, len(kept))])
    return files


def _run(*arguments: object) -> None:
    assert main(["align", *map(str, arguments)]) == 0


def test_sites_exchange_three_files_and_train_on_the_intersection(
    sites: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there, here = tmp_path / "at_host", tmp_path / "at_guest"
    _run("request", sites["guest"], "--dir", here, "--host", "clinic")
    asked = capsys.readouterr().out.rpartition("code ")[2]
    assert (here / "clinic.state").stat().st_mode & 0o077 == 0
    there.mkdir()
    (here / "clinic.request").rename(there / "clinic.request")
    _run("answer", sites["host"], there / "clinic.request", "--dir", there, "--host", "clinic")
    assert asked in capsys.readouterr().out
    for kind, source, target in (("request", there, here), ("answer", there, here)):
        (target / f"clinic.{kind}").write_bytes((source / f"clinic.{kind}").read_bytes())
    _run("finish", sites["guest"], "--dir", here, "--out", tmp_path / "guest_aligned.csv")
    (there / "clinic.result").write_bytes((here / "clinic.result").read_bytes())
    _run("accept", sites["host"], "--dir", there, "--host", "clinic", "--out", tmp_path / "host_aligned.csv")
    assert not [*here.glob("*.state"), *there.glob("*.state")]
    aligned = {name: _rows(tmp_path / f"{name}_aligned.csv") for name in ("guest", "host")}
    columns = {name: rows[0].index("id") for name, rows in aligned.items()}
    ids = {name: [row[columns[name]] for row in rows[1:]] for name, rows in aligned.items()}
    assert ids["guest"] == ids["host"] == sorted(ids["guest"])
    assert len(ids["guest"]) == 400
    original = {row[0] for row in _rows(sites["guest"])[1:]}
    assert set(ids["guest"]) <= original
    (tmp_path / "plan.toml").write_text(PLAN)
    run = train(tmp_path / "plan.toml", tmp_path / "run")
    assert run.metrics["rows"] == 400
    # The same rows picked without the protocol give the same model, but for the order in which means are summed.
    for name in ("guest", "host"):
        head, *rows = _rows(sites[name])
        kept = [[cell.strip() for cell in row] for row in rows if row[columns[name]].strip() in set(ids["guest"])]
        _write(tmp_path / f"{name}_aligned.csv", [head, *kept])
    direct = train(tmp_path / "plan.toml", tmp_path / "direct")
    assert direct.log_likelihood == pytest.approx(run.log_likelihood, rel=1e-9)


def test_one_process_aligns_files(sites: dict[str, Path], tmp_path: Path) -> None:
    data = [f"--data={name}={path}" for name, path in sites.items()]
    _run("local", *data, "--dir", tmp_path / "aligned")
    rows = {name: _rows(tmp_path / "aligned" / f"{name}.csv") for name in sites}
    assert {len(found) for found in rows.values()} == {401}
    with pytest.raises(SystemExit):
        main(["align", "local", "--dir", str(tmp_path)])


def test_parties_learn_how_many_ids_they_share_and_nothing_is_written(
    sites: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    _run("request", sites["guest"], "--dir", here, "--host", "clinic", "--count")
    _run("answer", sites["host"], here / "clinic.request", "--dir", there, "--host", "clinic")
    assert "asks how many of 500 ids are here, not which" in capsys.readouterr().out
    assert not list(there.glob("*.state"))
    shutil.copy(there / "clinic.answer", here)
    out = tmp_path / "x.csv"
    assert main(["align", "finish", str(sites["guest"]), "--dir", str(here), "--out", str(out)]) == 1
    assert "it was made with --count; end it with `cipherlane align count`" in capsys.readouterr().err
    _run("count", sites["guest"], "--dir", here)
    assert "clinic: 400 ids in common" in capsys.readouterr().out
    assert not list(here.glob("*.state")) and not out.exists()
    third = tmp_path / "third.csv"
    _write(third, [["id", "x"], ["T-0001", "1"]])
    data = [f"--data={name}={path}" for name, path in {**sites, "third": third}.items()]
    _run("local", *data, "--count")
    told = capsys.readouterr().out.splitlines()
    ids = {name: {row[0].strip() for row in _rows(path)[1:]} for name, path in sites.items()}
    assert told[0] == "guest and host: 400 ids in common"
    for line, name in zip(told[1:], ("guest", "host"), strict=True):
        count = len(ids[name] & {"T-0001"})
        assert line == f"{name} and third: " + ("1 id in common" if count else "0 ids in common")
    assert main(["align", "local", *data]) == 1
    assert "--dir: name the directory for the aligned files" in capsys.readouterr().err


def test_an_end_that_was_interrupted_begins_again_with_all_hosts(
    sites: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here, out = tmp_path / "here", tmp_path / "out.csv"
    _run("request", sites["guest"], "--dir", here, "--host", "one", "--host", "two")
    for host in ("one", "two"):
        _run("answer", sites["host"], here / f"{host}.request", "--dir", tmp_path / host, "--host", host)
        shutil.copy(tmp_path / host / f"{host}.answer", here)
    (here / "two.result").write_bytes(b"in the way")
    finish = ["align", "finish", str(sites["guest"]), "--dir", str(here), "--out", str(out)]
    assert main(finish) == 1
    assert "two.result: exists already" in capsys.readouterr().err
    assert sorted(path.name for path in here.glob("*.state")) == ["one.state", "two.state"]
    for path in (out, *here.glob("*.result")):
        path.unlink()
    assert main(finish) == 0
    assert not list(here.glob("*.state")) and len(_rows(out)) == 401


def test_what_goes_wrong_is_said(
    sites: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*arguments: object) -> str:
        capsys.readouterr()
        assert main(["align", *map(str, arguments)]) == 1
        error = capsys.readouterr().err
        assert error.startswith("cipherlane: error: ") and "Traceback" not in error
        return error

    guest, here = sites["guest"], tmp_path / "here"
    assert "no alignment was begun there" in fails("finish", guest, "--dir", here, "--out", tmp_path / "x.csv")
    assert "there is no id column 'number'" in fails(
        "request", guest, "--dir", here, "--host", "a", "--id-column", "number"
    )
    assert "no such file" in fails("request", tmp_path / "none.csv", "--dir", here, "--host", "a")
    assert "expected a name of letters" in fails("request", guest, "--dir", here, "--host", "../a")
    _run("request", guest, "--dir", here, "--host", "a")
    assert "exists already" in fails("request", guest, "--dir", here, "--host", "a")
    assert "a.answer: no such file" in fails("finish", guest, "--dir", here, "--out", tmp_path / "x.csv")
    request = here / "a.request"
    there = tmp_path / "there"
    assert "at most 10 are allowed" in fails(
        "answer", sites["host"], request, "--dir", there, "--host", "a", "--most", 10
    )
    assert f"{guest}: message of " in fails("answer", sites["host"], guest, "--dir", there, "--host", "a")
    assert "exists already" in fails("finish", guest, "--dir", here, "--out", guest)
    for name, text, expected in (
        ("empty", "id,x\n", "expected a header line and rows"),
        ("hole", "id,x\n,1\n", "row 1: the id is empty"),
        ("twice", "id,x\na,1\na ,2\n", "1 ids are the same as an earlier one"),
        ("short", "id,x\na\n", "row 1: expected 2 cells"),
        ("quotes", 'id,x\n"a,1\n', "not valid CSV"),
    ):
        (tmp_path / f"{name}.csv").write_text(text)
        assert expected in fails("request", tmp_path / f"{name}.csv", "--dir", here, "--host", name)
    monkeypatch.setitem(sys.modules, "private_set_intersection", None)
    assert "pip install 'cipherlane[align]'" in fails("request", guest, "--dir", here, "--host", "b")
