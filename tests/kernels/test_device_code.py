"""The device code, all threads of a group in lockstep on the host, against Python's integers on hard numbers."""

from __future__ import annotations

import pytest

from chacha20_vectors import VECTORS
from device_code import SHAPES, build, cases, run


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return build(tmp_path_factory.mktemp("kernels") / "nadic-filter", "nadic_filter.cpp", SHAPES)


def name(shape):
    return "{}x{}".format(*shape)


@pytest.mark.parametrize("shape", SHAPES, ids=name)
def test_every_operation_equals_that_of_python_on_hard_numbers(program, shape):
    work = list(cases(shape, 12))
    answers = run(program, [line for line, _ in work], shape)
    for (line, check), answer in zip(work, answers, strict=True):
        assert check(answer), line


def little_endian(data: bytes) -> int:
    return int.from_bytes(data, "little")


@pytest.mark.parametrize("threads", [2, 8, 32])
@pytest.mark.parametrize("vector", range(len(VECTORS)))
def test_chacha20_gives_the_key_stream_of_its_rfc(program, threads, vector):
    key, nonce, counter, stream = VECTORS[vector]
    shape = (threads, 4 if threads == 32 else 8)
    fields = (little_endian(key), little_endian(bytes.fromhex(nonce)), counter)
    [blocks] = run(program, [("block", fields)], shape)
    assert len(blocks) == threads
    assert blocks[0] == little_endian(bytes.fromhex(stream))
    assert len(set(blocks)) == threads
    # The thread l computes the block counter + l.
    for thread in range(1, 3 if threads > 2 else 2):
        [alone] = run(program, [("block", (fields[0], fields[1], counter + thread))], shape)
        assert alone[0] == blocks[thread]
