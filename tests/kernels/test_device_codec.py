"""The device's codec against the host's, bit for bit and error for error."""

from __future__ import annotations

import math
import random
import re
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from cipherlane import FixedPoint, Packed, _native
from cipherlane.errors import PlaintextOverflowError
from cipherlane.paillier import values as host
from cipherlane.paillier.layout import Layout
from cipherlane.paillier.limbs import from_limbs, limb_count, number_to_limbs, to_limbs

import device_codec

MODULI = [(1 << 1024) - 105, (1 << 1023) + 1, (1 << 1029) + 7, (1 << 2047) + (1 << 64) - 1, (1 << 4096) - 17]
FLOATS = [
    *(0.0, 1.0, 0.5, 1.5, 2.5, 0.25, 0.75, 3.0, 2.0**53 - 1, 2.0**53, 2.0**53 + 2, 2.0**63, 2.0**64, 1 / 3, math.pi),
    *(5e-324, 2.2250738585072014e-308, 2.225073858507201e-308, 2.0**-41, 3 * 2.0**-41, 5 * 2.0**-41, 2.0**-42),
    *(2.0**-54, 2.0**-55, 2.0**-94, np.nextafter(2.0**-94, 0), np.nextafter(2.0**-41, 1), np.nextafter(2.0**64, 0)),
    *(np.nextafter(2.0**39, 0), np.nextafter(2.0**31, 0), 2.0**31 - 2.0**-25, 2.0**31, 1.7976931348623157e308, 1e300),
]
INTEGERS = [0, 1, 2, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53 - 1, 2**53, 2**53 + 1, 2**62, 2**63 - 1]
CODECS = [
    *(
        FixedPoint(),
        FixedPoint(scale_bits=0),
        FixedPoint(20, 12),
        FixedPoint(0, 8),
        FixedPoint(200, 500),
        FixedPoint(900, 70),
    ),
    *(FixedPoint(0, 1021), FixedPoint(0, 0), Packed(), Packed(axis=-1), Packed(32, 0, 0), Packed(32, 10, 2, axis=-1)),
    *(
        Packed(2, 0, 1),
        Packed(3, 0, 0),
        Packed(63, 24, 8),
        Packed(65, 0, 0),
        Packed(65, 10, 0, axis=-1),
        Packed(128, 60, 3),
    ),
    *(
        Packed(140, 70, 0),
        Packed(500, 300, 8),
        Packed(900, 100, 100),
        Packed(64, 0, 0),
        Packed(64, 63, 0),
        Packed(54, 53, 0),
    ),
]


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    sanitizers = ("-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    return device_codec.build(tmp_path_factory.mktemp("codec") / "codec", *sanitizers)


def flat_place(error: Exception, shape: tuple[int, ...]) -> int:
    place = re.match(r"values(?:\[([\d, ]+)\])?: ", str(error))
    assert place, error
    return int(np.ravel_multi_index([int(i) for i in place.group(1).split(",")], shape)) if place.group(1) else 0


def expected_of_host(array, codec, layout, n, negate):
    """The plaintexts' bytes, or the fault that the host raises for and its place."""
    try:
        checked = host.as_values(array)
    except ValueError as error:
        return "not_finite", flat_place(error, array.shape)
    if negate:
        checked = host.negated(checked)
    try:
        host.check_range(checked, codec, codec.scale_bits, "values")
    except PlaintextOverflowError as error:
        return "beyond_codec", flat_place(error, array.shape)
    return host.encode(layout.pad(checked), codec.scale_bits, n, layout.slots, layout.slot_bits).tobytes()


def limits(codec) -> tuple[int, int]:
    packed = isinstance(codec, Packed)
    return codec.value_bits(codec.scale_bits), codec.encoded_bound(0).bit_length() if packed else device_codec.UNLIMITED


def hard_arrays(source: random.Random) -> list[np.ndarray]:
    signed = [x for value in FLOATS for x in (value, -value)]
    integers = [x for value in INTEGERS for x in (value, -value)] + [-(2**63)]
    wide = np.array(signed).reshape(-1, 4)[:, ::-1]
    with np.errstate(over="ignore"):
        narrow = [np.array(signed, dtype=dtype) for dtype in ("f4", "f2")]
    small = np.array([source.choice([-1, 1]) * source.choice(FLOATS[:8]) for _ in range(66)])
    arrays = [np.array(signed), wide, wide.T, small, small.reshape(3, 22), small.reshape(2, 3, 11)[:, ::-1, ::2]]
    arrays += [each[np.isfinite(each)] for each in narrow] + narrow
    arrays += [np.array(integers), np.array(integers)[::-1].reshape(5, 5).T, np.array(INTEGERS, dtype="u8")[::2]]
    arrays += [np.array([2**64 - 1, 2**63, 5], dtype="u8"), np.array([[0, 1], [2, -2]], dtype="i1")]
    for dtype in ("i1", "i2", "i4", "u1", "u2", "u4"):
        limit = np.iinfo(dtype)
        arrays.append(np.array([limit.min, limit.max, 0, 1, limit.max - 1], dtype=dtype))
    arrays += [np.array([[True, False, True]]), np.array(-2.5), np.zeros(0), np.zeros((3, 0)), np.array([-0.0, 0.0])]
    arrays += [
        np.broadcast_to(np.array([[1.5], [-2.5]]), (2, 40)),
        np.array([1.0, np.inf, np.nan]),
        np.array([[np.nan]]),
    ]
    with_nan = np.array(signed)
    with_nan[11] = -np.inf
    return [*arrays, with_nan.reshape(-1, 4).T]


def test_encoding_is_the_hosts(program):
    source = random.Random(3)
    lines, expected, names = [], [], []
    for n in MODULI:
        for codec in CODECS:
            try:
                codec.check_fits(n)
            except PlaintextOverflowError:
                continue
            for array in hard_arrays(source):
                if isinstance(codec, Packed) and codec.axis == -1 and not array.ndim:
                    continue
                layout = Layout.of(array.shape, codec, n.bit_length())
                negate = source.random() < 0.4
                lines.append(device_codec.encode(array, layout, codec.scale_bits, n, limits(codec), negate))
                expected.append(expected_of_host(array, codec, layout, n, negate))
                names.append(f"{codec} {array.dtype} {array.shape} negate={negate}")
    seen = {"encoded": 0, "not_finite": 0, "beyond_codec": 0}
    for answer, wanted, name in zip(device_codec.run(program, lines), expected, names, strict=True):
        if isinstance(wanted, bytes):
            assert (answer.data, answer.faults) == (wanted, {}), name
            seen["encoded"] += 1
        else:
            fault, place = wanted
            first = next(kind for kind in device_codec.FAULTS if kind in answer.faults)
            assert (first, answer.faults[first]) == (fault, place), name
            seen[fault] += 1
    assert min(seen.values()) > 50, seen


def test_encoding_is_exact(program):
    # Against fractions rather than the host's code.
    n, lines, arrays = MODULI[1], [], []
    for scale_bits in (0, 1, 40, 41, 900):
        for sign in (1, -1):
            array = sign * np.array([value for value in FLOATS if value < 2.0**70])
            layout = Layout.of(array.shape, FixedPoint(), n.bit_length())
            lines.append(device_codec.encode(array, layout, scale_bits, n, (70, device_codec.UNLIMITED), False))
            arrays.append((array, scale_bits))
    for (array, scale_bits), answer in zip(arrays, device_codec.run(program, lines), strict=True):
        wanted = [round(Fraction(float(value)) * 2**scale_bits) % n for value in array]
        assert answer.faults == {}
        assert from_limbs(np.frombuffer(answer.data, dtype=np.uint64).reshape(-1, limb_count(1024))) == wanted


@pytest.mark.parametrize("bits", [-2000, -1075, -1074, -1022, -3, -1, 0, 1, 52, 1023, 1024, 3000])
def test_limits_of_any_size_are_the_hosts(program, bits):
    class Limited:
        def value_bits(self, scale_bits):
            return bits

    n = MODULI[4]
    edges = [0.0, 5e-324, 2.0**-1074, 2.0**-1022, 0.125, 0.5, 1.0, 2.0, 3.0, 2.0**52, 2.0**53, 1.7976931348623157e308]
    for array in (np.array(edges), np.array([0, 1, 2, 3, 2**52, 2**62]), np.array([0, 2**63], dtype="u8")):
        beyond = host._too_large(array, Limited(), 0)
        singles = [array[i : i + 1] for i in range(array.size)]
        layout = Layout.of((1,), FixedPoint(), 4096)
        limited = (bits, device_codec.UNLIMITED)
        lines = [device_codec.encode(one, layout, 0, n, limited, False) for one in singles]
        got = ["beyond_codec" in answer.faults for answer in device_codec.run(program, lines)]
        assert got == beyond.tolist()


@pytest.mark.parametrize("negative", [False, True])
def test_room_and_half_the_modulus_are_the_hosts(program, negative):
    # What the codec's own limits always catch first: they are lifted here.
    n = (1 << 1023) + 1  # half is 2^1022 + 1/2
    sign = -1 if negative else 1
    near_half = np.array([3.0, 2.0**1022, np.nextafter(2.0**1022, np.inf), 2.0**1021]) * sign
    layout = Layout.of(near_half.shape, FixedPoint(), 1024)
    lifted = (2000, device_codec.UNLIMITED)
    (answer,) = device_codec.run(program, [device_codec.encode(near_half, layout, 0, n, lifted, False)])
    assert answer.faults == {"reaches_half": 2}
    with pytest.raises(OverflowError, match=r"values\[2\]: reaches half the modulus"):
        _native.encode(near_half, 0, 1, 0, number_to_limbs(n))
    (answer,) = device_codec.run(program, [device_codec.encode(near_half, layout, 2, n, lifted, False)])
    assert answer.faults["beyond_room"] == 1
    with pytest.raises(OverflowError, match=r"values\[1\]: does not fit 1023 bits"):
        _native.encode(near_half[:2], 2, 1, 0, number_to_limbs(n))
    slots = np.array([1, 7, 8, -9]) * sign
    layout = Layout.of(slots.shape, Packed(4, 0, 0), 1024)
    (answer,) = device_codec.run(program, [device_codec.encode(slots, layout, 0, n, lifted, False)])
    assert answer.faults == {"beyond_room": 2}
    with pytest.raises(OverflowError, match=r"values\[2\]: does not fit 3 bits"):
        _native.encode(slots, 0, 4, 4, number_to_limbs(n))


def hard_sums(n: int, slots: int, slot_bits: int, source: random.Random) -> int:
    """A plaintext: any number below n, or digits at the edges of their slots."""
    if slots == 1 or source.random() < 0.2:
        number = source.choice([0, 1, 2**53 + 1, 2**63, 2**64 - 1, 2**1000, source.getrandbits(1020), (n - 1) // 2])
        number += source.choice([0, 0, 1, -1, 2**11, 2**10 + 1])
        return source.choice([1, -1]) * number % n
    half = 1 << (slot_bits - 1)
    digits = [
        source.choice([0, 0, 1, -1, half - 1, 1 - half, -half, source.randrange(-half, half), half // 3])
        for _ in range(slots)
    ]
    return sum(digit << slot_bits * k for k, digit in enumerate(digits)) % n


def test_decoding_is_the_hosts(program):
    source = random.Random(4)
    lines, checks = [], []
    for n in MODULI:
        for slot_bits, shape, axis in [
            *((0, (40,), None), (64, (100,), None), (64, (5, 40), -1), (2, (999,), None), (3, (4, 50), -1)),
            *((63, (90,), None), (65, (64,), None), (128, (3, 9), -1), (500, (3,), None), (1000, (2, 1), -1)),
        ]:
            codec = Packed(slot_bits, 0, 0, axis=axis) if slot_bits else FixedPoint()
            layout = Layout.of(shape, codec, n.bit_length())
            for scale_bits in (0, 1, 24, 40, 1000, 2100):
                numbers = [hard_sums(n, layout.slots, slot_bits, source) for _ in range(layout.count)]
                plaintexts = to_limbs(numbers, limb_count(n.bit_length()))
                bound = source.choice([None, 2**62, 2**40, 2**400, 2**63 - 1])
                lines.append(device_codec.decode(plaintexts, layout, scale_bits, n, limit_for(bound, scale_bits)))
                checks.append((plaintexts, layout, scale_bits, bound, n))
    seen = {"integers": 0, "floats": 0, "too wide": 0, "outside": 0}
    for answer, (plaintexts, layout, scale_bits, bound, n) in zip(
        device_codec.run(program, lines), checks, strict=True
    ):
        count = layout.padded_size()
        place = (plaintexts, count, *((scale_bits,) if scale_bits else ()), layout.slots)
        place = (*place, layout.slot_bits if layout.slots > 1 else 0, number_to_limbs(n))
        try:
            flat = _native.decode_float64(*place) if scale_bits else _native.decode_int64(*place)
        except OverflowError:
            assert not scale_bits and "beyond_integer" in answer.faults
            seen["too wide"] += 1
            continue
        assert answer.data == layout.unpad(flat).tobytes()
        limit = float(Fraction(bound, 2**scale_bits)) if bound and scale_bits else bound
        outside = np.abs(flat) > limit if scale_bits and bound else (flat > bound) | (flat < -bound) if bound else []
        expected = {"outside_bound": int(np.argmax(outside))} if np.any(outside) else {}
        assert answer.faults == expected
        seen["outside"] += bool(expected)
        seen["floats" if scale_bits else "integers"] += 1
    assert min(seen.values()) > 10, seen


def rounding_edges(n: int) -> list[int]:
    """Numbers at and beside halves between doubles, which the last bits decide, and at the ends of their range."""
    numbers = [
        (2**54 - 1) << 971,
        ((2**54 - 1) << 971) - 1,
        (2**53 - 1) << 972,
        1 << 1025,
        3 << 1024,
        (1 << 1024) + (1 << 971),
    ]
    for mantissa in (2**52, 2**52 + 1, 2**53 - 1, 2**53 - 2, 1, 3):
        for shift in (1, 2, 11, 12, 64, 65, 75, 128, 130, 200, 700, 950):
            half = (2 * mantissa + 1) << (shift - 1)
            numbers += [half, half + 1, half - 1, half + (1 << shift // 2), mantissa << shift, (mantissa << shift) + 1]
            numbers += [half + (1 << 64), half - (1 << 64)] if shift > 70 else []
    return [sign * number for number in numbers for sign in (1, -1) if 2 * number < n]


def test_doubles_are_rounded_as_on_the_host(program):
    lines, expected = [], []
    for n in (MODULI[0], MODULI[3]):
        numbers = rounding_edges(n)
        plaintexts = to_limbs([number % n for number in numbers], limb_count(n.bit_length()))
        layout = Layout.of((len(numbers),), FixedPoint(), n.bit_length())
        for scale_bits in (1, 2, 52, 500, 971, *range(1060, 1150), 1200, 1700, 2023, 2024, 2025, 2040):
            lines.append(device_codec.decode(plaintexts, layout, scale_bits, n, None))
            expected.append(_native.decode_float64(plaintexts, len(numbers), scale_bits, 1, 0, number_to_limbs(n)))
    seen = np.abs(np.concatenate(expected))
    assert np.isinf(seen).any() and (seen == 0).any() and ((seen > 0) & (seen < 2.0**-1022)).any()
    for answer, wanted in zip(device_codec.run(program, lines), expected, strict=True):
        assert answer.data == wanted.tobytes()


def limit_for(bound: int | None, scale_bits: int) -> int | None:
    if bound is None:
        return None
    if scale_bits:
        return int(np.float64(Fraction(bound, 2**scale_bits)).view(np.uint64))
    return bound if bound < 2**64 else None


def test_decoding_names_the_first_of_integers_too_wide(program):
    n = MODULI[0]
    numbers = [2**63 - 1, -(2**63), 2**63, -(2**63) - 1]
    plaintexts = to_limbs([number % n for number in numbers], 16)
    layout = Layout.of((4,), FixedPoint(0), 1024)
    lines = [
        device_codec.decode(plaintexts, layout, 0, n, None),
        device_codec.decode(plaintexts, layout, 0, n, 2**63 - 1),
    ]
    free, bounded = device_codec.run(program, lines)
    assert free.faults == {"beyond_integer": 2}
    assert bounded.faults == {"outside_bound": 1, "beyond_integer": 2}
    assert np.frombuffer(free.data, dtype=np.int64)[:2].tolist() == numbers[:2]


def test_rows_out_of_range_are_found(program):
    n = MODULI[2]
    square, limbs = n * n, limb_count(2 * n.bit_length())
    good = [1, square - 1, n, 1 << 64, square - (1 << 64)]

    def line(numbers):
        return f"check {device_codec.number(square, limbs)} {to_limbs(numbers, limbs).tobytes().hex()} {len(numbers)}"

    bad = [0, square, square + 1, square + (1 << 64), (1 << 64 * limbs) - 1]
    answers = device_codec.run(program, [line(good), *(line([*good, one, 0]) for one in bad)])
    assert [answer.faults.get("not_in_range") for answer in answers] == [None] + [len(good)] * len(bad)


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="no nvcc on PATH: the kernels are not compiled for GPUs")
@pytest.mark.parametrize("architecture", ["sm_75", "sm_90"])
def test_on_a_gpu_plaintexts_stay_in_registers(tmp_path, architecture):
    # What the compiler puts on a stack, nobody would overwrite.
    source = Path(__file__).parents[2] / "kernels" / "launch_items.cu"
    command = ["nvcc", "-std=c++17", "-O3", f"-arch={architecture}", "-Xptxas=-v", "-c", str(source), "-o"]
    done = subprocess.run([*command, str(tmp_path / "items.o")], check=True, capture_output=True, text=True)
    stacks = re.findall(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", done.stderr)
    assert stacks == [("0", "0", "0")] * 4


@pytest.mark.parametrize("dtype", device_codec.ELEMENTS)
def test_compacting_is_a_copy_in_c_order(program, dtype):
    cube = (np.arange(2 * 3 * 4 * 5) % 113).astype(dtype).reshape(2, 3, 4, 5)
    arrays = [
        cube,
        cube.transpose(3, 1, 0, 2),
        cube[:, ::-1, 1:3, ::-2],
        cube[0, 0, 0],
        np.broadcast_to(cube[:1, :, :1], (4, 3, 2, 5)),
    ]
    lines = [
        f"compact {device_codec.strided(array)} {array.itemsize.bit_length() - 1} {array.size}" for array in arrays
    ]
    for array, answer in zip(arrays, device_codec.run(program, lines), strict=True):
        assert answer.data == array.tobytes()
