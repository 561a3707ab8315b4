"""The tiles of the EM kernels as plain loops, for machines without known vector instructions.

``rows`` holds a block of samples with one feature a row and one sample a column.
"""

from __future__ import annotations

from numba import njit

TILE_SAMPLES = 32


@njit
def triangular_tile(weights, at, rows, row, count, sample, out, component):
    """Subtract sum_{i<4} (sum_{j<count} weights[at + 4 j + i] rows[row + j, s])^2 from out[component, s]."""
    for s in range(sample, sample + TILE_SAMPLES):
        for i in range(4):
            y = 0.0
            for j in range(count):
                y += weights[at + 4 * j + i] * rows[row + j, s]
            out[component, s] -= y * y


@njit
def diagonal_tile(weights, at, components, rows, count, sample, out, component):
    """Subtract sum_j (scale_ji rows[j, s] - shift_ji)^2 from out[component + i, s], i < components.

    ``weights`` holds, for each feature, the scales and then the shifts of the components.
    """
    for i in range(components):
        for j in range(count):
            scale = weights[at + 2 * components * j + i]
            shift = weights[at + 2 * components * j + components + i]
            for s in range(sample, sample + TILE_SAMPLES):
                t = rows[j, s] * scale - shift
                out[component + i, s] -= t * t


@njit
def product_tile(left, first, height, right, row, count, out, at):
    """Add sum_{s<count} left[first + i, s] right[row + j, s] to out[at + 4 i + j], i < height, j < 4."""
    for i in range(height):
        for j in range(4):
            total = 0.0
            for s in range(count):
                total += left[first + i, s] * right[row + j, s]
            out[at + 4 * i + j] += total


@njit
def transpose(X, start, samples, first, columns, shift, out, row):
    """Set out[row + j, s] = X[start + s, first + j] - shift[first + j]."""
    for column in range(columns):
        for sample in range(samples):
            out[row + column, sample] = X[start + sample, first + column] - shift[first + column]
