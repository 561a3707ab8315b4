"""Seconds a level of a gradient-boosted tree takes the party with columns: gradients and hessians added by bin.

The first level adds all rows; of any later one only the smaller child of each node has to be added, here 45 % of the
rows, and the larger is what is left of its parent. Sums of both are decrypted and must equal numpy's before a time is
told. Only some ciphertexts are distinct; the others repeat them in memory of their own, which costs an addition the
same. Beside it: python-paillier at its rate of additions, measured in the same run.

    python bench/histograms.py --json bench/results/histograms.json
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
from binning import python_paillier
from timing import Row, table, write_json

import cipherlane as cl
from cipherlane.vertical.grouped_sums import additions
from cipherlane.vertical.histograms import encrypt_gradients, gradient_histograms

T = TypeVar("T")
_SMALLER = 0.45


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
    smaller = np.where(rng.random(rows) < _SMALLER, 0, -1)

    def sums_of(rows_in: np.ndarray) -> np.ndarray:
        """Return numpy's sums of the rows that a mask has."""
        chosen = copies[rows_in]
        columns = [
            [np.bincount(indices[rows_in, j], v[chosen], minlength=options.bins) for v in (gradients, hessians)]
            for j in range(measured)
        ]
        return np.array(columns).transpose(0, 2, 1)

    whole, left = sums_of(np.ones(rows, dtype=bool)), sums_of(smaller == 0)
    scale = options.columns / measured
    done, plain = additions(rows, [options.bins] * measured), rows * measured
    phe_adds = python_paillier(options.bits)["add"]
    lines, results = [], {}
    for threads in options.threads:
        os.environ["CIPHERLANE_THREADS"] = str(threads)
        first, first_seconds = timed(lambda: gradient_histograms(pairs, indices, options.bins), scale)

        def next_level(parent: cl.CipherArray = first) -> tuple[cl.CipherArray, cl.CipherArray]:
            small = gradient_histograms(pairs, indices, options.bins, nodes=smaller)
            return small, parent - small

        children, next_seconds = timed(next_level, scale)
        for found, expected in zip((first, *children), (whole, left, whole - left), strict=True):
            if not np.allclose(private_key.decrypt(found)[0], expected, atol=rows * 2.0**-16):
                raise SystemExit("the sums are not numpy's")
        results[str(threads)] = {"first_level": first_seconds, "next_level": next_seconds}
        for name, seconds in (("first", first_seconds), ("next", next_seconds)):
            print(f"{threads} threads, {name} level: {seconds['wall']:.1f} s wall, {seconds['cpu']:.1f} s CPU")
        cpu = first_seconds["cpu"] / scale
        print(f"a CPU second has {done / cpu:,.0f} additions, for {plain / cpu:,.0f} cells")
        ratio = plain / cpu / (phe_adds / 2)
        lines.append(
            Row(
                f"histogram cells, {threads} threads",
                f"{rows} rows x {options.columns} columns x {options.bins} bins, {options.bits} bits, first level",
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
        facts |= {"additions": done * scale, "cells": plain * scale, "rows_in_smaller_child": int((smaller == 0).sum())}
        write_json(options.json, lines, results=results, encryption_cpu_seconds=encrypting * rows, **facts)


def timed(work: Callable[[], T], scale: float) -> tuple[T, dict[str, float]]:
    """Return what `work` returns, and its seconds times `scale`."""
    wall, cpu = time.perf_counter(), time.process_time()
    made = work()
    return made, {"wall": (time.perf_counter() - wall) * scale, "cpu": (time.process_time() - cpu) * scale}


if __name__ == "__main__":
    main()
