"""The numbers that all encrypt and compute with, and what must come out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cipherlane.benchmark.operations import MATRIX_COLUMNS, WEIGHT_BITS, Operation

SEGMENTS = 16
_DISTINCT = 1 << 14
_FLOAT_STEP = 2.0**-20


class Workload:
    """Inputs for any batch: the first ``count`` of fixed pseudo-random sequences, the same in every run."""

    def __init__(self, seed: int = 1) -> None:
        rng = np.random.default_rng(seed)
        self._values = rng.integers(-(2**31), 2**31, _DISTINCT)
        self._others = rng.integers(-(2**31), 2**31, _DISTINCT)
        self._factors = rng.integers(2**63, 2**64, _DISTINCT, dtype=np.uint64)
        self._floats = rng.integers(-(2**30), 2**30, _DISTINCT) * _FLOAT_STEP
        self._segments = rng.integers(SEGMENTS, size=_DISTINCT)
        self._weights = rng.integers(2**WEIGHT_BITS, size=(1024, MATRIX_COLUMNS))

    def values(self, count: int) -> NDArray[np.int64]:
        """Return signed 32-bit integers."""
        return np.resize(self._values, count)

    def others(self, count: int) -> NDArray[np.int64]:
        """Return signed 32-bit integers, to add and subtract."""
        return np.resize(self._others, count)

    def factors(self, count: int) -> NDArray[np.uint64]:
        """Return integers of exactly 64 bits."""
        return np.resize(self._factors, count)

    def floats(self, count: int) -> NDArray[np.float64]:
        """Return numbers below 1024 in magnitude, multiples of 2^-20."""
        return np.resize(self._floats, count)

    def segment_ids(self, count: int) -> NDArray[np.int64]:
        """Return one of `SEGMENTS` for each value."""
        return np.resize(self._segments, count)

    def weights(self, rows: int) -> NDArray[np.int64]:
        """Return a matrix of weights below 2^24."""
        return np.resize(self._weights, (rows, MATRIX_COLUMNS))

    def expected(self, operation: Operation, count: int) -> list[Any]:
        """Return the plaintexts of an operation's results, from plain Python arithmetic."""
        values = [int(value) for value in self.values(count)]
        others = [int(value) for value in self.others(count)]
        match operation.name:
            case "add":
                return [a + b for a, b in zip(values, others, strict=True)]
            case "subtract":
                return [a - b for a, b in zip(values, others, strict=True)]
            case "multiply":
                return [a * int(k) for a, k in zip(values, self.factors(count), strict=True)]
            case "sum":
                return [sum(values)]
            case "segment-sum":
                sums = [0] * SEGMENTS
                for value, segment in zip(values, self.segment_ids(count), strict=True):
                    sums[segment] += value
                return sums
            case "matmul":
                return [int(row @ self.values(MATRIX_COLUMNS)) for row in self.weights(count)]
            case "encode-encrypt" | "host-to-host" | "packed":
                return [float(value) for value in self.floats(count)]
            case _:
                return values
