"""The auditor: whether a run's ledger, transcript and models hold together, and what is the first that does not."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cipherlane.errors import LedgerError
from cipherlane.ledger.agreement import Agreement
from cipherlane.ledger.chain import Chain, Reverted
from cipherlane.ledger.contract import CLOSED, NO_DIGEST, ROLE_BITS, Contract, Event, called, deployment, interface
from cipherlane.ledger.digests import Roots, roots_of, salted
from cipherlane.ledger.evidence import Transcript, read_transcript
from cipherlane.ledger.lineage import parent_run, read_lineage
from cipherlane.ledger.member import CHAIN_FILE
from cipherlane.ledger.node import Node
from cipherlane.ledger.replay import Copy, read_copy, shared_history
from cipherlane.ledger.run_files import (
    AGREEMENT_FILE,
    BINNED,
    PLAN_FILE,
    TRANSCRIPT_FILE,
    agreement_file,
    member_directory,
    model_file,
    results_file,
    version_file,
)

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass
class AuditReport:
    """What an audit found.

    Attributes
    ----------
    held
        What holds, in the order in which it was checked.
    failure
        The first thing that does not hold; None if all does.
    notes
        What is worth knowing and breaks nothing.
    """

    held: list[str] = field(default_factory=list)
    failure: str | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether all holds."""
        return self.failure is None

    @property
    def problems(self) -> list[str]:
        """What does not hold: the failure, if there is one."""
        return [] if self.failure is None else [self.failure]


@dataclass(frozen=True)
class Expected:
    """What an auditor knows from elsewhere, and the run's directory cannot vouch for.

    Attributes
    ----------
    accounts
        Members' accounts by name.
    head
        The hash of a block that the chain once had.
    """

    accounts: Mapping[str, bytes] = field(default_factory=dict)
    head: bytes | None = None


def audit(run: Path, expected: Expected | None = None) -> AuditReport:
    """Audit the directory of a run.

    Parameters
    ----------
    run
        The directory; nothing in it is changed.
    expected
        What is known from elsewhere.

    Returns
    -------
    AuditReport
        What holds up to the first thing that does not, and that.

    Raises
    ------
    ValueError
        The directory has no ledger.
    """
    if not agreement_file(run).is_file():
        raise ValueError(f"{run}: no ledger lies there; audit a run whose plan has a section [ledger]")
    auditor = _Auditor(run, expected or Expected())
    for check in auditor.checks:
        try:
            auditor.report.held.append(check())
        except (LedgerError, OSError) as error:
            auditor.report.failure = str(error)
            break
    return auditor.report


class _Auditor:
    """The checks of one audit, and what the earlier ones found for the later ones."""

    _agreement: Agreement
    _chain: Chain
    _events: list[Event]
    _transcript: Transcript

    def __init__(self, run: Path, expected: Expected) -> None:
        self.report = AuditReport()
        self._expected = expected
        self._run = run
        self.checks: Sequence[Callable[[], str]] = (
            self._members,
            self._history,
            self._contract_and_founders,
            self._no_refused_transaction,
            self._plan_accepted,
            self._key_attested,
            self._rounds_in_order,
            self._access_in_every_round,
            self._transcript_committed,
            self._models_recorded,
            self._lineage_recorded,
            self._closed,
        )

    def _members(self) -> str:
        path = agreement_file(self._run)
        try:
            self._agreement = Agreement.from_json(path.read_text(encoding="utf-8"))
        except (UnicodeDecodeError, LedgerError) as error:
            raise LedgerError(f"{path}: {error}") from None
        for name in self._agreement.members:
            own = member_directory(self._run, name) / AGREEMENT_FILE
            if own.is_file() and own.read_bytes() != path.read_bytes():
                raise LedgerError(f"{path}: is not the agreement that {name!r} keeps; one of the two was changed")
        for name, account in self._expected.accounts.items():
            member = self._agreement.members.get(name)
            if member is None or member.account != account:
                got = "no such member" if member is None else f"0x{member.account.hex()}"
                raise LedgerError(f"members: expected {name!r} with account 0x{account.hex()}, got {got}")
        return f"{len(self._agreement.members)} members: {', '.join(self._agreement.members)}"

    def _history(self) -> str:
        agreement = self._agreement
        if agreement.url is not None:
            from cipherlane.ledger.json_rpc import JsonRpcChain

            self._chain = JsonRpcChain(agreement.url)
            if self._chain.chain_id != agreement.chain_id:
                raise LedgerError(f"ledger {agreement.url}: is chain {self._chain.chain_id}, not {agreement.chain_id}")
            held = f"chain {agreement.chain_id} answers at {agreement.url}; its history is its validators' word"
        else:
            copies = self._copies()
            self._chain = node = shared_history(copies, agreement)
            held = (
                f"{node.head.number} blocks, executed again from the first, are the same in the copies of "
                f"{', '.join(copy.name for copy in copies)}; head {node.head.hash.hex()}"
            )
            self._check_anchor(node)
        self._events = list(self._contract.events())
        return held

    def _copies(self) -> list[Copy]:
        agreement = self._agreement
        paths = {name: member_directory(self._run, name) / CHAIN_FILE for name in agreement.members}
        present = {name: path for name, path in paths.items() if path.exists()}
        absent = sorted(set(paths) - set(present))
        if not present:
            raise LedgerError(f"{self._run}: no member's copy of the chain lies there")
        if absent:
            self.report.notes.append(f"copies that are not on this machine were not compared: {', '.join(absent)}")
        return [read_copy(name, path, agreement.genesis()) for name, path in present.items()]

    def _check_anchor(self, node: Node) -> None:
        """Look for the block whose hash was noted elsewhere: a history rewritten by all validators lacks it."""
        noted = self._expected.head
        if noted is not None and noted not in {node.hash_of(number) for number in range(node.head.number + 1)}:
            raise LedgerError(f"the chain has no block {noted.hex()}, which was noted: its history was rewritten")

    def _contract_and_founders(self) -> str:
        agreement = self._agreement
        if self._chain.code(agreement.contract) != interface().runtime:
            raise LedgerError("contract: the code on the ledger is not the shipped contract's")
        founders = {(member.account, ROLE_BITS[member.role]) for member in agreement.members.values()}
        made = self._named("MemberChanged")[: len(founders)]
        if {(event["account"], event["roles"]) for event in made} != founders:
            raise LedgerError("contract: its first members are not those of the agreement")
        if isinstance(self._chain, Node):
            first = self._chain.transactions(1)[0]
            if first.to or first.data != deployment(agreement.founders()):
                raise LedgerError("block 1: does not make the shipped contract with the agreement's members")
        return "the contract is the shipped one, with these members"

    def _no_refused_transaction(self) -> str:
        if not isinstance(self._chain, Node):
            return "transactions that the contract refused left no trace in its events"
        accounts = {member.account for member in self._agreement.members.values()}
        count = 0
        for number in range(1, self._chain.head.number + 1):
            for executed in self._chain.transactions(number):
                who = self._agreement.name_of(executed.sender)
                if not executed.succeeded:
                    raise LedgerError(
                        f"block {number}: {called(executed.data)} of {who} was refused: "
                        f"{_reason(self._chain, number, executed.to, executed.data, executed.sender)}"
                    )
                if executed.sender not in accounts:
                    raise LedgerError(f"block {number}: a transaction is of {who} and still in the chain")
                count += 1
        return f"{count} transactions, each signed by a member and taken by the contract"

    def _plan_accepted(self) -> str:
        agreement = self._agreement
        proposed = [event for event in self._of_plan("PlanProposed")]
        if len(proposed) != 1 or proposed[0]["proposer"] != agreement.members[agreement.coordinator].account:
            raise LedgerError("plan: the ledger has no plan of this run's coordinator")
        path = self._run / PLAN_FILE
        if agreement.plan_hash(path.read_bytes()) != proposed[0]["planHash"]:
            raise LedgerError(f"{path}: is not the plan that the members accepted on the ledger")
        accepted = {event["party"]: event["datasetId"] for event in self._of_plan("PlanAccepted")}
        for name, member in agreement.members.items():
            if accepted.get(member.account) != agreement.dataset_id(name):
                raise LedgerError(f"plan: {name!r} has not accepted it with its own data set")
        return f"{PLAN_FILE} is the plan that every member accepted"

    def _key_attested(self) -> str:
        agreement = self._agreement
        holder = agreement.members[agreement.key_holder]
        changes = [event for event in self._named("ChangeProposed") if event["account"] == holder.account]
        voted_in = {
            event["keyDigest"]
            for event in self._named("MemberChanged")
            if event["account"] == holder.account and event["keyDigest"] != NO_DIGEST
        }
        if not voted_in:
            raise LedgerError(f"key: the {holder.role} has put no key on the ledger that a majority confirmed")
        # One key may have been proposed by a session that was cut short, and again by the next.
        confirmed = {change["keyDigest"] for change in changes if self._without_vote(change) is None}
        committed = [event.block for event in self._of_plan("RoundCommitted")]
        for change, after in zip(changes, [*changes[1:], None], strict=True):
            if change["proposer"] != holder.account:
                raise LedgerError(f"block {change.block}: the {holder.role}'s key was proposed by somebody else")
            absent = self._without_vote(change)
            if absent is None or change["keyDigest"] in confirmed:
                continue
            if any(change.block <= block and (after is None or block <= after.block) for block in committed):
                raise LedgerError(f"key: {absent!r} has not confirmed the {holder.role}'s key of block {change.block}")
            # A session that ended before the votes: nobody committed to anything under that key.
            self.report.notes.append(f"the {holder.role}'s key of block {change.block} is of an interrupted session")
        told = f"every member confirmed the {holder.role}'s key {changes[-1]['keyDigest'].hex()[:16]}..."
        named = self._key_in_plan()
        if named is None:
            return told
        if voted_in != {named}:
            others = ", ".join(sorted(digest.hex() for digest in voted_in - {named}))
            raise LedgerError(f"key: the plan names {named.hex()}, the members confirmed {others or 'no key'}")
        return f"{told}, which the plan names"

    def _without_vote(self, change: Event) -> str | None:
        """Return a member that has not voted for a change, if there is one."""
        voters = {event["member"] for event in self._named("Voted") if event["changeId"] == change["changeId"]}
        members = self._agreement.members.items()
        return next((name for name, member in members if member.account not in voters), None)

    def _key_in_plan(self) -> bytes | None:
        """Return the fingerprint that the plan names; None where the arbiter makes a key for the run."""
        path = self._run / PLAN_FILE
        try:
            section = self._plan().get("arbiter")
            return None if section is None else bytes.fromhex(section["public_key_fingerprint"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise LedgerError(f"{path}: not a plan ({type(error).__name__})") from None

    def _plan(self) -> dict[str, Any]:
        plan: dict[str, Any] = tomllib.loads((self._run / PLAN_FILE).read_bytes().decode("utf-8"))
        return plan

    def _rounds_in_order(self) -> str:
        agreement = self._agreement
        counts = {}
        for name, member in agreement.members.items():
            numbers = [event["round"] for event in self._commitments(member.account)]
            if numbers != list(range(len(numbers))):
                raise LedgerError(f"commitments of {name!r}: expected 0, 1, 2, ... once each, got {numbers}")
            counts[name] = len(numbers)
        if len(set(counts.values())) != 1:
            raise LedgerError(f"commitments: expected as many of every member, got {counts}")
        return f"{max(counts.values())} commitments of every member, each once and in order"

    def _access_in_every_round(self) -> str:
        agreement = self._agreement
        plan = agreement.plan_id
        owners = {agreement.dataset_id(name): name for name in agreement.data_members}
        accounts = {agreement.members[name].account: name for name in agreement.data_members}
        expiries = dict.fromkeys(accounts.values(), 0)
        for event in self._events:
            if event.name == "AccessSet" and event["planId"] == plan and event["datasetId"] in owners:
                expiries[owners[event["datasetId"]]] = event["expiry"]
            elif event.name == "RoundCommitted" and event["planId"] == plan and event["sender"] in accounts:
                name = accounts[event["sender"]]
                if expiries[name] <= event.timestamp:
                    raise LedgerError(
                        f"block {event.block}: {name!r} committed to round {event['round']} without live access to "
                        "its data set"
                    )
        return "access to every data set was live at every commitment"

    def _transcript_committed(self) -> str:
        agreement = self._agreement
        self._transcript = transcript = read_transcript(self._run / TRANSCRIPT_FILE)
        on_ledger: dict[int, dict[str, Roots]] = {}
        for name, member in agreement.members.items():
            for event in self._commitments(member.account):
                on_ledger.setdefault(event["round"], {})[name] = Roots(
                    event["sentRoot"], event["seenRoot"], event["count"]
                )
        for number in sorted(on_ledger):
            crossings = transcript.commitments.get(number, [])
            self._check_round(
                number,
                on_ledger[number],
                {name: roots_of(name, crossings, agreement.salt) for name in agreement.members},
            )
        beyond = {number: found for number, found in transcript.commitments.items() if number not in on_ledger}
        uncommitted = sum(len(found) for found in beyond.values())
        if uncommitted and self._is_closed:
            raise LedgerError(f"{TRANSCRIPT_FILE}: {uncommitted} messages are in no commitment on the ledger")
        if transcript.interrupted or uncommitted:
            self.report.notes.append(
                f"{transcript.interrupted + uncommitted} messages of interrupted sessions are in no commitment"
            )
        committed = transcript.lines - transcript.interrupted - uncommitted
        return f"{committed} messages: what each member says it sent is what its receiver says it saw"

    @staticmethod
    def _check_round(number: int, committed: dict[str, Roots], rebuilt: dict[str, Roots]) -> None:
        differing = [name for name in committed if committed[name] != rebuilt[name]]
        if not differing:
            return
        # Every message has the coordinator at one end. A line that was changed fits neither of its ends.
        if len(differing) == 1:
            (name,) = differing
            which = "sent" if committed[name].sent != rebuilt[name].sent else "saw"
            raise LedgerError(
                f"commitment {number}: what {name!r} says it {which} is not what the transcript lists and the other "
                "ends say"
            )
        raise LedgerError(
            f"commitment {number}: the transcript's messages are not those that {' and '.join(map(repr, differing))} "
            "committed to; it was changed, or they contradict each other"
        )

    def _models_recorded(self) -> str:
        agreement = self._agreement
        recorded = {event["party"]: event for event in self._of_plan("ModelRecorded")}
        checked = []
        elsewhere = []
        plan = self._plan()
        binned = "binning" in plan or plan.get("model", {}).get("algorithm") == "binning"
        for name, member in agreement.members.items():
            if member.account not in recorded:
                raise LedgerError(f"model: {name!r} has recorded none; the run is not complete")
            event = recorded[member.account]
            for purpose, path, digest in (
                ("model", None if binned else model_file(self._run, name, member.role), event["modelDigest"]),
                (
                    "results",
                    results_file(self._run, name, member.role, BINNED if binned else None),
                    event["metricsDigest"],
                ),
            ):
                if path is not None and not path.exists() and not member_directory(self._run, name).exists():
                    elsewhere.append(path.name)
                    continue
                if path is None and purpose == "results":
                    wanted = NO_DIGEST
                else:
                    content = path.read_bytes() if path is not None and path.is_file() else b""
                    wanted = salted(agreement.salt, purpose, content)
                if digest != wanted:
                    raise LedgerError(f"{path}: is not the file that {name!r} recorded on the ledger")
                if path is not None and path.is_file():
                    checked.append(path.name)
        if elsewhere:
            self.report.notes.append(f"files that are not on this machine were not compared: {', '.join(elsewhere)}")
        return f"these files are as recorded: {', '.join(checked)}"

    def _lineage_recorded(self) -> str:
        salt = self._agreement.salt
        recorded = {
            event["party"]: (event["version"], event["parentDigest"]) for event in self._of_plan("ModelRecorded")
        }
        stated = read_lineage(self._run)
        first = next(iter(recorded.values()))
        expected = first if stated is None else (stated.version, stated.parent_digest(salt))
        for name, member in self._agreement.members.items():
            if recorded[member.account] != expected:
                raise LedgerError(
                    f"model: {name!r} recorded version {recorded[member.account][0]}, the run's is {expected[0]}, or "
                    "another parent; the version or what it was trained on from was changed"
                )
        if stated is not None and stated.parent is not None:
            before = parent_run(self._run)
            if before is None or not version_file(before).is_file():
                self.report.notes.append("the version that was trained on from is not on this machine; not compared")
            return f"the model is version {stated.version}, trained on from {stated.parent.hex()[:12]}..."
        return f"the model is version {expected[0]}"

    def _closed(self) -> str:
        if not self._is_closed:
            raise LedgerError("plan: is not closed on the ledger; the run is not complete")
        if not isinstance(self._chain, Node):
            return "the plan is closed"
        last = max(event.block for event in self._of_plan("PlanStatus"))
        sealers = {self._chain.sealer(number) for number in range(last, self._chain.head.number + 1)}
        majority = len(self._agreement.validators) // 2 + 1
        if len(sealers) < majority:
            raise LedgerError(
                f"block {last}: closes the plan, and {len(sealers)} validators sealed it or a block after it; "
                f"{majority} make it final"
            )
        return f"the plan is closed, and {len(sealers)} of {len(self._agreement.validators)} validators sealed that"

    # Parts.

    @property
    def _contract(self) -> Contract:
        return Contract(self._chain, self._agreement.contract)

    @property
    def _is_closed(self) -> bool:
        statuses = [event["status"] for event in self._of_plan("PlanStatus")]
        return bool(statuses) and statuses[-1] == CLOSED

    def _named(self, name: str) -> list[Event]:
        return [event for event in self._events if event.name == name]

    def _of_plan(self, name: str) -> Iterator[Event]:
        return (event for event in self._named(name) if event["planId"] == self._agreement.plan_id)

    def _commitments(self, account: bytes) -> list[Event]:
        return [event for event in self._of_plan("RoundCommitted") if event["sender"] == account]


def _reason(node: Node, number: int, to: bytes, data: bytes, sender: bytes) -> str:
    try:
        node.call(to, data, sender, at=number - 1)
    except Reverted as error:
        return error.reason
    return "another transaction in its block came first"
