"""Short runs over every parser: whatever comes, it is read or refused with a documented error."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mutations import mutated
from parsers import all_parsers

RUNS = 400
PARSERS = all_parsers()


@pytest.mark.parametrize("name", PARSERS)
def test_the_examples_are_read(name):
    parser = PARSERS[name]
    for example in parser.corpus:
        if name != "plan" or b"data" in example:
            parser.parse(example)


@pytest.mark.parametrize("name", PARSERS)
def test_a_changed_example_is_read_or_refused(name):
    parser = PARSERS[name]
    refused = 0
    for data in mutated(parser.corpus, RUNS, seed=1):
        try:
            parser.parse(data)
        except parser.refusals:
            refused += 1
        except Exception as error:
            raise AssertionError(f"{type(error).__name__} for {data!r}") from error
    assert refused > 0


# Inputs that say little at length: an object or list in each of thousands of others.
_JSON, _LISTS = b"[" * 100_000, b"\xc0"
for _ in range(5_000):
    size = len(_LISTS)
    _LISTS = (bytes([0xC0 + size]) if size < 56 else b"\xf9" + size.to_bytes(2, "big")) + _LISTS
NESTED = {
    "agreement": [_JSON, b'{"a":' * 100_000],
    "ledger_transcript": [_JSON + b"\n"],
    "access_wish": [_JSON],
    "json_rpc": [bytes([question]) + _JSON for question in range(10)],
    "block": [_LISTS],
    "transaction": [_LISTS, b"\x01" + _LISTS],
    "public_key": [_JSON],
    "column": [_JSON],
}


@pytest.mark.parametrize("name", sorted(NESTED.keys() & PARSERS.keys()))
def test_what_is_nested_deeply_is_refused(name):
    for data in NESTED[name]:
        with pytest.raises(PARSERS[name].refusals):
            PARSERS[name].parse(data)


@pytest.mark.parametrize("name", ["cipher_array_fields", "message"])
def test_a_short_run_of_atheris(name, tmp_path):
    pytest.importorskip("atheris", reason="atheris is not installed (extra 'fuzz')")
    program = Path(__file__).with_name("run.py")
    command = [sys.executable, str(program), name, "--runs", "500", "--seed", "1"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False)
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-4000:]
    assert "no findings" in result.stdout
