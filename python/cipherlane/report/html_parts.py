"""The parts an HTML page is put together from: escaped text, tables, sections, and the page's one style."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

_STYLE = """
:root { color-scheme: light; --ink: #1c2733; --soft: #5a6a79; --line: #d9e0e6; --accent: #0072b2; }
* { box-sizing: border-box; }
body { margin: 0; background: #f3f5f7; color: var(--ink);
  font: 16px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 24px 16px 48px; }
header h1 { margin: 0 0 4px; font-size: 1.7rem; overflow-wrap: anywhere; }
header p { margin: 0; color: var(--soft); }
section { background: #fff; border: 1px solid var(--line); border-radius: 8px; padding: 16px 20px; margin-top: 16px; }
h2 { margin: 0 0 8px; font-size: 1.2rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(140px, 1fr)); gap: 12px; margin-top: 16px; }
.cards div { background: #fff; border: 1px solid var(--line); border-radius: 8px; padding: 10px 14px; }
.cards b { display: block; font-size: 1.3rem; font-variant-numeric: tabular-nums; white-space: nowrap; }
.cards span { color: var(--soft); font-size: .85rem; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(420px, 100%), 1fr)); gap: 0 28px; }
figure { display: grid; grid-template-rows: subgrid; grid-row: span 3; margin: 8px 0; min-width: 0; }
figcaption { font-weight: 600; margin-bottom: 2px; }
svg { display: block; grid-row: 3; width: 100%; max-width: 560px; height: auto; }
svg text { font-size: 13px; fill: var(--ink); }
svg .axis { fill: var(--soft); }
svg .grid { stroke: #e6ebef; } svg .base { stroke: #8a98a5; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: 2px 14px; margin: 0 0 4px; padding: 0;
  font-size: .85rem; }
.legend span { display: inline-block; width: 11px; height: 11px; margin-right: 6px; border-radius: 2px; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: 8px 0; font-size: .92rem; }
th, td { text-align: left; vertical-align: top; padding: 4px 18px 4px 0; border-bottom: 1px solid var(--line); }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
td.n { white-space: nowrap; }
td.long { overflow-wrap: anywhere; }
.good { color: #00664b; font-weight: 600; } .bad { color: #a33b00; font-weight: 600; }
li { margin: 3px 0; } ul.notes { padding-left: 20px; } code { overflow-wrap: anywhere; }
summary { cursor: pointer; color: var(--accent); }
.texts table { min-width: 860px; }
@media (max-width: 640px) { section { padding: 12px 14px; } table { font-size: .85rem; }
  th, td { padding-right: 12px; } svg text { font-size: 16px; } }
@media print { body { background: #fff; } section { break-inside: avoid; } }
"""


def text(value: object) -> str:
    """Return a value as text that may stand anywhere in HTML."""
    return html.escape(str(value), quote=True)


def page(title: str, body: Iterable[str]) -> str:
    """Return a whole page that loads nothing and runs nothing."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{text(title)}</title><style>{_STYLE}</style></head>\n<body><main>\n"
        + "\n".join(body)
        + "\n</main></body></html>\n"
    )


def section(title: str, *parts: str) -> str:
    """Return a section under a heading."""
    return f"<section><h2>{text(title)}</h2>\n" + "\n".join(part for part in parts if part) + "\n</section>"


def charts(*figures: str) -> str:
    """Return figures side by side, or one below the other where the page is narrow."""
    return f'<div class="charts">{"".join(figures)}</div>'


def cards(pairs: Iterable[tuple[str, str]]) -> str:
    """Return figures with their names, side by side."""
    return (
        '<div class="cards">'
        + "".join(f"<div><b>{text(value)}</b><span>{text(name)}</span></div>" for name, value in pairs)
        + "</div>"
    )


def table(
    head: Sequence[str], rows: Iterable[Sequence[object]], numbers: Iterable[int] = (), *, texts: bool = False
) -> str:
    """Return a table; columns whose positions are in `numbers` are set as figures, `texts` need room for lines."""
    right = frozenset(numbers)

    def cells(tag: str, row: Sequence[object]) -> str:
        return "".join(
            f"<{tag}{' class=n' if i in right else ''}>{cell if isinstance(cell, Markup) else text(cell)}</{tag}>"
            for i, cell in enumerate(row)
        )

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    kind = "wide texts" if texts else "wide"
    return f'<div class="{kind}"><table><thead><tr>{cells("th", head)}</tr></thead><tbody>{body}</tbody></table></div>'


def facts(pairs: Iterable[tuple[str, object]]) -> str:
    """Return names with what stands for each, one a line."""
    rows = "".join(
        f'<tr><th>{text(name)}</th><td class="long">{value if isinstance(value, Markup) else text(value)}</td></tr>'
        for name, value in pairs
    )
    return f"<table>{rows}</table>"


def notes(lines: Iterable[str]) -> str:
    """Return lines as a list."""
    return '<ul class="notes">' + "".join(f"<li>{text(line)}</li>" for line in lines) + "</ul>"


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def verdict(good: bool, words: str) -> Markup:
    """Return words marked as good or bad news."""
    return Markup(f'<span class="{"good" if good else "bad"}">{text(words)}</span>')


def in_bytes(count: float) -> str:
    """Return a number of bytes in the unit that suits it.

    Examples
    --------
    >>> in_bytes(410585), in_bytes(12)
    ('410.6 kB', '12 B')
    """
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count:.0f} B"


def in_seconds(seconds: float) -> str:
    """Return a time in seconds, with digits that suit it.

    Examples
    --------
    >>> in_seconds(0.0412), in_seconds(75.0)
    ('0.041 s', '75.0 s')
    """
    return f"{seconds:.1f} s" if seconds >= 10 else f"{seconds:.3f} s"
