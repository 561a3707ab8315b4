"""Encryption beside other libraries, as `cipherlane bench` measures it; all its options work here.

python bench/paillier.py --bits 2048 --json bench/results/paillier-ifma.json
"""

from __future__ import annotations

import sys

from cipherlane.cli import main

if __name__ == "__main__":
    sys.exit(main(["bench", *sys.argv[1:]]))
