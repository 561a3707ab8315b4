"""The engine `nvflare` in FLARE's simulator: every role a process, and the same result bit for bit."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from cipherlane.cli import main
from cipherlane.errors import MissingExtraError, ProtocolError
from cipherlane.federation import Progress, load_plan, train
from cipherlane.federation.flare import simulator
from cipherlane.federation.flare.simulator import train_in_simulator
from cipherlane.progress import ProgressPrinter
from cipherlane.report import read_json

WritePlan = Callable[..., Path]


@pytest.fixture
def flare() -> None:
    pytest.importorskip("nvflare", minversion="2.9", reason="the extra `nvflare` is not installed")


@pytest.mark.usefixtures("flare")
def test_a_simulated_federation_trains_on_with_the_local_result_bit_for_bit(
    tmp_path: Path, write_plan: WritePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = tmp_path / "runs"
    plan = write_plan(
        widths=(2, 2, 3),
        training__checkpoint_every=2,
        training__max_iterations=3,
        privacy__responsibility_decimals=3,
    )
    first = train(plan, runs / "first")
    local = train(first.plan, tmp_path / "local", parent=first.directory)
    events: list[Progress] = []
    show = ProgressPrinter.show
    monkeypatch.setattr(ProgressPrinter, "show", lambda self, event: (events.append(event), show(self, event)))
    arguments = ["models", "continue", str(first.directory), "--engine", "nvflare", "--out", str(runs / "second")]
    assert main(arguments) == 0
    second = runs / "second"
    metrics = read_json(second / "metrics.json")
    for name in ("guest", "host1", "host2", "joint"):
        ours, theirs = (root / "models" / f"{name}.npz" for root in (second, local.directory))
        assert ours.read_bytes() == theirs.read_bytes(), name
    assert (second / "assignments.csv").read_bytes() == (local.directory / "assignments.csv").read_bytes()
    for field in ("round", "log_likelihood", "change", "counts", "weights", "converged"):
        assert [r[field] for r in metrics["iterations"]] == [r[field] for r in local.metrics["iterations"]]
    assert metrics["engine"] == "nvflare" and metrics["model"] == local.metrics["model"]
    assert metrics["totals"]["messages"] == local.metrics["totals"]["messages"]
    assert [event.record.round for event in events if event.record is not None] == [1, 2, 3]
    assert len([event for event in events if event.message is not None]) == metrics["totals"]["messages"]
    page = (second / "report.html").read_text(encoding="utf-8")
    assert "engine nvflare" in page and "Parties worked at the same time" in page


@pytest.mark.usefixtures("flare")
def test_a_site_that_is_killed_is_named_and_the_run_resumes_to_the_same_model(
    tmp_path: Path, write_plan: WritePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulator, "_LOOK_SECONDS", 0.5)
    plan = write_plan(training__checkpoint_every=1)
    local = train(plan, tmp_path / "local")
    killed: list[int] = []

    def kill(event: Progress) -> None:
        if event.record is not None and event.record.round == 2:
            for process in psutil.Process().children(recursive=True):
                # Others of the simulator's processes come and go.
                with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                    words = process.cmdline()
                    if "--client" in words and words[words.index("--client") + 1] == "host1":
                        process.kill()
                        killed.append(process.pid)

    refused = ""
    # Where this process is told of the second round too late, the run is over before the kill comes.
    for attempt in range(5):
        killed.clear()
        out = tmp_path / f"flare{attempt}"
        try:
            train(plan, out, engine="nvflare", progress=kill)
        except ProtocolError as error:
            refused = str(error)
            break
    assert re.search(r"'host1'.*--resume$", refused), refused
    assert len(killed) == 1 and Path(f"{out}.partial").is_dir()
    rounds: list[int] = []

    def note(event: Progress) -> None:
        if event.record is not None:
            rounds.append(event.record.round)

    run = train(plan, out, engine="nvflare", resume=True, progress=note)
    assert 1 not in rounds, "what was done before the kill is not done again"
    for name in ("guest", "host1", "joint"):
        ours, theirs = (root / "models" / f"{name}.npz" for root in (run.directory, local.directory))
        assert ours.read_bytes() == theirs.read_bytes(), name
    assert run.metrics["model"] == local.metrics["model"]


@pytest.mark.usefixtures("flare")
def test_a_model_is_applied_in_the_simulator_as_locally(
    tmp_path: Path, write_plan: WritePlan, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = write_plan(training__max_iterations=1, model__algorithm="logistic-regression")
    text = plan.read_text().replace("[privacy]\nresponsibility_decimals = -1\n", "")
    plan.write_text(text.replace("components = 3\nseed = 1\n", ""))
    run = train(plan, tmp_path / "run").directory
    data = [f"--data={name}={tmp_path / name}.csv" for name in ("guest", "host1")]
    capsys.readouterr()
    assert main(["score", str(run), *data]) == 0
    expected = capsys.readouterr().out
    assert expected.startswith("index,label,predict_result,") and expected.count("\n") == 121
    assert main(["score", str(run), "--engine", "nvflare", *data, "--out", str(tmp_path / "scores.csv")]) == 0
    assert (tmp_path / "scores.csv").read_text() == expected
    assert capsys.readouterr().err.endswith("120 rows\n")


@pytest.mark.usefixtures("flare")
def test_a_refusal_at_a_site_ends_the_run_in_the_same_words(tmp_path: Path, write_plan: WritePlan) -> None:
    plan = write_plan()
    host = tmp_path / "host1.csv"
    lines = host.read_text().splitlines()
    host.write_text("\n".join(lines[:-3]))
    with pytest.raises(ProtocolError, match="3 only at 'guest'"):
        train(plan, tmp_path / "runs" / "flare", engine="nvflare")
    assert list((tmp_path / "runs").iterdir()) == []


@pytest.mark.usefixtures("flare")
def test_a_job_carries_settings_only_and_sites_get_no_plan(tmp_path: Path, write_plan: WritePlan) -> None:
    from cipherlane.federation.flare.job import export_job

    job = export_job(load_plan(write_plan()), "first", tmp_path / "job")
    files = sorted(str(path.relative_to(job)) for path in job.rglob("*") if path.is_file())
    assert files == [
        *(f"app_{name}/config/config_fed_client.json" for name in ("arbiter", "guest", "host1")),
        "app_server/config/config_fed_server.json",
        "meta.json",
    ]
    for name in ("arbiter", "guest", "host1"):
        text = (job / f"app_{name}" / "config" / "config_fed_client.json").read_text()
        assert '"plan"' not in text and ".csv" not in text


def test_what_the_simulator_cannot_do_is_said(
    tmp_path: Path, write_plan: WritePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = load_plan(write_plan())
    for name in [name for name in sys.modules if name.split(".")[0] == "nvflare"]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("job", "server", "site"):
        monkeypatch.delitem(sys.modules, f"cipherlane.federation.flare.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "nvflare", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'cipherlane\[nvflare\]'"):
        train_in_simulator(plan, tmp_path / "x", resume=False, tell=lambda event: None)
    with pytest.raises(ValueError, match="kept by engine 'local' alone"):
        train(plan, tmp_path / "x", engine="nvflare", keep_messages=True)


def test_a_site_loads_what_it_uses(tmp_path: Path) -> None:
    # Every role of a run is a process of its own, and scikit-learn takes longer to load than all the rest.
    script = "import sys; import cipherlane.federation.flare.role_host; print('sklearn' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert shown.stdout == "False\n"
