"""Disks that are full, limited or read-only: told by name with the remedy, and the run goes on after it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from same_run import check_same

import cipherlane as cl
from cipherlane.errors import StorageError
from cipherlane.federation import train
from cipherlane.files import write_whole
from cipherlane.ledger import missing_packages

WritePlan = Callable[..., Path]
SCRIPT = Path(__file__).with_name("small_disk.py")


@pytest.fixture
def short_plan(write_plan: WritePlan) -> Path:
    return write_plan(training__max_iterations=3, training__checkpoint_every=1)


def _environment(**more: str) -> dict[str, str]:
    package = str(Path(cl.__file__).parents[1])
    return {**os.environ, "PYTHONPATH": os.pathsep.join([package, os.environ.get("PYTHONPATH", "")]), **more}


def _mounting(directory: Path) -> list[str]:
    """Return what to put before a command that mounts file systems for itself alone; skip where that is forbidden."""
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("no `unshare` here, so no file system can be mounted for one process")
    before = [unshare, "--user", "--map-root-user", "--mount"]
    probe = [*before, "mount", "-t", "tmpfs", "-o", "size=64k", "none", str(directory)]
    tried = subprocess.run(probe, capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"mounting a small file system is not permitted here: {tried.stderr.strip()}")
    return before


@pytest.mark.parametrize("ledger", [False, True], ids=["bare", "ledger"])
def test_a_disk_that_fills_up_is_told_and_the_run_goes_on_once_there_is_room(
    tmp_path: Path, short_plan: Path, ledger: bool
) -> None:
    if ledger and missing_packages():
        pytest.skip(f"not installed: {', '.join(missing_packages())}")
    disk = tmp_path / "disk"
    disk.mkdir()
    before = _mounting(disk)
    if ledger:
        short_plan.write_text(short_plan.read_text() + "\n[ledger]\n")
    whole = train(short_plan, tmp_path / "whole")
    moments: list[str | int] = [2, "finish"] if ledger else ["prepare", 2, "finish"]
    done = subprocess.run(
        [*before, sys.executable, str(SCRIPT), str(short_plan), str(disk), str(tmp_path / "run")],
        input=json.dumps(moments),
        env=_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["error"] for line in told] == ["StorageError"] * len(moments)
    for line in told:
        assert f"{disk}/run.partial/" in line["message"]
        assert (
            "no space left on device; free some space on that disk, or give a directory on another" in line["message"]
        )
    if moments[0] == "prepare":
        nothing = told.pop(0)
        assert nothing["left"] == [] and "--resume" not in nothing["message"]
    for number, line in enumerate(told, start=2):
        assert line["left"] == ["run.partial"]
        assert f"the run is kept up to round {number}: go on with --resume after that" in line["message"]
    check_same(tmp_path / "run", whole.directory)
    if ledger:
        from cipherlane.ledger.audit import audit

        assert audit(tmp_path / "run").failure is None


def test_a_disk_with_a_limit_on_files_is_told(tmp_path: Path, short_plan: Path) -> None:
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))\n"
        "from cipherlane.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    environment = _environment(NUMBA_CACHE_DIR=str(tmp_path / "cache"))
    command = [sys.executable, "-c", code, "train", str(short_plan), "--out", str(tmp_path / "run")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "table.sealed: file too large; the limit on the size of files is too low" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists() and not (tmp_path / "run.partial").exists()


def test_a_file_in_place_of_a_directory_is_told(tmp_path: Path, short_plan: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"file/runs: not a directory; check the path"):
        train(short_plan, tmp_path / "file" / "runs" / "x")


def test_a_disk_that_is_mounted_read_only_is_told(tmp_path: Path, short_plan: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = 'mount -t tmpfs -o ro none "$0" && exec "$@"'
    error = _refused([*_mounting(disk), "sh", "-c", mount, str(disk)], short_plan, disk / "runs" / "x")
    assert f"{disk}/runs: read-only file system; give a directory on a disk that can be written to" in error


def test_a_directory_without_permission_is_told(tmp_path: Path, short_plan: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    before = []
    if os.geteuid() == 0:
        # Permissions bind root too once it has given up this capability.
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            pytest.skip("root may write everywhere, and there is no `setpriv` here to give that up")
        before = [setpriv, "--bounding-set=-dac_override"]
    error = _refused(before, short_plan, locked / "x")
    assert f"{locked}/x.partial: permission denied; give a directory that you may write to" in error
    assert not list(locked.iterdir())


def _refused(before: list[str], plan: Path, out: Path) -> str:
    """Return what the command line says where a run cannot be made at `out`."""
    command = [*before, sys.executable, "-m", "cipherlane", "train", str(plan), "--out", str(out)]
    done = subprocess.run(command, env=_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_several_that_write_one_file_at_once_each_write_it_whole(tmp_path: Path) -> None:
    writers, path = 4, tmp_path / "file"
    contents = {bytes([65 + number]) * (1000 + 400 * number) for number in range(writers)}

    def write(content: bytes) -> set[bytes]:
        found = set()
        for _ in range(12):
            write_whole(path, content)
            found.add(path.read_bytes())
        return found

    with ThreadPoolExecutor(writers) as pool:
        seen = set().union(*pool.map(write, contents))
    assert seen <= contents
    assert [left.name for left in tmp_path.iterdir()] == ["file"]
