"""A whole federation on one machine: FLARE's simulator runs the server and each site in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from cipherlane.errors import ProtocolError
from cipherlane.federation.engine import Transcript
from cipherlane.federation.flare.calls import MODEL_VARIABLE, PATIENCE, RUN_VARIABLE, run_name_of
from cipherlane.federation.flare.extra import flare_needed
from cipherlane.federation.flare.kits import ALLOWED_CLASSES
from cipherlane.federation.flare.reports import PROGRESS_FILE, RESULT_DIRECTORY, ReportReader
from cipherlane.federation.plan import Plan
from cipherlane.federation.plan_reader import parse_plan
from cipherlane.federation.registry import check_continues, version_of
from cipherlane.federation.run_session import Progress
from cipherlane.federation.run_store import METRICS_FILE, TRANSCRIPT_FILE, parent_begun_from
from cipherlane.federation.training import Run
from cipherlane.files import SITE_VARIABLE
from cipherlane.report import read_json

_POLL_SECONDS = 0.05
# How often the sites' processes are looked at, and how often in turn one has to be missed to count as lost.
_LOOK_SECONDS = 2.0
_MISSED_LOOKS = 3
_LOG_LINES = 5


def train_in_simulator(
    plan: Plan,
    final: Path,
    *,
    resume: bool,
    tell: Callable[[Progress], None],
    parent: Path | None = None,
    patience: float = PATIENCE,
) -> Run:
    """Train a plan with every role as a site of FLARE's simulator; parameters as for `train`.

    Raises
    ------
    MissingExtraError
        FLARE is not installed.
    ValueError
        A path of the plan leads out of the plan's directory.
    CipherlaneError
        As for `train`.
    """
    base = plan.base.resolve()
    relative = parse_plan(plan.text, source=plan.name, base=".")
    with flare_needed():
        from cipherlane.federation.flare.job import export_job, site_names
    if resume and parent is None:
        parent = parent_begun_from(final)
    environment = {SITE_VARIABLE: str(base), RUN_VARIABLE: str(final.resolve())}
    digest = ""
    if parent is not None:
        version = version_of(parent)
        check_continues(version, plan)
        digest, environment[MODEL_VARIABLE] = version.digest, str(parent.resolve())

    def make(folder: Path) -> Path:
        return export_job(relative, run_name_of(final), folder, resume=resume, parent=digest, patience=patience)

    # All roles have written what is theirs before the run gets its name.
    with simulated(make, site_names(plan), environment, lambda workspace: final.exists(), tell):
        metrics = read_json(final / METRICS_FILE)
    return Run(final, plan, metrics, Transcript(final / TRANSCRIPT_FILE))


@contextmanager
def simulated(
    make: Callable[[Path], Path],
    sites: Sequence[str],
    environment: Mapping[str, str],
    is_done: Callable[[Path], bool],
    tell: Callable[[Progress], None],
) -> Iterator[Path]:
    """Run a job in FLARE's simulator to its end, and hold the simulator's workspace for the body.

    Parameters
    ----------
    make
        Makes the job below a folder and returns where it lies.
    sites
        The sites' names.
    environment
        Variables to set for all of its processes.
    is_done
        Whether the job has done all that is wanted of it, given the workspace.
    tell
        What progress is passed on to.
    """
    with tempfile.TemporaryDirectory(prefix="cipherlane-flare-") as name:
        folder = Path(name)
        workspace = folder / "workspace"
        _allow(workspace, ALLOWED_CLASSES)
        command = [sys.executable, "-m", "nvflare.private.fed.app.simulator.simulator", str(make(folder))]
        command += ["-w", str(workspace), "-c", ",".join(sites), "-t", str(len(sites))]
        with _process(command, {**os.environ, **environment}, folder / "log.txt") as simulator:
            _follow(simulator, workspace, is_done, tell)
        if not is_done(workspace):
            raise ProtocolError(f"FLARE's simulator ended without a result; its last words: {_last_words(folder)}")
        yield workspace


def _allow(workspace: Path, classes: tuple[str, ...]) -> None:
    """Let the simulator's sites build these classes beside those that FLARE allows by default."""
    from nvflare.app_common.default_component_policy import DEFAULT_CLASS_ALLOW_LIST

    local = workspace / "local"
    local.mkdir(parents=True)
    settings = {"format_version": 2, "class_allow_list": [*DEFAULT_CLASS_ALLOW_LIST, *classes]}
    (local / "resources.json").write_text(json.dumps(settings), encoding="utf-8")


@contextmanager
def _process(command: list[str], environment: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
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


def _follow(
    simulator: subprocess.Popen[bytes],
    workspace: Path,
    is_done: Callable[[Path], bool],
    tell: Callable[[Progress], None],
) -> None:
    """Pass on what the coordinator reports until all is done, and raise the error it reports."""
    reports = ReportReader(tell)
    sites = _Sites(simulator.pid)
    while True:
        running = simulator.poll() is None and not is_done(workspace)
        for path in workspace.glob(f"server/*/{RESULT_DIRECTORY}/{PROGRESS_FILE}"):
            reports.follow(path)
        if not running:
            return
        sites.check()
        time.sleep(_POLL_SECONDS)


class _Sites:
    """The processes of the sites, of which none may end before the job does: the simulator starts none again."""

    def __init__(self, simulator: int) -> None:
        self._simulator = simulator
        self._missed: dict[str, int] = {}
        self._next_look = 0.0

    def check(self) -> None:
        """Raise `ProtocolError` with the names of sites whose processes have ended."""
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + _LOOK_SECONDS
        there = self._there()
        self._missed = {name: 0 if name in there else self._missed[name] + 1 for name in {*self._missed, *there}}
        lost = sorted(name for name, missed in self._missed.items() if missed >= _MISSED_LOOKS)
        if lost:
            raise ProtocolError(
                f"{' and '.join(map(repr, lost))}: the process has ended while the run was on (killed, or out of "
                "memory); go on with the run by --resume"
            )

    def _there(self) -> set[str]:
        import psutil

        found = set()
        with suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self._simulator).children(recursive=True):
                with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                    words = child.cmdline()
                    if "--client" in words[:-1]:
                        found.add(words[words.index("--client") + 1])
        return found


def _last_words(folder: Path) -> str:
    lines = (folder / "log.txt").read_text(encoding="utf-8", errors="replace").splitlines()
    return " | ".join(lines[-_LOG_LINES:]) or "(none)"
