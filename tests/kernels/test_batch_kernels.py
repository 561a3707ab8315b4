"""Every batch kernel, group after group on the host, against Python's integers on hard numbers."""

from __future__ import annotations

import re

import pytest

from batch_calls import HEADER, kernel_names, run_on_host
from batch_cases import CASES, Setup, chacha20
from chacha20_vectors import VECTORS
from device_code import Ring, build, hard_moduli

SHAPES = [(2, 8), (4, 8), (4, 12), (8, 8), (8, 12), (16, 8), (32, 4)]


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return build(tmp_path_factory.mktemp("batch") / "batch-filter", "batch_filter.cpp", SHAPES)


def test_the_shapes_are_those_of_the_header():
    [shapes] = re.findall(r"#define CIPHERLANE_SHAPES\(X\) (.*)", HEADER)
    assert [tuple(map(int, shape)) for shape in re.findall(r"X\((\d+), (\d+)\)", shapes)] == SHAPES[:-1]


def test_there_are_cases_for_every_kernel():
    assert list(CASES) == kernel_names()


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "{}x{}".format(*shape))
@pytest.mark.parametrize("kernel", kernel_names())
def test_a_kernel_gives_what_python_does(program, shape, kernel):
    threads, limbs = shape[0], shape[0] * shape[1]
    moduli = hard_moduli(limbs)
    if limbs > 64:  # full of ones, of zeros, sparse, and far from filling the limbs: the others take long
        moduli = moduli[::3]
    # Some groups are past the end.
    cases = [case for i, n in enumerate(moduli) for case in CASES[kernel](Setup(Ring(n, limbs), threads, 3 + i % 2, 6))]
    answers = run_on_host(program, [call for call, _ in cases], shape)
    for (call, check), answer in zip(cases, answers, strict=True):
        assert check(answer), call.line(shape)


@pytest.mark.parametrize("vector", VECTORS)
def test_the_chacha20_compared_with_is_that_of_its_rfc(vector):
    key, nonce, counter, stream = vector
    assert chacha20(key, counter, bytes.fromhex(nonce)).hex() == stream
