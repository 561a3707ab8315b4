"""Sufficient statistics of a mixture, and the parameters that follow from them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cipherlane.mixture.array_module import Array, ArrayModule, module_of
from cipherlane.mixture.checks import check_finite, check_responsibilities, check_sample_weight, check_samples
from cipherlane.mixture.kernels import kernel_for
from cipherlane.mixture.moments import Moments
from cipherlane.mixture.structure import Float64, Structure
from cipherlane.mixture.threads import Workers, thread_count

# Below this a component's count is rounding, not data.
_EMPTY = 1e-12


@dataclass(frozen=True)
class SufficientStatistics:
    """Sums over rows from which the M step follows; those of disjoint rows add up.

    The arrays are CuPy's where the rows are.

    Attributes
    ----------
    counts : ndarray of shape (K,)
        N_k = sum_i r_ik.
    sums : ndarray of shape (K, d)
        sum_i r_ik (x_i - c_k).
    squares : ndarray
        sum_i r_ik (x_i - c_k)(x_i - c_k)^T, shape (K, d, d) for "full" and "block"; summed over k, (d, d), for
        "tied"; its diagonals, (K, d), for "diag" and "spherical".
    centre : ndarray of shape (K, d)
        The points c_k.
    covariance_type : str
    blocks : tuple of tuple of int
        Columns that may be correlated, for "block".
    n_rows : int
    """

    counts: Float64
    sums: Float64
    squares: Float64
    centre: Float64
    covariance_type: str
    blocks: tuple[tuple[int, ...], ...] | None
    n_rows: int

    def __add__(self, other: SufficientStatistics) -> SufficientStatistics:
        """Return the statistics of both sets of rows.

        Raises
        ------
        ValueError
            If the two are of different type, blocks, shape or centre.
        TypeError
            If one is on the host and the other on a device.
        """
        if not isinstance(other, SufficientStatistics):
            return NotImplemented
        module, others = module_of(self.counts), module_of(other.counts)
        if module.name != others.name:
            raise TypeError(
                f"statistics: expected both in arrays of one library, got {module.name} and {others.name}; compute "
                "both on the same side"
            )
        same = (
            self.covariance_type == other.covariance_type
            and self.blocks == other.blocks
            and self.sums.shape == other.sums.shape
            and bool(module.xp.array_equal(self.centre, other.centre))
        )
        if not same:
            raise ValueError(
                "statistics: only those of the same covariance_type, blocks, number of components and columns, and "
                "centre add up; pass the same `centre` to sufficient_statistics on both sides"
            )
        return SufficientStatistics(
            self.counts + other.counts,
            self.sums + other.sums,
            self.squares + other.squares,
            self.centre,
            self.covariance_type,
            self.blocks,
            self.n_rows + other.n_rows,
        )

    @classmethod
    def of(cls, structure: Structure, moments: Moments, n_rows: int) -> SufficientStatistics:
        """Return the statistics that a pass's moments stand for."""
        squares = moments.second.sum(axis=0) if structure.covariance_type == "tied" else moments.second
        blocks = structure.blocks if structure.covariance_type == "block" else None
        return cls(moments.counts, moments.first, squares, moments.points, structure.covariance_type, blocks, n_rows)


def sufficient_statistics(
    X: ArrayLike,
    resp: ArrayLike,
    covariance_type: str = "full",
    *,
    blocks: Sequence[Sequence[int]] | None = None,
    sample_weight: ArrayLike | None = None,
    centre: ArrayLike | None = None,
    threads: int | None = None,
) -> SufficientStatistics:
    """Return N_k = sum_i r_ik and the first and second moments of each component.

    Parameters
    ----------
    X : array_like of shape (n, d)
        A CuPy array is read where it is, other arguments follow it, and the statistics are CuPy arrays.
    resp : array_like of shape (n, K)
        Responsibilities r_ik of at least 0.
    covariance_type : {"full", "tied", "diag", "spherical", "block"}
    blocks : sequence of sequence of int, optional
        For "block": groups of columns, each column in exactly one. Default: one group of all.
    sample_weight : array_like of shape (n,), optional
        Multiplies the rows of ``resp``.
    centre : array_like of shape (d,) or (K, d), optional
        Where moments are taken about. Statistics add up only about the same centre. Default: each component's mean,
        which keeps most digits.
    threads : int, optional
        Default: CIPHERLANE_THREADS, or all processors.

    Returns
    -------
    SufficientStatistics

    Raises
    ------
    ValueError
        If a shape, type or block is not as above, or a number is not finite.
    TypeError
        If ``X`` is on the host and another argument a CuPy array.

    Examples
    --------
    >>> import numpy as np
    >>> from cipherlane.mixture import sufficient_statistics
    >>> X = np.array([[0.0], [2.0], [10.0]])
    >>> resp = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> statistics = sufficient_statistics(X, resp, "diag")
    >>> statistics.counts
    array([2., 1.])
    """
    module = module_of(X)
    samples = check_samples(X, module=module)
    rows, features = samples.shape
    weights = check_responsibilities(resp, rows, module)
    if sample_weight is not None:
        weights = weights * check_sample_weight(sample_weight, rows, module)[:, np.newaxis]
    structure = Structure.of(covariance_type, features, blocks)
    components = weights.shape[1]
    xp = module.xp
    global_centre = samples.mean(axis=0)
    with Workers(thread_count(threads)) as workers:
        kernel = kernel_for(structure, module, workers)
        if centre is None:
            counts = weights.sum(axis=0)[:, np.newaxis]
            shifts = kernel.weighted_sums(samples, weights, global_centre) / xp.maximum(counts, _EMPTY)
            about = global_centre + xp.where(counts > _EMPTY, shifts, 0.0)
        else:
            given = module.floats("centre", centre)
            if given.shape not in ((features,), (components, features)):
                raise ValueError(
                    f"centre: expected shape ({features},) or ({components}, {features}), got {given.shape}"
                )
            check_finite("centre", given)
            about = xp.broadcast_to(given, (components, features)).copy()
        moments = kernel.statistics(kernel.prepare(samples), weights, about, global_centre)
    statistics = SufficientStatistics.of(structure, moments, rows)
    return statistics if structure.correlates else _moved(statistics, about)


def _moved(statistics: SufficientStatistics, about: Array) -> SufficientStatistics:
    """Return diagonal statistics about other points: x - a = (x - c) - (a - c)."""
    shift = about - statistics.centre
    counts = statistics.counts[:, np.newaxis]
    sums = statistics.sums - counts * shift
    squares = statistics.squares - 2 * shift * statistics.sums + counts * shift**2
    return SufficientStatistics(
        statistics.counts,
        sums,
        module_of(squares).xp.maximum(squares, 0.0),
        about,
        statistics.covariance_type,
        statistics.blocks,
        statistics.n_rows,
    )


def m_step(
    statistics: SufficientStatistics,
    *,
    reg_covar: float = 1e-6,
    previous: tuple[ArrayLike, ArrayLike] | None = None,
) -> tuple[Float64, Float64]:
    """Return the means and covariances of greatest likelihood: the M step.

    mu_k = c_k + s_k / N_k and Sigma_k = S_k / N_k - (mu_k - c_k)(mu_k - c_k)^T + reg_covar I, of which each type keeps
    its free entries. (Bishop, "Pattern Recognition and Machine Learning", 2006, section 9.2.2.)

    Parameters
    ----------
    statistics : SufficientStatistics
    reg_covar : float, default 1e-6
        Added to the diagonals, in squared units of the data.
    previous : (means, covariances), optional
        What a component without any responsibility keeps; a `RuntimeWarning` says so.

    Returns
    -------
    means : ndarray of shape (K, d)
    covariances : ndarray
        Shape (K, d, d) for "full" and "block", (d, d) for "tied", (K, d) for "diag", (K,) for "spherical".
        CuPy arrays if the statistics are.

    Raises
    ------
    ValueError
        If a component is empty and nothing previous is given, or ``reg_covar`` is negative.

    Examples
    --------
    >>> import numpy as np
    >>> from cipherlane.mixture import m_step, sufficient_statistics
    >>> X = np.array([[0.0], [2.0], [10.0]])
    >>> resp = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> means, covariances = m_step(sufficient_statistics(X, resp, "diag"), reg_covar=0.5)
    >>> means.ravel(), covariances.ravel()
    (array([ 1., 10.]), array([1.5, 0.5]))
    """
    if not np.isfinite(reg_covar) or reg_covar < 0:
        raise ValueError(f"reg_covar: expected a number of at least 0, got {reg_covar}")
    counts = statistics.counts
    module = module_of(counts)
    kept = None if previous is None else tuple(module.floats("previous", part) for part in previous)
    means, covariances = next_parameters(statistics, module.to_host(counts), reg_covar, kept)
    return means, covariances


def next_parameters(
    statistics: SufficientStatistics, host_counts: Float64, reg_covar: float, previous: tuple[Array, ...] | None
) -> tuple[Array, Array]:
    """Return what `m_step` does, without waiting for a device: ``host_counts`` are the counts on the host."""
    module = module_of(statistics.counts)
    xp, kind = module.xp, statistics.covariance_type
    empty = host_counts <= _EMPTY
    if empty.any() and previous is None:
        raise ValueError(
            f"statistics: components {np.flatnonzero(empty).tolist()} have no rows; use fewer components or another "
            "start, or pass `previous` so that they keep what they had"
        )
    counts = xp.where(statistics.counts <= _EMPTY, 1.0, statistics.counts)
    step = statistics.sums / counts[:, np.newaxis]
    means = statistics.centre + step
    if kind in ("full", "block"):
        covariances = statistics.squares / counts[:, np.newaxis, np.newaxis]
        covariances = covariances - step[:, :, np.newaxis] * step[:, np.newaxis, :]
        if statistics.blocks is not None:
            # Entries between blocks are zero in the squares and not free.
            covariances = xp.where(xp.asarray(_free_entries(statistics.blocks)), covariances, 0.0)
        _regularise(module, covariances, reg_covar)
    elif kind == "tied":
        weighted = statistics.counts[:, np.newaxis] * step
        covariances = (statistics.squares - weighted.T @ step) / statistics.counts.sum()
        _regularise(module, covariances, reg_covar)
    else:
        covariances = xp.maximum(statistics.squares / counts[:, np.newaxis] - step**2, 0.0) + reg_covar
        if kind == "spherical":
            covariances = covariances.mean(axis=1)
    if previous is not None and empty.any():
        means, covariances = _keep_empty(module, empty, (means, covariances), previous, kind == "tied")
        warnings.warn(
            f"components {np.flatnonzero(empty).tolist()} have no rows any more and keep their means and covariances",
            RuntimeWarning,
            stacklevel=3,
        )
    return means, covariances


def _regularise(module: ArrayModule, covariances: Array, reg_covar: float) -> None:
    """Make variances at least 0, against rounding, and add to them."""
    diagonal = module.xp.arange(covariances.shape[-1])
    variances = covariances[..., diagonal, diagonal]
    covariances[..., diagonal, diagonal] = module.xp.maximum(variances, 0.0) + reg_covar


def _keep_empty(
    module: ArrayModule,
    empty: NDArray[np.bool_],
    found: tuple[Array, Array],
    previous: tuple[Array, ...],
    shared: bool,
) -> tuple[Array, Array]:
    """Return the means and covariances with those of empty components as they were; a shared covariance is found."""
    kept = []
    for new, old in zip(found, previous, strict=True):
        mask = module.xp.asarray(empty.reshape(-1, *[1] * (new.ndim - 1)))
        kept.append(module.xp.where(mask, old, new))
    return kept[0], found[1] if shared else kept[1]


def _free_entries(blocks: tuple[tuple[int, ...], ...]) -> NDArray[np.bool_]:
    features = sum(map(len, blocks))
    free = np.zeros((features, features), dtype=np.bool_)
    for block in map(list, blocks):
        free[np.ix_(block, block)] = True
    return free
