"""Passes over the samples, in blocks that stay in cache: densities, sufficient statistics, or both at once.

A block holds its samples transposed, one feature a row (``rows``), shifted by the global centre. For covariances with
off-diagonal entries the rows of each block of columns are followed by a row of ones, which carries the means, and
padded to a multiple of four. Each pass takes samples [start, stop) and adds to the caller's arrays, so that threads run
it on ranges of their own.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from cipherlane.mixture.instruction_set import CACHE, NAME
from cipherlane.mixture.softmax import softmax

if NAME == "plain":
    from cipherlane.mixture.plain_tiles import (
        TILE_SAMPLES,
        diagonal_tile,
        product_tile,
        transpose,
        triangular_tile,
    )
else:
    from cipherlane.mixture.vector_tiles import (
        TILE_SAMPLES,
        diagonal_tile,
        product_tile,
        transpose,
        triangular_tile,
    )

# Samples a block: a tile's eight rows fit the first-level cache, all rows the second. Measured: 192 to 256 are best.
BLOCK = 256
# Rows are a vector longer, or equal columns of all rows would fall into the same few sets of the cache.
_STRIDE = BLOCK + 8
_ALIGNMENT = 8  # doubles


@njit(error_model="numpy")
def _aligned(rows, columns):
    memory = np.zeros(rows * columns + _ALIGNMENT)
    skip = (-(memory.ctypes.data >> 3)) & (_ALIGNMENT - 1)
    return memory[skip : skip + rows * columns].reshape(rows, columns)


@njit(fastmath={"contract", "nsz"}, error_model="numpy")
def _weighted_rows(rows, row, features, mean, weights, component, out, samples):
    """Set out[i] = r_k (x[row + i] - mean[row + i]) for the next four features; zero past the last."""
    for i in range(4):
        if i < features:
            for s in range(samples):
                out[i, s] = weights[component, s] * (rows[row + i, s] - mean[row + i])
        else:
            for s in range(samples):
                out[i, s] = 0.0


@njit(error_model="numpy")
def _load_block(X, start, samples, padded, centre, first_column, first_row, widths, rows):
    for b in range(widths.size):
        transpose(X, start, samples, first_column[b], widths[b], centre, rows, first_row[b])
    for row in range(rows.shape[0]):
        for s in range(samples, padded):
            rows[row, s] = 0.0


@njit(error_model="numpy")
def _triangular_densities(rows, first_row, widths, weights, offsets, constants, padded, densities):
    components = constants.size
    for k in range(components):
        for s in range(padded):
            densities[k, s] = constants[k]
    per_component = offsets[-1]
    for sample in range(0, padded, TILE_SAMPLES):
        for k in range(components):
            tile = 0
            for b in range(widths.size):
                for i in range(0, widths[b], 4):
                    at = k * per_component + offsets[tile]
                    triangular_tile(weights, at, rows, first_row[b] + i, widths[b] + 1 - i, sample, densities, k)
                    tile += 1


@njit(error_model="numpy")
def _triangular_statistics(rows, first_row, widths, means, resp, padded, scratch, out):
    for k in range(resp.shape[0]):
        at = 0
        for b in range(widths.size):
            for i in range(0, widths[b], 4):
                row = first_row[b] + i
                _weighted_rows(rows, row, min(4, widths[b] - i), means[k], resp, k, scratch, padded)
                for j in range(i, widths[b] + 1, 4):
                    product_tile(scratch, 0, 4, rows, first_row[b] + j, padded, out[k], at)
                    at += 16


@njit(error_model="numpy")
def _bias_rows(rows, first_row, widths):
    for b in range(widths.size):
        for s in range(rows.shape[1]):
            rows[first_row[b] + widths[b], s] = 1.0


@njit(error_model="numpy")
def _take_responsibilities(resp, start, samples, padded, out, counts):
    for k in range(out.shape[0]):
        count = 0.0
        for s in range(samples):
            r = resp[start + s, k]
            out[k, s] = r
            count += r
        for s in range(samples, padded):
            out[k, s] = 0.0
        counts[k] += count


@njit(error_model="numpy")
def _clear_padding(resp, samples, padded):
    for k in range(resp.shape[0]):
        for s in range(samples, padded):
            resp[k, s] = 0.0


@njit(error_model="numpy")
def _padded(samples):
    return (samples + 31) // 32 * 32


@njit(nogil=True, cache=CACHE, error_model="numpy")
def triangular_em(
    X, start, stop, centre, first_column, first_row, widths, height, weights, offsets, constants, means,
    sample_weights, counts, out,
):  # fmt: skip
    """E and M step in one; returns the log-likelihood."""
    components = constants.size
    rows, densities, scratch = _aligned(height, _STRIDE), _aligned(components, _STRIDE), _aligned(4, _STRIDE)
    largest, total = np.empty(BLOCK), np.empty(BLOCK)
    likelihood = 0.0
    for first in range(start, stop, BLOCK):
        samples = min(BLOCK, stop - first)
        padded = _padded(samples)
        _load_block(X, first, samples, padded, centre, first_column, first_row, widths, rows)
        _bias_rows(rows, first_row, widths)
        _triangular_densities(rows, first_row, widths, weights, offsets, constants, padded, densities)
        likelihood += softmax(densities, components, samples, sample_weights, first, largest, total, counts)
        _clear_padding(densities, samples, padded)
        _triangular_statistics(rows, first_row, widths, means, densities, padded, scratch, out)
    return likelihood


@njit(nogil=True, cache=CACHE, error_model="numpy")
def triangular_densities(
    X, start, stop, centre, first_column, first_row, widths, height, weights, offsets, constants, out
):  # fmt: skip
    """E step alone: out[i, k] = log density."""
    components = constants.size
    rows, densities = _aligned(height, _STRIDE), _aligned(components, _STRIDE)
    for first in range(start, stop, BLOCK):
        samples = min(BLOCK, stop - first)
        padded = _padded(samples)
        _load_block(X, first, samples, padded, centre, first_column, first_row, widths, rows)
        _bias_rows(rows, first_row, widths)
        _triangular_densities(rows, first_row, widths, weights, offsets, constants, padded, densities)
        for s in range(samples):
            for k in range(components):
                out[first + s, k] = densities[k, s]


@njit(nogil=True, cache=CACHE, error_model="numpy")
def triangular_statistics(
    X, start, stop, centre, first_column, first_row, widths, height, resp, means, counts, out
):  # fmt: skip
    """M step's sums alone, from given responsibilities."""
    components = resp.shape[1]
    rows, block, scratch = _aligned(height, _STRIDE), _aligned(components, _STRIDE), _aligned(4, _STRIDE)
    for first in range(start, stop, BLOCK):
        samples = min(BLOCK, stop - first)
        padded = _padded(samples)
        _load_block(X, first, samples, padded, centre, first_column, first_row, widths, rows)
        _bias_rows(rows, first_row, widths)
        _take_responsibilities(resp, first, samples, padded, block, counts)
        _triangular_statistics(rows, first_row, widths, means, block, padded, scratch, out)


@njit(fastmath={"contract", "nsz"}, error_model="numpy")
def _squares(rows, features, padded):
    for j in range(features):
        for s in range(padded):
            rows[features + j, s] = rows[j, s] * rows[j, s]


@njit(error_model="numpy")
def _diagonal_densities(rows, features, weights, constants, padded, densities):
    components = constants.size
    for k in range(components):
        for s in range(padded):
            densities[k, s] = constants[k]
    for sample in range(0, padded, TILE_SAMPLES):
        k = 0
        while k < components:
            together = 4 if k + 4 <= components else 2 if k + 2 <= components else 1
            diagonal_tile(weights, 2 * features * k, together, rows, features, sample, densities, k)
            k += together


@njit(error_model="numpy")
def _diagonal_statistics(rows, resp, padded, out):
    """Add to out the tiles of resp rows^T, component groups outermost."""
    components, height = resp.shape[0], rows.shape[0]
    k = 0
    at = 0
    while k < components:
        together = 4 if k + 4 <= components else 2 if k + 2 <= components else 1
        for j in range(0, height, 4):
            product_tile(resp, k, together, rows, j, padded, out, at)
            at += 4 * together
        k += together


@njit(nogil=True, cache=CACHE, error_model="numpy")
def diagonal_em(X, start, stop, centre, weights, constants, sample_weights, counts, out):
    """E and M step in one; returns the log-likelihood."""
    components, features = constants.size, X.shape[1]
    rows, densities = _aligned((2 * features + 3) // 4 * 4, _STRIDE), _aligned(components, _STRIDE)
    largest, total = np.empty(BLOCK), np.empty(BLOCK)
    likelihood = 0.0
    for first in range(start, stop, BLOCK):
        samples = min(BLOCK, stop - first)
        padded = _padded(samples)
        transpose(X, first, samples, 0, features, centre, rows, 0)
        for j in range(features):
            for s in range(samples, padded):
                rows[j, s] = 0.0
        _squares(rows, features, padded)
        _diagonal_densities(rows, features, weights, constants, padded, densities)
        likelihood += softmax(densities, components, samples, sample_weights, first, largest, total, counts)
        _clear_padding(densities, samples, padded)
        _diagonal_statistics(rows, densities, padded, out)
    return likelihood


@njit(nogil=True, cache=CACHE, error_model="numpy")
def diagonal_densities(X, start, stop, centre, weights, constants, out):
    """E step alone: out[i, k] = log density."""
    components, features = constants.size, X.shape[1]
    rows, densities = _aligned(features, _STRIDE), _aligned(components, _STRIDE)
    for first in range(start, stop, BLOCK):
        samples = min(BLOCK, stop - first)
        padded = _padded(samples)
        transpose(X, first, samples, 0, features, centre, rows, 0)
        for j in range(features):
            for s in range(samples, padded):
                rows[j, s] = 0.0
        _diagonal_densities(rows, features, weights, constants, padded, densities)
        for s in range(samples):
            for k in range(components):
                out[first + s, k] = densities[k, s]


@njit(nogil=True, cache=CACHE, error_model="numpy")
def diagonal_statistics(X, start, stop, centre, resp, counts, out):
    """M step's sums alone, from given responsibilities."""
    components, features = resp.shape[1], X.shape[1]
    rows, block = _aligned((2 * features + 3) // 4 * 4, _STRIDE), _aligned(components, _STRIDE)
    for first in range(start, stop, BLOCK):
        samples = min(BLOCK, stop - first)
        padded = _padded(samples)
        transpose(X, first, samples, 0, features, centre, rows, 0)
        for j in range(features):
            for s in range(samples, padded):
                rows[j, s] = 0.0
        _squares(rows, features, padded)
        _take_responsibilities(resp, first, samples, padded, block, counts)
        _diagonal_statistics(rows, block, padded, out)
