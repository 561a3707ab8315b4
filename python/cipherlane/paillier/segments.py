"""Which ciphertexts belong to which segment."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from cipherlane.paillier.gpu_arrays import on_host
from cipherlane.paillier.layout import Layout, Positions


def check_segment_ids(segment_ids: ArrayLike, num_segments: int, length: int) -> Positions:
    """Return the ids as int64, shape (length,), each in [0, num_segments).

    Raises
    ------
    TypeError
        If they, or their number, are not integers.
    ValueError
        If there are not ``length`` of them, or one is out of range.
    """
    if isinstance(num_segments, bool) or not isinstance(num_segments, (int, np.integer)):
        raise TypeError(f"num_segments: expected an int, got {type(num_segments).__name__}")
    if num_segments < 0:
        raise ValueError(f"num_segments: expected 0 or more, got {num_segments}")
    ids = np.asarray(on_host(segment_ids, "segment_ids"))
    if ids.shape != (length,):
        raise ValueError(
            f"segment_ids: expected shape ({length},), one id an element of the first axis, got {ids.shape}"
        )
    if ids.dtype.kind not in "iu" and ids.size:
        raise TypeError(f"segment_ids: expected integers, got dtype {ids.dtype}")
    outside = (ids < 0) | (ids >= num_segments)
    if outside.any():
        index = int(np.argmax(outside))
        raise ValueError(f"segment_ids[{index}]: expected 0 to {num_segments - 1}, got {ids[index]}")
    return ids.astype(np.int64)


def members(ids: Positions, array: Layout, result: Layout) -> tuple[Positions, Positions]:
    """Return the ciphertexts of every element of ``result`` in a row, and where each element's begin.

    Ciphertext (i, c) of ``array`` belongs to element (ids[i], c).
    """
    columns = math.prod(array.cipher_shape[1:])
    elements = (ids[:, np.newaxis] * columns + np.arange(columns, dtype=np.int64)).reshape(-1)
    # Sorting puts each element's members in a run; a stable sort keeps a run in the order of memory. That of 16-bit
    # numbers is a radix sort, many times as fast.
    keys = elements.astype(np.uint16) if result.count <= 1 << 16 else elements
    indices = np.argsort(keys, kind="stable").astype(np.int64, copy=False)
    offsets = np.zeros(result.count + 1, dtype=np.int64)
    np.cumsum(np.bincount(elements, minlength=result.count), out=offsets[1:])
    return indices, offsets
