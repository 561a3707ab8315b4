"""Binning of columns, weight of evidence, information value, and selection of columns by it: one party's own part.

What several parties do together is in `cipherlane.vertical.label_sums` and `cipherlane.federation.bin_columns`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cipherlane.binning.bins import CategoryBins, ColumnBins, NumericBins
from cipherlane.binning.evidence import BinTable, information_values, weight_of_evidence
from cipherlane.binning.fitted import FittedBinning, FittedColumn
from cipherlane.binning.forming import category_bins, numeric_bins
from cipherlane.binning.merging import chi_merge, merge_by_label, merge_small, optimal_merge
from cipherlane.binning.rules import BinningRules
from cipherlane.binning.selection import select

if TYPE_CHECKING:
    from cipherlane.binning.woe_binner import WoeBinner

__all__ = [
    "BinTable",
    "BinningRules",
    "CategoryBins",
    "ColumnBins",
    "FittedBinning",
    "FittedColumn",
    "NumericBins",
    "WoeBinner",
    "category_bins",
    "chi_merge",
    "information_values",
    "merge_by_label",
    "merge_small",
    "numeric_bins",
    "optimal_merge",
    "select",
    "weight_of_evidence",
]


def __getattr__(name: str) -> object:
    """Load the estimator, and with it scikit-learn, where it is asked for; parties of a federation never do."""
    if name != "WoeBinner":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from cipherlane.binning.woe_binner import WoeBinner

    return WoeBinner


def __dir__() -> list[str]:
    """Return the names, the estimator's with the others."""
    return sorted({*globals(), *__all__})
