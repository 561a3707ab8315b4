"""Run python-paillier's own tests, unmodified files of its wheel, on Cipherlane's stand-in; print what became of them.

python tests/integrations/phe_suite.py          # large primes from a pool: the tests make dozens of 3072-bit keys
python tests/integrations/phe_suite.py --full   # primes by the package's constant-time search
"""

from __future__ import annotations

import functools
import importlib.util
import itertools
import json
import secrets
import sys
import unittest
from collections.abc import Iterator
from pathlib import Path

import gmpy2

from cipherlane.integrations import phe
from cipherlane.integrations.phe import key_generation

MODULES = ("cli_test", "math_test", "paillier_test", "util_test")


POOL = 9  # odd, so that going round gives other pairs each time


@functools.cache
def primes_in_turn(bits: int) -> Iterator[int]:
    return itertools.cycle(itertools.islice(fresh_primes(bits), POOL))


def fresh_primes(bits: int) -> Iterator[int]:
    while True:
        prime = int(gmpy2.next_prime(3 << (bits - 2) | secrets.randbits(bits - 2)))
        if prime % 4 == 3 and prime.bit_length() == bits:
            yield prime


def pooled_prime(bits: int) -> int:
    return next(primes_in_turn(bits))


def loaded(name: str, directory: Path) -> unittest.TestSuite:
    spec = importlib.util.spec_from_file_location(f"suite_of_phe_{name}", directory / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return unittest.defaultTestLoader.loadTestsFromModule(module)


def main() -> None:
    # Found without being imported.
    (original,) = importlib.util.find_spec("phe").submodule_search_locations
    phe.stand_in()
    if "--full" not in sys.argv[1:]:
        key_generation.random_prime = pooled_prime
    tests = Path(original) / "tests"
    unexpected = {path.stem for path in tests.glob("*_test.py")} ^ set(MODULES)
    result = unittest.TextTestRunner(stream=sys.stderr, verbosity=0).run(
        unittest.TestSuite(loaded(name, tests) for name in MODULES)
    )
    of_original = [
        name
        for name, module in sys.modules.items()
        if Path(getattr(module, "__file__", None) or "/").is_relative_to(original)
        and not name.startswith("suite_of_phe")
    ]
    troubles = [(str(test), text.splitlines()[-1]) for test, text in result.failures + result.errors]
    print(
        json.dumps(
            {
                "run": result.testsRun,
                "troubles": troubles,
                "skipped": [(str(test), reason) for test, reason in result.skipped],
                "modules_not_known": sorted(unexpected),
                "modules_of_the_original": of_original,
            }
        )
    )


if __name__ == "__main__":
    main()
