"""A provisioned FLARE federation on this machine: kits with certificates, each started as its owner would."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import psutil

from cipherlane.federation.flare.kits import prepare_kit

HERE = Path(__file__).resolve().parent
ADMINISTRATOR = "admin@coordinator.org"
SERVER = "localhost"
SITES = ("guest", "host", "arbiter")
_BIN = Path(sys.executable).parent
_START_SECONDS = 60.0


class Federation:
    """The server and sites of ``project.yml``; all that still runs is ended on leaving the context.

    Attributes
    ----------
    kits
        The folder of all startup kits. Each institution would have its own only.
    port
        Where the server listens.
    """

    def __init__(self, folder: Path) -> None:
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.port = _free_port()
        self.kits = provision(folder, self.port)

    def __enter__(self) -> Federation:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in list(self._processes):
            self.kill(name)

    def data(self, name: str) -> Path:
        """The directory that a site takes its data from."""
        return self.kits / name / "local" / "cipherlane"

    def set_up(self, name: str) -> None:
        """What an institution does with its kit, once, by ``cipherlane site``."""
        prepare_kit(self.kits / name)

    def start(self, name: str, variables: Mapping[str, str] | None = None) -> None:
        """Start the server or a site by the script of its kit."""
        path = f"{_BIN}{os.pathsep}{os.environ['PATH']}"
        script = ["bash", str(self.kits / name / "startup" / "sub_start.sh"), "--once"]
        with (self.kits / name / "output.txt").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                script,
                env={**os.environ, "PATH": path, **(variables or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        if name == SERVER:
            self._wait_for_port()

    def kill(self, name: str) -> None:
        """End the server or a site with all of its processes, as a machine that fails does."""
        process = self._processes.pop(name)
        with suppress(psutil.NoSuchProcess):
            for child in psutil.Process(process.pid).children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    child.kill()
        process.kill()
        process.wait()

    def log(self, name: str) -> str:
        """What the server or a site has written to its log."""
        files = (self.kits / name / file for file in ("output.txt", "log.txt"))
        return "\n".join(path.read_text(encoding="utf-8", errors="replace") for path in files if path.is_file())

    def _wait_for_port(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            with suppress(OSError), socket.create_connection((SERVER, self.port), timeout=1):
                return
            time.sleep(0.1)
        raise SystemExit(f"the server did not start:\n{self.log(SERVER)[-2000:]}")


def provision(folder: Path, port: int) -> Path:
    """Make keys, certificates and startup kits, and return the folder of the kits."""
    text = (HERE / "project.yml").read_text(encoding="utf-8")
    project = folder / "project.yml"
    project.write_text(re.sub(r"fed_learn_port: \d+", f"fed_learn_port: {port}", text), encoding="utf-8")
    tool = [str(_BIN / "nvflare"), "provision", "-p", str(project), "-w", str(folder), "--force"]
    subprocess.run(tool, check=True, stdout=subprocess.DEVNULL, cwd=folder)
    kits = folder / "cipherlane" / "prod_00"
    settings = (kits / "guest" / "startup" / "fed_client.json").read_text(encoding="utf-8")
    if '"connection_security": "mtls"' not in settings:
        raise SystemExit("this version of FLARE does not provision mutual TLS by default; cipherlane needs it")
    return kits


def take_certificate(kit: Path, other: Path) -> None:
    """Put the certificate and key of another kit into one."""
    for name in ("client.crt", "client.key"):
        shutil.copy(other / "startup" / name, kit / "startup")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((SERVER, 0))
        port: int = listener.getsockname()[1]
        return port
