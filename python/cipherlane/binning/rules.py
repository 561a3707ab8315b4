"""How columns are cut into bins."""

from __future__ import annotations

import math
from dataclasses import dataclass

METHODS = ("quantile", "width", "chi-merge", "optimal")
# Which first cut finely without labels, and merge neighbours once the labels' counts are known.
LABEL_METHODS = ("chi-merge", "optimal")
TRENDS = ("auto", "increasing", "decreasing", "none")
MISSING = ("bin", "error")
UNSEEN = ("error", "other")
MOST_BINS = 1024
# The search for the optimal merge takes memory that grows with their third power.
MOST_FINE_BINS = 200


@dataclass(frozen=True)
class BinningRules:
    """How columns are cut into bins; the fields of a plan's section ``[binning]``.

    Attributes
    ----------
    method
        "quantile": cut k of B is sorted(x)[ceil(k n / B) - 1]. "width": cuts at equal distances. "chi-merge" and
        "optimal": `fine_bins` quantile bins, of which neighbours are merged by their counts of events.
    bins
        At most so many bins of numbers, or categories with a bin of their own.
    fine_bins
        With "chi-merge" and "optimal": how many quantile bins they start from.
    least_rows
        A bin with fewer rows is merged into another.
    significance
        With "chi-merge": neighbours whose event rates do not differ at this level are merged.
    trend
        With "optimal": how event rates go from bin to bin. "auto" is the better of "increasing" and "decreasing";
        "none" allows any.
    missing
        "bin": missing values have a bin of their own. "error": they are refused.
    unseen
        A category that was not there when bins were formed: "error" refuses it, "other" puts it into the bin of rare
        categories, or the largest where there is none.

    Raises
    ------
    ValueError
        A field is out of range; the message names it.

    Examples
    --------
    >>> BinningRules(bins=5).method
    'quantile'
    >>> BinningRules(bins=1)
    Traceback (most recent call last):
    ...
    ValueError: bins: expected an integer from 2 to 1024, got 1
    """

    method: str = "quantile"
    bins: int = 10
    fine_bins: int = 50
    least_rows: int = 5
    significance: float = 0.05
    trend: str = "auto"
    missing: str = "bin"
    unseen: str = "error"

    def __post_init__(self) -> None:
        """Check the fields."""
        for name, allowed in (("method", METHODS), ("trend", TRENDS), ("missing", MISSING), ("unseen", UNSEEN)):
            value = getattr(self, name)
            if value not in allowed:
                raise ValueError(f"{name}: expected one of {', '.join(map(repr, allowed))}, got {value!r}")
        for name, least, most in (("bins", 2, MOST_BINS), ("fine_bins", 2, MOST_FINE_BINS), ("least_rows", 1, 1 << 31)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                raise ValueError(f"{name}: expected an integer from {least} to {most}, got {value!r}")
        if not (isinstance(self.significance, float) and math.isfinite(self.significance)):
            raise ValueError(f"significance: expected a number between 0 and 1, got {self.significance!r}")
        if not 0 < self.significance < 1:
            raise ValueError(f"significance: expected a number between 0 and 1, got {self.significance}")

    @property
    def uses_labels(self) -> bool:
        """Whether bins depend on labels, and not on the column alone."""
        return self.method in LABEL_METHODS

    @property
    def first_bins(self) -> int:
        """How many bins are cut before labels are looked at."""
        return self.fine_bins if self.uses_labels else self.bins
