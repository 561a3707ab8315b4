"""One EM iteration of the Gaussian mixture next to scikit-learn's, on overlapping clusters.

Both fit from the same start for the same numbers of iterations; the time of an iteration is the difference between a
long and a short fit, which leaves the start out. Results are compared before anything is timed. One thread is measured
in CPU seconds of the process, two against one in wall time.

    python bench/mixture.py --json bench/results/mixture.json

With --cupy, an iteration on the device stands next to one of the compiled passes on all processors instead, in wall
time; the data are on their side before the clock starts. Without a device that ends with an error.

    python bench/mixture.py --cupy --rows 1000000
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
from cipherlane.mixture.threads import thread_count

SHORT, LONG = 2, 10
# An iteration takes a device about a thousandth of a second.
LONG_ON_DEVICE = 102
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


def seconds(
    clock: Callable[[], float], make: Callable[..., Any], X: np.ndarray, long: int = LONG, **options: Any
) -> float:
    times = []
    for iterations in (SHORT, long):
        start = clock()
        fit(make, X, iterations, **options)
        times.append(clock() - start)
    return (times[1] - times[0]) / (long - SHORT)


def verify(ours: Any, peer: Any, to_host: Callable[[Any], np.ndarray] = np.asarray) -> None:
    for name in ("weights_", "means_", "covariances_"):
        error = np.abs(to_host(getattr(ours, name)) - getattr(peer, name)).max()
        if not error <= 1e-6:
            raise AssertionError(f"{name} differs by {error}: nothing is timed")


def compare(kind: str, X: np.ndarray, components: int, rounds: int) -> list[Row]:
    options = {"n_components": components, "covariance_type": kind}
    for data in (X[:5000], X):
        verify(fit(GaussianMixture, data, LONG, **options), fit(Peer, data, LONG, **options))
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


def compare_device(
    kind: str, X: np.ndarray, components: int, rounds: int, give: Callable[[Any], Any], take: Callable[[Any], Any]
) -> Row:
    """An iteration on the device beside one of the compiled passes; `give` and `take` carry arrays there and back."""
    options = {"n_components": components, "covariance_type": kind}
    there = give(X)
    # This also makes the device compile what it will run.
    for data, data_there in ((X[:5000], there[:5000]), (X, there)):
        verify(fit(GaussianMixture, data_there, LONG, **options), fit(GaussianMixture, data, LONG, **options), take)
    device, host, ratios = [], [], []
    for _ in range(rounds):
        # Each iteration waits for the device, so the clock sees all of its work.
        device.append(seconds(time.perf_counter, GaussianMixture, there, LONG_ON_DEVICE, **options))
        host.append(seconds(time.perf_counter, GaussianMixture, X, **options))
        ratios.append(host[-1] / device[-1])
    conditions = f"n={len(X)}, d={X.shape[1]}, K={components}, {kind}"
    return Row(
        "EM iteration, CuPy", conditions, 1 / statistics.median(device), f"Numba, {thread_count()} threads",
        1 / statistics.median(host), statistics.median(ratios), min(ratios), max(ratios),
    )  # fmt: skip


def device_or_exit() -> tuple[Any, str]:
    """CuPy and the device's name, or the end of the program with what is missing."""
    try:
        import cupy
    except ImportError as error:
        raise SystemExit(f"No device: CuPy cannot be imported ({error}). Nothing was measured.") from error
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise SystemExit(f"No device: {error}. Nothing was measured.") from error
    if not count:
        raise SystemExit("No device: CuPy finds none. Nothing was measured.")
    return cupy, cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)["name"].decode()


def bench_device(arguments: argparse.Namespace) -> None:
    cupy, device = device_or_exit()
    X = clusters(arguments.rows, arguments.columns, arguments.components)
    rows = [
        compare_device(kind, X, arguments.components, arguments.rounds, cupy.asarray, cupy.asnumpy)
        for kind in ("full", "diag")
    ]
    print(f"{device} with CuPy {cupy.__version__}, beside {environment()['processor']}; rates are iterations a second")
    print(table(rows))
    for row in rows:
        print(
            f"{row.conditions}: {1e3 / row.ours_per_second:.3f} ms an iteration on the device, "
            f"{1e3 / row.peer_per_second:.3f} ms by {row.peer}"
        )
    if arguments.json:
        write_json(arguments.json, rows, device=device, cupy=cupy.__version__)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--columns", type=int, default=30)
    parser.add_argument("--components", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each comparison (default: 5)")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--cupy", action="store_true", help="compare the device with the compiled passes instead")
    arguments = parser.parse_args()
    if arguments.cupy:
        bench_device(arguments)
        return
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
