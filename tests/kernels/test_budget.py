"""The kernels compile without spills and within the committed budget, where nvcc is."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BUDGET = Path(__file__).parents[2] / "bench" / "kernel_budget.py"


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="no nvcc on PATH: the kernels are not compiled for GPUs")
@pytest.mark.parametrize("shape", ["8x8", "8x12", "4x16"])
@pytest.mark.parametrize("architecture", ["sm_75", "sm_80", "sm_90"])
def test_kernels_stay_within_their_budget(shape, architecture):
    command = [sys.executable, str(BUDGET), "--shape", shape, "--arch", architecture]
    done = subprocess.run(command, capture_output=True, text=True)
    print(done.stdout, done.stderr)
    assert done.returncode == 0, done.stderr
