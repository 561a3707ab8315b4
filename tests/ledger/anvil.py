"""A node of anvil to test against: found, or installed once below build/ by npm, and started for the tests alone."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = "@foundry-rs/anvil"
VERSION = "1.7.1"
INSTALLED = ROOT / "build" / f"anvil-{VERSION}"
_PROGRAM = Path("node_modules") / ".bin" / "anvil"
_INSTALL_SECONDS = 300
_START_SECONDS = 120.0
_TRIES = 3


class NotAvailable(Exception):
    """There is no anvil here, and why."""


def program() -> str:
    """Return anvil: named by CIPHERLANE_ANVIL, on the path, installed in this checkout, or else installed now.

    CIPHERLANE_ANVIL=none stands for a machine without it.
    """
    named = os.environ.get("CIPHERLANE_ANVIL")
    if named == "none":
        raise NotAvailable("CIPHERLANE_ANVIL is `none`")
    found = named or shutil.which("anvil")
    if found:
        return found
    for directory in (ROOT, INSTALLED):
        if (directory / _PROGRAM).exists():
            return str(directory / _PROGRAM)
    return str(_install())


def _install() -> Path:
    """Install anvil with npm, whole or not at all; nothing but npm's registry is asked, and no script is run."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise NotAvailable("anvil is not installed, nor are node and npm to install it with; or set CIPHERLANE_ANVIL")
    INSTALLED.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=INSTALLED.parent, prefix="anvil-") as name:
        options = ["--prefix", name, "--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
        command = [npm, "install", *options, f"{PACKAGE}@{VERSION}"]
        environment = {**os.environ, "npm_config_update_notifier": "false"}
        try:
            done = subprocess.run(
                command,
                cwd=name,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
                timeout=_INSTALL_SECONDS,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NotAvailable(f"npm could not install {PACKAGE} ({type(error).__name__})") from None
        if done.returncode != 0 or not (Path(name) / _PROGRAM).exists():
            told = [line for line in done.stderr.splitlines() if "code" in line or "network" in line]
            raise NotAvailable(f"npm could not install {PACKAGE} ({'; '.join(told[:2]) or 'it gives no reason'})")
        whole = Path(name) / "whole"
        whole.mkdir()
        (Path(name) / "node_modules").rename(whole / "node_modules")
        try:
            whole.rename(INSTALLED)
        except OSError:
            # Another run of the tests was first.
            if not (INSTALLED / _PROGRAM).exists():
                raise
    return INSTALLED / _PROGRAM


@contextmanager
def node(*options: str) -> Iterator[str]:
    """Run a node on this machine, whose blocks cost nothing, and give its address."""
    process, port = _started(options)
    with process:
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            _end(process)


def _started(options: tuple[str, ...]) -> tuple[subprocess.Popen[bytes], int]:
    """Start a node on a free port; on another where somebody else took that one first."""
    nothing = subprocess.DEVNULL
    for _ in range(_TRIES):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [program(), "--port", str(port), "--hardfork", "london", "--gas-price", "0"]
        command += ["--block-base-fee-per-gas", "0", "--silent", *options]
        process = subprocess.Popen(command, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True)
        if _listens(process, port):
            return process, port
        _end(process)
        process.wait()
    raise RuntimeError(f"anvil ended with {process.returncode}; run it by hand to see why")


def _listens(process: subprocess.Popen[bytes], port: int) -> bool:
    """Wait until a node listens; False if it ends before."""
    until = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return process.poll() is None
        time.sleep(0.05)
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    # npm puts a program of its own before it, which would leave it behind. It may have ended by itself.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
