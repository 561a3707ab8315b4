"""Densities and moments of a block of samples by matrix products, in the functions of an array library.

A block of samples comes in as ``rows``, shape (b, d): less the global centre, with columns of the same covariance block
side by side. Nothing here waits for a device: whether a covariance is positive definite is an array like the others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cipherlane.mixture.array_module import Array, ArrayModule

_HALF_LOG_TWO_PI = 0.5 * float(np.log(2 * np.pi))
_EPSILON = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Packed:
    """Gaussians as the densities want them.

    Attributes
    ----------
    tables : list of array
        Factors and shifts, for each block of columns.
    constants : array of shape (K,)
    definite : array of bool, shape (K,), or (1,) for a shared covariance
    """

    tables: list[Array]
    constants: Array
    definite: Array


def inverse_factors(module: ArrayModule, matrices: Array) -> tuple[Array, Array, Array]:
    """Return lower triangular V with V^T V = matrix^-1, log det V, and whether the matrix is positive definite.

    Only the upper triangles of ``matrices``, shape (K, w, w), are read.

    Notes
    -----
    CuPy does not tell of a factorisation that failed, and leaves anything in the factor. So the factor L is judged by
    what it is: it has a positive diagonal, and every entry of L L^T is within 2 (w + 4) eps sqrt(a_ii a_jj) of that of
    A. A factorisation that succeeds is within (w + 1) eps/2 sum_k |l_ik l_jk| (Higham, "Accuracy and Stability of
    Numerical Algorithms", 2002, theorem 10.3), the product here adds w eps/2 of the same sum, and the sum is at most
    sqrt(a_ii a_jj) up to rounding by Cauchy and Schwarz. Conversely a factor that passes, wherever it comes from, is
    that of a positive definite matrix equal to A up to rounding.
    """
    xp = module.xp
    width = matrices.shape[-1]
    lower_halves = xp.swapaxes(matrices, -1, -2)
    lower = _cholesky(module, lower_halves)
    diagonal = xp.diagonal(lower, axis1=-2, axis2=-1)
    scales = xp.sqrt(xp.diagonal(matrices, axis1=-2, axis2=-1))
    residual = xp.tril(xp.abs(xp.matmul(lower, xp.swapaxes(lower, -1, -2)) - lower_halves))
    bound = 2 * (width + 4) * _EPSILON * scales[:, :, np.newaxis] * scales[:, np.newaxis, :]
    # A comparison with NaN is false.
    least = (width + 1) * _EPSILON * scales**2
    definite = ((diagonal > 0) & (diagonal**2 > least)).all(axis=-1) & (residual <= bound).all(axis=-1).all(axis=-1)
    # One after the other: CuPy solves stacks only since version 14.
    identity = xp.eye(width)
    inverse = xp.stack(
        [module.solve_triangular(matrix, identity, lower=True, check_finite=False) for matrix in lower], axis=0
    )
    return inverse, -xp.log(diagonal).sum(axis=-1), definite


def _cholesky(module: ArrayModule, matrices: Array) -> Array:
    """Return Cholesky factors, and anything but one for a matrix that has none."""
    try:
        return module.xp.linalg.cholesky(matrices)
    except np.linalg.LinAlgError:
        # NumPy, and CuPy if told to, raises for all of them if one fails.
        return module.xp.stack([_cholesky_or_nan(module, matrix) for matrix in matrices], axis=0)


def _cholesky_or_nan(module: ArrayModule, matrix: Array) -> Array:
    try:
        return module.xp.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        return module.xp.full(matrix.shape, np.nan, dtype=np.float64)


@dataclass(frozen=True)
class TriangularArrays:
    """Gaussians whose columns may be correlated within blocks.

    The rows of each block of columns are followed by a column of ones, which carries the means into the product with
    the factors, and the sums out of the product with the responsibilities.
    """

    module: ArrayModule
    widths: tuple[int, ...]
    shared: bool

    def load(self, rows: Array) -> list[Array]:
        """Return the block's samples with ones, for each block of columns."""
        xp = self.module.xp
        ones = xp.ones((rows.shape[0], 1))
        return [xp.concatenate([rows[:, part], ones], axis=1) for part in self._parts()]

    def words(self, components: int) -> int:
        """Return how many numbers a sample of a block takes, with all that is computed of it, at most."""
        return components * (max(self.widths) + 4) + 3 * (sum(self.widths) + len(self.widths))

    def pack(self, means: Array, covariances: Array, log_weights: Array) -> Packed:
        """Return the operands of `densities`."""
        xp, components = self.module.xp, means.shape[0]
        constants = log_weights - sum(self.widths) * _HALF_LOG_TWO_PI
        tables, definite = [], True
        for part, width in zip(self._parts(), self.widths, strict=True):
            spreads = covariances[np.newaxis] if self.shared else covariances
            factors, log_determinants, sound = inverse_factors(self.module, spreads[:, part, part])
            # The density has half of the sum of squares.
            factors = xp.broadcast_to(factors * np.sqrt(0.5), (components, width, width))
            shifts = xp.matmul(factors, means[:, part, np.newaxis])[:, :, 0]
            table = xp.concatenate([xp.swapaxes(factors, 1, 2), -shifts[:, np.newaxis, :]], axis=1)
            tables.append(table.transpose(1, 0, 2).reshape(width + 1, components * width))
            constants = constants + log_determinants
            definite = sound & definite
        return Packed(tables, constants, definite)

    def densities(self, loaded: list[Array], packed: Packed) -> Array:
        """Return log weights + log densities, shape (b, K)."""
        components = packed.constants.shape[0]
        found = packed.constants
        for samples, table in zip(loaded, packed.tables, strict=True):
            scaled = samples @ table
            scaled *= scaled
            found = found - scaled.reshape(samples.shape[0], components, -1).sum(axis=2)
        return found

    def no_moments(self, components: int) -> list[Array]:
        """Return what `add_moments` adds to."""
        return [self.module.xp.zeros((components * width, width + 1)) for width in self.widths]

    def add_moments(self, loaded: list[Array], resp: Array, about: Array, totals: list[Array]) -> None:
        """Add sum r (x - a)(x - c)^T and sum r (x - a) of each block of columns; ``about`` is a - c."""
        for samples, part, width, total in zip(loaded, self._parts(), self.widths, totals, strict=True):
            shifted = samples[:, np.newaxis, :width] - about[np.newaxis, :, part]
            shifted *= resp[:, :, np.newaxis]
            total += shifted.reshape(samples.shape[0], -1).T @ samples

    def moments(self, totals: list[Array], about: Array) -> tuple[Array, Array]:
        """Return first and second moments about a from sums over all samples.

        The scatter about a is S - s (a - c)^T for S = sum r (x - a)(x - c)^T and s = sum r (x - a). What that loses
        against a direct sum vanishes with s, which is zero where EM converges to.
        """
        xp, (components, features) = self.module.xp, about.shape
        sums = xp.empty((components, features))
        scatter = xp.zeros((components, features, features))
        for part, width, total in zip(self._parts(), self.widths, totals, strict=True):
            table = total.reshape(components, width, width + 1)
            sums[:, part] = table[:, :, width]
            correction = table[:, :, width, np.newaxis] * about[:, np.newaxis, part]
            upper = xp.triu(table[:, :, :width] - correction)
            scatter[:, part, part] = upper + xp.swapaxes(xp.triu(upper, 1), 1, 2)
        return sums, scatter

    def _parts(self) -> list[slice]:
        ends = np.cumsum(self.widths).tolist()
        return [slice(end - width, end) for end, width in zip(ends, self.widths, strict=True)]


@dataclass(frozen=True)
class DiagonalArrays:
    """Gaussians whose columns are uncorrelated."""

    module: ArrayModule
    features: int

    def load(self, rows: Array) -> list[Array]:
        """Return the block's samples."""
        return [rows]

    def words(self, components: int) -> int:
        """Return how many numbers a sample of a block takes, with all that is computed of it, at most."""
        return components * (self.features + 4) + 4 * self.features

    def pack(self, means: Array, covariances: Array, log_weights: Array) -> Packed:
        """Return the operands of `densities`; covariances of shape (K, d) or (K,)."""
        xp = self.module.xp
        spreads = covariances[:, np.newaxis] if covariances.ndim == 1 else covariances
        variances = xp.broadcast_to(spreads, means.shape)
        scales = xp.sqrt(0.5 / variances)
        constants = log_weights - 0.5 * xp.log(variances).sum(axis=1) - self.features * _HALF_LOG_TWO_PI
        definite = ((variances > 0) & xp.isfinite(variances)).all(axis=1)
        return Packed([scales, means * scales], constants, definite)

    def densities(self, loaded: list[Array], packed: Packed) -> Array:
        """Return log weights + log densities, shape (b, K)."""
        scales, shifts = packed.tables
        scaled = loaded[0][:, np.newaxis, :] * scales
        scaled -= shifts
        scaled *= scaled
        return packed.constants - scaled.sum(axis=2)

    def no_moments(self, components: int) -> list[Array]:
        """Return what `add_moments` adds to."""
        return [self.module.xp.zeros((components, 2 * self.features))]

    def add_moments(self, loaded: list[Array], resp: Array, about: Array, totals: list[Array]) -> None:
        """Add sum r (x - c) and sum r (x - c)^2."""
        (rows,), (total,) = loaded, totals
        total += resp.T @ self.module.xp.concatenate([rows, rows * rows], axis=1)

    def moments(self, totals: list[Array], about: Array) -> tuple[Array, Array]:
        """Return first and second moments about the centre c, wherever ``about`` is."""
        (total,) = totals
        return total[:, : self.features], total[:, self.features :]
