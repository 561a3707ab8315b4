"""Provision a server, two sites and an arbiter with certificates, start them on this machine, and train.

Every step but the last is what the institutions do on machines of their own (docs/nvflare.md). The result is compared
with the local engine's, bit for bit. Run from anywhere: ``python examples/flare/run.py [--plan PLAN] [--out DIR]``.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from cipherlane.federation import load_plan, train

HERE = Path(__file__).resolve().parent
PLAN = HERE.parent / "breast_cancer" / "plan.toml"
ADMINISTRATOR = "admin@coordinator.org"
SERVER = "localhost"
SITES = ("guest", "host", "arbiter")
BIN = Path(sys.executable).parent
TRAINING_SECONDS = 1800


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plan", type=Path, default=PLAN, help="a plan with the parties guest and host")
    parser.add_argument("--out", type=Path, help="directory to make for the run, models and assignments")
    options = parser.parse_args()
    out = options.out or Path(tempfile.mkdtemp(prefix="cipherlane-run-")) / "run"
    # A folder with a short path, which FLARE's job folders lengthen.
    with tempfile.TemporaryDirectory(prefix="flare-") as folder:
        kits = provision(Path(folder))
        for name in (SERVER, *SITES):
            command("site", kits / name)
        plan = load_plan(options.plan)
        for party in plan.parties:
            shutil.copy(party.data, kits / party.name / "local" / "cipherlane" / party.data.name)
        with started(kits):
            command("train", options.plan, "--engine", "nvflare", "--kit", kits / ADMINISTRATOR, "--out", out)
        compare(plan, kits, out)
    return 0


def provision(folder: Path) -> Path:
    """Make keys, certificates and startup kits, and return the folder of the kits."""
    text = (HERE / "project.yml").read_text(encoding="utf-8").replace("8002", str(free_port()))
    project = folder / "project.yml"
    project.write_text(text, encoding="utf-8")
    tool = [str(BIN / "nvflare"), "provision", "-p", str(project), "-w", str(folder), "--force"]
    subprocess.run(tool, check=True, stdout=subprocess.DEVNULL, cwd=folder)
    kits = folder / "cipherlane" / "prod_00"
    assert '"connection_security": "mtls"' in (kits / "guest" / "startup" / "fed_client.json").read_text()
    return kits


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind((SERVER, 0))
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def started(kits: Path) -> Iterator[None]:
    """Run the server and the sites, each by the script of its kit, and end them."""
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    processes = []
    try:
        for name in (SERVER, *SITES):
            log = (kits / name / "output.txt").open("wb")
            script = ["bash", str(kits / name / "startup" / "sub_start.sh"), "--once"]
            processes.append(
                subprocess.Popen(script, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            )
            log.close()
            print(f"started {name}", flush=True)
            if name == SERVER:
                wait_for_port(kits)
        yield
    finally:
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                for child in psutil.Process(process.pid).children(recursive=True):
                    with suppress(psutil.NoSuchProcess):
                        child.kill()
            process.kill()
            process.wait()


def wait_for_port(kits: Path) -> None:
    import time

    text = (kits / "guest" / "startup" / "fed_client.json").read_text(encoding="utf-8")
    (port,) = re.findall(r'"localhost:(\d+)"', text)
    for _ in range(600):
        with suppress(OSError), socket.create_connection((SERVER, int(port)), timeout=1):
            return
        time.sleep(0.1)
    raise SystemExit("the server did not start; see its output.txt")


def command(*arguments: object) -> None:
    subprocess.run([sys.executable, "-m", "cipherlane", *map(str, arguments)], check=True, timeout=TRAINING_SECONDS)


def compare(plan: object, kits: Path, out: Path) -> None:
    """Say where everything lies, and stop if a model is not the local engine's to the last bit."""
    local = train(plan, out.with_name(out.name + "-local"))  # type: ignore[arg-type]
    for name in SITES:
        kept = kits / name / "local" / "cipherlane" / "runs" / out.name
        model = "joint" if name == "arbiter" else name
        ours = (kept / "models" / f"{model}.npz").read_bytes()
        if ours != (local.directory / "models" / f"{model}.npz").read_bytes():
            raise SystemExit(f"{name}: the model differs from the local engine's")
    guest = kits / "guest" / "local" / "cipherlane" / "runs" / out.name
    shutil.copy(guest / "assignments.csv", out.with_name(out.name + "-assignments.csv"))
    print("models and assignments stayed at their sites, and equal the local engine's bit for bit")
    print(f"the coordinator's files: {out}")
    print(f"taken from the guest's site before it was removed: {out.with_name(out.name + '-assignments.csv')}")


if __name__ == "__main__":
    raise SystemExit(main())
