"""Triangular factors of precisions. In Numba, since BLAS would wake its threads for matrices this small."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from cipherlane.mixture.instruction_set import CACHE
from cipherlane.mixture.structure import Float64


@njit(nogil=True, cache=CACHE, error_model="numpy")
def _upper_factor(covariance: Any, factor: Any) -> Any:
    """Set factor to the upper triangular V with V^T V = covariance^-1; return log det V, or NaN."""
    size = covariance.shape[0]
    # covariance = G G^T with G upper triangular: Cholesky's recurrence from the last row and column to the first.
    upper = np.zeros((size, size))
    log_determinant = 0.0
    for j in range(size - 1, -1, -1):
        pivot = covariance[j, j]
        for k in range(j + 1, size):
            pivot -= upper[j, k] * upper[j, k]
        if not pivot > 0.0 or not math.isfinite(pivot):
            return math.nan
        diagonal = math.sqrt(pivot)
        upper[j, j] = diagonal
        log_determinant -= math.log(diagonal)
        for i in range(j):
            value = covariance[i, j]
            for k in range(j + 1, size):
                value -= upper[i, k] * upper[j, k]
            upper[i, j] = value / diagonal
    # V = G^-1 by back substitution, column by column.
    for j in range(size):
        for i in range(j, -1, -1):
            value = 1.0 if i == j else 0.0
            for k in range(i + 1, j + 1):
                value -= upper[i, k] * factor[k, j]
            factor[i, j] = value / upper[i, i]
    return log_determinant


@njit(nogil=True, cache=CACHE, error_model="numpy")
def _upper_factors(covariances: Any, factors: Any, log_determinants: Any) -> Any:
    for k in range(covariances.shape[0]):
        log_determinants[k] = _upper_factor(covariances[k], factors[k])


def upper_factors(covariances: Float64) -> tuple[Float64, Float64]:
    """Return upper triangular V_k with V_k^T V_k = covariances[k]^-1, and log det V_k, shape (K,).

    A factor whose row i starts at column i lets the E step skip half of its products. A log det of NaN tells of a
    covariance that is not positive definite.
    """
    factors = np.zeros(covariances.shape)
    log_determinants = np.empty(len(covariances))
    _upper_factors(np.ascontiguousarray(covariances), factors, log_determinants)
    return factors, log_determinants
