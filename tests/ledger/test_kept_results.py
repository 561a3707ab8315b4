"""What copies of the chain keep, and what they leave unimported: the same as py-evm gives by itself."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from eth_hash.auto import keccak
from eth_keys.backends.coincurve import CoinCurveECCBackend
from eth_keys.datatypes import PrivateKey, Signature
from eth_keys.exceptions import BadSignature

from cipherlane.ledger.agreement import Agreement
from cipherlane.ledger.kept_results import keep_results
from cipherlane.ledger.member import CHAIN_FILE
from cipherlane.ledger.node import Node
from cipherlane.ledger.run_files import agreement_file, member_directory


def _told_by(program: str, *arguments: str) -> list[str]:
    """What a process of its own prints."""
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    return done.stdout.splitlines()


def test_kept_hashes_and_signers_are_those_computed() -> None:
    keep_results()
    before = keccak.hasher.kept()
    # Known answer: keccak-256 of nothing.
    for nothing in (b"", bytearray()):
        assert keccak(nothing).hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    assert keccak.hasher.kept().hits >= before.hits + 1
    key = PrivateKey(b"\x07" * 32)
    digests = [keccak(bytes([number])) for number in range(3)]
    signatures = [key.sign_msg_hash(digest) for digest in digests]
    before = CoinCurveECCBackend.ecdsa_recover.kept()
    for _ in range(2):
        for digest, signature in zip(digests, signatures, strict=True):
            # As it comes in a block: from bytes, each time anew.
            received = Signature(signature.to_bytes())
            assert received.recover_public_key_from_msg_hash(digest) == key.public_key
            assert received.verify_msg_hash(digest, key.public_key)
            assert not received.verify_msg_hash(keccak(digest), key.public_key)
        assert signatures[0].recover_public_key_from_msg_hash(digests[1]) != key.public_key
        with pytest.raises(BadSignature):
            Signature(b"\x00" * 65).recover_public_key_from_msg_hash(digests[0])
    after = CoinCurveECCBackend.ecdsa_recover.kept()
    assert after.misses - before.misses == 4 + 2 and after.hits - before.hits == 4


_REPLAY = """
import sys
from pathlib import Path
from cipherlane.ledger import kept_results
if sys.argv[1] == "by itself":
    kept_results.keep_results = lambda: None
from cipherlane.ledger.agreement import Agreement
from cipherlane.ledger.node import Node
from eth_hash.auto import keccak
assert hasattr(keccak.hasher, "kept") == (sys.argv[1] != "by itself")
node = Node(None, Agreement.from_json(Path(sys.argv[2]).read_text()).genesis())
for line in sys.stdin:
    head = node.append(bytes.fromhex(line))
    print(head.number, head.hash.hex(), [made.sender.hex() for made in node.transactions(head.number)])
"""


def test_blocks_of_a_run_are_the_same_to_py_evm_by_itself(finished_run: Path) -> None:
    agreement = Agreement.from_json(agreement_file(finished_run).read_text())
    node = Node(member_directory(finished_run, "guest") / CHAIN_FILE, agreement.genesis())
    blocks = "\n".join(block.hex() for block in node.blocks(1))
    told = {}
    for how in ("by itself", "with what is kept"):
        command = [sys.executable, "-c", _REPLAY, how, str(agreement_file(finished_run))]
        done = subprocess.run(command, input=blocks, capture_output=True, text=True, check=True, timeout=300)
        told[how] = done.stdout.splitlines()
    assert told["by itself"] == told["with what is kept"]
    assert told["by itself"][-1].startswith(f"{node.head.number} {node.head.hash.hex()} ")
    node.close()


_TRIES = """
import random, sys
from trie import HexaryTrie
if sys.argv[1] == "kept":
    from cipherlane.ledger.kept_nodes import keep_nodes
    keep_nodes()
choose = random.Random(11)
# Keys of one or two bytes and short values: nodes that stand in their parents as they are, which tries change in place.
lengths = [(1, 1), (2, 2), (2, 40), (32, 3), (32, 33)]
for length, size in lengths:
    tries = [HexaryTrie({}, prune=prune) for prune in (False, True, True)]
    known = {}
    for _ in range(120):
        key = choose.choice(sorted(known)) if known and choose.random() < 0.4 else choose.randbytes(length)
        value = choose.randbytes(size) if choose.random() < 0.75 else b""
        known[key] = value
        for trie in tries[:2]:
            if value:
                trie[key] = value
            else:
                del trie[key]
        with tries[2].squash_changes() as memory:
            memory[key] = value
        assert len({trie.root_hash for trie in tries}) == 1
        print(tries[0].root_hash.hex())
    for trie in tries:
        assert all(trie[key] == value for key, value in known.items())
    print(sorted(key.hex() for key in tries[1].db))
"""


def test_tries_are_the_same_to_the_package_by_itself() -> None:
    alone = _told_by(_TRIES, "by itself")
    assert len(set(alone)) > 400
    assert _told_by(_TRIES, "kept") == alone


_CURVE = """
import json, sys
import cipherlane.ledger.member
from types import SimpleNamespace
from eth.vm.forks.prague.computation import PRAGUE_PRECOMPILES
postponed = "py_ecc.optimized_bls12_381" not in sys.modules
limit = sys.getrecursionlimit()
adding = PRAGUE_PRECOMPILES[bytes(19) + bytes([11])]
point = bytes.fromhex(sys.argv[1])
answers = []
for _ in range(2):
    computation = SimpleNamespace(msg=SimpleNamespace(data=2 * point), consume_gas=lambda *_, **__: None)
    adding(computation)
    answers.append(computation.output.hex())
print(json.dumps([postponed, answers, "py_ecc.optimized_bls12_381" in sys.modules, sys.getrecursionlimit() == limit]))
"""


def test_a_postponed_curve_is_there_for_whoever_asks() -> None:
    # The generator of G1, and twice it, as in the parameters and test vectors of EIP-2537.
    generator = (
        "0000000000000000000000000000000017f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb"
        "0000000000000000000000000000000008b3f481e3aaa0f1a09e30ed741d8ae4fcf5e095d5d00af600db18cb2c04b3edd03cc744a2888ae40caa232946c5e7e1"
    )
    twice = (
        "000000000000000000000000000000000572cbea904d67468808c8eb50a9450c9721db309128012543902d0ac358a62ae28f75bb8f1c7c42c39a8c5529bf0f4e"
        "00000000000000000000000000000000166a9d8cabc673a322fda673779d8e3822ba3ecb8670e461f73bb9021d5fd76a4c56d9d4cd16bd1bba86881979749d28"
    )
    (line,) = _told_by(_CURVE, generator)
    assert json.loads(line) == [True, [twice, twice], True, True]
