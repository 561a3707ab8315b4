"""Bringing arrays to one key, codec and scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from cipherlane.errors import KeyMismatchError
from cipherlane.paillier.codec import Codec, check_bound
from cipherlane.paillier.limbs import number_to_limbs

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
    return [at_scale(array, scale_bits, operation) for array in arrays], codec


def at_scale(array: CipherArray, scale_bits: int, operation: str) -> CipherArray:
    """Return the same values with more bits after the point."""
    shift = scale_bits - array._scale_bits
    if shift == 0:
        return array
    bound = array._bound << shift
    check_bound(operation, bound, array._codec, array._key.n)
    factor = number_to_limbs(1 << shift)[np.newaxis]
    context, batch = array._here()
    product = context.multiply(batch, factor, np.zeros(1, dtype=np.bool_))
    return array._derived(product, array._layout, bound, scale_bits=scale_bits)
