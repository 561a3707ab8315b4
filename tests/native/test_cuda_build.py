"""The backend "cuda" of this build where there is no device: it is not listed, and nothing else minds."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from cipherlane import _native

CODE = """
import cipherlane as cl
from cipherlane import _native
from cipherlane.paillier.limbs import number_to_limbs

assert "cuda" in _native.known_backends() and "cuda" not in cl.backends(), cl.backends()
assert _native.device_info() is None
try:
    _native.PublicContext(number_to_limbs(2**512 - 1), None, "cuda")
except cl.BackendUnavailableError as error:
    print(error)
with cl.use_backend(cl.backends()[0]):
    assert len(cl.keygen(2048)[0].encrypt([1, 2])) == 2
"""


@pytest.mark.skipif("cuda" not in _native.known_backends(), reason="this build has no CUDA: nvcc was not found")
def test_without_a_device_cuda_is_not_listed_and_nothing_is_printed():
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "CIPHERLANE_BACKEND": ""},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("backend: 'cuda' cannot be used on this machine (CUDA finds no device")
    assert "usable here: " in done.stdout
