"""Seconds a level of a gradient-boosted tree takes the party with columns: gradients and hessians added by bin.

Sums are decrypted and must equal numpy's before a time is told. Only some ciphertexts are distinct; the others repeat
them in memory of their own, which costs an addition the same. Beside it: python-paillier at its rate of additions,
measured in the same run.

    python bench/histograms.py --json bench/results/histograms.json
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np
from binning import python_paillier
from timing import Row, table, write_json

import cipherlane as cl
from cipherlane.vertical.grouped_sums import additions
from cipherlane.vertical.histograms import encrypt_gradients, gradient_histograms


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--columns", type=int, default=50)
    parser.add_argument("--measured-columns", type=int, help="measure so many and extrapolate to all (default: all)")
    parser.add_argument("--bins", type=int, default=32)
    parser.add_argument("--bits", type=int, default=2048)
    parser.add_argument("--distinct", type=int, default=50_000)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    rows, measured = options.rows, options.measured_columns or options.columns
    distinct = min(options.distinct, rows)
    gradients, hessians = rng.normal(size=distinct), rng.random(distinct)
    _, private_key = cl.keygen(bits=options.bits)
    start = time.process_time()
    pairs = encrypt_gradients(private_key, gradients, hessians, rows=rows, scale_bits=16)
    encrypting = (time.process_time() - start) / distinct
    copies = rng.integers(0, distinct, rows)
    pairs = pairs[copies]
    indices = rng.integers(0, options.bins, (rows, measured)).astype(np.uint8)
    expected = np.stack(
        [
            np.stack([np.bincount(indices[:, j], v[copies], minlength=options.bins) for v in (gradients, hessians)], -1)
            for j in range(measured)
        ]
    )
    scale = options.columns / measured
    done, plain = additions(rows, [options.bins] * measured), rows * measured
    phe_adds = python_paillier(options.bits)["add"]
    lines, results = [], {}
    for threads in options.threads:
        os.environ["CIPHERLANE_THREADS"] = str(threads)
        wall, cpu = time.perf_counter(), time.process_time()
        sums = gradient_histograms(pairs, indices, options.bins)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        if not np.allclose(private_key.decrypt(sums)[0], expected, atol=rows * 2.0**-17):
            raise SystemExit("the sums are not numpy's")
        results[str(threads)] = {"wall_seconds": wall * scale, "cpu_seconds": cpu * scale}
        print(
            f"{threads} threads: {wall * scale:.1f} s wall, {cpu * scale:.1f} s CPU a level; a CPU second has "
            f"{done / cpu:,.0f} additions, for {plain / cpu:,.0f} cells"
        )
        ratio = plain / cpu / (phe_adds / 2)
        lines.append(
            Row(
                f"histogram cells, {threads} threads",
                f"{rows} rows x {options.columns} columns x {options.bins} bins, {options.bits} bits, level 0",
                plain / cpu,
                "python-paillier, gradient and hessian each",
                phe_adds / 2,
                ratio,
                ratio,
                ratio,
            )
        )
    print(f"encryption, once a tree: {encrypting * rows:.1f} s CPU for {rows} rows")
    print(f"additions: {done * scale:,.0f} in the place of {plain * scale:,.0f}")
    if measured != options.columns:
        print(f"measured on {measured} columns and multiplied by {scale:g}")
    print(table(lines))
    if options.json is not None:
        facts = {"measured_columns": measured, "columns": options.columns, "distinct_ciphertexts": distinct}
        write_json(options.json, lines, results=results, encryption_cpu_seconds=encrypting * rows, **facts)


if __name__ == "__main__":
    main()
