"""The files to write, tried before an hour of measuring."""

from __future__ import annotations

import importlib.util
from pathlib import Path

PLOT_SUFFIXES = (".png", ".svg", ".pdf")


def check_writable(option: str, path: Path) -> None:
    """Raise `ValueError` if a file cannot be written; leave nothing behind, and what is there as it is."""
    there = path.exists()
    try:
        with path.open("ab"):
            pass
    except OSError as error:
        raise ValueError(
            f"{option}: {path} cannot be written ({error.strerror}); name a file in a directory that "
            "exists and is yours"
        ) from error
    if not there:
        path.unlink()


def check_plot(option: str, path: Path) -> None:
    """Raise `ValueError` if a plot cannot be drawn into that file."""
    if path.suffix.lower() not in PLOT_SUFFIXES:
        raise ValueError(f"{option}: expected a name that ends in {', '.join(PLOT_SUFFIXES)}, got {path.name!r}")
    if importlib.util.find_spec("matplotlib") is None:
        raise ValueError(f"{option}: plots need matplotlib; get it with: pip install 'cipherlane[plot]'")
    check_writable(option, path)
