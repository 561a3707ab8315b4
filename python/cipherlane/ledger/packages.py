"""The packages that a member's part needs, imported at once while the garbage collector rests.

It would look through them several times while they are imported, and finds nothing there to free.
"""

from __future__ import annotations

import gc
import importlib

from cipherlane.ledger import keep_recursion_limit

_NEEDED = ("rlp", "eth_abi", "eth_keys", "eth.consensus.clique", "eth.vm.forks")


def _import_all() -> None:
    enabled = gc.isenabled()
    gc.disable()
    try:
        for name in _NEEDED:
            importlib.import_module(name)
    finally:
        if enabled:
            gc.enable()


_import_all()
keep_recursion_limit()
