"""Which roles run a plan's algorithm."""

from __future__ import annotations

from pathlib import Path

from cipherlane.federation.arbiter import Arbiter
from cipherlane.federation.coordinator import Coordinator
from cipherlane.federation.data_party import DataParty
from cipherlane.federation.engine import Engine
from cipherlane.federation.horizontal_arbiter import HorizontalArbiter
from cipherlane.federation.horizontal_coordinator import HorizontalCoordinator
from cipherlane.federation.horizontal_party import HorizontalParty
from cipherlane.federation.logistic_arbiter import LogisticArbiter
from cipherlane.federation.logistic_coordinator import LogisticCoordinator
from cipherlane.federation.logistic_party import LogisticParty
from cipherlane.federation.plan import ALGORITHM, HORIZONTAL, LOGISTIC, Plan
from cipherlane.vertical.sealed_files import SealedStore

_COORDINATORS: dict[str, type[Coordinator]] = {
    ALGORITHM: Coordinator,
    HORIZONTAL: HorizontalCoordinator,
    LOGISTIC: LogisticCoordinator,
}
_PARTIES: dict[str, type[DataParty]] = {ALGORITHM: DataParty, HORIZONTAL: HorizontalParty, LOGISTIC: LogisticParty}


def coordinator_of(plan: Plan, engine: Engine) -> Coordinator:
    """Return the coordinator that drives a run of `plan` over an engine."""
    return _COORDINATORS[plan.model.algorithm](plan, engine)


def arbiter_of(algorithm: str, store: SealedStore, joint_model: Path | None) -> Arbiter:
    """Return the arbiter; it writes the joint model into a file, if one is given."""
    if algorithm == HORIZONTAL:
        return HorizontalArbiter(store)
    return LogisticArbiter(store) if algorithm == LOGISTIC else Arbiter(store, joint_model)


def party_type_of(algorithm: str) -> type[DataParty]:
    """Return the class of the data parties, to `prepare` or `reopen` one."""
    return _PARTIES[algorithm]
