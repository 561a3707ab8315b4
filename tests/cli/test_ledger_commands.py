"""The commands `audit` and `access`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cipherlane.cli import main
from cipherlane.federation import Progress, train
from cipherlane.ledger import missing_packages
from cipherlane.report import render_page

pytestmark = pytest.mark.skipif(bool(missing_packages()), reason=f"not installed: {', '.join(missing_packages())}")


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plan with a ledger, and two tables."""
    made = tmp_path_factory.mktemp("ledger")
    for name, shift in (("guest", 0.0), ("host", 3.0)):
        rows = "".join(f"p{i},{(i * 7 % 20) / 3 + shift},{(i * 11 % 23) / 5}\n" for i in range(40))
        (made / f"{name}.csv").write_text(f"id,x0,x1\n{rows}")
    (made / "plan.toml").write_text(
        "[model]\ncomponents = 2\n[training]\nmax_iterations = 3\ntolerance = 0.0\n[encryption]\nkey_bits = 1024\n"
        '[parties.guest]\ndata = "guest.csv"\n[parties.host]\ndata = "host.csv"\n[ledger]\n'
    )
    return made


def test_audit_prints_what_holds_and_the_first_thing_that_does_not(
    directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert main(["train", str(directory / "plan.toml"), "--out", str(run)]) == 0
    capsys.readouterr()
    assert main(["audit", str(run)]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[-1] == "everything holds"
    assert all(line.startswith("holds:  ") for line in out[:-1])
    note = json.loads((run / "ledger.json").read_text())
    assert note["engine"] == "embedded" and note["commits"] == 5 and note["head"] == "0x" + out[1].rpartition(" ")[2]
    assert note["audit"]["passed"] is True and note["audit"]["checked"] == len(out) - 1
    assert "everything holds" in render_page(run)
    head = out[1].rpartition(" ")[2]
    account = json.loads((run / "ledger" / "agreement.json").read_text())["members"]["host"]["account"]
    assert main(["audit", str(run), "--head", head, "--account", f"host=0x{account}"]) == 0
    assert main(["audit", str(run), "--head", "00" * 32]) == 1
    assert main(["audit", str(run), "--head", "xyz"]) == 1
    assert "--head: expected 64 hexadecimal digits, got 'xyz'" in capsys.readouterr().err
    model = run / "models" / "host.npz"
    model.write_bytes(model.read_bytes() + b"x")
    assert main(["audit", str(run)]) == 1
    out = capsys.readouterr().out
    assert "FAILS:  " in out
    assert "something does not hold" in render_page(run) and "host.npz: is not the file" in render_page(run)
    assert "host.npz: is not the file that 'host' recorded on the ledger\nwhat comes after this was not checked" in out
    assert main(["access", str(run), "--party", "host", "--revoke"]) == 1
    assert "this run is complete" in capsys.readouterr().err


def test_access_is_revoked_and_granted_from_outside(
    directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, plan = tmp_path / "run", directory / "plan.toml"

    def revoke(event: Progress) -> None:
        if event.record is not None and event.record.round == 1:
            assert main(["audit", f"{run}.partial"]) == 1
            assert "is working on this run; wait until it has ended or stopped" in capsys.readouterr().err
            assert main(["access", f"{run}.partial", "--party", "host", "--revoke"]) == 0

    with pytest.raises(Exception, match="'host' has revoked the plan's access"):
        train(plan, run, progress=revoke)
    assert main(["audit", f"{run}.partial"]) == 1
    assert "the run is not complete" in capsys.readouterr().out
    assert main(["train", str(plan), "--out", str(run), "--resume"]) == 1
    assert "access to the data set of 'host' was revoked on the ledger" in capsys.readouterr().err
    assert main(["access", str(run), "--party", "host", "--hours", "2"]) == 0
    assert "granted for 2 hours" in capsys.readouterr().out
    assert main(["train", str(plan), "--out", str(run), "--resume"]) == 0
    assert main(["audit", str(run)]) == 0
    capsys.readouterr()
    for arguments, expected in (
        ([str(tmp_path / "none"), "--party", "host", "--revoke"], "no unfinished run lies there"),
        ([str(run), "--party", "host", "--hours", "-1"], "--hours: expected a number above 0"),
    ):
        assert main(["access", *arguments]) == 1
        assert expected in capsys.readouterr().err


def test_a_run_without_a_ledger_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", str(tmp_path)]) == 1
    assert "no ledger lies there" in capsys.readouterr().err


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    for command, words in (("audit", "--head 2613971c"), ("access", "--party host --revoke")):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        assert words in capsys.readouterr().out
