"""Matching rows by id between parties that hold the same set of ids, under a salt the coordinator lacks.

The guest draws the salt and sends it, with the salted digests of its ids, in a box sealed to each host.
A host can therefore test any id it can guess: the ids of matched rows are known to both by design. The
coordinator learns how many ids differ, never which.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SALT_BYTES = 32
DIGEST_BYTES = 16


def draw_salt() -> bytes:
    """Return a fresh salt for one matching."""
    return secrets.token_bytes(SALT_BYTES)


def salted_digests(ids: Sequence[str], salt: bytes) -> NDArray[np.uint8]:
    """Return keyed BLAKE2b digests of `ids`, shape (n, 16), in increasing order of the digest.

    The order tells nothing about the order of the rows.
    """
    joined = sorted(hashlib.blake2b(i.encode(), key=salt, digest_size=DIGEST_BYTES).digest() for i in ids)
    return np.frombuffer(b"".join(joined), dtype=np.uint8).reshape(len(ids), DIGEST_BYTES)


@dataclass(frozen=True)
class Difference:
    """What two sets of ids do not share: own ids the other lacks, and the digests lacking here."""

    only_here: tuple[str, ...]
    only_there: NDArray[np.uint8]

    @property
    def empty(self) -> bool:
        """Whether both sides hold the same ids."""
        return not self.only_here and len(self.only_there) == 0


def compare(own_ids: Sequence[str], their_digests: NDArray[np.uint8], salt: bytes) -> Difference:
    """Return how the own ids differ from those behind `their_digests` (shape (m, 16)).

    Examples
    --------
    >>> salt = draw_salt()
    >>> difference = compare(["a", "b"], salted_digests(["b", "c"], salt), salt)
    >>> difference.only_here, len(difference.only_there)
    (('a',), 1)
    """
    own = {hashlib.blake2b(i.encode(), key=salt, digest_size=DIGEST_BYTES).digest(): i for i in own_ids}
    theirs = [row.tobytes() for row in their_digests]
    lacking = [digest for digest in theirs if digest not in own]
    known = set(theirs)
    only_here = sorted(name for digest, name in own.items() if digest not in known)
    only_there = np.frombuffer(b"".join(lacking), dtype=np.uint8).reshape(len(lacking), DIGEST_BYTES)
    return Difference(tuple(only_here), only_there)


def name_digests(own_ids: Sequence[str], digests: NDArray[np.uint8], salt: bytes) -> tuple[str, ...]:
    """Return which of the own ids stand behind `digests`, sorted."""
    wanted = {row.tobytes() for row in digests}
    return tuple(
        sorted(i for i in own_ids if hashlib.blake2b(i.encode(), key=salt, digest_size=DIGEST_BYTES).digest() in wanted)
    )
