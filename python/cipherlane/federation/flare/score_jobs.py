"""Applying the model of a finished run to other rows over FLARE: in its simulator, or on the run's sites."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cipherlane.federation.flare.calls import MODEL_VARIABLE, RUN_VARIABLE, run_name_of
from cipherlane.federation.flare.extra import flare_needed
from cipherlane.federation.flare.reports import RESULT_DIRECTORY, SCORES_FILE
from cipherlane.federation.flare.simulator import simulated
from cipherlane.federation.flare.submission import check_administrator, finished_job
from cipherlane.federation.plan import Plan
from cipherlane.federation.registry import Version, check_continues, version_of
from cipherlane.federation.run_session import Progress
from cipherlane.federation.run_store import TRANSCRIPT_FILE, plan_of, rows_file
from cipherlane.federation.scoring import scoring_plan
from cipherlane.files import SITE_VARIABLE
from cipherlane.report import read_json
from cipherlane.vertical.messages import ARBITER


@dataclass(frozen=True)
class SiteScores:
    """What the coordinator knows of rows that were scored over sites.

    Attributes
    ----------
    rows
        How many.
    log_likelihood
        Mean a row; None of a logistic regression, whose scores the guest alone has.
    assignments
        The guest's file of them, or of predictions, as CSV; None where it stays at the guest's site.
    """

    rows: int
    log_likelihood: float | None
    assignments: str | None


def score_in_simulator(
    run: Path, data: Mapping[str, Path], tell: Callable[[Progress], None] = lambda event: None
) -> SiteScores:
    """Score new rows as `score_run` and `predict_run` do, with every role as a site of FLARE's simulator.

    Parameters
    ----------
    run
        The run directory, with its models.
    data
        One CSV file for each data party.
    tell
        Called as for `train`.

    Raises
    ------
    MissingExtraError
        FLARE is not installed.
    ValueError, CipherlaneError
        As for `score_run`.
    """
    version, plan = _checked(run, data)
    with flare_needed():
        from cipherlane.federation.flare.job import export_scoring_job
    # Sites take paths from a directory that holds them all.
    files = {name: path.resolve() for name, path in data.items()}
    base = Path(os.path.commonpath([path.parent for path in files.values()]))
    relative = {name: path.relative_to(base).as_posix() for name, path in files.items()}
    with tempfile.TemporaryDirectory(prefix="cipherlane-scores-") as folder:
        shared = Path(folder) / "shared"
        shared.with_name("shared.partial").mkdir(mode=0o700)
        environment = {SITE_VARIABLE: str(base), RUN_VARIABLE: str(shared), MODEL_VARIABLE: str(run.resolve())}

        def make(job_folder: Path) -> Path:
            return export_scoring_job(version.digest, relative, "scores", job_folder)

        def result(workspace: Path) -> Path | None:
            return next(workspace.glob(f"server/*/{RESULT_DIRECTORY}/{SCORES_FILE}"), None)

        sites = [*relative, ARBITER]
        with simulated(make, sites, environment, lambda workspace: result(workspace) is not None, tell) as workspace:
            found = read_json(result(workspace) or workspace)
        text = (Path(folder) / "shared.partial" / rows_file(plan.model.algorithm)).read_text(encoding="utf-8")
    return SiteScores(found["rows"], found["log_likelihood"], text)


def score_on_sites(
    run: Path,
    data: Mapping[str, Path],
    kit: Path,
    out: Path,
    tell: Callable[[Progress], None] = lambda event: None,
) -> SiteScores:
    """Score rows that sites of a FLARE federation have, with the model that they trained, as its administrator.

    Parameters
    ----------
    run
        The coordinator's files of the run; models are at the sites.
    data
        Each data party's CSV file, as it lies in the directory of that party's site.
    kit
        The administrator's startup kit.
    out
        Where the coordinator's part goes: the number of rows, a mixture's likelihood of them, the transcript. The
        guest's site keeps the scores, in ``scores/NAME`` with the name of this directory.
    tell
        Called as for `train`.

    Raises
    ------
    MissingExtraError
        FLARE is not installed.
    ValueError, CipherlaneError
        As for `score_run` and `train_on_sites`.
    """
    if out.exists():
        raise ValueError(f"{out}: exists already; give another directory with --out")
    version, _ = _checked(run, data)
    check_administrator(kit)
    with flare_needed():
        from cipherlane.federation.flare.job import export_scoring_job
    files = {name: path.as_posix() for name, path in data.items()}

    def make(folder: Path) -> Path:
        return export_scoring_job(version.digest, files, run_name_of(out), folder)

    with finished_job(kit, make, [*data, ARBITER], tell) as result:
        found = read_json(result / SCORES_FILE)
        out.mkdir(parents=True)
        for name in (SCORES_FILE, TRANSCRIPT_FILE):
            shutil.copy(result / name, out)
    return SiteScores(found["rows"], found["log_likelihood"], None)


def _checked(run: Path, data: Mapping[str, Path]) -> tuple[Version, Plan]:
    """Return the version of a run and its plan, after what can be checked before anything is started."""
    version, plan = version_of(run), plan_of(run)
    check_continues(version, scoring_plan(plan, data))
    return version, plan
