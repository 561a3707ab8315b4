"""A whole federation on one machine: FLARE's simulator runs the server and each site in a process of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cipherlane.errors import MissingExtraError, ProtocolError
from cipherlane.federation.engine import Transcript
from cipherlane.federation.flare.calls import RUN_VARIABLE, SITE_VARIABLE
from cipherlane.federation.flare.kits import ALLOWED_CLASSES
from cipherlane.federation.flare.reports import PROGRESS_FILE, RESULT_DIRECTORY, ReportReader
from cipherlane.federation.plan import Plan, parse_plan
from cipherlane.federation.run_store import METRICS_FILE, TRANSCRIPT_FILE
from cipherlane.federation.training import Progress, Run
from cipherlane.report import read_json

_POLL_SECONDS = 0.05
_LOG_LINES = 5


def train_in_simulator(
    plan: Plan, final: Path, *, resume: bool, tell: Callable[[Progress], None], keep_messages: bool
) -> Run:
    """Train a plan with every role as a site of FLARE's simulator; parameters as for `train`.

    Raises
    ------
    MissingExtraError
        FLARE is not installed.
    ValueError
        A path of the plan leads out of the plan's directory, or messages are to be kept.
    CipherlaneError
        As for `train`.
    """
    if keep_messages:
        raise ValueError("keep_messages: messages cross between processes and are kept by engine 'local' alone")
    base = plan.base.resolve()
    relative = parse_plan(plan.text, source=plan.name, base=".")
    try:
        from cipherlane.federation.flare.job import export_job, site_names
    except ModuleNotFoundError as error:
        raise MissingExtraError("engine nvflare needs NVIDIA FLARE: pip install 'cipherlane[nvflare]'") from error
    name = re.sub(r"[^A-Za-z0-9._-]", "-", final.name)
    with tempfile.TemporaryDirectory(prefix="cipherlane-flare-") as folder:
        workspace = Path(folder) / "workspace"
        _allow(workspace, ALLOWED_CLASSES)
        job = export_job(relative, name, Path(folder), resume=resume)
        command = [sys.executable, "-m", "nvflare.private.fed.app.simulator.simulator", str(job), "-w", str(workspace)]
        sites = site_names(plan)
        command += ["-c", ",".join(sites), "-t", str(len(sites))]
        environment = {**os.environ, SITE_VARIABLE: str(base), RUN_VARIABLE: str(final.resolve())}
        with _simulator(command, environment, Path(folder) / "log.txt") as simulator:
            _follow(simulator, workspace, final, tell)
        if not (final / METRICS_FILE).is_file():
            raise ProtocolError(f"FLARE's simulator ended without a result; its last words: {_last_words(folder)}")
    metrics = read_json(final / METRICS_FILE)
    return Run(final, plan, metrics, Transcript(final / TRANSCRIPT_FILE))


def _allow(workspace: Path, classes: tuple[str, ...]) -> None:
    """Let the simulator's sites build these classes beside those that FLARE allows by default."""
    from nvflare.app_common.default_component_policy import DEFAULT_CLASS_ALLOW_LIST

    local = workspace / "local"
    local.mkdir(parents=True)
    settings = {"format_version": 2, "class_allow_list": [*DEFAULT_CLASS_ALLOW_LIST, *classes]}
    (local / "resources.json").write_text(json.dumps(settings), encoding="utf-8")


@contextmanager
def _simulator(command: list[str], environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the simulator, and end all of its processes whatever happens."""
    import psutil

    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            # Its sites are in process groups of their own. What has ended by itself meanwhile needs no killing.
            with suppress(psutil.NoSuchProcess):
                for child in psutil.Process(process.pid).children(recursive=True):
                    with suppress(psutil.NoSuchProcess):
                        child.kill()
            process.kill()
            process.wait()


def _follow(simulator: subprocess.Popen[bytes], workspace: Path, final: Path, tell: Callable[[Progress], None]) -> None:
    """Pass on what the coordinator reports until the run is whole, and raise the error it reports."""
    reports = ReportReader(tell)
    while True:
        # All roles have written what is theirs before the run gets its name.
        running = simulator.poll() is None and not final.exists()
        for path in workspace.glob(f"server/*/{RESULT_DIRECTORY}/{PROGRESS_FILE}"):
            reports.follow(path)
        if not running:
            return
        time.sleep(_POLL_SECONDS)


def _last_words(folder: str) -> str:
    lines = (Path(folder) / "log.txt").read_text(encoding="utf-8", errors="replace").splitlines()
    return " | ".join(lines[-_LOG_LINES:]) or "(none)"
