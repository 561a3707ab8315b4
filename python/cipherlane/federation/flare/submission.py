"""Running a plan on a FLARE federation that is up: submit the job, wait for it, take what the coordinator made."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cipherlane.errors import MissingExtraError, ProtocolError
from cipherlane.federation.engine import Transcript
from cipherlane.federation.flare.reports import PROGRESS_FILE, RESULT_DIRECTORY, RUN_DIRECTORY, ReportReader
from cipherlane.federation.plan import Plan, parse_plan
from cipherlane.federation.run_store import METRICS_FILE, TRANSCRIPT_FILE
from cipherlane.federation.training import Progress, Run
from cipherlane.report import read_json

_CONNECT_SECONDS = 30.0


def train_on_sites(plan: Plan, final: Path, kit: Path, *, resume: bool, tell: Callable[[Progress], None]) -> Run:
    """Train a plan on the sites of a FLARE federation, as its administrator.

    Parameters
    ----------
    plan, resume, tell
        As for `train`. Progress is passed on once the job has ended.
    final
        Where the coordinator's files of the run go; models and assignments stay at the sites.
    kit
        The administrator's startup kit.

    Raises
    ------
    MissingExtraError
        FLARE is not installed.
    ValueError
        `kit` is no administrator's kit, or something lies at `final`.
    ProtocolError
        The federation is not reached, or FLARE ended the job without a result.
    CipherlaneError
        As for `train`.
    """
    if final.exists():
        raise ValueError(f"{final}: exists already; give another directory with --out")
    settings = kit / "startup" / "fed_admin.json"
    if not settings.is_file():
        raise ValueError(f"{kit}: not an administrator's startup kit (it has no startup/fed_admin.json)")
    try:
        from nvflare.fuel.flare_api.flare_api import new_secure_session

        from cipherlane.federation.flare.job import export_job
    except ModuleNotFoundError as error:
        raise MissingExtraError("engine nvflare needs NVIDIA FLARE: pip install 'cipherlane[nvflare]'") from error
    tell(Progress("prepare"))
    user = read_json(settings)["admin"]["username"]
    name = re.sub(r"[^A-Za-z0-9._-]", "-", final.name)
    with tempfile.TemporaryDirectory(prefix="cipherlane-flare-") as folder:
        job = export_job(parse_plan(plan.text, source=plan.name, base="."), name, Path(folder), resume=resume)
        try:
            session = new_secure_session(user, str(kit.resolve()), timeout=_CONNECT_SECONDS)
        except Exception as error:
            # FLARE raises one of its own for each way in which a connection may fail.
            raise ProtocolError(f"{kit}: the federation's server is not reached ({error}); is it running?") from error
        try:
            result = _finished_job(session, job, Path(folder))
        finally:
            session.close()
        report = next(result.glob(f"**/{RESULT_DIRECTORY}/{PROGRESS_FILE}"), None)
        if report is None:
            raise ProtocolError(
                f"FLARE ended the job without a word of ours; see the log of its server ({result.name})"
            )
        ReportReader(tell).follow(report)
        final.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(report.parent / RUN_DIRECTORY, final)
    return Run(final, plan, read_json(final / METRICS_FILE), Transcript(final / TRANSCRIPT_FILE))


def _finished_job(session: Any, job: Path, folder: Path) -> Path:
    """Submit a job, wait until FLARE has ended it, and return the folder of what it left."""
    job_id = session.submit_job(str(job))
    session.monitor_job(job_id)
    return Path(session.download_job_result(job_id, str(folder / "result")))
