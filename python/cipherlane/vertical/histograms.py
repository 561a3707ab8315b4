"""Encrypted histograms of gradients and hessians, for vertical gradient-boosted trees.

The party with labels encrypts each row's gradient and hessian in one ciphertext; a party with columns adds them by bin,
for all of its columns and the nodes of a tree's level at once, and sends the sums back to be decrypted:

    G[node, j, b] = Σ g_i,   H[node, j, b] = Σ h_i    over the rows i of the node whose column j is in bin b.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cipherlane.paillier import CipherArray, Packed, PrivateKey, PublicKey, concatenate
from cipherlane.vertical.grouped_sums import Indices, sums_by_bin


def encrypt_gradients(
    key: PublicKey | PrivateKey,
    gradients: ArrayLike,
    hessians: ArrayLike,
    *,
    rows: int | None = None,
    scale_bits: int = 24,
) -> CipherArray:
    """Return gradients and hessians, one ciphertext a row, of shape (n, 2).

    Parameters
    ----------
    key : PublicKey or PrivateKey
        The private key encrypts faster.
    gradients, hessians : array_like of float64, shape (n,)
        Below 2^7 in magnitude; those of the logistic loss are below 1.
    rows : int, optional
        How many rows are added at most, where these are a part of them; default: as many as these.
    scale_bits : int, default 24
        Bits after the point.

    Raises
    ------
    ValueError
        The shapes differ, a number is not finite, or `rows` is below 1.
    PlaintextOverflowError
        A number is too large.
    """
    first, second = np.asarray(gradients, dtype=np.float64), np.asarray(hessians, dtype=np.float64)
    if first.ndim != 1 or first.shape != second.shape:
        raise ValueError(
            f"gradients, hessians: expected one of each a row, got shapes {first.shape} and {second.shape}"
        )
    if rows is not None and rows < 1:
        raise ValueError(f"rows: expected at least 1, got {rows}")
    pairs = np.column_stack([first, second])
    # Room for three steps of sums, each of whose numbers of summands is rounded up to a power of two: at most 8 n², as
    # for the labels of `label_sums.sum_bits`.
    headroom = 2 * (rows or len(pairs)).bit_length() + 3
    codec = Packed(slot_bits=headroom + scale_bits + 8, scale_bits=scale_bits, headroom_bits=headroom, axis=-1)
    return key.encrypt(pairs, codec=codec)


def gradient_histograms(
    pairs: CipherArray,
    indices: Indices,
    bins: int,
    *,
    nodes: NDArray[np.integer] | None = None,
    node_count: int = 1,
) -> CipherArray:
    """Return the sums of gradients and hessians by node, column and bin, of shape (nodes, columns, bins, 2).

    Re-randomise them before they are shown to anyone, as `CipherArray.to_bytes` does. Of two children of a node only
    the smaller has to be summed: the other's sums are those of the node less the smaller's.

    Parameters
    ----------
    pairs : CipherArray, shape (n, 2)
        From `encrypt_gradients`.
    indices : ndarray of int, shape (n, columns)
        Each row's bin in each column, from 0 to bins - 1.
    bins : int
    nodes : ndarray of int, shape (n,), optional
        Each row's node in the tree's level, from 0; rows of a negative node are left out. Default: all in node 0.
    node_count : int, default 1

    Raises
    ------
    ValueError
        The shapes do not fit, or an index is out of range.

    Examples
    --------
    >>> import cipherlane as cl
    >>> public_key, private_key = cl.keygen(bits=2048)
    >>> pairs = encrypt_gradients(private_key, [0.5, -0.25, 1.0], [0.25, 0.1875, 0.0])
    >>> sums = gradient_histograms(pairs, np.array([[0, 1], [1, 1], [0, 0]]), 2)
    >>> private_key.decrypt(sums)[0, 0].tolist()
    [[1.5, 0.25], [-0.25, 0.1875]]
    """
    table = np.asarray(indices)
    if table.ndim != 2 or len(table) != len(pairs) or not table.shape[1]:
        raise ValueError(f"indices: expected shape ({len(pairs)}, columns) with a column or more, got {table.shape}")
    if node_count < 1:
        raise ValueError(f"node_count: expected at least 1, got {node_count}")
    width = table.shape[1]
    if nodes is None and node_count != 1:
        raise ValueError(
            f"nodes: expected each row's node of {node_count}, got none; leave node_count out for one node"
        )
    if nodes is None:
        return sums_by_bin(pairs, table, [bins] * width).reshape(1, width, bins, 2)
    level = np.asarray(nodes)
    if level.shape != (len(pairs),) or level.dtype.kind not in "iu":
        raise ValueError(f"nodes: expected {len(pairs)} integers, got shape {level.shape} of {level.dtype}")
    if level.size and level.max() >= node_count:
        raise ValueError(f"nodes: expected less than {node_count}, got {int(level.max())}")
    parts = []
    for node in range(node_count):
        rows = np.flatnonzero(level == node)
        parts.append(sums_by_bin(pairs[rows], table[rows], [bins] * width))
    return concatenate(parts).reshape(node_count, width, bins, 2)
