"""Calls the symbols of an encryption plugin as XGBoost's federated learning does: dlopen, one handle a party."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_BYTES = ctypes.POINTER(ctypes.c_uint8)
_DOUBLES = ctypes.POINTER(ctypes.c_double)
_SIZE = ctypes.c_size_t
# Arguments after the handle.
SYMBOLS: dict[str, list[Any]] = {
    "EncryptGPairs": [ctypes.POINTER(ctypes.c_float), _SIZE, ctypes.POINTER(_BYTES), ctypes.POINTER(_SIZE)],
    "SyncEncryptedGPairs": [_BYTES, _SIZE, ctypes.POINTER(_BYTES), ctypes.POINTER(_SIZE)],
    "ResetHistContextVert": [ctypes.POINTER(ctypes.c_uint32), _SIZE, ctypes.POINTER(ctypes.c_int32), _SIZE],
    "BuildEncryptedHistVert": [
        *(ctypes.POINTER(ctypes.POINTER(ctypes.c_uint64)), ctypes.POINTER(_SIZE), ctypes.POINTER(ctypes.c_int32)),
        *(_SIZE, ctypes.POINTER(_BYTES), ctypes.POINTER(_SIZE)),
    ],
    "SyncEncryptedHistVert": [_BYTES, _SIZE, ctypes.POINTER(_DOUBLES), ctypes.POINTER(_SIZE)],
    "BuildEncryptedHistHori": [_DOUBLES, _SIZE, ctypes.POINTER(_BYTES), ctypes.POINTER(_SIZE)],
    "SyncEncryptedHistHori": [_BYTES, _SIZE, ctypes.POINTER(_DOUBLES), ctypes.POINTER(_SIZE)],
}


class PluginError(RuntimeError):
    """What FederatedPluginErrorMsg said."""


class Party:
    """One party's handle."""

    def __init__(self, library: Path, **settings: object) -> None:
        self._library = ctypes.CDLL(str(library))
        self._library.FederatedPluginErrorMsg.restype = ctypes.c_char_p
        self._library.FederatedPluginCreate.restype = ctypes.c_void_p
        arguments = [f"{key}={value}".encode() for key, value in settings.items()]
        array = (ctypes.c_char_p * len(arguments))(*arguments)
        self._handle = self._library.FederatedPluginCreate(ctypes.c_int(len(arguments)), array)
        if not self._handle:
            raise PluginError(self._error())

    def _error(self) -> str:
        return str(self._library.FederatedPluginErrorMsg().decode())

    def call(self, name: str, *arguments: object) -> None:
        """Call a symbol, given without its prefix."""
        symbol = getattr(self._library, f"FederatedPlugin{name}")
        symbol.argtypes = [ctypes.c_void_p, *SYMBOLS.get(name, [])]
        symbol.restype = ctypes.c_int
        if symbol(self._handle, *arguments) != 0:
            raise PluginError(self._error())

    def _bytes_from(self, name: str, *arguments: object) -> bytes:
        out, count = _BYTES(), _SIZE()
        self.call(name, *arguments, ctypes.byref(out), ctypes.byref(count))
        return ctypes.string_at(out, count.value)

    def close(self) -> None:
        """Give the handle back."""
        self.call("Close")
        self._handle = None

    def encrypt(self, pairs: NDArray[np.float32]) -> bytes:
        """Encrypt gradients and hessians, shape (rows, 2)."""
        flat = np.ascontiguousarray(pairs, dtype=np.float32).ravel()
        return self._bytes_from("EncryptGPairs", flat.ctypes.data_as(ctypes.POINTER(ctypes.c_float)), flat.size)

    def sync_pairs(self, message: bytes) -> None:
        """Take what the active party broadcast."""
        buffer = (ctypes.c_uint8 * len(message)).from_buffer_copy(message)
        assert self._bytes_from("SyncEncryptedGPairs", buffer, len(message)) == message

    def reset(self, cuts: NDArray[np.uint32], bins: NDArray[np.int32]) -> None:
        """Set the bin of each row and feature."""
        self.call(
            "ResetHistContextVert",
            *(cuts.ctypes.data_as(ctypes.POINTER(ctypes.c_uint32)), cuts.size),
            *(bins.ctypes.data_as(ctypes.POINTER(ctypes.c_int32)), bins.size),
        )

    def build(self, nodes: list[NDArray[np.uint64]]) -> bytes:
        """Build the histograms of nodes, given by their rows."""
        rows = (ctypes.POINTER(ctypes.c_uint64) * len(nodes))(
            *(node.ctypes.data_as(ctypes.POINTER(ctypes.c_uint64)) for node in nodes)
        )
        sizes = (_SIZE * len(nodes))(*(node.size for node in nodes))
        numbers = (ctypes.c_int32 * len(nodes))(*range(len(nodes)))
        return self._bytes_from("BuildEncryptedHistVert", rows, sizes, numbers, len(nodes))

    def sync_histograms(self, messages: bytes) -> NDArray[np.float64]:
        """Take what all parties built, concatenated; the sums, or nothing for a passive party."""
        buffer = (ctypes.c_uint8 * len(messages)).from_buffer_copy(messages)
        out, count = _DOUBLES(), _SIZE()
        self.call("SyncEncryptedHistVert", buffer, len(messages), ctypes.byref(out), ctypes.byref(count))
        return np.ctypeslib.as_array(out, (count.value,)).copy() if count.value else np.zeros(0)
