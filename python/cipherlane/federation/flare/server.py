"""What runs at FLARE's server: the coordinator of a run."""

from __future__ import annotations

import base64
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from nvflare.collab import CollabCallError, collab
from nvflare.collab.api.exceptions import RunAborted

from cipherlane.errors import ProtocolError
from cipherlane.federation.engine import Engine, Transcript
from cipherlane.federation.flare.calls import RUN_VARIABLE, site_directory
from cipherlane.federation.flare.engine import Aborted, FlareEngine, Unreachable
from cipherlane.federation.flare.reports import PROGRESS_FILE, RESULT_DIRECTORY, RUN_DIRECTORY, ReportWriter
from cipherlane.federation.plan import parse_plan
from cipherlane.federation.training import train_elsewhere

# What a call fails with while a site is away or a message lost; anything else is an error of the site's software.
_PASSING = frozenset({"TimeoutError", "str"})


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
    """

    def __init__(self, plan: str, run_name: str, resume: bool = False, patience: float = 3600.0) -> None:
        self.plan = plan
        self.run_name = run_name
        self.resume = resume
        self.patience = patience

    @collab.main
    def coordinate(self) -> None:
        """Run the plan; progress, and an error's words, go into a file of the job's folder."""
        result = Path(collab.workspace.get_run_dir(collab.fl_ctx.get_job_id())) / RESULT_DIRECTORY
        result.mkdir(parents=True, exist_ok=True)
        reports = ReportWriter(result / PROGRESS_FILE)
        try:
            self._train(result, reports)
        except Exception as error:
            reports.fail(error)
            raise

    def _train(self, result: Path, reports: ReportWriter) -> None:
        plan = parse_plan(base64.b64decode(self.plan).decode(), source=self.run_name)
        site = site_directory(Path(collab.workspace.get_site_config_dir()))
        shared = os.environ.get(RUN_VARIABLE)
        final = Path(shared) if shared else site / "runs" / self.run_name
        sites = {proxy.name: _CollabSite(proxy) for proxy in collab.clients}

        def connect(transcript: Transcript, run_id: str, resume: bool) -> Engine:
            return FlareEngine(plan, sites, transcript, self.run_name, run_id, resume=resume, patience=self.patience)

        # Sites take paths from their own directories; the run keeps where those of its plan start on this machine.
        placed = replace(plan, base=site)
        run = train_elsewhere(placed, final, connect, "nvflare", resume=self.resume, tell=reports.tell)
        if not shared:
            shutil.copytree(run.directory, result / RUN_DIRECTORY)


class _CollabSite:
    """A FLARE client as the engine calls it."""

    def __init__(self, proxy: Any) -> None:
        self._proxy = proxy

    def open_role(self, order: bytes, timeout: float) -> bytes:
        return self._called(lambda: self._proxy(timeout=timeout).open_role(order=order))

    def answer(self, session: bytes, number: int, method: str, data: bytes, timeout: float) -> bytes:
        call = {"session": session, "number": number, "method": method, "data": data}
        return self._called(lambda: self._proxy(timeout=timeout).answer(**call))

    def _called(self, call: Any) -> bytes:
        try:
            reply: bytes = call()
        except RunAborted as error:
            raise Aborted from error
        except CollabCallError as error:
            if error.cause_type in _PASSING:
                raise Unreachable(str(error.cause)) from error
            raise ProtocolError(
                f"{self._proxy.name!r}: its software failed ({error.cause}); see that site's log"
            ) from error
        return reply
