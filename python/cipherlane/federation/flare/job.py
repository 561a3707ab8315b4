"""The job that is handed to FLARE: settings only, no code."""

from __future__ import annotations

import base64
import contextlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from nvflare.collab import CollabRecipe

from cipherlane.federation.flare.calls import PATIENCE
from cipherlane.federation.flare.server import FlareCoordinator, FlareScorer
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


def export_job(
    plan: Plan,
    run_name: str,
    directory: Path,
    *,
    resume: bool = False,
    patience: float = PATIENCE,
    parent: str = "",
) -> Path:
    """Write the job of a run below `directory` and return its folder.

    Parameters
    ----------
    plan
        What to run. The settings of the server's part of the job hold its text; sites are sent their own section only.
    run_name
        The run's name at server and sites, and the job's.
    resume, patience, parent
        As for `FlareCoordinator`.
    """
    server = FlareCoordinator(_in_base64(plan.text), run_name, resume, patience, parent)
    return _exported(server, run_name, site_names(plan), directory)


def export_scoring_job(
    version: str, data: Mapping[str, str], run_name: str, directory: Path, *, patience: float = PATIENCE
) -> Path:
    """Write the job that applies a version's model to other rows below `directory` and return its folder.

    Parameters
    ----------
    version, data, run_name, patience
        As for `FlareScorer`, `data` as a mapping.
    """
    server = FlareScorer(version, _in_base64(json.dumps(dict(data))), run_name, patience)
    return _exported(server, run_name, [*data, ARBITER], directory)


def _in_base64(text: str) -> str:
    # FLARE would replace what stands in braces.
    return base64.b64encode(text.encode()).decode()


def _exported(server: object, run_name: str, sites: Sequence[str], directory: Path) -> Path:
    recipe = _InstalledOnly(
        run_name, server=server, client=FlareSite(), min_clients=len(sites), sync_task_timeout=START_SECONDS
    )
    # Site by site, so that the server's part goes to the server alone.
    recipe.set_per_site_config({name: {} for name in sites})
    job = recipe.finalize()
    job.set_app_packages(["cipherlane"])
    with contextlib.redirect_stdout(io.StringIO()):
        job.export_job(str(directory))
    return directory / run_name


def site_names(plan: Plan) -> list[str]:
    """Return the names that the sites of a plan must have: those of its roles."""
    return list(plan.roles)
