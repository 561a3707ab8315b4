"""The installed C++ package, found with find_package: numbers and formats are those of the package for Python."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

import cipherlane as cl

from cpp_programs import ROOT, build_against_package, install_package

EXAMPLE = ROOT / "examples" / "cpp"
HARD = [0.0, -1.5, 2.0**30 + 0.125, -(2.0**-40), 2.0**-41, 1e-300, 2.0**63, -7.25]


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    return install_package(tmp_path_factory.mktemp("prefix"))


@pytest.fixture(scope="module")
def programs(tmp_path_factory, prefix):
    source = Path(__file__).parent / "cpp_package"
    return build_against_package(source, tmp_path_factory.mktemp("programs"), prefix, "package_check")


@pytest.fixture(scope="module")
def key():
    return cl.keygen(2048)[1]


def run(program: Path, *arguments: object, key: cl.PrivateKey | None = None) -> str:
    line = "" if key is None else f"{key.p:x} {key.q:x} {key.public_key.h_s or 0:x}\n"
    done = subprocess.run([program, *map(str, arguments)], input=line, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def floats(text: str) -> list[list[float]]:
    return [[float.fromhex(number) for number in line.split()] for line in text.splitlines()]


def test_the_example_builds_runs_and_answers_python(tmp_path, prefix, key):
    example = build_against_package(EXAMPLE, tmp_path / "example", prefix) / "encrypted_sums"
    ids = np.array([-1 if i % 10 == 9 else i % 7 % 4 for i in range(1000)])
    positive = [int(sum(1 for i in range(0, 1000, 3) if ids[i] == b)) for b in range(4)]
    shown = run(example)
    assert [int(n) for n in re.findall(r"(\d+) positive", shown)] == positive
    assert shown in (EXAMPLE / "README.md").read_text()

    labels = np.random.default_rng(1).integers(-5, 1000, size=70)
    (tmp_path / "key").write_text(key.public_key.to_json())
    (tmp_path / "labels").write_bytes(key.public_key.encrypt(labels).to_bytes())
    run(example, "host", tmp_path / "key", tmp_path / "labels", tmp_path / "sums")
    answer = cl.CipherArray.from_bytes(key.public_key, (tmp_path / "sums").read_bytes())
    np.testing.assert_array_equal(key.decrypt(answer), [labels[ids[:70] == b].sum() for b in range(4)])


def test_messages_and_sums_are_pythons(tmp_path, programs, key):
    data, n = tmp_path / "x", np.arange(len(HARD))
    x = key.public_key.encrypt(HARD)
    data.write_bytes(x.to_bytes())
    check = programs / "package_check"
    assert floats(run(check, "decrypt", data, key=key)) == [list(key.decrypt(x))]
    alternating = np.where(n % 2 == 0, n, -n)
    expected = [x + x, -x, x * alternating - x, x + (n - 0.5), x.sum().reshape(1), cl.concatenate([x, x[:1]])]
    assert floats(run(check, "operations", data, key=key)) == [list(key.decrypt(y)) for y in expected]


def test_shapes_bounds_and_key_kinds_are_read(tmp_path, programs, key):
    classic = cl.PrivateKey(key.p, key.q)
    data = tmp_path / "x"
    x = classic.public_key.encrypt(np.array([[1.0, 2.0], [3.0, -4.0]])) * 2.5
    data.write_bytes(x.to_bytes())
    assert floats(run(programs / "package_check", "decrypt", data, key=classic)) == [[2.5, 5.0, 7.5, -10.0]]
    data.write_bytes(key.public_key.encrypt([1.0], codec=cl.Packed()).to_bytes())
    with pytest.raises(AssertionError, match="expected an array of fixed point, got a packed one"):
        run(programs / "package_check", "decrypt", data, key=key)


def test_a_key_made_in_cpp_passes_pythons_checks(programs):
    primes, public, message = run(programs / "package_check", "generate").splitlines()
    p, q = (int(number, 16) for number in primes.split())
    public_key = cl.PublicKey.from_json(public)
    assert public_key.to_json() == public and public_key.bits == 2048 and public_key.scheme == "djn"
    assert public_key.n == p * q and p % 4 == q % 4 == 3
    private_key = cl.PrivateKey(p, q, h_s=public_key.h_s)
    x = cl.CipherArray.from_bytes(public_key, bytes.fromhex(message))
    assert list(private_key.decrypt(x)) == [1.5, -2.25, 0.0]
    # h_s is an n-th residue: 1 to the power of the order of the n-th residues, which divides (p - 1)(q - 1).
    assert pow(public_key.h_s, (p - 1) * (q - 1), public_key.n**2) == 1 != public_key.h_s
    assert list(private_key.decrypt(private_key.public_key.encrypt([3]))) == [3]


def test_wrong_input_is_refused_with_its_name_and_a_remedy(tmp_path, programs, key):
    data = tmp_path / "x"
    data.write_bytes(key.public_key.encrypt(HARD[:2]).to_bytes())
    lines = run(programs / "package_check", "refusals", data, key=key).splitlines()
    expected = [
        "data: .*truncated, expected .* bytes and got .*ask the sender",
        "data: .*(checksum|header)",
        "data: encrypted for another key.*use the key",
        "multiply: expected 2 factors, got 3",
        "add: expected batches of one scale, got 40 and 0 .*same codec",
        "multiply: the result could reach .*fewer integer_bits",
        r"values\[1\]: expected a finite number, got NaN",
        r"values\[0\]: expected a magnitude below 2\^64.*raise integer_bits",
        r"ciphertexts\[0\]: expected a number above 0, got 0",
        "public key: not valid JSON.*pass what to_json wrote",
        "n: expected a modulus of 1024 to 4096 bits, got 4 bits",
        "bits: expected a multiple of 256 from 2048 to 4096, got 1024",
        "codec: 18446744073709551615 scale_bits and 1 integer_bits do not fit.*use fewer",
        "codec: 70000 scale_bits",
        r"bound_bits: the result could reach 2\^70000",
        r"values\[1\]: expected a whole number.*encrypt the batch as doubles",
        "h_s: expected a number coprime to n.*pass the h_s of this very key",
        r"h_s: expected a number from 2 to n\^2 less one",
        "h_s: expected an n-th residue, got another number",
    ]
    assert len(lines) == len(expected)
    for pattern, line in zip(expected, lines, strict=True):
        assert re.match(pattern, line), (pattern, line)


def test_no_change_to_a_message_is_taken_for_another_message(tmp_path, programs, key):
    data = tmp_path / "x"
    data.write_bytes(key.public_key.encrypt(HARD[:2]).to_bytes())
    messages, keys = map(int, run(programs / "package_check", "mutations", data, key=key).split())
    # A message has a checksum; of a key, another h_s passes for one, but not much else does.
    assert messages == 0 and keys < 500


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda text: text.replace('"version": 1', '"version": 7'), "expected version 1 or 2, got 7"),
        (lambda text: text.replace('"bits": 2048', '"bits": 2047'), "its bits are not those of n"),
        (lambda text: text.replace('"djn"', '"classic"'), "its scheme is not that of its numbers"),
        (lambda text: text.replace("{", '{"n": "5", '), "each field once"),
        (lambda text: text.replace("}", ', "more": 1}'), "unknown field 'more'"),
        (lambda text: text + "x", "nothing after the JSON object"),
        (lambda text: text[: len(text) // 2], "not valid JSON"),
    ],
)
def test_a_changed_key_is_refused(tmp_path, programs, key, change, problem):
    (tmp_path / "key").write_text(change(key.public_key.to_json()))
    done = subprocess.run([programs / "package_check", "key", tmp_path / "key"], capture_output=True, text=True)
    assert done.returncode == 1 and problem in done.stderr
