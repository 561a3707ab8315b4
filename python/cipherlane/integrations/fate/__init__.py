"""Cipherlane's Paillier inside FATE 2: install it, and FATE's own algorithms run with it.

See `install`, and `paillier` for what then stands under FATE's names.
"""

from __future__ import annotations

from cipherlane.integrations.fate.installing import install, uninstall

__all__ = ["install", "uninstall"]
