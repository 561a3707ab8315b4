"""The mixture as an estimator with scikit-learn's interface."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from cipherlane.mixture.densities import covariance_shape
from cipherlane.mixture.gaussians import Kernel
from cipherlane.mixture.starts import METHODS, initial_responsibilities
from cipherlane.mixture.statistics import (
    SufficientStatistics,
    check_sample_weight,
    m_step,
    sufficient_statistics,
)
from cipherlane.mixture.structure import Float64, Structure, check_covariance_type, check_finite
from cipherlane.mixture.threads import Workers, thread_count
from cipherlane.threadpools import single_threaded


class GaussianMixture(DensityMixin, BaseEstimator):  # type: ignore[misc]
    """Gaussian mixture fitted by expectation maximisation, with the interface of scikit-learn's.

    p(x) = sum_k pi_k N(x; mu_k, Sigma_k). Parameters, attributes and their meaning are scikit-learn's; added are
    ``covariance_type="block"``, ``blocks``, ``threads`` and ``sample_weight`` in `fit`. Each EM iteration is one pass
    over the data on all processors, with memory for a few thousand rows beside it.

    Parameters
    ----------
    n_components : int, default 1
        Number K of Gaussians.
    covariance_type : {"full", "tied", "diag", "spherical", "block"}, default "full"
        "block" keeps covariances between columns of the same group only, which is what parties that hold different
        columns of the same rows can compute together.
    tol : float, default 1e-3
        EM stops when the mean log-likelihood a row changes by less.
    reg_covar : float, default 1e-6
        Added to the diagonals of the covariances, in squared units of the data.
    max_iter : int, default 100
    n_init : int, default 1
        Starts; the one with the greatest likelihood is kept.
    init_params : {"kmeans", "k-means++", "random", "random_from_data"}, default "kmeans"
    weights_init, means_init, precisions_init : array_like, optional
        Start here instead; ``precisions_init`` has the shape of the covariances.
    random_state : int, RandomState or None
    warm_start : bool, default False
        Start the next `fit` where the last one ended.
    verbose : int, default 0
    verbose_interval : int, default 10
    blocks : sequence of sequence of int, optional
        The groups of columns for "block", each column in exactly one. Default: one group of all columns, which makes
        "block" the same as "full".
    threads : int, optional
        Default: CIPHERLANE_THREADS, or all processors.

    Attributes
    ----------
    weights_ : ndarray of shape (K,)
    means_ : ndarray of shape (K, d)
    covariances_, precisions_, precisions_cholesky_ : ndarray
        Shape (K, d, d) for "full" and "block" (zero between blocks), (d, d) for "tied", (K, d) for "diag", (K,) for
        "spherical". The Cholesky factor U of a precision is upper triangular with U U^T = precision.
    converged_ : bool
    n_iter_ : int
    lower_bound_ : float
        Mean log-likelihood a row in the last iteration, before its M step.
    lower_bounds_ : list of float
        The same for each iteration.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Only if ``X`` had column names.

    References
    ----------
    C. M. Bishop, "Pattern Recognition and Machine Learning", Springer 2006, section 9.2.

    Examples
    --------
    >>> import numpy as np
    >>> from cipherlane.mixture import GaussianMixture
    >>> X = np.array([[1.0, 2.0], [1.0, 4.0], [1.0, 0.0], [10.0, 2.0], [10.0, 4.0], [10.0, 0.0]])
    >>> mixture = GaussianMixture(n_components=2, random_state=0).fit(X)
    >>> mixture.means_[mixture.means_[:, 0].argsort()].round(3)
    array([[ 1.,  2.],
           [10.,  2.]])
    """

    weights_: Float64
    means_: Float64
    covariances_: Float64
    precisions_: Float64
    precisions_cholesky_: Float64
    n_features_in_: int

    def __init__(
        self,
        n_components: int = 1,
        *,
        covariance_type: str = "full",
        tol: float = 1e-3,
        reg_covar: float = 1e-6,
        max_iter: int = 100,
        n_init: int = 1,
        init_params: str = "kmeans",
        weights_init: ArrayLike | None = None,
        means_init: ArrayLike | None = None,
        precisions_init: ArrayLike | None = None,
        random_state: Any = None,
        warm_start: bool = False,
        verbose: int = 0,
        verbose_interval: int = 10,
        blocks: Sequence[Sequence[int]] | None = None,
        threads: int | None = None,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.weights_init = weights_init
        self.means_init = means_init
        self.precisions_init = precisions_init
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.verbose_interval = verbose_interval
        self.blocks = blocks
        self.threads = threads

    # ---- fitting ---------------------------------------------------------------------------------------------

    def fit(self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None) -> GaussianMixture:
        """Estimate the parameters.

        Parameters
        ----------
        X : array_like of shape (n, d)
        y : ignored
        sample_weight : array_like of shape (n,), optional
            A row of weight w counts like w equal rows; only the draw of a random start tells the two apart.

        Returns
        -------
        GaussianMixture
            Itself.

        Raises
        ------
        ValueError
            If a parameter is not possible, ``X`` holds NaN or infinity or fewer rows than components, or a covariance
            becomes singular.

        Warns
        -----
        ConvergenceWarning
            If ``max_iter`` is reached first.
        RuntimeWarning
            If a component loses all its rows; it keeps its mean and covariance, with weight 0.
        """
        self._fit(X, sample_weight)
        return self

    def fit_predict(self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None) -> NDArray[np.intp]:
        """Estimate the parameters and return the most likely component of each row."""
        samples = self._fit(X, sample_weight)
        return np.asarray(np.argmax(self._weighted_log_density(samples), axis=1), dtype=np.intp)

    def _fit(self, X: ArrayLike, sample_weight: ArrayLike | None) -> Float64:
        self._check_parameters()
        samples = validate_data(self, X, dtype=np.float64, order="C", ensure_min_samples=2)
        rows, features = samples.shape
        if rows < self.n_components:
            raise ValueError(
                f"X: expected at least as many rows as components, n_samples >= n_components, got "
                f"n_components = {self.n_components}, n_samples = {rows}"
            )
        structure = Structure.of(self.covariance_type, features, self.blocks)
        weights = None if sample_weight is None else check_sample_weight(sample_weight, rows)
        arranged = structure.arranged(samples)
        centre = samples.mean(axis=0) if weights is None else np.average(samples, axis=0, weights=weights)
        random_state = check_random_state(self.random_state)
        continues = self.warm_start and hasattr(self, "converged_")
        best_bound = -np.inf
        best: tuple[Float64, Float64, Float64] | None = None
        with single_threaded("blas"), Workers(thread_count(self.threads)) as workers:
            for start in range(1 if continues else self.n_init):
                self._report_start(start)
                if continues:
                    parameters = self.weights_, self.means_, self.covariances_
                else:
                    parameters = self._start(samples, structure, weights, random_state)
                parameters, bounds, converged = self._iterate(arranged, structure, parameters, weights, centre, workers)
                self._report_end(bounds, converged)
                if best is None or bounds[-1] > best_bound:
                    best, best_bound = parameters, bounds[-1]
                    self.converged_ = converged
                    self.n_iter_ = len(bounds)
                    self.lower_bounds_ = bounds
                    self.lower_bound_ = best_bound
        assert best is not None
        if not self.converged_ and self.max_iter > 0:
            warnings.warn(
                f"EM did not converge in max_iter = {self.max_iter} iterations; raise max_iter or tol, or look at "
                "lower_bounds_",
                ConvergenceWarning,
                stacklevel=3,
            )
        self.weights_, self.means_, self.covariances_ = best
        self.precisions_cholesky_ = _precision_factors(self.covariances_, self.covariance_type)
        self.precisions_ = _precisions(self.precisions_cholesky_, self.covariance_type)
        checked: Float64 = samples
        return checked

    def _iterate(
        self,
        X: Float64,
        structure: Structure,
        parameters: tuple[Float64, Float64, Float64],
        sample_weight: Float64 | None,
        centre: Float64,
        workers: Workers,
    ) -> tuple[tuple[Float64, Float64, Float64], list[float], bool]:
        """Run EM from the given parameters; return the last ones, the mean log-likelihoods, whether they settled."""
        kernel = Kernel.of(structure)
        total_weight = len(X) if sample_weight is None else sample_weight.sum()
        weights, means, covariances = parameters
        bounds: list[float] = []
        since = time.perf_counter()
        for iteration in range(1, self.max_iter + 1):
            with np.errstate(divide="ignore"):
                log_weights = np.log(weights)
            likelihood, raw = kernel.em(X, means, covariances, log_weights, centre, sample_weight, workers)
            bounds.append(likelihood / total_weight)
            statistics = SufficientStatistics.from_raw(kernel, raw, means, centre, len(X))
            means, covariances = m_step(statistics, reg_covar=self.reg_covar, previous=(means, covariances))
            weights = statistics.counts / statistics.counts.sum()
            change = bounds[-1] - bounds[-2] if iteration > 1 else np.inf
            since = self._report_iteration(iteration, change, since)
            if abs(change) < self.tol:
                return (weights, means, covariances), bounds, True
        return (weights, means, covariances), bounds or [-np.inf], False

    def _start(
        self,
        X: Float64,
        structure: Structure,
        sample_weight: Float64 | None,
        random_state: np.random.RandomState,
    ) -> tuple[Float64, Float64, Float64]:
        components, features = self.n_components, X.shape[1]
        given = (self.weights_init, self.means_init, self.precisions_init)
        weights: Float64 = np.empty(0)
        means: Float64 = np.empty(0)
        covariances: Float64 = np.empty(0)
        if any(one is None for one in given):
            resp = initial_responsibilities(X, components, self.init_params, random_state, sample_weight)
            statistics = sufficient_statistics(
                X,
                resp,
                self.covariance_type,
                blocks=self.blocks,
                sample_weight=sample_weight,
                threads=self.threads,
            )
            means, covariances = self._first_m_step(statistics, X)
            weights = statistics.counts / statistics.counts.sum()
        if self.weights_init is not None:
            weights = self._checked_weights(self.weights_init)
        if self.means_init is not None:
            means = np.asarray(self.means_init, dtype=np.float64)
            if tuple(means.shape) != (components, features):
                raise ValueError(
                    f"The parameter 'means' should have the shape of ({components}, {features}), but got {means.shape}"
                )
            check_finite("means_init", means)
        if self.precisions_init is not None:
            covariances = self._covariances_of(self.precisions_init, features)
        return weights, means, covariances

    def _first_m_step(self, statistics: SufficientStatistics, X: Float64) -> tuple[Float64, Float64]:
        """Start a component that got no rows, as k-means may leave one among equal rows, from all of them."""
        if (statistics.counts > 0).all():
            return m_step(statistics, reg_covar=self.reg_covar)
        whole = sufficient_statistics(
            X, np.full((len(X), self.n_components), 1.0), self.covariance_type, blocks=self.blocks
        )
        return m_step(statistics, reg_covar=self.reg_covar, previous=m_step(whole, reg_covar=self.reg_covar))

    # ---- parameters ------------------------------------------------------------------------------------------

    def _check_parameters(self) -> None:
        check_covariance_type(self.covariance_type)
        for name, least in (("n_components", 1), ("max_iter", 0), ("n_init", 1), ("verbose_interval", 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
                raise TypeError(f"{name}: expected an int, got {type(value).__name__}")
            if value < least:
                raise ValueError(f"{name}: expected at least {least}, got {value}")
        for name in ("tol", "reg_covar"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
                raise TypeError(f"{name}: expected a number, got {type(value).__name__}")
            if not np.isfinite(value) or value < 0:
                raise ValueError(f"{name}: expected a number of at least 0, got {value}")
        if self.init_params not in METHODS:
            raise ValueError(f"init_params: expected one of {', '.join(map(repr, METHODS))}, got {self.init_params!r}")

    def _checked_weights(self, weights: ArrayLike) -> Float64:
        array = np.asarray(weights, dtype=np.float64)
        if array.shape != (self.n_components,):
            raise ValueError(
                f"The parameter 'weights' should have the shape of ({self.n_components},), but got {array.shape}"
            )
        if not ((array >= 0) & (array <= 1)).all():
            raise ValueError("weights_init: expected numbers from 0 to 1")
        if not np.isclose(array.sum(), 1.0):
            raise ValueError(f"weights_init: expected numbers that sum to 1, got a sum of {array.sum():.6g}")
        return array

    def _covariances_of(self, precisions: ArrayLike, features: int) -> Float64:
        array = np.asarray(precisions, dtype=np.float64)
        expected = covariance_shape(self.covariance_type, self.n_components, features)
        if array.shape != expected:
            raise ValueError(
                f"The parameter '{self.covariance_type} precision' should have the shape of {expected}, but got "
                f"{array.shape}"
            )
        check_finite("precisions_init", array)
        if self.covariance_type in ("diag", "spherical"):
            if (array <= 0).any():
                raise ValueError("precisions_init: expected positive numbers")
            return 1.0 / array
        if not np.allclose(array, np.swapaxes(array, -1, -2)) or (np.linalg.eigvalsh(array) <= 0).any():
            raise ValueError("precisions_init: expected symmetric positive definite matrices")
        return np.asarray(np.linalg.inv(array), dtype=np.float64)

    # ---- use -------------------------------------------------------------------------------------------------

    def _checked(self, X: ArrayLike) -> Float64:
        check_is_fitted(self)
        samples: Float64 = validate_data(self, X, dtype=np.float64, order="C", reset=False)
        return samples

    def _weighted_log_density(self, samples: Float64) -> Float64:
        structure = Structure.of(self.covariance_type, samples.shape[1], self.blocks)
        with np.errstate(divide="ignore"):
            log_weights = np.log(self.weights_)
        with Workers(thread_count(self.threads)) as workers:
            return Kernel.of(structure).densities(
                structure.arranged(samples), self.means_, self.covariances_, log_weights, workers
            )

    def predict(self, X: ArrayLike) -> NDArray[np.intp]:
        """Return the most likely component of each row, shape (n,)."""
        return np.asarray(np.argmax(self._weighted_log_density(self._checked(X)), axis=1), dtype=np.intp)

    def predict_proba(self, X: ArrayLike) -> Float64:
        """Return the responsibilities of each row, shape (n, K)."""
        joint = self._weighted_log_density(self._checked(X))
        return np.asarray(np.exp(joint - logsumexp(joint, axis=1)[:, np.newaxis]), dtype=np.float64)

    def score_samples(self, X: ArrayLike) -> Float64:
        """Return log p(x) of each row, shape (n,)."""
        return np.asarray(logsumexp(self._weighted_log_density(self._checked(X)), axis=1))

    def score(self, X: ArrayLike, y: Any = None) -> float:
        """Return the mean of log p(x) over the rows."""
        return float(self.score_samples(X).mean())

    def bic(self, X: ArrayLike) -> float:
        """Return Schwarz's criterion, -2 log L + p log n for p free parameters; lower is better."""
        rows = len(np.asarray(X))
        return -2 * self.score(X) * rows + self._free_parameters() * float(np.log(rows))

    def aic(self, X: ArrayLike) -> float:
        """Return Akaike's criterion, -2 log L + 2 p for p free parameters; lower is better."""
        return -2 * self.score(X) * len(np.asarray(X)) + 2 * self._free_parameters()

    def _free_parameters(self) -> int:
        structure = Structure.of(self.covariance_type, self.n_features_in_, self.blocks)
        return structure.free_parameters(len(self.weights_))

    def sample(self, n_samples: int = 1) -> tuple[Float64, NDArray[np.intp]]:
        """Draw rows from the fitted mixture; return them, component after component, and their components."""
        check_is_fitted(self)
        if n_samples < 1:
            raise ValueError(f"Invalid value for 'n_samples': {n_samples} . The sampling requires at least one sample.")
        random = check_random_state(self.random_state)
        counts = random.multinomial(n_samples, self.weights_)
        features = self.means_.shape[1]
        parts = []
        for k, (mean, count) in enumerate(zip(self.means_, counts.tolist(), strict=True)):
            if self.covariance_type in ("diag", "spherical"):
                parts.append(mean + random.standard_normal((count, features)) * np.sqrt(self.covariances_[k]))
            else:
                covariance = self.covariances_ if self.covariance_type == "tied" else self.covariances_[k]
                parts.append(random.multivariate_normal(mean, covariance, count))
        return np.vstack(parts), np.repeat(np.arange(len(counts)), counts)

    # ---- progress --------------------------------------------------------------------------------------------

    def _report_start(self, start: int) -> None:
        if self.verbose:
            print(f"Initialization {start}")

    def _report_iteration(self, iteration: int, change: float, since: float) -> float:
        if not self.verbose or iteration % self.verbose_interval:
            return since
        now = time.perf_counter()
        detail = f"\ttime lapse {now - since:.5f}s\tll change {change:.5f}" if self.verbose >= 2 else ""
        print(f"  Iteration {iteration}{detail}")
        return now

    def _report_end(self, bounds: list[float], converged: bool) -> None:
        if self.verbose:
            state = "converged" if converged else "did not converge"
            print(f"Initialization {state}. Mean log-likelihood {bounds[-1]:.5f} after {len(bounds)} iterations")


def _precision_factors(covariances: Float64, covariance_type: str) -> Float64:
    """Return upper triangular U with U U^T = covariance^-1, or inverse standard deviations."""
    if covariance_type in ("diag", "spherical"):
        return 1.0 / np.sqrt(covariances)
    lower = np.linalg.cholesky(covariances)
    identity = np.broadcast_to(np.eye(covariances.shape[-1]), covariances.shape)
    # The solve leaves rounding below the diagonal of what is triangular by construction.
    return np.triu(np.swapaxes(np.linalg.solve(lower, identity), -1, -2))


def _precisions(factors: Float64, covariance_type: str) -> Float64:
    if covariance_type in ("diag", "spherical"):
        return factors**2
    return factors @ np.swapaxes(factors, -1, -2)
