"""Builds the package with the emulated device in place of CUDA, and runs Python with it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pybind11

from cpp_programs import ROOT, tool

PACKAGE = ROOT / "python" / "cipherlane"


def build() -> Path:
    """Build the module and return a folder for PYTHONPATH: the package of this checkout with that module."""
    directory = ROOT / "build" / "emulated-device"
    configure = [
        *(tool("cmake"), "-S", str(ROOT), "-B", str(directory), "-G", "Ninja"),
        *(f"-DCMAKE_MAKE_PROGRAM={tool('ninja')}", "-DCIPHERLANE_EMULATED_DEVICE=ON"),
        *(f"-DPython_EXECUTABLE={sys.executable}", f"-Dpybind11_DIR={pybind11.get_cmake_dir()}"),
        f"-DCIPHERLANE_VERSION={_version()}",
    ]
    subprocess.run(configure, check=True, stdout=subprocess.DEVNULL)
    subprocess.run([tool("cmake"), "--build", str(directory)], check=True)
    package = directory / "python" / "cipherlane"
    package.mkdir(parents=True, exist_ok=True)
    for link in package.iterdir():
        link.unlink()
    sources = [path for path in PACKAGE.iterdir() if path.name != "__pycache__" and path.suffix != ".so"]
    for path in [*sources, *directory.glob("_native*.so")]:
        (package / path.name).symlink_to(path)
    return package.parent


def _version() -> str:
    from cipherlane import _native

    return _native.__version__


def environment(folder: Path, **variables: str) -> dict[str, str]:
    """Return this process's environment with that package first."""
    path = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path), **variables}


def run(folder: Path, code: str, timeout: int = 300, **variables: str) -> str:
    """Run Python code with the emulated device and return what it printed."""
    process = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", code],
        capture_output=True,
        text=True,
        timeout=timeout,
        env=environment(folder, **variables),
    )
    assert process.returncode == 0, process.stderr
    return process.stdout
