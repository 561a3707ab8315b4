"""A role's part in the ledger, made from the plan and the role's own directory, on whatever machine it runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cipherlane.federation.plan import LedgerPlan, Plan
from cipherlane.federation.responder import Responder
from cipherlane.ledger import require_packages
from cipherlane.ledger.lineage import TRAINED_ANEW, Lineage
from cipherlane.ledger.run_files import ASSIGNED, BINNED, PREDICTED, member_directory, model_file, results_file
from cipherlane.vertical.messages import COORDINATOR
from cipherlane.vertical.sealed_files import SealedStore

if TYPE_CHECKING:
    from cipherlane.federation.witness import Witness
    from cipherlane.ledger.accounts import Account
    from cipherlane.ledger.part import Part

_ACCOUNT_FILE = "ledger-account.sealed"
# Commitments beside those of rounds: before the first and after the last, and room for rounds done again.
_SPARE_ROUNDS = 1_000
# A binning commits to every part of its labels; how many there are depends on rows that the plan does not know.
_MOST_PARTS = 1 << 20


def ledger_roles(plan: Plan) -> dict[str, str]:
    """Return every member's kind of role by its name, the coordinator among them."""
    return {COORDINATOR: COORDINATOR, **plan.roles}


def witness_of(role: Responder, plan: Plan, store: SealedStore, run: Path, lineage: Lineage = TRAINED_ANEW) -> Witness:
    """Return a role with its part in the ledger before it: what an engine runs instead of the role.

    Parameters
    ----------
    role
        The arbiter or a data party.
    plan
        The plan as the role itself was given it; its text must be the same at every role.
    store
        The role's sealed directory, which holds its account.
    run
        The run's directory on this machine.
    lineage
        Of the model that it ends with.
    """
    require_packages()
    from cipherlane.federation.witness import Witness
    from cipherlane.ledger.member import Member

    return Witness(role, Member(part_of(role.name, role.role, plan, store, run, role.schema, lineage)))


def part_of(
    name: str,
    role: str,
    plan: Plan,
    store: SealedStore,
    run: Path,
    schema: bytes = b"",
    lineage: Lineage = TRAINED_ANEW,
) -> Part:
    """Return what a role brings to the ledger."""
    from cipherlane.ledger.part import Part

    section = plan.ledger or LedgerPlan()
    return Part(
        name=name,
        account=_account(store),
        directory=member_directory(run, name),
        plan=plan.text.encode(),
        roles=ledger_roles(plan),
        schema=schema,
        model=None if plan.binning is not None else model_file(run, name, role),
        results=results_file(run, name, role, _kind_of(plan)),
        lineage=lineage,
        access_seconds=int(section.access_hours * 3600),
        maximum_rounds=_MOST_PARTS if plan.binning is not None else plan.training.max_iterations + _SPARE_ROUNDS,
        accounts=section.accounts,
    )


def _kind_of(plan: Plan) -> str:
    if plan.binning is not None:
        return BINNED
    return PREDICTED if plan.logistic is not None else ASSIGNED


def _account(store: SealedStore) -> Account:
    """Return the account whose key lies sealed in a role's directory; made where there is none."""
    from cipherlane.ledger.accounts import Account, new_key

    if _ACCOUNT_FILE not in store.names(_ACCOUNT_FILE):
        store.write(_ACCOUNT_FILE, new_key())
    return Account(store.read(_ACCOUNT_FILE))
