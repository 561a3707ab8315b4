"""What the contract allows and refuses, on an embedded chain with one validator."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from cipherlane.ledger import contract as ledger_contract
from cipherlane.ledger.accounts import Account, contract_address
from cipherlane.ledger.chain import Reverted
from cipherlane.ledger.compile import compile_contract
from cipherlane.ledger.contract import (
    ABORTED,
    ACTIVE,
    ARBITER,
    AUDITOR,
    CLOSED,
    COORDINATOR,
    GUEST,
    HOST,
    Contract,
    call_data,
    deployment,
    derived_id,
    interface,
)
from cipherlane.ledger.genesis import Genesis
from cipherlane.ledger.merkle import leaf_hash, proof_of, root_of
from cipherlane.ledger.node import Node

from consortium import account_of

CHAIN = 77
LABEL = b"l" * 32
PLAN_HASH = b"h" * 32
NAMES = {"guest": GUEST, "lab": HOST, "arbiter": ARBITER, "coordinator": COORDINATOR}


class Desk:
    """Sends one transaction a block and tells what became of it."""

    def __init__(self, names: dict[str, int]) -> None:
        self.accounts = {name: account_of(name) for name in [*names, "auditor", "stranger"]}
        sealer = Account.new()
        self.node = Node(None, Genesis(CHAIN, int(time.time()) - 60, (sealer.address,)), sealer)
        creator = self.accounts["coordinator"]
        founders = [(self.accounts[name].address, roles, bytes(32)) for name, roles in names.items()]
        self.node.seal([creator.transaction(CHAIN, 0, b"", deployment(founders))])
        self.contract = Contract(self.node, contract_address(creator.address, 0))

    def address(self, name: str) -> str:
        return "0x" + self.accounts[name].address.hex()

    def do(self, name: str, function: str, *arguments: object) -> list[str]:
        """Send a transaction; return the names of its events, or raise the contract's refusal."""
        account, data = self.accounts[name], call_data(function, *arguments)
        nonce = self.node.nonce(account.address)
        self.node.seal([account.transaction(CHAIN, nonce, self.contract.address, data)])
        number = self.node.head.number
        (made,) = self.node.transactions(number)
        if not made.succeeded:
            self.node.call(made.to, made.data, made.sender, at=number - 1)
            raise AssertionError("it failed in the block and not in a call")
        return [event.name for event in self.contract.events_of(made.logs)]

    def refuses(self, reason: str, name: str, function: str, *arguments: object) -> None:
        with pytest.raises(Reverted) as caught:
            self.do(name, function, *arguments)
        assert caught.value.reason == reason

    @property
    def plan(self) -> bytes:
        return derived_id(self.accounts["coordinator"].address, LABEL)

    def dataset(self, name: str) -> bytes:
        return derived_id(self.accounts[name].address, LABEL)

    def propose(self, rounds: int = 5) -> None:
        parties = [self.address(name) for name in NAMES]
        self.do("coordinator", "proposePlan", LABEL, PLAN_HASH, parties, rounds)

    def activate(self, rounds: int = 5) -> None:
        self.propose(rounds)
        for name in ("guest", "lab"):
            self.do(name, "registerDataset", LABEL, b"d" * 32)
            self.do(name, "setAccess", self.dataset(name), self.plan, int(time.time()) + 10_000)
            self.do(name, "acceptPlan", self.plan, PLAN_HASH, self.dataset(name))
        for name in ("arbiter", "coordinator"):
            self.do(name, "acceptPlan", self.plan, PLAN_HASH, bytes(32))

    @property
    def status(self) -> int:
        return int(self.contract.read("plans", self.plan)[5])


@pytest.fixture
def desk() -> Iterator[Desk]:
    made = Desk(NAMES)
    yield made
    made.node.close()


def test_the_shipped_code_is_what_the_compiler_makes_of_the_source() -> None:
    pytest.importorskip("vyper", reason="vyper is not installed, so the contract cannot be compiled again")
    compiled = compile_contract()
    assert bytes.fromhex(compiled["bytecode"][2:]) == interface().bytecode
    assert bytes.fromhex(compiled["runtime"][2:]) == interface().runtime
    shipped = ledger_contract.json.loads(ledger_contract.COMPILED_FILE.read_text())
    assert shipped == compiled


def test_the_deployed_code_and_members_are_those_given(desk: Desk) -> None:
    assert desk.node.code(desk.contract.address) == interface().runtime
    assert desk.contract.read("memberCount") == 4
    assert desk.contract.read("members", desk.address("arbiter")) == (ARBITER, bytes(32), True)


def test_a_contract_is_not_made_of_nonsense() -> None:
    one = account_of("guest").address
    for founders in ([(one, GUEST, bytes(32)), (one, HOST, bytes(32))], [(one, 0, bytes(32))], [(one, 32, bytes(32))]):
        sealer = Account.new()
        node = Node(None, Genesis(CHAIN, int(time.time()) - 60, (sealer.address,)), sealer)
        node.seal([account_of("coordinator").transaction(CHAIN, 0, b"", deployment(founders))])
        assert not node.transactions(1)[0].succeeded
        assert node.code(contract_address(account_of("coordinator").address, 0)) == b""


def test_a_change_takes_a_strict_majority(desk: Desk) -> None:
    auditor = desk.address("auditor")
    assert desk.do("guest", "proposeChange", auditor, AUDITOR, b"k" * 32) == ["ChangeProposed", "Voted"]
    desk.refuses("voted already", "guest", "vote", 0)
    desk.refuses("not a member", "stranger", "vote", 0)
    desk.refuses("not a member", "auditor", "proposeChange", auditor, AUDITOR, bytes(32))
    assert desk.do("lab", "vote", 0) == ["Voted"]
    assert not desk.contract.read("members", auditor)[2]
    assert desk.do("arbiter", "vote", 0) == ["Voted", "MemberChanged"]
    assert desk.contract.read("members", auditor) == (AUDITOR, b"k" * 32, True)
    # A vote that comes late is on record and changes nothing.
    assert desk.do("coordinator", "vote", 0) == ["Voted"]
    assert desk.contract.read("memberCount") == 5
    desk.refuses("no such change", "guest", "vote", 7)


def test_with_two_members_both_must_agree() -> None:
    desk = Desk({"guest": GUEST, "coordinator": COORDINATOR})
    desk.do("guest", "proposeChange", desk.address("coordinator"), 0, bytes(32))
    assert desk.contract.read("memberCount") == 2
    desk.do("coordinator", "vote", 0)
    assert desk.contract.read("memberCount") == 1
    # And the last one stays.
    desk.refuses("the last member", "guest", "proposeChange", desk.address("guest"), 0, bytes(32))


def test_votes_given_before_a_change_of_membership_do_not_count_after_it(desk: Desk) -> None:
    desk.do("guest", "proposeChange", desk.address("auditor"), AUDITOR, bytes(32))
    desk.do("guest", "proposeChange", desk.address("stranger"), HOST, bytes(32))
    for name in ("lab", "arbiter"):
        desk.do(name, "vote", 0)
    desk.refuses("membership changed since it was proposed", "lab", "vote", 1)


def test_ids_derive_from_the_caller_so_that_nobody_takes_anothers(desk: Desk) -> None:
    desk.do("guest", "registerDataset", LABEL, b"1" * 32)
    desk.do("lab", "registerDataset", LABEL, b"2" * 32)
    owners = [desk.contract.read("datasetOwner", desk.dataset(name)) for name in ("guest", "lab")]
    assert owners == [desk.address("guest"), desk.address("lab")]
    desk.refuses("registered already", "guest", "registerDataset", LABEL, b"3" * 32)
    desk.refuses("not a member", "stranger", "registerDataset", LABEL, b"3" * 32)
    desk.refuses("not the owner", "lab", "setAccess", desk.dataset("guest"), desk.plan, 1 << 40)
    desk.propose()
    parties = [desk.address(name) for name in NAMES]
    desk.refuses("plan exists", "coordinator", "proposePlan", LABEL, PLAN_HASH, parties, 5)
    desk.do("guest", "proposePlan", LABEL, PLAN_HASH, parties, 5)
    assert desk.contract.read("plans", desk.plan)[0] == desk.address("coordinator")


def test_a_plan_names_members_once(desk: Desk) -> None:
    one, two, other = (desk.address(name) for name in ("guest", "lab", "stranger"))
    desk.refuses("a plan needs two parties", "guest", "proposePlan", LABEL, PLAN_HASH, [one], 5)
    desk.refuses("party is named twice", "guest", "proposePlan", LABEL, PLAN_HASH, [one, two, one], 5)
    desk.refuses("party is not a member", "guest", "proposePlan", LABEL, PLAN_HASH, [one, other], 5)
    desk.refuses("not a member", "stranger", "proposePlan", LABEL, PLAN_HASH, [one, two], 5)


def test_a_data_party_accepts_with_its_own_data_set_and_live_access_only(desk: Desk) -> None:
    desk.propose()
    for name in ("guest", "lab"):
        desk.do(name, "registerDataset", LABEL, b"d" * 32)
    own = desk.dataset("guest")
    desk.refuses("no access", "guest", "acceptPlan", desk.plan, PLAN_HASH, own)
    desk.do("guest", "setAccess", own, desk.plan, int(time.time()) - 1)
    desk.refuses("no access", "guest", "acceptPlan", desk.plan, PLAN_HASH, own)
    desk.do("guest", "setAccess", own, desk.plan, int(time.time()) + 10_000)
    assert desk.contract.read("authorised", own, desk.plan)
    assert not desk.contract.read("authorised", own, b"other plan".ljust(32))
    desk.refuses("another plan", "guest", "acceptPlan", desk.plan, b"x" * 32, own)
    desk.refuses("not the owner", "guest", "acceptPlan", desk.plan, PLAN_HASH, desk.dataset("lab"))
    desk.refuses("not a party", "stranger", "acceptPlan", desk.plan, PLAN_HASH, own)
    desk.refuses("brings no data set", "arbiter", "acceptPlan", desk.plan, PLAN_HASH, own)
    desk.do("guest", "acceptPlan", desk.plan, PLAN_HASH, own)
    desk.refuses("accepted already", "guest", "acceptPlan", desk.plan, PLAN_HASH, own)
    desk.refuses("plan is not active", "guest", "commit", desk.plan, 0, LABEL, LABEL, 1)


def test_rounds_are_committed_in_order_by_parties_with_access(desk: Desk) -> None:
    desk.activate(rounds=2)
    assert desk.status == ACTIVE
    desk.refuses("round is not the next", "guest", "commit", desk.plan, 1, LABEL, LABEL, 1)
    desk.do("guest", "commit", desk.plan, 0, LABEL, LABEL, 1)
    desk.refuses("round is not the next", "guest", "commit", desk.plan, 0, LABEL, LABEL, 1)
    desk.refuses("not a party", "stranger", "commit", desk.plan, 0, LABEL, LABEL, 1)
    desk.do("guest", "setAccess", desk.dataset("guest"), desk.plan, 0)
    desk.refuses("access revoked or expired", "guest", "commit", desk.plan, 1, LABEL, LABEL, 1)
    desk.do("guest", "setAccess", desk.dataset("guest"), desk.plan, int(time.time()) + 10_000)
    desk.do("guest", "commit", desk.plan, 1, LABEL, LABEL, 1)
    desk.refuses("round is past the plan", "guest", "commit", desk.plan, 2, LABEL, LABEL, 1)


def test_a_party_that_is_no_longer_a_member_commits_to_nothing(desk: Desk) -> None:
    desk.activate()
    desk.do("guest", "proposeChange", desk.address("lab"), 0, bytes(32))
    for name in ("arbiter", "coordinator"):
        desk.do(name, "vote", 0)
    desk.refuses("not a member", "lab", "commit", desk.plan, 0, LABEL, LABEL, 1)


def test_anyone_may_carry_a_signed_commitment_and_nobody_a_forged_one(desk: Desk) -> None:
    desk.activate()
    guest, lab = desk.address("guest"), desk.address("lab")
    fields = (desk.plan, 0, b"s" * 32, b"v" * 32, 3)
    signature = desk.contract.signed_commitment(desk.accounts["guest"], *fields)
    other = (desk.plan, 0, b"s" * 32, b"v" * 32, 4)
    desk.refuses("signature", "stranger", "commitFor", guest, *other, signature)
    desk.refuses("signature", "stranger", "commitFor", lab, *fields, signature)
    flipped = bytes([signature[0] ^ 1]) + signature[1:]
    desk.refuses("signature", "stranger", "commitFor", guest, *fields, flipped)
    desk.refuses("signature", "stranger", "commitFor", guest, *fields, signature[:64])
    # The twin of a signature, with s replaced by the order minus s, is as valid to ecrecover.
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    s = (order - int.from_bytes(signature[32:64], "big")).to_bytes(32, "big")
    twin = signature[:32] + s + bytes([55 - signature[64]])
    desk.refuses("signature", "stranger", "commitFor", guest, *fields, twin)
    assert desk.do("stranger", "commitFor", guest, *fields, signature) == ["RoundCommitted"]
    committed = list(desk.contract.events())[-1]
    assert committed["sender"] == desk.accounts["guest"].address
    desk.refuses("round is not the next", "stranger", "commitFor", guest, *fields, signature)


@pytest.mark.parametrize("size", [1, 2, 3, 6, 7])
def test_a_leaf_is_shown_to_stand_among_those_sent(desk: Desk, size: int) -> None:
    desk.activate()
    leaves = [leaf_hash(bytes([i])) for i in range(size)]
    desk.do("guest", "commit", desk.plan, 0, root_of(leaves), LABEL, size)

    def shown(leaf: bytes, index: int, proof: list[bytes], number: int = 0) -> bool:
        return bool(desk.contract.read("verifyLeaf", desk.plan, desk.address("guest"), number, leaf, index, proof))

    for index in range(size):
        proof = proof_of(leaves, index)
        assert {place for place in range(size + 1) if shown(leaves[index], place, proof)} == {index}
        assert not shown(leaf_hash(b"other"), index, proof)
        assert not shown(leaves[index], index, [*proof, bytes(32)])
    assert not shown(leaves[0], 0, proof_of(leaves, 0), number=1)


def test_models_are_recorded_once_and_close_the_plan(desk: Desk) -> None:
    desk.activate()
    parent, model, zero = b"p" * 32, b"m" * 32, bytes(32)
    for version, before in ((0, zero), (1, parent), (2, zero)):
        desk.refuses("version and parent", "guest", "recordModel", desk.plan, version, before, model, zero)
    desk.refuses("no digest", "guest", "recordModel", desk.plan, 1, zero, zero, zero)
    desk.refuses("not a party", "stranger", "recordModel", desk.plan, 1, zero, model, zero)
    assert desk.do("guest", "recordModel", desk.plan, 2, parent, model, zero) == ["ModelRecorded"]
    desk.refuses("recorded already", "guest", "recordModel", desk.plan, 1, zero, model, zero)
    for name in ("lab", "arbiter"):
        desk.do(name, "recordModel", desk.plan, 1, zero, model, zero)
    assert desk.do("coordinator", "recordModel", desk.plan, 1, zero, model, zero) == ["ModelRecorded", "PlanStatus"]
    assert desk.status == CLOSED
    desk.refuses("plan is not active", "guest", "commit", desk.plan, 0, LABEL, LABEL, 1)
    desk.refuses("plan is not open", "guest", "abortPlan", desk.plan)


def test_any_party_may_abort(desk: Desk) -> None:
    desk.activate()
    desk.refuses("not a party", "stranger", "abortPlan", desk.plan)
    desk.do("lab", "abortPlan", desk.plan)
    assert desk.status == ABORTED
    desk.refuses("plan is not active", "guest", "commit", desk.plan, 0, LABEL, LABEL, 1)
