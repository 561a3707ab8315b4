"""One EM iteration of the Gaussian mixture next to scikit-learn's, on overlapping clusters.

Both fit from the same start for the same numbers of iterations; the time of an iteration is the difference between a
long and a short fit, which leaves the start out. Results are compared before anything is timed. One thread is measured
in CPU seconds of the process, two against one in wall time.

    python bench/mixture.py --json bench/results/mixture.json
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture as Peer
from threadpoolctl import threadpool_limits
from timing import Row, environment, table, write_json

from cipherlane.mixture import GaussianMixture

SHORT, LONG = 2, 10
TARGETS = {"full": 8.0, "diag": 6.0}
TARGET_THREADS = 1.8
TARGET_MEMORY = 0.05


def clusters(rows: int, columns: int, components: int) -> np.ndarray:
    """Overlapping Gaussians, in random order, so that no fit converges within the timed iterations."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(components, columns)) * 0.5
    spreads = rng.uniform(0.5, 1.5, size=(components, columns))
    which = rng.integers(components, size=rows)
    return centres[which] + spreads[which] * rng.normal(size=(rows, columns))


def fit(make: Callable[..., Any], X: np.ndarray, iterations: int, **options: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = make(max_iter=iterations, tol=0.0, init_params="random_from_data", random_state=0, **options).fit(X)
    if model.n_iter_ != iterations:
        raise AssertionError(f"{make.__name__} ran {model.n_iter_} iterations instead of {iterations}")
    return model


def seconds(clock: Callable[[], float], make: Callable[..., Any], X: np.ndarray, **options: Any) -> float:
    times = []
    for iterations in (SHORT, LONG):
        start = clock()
        fit(make, X, iterations, **options)
        times.append(clock() - start)
    return (times[1] - times[0]) / (LONG - SHORT)


def verify(X: np.ndarray, options: dict[str, Any]) -> None:
    ours, peer = fit(GaussianMixture, X, LONG, **options), fit(Peer, X, LONG, **options)
    for name in ("weights_", "means_", "covariances_"):
        error = np.abs(getattr(ours, name) - getattr(peer, name)).max()
        if error > 1e-6:
            raise AssertionError(f"{name} differs by {error}: nothing is timed")


def compare(kind: str, X: np.ndarray, components: int, rounds: int) -> list[Row]:
    options = {"n_components": components, "covariance_type": kind}
    verify(X[:5000], options)
    verify(X, options)
    ratios, ours, peers, threads, singles, doubles = [], [], [], [], [], []
    for _ in range(rounds):
        with threadpool_limits(1):
            ours.append(seconds(time.process_time, GaussianMixture, X, threads=1, **options))
            peers.append(seconds(time.process_time, Peer, X, **options))
        ratios.append(peers[-1] / ours[-1])
        singles.append(seconds(time.perf_counter, GaussianMixture, X, threads=1, **options))
        doubles.append(seconds(time.perf_counter, GaussianMixture, X, threads=2, **options))
        threads.append(singles[-1] / doubles[-1])
    conditions = f"n={len(X)}, d={X.shape[1]}, K={components}, {kind}"
    return [
        Row(
            "EM iteration, one thread", conditions, 1 / statistics.median(ours), "scikit-learn",
            1 / statistics.median(peers), statistics.median(ratios), min(ratios), max(ratios), TARGETS[kind],
        ),
        Row(
            "EM iteration, two threads", conditions, 1 / statistics.median(doubles), "one thread",
            1 / statistics.median(singles), statistics.median(threads), min(threads), max(threads), TARGET_THREADS,
        ),
    ]  # fmt: skip


def extra_memory(kind: str, X: np.ndarray, components: int) -> float:
    """Memory that EM takes beside the data, as a share of them; the start is not part of it."""
    options = {"n_components": components, "covariance_type": kind}
    start = fit(GaussianMixture, X, 1, **options)
    given = {"weights_init": start.weights_, "means_init": start.means_, "precisions_init": start.precisions_}
    tracemalloc.start()
    fit(GaussianMixture, X, 3, **options, **given)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / X.nbytes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--columns", type=int, default=30)
    parser.add_argument("--components", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each comparison (default: 5)")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    X = clusters(arguments.rows, arguments.columns, arguments.components)
    rows: list[Row] = []
    memory = {}
    for kind in ("full", "diag"):
        rows += compare(kind, X, arguments.components, arguments.rounds)
        memory[kind] = extra_memory(kind, X, arguments.components)
    print(f"{environment()['processor']}, {os.cpu_count()} processors; rates are iterations a second")
    print(table(rows))
    for kind, share in memory.items():
        print(f"memory beside the data, {kind}: {100 * share:.2f} % (target: below {100 * TARGET_MEMORY:g} %)")
    if arguments.json:
        write_json(arguments.json, rows, extra_memory=memory)


if __name__ == "__main__":
    main()
