"""What a figure depends on beside the code: processor, system, versions, commit."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

import gmpy2
import numpy as np

import cipherlane
from cipherlane.benchmark.peers import PEERS
from cipherlane.paillier import backends

# Instructions that one of the backends uses, as Linux names them.
_FEATURES = ("avx512ifma", "avx512f", "avx2", "bmi2", "adx", "asimd", "sve")


def _cpu_field(*names: str) -> str | None:
    """Return a field of /proc/cpuinfo, by the first name that is there."""
    details = Path("/proc/cpuinfo")
    if details.exists():
        for line in details.read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() in names:
                return value.strip()
    return None


def processor() -> str:
    """Return the processor's name, where the system tells it."""
    return _cpu_field("model name") or platform.processor() or platform.machine() or "unknown"


def features() -> list[str]:
    """Return which of the instruction sets that matter here the processor says it has."""
    flags = set((_cpu_field("flags", "Features") or "").split())
    return [name for name in _FEATURES if name in flags]


def commit() -> str | None:
    """Return the commit of the checkout that this code runs from; outside of one, what CIPHERLANE_COMMIT says, or None.

    It is marked if files differ, those of earlier results left aside.
    """
    here = Path(__file__).resolve().parent
    told = os.environ.get("CIPHERLANE_COMMIT") or None
    try:
        if not _git(here, "ls-files", "--error-unmatch", Path(__file__).name):
            return told
        head = _git(here, "rev-parse", "--short=12", "HEAD")
        return (
            f"{head}-dirty" if _git(here, "status", "--porcelain", "--", ":/", ":(exclude,top)bench/results") else head
        )
    except FileNotFoundError:  # no git
        return told


def _git(directory: Path, *arguments: str) -> str | None:
    result = subprocess.run(["git", *arguments], capture_output=True, text=True, cwd=directory, check=False)
    return result.stdout.strip() or None if result.returncode == 0 else None


def machine() -> dict[str, object]:
    """Return processor, logical cores, instruction sets, system and usable backends."""
    return {
        "processor": processor(),
        "logical_cores": os.cpu_count(),
        "features": features(),
        "system": platform.platform(),
        "backends": backends(),
    }


def versions() -> dict[str, str | None]:
    """Return the versions of all that is measured; None for a peer that is not installed."""
    return {
        "cipherlane": cipherlane.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "gmp": gmpy2.mp_version(),
        **{name: peer.version() for name, peer in PEERS.items()},
    }
