"""The same contract and members over JSON-RPC, on a node of anvil where npm has it."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from cipherlane.errors import LedgerError
from cipherlane.federation import train
from cipherlane.ledger.access import request_access
from cipherlane.ledger.accounts import Account, contract_address
from cipherlane.ledger.agreement import Agreement, Identity
from cipherlane.ledger.audit import audit
from cipherlane.ledger.chain import Reverted
from cipherlane.ledger.contract import Contract, call_data, deployment, interface
from cipherlane.ledger.json_rpc import JsonRpcChain
from cipherlane.ledger.member import OUTBOX_FILE
from cipherlane.ledger.outbox import Outbox, Signed
from cipherlane.ledger.run_files import agreement_file, member_directory

import anvil
from consortium import KEY, ROLES, Consortium, account_of


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    try:
        anvil.program()
    except anvil.NotAvailable as error:
        pytest.skip(str(error))
    with anvil.node() as url:
        yield url


def _consortium(run: Path, url: str) -> Consortium:
    """Members whose accounts are fresh on the network, so that tests can share it."""
    chain = JsonRpcChain(url)
    members = {name: Identity(role, account_of(name).address) for name, role in ROLES.items()}
    creator = account_of("coordinator").address
    agreement = Agreement(os.urandom(32), members, contract_address(creator, chain.nonce(creator)), chain.chain_id, url)
    consortium = Consortium(run, agreement=agreement)
    agreement_file(run).parent.mkdir(parents=True, exist_ok=True)
    agreement_file(run).write_text(agreement.to_json())
    return consortium


def test_a_run_over_json_rpc_passes_the_audit_and_a_changed_one_does_not(tmp_path: Path, url: str) -> None:
    consortium = _consortium(tmp_path / "run", url)
    consortium.begin()
    consortium.round()
    consortium.finish()
    report = audit(consortium.run)
    assert report.failure is None
    assert "its history is its validators' word" in report.held[1]
    model = consortium.run / "models" / "lab.npz"
    model.write_bytes(b"another")
    assert "lab.npz: is not the file that 'lab' recorded" in str(audit(consortium.run).failure)


def test_refusals_and_revoked_access_over_json_rpc(tmp_path: Path, url: str) -> None:
    consortium = _consortium(tmp_path / "run", url)
    consortium.begin()
    lab = consortium.members["lab"]
    lab._next_commitment = 9
    with pytest.raises(LedgerError, match="'lab': the ledger refuses its commit: round is not the next"):
        consortium.session.commit()
    directory = member_directory(consortium.run, "lab")
    request_access(directory, 0)
    consortium.session.do("access")
    with pytest.raises(LedgerError, match="access to the data set of 'lab' was revoked on the ledger"):
        consortium.members["guest"].check_access()
    lab.learn_key(b"x" * 32)
    with pytest.raises(LedgerError, match="'lab': the key it was given"):
        lab.act("vote")
    lab.learn_key(KEY)
    assert lab.act("vote") == []


def test_a_node_that_does_not_answer_or_is_another_is_named(tmp_path: Path, url: str) -> None:
    with pytest.raises(LedgerError, match=r"ledger http://127.0.0.1:9: .*check ledger.url in the plan and the node"):
        JsonRpcChain("http://127.0.0.1:9")
    consortium = _consortium(tmp_path / "run", url)
    other = Agreement(b"s" * 32, consortium.agreement.members, consortium.agreement.contract, 5, url)
    with pytest.raises(LedgerError, match="chain 31337 answers, expected 5"):
        consortium.members["lab"].open(other.to_json())
    chain = JsonRpcChain(url)
    with pytest.raises(LedgerError, match=r"ledger http://.*nonce too low|ledger http://.*: "):
        account = account_of("coordinator")
        chain.send(account.transaction(chain.chain_id, 0, bytes(20), call_data("vote", 0)))
        chain.send(account.transaction(chain.chain_id, 0, bytes(20), call_data("vote", 1)))


def _asked(url: str, method: str, *parameters: object) -> object:
    """Ask the node without web3.py."""
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(parameters)}
    return requests.post(url, json=body, timeout=30).json()["result"]


def test_every_question_is_answered_as_the_node_itself_does(url: str) -> None:
    chain, account = JsonRpcChain(url), Account.new()
    assert chain.chain_id == int(_asked(url, "eth_chainId"), 16)
    assert chain.nonce(account.address) == 0
    made = contract_address(account.address, 0)
    assert chain.code(made) == b""
    founders = [(account.address, 4, bytes(32)), (account_of("lab").address, 2, bytes(32))]
    before = chain.height()
    sent = chain.send(account.transaction(chain.chain_id, 0, b"", deployment(founders)))
    assert chain.wait(sent) is True and chain.knows(sent) and not chain.knows(bytes(32))
    latest = _asked(url, "eth_getBlockByNumber", "latest", False)
    assert chain.height() == before + 1 == int(latest["number"], 16)
    head = chain.head()
    assert (head.number, "0x" + head.hash.hex()) == (int(latest["number"], 16), latest["hash"])
    assert chain.nonce(account.address) == 1
    assert (
        chain.code(made)
        == interface().runtime
        == bytes.fromhex(_asked(url, "eth_getCode", "0x" + made.hex(), "latest")[2:])
    )
    logs = list(chain.logs(made))
    assert [(log.block, log.timestamp, log.contract) for log in logs] == [
        (head.number, int(latest["timestamp"], 16), made)
    ] * 2
    assert [event["account"] for event in Contract(chain, made).events()] == [account for account, _, _ in founders]
    assert Contract(chain, made).read("memberCount") == 2
    outsider = Account.new()
    with pytest.raises(Reverted, match="not a member"):
        chain.call(made, call_data("vote", 0), outsider.address)
    refused = chain.send(outsider.transaction(chain.chain_id, 0, made, call_data("vote", 0)))
    assert chain.wait(refused) is False
    # From a later block on there is nothing of this contract.
    assert list(JsonRpcChain(url, chain.height()).logs(made)) == []


def test_logs_are_asked_for_in_spans_and_come_whole(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    chain, account = JsonRpcChain(url), Account.new()
    made = contract_address(account.address, 0)
    chain.wait(chain.send(account.transaction(chain.chain_id, 0, b"", deployment([(account.address, 4, bytes(32))]))))
    for nonce in (1, 2, 3):
        label = bytes([nonce]) * 32
        data = call_data("registerDataset", label, bytes(32))
        assert chain.wait(chain.send(account.transaction(chain.chain_id, nonce, made, data)))
    whole = list(chain.logs(made))
    monkeypatch.setattr("cipherlane.ledger.json_rpc._LOG_SPAN", 2)
    assert list(chain.logs(made)) == whole and len(whole) == 4


class Killed(Exception):
    """Stands for the end of a member's process."""


def _cut_short(monkeypatch: pytest.MonkeyPatch, where: str, count: int) -> None:
    """Let the members' part end after `count` of what `where` names: transactions sent, or steps signed and kept."""
    owner, name = {"send": (JsonRpcChain, "send"), "keep": (Outbox, "keep")}[where]
    original, left = getattr(owner, name), [count]

    def counted(self: object, *arguments: object) -> object:
        if left[0] == 0:
            raise Killed
        left[0] -= 1
        return original(self, *arguments)

    monkeypatch.setattr(owner, name, counted)


# In a run of one round 4 members sign in each of 10 steps, and send 30 transactions.
CUTS = [*(("send", count) for count in range(1, 30, 4)), *(("keep", count) for count in range(2, 40, 6))]


@pytest.mark.parametrize(("where", "count"), CUTS)
def test_a_step_that_was_cut_short_is_done_by_all_or_by_none(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch, where: str, count: int
) -> None:
    consortium = _consortium(tmp_path / "run", url)
    with monkeypatch.context() as patched:
        _cut_short(patched, where, count)
        with pytest.raises(Killed):
            _whole_run(consortium)
    again = Consortium(consortium.run, agreement=consortium.agreement)
    again.session_number, again.sequence = 2, consortium.sequence
    again.session.open()
    numbers = {member.next_commitment for member in again.members.values()}
    assert len(numbers) == 1, "a commitment of some members only"
    if not again.is_closed():
        (again.number,) = numbers
        _rest_of_a_run(again)
    else:
        again.session.close()
        again.close()
    report = audit(again.run)
    assert report.failure is None, report.failure


def _whole_run(consortium: Consortium) -> None:
    consortium.begin()
    consortium.round()
    consortium.finish()


def _rest_of_a_run(consortium: Consortium) -> None:
    """What a resumed session does: a key of its own, and the rounds that are left."""
    for member in consortium.members.values():
        member.learn_key(KEY)
    consortium.session.agree_on_key()
    consortium.round()
    consortium.finish()


def test_transactions_on_their_way_when_a_session_ends_are_waited_for(tmp_path: Path, url: str) -> None:
    consortium = _consortium(tmp_path / "run", url)
    consortium.begin()
    consortium.exchange()
    # Nothing gets into a block until it is asked for: the members' processes end while all is on its way.
    _asked(url, "evm_setAutomine", False)
    try:
        for member in consortium.members.values():
            member.act("commit")
        for member in consortium.members.values():
            for made in member._outstanding:
                member._network.send(made.raw)
        _asked(url, "evm_setIntervalMining", 1)
        again = Consortium(consortium.run, agreement=consortium.agreement)
        again.session_number, again.sequence = 2, consortium.sequence
        again.session.open()
        assert {member.next_commitment for member in again.members.values()} == {2}
    finally:
        _asked(url, "evm_setIntervalMining", 0)
        _asked(url, "evm_setAutomine", True)
    again.number = 2
    _rest_of_a_run(again)
    assert audit(again.run).failure is None


def test_what_was_signed_is_kept_until_the_next_step_and_a_damaged_file_is_named(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / OUTBOX_FILE)
    assert outbox.read() == Signed()
    outbox.keep("commit 3", [b"a", b""])
    assert outbox.read() == Signed("commit 3", (b"a", b""))
    for text in ("", "[]", "{}", '{"step": 1, "transactions": []}', '{"step": "a", "transactions": ["x"]}', "[" * 9999):
        (tmp_path / OUTBOX_FILE).write_text(text)
        with pytest.raises(LedgerError, match=r"outbox.json: not what this member wrote there"):
            outbox.read()
    outbox.forget()
    outbox.forget()
    assert outbox.read() == Signed()


_KILLED_RUN = """
import os, signal, sys
from cipherlane.federation import train
from cipherlane.ledger.json_rpc import JsonRpcChain
send, left = JsonRpcChain.send, [int(sys.argv[3])]
def counted(self, transaction):
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    return send(self, transaction)
JsonRpcChain.send = counted
train(sys.argv[1], sys.argv[2], resume=True)
"""


def test_a_run_killed_between_its_records_ends_with_a_ledger_that_holds(tmp_path: Path, url: str) -> None:
    for name, shift in (("guest", 0.0), ("host", 3.0)):
        rows = "".join(f"p{i},{(i * 7 % 20) / 3 + shift},{(i * 11 % 23) / 5}\n" for i in range(40))
        (tmp_path / f"{name}.csv").write_text(f"id,x0,x1\n{rows}")
    plan = tmp_path / "plan.toml"
    text = (
        "[model]\ncomponents = 2\n[training]\nmax_iterations = 3\ntolerance = 0.0\n[encryption]\nkey_bits = 1024\n"
        '[parties.guest]\ndata = "guest.csv"\n[parties.host]\ndata = "host.csv"\n'
    )
    plan.write_text(text)
    bare = train(plan, tmp_path / "bare")
    plan.write_text(f'{text}[ledger]\nurl = "{url}"\n')
    source = random.Random(7)
    kills = 0
    # Sessions end after fewer transactions each than a step of four members has, and after more.
    for _ in range(6):
        count = source.randrange(1, 14)
        command = [sys.executable, "-c", _KILLED_RUN, str(plan), str(tmp_path / "run"), str(count)]
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        if ended.returncode == 0:
            break
        assert ended.returncode == -signal.SIGKILL, ended.stderr
        kills += 1
    assert kills >= 2
    run = train(plan, tmp_path / "run", resume=True)
    assert [r["log_likelihood"] for r in run.metrics["iterations"]] == [
        r["log_likelihood"] for r in bare.metrics["iterations"]
    ]
    report = audit(run.directory)
    assert report.failure is None, report.failure
    note = json.loads((run.directory / "ledger.json").read_text())
    assert note["engine"] == "json-rpc" and note["height"] >= note["commits"]
