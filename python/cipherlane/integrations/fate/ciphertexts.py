"""Vectors of ciphertexts as FATE holds them: flat, changed in place, and pickled."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cipherlane.errors import KeyMismatchError
from cipherlane.integrations.fate import settings
from cipherlane.integrations.fate.packing import check_count
from cipherlane.paillier import CipherArray, PublicKey, concatenate


@functools.lru_cache(maxsize=32)
def public_key_from(text: str) -> PublicKey:
    """Return a public key from its JSON, the same object for the same key, so that its tables are made once."""
    return PublicKey.from_json(text)


@functools.lru_cache(maxsize=32)
def _json_of(key: PublicKey) -> str:
    """Return the same str object for the same key: a pickle of many vectors then holds it once."""
    return key.to_json()


def trivial_zeros(key: PublicKey, count: int) -> CipherArray:
    """Return encryptions of zero without randomness, at scale 0."""
    nothing = np.empty(0, dtype=np.int64)
    return key.encrypt(nothing).segment_sum(nothing, count)


class CiphertextVector:
    """A flat vector of ciphertexts, or of zeros for which no key is known yet.

    Pickles hold the public key and the bytes of `CipherArray.to_bytes`, which are validated when they are read. Read
    pickles from trusted memory only: what reads them, Python's own reader, runs what they say.

    Parameters
    ----------
    content : CipherArray or int
        The ciphertexts, shape (n,), or how many zeros.
    """

    __slots__ = ("_content", "_read")

    _content: CipherArray | int
    # The bytes that the ciphertexts were read from: passed on as they are, without more randomness, until they change.
    _read: bytes | None

    def __init__(self, content: CipherArray | int = 0) -> None:
        self._read = None
        self._content = content.reshape(-1) if isinstance(content, CipherArray) else check_count("content", content, 0)

    @staticmethod
    def zeros(size: int) -> CiphertextVector:
        """Return ``size`` zeros."""
        return CiphertextVector(size)

    @property
    def is_zero(self) -> bool:
        """Whether it is zeros that were never added to."""
        return isinstance(self._content, int)

    def array(self, key: PublicKey) -> CipherArray:
        """Return the ciphertexts under ``key``.

        Raises
        ------
        KeyMismatchError
            If they belong to another.
        """
        if isinstance(self._content, int):
            return trivial_zeros(key, self._content)
        if self._content.public_key.n != key.n:
            raise KeyMismatchError(
                f"vector: encrypted for {self._content.public_key}, used with {key}; use the key that made it"
            )
        return self._content

    def replace(self, content: CipherArray) -> None:
        """Take other ciphertexts, in place."""
        if content.shape != (len(self),):
            raise ValueError(f"content: expected {len(self)} ciphertexts, got shape {content.shape}")
        self._content, self._read = content, None

    def take(self, indices: NDArray[np.int64]) -> CiphertextVector:
        """Return chosen elements."""
        if not isinstance(self._content, int):
            return CiphertextVector(self._content[indices])
        if indices.size and not 0 <= int(indices.min()) <= int(indices.max()) < self._content:
            raise IndexError(f"indices: expected 0 to {self._content - 1}, got one outside")
        return CiphertextVector(len(indices))

    def slice(self, start: int, size: int) -> CiphertextVector:
        """Return ``size`` elements from ``start`` on."""
        check_range("slice", start, size, len(self))
        if size == len(self):
            return CiphertextVector(self._content)
        return CiphertextVector(size if isinstance(self._content, int) else self._content[start : start + size])

    def slice_indexes(self, indexes: Sequence[int]) -> CiphertextVector:
        """Return chosen elements."""
        return self.take(np.asarray(indexes, dtype=np.int64))

    def cat(self, others: Sequence[CiphertextVector]) -> CiphertextVector:
        """Return this vector with others behind it."""
        return concatenated([self, *others])

    def tolist(self) -> list[CiphertextVector]:
        """Return each element as a vector of its own."""
        return [self.slice(i, 1) for i in range(len(self))]

    def __len__(self) -> int:
        """Return how many elements there are."""
        return self._content if isinstance(self._content, int) else len(self._content)

    def __repr__(self) -> str:
        """Return how many elements there are."""
        return f"CiphertextVector({len(self)} elements)"

    def __getstate__(self) -> tuple[str | None, bytes | int]:
        """Return what a pickle holds; results of operations get fresh randomness first."""
        if isinstance(self._content, int):
            return None, self._content
        if self._read is not None:
            return _json_of(self._content.public_key), self._read
        rerandomize = None if settings.CURRENT.force_obfuscation else False
        return _json_of(self._content.public_key), self._content.to_bytes(rerandomize=rerandomize)

    def __setstate__(self, state: tuple[str | None, bytes | int]) -> None:
        """Take up what a pickle holds, after checking all of it."""
        text, content = state
        self._read = None
        if text is None:
            self._content = check_count("state", content, 0)
            return
        if not isinstance(text, str) or not isinstance(content, bytes):
            raise TypeError("state: expected a public key as JSON and the bytes of a CipherArray, got something else")
        array = CipherArray.from_bytes(public_key_from(text), content)
        if array.ndim != 1:
            raise ValueError(f"state: expected a flat vector of ciphertexts, got shape {array.shape}")
        self._content, self._read = array, content


def check_range(operation: str, start: int, size: int, length: int) -> None:
    """Raise `IndexError` unless [start, start + size) lies in [0, length)."""
    if start < 0 or size < 0 or start + size > length:
        raise IndexError(f"{operation}: expected a range within 0 to {length}, got {start} to {start + size}")


def concatenated(vectors: Sequence[CiphertextVector]) -> CiphertextVector:
    """Return vectors one after the other, zeros without a key among them."""
    keys = [vector._content.public_key for vector in vectors if not isinstance(vector._content, int)]
    if not keys:
        return CiphertextVector(sum(len(vector) for vector in vectors))
    parts = [vector.array(keys[0]) for vector in vectors if len(vector)]
    if len(parts) == 1:
        return CiphertextVector(parts[0])
    return CiphertextVector(concatenate(parts) if parts else trivial_zeros(keys[0], 0))
