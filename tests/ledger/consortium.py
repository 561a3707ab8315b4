"""Four members of a run in this process, without numbers or keys: what the ledger sees of one."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from cipherlane.ledger.accounts import Account, contract_address
from cipherlane.ledger.agreement import Agreement, Identity
from cipherlane.ledger.chain import Head
from cipherlane.ledger.clique import StrictClique
from cipherlane.ledger.contract import Contract
from cipherlane.ledger.digests import Crossing
from cipherlane.ledger.member import CHAIN_FILE, Member
from cipherlane.ledger.node import Node
from cipherlane.ledger.part import Part
from cipherlane.ledger.run_files import agreement_file, member_directory, model_file, results_file
from cipherlane.ledger.session import LedgerSession

ROLES = {"coordinator": "coordinator", "arbiter": "arbiter", "guest": "guest", "lab": "host"}
KEY = hashlib.sha256(b"the arbiter's public key").digest()
PLAN = b'name = "a plan"\n'


def account_of(name: str) -> Account:
    """The same keys in every test, so that a test can act as anybody."""
    return Account(hashlib.sha256(b"account of " + name.encode()).digest())


class Consortium:
    """The members of a run in directory `run`, joined by calls."""

    def __init__(self, run: Path, *, roles: Mapping[str, str] = ROLES, agreement: Agreement | None = None) -> None:
        self.run = run
        self.roles = roles
        run.mkdir(parents=True, exist_ok=True)
        (run / "plan.toml").write_bytes(PLAN)
        self.members = {name: Member(self.part(name)) for name in roles}
        self.agreement = agreement or self._agreed()
        self.session = LedgerSession(self.agreement, self)
        self.sequence = 0
        self.number = 0
        self.session_number = 1

    def part(self, name: str, **changes: object) -> Part:
        fields = {
            "name": name,
            "account": account_of(name),
            "directory": member_directory(self.run, name),
            "plan": PLAN,
            "roles": self.roles,
            "schema": b"id,x0,x1",
            "model": model_file(self.run, name, self.roles[name]),
            "results": results_file(self.run, name, self.roles[name]),
            "maximum_rounds": 100,
        }
        return Part(**{**fields, **changes})

    def _agreed(self) -> Agreement:
        path = agreement_file(self.run)
        if path.is_file():
            return Agreement.from_json(path.read_text())
        members = {name: Identity(role, account_of(name).address) for name, role in self.roles.items()}
        contract = contract_address(account_of("coordinator").address, 0)
        made = Agreement(b"s" * 32, members, contract, 4242, None, int(time.time()) - 60, tuple(self.roles))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(made.to_json())
        return made

    # What a session asks of the members.

    def open(self, agreement: str) -> dict[str, Head]:
        return {name: member.open(agreement) for name, member in self.members.items()}

    def act(self, step: str) -> dict[str, list[bytes]]:
        return {name: member.act(step) for name, member in self.members.items()}

    def seal(self, name: str, transactions: Sequence[bytes]) -> bytes:
        return self.members[name].seal(transactions)

    def append(self, blocks: Mapping[str, Sequence[bytes]]) -> dict[str, Head]:
        return {name: self.members[name].append(given) for name, given in blocks.items()}

    def fetch(self, name: str, first: int) -> list[bytes]:
        return self.members[name].fetch(first)

    def next_sealer(self) -> str:
        return self.members["coordinator"].next_sealer

    def commitments(self) -> int:
        return self.members["coordinator"].commitments

    def is_closed(self) -> bool:
        return self.members["coordinator"].plan_is_closed

    # A run.

    def begin(self) -> None:
        self.session.open()
        for member in self.members.values():
            member.learn_key(KEY)
        self.exchange()
        self.session.agree_on_key()
        self.session.commit()
        self.number = 1

    def exchange(self, receivers: Sequence[str] | None = None, kind: str = "update") -> None:
        """Let a message go to each member and one come back."""
        for name in receivers or [name for name in self.roles if name != "coordinator"]:
            self.cross("coordinator", name, kind)
            self.cross(name, "coordinator", "encrypted_scores")

    def cross(self, sender: str, receiver: str, kind: str) -> None:
        content = f"{self.sequence} {sender} {receiver}".encode()
        crossing = Crossing(sender, receiver, kind, self.number, hashlib.sha256(content).hexdigest(), len(content))
        entry = {
            "index": self.sequence,
            "sender": sender,
            "receiver": receiver,
            "kind": kind,
            "round": crossing.round,
            "sha256": crossing.sha256,
            "bytes": crossing.size,
            "commitment": self.number,
            "session": self.session_number,
        }
        with (self.run / "transcript.jsonl").open("a") as stream:
            stream.write(json.dumps(entry) + "\n")
        self.sequence += 1
        for end in (sender, receiver):
            self.members[end].note(crossing)

    def round(self) -> None:
        self.session.do("check")
        self.exchange()
        self.session.commit()
        self.number += 1

    def finish(self) -> None:
        self.exchange(kind="finish")
        for path in (model_file(self.run, name, role) for name, role in self.roles.items()):
            if path is not None:
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(path.name.encode())
        (self.run / "metrics.json").write_text("{}")
        (self.run / "assignments.csv").write_text("id,component")
        self.session.close()
        self.close()

    def close(self) -> None:
        for member in self.members.values():
            member.close()

    # Looking in, and acting as somebody.

    def node(self, name: str) -> Node:
        """A member's copy, opened beside the member."""
        path = member_directory(self.run, name) / CHAIN_FILE
        return Node(path, self.agreement.genesis(), account_of(name))

    def contract(self, name: str = "coordinator") -> Contract:
        return Contract(self.node(name), self.agreement.contract)

    def sealed_by_all(self, transactions: Sequence[bytes]) -> None:
        """Put transactions into a block as validators would who let everything pass."""
        nodes = {account_of(name).address: self.node(name) for name in self.roles}
        sealer = nodes[next(iter(nodes.values())).next_sealer]
        block = sealer.seal(transactions)
        for node in nodes.values():
            if node is not sealer:
                node.append(block)
            node.close()

    def transaction(self, name: str, data: bytes, *, nonce: int | None = None) -> bytes:
        node = self.node("coordinator")
        account = account_of(name)
        number = node.nonce(account.address) if nonce is None else nonce
        node.close()
        return account.transaction(self.agreement.chain_id, number, self.agreement.contract, data)


@contextmanager
def careless() -> Iterator[None]:
    """Let copies take blocks whoever sealed them, as an attacker's software would."""
    with (
        patch.object(StrictClique, "validate_seal_extension", lambda *_: None),
        patch.object(Node, "_check_seal", lambda *_: None),
    ):
        yield


def edit(path: Path, statement: str, *values: object) -> None:
    """Change a copy's file behind the software's back."""
    connection = sqlite3.connect(path, isolation_level=None)
    changed = connection.execute(statement, values).rowcount
    connection.close()
    assert changed > 0, "the test changed nothing"
