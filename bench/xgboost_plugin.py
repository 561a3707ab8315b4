"""A tree level of secure vertical XGBoost through the encryption plugin's symbols, on one core, beside python-paillier.

The histogram is decrypted and must be the exact sum of the encoded numbers before a time is told. The peer encrypts
gradient and hessian on their own with fresh noise, adds and decrypts each, at its rates measured in the same run.

    cmake -S . -B build/xgboost -DCIPHERLANE_PYTHON=OFF -DCIPHERLANE_XGBOOST_PLUGIN=ON && cmake --build build/xgboost
    python bench/xgboost_plugin.py build/xgboost/cpp/integrations/xgboost/libcipherlane_xgboost.so
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from binning import python_paillier
from timing import Row, table, write_json

from xgboost_symbols import Party


def cpu_seconds(work: Callable[[], Any], repeat: int = 3) -> tuple[list[float], Any]:
    times, result = [], None
    for _ in range(repeat):
        start = time.process_time()
        result = work()
        times.append(time.process_time() - start)
    return sorted(times), result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("library", type=Path)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--columns", type=int, default=10)
    parser.add_argument("--bins", type=int, default=64)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    os.environ["CIPHERLANE_THREADS"] = "1"
    rows, columns, bins = options.rows, options.columns, options.bins
    random = np.random.default_rng(0)
    pairs = np.stack([random.normal(size=rows), random.random(rows)], axis=1).astype(np.float32)
    cuts = np.arange(0, (columns + 1) * bins, bins, dtype=np.uint32)
    indices = (random.integers(0, bins, (rows, columns)) + cuts[:-1]).astype(np.int32)
    nodes = [np.arange(rows, dtype=np.uint64)]

    active, passive = Party(options.library), Party(options.library)
    active.encrypt(pairs[:2])  # makes the key
    encrypting, message = cpu_seconds(lambda: active.encrypt(pairs))
    active.reset(cuts, np.full_like(indices, -1))
    passive.sync_pairs(message)
    passive.reset(cuts, indices)
    building, sums = cpu_seconds(lambda: passive.build(nodes))
    own = active.build(nodes)

    def decrypt() -> Any:
        active.build(nodes)  # sums are appended to its own
        return active.sync_histograms(own + sums)

    decrypting, histograms = cpu_seconds(decrypt)
    encoded = np.rint(pairs.astype(np.float64) * 2.0**40)  # exact, and so are their sums in float64
    expected = np.zeros((columns * bins, 2))
    for column in range(columns):
        np.add.at(expected, indices[:, column], encoded)
    if not np.array_equal(histograms.reshape(2, -1, 2)[1], expected / 2.0**40):
        raise SystemExit("the sums are not numpy's")

    phe = python_paillier(2048)
    conditions = f"{rows} rows x {columns} columns x {bins} bins, 2048 bits"
    lines = []
    for operation, count, times, rate in [
        ("encrypt a row's pair", rows, encrypting, phe["encrypt"] / 2),
        ("add a pair to a bin, sums packed and re-randomised", rows * columns, building, phe["add"] / 2),
        ("decrypt a bin's pair", columns * bins, decrypting, phe["decrypt"] / 2),
    ]:
        ours = [count / seconds for seconds in times]
        ratios = [one / rate for one in ours]
        middle = len(times) // 2
        lines.append(
            Row(
                *(operation, conditions, ours[middle], "python-paillier, two ciphertexts", rate),
                *(ratios[middle], min(ratios), max(ratios)),
            )
        )
    total = encrypting[1] + building[1] + decrypting[1]
    phe_total = 2 * (rows / phe["encrypt"] + rows * columns / phe["add"] + columns * bins / phe["decrypt"])
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
