"""What encryption costs here: every operation verified, then timed beside other libraries in the same run.

>>> from cipherlane.benchmark import Settings, measure
>>> settings = Settings.of(bits=[1024], operations=["add"], against=["gmpy2"], rounds=1, quick=True)
>>> for row in measure(settings):
...     print(row.operation.name, row.bits, row.peers[0].peer)
add 1024 gmpy2
"""

from __future__ import annotations

from cipherlane.benchmark.cases import VerificationError
from cipherlane.benchmark.document import document, write_json
from cipherlane.benchmark.operations import OPERATIONS
from cipherlane.benchmark.outputs import check_writable
from cipherlane.benchmark.peers import PEERS
from cipherlane.benchmark.rows import PeerFigure, Range, Row
from cipherlane.benchmark.runner import measure, planned
from cipherlane.benchmark.settings import Settings
from cipherlane.benchmark.table import render

__all__ = [
    "OPERATIONS",
    "PEERS",
    "PeerFigure",
    "Range",
    "Row",
    "Settings",
    "VerificationError",
    "check_writable",
    "document",
    "measure",
    "planned",
    "render",
    "write_json",
]
