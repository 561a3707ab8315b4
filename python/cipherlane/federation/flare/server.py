"""What runs at FLARE's server: the coordinator of a run, or of applying a run's model to other rows."""

from __future__ import annotations

import base64
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from nvflare.collab import collab

from cipherlane.federation.binning_run import bin_elsewhere
from cipherlane.federation.engine import Engine, Transcript, TranscriptEntry
from cipherlane.federation.flare.calls import MODEL_VARIABLE, PATIENCE, RUN_VARIABLE, RUNS
from cipherlane.federation.flare.collab_site import connected_sites
from cipherlane.federation.flare.engine import FlareEngine
from cipherlane.federation.flare.reports import (
    PROGRESS_FILE,
    PROGRESS_TOPIC,
    RESULT_DIRECTORY,
    RUN_DIRECTORY,
    SCORES_FILE,
    ReportWriter,
)
from cipherlane.federation.plan_reader import parse_plan
from cipherlane.federation.registry import Version, check_continues, find, version_of
from cipherlane.federation.run_session import Progress
from cipherlane.federation.run_store import TRANSCRIPT_FILE, plan_of, write_json
from cipherlane.federation.scoring import scoring_plan
from cipherlane.federation.training import train_elsewhere
from cipherlane.federation.version_scoring import score_version
from cipherlane.files import site_directory


class FlareCoordinator:
    """Drives one run from FLARE's server, over its sites.

    Parameters
    ----------
    plan
        The text of the plan, in base64.
    run_name
        Under which name the server and the sites keep their files of the run.
    resume
        Whether to go on from the last checkpoint.
    patience
        Seconds to wait for a site that does not answer.
    parent
        The digest of the version to train on from, of a run on the same server; empty to begin anew.
    """

    def __init__(
        self, plan: str, run_name: str, resume: bool = False, patience: float = PATIENCE, parent: str = ""
    ) -> None:
        self.plan = plan
        self.run_name = run_name
        self.resume = resume
        self.patience = patience
        self.parent = parent

    @collab.main
    def coordinate(self) -> None:
        """Run the plan; progress, and an error's words, go into a file of the job's folder."""
        with _reported() as (result, reports):
            self._run(result, reports)

    def _run(self, result: Path, reports: ReportWriter) -> None:
        plan = parse_plan(base64.b64decode(self.plan).decode(), source=self.run_name)
        site = _own_directory()
        shared = os.environ.get(RUN_VARIABLE)
        final = Path(shared) if shared else site / RUNS / self.run_name
        sites = connected_sites()

        def connect(transcript: Transcript, run_id: str, resume: bool, version: Version | None) -> Engine:
            return FlareEngine(
                plan,
                sites,
                transcript,
                self.run_name,
                run_id,
                resume=resume,
                patience=self.patience,
                version=version,
            )

        # Sites take paths from their own directories; the run keeps where those of its plan start on this machine.
        placed = replace(plan, base=site)
        if plan.binning is not None:
            bin_elsewhere(placed, final, connect, "nvflare", resume=self.resume, tell=reports.tell)
        else:
            parent = _version(site, self.parent).run if self.parent else None
            train_elsewhere(placed, final, connect, "nvflare", resume=self.resume, tell=reports.tell, parent=parent)
        if not shared:
            shutil.copytree(final, result / RUN_DIRECTORY)


class FlareScorer:
    """Lets the sites of a finished run apply its model to other rows, from FLARE's server.

    Parameters
    ----------
    version
        The digest of the version whose model it is.
    data
        Each data party's file by its name, as JSON in base64.
    run_name
        Under which name the guest's site keeps the scores.
    patience
        Seconds to wait for a site that does not answer.
    """

    def __init__(self, version: str, data: str, run_name: str, patience: float = PATIENCE) -> None:
        self.version = version
        self.data = data
        self.run_name = run_name
        self.patience = patience

    @collab.main
    def coordinate(self) -> None:
        """Score the rows; progress, what is public of the result, and an error's words go into the job's folder."""
        with _reported() as (result, reports):
            self._score(result, reports)

    def _score(self, result: Path, reports: ReportWriter) -> None:
        version = _version(_own_directory(), self.version)
        files: Mapping[str, str] = json.loads(base64.b64decode(self.data))
        plan = scoring_plan(plan_of(version.run), {name: Path(file) for name, file in files.items()})
        check_continues(version, plan)

        def watch(entry: TranscriptEntry) -> None:
            reports.tell(Progress("message", message=entry))

        reports.tell(Progress("score"))
        engine = FlareEngine(
            plan,
            connected_sites(),
            Transcript(result / TRANSCRIPT_FILE, watch=watch),
            self.run_name,
            secrets.token_hex(16),
            resume=False,
            patience=self.patience,
            version=version,
            training=False,
        )
        rows, log_likelihood = score_version(plan, engine, version)
        # Last: whoever waits for the result takes it that all is written.
        write_json(result / SCORES_FILE, {"version": version.digest, "rows": rows, "log_likelihood": log_likelihood})


@contextmanager
def _reported() -> Iterator[tuple[Path, ReportWriter]]:
    """Make the folder that FLARE keeps of the job, and put how the body fails into its report."""
    result = Path(collab.workspace.get_run_dir(collab.fl_ctx.get_job_id())) / RESULT_DIRECTORY
    result.mkdir(parents=True, exist_ok=True)
    reports = ReportWriter(result / PROGRESS_FILE)
    collab.fl_ctx.get_engine().register_app_command(PROGRESS_TOPIC, _progress, reports)
    try:
        yield result, reports
    except Exception as error:
        reports.fail(error)
        raise


def _progress(topic: str, data: Mapping[str, int], context: object, reports: ReportWriter) -> dict[str, str]:
    """Answer the administrator who follows the run."""
    return {"lines": reports.since(int(data["start"])).decode()}


def _own_directory() -> Path:
    return site_directory(Path(collab.workspace.get_site_config_dir()))


def _version(site: Path, digest: str) -> Version:
    """Return the version with that digest among this server's runs, or the one that the simulator was told."""
    shared = os.environ.get(MODEL_VARIABLE)
    return version_of(Path(shared)) if shared else find(site / RUNS, digest)
