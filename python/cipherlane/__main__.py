"""Run the command line as ``python -m cipherlane``."""

from __future__ import annotations

import sys

from cipherlane.cli import main

if __name__ == "__main__":
    sys.exit(main())
