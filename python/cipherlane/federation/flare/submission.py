"""Running a job on a FLARE federation that is up: submit it, follow it, take what the coordinator made."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cipherlane.errors import ProtocolError
from cipherlane.federation.engine import Transcript
from cipherlane.federation.flare.calls import PATIENCE, run_name_of
from cipherlane.federation.flare.certificates import check_certificate
from cipherlane.federation.flare.extra import flare_needed
from cipherlane.federation.flare.reports import (
    PROGRESS_FILE,
    PROGRESS_TOPIC,
    RESULT_DIRECTORY,
    RUN_DIRECTORY,
    ReportReader,
)
from cipherlane.federation.plan import Plan
from cipherlane.federation.plan_reader import parse_plan
from cipherlane.federation.registry import check_continues, version_of
from cipherlane.federation.run_session import Progress
from cipherlane.federation.run_store import METRICS_FILE, TRANSCRIPT_FILE
from cipherlane.federation.training import Run
from cipherlane.report import read_json

_CONNECT_SECONDS = 30.0
_CONNECT_ATTEMPTS = 3
_POLL_SECONDS = 1.0
# How long sites are waited for before a job begins, and how long ago one may have been heard of to count as there.
ARRIVAL_SECONDS = 120.0
_HEARD_SECONDS = 90.0


def train_on_sites(
    plan: Plan,
    final: Path,
    kit: Path,
    *,
    resume: bool,
    tell: Callable[[Progress], None],
    parent: Path | None = None,
    patience: float = PATIENCE,
) -> Run:
    """Train a plan on the sites of a FLARE federation, as its administrator.

    Parameters
    ----------
    plan, resume, tell, patience
        As for `train`.
    final
        Where the coordinator's files of the run go; models and assignments stay at the sites.
    kit
        The administrator's startup kit.
    parent
        The coordinator's files of a finished run on the same sites, to train on from its model.

    Raises
    ------
    MissingExtraError
        FLARE is not installed.
    ValueError
        `kit` is no administrator's kit, something lies at `final`, or `parent` does not fit the plan.
    ProtocolError
        The federation is not reached, a site stays away, or FLARE ended the job without a result.
    CipherlaneError
        As for `train`.
    """
    if final.exists():
        raise ValueError(f"{final}: exists already; give another directory with --out")
    check_administrator(kit)
    with flare_needed():
        from cipherlane.federation.flare.job import export_job, site_names
    digest = ""
    if parent is not None:
        version = version_of(parent)
        check_continues(version, plan)
        digest = version.digest

    def make(folder: Path) -> Path:
        relative = parse_plan(plan.text, source=plan.name, base=".")
        return export_job(relative, run_name_of(final), folder, resume=resume, parent=digest, patience=patience)

    with finished_job(kit, make, site_names(plan), tell) as result:
        final.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(result / RUN_DIRECTORY, final)
    return Run(final, plan, read_json(final / METRICS_FILE), Transcript(final / TRANSCRIPT_FILE))


def check_administrator(kit: Path) -> None:
    """Raise `ValueError` unless a folder is an administrator's startup kit, with a certificate of its federation."""
    if not (kit / "startup" / "fed_admin.json").is_file():
        raise ValueError(f"{kit}: not an administrator's startup kit (it has no startup/fed_admin.json)")
    check_certificate(kit)


@contextmanager
def finished_job(
    kit: Path, make: Callable[[Path], Path], sites: Sequence[str], tell: Callable[[Progress], None]
) -> Iterator[Path]:
    """Run a job on a federation to its end, and hold the folder of what the coordinator left for the body.

    Parameters
    ----------
    kit
        The administrator's startup kit.
    make
        Makes the job below a folder and returns where it lies.
    sites
        The sites that take part.
    tell
        What progress is passed on to.
    """
    tell(Progress("connect"))
    with tempfile.TemporaryDirectory(prefix="cipherlane-flare-") as name, _session(kit) as session:
        folder = Path(name)
        job = make(folder)
        await_sites(session, sites, ARRIVAL_SECONDS)
        reports = ReportReader(tell)
        job_id = session.submit_job(str(job))
        session.monitor_job_and_return_job_meta(job_id, poll_interval=_POLL_SECONDS, cb=_passing_on(reports))
        result = Path(session.download_job_result(job_id, str(folder / "result")))
        report = next(result.glob(f"**/{RESULT_DIRECTORY}/{PROGRESS_FILE}"), None)
        if report is None:
            raise ProtocolError(
                f"FLARE ended the job without a word of ours; see the log of its server ({result.name})"
            )
        reports.follow(report)
        yield report.parent


@contextmanager
def _session(kit: Path) -> Iterator[Any]:
    session = _connected(kit)
    try:
        yield session
    finally:
        session.close()


def _connected(kit: Path) -> Any:
    from nvflare.fuel.flare_api.flare_api import new_secure_session

    user = read_json(kit / "startup" / "fed_admin.json")["admin"]["username"]
    for attempt in range(1, _CONNECT_ATTEMPTS + 1):
        try:
            return new_secure_session(user, str(kit.resolve()), timeout=_CONNECT_SECONDS)
        except Exception as error:
            # FLARE raises one of its own for each way in which a connection may fail, and waits seconds only for a
            # server that is busy.
            if attempt == _CONNECT_ATTEMPTS:
                raise ProtocolError(
                    f"{kit}: the federation's server is not reached ({error}); is it running, and is this kit of the "
                    "same federation?"
                ) from error
            time.sleep(_POLL_SECONDS)
    raise AssertionError("the last attempt returns or raises")


def await_sites(session: Any, sites: Sequence[str], patience: float) -> None:
    """Wait until the server has heard of all sites.

    Raises
    ------
    ProtocolError
        Some have stayed away; the message names them.
    """
    deadline = time.monotonic() + patience
    while missing := sorted(set(sites) - _present(session)):
        if time.monotonic() >= deadline:
            raise ProtocolError(
                f"{' and '.join(map(repr, missing))} did not come within {patience:.0f} s: the site is not running, "
                "cannot reach the server, or has a certificate of another federation, which the server refuses; see "
                "its log.txt. Nothing was begun"
            )
        time.sleep(_POLL_SECONDS)


def _present(session: Any) -> set[str]:
    since = time.time() - _HEARD_SECONDS
    return {site.name for site in session.get_connected_client_list() if (site.last_connect_time or 0) >= since}


def _passing_on(reports: ReportReader) -> Callable[..., bool]:
    """Return what FLARE calls while a job goes on: it passes on what the coordinator has reported since."""
    from nvflare.fuel.flare_api.api_spec import AuthorizationError, InternalError, JobNotRunning, NoReply

    def pass_on(session: Any, job_id: str, meta: dict[str, Any]) -> bool:
        if meta.get("status") == "RUNNING":
            try:
                reply = session.do_app_command(job_id, PROGRESS_TOPIC, {"start": reports.position})
            except (InternalError, JobNotRunning, NoReply, AuthorizationError):
                # It is about to begin, or has just ended, or the server does not tell before it has. What was reported
                # comes with the next call or the result.
                return True
            reports.take(reply["lines"].encode())
        return True

    return pass_on
