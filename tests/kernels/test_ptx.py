"""What nvcc makes of the kernels, run instruction by instruction for one warp, against Python's integers."""

from __future__ import annotations

import random
import shutil
import subprocess

import numpy as np
import pytest

from device_code import KERNELS, Ring, hard_moduli, hard_numbers, unit
from ptx_machine import WARP, Kernel

pytestmark = pytest.mark.skipif(shutil.which("nvcc") is None, reason="no nvcc on PATH: there is no PTX to run")
SHAPES = [(2, 8), (8, 8), (32, 4)]


@pytest.fixture(scope="module", params=SHAPES, ids=lambda shape: "{}x{}".format(*shape))
def launch(request, tmp_path_factory):
    return Launch(*request.param, tmp_path_factory.mktemp("ptx") / "launchers.ptx")


class Launch:
    """Runs kernels of one shape; arrays of numbers go to a memory of their own for each run."""

    def __init__(self, threads, limbs, file):
        defines = [f"-DCIPHERLANE_ONLY_THREADS={threads}", f"-DCIPHERLANE_ONLY_LIMBS={limbs}"]
        source = str(KERNELS / "launchers.cu")
        subprocess.run(["nvcc", "-std=c++17", "-ptx", "-arch=sm_80", *defines, source, "-o", str(file)], check=True)
        self.ptx = file.read_text()
        self.limbs = threads * limbs
        self.groups = WARP // threads

    def rings(self, count=4):
        # Moduli full of ones and of zeros, of extreme limbs, and one that does not fill its limbs.
        moduli = hard_moduli(self.limbs)
        return [Ring(moduli[i], self.limbs) for i in (0, 1, 4, 7)[:count]]

    def words(self, numbers, width):
        return np.frombuffer(b"".join(x.to_bytes(4 * width, "little") for x in numbers), dtype=np.uint32)

    def __call__(self, name, results, arguments, path=None):
        """Run a kernel whose first argument is an array of ``results`` words; arrays by address, integers as bytes."""
        where, parts, parameters = 16, [np.zeros(4, dtype=np.uint32)], []
        for argument in [np.full(results, 0xA5A5A5A5, dtype=np.uint32), *arguments]:
            if isinstance(argument, np.ndarray):
                parameters.append(where.to_bytes(8, "little"))
                padded = np.concatenate([argument, np.zeros(-len(argument) % 4, dtype=np.uint32)])
                parts.append(padded)
                where += 4 * len(padded)
            elif isinstance(argument, tuple):  # an array and small numbers, as a struct
                parameters.append(where.to_bytes(8, "little") + b"".join(x.to_bytes(4, "little") for x in argument[1:]))
                parts.append(argument[0])
                where += 4 * len(argument[0])
            else:
                parameters.append(argument.to_bytes(8, "little"))
        memory = np.concatenate(parts)
        Kernel(self.ptx, name).run(memory, parameters, path)
        return memory[4 : 4 + results]

    def numbers(self, words, width):
        return [int.from_bytes(words[i : i + width].tobytes(), "little") for i in range(0, len(words), width)]

    def constants(self, ring):
        return self.words([ring.constants], 8 * self.limbs)


def pairs_for(ring, launch, rounds):
    source = random.Random(ring.n % (1 << 61))
    lazy = hard_numbers(ring.n, ring.b, source)
    fixed = [(ring.b - 1, ring.b - 1), (ring.n, ring.n), (0, ring.b - 1), (1, 0)]
    drawn = [(source.choice(lazy), source.choice(lazy)) for _ in range(rounds * launch.groups)]
    return (fixed + drawn)[: rounds * launch.groups]


def batches(pairs, size):
    return [pairs[i : i + size] for i in range(0, len(pairs), size)]


def test_products_and_squares(launch):
    for ring in launch.rings():
        n, inverse = ring.n, ring.inverse
        pairs = pairs_for(ring, launch, max(1, 8 // launch.groups))
        for batch in batches(pairs, launch.groups):
            # The last group of a full warp stays without work where there are several.
            count = max(1, len(batch) - 1)
            x = launch.words([part for pair in batch for part in pair], launch.limbs)
            y = launch.words([part for pair in batch[::-1] for part in pair], launch.limbs)
            size = 2 * launch.limbs * launch.groups
            for name, inputs, others in (
                ("multiply_pairs", [x, y], batch[::-1]),
                ("square_pairs", [x], batch),
            ):
                result = launch.numbers(launch(name, size, [*inputs, count, launch.constants(ring)]), launch.limbs)
                for i, (one, other) in enumerate(zip(batch[:count], others, strict=False)):
                    r0, r1 = result[2 * i], result[2 * i + 1]
                    value = (one[0] + one[1] * n) * (other[0] + other[1] * n) * inverse
                    assert (r0 + r1 * n - value) % (n * n) == 0
                    assert max(r0, r1) < ring.reduced
                untouched = result[2 * count :]
                assert untouched == [int("a5" * 4 * launch.limbs, 16)] * len(untouched)


def test_plain_numbers_to_pairs_and_back(launch):
    for ring in launch.rings():
        n, square, width = ring.n, ring.n**2, 2 * launch.limbs
        source = random.Random(1)
        numbers = [square - 1, 0, n, source.randrange(square), *(source.randrange(square) for _ in range(WARP))]
        for batch in batches(numbers[: max(launch.groups, 2)], launch.groups):
            plain = launch.words(batch, width)
            pairs = launch("pairs_from_limbs", len(plain), [plain, len(batch), launch.constants(ring)])
            got = launch.numbers(pairs, launch.limbs)
            for c, r0, r1 in zip(batch, got[::2], got[1::2], strict=True):
                assert [r0, r1] == ring.pair(c * ring.r)
            back = launch("limbs_from_pairs", len(plain), [pairs.copy(), len(batch), launch.constants(ring)])
            assert launch.numbers(back, width) == batch


def test_fixed_base_powers(launch):
    window_bits, windows = 2, 3
    for ring in launch.rings(3):
        source = random.Random(2)
        base = unit(ring.n, source)
        entries = [
            part
            for j in range(windows)
            for d in range(1 << window_bits)
            for part in ring.factored(pow(base, d << window_bits * j, ring.n**2))
        ]
        table = (launch.words(entries, launch.limbs), window_bits, windows)
        exponents = [source.randrange(64) for _ in range(launch.groups)]
        exponents[0] = 63
        plaintexts = [source.randrange(ring.n) for _ in range(launch.groups)]
        arguments = [table, np.array(exponents, dtype=np.uint32), 1, launch.words(plaintexts, launch.limbs)]
        size = 2 * launch.limbs * launch.groups
        result = launch("fixed_base_powers_vartime", size, [*arguments, launch.groups, launch.constants(ring)])
        got = launch.numbers(result, launch.limbs)
        for exponent, a, r0, r1 in zip(exponents, plaintexts, got[::2], got[1::2], strict=True):
            value = pow(base, exponent, ring.n**2) * (1 + a * ring.n) * ring.r
            assert (r0 + r1 * ring.n - value) % ring.n**2 == 0


def test_fixed_window_powers(launch):
    for ring, exponent in zip(launch.rings(2), (0x9F, 0x10), strict=True):
        batch = pairs_for(ring, launch, 1)
        x = launch.words([part for pair in batch for part in pair], launch.limbs)
        scratch = np.zeros(16 * 2 * launch.limbs * launch.groups, dtype=np.uint32)
        arguments = [x, np.array([exponent], dtype=np.uint32), 8, scratch, len(batch), launch.constants(ring)]
        got = launch.numbers(launch("fixed_window_powers", len(x), arguments), launch.limbs)
        for pair, r0, r1 in zip(batch, got[::2], got[1::2], strict=True):
            residue = (pair[0] + pair[1] * ring.n) * ring.inverse
            assert (r0 + r1 * ring.n - pow(residue, exponent, ring.n**2) * ring.r) % ring.n**2 == 0


def test_the_path_of_a_fixed_window_power_does_not_depend_on_its_exponent(launch):
    [ring] = launch.rings(1)
    batch = pairs_for(ring, launch, 1)
    x = launch.words([part for pair in batch for part in pair], launch.limbs)
    scratch = np.zeros(16 * 2 * launch.limbs * launch.groups, dtype=np.uint32)
    paths = []
    for exponent in (0x0, 0xE1):
        arguments = [x, np.array([exponent], dtype=np.uint32), 8, scratch, len(batch), launch.constants(ring)]
        paths.append([])
        launch("fixed_window_powers", len(x), arguments, paths[-1])
    assert paths[0] == paths[1]
    assert len(paths[0]) > 10_000


def test_products_of_segments_of_different_lengths_in_one_warp(launch):
    [ring] = launch.rings(1)
    batch = pairs_for(ring, launch, max(1, 4 // launch.groups))
    x = launch.words([part for pair in batch for part in pair], launch.limbs)
    source = random.Random(3)
    lengths = [(3, 0, 1, 2)[i % 4] for i in range(launch.groups)]
    rows = [source.randrange(len(batch)) for _ in range(sum(lengths))]
    starts = [sum(lengths[:i]) for i in range(len(lengths) + 1)]
    arguments = [x, np.array(rows, dtype=np.uint32), np.array(starts, dtype=np.uint32), launch.groups]
    result = launch("segment_products", 2 * launch.limbs * launch.groups, [*arguments, launch.constants(ring)])
    got = launch.numbers(result, launch.limbs)
    for i, (r0, r1) in enumerate(zip(got[::2], got[1::2], strict=True)):
        value = ring.r
        for row in rows[starts[i] : starts[i + 1]]:
            value = value * (batch[row][0] + batch[row][1] * ring.n) * ring.inverse % ring.n**2
        assert (r0 + r1 * ring.n - value) % ring.n**2 == 0


def test_random_exponents_are_chacha20_blocks(launch):
    # RFC 8439, appendix A.1, vectors 1 and 2: key and nonce 0, counters 0 and 1.
    first = "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
    first += "da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586"
    second = "9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed"
    expected = int.from_bytes(bytes.fromhex(first + second), "little") % (1 << 600)
    words = 19
    arguments = [600, np.zeros(8, dtype=np.uint32), 0, 0, launch.groups]
    result = launch("random_exponents", words * launch.groups, arguments)
    got = launch.numbers(result, words)
    assert got[0] == expected
    assert len(set(got)) == launch.groups
