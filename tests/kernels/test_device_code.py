"""The device code, all threads of a group in lockstep on the host, against Python's integers on hard numbers."""

from __future__ import annotations

import random

import pytest

from device_code import SHAPES, Ring, build, cases, hard_moduli, run, unit


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return build(tmp_path_factory.mktemp("kernels") / "nadic-filter")


def name(shape):
    return "{}x{}".format(*shape)


def per_shape(shapes=SHAPES):
    return pytest.mark.parametrize("shape", shapes, ids=name)


@per_shape()
def test_every_operation_equals_that_of_python_on_hard_numbers(program, shape):
    work = list(cases(shape, 12))
    answers = run(program, [line for line, _ in work], shape)
    for (line, check), answer in zip(work, answers, strict=True):
        assert check(answer), line


@per_shape([(2, 8), (4, 8), (8, 8), (4, 16), (32, 4)])
@pytest.mark.parametrize("window_bits", [1, 3, 4])
def test_fixed_base_powers_equal_those_of_python(program, shape, window_bits):
    windows = 5
    top = (1 << window_bits * windows) - 1
    limbs = shape[0] * shape[1]
    lines, expected = [], []
    for n in hard_moduli(limbs)[2:6]:
        ring = Ring(n, limbs)
        source = random.Random(window_bits)
        base = unit(n, source)
        entries = ring.words(
            [
                part
                for j in range(windows)
                for d in range(1 << window_bits)
                for part in ring.factored(pow(base, d << window_bits * j, n * n))
            ]
        )
        for exponent in (0, 1, top, top // 2, source.getrandbits(window_bits * windows)):
            for a in (None, 0, n - 1, source.randrange(n)):
                value = "none" if a is None else a
                lines.append(("table", (ring.constants, entries, window_bits, windows, exponent, 1, value)))
                expected.append((ring, pow(base, exponent, n * n) * (1 + (a or 0) * n)))
    answers = run(program, lines, shape)
    for (r0, r1), (ring, value) in zip(answers, expected, strict=True):
        assert [r0 % ring.n + (r1 + r0 // ring.n) % ring.n * ring.n] == [value * ring.r % ring.n**2]
        assert r0 < ring.reduced
        assert r1 < ring.n


@per_shape([(2, 8), (4, 8), (8, 8), (4, 16), (32, 4)])
def test_fixed_window_powers_equal_those_of_python(program, shape):
    limbs = shape[0] * shape[1]
    lines, expected = [], []
    for n in hard_moduli(limbs):
        ring = Ring(n, limbs)
        source = random.Random(n % (1 << 61))
        for x0, x1 in ((ring.b - 1, ring.b - 1), (source.randrange(n), source.randrange(n))):
            for bits, exponent in (
                (1, 1),
                (4, 15),
                (5, 16),
                (32, 2**32 - 1),
                (37, 2**36 + 1),
                (70, 0),
                (70, 2**69 + 3),
            ):
                lines.append(("window", (ring.constants, x0, x1, exponent, bits)))
                residue = (x0 + x1 * n) * ring.inverse
                expected.append((ring, pow(residue, exponent, n * n)))
    answers = run(program, lines, shape)
    for (r0, r1), (ring, value) in zip(answers, expected, strict=True):
        assert (r0 + r1 * ring.n) % ring.n**2 == value * ring.r % ring.n**2
        assert max(r0, r1) < ring.reduced


@per_shape([(2, 8), (8, 8), (32, 4)])
def test_products_of_rows_equal_those_of_python(program, shape):
    limbs = shape[0] * shape[1]
    lines, expected = [], []
    for n in hard_moduli(limbs):
        ring = Ring(n, limbs)
        source = random.Random(n % (1 << 61))
        pairs = [(source.randrange(ring.b), source.randrange(ring.b)) for _ in range(5)]
        residues = ring.words([part for pair in pairs for part in pair])
        for rows in ([], [3], [0, 0], [4, 2, 1, 1, 0, 3]):
            value = ring.r
            for row in rows:
                value = value * (pairs[row][0] + pairs[row][1] * n) * ring.inverse % (n * n)
            for steps in (len(rows), len(rows) + 3):
                lines.append(("rows", (ring.constants, residues, steps, len(rows), *rows)))
                expected.append((ring, value))
    answers = run(program, lines, shape)
    for (r0, r1), (ring, value) in zip(answers, expected, strict=True):
        assert (r0 + r1 * ring.n) % ring.n**2 == value % ring.n**2


def little_endian(data: bytes) -> int:
    return int.from_bytes(data, "little")


# RFC 8439: key, nonce, block counter and key stream of section 2.3.2 and of appendix A.1, vectors 1 to 5.
VECTORS = [
    (
        bytes(range(32)),
        "000000090000004a00000000",
        1,
        "10f1e7e4d13b5915500fdd1fa32071c4c7d1f4c733c068030422aa9ac3d46c4e"
        "d2826446079faa0914c2d705d98b02a2b5129cd1de164eb9cbd083e8a2503c4e",
    ),
    (
        bytes(32),
        "00" * 12,
        0,
        "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
        "da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586",
    ),
    (
        bytes(32),
        "00" * 12,
        1,
        "9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed"
        "29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f",
    ),
    (
        bytes(31) + b"\x01",
        "00" * 12,
        1,
        "3aeb5224ecf849929b9d828db1ced4dd832025e8018b8160b82284f3c949aa5a"
        "8eca00bbb4a73bdad192b5c42f73f2fd4e273644c8b36125a64addeb006c13a0",
    ),
    (
        b"\x00\xff" + bytes(30),
        "00" * 12,
        2,
        "72d54dfbf12ec44b362692df94137f328fea8da73990265ec1bbbea1ae9af0ca"
        "13b25aa26cb4a648cb9b9d1be65b2c0924a66c54d545ec1b7374f4872e99f096",
    ),
    (
        bytes(32),
        "00" * 11 + "02",
        0,
        "c2c64d378cd536374ae204b9ef933fcd1a8b2288b3dfa49672ab765b54ee27c7"
        "8a970e0e955c14f3a88e741b97c286f75f8fc299e8148362fa198a39531bed6d",
    ),
]


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


@pytest.mark.parametrize("threads", [2, 8])
@pytest.mark.parametrize("bits", [1, 31, 32, 33, 512, 513, 1024, 1536, 2048, 2049])
def test_exponents_are_the_blocks_of_their_ciphertext_cut_to_size(program, threads, bits):
    shape = (threads, 8)
    key = little_endian(bytes(range(32)))
    for index in (0, 7, 2**32, 2**64 - 1):
        [(exponent,)] = run(program, [("exponent", (key, bits, index, 5))], shape)
        lines = [("block", (key, index | 5 << 64, block)) for block in range((bits + 511) // 512)]
        stream = sum(blocks[0] << 512 * i for i, blocks in enumerate(run(program, lines, shape)))
        assert exponent == stream % (1 << bits)
