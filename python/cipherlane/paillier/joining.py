"""Joining arrays of ciphertexts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cipherlane.paillier import layout as layouts
from cipherlane.paillier.alignment import aligned
from cipherlane.paillier.cipher_array import CipherArray


def concatenate(arrays: Sequence[CipherArray], axis: int = 0) -> CipherArray:
    """Join arrays of one key along an axis, at the finest of their scales.

    Parameters
    ----------
    arrays : sequence of CipherArray
        At least one; of the same shape except along ``axis``.
    axis : int, default 0

    Raises
    ------
    TypeError
        If an item is not a CipherArray.
    ValueError
        If there are none, the shapes do not fit, or the axis is packed.
    KeyMismatchError
        If they belong to different keys.

    Examples
    --------
    >>> import cipherlane as cl
    >>> public_key, private_key = cl.keygen(bits=2048)
    >>> x = public_key.encrypt([1, 2])
    >>> private_key.decrypt(cl.concatenate([x, x + 10]))
    array([ 1,  2, 11, 12])
    """
    if isinstance(arrays, CipherArray):
        raise TypeError("arrays: expected a sequence of CipherArray, got one CipherArray; put them in a list")
    parts = list(arrays)
    if not parts:
        raise ValueError("arrays: expected at least one CipherArray, got none")
    for index, part in enumerate(parts):
        if not isinstance(part, CipherArray):
            raise TypeError(f"arrays[{index}]: expected a CipherArray, got {type(part).__name__}")
    first = parts[0]
    if not first.shape:
        raise ValueError("arrays: expected at least one axis, got scalars; reshape them to (1,) first")
    along = layouts.check_axes(first._layout, axis, "concatenate")[0]
    parts, codec = aligned(parts, "concatenate")
    shapes = [(*part.shape[:along], *part.shape[along + 1 :]) for part in parts]
    if any(shape != shapes[0] or part.ndim != first.ndim for shape, part in zip(shapes, parts, strict=True)):
        raise ValueError(
            f"arrays: expected the same shape except along axis {along}, got {', '.join(str(p.shape) for p in parts)}"
        )
    total = sum(part.shape[along] for part in parts)
    layout = first._layout.reshaped((*first.shape[:along], total, *first.shape[along + 1 :]))
    layouts.check_shape(layout.shape)
    name = first._backend(*parts)
    context = first._key.context(name)
    # The keys may differ in h_s, so the core is handed batches of the one modulus.
    batch = context.concatenate([part._batch(name) for part in parts])
    if along:
        starts = np.cumsum([0] + [part._layout.count for part in parts[:-1]])
        places = [part._layout.positions() + start for part, start in zip(parts, starts, strict=True)]
        batch = context.take(batch, np.concatenate(places, axis=along).reshape(-1))
    bound = max(part._bound for part in parts)
    return parts[0]._derived(batch, layout, bound, codec=codec)
