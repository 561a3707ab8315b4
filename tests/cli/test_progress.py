"""What training shows while it goes on."""

from __future__ import annotations

import io

from cipherlane.federation import Progress
from cipherlane.federation.coordinator import RoundRecord
from cipherlane.federation.engine import Transcript
from cipherlane.progress import ProgressPrinter
from cipherlane.vertical.messages import pack

RECORD = RoundRecord(
    round=2,
    log_likelihood=-1.5,
    change=0.25,
    counts=[1.0, 1.0],
    weights=[0.5, 0.5],
    converged=False,
    seconds={
        "em": {"guest": 0.5, "host": 1.0},
        "encrypt": {"guest": 0.25, "host": 0.5},
        "add": 0.125,
        "decrypt": 2.0,
        "e_step": 1.0,
        "relay": 0.0,
        "total": 5.375,
    },
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _shown(stream: io.StringIO) -> str:
    with ProgressPrinter(10, ["guest", "host", "arbiter"], stream) as printer:
        printer.show(Progress("match"))
        asked, answered = Transcript(), Transcript()
        asked.record("coordinator", "guest", pack("evaluate", 2))
        printer.show(Progress("message", message=asked.entries[0]))
        answered.record("guest", "coordinator", pack("noted", 2, rows=7))
        printer.show(Progress("message", message=answered.entries[0]))
        printer.show(Progress("round", RECORD))
    return stream.getvalue()


def test_lines_tell_each_round_and_the_seconds_of_each_role() -> None:
    assert _shown(io.StringIO()).splitlines() == [
        "matching rows by id",
        "round 2: mean log-likelihood -1.500000 (+0.250000), 5.375 s: "
        "guest 0.750 s, host 1.500 s, coordinator 0.125 s, arbiter 3.000 s",
    ]


def test_a_terminal_shows_whom_the_run_waits_for() -> None:
    text = _shown(Terminal())
    assert "guest    works on 'evaluate' since" in text
    assert "guest    waits; 0.000 MB sent" in text
    assert "host     waits; 0.000 MB sent; 1.500 s in round 2" in text
    assert "arbiter  waits; 0.000 MB sent; 3.000 s in round 2" in text
    assert "2/10" in text
