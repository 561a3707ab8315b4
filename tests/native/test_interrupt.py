"""Ctrl-C stops a long batch, and the process can go on."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

# What lasts minutes if it is let: on the slowest backend, on more elements than it does in a second by a hundredfold.
PREPARE = """
import signal
import sys
import numpy as np
from cipherlane import _native

# Whoever runs the tests in the background may have had SIGINT ignored, and a child inherits that.
signal.signal(signal.SIGINT, signal.default_int_handler)
n = np.full(32, 2**64 - 1, dtype=np.uint64)
context = _native.PublicContext(n, None, "portable")

def plaintexts(count):
    return np.zeros((count, 32), dtype=np.uint64)

def batch(count):
    return context.take(context.encrypt(plaintexts(1)), np.zeros(count, dtype=np.int64))

def private():
    # p q for p = 2^521 - 1 and q = 2^607 - 1
    p, q = 2**521 - 1, 2**607 - 1
    limbs = lambda x, count: np.frombuffer(x.to_bytes(8 * count, "little"), dtype=np.uint64)
    public = _native.PublicContext(limbs(p * q, 18), None, "portable")
    key = _native.PrivateContext(public, limbs(p, 9), limbs(q, 10), None, None)
    return public, key
"""

OPERATIONS = {
    "encrypt": "x = plaintexts(200_000); run = lambda: context.encrypt(x)",
    "rerandomise": "x = batch(200_000); run = lambda: context.rerandomise(x)",
    "multiply": (
        "x = batch(100_000); factors = np.full((100_000, 16), 2**64 - 1, dtype=np.uint64);"
        "run = lambda: context.multiply(x, factors, np.zeros(100_000, dtype=np.bool_))"
    ),
    "segment_sum": (
        "x = batch(8); indices = np.zeros(40_000_000, dtype=np.int64);"
        "run = lambda: context.segment_sum(x, indices, np.array([0, 40_000_000]))"
    ),
    "linear_combinations": (
        "x = batch(64); weights = np.full((20_000, 64, 1), 2**63 - 25, dtype=np.uint64);"
        "run = lambda: context.linear_combinations(x, 1, weights, np.zeros((20_000, 64), dtype=np.bool_))"
    ),
    "one long linear combination": (
        "x = batch(300_000); weights = np.full((1, 300_000, 1), 2**63 - 25, dtype=np.uint64);"
        "run = lambda: context.linear_combinations(x, 1, weights, np.zeros((1, 300_000), dtype=np.bool_))"
    ),
    "decrypt": (
        "public, key = private(); one = public.encrypt(np.zeros((1, 18), dtype=np.uint64));"
        "x = public.take(one, np.zeros(200_000, dtype=np.int64)); run = lambda: key.decrypt(x)"
    ),
    "encrypt by the holder": (
        "public, key = private(); x = np.zeros((200_000, 18), dtype=np.uint64);run = lambda: key.encrypt(x, 'classic')"
    ),
}

INTERRUPTED = """
print("started", flush=True)
try:
    run()
except KeyboardInterrupt:
    print("interrupted", flush=True)
print(len(context.encrypt(plaintexts(2))), flush=True)
"""


@pytest.mark.parametrize("operation", OPERATIONS)
def test_ctrl_c_stops_a_long_batch(operation):
    code = f"{PREPARE}\n{OPERATIONS[operation]}\n{INTERRUPTED}"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    time.sleep(0.2)  # into the batch; it holds for whatever moment
    sent = time.monotonic()
    process.send_signal(signal.SIGINT)
    answer = process.stdout.readline()
    print(f"{operation}: interrupted after {time.monotonic() - sent:.3f} s")
    out, _ = process.communicate(timeout=120)
    assert (answer, out) == ("interrupted\n", "2\n")
    assert process.returncode == 0
