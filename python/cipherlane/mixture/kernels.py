"""The passes over samples, and which of the two implementations runs them."""

from __future__ import annotations

from typing import Protocol

from scipy.special import logsumexp

from cipherlane.mixture import array_kernel
from cipherlane.mixture.array_kernel import ArrayKernel
from cipherlane.mixture.array_module import Array, ArrayModule
from cipherlane.mixture.compiled_kernel import CompiledKernel
from cipherlane.mixture.moments import Moments
from cipherlane.mixture.structure import Structure
from cipherlane.mixture.threads import Workers


class Kernel(Protocol):
    """Passes over samples for one covariance structure; samples have gone through `prepare`."""

    def prepare(self, X: Array) -> Array:
        """Return the samples as the passes want them; a copy only where needed."""

    def em(
        self,
        X: Array,
        means: Array,
        covariances: Array,
        log_weights: Array,
        centre: Array,
        sample_weight: Array | None,
    ) -> tuple[float, Moments]:
        """Return the log-likelihood under the parameters, and the moments for the next ones."""

    def densities(self, X: Array, means: Array, covariances: Array, log_weights: Array) -> Array:
        """Return log_weights + log densities, shape (n, K)."""

    def statistics(self, X: Array, resp: Array, about: Array, centre: Array) -> Moments:
        """Return the moments for given responsibilities; ``about`` has one row a component."""

    def weighted_sums(self, X: Array, resp: Array, centre: Array) -> Array:
        """Return sum_i r_ik (x_i - centre), shape (K, d), of samples that have not been prepared."""


def kernel_for(structure: Structure, module: ArrayModule, workers: Workers) -> Kernel:
    """Return the compiled passes, on the workers, for NumPy's arrays, else those of the arrays' library."""
    if module.compiled:
        return CompiledKernel.of(structure, workers)
    return ArrayKernel.of(structure, module)


def log_sums(module: ArrayModule, joint: Array) -> Array:
    """Return log sum_k exp(joint_ik), shape (n,)."""
    if module.compiled:
        return logsumexp(joint, axis=1)
    return array_kernel.log_sums(module, joint)
