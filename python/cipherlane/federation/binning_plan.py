"""The sections ``[binning]`` and ``[privacy]`` of a plan that bins columns."""

from __future__ import annotations

from dataclasses import dataclass, field

from cipherlane.binning import BinningRules
from cipherlane.binning.rules import METHODS, MISSING, MOST_BINS, MOST_FINE_BINS, TRENDS, UNSEEN
from cipherlane.federation.plan_fields import Section
from cipherlane.vertical.messages import MAXIMUM_ROWS


@dataclass(frozen=True)
class BinningPlan:
    """How columns are cut and selected, and what hosts are told.

    Attributes
    ----------
    rules
        How columns are cut.
    event
        The label, as text, that is an event.
    threshold, top
        Columns are kept whose information value is above the threshold and among the largest; None asks for nothing.
    tell_woe
        Whether a host is told the weight of evidence of its bins, and so their rates of labels.
    tell_names
        Whether the guest is told the names of the hosts' columns.
    least_of_each_class
        With `tell_woe`: a host is told of no bin with fewer rows of a class.
    """

    rules: BinningRules = field(default_factory=BinningRules)
    event: str = "1"
    threshold: float | None = None
    top: int | None = None
    tell_woe: bool = False
    tell_names: bool = False
    least_of_each_class: int = 5


def read_binning(section: Section, privacy: Section) -> BinningPlan:
    """Return what the two sections say, every field checked."""
    rules = BinningRules(
        method=section.choice("method", METHODS, default="quantile"),
        bins=section.whole("bins", 2, MOST_BINS, default=10),
        fine_bins=section.whole("fine_bins", 2, MOST_FINE_BINS, default=50),
        least_rows=section.whole("least_rows", 1, MAXIMUM_ROWS, default=5),
        significance=section.real("significance", 1e-12, 1.0 - 1e-12, default=0.05),
        trend=section.choice("trend", TRENDS, default="auto"),
        missing=section.choice("missing", MISSING, default="bin"),
        unseen=section.choice("unseen", UNSEEN, default="error"),
    )
    plan = BinningPlan(
        rules,
        event=section.text("event", default="1"),
        threshold=section.optional_real("threshold", 0.0, 1e6),
        top=section.optional_whole("top", 1, 1 << 20),
        tell_woe=privacy.flag("tell_woe", default=False),
        tell_names=privacy.flag("tell_names", default=False),
        least_of_each_class=privacy.whole("least_of_each_class", 1, MAXIMUM_ROWS, default=5),
    )
    section.close()
    privacy.close()
    return plan
