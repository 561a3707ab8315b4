"""Bringing arrays to one key, codec and scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cipherlane.errors import KeyMismatchError
from cipherlane.paillier.codec import Codec

if TYPE_CHECKING:
    from cipherlane.paillier.cipher_array import CipherArray


def aligned(arrays: Sequence[CipherArray], operation: str) -> tuple[list[CipherArray], Codec]:
    """Return the arrays at one scale, and their common codec.

    Raises
    ------
    KeyMismatchError
        If they belong to different keys.
    ValueError
        If their codecs do not go together.
    PlaintextOverflowError
        If bringing one to a finer scale could wrap.
    """
    first, codec = arrays[0], arrays[0]._codec
    for other in arrays[1:]:
        if other._key.n != first._key.n:
            raise KeyMismatchError(
                f"{operation}: one array is encrypted for {first._key}, the other for {other._key}; encrypt "
                "both with the same key"
            )
        if other._codec != codec:
            codec = codec.joined(other._codec)
    scale_bits = max(array._scale_bits for array in arrays)
    return [array._at_scale(scale_bits, operation) for array in arrays], codec
