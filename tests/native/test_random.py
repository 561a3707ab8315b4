"""The generator: published vectors, another library, and no repetition across threads, calls and forks."""

from __future__ import annotations

import concurrent.futures
import os

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from hypothesis import given, settings
from hypothesis import strategies as st

from cipherlane import _native


def test_chacha20_block_of_rfc_8439_section_2_3_2():
    key = bytes(range(32))
    nonce = bytes.fromhex("000000090000004a00000000")
    expected = (
        "10f1e7e4d13b5915500fdd1fa32071c4c7d1f4c733c068030422aa9ac3d46c4e"
        "d2826446079faa0914c2d705d98b02a2b5129cd1de164eb9cbd083e8a2503c4e"
    )
    assert _native.chacha20_block(key, 1, nonce).hex() == expected


def test_chacha20_block_of_rfc_8439_appendix_a_1():
    expected = (
        "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
        "da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586"
    )
    assert _native.chacha20_block(bytes(32), 0, bytes(12)).hex() == expected


@settings(max_examples=200, deadline=None)
@given(st.binary(min_size=32, max_size=32), st.integers(0, 2**32 - 1), st.binary(min_size=12, max_size=12))
def test_chacha20_block_equals_that_of_openssl(key, counter, nonce):
    stream = Cipher(algorithms.ChaCha20(key, counter.to_bytes(4, "little") + nonce), mode=None).encryptor()
    assert _native.chacha20_block(key, counter, nonce) == stream.update(bytes(64))


@pytest.mark.parametrize(("key", "nonce"), [(bytes(31), bytes(12)), (bytes(32), bytes(11))])
def test_chacha20_block_refuses_other_sizes(key, nonce):
    with pytest.raises(ValueError, match="expected 32 and 12 bytes"):
        _native.chacha20_block(key, 0, nonce)


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 1000, (1 << 20) + 7])
def test_random_bytes_have_the_length_asked_for(count):
    assert len(_native.random_bytes(count)) == count


def test_random_bytes_are_balanced():
    data = _native.random_bytes(1 << 20)
    ones = sum(byte.bit_count() for byte in data)
    # 2^23 fair bits have a standard deviation of 1448; ten of them do not happen by chance.
    assert abs(ones - (1 << 22)) < 14_480
    assert len(set(data)) == 256


def test_no_block_repeats_across_calls_and_threads():
    def draw(_):
        return [_native.random_bytes(16) for _ in range(200)]

    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        blocks = [block for part in pool.map(draw, range(64)) for block in part]
    assert len(set(blocks)) == len(blocks) == 12_800


def test_a_forked_child_draws_other_bytes_than_its_parent():
    _native.random_bytes(16)  # both sides inherit a generator that is already seeded
    reader, writer = os.pipe()
    children = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            try:
                os.write(writer, _native.random_bytes(16))
            finally:
                os._exit(0)
        children.append(child)
    own = _native.random_bytes(16)
    for child in children:
        assert os.waitpid(child, 0)[1] == 0
    drawn = {os.read(reader, 16) for _ in range(3)} | {own}
    os.close(reader)
    os.close(writer)
    assert len(drawn) == 4
