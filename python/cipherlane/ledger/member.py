"""One member's part in a run's ledger: it checks, signs, seals, and commits to what it sent and saw."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from eth_hash.auto import keccak

from cipherlane.errors import LedgerError
from cipherlane.ledger import packages  # noqa: F401
from cipherlane.ledger.access import REVOKED, fulfil, requested_access
from cipherlane.ledger.agreement import DATA_ROLES, Agreement
from cipherlane.ledger.chain import Chain, Head, Reverted
from cipherlane.ledger.contract import (
    CLOSED,
    NO_DIGEST,
    ROLE_BITS,
    Contract,
    call_data,
    called,
    deployment,
)
from cipherlane.ledger.digests import Crossing, is_witnessed, roots_of, salted
from cipherlane.ledger.expectations import (
    check_agreement,
    check_contract,
    check_plan,
    keep_agreement,
    key_on_ledger,
    plan_status,
)
from cipherlane.ledger.node import Node
from cipherlane.ledger.outbox import Outbox
from cipherlane.ledger.part import Part

if TYPE_CHECKING:
    from cipherlane.ledger.json_rpc import JsonRpcChain

CHAIN_FILE = "chain.sqlite"
OUTBOX_FILE = "outbox.json"


@dataclass(frozen=True)
class _Call:
    """A transaction to make, and what to do once the ledger took it."""

    data: bytes
    to: bytes
    then: Callable[[], None] | None = None


@dataclass(frozen=True)
class _Outstanding:
    """A signed transaction; without a call it is of a session that was cut short, which has settled what came of it."""

    raw: bytes
    call: _Call | None

    @property
    def hash(self) -> bytes:
        return bytes(keccak(self.raw))


class Member:
    """A role's side of the ledger.

    Parameters
    ----------
    part
        What it brings and expects.
    """

    def __init__(self, part: Part) -> None:
        self._part = part
        self._crossings: list[Crossing] = []
        self._agreement: Agreement | None = None
        self._node: Node | None = None
        self._network: JsonRpcChain | None = None
        self._outbox = Outbox(part.directory / OUTBOX_FILE)
        self._key: bytes | None = None
        self._outstanding: list[_Outstanding] = []
        self._expiries: dict[str, int] | None = None
        self._next_commitment: int | None = None
        self._key_is_confirmed = False
        self._steps: dict[str, Callable[[Contract], list[_Call]]] = {
            "propose": self._propose,
            "accept": self._accept,
            "key": self._propose_key,
            "vote": self._vote,
            "commit": self._commit,
            "record": self._record,
            "access": self._set_access,
            "check": self._check,
        }

    @property
    def name(self) -> str:
        """The role's name."""
        return self._part.name

    @property
    def address(self) -> bytes:
        """Its account's address."""
        return self._part.account.address

    # What it notes while the run is on.

    def note(self, crossing: Crossing) -> None:
        """Take in a message that this role sent or saw."""
        if is_witnessed(crossing.kind):
            self._crossings.append(crossing)

    def learn_key(self, fingerprint: bytes) -> None:
        """Take in the digest of the public key that this role made or was given."""
        self._key = fingerprint
        self._key_is_confirmed = False

    def check_access(self) -> None:
        """Make sure that the plan may use every member's data set now.

        Raises
        ------
        LedgerError
            It may not, or this member's operator wishes that it may not.
        """
        wish = requested_access(self._part.directory)
        if wish is not None and wish <= time.time():
            raise LedgerError(
                f"{self.name!r} has revoked the plan's access to its data set; the run stops before this round and "
                "can be resumed once access is granted again (cipherlane access)"
            )
        self._check_expiries()

    def _check_expiries(self) -> None:
        for name, expiry in self._known_expiries().items():
            if expiry <= time.time():
                state = "was revoked" if expiry == REVOKED else "has expired"
                raise LedgerError(
                    f"the plan's access to the data set of {name!r} {state} on the ledger; the run stops before this "
                    "round and can be resumed once access is granted again (cipherlane access)"
                )

    # What the coordinator asks of it.

    def open(self, text: str) -> Head:
        """Begin, or go on with, the ledger that the agreement describes; return the last block it has.

        Raises
        ------
        LedgerError
            The agreement is not what this member was told to expect.
        """
        agreement = Agreement.from_json(text)
        check_agreement(self._part, agreement)
        keep_agreement(self._part, text)
        self._agreement = agreement
        self._outstanding.clear()
        self._expiries = None
        self._next_commitment = None
        # Messages of an interrupted session are in no commitment; its rounds are done again.
        if self._chain_or_none() is None:
            if agreement.url is None:
                sealer = self._part.account if self.name in agreement.validators else None
                self._node = Node(self._part.directory / CHAIN_FILE, agreement.genesis(), sealer)
            else:
                # web3.py takes as long to import as all the rest, and the embedded chain does without it.
                from cipherlane.ledger.json_rpc import JsonRpcChain

                self._network = JsonRpcChain(agreement.url)
        if self._chain.chain_id != agreement.chain_id:
            raise LedgerError(
                f"ledger {agreement.url}: chain {self._chain.chain_id} answers, expected {agreement.chain_id}"
            )
        return self.head

    @property
    def head(self) -> Head:
        """The last block of this member's copy; of a network, whose blocks are its own affair, the last step signed."""
        if self._node is None:
            return Head(0, hashlib.sha256(self._outbox.read().step.encode()).digest())
        return self._node.head

    @property
    def plan_is_closed(self) -> bool:
        """Whether all that the run ends with stands on the ledger."""
        deployed = bool(self._chain.code(self._agreed.contract))
        return deployed and plan_status(self._agreed, self._contract) == CLOSED

    def noted_head(self) -> Head:
        """Return the last block of this member's copy, or of the network as it is now."""
        return self.head if self._network is None else self._network.head()

    @property
    def commitments(self) -> int:
        """How many commitments of this member stand on the ledger; 0 before the contract lies there."""
        return self.next_commitment if self._chain.code(self._agreed.contract) else 0

    @property
    def next_commitment(self) -> int:
        """The number of this member's next commitment."""
        if self._next_commitment is None:
            number = self._contract.read("nextRound", self._agreed.plan_id, "0x" + self.address.hex())
            self._next_commitment = int(number)
        return self._next_commitment

    @property
    def next_sealer(self) -> str:
        """The name of the member whose turn it is to seal."""
        agreement = self._agreed
        address = self._copy.next_sealer
        return next(name for name in agreement.validators if agreement.members[name].account == address)

    def act(self, step: str) -> list[bytes]:
        """Return this member's signed transactions for a step, none if it has nothing to do.

        With a network they are kept to be sent from here by `append`, once all members have signed, and none is
        returned. There are two more steps then: ``resend`` is for what was kept before the session, which is sent
        unless the network has it, and ``forget`` for what only some members had signed.

        Raises
        ------
        LedgerError
            What stands on the ledger is not what this member expects.
        """
        if step in ("resend", "forget"):
            return self._act_again(step)
        calls = self._calls(step)
        chain, address = self._chain, self.address
        first = chain.nonce(address) if calls else 0
        signed = [
            self._part.account.transaction(chain.chain_id, first + index, call.to, call.data)
            for index, call in enumerate(calls)
        ]
        self._outstanding += [_Outstanding(raw, call) for raw, call in zip(signed, calls, strict=True)]
        if self._network is None:
            return signed
        if step != "check":
            self._outbox.keep(f"{step} {self.next_commitment}" if step == "commit" else step, signed)
        return []

    def seal(self, transactions: Sequence[bytes]) -> bytes:
        """Seal a block of these transactions, and return it."""
        raw = self._copy.seal(transactions)
        self._take_in(self._copy.head.number)
        return raw

    def append(self, blocks: Sequence[bytes]) -> Head:
        """Check and append blocks that others sealed, and see that they hold this member's transactions."""
        if self._network is not None:
            self._send_outstanding(self._network)
        for block in blocks:
            self._take_in(self._copy.append(block).number)
        return self.head

    def fetch(self, first: int) -> list[bytes]:
        """Return this copy's blocks from number `first` on."""
        return self._copy.blocks(first)

    def begin_session(self) -> None:
        """Forget the messages noted so far: a session that goes on from a checkpoint does their rounds again."""
        self._crossings.clear()

    def close(self) -> None:
        """Close the copy's file."""
        if self._node is not None:
            self._node.close()
            self._node = None

    # The steps.

    def _act_again(self, step: str) -> list[bytes]:
        if self._network is None:
            raise LedgerError(f"ledger: the step {step!r} is for a network")
        if step == "forget":
            self._outbox.forget()
        else:
            self._outstanding = [_Outstanding(raw, None) for raw in self._outbox.read().transactions]
        return []

    def _send_outstanding(self, network: JsonRpcChain) -> None:
        for made in self._outstanding:
            if made.call is not None or not network.knows(made.hash):
                network.send(made.raw)
        self._settle({made.hash: network.wait(made.hash) for made in self._outstanding})

    def _calls(self, step: str) -> list[_Call]:
        if step == "deploy":
            return self._deploy()
        if step not in self._steps:
            raise LedgerError(f"ledger: expected one of the steps {sorted(['deploy', *self._steps])}, got {step!r}")
        return self._steps[step](self._contract)

    def _deploy(self) -> list[_Call]:
        agreement = self._agreed
        if self.name != agreement.coordinator or self._chain.code(agreement.contract):
            return []
        return [_Call(deployment(agreement.founders()), b"")]

    def _propose(self, contract: Contract) -> list[_Call]:
        agreement = self._agreed
        check_contract(self.name, agreement, contract)
        if self.name == agreement.coordinator:
            if plan_status(agreement, contract):
                return []
            parties = ["0x" + member.account.hex() for member in agreement.members.values()]
            digest = agreement.plan_hash(self._part.plan)
            return [self._to_contract("proposePlan", agreement.label, digest, parties, self._part.maximum_rounds)]
        if self._role not in DATA_ROLES or contract.read("datasetOwner", self._dataset) != _NOBODY:
            return []
        schema = salted(agreement.salt, "schema", self._part.schema)
        return [self._to_contract("registerDataset", agreement.label, schema)]

    def _accept(self, contract: Contract) -> list[_Call]:
        agreement = self._agreed
        check_plan(self._part, agreement, contract)
        if contract.read("hasAccepted", agreement.plan_id, "0x" + self.address.hex()):
            return []
        digest = agreement.plan_hash(self._part.plan)
        accept = self._to_contract("acceptPlan", agreement.plan_id, digest, self._dataset)
        if self._role not in DATA_ROLES:
            return [accept]
        expiry = int(time.time()) + self._part.access_seconds
        return [self._to_contract("setAccess", self._dataset, agreement.plan_id, expiry), accept]

    def _propose_key(self, contract: Contract) -> list[_Call]:
        agreement = self._agreed
        if self.name != agreement.key_holder or key_on_ledger(self._agreed, contract) == self._own_key:
            return []
        account = "0x" + self.address.hex()
        return [self._to_contract("proposeChange", account, ROLE_BITS[self._role], self._own_key)]

    def _vote(self, contract: Contract) -> list[_Call]:
        agreement = self._agreed
        if self.name == agreement.key_holder:
            return []
        holder = agreement.members[agreement.key_holder]
        events = list(contract.events())
        proposed = [event for event in events if event.name == "ChangeProposed" and event["account"] == holder.account]
        last = proposed[-1] if proposed else None
        if last is None or last["proposer"] != holder.account or last["roles"] != ROLE_BITS[holder.role]:
            raise LedgerError(f"{self.name!r}: the {holder.role} has put no key on the ledger; start the run anew")
        if last["keyDigest"] != self._own_key:
            raise self._other_key(last["keyDigest"])
        change = last["changeId"]
        if any(event.name == "Voted" and event.values == self._vote_for(change) for event in events):
            return []
        return [self._to_contract("vote", change)]

    def _vote_for(self, change: int) -> dict[str, object]:
        return {"changeId": change, "member": self.address}

    def _commit(self, contract: Contract) -> list[_Call]:
        agreement = self._agreed
        self._check_key(contract)
        # Refused here rather than in the block, so that no other member's commitment is alone in it.
        self._check_expiries()
        number = self.next_commitment
        roots = roots_of(self.name, self._crossings, agreement.salt)
        noted = len(self._crossings)

        def begin_next() -> None:
            del self._crossings[:noted]
            self._next_commitment = number + 1

        commit = self._to_contract("commit", agreement.plan_id, number, roots.sent, roots.seen, roots.count)
        return [_Call(commit.data, commit.to, begin_next), *self._set_access(contract)]

    def _check(self, contract: Contract) -> list[_Call]:
        self.check_access()
        return []

    def _record(self, contract: Contract) -> list[_Call]:
        salt = self._agreed.salt
        model = salted(salt, "model", _content(self._part.model))
        results = NO_DIGEST if self._part.results is None else salted(salt, "results", _content(self._part.results))
        if contract.read("models", self._agreed.plan_id, "0x" + self.address.hex()) != NO_DIGEST:
            return []
        version, parent = self._part.lineage.version, self._part.lineage.parent_digest(salt)
        return [self._to_contract("recordModel", self._agreed.plan_id, version, parent, model, results)]

    def _set_access(self, contract: Contract) -> list[_Call]:
        wish = requested_access(self._part.directory)
        if wish is None or self._role not in DATA_ROLES:
            return []
        data = call_data("setAccess", self._dataset, self._agreed.plan_id, wish)
        return [_Call(data, contract.address, lambda: fulfil(self._part.directory))]

    # What it checks.

    def _check_key(self, contract: Contract) -> None:
        if self._key is not None and not self._key_is_confirmed:
            if key_on_ledger(self._agreed, contract) != self._key:
                raise self._other_key(key_on_ledger(self._agreed, contract))
            self._key_is_confirmed = True

    def _known_expiries(self) -> dict[str, int]:
        """Return when the plan's access to each data set ends; of a copy, read again only after it changed."""
        agreement, contract = self._agreed, self._contract
        if self._expiries is None or self._node is None:
            self._expiries = {
                name: int(contract.read("access", agreement.dataset_id(name), agreement.plan_id))
                for name in agreement.data_members
            }
        return self._expiries

    def _take_in(self, number: int) -> None:
        """Forget what a new block may have changed, and look for this member's transactions in it."""
        executed = self._copy.transactions(number)
        logs = [log for made in executed for log in made.logs if log.contract == self._agreed.contract]
        names = {event.name for event in self._contract.events_of(logs)}
        if "AccessSet" in names:
            self._expiries = None
        if "MemberChanged" in names:
            self._key_is_confirmed = False
        self._settle({made.hash: made.succeeded for made in executed})

    def _settle(self, done: Mapping[bytes, bool]) -> None:
        """See that the ledger took every transaction that this member made; `done` says which it took."""
        outstanding, self._outstanding = self._outstanding, []
        for made in outstanding:
            if made.call is None:
                continue
            if made.hash not in done:
                raise LedgerError(f"{self.name!r}: block {self.head.number} leaves out its {called(made.call.data)}")
            if not done[made.hash]:
                raise LedgerError(
                    f"{self.name!r}: the ledger refuses its {called(made.call.data)}: {self._reason(made.call)}"
                )
            if made.call.then is not None:
                made.call.then()

    def _reason(self, call: _Call) -> str:
        try:
            if self._node is None:
                self._chain.call(call.to, call.data, self.address)
            else:
                self._node.call(call.to, call.data, self.address, at=self._node.head.number - 1)
        except Reverted as error:
            return error.reason
        return "another transaction in its block came first"

    # Small parts.

    def _other_key(self, digest: bytes) -> LedgerError:
        holder = self._agreed.members[self._agreed.key_holder].role
        return LedgerError(
            f"{self.name!r}: the key it was given has the fingerprint {self._own_key.hex()[:16]}..., the ledger names "
            f"{digest.hex()[:16]}... as the {holder}'s; somebody on the way exchanged it: do not go on"
        )

    def _to_contract(self, function: str, *arguments: object) -> _Call:
        return _Call(call_data(function, *arguments), self._agreed.contract)

    @property
    def _role(self) -> str:
        return self._part.roles[self.name]

    @property
    def _dataset(self) -> bytes:
        return self._agreed.dataset_id(self.name)

    @property
    def _own_key(self) -> bytes:
        if self._key is None:
            raise LedgerError(f"{self.name!r}: the run's key is asked for before it was given")
        return self._key

    @property
    def _agreed(self) -> Agreement:
        if self._agreement is None:
            raise LedgerError(f"{self.name!r}: the ledger is not open yet")
        return self._agreement

    @property
    def _contract(self) -> Contract:
        return Contract(self._chain, self._agreed.contract)

    def _chain_or_none(self) -> Chain | None:
        return self._network if self._node is None else self._node

    @property
    def _chain(self) -> Chain:
        chain = self._chain_or_none()
        if chain is None:
            raise LedgerError(f"{self.name!r}: the ledger is not open yet")
        return chain

    @property
    def _copy(self) -> Node:
        if self._node is None:
            raise LedgerError(f"{self.name!r}: keeps no copy of the chain; a network seals its own blocks")
        return self._node


_NOBODY = "0x" + "0" * 40


def _content(path: Path | None) -> bytes:
    return path.read_bytes() if path is not None and path.is_file() else b""
