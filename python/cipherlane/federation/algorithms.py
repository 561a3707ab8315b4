"""Which roles run a plan's algorithm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cipherlane.federation.arbiter import Arbiter
from cipherlane.federation.binning_guest import BinningGuest
from cipherlane.federation.binning_host import BinningHost
from cipherlane.federation.coordinator import Coordinator
from cipherlane.federation.data_party import DataParty
from cipherlane.federation.engine import Engine
from cipherlane.federation.horizontal_arbiter import HorizontalArbiter
from cipherlane.federation.horizontal_coordinator import HorizontalCoordinator
from cipherlane.federation.horizontal_party import HorizontalParty
from cipherlane.federation.logistic_arbiter import LogisticArbiter
from cipherlane.federation.logistic_coordinator import LogisticCoordinator
from cipherlane.federation.logistic_party import LogisticParty
from cipherlane.federation.party import Party
from cipherlane.federation.plan import ALGORITHM, BINNING, HORIZONTAL, LOGISTIC, ArbiterPlan, Plan
from cipherlane.vertical.messages import GUEST, HOST
from cipherlane.vertical.sealed_files import SealedStore

_COORDINATORS: dict[str, type[Coordinator]] = {
    ALGORITHM: Coordinator,
    HORIZONTAL: HorizontalCoordinator,
    LOGISTIC: LogisticCoordinator,
}
_PARTIES: dict[str, type[Party[Any, Any]]] = {
    ALGORITHM: DataParty,
    HORIZONTAL: HorizontalParty,
    LOGISTIC: LogisticParty,
}
_BINNING_PARTIES: dict[str, type[Party[Any, Any]]] = {GUEST: BinningGuest, HOST: BinningHost}


def coordinator_of(plan: Plan, engine: Engine) -> Coordinator:
    """Return the coordinator that drives a run of `plan` over an engine."""
    return _COORDINATORS[plan.model.algorithm](plan, engine)


def arbiter_of(algorithm: str, store: SealedStore, joint_model: Path | None, key: ArbiterPlan | None) -> Arbiter:
    """Return the arbiter; it writes the joint model into a file, and uses a key pair of its own, if one is given."""
    if algorithm == HORIZONTAL:
        return HorizontalArbiter(store, key)
    return LogisticArbiter(store, key) if algorithm == LOGISTIC else Arbiter(store, joint_model, key)


def party_type_of(algorithm: str, role: str) -> type[Party[Any, Any]]:
    """Return the class of a data party, to `prepare` or `reopen` one."""
    return _BINNING_PARTIES[role] if algorithm == BINNING else _PARTIES[algorithm]
