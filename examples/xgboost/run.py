"""Train XGBoost between two institutions whose gradients are encrypted, and compare with XGBoost that encrypts nothing.

Three trainings on the breast cancer data: pooled columns; two parties, in the clear; two parties with the plugin. A
server and each party are processes of their own. Trees and margins of all three must agree, and gradients must not
cross in the clear where the plugin is used. Needs an XGBoost that loads plugins: docs/integrations/xgboost.md.

    python examples/xgboost/run.py build/xgboost/cpp/integrations/xgboost/libcipherlane_xgboost.so
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import xgboost
from numpy.typing import NDArray

from party import LABELS, read, run_pooled
from relay import Relay

HERE = Path(__file__).resolve().parent
DATA = HERE.parent / "breast_cancer"
PARTIES = (DATA / "guest.csv", DATA / "host.csv")
SERVER = """
import sys, xgboost.federated
print(xgboost.federated.run_federated_server(int(sys.argv[1]), 0, blocking=False)["dmlc_tracker_port"], flush=True)
sys.stdin.read()
"""
# Of margins and leaves: what sums of doubles in another order leave after rounding to single precision.
TOLERANCE = 1e-5


def why_not() -> str | None:
    """Say what this XGBoost lacks; None where it has all that a plugin needs."""
    facts = xgboost.build_info()
    if not facts.get("USE_FEDERATED"):
        return f"XGBoost {xgboost.__version__} was built without federated learning"
    with open(facts["libxgboost"], "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as library:
        if library.find(b"FederatedPluginCreate") < 0:
            return f"XGBoost {xgboost.__version__} loads no encryption plugins: it would train in the clear"
    return None


@contextmanager
def federated_server() -> Iterator[int]:
    """The port of a server that runs until the context is left."""
    arguments = [sys.executable, "-c", SERVER, str(len(PARTIES))]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(arguments, text=True, **pipes) as server:
        try:
            assert server.stdout is not None
            yield int(next(line for line in server.stdout if line.strip().isdigit()))
        finally:
            server.kill()


def federated(out: Path, options: argparse.Namespace, plugin: Path | None) -> tuple[list[dict[str, Any]], bytes]:
    """Train between the parties; what each ended with, and the bytes that reached the one without labels."""
    results = [out / f"{plugin is not None}-{rank}.json" for rank in range(len(PARTIES))]
    with federated_server() as port, Relay(port) as relay:
        parties = []
        for rank, (data, result) in enumerate(zip(PARTIES, results, strict=True)):
            address = f"localhost:{port}" if rank == 0 else relay.address
            arguments = [sys.executable, str(HERE / "party.py"), "--rank", str(rank), "--address", address]
            arguments += ["--data", str(data), "--out", str(result), "--rounds", str(options.rounds)]
            if plugin is not None:
                arguments += ["--plugin", str(plugin), "--settings", json.dumps({"key_bits": options.key_bits})]
            parties.append(subprocess.Popen(arguments, env={**os.environ, "OMP_NUM_THREADS": "1"}))
        try:
            codes = [party.wait(options.seconds) for party in parties]
        finally:
            for party in parties:
                party.kill()
        if any(codes):
            raise SystemExit("a party failed; its error is above")
        return [json.loads(result.read_text(encoding="utf-8")) for result in results], relay.seen()


def one_model(parties: list[dict[str, Any]]) -> list[dict[str, NDArray[np.float64]]]:
    """The trees: a party's model has thresholds of its own features, and NaN for others'."""
    trees = []
    for copies in zip(*(party["trees"] for party in parties), strict=True):
        tree = {name: np.array(copies[0][name], dtype=float) for name in ("left_children", "split_indices")}
        tree["values"] = np.full(len(tree["left_children"]), np.nan)
        for copy in copies:
            values = np.array(copy["split_conditions"], dtype=float)
            tree["values"] = np.where(np.isnan(tree["values"]), values, tree["values"])
        trees.append(tree)
    return trees


def difference(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> float:
    """The largest difference of thresholds, leaves and margins; ends the program where trees have other splits."""
    apart = []
    for number, (a, b) in enumerate(zip(one_model(one), one_model(other), strict=True)):
        for name in ("left_children", "split_indices"):
            if not np.array_equal(a[name], b[name]):
                raise SystemExit(f"tree {number}: {name} differ: {a[name]} and {b[name]}")
        apart.append(np.abs(a["values"] - b["values"]).max())
    margins = [np.array(party["margins"]) for party in (*one, *other)]
    # NaN, which a threshold that no party knows would leave, is not hidden by numpy's maximum.
    return float(np.max([*apart, *(np.abs(margin - margins[0]).max() for margin in margins)]))


def first_gradients(rows: int = 32) -> bytes:
    """Gradient and hessian of the first rows in the first tree, as XGBoost has them in memory."""
    names, values = read(PARTIES[0])
    labels = values[:rows, names.index(LABELS)]
    return np.stack([np.float32(0.5) - labels, np.full_like(labels, 0.25)], axis=1).tobytes()


def seconds(party: dict[str, Any], clock: str) -> float:
    """The median of the rounds."""
    return statistics.median(one[clock] for one in party["seconds"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("plugin", type=Path, help="libcipherlane_xgboost.so")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--key-bits", type=int, default=2048)
    parser.add_argument("--seconds", type=float, default=600, help="after which a training that still runs has failed")
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args()
    if (problem := why_not()) is not None:
        raise SystemExit(f"{problem}; docs/integrations/xgboost.md says which one to build, and how")
    pooled = [run_pooled(PARTIES, options.rounds)]
    with tempfile.TemporaryDirectory(prefix="cipherlane-xgboost-") as folder:
        plain, plain_bytes = federated(Path(folder), options, None)
        encrypted, encrypted_bytes = federated(Path(folder), options, options.plugin.resolve())
    apart = {"pooled": difference(pooled, encrypted), "in the clear": difference(plain, encrypted)}
    in_clear = {"in the clear": plain_bytes, "encrypted": encrypted_bytes}
    found = {name: first_gradients() in data for name, data in in_clear.items()}
    facts = {"xgboost": xgboost.__version__, "trees": options.rounds, "key_bits": options.key_bits}
    times = {
        name: [{clock: seconds(party, clock) for clock in ("wall", "cpu")} for party in parties]
        for name, parties in (("in the clear", plain), ("encrypted", encrypted))
    }
    print(f"XGBoost {xgboost.__version__}, {options.rounds} trees, {len(encrypted[0]['margins'])} rows")
    for name, value in apart.items():
        print(f"the same splits as {name}; thresholds, leaves and margins within {value:.1e}")
    print("                 seconds a tree, median   processor seconds   bytes to the      gradients")
    print("                                          guest     host      host a tree       seen there")
    for name, (guest, host) in times.items():
        size = len(in_clear[name]) / options.rounds
        print(
            f"{name:12} {guest['wall']:28.3f} {guest['cpu']:9.3f} {host['cpu']:8.3f} {size:16,.0f} {found[name]!s:>15}"
        )
    if options.json is not None:
        sys.path.insert(0, str(HERE.parents[1] / "bench"))
        from timing import environment

        document = {
            "environment": environment(),
            **facts,
            "apart": apart,
            "seconds_a_tree": times,
            "gradients_seen": found,
        }
        document["bytes_to_host"] = {name: len(data) for name, data in in_clear.items()}
        options.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    if not np.max(list(apart.values())) <= TOLERANCE:
        raise SystemExit(f"expected differences up to {TOLERANCE:g}")
    if not found["in the clear"]:
        raise SystemExit("expected gradients on the line where nothing is encrypted: the search for them is broken")
    if found["encrypted"]:
        raise SystemExit("gradients crossed in the clear beside the ciphertexts: this XGBoost leaks them")


if __name__ == "__main__":
    main()
