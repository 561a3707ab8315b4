from __future__ import annotations

import csv
import errno
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import cipherlane as cl
from cipherlane.cli import main
from cipherlane.federation import Progress, train
from cipherlane.federation.run_store import check_complete
from cipherlane.paillier.pem import PASSWORD_VARIABLE

EXAMPLE = Path(__file__).parents[2] / "examples" / "breast_cancer"
COMMANDS = (
    "train",
    "bin",
    "transform",
    "align",
    "site",
    "score",
    "models",
    "report",
    "audit",
    "access",
    "info",
    "keygen",
    "rotate-key",
    "bench",
)


def _fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert main(list(arguments)) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("cipherlane: error: ")
    assert "Traceback" not in captured.err
    return captured.err


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command_teaches_with_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert "examples:" in text
    assert f"cipherlane {command}" in text


@pytest.mark.parametrize("arguments", [[], ["fly"], ["train"], ["score", "run"], ["keygen"]])
def test_a_wrong_call_is_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2


def test_version_and_info(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out.strip() == f"cipherlane {cl.__version__}"
    assert main(["info"]) == 0
    text = capsys.readouterr().out
    assert cl.__version__ in text
    assert all(backend in text for backend in cl.backends())


def test_training_tells_what_it_does(example_plan: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = example_plan.parent / "runs" / "told"
    assert main(["train", str(example_plan), "--out", str(out)]) == 0
    captured = capsys.readouterr()
    assert f"run directory: {out}" in captured.out
    assert "compiles numerical kernels" in captured.err
    assert "round 1: mean log-likelihood" in captured.err
    assert check_complete(out)


def test_models_lists_every_model(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", str(trained)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert "2 components (full) over 10 columns of guest" in lines[0]
    assert "over 30 columns of guest, host" in lines[2]


def test_report_prints_and_writes(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (trained / "report.md").unlink()
    assert main(["report", str(trained)]) == 0
    text = capsys.readouterr().out
    for part in (
        "adjusted Rand index: 0.79",
        "ciphertexts of scheme djn with a 1024-bit key",
        "less than 1 %",
    ):
        assert part in text
    assert (trained / "report.md").read_text(encoding="utf-8") in text
    assert (trained / "log_likelihood.png").read_bytes().startswith(b"\x89PNG")
    assert (trained / "seconds.png").read_bytes().startswith(b"\x89PNG")


def test_a_report_needs_no_plotting_library(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cipherlane.report import write_report

    for name in [name for name in sys.modules if name.startswith("matplotlib")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "cipherlane.report.plots", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for name in ("metrics.json", "quality.json", "transcript.jsonl"):
        shutil.copy(trained / name, tmp_path / name)
    assert write_report(tmp_path) == [tmp_path / "report.md", tmp_path / "report.html"]


def test_score_prints_or_writes_what_training_gave(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = [f"--data=guest={EXAMPLE / 'guest.csv'}", f"--data=host={EXAMPLE / 'host.csv'}"]
    capsys.readouterr()
    assert main(["score", str(trained), *data]) == 0
    printed = capsys.readouterr()
    assert "569 rows, mean log-likelihood -9.99" in printed.err
    expected = (trained / "assignments.csv").read_text(encoding="utf-8")
    assert printed.out == expected
    out = tmp_path / "scores.csv"
    assert main(["score", str(trained / "models" / "joint.npz"), *data, "--out", str(out)]) == 0
    with out.open() as stream:
        found = {row["id"]: row["component"] for row in csv.DictReader(stream)}
    trained_rows = {row["id"]: row["component"] for row in csv.DictReader(expected.splitlines())}
    assert found == trained_rows
    assert "exists already" in _fails(capsys, "score", str(trained), *data, "--out", str(out))
    nowhere = tmp_path / "nowhere" / "scores.csv"
    assert "nowhere: no such directory" in _fails(capsys, "score", str(trained), *data, "--out", str(nowhere))


def test_errors_name_what_is_wrong(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "none.toml: no such file" in _fails(capsys, "train", str(tmp_path / "none.toml"))
    assert "not a run directory" in _fails(capsys, "report", str(tmp_path))
    assert "not a run directory" in _fails(capsys, "models", str(tmp_path))
    assert "expected PARTY=FILE, got 'x.csv'" in _fails(capsys, "score", str(trained), "--data", "x.csv")
    twice = ["--data", "guest=a.csv", "--data", "guest=b.csv"]
    assert "'guest' is given twice" in _fails(capsys, "score", str(trained), *twice)
    assert "give --data guest=FILE.csv --data host=FILE.csv" in _fails(
        capsys, "score", str(trained), "--data", "guest=a.csv"
    )
    (tmp_path / "metrics.json").write_text("{", encoding="utf-8")
    (tmp_path / "status.json").write_text('{"state": "complete"}', encoding="utf-8")
    assert "not valid JSON" in _fails(capsys, "report", str(tmp_path))


def test_keygen_writes_a_pair_that_works(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, "correct horse")
    name = tmp_path / "keys" / "clinic"
    assert main(["keygen", "--out", str(name), "--bits", "1024"]) == 0
    public_file, private_file = (tmp_path / "keys" / f"clinic.{end}" for end in ("public.json", "private.pem"))
    assert private_file.stat().st_mode & 0o777 == 0o600
    public = cl.PublicKey.from_json(public_file.read_text())
    private = cl.PrivateKey.from_pem(private_file.read_text(), "correct horse")
    assert private.public_key == public
    assert private.decrypt(public.encrypt([1.5])).tolist() == [1.5]
    assert str(private.p) not in private_file.read_text()
    assert "exists already" in _fails(capsys, "keygen", "--out", str(name))


def test_keygen_takes_its_password_from_a_file_and_needs_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)
    password = tmp_path / "password"
    password.write_text("from a file\nsecond line\n")
    arguments = ["keygen", "--out", str(tmp_path / "a"), "--bits", "1024", "--scheme", "classic"]
    assert main([*arguments, "--password-file", str(password)]) == 0
    text = (tmp_path / "a.private.pem").read_text()
    assert cl.PrivateKey.from_pem(text, "from a file").public_key.scheme == "classic"
    arguments[2] = str(tmp_path / "b")
    assert "no password" in _fails(capsys, *arguments)
    password.write_text("")
    assert "the password is empty" in _fails(capsys, *arguments, "--password-file", str(password))
    password.write_text("x")
    assert "bits" in _fails(capsys, "keygen", "--out", arguments[2], "--bits", "1000", "--password-file", str(password))
    assert not list(tmp_path.glob("b.*"))


def test_keygen_makes_short_keys_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, "secret")
    assert main(["keygen", "--out", str(tmp_path / "a"), "--bits", "1024", "--scheme", "short"]) == 0
    public = cl.PublicKey.from_json((tmp_path / "a.public.json").read_text())
    private = cl.PrivateKey.from_pem((tmp_path / "a.private.pem").read_text(), "secret")
    assert public.scheme == private.public_key.scheme == "short"
    assert private.decrypt(public.encrypt([1.5])).tolist() == [1.5]


def test_a_killed_training_is_resumed_from_the_command_line(example_plan: Path, tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    text = (
        example_plan.read_text()
        .replace("tolerance = 1e-3", "tolerance = 0.0")
        .replace("max_iterations = 100", "max_iterations = 20")
    )
    text = text.replace("responsibility_decimals = 2", "responsibility_decimals = -1")
    plan.write_text(text.replace('data = "', f'data = "{example_plan.parent}/'))
    out = tmp_path / "run"
    command = [sys.executable, "-m", "cipherlane", "train", str(plan), "--out", str(out)]
    package = str(Path(cl.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([package, os.environ.get("PYTHONPATH", "")])}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("round 3:"):
            process.send_signal(signal.SIGKILL)
            break
    process.stderr.close()
    assert process.wait() == -signal.SIGKILL
    assert not out.exists()
    assert json.loads((tmp_path / "run.partial" / "status.json").read_text()) == {"state": "running"}
    done = subprocess.run([*command, "--resume"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "round 1:" not in done.stderr
    whole = train(plan, tmp_path / "whole")
    resumed = json.loads((out / "metrics.json").read_text())
    assert [r["log_likelihood"] for r in resumed["iterations"]] == [
        r["log_likelihood"] for r in whole.metrics["iterations"]
    ]
    assert (out / "assignments.csv").read_bytes() == (whole.directory / "assignments.csv").read_bytes()


def test_the_example_clusters_the_tumours_with_a_2048_bit_key_in_seconds(tmp_path: Path) -> None:
    run = train(EXAMPLE / "plan.toml", tmp_path / "run")
    quality = json.loads((run.directory / "quality.json").read_text())
    assert run.converged
    assert quality["accuracy"] > 0.94
    assert quality["adjusted_rand_index"] > 0.78
    ciphertexts = run.metrics["totals"]["ciphertexts"]
    assert (ciphertexts["scheme"], ciphertexts["key_bits"]) == ("djn", 2048)
    assert ciphertexts["scores_from_parties"] == 2 * 18 * run.iterations


def test_warnings_and_system_errors_are_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, "correct horse")
    file = tmp_path / "file"
    file.write_text("")
    capsys.readouterr()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert main(["keygen", "--out", str(file / "key"), "--bits", "1024"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(": ")[2].partition(" ")[0] for line in lines] == ["warning:", "error:"]
    assert f"{file}" in lines[1] and "check the path" in lines[1] and "Errno" not in lines[1]


def test_a_pair_of_keys_is_written_whole_or_not_at_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, "correct horse")

    def full(self: Path, *_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self))

    monkeypatch.setattr(Path, "write_text", full)
    capsys.readouterr()
    assert main(["keygen", "--out", str(tmp_path / "key"), "--bits", "1024"]) == 1
    assert "key.public.json: no space left on device; check" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_has_seen_enough_is_no_error_to_speak_of(trained: Path) -> None:
    data = [f"--data=guest={EXAMPLE / 'guest.csv'}", f"--data=host={EXAMPLE / 'host.csv'}"]
    command = [sys.executable, "-u", "-m", "cipherlane", "score", str(trained), *data]
    package = str(Path(cl.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([package, os.environ.get("PYTHONPATH", "")])}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert process.wait() == 1
    assert "error" not in errors and "Traceback" not in errors and "Broken" not in errors


def test_the_plan_in_the_help_trains(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    lines = capsys.readouterr().out.partition("the shortest plan")[2].splitlines()[1:]
    plan = "\n".join(itertools.takewhile(str.strip, lines))
    for name in ("guest.csv", "host.csv"):
        shutil.copy(EXAMPLE / name, tmp_path / name)
    (tmp_path / "plan.toml").write_text("[encryption]\nkey_bits = 1024\n" + plan)
    run = train(tmp_path / "plan.toml", tmp_path / "run")
    assert run.metrics["rows"] == 569


def test_rotate_key_seals_a_run_s_files_anew_and_not_while_it_runs(
    example_plan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, refused, own = tmp_path / "run", [], tmp_path / "own"
    plan = example_plan.with_name("own.toml")
    plan.write_text(example_plan.read_text().replace('"host.csv"', f'"host.csv"\ndirectory = "{own}"'))
    guest = tmp_path / "run.partial" / "parties" / "guest"

    def stop(event: Progress) -> None:
        if event.record is not None and event.record.round == 2:
            refused.extend(_fails(capsys, "rotate-key", str(directory)) for directory in (guest, own))
            raise InterruptedError

    with pytest.raises(InterruptedError):
        train(plan, out, progress=stop)
    assert "is working on this run" in refused[0]
    assert f"{own / next(path.name for path in own.iterdir() if path.is_dir())}: a run is using" in refused[1]
    key = (guest / "seal.key").read_bytes()
    assert main(["rotate-key", str(guest)]) == 0
    assert "4 files below" in capsys.readouterr().out
    assert own.stat().st_mode & 0o777 == 0o700
    assert main(["rotate-key", str(own)]) == 0
    assert (guest / "seal.key").read_bytes() != key
    assert train(plan, out, resume=True).converged
    assert "no such directory" in _fails(capsys, "rotate-key", str(tmp_path / "none"))
    assert "expected the file of a key, found none" in _fails(capsys, "rotate-key", str(tmp_path))
