"""What stands on the ledger for messages, plans, columns and files: digests under a salt that stays off it.

Without the salt, whoever reads the ledger could try plans or messages until a digest fits.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from cipherlane.ledger.merkle import leaf_hash, root_of

SALT_BYTES = 32
# Messages of these kinds carry blocks and transactions: they speak for themselves and are in no tree.
LEDGER_KIND_PREFIX = "ledger_"
_SHA256 = re.compile(r"[0-9a-f]{64}")


def salted(salt: bytes, purpose: str, content: bytes) -> bytes:
    """Return SHA-256 of a salt of 32 bytes, the purpose after its length, and the content.

    Examples
    --------
    >>> salted(bytes(32), "plan", b"x") == salted(bytes(32), "plan", b"y")
    False
    """
    return hashlib.sha256(salt + bytes([len(purpose)]) + purpose.encode() + content).digest()


@dataclass(frozen=True)
class Crossing:
    """A message that crossed: what a transcript keeps of it, without its place."""

    sender: str
    receiver: str
    kind: str
    round: int
    sha256: str
    size: int

    def leaf(self, salt: bytes) -> bytes:
        """Return its leaf hash.

        Raises
        ------
        ValueError
            `sha256` is not 64 hexadecimal digits.
        """
        if _SHA256.fullmatch(self.sha256) is None:
            raise ValueError(f"sha256: expected 64 hexadecimal digits, got {self.sha256!r}")
        entry = f"{self.sender}|{self.receiver}|{self.kind}|{self.round}|{self.sha256}|{self.size}"
        return leaf_hash(salt + entry.encode())


@dataclass(frozen=True)
class Roots:
    """What a role commits to for a round: the root of what it sent, of what it saw, and how many it sent."""

    sent: bytes
    seen: bytes
    count: int


def roots_of(name: str, crossings: Iterable[Crossing], salt: bytes) -> Roots:
    """Return what role `name` commits to of these messages, in their order."""
    sent: list[bytes] = []
    seen: list[bytes] = []
    for crossing in crossings:
        if crossing.sender == name:
            sent.append(crossing.leaf(salt))
        if crossing.receiver == name:
            seen.append(crossing.leaf(salt))
    return Roots(root_of(sent), root_of(seen), len(sent))


def is_witnessed(kind: str) -> bool:
    """Return whether messages of this kind are committed to."""
    return not kind.startswith(LEDGER_KIND_PREFIX)
