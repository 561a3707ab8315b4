"""Rows as a chart for a talk: operations a second on a logarithmic scale, ours next to the peers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator

from cipherlane.benchmark.device import about
from cipherlane.benchmark.machine import processor
from cipherlane.benchmark.ours import LIBRARY
from cipherlane.benchmark.rows import PeerFigure, Row
from cipherlane.benchmark.table import rate, times

_OURS = ("#1b4f8f", "#4484c4", "#85b5e3", "#bcd7f2")
_PEERS = {"heu": "#8e5ea2", "gmpy2": "#d98032", "phe": "#5a9b55", LIBRARY: "#8a8f98"}
_BY_HAND = "cipherlane, entry by entry"
_PANEL, _BAR = 8.4, 0.22  # inches: width of a panel, height of a bar
_GAP = 0.7  # bars between groups
_FEW = 20  # bars that one column holds


@dataclass(frozen=True)
class _Bar:
    name: str
    colour: str
    value: float
    label: str
    unlike: bool


@dataclass(frozen=True)
class _Group:
    title: str
    bars: list[_Bar]


def write_plot(path: Path, rows: Sequence[Row]) -> None:
    """Draw the rows, a line of panels for each key size, and write them in the format that the file's name says.

    Of several thread counts and batches the chart shows the fewest threads and the largest batch. A peer stands
    there with what is most like ours; where nothing is alike, its bar is hatched.
    """
    backends = list(dict.fromkeys(row.backend for row in rows))
    lines = {}
    for bits in sorted({row.bits for row in rows}):
        lines[bits] = _columns(_groups([row for row in rows if row.bits == bits], backends))
    bars = [bar for columns in lines.values() for groups in columns for group in groups for bar in group.bars]
    width = max(len(columns) for columns in lines.values())
    heights = [max(_height(groups) for groups in columns) for columns in lines.values()]
    size = (_PANEL * width, _BAR * sum(heights) + 0.9 * len(lines) + 1.5)
    figure = Figure(figsize=size)
    figure.set_layout_engine("constrained", hspace=0.02, wspace=0.03)
    FigureCanvasAgg(figure)
    figure.suptitle(f"Paillier encryption {_where(rows)}", fontsize=15)
    grid = figure.add_gridspec(len(lines), width, height_ratios=heights)
    limits = _limits(bars)
    for line, (bits, columns) in enumerate(lines.items()):
        for column, groups in enumerate(columns):
            axes = figure.add_subplot(grid[line, column])
            _draw(axes, groups, limits)
            axes.set_title(f"{bits}-bit key" if column == 0 else "", fontsize=13, loc="left")
    _legend(figure, bars)
    figure.savefig(path, dpi=150)


def _where(rows: Sequence[Row]) -> str:
    kinds = {row.device for row in rows}
    if kinds == {False}:
        return f"on one core: operations per second\n{processor()}"
    device = about()["name"]
    if kinds == {True}:
        return f"on a device: operations per second\n{device}"
    return f"on one core of {processor()},\nand on the whole of {device}: operations per second"


def _height(groups: Sequence[_Group]) -> float:
    return sum(len(group.bars) + _GAP for group in groups)


def _columns(groups: list[_Group]) -> list[list[_Group]]:
    """Return the groups in two columns of about the same height, or one if they are few."""
    if _height(groups) < _FEW:
        return [groups]
    split = min(range(1, len(groups)), key=lambda index: abs(_height(groups[:index]) - _height(groups[index:])))
    return [groups[:split], groups[split:]]


def _limits(bars: Sequence[_Bar]) -> tuple[float, float]:
    """Return the ends of the axis, with room for the labels that stand behind the bars."""
    least, most = (math.log10(end(bar.value for bar in bars)) for end in (min, max))
    left = math.floor(least - 0.3)
    return 10.0**left, 10 ** (most + 0.3 * (most - left) + 0.3)


def _groups(rows: Sequence[Row], backends: Sequence[str]) -> list[_Group]:
    """Return an operation's bars together, in the order in which they were measured."""
    fewest = min((row.threads for row in rows if not row.device), default=0)
    chosen: dict[tuple[str, str], Row] = {}
    for row in rows:
        place = (row.operation.name, row.backend)
        if (row.device or row.threads == fewest) and (place not in chosen or row.batch > chosen[place].batch):
            chosen[place] = row
    groups = []
    for operation in dict.fromkeys(name for name, _ in chosen):
        own = [chosen[operation, backend] for backend in backends if (operation, backend) in chosen]
        # Peers stand beside processors: only those rows have them.
        bars = [_own_bar(row, backends) for row in own] + _peer_bars(next((row for row in own if row.peers), own[0]))
        title = own[0].operation.title if not own[0].label else f"{own[0].operation.title}\n{own[0].label}"
        groups.append(_Group(title, bars))
    return groups


def _own_bar(row: Row, backends: Sequence[str]) -> _Bar:
    value = row.per_second.median
    alike = [figure.ratio.median for figure in row.peers if figure.unlike is None and figure.peer != LIBRARY]
    label = f"{rate(value)}  ({times(min(alike))})" if alike else rate(value)
    colour = _OURS[min(backends.index(row.backend), len(_OURS) - 1)]
    name = f"cipherlane, {row.backend}{' (whole device)' if row.device else ''}"
    return _Bar(name, colour, value, label, unlike=False)


def _peer_bars(row: Row) -> list[_Bar]:
    """Return one bar a peer, the fastest first."""
    best: dict[str, PeerFigure] = {}
    for figure in sorted(row.peers, key=lambda one: (one.unlike is not None, -one.per_core_second.median)):
        best.setdefault(figure.peer, figure)
    bars = []
    for figure in sorted(best.values(), key=lambda one: -one.per_core_second.median):
        value = figure.per_core_second.median
        label = rate(value) if figure.unlike is None else f"{rate(value)}  unlike: {figure.unlike}"
        name = _BY_HAND if figure.peer == LIBRARY else figure.peer
        bars.append(_Bar(name, _PEERS[figure.peer], value, label, figure.unlike is not None))
    return bars


def _draw(axes: Any, groups: Sequence[_Group], limits: tuple[float, float]) -> None:
    position, ticks = 0.0, []
    for group in groups:
        first = position
        for bar in group.bars:
            style = {"alpha": 0.45, "hatch": "////", "edgecolor": "white"} if bar.unlike else {}
            axes.barh(position, bar.value - limits[0], left=limits[0], height=0.86, color=bar.colour, **style)
            axes.text(bar.value * 1.1, position, bar.label, va="center", fontsize=9)
            position += 1
        ticks.append((first + position - 1) / 2)
        position += _GAP
    axes.set_xscale("log")
    axes.set_xlim(*limits)
    axes.set_ylim(position - _GAP, -1)
    axes.set_yticks(ticks, [group.title for group in groups], fontsize=10)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(LogLocator(10, numticks=12))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _power_of_ten(value)))
    axes.set_xlabel("operations per second of CPU time, or of the device (logarithmic)", fontsize=10)
    axes.grid(axis="x", color="#dddddd", linewidth=0.7)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)


def _power_of_ten(value: float) -> str:
    """Return 1,000 as "1 k" and 1,000,000 as "1 M"."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:g} {unit}"
    return f"{value:g}"


def _legend(figure: Figure, bars: Sequence[_Bar]) -> None:
    colours = {bar.name: bar.colour for bar in bars}
    handles = [Patch(color=colour, label=name) for name, colour in colours.items()]
    if any(bar.unlike for bar in bars):
        handles.append(Patch(facecolor="#aaaaaa", alpha=0.6, hatch="////", edgecolor="white", label="unlike ours"))
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=len(handles),
        frameon=False,
        fontsize=11,
        title="in brackets: our rate over that of the fastest peer that does the same",
        title_fontsize=10,
    )
