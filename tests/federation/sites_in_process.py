"""FLARE's sites without FLARE: hosts of roles in this process, behind lines that may lose what goes over them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from cipherlane.federation import BinningRun, Plan, Progress, Run, load_plan, parse_plan
from cipherlane.federation.binning_run import bin_elsewhere
from cipherlane.federation.engine import Engine, Transcript
from cipherlane.federation.flare.engine import FlareEngine, Unreachable
from cipherlane.federation.flare.role_host import RoleHost
from cipherlane.federation.registry import Version, version_of
from cipherlane.federation.run_session import Connect
from cipherlane.federation.run_store import plan_of
from cipherlane.federation.scoring import scoring_plan
from cipherlane.federation.training import train_elsewhere
from cipherlane.federation.version_scoring import score_version


class Line:
    """A connection to a site that may lose what goes over it."""

    def __init__(self, host: RoleHost, lose: Callable[[int], str | None] = lambda call: None) -> None:
        self.host = host
        self.lose = lose
        self.calls = 0

    def open_role(self, order: bytes, timeout: float) -> bytes:
        return self.host.open_role("server", order)

    def answer(self, session: bytes, number: int, method: str, data: bytes, timeout: float) -> bytes:
        self.calls += 1
        lost = self.lose(self.calls)
        if lost == "request":
            raise Unreachable("lost on the way there")
        reply = self.host.answer("server", session, number, method, data)
        if lost == "reply":
            raise Unreachable("lost on the way back")
        return reply


def train_over(
    plan_file: Path,
    out: Path,
    lines: Mapping[str, Line],
    *,
    resume: bool = False,
    run: str = "first",
    parent: Path | None = None,
    patience: float = 60.0,
    tell: Callable[[Progress], None] = lambda event: None,
) -> Run:
    """Train as FLARE's server does, over these lines."""
    plan, connect = _connecting(plan_file, lines, run, patience)
    return train_elsewhere(plan, out, connect, "nvflare", resume=resume, tell=tell, parent=parent)


def bin_over(
    plan_file: Path,
    out: Path,
    lines: Mapping[str, Line],
    *,
    resume: bool = False,
    tell: Callable[[Progress], None] = lambda event: None,
) -> BinningRun:
    """Bin as FLARE's server does, over these lines."""
    plan, connect = _connecting(plan_file, lines, "first", 60.0)
    return bin_elsewhere(plan, out, connect, "nvflare", resume=resume, tell=tell)


def _connecting(plan_file: Path, lines: Mapping[str, Line], run: str, patience: float) -> tuple[Plan, Connect]:
    plan = parse_plan(load_plan(plan_file).text, source="plan", base=".")

    def connect(transcript: Transcript, run_id: str, goes_on: bool, version: Version | None) -> Engine:
        return FlareEngine(plan, lines, transcript, run, run_id, resume=goes_on, patience=patience, version=version)

    return plan, connect


def score_over(
    run: Path, data: Mapping[str, str], lines: Mapping[str, Line], transcript: Transcript | None = None
) -> tuple[int, float | None]:
    """Apply a run's model to other rows as FLARE's server does, over these lines."""
    version = version_of(run)
    plan = scoring_plan(plan_of(run), {name: Path(file) for name, file in data.items()})
    engine = FlareEngine(
        plan,
        lines,
        transcript or Transcript(),
        "new",
        "1" * 32,
        resume=False,
        patience=60.0,
        version=version,
        training=False,
    )
    return score_version(plan, engine, version)
