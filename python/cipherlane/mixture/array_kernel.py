"""The passes over samples in the functions of an array library, block of rows after block of rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cipherlane.mixture.array_gaussians import DiagonalArrays, Packed, TriangularArrays
from cipherlane.mixture.array_module import Array, ArrayModule
from cipherlane.mixture.moments import Moments, require_definite
from cipherlane.mixture.structure import Structure

# Numbers that a block of samples takes with all that is computed of it: 128 MiB.
BLOCK_WORDS = 2**24


def log_sums(module: ArrayModule, joint: Array) -> Array:
    """Return log sum_k exp(joint_ik), shape (n,)."""
    return _normalised(module, joint)[1]


def _normalised(module: ArrayModule, joint: Array) -> tuple[Array, Array]:
    """Return exp(joint_ik) / sum_j exp(joint_ij), shape (n, K), and the logarithms of the sums, shape (n,)."""
    xp = module.xp
    largest = joint.max(axis=1)
    resp = xp.exp(joint - largest[:, np.newaxis])
    total = resp.sum(axis=1)
    resp /= total[:, np.newaxis]
    return resp, largest + xp.log(total)


@dataclass(frozen=True)
class ArrayKernel:
    """The passes for one covariance structure and one library; see `cipherlane.mixture.kernels.Kernel`.

    ``order`` are the columns block after block and ``places`` its inverse, on the device; None if that is their order
    already.
    """

    structure: Structure
    module: ArrayModule
    gaussians: TriangularArrays | DiagonalArrays
    order: Array | None
    places: Array | None

    @classmethod
    def of(cls, structure: Structure, module: ArrayModule) -> ArrayKernel:
        """Return the passes by triangular factors where columns may be correlated, else the diagonal ones."""
        if not structure.correlates:
            return cls(structure, module, DiagonalArrays(module, structure.features), None, None)
        widths = tuple(len(block) for block in structure.blocks)
        gaussians = TriangularArrays(module, widths, structure.covariance_type == "tied")
        order = structure.order
        if np.array_equal(order, np.arange(structure.features)):
            return cls(structure, module, gaussians, None, None)
        return cls(structure, module, gaussians, module.xp.asarray(order), module.xp.asarray(np.argsort(order)))

    def prepare(self, X: Array) -> Array:
        """Return the samples as the passes take them: as they are."""
        return X

    def em(
        self,
        X: Array,
        means: Array,
        covariances: Array,
        log_weights: Array,
        centre: Array,
        sample_weight: Array | None,
    ) -> tuple[float, Moments]:
        """Return the log-likelihood under the parameters, and the moments for the next ones; waits once."""
        xp, components = self.module.xp, means.shape[0]
        # NumPy would warn of what comes out of a covariance that is not positive definite, which raises below.
        with np.errstate(all="ignore"):
            packed = self._pack(means, covariances, log_weights, centre)
            about = self._arranged(means - centre)
            likelihood, counts = xp.zeros(1), xp.zeros(components)
            totals = self.gaussians.no_moments(components)
            for part in self._row_blocks(X.shape[0], components):
                loaded = self._load(X[part], centre)
                resp, normalisers = _normalised(self.module, self.gaussians.densities(loaded, packed))
                if sample_weight is not None:
                    resp *= sample_weight[part, np.newaxis]
                    normalisers = normalisers * sample_weight[part]
                likelihood += normalisers.sum()
                counts += resp.sum(axis=0)
                self.gaussians.add_moments(loaded, resp, about, totals)
            moments = self._moments(totals, means, centre)
            report = self.module.to_host(
                xp.concatenate([likelihood, counts, packed.definite.astype(np.float64)], axis=0)
            )
        require_definite(report[1 + components :] == 1.0, self.structure.covariance_type == "tied")
        return float(report[0]), Moments(counts, *moments, report[1 : 1 + components])

    def densities(self, X: Array, means: Array, covariances: Array, log_weights: Array) -> Array:
        """Return log_weights + log densities, shape (n, K)."""
        # Any centre near the means will do, and one that does not depend on the samples keeps rows independent.
        centre = means.mean(axis=0)
        with np.errstate(all="ignore"):
            packed = self._pack(means, covariances, log_weights, centre)
        require_definite(self.module.to_host(packed.definite), self.structure.covariance_type == "tied")
        out = self.module.xp.empty((X.shape[0], means.shape[0]))
        for part in self._row_blocks(X.shape[0], means.shape[0]):
            out[part] = self.gaussians.densities(self._load(X[part], centre), packed)
        return out

    def statistics(self, X: Array, resp: Array, about: Array, centre: Array) -> Moments:
        """Return the moments for given responsibilities; ``about`` has one row a component."""
        shift = self._arranged(about - centre)
        totals = self.gaussians.no_moments(resp.shape[1])
        for part in self._row_blocks(X.shape[0], resp.shape[1]):
            self.gaussians.add_moments(self._load(X[part], centre), resp[part], shift, totals)
        return Moments.of(self.module, resp.sum(axis=0), *self._moments(totals, about, centre))

    def weighted_sums(self, X: Array, resp: Array, centre: Array) -> Array:
        """Return sum_i r_ik (x_i - centre), shape (K, d)."""
        total = self.module.xp.zeros((resp.shape[1], X.shape[1]))
        for part in self._row_blocks(X.shape[0], resp.shape[1]):
            total += resp[part].T @ (X[part] - centre)
        return total

    # ---- order of columns, blocks of rows ----------------------------------------------------------------------

    def _row_blocks(self, rows: int, components: int) -> Iterator[slice]:
        step = max(1, BLOCK_WORDS // self.gaussians.words(components))
        for start in range(0, rows, step):
            yield slice(start, min(rows, start + step))

    def _load(self, rows: Array, centre: Array) -> list[Array]:
        return self.gaussians.load(self._arranged(rows - centre))

    def _pack(self, means: Array, covariances: Array, log_weights: Array, centre: Array) -> Packed:
        spreads = covariances
        if self.order is not None:
            xp = self.module.xp
            spreads = xp.take(xp.take(covariances, self.order, axis=-2), self.order, axis=-1)
        return self.gaussians.pack(self._arranged(means - centre), spreads, log_weights)

    def _arranged(self, vectors: Array) -> Array:
        return vectors if self.order is None else self.module.xp.take(vectors, self.order, axis=1)

    def _moments(self, totals: list[Array], about: Array, centre: Array) -> tuple[Array, Array, Array]:
        """Return first and second moments and the points that they are about, columns in the order of the samples."""
        xp = self.module.xp
        first, second = self.gaussians.moments(totals, self._arranged(about - centre))
        if self.places is not None:
            first = xp.take(first, self.places, axis=1)
            second = xp.take(xp.take(second, self.places, axis=1), self.places, axis=2)
        return first, second, about if self.structure.correlates else xp.broadcast_to(centre, about.shape)
