"""The mixture as an estimator with scikit-learn's interface."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from cipherlane.mixture.array_gaussians import inverse_factors
from cipherlane.mixture.array_module import NUMPY, Array, ArrayModule, module_of
from cipherlane.mixture.checks import check_finite, check_sample_weight, check_samples
from cipherlane.mixture.densities import covariance_shape
from cipherlane.mixture.kernels import Kernel, kernel_for, log_sums
from cipherlane.mixture.moments import require_definite
from cipherlane.mixture.starts import LOOKING, METHODS, initial_responsibilities
from cipherlane.mixture.statistics import (
    SufficientStatistics,
    m_step,
    next_parameters,
    sufficient_statistics,
)
from cipherlane.mixture.structure import Float64, Structure, check_covariance_type
from cipherlane.mixture.threads import Workers, thread_count
from cipherlane.threadpools import single_threaded


class GaussianMixture(DensityMixin, BaseEstimator):  # type: ignore[misc]
    """Gaussian mixture fitted by expectation maximisation, with the interface of scikit-learn's.

    p(x) = sum_k pi_k N(x; mu_k, Sigma_k). Parameters, attributes and their meaning are scikit-learn's; added are
    ``covariance_type="block"``, ``blocks``, ``threads`` and ``sample_weight`` in `fit`. Each EM iteration is one pass
    over the data on all processors, with memory for a few thousand rows beside it.

    A CuPy array as ``X`` is fitted on its device: EM takes 128 MiB there beside the data in float64 and the
    responsibilities of the start, and waits for the device once an iteration. Other arguments may be NumPy or CuPy
    arrays, and the fitted arrays are CuPy's. Starts are the same as of a NumPy array with the same ``random_state``:
    those of ``init_params="kmeans"`` and ``"k-means++"`` are found on the host, for which the data are copied there
    once a fit. What was fitted on one side is used on the other freely: the parameters follow the data.

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
        Default: CIPHERLANE_THREADS, or all processors. A device does not use them.

    Attributes
    ----------
    weights_ : ndarray of shape (K,)
        This and the other arrays are CuPy's if the data that were fitted are.
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
            If a parameter is not possible, or ``X`` holds NaN or infinity or fewer rows than components.
        SingularCovarianceError
            A `ValueError`, if a covariance becomes singular.
        TypeError
            If ``X`` is on the host and ``sample_weight`` a CuPy array.

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
        return self._most_likely(self._fit(X, sample_weight))

    def _fit(self, X: ArrayLike, sample_weight: ArrayLike | None) -> Array:
        self._check_parameters()
        module = module_of(X)
        samples = self._validated(X, reset=True)
        rows, features = samples.shape
        if rows < self.n_components:
            raise ValueError(
                f"X: expected at least as many rows as components, n_samples >= n_components, got "
                f"n_components = {self.n_components}, n_samples = {rows}"
            )
        structure = Structure.of(self.covariance_type, features, self.blocks)
        weights = None if sample_weight is None else check_sample_weight(sample_weight, rows, module)
        centre = samples.mean(axis=0) if weights is None else weights @ samples / weights.sum()
        random_state = check_random_state(self.random_state)
        continues = self.warm_start and hasattr(self, "converged_")
        draws = not continues and any(one is None for one in self._given())
        seen = module.to_host(samples) if draws and self.init_params in LOOKING else samples
        best_bound = -np.inf
        best: tuple[Array, Array, Array] | None = None
        with single_threaded("blas"), Workers(thread_count(self.threads)) as workers:
            kernel = kernel_for(structure, module, workers)
            prepared = kernel.prepare(samples)
            for start in range(1 if continues else self.n_init):
                self._report_start(start)
                if continues:
                    parameters = self._parameters(module)
                else:
                    parameters = self._start(samples, seen, weights, random_state)
                parameters, bounds, converged = self._iterate(prepared, kernel, structure, parameters, weights, centre)
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
        self.precisions_cholesky_ = _precision_factors(module, self.covariances_, self.covariance_type)
        self.precisions_ = _precisions(self.precisions_cholesky_, self.covariance_type)
        return samples

    def _iterate(
        self,
        X: Array,
        kernel: Kernel,
        structure: Structure,
        parameters: tuple[Array, Array, Array],
        sample_weight: Array | None,
        centre: Array,
    ) -> tuple[tuple[Array, Array, Array], list[float], bool]:
        """Run EM from the given parameters; return the last ones, the mean log-likelihoods, whether they settled."""
        module = module_of(X)
        total_weight = float(X.shape[0] if sample_weight is None else sample_weight.sum())
        weights, means, covariances = parameters
        bounds: list[float] = []
        since = time.perf_counter()
        for iteration in range(1, self.max_iter + 1):
            with np.errstate(divide="ignore"):
                log_weights = module.xp.log(weights)
            likelihood, moments = kernel.em(X, means, covariances, log_weights, centre, sample_weight)
            bounds.append(likelihood / total_weight)
            statistics = SufficientStatistics.of(structure, moments, X.shape[0])
            means, covariances = next_parameters(
                statistics, moments.host_counts, self.reg_covar, previous=(means, covariances)
            )
            weights = statistics.counts / statistics.counts.sum()
            change = bounds[-1] - bounds[-2] if iteration > 1 else np.inf
            since = self._report_iteration(iteration, change, since)
            if abs(change) < self.tol:
                return (weights, means, covariances), bounds, True
        return (weights, means, covariances), bounds or [-np.inf], False

    def _given(self) -> tuple[ArrayLike | None, ArrayLike | None, ArrayLike | None]:
        return self.weights_init, self.means_init, self.precisions_init

    def _start(
        self, X: Array, seen: Array, sample_weight: Array | None, random_state: np.random.RandomState
    ) -> tuple[Array, Array, Array]:
        """Return the first parameters; ``seen`` are the samples where `initial_responsibilities` wants them."""
        module = module_of(X)
        weights = means = covariances = None
        if any(one is None for one in self._given()):
            seen_weight = None if sample_weight is None else module_of(seen).moved(sample_weight)
            resp = initial_responsibilities(seen, self.n_components, self.init_params, random_state, seen_weight)
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
        # Small arrays, checked on the host wherever they come from.
        if self.weights_init is not None:
            weights = module.moved(self._checked_weights(NUMPY.moved(self.weights_init)))
        if self.means_init is not None:
            means = module.moved(self._checked_means(NUMPY.moved(self.means_init), X.shape[1]))
        if self.precisions_init is not None:
            covariances = module.moved(self._covariances_of(NUMPY.moved(self.precisions_init), X.shape[1]))
        return weights, means, covariances

    def _first_m_step(self, statistics: SufficientStatistics, X: Array) -> tuple[Array, Array]:
        """Start a component that got no rows, as k-means may leave one among equal rows, from all of them."""
        if (statistics.counts > 0).all():
            return m_step(statistics, reg_covar=self.reg_covar)
        everywhere = module_of(X).xp.ones((X.shape[0], self.n_components))
        whole = sufficient_statistics(X, everywhere, self.covariance_type, blocks=self.blocks)
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

    def _checked_weights(self, weights: Float64) -> Float64:
        if weights.shape != (self.n_components,):
            raise ValueError(
                f"The parameter 'weights' should have the shape of ({self.n_components},), but got {weights.shape}"
            )
        if not ((weights >= 0) & (weights <= 1)).all():
            raise ValueError("weights_init: expected numbers from 0 to 1")
        if not np.isclose(weights.sum(), 1.0):
            raise ValueError(f"weights_init: expected numbers that sum to 1, got a sum of {weights.sum():.6g}")
        return weights

    def _checked_means(self, means: Float64, features: int) -> Float64:
        if means.shape != (self.n_components, features):
            raise ValueError(
                f"The parameter 'means' should have the shape of ({self.n_components}, {features}), but got "
                f"{means.shape}"
            )
        check_finite("means_init", means)
        return means

    def _covariances_of(self, precisions: Float64, features: int) -> Float64:
        expected = covariance_shape(self.covariance_type, self.n_components, features)
        if precisions.shape != expected:
            raise ValueError(
                f"The parameter '{self.covariance_type} precision' should have the shape of {expected}, but got "
                f"{precisions.shape}"
            )
        check_finite("precisions_init", precisions)
        if self.covariance_type in ("diag", "spherical"):
            if (precisions <= 0).any():
                raise ValueError("precisions_init: expected positive numbers")
            return 1.0 / precisions
        symmetric = np.allclose(precisions, np.swapaxes(precisions, -1, -2))
        if not symmetric or (np.linalg.eigvalsh(precisions) <= 0).any():
            raise ValueError("precisions_init: expected symmetric positive definite matrices")
        return np.asarray(np.linalg.inv(precisions), dtype=np.float64)

    def _parameters(self, module: ArrayModule) -> tuple[Array, Array, Array]:
        """Return the fitted weights, means and covariances in a library's arrays."""
        return module.moved(self.weights_), module.moved(self.means_), module.moved(self.covariances_)

    # ---- use -------------------------------------------------------------------------------------------------

    def _validated(self, X: ArrayLike, *, reset: bool) -> Array:
        """Return the samples as float64, checked as scikit-learn's estimators do."""
        if module_of(X).on_host:
            return validate_data(self, X, dtype=np.float64, order="C", ensure_min_samples=1 + reset, reset=reset)
        samples = check_samples(X)
        if reset and samples.shape[0] < 2:
            raise ValueError(f"X: expected at least 2 rows to fit, got {samples.shape[0]}")
        # This keeps or compares the number of columns alone: the rest is for arrays on the host.
        return validate_data(self, samples, skip_check_array=True, reset=reset)

    def _checked(self, X: ArrayLike) -> Array:
        check_is_fitted(self)
        return self._validated(X, reset=False)

    def _weighted_log_density(self, samples: Array) -> Array:
        module = module_of(samples)
        structure = Structure.of(self.covariance_type, samples.shape[1], self.blocks)
        weights, means, covariances = self._parameters(module)
        with np.errstate(divide="ignore"):
            log_weights = module.xp.log(weights)
        with Workers(thread_count(self.threads)) as workers:
            kernel = kernel_for(structure, module, workers)
            return kernel.densities(kernel.prepare(samples), means, covariances, log_weights)

    def _most_likely(self, samples: Array) -> NDArray[np.intp]:
        joint = self._weighted_log_density(samples)
        found: NDArray[np.intp] = module_of(joint).xp.argmax(joint, axis=1)
        return found

    def _log_likelihoods(self, samples: Array) -> Array:
        joint = self._weighted_log_density(samples)
        return log_sums(module_of(joint), joint)

    def predict(self, X: ArrayLike) -> NDArray[np.intp]:
        """Return the most likely component of each row, shape (n,); a CuPy array for one."""
        return self._most_likely(self._checked(X))

    def predict_proba(self, X: ArrayLike) -> Float64:
        """Return the responsibilities of each row, shape (n, K); a CuPy array for one."""
        joint = self._weighted_log_density(self._checked(X))
        module = module_of(joint)
        resp: Float64 = module.xp.exp(joint - log_sums(module, joint)[:, np.newaxis])
        return resp

    def score_samples(self, X: ArrayLike) -> Float64:
        """Return log p(x) of each row, shape (n,); a CuPy array for one."""
        found: Float64 = self._log_likelihoods(self._checked(X))
        return found

    def score(self, X: ArrayLike, y: Any = None) -> float:
        """Return the mean of log p(x) over the rows."""
        return float(self.score_samples(X).mean())

    def bic(self, X: ArrayLike) -> float:
        """Return Schwarz's criterion, -2 log L + p log n for p free parameters; lower is better."""
        found = self.score_samples(X)
        return -2 * float(found.sum()) + self._free_parameters() * float(np.log(found.shape[0]))

    def aic(self, X: ArrayLike) -> float:
        """Return Akaike's criterion, -2 log L + 2 p for p free parameters; lower is better."""
        return -2 * float(self.score_samples(X).sum()) + 2 * self._free_parameters()

    def _free_parameters(self) -> int:
        structure = Structure.of(self.covariance_type, self.n_features_in_, self.blocks)
        return structure.free_parameters(self.weights_.shape[0])

    def sample(self, n_samples: int = 1) -> tuple[Float64, NDArray[np.intp]]:
        """Draw rows from the fitted mixture; return them, component after component, and their components.

        They are drawn on the host, the same for the same ``random_state``, and are CuPy arrays if the fitted ones are.
        """
        check_is_fitted(self)
        if n_samples < 1:
            raise ValueError(f"Invalid value for 'n_samples': {n_samples} . The sampling requires at least one sample.")
        random = check_random_state(self.random_state)
        module = module_of(self.means_)
        weights, means, covariances = self._parameters(NUMPY)
        counts = random.multinomial(n_samples, weights)
        parts = []
        for k, (mean, count) in enumerate(zip(means, counts.tolist(), strict=True)):
            if self.covariance_type in ("diag", "spherical"):
                parts.append(mean + random.standard_normal((count, len(mean))) * np.sqrt(covariances[k]))
            else:
                covariance = covariances if self.covariance_type == "tied" else covariances[k]
                parts.append(random.multivariate_normal(mean, covariance, count))
        return module.xp.asarray(np.vstack(parts)), module.xp.asarray(np.repeat(np.arange(len(counts)), counts))

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


def _precision_factors(module: ArrayModule, covariances: Array, covariance_type: str) -> Array:
    """Return upper triangular U with U U^T = covariance^-1, or inverse standard deviations."""
    xp = module.xp
    if covariance_type in ("diag", "spherical"):
        return 1.0 / xp.sqrt(covariances)
    shared = covariance_type == "tied"
    with np.errstate(all="ignore"):
        lower, _, definite = inverse_factors(module, covariances[np.newaxis] if shared else covariances)
    require_definite(module.to_host(definite), shared)
    # The solve may leave rounding below the diagonal of what is triangular by construction.
    factors = xp.triu(xp.swapaxes(lower, -1, -2))
    return factors[0] if shared else factors


def _precisions(factors: Array, covariance_type: str) -> Array:
    if covariance_type in ("diag", "spherical"):
        return factors**2
    return factors @ factors.swapaxes(-1, -2)
