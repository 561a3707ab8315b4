"""What stands in for ``fate.arch.protocol.phe.paillier``: the same names, on Cipherlane's batches."""

from __future__ import annotations

from typing import Any

from cipherlane.integrations.fate.ciphertexts import CiphertextVector
from cipherlane.integrations.fate.evaluator import evaluator
from cipherlane.integrations.fate.keys import PK, SK, keygen
from cipherlane.integrations.fate.plaintexts import Coder, PlaintextVector

V = Any
EV = CiphertextVector
FV = PlaintextVector

__all__ = ["EV", "FV", "PK", "SK", "CiphertextVector", "Coder", "PlaintextVector", "V", "evaluator", "keygen"]
