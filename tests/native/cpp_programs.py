"""Builds the programs of cpp/tests with CMake, and makes keys for them."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from pathlib import Path

import gmpy2

from cipherlane.paillier import key_generation

ROOT = Path(__file__).parents[2]


def tool(name: str) -> str:
    # Beside Python first: a virtual environment need not be activated.
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    assert found, f"{name}: not found; install the package with its extra 'test'"
    return found


def build(name: str, target: str, *options: str) -> Path:
    """Build ``target`` with CMake options in build/cpp-tests/``name`` and return the program."""
    directory = ROOT / "build" / "cpp-tests" / name
    configure = [
        *(tool("cmake"), "-S", str(ROOT), "-B", str(directory), "-G", "Ninja"),
        *(f"-DCMAKE_MAKE_PROGRAM={tool('ninja')}", "-DCIPHERLANE_PYTHON=OFF", "-DCIPHERLANE_TESTS=ON"),
        "-DCIPHERLANE_CUDA=OFF",
        *(f"-D{option}" for option in options),
    ]
    subprocess.run(configure, check=True, stdout=subprocess.DEVNULL)
    subprocess.run([tool("cmake"), "--build", str(directory), "--target", target], check=True)
    return directory / target


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
