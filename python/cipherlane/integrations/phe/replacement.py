"""Standing in for python-paillier where other people's code says ``import phe``."""

from __future__ import annotations

import importlib
import sys

_SUBMODULES = ("paillier", "encoding", "util", "command_line")


def stand_in() -> None:
    """Make ``import phe`` give this package, in this process, from now on.

    Call it before anything imports python-paillier: objects of the two do not mix.

    Raises
    ------
    RuntimeError
        If python-paillier was imported already.

    Examples
    --------
    >>> import sys
    >>> from cipherlane.integrations import phe
    >>> before = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "phe"}
    >>> for name in before:
    ...     del sys.modules[name]
    >>> phe.stand_in()
    >>> from phe.paillier import PaillierPublicKey
    >>> PaillierPublicKey is phe.PaillierPublicKey
    True
    >>> for name in [name for name in sys.modules if name.split(".")[0] == "phe"]:
    ...     del sys.modules[name]
    >>> sys.modules.update(before)
    """
    ours = importlib.import_module("cipherlane.integrations.phe")
    if sys.modules.get("phe", ours) is not ours:
        raise RuntimeError("stand_in: python-paillier is imported already; call this before anything imports phe")
    sys.modules["phe"] = ours
    for name in _SUBMODULES:
        sys.modules[f"phe.{name}"] = importlib.import_module(f"cipherlane.integrations.phe.{name}")
