"""The compiled module fits the tag of its wheel; ``make wheel`` builds such a wheel and runs it without a compiler."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from cipherlane import _native

from wheel_audit import LIBRARIES, NEWEST, needed_libraries, newest_versions, problems

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="wheels for Linux are audited on Linux")


def test_the_module_fits_the_platform_tag():
    library, version = platform.libc_ver()
    if library != "glibc" or tuple(map(int, version.split("."))) > (2, 36):
        pytest.skip(f"a build on {library} {version} gets another tag than one on glibc 2.36")
    module = Path(_native.__file__)
    assert problems(module) == []
    # The audit sees what is there: the C++ library, and versions of each family.
    assert "libstdc++.so.6" in needed_libraries(module) <= LIBRARIES
    assert newest_versions(module).keys() == NEWEST.keys()


def test_the_audit_finds_what_does_not_fit(tmp_path):
    source = tmp_path / "module.cpp"
    source.write_text("extern int foreign(); int own() { return foreign(); }")
    foreign = tmp_path / "libforeign.so"
    (tmp_path / "foreign.cpp").write_text("int foreign() { return 1; }")
    subprocess.run(["c++", "-shared", "-fPIC", "-o", foreign, tmp_path / "foreign.cpp"], check=True)
    module = tmp_path / "module.so"
    subprocess.run(["c++", "-shared", "-fPIC", "-o", module, source, f"-L{tmp_path}", "-lforeign"], check=True)
    assert problems(module) == ["needs libforeign.so"]
