"""Products of encrypted arrays with plain factors and matrices."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from cipherlane.errors import PlaintextOverflowError
from cipherlane.paillier import layout as layouts
from cipherlane.paillier.codec import check_bound
from cipherlane.paillier.values import Factors, as_factors, as_values

if TYPE_CHECKING:
    from cipherlane.paillier.cipher_array import CipherArray


def multiply(array: CipherArray, other: object) -> CipherArray:
    """Return the product with plain numbers, element by element; see `CipherArray.__mul__`."""
    if isinstance(other, np.matrix):
        raise TypeError(
            "x * factors: got an np.matrix, for which * is the matrix product; write matrix @ x, or "
            "np.asarray(matrix) * x"
        )
    factors = as_factors(other, array._codec, array._key.n, "x * factors")  # type: ignore[arg-type]
    scale_bits, bound = _scaled(array, factors, factors.largest, "x * factors")
    layout, index = layouts.broadcast_factors(array._layout, factors.shape, "x * factors")
    magnitudes, negative = factors.magnitudes, factors.negative
    if index is not None:
        magnitudes, negative = magnitudes[index], negative[index]
    name = array._backend()
    batch = array._key.context(name).multiply(array._spread_to(layout, name), magnitudes, negative)
    return array._derived(batch, layout, bound, scale_bits=scale_bits)


def _scaled(array: CipherArray, factors: Factors, growth: int, operation: str) -> tuple[int, int]:
    """Return scale and bound of a product, proven to fit."""
    scale_bits, bound = array._scale_bits + factors.scale_bits, array._bound * growth
    check_bound(operation, bound, array._codec, array._key.n)
    if scale_bits > array._key.bits:
        raise PlaintextOverflowError(
            f"{operation}: {scale_bits} bits after the point are more than the key's {array._key.bits}; "
            f"{array._codec.remedy}"
        )
    return scale_bits, bound


def times_matrix(array: CipherArray, other: object) -> CipherArray:
    """Return ``array @ other`` for a plain matrix or vector."""
    array._layout.require_axes("x @ matrix")
    if array._layout.packed:
        raise ValueError("x @ matrix: the last axis is packed, and its slots cannot be mixed; use matrix @ x")
    matrix = as_values(other, "matrix")
    if not 1 <= array.ndim <= 2 or not 1 <= matrix.ndim <= 2:
        raise ValueError(f"x @ matrix: expected 1 or 2 axes on both sides, got {array.ndim} and {matrix.ndim}")
    # x A = (Aᵀ xᵀ)ᵀ, and a vector is its own transpose.
    return matrix_times(matrix.T, array.T).T


def matrix_times(other: object, array: CipherArray) -> CipherArray:
    """Return ``other @ array`` for a plain matrix or vector: out[i, c] = Σ_j w_ij x[j, c]."""
    array._layout.require_axes("matrix @ x")
    factors = as_factors(other, array._codec, array._key.n, "matrix")  # type: ignore[arg-type]
    if not 1 <= array.ndim <= 2 or not 1 <= len(factors.shape) <= 2:
        raise ValueError(
            f"matrix @ x: expected 1 or 2 axes on both sides, got {len(factors.shape)} and {array.ndim}; reshape first"
        )
    if array._layout.free_axes == 0:
        raise ValueError("matrix @ x: the only axis is packed, and its slots cannot be mixed; use FixedPoint")
    inner = factors.shape[-1]
    if inner != array.shape[0]:
        raise ValueError(
            f"matrix @ x: shapes {factors.shape} and {array.shape} do not fit ({inner} and {array.shape[0]})"
        )
    scale_bits, bound = _scaled(array, factors, factors.row_bound(), "matrix @ x")
    layout = array._layout.reshaped((*factors.shape[:-1], *array.shape[1:]))
    layouts.check_shape(layout.shape)
    rows, columns = math.prod(factors.shape[:-1]), math.prod(array._layout.cipher_shape[1:])
    context, batch = array._here()
    if inner == 0 or columns == 0:
        # Empty sums, one for each element of the result.
        nothing = np.empty(0, dtype=np.int64)
        sums = context.segment_sum(batch, nothing, np.zeros(layout.count + 1, dtype=np.int64))
    else:
        weights = factors.magnitudes.reshape(rows, inner, -1)
        sums = context.linear_combinations(batch, columns, weights, factors.negative.reshape(rows, inner))
    return array._derived(sums, layout, bound, scale_bits=scale_bits)
