"""Train on a small disk that fills up, make room and resume; print what was said as JSON lines.

``python small_disk.py PLAN DISK OUT < moments.json``, within a mount namespace of its own (``unshare --mount``): a
small file system is mounted on DISK, which nobody else sees and which goes when this process ends. For each moment, a
stage of `Progress` or the number of a round, the disk is filled to its last byte when training comes to it. The run is
copied to OUT once it is finished.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

from cipherlane.errors import CipherlaneError
from cipherlane.federation import Progress, train

# Plots play no part here, and take longer than the run.
sys.modules["matplotlib"] = None  # type: ignore[assignment]
# Four members' copies of a chain, with what SQLite has not yet merged into them, and room beside.
_SIZE = "64m"


def fill(path: Path) -> None:
    """Write to a file until the disk has no byte left."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        for size in (1 << 16, 1):
            while True:
                try:
                    os.write(descriptor, bytes(size))
                except OSError:
                    break
    finally:
        os.close(descriptor)


def filler(moment: str | int, path: Path) -> Callable[[Progress], None]:
    """Return what fills the disk when training comes to a moment."""

    def watch(event: Progress) -> None:
        if event.stage == moment or (event.record is not None and event.record.round == moment):
            fill(path)

    return watch


def main(plan: Path, disk: Path, out: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "none", str(disk)], check=True)
    run, full = disk / "run", disk / "full"
    for moment in json.load(sys.stdin):
        try:
            train(plan, run, resume=True, progress=filler(moment, full))
            sys.exit(f"{moment}: nothing was said of the full disk")
        except CipherlaneError as error:
            left = sorted(path.name for path in disk.iterdir() if path != full)
            print(json.dumps({"error": type(error).__name__, "message": str(error), "left": left}), flush=True)
        full.unlink()  # Room is made.
    train(plan, run, resume=True)
    shutil.copytree(run, out)


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        main(*map(Path, sys.argv[1:]))
