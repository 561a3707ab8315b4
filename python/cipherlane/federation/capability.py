"""What this machine has to offer a plan: free memory, software, and how fast it encrypts."""

from __future__ import annotations

import os
import platform
import secrets
import time
import warnings
from functools import lru_cache
from pathlib import Path

import gmpy2
import numpy as np

import cipherlane
from cipherlane import _native
from cipherlane.paillier import PublicKey, backends
from cipherlane.vertical.score_encoding import NumberEncoding
from cipherlane.vertical.wire import Message

_PROBE_CIPHERTEXTS = 16


def available_memory() -> int:
    """Return the bytes of memory that a new program could use now (all there is, where that is unknown)."""
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        for line in meminfo.read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def software() -> dict[str, str]:
    """Return the versions that matter to a run."""
    return {
        "cipherlane": cipherlane.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def threads() -> int:
    """Return how many threads encryption uses here."""
    return _native.thread_count()


def machine_reasons(task: Message, memory_needed: int) -> list[str]:
    """Return why a party's machine cannot do what a plan requires: for want of memory, backend or version."""
    reasons = []
    needed = max(memory_needed, task["memory_bytes"] or 0)
    available = available_memory()
    if needed > available:
        reasons.append(f"{needed >> 20} MB of memory are required, {available >> 20} MB are available")
    if task["backend"] is not None and task["backend"] not in backends():
        reasons.append(f"backend {task['backend']!r} is required, usable here are {', '.join(backends())}")
    own = cipherlane.__version__
    if task["software"].split(".")[:2] != own.split(".")[:2]:
        reasons.append(f"the coordinator runs version {task['software']}, it runs {own}; install the same")
    return reasons


@lru_cache(maxsize=8)
def encryption_seconds(key_bits: int, scheme: str) -> float:
    """Return the seconds one ciphertext takes here under a key of that size, measured.

    Measured with a throwaway modulus of unknown factors, as the run's key does not exist yet. It serves
    timing alone: nothing of anyone is ever encrypted under it.
    """
    key = _throwaway_key(key_bits, scheme)
    encoding = NumberEncoding(parties=2, packing=False)
    values = np.arange(_PROBE_CIPHERTEXTS, dtype=np.float64)
    key.encrypt(values[:1], codec=encoding.codec())
    start = time.perf_counter()
    key.encrypt(values, codec=encoding.codec())
    return (time.perf_counter() - start) / _PROBE_CIPHERTEXTS


def _throwaway_key(bits: int, scheme: str) -> PublicKey:
    """Return a public key with a random odd modulus; about one in twelve passes a key's validation."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        while True:
            n = secrets.randbits(bits) | 1 << (bits - 1) | 1
            try:
                key = PublicKey(n)
            except ValueError:
                # A small factor, which the run's own key cannot have: draw again.
                continue
            if scheme == "classic":
                return key
            y = secrets.randbelow(n)
            return PublicKey(n, int(gmpy2.powmod(-y * y % n, n, n * n)))
