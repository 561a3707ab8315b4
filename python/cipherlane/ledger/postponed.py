"""What py-evm imports at its start and no rules of this chain use, left until somebody calls it.

Arithmetic on the curve BLS12-381, in rules four years after Berlin's, takes as long to import as all the rest of
py-evm: tables of it are computed.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

_CURVE = "eth.precompiles.bls12_381"
_CURVE_CONTRACTS = (
    *("bls12_g1_add", "bls12_g1_msm", "bls12_map_fp_to_g1"),
    *("bls12_g2_add", "bls12_g2_msm", "bls12_map_fp2_to_g2"),
    "bls12_pairing_check",
)


def postpone_curve() -> None:
    """Let py-evm's contracts on BLS12-381 be imported by whoever calls one first, unless they are imported already."""
    if _CURVE in sys.modules:
        return
    stand_in = ModuleType(_CURVE)
    for name in _CURVE_CONTRACTS:
        setattr(stand_in, name, _postponed(stand_in, name))
    sys.modules[_CURVE] = stand_in


def _postponed(stand_in: ModuleType, name: str) -> Any:
    def contract(computation: Any) -> Any:
        if sys.modules.get(_CURVE) is stand_in:
            del sys.modules[_CURVE]
        # Importing it raises the limit on recursion, see `keep_recursion_limit`.
        limit = sys.getrecursionlimit()
        module = importlib.import_module(_CURVE)
        sys.setrecursionlimit(limit)
        return getattr(module, name)(computation)

    contract.__name__ = name
    return contract
