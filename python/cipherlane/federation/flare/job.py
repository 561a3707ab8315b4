"""The job that is handed to FLARE: settings only, no code."""

from __future__ import annotations

import base64
import contextlib
import io
from pathlib import Path

from nvflare.collab import CollabRecipe

from cipherlane.federation.flare.server import FlareCoordinator
from cipherlane.federation.flare.site import FlareSite
from cipherlane.federation.plan import Plan
from cipherlane.vertical.messages import ARBITER

# How long sites may take to load their software when a job starts.
START_SECONDS = 300


class _InstalledOnly(CollabRecipe):  # type: ignore[misc]
    """A recipe whose job carries no source files: sites run what they have installed."""

    @staticmethod
    def _user_source_entries(objs: object) -> list[tuple[str, str | None]]:
        return []


def export_job(plan: Plan, run_name: str, directory: Path, *, resume: bool = False, patience: float = 3600.0) -> Path:
    """Write the job of a run below `directory` and return its folder.

    Parameters
    ----------
    plan
        What to run. The settings of the server's part of the job hold its text; sites are sent their own section only.
    run_name
        The run's name at server and sites, and the job's.
    resume, patience
        As for `FlareCoordinator`.
    """
    recipe = _InstalledOnly(
        run_name,
        # In base64, as FLARE would replace what stands in braces.
        server=FlareCoordinator(base64.b64encode(plan.text.encode()).decode(), run_name, resume, patience),
        client=FlareSite(),
        min_clients=len(plan.parties) + 1,
        sync_task_timeout=START_SECONDS,
    )
    # Site by site, so that the server's part goes to the server alone.
    recipe.set_per_site_config({name: {} for name in site_names(plan)})
    job = recipe.finalize()
    job.set_app_packages(["cipherlane"])
    with contextlib.redirect_stdout(io.StringIO()):
        job.export_job(str(directory))
    return directory / run_name


def site_names(plan: Plan) -> list[str]:
    """Return the names that the sites of a plan must have: the parties' and "arbiter"."""
    return [*(party.name for party in plan.parties), ARBITER]
