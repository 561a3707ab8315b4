"""Every batch operation on every backend through the C++ interface; `make sanitize` runs the same under sanitizers."""

from __future__ import annotations

import subprocess

from cpp_programs import build, hard_key, short_key


def test_every_batch_operation():
    program = build("plain", "batches")
    keys = hard_key(256, seed=1) + hard_key(333, seed=3) + hard_key(512, seed=5) + short_key(288, 100)
    result = subprocess.run([str(program)], input=keys, capture_output=True, text=True, timeout=600)
    assert (result.returncode, result.stderr) == (0, "")
