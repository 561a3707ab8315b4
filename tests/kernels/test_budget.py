"""The kernels compile without spills and within the committed budget, where nvcc is."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BUDGET = Path(__file__).parents[2] / "bench" / "kernel_budget.py"


# One of each number of limbs, and one for each architecture: compiling all of them takes minutes.
@pytest.mark.skipif(shutil.which("nvcc") is None, reason="no nvcc on PATH: the kernels are not compiled for GPUs")
@pytest.mark.parametrize(("shape", "architectures"), [("8x8", ["sm_75", "sm_80", "sm_90"]), ("8x12", ["sm_90"])])
def test_kernels_stay_within_their_budget(shape, architectures):
    command = [sys.executable, str(BUDGET), "--shape", shape, "--arch", *architectures]
    done = subprocess.run(command, capture_output=True, text=True)
    print(done.stdout, done.stderr)
    assert done.returncode == 0, done.stderr
