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


@dataclass(frozen=True)
class GuestRows:
    """What the guest knows in plain of a batch of n rows, from which it makes their residuals and loss.

    Attributes
    ----------
    kernel
        The separable approximation of the sigmoid and the loss.
    scores, labels, weights
        Its partial scores a, labels y and weights s, float64 of shape (n,).
    """

    kernel: SeparableLogistic
    scores: NDArray[np.float64]
    labels: NDArray[np.float64]
    weights: NDArray[np.float64]

    def residual_parts(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return factors of the first R features of b, shape (n, R), and constants, shape (n,), that sum to d."""
        factors, constants = self.kernel.residual_factors(self.scores)
        weighted = self.weights[:, None] * factors[:, : self.kernel.terms]
        return weighted, self.weights * (constants - self.labels)

    def loss_parts(self) -> tuple[NDArray[np.float64], float]:
        """Return factors of the features of b, shape (n, R + 1), and a constant that sum to the batch's loss."""
        factors, constants = self.kernel.loss_factors(self.scores, self.labels)
        return self.weights[:, None] * factors, float((self.weights * constants).sum())


def encrypted_residuals(features: CipherArray, rows: GuestRows) -> CipherArray:
    """Return d_i = s_i (sigma(a_i + b_i) - y_i), shape (n,), from encrypted features of b."""
    factors, constants = rows.residual_parts()
    return (features[:, : rows.kernel.terms] * factors).sum(axis=1) + constants


def encrypted_loss(features: CipherArray, rows: GuestRows) -> tuple[CipherArray, float]:
    """Return sum_i s_i (log(1 + exp(u_i)) - y_i u_i) as an encrypted part, shape (1,), and a plain part to add."""
    factors, plain = rows.loss_parts()
    return _times(factors.reshape(1, -1), features.reshape(-1)), plain


def packed_residuals(features: CipherArray, packing: RowPacking, rows: GuestRows) -> CipherArray:
    """Return plaintexts with d_i in their slot R, shape (n,), from packed features of b."""
    factors, constants = rows.residual_parts()
    whole = features * packing.residual_factors(factors) + packing.residual_constants(constants)
    # The bound so far follows from factors, which are the guest's alone.
    return whole.with_bound(packing.residual_bound)


@dataclass(frozen=True)
class PackedLoss:
    """The part of a batch's loss that is encrypted, a bound on it, and the plain part to add."""

    encrypted: CipherArray
    bound: int
    plain: float


def packed_loss(features: CipherArray, packing: RowPacking, rows: GuestRows) -> PackedLoss:
    """Return sum_i s_i (log(1 + exp(u_i)) - y_i u_i), the encrypted part in slot R of a plaintext, shape (1,)."""
    factors, plain = rows.loss_parts()
    multipliers = packing.loss_factors(factors)
    # Sums over rows first, slot by slot: then the long factors that move them to slot R are few.
    summed = _times(multipliers, features) * packing.loss_shifts
    bound = int(np.abs(multipliers).sum(dtype=object)) << (packing.fraction_bits - 1)
    return PackedLoss(summed.sum(keepdims=True), bound, plain)


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
