"""What the suite for GPUs needs of a machine: an interpreter with numpy, and the native module with the backend "cuda".

Nothing is downloaded unless pip reaches a registry. A package that is missing is looked for in build/gpu/packages,
which can be carried to a machine without a network (`make gpu-packages`); for gmpy2, threadpoolctl and tqdm there are
stand-ins in plain Python, good enough to verify and to time.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ROOT / "build" / "gpu" / "packages"
NATIVE_BUILD = ROOT / "build" / "gpu" / "native"
STAND_INS = ROOT / "bench" / "stand_ins"
WITH_STAND_IN = ("gmpy2", "threadpoolctl", "tqdm")
LEAST_PYTHON = (3, 10)
# Finds whether the module is there and knows the backend, where the module's own imports may fail.
PROBE = "from cipherlane import _native; import sys; sys.exit('cuda' not in _native.known_backends())"


class Missing(Exception):
    """Something that the suite cannot do without; the message says what to do."""


def environment() -> dict[str, str]:
    """Return the environment in which the package is found, and those that it needs."""
    paths = [str(ROOT / "python")]
    if PACKAGES.is_dir():
        paths.append(str(PACKAGES))
    if any(not has_package(name) for name in WITH_STAND_IN):
        # Behind what is installed: a stand-in never hides the package.
        paths.append(str(_stand_ins()))
    inherited = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([*paths, *([inherited] if inherited else [])])}


def _stand_ins() -> Path:
    """Return a folder with stand-ins for the packages that are missing, and no others: PYTHONPATH goes first."""
    folder = ROOT / "build" / "gpu" / "stand_ins"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in WITH_STAND_IN:
        if not has_package(name):
            shutil.copy(STAND_INS / f"{name}.py", folder)
    return folder


def has_package(name: str) -> bool:
    """Return whether a package is installed, or was carried here."""
    return (
        importlib.util.find_spec(name) is not None or (PACKAGES / name).is_dir() or (PACKAGES / f"{name}.py").exists()
    )


def check_interpreter() -> None:
    """Raise `Missing` unless this interpreter can run the package; tell what is used instead of packages."""
    if sys.version_info < LEAST_PYTHON:
        raise Missing(f"Python {sys.version.split()[0]}: 3.10 or newer is needed; name another with PYTHON=")
    if not has_package("numpy"):
        raise Missing(f"numpy is not there for {sys.executable}; name an interpreter that has it with PYTHON=")
    instead = [name for name in WITH_STAND_IN if not has_package(name)]
    if instead:
        say(f"not installed: {', '.join(instead)}; stand-ins in plain Python do (setting up takes longer)")


def ensure_native(again: bool = False) -> None:
    """Build the native module with CUDA, unless it is there; ``again``: in any case."""
    if not again:
        if _has_cuda():
            return
        say("the native module is missing, is for another Python, or lacks CUDA: building it")
    tools = {"cmake": "CMake 3.18 or newer", "nvcc": "the CUDA toolkit", "c++": "a C++17 compiler"}
    absent = [f"{tool} ({what})" for tool, what in tools.items() if shutil.which(tool) is None]
    pybind11 = _pybind11()
    if pybind11 is None:
        absent.append("pybind11 (pip install pybind11, or carry build/gpu/packages)")
    if absent:
        raise Missing(
            f"to build the native module, these are missing: {', '.join(absent)}. Or bring a module that was built "
            f"with CUDA for Python {sys.version_info.major}.{sys.version_info.minor}: python/cipherlane/_native*.so"
        )
    configure = [
        "cmake",
        "-S",
        str(ROOT),
        "-B",
        str(NATIVE_BUILD),
        "-DCIPHERLANE_CUDA=ON",
        f"-Dpybind11_DIR={pybind11}",
    ]
    configure += [f"-DPython_EXECUTABLE={sys.executable}", "-DCMAKE_BUILD_TYPE=Release"]
    configure += [f"-DCMAKE_LIBRARY_OUTPUT_DIRECTORY={ROOT / 'python' / 'cipherlane'}"]
    configure += os.environ.get("CMAKE_ARGS", "").split()
    for command in (configure, ["cmake", "--build", str(NATIVE_BUILD), "--parallel", str(os.cpu_count() or 1)]):
        if subprocess.run(command).returncode != 0:
            raise Missing(f"the build failed: {' '.join(command)}")
    if not _has_cuda():
        raise Missing("the native module was built and lacks the backend 'cuda'; the build's first lines say why")


def _has_cuda() -> bool:
    return subprocess.run([sys.executable, "-c", PROBE], env=environment(), capture_output=True).returncode == 0


def _pybind11() -> str | None:
    """Return where CMake finds pybind11, installed by pip where it has to be and can."""
    for attempt in ("installed", "by pip"):
        for folder in (PACKAGES / "pybind11", *_folders_of("pybind11")):
            found = folder / "share" / "cmake" / "pybind11"
            if found.is_dir():
                return str(found)
        if attempt == "installed":
            install("pybind11")
    return None


def _folders_of(package: str) -> list[Path]:
    spec = importlib.util.find_spec(package)
    return [Path(place) for place in (spec.submodule_search_locations or [])] if spec else []


def install(*names: str) -> bool:
    """Try pip, into build/gpu/packages; return whether it worked."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "0"]
    done = subprocess.run([*command, "--target", str(PACKAGES), *names], capture_output=True, text=True)
    return done.returncode == 0


def say(text: str) -> None:
    print(f"gpu suite: {text}", file=sys.stderr, flush=True)
