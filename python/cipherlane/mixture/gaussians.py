"""Gaussians as the kernels want them, and the passes run on threads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cipherlane.mixture import passes
from cipherlane.mixture.factors import upper_factors
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


class SingularCovarianceError(ValueError):
    """A covariance is not positive definite, so its density does not exist."""


def _singular(component: int | None) -> SingularCovarianceError:
    which = "the shared covariance" if component is None else f"the covariance of component {component}"
    return SingularCovarianceError(
        f"covariances: {which} is not positive definite, so its density does not exist; raise reg_covar, drop constant "
        "or repeated columns, or use fewer components"
    )


@dataclass(frozen=True)
class Raw:
    """Sums over samples as the kernels form them: counts, then first and second moments in tiles."""

    counts: Float64
    moments: Float64


@dataclass(frozen=True)
class Kernel:
    """The passes for one covariance structure."""

    structure: Structure
    tiling: Tiling | None

    @classmethod
    def of(cls, structure: Structure) -> Kernel:
        """Return the triangular passes where columns may be correlated, else the diagonal ones."""
        return cls(structure, Tiling.of(structure) if structure.correlates else None)

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
            singular = np.flatnonzero(np.isnan(log_determinants))
            if singular.size:
                raise _singular(None if shared else int(singular[0]))
            # The kernel subtracts sums of squares; the density has half of them.
            found *= np.sqrt(0.5)
            factors.append(found)
            shifts.append(-(found @ means[:, columns, np.newaxis])[:, :, 0])
            constants = constants + log_determinants
        return self.tiling.pack(factors, shifts), constants

    def _pack_diagonal(self, means: Float64, covariances: Float64, log_weights: Float64) -> tuple[Float64, Float64]:
        variances = np.broadcast_to(covariances[:, np.newaxis] if covariances.ndim == 1 else covariances, means.shape)
        if not (variances > 0).all() or not np.isfinite(variances).all():
            raise _singular(int(np.argwhere(~((variances > 0) & np.isfinite(variances)))[0][0]))
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

    # ---- passes over samples that `Structure.arranged` has arranged ------------------------------------------

    def em(
        self,
        X: Float64,
        means: Float64,
        covariances: Float64,
        log_weights: Float64,
        centre: Float64,
        sample_weight: Float64 | None,
        workers: Workers,
    ) -> tuple[float, Raw]:
        """Return the log-likelihood under the parameters, and the sums for the next ones."""
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

        parts = workers.run(work, len(X))
        return sum(part[0] for part in parts), self._total([part[1] for part in parts])

    def densities(
        self, X: Float64, means: Float64, covariances: Float64, log_weights: Float64, workers: Workers
    ) -> Float64:
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

        workers.run(work, len(X))
        return out

    def statistics(self, X: Float64, resp: Float64, about: Float64, centre: Float64, workers: Workers) -> Raw:
        """Return the sums for given responsibilities; ``about`` has one row a component."""
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

        return self._total(workers.run(work, len(X)))

    def _arrange_vectors(self, means: Float64, centre: Float64) -> tuple[Float64, Float64]:
        """Return means at the rows of the kernels, and the centre in the order of the arranged columns."""
        if self.tiling is None:
            return means, np.ascontiguousarray(centre)
        order = self.structure.order
        rows = np.zeros((len(means), self.tiling.height))
        rows[:, self.tiling.rows()] = means[:, order]
        return rows, np.ascontiguousarray(centre[order])

    @staticmethod
    def _total(parts: list[Raw]) -> Raw:
        counts, moments = parts[0].counts, parts[0].moments
        for part in parts[1:]:
            counts += part.counts
            moments += part.moments
        return Raw(counts, moments)

    # ---- sums ------------------------------------------------------------------------------------------------

    def unpack(self, raw: Raw, about: Float64, centre: Float64) -> tuple[Float64, Float64, Float64]:
        """Return first and second moments and the points, (K, d), that they are about.

        Diagonal passes form them about the centre, triangular ones about the points that they were given.
        """
        if self.tiling is None:
            first, second = self._unpack_diagonal(raw.moments, len(raw.counts))
            return first, second, np.broadcast_to(centre, first.shape)
        sums, scatter = self.tiling.unpack(raw.moments, self.structure, about - centre)
        return sums, scatter, about

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
