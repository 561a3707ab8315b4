"""Rows as text: a line for ours, and below it one for each peer."""

from __future__ import annotations

from collections.abc import Sequence

from cipherlane.benchmark.rows import PeerFigure, Row

_HEAD = (
    "operation", "bits", "randomisation", "w", "backend", "threads", "batch", "a core-second", "a second", "of peak"
)  # fmt: skip
_RIGHT = frozenset({1, 3, 5, 6, 7, 8, 9})
_PEER_RIGHT = frozenset({0, 3})


def render(rows: Sequence[Row]) -> str:
    """Return a table of the rows.

    "w" is the window of the fixed-base table in bits, where there is one. "a core-second" counts operations a CPU
    second; "a second" those of all threads in elapsed time, where there are several, or those of a whole device, with
    the time from host to host in multiples of the resident time; "of peak" is the share of the multiplications that
    the processor or device can do. A peer's line gives our rate over its, lowest and highest over the rounds, and its
    own rate; it says "unlike" where the two do not do the same.
    """
    ours = _aligned([_HEAD, *(_cells(row) for row in rows)], _RIGHT)
    peers = iter(_aligned([_peer_cells(figure) for row in rows for figure in _sorted(row)], _PEER_RIGHT))
    text = [ours[0]]
    for row, line in zip(rows, ours[1:], strict=True):
        text.append(line)
        text += [f"    {next(peers)}" for _ in row.peers]
    return "\n".join(text)


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.operation.title,
        str(row.bits),
        row.label,
        str(row.window_bits or ""),
        row.backend,
        "device" if row.device else str(row.threads),
        f"{row.batch:,}",
        "" if row.per_core_second is None else rate(row.per_core_second.median),
        _elapsed(row),
        "" if row.emulated else f"{row.peak_percent.median:.0f} %",
    )


def _elapsed(row: Row) -> str:
    if row.emulated:
        return "(verified)"
    text = rate(row.per_wall_second.median)
    if row.over_resident is not None:
        return f"{text} ({row.over_resident.median:.2f}x the resident time)"
    if row.speed_up is not None:
        return f"{text} ({row.speed_up.median:.2f}x 1 thread)"
    return text if row.device else ""


def _sorted(row: Row) -> list[PeerFigure]:
    """Return the peers, those that are alike first and the fastest first among them."""
    return sorted(row.peers, key=lambda figure: (figure.unlike is not None, figure.ratio.median))


def _peer_cells(figure: PeerFigure) -> tuple[str, ...]:
    if figure.unlike is not None:
        what = f"unlike: {figure.unlike}"
    else:
        what = "" if figure.randomisation is None else figure.randomisation.label
    return (
        times(figure.ratio.median),
        f"({times(figure.ratio.low)}..{times(figure.ratio.high)})",
        figure.peer,
        rate(figure.per_core_second.median),
        figure.method,
        what,
    )


def _aligned(lines: Sequence[Sequence[str]], right: frozenset[int]) -> list[str]:
    """Return lines of cells as text; the columns in ``right`` are aligned there."""
    if not lines:
        return []
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return [
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]


def rate(value: float) -> str:
    """Return a rate with three significant digits or more.

    Examples
    --------
    >>> rate(11052.4), rate(48.37), rate(0.123456)
    ('11,052', '48.4', '0.123')
    """
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def times(ratio: float) -> str:
    """Return a ratio.

    Examples
    --------
    >>> times(102.6), times(5.53), times(0.872)
    ('103x', '5.5x', '0.87x')
    """
    return f"{ratio:.0f}x" if ratio >= 99.5 else f"{ratio:.1f}x" if ratio >= 1.995 else f"{ratio:.2f}x"
