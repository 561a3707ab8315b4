"""Threads that share passes: what they cover, in which order, and what happens when one fails or is held up."""

from __future__ import annotations

import itertools
import threading
import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from cipherlane.mixture import GaussianMixture
from cipherlane.mixture.threads import LEAST_SAMPLES, Workers


@pytest.mark.parametrize("threads", [1, 2, 3, 16])
@pytest.mark.parametrize("samples", [0, 1, LEAST_SAMPLES, 2 * LEAST_SAMPLES - 1, 2 * LEAST_SAMPLES, 100_003])
def test_ranges_cover_the_samples_in_order(threads: int, samples: int) -> None:
    with Workers(threads) as workers:
        for _ in range(3):
            ranges = workers.run(lambda start, stop: (start, stop), samples)
            assert (ranges[0][0], ranges[-1][1]) == (0, samples)
            assert all(one[1] == other[0] for one, other in itertools.pairwise(ranges))
            assert len(ranges) == 1 or all(stop - start >= LEAST_SAMPLES for start, stop in ranges)
            assert threads > 1 or len(ranges) == 1


def test_passes_run_on_the_same_few_threads() -> None:
    seen: set[int] = set()
    before = threading.active_count()
    with Workers(3) as workers:
        for _ in range(20):
            workers.run(lambda start, stop: seen.add(threading.get_ident()), 100_000)
        assert threading.active_count() <= before + 2
    assert len(seen) <= 3
    assert threading.active_count() <= before


@pytest.mark.parametrize("failing", [0, 60_000])
def test_an_error_in_any_part_is_raised(failing: int) -> None:
    def work(start: int, stop: int) -> None:
        if start <= failing < stop:
            raise ArithmeticError("planted")

    with Workers(2) as workers:
        with pytest.raises(ArithmeticError, match="planted"):
            workers.run(work, 100_000)
        assert len(workers.run(lambda start, stop: None, 100_000)) > 1


def test_a_thread_that_is_held_up_leaves_its_parts_to_the_others() -> None:
    caller = threading.get_ident()
    done: list[int] = []
    others_done = threading.Event()

    def work(start: int, stop: int) -> bool:
        if threading.get_ident() != caller:
            assert others_done.wait(60)
            return False
        done.append(start)
        if len(done) == 7:
            others_done.set()
        return True

    with Workers(2) as workers:
        by_caller = workers.run(work, 100_000)
    assert len(by_caller) == 8
    assert sum(by_caller) >= 7


@pytest.mark.parametrize("kind", ["full", "diag"])
def test_a_fit_on_several_threads_gives_the_same_bits_every_time(kind: str) -> None:
    X = np.random.default_rng(0).normal(size=(50_000, 4))
    fits = []
    for _ in range(5):
        model = GaussianMixture(
            3, covariance_type=kind, init_params="random_from_data", random_state=0, max_iter=5, tol=0, threads=2
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            fits.append(model.fit(X).covariances_)
    for other in fits[1:]:
        np.testing.assert_array_equal(other, fits[0])
