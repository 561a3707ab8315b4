"""Where each value of an array lies among its ciphertexts.

Ciphertexts are held in one row, in C order of ``cipher_shape``:

    one value a plaintext        cipher_shape = shape
    packed along the last axis   cipher_shape = shape[:-1] + (ceil(shape[-1] / slots),)
    packed as a whole            cipher_shape = (ceil(size / slots),)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cipherlane.paillier.codec import Codec, FixedPoint

Positions = NDArray[np.int64]

_MOST_AXES = 32
# Far beyond any memory, and far below where numpy's own arithmetic on sizes would wrap.
_MOST_VALUES = 2**40


def check_shape(shape: tuple[int, ...]) -> None:
    """Raise `ValueError` for a shape with too many axes or values."""
    if len(shape) > _MOST_AXES or math.prod(max(length, 1) for length in shape) > _MOST_VALUES:
        raise ValueError(f"shape: expected at most {_MOST_AXES} axes and 2^40 values, got {shape}")


@dataclass(frozen=True)
class Layout:
    """Shape of an array and how its values share ciphertexts; ``axis`` is that of `Packed`."""

    shape: tuple[int, ...]
    slots: int
    slot_bits: int
    packed: bool
    axis: int | None

    @classmethod
    def of(cls, shape: tuple[int, ...], codec: Codec, modulus_bits: int) -> Layout:
        """Return the layout of an array of ``shape`` under a codec and key size."""
        check_shape(shape)
        if isinstance(codec, FixedPoint):
            return cls(shape, 1, 0, False, None)
        if codec.axis == -1 and not shape:
            raise ValueError("values: Packed(axis=-1) expects at least one axis to pack, got a scalar; use axis=None")
        return cls(shape, codec.slots(modulus_bits), codec.slot_bits, True, codec.axis)

    def reshaped(self, shape: tuple[int, ...]) -> Layout:
        """Return the same packing for another shape."""
        return Layout(shape, self.slots, self.slot_bits, self.packed, self.axis)

    @property
    def whole(self) -> bool:
        """Whether the array is packed as a whole, so that none of its axes can be told apart."""
        return self.packed and self.axis is None

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @property
    def cipher_shape(self) -> tuple[int, ...]:
        """Shape of the ciphertexts."""
        if not self.packed:
            return self.shape
        if self.axis is None:
            return (-(-self.size // self.slots),)
        return (*self.shape[:-1], -(-self.shape[-1] // self.slots))

    @property
    def count(self) -> int:
        """Number of ciphertexts."""
        return math.prod(self.cipher_shape)

    @property
    def free_axes(self) -> int:
        """How many leading axes can be indexed and summed over."""
        if not self.packed:
            return len(self.shape)
        return 0 if self.axis is None else len(self.shape) - 1

    def positions(self) -> Positions:
        """Return the index of every ciphertext, in ``cipher_shape``."""
        return np.arange(self.count, dtype=np.int64).reshape(self.cipher_shape)

    def require_axes(self, operation: str) -> None:
        """Raise `ValueError` if the array is packed as a whole."""
        if self.whole:
            raise ValueError(
                f"{operation}: not possible on an array packed as a whole; encrypt with Packed(axis=-1) to "
                "keep the leading axes, or with FixedPoint to keep all"
            )

    def spread(self, target: Layout) -> Positions | None:
        """Return which ciphertext goes to each place of a broadcast layout; None if each is in place."""
        if self.count == target.count:
            return None
        return np.broadcast_to(self.positions(), target.cipher_shape).reshape(-1)

    def pad(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return flat values with each packed row filled up with zeros to whole ciphertexts."""
        if not self.packed or self.axis is None:
            return values.reshape(-1)
        missing = self.cipher_shape[-1] * self.slots - self.shape[-1]
        if missing == 0:
            return values.reshape(-1)
        filled = np.zeros((*self.shape[:-1], self.shape[-1] + missing), dtype=values.dtype)
        filled[..., : self.shape[-1]] = values
        return filled.reshape(-1)

    def padded_size(self) -> int:
        """Return the number of values that `pad` gives."""
        if not self.packed or self.axis is None:
            return self.size
        return self.count * self.slots

    def unpad(self, flat: NDArray[Any]) -> NDArray[Any]:
        """Return the values in their shape from what `pad` gave."""
        if not self.packed or self.axis is None:
            return flat.reshape(self.shape)
        padded = flat.reshape(*self.shape[:-1], self.cipher_shape[-1] * self.slots)
        return np.ascontiguousarray(padded[..., : self.shape[-1]])


def broadcast(a: Layout, b: Layout, operation: str) -> Layout:
    """Return the layout of an element-wise operation on two arrays of the same packing.

    Raises
    ------
    ValueError
        If the shapes do not broadcast, or would along packed values.
    """
    fixed = (a.whole and a.shape != b.shape) or (a.packed and not a.whole and a.shape[-1] != b.shape[-1])
    if fixed:
        where = "the whole shape" if a.whole else "the packed last axis"
        raise ValueError(f"{operation}: {where} must be the same on both sides, got shapes {a.shape} and {b.shape}")
    return a.reshaped(_broadcast_shapes(a.shape, b.shape, operation))


def _broadcast_shapes(a: tuple[int, ...], b: tuple[int, ...], operation: str) -> tuple[int, ...]:
    try:
        shape = np.broadcast_shapes(a, b)
    except ValueError:
        raise ValueError(f"{operation}: shapes {a} and {b} do not broadcast to one") from None
    check_shape(shape)
    return shape


def broadcast_plain(array: Layout, shape: tuple[int, ...], operation: str) -> tuple[Layout, Layout]:
    """Return the layouts of the plain operand and of the result when a plain array of ``shape`` is added.

    The plain operand's last axis is stretched to the packed one.
    """
    result = array.reshaped(_broadcast_shapes(array.shape, shape, operation))
    if array.whole:
        if result.shape != array.shape:
            raise ValueError(f"{operation}: {shape} does not broadcast to the packed array's shape {array.shape}")
        return array, result
    if not array.packed:
        return array.reshaped(shape), result
    if result.shape[-1] != array.shape[-1]:
        raise ValueError(f"{operation}: the packed last axis of {array.shape} cannot broadcast to shape {result.shape}")
    return array.reshaped((*shape[:-1], array.shape[-1])), result


def broadcast_factors(array: Layout, shape: tuple[int, ...], operation: str) -> tuple[Layout, Positions | None]:
    """Return the layout of a product, and which factor goes to each ciphertext.

    None stands for the obvious: one factor for each ciphertext in order, or one for all. A packed ciphertext
    can be multiplied only as a whole.
    """
    size = math.prod(shape)
    if array.packed and size != 1 and (array.whole or not shape or shape[-1] != 1):
        expected = "one factor" if array.whole else "one factor a row (shape (..., 1))"
        raise ValueError(
            f"{operation}: a packed array takes {expected}, got factors of shape {shape}; encrypt with "
            "FixedPoint to multiply each value by its own"
        )
    result = array.reshaped(_broadcast_shapes(array.shape, shape, operation))
    if result.whole and result.shape != array.shape:
        raise ValueError(f"{operation}: expected one factor, got factors of shape {shape}")
    if size in (1, result.count) and not (array.packed and size != 1):
        return result, None
    factor_positions = np.arange(size, dtype=np.int64).reshape(shape)
    return result, np.broadcast_to(factor_positions, result.cipher_shape).reshape(-1)


def rearrange(
    layout: Layout, move: Callable[[NDArray[Any]], Any], operation: str, error: type[Exception] = ValueError
) -> tuple[Layout, Positions]:
    """Return the layout and ciphertexts of an array whose values ``move`` puts in other places.

    ``move`` takes any array of the layout's shape to one of the same elements, chosen by their places alone.

    Raises
    ------
    ValueError, or ``error``
        If a packed row would be cut; and whatever ``move`` raises.
    """
    layout.require_axes("indexing" if operation == "index" else operation)
    if not layout.packed:
        chosen = np.asarray(move(layout.positions()))
        check_shape(chosen.shape)
        return layout.reshaped(chosen.shape), chosen.reshape(-1).astype(np.int64, copy=False)
    # Move a stand-in of the full shape that says for each value its row and its column: only whole rows may
    # come out.
    length = layout.shape[-1]
    rows = np.arange(math.prod(layout.shape[:-1]), dtype=np.int64).reshape(*layout.shape[:-1], 1)
    chosen_rows = np.asarray(move(np.broadcast_to(rows, layout.shape)))
    chosen_columns = np.asarray(move(np.broadcast_to(np.arange(length), layout.shape)))
    whole_rows = (
        chosen_rows.ndim > 0
        and chosen_rows.shape[-1] == length
        and bool((chosen_columns == np.arange(length)).all())
        and bool((chosen_rows == chosen_rows[..., :1]).all())
    )
    if not whole_rows:
        raise error(
            f"{operation}: the last axis is packed and comes only as a whole; choose along the leading axes, or "
            "encrypt with FixedPoint"
        )
    result = layout.reshaped(chosen_rows.shape)
    check_shape(result.shape)
    groups = layout.cipher_shape[-1]
    if not result.count:
        return result, np.empty(0, dtype=np.int64)
    return result, (chosen_rows[..., :1] * groups + np.arange(groups, dtype=np.int64)).reshape(-1)


def reshape(layout: Layout, shape: tuple[int, ...]) -> Layout:
    """Return the layout of ``array.reshape(shape)``; a -1 stands for the length that fits.

    Raises
    ------
    ValueError
        If the size differs, or a packed last axis would be cut or joined.
    """
    unknown = [index for index, length in enumerate(shape) if length == -1]
    known = math.prod(length for length in shape if length != -1)
    if len(unknown) > 1 or any(length < -1 for length in shape):
        raise ValueError(f"reshape: expected lengths of 0 or more and at most one -1, got {shape}")
    if unknown and (known == 0 or layout.size % known):
        raise ValueError(f"reshape: cannot reshape an array of {layout.size} values into {shape}")
    full = tuple(layout.size // known if length == -1 else length for length in shape)
    if math.prod(full) != layout.size:
        raise ValueError(f"reshape: cannot reshape an array of {layout.size} values into {shape}")
    check_shape(full)
    if layout.packed and not layout.whole and (not full or full[-1] != layout.shape[-1]):
        raise ValueError(
            f"reshape: the packed last axis of length {layout.shape[-1]} must stay as it is, got {shape}; "
            "encrypt with FixedPoint or Packed(axis=None) to reshape freely"
        )
    return layout.reshaped(full)


def check_axes(layout: Layout, axis: int | tuple[int, ...] | None, operation: str) -> tuple[int, ...]:
    """Return the axes to sum over, none negative, in order.

    Raises
    ------
    TypeError, ValueError
        If one is not an axis, comes twice, or is packed.
    """
    layout.require_axes(operation)
    ndim = len(layout.shape)
    given = tuple(range(ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    axes = []
    for one in given:
        if isinstance(one, bool) or not isinstance(one, (int, np.integer)):
            raise TypeError(f"{operation}: axis: expected an int, a tuple of int or None, got {type(one).__name__}")
        if not -ndim <= one < ndim:
            raise ValueError(f"{operation}: axis {one} does not exist in an array of {ndim} axes")
        axes.append(int(one) % ndim)
    if len(set(axes)) != len(axes):
        raise ValueError(f"{operation}: axis: the same axis comes twice in {given}")
    if any(one >= layout.free_axes for one in axes):
        raise ValueError(
            f"{operation}: the last axis is packed, and slots of one ciphertext cannot be added; choose "
            "leading axes, or encrypt with FixedPoint"
        )
    return tuple(sorted(axes))
