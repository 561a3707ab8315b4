"""What a training run shows while it goes on: a bar and a line a role on a terminal, lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TextIO

from cipherlane.federation import Progress

if TYPE_CHECKING:
    from cipherlane.federation.coordinator import RoundRecord
    from cipherlane.federation.engine import TranscriptEntry

_STAGES = {
    "connect": "connecting to the federation, and waiting for its sites",
    "prepare": "reading and sealing each party's data",
    "agree": "asking each party what it has (the first time here this compiles numerical kernels)",
    "match": "matching rows by id",
    "key": "making the key pair",
    "start": "settling what training starts from",
    "finish": "writing models and report",
    "score": "letting each party apply its block to its rows, and adding the encrypted parts",
    "complete": "this run is complete; there is nothing left to do",
}
_COORDINATOR = "coordinator"
_ARBITER = "arbiter"
# More lines than a terminal has room for would scroll the bar away.
_MOST_LINES = 12


class ProgressPrinter:
    """A bar of rounds and one line for each role on a terminal, one line an event elsewhere.

    Parameters
    ----------
    most_rounds
        The plan's limit, where the bar ends.
    roles
        Names of the roles, in the order of their lines.
    stream
        Where to write; default: standard error.
    """

    def __init__(self, most_rounds: int, roles: Sequence[str], stream: TextIO | None = None) -> None:
        from tqdm import tqdm

        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty()
        shown = list(roles)[:_MOST_LINES]
        self._width = max(map(len, shown), default=0)
        self._sent = dict.fromkeys(roles, 0)
        self._last: dict[str, str] = {}
        common: dict[str, Any] = {"disable": not self._terminal, "leave": False, "file": self._stream}
        self._bar = tqdm(total=most_rounds, unit="round", position=0, **common)
        self._lines = {
            name: tqdm(total=0, bar_format="{desc}", position=place, **common) for place, name in enumerate(shown, 1)
        }

    def __enter__(self) -> ProgressPrinter:
        """Start showing."""
        return self

    def __exit__(self, *_: object) -> None:
        """Clear the terminal of bar and lines."""
        for line in self._lines.values():
            line.close()
        self._bar.close()

    def show(self, event: Progress) -> None:
        """Show one event."""
        if event.message is not None:
            self._show_message(event.message)
        elif event.record is not None:
            self._show_round(event.record)
        elif self._terminal:
            self._bar.set_description(_STAGES[event.stage])
        else:
            print(_STAGES[event.stage], file=self._stream)

    def _show_message(self, entry: TranscriptEntry) -> None:
        if entry.sender == _COORDINATOR:
            since = f"{datetime.now():%H:%M:%S}"
            self._describe(entry.receiver, f"works on {entry.kind!r} since {since}")
        else:
            self._sent[entry.sender] = self._sent.get(entry.sender, 0) + entry.bytes
            self._describe_waiting(entry.sender)

    def _describe_waiting(self, name: str) -> None:
        self._describe(name, f"waits; {self._sent.get(name, 0) / 1e6:.3f} MB sent{self._last.get(name, '')}")

    def _describe(self, name: str, text: str) -> None:
        if name in self._lines:
            self._lines[name].set_description_str(f"  {name:<{self._width}}  {text}")

    def _show_round(self, record: RoundRecord) -> None:
        if self._terminal:
            self._bar.set_description("training")
            self._bar.set_postfix(log_likelihood=f"{record.log_likelihood:.6f}")
            self._bar.update(record.round - self._bar.n)
            self._bar.refresh()
            for name, seconds in role_seconds(record).items():
                self._last[name] = f"; {seconds:.3f} s in round {record.round}"
                self._describe_waiting(name)
        else:
            print(round_line(record), file=self._stream)


def role_seconds(record: RoundRecord) -> dict[str, float]:
    """Return the seconds that each role computed in a round."""
    spent = record.seconds
    seconds = {name: spent["em"][name] + spent["encrypt"][name] for name in spent["em"]}
    return {**seconds, _COORDINATOR: spent["add"], _ARBITER: spent["decrypt"] + spent["e_step"]}


def round_line(record: RoundRecord) -> str:
    """Return a round in one line: its likelihood, by how much that rose, and the seconds of each role."""
    change = "" if record.change is None else f" ({record.change:+.6f})"
    roles = ", ".join(f"{name} {seconds:.3f} s" for name, seconds in role_seconds(record).items())
    return (
        f"round {record.round}: mean log-likelihood {record.log_likelihood:.6f}{change}, "
        f"{record.seconds['total']:.3f} s: {roles}"
    )
