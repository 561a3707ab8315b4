"""Builds the native module with CMake; everything else is in pyproject.toml."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parent.resolve()


class CMakeExtension(Extension):
    """An extension whose sources CMake knows."""

    def __init__(self, name: str) -> None:
        super().__init__(name, sources=[])


class CMakeBuild(build_ext):
    """Configures and builds in build/native-..., then leaves the module where setuptools wants it.

    That folder stays, unlike setuptools' own: kernels for CUDA take minutes to compile, and seldom change. Another can
    be named by CIPHERLANE_BUILD_DIR, for a build with other options beside it.
    """

    def build_extension(self, extension: Extension) -> None:
        """Build one extension."""
        import pybind11

        target = Path(self.get_ext_fullpath(extension.name)).resolve()
        tag = f"{sysconfig.get_platform()}-{sys.implementation.cache_tag}"
        build = ROOT / (os.environ.get("CIPHERLANE_BUILD_DIR") or Path("build") / f"native-{tag}")
        build.mkdir(parents=True, exist_ok=True)
        configure = [
            "cmake",
            "-S",
            str(ROOT),
            "-B",
            str(build),
            "-G",
            "Ninja",
            # Both may come from an environment that is gone by the next time.
            f"-DCMAKE_MAKE_PROGRAM={shutil.which('ninja')}",
            f"-DPython_EXECUTABLE={sys.executable}",
            f"-Dpybind11_DIR={pybind11.get_cmake_dir()}",
            f"-DCMAKE_LIBRARY_OUTPUT_DIRECTORY={target.parent}",
            f"-DCIPHERLANE_VERSION={self.distribution.get_version()}",
            f"-DCMAKE_BUILD_TYPE={'Debug' if self.debug else 'Release'}",
            *os.environ.get("CMAKE_ARGS", "").split(),
        ]
        subprocess.run(configure, check=True)
        subprocess.run(["cmake", "--build", str(build)], check=True)


setup(ext_modules=[CMakeExtension("cipherlane._native")], cmdclass={"build_ext": CMakeBuild})
