"""Bins that were found, with what they make of rows: kept as JSON, applied to new rows."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cipherlane.binning.bins import BinIndex, CategoryBins, ColumnBins, bins_from_fields
from cipherlane.binning.values import Column, as_numbers, as_texts

FORMAT = 1
FORMS = ("woe", "index")


@dataclass(frozen=True)
class FittedColumn:
    """A column's bins, its weight of evidence where that is known here, and whether it was selected.

    Attributes
    ----------
    name
        The column's name.
    bins
        Its bins.
    woe
        One number a bin, or None where this party was not told.
    kept
        Whether it was selected.
    """

    name: str
    bins: ColumnBins
    woe: tuple[float, ...] | None = None
    kept: bool = True

    def __post_init__(self) -> None:
        """Check that there is one WoE a bin."""
        if self.woe is not None and (len(self.woe) != self.bins.count or not all(map(math.isfinite, self.woe))):
            raise ValueError(f"woe: expected {self.bins.count} finite numbers for column {self.name!r}")

    def transformed(self, index: BinIndex, form: str) -> NDArray[np.float64]:
        """Return the rows' WoE, or the numbers of their bins, float64 of shape (n,)."""
        if form == "index":
            return index.astype(np.float64)
        if self.woe is None:
            raise ValueError(
                f"{self.name}: its weight of evidence is not known to this party (tell_woe was false); transform to "
                "the numbers of bins, form 'index' (--as index)"
            )
        return np.asarray(self.woe, dtype=np.float64)[index]

    def index(self, values: Column) -> BinIndex:
        """Return the number of each value's bin, int64 of shape (n,)."""
        if isinstance(self.bins, CategoryBins):
            return self.bins.index(as_texts(values), self.name)
        return self.bins.index(as_numbers(values, self.name), self.name)


@dataclass(frozen=True)
class FittedBinning:
    """The bins of several columns.

    Examples
    --------
    >>> from cipherlane.binning import NumericBins
    >>> fitted = FittedBinning((FittedColumn("age", NumericBins((40.0,)), (-0.5, 0.7)),))
    >>> fitted.transform({"age": np.array([39.0, 41.0])}).tolist()
    [[-0.5], [0.7]]
    >>> FittedBinning.from_json(fitted.to_json()) == fitted
    True
    """

    columns: tuple[FittedColumn, ...]

    @property
    def selected(self) -> tuple[FittedColumn, ...]:
        """The columns that were kept."""
        return tuple(column for column in self.columns if column.kept)

    @property
    def knows_woe(self) -> bool:
        """Whether the weight of evidence of every column that was kept is known here."""
        return all(column.woe is not None for column in self.selected)

    def transform(self, values: Mapping[str, Column], form: str = "woe") -> NDArray[np.float64]:
        """Return the kept columns of rows as WoE or as numbers of bins.

        Parameters
        ----------
        values
            A column of values by its name, a frame for example: numbers or categories; missing are None, NaN, pandas'
            NA, and of categories "".
        form
            "woe" or "index".

        Returns
        -------
        ndarray of float64, shape (n, kept columns)

        Raises
        ------
        ValueError
            A column is missing, a category was not seen before, a value is missing that may not be, or the WoE is not
            known here.
        """
        if form not in FORMS:
            raise ValueError(f"form: expected one of {', '.join(map(repr, FORMS))}, got {form!r}")
        lacking = [column.name for column in self.selected if column.name not in values]
        if lacking:
            raise ValueError(f"values: the column {lacking[0]!r} is missing; it was selected")
        made = [column.transformed(column.index(values[column.name]), form) for column in self.selected]
        return np.column_stack(made) if made else np.empty((0, 0))

    def to_json(self) -> str:
        """Return all of it as JSON."""
        columns = [
            {
                "name": column.name,
                "bins": column.bins.to_fields(),
                "woe": None if column.woe is None else list(column.woe),
                "kept": column.kept,
            }
            for column in self.columns
        ]
        return json.dumps({"format": FORMAT, "columns": columns})

    @classmethod
    def from_json(cls, text: str | bytes) -> FittedBinning:
        """Return what `to_json` wrote, after checking all of it.

        Raises
        ------
        ValueError
            It is not whole, of another format, or contradicts itself.
        """
        try:
            content = json.loads(text)
            if content["format"] != FORMAT:
                raise ValueError(f"expected format {FORMAT}, got {content['format']!r}")
            columns = tuple(
                FittedColumn(
                    str(entry["name"]),
                    bins_from_fields(entry["bins"]),
                    None if entry["woe"] is None else tuple(float(number) for number in entry["woe"]),
                    entry["kept"] is True,
                )
                for entry in content["columns"]
            )
        except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
            raise ValueError(f"bins: not a whole binning of this software ({error})") from None
        return cls(columns)
