"""The ledger's parsers: of what members send each other, what lies in a run's directory, and what a node answers."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

from cipherlane.errors import LedgerError
from cipherlane.ledger import missing_packages

from parser_under_test import Parser, as_text

if TYPE_CHECKING:
    from cipherlane.ledger.agreement import Agreement
    from cipherlane.ledger.chain import Log

_CHAIN_ID = 4242
_TIME = 1_700_000_000
_WORD = 32


def ledger_parsers(directory: Path) -> list[Parser]:
    """Return the parsers, none where the extra `ledger` is not installed."""
    if missing_packages():
        return []
    agreement = _agreement()
    return [
        Parser("agreement", as_text(_read_agreement), _agreements(agreement), (LedgerError,)),
        *_chain_parsers(agreement),
        *_file_parsers(agreement, directory),
        *_network_parsers(agreement),
    ]


def _agreement() -> Agreement:
    from cipherlane.ledger.accounts import contract_address
    from cipherlane.ledger.agreement import Agreement, Identity

    roles = {"coordinator": "coordinator", "arbiter": "arbiter", "guest": "guest", "lab": "host"}
    members = {name: Identity(role, _account(index).address) for index, (name, role) in enumerate(roles.items(), 1)}
    contract = contract_address(members["coordinator"].account, 0)
    return Agreement(b"s" * 32, members, contract, _CHAIN_ID, None, _TIME, tuple(roles))


def _account(index: int):
    from cipherlane.ledger.accounts import Account

    return Account(index.to_bytes(32, "big"))


def _agreements(agreement: Agreement) -> list[bytes]:
    from dataclasses import replace

    network = replace(agreement, url="http://127.0.0.1:8545", time=0, validators=())
    return [agreement.to_json().encode(), network.to_json().encode()]


def _read_agreement(text: str) -> object:
    from cipherlane.ledger.agreement import Agreement

    read = Agreement.from_json(text)
    # What a member asks of it next.
    return (
        read.genesis().fields(),
        read.founders(),
        read.plan_id,
        read.key_holder,
        [*map(read.dataset_id, read.members)],
    )


def _transactions(agreement: Agreement) -> list[bytes]:
    from cipherlane.ledger.contract import call_data, deployment

    creator = _account(1)
    return [
        creator.transaction(_CHAIN_ID, 0, b"", deployment(agreement.founders())),
        creator.transaction(_CHAIN_ID, 0, bytes(20), b""),
        _account(2).transaction(_CHAIN_ID, 0, agreement.contract, call_data("vote", 0)),
    ]


def _chain_parsers(agreement: Agreement) -> list[Parser]:
    """Blocks and transactions: as they come, and sealed or signed again after the change, as a member could."""
    import rlp
    from eth.consensus.clique._utils import sign_block_header
    from eth.rlp.headers import BlockHeader
    from eth_hash.auto import keccak
    from eth_utils import ValidationError

    from cipherlane.ledger.node import Node

    genesis = agreement.genesis()
    signed = _transactions(agreement)
    sealer = next(_account(index) for index in range(1, 5) if _account(index).address == genesis.in_turn(1))

    def fresh(account: object = None) -> Node:
        return Node(None, genesis, account)

    blocks = [fresh(sealer).seal(given) for given in ([], signed[:1], signed[1:2], signed[::2])]
    at_genesis = fresh()
    headers = [bytes([field]) + value for field, value in enumerate(rlp.decode(blocks[1])[0])]
    unsigned = [b"|".join(rlp.decode(raw)[:6]) for raw in signed]

    def append(raw: bytes) -> object:
        nonlocal at_genesis
        head = at_genesis.append(raw)
        told = at_genesis.transactions(head.number), at_genesis.blocks(0)
        at_genesis = fresh()
        return told

    def append_sealed(data: bytes) -> object:
        """Put a value into one field of a block's header, and seal it: the first byte says which."""
        header, *rest = rlp.decode(blocks[1])
        if len(data) > 1:
            header[data[0] % len(header)] = data[1:]
        try:
            sealed = sign_block_header(rlp.decode(rlp.encode(header), BlockHeader), sealer.private_key)
            header = rlp.decode(rlp.encode(sealed))
        except (rlp.exceptions.RLPException, ValidationError, ValueError):
            # No header to sign: it is read as it is.
            pass
        return append(rlp.encode([header, *rest]))

    def seal(raw: bytes) -> object:
        return fresh(sealer).seal([raw])

    def seal_signed(data: bytes) -> object:
        """Sign a transaction of six fields between bars."""
        fields = (data.split(b"|", 5) + [b""] * 6)[:6]
        signature = sealer.sign(keccak(rlp.encode([*fields, _CHAIN_ID, 0, 0])))
        return seal(rlp.encode([*fields, 2 * _CHAIN_ID + 35 + signature.v, signature.r, signature.s]))

    return [
        Parser("block", append, blocks, (LedgerError,)),
        Parser("sealed_block", append_sealed, [b"", *headers], (LedgerError,)),
        Parser("transaction", seal, signed[:2], (LedgerError,)),
        Parser("signed_transaction", seal_signed, unsigned, (LedgerError,)),
    ]


def _file_parsers(agreement: Agreement, directory: Path) -> list[Parser]:
    from cipherlane.ledger.access import request_access, requested_access
    from cipherlane.ledger.evidence import read_transcript
    from cipherlane.ledger.node import Node
    from cipherlane.ledger.outbox import Outbox
    from cipherlane.ledger.replay import read_copy
    from cipherlane.ledger.store import _digest

    transcript, chain, wishes = directory / "transcript.jsonl", directory / "chain.sqlite", directory / "wishes"
    wishes.mkdir()
    genesis = agreement.genesis()
    node = Node(chain, genesis, next(_account(i) for i in range(1, 5) if _account(i).address == genesis.in_turn(1)))
    node.seal(_transactions(agreement)[:1])
    node._records._execute("pragma journal_mode = delete")
    node.close()
    whole = chain.read_bytes()
    with sqlite3.connect(chain) as connection:
        rows = connection.execute("select key, value from records order by key").fetchall()
    connection.close()

    def read_lines(data: bytes) -> object:
        transcript.write_bytes(data)
        return read_transcript(transcript)

    def read_wish(data: bytes) -> object:
        request_access(wishes, 0).write_bytes(data)
        return requested_access(wishes)

    def read_outbox(data: bytes) -> object:
        (wishes / "outbox.json").write_bytes(data)
        return outbox.read()

    def read_chain(data: bytes) -> object:
        chain.write_bytes(data)
        return read_copy("lab", chain, genesis)

    def read_record(data: bytes) -> object:
        """Put one value, with the digest that fits, into a whole copy: the first byte says which."""
        key, _ = rows[data[0] % len(rows)] if data else rows[0]
        chain.write_bytes(whole)
        with sqlite3.connect(chain) as connection:
            connection.execute(
                "update records set value = ?, digest = ? where key = ?", (data[1:], _digest(key, data[1:]), key)
            )
        connection.close()
        return read_copy("lab", chain, genesis)

    outbox = Outbox(wishes / "outbox.json")
    outbox.keep("commit 3", _transactions(agreement)[1:])
    kept = (wishes / "outbox.json").read_bytes()
    entry = {
        "index": 0,
        "sender": "coordinator",
        "receiver": "lab",
        "kind": "update",
        "round": 1,
        "sha256": "ab" * 32,
        "bytes": 7,
        "commitment": 1,
        "session": 1,
    }
    lines = [json.dumps(entry | {"index": index, "commitment": 1 + index // 2}) for index in range(3)]
    refusals = (LedgerError,)
    values = [bytes([index]) + value for index, (_, value) in enumerate(rows)]
    return [
        Parser("ledger_transcript", read_lines, [("\n".join(lines) + "\n").encode(), b""], refusals),
        Parser("access_wish", read_wish, [b'{"expiry": 0}\n', b'{"expiry": 1800000000}'], refusals),
        Parser("outbox", read_outbox, [kept], refusals),
        Parser("chain_copy", read_chain, [whole], refusals),
        Parser("chain_record", read_record, values, refusals),
    ]


class _Answering:
    """A chain whose every answer is the same bytes."""

    chain_id = _CHAIN_ID

    def __init__(self, answer: bytes, logs: list[Log] | None = None) -> None:
        self._answer, self._logs = answer, logs or []

    def call(self, to: bytes, data: bytes, sender: bytes = bytes(20)) -> bytes:
        return self._answer

    def logs(self, contract: bytes) -> Iterator[Log]:
        return iter(self._logs)


def _network_parsers(agreement: Agreement) -> list[Parser]:
    """What a network's node answers: of the contract, of its events, and as JSON-RPC."""
    from eth_abi import encode

    from cipherlane.ledger.chain import Log
    from cipherlane.ledger.contract import Contract, interface
    from cipherlane.ledger.node import Node

    genesis = agreement.genesis()
    functions = ("members", "plans", "datasetOwner", "memberCount", "domainSeparator", "hasAccepted")
    arguments = {"members": ["0x" + "1" * 40], "plans": [bytes(32)], "datasetOwner": [bytes(32)]}
    arguments["hasAccepted"] = [bytes(32), "0x" + "1" * 40]
    outputs = [(0, encode(("uint256", "bytes32", "bool"), [1, bytes(32), True])), (2, bytes(_WORD)), (3, bytes(_WORD))]

    def read_answer(data: bytes) -> object:
        name = functions[data[0] % len(functions)] if data else functions[0]
        return Contract(_Answering(data[1:]), agreement.contract).read(name, *arguments.get(name, []))

    node = Node(None, genesis, next(_account(i) for i in range(1, 5) if _account(i).address == genesis.in_turn(1)))
    node.seal(_transactions(agreement)[:1])
    made = next(node.logs(agreement.contract))
    packed = [bytes([len(made.topics)]) + b"".join(made.topics) + made.data]
    for kind, entry in interface().events.items():
        words = len(entry.indexed) + len(entry.plain)
        packed.append(bytes([1 + len(entry.indexed)]) + kind + bytes(_WORD * words))

    def read_event(data: bytes) -> object:
        count = data[0] % 6 if data else 0
        topics = tuple(data[1 + _WORD * index : 1 + _WORD * (index + 1)] for index in range(count))
        log = Log(1, _TIME, agreement.contract, topics, data[1 + _WORD * count :])
        return list(Contract(_Answering(b"", [log]), agreement.contract).events())

    return [
        Parser("contract_answer", read_answer, [bytes([index]) + data for index, data in outputs], (LedgerError,)),
        Parser("contract_event", read_event, packed, (LedgerError,)),
        Parser("json_rpc", _read_json_rpc(agreement), _json_rpc_answers(agreement), (LedgerError,)),
    ]


# With seals of a proof of authority in `extraData`, as the blocks of Besu have them.
_BLOCK = {
    "number": "0x5",
    "hash": "0x" + "ab" * 32,
    "parentHash": "0x" + "cd" * 32,
    "timestamp": hex(_TIME),
    "extraData": "0x" + "00" * 97,
    "transactions": [],
}


def _json_rpc_answers(agreement: Agreement) -> list[bytes]:
    """Return one whole answer for each question of `_read_json_rpc`, after the byte that names it."""
    log = {
        "address": "0x" + agreement.contract.hex(),
        "topics": ["0x" + "11" * 32],
        "data": "0x",
        "blockNumber": "0x5",
        "transactionHash": "0x" + "22" * 32,
        "transactionIndex": "0x0",
        "blockHash": "0x" + "ab" * 32,
        "logIndex": "0x0",
        "removed": False,
    }
    receipt = {"status": "0x1", "blockNumber": "0x5", "transactionHash": "0x" + "22" * 32, "logs": []}
    results = ["0x7a69", "0x5", _BLOCK, "0x6080", "0x1", "0x" + "00" * 32, [log], "0x" + "22" * 32, receipt, None]
    answers = [{"jsonrpc": "2.0", "id": 1, "result": result} for result in results]
    return [
        *(bytes([index]) + json.dumps(answer).encode() for index, answer in enumerate(answers)),
    ]


def _read_json_rpc(agreement: Agreement) -> Callable[[bytes], object]:
    """Return a function that lets a node answer one question with its bytes, and every other as a node would."""
    from cipherlane.ledger.json_rpc import JsonRpcChain

    contract = agreement.contract
    questions: list[tuple[str, Callable[[JsonRpcChain], object]]] = [
        ("eth_chainId", lambda chain: JsonRpcChain("http://127.0.0.1:1").chain_id),
        ("eth_blockNumber", lambda chain: chain.height()),
        ("eth_getBlockByNumber", lambda chain: chain.head()),
        ("eth_getCode", lambda chain: chain.code(contract)),
        ("eth_getTransactionCount", lambda chain: chain.nonce(contract)),
        ("eth_call", lambda chain: chain.call(contract, b"")),
        ("eth_getLogs", lambda chain: list(chain.logs(contract))),
        ("eth_sendRawTransaction", lambda chain: chain.send(b"\x01")),
        ("eth_getTransactionReceipt", lambda chain: chain.wait(bytes(32))),
        ("eth_getTransactionByHash", lambda chain: chain.knows(bytes(32))),
    ]
    usual = {"eth_chainId": "0x7a69", "eth_blockNumber": "0x5", "eth_getBlockByNumber": _BLOCK}

    def read(data: bytes) -> object:
        method, ask = questions[data[0] % len(questions)] if data else questions[0]
        asked = False

        def post(self: object, uri: object, body: bytes, **options: object) -> bytes:
            nonlocal asked
            name = json.loads(body)["method"]
            if name == method and armed:
                asked = True
                return data[1:]
            return json.dumps({"jsonrpc": "2.0", "id": 1, "result": usual.get(name)}).encode()

        armed = False
        with patch("web3._utils.http_session_manager.HTTPSessionManager.make_post_request", post):
            chain = JsonRpcChain("http://127.0.0.1:1")
            armed = True
            try:
                return ask(chain)
            finally:
                assert asked, f"{method} was not asked"

    return read
