"""Members of a run: what they hold each other to, and what a session does about copies that differ."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path

import pytest

from cipherlane.errors import LedgerError
from cipherlane.ledger.access import request_access
from cipherlane.ledger.agreement import Agreement
from cipherlane.ledger.contract import CLOSED
from cipherlane.ledger.member import CHAIN_FILE, Member
from cipherlane.ledger.run_files import member_directory

from consortium import KEY, PLAN, Consortium, account_of


@pytest.fixture
def consortium(tmp_path: Path) -> Consortium:
    return Consortium(tmp_path / "run")


def _replace(consortium: Consortium, name: str, **changes: object) -> None:
    consortium.members[name] = Member(consortium.part(name, **changes))


def test_a_run_ends_with_a_closed_plan_in_every_copy(consortium: Consortium) -> None:
    consortium.begin()
    for _ in range(2):
        consortium.round()
    consortium.finish()
    heads = {consortium.node(name).head for name in consortium.roles}
    assert len(heads) == 1
    contract = consortium.contract("guest")
    assert contract.read("plans", consortium.agreement.plan_id)[5] == CLOSED
    for name in consortium.roles:
        account = "0x" + account_of(name).address.hex()
        assert contract.read("nextRound", consortium.agreement.plan_id, account) == 4


def test_nothing_that_could_be_guessed_stands_on_the_chain_unsalted(consortium: Consortium) -> None:
    import hashlib

    consortium.begin()
    consortium.finish()
    blocks = b"".join(consortium.node("lab").blocks(0))
    for content in (PLAN, b"id,x0,x1", b"lab.npz", b"metrics.json"):
        assert content not in blocks
        assert hashlib.sha256(content).digest() not in blocks
    assert consortium.agreement.salt not in blocks
    # And the search finds what is there: the digest of the key, which nobody can guess.
    assert KEY in blocks


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"plan": b"another plan"}, "'guest': the plan on the ledger is not the one it was given"),
        ({"roles": {"guest": "guest"}}, "'guest': expected the members {'guest': 'guest'} on the ledger, got"),
        ({"account": account_of("x")}, "'guest': the agreement names another account for it"),
        (
            {"accounts": {"lab": bytes(20)}},
            "'guest': the plan gives 'lab' the account 0x000.*, got .*; ask that member",
        ),
        ({"accounts": {"nobody": bytes(20)}}, "'guest': the plan gives 'nobody' the account .* got no such member"),
    ],
)
def test_a_member_refuses_what_it_was_not_told_to_expect(
    consortium: Consortium, changes: dict[str, object], expected: str
) -> None:
    _replace(consortium, "guest", **changes)
    with pytest.raises(LedgerError, match=expected):
        consortium.begin()


def test_an_account_that_the_plan_names_is_accepted(consortium: Consortium) -> None:
    _replace(consortium, "guest", accounts={"lab": account_of("lab").address})
    consortium.begin()


def test_a_key_that_was_exchanged_on_the_way_is_named(consortium: Consortium) -> None:
    consortium.session.open()
    for member in consortium.members.values():
        member.learn_key(KEY)
    consortium.members["lab"].learn_key(b"x" * 32)
    with pytest.raises(LedgerError, match=r"'lab': the key it was given has the fingerprint 7878.*somebody on the way"):
        consortium.session.agree_on_key()


def test_a_key_exchanged_after_the_votes_is_named_at_the_next_commitment(consortium: Consortium) -> None:
    consortium.begin()
    consortium.members["guest"].learn_key(b"x" * 32)
    with pytest.raises(LedgerError, match="'guest': the key it was given has the fingerprint 7878"):
        consortium.session.commit()


def test_a_key_that_the_arbiter_never_put_there_is_not_voted_for(consortium: Consortium) -> None:
    consortium.session.open()
    for member in consortium.members.values():
        member.learn_key(KEY)
    with pytest.raises(LedgerError, match="the arbiter has put no key on the ledger"):
        consortium.session.do("vote")


def test_access_that_is_revoked_stops_the_next_round_and_can_be_granted_again(consortium: Consortium) -> None:
    consortium.begin()
    consortium.round()
    directory = member_directory(consortium.run, "lab")
    wish = request_access(directory, 0)
    with pytest.raises(LedgerError, match="'lab' has revoked the plan's access to its data set; the run stops before"):
        consortium.round()
    # Its word alone stops it; once it is on the ledger every member stops.
    consortium.members["guest"].check_access()
    consortium.session.do("access")
    assert not wish.exists()
    for member in consortium.members.values():
        with pytest.raises(LedgerError, match="access to the data set of 'lab' was revoked on the ledger"):
            member.check_access()
    with pytest.raises(LedgerError, match="was revoked on the ledger"):
        consortium.session.commit()
    request_access(directory, int(time.time()) + 10_000)
    consortium.session.do("access")
    consortium.round()


def test_access_that_expires_stops_the_next_round(consortium: Consortium, monkeypatch: pytest.MonkeyPatch) -> None:
    _replace(consortium, "lab", access_seconds=1000)
    consortium.begin()
    later = time.time() + 2000
    monkeypatch.setattr("cipherlane.ledger.member.time.time", lambda: later)
    with pytest.raises(LedgerError, match="access to the data set of 'lab' has expired on the ledger"):
        consortium.round()


def test_a_commitment_that_the_contract_refuses_is_reported_with_its_reason(consortium: Consortium) -> None:
    consortium.begin()
    consortium.members["guest"]._next_commitment = 7
    with pytest.raises(LedgerError, match="'guest': the ledger refuses its commit: round is not the next"):
        consortium.session.commit()


def test_a_transaction_left_out_is_noticed_by_whose_it_is(consortium: Consortium) -> None:
    consortium.begin()
    made = consortium.act("commit")
    del made["lab"]
    with pytest.raises(LedgerError, match=r"'lab': block \d+ leaves out its commit"):
        consortium.session._block([raw for some in made.values() for raw in some])


def test_a_wish_that_is_none_is_named(consortium: Consortium) -> None:
    consortium.begin()
    directory = member_directory(consortium.run, "lab")
    for text in ("{}", "x", '{"expiry": -1}', '{"expiry": true}'):
        (directory / "access.json").write_text(text)
        with pytest.raises(LedgerError, match=r"access.json: expected .*use `cipherlane access`"):
            consortium.members["lab"].check_access()
    with pytest.raises(ValueError, match="no ledger of a party lies there"):
        request_access(consortium.run / "nowhere", 0)


def _reopened(consortium: Consortium) -> Consortium:
    consortium.close()
    return Consortium(consortium.run)


def test_a_session_goes_on_where_the_one_before_ended(consortium: Consortium) -> None:
    consortium.begin()
    consortium.round()
    head = consortium.members["guest"].head
    again = _reopened(consortium)
    again.session.open()
    assert again.members["guest"].head == head
    assert [member.next_commitment for member in again.members.values()] == [2, 2, 2, 2]


def test_a_copy_that_is_behind_is_brought_up_and_one_that_was_lost_too(consortium: Consortium) -> None:
    consortium.begin()
    head = consortium.members["guest"].head
    # The block reaches its sealer alone: then the process is killed.
    made = [raw for some in consortium.act("commit").values() for raw in some]
    consortium.seal(consortium.next_sealer(), made)
    consortium.close()
    (member_directory(consortium.run, "lab") / CHAIN_FILE).unlink()
    again = Consortium(consortium.run)
    again.session.open()
    assert {member.head.number for member in again.members.values()} == {head.number + 1}
    assert again.members["lab"].next_commitment == 2


def test_copies_that_differ_are_named(consortium: Consortium, tmp_path: Path) -> None:
    consortium.begin()
    made = [raw for some in consortium.act("commit").values() for raw in some]
    sealer = consortium.next_sealer()
    consortium.seal(sealer, made)
    consortium.close()
    (other,) = (
        name
        for name in consortium.roles
        if consortium.agreement.genesis().in_turn(consortium.node(sealer).head.number + 1) == account_of(name).address
    )
    consortium.node(other).seal([])
    again = Consortium(consortium.run)
    with pytest.raises(LedgerError, match=f"copies of the chain differ: .*{other!r} has block|follows another block"):
        again.session.open()


def test_an_agreement_reads_back_and_a_damaged_one_is_refused(consortium: Consortium) -> None:
    text = consortium.agreement.to_json()
    assert Agreement.from_json(text) == consortium.agreement
    values = json.loads(text)
    for changes in (
        {"salt": "00"},
        {"salt": 7},
        {"format": 9},
        {"members": {}},
        {"members": []},
        {"contract": "zz"},
        {"time": -1},
        {"validators": ["nobody"]},
        {"validators": []},
        {"validators": ["guest", "guest"]},
        {"url": "http://localhost"},
        {"more": 1},
        {"members": {**values["members"], "lab": values["members"]["guest"]}},
        {"members": {**values["members"], "lab": {"role": "owner", "account": "00" * 20}}},
    ):
        with pytest.raises(LedgerError, match=r"^ledger: "):
            Agreement.from_json(json.dumps({**values, **changes}))
    for nonsense in ("", "[]", "{}", "null"):
        with pytest.raises(LedgerError, match="the members' agreement is damaged"):
            Agreement.from_json(nonsense)


def test_an_agreement_does_not_change_while_a_member_lives(consortium: Consortium) -> None:
    consortium.begin()
    changed = dataclasses.replace(consortium.agreement, salt=b"t" * 32)
    with pytest.raises(LedgerError, match="the agreement was changed since the run began"):
        consortium.members["lab"].open(changed.to_json())


def test_an_unopened_member_and_an_unknown_step_are_refused(consortium: Consortium) -> None:
    with pytest.raises(LedgerError, match="'lab': the ledger is not open yet"):
        consortium.members["lab"].act("commit")
    consortium.begin()
    with pytest.raises(LedgerError, match=r"expected one of the steps .*, got 'dance'"):
        consortium.members["lab"].act("dance")
