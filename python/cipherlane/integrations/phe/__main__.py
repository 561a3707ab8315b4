"""``python -m cipherlane.integrations.phe``: the commands of python-paillier's ``pheutil``."""

from __future__ import annotations

import sys

from cipherlane.integrations.phe.command_line import cli

if __name__ == "__main__":
    sys.exit(cli())
