"""Builds and runs the C++ batches with AddressSanitizer and UndefinedBehaviorSanitizer, then with ThreadSanitizer.

python tests/native/sanitize.py
"""

from __future__ import annotations

import subprocess
import sys

from cpp_programs import build, hard_key, short_key


def main() -> int:
    """Return 0 if neither found anything."""
    keys = hard_key(256, seed=1) + hard_key(333, seed=3) + short_key(288, order_bits=100)
    failed = []
    for sanitizer in ("address", "thread"):
        program = build(sanitizer, "batches", f"CIPHERLANE_SANITIZE={sanitizer}")
        print(f"{sanitizer}: running {program.name}", flush=True)
        if subprocess.run([str(program)], input=keys, text=True, check=False).returncode != 0:
            failed.append(sanitizer)
    print(f"findings with: {', '.join(failed)}" if failed else "no findings")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
