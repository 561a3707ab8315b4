"""What a role brings to the ledger of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cipherlane.ledger.lineage import Lineage

if TYPE_CHECKING:
    from cipherlane.ledger.accounts import Account


@dataclass(frozen=True)
class Part:
    """What a role brings to the ledger of a run, and what it holds the others to.

    Attributes
    ----------
    name
        Of the role.
    account
        Its account.
    directory
        Where its copy of the chain lies.
    plan
        The text of the plan it was given.
    roles
        Every member's kind of role by name, as it knows them.
    schema
        What describes its data set: only a salted digest leaves it.
    model, results
        Files that it ends the run with; None, or none there, for nothing.
    lineage
        The version of that model, and which it was trained on from.
    access_seconds
        For how long it lets the plan use its data set.
    maximum_rounds
        Most commitments it takes the plan to need.
    accounts
        Accounts that its plan names.
    """

    name: str
    account: Account
    directory: Path
    plan: bytes
    roles: Mapping[str, str]
    schema: bytes = b""
    model: Path | None = None
    results: Path | None = None
    lineage: Lineage = field(default_factory=Lineage)
    access_seconds: int = 86_400
    maximum_rounds: int = 1_000
    accounts: Mapping[str, bytes] = field(default_factory=dict)
