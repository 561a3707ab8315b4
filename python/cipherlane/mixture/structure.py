"""Which entries of the covariances are free, and how the kernels lay them out."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

COVARIANCE_TYPES = ("full", "tied", "diag", "spherical", "block")
_TILE = 4


def check_covariance_type(covariance_type: object) -> str:
    """Return the type if it is one, else raise `ValueError`."""
    if not isinstance(covariance_type, str) or covariance_type not in COVARIANCE_TYPES:
        raise ValueError(
            f"covariance_type: expected one of {', '.join(map(repr, COVARIANCE_TYPES))}, got {covariance_type!r}"
        )
    return covariance_type


def check_blocks(blocks: Sequence[Sequence[int]] | None, features: int) -> tuple[tuple[int, ...], ...]:
    """Return the blocks as tuples, if every column is in exactly one of them; None is one block of all columns.

    Raises
    ------
    TypeError
        If they are no sequences of integers.
    ValueError
        If there are none, one is empty, or a column is missing, doubled or out of range.
    """
    if blocks is None:
        return (tuple(range(features)),)
    try:
        parts = tuple(tuple(operator.index(column) for column in block) for block in blocks)
    except TypeError:
        raise TypeError(
            f"blocks: expected lists of column indices, such as [[0, 1], [2, 3, 4]], got {blocks!r:.80}"
        ) from None
    columns = sorted(column for part in parts for column in part)
    if not parts or any(not part for part in parts) or columns != list(range(features)):
        raise ValueError(
            f"blocks: expected each of the columns 0 to {features - 1} in exactly one block and no empty block, "
            f"got {[list(part) for part in parts]}"
        )
    return parts


@dataclass(frozen=True)
class Structure:
    """Covariance structure of a mixture over ``features`` columns.

    ``blocks`` are the groups of columns that may be correlated; a single one for "full" and "tied", none for "diag" and
    "spherical".
    """

    covariance_type: str
    features: int
    blocks: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, covariance_type: str, features: int, blocks: Sequence[Sequence[int]] | None) -> Structure:
        """Return the structure after checking the arguments."""
        check_covariance_type(covariance_type)
        if covariance_type == "block":
            return cls(covariance_type, features, check_blocks(blocks, features))
        if blocks is not None:
            raise ValueError(f'blocks: only for covariance_type="block", got them with {covariance_type!r}')
        return cls(covariance_type, features, (tuple(range(features)),) if cls._correlates(covariance_type) else ())

    @staticmethod
    def _correlates(covariance_type: str) -> bool:
        return covariance_type in ("full", "tied", "block")

    @property
    def correlates(self) -> bool:
        """Whether any two columns may be correlated."""
        return self._correlates(self.covariance_type)

    @property
    def order(self) -> Int64:
        """Columns block after block."""
        return np.array([column for block in self.blocks for column in block], dtype=np.int64)

    def arranged(self, X: Float64) -> Float64:
        """Return the samples in C order with the columns of each block side by side; a copy only where needed."""
        if self.correlates and not np.array_equal(self.order, np.arange(self.features)):
            return np.ascontiguousarray(X[:, self.order])
        return np.ascontiguousarray(X)

    def free_parameters(self, components: int) -> int:
        """Return the number of free parameters: covariances, means, and weights."""
        d = self.features
        covariances = {
            "full": components * d * (d + 1) // 2,
            "tied": d * (d + 1) // 2,
            "diag": components * d,
            "spherical": components,
            "block": components * sum(len(block) * (len(block) + 1) // 2 for block in self.blocks),
        }[self.covariance_type]
        return covariances + components * d + components - 1


@dataclass(frozen=True)
class Tiling:
    """Where the triangular kernels find the rows of each block and the weights of each tile of four rows.

    ``weight_places`` says which entry of the blocks' tables of factor and shift each weight is; ``moment_places``, for
    each block, which word of the kernels' sums each entry at or above the diagonal is.
    """

    first_column: Int64
    first_row: Int64
    widths: Int64
    height: int
    offsets: Int64
    scatter_words: int
    weight_places: Int64
    moment_places: tuple[Int64, ...]

    @classmethod
    def of(cls, structure: Structure) -> Tiling:
        """Return the tiling; a block of w columns takes w rows, one of ones, and padding to a multiple of four."""
        widths = np.array([len(block) for block in structure.blocks], dtype=np.int64)
        heights = (widths + 1 + _TILE - 1) // _TILE * _TILE
        sizes = [_TILE * (width + 1 - i) for width in widths.tolist() for i in range(0, width, _TILE)]
        moment_places, words = _moment_places(widths.tolist())
        return cls(
            first_column=np.concatenate([[0], np.cumsum(widths)[:-1]]).astype(np.int64),
            first_row=np.concatenate([[0], np.cumsum(heights)[:-1]]).astype(np.int64),
            widths=widths,
            height=int(heights.sum()),
            offsets=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
            scatter_words=words,
            weight_places=_weight_places(widths.tolist()),
            moment_places=moment_places,
        )

    def rows(self) -> Int64:
        """Return the row of each column, block after block."""
        return np.concatenate(
            [first + np.arange(width) for first, width in zip(self.first_row, self.widths, strict=True)]
        ).astype(np.int64)

    def pack(self, factors: list[Float64], shifts: list[Float64]) -> Float64:
        """Return weights, component after component: for each tile of rows i..i+3, columns i.. of factor, then shift.

        ``factors[b]`` is upper triangular, shape (K, w, w), or (1, w, w) if all components have the same;
        ``shifts[b]`` has shape (K, w).
        """
        tables = []
        for factor, shift in zip(factors, shifts, strict=True):
            components, width = shift.shape
            table = np.zeros((components, -(-width // _TILE) * _TILE, width + 1))
            table[:, :width, :width] = factor
            table[:, :width, width] = shift
            tables.append(table.reshape(components, -1))
        return np.concatenate(tables, axis=1)[:, self.weight_places].reshape(-1)

    def unpack(self, out: Float64, structure: Structure, shift: Float64) -> tuple[Float64, Float64]:
        """Return sums, shape (K, d), and scatter, (K, d, d), about points a from the kernels' tiles.

        The kernels form s = sum r (x - a) and, at and above the diagonal, S = sum r (x - a)(x - c)^T. The scatter
        about a is S - s (a - c)^T; ``shift`` is a - c. What that loses against a direct sum vanishes with s, which
        is zero where EM converges to.
        """
        components, features = out.shape[0], structure.features
        sums = np.zeros((components, features))
        scatter = np.zeros((components, features, features))
        for block, places in zip(structure.blocks, self.moment_places, strict=True):
            width = len(block)
            table = out[:, places]
            columns = np.array(block)
            sums[:, columns] = table[:, :width, width]
            correction = sums[:, columns][:, :, np.newaxis] * shift[:, columns][:, np.newaxis, :]
            upper = np.triu(table[:, :width, :width] - correction)
            scatter[:, columns[:, np.newaxis], columns] = upper + np.triu(upper, 1).transpose(0, 2, 1)
        return sums, scatter


def _weight_places(widths: list[int]) -> Int64:
    places, at = [], 0
    for width in widths:
        height = -(-width // _TILE) * _TILE
        table = at + np.arange(height * (width + 1), dtype=np.int64).reshape(height, width + 1)
        places += [table[i : i + _TILE, i:].T.reshape(-1) for i in range(0, width, _TILE)]
        at += table.size
    return np.concatenate(places)


def _moment_places(widths: list[int]) -> tuple[tuple[Int64, ...], int]:
    places, at = [], 0
    for width in widths:
        size = -(-(width + 1) // _TILE) * _TILE
        # Tiles below the diagonal do not exist, and nobody reads their entries.
        table = np.zeros((size, size), dtype=np.int64)
        for i in range(0, width, _TILE):
            for j in range(i, width + 1, _TILE):
                table[i : i + _TILE, j : j + _TILE] = at + np.arange(_TILE * _TILE).reshape(_TILE, _TILE)
                at += _TILE * _TILE
        places.append(table)
    return tuple(places), at
