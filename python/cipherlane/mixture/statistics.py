"""Sufficient statistics of a mixture, and the parameters that follow from them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cipherlane.mixture.gaussians import Kernel, Raw
from cipherlane.mixture.structure import Float64, Structure, check_finite
from cipherlane.mixture.threads import Workers, thread_count

# Below this a component's count is rounding, not data.
_EMPTY = 1e-12


@dataclass(frozen=True)
class SufficientStatistics:
    """Sums over rows from which the M step follows; those of disjoint rows add up.

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
        """
        if not isinstance(other, SufficientStatistics):
            return NotImplemented
        same = (
            self.covariance_type == other.covariance_type
            and self.blocks == other.blocks
            and self.sums.shape == other.sums.shape
            and np.array_equal(self.centre, other.centre)
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
    def from_raw(cls, kernel: Kernel, raw: Raw, about: Float64, centre: Float64, n_rows: int) -> SufficientStatistics:
        """Return the statistics that the kernels' sums stand for."""
        structure = kernel.structure
        sums, squares, points = kernel.unpack(raw, about, centre)
        if structure.covariance_type == "tied":
            squares = squares.sum(axis=0)
        blocks = structure.blocks if structure.covariance_type == "block" else None
        return cls(raw.counts, sums, squares, points, structure.covariance_type, blocks, n_rows)


def check_samples(X: ArrayLike, name: str = "X") -> Float64:
    """Return the samples as finite float64 of shape (n, d), n, d >= 1."""
    array = np.asarray(X, dtype=np.float64)
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(f"{name}: expected shape (rows, columns), both at least 1, got {array.shape}")
    check_finite(name, array)
    return array


def check_responsibilities(resp: ArrayLike, rows: int) -> Float64:
    """Return responsibilities as float64 of shape (rows, K) with entries of at least 0."""
    array = np.ascontiguousarray(resp, dtype=np.float64)
    if array.ndim != 2 or array.shape[0] != rows or array.shape[1] == 0:
        raise ValueError(f"resp: expected shape ({rows}, components), got {array.shape}")
    check_finite("resp", array)
    if (array < 0).any():
        row, column = np.argwhere(array < 0)[0]
        raise ValueError(f"resp: expected numbers of at least 0, got {array[row, column]} at ({row}, {column})")
    return array


def check_sample_weight(sample_weight: ArrayLike, rows: int) -> Float64:
    """Return weights as float64 of shape (rows,), none negative, not all zero."""
    weights = np.ascontiguousarray(sample_weight, dtype=np.float64)
    if weights.ndim == 0:
        weights = np.full(rows, float(weights))
    if weights.shape != (rows,):
        raise ValueError(f"sample_weight: expected shape ({rows},), got {weights.shape}")
    check_finite("sample_weight", weights)
    if (weights < 0).any():
        raise ValueError(f"sample_weight: expected numbers of at least 0, got {weights.min()}")
    if not weights.any():
        raise ValueError("sample_weight: every weight is zero; expected at least one above 0")
    return weights


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
    samples = check_samples(X)
    rows, features = samples.shape
    weights = check_responsibilities(resp, rows)
    if sample_weight is not None:
        weights = weights * check_sample_weight(sample_weight, rows)[:, np.newaxis]
    structure = Structure.of(covariance_type, features, blocks)
    components = weights.shape[1]
    global_centre = samples.mean(axis=0)
    if centre is None:
        counts = weights.sum(axis=0)
        shifted = weights.T @ (samples - global_centre)
        about = global_centre + shifted / np.maximum(counts, _EMPTY)[:, np.newaxis]
        about[counts <= _EMPTY] = global_centre
    else:
        given = np.asarray(centre, dtype=np.float64)
        if given.shape not in ((features,), (components, features)):
            raise ValueError(f"centre: expected shape ({features},) or ({components}, {features}), got {given.shape}")
        check_finite("centre", given)
        about = np.array(np.broadcast_to(given, (components, features)))
    kernel = Kernel.of(structure)
    with Workers(thread_count(threads)) as workers:
        raw = kernel.statistics(structure.arranged(samples), weights, about, global_centre, workers)
    statistics = SufficientStatistics.from_raw(kernel, raw, about, global_centre, rows)
    return statistics if structure.correlates else _moved(statistics, about)


def _moved(statistics: SufficientStatistics, about: Float64) -> SufficientStatistics:
    """Return diagonal statistics about other points: x - a = (x - c) - (a - c)."""
    shift = about - statistics.centre
    counts = statistics.counts[:, np.newaxis]
    sums = statistics.sums - counts * shift
    squares = statistics.squares - 2 * shift * statistics.sums + counts * shift**2
    return SufficientStatistics(
        statistics.counts,
        sums,
        np.maximum(squares, 0.0),
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
    kind = statistics.covariance_type
    empty = statistics.counts <= _EMPTY
    if empty.any() and previous is None:
        raise ValueError(
            f"statistics: components {np.flatnonzero(empty).tolist()} have no rows; use fewer components or another "
            "start, or pass `previous` so that they keep what they had"
        )
    counts = np.where(empty, 1.0, statistics.counts)
    step = statistics.sums / counts[:, np.newaxis]
    means = statistics.centre + step
    if kind in ("full", "block"):
        outer = step[:, :, np.newaxis] * step[:, np.newaxis, :]
        # Entries between blocks are zero in the squares and not free.
        free = _free_entries(statistics)
        covariances = np.where(free, statistics.squares / counts[:, np.newaxis, np.newaxis] - outer, 0.0)
        diagonal = np.arange(means.shape[1])
        covariances[:, diagonal, diagonal] = np.maximum(covariances[:, diagonal, diagonal], 0.0) + reg_covar
    elif kind == "tied":
        weighted = statistics.counts[:, np.newaxis] * step
        total = statistics.counts.sum()
        covariances = (statistics.squares - weighted.T @ step) / total
        diagonal = np.arange(means.shape[1])
        covariances[diagonal, diagonal] = np.maximum(covariances[diagonal, diagonal], 0.0) + reg_covar
    else:
        covariances = np.maximum(statistics.squares / counts[:, np.newaxis] - step**2, 0.0) + reg_covar
        if kind == "spherical":
            covariances = covariances.mean(axis=1)
    if previous is not None and empty.any():
        old_means, old_covariances = (np.asarray(part, dtype=np.float64) for part in previous)
        means[empty] = old_means[empty]
        if kind != "tied":
            covariances[empty] = old_covariances[empty]
        warnings.warn(
            f"components {np.flatnonzero(empty).tolist()} have no rows any more and keep their means and covariances",
            RuntimeWarning,
            stacklevel=2,
        )
    return means, covariances


def _free_entries(statistics: SufficientStatistics) -> NDArray[np.bool_]:
    features = statistics.sums.shape[1]
    if statistics.blocks is None:
        return np.ones((features, features), dtype=np.bool_)
    free = np.zeros((features, features), dtype=np.bool_)
    for block in map(list, statistics.blocks):
        free[np.ix_(block, block)] = True
    return free
