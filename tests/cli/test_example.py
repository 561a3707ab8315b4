"""The example prints what a new user wants to know."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import cipherlane as cl
from cipherlane.federation.run_store import check_complete

SCRIPT = Path(__file__).parents[2] / "examples" / "breast_cancer" / "run.py"


def test_the_example_tells_how_good_how_long_and_what_crossed(tmp_path: Path) -> None:
    package = str(Path(cl.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([package, os.environ.get("PYTHONPATH", "")])}
    out = tmp_path / "run"
    command = [sys.executable, str(SCRIPT), "--out", str(out)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert result.returncode == 0, result.stderr
    text = result.stdout
    assert re.search(r"^converged after \d+ iterations$", text, re.MULTILINE)
    seconds = [float(value) for value in re.findall(r"^ +(\d+\.\d{3}) s ", text, re.MULTILINE)]
    assert abs(seconds[0] - sum(seconds[1:])) < 0.001 * len(seconds)
    for work in ("encrypting", "adding", "decrypting", "EM: parameters", "EM: responsibilities"):
        assert work in text
    crossed = [int(value) for value in re.findall(r"^ +(\d+) [a-z]", text, re.MULTILINE)]
    assert crossed[0] == sum(crossed[1:])
    assert f"{crossed[0]} ciphertexts of scheme djn with a 2048-bit key crossed" in text
    assert re.search(r"accuracy +ARI +AUC\n +federated, this run +0\.94\d\d +0\.79\d\d +0\.95\d\d\n", text)
    assert f"run directory: {out}" in text
    assert check_complete(out)
