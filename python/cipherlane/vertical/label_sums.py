"""Encrypted labels, their sums by bin, and those sums packed into few ciphertexts for the way back.

The guest encrypts one label a row; a host adds them by the bins of its columns, without learning any; the guest
decrypts the sums alone.

    packed[i] = Σ_j sum[i s + j] · 2^(w j),    s sums of w bits a ciphertext

Shape and bound of what a host sends follow from the numbers of rows and bins alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cipherlane.errors import ProtocolError
from cipherlane.paillier import CipherArray, FixedPoint, PrivateKey, PublicKey, concatenate
from cipherlane.vertical.exchange import check_randomised
from cipherlane.vertical.grouped_sums import Indices, sums_by_bin

# A label is 0 or 1.
LABEL_CODEC = FixedPoint(scale_bits=0, integer_bits=1)


def encrypt_labels(private_key: PrivateKey, events: NDArray[np.bool_]) -> bytes:
    """Return the encrypted labels of rows, one ciphertext a row, as bytes to be sent."""
    return private_key.encrypt(events.astype(np.int64), codec=LABEL_CODEC).to_bytes()


def read_labels(public_key: PublicKey, data: bytes, rows: int, sender: str) -> CipherArray:
    """Return the encrypted labels of `rows` rows that `sender` sent.

    Raises
    ------
    ProtocolError
        They are of another number of rows, encoded in another way, or not randomised.
    """
    return _checked(public_key, data, (rows,), LABEL_CODEC, sender, f"{rows} labels")


def sum_bits(rows: int) -> int:
    """Return the bits that a sum of labels over some of `rows` rows is proven to fit in, in three steps of sums.

    A label counts as 2, and each step rounds its largest number of summands up to a power of two: a rows in a cell, b
    cells in one of a half, c of those in a bin. Groups have at most as many cells as rows, n, so that b c <= n, and
    2 · 2a · 2b · 2c <= 16 n². Parts of the rows add up to no more.
    """
    return 2 * rows.bit_length() + 5


def sums_a_ciphertext(rows: int, key_bits: int) -> int:
    """Return how many sums share a ciphertext.

    Examples
    --------
    >>> sums_a_ciphertext(100_000, 2048), sums_a_ciphertext(569, 2048)
    (51, 78)
    """
    return (key_bits - 2) // (sum_bits(rows) + 1)


def packed_count(sums: int, rows: int, key_bits: int) -> int:
    """Return in how many ciphertexts so many sums are sent."""
    # With room for one more than there are: see `pack_sums`.
    return sums // sums_a_ciphertext(rows, key_bits) + 1


def pack_sums(sums: CipherArray, rows: int) -> CipherArray:
    """Return sums of labels, several a ciphertext, with fresh randomness.

    Parameters
    ----------
    sums : CipherArray, shape (m,)
        From `sums_by_bin`, each of labels of some of the rows.
    rows : int
        The rows of the whole table.
    """
    key, bits = sums.public_key, sum_bits(rows)
    each, count = sums_a_ciphertext(rows, key.bits), packed_count(len(sums), rows, key.bits)
    # The zeros that fill the last ciphertext, at least one, have a bound that every sum keeps. The array's bound is
    # then theirs, and what is sent says nothing of how many rows the bins have.
    zero = key.encrypt([0], codec=FixedPoint(0, bits))
    zeros = zero[np.zeros(count * each - len(sums), dtype=np.int64)]
    slots = concatenate([sums, zeros]).reshape(count, each)
    packed = slots[:, each - 1]
    for j in range(each - 2, -1, -1):
        packed = packed * (1 << (bits + 1)) + slots[:, j]
    return packed.rerandomize()


def unpack_sums(
    private_key: PrivateKey, data: bytes, totals: NDArray[np.int64], rows: int, sender: str
) -> NDArray[np.int64]:
    """Return the sums of labels that `sender` packed, each at most the number of rows of its bin.

    Parameters
    ----------
    private_key
        The key's private half.
    data
        What `pack_sums` made, as bytes.
    totals
        int64, shape (m,): the rows of each bin.
    rows
        The rows of the whole table.
    sender
        For errors.

    Raises
    ------
    ProtocolError
        There are more or fewer sums, they are not randomised, or one is more than its bin has rows.
    """
    bits = private_key.public_key.bits
    count, each = packed_count(len(totals), rows, bits), sums_a_ciphertext(rows, bits)
    codec = FixedPoint(0, sum_bits(rows))
    what = f"the sums of {len(totals)} bins in {count} ciphertexts"
    array = _checked(private_key.public_key, data, (count,), codec, sender, what)
    width = sum_bits(rows) + 1
    found = []
    for number in map(int, private_key.decrypt(array)):
        if not 0 <= number < 1 << (width * each):
            raise ProtocolError(f"sums from {sender!r}: a ciphertext holds no sums of labels; nothing of them was used")
        found += [(number >> (width * j)) & ((1 << width) - 1) for j in range(each)]
    sums, rest = found[: len(totals)], found[len(totals) :]
    if any(rest) or any(event > total for event, total in zip(sums, totals.tolist(), strict=True)):
        raise ProtocolError(
            f"sums from {sender!r}: a bin has more events than rows; the bins or the sums are wrong there, and nothing "
            "of them was used"
        )
    return np.array(sums, dtype=np.int64)


def add_labels(so_far: CipherArray | None, labels: CipherArray, indices: Indices, bins: Sequence[int]) -> CipherArray:
    """Return the sums by bin of some rows' labels, added to those of the rows before."""
    sums = sums_by_bin(labels, indices, bins)
    return sums if so_far is None else so_far + sums


def _checked(
    public_key: PublicKey, data: bytes, shape: tuple[int, ...], codec: FixedPoint, sender: str, what: str
) -> CipherArray:
    array = CipherArray.from_bytes(public_key, data)
    if array.shape != shape or array.codec != codec or array.scale_bits != codec.scale_bits:
        raise ProtocolError(
            f"ciphertexts from {sender!r}: expected {what} as {codec}, got shape {array.shape} as {array.codec}"
        )
    check_randomised(array, sender)
    return array
