"""The encrypted half of a step of federated logistic regression: residuals, losses and gradients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cipherlane.errors import ProtocolError
from cipherlane.paillier import CipherArray, FixedPoint, PublicKey, concatenate
from cipherlane.vertical.exchange import check_randomised
from cipherlane.vertical.row_packing import RowPacking
from cipherlane.vertical.separable_logistic import SeparableLogistic

# A column with so few different values costs fewer multiplications as a histogram of residuals.
_MOST_VALUES = 64
_ROWS_A_VALUE = 4


def read_array(
    public_key: PublicKey, data: bytes, shape: tuple[int, ...], codec: FixedPoint, scale_bits: int, sender: str
) -> CipherArray:
    """Return the ciphertexts that `sender` sent, which must be of this shape, codec and scale, and randomised.

    Raises
    ------
    ProtocolError
        They are valid ciphertexts of something else.
    """
    array = CipherArray.from_bytes(public_key, data)
    if array.shape != shape or array.codec != codec or array.scale_bits != scale_bits:
        raise ProtocolError(
            f"ciphertexts from {sender!r}: expected shape {shape} as {codec} with {scale_bits} bits after the point, "
            f"got shape {array.shape} as {array.codec} with {array.scale_bits}"
        )
    check_randomised(array, sender)
    return array


def passed_on(before: CipherArray, kernel: SeparableLogistic, scores: NDArray[np.float64]) -> CipherArray:
    """Return the encrypted features of b + h from those of b, shape (n, R + 1), for plain partial scores h."""
    factors, constants = kernel.passing_factors(scores)
    rows, width = before.shape
    return (before.reshape(rows, 1, width) * factors).sum(axis=-1) + constants


def encrypted_residuals(
    features: CipherArray,
    kernel: SeparableLogistic,
    scores: NDArray[np.float64],
    labels: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> CipherArray:
    """Return d_i = s_i (sigma(a_i + b_i) - y_i), shape (n,), from encrypted features of b and plain a, y and s."""
    factors, constants = kernel.residual_factors(scores)
    used = features[:, : kernel.terms] * (weights[:, None] * factors[:, : kernel.terms])
    return used.sum(axis=1) + weights * (constants - labels)


def encrypted_loss(
    features: CipherArray,
    kernel: SeparableLogistic,
    scores: NDArray[np.float64],
    labels: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> tuple[CipherArray, float]:
    """Return sum_i s_i (log(1 + exp(u_i)) - y_i u_i) as an encrypted part, shape (1,), and a plain part to add."""
    factors, constants = kernel.loss_factors(scores, labels)
    flat = (weights[:, None] * factors).reshape(1, -1)
    return _times(flat, features.reshape(-1)), float((weights * constants).sum())


def packed_residuals(
    features: CipherArray,
    packing: RowPacking,
    kernel: SeparableLogistic,
    scores: NDArray[np.float64],
    labels: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> CipherArray:
    """Return plaintexts with d_i in their slot R, shape (n,), from packed features of b and plain a, y and s."""
    factors, constants = kernel.residual_factors(scores)
    multipliers = packing.residual_factors(weights[:, None] * factors[:, : kernel.terms])
    whole = features * multipliers + packing.residual_constants(weights * (constants - labels))
    # The bound so far follows from factors, which are the guest's alone.
    return whole.with_bound(packing.residual_bound)


@dataclass(frozen=True)
class PackedLoss:
    """The part of a batch's loss that is encrypted, a bound on it, and the plain part to add."""

    encrypted: CipherArray
    bound: int
    plain: float


def packed_loss(
    features: CipherArray,
    packing: RowPacking,
    kernel: SeparableLogistic,
    scores: NDArray[np.float64],
    labels: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> PackedLoss:
    """Return sum_i s_i (log(1 + exp(u_i)) - y_i u_i), the encrypted part in slot R of a plaintext, shape (1,)."""
    factors, constants = kernel.loss_factors(scores, labels)
    multipliers = packing.loss_factors(weights[:, None] * factors)
    # Sums over rows first, slot by slot: then the long factors that move them to slot R are few.
    summed = _times(multipliers, features) * packing.loss_shifts
    bound = int(np.abs(multipliers).sum(dtype=object)) << (packing.fraction_bits - 1)
    return PackedLoss(summed.sum(keepdims=True), bound, float((weights * constants).sum()))


def encrypted_gradient(inputs: NDArray[np.float64] | NDArray[np.int64], residuals: CipherArray) -> CipherArray:
    """Return X^T d, shape (d,), for plain inputs X of shape (n, d) and encrypted residuals d of shape (n,).

    Columns of many values are one multi-product each. For one of few values, such as a binned one, residuals are
    first added up by value, and only those sums are multiplied.
    """
    binned: list[int] = []
    segments: list[tuple[NDArray[Any], NDArray[np.intp]]] = []
    for column in range(inputs.shape[1]):
        values, places = np.unique(inputs[:, column], return_inverse=True)
        if len(values) <= min(_MOST_VALUES, max(len(inputs) // _ROWS_A_VALUE, 1)):
            binned.append(column)
            segments.append((values, places.reshape(-1)))
    others = [column for column in range(inputs.shape[1]) if column not in set(binned)]
    parts = [_times(inputs[:, others].T, residuals)] if others else []
    if binned:
        sums = concatenate([residuals.segment_sum(places, len(values)) for values, places in segments])
        parts.append(_times(_block_rows([values for values, _ in segments]), sums))
    order = np.argsort(np.array([*others, *binned]))
    return concatenate(parts)[order]


def _times(matrix: NDArray[Any], array: CipherArray) -> CipherArray:
    """Return ``matrix @ array``, which numpy's types take for an array of numbers."""
    return array.__rmatmul__(matrix)


def _block_rows(rows: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Return a matrix whose row k holds `rows[k]` where its own segments stand, and zeros elsewhere."""
    ends = np.cumsum([len(row) for row in rows])
    matrix = np.zeros((len(rows), int(ends[-1])), dtype=rows[0].dtype)
    for number, (row, end) in enumerate(zip(rows, ends, strict=True)):
        matrix[number, end - len(row) : end] = row
    return matrix
