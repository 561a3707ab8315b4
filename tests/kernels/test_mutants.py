"""Bugs planted in the device code's carries, one after the other: the hard numbers must find each."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from device_code import KERNELS, build, cases, run

SHAPE = (8, 8)


def mutants() -> list[str]:
    body = re.search(r"enum class Mutant \{(.*?)\};", (KERNELS / "mutants.cuh").read_text(), re.S)
    assert body
    return re.findall(r"^  (k\w+),", body.group(1), re.M)[1:]


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    directory = tmp_path_factory.mktemp("mutants")
    shape = "-DCIPHERLANE_TEST_SHAPE={},{}".format(*SHAPE)
    with ThreadPoolExecutor(2) as pool:
        return list(
            pool.map(
                lambda mutant: build(directory / f"mutant-{mutant}", shape, f"-DCIPHERLANE_MUTANT={mutant}"),
                range(len(mutants()) + 1),
            )
        )


@pytest.fixture(scope="module")
def work():
    return list(cases(SHAPE, 6))


def wrong_answers(program, work) -> int:
    answers = run(program, [line for line, _ in work], SHAPE)
    return sum(not check(answer) for (_, check), answer in zip(work, answers, strict=True))


def test_the_code_without_a_bug_passes(programs, work):
    assert wrong_answers(programs[0], work) == 0


@pytest.mark.parametrize("mutant", range(1, len(mutants()) + 1), ids=mutants())
def test_hard_numbers_find_the_bug(programs, work, mutant):
    assert wrong_answers(programs[mutant], work) > 0


def test_every_mutant_is_planted_somewhere():
    sources = "".join((KERNELS / name).read_text() for name in ("limbs.cuh", "nadic.cuh", "power.cuh"))
    assert [mutant for mutant in mutants() if f"Mutant::{mutant})" not in sources] == []
