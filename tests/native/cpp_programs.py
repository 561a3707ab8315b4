"""Builds the programs of cpp/tests and the C++ package with CMake, and makes keys for them."""

from __future__ import annotations

import contextlib
import fcntl
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import gmpy2

from cipherlane.paillier import key_generation

ROOT = Path(__file__).parents[2]


def tool(name: str) -> str:
    # Beside Python first: a virtual environment need not be activated.
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    assert found, f"{name}: not found; install the package with its extra 'test'"
    return found


@contextlib.contextmanager
def _alone_in(directory: Path) -> Iterator[None]:
    """Keep this test run's other processes out of a build directory."""
    directory.mkdir(parents=True, exist_ok=True)
    with open(directory / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(source: Path, directory: Path, targets: list[str], *options: str) -> None:
    configure = [
        *(tool("cmake"), "-S", str(source), "-B", str(directory), "-G", "Ninja"),
        f"-DCMAKE_MAKE_PROGRAM={tool('ninja')}",
        *(f"-D{option}" for option in options),
    ]
    subprocess.run(configure, check=True, stdout=subprocess.DEVNULL)
    chosen = ["--target", *targets] if targets else []
    subprocess.run([tool("cmake"), "--build", str(directory), *chosen], check=True)


def _directory(name: str) -> Path:
    return ROOT / "build" / "cpp-tests" / name


_OPTIONS = ("CIPHERLANE_PYTHON=OFF", "CIPHERLANE_TESTS=ON", "CIPHERLANE_CUDA=OFF", "CIPHERLANE_XGBOOST_PLUGIN=ON")


def build(name: str, target: str, *options: str) -> Path:
    """Build ``target`` with CMake options in build/cpp-tests/``name`` and return the program."""
    directory = _directory(name)
    with _alone_in(directory):
        _build(ROOT, directory, [target], *_OPTIONS, *options)
    return directory / target


def install_package(prefix: Path) -> Path:
    """Install the C++ package and the plugin for XGBoost; the core is that of ``build("plain", ...)``."""
    directory = _directory("plain")
    with _alone_in(directory):
        _build(ROOT, directory, ["cipherlane", "cipherlane_xgboost"], *_OPTIONS)
        install = [tool("cmake"), "--install", str(directory), "--prefix", str(prefix)]
        subprocess.run(install, check=True, stdout=subprocess.DEVNULL)
    return prefix


def build_against_package(source: Path, directory: Path, prefix: Path, *targets: str) -> Path:
    """Build a project that finds the C++ package in ``prefix``, and return the directory of its programs."""
    _build(source, directory, list(targets), f"CMAKE_PREFIX_PATH={prefix}")
    return directory


def key_line(p: int, q: int, seed: int) -> str:
    """Return a key in the form that the programs read: n, h_s, p, q, numbers in place of generators, no orders."""
    source = random.Random(seed)
    n = p * q
    y = source.randrange(1, n)
    numbers = (n, pow(-y * y % n, n, n * n), p, q, source.randrange(2, p), source.randrange(2, q), 0, 0)
    return " ".join(f"{number:x}" for number in numbers) + "\n"


def prime_below_power(bits: int, seed: int) -> int:
    """Return a prime of ``bits`` bits whose first 64 are ones, so that a draw of as many bits is below it."""
    start = ((1 << 64) - 1) << (bits - 64) | random.Random(seed).getrandbits(bits - 64)
    return int(gmpy2.next_prime(start))


def hard_key(prime_bits: int, seed: int) -> str:
    """Return a key of two such primes."""
    return key_line(prime_below_power(prime_bits, seed), prime_below_power(prime_bits, seed + 1), seed)


def short_key(prime_bits: int, order_bits: int) -> str:
    """Return a key of scheme "short" in the same form, smaller than any that is safe."""
    p, q = key_generation._prime_pair(2 * prime_bits, order_bits)
    h_s = key_generation._short_obfuscator_base(p, q)
    return " ".join(f"{number:x}" for number in (p.p * q.p, h_s, p.p, q.p, 0, 0, p.s, q.s)) + "\n"
