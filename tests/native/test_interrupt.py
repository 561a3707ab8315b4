"""Ctrl-C stops a long batch, and the process can go on."""

from __future__ import annotations

import signal
import subprocess
import sys

LONG_BATCH = """
import numpy as np
from cipherlane import _native

modulus = np.full(32, 2**64 - 1, dtype=np.uint64)
context = _native.PublicContext(modulus, None, "portable")
plaintexts = np.zeros((200_000, 32), dtype=np.uint64)  # an hour of classic encryptions
try:
    print("started", flush=True)
    context.encrypt(plaintexts)
except KeyboardInterrupt:
    print("interrupted", flush=True)
print(len(context.encrypt(plaintexts[:2])), flush=True)
"""


def test_ctrl_c_stops_a_long_batch():
    process = subprocess.Popen([sys.executable, "-c", LONG_BATCH], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=120)
    assert out.split() == ["interrupted", "2"]
    assert process.returncode == 0
