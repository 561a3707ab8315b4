"""The same contract and members over JSON-RPC, on a node of anvil (npm: @foundry-rs/anvil) where there is one."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cipherlane.errors import LedgerError
from cipherlane.ledger.access import request_access
from cipherlane.ledger.accounts import contract_address
from cipherlane.ledger.agreement import Agreement, Identity
from cipherlane.ledger.audit import audit
from cipherlane.ledger.contract import call_data
from cipherlane.ledger.json_rpc import JsonRpcChain
from cipherlane.ledger.run_files import agreement_file, member_directory

from consortium import KEY, ROLES, Consortium, account_of

_INSTALLED = Path(__file__).parents[2] / "node_modules" / ".bin" / "anvil"


def _anvil() -> str | None:
    """The program: named by CIPHERLANE_ANVIL, on the path, or installed by npm in this checkout."""
    return (
        os.environ.get("CIPHERLANE_ANVIL")
        or shutil.which("anvil")
        or (str(_INSTALLED) if _INSTALLED.exists() else None)
    )


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    program = _anvil()
    if program is None:
        pytest.skip("anvil is not installed: npm install --no-save @foundry-rs/anvil, or set CIPHERLANE_ANVIL")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--port", str(port), "--hardfork", "london", "--gas-price", "0", "--block-base-fee-per-gas", "0"]
    nothing = subprocess.DEVNULL
    with subprocess.Popen(
        [program, *options, "--silent"], stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True
    ) as process:
        try:
            _wait_for(port)
            yield f"http://127.0.0.1:{port}"
        finally:
            # npm puts a program of its own before it, which would leave it behind.
            os.killpg(process.pid, signal.SIGKILL)


def _wait_for(port: int) -> None:
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail("anvil does not listen")


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
