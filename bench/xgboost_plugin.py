"""A tree level of secure vertical XGBoost through the encryption plugin's symbols, on one core, beside python-paillier.

The histogram is decrypted and must be the exact sum of the encoded numbers before a time is told. The peer encrypts
gradient and hessian on their own with fresh noise, adds and decrypts each, at its rates. Both take turns; CPU seconds
of one core, and the median of the rounds.

    cmake -S . -B build/xgboost -DCIPHERLANE_PYTHON=OFF -DCIPHERLANE_XGBOOST_PLUGIN=ON && cmake --build build/xgboost
    python bench/xgboost_plugin.py build/xgboost/cpp/integrations/xgboost/libcipherlane_xgboost.so
"""

from __future__ import annotations

import argparse
import os
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from binning import python_paillier
from timing import Row, table, write_json

from cipherlane.benchmark.clock import timed

from xgboost_symbols import Party

OPERATIONS = {
    "encrypt": "encrypt a row's pair",
    "add": "add a pair to a bin, sums packed and re-randomised",
    "decrypt": "decrypt a bin's pair",
}


def cpu_seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    result: list[Any] = []
    return timed(lambda: result.append(work())).cpu, result[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("library", type=Path)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--columns", type=int, default=10)
    parser.add_argument("--bins", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    os.environ["CIPHERLANE_THREADS"] = "1"
    rows, columns, bins = options.rows, options.columns, options.bins
    random = np.random.default_rng(0)
    pairs = np.stack([random.normal(size=rows), random.random(rows)], axis=1).astype(np.float32)
    cuts = np.arange(0, (columns + 1) * bins, bins, dtype=np.uint32)
    indices = (random.integers(0, bins, (rows, columns)) + cuts[:-1]).astype(np.int32)
    nodes = [np.arange(rows, dtype=np.uint64)]

    encoded = np.rint(pairs.astype(np.float64) * 2.0**40)  # exact, and so are their sums in float64
    expected = np.zeros((columns * bins, 2))
    for column in range(columns):
        np.add.at(expected, indices[:, column], encoded)

    active, passive = Party(options.library), Party(options.library)
    active.encrypt(pairs[:2])  # makes the key
    passive.sync_pairs(active.encrypt(pairs[:2]))
    counts = {"encrypt": rows, "add": rows * columns, "decrypt": columns * bins}
    rates: dict[str, list[float]] = {name: [] for name in counts}
    peer_rates: dict[str, list[float]] = {name: [] for name in counts}
    for _ in range(options.rounds):
        encrypting, message = cpu_seconds(lambda: active.encrypt(pairs))
        active.reset(cuts, np.full_like(indices, -1))
        passive.sync_pairs(message)
        passive.reset(cuts, indices)
        adding, sums = cpu_seconds(lambda: passive.build(nodes))
        messages = active.build(nodes) + sums
        decrypting, histograms = cpu_seconds(lambda messages=messages: active.sync_histograms(messages))
        if not np.array_equal(histograms.reshape(2, -1, 2)[1], expected / 2.0**40):
            raise SystemExit("the sums are not numpy's")
        for name, seconds in (("encrypt", encrypting), ("add", adding), ("decrypt", decrypting)):
            rates[name].append(counts[name] / seconds)
        for name, rate in python_paillier(2048).items():
            peer_rates[name].append(rate / 2)  # two ciphertexts

    conditions = f"{rows} rows x {columns} columns x {bins} bins, 2048 bits"
    lines = []
    for name, operation in OPERATIONS.items():
        ratios = sorted(one / other for one, other in zip(rates[name], peer_rates[name], strict=True))
        ours, theirs = statistics.median(rates[name]), statistics.median(peer_rates[name])
        lines.append(
            Row(
                *(operation, conditions, ours, "python-paillier, two ciphertexts", theirs),
                *(statistics.median(ratios), ratios[0], ratios[-1]),
            )
        )
    total, phe_total = (
        sum(counts[name] / statistics.median(found[name]) for name in counts) for found in (rates, peer_rates)
    )
    facts = {"cpu_seconds": total, "peer_cpu_seconds": phe_total, "bytes_a_row": len(message) / rows,
             "bytes_a_bin": len(sums) / (columns * bins)}  # fmt: skip
    print(table(lines))
    print(
        f"encryption and one level: {total:.1f} s CPU, python-paillier {phe_total:.1f} s: {phe_total / total:.1f} times"
    )
    print(f"{facts['bytes_a_row']:.0f} bytes a row, {facts['bytes_a_bin']:.0f} bytes a bin")
    if options.json is not None:
        write_json(options.json, lines, **facts)


if __name__ == "__main__":
    main()
