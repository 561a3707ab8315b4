"""The ledger of training runs: an Ethereum contract on an embedded chain or a network's, and its auditor.

It records who took part, who was allowed to use which data set in every round, what each party says it sent and
saw, and which models came out. Everything but this module needs the extra ``cipherlane[ledger]``.
"""

from __future__ import annotations

import importlib.util
import sys

from cipherlane.errors import MissingExtraError
from cipherlane.ledger.postponed import postpone_curve

_NEEDED = ("coincurve", "eth", "eth_abi", "eth_account", "web3")
_RECURSION_LIMIT = sys.getrecursionlimit()


def missing_packages() -> list[str]:
    """Return which modules of the extra ``cipherlane[ledger]`` are not installed."""
    return [name for name in _NEEDED if importlib.util.find_spec(name) is None]


def require_packages() -> None:
    """Make sure that the extra ``cipherlane[ledger]`` is installed.

    Raises
    ------
    MissingExtraError
        It is not.
    """
    missing = missing_packages()
    if missing:
        raise MissingExtraError(f"ledger: {', '.join(missing)} not installed; run: pip install 'cipherlane[ledger]'")


def keep_recursion_limit() -> None:
    """Put Python's limit on recursion back to what it was before the packages of the extra were imported.

    Importing py-evm raises it to 100,000 for the whole process. A text with as many brackets, from another member or
    in a file, then overflows the stack and ends the process, where with the usual limit it is refused.
    """
    sys.setrecursionlimit(_RECURSION_LIMIT)


# Before any module of this package imports py-evm.
postpone_curve()
