"""FATE's hetero logistic regression, binning and SecureBoost, with FATE's Paillier and with Cipherlane's.

Guest, host and arbiter are three processes that FATE's own launcher starts, on the breast cancer data; both sides
randomise what they encrypt. `make fate` sets up what this needs and runs it; it takes some minutes, most of which
FATE's processes spend on starting.

    python examples/fate/run.py --key-bits 2048 --json bench/results/fate.json
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import fate_clock

HERE = Path(__file__).parent
DATA = HERE.parent / "breast_cancer"
PARTIES = ("guest:9999", "host:10000", "arbiter:10001")
SIDES = ("fate", "cipherlane")
TASKS = ("logistic", "binning", "trees")
EQUAL = {"binning": "counts, WoE and IV of the host's columns", "trees": "scores of all rows"}
CHOICES = {"median": statistics.median, "least": min, "most": max}
WORDS = {
    "ratio": "without making the key",
    "ratio_with_keygen": "with the key of each run",
    "ratio_with_median_key": "with a key of median cost",
}
# FATE's floats are of double precision, so weights agree to what sums in another order leave.
TOLERANCE = 1e-9


def run(task: str, paillier: str, directory: Path, options: argparse.Namespace) -> dict[str, object]:
    """Run one task in three processes, and return what the parties ended with and what the encryption cost."""
    directory.mkdir(parents=True)
    arguments = [
        sys.executable,
        str(HERE / "parties.py"),
        "--parties",
        *PARTIES,
        "--task",
        task,
        "--paillier",
        paillier,
    ]
    arguments += ["--guest_data", str(DATA / "guest.csv"), "--host_data", str(DATA / "host.csv")]
    arguments += ["--out", str(directory), "--data_dir", str(directory / "data"), "--log_level", "WARNING"]
    arguments += ["--key_bits", str(options.key_bits), "--epochs", str(options.epochs)]
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise SystemExit(f"{task} with {paillier}'s Paillier failed:\n{done.stdout[-4000:]}")
    results = {party: json.loads((directory / f"{party}.json").read_text()) for party in ("guest", "host", "arbiter")}
    costs = fate_clock.costs(directory)
    keygen = costs.pop("keygen")
    totals = {clock: sum(cost[clock] for cost in costs.values()) for clock in ("wall", "cpu")}
    return {"results": results, "operations": costs, "keygen": keygen, **totals}


def check_same(task: str, sides: dict[str, dict[str, object]]) -> str:
    """Return how alike the results are, or end the program if they are not."""
    theirs, ours = (sides[name]["results"] for name in SIDES)
    if task != "logistic":
        if theirs != ours:
            raise SystemExit(f"{task}: {EQUAL[task]} differ")
        return f"{EQUAL[task]} equal"
    apart = max(
        abs(a - b)
        for party in ("guest", "host")
        for a, b in zip(theirs[party]["weights"], ours[party]["weights"], strict=True)
    )
    if not apart < TOLERANCE:
        raise SystemExit(f"logistic: weights differ by {apart}")
    return f"weights within {apart:.0e}"


def key_costs(bits: int, count: int) -> dict[str, object]:
    """Return the seconds of processor time that a key pair takes either side, in turns; the first ones warm up."""
    from cipherlane.integrations.fate import paillier as ours

    theirs = importlib.import_module(fate_clock.TARGET)
    seconds: dict[str, list[float]] = {name: [] for name in SIDES}
    for _ in range(count + 1):
        for name, keygen in zip(SIDES, (theirs.keygen, ours.keygen), strict=True):
            start = time.process_time()
            keygen(bits)
            seconds[name].append(time.process_time() - start)
    return {
        "keys": count,
        **{
            name: {"median": statistics.median(kept), "mean": statistics.mean(kept), "least": kept[0], "most": kept[-1]}
            for name, kept in ((name, sorted(seconds[name][1:])) for name in SIDES)
        },
    }


def repeated(task: str, scratch: Path, options: argparse.Namespace, keys: dict[str, object]) -> dict[str, object]:
    """Run one task several times with both sides, print what each took, and return the figures."""
    runs = []
    for number in range(options.runs):
        sides = {name: run(task, name, scratch / task / str(number) / name, options) for name in SIDES}
        alike = check_same(task, sides)
        for name in SIDES:
            line = f"{task:<10}{name:<12}{sides[name]['cpu']:>11.2f}{sides[name]['keygen']['cpu']:>16.2f}"
            print(f"{line}   {alike if name == 'cipherlane' else ''}".rstrip(), flush=True)
        ratios = {"ratio": [sides[name]["cpu"] for name in SIDES]}
        ratios["ratio_with_keygen"] = [sides[name]["cpu"] + sides[name]["keygen"]["cpu"] for name in SIDES]
        ratios["ratio_with_median_key"] = [sides[name]["cpu"] + keys[name]["median"] for name in SIDES]
        figures = {name: {kind: cost for kind, cost in sides[name].items() if kind != "results"} for name in SIDES}
        runs.append({"alike": alike, **{kind: theirs / ours for kind, (theirs, ours) in ratios.items()}, **figures})
    runs.sort(key=lambda one: one["ratio"])
    middle = runs[len(runs) // 2]
    spread = {
        kind: {name: choose(one[kind] for one in runs) for name, choose in CHOICES.items()}
        for kind in ("ratio", "ratio_with_keygen", "ratio_with_median_key")
    }
    for kind, words in WORDS.items():
        one = spread[kind]
        print(f"{'':<10}{one['median']:.1f}x {words}, {one['least']:.1f}x to {one['most']:.1f}x", flush=True)
    return {"runs": len(runs), "ratios": spread, "run_of_median_ratio": middle}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--key-bits", type=int, default=2048)
    parser.add_argument("--epochs", type=int, default=3, help="of the logistic regression")
    parser.add_argument("--task", choices=TASKS, action="append", help="default: all")
    parser.add_argument("--runs", type=int, default=1, help="of each task with each side")
    parser.add_argument("--keys", type=int, default=9, help="pairs made on each side for the median cost of one")
    parser.add_argument("--json", type=Path, help="where the figures go")
    options = parser.parse_args()
    version = importlib.metadata.version("pyfate")
    print(f"FATE {version}, three processes, {options.key_bits}-bit keys; seconds of processor time in all processes")
    warnings.simplefilter("ignore")
    keys = key_costs(options.key_bits, options.keys)
    print(f"median of {options.keys} keys: FATE {keys['fate']['median']:.2f}, ours {keys['cipherlane']['median']:.2f}")
    print(f"{'task':<10}{'Paillier':<12}{'encryption':>11}{'making the key':>16}   results", flush=True)
    found: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for task in options.task or TASKS:
            found[task] = repeated(task, Path(scratch), options, keys)
            if options.json is not None:
                write(options.json, found, options, version, keys)


def write(
    path: Path, found: dict[str, object], options: argparse.Namespace, version: str, keys: dict[str, object]
) -> None:
    """Write the figures with what they depend on."""
    sys.path.insert(0, str(HERE.parents[1] / "bench"))
    from timing import environment

    document = {
        "environment": {**environment(), "pyfate": version, "processors": os.cpu_count()},
        "key_bits": options.key_bits,
        "epochs": options.epochs,
        "clock": "seconds of processor time summed over the processes of all parties; FATE's pickling is not in them, "
        "ours is",
        "randomised": {
            "fate": "what its encryptor encrypts (it was made to); not what it adds in the clear, nor results it sends",
            "cipherlane": "all that is encrypted, and results when they are pickled",
        },
        "key_pairs": keys,
        "tasks": found,
    }
    path.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
