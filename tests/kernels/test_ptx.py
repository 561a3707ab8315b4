"""What nvcc makes of the kernels, run instruction by instruction for one warp, against Python's integers."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess

import numpy as np
import pytest

from batch_calls import Call, kernel_names
from batch_cases import CASES, Setup, to_words
from device_code import KERNELS, Ring, hard_moduli
from ptx_machine import WARP, Kernel

pytestmark = pytest.mark.skipif(shutil.which("nvcc") is None, reason="no nvcc on PATH: there is no PTX to run")
SHAPES = [(2, 8), (8, 8), (32, 4)]
# Of kernels with long runs, the cases that take every loop at least twice.
CHOSEN = {
    "FixedBasePowersVartime": [0],
    "FixedBasePowersMasked": [0],
    "FixedWindowPowers": [2],
    "PowersEachVartime": [1],
}


@pytest.fixture(scope="module", params=SHAPES, ids=lambda shape: "{}x{}".format(*shape))
def launch(request, tmp_path_factory):
    return Launch(*request.param, tmp_path_factory.mktemp("ptx") / "launch.ptx")


class Launch:
    """Runs kernels of one shape, for one warp."""

    def __init__(self, threads, limbs, file):
        command = ["nvcc", "-std=c++17", "-ptx", "-arch=sm_80", str(KERNELS / "launch.cu"), "-o", str(file)]
        defines = [f"-DCIPHERLANE_THREADS={threads}", f"-DCIPHERLANE_LIMBS={limbs}"]
        subprocess.run([*command, *defines], check=True)
        self.ptx = file.read_text()
        self.threads, self.limbs, self.groups = threads, threads * limbs, WARP // threads

    def setup(self, modulus):
        # The last group stays without work where there are several.
        ring = Ring(hard_moduli(self.limbs)[modulus], self.limbs)
        return Setup(ring, self.threads, max(1, self.groups - 1), self.groups)

    def __call__(self, call, path=None):
        placed = call.place()
        memory = placed.memory.copy()
        Kernel(self.ptx, call.kernel).run(memory, placed.usable, placed.parameter, path)
        return {name: memory[where] for name, where in placed.results.items()}


@pytest.mark.parametrize("kernel", kernel_names())
def test_a_kernel_gives_what_python_does(launch, kernel):
    # Moduli full of ones and far from filling their limbs; the tests of paths have long runs with the first.
    for modulus in (0, 8) if kernel not in CHOSEN else (8,):
        cases = list(CASES[kernel](launch.setup(modulus)))
        for case in CHOSEN.get(kernel, range(len(cases))):
            call, check = cases[case]
            assert check(launch(call)), call


def with_exponents(call: Call, name: str, exponents: list[int]) -> Call:
    words = len(call.fields[name]) // len(exponents)
    return dataclasses.replace(call, fields=call.fields | {name: to_words(exponents, words)})


def test_the_path_of_a_fixed_window_power_does_not_depend_on_its_exponent(launch):
    call, _ = list(CASES["FixedWindowPowers"](launch.setup(0)))[2]
    paths = [[], []]
    for path, exponent in zip(paths, (0b00000, 0b11001), strict=True):
        launch(with_exponents(call, "exponent", [exponent]), path)
    assert paths[0] == paths[1]
    assert len(paths[0]) > 10_000


def test_the_path_of_a_masked_fixed_base_power_does_not_depend_on_its_exponents(launch):
    call, _ = next(CASES["FixedBasePowersMasked"](launch.setup(0)))
    count = call.fields["count"]
    paths = [[], []]
    for path, exponents in zip(paths, ([0] * count, [2**18 - 1 - i for i in range(count)]), strict=True):
        launch(with_exponents(call, "exponents", exponents), path)
    assert paths[0] == paths[1]
    assert len(paths[0]) > 10_000


def test_the_path_of_a_vartime_fixed_base_power_is_seen_to_depend_on_them(launch):
    call, _ = next(CASES["FixedBasePowersVartime"](launch.setup(0)))
    count = call.fields["count"]
    paths = [[], []]
    for path, exponents in zip(paths, ([0] * count, [1] * count), strict=True):
        launch(with_exponents(call, "exponents", exponents), path)
    assert paths[0] != paths[1]


def test_groups_of_a_warp_take_products_of_different_lengths_together(launch):
    [[call, check]] = CASES["SegmentProducts"](launch.setup(1))
    lengths = np.diff(call.fields["starts"])
    assert launch.groups < 4 or len(set(lengths.tolist())) > 2
    assert check(launch(call))
