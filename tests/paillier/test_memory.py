"""What a batch needs grows with its length by no more than docs/memory.md states."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

import cipherlane as cl

# Peak resident memory above what was there before, for one operation on `count` ciphertexts of a 2048-bit key.
MEASURE = """
import gc, json, sys
import numpy as np
import cipherlane as cl

name, backend, count, key = sys.argv[1], sys.argv[2], int(sys.argv[3]), json.loads(sys.argv[4])
private_key = cl.PrivateKey(key["p"], key["q"], h_s=key["h_s"])
public_key = private_key.public_key

def resident(field):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(field))

with cl.use_backend(backend):
    warm = public_key.encrypt(np.zeros(64))
    private_key.decrypt(warm), private_key.encrypt(np.zeros(64)), warm.to_bytes()
    many = np.zeros(count, dtype=np.int64)
    x = None if name in ("encrypt", "encrypt by the holder") else warm[many % 64]
    data = x.to_bytes(rerandomize=False) if name == "from_bytes" else b""
    run = {
        "encrypt": lambda: public_key.encrypt(np.zeros(count)),
        "encrypt by the holder": lambda: private_key.encrypt(np.zeros(count)),
        "add": lambda: x + x,
        "decrypt": lambda: private_key.decrypt(x),
        "to_bytes": lambda: x.to_bytes(rerandomize=False),
        "from_bytes": lambda: cl.CipherArray.from_bytes(public_key, data),
    }[name]
    # Tables grow with demand, and stay: the same demand at either length, so that none grows while it is measured.
    for total in range(0, 40_000 - count if name.startswith("encrypt") else 1, count):
        run()
    gc.collect()
    with open("/proc/self/clear_refs", "w") as peak:
        peak.write("5")  # from now on VmHWM is the peak since now
    before = resident("VmRSS")
    result = run()
    print(resident("VmHWM") - before)
"""

# Bytes a ciphertext of a 2048-bit key, from docs/memory.md.
STATED = {
    "encrypt": 1200,
    "encrypt by the holder": 1900,
    "add": 700,
    "decrypt": 2200,
    "to_bytes": 1700,
    "from_bytes": 2900,
}
SMALL, LARGE = 5_000, 20_000


def peak(name: str, backend: str, count: int, key: str) -> int:
    command = [sys.executable, "-c", MEASURE, name, backend, str(count), key]
    # Freed memory goes back to the system at once.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600, env=environment)
    return int(result.stdout)


@pytest.mark.parametrize("name", STATED)
def test_memory_grows_as_stated(keys, name):
    if not os.access("/proc/self/clear_refs", os.W_OK):
        pytest.skip("the peak of resident memory cannot be reset on this system")
    private_key = keys[2048]
    key = json.dumps({"p": private_key.p, "q": private_key.q, "h_s": private_key.public_key.h_s})
    backend = cl.backends()[0]
    small, large = (peak(name, backend, count, key) for count in (SMALL, LARGE))
    slope = (large - small) / (LARGE - SMALL)
    print(f"{name}: {slope:.0f} bytes a ciphertext")
    # It cannot be less than what the result holds, or nothing was measured.
    assert 250 < slope < STATED[name]
