"""What the members of a run agree on before its ledger begins: who they are, the salt, and the chain."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cipherlane.errors import LedgerError
from cipherlane.ledger.contract import ROLE_BITS, derived_id
from cipherlane.ledger.digests import SALT_BYTES, salted
from cipherlane.ledger.genesis import Genesis

FORMAT = 1
ADDRESS_BYTES = 20
DATA_ROLES = ("guest", "host")


@dataclass(frozen=True)
class Identity:
    """A member's kind of role and account."""

    role: str
    account: bytes


@dataclass(frozen=True)
class Agreement:
    """The facts that every member's part of the ledger starts from.

    Attributes
    ----------
    salt
        Of every digest; it stays off the ledger.
    members
        By name.
    contract
        Where the contract lies.
    chain_id
        Of the chain.
    url
        The JSON-RPC address of a network's node; None for the embedded chain.
    time
        When the embedded chain begins; 0 with a network.
    validators
        Names of the members that seal the embedded chain; none with a network.
    """

    salt: bytes
    members: Mapping[str, Identity]
    contract: bytes
    chain_id: int
    url: str | None = None
    time: int = 0
    validators: tuple[str, ...] = ()

    @property
    def coordinator(self) -> str:
        """The name of the one that proposes the plan."""
        return next(name for name, member in self.members.items() if member.role == "coordinator")

    @property
    def key_holder(self) -> str:
        """The name of the one whose key numbers are encrypted with: the arbiter, or the guest where there is none."""
        roles = {member.role: name for name, member in self.members.items()}
        return roles["arbiter"] if "arbiter" in roles else roles["guest"]

    @property
    def data_members(self) -> list[str]:
        """The names of those that bring data."""
        return [name for name, member in self.members.items() if member.role in DATA_ROLES]

    @property
    def label(self) -> bytes:
        """What plan and data sets of this run are labelled with."""
        return salted(self.salt, "label", b"")

    @property
    def plan_id(self) -> bytes:
        """The id of the run's plan."""
        return derived_id(self.members[self.coordinator].account, self.label)

    def dataset_id(self, name: str) -> bytes:
        """Return the id of the data set that a member brings; 32 zeros if it brings none."""
        if name not in self.data_members:
            return bytes(32)
        return derived_id(self.members[name].account, self.label)

    def plan_hash(self, text: bytes) -> bytes:
        """Return what stands for a plan's text."""
        return salted(self.salt, "plan", text)

    def genesis(self) -> Genesis:
        """Return what the embedded chain begins with."""
        return Genesis(self.chain_id, self.time, tuple(self.members[name].account for name in self.validators))

    def founders(self) -> list[tuple[bytes, int, bytes]]:
        """Return the contract's first members: account, roles, and no key yet."""
        return [(member.account, ROLE_BITS[member.role], bytes(32)) for member in self.members.values()]

    def name_of(self, account: bytes) -> str:
        """Return a member's name by its account, or the account if it is nobody's."""
        named = {member.account: name for name, member in self.members.items()}
        return repr(named[account]) if account in named else f"0x{account.hex()}, which is no member,"

    def to_json(self) -> str:
        """Return the agreement as text."""
        return json.dumps(
            {
                "format": FORMAT,
                "salt": self.salt.hex(),
                "members": {
                    name: {"role": member.role, "account": member.account.hex()}
                    for name, member in self.members.items()
                },
                "contract": self.contract.hex(),
                "chain_id": self.chain_id,
                "url": self.url,
                "time": self.time,
                "validators": list(self.validators),
            },
            indent=1,
        )

    @classmethod
    def from_json(cls, text: str) -> Agreement:
        """Return the agreement in a text of `to_json`.

        Raises
        ------
        LedgerError
            It is not one.
        """
        try:
            values = json.loads(text)
            if set(values) != {"format", "salt", "members", "contract", "chain_id", "url", "time", "validators"}:
                raise ValueError("other fields")
            if values["format"] != FORMAT:
                raise ValueError("another format")
            members = {
                _text(name): Identity(_text(member["role"]), _raw(member["account"], ADDRESS_BYTES))
                for name, member in values["members"].items()
            }
            validators = tuple(_text(name) for name in values["validators"])
            agreement = cls(
                _raw(values["salt"], SALT_BYTES),
                members,
                _raw(values["contract"], ADDRESS_BYTES),
                _whole(values["chain_id"]),
                None if values["url"] is None else _text(values["url"]),
                _whole(values["time"]),
                validators,
            )
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise LedgerError(f"ledger: the members' agreement is damaged ({error}); start the run anew") from None
        agreement._check()
        return agreement

    def _check(self) -> None:
        roles = [member.role for member in self.members.values()]
        accounts = {member.account for member in self.members.values()}
        holders = roles.count("arbiter") or roles.count("guest")
        if not set(roles) <= set(ROLE_BITS) or roles.count("coordinator") != 1 or holders != 1:
            raise LedgerError(
                "ledger: the agreement needs one coordinator, and one arbiter or guest with the key, among known roles"
            )
        if len(accounts) != len(roles):
            raise LedgerError("ledger: two members have one account; each needs its own")
        known = set(self.validators) <= set(self.members) and len(set(self.validators)) == len(self.validators)
        if not known or bool(self.validators) == (self.url is not None):
            raise LedgerError("ledger: validators must be different members, and are for the embedded chain only")


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("expected text")
    return value


def _raw(value: Any, length: int) -> bytes:
    raw = bytes.fromhex(_text(value))
    if len(raw) != length:
        raise ValueError(f"expected {length} bytes")
    return raw


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 63:
        raise ValueError("expected an integer")
    return value
