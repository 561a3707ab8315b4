"""Copies of the embedded chain: what they refuse, and what they survive."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest.mock import patch

import pytest
import rlp

from cipherlane.errors import LedgerError, StorageError
from cipherlane.ledger import node as ledger_node
from cipherlane.ledger.accounts import Account, new_key
from cipherlane.ledger.clique import LedgerChain
from cipherlane.ledger.genesis import Genesis
from cipherlane.ledger.node import Node
from cipherlane.ledger.store import RecordStore, _digest

from consortium import account_of, careless, edit

NAMES = ("a", "b", "c", "d")


@pytest.fixture
def genesis() -> Genesis:
    return Genesis(99, int(time.time()) - 60, tuple(account_of(name).address for name in NAMES))


class Chain:
    """Four validators' copies in memory."""

    def __init__(self, genesis: Genesis, path: Path | None = None) -> None:
        self.nodes = {
            account_of(name).address: Node(path / f"{name}.sqlite" if path else None, genesis, account_of(name))
            for name in NAMES
        }
        self.first = next(iter(self.nodes.values()))

    def extend(self, blocks: int) -> None:
        for _ in range(blocks):
            sealer = self.nodes[self.first.next_sealer]
            raw = sealer.seal([])
            for node in self.nodes.values():
                if node is not sealer:
                    node.append(raw)

    def next(self, turns: int = 0) -> Node:
        """The copy of the validator whose turn is the given number of blocks after the next."""
        return self.nodes[self.first.genesis.in_turn(self.first.head.number + 1 + turns)]


def test_validators_seal_in_turn_and_all_copies_are_alike(genesis: Genesis) -> None:
    chain = Chain(genesis)
    chain.extend(9)
    assert {node.head for node in chain.nodes.values()} == {chain.first.head}
    assert [chain.first.sealer(number) for number in range(1, 10)] == [genesis.in_turn(n) for n in range(1, 10)]


def test_a_validator_out_of_turn_may_seal_and_one_that_sealed_lately_may_not(genesis: Genesis) -> None:
    chain = Chain(genesis)
    chain.extend(3)
    ahead = chain.next(turns=1)
    raw = ahead.seal([])
    for node in chain.nodes.values():
        if node is not ahead:
            node.append(raw)
    # With four validators one may seal one in three blocks.
    with pytest.raises(LedgerError, match=r"block 5: 0x.* sealed it, and one of the 2 blocks before it"):
        ahead.seal([])
    assert ahead.head.number == 4
    with careless():
        alone = ahead.seal([])
    with pytest.raises(LedgerError, match="one validator may not write on alone"):
        next(node for node in chain.nodes.values() if node is not ahead).append(alone)


def test_the_rule_is_in_the_consensus_too(genesis: Genesis) -> None:
    chain = Chain(genesis)
    chain.extend(1)
    sealer = chain.nodes[genesis.in_turn(1)]
    parent = sealer._header(1)
    header = sealer._header_to_seal(parent, genesis.in_turn(1))
    signed = ledger_node.sign_block_header(header.copy(extra_data=bytes(97)), sealer._account.private_key)
    vm = sealer._chain.get_vm(signed)
    with pytest.raises(ledger_node.ValidationError, match="sealed too recently"):
        vm._consensus.validate_seal_extension(signed, ())


def test_an_outsiders_block_is_refused(genesis: Genesis) -> None:
    chain = Chain(genesis)
    chain.extend(2)
    outsider = Node(None, genesis, account_of("outsider"))
    for raw in chain.first.blocks(1):
        outsider.append(raw)
    with careless():
        raw = outsider.seal([])
    with pytest.raises(LedgerError, match=f"block 3: sealed by 0x{account_of('outsider').address.hex()}, which is no"):
        chain.first.append(raw)
    assert chain.first.head.number == 2


def test_a_changed_block_is_refused(genesis: Genesis) -> None:
    chain = Chain(genesis)
    chain.extend(2)
    sealer = chain.next()
    account = account_of("a")
    raw = sealer.seal([account.transaction(99, 0, account.address, b"x")])
    follower = chain.next(turns=1)
    fields = rlp.decode(raw)
    # Its state root: the seal is then another's.
    header = list(fields[0])
    header[3] = bytes(32)
    with pytest.raises(LedgerError, match=r"block 3: sealed by 0x.*, which is no validator"):
        follower.append(rlp.encode([header, fields[1], fields[2]]))
    # A transaction of the body: the header, sealed as it is, does not fit it.
    changed = rlp.decode(account.transaction(99, 0, account.address, b"y"))
    with pytest.raises(LedgerError, match="block 3: does not follow from the blocks before it"):
        follower.append(rlp.encode([fields[0], [changed], fields[2]]))
    # Its signature: r is no point.
    forged = [*fields[1][0][:7], b"\xff" * 32, fields[1][0][8]]
    with pytest.raises(LedgerError, match="block 3: transaction 0 has a forged signature"):
        follower.append(rlp.encode([fields[0], [forged], fields[2]]))
    for nonsense in (b"", b"x", raw[:-1], rlp.encode([]), rlp.encode([fields[0]])):
        with pytest.raises(LedgerError, match=f"block of {len(nonsense)} bytes: malformed"):
            follower.append(nonsense)
    assert follower.append(raw).number == 3


def test_a_transaction_for_another_chain_replayed_or_cut_is_not_sealed(genesis: Genesis) -> None:
    chain = Chain(genesis)
    account = account_of("a")
    good = account.transaction(99, 0, account.address, b"")
    for bad in (b"", good[:-1]):
        with pytest.raises(LedgerError, match=f"a transaction of {len(bad)} bytes is malformed or not signed"):
            chain.next().seal([bad])
    foreign = account.transaction(98, 0, account.address, b"")
    with pytest.raises(LedgerError, match=r"transaction [0-9a-f]{16}...: signed for chain 98, this is 99"):
        chain.next().seal([foreign])
    with patch.object(Node, "_check_chain"):
        block = chain.next().seal([foreign])
    with pytest.raises(LedgerError, match="signed for chain 98, this is 99"):
        chain.next(turns=1).append(block)
    other = chain.next(turns=2)
    with pytest.raises(
        LedgerError, match="block 1: a transaction does not follow the rules: Invalid transaction nonce"
    ):
        other.seal([good, good])
    assert other.head.number == 0


def test_a_copy_that_is_behind_or_elsewhere_says_so(genesis: Genesis) -> None:
    chain = Chain(genesis)
    chain.extend(3)
    blocks = chain.first.blocks(1)
    late = Node(None, genesis)
    with pytest.raises(LedgerError, match="block 2: this copy of the ledger is behind, it needs block 1 first"):
        late.append(blocks[1])
    late.append(blocks[0])
    with pytest.raises(LedgerError, match="block 1: this copy of the ledger has blocks up to 1 already"):
        late.append(blocks[0])
    other = Chain(Genesis(genesis.chain_id, genesis.time - 1, genesis.validators))
    other.extend(2)
    with pytest.raises(LedgerError, match="block 2: follows another block 1 than this copy"):
        late.append(other.first.block(2))
    with pytest.raises(LedgerError, match="seal: this copy has no account"):
        late.seal([])


def test_clocks_apart_are_waited_for_or_named(genesis: Genesis, monkeypatch: pytest.MonkeyPatch) -> None:
    chain = Chain(genesis)
    now = time.time()
    made = LedgerChain.create_header_from_parent

    def ahead_by(seconds: float):
        def create(self, parent, **fields):
            return made(self, parent, **{"timestamp": int(now + seconds), **fields})

        return create

    class Clock:
        """Stands still but for sleeping."""

        def __init__(self) -> None:
            self.now = now

        def time(self) -> float:
            return self.now

        def sleep(self, seconds: float) -> None:
            self.now += seconds

    clock = Clock()
    with monkeypatch.context() as patched:
        patched.setattr(LedgerChain, "create_header_from_parent", ahead_by(3))
        with careless():
            patched.setattr("eth.consensus.clique._utils.eth_now", lambda: int(now) + 1000)
            raw = chain.next().seal([])
        patched.setattr(ledger_node, "time", clock)
        follower = chain.next(turns=1)
        assert follower.append(raw).number == 1
        assert clock.now >= int(now) + 3
    with monkeypatch.context() as patched:
        patched.setattr(LedgerChain, "create_header_from_parent", ahead_by(500))
        patched.setattr("eth.consensus.clique._utils.eth_now", lambda: int(now) + 1000)
        raw = follower.seal([])
    with pytest.raises(
        LedgerError, match=r"block 2: sealed by a clock ([1-4]..|500) s ahead of ours; set the members' clocks"
    ):
        follower_of_both = chain.next(turns=0)
        if follower_of_both.head.number == 0:
            follower_of_both.append(follower.block(1))
        follower_of_both.append(raw)


def test_a_record_edited_in_the_file_is_refused_and_not_served(genesis: Genesis, tmp_path: Path) -> None:
    chain = Chain(genesis, tmp_path)
    chain.extend(3)
    head = chain.first.hash_of(3)
    for node in chain.nodes.values():
        node.close()
    path = tmp_path / "a.sqlite"
    edit(path, "update records set value = value || x'00' where key = ?", head)
    reopened = None
    with pytest.raises(LedgerError, match=f"a.sqlite: record {head.hex()} was changed after it was written"):
        reopened = Node(path, genesis)
        reopened.block(3)
    assert reopened is None or reopened.head.number == 3
    # With a digest that fits, the value still does not hash to its key.
    store = RecordStore.duplicate(path)
    (value,) = store._connection.execute("select cast(value as blob) from records where key = ?", (head,)).fetchone()
    edit(path, "update records set digest = ? where key = ?", _digest(head, value), head)
    with pytest.raises(LedgerError, match=f"record {head.hex()} was changed"):
        Node(path, genesis).block(3)


def test_a_file_that_is_no_chain_or_another_is_refused(genesis: Genesis, tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    path.write_bytes(b"not a database, and long enough to be looked at" * 40)
    with pytest.raises(LedgerError, match=r"x.sqlite: not a chain's database"):
        Node(path, genesis)
    Node(tmp_path / "y.sqlite", genesis).close()
    others = genesis.validators[1:]
    with pytest.raises(LedgerError, match=r"y.sqlite: holds another chain"):
        Node(tmp_path / "y.sqlite", Genesis(genesis.chain_id, genesis.time, others))


def test_a_copy_goes_on_after_it_was_closed(genesis: Genesis, tmp_path: Path) -> None:
    chain = Chain(genesis, tmp_path)
    chain.extend(2)
    head = chain.first.head
    for node in chain.nodes.values():
        node.close()
    again = Chain(genesis, tmp_path)
    assert again.first.head == head
    again.extend(2)
    assert again.first.head.number == 4
    assert again.first.check_records() > 4


_SEALING = """
import sys
from pathlib import Path
from cipherlane.ledger.accounts import Account
from cipherlane.ledger.genesis import Genesis
from cipherlane.ledger.node import Node
account = Account(bytes.fromhex(sys.argv[2]))
node = Node(Path(sys.argv[1]), Genesis(99, int(sys.argv[3]), (account.address,)), account)
while True:
    nonce = node.nonce(account.address)
    node.seal([account.transaction(99, nonce + i, account.address, bytes(500)) for i in range(5)])
    print(node.head.number, flush=True)
"""


def test_a_copy_survives_being_killed_while_it_seals(tmp_path: Path) -> None:
    key, began = new_key(), int(time.time()) - 60
    path = tmp_path / "chain.sqlite"
    genesis = Genesis(99, began, (Account(key).address,))
    least = 0
    for lines in (2, 5, 3):
        arguments = [sys.executable, "-c", _SEALING, str(path), key.hex(), str(began)]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=os.environ) as process:
            assert process.stdout is not None
            for _ in range(lines):
                least = int(process.stdout.readline())
            process.send_signal(signal.SIGKILL)
        node = Node(path, genesis)
        # What was told to be sealed is there; what was being sealed is there as a whole or not at all.
        assert node.head.number >= least
        node.check_records()
        again = Node(None, genesis)
        for raw in node.blocks(1):
            again.append(raw)
        assert again.head == node.head
        assert again.nonce(Account(key).address) == 5 * node.head.number
        node.close()


def test_a_key_is_checked_and_never_shown() -> None:
    account = Account.new()
    assert account.private_key.to_hex()[2:] not in repr(account)
    assert repr(account) == f"Account(0x{account.address.hex()})"
    for bad in (b"", bytes(31), bytes(32), b"\xff" * 32):
        with pytest.raises(ValueError, match="expected the 32 bytes of a secp256k1 key"):
            Account(bad)


def test_a_full_disk_under_a_copy_is_told_and_leaves_it_whole(tmp_path: Path) -> None:
    path = tmp_path / "chain.sqlite"
    store = RecordStore(path)
    store[b"first"] = bytes(100)
    pages = store._connection.execute("pragma page_count").fetchone()[0]
    # SQLite's own stand-in for a disk without room.
    store._connection.execute(f"pragma max_page_count = {pages}")
    expected = r"chain\.sqlite: no space left on device; free some space on that disk"
    with pytest.raises(StorageError, match=expected), store.transaction():
        for number in range(1000):
            store[b"more %d" % number] = bytes(1000)
    store.close()
    store = RecordStore(path)
    assert store.check_all() == 1 and store[b"first"] == bytes(100)


def test_a_copy_that_cannot_be_opened_or_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"none/chain\.sqlite: permission denied; give a directory that you may"):
        RecordStore(tmp_path / "none" / "chain.sqlite")
    store = RecordStore(tmp_path / "chain.sqlite")
    store._connection.execute("pragma query_only = on")
    with pytest.raises(StorageError, match=r"chain\.sqlite: read-only file system; give a directory on a disk that"):
        store[b"key"] = b"value"


def test_no_module_leaves_pythons_limit_on_recursion_raised() -> None:
    # As py-evm does: a long row of brackets would then end the process.
    sources = {path.stem: path.read_text() for path in Path(ledger_node.__file__).parent.glob("*.py")}
    raising = [name for name, text in sources.items() if re.search(r"^from (eth\.|web3)", text, re.MULTILINE)]
    assert "node" in raising and "json_rpc" in raising
    assert [name for name in raising if "\nkeep_recursion_limit()\n" not in sources[name]] == []
    program = (
        "import sys; before = sys.getrecursionlimit(); import cipherlane.ledger.audit, cipherlane.ledger.member; "
        "assert sys.getrecursionlimit() == before"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
