"""Builds a wheel, audits and repairs it, and runs it in a fresh environment that has no compiler: ``make wheel``.

The result is left in dist. Without --cuda the backend "cuda" is left out; with it the wheel holds the kernels and the
CUDA runtime, and finds the driver itself where there is one.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import venv
import zipfile
from pathlib import Path

from wheel_audit import TAG, problems

ROOT = Path(__file__).parents[2]
SMOKE = """
import shutil, sys
import numpy as np
assert not any(map(shutil.which, ("cc", "c++", "gcc", "g++", "clang", "cmake", "ninja", "nvcc"))), "a compiler"
import cipherlane as cl
assert cl.__file__.startswith(sys.prefix), cl.__file__
public_key, private_key = cl.keygen(bits=2048)
values = np.array([1.5, -2.25, 1e9])
for backend in cl.backends():
    with cl.use_backend(backend):
        x = cl.CipherArray.from_bytes(public_key, public_key.encrypt(values).to_bytes())
        np.testing.assert_array_equal(private_key.decrypt(x + x * 2), 3 * values)
labels = cl.mixture.GaussianMixture(2, random_state=0).fit_predict(np.r_[np.zeros(50), np.ones(50) * 9].reshape(-1, 1) +
                                                                   np.random.default_rng(0).normal(size=(100, 1)))
assert len(set(labels[:50])) == len(set(labels[50:])) == 1 and labels[0] != labels[50]
print("works:", ", ".join(cl.backends()))
"""


def run(*command: object, **options: object) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)  # type: ignore[call-overload]
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")
    return str(done.stdout)


def build(directory: Path, cuda: bool) -> Path:
    """Build a wheel of this checkout in a build folder of its own."""
    kind = "cuda" if cuda else "cpu"
    environment = {
        **os.environ,
        "CIPHERLANE_BUILD_DIR": f"build/wheel-{kind}-{sys.implementation.cache_tag}",
        "CMAKE_ARGS": f"-DCIPHERLANE_CUDA={'ON' if cuda else 'OFF'}",
        # setuptools would keep copies of modules in build/lib, and pack them again when they are long gone.
        "DIST_EXTRA_CONFIG": str(directory.parent / "setuptools.cfg"),
    }
    Path(environment["DIST_EXTRA_CONFIG"]).write_text(f"[build]\nbuild_base = {directory.parent / 'base'}\n")
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", directory, ROOT, env=environment)
    (wheel,) = directory.glob("cipherlane-*.whl")
    return wheel


def repair(wheel: Path, out: Path) -> Path:
    """Give the wheel its platform tag; auditwheel would add libraries that the tag does not allow for."""
    audit = [sys.executable, "-m", "auditwheel"]
    environment = {**os.environ, "PATH": f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}"}
    print(run(*audit, "show", wheel, env=environment).strip())
    with zipfile.ZipFile(wheel) as archive, tempfile.TemporaryDirectory() as unpacked:
        (module,) = (name for name in archive.namelist() if name.endswith(".so"))
        found = problems(Path(archive.extract(module, unpacked)))
    if found:
        sys.exit(f"{wheel.name}: not {TAG}: {', '.join(found)}")
    platform = f"{TAG}_{sysconfig.get_platform().split('-')[-1]}"
    run(*audit, "repair", "--plat", platform, "--wheel-dir", out, wheel, env=environment)
    (repaired,) = out.glob("cipherlane-*.whl")
    with zipfile.ZipFile(repaired) as archive:
        bundled = [name for name in archive.namelist() if ".libs/" in name]
    if bundled or TAG not in repaired.name:
        sys.exit(f"{repaired.name}: expected {TAG} and no libraries in it, got {bundled}")
    return repaired


def smoke(wheel: Path, directory: Path) -> str:
    """Install the wheel and its dependencies, and run it with nothing on the path but the environment itself."""
    venv.create(directory, with_pip=True)
    python = directory / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", "--only-binary", ":all:", wheel)
    # Not even pip's interpreter is linked to a compiler's folder.
    return run(python, "-c", SMOKE, env={"PATH": str(directory / "bin")}, cwd=directory)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cuda", action="store_true", help="build the backend cuda into the wheel; needs nvcc")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="where the wheel goes (default: dist)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        built = build(Path(directory) / "built", arguments.cuda)
        repaired = repair(built, Path(directory) / "repaired")
        print(smoke(repaired, Path(directory) / "venv").strip())
        arguments.out.mkdir(parents=True, exist_ok=True)
        print(shutil.copy(repaired, arguments.out))


if __name__ == "__main__":
    main()
