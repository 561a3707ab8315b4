"""Bugs planted in the device code, one after the other: the hard numbers must find each."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from batch_calls import run_on_host
from batch_cases import CASES, Setup
from device_code import KERNELS, Ring, build, cases, hard_moduli, run

SHAPE = (8, 8)


def mutants(heading: str) -> list[str]:
    body = re.search(
        rf"// Found by {heading}:\n(.*?)^(?:  //|\}};)", (KERNELS / "mutants.cuh").read_text(), re.S | re.M
    )
    assert body
    return re.findall(r"^  (k\w+),", body.group(1), re.M)


IN_OPERATIONS = mutants("single operations")
IN_KERNELS = mutants("whole kernels")


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    directory = tmp_path_factory.mktemp("mutants")

    def build_filter(name: str):
        return build(directory / name, f"{name}_filter.cpp", [SHAPE], "-DCIPHERLANE_MUTANTS")

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(build_filter, ["nadic", "batch"]))


@pytest.fixture(scope="module")
def lines():
    return list(cases(SHAPE, 6))


@pytest.fixture(scope="module")
def calls():
    ring = Ring(hard_moduli(SHAPE[0] * SHAPE[1])[5], SHAPE[0] * SHAPE[1])
    return [case for of_kernel in CASES.values() for case in of_kernel(Setup(ring, SHAPE[0], 3, 4))]


def wrong_lines(programs, lines, mutant) -> int:
    answers = run(programs[0], [line for line, _ in lines], SHAPE, mutant)
    return sum(not check(answer) for (_, check), answer in zip(lines, answers, strict=True))


def wrong_calls(programs, calls, mutant) -> int:
    answers = run_on_host(programs[1], [call for call, _ in calls], SHAPE, mutant)
    return sum(not check(answer) for (_, check), answer in zip(calls, answers, strict=True))


def test_the_code_without_a_bug_passes(programs, lines, calls):
    assert wrong_lines(programs, lines, 0) == 0
    assert wrong_calls(programs, calls, 0) == 0


@pytest.mark.parametrize("mutant", range(1, len(IN_OPERATIONS) + 1), ids=IN_OPERATIONS)
def test_hard_numbers_find_the_bug(programs, lines, mutant):
    assert wrong_lines(programs, lines, mutant) > 0


@pytest.mark.parametrize("mutant", range(len(IN_KERNELS)), ids=IN_KERNELS)
def test_kernels_on_hard_numbers_find_the_bug(programs, calls, mutant):
    try:
        wrong = wrong_calls(programs, calls, len(IN_OPERATIONS) + 1 + mutant)
    except AssertionError as error:  # the program itself found it
        assert "past the end of an array" in str(error)
        return
    assert wrong > 0


def test_every_mutant_is_planted_somewhere():
    names = ("limbs.cuh", "nadic.cuh", "power.cuh", "batch_kernels_impl.cuh")
    sources = "".join((KERNELS / name).read_text() for name in names)
    assert [mutant for mutant in IN_OPERATIONS + IN_KERNELS if f"Mutant::{mutant})" not in sources] == []
