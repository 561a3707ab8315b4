"""Backends whose batches live in memory of their own: which they are, what they run on, and how much fits there.

Operations of theirs return when the device is done with them, so that elapsed time needs nothing to wait for.
"""

from __future__ import annotations

from typing import Any

from cipherlane import _native

BACKENDS = frozenset({"cuda"})
EMULATED = "emulated device: figures mean nothing"
# Groups of threads enough to fill any device several times over.
_MOST, _MOST_QUICK, _LEAST = 1 << 20, 1 << 16, 1 << 14
_EMULATED_BATCH = 8
# Operands, results, and the tables of powers which an operation keeps for each ciphertext, in ciphertexts.
_CIPHERTEXTS_EACH = 32


def is_device(backend: str) -> bool:
    """Return whether a backend's batches live on a device: it is measured as a whole, in elapsed time."""
    return backend in BACKENDS


def about() -> dict[str, Any]:
    """Return name, memory, driver, runtime and compute capability of the device, and whether it is emulated.

    Raises
    ------
    RuntimeError
        If there is none, though a backend is usable that needs one.
    """
    found = _native.device_info()
    if found is None:
        raise RuntimeError("device: expected the device of a usable backend, got none")
    return dict(found)


def is_emulated(backend: str) -> bool:
    """Return whether a backend runs on a device that the processor plays, for tests: its figures mean nothing."""
    return is_device(backend) and bool(about()["emulated"])


def batches(bits: int, quick: bool) -> tuple[int, int]:
    """Return the smallest and the largest batch, powers of two, that suit the device.

    Parameters
    ----------
    bits : int
        Of the key; a ciphertext has twice as many.
    quick : bool
        Whether large batches are left out.
    """
    device = about()
    if device["emulated"]:
        return _EMULATED_BATCH, _EMULATED_BATCH
    room = int(device["total_memory"]) // 2 // (_CIPHERTEXTS_EACH * bits // 4)
    most = min(_MOST_QUICK if quick else _MOST, 1 << max(0, room.bit_length() - 1))
    return min(_LEAST, most), most
