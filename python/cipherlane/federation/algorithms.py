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
from cipherlane.federation.plan import ArbiterPlan, Plan
from cipherlane.vertical.sealed_files import SealedStore


def coordinator_of(plan: Plan, engine: Engine) -> Coordinator:
    """Return the coordinator that drives a run of `plan` over an engine."""
    return HorizontalCoordinator(plan, engine) if plan.is_horizontal else Coordinator(plan, engine)


def arbiter_of(is_horizontal: bool, store: SealedStore, joint_model: Path | None, key: ArbiterPlan | None) -> Arbiter:
    """Return the arbiter; it writes the joint model into a file, and uses a key pair of its own, if one is given."""
    return HorizontalArbiter(store, key) if is_horizontal else Arbiter(store, joint_model, key)


def party_type_of(is_horizontal: bool) -> type[DataParty]:
    """Return the class of the data parties, to `prepare` or `reopen` one."""
    return HorizontalParty if is_horizontal else DataParty
