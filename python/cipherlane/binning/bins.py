"""The bins of one column: which bin a value belongs to."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cipherlane.binning.merging import Merge, check_merge
from cipherlane.binning.rules import UNSEEN

BinIndex = NDArray[np.int64]
MISSING_NAME = "missing"
OTHER_NAME = "other"


@dataclass(frozen=True)
class NumericBins:
    """Bins of numbers: a value belongs to the first bin whose cut it does not exceed, or to the last.

    Attributes
    ----------
    cuts
        Rising finite numbers; bin k holds cuts[k - 1] < x <= cuts[k].
    missing
        The bin of missing values (NaN): one of those, or len(cuts) + 1 for a bin of their own; None refuses them.

    Examples
    --------
    >>> bins = NumericBins((0.0, 10.0), missing=3)
    >>> bins.index(np.array([-1.0, 0.0, 0.1, 11.0, np.nan])).tolist()
    [0, 0, 1, 2, 3]
    >>> bins.names
    ('(-inf, 0.0]', '(0.0, 10.0]', '(10.0, inf)', 'missing')
    """

    cuts: tuple[float, ...]
    missing: int | None = None

    def __post_init__(self) -> None:
        """Check the cuts."""
        checked_cuts(self.cuts)
        if self.missing is not None and not 0 <= self.missing <= len(self.cuts) + 1:
            raise ValueError(f"missing: expected a bin from 0 to {len(self.cuts) + 1}, got {self.missing}")

    @property
    def ordered(self) -> int:
        """How many bins have an order, and may be merged with neighbours."""
        return len(self.cuts) + 1

    @property
    def count(self) -> int:
        """How many bins there are."""
        return self.ordered + int(self.missing == self.ordered)

    def index(self, values: NDArray[Any], column: str = "column") -> BinIndex:
        """Return each value's bin, int64 of shape (n,).

        Raises
        ------
        ValueError
            A value is infinite; or one is missing, and there were none when the bins were formed.
        """
        numbers = np.asarray(values, dtype=np.float64)
        infinite = np.isinf(numbers)
        if infinite.any():
            row = int(np.argmax(infinite))
            raise ValueError(f"{column}: row {row + 1}: expected a finite number, got {numbers[row]}; correct it")
        found = np.searchsorted(np.asarray(self.cuts, dtype=np.float64), numbers, side="left").astype(np.int64)
        absent = np.isnan(numbers)
        if absent.any():
            if self.missing is None:
                raise ValueError(
                    f"{column}: row {int(np.argmax(absent)) + 1}: the value is missing ({int(absent.sum())} such rows) "
                    "and bins were formed without one for that; fill it in"
                )
            found[absent] = self.missing
        return found

    @property
    def names(self) -> tuple[str, ...]:
        """One name a bin, as an interval."""
        ends = [-math.inf, *self.cuts, math.inf]
        names = [f"({low!r}, {high!r}{')' if high == math.inf else ']'}" for low, high in itertools.pairwise(ends)]
        if self.missing == self.ordered:
            names.append(MISSING_NAME)
        elif self.missing is not None:
            names[self.missing] += f" or {MISSING_NAME}"
        return tuple(names)

    def merged(self, merge: Merge) -> NumericBins:
        """Return the bins after merging neighbours; a bin of missing values stays.

        Raises
        ------
        ValueError
            `merge` is not one of the bins that have an order.
        """
        check_merge(merge, self.ordered)
        cuts = tuple(cut for cut, step in zip(self.cuts, np.diff(merge), strict=True) if step)
        missing = self.missing
        if missing is not None:
            missing = len(cuts) + 1 if missing == self.ordered else int(merge[missing])
        return NumericBins(cuts, missing)

    def to_fields(self) -> dict[str, Any]:
        """Return the bins as JSON can hold them."""
        return {"kind": "numeric", "cuts": list(self.cuts), "missing": self.missing}


@dataclass(frozen=True)
class CategoryBins:
    """Bins of categories: one for each common one, and one for the rest where some are rare.

    Attributes
    ----------
    categories
        Those with a bin of their own, in the order of their bins.
    rare
        Those that share the bin after these; empty where there is none.
    missing
        The bin of missing values (empty text): one of those, or a bin of their own after them; None refuses them.
    largest
        The bin that had most rows.
    unseen
        "error" or "other": what to do with a category that was not there when the bins were formed.

    Examples
    --------
    >>> bins = CategoryBins(("a", "b"), ("c", "d"))
    >>> bins.index(["b", "d", "a"]).tolist(), bins.names
    ([1, 2, 0], ('a', 'b', 'other'))
    >>> bins.index(["e"], "blood")
    Traceback (most recent call last):
    ...
    ValueError: blood: row 1: the category 'e' was not there when bins were formed; correct it, or set unseen = "other"
    """

    categories: tuple[str, ...]
    rare: tuple[str, ...] = ()
    missing: int | None = None
    largest: int = 0
    unseen: str = "error"

    def __post_init__(self) -> None:
        """Check the fields."""
        named = [*self.categories, *self.rare]
        if len(set(named)) != len(named) or not named or not all(isinstance(name, str) and name for name in named):
            raise ValueError("categories: expected different texts, none of them empty")
        if self.missing is not None and not 0 <= self.missing <= self._with_rows:
            raise ValueError(f"missing: expected a bin from 0 to {self._with_rows}, got {self.missing}")
        if self.unseen not in UNSEEN or not 0 <= self.largest < self.count:
            raise ValueError(f"unseen, largest: expected one of {UNSEEN} and a bin below {self.count}")

    @property
    def _with_rows(self) -> int:
        return len(self.categories) + bool(self.rare)

    @property
    def ordered(self) -> int:
        """How many bins have an order, and may be merged with neighbours: none."""
        return 0

    @property
    def count(self) -> int:
        """How many bins there are."""
        return self._with_rows + int(self.missing == self._with_rows)

    def index(self, values: Iterable[str], column: str = "column") -> BinIndex:
        """Return each category's bin, int64 of shape (n,).

        Raises
        ------
        ValueError
            A category was not there when the bins were formed, or a value is missing and none was then.
        """
        places = {name: k for k, name in enumerate(self.categories)} | dict.fromkeys(self.rare, len(self.categories))
        if self.missing is not None:
            places[""] = self.missing
        other = len(self.categories) if self.rare else self.largest
        allowed = self.unseen == "other"
        try:
            return np.fromiter(
                (places[value] if value in places or not value or not allowed else other for value in values),
                dtype=np.int64,
            )
        except KeyError as error:
            raise self._refusal(str(error.args[0]), values, column) from None

    def _refusal(self, value: str, values: Iterable[str], column: str) -> ValueError:
        row = next((i for i, other in enumerate(values, start=1) if other == value), 0)
        if not value:
            return ValueError(
                f"{column}: row {row}: the value is missing and bins were formed without one for that; fill it in"
            )
        return ValueError(
            f"{column}: row {row}: the category {value[:40]!r} was not there when bins were formed; correct it, or set "
            'unseen = "other"'
        )

    @property
    def names(self) -> tuple[str, ...]:
        """One name a bin."""
        names = [*self.categories, *([OTHER_NAME] if self.rare else [])]
        if self.missing == self._with_rows:
            names.append(MISSING_NAME)
        elif self.missing is not None:
            names[self.missing] += f" or {MISSING_NAME}"
        return tuple(names)

    def merged(self, merge: Merge) -> CategoryBins:
        """Return the bins as they are: categories have no order and are not merged by labels."""
        if len(merge):
            raise ValueError(f"merge: expected none of categories, got {len(merge)} numbers")
        return self

    def to_fields(self) -> dict[str, Any]:
        """Return the bins as JSON can hold them."""
        return {
            "kind": "category",
            "categories": list(self.categories),
            "rare": list(self.rare),
            "missing": self.missing,
            "largest": self.largest,
            "unseen": self.unseen,
        }


ColumnBins = NumericBins | CategoryBins


def bins_from_fields(fields: dict[str, Any]) -> ColumnBins:
    """Return the bins that `to_fields` gave.

    Raises
    ------
    ValueError
        A field is missing or does not fit.
    """
    try:
        missing = None if fields["missing"] is None else int(fields["missing"])
        if fields["kind"] == "numeric":
            return NumericBins(tuple(float(cut) for cut in fields["cuts"]), missing)
        if fields["kind"] == "category":
            names, rare = (tuple(str(name) for name in fields[key]) for key in ("categories", "rare"))
            return CategoryBins(names, rare, missing, int(fields["largest"]), str(fields["unseen"]))
    except (KeyError, TypeError, OverflowError) as error:
        raise ValueError(f"bins: expected the fields of a column's bins ({error})") from None
    raise ValueError(f"bins: expected kind 'numeric' or 'category', got {fields['kind']!r:.40}")


def checked_cuts(cuts: Sequence[float], column: str = "cuts") -> tuple[float, ...]:
    """Return cuts as floats if they are finite and rise, else raise `ValueError`."""
    listed = isinstance(cuts, Iterable) and not isinstance(cuts, str)
    if not listed or not all(isinstance(c, int | float | np.number) and math.isfinite(c) for c in cuts):
        raise ValueError(f"{column}: expected cuts as a list of finite numbers, got {cuts!r:.60}")
    numbers = tuple(float(cut) for cut in cuts)
    if any(low >= high for low, high in itertools.pairwise(numbers)):
        raise ValueError(f"{column}: expected cuts that rise, got {list(numbers)[:8]}")
    return numbers
