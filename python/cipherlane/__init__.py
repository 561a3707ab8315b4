"""Batch Paillier encryption, and the federated learning that rests on it.

>>> import numpy as np
>>> import cipherlane as cl
>>> public_key, private_key = cl.keygen(bits=2048)
>>> x = public_key.encrypt(np.array([1.5, -2.0, 4.25]))
>>> private_key.decrypt(2 * x + 1)
array([ 4. , -3. ,  9.5])
"""

from __future__ import annotations

import importlib
import importlib.metadata
from typing import TYPE_CHECKING

from cipherlane import paillier
from cipherlane.errors import (
    BackendUnavailableError,
    CipherlaneError,
    KeyMismatchError,
    PlaintextOverflowError,
    ProtocolError,
    StorageError,
)
from cipherlane.paillier import (
    CipherArray,
    DeviceArray,
    FixedPoint,
    Packed,
    PrivateKey,
    PublicKey,
    backends,
    concatenate,
    keygen,
    use_backend,
)

if TYPE_CHECKING:
    from types import ModuleType

__all__ = [
    "BackendUnavailableError",
    "CipherArray",
    "CipherlaneError",
    "DeviceArray",
    "FixedPoint",
    "KeyMismatchError",
    "Packed",
    "PlaintextOverflowError",
    "PrivateKey",
    "ProtocolError",
    "PublicKey",
    "StorageError",
    "__version__",
    "backends",
    "concatenate",
    "keygen",
    "paillier",
    "use_backend",
]

# Layers above the encryption bring compilers and plotting with them, so they are imported when first used.
_LAZY_SUBMODULES = frozenset(
    {"benchmark", "binning", "federation", "horizontal", "ledger", "mixture", "report", "vertical"}
)


def _version() -> str:
    try:
        return importlib.metadata.version("cipherlane")
    except importlib.metadata.PackageNotFoundError:  # a source tree that is on the path but not installed
        from cipherlane import _native

        return _native.__version__


__version__ = _version()


def __getattr__(name: str) -> ModuleType:
    if name in _LAZY_SUBMODULES:
        return importlib.import_module(f"cipherlane.{name}")
    raise AttributeError(f"module 'cipherlane' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(set(globals()) | _LAZY_SUBMODULES)
