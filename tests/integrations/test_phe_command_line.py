"""The commands and the functions of numbers beside python-paillier's."""

from __future__ import annotations

import io
import json
import math
import random
import re
import stat

import phe as theirs
import phe.command_line
import pytest

from cipherlane.integrations import phe as ours
from cipherlane.integrations.phe.__main__ import cli
from cipherlane.integrations.phe.json_forms import load_private_key

pytestmark = pytest.mark.filterwarnings("ignore::cipherlane.paillier.WeakKeyWarning")


def their_cli(*arguments):
    phe.command_line.cli.main([str(a) for a in arguments], standalone_mode=False)


def our_cli(*arguments):
    assert cli([str(a) for a in arguments]) == 0


@pytest.mark.parametrize("maker, user", [(our_cli, their_cli), (their_cli, our_cli), (our_cli, our_cli)])
def test_files_of_the_command_line_are_read_by_the_other(tmp_path, maker, user):
    private, public, a, b, out = (tmp_path / name for name in ("private", "public", "a", "b", "out"))
    maker("genpkey", "--keysize", 512, private)
    user("extract", private, public)
    fields = json.loads(public.read_text())
    assert {"kty", "alg", "key_ops", "n", "kid"} == set(fields) and set(json.loads(private.read_text())) == {
        "kty", "key_ops", "p", "q", "pub", "kid"
    }  # fmt: skip
    maker("encrypt", "--output", a, public, "--", "-1.5")
    user("encrypt", "--output", b, public, "2e3")
    for command, wanted in (
        (("addenc", public, a, b), 1998.5),
        (("add", public, a, "0.25"), -1.25),
        (("multiply", public, b, "--", "-3"), -6000.0),
    ):
        for one, other in ((maker, user), (user, maker)):
            one(command[0], "--output", tmp_path / "sum", *command[1:])
            assert json.loads((tmp_path / "sum").read_text())["e"] <= -32
            other("decrypt", "--output", out, private, tmp_path / "sum")
            assert float(out.read_text()) == wanted


def test_the_private_key_file_is_its_owners(tmp_path):
    path = tmp_path / "private"
    path.write_text("something, open to all")
    path.chmod(0o644)
    our_cli("genpkey", "--keysize", 256, "--id", "a comment", path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text())["kid"] == json.loads(path.read_text())["pub"]["kid"] == "a comment"


def test_standard_streams(tmp_path, capsys, monkeypatch):
    our_cli("genpkey", "--keysize", 256, "-")
    written = capsys.readouterr().out
    key = load_private_key(json.loads(written))
    monkeypatch.setattr("sys.stdin", io.StringIO(written))
    our_cli("extract", "-", "-")
    public = tmp_path / "public"
    public.write_text(capsys.readouterr().out)
    our_cli("encrypt", public, "5")
    number = json.loads(capsys.readouterr().out)
    assert key.decrypt(ours.EncryptedNumber(key.public_key, int(number["v"]), number["e"])) == 5


BAD_FILES = {
    "private": ["", "[]", "{}", '{"kty": "DAJ"}', '{"kty": "RSA", "pub": {}}', "[" * 100_000],
    "number": ["", "5", "{}", '{"v": 5, "e": 0}', '{"v": "-5", "e": 0}', '{"v": "5", "e": "0"}', '{"v": "0", "e": 0}',
               '{"v": "5", "e": 0.5}', '{"v": "٥", "e": 0}', '{"v": "' + "9" * 200_000 + '", "e": 0}'],
}  # fmt: skip


def test_damaged_files_are_told(tmp_path, capsys):
    private, number, damaged = tmp_path / "private", tmp_path / "number", tmp_path / "damaged"
    our_cli("genpkey", "--keysize", 256, private)
    fields = json.loads(private.read_text())
    public = tmp_path / "public"
    our_cli("extract", private, public)
    our_cli("encrypt", "--output", number, public, "1")
    changed = [
        {**fields, "p": fields["q"]},
        {**fields, "q": "!!"},
        {**fields, "key_ops": ["encrypt"]},
        {**fields, "pub": {**fields["pub"], "alg": "RSA"}},
        {name: value for name, value in fields.items() if name != "p"},
    ]
    for text in BAD_FILES["private"] + [json.dumps(one) for one in changed]:
        damaged.write_text(text)
        assert cli(["decrypt", str(damaged), str(number)]) == 1
        error = capsys.readouterr().err
        assert error.splitlines()[-1].startswith("Error: ") and "Traceback" not in error
        assert fields["p"] not in error and fields["q"] not in error
    for text in BAD_FILES["number"]:
        damaged.write_text(text)
        assert cli(["decrypt", str(private), str(damaged)]) == 1
        assert re.match("Error: (encrypted number|ciphertext): expected|.*not valid JSON", capsys.readouterr().err)
    for load in (ours.command_line.load_public_key, theirs.command_line.load_public_key):
        with pytest.raises(AssertionError):
            load({"kty": "RSA", "alg": "PAI-GN1"})
    assert cli(["encrypt", str(public), "x"]) == 1 and "plaintext" in capsys.readouterr().err
    assert cli(["decrypt", str(tmp_path / "absent"), str(number)]) == 1


def test_functions_of_numbers_agree():
    assert ours.util.first_primes == theirs.util.first_primes
    rng = random.Random(5)
    for size in (8, 64, 1100):
        for _ in range(20):
            a, b, c = (rng.getrandbits(size) + 2 for _ in range(3))
            assert ours.util.powmod(a, b, c) == theirs.util.powmod(a, b, c)
            assert ours.util.mulmod(a, b, c) == theirs.util.mulmod(a, b, c)
            assert ours.util.isqrt(a) == ours.util.improved_i_sqrt(a) == theirs.util.isqrt(a)
            assert ours.util.extended_euclidean_algorithm(a, b) == theirs.util.extended_euclidean_algorithm(a, b)
            assert ours.util.int_to_base64(a) == theirs.util.int_to_base64(a)
            assert ours.util.base64_to_int(theirs.util.int_to_base64(a)) == a
            if math.gcd(a, c) == 1:
                assert ours.util.invert(a, c) == theirs.util.invert(a, c)
        assert ours.util.getprimeover(size).bit_length() == size
    assert [n for n in range(-5, 3000) if ours.util.is_prime(n)] == [
        n for n in range(-5, 3000) if theirs.util.is_prime(n)
    ]
    assert not ours.util.is_prime(1729) and not ours.util.is_prime(17863 * 17881)
    assert ours.util.base64url_encode("ab?>") == theirs.util.base64url_encode("ab?>")
    assert ours.util.base64url_decode("AQ==") == theirs.util.base64url_decode("AQ==") == b"\x01"
    with pytest.raises(ValueError, match="negative"):
        ours.util.int_to_base64(-5)
    with pytest.raises(ValueError, match="other characters"):
        ours.util.base64url_decode("AQ!B")
