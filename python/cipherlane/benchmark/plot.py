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

from cipherlane.benchmark.machine import processor
from cipherlane.benchmark.ours import LIBRARY
from cipherlane.benchmark.rows import PeerFigure, Row
from cipherlane.benchmark.table import rate, times

_OURS = ("#1b4f8f", "#7fb2e5", "#bcd7f2")
_PEERS = {"heu": "#8e5ea2", "gmpy2": "#d98032", "phe": "#5a9b55", LIBRARY: "#8a8f98"}
_BY_HAND = "cipherlane, entry by entry"
_BAR = 0.27  # inches
_GAP = 0.7  # bars between groups
_PANELS_A_LINE = 2


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
    """Draw one panel a key size and write it in the format that the file's name says.

    Of several thread counts and batches the chart shows the fewest threads and the largest batch. A peer stands
    there with what is most like ours; where nothing is alike, its bar is hatched.
    """
    sizes = sorted({row.bits for row in rows})
    backends = list(dict.fromkeys(row.backend for row in rows))
    panels = {bits: _groups([row for row in rows if row.bits == bits], backends) for bits in sizes}
    columns = min(_PANELS_A_LINE, len(sizes))
    lines = math.ceil(len(sizes) / columns)
    tallest = max(sum(len(group.bars) + _GAP for group in groups) for groups in panels.values())
    figure = Figure(figsize=(8.6 * columns, (_BAR * tallest + 0.9) * lines + 1.1))
    figure.set_layout_engine("constrained", hspace=0.04, wspace=0.04)
    FigureCanvasAgg(figure)
    figure.suptitle(f"Paillier on one core: operations per second\n{processor()}, CPU time", fontsize=13)
    drawn: dict[str, _Bar] = {}
    for index, (bits, groups) in enumerate(panels.items()):
        axes = figure.add_subplot(lines, columns, index + 1)
        _draw(axes, groups)
        axes.set_title(f"{bits}-bit key", fontsize=12)
        drawn |= {bar.name: bar for group in groups for bar in group.bars}
    _legend(figure, drawn, any(bar.unlike for groups in panels.values() for group in groups for bar in group.bars))
    figure.savefig(path, dpi=160)


def _groups(rows: Sequence[Row], backends: Sequence[str]) -> list[_Group]:
    """Return an operation's bars together, in the order in which they were measured."""
    fewest = min(row.threads for row in rows)
    chosen: dict[tuple[str, str], Row] = {}
    for row in rows:
        place = (row.operation.name, row.backend)
        if row.threads == fewest and (place not in chosen or row.batch > chosen[place].batch):
            chosen[place] = row
    groups = []
    for operation in dict.fromkeys(name for name, _ in chosen):
        own = [chosen[operation, backend] for backend in backends if (operation, backend) in chosen]
        bars = [_own_bar(row, backends) for row in own] + _peer_bars(own[0])
        title = own[0].operation.title if not own[0].label else f"{own[0].operation.title}\n{own[0].label}"
        groups.append(_Group(title, bars))
    return groups


def _own_bar(row: Row, backends: Sequence[str]) -> _Bar:
    value = row.per_core_second.median
    alike = [figure.ratio.median for figure in row.peers if figure.unlike is None and figure.peer != LIBRARY]
    label = f"{rate(value)}  ({times(min(alike))})" if alike else rate(value)
    colour = _OURS[min(backends.index(row.backend), len(_OURS) - 1)]
    return _Bar(f"cipherlane, {row.backend}", colour, value, label, unlike=False)


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


def _draw(axes: Any, groups: Sequence[_Group]) -> None:
    position, ticks = 0.0, []
    values = [bar.value for group in groups for bar in group.bars]
    left = 10 ** math.floor(math.log10(min(values)) - 0.3)
    # Room for the labels that stand behind the bars.
    right = 10 ** (math.log10(max(values)) + 0.32 * (math.log10(max(values)) - math.log10(left)) + 0.3)
    for group in groups:
        first = position
        for bar in group.bars:
            style = {"alpha": 0.45, "hatch": "////", "edgecolor": "white"} if bar.unlike else {}
            axes.barh(position, bar.value - left, left=left, height=0.86, color=bar.colour, **style)
            axes.text(bar.value * 1.08, position, bar.label, va="center", fontsize=8)
            position += 1
        ticks.append((first + position - 1) / 2)
        position += _GAP
    axes.set_xscale("log")
    axes.set_xlim(left, right)
    axes.set_ylim(position - _GAP, -1)
    axes.set_yticks(ticks, [group.title for group in groups], fontsize=9)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(LogLocator(10, numticks=12))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _power_of_ten(value)))
    axes.set_xlabel("operations per second (logarithmic)", fontsize=10)
    axes.grid(axis="x", color="#dddddd", linewidth=0.7)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)


def _power_of_ten(value: float) -> str:
    """Return 1,000 as "1 k" and 1,000,000 as "1 M"."""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:g} {unit}"
    return f"{value:g}"


def _legend(figure: Figure, drawn: dict[str, _Bar], unlike: bool) -> None:
    handles = [Patch(color=bar.colour, label=name) for name, bar in drawn.items()]
    if unlike:
        handles.append(Patch(facecolor="#aaaaaa", alpha=0.6, hatch="////", edgecolor="white", label="unlike ours"))
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=min(6, len(handles)),
        frameon=False,
        fontsize=9,
        title="in brackets: our rate over that of the fastest peer that does the same",
        title_fontsize=9,
    )
