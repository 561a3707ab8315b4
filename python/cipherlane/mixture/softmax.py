"""Responsibilities from log densities, block by block: exponentials eight at a time and few logarithms."""

from __future__ import annotations

import math
from typing import Any

from llvmlite import ir
from numba import njit
from numba.core import types
from numba.extending import intrinsic

# 2^(52 + 51) · 1.5 / 2^51: adding it to a double below 2^51 rounds that to an integer, held in the low bits.
_ROUNDER = 6755399441055744.0
_LOG2_E = 1.4426950408889634
# ln 2 in two parts; the first has 32 trailing zero bits, so that k times it is exact.
_LN2_HIGH = 6.93147180369123816490e-01
_LN2_LOW = 1.90821492927058770002e-10
# exp(-708) is the last normal power; below it a responsibility is zero for every purpose.
_LEAST = -708.0
# A product of this many sums, each from 1 to K, stays finite for K up to 2^31.
_TOGETHER = 32


@intrinsic
def _bits_of(typing_context: Any, x: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.IntType(64))

    return types.int64(types.float64), generate


@intrinsic
def _double_of(typing_context: Any, x: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.DoubleType())

    return types.float64(types.int64), generate


# Contraction to fused multiply-adds is the one liberty these may take: with reassociation, the rounding of k is lost.
@njit(fastmath={"contract"}, error_model="numpy")
def exponential(x):
    """Return exp(x) for x <= 0, to 2 units in the last place, and 0 below -708.

    x = k ln 2 + r with |r| <= ln(2)/2; exp(r) by its Taylor polynomial of degree 13, whose remainder is below
    (ln(2)/2)^14 / 14! < 5e-18.
    """
    clipped = max(x, _LEAST)
    t = clipped * _LOG2_E + _ROUNDER
    k = t - _ROUNDER
    r = (clipped - k * _LN2_HIGH) - k * _LN2_LOW
    p = 1.0 / 6227020800.0
    p = p * r + 1.0 / 479001600.0
    p = p * r + 1.0 / 39916800.0
    p = p * r + 1.0 / 3628800.0
    p = p * r + 1.0 / 362880.0
    p = p * r + 1.0 / 40320.0
    p = p * r + 1.0 / 5040.0
    p = p * r + 1.0 / 720.0
    p = p * r + 1.0 / 120.0
    p = p * r + 1.0 / 24.0
    p = p * r + 1.0 / 6.0
    p = p * r + 0.5
    p = p * r + 1.0
    p = p * r + 1.0
    result = _double_of(_bits_of(p) + (_bits_of(t) << 52))
    return result if x >= _LEAST else 0.0


@njit(fastmath={"contract"}, error_model="numpy")
def _exponentials(densities, components, samples, largest, total):
    for s in range(samples):
        largest[s] = densities[0, s]
    for k in range(1, components):
        for s in range(samples):
            value = densities[k, s]
            largest[s] = value if value > largest[s] else largest[s]
    for s in range(samples):
        total[s] = 0.0
    for k in range(components):
        for s in range(samples):
            value = exponential(densities[k, s] - largest[s])
            densities[k, s] = value
            total[s] += value


@njit(fastmath={"contract", "reassoc", "nsz"}, error_model="numpy")
def _normalise(densities, components, samples, factors, counts):
    for k in range(components):
        count = 0.0
        for s in range(samples):
            value = densities[k, s] * factors[s]
            densities[k, s] = value
            count += value
        counts[k] += count


@njit(error_model="numpy")
def softmax(densities, components, samples, weights, start, largest, total, counts):
    """Turn log joint densities into responsibilities in place; return the sum of their log normalisers.

    Parameters
    ----------
    densities : float64 array, shape (components, at least samples)
        log(pi_k) + log N(x_s; k) in; r_ks out, times the sample's weight where there are weights.
    weights : float64 array
        Weight of sample ``start + s``, or empty.
    counts : float64 array, shape (components,)
        Grows by sum_s r_ks.
    """
    _exponentials(densities, components, samples, largest, total)
    likelihood = 0.0
    if weights.size:
        for s in range(samples):
            likelihood += weights[start + s] * (largest[s] + math.log(total[s]))
            total[s] = weights[start + s] / total[s]
    else:
        for s in range(samples):
            likelihood += largest[s]
        for first in range(0, samples, _TOGETHER):
            product = 1.0
            for s in range(first, min(first + _TOGETHER, samples)):
                product *= total[s]
            likelihood += math.log(product)
        for s in range(samples):
            total[s] = 1.0 / total[s]
    _normalise(densities, components, samples, total, counts)
    return likelihood
