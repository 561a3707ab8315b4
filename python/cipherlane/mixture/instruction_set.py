"""Which vector instructions the EM kernels are written for on this machine."""

from __future__ import annotations

import os

from llvmlite import binding

VARIABLE = "CIPHERLANE_MIXTURE_ISA"
_NEEDED = {
    "avx512": ("avx512f", "avx512dq"),
    "avx2": ("avx2", "fma"),
    "plain": (),
}
LANES = {"avx512": 8, "avx2": 4, "plain": 1}


def usable() -> list[str]:
    """Return the instruction sets that this machine runs, best first."""
    features = binding.get_host_cpu_features()
    return [name for name, needed in _NEEDED.items() if all(features.get(flag, False) for flag in needed)]


def chosen() -> str:
    """Return the instruction set to use: `VARIABLE` if set, else the best.

    Raises
    ------
    ValueError
        If the variable names one that this machine lacks.
    """
    available = usable()
    name = os.environ.get(VARIABLE, "")
    if not name:
        return available[0]
    if name not in available:
        raise ValueError(f"{VARIABLE}: expected one of {', '.join(available)} on this machine, got {name!r}")
    return name


NAME = chosen()
# A forced choice is not cached: Numba's cache tells machines apart, not choices.
CACHE = NAME == usable()[0]
