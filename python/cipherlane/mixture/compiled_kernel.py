"""Gaussians as the compiled kernels want them, and their passes run on threads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cipherlane.mixture import passes
from cipherlane.mixture.array_module import NUMPY
from cipherlane.mixture.factors import upper_factors
from cipherlane.mixture.moments import Moments, require_definite
from cipherlane.mixture.structure import Float64, Structure, Tiling
from cipherlane.mixture.threads import Announced, Workers

_triangular_em = Announced(passes.triangular_em)
_triangular_densities = Announced(passes.triangular_densities)
_triangular_statistics = Announced(passes.triangular_statistics)
_diagonal_em = Announced(passes.diagonal_em)
_diagonal_densities = Announced(passes.diagonal_densities)
_diagonal_statistics = Announced(passes.diagonal_statistics)

# The widest product tile writes one vector, even where it is half empty.
_SPARE_WORDS = 8
_HALF_LOG_TWO_PI = 0.5 * np.log(2 * np.pi)
_NO_WEIGHTS = np.empty(0)


@dataclass(frozen=True)
class Raw:
    """Sums over samples as the kernels form them: counts, then first and second moments in tiles."""

    counts: Float64
    moments: Float64


@dataclass(frozen=True)
class CompiledKernel:
    """The passes for one covariance structure that Numba compiles; see `cipherlane.mixture.kernels.Kernel`."""

    structure: Structure
    tiling: Tiling | None
    workers: Workers

    @classmethod
    def of(cls, structure: Structure, workers: Workers) -> CompiledKernel:
        """Return the triangular passes where columns may be correlated, else the diagonal ones."""
        return cls(structure, Tiling.of(structure) if structure.correlates else None, workers)

    def prepare(self, X: Float64) -> Float64:
        """Return the samples in C order with the columns of each block side by side; a copy only where needed."""
        return self.structure.arranged(X)

    # ---- operands ------------------------------------------------------------------------------------------

    def pack(
        self, means: Float64, covariances: Float64, centre: Float64, log_weights: Float64
    ) -> tuple[Float64, Float64]:
        """Return the kernels' weights and constants for log_weights + log N(x; means, covariances)."""
        if self.tiling is None:
            return self._pack_diagonal(means - centre, covariances, log_weights)
        return self._pack_triangular(means - centre, covariances, log_weights)

    def _pack_triangular(self, means: Float64, covariances: Float64, log_weights: Float64) -> tuple[Float64, Float64]:
        assert self.tiling is not None
        shared = self.structure.covariance_type == "tied"
        spreads = covariances[np.newaxis] if shared else covariances
        factors, shifts = [], []
        constants = log_weights - self.structure.features * _HALF_LOG_TWO_PI
        for block in self.structure.blocks:
            columns = np.array(block)
            found, log_determinants = upper_factors(spreads[:, columns[:, np.newaxis], columns])
            require_definite(~np.isnan(log_determinants), shared)
            # The kernel subtracts sums of squares; the density has half of them.
            found *= np.sqrt(0.5)
            factors.append(found)
            shifts.append(-(found @ means[:, columns, np.newaxis])[:, :, 0])
            constants = constants + log_determinants
        return self.tiling.pack(factors, shifts), constants

    def _pack_diagonal(self, means: Float64, covariances: Float64, log_weights: Float64) -> tuple[Float64, Float64]:
        variances = np.broadcast_to(covariances[:, np.newaxis] if covariances.ndim == 1 else covariances, means.shape)
        require_definite(np.asarray(((variances > 0) & np.isfinite(variances)).all(axis=1)), shared=False)
        scales = np.sqrt(0.5 / variances)
        shifts = means * scales
        groups, k = [], 0
        for together in (4, 2, 1):
            while k + together <= len(means):
                part = slice(k, k + together)
                groups.append(np.concatenate([scales[part].T, shifts[part].T], axis=1).reshape(-1))
                k += together
        constants = log_weights - 0.5 * np.log(variances).sum(axis=1) - self.structure.features * _HALF_LOG_TWO_PI
        return np.concatenate(groups), constants

    def _moments(self, components: int) -> Float64:
        if self.tiling is not None:
            return np.zeros((components, self.tiling.scatter_words + _SPARE_WORDS))
        height = (2 * self.structure.features + 3) // 4 * 4
        return np.zeros(components * height + _SPARE_WORDS)

    # ---- passes over samples that `prepare` has arranged -----------------------------------------------------

    def em(
        self,
        X: Float64,
        means: Float64,
        covariances: Float64,
        log_weights: Float64,
        centre: Float64,
        sample_weight: Float64 | None,
    ) -> tuple[float, Moments]:
        """Return the log-likelihood under the parameters, and the moments for the next ones."""
        weights, constants = self.pack(means, covariances, centre, log_weights)
        sample_weights = _NO_WEIGHTS if sample_weight is None else sample_weight
        moved, shift = self._arrange_vectors(means - centre, centre)

        def work(start: int, stop: int) -> tuple[float, Raw]:
            raw = Raw(np.zeros(len(means)), self._moments(len(means)))
            if self.tiling is None:
                arguments = (weights, constants, sample_weights, raw.counts, raw.moments)
                return _diagonal_em(X, start, stop, shift, *arguments), raw
            t = self.tiling
            layout = (t.first_column, t.first_row, t.widths, t.height, weights, t.offsets, constants)
            likelihood = _triangular_em(X, start, stop, shift, *layout, moved, sample_weights, raw.counts, raw.moments)
            return likelihood, raw

        parts = self.workers.run(work, len(X))
        return sum(part[0] for part in parts), self._moments_of([part[1] for part in parts], means, centre)

    def densities(self, X: Float64, means: Float64, covariances: Float64, log_weights: Float64) -> Float64:
        """Return log_weights + log densities, shape (n, K)."""
        # Any centre near the means will do, and one that does not depend on the samples keeps rows independent.
        centre = means.mean(axis=0)
        weights, constants = self.pack(means, covariances, centre, log_weights)
        shift = self._arrange_vectors(means, centre)[1]
        out = np.empty((len(X), len(means)))

        def work(start: int, stop: int) -> None:
            if self.tiling is None:
                _diagonal_densities(X, start, stop, shift, weights, constants, out)
                return
            t = self.tiling
            layout = (t.first_column, t.first_row, t.widths, t.height, weights, t.offsets, constants)
            _triangular_densities(X, start, stop, shift, *layout, out)

        self.workers.run(work, len(X))
        return out

    def statistics(self, X: Float64, resp: Float64, about: Float64, centre: Float64) -> Moments:
        """Return the moments for given responsibilities; ``about`` has one row a component."""
        moved, shift = self._arrange_vectors(about - centre, centre)

        def work(start: int, stop: int) -> Raw:
            raw = Raw(np.zeros(resp.shape[1]), self._moments(resp.shape[1]))
            if self.tiling is None:
                _diagonal_statistics(X, start, stop, shift, resp, raw.counts, raw.moments)
                return raw
            t = self.tiling
            layout = (t.first_column, t.first_row, t.widths, t.height)
            _triangular_statistics(X, start, stop, shift, *layout, resp, moved, raw.counts, raw.moments)
            return raw

        return self._moments_of(self.workers.run(work, len(X)), about, centre)

    def weighted_sums(self, X: Float64, resp: Float64, centre: Float64) -> Float64:
        """Return sum_i r_ik (x_i - centre), shape (K, d), of samples that have not been prepared."""
        sums: Float64 = resp.T @ (X - centre)
        return sums

    def _arrange_vectors(self, means: Float64, centre: Float64) -> tuple[Float64, Float64]:
        """Return means at the rows of the kernels, and the centre in the order of the arranged columns."""
        if self.tiling is None:
            return means, np.ascontiguousarray(centre)
        order = self.structure.order
        rows = np.zeros((len(means), self.tiling.height))
        rows[:, self.tiling.rows()] = means[:, order]
        return rows, np.ascontiguousarray(centre[order])

    # ---- sums ------------------------------------------------------------------------------------------------

    def _moments_of(self, parts: list[Raw], about: Float64, centre: Float64) -> Moments:
        """Return the moments of all parts.

        Diagonal passes form them about the centre, triangular ones about the points that they were given.
        """
        counts, words = parts[0].counts, parts[0].moments
        for part in parts[1:]:
            counts += part.counts
            words += part.moments
        if self.tiling is None:
            first, second = self._unpack_diagonal(words, len(counts))
            return Moments.of(NUMPY, counts, first, second, np.broadcast_to(centre, first.shape))
        sums, scatter = self.tiling.unpack(words, self.structure, about - centre)
        return Moments.of(NUMPY, counts, sums, scatter, about)

    def _unpack_diagonal(self, moments: Float64, components: int) -> tuple[Float64, Float64]:
        features = self.structure.features
        height = (2 * features + 3) // 4 * 4
        table = np.empty((components, height))
        k = at = 0
        for together in (4, 2, 1):
            while k + together <= components:
                part = moments[at : at + together * height].reshape(height // 4, together, 4)
                table[k : k + together] = part.transpose(1, 0, 2).reshape(together, height)
                k += together
                at += together * height
        return table[:, :features], table[:, features : 2 * features]
