"""What binning over two parties costs: the guest's labels encrypted, added by the bins of the host's columns, judged.

The whole protocol but the making of the key pair runs in this process, every message as bytes, the host's table in
memory, with a key whose tables are not made yet. Counts of every bin must equal numpy's before a time is told. Beside
it, in the same run: python-paillier's encryptions, additions and decryptions, and what they add up to for the same
table, one addition a cell. SecretFlow's WoE binning with HEU's ZPaillier took 0.68 s on 569 rows and 20 host columns:
that figure is cited, and was measured on another machine.

    python bench/binning.py --json bench/results/binning.json
    CIPHERLANE_THREADS=1 taskset -c 0 python bench/binning.py        # one core
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
from timing import Row, environment, table, write_json

import cipherlane as cl
from cipherlane.federation import binning_guest
from cipherlane.federation.binning_coordinator import BinningCoordinator
from cipherlane.federation.binning_guest import BinningGuest
from cipherlane.federation.binning_host import BinningHost
from cipherlane.federation.capability import threads
from cipherlane.federation.engine import LocalEngine
from cipherlane.federation.plan_reader import parse_plan
from cipherlane.vertical.grouped_sums import additions
from cipherlane.vertical.tables import Table

SECRETFLOW_SECONDS = 0.68
SECRETFLOW_TABLE = (569, 20)
STAGES = ("match", "cutting columns", "labels", "sums, WoE, IV", "finish")
PLAN = """
[binning]
bins = {bins}
[encryption]
key_bits = {bits}
[parties.guest]
data = "-"
label_column = "y"
[parties.host]
data = "-"
"""


def tables(rows: int, columns: int) -> tuple[Table, Table, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(rows)
    events = rng.random(rows) < 0.3
    values = rng.normal(size=(rows, columns)) + events[:, np.newaxis] * np.linspace(0, 1, columns)
    ids = tuple(f"{i:08d}" for i in range(rows))
    guest = Table("guest", ids, ("g0",), rng.normal(size=(rows, 1)), tuple("1" if e else "0" for e in events))
    return guest, Table("host", ids, tuple(f"x{j}" for j in range(columns)), values), events, values


def run(rows: int, columns: int, bins: int, key: cl.PrivateKey) -> dict[str, float]:
    """Return the seconds of one run, wall and CPU, by stage, after its counts were found to be numpy's."""
    guest_table, host_table, events, values = tables(rows, columns)
    guest, host = BinningGuest("guest", "guest", guest_table), BinningHost("host", "host", host_table)
    # The same primes in a new object, which has nothing prepared.
    fresh = cl.PrivateKey(key.p, key.q, h_s=key.public_key.h_s, generators=key.generators)
    binning_guest.keygen = lambda bits, scheme: (fresh.public_key, fresh)
    plan = parse_plan(PLAN.format(bins=bins, bits=key.public_key.bits))
    coordinator = BinningCoordinator(plan, LocalEngine([guest, host]))
    seconds: dict[str, float] = {}
    for name, step in (
        ("agree", coordinator.open),
        ("match", coordinator.match),
        ("cutting columns", coordinator.make_key),
        ("labels", lambda: list(coordinator.add_labels())),
        ("sums, WoE, IV", coordinator.judge),
        ("finish", coordinator.tell),
    ):
        wall, cpu = time.perf_counter(), time.process_time()
        step()
        seconds[name], seconds[f"{name} (CPU)"] = time.perf_counter() - wall, time.process_time() - cpu
    assert guest.result is not None
    for j, found in enumerate(guest.result.tables["host"]):
        x = values[:, j]
        cuts = np.quantile(x, np.arange(1, bins) / bins, method="inverted_cdf")
        index = np.searchsorted(np.unique(cuts), x)
        if found.events.tolist() != np.bincount(index, events).tolist():
            raise SystemExit(f"column {j}: the events by bin are not numpy's")
    for clock in ("", " (CPU)"):
        seconds[f"protocol{clock}"] = sum(seconds[f"{name}{clock}"] for name in STAGES)
    return seconds


def python_paillier(bits: int) -> dict[str, float]:
    """Return operations a second of one core with python-paillier, the median of batches, each verified."""
    import phe

    public, private = phe.generate_paillier_keypair(n_length=bits)

    def rate(count: int, work) -> float:
        times = []
        for _ in range(5):
            start = time.process_time()
            work()
            times.append(time.process_time() - start)
        return count / statistics.median(times)

    labels = [1, 0, 1, 1, 0, 1, 0, 0]
    encrypted = [public.encrypt(label) for label in labels]
    assert private.decrypt(sum(encrypted[1:], encrypted[0])) == sum(labels)

    def add() -> None:
        total = encrypted[0]
        for _ in range(500):
            for one in encrypted:
                total = total + one

    return {
        "encrypt": rate(8, lambda: [public.encrypt(label) for label in labels]),
        "add": rate(4000, add),
        "decrypt": rate(8, lambda: [private.decrypt(one) for one in encrypted]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--columns", type=int, default=100)
    parser.add_argument("--bins", type=int, default=10)
    parser.add_argument("--bits", type=int, default=2048)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    phe_rates = python_paillier(options.bits)
    _, key = cl.keygen(bits=options.bits)
    results, lines = {}, []
    for rows, columns in (SECRETFLOW_TABLE, (options.rows, options.columns)):
        repeats = [run(rows, columns, options.bins, key) for _ in range(options.repeat)]
        best = min(repeats, key=lambda seconds: seconds["protocol"])
        cells, by_cpu = rows * columns, sorted(seconds["protocol (CPU)"] for seconds in repeats)
        peer = rows / phe_rates["encrypt"] + cells / phe_rates["add"] + columns * options.bins / phe_rates["decrypt"]
        results[f"{rows} x {columns}"] = {
            "seconds": best,
            "protocol_seconds": [seconds["protocol"] for seconds in repeats],
            "additions": additions(rows, [options.bins] * columns),
            "cells": cells,
            "python_paillier_seconds": peer,
        }
        ratios = [peer / cpu for cpu in by_cpu]
        lines.append(
            Row(
                "binning, cells",
                f"{rows} rows x {columns} columns x {options.bins} bins, {options.bits} bits",
                cells / statistics.median(by_cpu),
                "python-paillier (computed from its rates here)",
                cells / peer,
                statistics.median(ratios),
                min(ratios),
                max(ratios),
            )
        )
        print(f"{rows} rows x {columns} columns x {options.bins} bins, {options.bits} bits, {threads()} threads")
        print(f"  protocol without making the key: {best['protocol']:.3f} s wall, {best['protocol (CPU)']:.3f} s CPU")
        for name in STAGES:
            print(f"    {name:<16}{best[name]:8.3f} s wall {best[f'{name} (CPU)']:8.3f} s CPU")
        print(f"  python-paillier at its rates here: {peer:,.1f} s of one core")
    small = results[f"{SECRETFLOW_TABLE[0]} x {SECRETFLOW_TABLE[1]}"]["seconds"]["protocol"]
    print(
        f"SecretFlow with ZPaillier, cited: {SECRETFLOW_SECONDS} s on 569 x 20; {SECRETFLOW_SECONDS / small:.1f}x ours"
    )
    print(table(lines))
    if options.json is not None:
        extra = {
            "backend": cl.paillier.current_backend(),
            "threads": threads(),
            "results": results,
            "python_paillier_per_second": phe_rates,
            "secretflow": {"seconds": SECRETFLOW_SECONDS, "table": SECRETFLOW_TABLE, "source": "cited"},
        }
        write_json(options.json, lines, **extra)
        print(f"written: {options.json} ({environment()['processor']})")


if __name__ == "__main__":
    main()
