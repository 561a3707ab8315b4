"""HEU has wheels for few machines: where it is not installed, these are skipped and say so."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cipherlane.benchmark import Settings, measure
from cipherlane.benchmark.operations import ON_PROCESSOR

pytest.importorskip("heu", reason="sf-heu is not installed; see the extra 'bench'")


def test_heu_does_what_is_claimed_of_it(tiny: Callable[..., Settings]) -> None:
    rows = {row.operation.name: row for row in measure(tiny(against=["heu"], batches=[5]))}
    assert list(rows) == list(ON_PROCESSOR)
    unlike = {name: figure.unlike for name, row in rows.items() for figure in row.peers if figure.peer == "heu"}
    djn = "DJN, alpha 512 bits"
    assert unlike == {
        "encrypt": None,
        "encrypt-classic": djn,
        "encrypt-short": djn,
        "encode-encrypt": None,
        "packed": "one value a ciphertext",
        "add": None,
        "subtract": None,
        "multiply": None,
        "sum": None,
        "segment-sum": None,
        "matmul": None,
        "decrypt": None,
        "decrypt-short": "exponents of the size of p and q",
        "to-bytes": "Montgomery form",
        "from-bytes": "Montgomery form, unchecked",
    }
