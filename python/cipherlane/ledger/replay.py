"""Members' copies of the embedded chain, read without changing them and executed again from the first block."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from eth.exceptions import PyEVMError
from eth_utils import ValidationError
from rlp.exceptions import RLPException

from cipherlane.errors import LedgerError
from cipherlane.ledger import keep_recursion_limit
from cipherlane.ledger.agreement import Agreement
from cipherlane.ledger.genesis import Genesis
from cipherlane.ledger.node import Node
from cipherlane.ledger.store import RecordStore

keep_recursion_limit()

_UNREADABLE = (PyEVMError, ValidationError, RLPException, RecursionError, KeyError, ValueError, TypeError)


@dataclass(frozen=True)
class Copy:
    """One member's copy: its blocks after the first, as bytes."""

    name: str
    records: int
    blocks: tuple[bytes, ...]


def read_copy(name: str, path: Path, genesis: Genesis) -> Copy:
    """Return a member's copy after checking every record of its file.

    Raises
    ------
    LedgerError
        What of the file does not hold.
    """
    try:
        records = RecordStore.duplicate(path)
        count = records.check_all()
        node = Node(None, genesis, records=records)
        return Copy(name, count, tuple(node.blocks(1)))
    except sqlite3.DatabaseError as error:
        raise LedgerError(f"copy of {name!r}: {path}: damaged ({error})") from error
    except LedgerError as error:
        raise LedgerError(f"copy of {name!r}: {error}") from error
    except _UNREADABLE as error:
        raise LedgerError(f"copy of {name!r}: {path}: its blocks cannot be read ({type(error).__name__})") from error


def replay(copy: Copy, agreement: Agreement) -> Node:
    """Execute a copy's blocks again from the first, and return the chain that comes of it.

    Raises
    ------
    LedgerError
        The first block that does not hold, and why.
    """
    node = Node(None, agreement.genesis())
    for block in copy.blocks:
        try:
            node.append(block)
        except LedgerError as error:
            raise LedgerError(f"copy of {copy.name!r}: {_named(str(error), agreement)}") from error
    return node


def shared_history(copies: Sequence[Copy], agreement: Agreement) -> Node:
    """Return the chain that all copies hold, executed again.

    Raises
    ------
    LedgerError
        A copy's blocks do not follow from each other, or fewer members have them than another history.
    """
    counts = Counter(copy.blocks for copy in copies)
    reference = max(copies, key=lambda copy: counts[copy.blocks])
    for copy in copies:
        if copy.blocks != reference.blocks:
            replay(copy, agreement)
            raise _difference(copy, reference, counts)
    return replay(reference, agreement)


def _difference(copy: Copy, reference: Copy, counts: Counter[tuple[bytes, ...]]) -> LedgerError:
    shared = min(len(copy.blocks), len(reference.blocks))
    place = next((n for n in range(shared) if copy.blocks[n] != reference.blocks[n]), shared)
    if place == shared:
        shorter, longer = sorted((copy, reference), key=lambda one: len(one.blocks))
        return LedgerError(
            f"copy of {shorter.name!r}: ends with block {place}, that of {longer.name!r} with {len(longer.blocks)}; "
            "blocks were removed from it, or it is behind"
        )
    told = f"copies of {copy.name!r} ({counts[copy.blocks]} alike) and {reference.name!r} ({counts[reference.blocks]})"
    return LedgerError(
        f"{told} differ from block {place + 1} on: a member has another history than the others; compare with head "
        "hashes noted elsewhere"
    )


def _named(text: str, agreement: Agreement) -> str:
    """Put members' names beside their accounts."""
    for name, member in agreement.members.items():
        account = f"0x{member.account.hex()}"
        text = text.replace(account, f"{name!r} ({account})")
    return text
