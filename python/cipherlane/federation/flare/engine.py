"""Carries the coordinator's calls to FLARE sites: all sites at once, patiently, each call exactly once."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from cipherlane.errors import ProtocolError
from cipherlane.federation.engine import Transcript
from cipherlane.federation.flare.calls import SESSION_BYTES, ModelOrder, RoleOrder, run_name_of
from cipherlane.federation.plan import Plan
from cipherlane.federation.registry import Version
from cipherlane.federation.run_store import run_id_of
from cipherlane.vertical.messages import ARBITER, COORDINATOR, failure_of, unpack

# One wait for a reply; then the same call is made again, which costs the site nothing.
CALL_SECONDS = 120.0
_PAUSE_SECONDS = 2.0
_log = logging.getLogger("cipherlane.federation")


class Unreachable(Exception):
    """A call got no reply in time, or did not get through: it may be made again."""


class Aborted(Exception):
    """FLARE has ended the job while a call was out."""


class Site(Protocol):
    """A remote site: how to call it once."""

    def open_role(self, order: bytes, timeout: float) -> bytes:
        """Tell the site its role."""

    def answer(self, session: bytes, number: int, method: str, data: bytes, timeout: float) -> bytes:
        """Hand the site a message."""


class FlareEngine:
    """The engine `nvflare`.

    Parameters
    ----------
    plan
        Its parties and the arbiter must each have a site of that name.
    sites
        The sites by name.
    transcript
        Where every request and reply is recorded.
    run, run_id, resume
        The run's name, what tells it from others of that name, and whether it goes on from a checkpoint.
    patience
        Seconds to wait for a site that does not answer before the run stops with its name.
    version
        The version whose model the sites have and train on from, or apply; None to begin anew.
    training
        False to apply the model to the rows of the files that the plan names.

    Raises
    ------
    ProtocolError
        The sites are not those of the plan, or one refuses its role; the message says which and why.
    """

    def __init__(
        self,
        plan: Plan,
        sites: Mapping[str, Site],
        transcript: Transcript,
        run: str,
        run_id: str,
        *,
        resume: bool,
        patience: float,
        version: Version | None = None,
        training: bool = True,
    ) -> None:
        self._roles = plan.roles
        if set(sites) != set(self._roles):
            raise ProtocolError(f"sites: expected {sorted(self._roles)}, the roles of the plan, got {sorted(sites)}")
        self._sites = sites
        self._transcript = transcript
        self._patience = patience
        self._session = secrets.token_bytes(SESSION_BYTES)
        self._numbers = dict.fromkeys(self._roles, 0)
        self._pool = ThreadPoolExecutor(max_workers=len(self._roles), thread_name_prefix="cipherlane")
        self._open(self._orders(plan, run, run_id, resume, version, training))

    @property
    def concurrent(self) -> bool:
        """True: sites work at the same time."""
        return True

    @property
    def roles(self) -> Mapping[str, str]:
        """Every role's kind by its name."""
        return self._roles

    def call_all(self, method: str, requests: Mapping[str, bytes]) -> dict[str, bytes]:
        """Call `method` of every role named in `requests` at the same time and return their replies by name."""
        unknown = sorted(set(requests) - set(self._roles))
        if unknown:
            raise ProtocolError(f"engine: expected some of the roles {sorted(self._roles)}, got {unknown}")
        for name, data in requests.items():
            self._numbers[name] += 1
            self._transcript.record(COORDINATOR, name, data)
        calls = {name: self._pool.submit(self._call, name, method, data) for name, data in requests.items()}
        lost = [name for name, call in calls.items() if isinstance(call.exception(), Aborted)]
        if lost:
            raise ProtocolError(
                f"FLARE ended the job while {' and '.join(map(repr, lost))} worked on {method!r}: a process or "
                "connection ended there, or somebody aborted it; see the logs, then go on with the run by --resume"
            )
        replies: dict[str, bytes] = {}
        for name, call in calls.items():
            replies[name] = call.result()
            self._transcript.record(name, COORDINATOR, replies[name], answers=method)
        return replies

    def _orders(
        self, plan: Plan, run: str, run_id: str, resume: bool, version: Version | None, training: bool
    ) -> dict[str, RoleOrder]:
        parties = {party.name: party for party in plan.parties}
        joint = plan.writes_joint_model
        models = {} if version is None else _models_of(version, list(parties))
        return {
            name: RoleOrder(
                self._session,
                run,
                run_id,
                resume,
                plan.model.algorithm,
                name,
                role,
                joint and role == ARBITER,
                parties.get(name),
                None if plan.ledger is None else plan.text,
                plan.arbiter,
                models.get(name),
                training,
            )
            for name, role in self._roles.items()
        }

    def _open(self, orders: Mapping[str, RoleOrder]) -> None:
        opened = {name: self._pool.submit(self._open_site, name, order.to_bytes()) for name, order in orders.items()}
        for name, reply in opened.items():
            answer = unpack(reply.result(), "noted", "failure")
            if answer.kind == "failure":
                raise failure_of(answer, name)

    def _open_site(self, name: str, order: bytes) -> bytes:
        return self._patiently(name, lambda timeout: self._sites[name].open_role(order, timeout))

    def _call(self, name: str, method: str, data: bytes) -> bytes:
        number = self._numbers[name]
        return self._patiently(
            name, lambda timeout: self._sites[name].answer(self._session, number, method, data, timeout)
        )

    def _patiently(self, name: str, call: Callable[[float], bytes]) -> bytes:
        """Make the call until it is answered or patience is at its end."""
        deadline = time.monotonic() + self._patience
        while True:
            left = deadline - time.monotonic()
            try:
                reply = call(max(min(CALL_SECONDS, left), 1.0))
            except Unreachable as error:
                if left <= CALL_SECONDS and time.monotonic() + _PAUSE_SECONDS >= deadline:
                    raise ProtocolError(
                        f"{name!r} has not answered for {self._patience:.0f} s ({error}); see to that site and its "
                        "connection, then go on with the run by --resume"
                    ) from error
                _log.warning("%r has not answered yet (%s); the call is made again", name, error)
                time.sleep(_PAUSE_SECONDS)
            else:
                if not isinstance(reply, bytes):
                    raise ProtocolError(f"{name!r}: expected bytes as a reply, got {type(reply).__name__}")
                return reply


def _models_of(version: Version, parties: list[str]) -> dict[str, ModelOrder]:
    run_id, files = run_id_of(version.run), version.facts["files"]
    run = run_name_of(version.run)
    return {name: ModelOrder(run, run_id, bytes.fromhex(files[f"{name}.npz"])) for name in parties}
