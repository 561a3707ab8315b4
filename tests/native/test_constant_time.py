"""No branch and no address depends on a secret: by valgrind's memcheck, and by the path that code takes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

import cipherlane as cl

from cpp_programs import build, hard_key, short_key

REPORTED = 99
LENGTHS = [256, 300, 512]


@pytest.fixture(scope="module")
def marked_program():
    if shutil.which("valgrind") is None:
        pytest.skip("valgrind is not installed (Debian package valgrind)")
    if not Path("/usr/include/valgrind/memcheck.h").is_file():
        pytest.skip("valgrind's header memcheck.h is not installed (Debian package valgrind)")
    return build("memcheck", "constant_time", "CIPHERLANE_MARK_SECRETS=ON")


def memcheck(program: Path, mode: str, key: str) -> subprocess.CompletedProcess[str]:
    command = ["valgrind", "-q", f"--error-exitcode={REPORTED}", str(program), mode]
    return subprocess.run(command, input=key, capture_output=True, text=True, timeout=600)


@pytest.mark.parametrize("prime_bits", LENGTHS)
def test_memcheck_reports_nothing_that_depends_on_a_secret(marked_program, prime_bits):
    result = memcheck(marked_program, "private", hard_key(prime_bits, seed=1))
    assert (result.returncode, result.stderr) == (0, "")


def test_memcheck_reports_nothing_of_a_short_key(marked_program):
    result = memcheck(marked_program, "private", short_key(288, order_bits=100))
    assert (result.returncode, result.stderr) == (0, "")


def test_memcheck_reports_nothing_of_the_search_for_primes(marked_program):
    result = memcheck(marked_program, "primes", "")
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("mode", ["leak-address", "leak-branch"])
def test_memcheck_reports_what_is_variable_time(marked_program, mode):
    result = memcheck(marked_program, mode, hard_key(256, seed=1))
    assert result.returncode == REPORTED
    assert "depends on uninitialised value" in result.stderr or "Use of uninitialised value" in result.stderr


@pytest.fixture(scope="module")
def traced_program():
    return build("trace", "path_trace", "CIPHERLANE_TRACE_PATHS=ON")


def traced(program: Path, backend: str, keys: str) -> dict[str, str]:
    result = subprocess.run(
        [str(program), backend], input=keys, capture_output=True, text=True, check=True, timeout=600
    )
    steps = {fields[0]: fields[1:] for fields in map(str.split, result.stdout.splitlines())}
    # Nobody decrypts without entering blocks and reading memory: it was recorded.
    assert all(int(blocks) > 1000 and int(accesses) > 1000 for blocks, accesses, _ in steps.values())
    return {name: fields[2] for name, fields in steps.items()}


@pytest.mark.parametrize("prime_bits", LENGTHS)
@pytest.mark.parametrize("backend", cl.backends())
def test_two_secrets_take_the_same_path(traced_program, backend, prime_bits):
    assert traced(traced_program, backend, hard_key(prime_bits, seed=1) + hard_key(prime_bits, seed=101)) == {
        "set-up": "same",
        "encrypt-djn": "same",
        "encrypt-classic": "same",
        "encrypt-exact": "same",
        "decrypt": "same",
        "public-power": "differs",
        "public-table": "differs",
    }


@pytest.mark.parametrize("backend", cl.backends())
def test_two_short_keys_take_the_same_path(traced_program, backend):
    assert traced(traced_program, backend, short_key(288, order_bits=100) + short_key(288, order_bits=100)) == {
        "set-up": "same",
        "encrypt-djn": "same",
        "decrypt": "same",
        "public-power": "differs",
        "public-table": "differs",
    }
