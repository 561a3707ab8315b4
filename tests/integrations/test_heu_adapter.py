"""The adapter for HEU compiles against signatures of HEU's vector interface and computes what its interface says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
sys.path.insert(0, str(TESTS / "native"))

from cpp_programs import build_against_package, install_package  # noqa: E402


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    prefix = install_package(tmp_path_factory.mktemp("prefix"))
    source = TESTS / "native" / "cpp_package"
    return build_against_package(source, tmp_path_factory.mktemp("heu"), prefix, "heu_check") / "heu_check"


def key_line(index: int, with_base: bool) -> str:
    key = json.loads((TESTS / "data" / "paillier_test_keys.json").read_text())["keys"][index]
    h_s = key["h_s"][2:] if with_base else "0"
    return f"{key['p'][2:]} {key['q'][2:]} {h_s}\n"


@pytest.mark.parametrize(("index", "with_base"), [(0, True), (0, False), (1, True)])
@pytest.mark.parametrize("backend", ["portable", ""])
def test_encrypt_decrypt_and_evaluate_over_spans(program, index, with_base, backend):
    done = subprocess.run(
        [program], input=key_line(index, with_base), env={"CIPHERLANE_BACKEND": backend}, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_key_whose_numbers_do_not_go_together_is_refused(program):
    swapped = " ".join(reversed(key_line(0, True).split()[:2])) + " 2\n"
    done = subprocess.run([program], input=swapped, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.startswith("h_s: expected an n-th residue")
