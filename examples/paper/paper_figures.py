"""The report's figures: described once, drawn as inline SVG for the page and with matplotlib as SVG and PNG files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Drawing

from cipherlane.federation import BinningRun
from cipherlane.report.svg import (
    COLOURS,
    Curve,
    Interval,
    Series,
    interval_chart,
    line_chart,
    lying_bars,
    share_curves,
    signed_bars,
    standing_bars,
)

from paper_compare import FEDERATED, LOGISTIC, MIXTURE, POOLED, ROUNDED, TRUTH, Comparison
from paper_measures import calibration, roc_points
from paper_tables import COLUMN

# Bins of a calibration with fewer rows than this would show chance.
FEWEST_DRAWN = 5
_SHOWN = {
    LOGISTIC: (FEDERATED, POOLED[LOGISTIC], "guest's columns alone", "host's columns alone"),
    MIXTURE: (
        FEDERATED,
        ROUNDED,
        "pooled, full covariance",
        "guest's columns alone",
        "host's columns alone",
        "pooled, k-means",
    ),
}
_CALIBRATED = {LOGISTIC: (FEDERATED, POOLED[LOGISTIC]), MIXTURE: (FEDERATED, "pooled, full covariance")}


@dataclass(frozen=True)
class Figure(ABC):
    """A figure's key, which names its files, and its text."""

    key: str
    title: str
    x_label: str
    y_label: str

    @abstractmethod
    def html(self) -> str:
        """Return it for the page."""

    @abstractmethod
    def draw(self, axes: Any) -> None:
        """Draw it on axes of matplotlib."""

    @property
    def names(self) -> Sequence[str]:
        """What stands at the left of a chart that lies, one a line; nothing for others."""
        return ()

    def write(self, directory: Path) -> list[Path]:
        """Write it as SVG and PNG."""
        height = 1.4 + 0.36 * len(self.names) if self.names else 4.6
        width = 8.6 if self.names else 7.2
        drawing = Drawing(figsize=(width, height))
        FigureCanvasAgg(drawing)
        # Room in inches for text around the axes; measuring it would draw every figure twice.
        left = 0.3 + 0.078 * max(map(len, self.names)) if self.names else 0.86
        drawing.subplots_adjust(left / width, 0.62 / height, 0.97, 1 - 0.42 / height)
        axes = drawing.add_subplot()
        axes.set_title(self.title)
        axes.set_xlabel(self.x_label)
        if self.y_label:
            axes.set_ylabel(self.y_label)
        axes.grid(True, color="#e6ebef")
        axes.set_axisbelow(True)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        self.draw(axes)
        paths = [directory / f"{self.key}.svg", directory / f"{self.key}.png"]
        # The same content is the same file: no date, and ids that are not drawn at random.
        with rc_context({"svg.hashsalt": "cipherlane"}):
            drawing.savefig(paths[0], metadata={"Date": None})
        drawing.savefig(paths[1], dpi=150)
        return paths


@dataclass(frozen=True)
class StandingBars(Figure):
    """One stacked bar a label."""

    labels: Sequence[str]
    series: Sequence[Series]

    def html(self) -> str:
        """Return it for the page."""
        return standing_bars(self.title, self.x_label, self.y_label, self.labels, self.series)

    def draw(self, axes: Any) -> None:
        """Draw it on axes of matplotlib."""
        below = [0.0] * len(self.labels)
        for part, colour in zip(self.series, COLOURS, strict=False):
            axes.bar(self.labels, part.values, bottom=below, color=colour, label=part.name)
            below = [a + b for a, b in zip(below, part.values, strict=True)]
        axes.set_ylim(0, 1.15 * max(below))
        axes.legend(frameon=False, ncols=2, loc="upper center")


@dataclass(frozen=True)
class SignedBars(Figure):
    """One bar a label, up from zero or down."""

    labels: Sequence[str]
    values: Sequence[float]

    def html(self) -> str:
        """Return it for the page."""
        return signed_bars(self.title, self.x_label, self.y_label, self.labels, self.values)

    def draw(self, axes: Any) -> None:
        """Draw it on axes of matplotlib."""
        axes.bar(self.labels, self.values, color=[COLOURS[0] if value >= 0 else COLOURS[1] for value in self.values])
        axes.axhline(0, color="#8a98a5", linewidth=0.8)


@dataclass(frozen=True)
class LyingBars(Figure):
    """One stacked bar a label, lying."""

    labels: Sequence[str]
    series: Sequence[Series]

    @property
    def names(self) -> Sequence[str]:
        """The labels."""
        return self.labels

    def html(self) -> str:
        """Return it for the page."""
        return lying_bars(self.title, self.x_label, self.labels, self.series, legend=len(self.series) > 1)

    def draw(self, axes: Any) -> None:
        """Draw it on axes of matplotlib."""
        places, left = range(len(self.labels)), [0.0] * len(self.labels)
        for part, colour in zip(self.series, COLOURS, strict=False):
            axes.barh(places, part.values, left=left, color=colour, label=part.name)
            left = [a + b for a, b in zip(left, part.values, strict=True)]
        axes.set_yticks(places, self.labels)
        axes.set_ylim(len(self.labels) - 0.4, -0.6)
        if len(self.series) > 1:
            axes.legend(frameon=False, loc="lower right")


@dataclass(frozen=True)
class Line(Figure):
    """One line over whole numbers."""

    xs: Sequence[int]
    ys: Sequence[float]

    def html(self) -> str:
        """Return it for the page."""
        return line_chart(self.title, self.x_label, self.y_label, self.xs, self.ys)

    def draw(self, axes: Any) -> None:
        """Draw it on axes of matplotlib."""
        axes.plot(self.xs, self.ys, color=COLOURS[0], marker="o", markersize=3)
        axes.xaxis.get_major_locator().set_params(integer=True)


@dataclass(frozen=True)
class ShareCurves(Figure):
    """Curves of shares against shares, and the diagonal."""

    curves: Sequence[Curve]

    def html(self) -> str:
        """Return it for the page."""
        return share_curves(self.title, self.x_label, self.y_label, self.curves)

    def draw(self, axes: Any) -> None:
        """Draw it on axes of matplotlib."""
        axes.plot([0, 1], [0, 1], color="#8a98a5", linestyle="--", linewidth=0.8)
        for curve, colour in zip(self.curves, COLOURS, strict=False):
            axes.plot(
                curve.xs, curve.ys, color=colour, label=curve.name, marker="o" if curve.marked else None, markersize=4
            )
        axes.legend(frameon=False)


@dataclass(frozen=True)
class Intervals(Figure):
    """An interval and its number a line."""

    intervals: Sequence[Interval]
    groups: Sequence[str]

    @property
    def names(self) -> Sequence[str]:
        """Of the intervals."""
        return [one.name for one in self.intervals]

    def html(self) -> str:
        """Return it for the page."""
        return interval_chart(self.title, self.x_label, self.intervals, self.groups)

    def draw(self, axes: Any) -> None:
        """Draw it on axes of matplotlib."""
        shown: set[int] = set()
        for place, one in enumerate(self.intervals):
            label = None if one.group in shown else self.groups[one.group]
            shown.add(one.group)
            axes.plot([one.low, one.high], [place, place], color=COLOURS[one.group], linewidth=2.5)
            axes.plot([one.value], [place], "o", color=COLOURS[one.group], label=label)
        axes.set_yticks(range(len(self.names)), self.names)
        axes.invert_yaxis()
        axes.legend(frameon=False)


def figure_6(run: BinningRun) -> Figure:
    """Events and non-events by bin."""
    table = next(table for table in run.result.tables["guest"] if table.column == COLUMN)
    series = [
        Series("event (benign)", table.events.tolist()),
        Series("non-event (malignant)", table.non_events.tolist()),
    ]
    labels = [str(k + 1) for k in range(len(table.events))]
    return StandingBars(
        "figure_6", f"Figure 6: events and non-events by bin of {COLUMN}", "bin", "rows", labels, series
    )


def figure_7(run: BinningRun) -> Figure:
    """Weight of evidence by bin, with the paper's sign."""
    table = next(table for table in run.result.tables["guest"] if table.column == COLUMN)
    values = [row[3] for row in table.rows("paper")]
    labels = [str(k + 1) for k in range(len(values))]
    label = "ln(non-event rate / event rate)"
    return SignedBars("figure_7", f"Figure 7: weight of evidence by bin of {COLUMN}", "bin", label, labels, values)


def values_figure(run: BinningRun) -> Figure:
    """Information value of each column."""
    columns = sorted(
        (
            (table.information_value, f"{party}: {table.column}", bool(keep))
            for party, tables in run.result.tables.items()
            for table, keep in zip(tables, run.result.kept[party], strict=True)
        ),
        key=lambda column: (-column[0], column[1]),
    )
    series = [
        Series("kept", [value if keep else 0.0 for value, _, keep in columns]),
        Series("not kept", [0.0 if keep else value for value, _, keep in columns]),
    ]
    names = [name for _, name, _ in columns]
    return LyingBars("information_values", "Information value of each column", "information value", "", names, series)


def model_figures(comparison: Comparison) -> list[Figure]:
    """ROC curves, calibration and areas of both models on a data set."""
    figures: list[Figure] = []
    key, title = comparison.dataset.key, comparison.dataset.title
    for kind, found in comparison.said.items():
        file = kind.split()[0]
        curves = [
            Curve(
                name,
                *(points.tolist() for points in roc_points(comparison.labels, comparison.folds, found[name].ranks)),
            )
            for name in _SHOWN[kind]
        ]
        figures.append(
            ShareCurves(
                f"roc_{file}_{key}", f"{title}: ROC of the {kind}", "false positive rate", "true positive rate", curves
            )
        )
        calibrated = []
        for name in _CALIBRATED[kind]:
            points = [p for p in calibration(comparison.labels, found[name].probabilities) if p[2] >= FEWEST_DRAWN]
            calibrated.append(Curve(name, [p[0] for p in points], [p[1] for p in points], marked=True))
        figures.append(
            ShareCurves(
                f"calibration_{file}_{key}",
                f"{title}: calibration of the {kind}",
                "predicted probability of the event",
                "observed share of events",
                calibrated,
            )
        )
    return figures


def areas_figure(comparison: Comparison) -> Figure:
    """Areas under the curve with their intervals."""
    kinds = list(comparison.measures)
    intervals = [
        Interval(name, m.auc.value, m.auc.low, m.auc.high, kinds.index(kind))
        for kind, found in comparison.measures.items()
        for name, m in found.items()
        if kind == LOGISTIC or name != TRUTH
    ]
    title = f"{comparison.dataset.title}: AUC with 95 % intervals"
    return Intervals(f"auc_{comparison.dataset.key}", title, "area under the ROC curve", "", intervals, kinds)


def convergence_figures(comparison: Comparison) -> list[Figure]:
    """Loss and likelihood by round, of the first fold."""
    key, title = comparison.dataset.key, comparison.dataset.title
    logistic = comparison.first.logistic_run.metrics["iterations"]
    mixture = comparison.first.mixture_run.metrics["iterations"]
    return [
        Line(
            f"convergence_logistic_{key}",
            f"{title}: loss of the logistic regression",
            "epoch",
            "mean cross-entropy a row (nats)",
            [record["round"] for record in logistic],
            [-record["log_likelihood"] for record in logistic],
        ),
        Line(
            f"convergence_mixture_{key}",
            f"{title}: likelihood of the mixture",
            "iteration",
            "mean log-likelihood a row (nats)",
            [record["round"] for record in mixture],
            [record["log_likelihood"] for record in mixture],
        ),
    ]


def cost_figures(comparisons: Sequence[Comparison]) -> list[Figure]:
    """Seconds and bytes of each step."""
    names = [f"{c.dataset.title}: {step.name}" for c in comparisons for step in c.first.steps]
    steps = [step for c in comparisons for step in c.first.steps]
    seconds = [Series("seconds", [step.seconds for step in steps])]
    size = [Series("MB", [step.size / 1e6 for step in steps])]
    return [
        LyingBars("time", "Time of each step, all roles on this machine", "seconds", "", names, seconds),
        LyingBars("traffic", "Traffic of each step, all messages", "MB", "", names, size),
    ]
