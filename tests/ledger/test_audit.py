"""Every way to tamper with a run that the ledger is to show: each is found, and named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import rlp

from cipherlane.errors import LedgerError
from cipherlane.ledger.accounts import Account
from cipherlane.ledger.audit import AuditReport, Expected, audit
from cipherlane.ledger.contract import call_data
from cipherlane.ledger.member import CHAIN_FILE
from cipherlane.ledger.node import Node
from cipherlane.ledger.run_files import agreement_file, member_directory
from cipherlane.ledger.store import _digest

from consortium import ROLES, Consortium, account_of, careless, edit


def _copy(run: Path, name: str) -> Path:
    return member_directory(run, name) / CHAIN_FILE


def _fails(run: Path, *expected: str) -> AuditReport:
    report = audit(run)
    assert report.failure is not None
    for text in expected:
        assert text in report.failure
    return report


def _unchanged_files(run: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(run.rglob("*")) if path.is_file()}


def test_a_whole_run_holds_and_the_audit_changes_nothing(run: Path) -> None:
    before = _unchanged_files(run)
    report = audit(run)
    assert report.passed
    assert report.notes == []
    assert len(report.held) == 12
    assert _unchanged_files(run) == before
    head = report.held[1].rpartition(" ")[2]
    assert audit(run, Expected({"lab": account_of("lab").address}, bytes.fromhex(head))).passed


def test_without_a_ledger_there_is_nothing_to_audit(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no ledger lies there; audit a run whose plan has a section \[ledger\]"):
        audit(tmp_path)


def test_what_is_known_from_elsewhere_counts(run: Path) -> None:
    report = audit(run, Expected({"lab": bytes(20)}))
    assert report.failure is not None and "expected 'lab' with account 0x0000" in report.failure
    assert report.held == []
    report = audit(run, Expected(head=bytes(32)))
    assert report.failure is not None and "its history was rewritten" in report.failure


# The transcript.


def test_every_byte_of_the_transcript_counts(run: Path) -> None:
    path = run / "transcript.jsonl"
    original = path.read_bytes()
    middle = original.index(b"\n", len(original) // 2) + 1
    end = original.index(b"\n", middle)
    # One line of the middle, byte by byte; its agreement with the rest of the file is the same for all lines.
    for place in range(middle, end, 3):
        for flip in (1, 16):
            changed = bytearray(original)
            changed[place] ^= flip
            path.write_bytes(bytes(changed))
            report = audit_transcript(run)
            assert report is not None, (place, flip, original[middle:end])
    path.write_bytes(original)
    assert audit_transcript(run) is None


def audit_transcript(run: Path) -> str | None:
    """The audit without the replay, which has nothing to do with the transcript and takes longest."""
    from cipherlane.ledger.audit import _Auditor

    auditor = _Auditor(run, Expected())
    auditor._members()
    auditor._chain = _NODES.setdefault(run, Node(_copy(run, "guest"), auditor._agreement.genesis()))
    auditor._events = _EVENTS.setdefault(run, list(auditor._contract.events()))
    try:
        auditor._transcript_committed()
    except LedgerError as error:
        return str(error)
    return None


_NODES: dict[Path, Node] = {}
_EVENTS: dict[Path, list] = {}


def test_a_changed_digest_names_the_commitment_and_both_ends(run: Path) -> None:
    path = run / "transcript.jsonl"
    lines = path.read_text().splitlines()
    entry = json.loads(lines[20])
    entry["sha256"] = "0" * 64
    lines[20] = json.dumps(entry)
    path.write_text("\n".join([*lines, ""]))
    ends = sorted((entry["sender"], entry["receiver"]))
    _fails(run, f"commitment {entry['commitment']}: the transcript's messages are not those that", *map(repr, ends))


@pytest.mark.parametrize("what", ["removed", "twice", "moved", "moved far", "added", "cut"])
def test_messages_removed_added_or_moved_are_found(run: Path, what: str) -> None:
    path = run / "transcript.jsonl"
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    if what == "removed":
        del entries[10]
    elif what == "twice":
        entries.insert(10, dict(entries[10]))
    elif what == "moved":
        entries[8], entries[10] = entries[10], entries[8]
    elif what == "moved far":
        entries[10], entries[12] = entries[12], entries[10]
    elif what == "added":
        entries.append({**entries[-1], "commitment": entries[-1]["commitment"] + 1})
    else:
        del entries[-3:]
    for index, entry in enumerate(entries):
        entry["index"] = index
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    found = {
        "added": "messages are in no commitment",
        "moved": "commitment 1: what 'coordinator' says it sent is not what the transcript lists",
        "moved far": "line 12: belongs before the line above it",
    }
    _fails(run, found.get(what, "committed to"))


def test_a_transcript_that_is_none_is_named_by_its_line(run: Path) -> None:
    path = run / "transcript.jsonl"
    text = path.read_text()
    lines = text.splitlines(keepends=True)
    for changed, expected in (
        (text[:-1], "the last line is not whole"),
        ("".join([*lines[:4], "{}\n", *lines[5:]]), "line 5: not an entry as the run wrote it"),
        ("".join([*lines[:4], lines[4].replace(": ", ":", 1), *lines[5:]]), "line 5: not an entry as the run wrote it"),
        ("".join([*lines[:4], *lines[5:]]), "line 5: not an entry as the run wrote it"),
        (text.replace('"session": 1', '"session": 2', 1), "line 2: belongs before the line above it"),
    ):
        path.write_text(changed)
        assert expected in str(audit_transcript(run))
    path.write_bytes(b"\xff\n")
    _fails(run, "transcript.jsonl: not UTF-8 text")
    path.unlink()
    _fails(run, "transcript.jsonl: no such file")


def test_a_party_that_contradicts_the_others_is_named(tmp_path: Path) -> None:
    consortium = Consortium(tmp_path / "run")
    consortium.begin()
    consortium.exchange()
    # The lab commits to another message than the one that the coordinator saw.
    noted = consortium.members["lab"]._crossings
    noted[-1] = type(noted[-1])("lab", "coordinator", "encrypted_scores", 1, "ee" * 32, 10)
    consortium.session.commit()
    consortium.number += 1
    consortium.finish()
    _fails(
        consortium.run, "commitment 1: what 'lab' says it sent is not what the transcript lists and the other ends say"
    )


# The files.


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("plan.toml", "plan.toml: is not the plan that the members accepted on the ledger"),
        ("models/lab.npz", "lab.npz: is not the file that 'lab' recorded on the ledger"),
        ("models/joint.npz", "joint.npz: is not the file that 'arbiter' recorded"),
        ("metrics.json", "metrics.json: is not the file that 'coordinator' recorded"),
        ("assignments.csv", "assignments.csv: is not the file that 'guest' recorded"),
    ],
)
def test_a_changed_file_is_named(run: Path, file: str, expected: str) -> None:
    path = run / file
    original = path.read_bytes()
    path.write_bytes(original[:-1] + bytes([original[-1] ^ 1]))
    _fails(run, expected)
    path.unlink()
    _fails(run, file.rpartition("/")[2])


# The copies of the chain.


def test_a_changed_database_row_is_named_with_its_file(run: Path) -> None:
    path = _copy(run, "lab")
    for kind in ("block-number-to-hash:4", "v1:canonical_head_hash"):
        saved = path.read_bytes()
        edit(path, "update records set value = zeroblob(length(value)) where key = ?", kind.encode())
        _fails(run, "copy of 'lab'", "chain.sqlite", f"record {kind} was changed after it was written")
        path.write_bytes(saved)


def test_every_row_of_a_copy_counts(run: Path) -> None:
    import sqlite3

    path = _copy(run, "guest")
    connection = sqlite3.connect(path)
    keys = [row[0] for row in connection.execute("select key from records order by key")]
    connection.close()
    saved = path.read_bytes()
    for key in keys[:: max(len(keys) // 12, 1)]:
        edit(path, "update records set value = value || x'00' where key = ?", key)
        _fails(run, "copy of 'guest'")
        path.write_bytes(saved)


def test_a_row_changed_together_with_its_digest_is_found(run: Path) -> None:
    path = _copy(run, "guest")
    # A lookup has no hash to go by: here block 4 is made to be block 3.
    node = Node(path, Consortium(run).agreement.genesis())
    third = rlp.encode(node.hash_of(3))
    node.close()
    key = b"block-number-to-hash:4"
    edit(path, "update records set value = ?, digest = ? where key = ?", third, _digest(key, third), key)
    _fails(run, "copy of 'guest': block 3: this copy of the ledger has blocks up to 3 already")


def test_a_file_that_is_no_database_or_gone_is_named(run: Path) -> None:
    path = _copy(run, "arbiter")
    saved = path.read_bytes()
    path.write_bytes(saved[:100] + bytes(len(saved) - 100))
    _fails(run, "copy of 'arbiter'", "chain.sqlite")
    path.unlink()
    report = audit(run)
    assert report.passed
    assert report.notes == ["copies that are not on this machine were not compared: arbiter"]
    for name in ROLES:
        _copy(run, name).unlink(missing_ok=True)
    _fails(run, "no member's copy of the chain lies there")


def _rewritten(run: Path, name: str, keep: int, blocks: list[list[bytes]], sealer: Account) -> None:
    """Give a member another history: the first `keep` blocks, and then its own."""
    path = _copy(run, name)
    genesis = Consortium(run).agreement.genesis()
    node = Node(path, genesis)
    kept = node.blocks(1)[:keep]
    node.close()
    path.unlink()
    with careless():
        forged = Node(path, genesis, sealer)
        for block in kept:
            forged.append(block)
        for transactions in blocks:
            forged.seal(transactions)
    forged.close()


def _height(run: Path) -> int:
    node = Consortium(run).node("guest")
    height = node.head.number
    node.close()
    return height


def test_one_member_that_rewrites_history_alone_is_named(run: Path) -> None:
    height = _height(run)
    _rewritten(run, "lab", height - 4, [[], [], [], []], account_of("lab"))
    address = account_of("lab").address.hex()
    _fails(run, "copy of 'lab'", f"'lab' (0x{address}) sealed it", "one validator may not write on alone")


def test_one_member_that_rewrites_the_last_block_differs_from_the_rest(run: Path) -> None:
    height = _height(run)
    genesis = Consortium(run).agreement.genesis()
    # Whose turn comes next: it has not sealed lately, so that its block is valid by itself.
    name = next(name for name in ROLES if account_of(name).address == genesis.in_turn(height + 1))
    account = account_of(name)
    _rewritten(run, name, height - 1, [[account.transaction(4242, 100, bytes(20), b"")][:0]], account)
    _fails(run, f"copies of {name!r} (1 alike) and ", f"(3) differ from block {height} on")


def test_blocks_cut_off_are_found(run: Path) -> None:
    height = _height(run)
    _rewritten(run, "lab", height - 1, [], account_of("lab"))
    _fails(run, f"copy of 'lab': ends with block {height - 1}, that of ", f"with {height}; blocks were removed")


def test_blocks_cut_off_from_most_copies_are_found(run: Path) -> None:
    height = _height(run)
    for name in sorted(set(ROLES) - {"lab"}):
        _rewritten(run, name, height - 1, [], account_of(name))
    _fails(run, f": ends with block {height - 1}, that of 'lab' with {height}; blocks were removed from it, or it is")


def test_an_outsiders_block_is_named(run: Path) -> None:
    outsider = account_of("outsider")
    _rewritten(run, "lab", _height(run), [[]], outsider)
    _fails(run, "copy of 'lab'", f"sealed by 0x{outsider.address.hex()}, which is no validator")


def test_a_forged_signature_is_named(run: Path) -> None:
    """A transaction in another's name: the sealer puts it in, with a signature that is none."""
    genesis = Consortium(run).agreement.genesis()
    height = _height(run)
    name = next(name for name in ROLES if account_of(name).address == genesis.in_turn(height + 1))
    contract = Consortium(run).agreement.contract
    fields = rlp.decode(account_of("guest").transaction(4242, 0, contract, call_data("vote", 0)))
    forged = rlp.encode([*fields[:7], b"\x7f" * 32, fields[8]])
    _rewritten(run, name, height, [], account_of(name))
    with careless():
        node = Node(_copy(run, name), genesis, account_of(name))
        raw = node.seal([])
        node.close()
    header, _, uncles = rlp.decode(raw)
    _rewritten(run, name, height, [], account_of(name))
    block = rlp.encode([header, [rlp.decode(forged)], uncles])
    node = Node(None, genesis)
    for kept in Node(_copy(run, "guest"), genesis).blocks(1):
        node.append(kept)
    with pytest.raises(
        LedgerError, match=f"block {height + 1}: (transaction 0 has a forged signature|does not follow)"
    ):
        node.append(block)


def _in_every_copy(run: Path, name: str, data: bytes) -> None:
    """Let all validators together seal a transaction that the contract refuses."""
    consortium = Consortium(run)
    consortium.sealed_by_all([consortium.transaction(name, data)])


def test_a_replayed_round_is_named(run: Path) -> None:
    plan = Consortium(run).agreement.plan_id
    _in_every_copy(run, "lab", call_data("commit", plan, 1, bytes(32), bytes(32), 1))
    # The plan is closed by then, which the contract says first; see below for an open one.
    _fails(run, f"block {_height(run)}: commit of 'lab' was refused: plan is not active")


def _open_run(tmp_path: Path) -> Consortium:
    consortium = Consortium(tmp_path / "run")
    consortium.begin()
    consortium.round()
    consortium.close()
    return consortium


def test_a_round_replayed_while_the_plan_is_open_is_named(tmp_path: Path) -> None:
    consortium = _open_run(tmp_path)
    plan = consortium.agreement.plan_id
    _in_every_copy(consortium.run, "lab", call_data("commit", plan, 1, bytes(32), bytes(32), 1))
    _fails(consortium.run, "commit of 'lab' was refused: round is not the next")


def test_a_commitment_after_revocation_is_named(tmp_path: Path) -> None:
    consortium = _open_run(tmp_path)
    agreement = consortium.agreement
    _in_every_copy(consortium.run, "lab", call_data("setAccess", agreement.dataset_id("lab"), agreement.plan_id, 0))
    _in_every_copy(consortium.run, "lab", call_data("commit", agreement.plan_id, 2, bytes(32), bytes(32), 1))
    _fails(consortium.run, "commit of 'lab' was refused: access revoked or expired")


def test_a_commitment_without_access_is_named_even_if_a_contract_let_it_pass(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cipherlane.ledger.audit import _Auditor

    auditor = _Auditor(run, Expected())
    for check in auditor.checks[:2]:
        check()
    dataset = auditor._agreement.dataset_id("lab")
    auditor._events = [
        event for event in auditor._events if not (event.name == "AccessSet" and event["datasetId"] == dataset)
    ]
    with pytest.raises(LedgerError, match=r"block \d+: 'lab' committed to round 0 without live access"):
        auditor._access_in_every_round()


def test_a_strangers_transaction_is_named(tmp_path: Path) -> None:
    consortium = _open_run(tmp_path)
    _in_every_copy(consortium.run, "stranger", call_data("vote", 0))
    address = account_of("stranger").address.hex()
    _fails(consortium.run, f"vote of 0x{address}, which is no member, was refused: not a member")


def test_a_run_that_is_not_complete_does_not_pass(tmp_path: Path) -> None:
    consortium = _open_run(tmp_path)
    report = _fails(consortium.run, "'coordinator' has recorded none; the run is not complete")
    assert len(report.held) == 9


def test_a_record_that_no_other_validator_sealed_on_is_not_final(run: Path, tmp_path: Path) -> None:
    height = _height(run)
    for name in ROLES:
        _rewritten(run, name, height - 2, [], account_of(name))
    _fails(run, f"block {height - 2}: closes the plan, and 1 validators sealed it or a block after it; 3 make it final")


def test_messages_of_an_interrupted_session_are_told_and_break_nothing(tmp_path: Path) -> None:
    consortium = Consortium(tmp_path / "run")
    consortium.begin()
    consortium.exchange()
    consortium.close()
    again = Consortium(consortium.run)
    again.sequence, again.number = consortium.sequence, consortium.number
    again.session.open()
    for member in again.members.values():
        member.learn_key(b"k2".ljust(32))
    again.session.agree_on_key()
    again.session_number = 2
    again.round()
    again.finish()
    report = audit(again.run)
    assert report.failure is None
    assert report.notes == ["6 messages of interrupted sessions are in no commitment"]


def test_the_agreement_itself_counts(run: Path) -> None:
    path = agreement_file(run)
    values = json.loads(path.read_text())
    path.write_text(json.dumps({**values, "salt": "ab" * 32}))
    _fails(run, "agreement.json: is not the agreement that 'coordinator' keeps; one of the two was changed")
    for name in ROLES:
        (member_directory(run, name) / "agreement.json").unlink()
    for changes, expected in (
        ({"salt": "ab" * 32}, "plan: the ledger has no plan of this run's coordinator"),
        ({"time": values["time"] - 1}, "holds another chain"),
        ({"chain_id": 5}, "signed for chain"),
        ({"contract": "ab" * 20}, "the code on the ledger is not the shipped contract's"),
        ({"validators": values["validators"][:3]}, "holds another chain"),
        ({"members": {**values["members"], "lab": {"role": "host", "account": "ab" * 20}}}, "holds another chain"),
    ):
        path.write_text(json.dumps({**values, **changes}))
        _fails(run, expected)
    path.write_text("{")
    _fails(run, "agreement.json: ledger: the members' agreement is damaged")
