"""The contract as a client sees it: calls and events by name, over any chain."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from eth_abi import decode, encode
from eth_abi.exceptions import DecodingError
from eth_hash.auto import keccak

from cipherlane.errors import LedgerError
from cipherlane.ledger.accounts import Account
from cipherlane.ledger.chain import Chain, Log
from cipherlane.ledger.compile import COMPILED_FILE

GUEST, HOST, ARBITER, COORDINATOR, AUDITOR = 1, 2, 4, 8, 16
ROLE_BITS = {"guest": GUEST, "host": HOST, "arbiter": ARBITER, "coordinator": COORDINATOR, "auditor": AUDITOR}
PROPOSED, ACTIVE, CLOSED, ABORTED = 1, 2, 3, 4
NO_DIGEST = bytes(32)
_COMMITMENT_TYPE = b"Commitment(bytes32 planId,uint256 round,bytes32 sentRoot,bytes32 seenRoot,uint256 count)"


@dataclass(frozen=True)
class Entry:
    """A function or event of the contract's interface."""

    name: str
    types: tuple[str, ...]
    indexed: tuple[str, ...]
    plain: tuple[str, ...]
    inputs: dict[str, str]
    outputs: tuple[str, ...]

    @property
    def hash(self) -> bytes:
        """The hash of its signature."""
        return bytes(keccak(f"{self.name}({','.join(self.types)})".encode()))


@dataclass(frozen=True)
class Event:
    """A decoded event: the block and time it stands at, its name and its values."""

    block: int
    timestamp: int
    name: str
    values: dict[str, Any]

    def __getitem__(self, name: str) -> Any:
        """Return one value."""
        return self.values[name]


@dataclass(frozen=True)
class Interface:
    """The shipped form of the contract."""

    bytecode: bytes
    runtime: bytes
    constructor: Entry
    functions: dict[str, Entry]
    events: dict[bytes, Entry]


@cache
def interface() -> Interface:
    """Return the contract's interface and code as shipped."""
    compiled = json.loads(COMPILED_FILE.read_text(encoding="utf-8"))
    entries: dict[str, list[Entry]] = {"function": [], "event": [], "constructor": []}
    for item in compiled["abi"]:
        inputs = item["inputs"]
        entries[item["type"]].append(
            Entry(
                item.get("name", ""),
                tuple(value["type"] for value in inputs),
                tuple(value["name"] for value in inputs if value.get("indexed")),
                tuple(value["name"] for value in inputs if not value.get("indexed")),
                {value["name"]: value["type"] for value in inputs},
                tuple(_type(value) for value in item.get("outputs", ())),
            )
        )
    return Interface(
        bytes.fromhex(compiled["bytecode"].removeprefix("0x")),
        bytes.fromhex(compiled["runtime"].removeprefix("0x")),
        entries["constructor"][0],
        {entry.name: entry for entry in entries["function"]},
        {entry.hash: entry for entry in entries["event"]},
    )


def _type(value: dict[str, Any]) -> str:
    if value["type"] != "tuple":
        return str(value["type"])
    return "(" + ",".join(_type(part) for part in value["components"]) + ")"


def deployment(founders: Sequence[tuple[bytes, int, bytes]]) -> bytes:
    """Return the data of the transaction that makes the contract; founders as (address, roles, key digest)."""
    found = interface()
    accounts, roles, digests = (list(values) for values in zip(*founders, strict=True))
    return found.bytecode + bytes(encode(found.constructor.types, [accounts, roles, digests]))


def call_data(function: str, *arguments: object) -> bytes:
    """Return the data of a call.

    Examples
    --------
    >>> call_data("vote", 3).hex()[:8], len(call_data("vote", 3))
    ('0121b93f', 36)
    """
    entry = interface().functions[function]
    return entry.hash[:4] + bytes(encode(entry.types, arguments))


def called(data: bytes) -> str:
    """Return the name of the function that a transaction's data calls."""
    names = {entry.hash[:4]: entry.name for entry in interface().functions.values()}
    return names.get(data[:4], "an unknown function")


def derived_id(owner: bytes, label: bytes) -> bytes:
    """Return the id of the plan or data set that `owner` gives this label: keccak256(abi.encode(owner, label))."""
    return bytes(keccak(encode(["address", "bytes32"], [owner, label])))


@dataclass(frozen=True)
class Contract:
    """The contract at one address of one chain."""

    chain: Chain
    address: bytes

    def read(self, function: str, *arguments: object) -> Any:
        """Return what a function answers: one value, or a tuple of several."""
        entry = interface().functions[function]
        output = self.chain.call(self.address, call_data(function, *arguments))
        try:
            values = decode(entry.outputs, output)
        except Exception as error:
            raise LedgerError(f"0x{self.address.hex()}: is no training ledger on this chain") from error
        return values[0] if len(values) == 1 else values

    def events(self) -> Iterator[Event]:
        """Return every event, in order."""
        return self.events_of(self.chain.logs(self.address))

    def events_of(self, logs: Iterable[Log]) -> Iterator[Event]:
        """Return the events that some of the contract's logs stand for."""
        known = interface().events
        for log in logs:
            entry = known.get(log.topics[0]) if log.topics else None
            if entry is None:
                raise LedgerError(f"block {log.block}: an event that the shipped contract does not have")
            try:
                values = {
                    name: decode([entry.inputs[name]], topic)[0]
                    for name, topic in zip(entry.indexed, log.topics[1:], strict=True)
                }
                plain = decode([entry.inputs[name] for name in entry.plain], log.data)
            except (DecodingError, ValueError) as error:
                raise LedgerError(f"block {log.block}: a damaged event {entry.name} ({error})") from error
            values |= dict(zip(entry.plain, plain, strict=True))
            yield Event(log.block, log.timestamp, entry.name, _bytes_of(entry, values))

    def signed_commitment(
        self, account: Account, plan: bytes, number: int, sent: bytes, seen: bytes, count: int
    ) -> bytes:
        """Return a party's signature of a commitment (EIP-712), for anyone to carry to `commitFor`."""
        kind = keccak(_COMMITMENT_TYPE)
        fields = ["bytes32", "bytes32", "uint256", "bytes32", "bytes32", "uint256"]
        struct = keccak(encode(fields, [kind, plan, number, sent, seen, count]))
        return account.signature_bytes(keccak(b"\x19\x01" + self.read("domainSeparator") + struct))


def _bytes_of(entry: Entry, values: dict[str, Any]) -> dict[str, Any]:
    """Return the values with addresses as 20 bytes."""
    return {
        name: bytes.fromhex(value[2:]) if entry.inputs[name] == "address" else value for name, value in values.items()
    }
