"""Limits on threads hold for libraries that are loaded after the first of them."""

from __future__ import annotations

import os
import subprocess
import sys

SCRIPT = """
import sys
from threadpoolctl import threadpool_info
from cipherlane.threadpools import single_threaded

with single_threaded("blas"):
    # As when a key is made, before anything of scikit-learn is loaded.
    assert "sklearn" not in sys.modules
from sklearn.cluster import KMeans

def threads():
    return max(library["num_threads"] for library in threadpool_info() if library["user_api"] == "openmp")

with single_threaded("openmp"):
    inside = threads()
print(inside, threads())
"""


def test_a_library_that_is_loaded_later_is_limited_too() -> None:
    shown = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, "OMP_NUM_THREADS": "3"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout == "1 3\n"
