"""Small charts as inline SVG: a line, bars that stand, hang or lie; nothing is loaded from anywhere."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

# Okabe and Ito's colours, which colour-blind readers tell apart.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#7f7f7f")
_WIDTH = 460
_HEIGHT = 290
_LEFT, _RIGHT, _TOP, _BOTTOM = 84, 14, 14, 48
_TICKS = 5
_LONGEST_LABEL = 24


@dataclass(frozen=True)
class Series:
    """A named row of numbers, drawn in one colour."""

    name: str
    values: Sequence[float]


@dataclass(frozen=True)
class Curve:
    """A named line through points (x, y), each of which is marked if `marked`."""

    name: str
    xs: Sequence[float]
    ys: Sequence[float]
    marked: bool = False


@dataclass(frozen=True)
class Interval:
    """A named number between two others, drawn in the colour of its group."""

    name: str
    value: float
    low: float
    high: float
    group: int = 0


def line_chart(
    title: str, x_label: str, y_label: str, xs: Sequence[int], ys: Sequence[float], *, least: float = math.inf
) -> str:
    """Return a figure with one line through the points (x, y), and ``least`` on its vertical axis.

    Examples
    --------
    >>> "polyline" in line_chart("Convergence", "round", "mean log-likelihood", [1, 2], [-10.5, -9.9])
    True
    """
    frame = _Frame(min(xs), max(xs), min(*ys, least), max(ys))
    points = " ".join(f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in zip(xs, ys, strict=True))
    body = [f'<polyline points="{points}" fill="none" stroke="{COLOURS[0]}" stroke-width="2"/>']
    if len(xs) <= 60:
        body += [
            f'<circle cx="{frame.x(x):.1f}" cy="{frame.y(y):.1f}" r="3" fill="{COLOURS[0]}">'
            f"<title>{x}: {y:.6g}</title></circle>"
            for x, y in zip(xs, ys, strict=True)
        ]
    marks = [(frame.x(x), f"{x:g}") for x in whole_ticks(min(xs), max(xs))]
    return _figure(title, _axes(frame, marks, x_label, y_label) + body, [])


def standing_bars(
    title: str, x_label: str, y_label: str, labels: Sequence[str], series: Sequence[Series], *, legend: bool = True
) -> str:
    """Return a figure with one stacked bar a label; with many bars, only some of the labels are written."""
    totals = [sum(part.values[i] for part in series) for i in range(len(labels))]
    frame = _Frame(0, len(labels), 0.0, max([*totals, 1e-12]))
    width = (frame.x(1) - frame.x(0)) * 0.8
    body = []
    for i, label in enumerate(labels):
        below = 0.0
        left = frame.x(i + 0.5) - width / 2
        for colour, part in zip(_colours(series), series, strict=True):
            value = part.values[i]
            top, bottom = frame.y(below + value), frame.y(below)
            body.append(
                f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{bottom - top:.1f}" fill="{colour}">'
                f"<title>{_text(label)}, {_text(part.name)}: {value:.4g}</title></rect>"
            )
            below += value
    step = max(1, math.ceil(len(labels) / 10))
    marks = [(frame.x(i + 0.5), _text(labels[i])) for i in range(0, len(labels), step)]
    axes = _axes(frame, marks, x_label, y_label)
    return _figure(title, axes + body, [part.name for part in series] if legend else [])


def signed_bars(title: str, x_label: str, y_label: str, labels: Sequence[str], values: Sequence[float]) -> str:
    """Return a figure with one bar a label, up from zero or down from it; with many bars, only some labels are written.

    Examples
    --------
    >>> signed_bars("WoE", "bin", "WoE", ["a", "b"], [-1.0, 2.0]).count("<rect")
    2
    """
    frame = _Frame(0, len(labels), min([0.0, *values]), max([*values, 1e-3]))
    width = (frame.x(1) - frame.x(0)) * 0.8
    zero = frame.y(0.0)
    body = []
    for i, (label, value) in enumerate(zip(labels, values, strict=True)):
        top, bottom = sorted((frame.y(value), zero))
        body.append(
            f'<rect x="{frame.x(i + 0.5) - width / 2:.1f}" y="{top:.1f}" width="{width:.1f}" '
            f'height="{bottom - top:.1f}" fill="{COLOURS[0] if value >= 0 else COLOURS[1]}">'
            f"<title>{_text(label)}: {value:.6g}</title></rect>"
        )
    body.append(f'<line class="base" x1="{_LEFT}" y1="{zero:.1f}" x2="{_WIDTH - _RIGHT}" y2="{zero:.1f}"/>')
    step = max(1, math.ceil(len(labels) / 10))
    marks = [(frame.x(i + 0.5), _text(labels[i])) for i in range(0, len(labels), step)]
    return _figure(title, _axes(frame, marks, x_label, y_label) + body, [])


def lying_bars(
    title: str, x_label: str, labels: Sequence[str], series: Sequence[Series], *, legend: bool = True
) -> str:
    """Return a figure with one stacked bar a label, each on a line under its label, as long as the sum of its parts."""
    line = 40
    bottom = 8 + line * len(labels)
    totals = [sum(part.values[i] for part in series) for i in range(len(labels))]
    ticks = nice_ticks(0.0, max([*totals, 1e-12]))
    left, right = 18, _WIDTH - 26
    scale = (right - left) / ticks[-1]
    decimals = _decimals(ticks)
    body = []
    for tick in ticks:
        x = left + tick * scale
        body.append(f'<line class="grid" x1="{x:.1f}" y1="4" x2="{x:.1f}" y2="{bottom}"/>')
        body.append(f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{_number(tick, decimals)}</text>')
    for i, label in enumerate(labels):
        y = 8 + line * i
        body.append(f'<text x="{left}" y="{y + 9}">{_text(label)}</text>')
        x = float(left)
        for colour, part in zip(_colours(series), series, strict=True):
            width = part.values[i] * scale
            body.append(
                f'<rect x="{x:.1f}" y="{y + 16}" width="{width:.1f}" height="16" fill="{colour}">'
                f"<title>{_text(label)}, {_text(part.name)}: {part.values[i]:.4g}</title></rect>"
            )
            x += width
    middle = (left + right) / 2
    body.append(f'<text class="axis" x="{middle}" y="{bottom + 36}" text-anchor="middle">{_text(x_label)}</text>')
    return _figure(title, body, [part.name for part in series] if legend else [], height=bottom + 44)


def signed_lying_bars(title: str, x_label: str, labels: Sequence[str], series: Sequence[Series]) -> str:
    """Return a figure with one bar a label, right from zero or left from it, in the colour of the series that has it.

    Examples
    --------
    >>> signed_lying_bars("Weights", "weight", ["a", "b"], [Series("one", [-1.0, 2.0])]).count("<rect")
    2
    """
    line = 17
    bottom = 8 + line * len(labels)
    values = [sum(part.values[i] for part in series) for i in range(len(labels))]
    ticks = nice_ticks(min([0.0, *values]), max([*values, 1e-3]))
    left, right = 160, _WIDTH - 26
    scale = (right - left) / (ticks[-1] - ticks[0])
    zero, decimals = left - ticks[0] * scale, _decimals(ticks)
    body = []
    for tick in ticks:
        x = zero + tick * scale
        body.append(f'<line class="grid" x1="{x:.1f}" y1="4" x2="{x:.1f}" y2="{bottom}"/>')
        body.append(f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{_number(tick, decimals)}</text>')
    for i, (label, value) in enumerate(zip(labels, values, strict=True)):
        y = 8 + line * i
        shown = label if len(label) <= _LONGEST_LABEL else label[: _LONGEST_LABEL - 1] + "\N{HORIZONTAL ELLIPSIS}"
        body.append(f'<text x="{left - 8}" y="{y + 12}" text-anchor="end">{_text(shown)}</text>')
        owner = next((n for n, part in enumerate(series) if part.values[i]), 0)
        start, end = sorted((zero, zero + value * scale))
        body.append(
            f'<rect x="{start:.1f}" y="{y + 3}" width="{end - start:.1f}" height="{line - 6}" '
            f'fill="{_colours(series)[owner]}"><title>{_text(label)}: {value:.6g}</title></rect>'
        )
    body.append(f'<line class="base" x1="{zero:.1f}" y1="4" x2="{zero:.1f}" y2="{bottom}"/>')
    middle = (left + right) / 2
    body.append(f'<text class="axis" x="{middle}" y="{bottom + 36}" text-anchor="middle">{_text(x_label)}</text>')
    return _figure(title, body, [part.name for part in series], height=bottom + 44)


def share_curves(title: str, x_label: str, y_label: str, curves: Sequence[Curve]) -> str:
    """Return a figure with several curves of shares in [0, 1] against shares, and the diagonal between them.

    Examples
    --------
    >>> share_curves("ROC", "false positives", "true positives", [Curve("a", [0, 1], [0, 1])]).count("<polyline")
    1
    """
    frame = _Frame(0.0, 1.0, 0.0, 1.0)
    body = [
        f'<line class="base" x1="{frame.x(0)}" y1="{frame.y(0)}" x2="{frame.x(1)}" y2="{frame.y(1)}" '
        'stroke-dasharray="4 4"/>'
    ]
    for number, curve in enumerate(curves):
        colour = COLOURS[number % len(COLOURS)]
        points = [(frame.x(x), frame.y(y)) for x, y in zip(curve.xs, curve.ys, strict=True)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        body.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"><title>{_text(curve.name)}'
            "</title></polyline>"
        )
        if curve.marked:
            body += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points]
    marks = [(frame.x(tick), f"{tick:.1f}") for tick in frame.ticks]
    return _figure(title, _axes(frame, marks, x_label, y_label) + body, [curve.name for curve in curves])


def interval_chart(title: str, x_label: str, intervals: Sequence[Interval], groups: Sequence[str]) -> str:
    """Return a figure with one interval and its number a line, each under its name.

    Examples
    --------
    >>> interval_chart("AUC", "AUC", [Interval("pooled", 0.9, 0.85, 0.95)], ["mixture"]).count("<circle")
    1
    """
    line = 38
    bottom = 8 + line * len(intervals)
    ticks = nice_ticks(min(one.low for one in intervals), max(one.high for one in intervals))
    left, right = 18, _WIDTH - 26
    scale = (right - left) / (ticks[-1] - ticks[0])
    decimals = _decimals(ticks)
    body = []
    for tick in ticks:
        x = left + (tick - ticks[0]) * scale
        body.append(f'<line class="grid" x1="{x:.1f}" y1="4" x2="{x:.1f}" y2="{bottom}"/>')
        body.append(f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{_number(tick, decimals)}</text>')
    for number, one in enumerate(intervals):
        y = 8 + line * number
        low, value, high = (left + (at - ticks[0]) * scale for at in (one.low, one.value, one.high))
        colour = COLOURS[one.group % len(COLOURS)]
        body.append(f'<text x="{left}" y="{y + 9}">{_text(one.name)}</text>')
        body.append(
            f'<line x1="{low:.1f}" y1="{y + 22}" x2="{high:.1f}" y2="{y + 22}" stroke="{colour}" stroke-width="3">'
            f"<title>{_text(one.name)}: {one.value:.4f} ({one.low:.4f} to {one.high:.4f})</title></line>"
        )
        body.append(f'<circle cx="{value:.1f}" cy="{y + 22}" r="5" fill="{colour}"/>')
    middle = (left + right) / 2
    body.append(f'<text class="axis" x="{middle}" y="{bottom + 36}" text-anchor="middle">{_text(x_label)}</text>')
    return _figure(title, body, groups, height=bottom + 44)


def nice_ticks(low: float, high: float) -> list[float]:
    """Return up to about six round numbers that span [low, high], the ends included.

    Examples
    --------
    >>> nice_ticks(0.0, 0.93)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    span = high - low
    if span <= 0:
        span = abs(high) or 1.0
        low, high = low - span / 2, high + span / 2
    raw = span / _TICKS
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= raw * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 12 - math.floor(math.log10(step))) for i in range(first, last + 1)]


def whole_ticks(low: int, high: int) -> list[int]:
    """Return up to about ten whole numbers within [low, high].

    Examples
    --------
    >>> whole_ticks(1, 48)
    [5, 10, 15, 20, 25, 30, 35, 40, 45]
    """
    step = next(
        factor * 10**power for power in range(10) for factor in (1, 2, 5) if (high - low) / (factor * 10**power) <= 10
    )
    return list(range(-(-low // step) * step, high + 1, step))


class _Frame:
    """The drawing area: where a value stands on the page."""

    def __init__(self, x_low: float, x_high: float, y_low: float, y_high: float) -> None:
        self.ticks = nice_ticks(y_low, y_high)
        self._x = (x_low, max(x_high - x_low, 1e-12))
        self._y = (self.ticks[0], self.ticks[-1] - self.ticks[0])

    def x(self, value: float) -> float:
        low, span = self._x
        return _LEFT + (value - low) / span * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        low, span = self._y
        return _HEIGHT - _BOTTOM - (value - low) / span * (_HEIGHT - _TOP - _BOTTOM)


def _axes(frame: _Frame, marks: Sequence[tuple[float, str]], x_label: str, y_label: str) -> list[str]:
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    decimals = _decimals(frame.ticks)
    lines = []
    for tick in frame.ticks:
        y = frame.y(tick)
        lines.append(f'<line class="grid" x1="{_LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}"/>')
        lines.append(f'<text x="{_LEFT - 7}" y="{y + 4:.1f}" text-anchor="end">{_number(tick, decimals)}</text>')
    lines.append(f'<line class="base" x1="{_LEFT}" y1="{bottom}" x2="{right}" y2="{bottom}"/>')
    lines += [f'<text x="{x:.1f}" y="{bottom + 17}" text-anchor="middle">{label}</text>' for x, label in marks]
    middle = (_LEFT + right) / 2
    lines.append(f'<text class="axis" x="{middle}" y="{_HEIGHT - 8}" text-anchor="middle">{_text(x_label)}</text>')
    across = (_TOP + bottom) / 2
    lines.append(
        f'<text class="axis" x="15" y="{across}" text-anchor="middle" '
        f'transform="rotate(-90 15 {across})">{_text(y_label)}</text>'
    )
    return lines


def _number(tick: float, decimals: int) -> str:
    """Return a tick's number with a minus sign, which a hyphen is too short for."""
    return f"{tick:,.{decimals}f}".replace("-", "\N{MINUS SIGN}")


def _decimals(ticks: Sequence[float]) -> int:
    step = ticks[1] - ticks[0]
    return max(0, -math.floor(math.log10(step) + 1e-9))


def _figure(title: str, body: Sequence[str], names: Sequence[str], height: int = _HEIGHT) -> str:
    colours = [COLOURS[i % len(COLOURS)] for i in range(len(names))]
    keys = "".join(
        f'<li><span style="background:{colour}"></span>{_text(name)}</li>'
        for name, colour in zip(names, colours, strict=True)
    )
    legend = f'<ul class="legend">{keys}</ul>' if names else ""
    return (
        f"<figure><figcaption>{_text(title)}</figcaption>{legend}"
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{_text(title)}">{"".join(body)}</svg></figure>'
    )


def _colours(series: Sequence[Series]) -> list[str]:
    return [COLOURS[i % len(COLOURS)] for i in range(len(series))]


def _text(value: str) -> str:
    return html.escape(value, quote=True)
