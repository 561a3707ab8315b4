"""What a compiled module asks of the machine that loads it, held against the platform tag of its wheel."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

# manylinux_2_34 is the oldest tag that a build by Debian 12's GCC 12 can have: since glibc 2.34 threads and dlopen are
# in libc itself, so that linking against a later one binds to them there. What it allows, of PEP 600's policy files:
TAG = "manylinux_2_34"
LIBRARIES = {
    *("libc.so.6", "libm.so.6", "libdl.so.2", "librt.so.1", "libpthread.so.0", "ld-linux-x86-64.so.2"),
    *("libgcc_s.so.1", "libstdc++.so.6"),
}
NEWEST = {"GLIBC": (2, 34), "GLIBCXX": (3, 4, 29), "CXXABI": (1, 3, 13), "GCC": (7, 0, 0)}


def needed_libraries(module: Path) -> set[str]:
    listed = subprocess.run(["objdump", "-p", module], capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"NEEDED\s+(\S+)", listed))


def newest_versions(module: Path) -> dict[str, tuple[int, ...]]:
    """Return the newest version of each family of symbols that a module binds to."""
    listed = subprocess.run(["objdump", "-p", module], capture_output=True, text=True, check=True).stdout
    found: dict[str, tuple[int, ...]] = {}
    for family, version in re.findall(r"0x[0-9a-f]+ 0x[0-9a-f]+ \d+ ([A-Z]+)_([0-9.]+)$", listed, flags=re.M):
        number = tuple(int(part) for part in version.split("."))
        found[family] = max(found.get(family, ()), number)
    return found


def problems(module: Path) -> list[str]:
    """Return what keeps a module from the tag, in words."""
    strange = [f"needs {library}" for library in sorted(needed_libraries(module) - LIBRARIES)]
    versions = newest_versions(module).items()
    return strange + [
        f"needs {family} {'.'.join(map(str, version))}"
        for family, version in versions
        if family not in NEWEST or version > NEWEST[family]
    ]
