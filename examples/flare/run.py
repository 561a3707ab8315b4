"""Provision a server, two sites and an arbiter with certificates, start them on this machine, train, score, and bin.

Every step is what the institutions do on machines of their own (docs/nvflare.md), with the same commands. Results are
compared with the local engine's, bit for bit. Run from anywhere:
``python examples/flare/run.py [--plan PLAN] [--binning PLAN] [--out DIR]``.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cipherlane.federation import BinningRun, Run, bin_columns, bins_of, load_plan, train
from cipherlane.federation.run_store import rows_file

from federation import ADMINISTRATOR, SERVER, SITES, Federation

HERE = Path(__file__).resolve().parent
PLAN = HERE.parent / "breast_cancer" / "plan.toml"
BINNING = PLAN.with_name("binning.toml")
SECONDS = 1800
STEPS = 7
# What a binning leaves at each site.
BINNED = [
    ("guest", "binning.csv"),
    ("guest", "binning.json"),
    ("guest", "selected-guest.csv"),
    ("host", "selected-host.csv"),
]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plan", type=Path, default=PLAN, help="a plan with the parties guest and host")
    parser.add_argument("--binning", type=Path, default=BINNING, help="a plan with [binning] and the same parties")
    parser.add_argument("--out", type=Path, help="directory to make; run, report and scores go below it")
    options = parser.parse_args()
    plan, binning = load_plan(options.plan), load_plan(options.binning)
    out = options.out or Path(tempfile.mkdtemp(prefix="cipherlane-flare-"))
    out.mkdir(parents=True, exist_ok=True)
    # A folder with a short path, which FLARE's job folders lengthen.
    with tempfile.TemporaryDirectory(prefix="flare-") as folder:
        with step(
            1, "provision: keys, certificates and a startup kit for each", "nvflare provision -p project.yml -w kits"
        ):
            federation = Federation(Path(folder))
        kit = federation.kits / ADMINISTRATOR
        with federation:
            with step(
                2,
                "each sets its kit up and puts its data there",
                "cipherlane site kits/guest    # host, arbiter, localhost",
            ):
                for name in (SERVER, *SITES):
                    federation.set_up(name)
                for party in plan.parties:
                    shutil.copy(party.data, federation.data(party.name) / party.data.name)
            with step(
                3,
                f"each starts: mutual TLS, port {federation.port}",
                "kits/guest/startup/start.sh    # localhost first",
            ):
                for name in (SERVER, *SITES):
                    federation.start(name)
            with step(4, "the coordinator trains"):
                command("train", options.plan, "--engine", "nvflare", "--kit", kit, "--out", out / "run")
            with step(5, "the coordinator has the guest's rows scored with the model that was trained"):
                data = [f"--data={party.name}={party.data.name}" for party in plan.parties]
                command("score", out / "run", "--engine", "nvflare", "--kit", kit, "--out", out / "scored", *data)
            with step(6, "the coordinator has the parties' columns binned by the guest's labels"):
                for party in binning.parties:
                    shutil.copy(party.data, federation.data(party.name) / party.data.name)
                command("bin", options.binning, "--engine", "nvflare", "--kit", kit, "--out", out / "binned")
        with step(7, "compare with the local engine, bit for bit"):
            local = train(plan, out / "local")
            compare(federation, local)
            compare_bins(federation, bin_columns(binning, out / "local-binned"))
            scored = federation.data("guest") / "scores" / "scored" / rows_file(plan.model.algorithm)
            shutil.copy(scored, out / "scores.csv")
    print(f"""
models, assignments, scores and bins stayed at their sites, and equal the local engine's bit for bit
  report:               {out / "run" / "report.html"}
  coordinator's files:  {out / "run"}, {out / "binned"}
  scores (a copy of the guest's): {out / "scores.csv"}""")
    return 0


@contextmanager
def step(number: int, what: str, command: str = "") -> Iterator[None]:
    """Say what is done, with the command that does it, and how long it took."""
    print(f"\n[{number}/{STEPS}] {what}", *([f"      $ {command}"] if command else []), sep="\n", flush=True)
    start = time.perf_counter()
    yield
    print(f"      {time.perf_counter() - start:.1f} s", flush=True)


def command(*arguments: object) -> None:
    """Run cipherlane as on a command line."""
    words = list(map(str, arguments))
    print("      $ cipherlane " + " ".join(words), flush=True)
    subprocess.run([sys.executable, "-m", "cipherlane", *words], check=True, timeout=SECONDS)


def compare(federation: Federation, local: Run) -> None:
    """Stop if anything that a site ended with is not the local engine's to the last bit."""
    kept = {name: federation.data(name) / "runs" / "run" for name in SITES}
    rows = rows_file(local.plan.model.algorithm)
    files = [("guest", "models/guest.npz"), ("host", "models/host.npz"), ("guest", rows)]
    if local.plan.writes_joint_model:
        files.append(("arbiter", "models/joint.npz"))
    for name, file in files:
        same(kept[name] / file, local.directory / file)
        print(f"      {file} of {name}: the same")
    again = local.directory.with_name("local-scores.csv")
    data = [f"--data={party.name}={party.data}" for party in local.plan.parties]
    subprocess.run([sys.executable, "-m", "cipherlane", "score", local.directory, "--out", again, *data], check=True)
    same(federation.data("guest") / "scores" / "scored" / rows, again)
    print("      scores of guest: the same")


def compare_bins(federation: Federation, local: BinningRun) -> None:
    """Stop if counts, selected columns or bins at a site are not the local engine's."""
    for name, file in BINNED:
        same(federation.data(name) / "runs" / "binned" / file, local.directory / file)
        print(f"      {file} of {name}: the same")
    for party in local.plan.parties:
        # They are sealed, each time with randomness of their own.
        if bins_of(federation.data(party.name) / "runs" / "binned", party.name) != bins_of(local.directory, party.name):
            raise SystemExit(f"bins of {party.name}: differ from the local engine's")
        print(f"      bins of {party.name}: the same")


def same(ours: Path, theirs: Path) -> None:
    """Stop unless two files are equal."""
    if ours.read_bytes() != theirs.read_bytes():
        raise SystemExit(f"{ours.name}: differs from the local engine's")


if __name__ == "__main__":
    raise SystemExit(main())
