"""The encrypted half of a step of federated logistic regression: residuals, gradients, and masks around them."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cipherlane.errors import ProtocolError
from cipherlane.paillier import CipherArray, FixedPoint, PrivateKey, PublicKey, concatenate, hazmat
from cipherlane.vertical.exchange import check_randomised
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


def encrypted_gradient(inputs: NDArray[np.float64], residuals: CipherArray) -> CipherArray:
    """Return X^T d, shape (d,), for plain inputs X of shape (n, d) and encrypted residuals d of shape (n,).

    Columns of many values are one multi-product each. For one of few values, such as a binned one, residuals are
    first added up by value, and only those sums are multiplied.
    """
    binned: list[int] = []
    segments: list[tuple[NDArray[np.float64], NDArray[np.intp]]] = []
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


def _times(matrix: NDArray[np.float64], array: CipherArray) -> CipherArray:
    """Return ``matrix @ array``, which numpy's types take for an array of numbers."""
    return array.__rmatmul__(matrix)


def _block_rows(rows: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return a matrix whose row k holds `rows[k]` where its own segments stand, and zeros elsewhere."""
    ends = np.cumsum([len(row) for row in rows])
    matrix = np.zeros((len(rows), int(ends[-1])))
    for number, (row, end) in enumerate(zip(rows, ends, strict=True)):
        matrix[number, end - len(row) : end] = row
    return matrix


@dataclass(frozen=True)
class Masks:
    """What a party added to its numbers before the key's holder saw them: one uniform residue modulo n each."""

    n: int
    values: tuple[int, ...]

    def removed(self, masked: Sequence[int], bounds: Sequence[int]) -> list[int]:
        """Return the signed integers behind masked ones.

        Raises
        ------
        ProtocolError
            They are not as many, or one is beyond what its operations can have made.
        """
        if len(masked) != len(self.values):
            raise ProtocolError(f"masked numbers: expected {len(self.values)}, got {len(masked)}")
        found = [(number - mask) % self.n for number, mask in zip(masked, self.values, strict=True)]
        signed = [number - self.n if number > self.n // 2 else number for number in found]
        if any(abs(number) > bound for number, bound in zip(signed, bounds, strict=True)):
            raise ProtocolError("masked numbers: one is not what was sent; the arbiter's answer is of something else")
        return signed


def masked(arrays: Sequence[CipherArray]) -> tuple[bytes, Masks]:
    """Return arrays' plaintexts, each plus a fresh mask modulo n, as bytes of one array; and the masks.

    A mask is uniform in [0, n), so what is decrypted is uniform whatever stood there: it tells nothing at all. With
    several values a plaintext, one mask covers them. Scales and bounds do not travel.
    """
    public_key = arrays[0].public_key
    n, square = public_key.n, public_key.n**2
    ciphertexts = [number for array in arrays for number in hazmat.to_integers(array)]
    masks = [secrets.randbelow(n) for _ in ciphertexts]
    added = [c * (1 + mask * n) % square for c, mask in zip(ciphertexts, masks, strict=True)]
    # `to_bytes` re-randomises what was not just encrypted.
    return hazmat.from_integers(public_key, added).to_bytes(), Masks(n, tuple(masks))


def decrypted_masked(private_key: PrivateKey, data: bytes, most: int, sender: str) -> bytes:
    """Return the plaintexts of at most `most` masked numbers of a sender, big-endian and as wide as n."""
    public_key = private_key.public_key
    array = CipherArray.from_bytes(public_key, data)
    if array.codec != FixedPoint(scale_bits=0) or array.ndim != 1 or not 0 < array.size <= most:
        raise ProtocolError(
            f"masked numbers from {sender!r}: expected 1 to {most} integers, got shape {array.shape} as {array.codec}"
        )
    check_randomised(array, sender)
    plaintexts = hazmat.decrypt(private_key, hazmat.to_integers(array))
    width = number_bytes(public_key)
    return b"".join(number.to_bytes(width, "big") for number in plaintexts)


def number_bytes(public_key: PublicKey) -> int:
    """Return how many bytes a plaintext takes."""
    return -(-public_key.n.bit_length() // 8)


def numbers_from(data: bytes, public_key: PublicKey) -> list[int]:
    """Return the plaintexts that `decrypted_masked` wrote.

    Raises
    ------
    ProtocolError
        They are not whole numbers of the key's width.
    """
    width = number_bytes(public_key)
    if len(data) % width:
        raise ProtocolError(f"masked numbers: expected {width} bytes each, got {len(data)} bytes")
    return [int.from_bytes(data[start : start + width], "big") for start in range(0, len(data), width)]
