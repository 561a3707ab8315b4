"""What the benchmark is doing, for who waits: a bar on a terminal, one line a step elsewhere."""

from __future__ import annotations

import sys

from tqdm import tqdm

from cipherlane.benchmark.device import EMULATED
from cipherlane.benchmark.rows import Row
from cipherlane.benchmark.table import rate, times


class ProgressPrinter:
    """Shows steps and rows on standard error."""

    def __init__(self, rows: int) -> None:
        self._terminal = sys.stderr.isatty()
        self._bar = tqdm(total=rows, disable=not self._terminal, unit="row", leave=False)

    def __enter__(self) -> ProgressPrinter:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Take the bar away."""
        self._bar.close()

    def tell(self, text: str) -> None:
        """Show what is being done now."""
        if self._terminal:
            self._bar.set_description(text)

    def show(self, row: Row) -> None:
        """Show a row that is done."""
        text = f"{row.operation.name} at {row.bits} bits, {row.backend}: "
        if row.emulated:
            text += f"verified; {EMULATED}"
        else:
            text += f"{rate(row.per_second.median)} a {'second of the device' if row.device else 'core-second'}"
        alike = [figure for figure in row.peers if figure.unlike is None]
        if alike:
            best = min(alike, key=lambda figure: figure.ratio.median)
            text += f", {times(best.ratio.median)} {best.peer}"
        if self._terminal:
            self._bar.write(text, file=sys.stderr)
            self._bar.update()
        else:
            print(text, file=sys.stderr)
