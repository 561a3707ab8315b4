"""No randomness repeats between threads, calls and forks, and a fork never inherits a lock that is held."""

from __future__ import annotations

import concurrent.futures
import os
import signal
import threading

import numpy as np
import pytest

import cipherlane as cl

THREADS = 32
ZEROS = np.zeros(5)


def makers(private_key):
    public_key = private_key.public_key
    fixed = public_key.encrypt(ZEROS)
    return {
        "public": lambda: public_key.encrypt(ZEROS),
        "holder-djn": lambda: private_key.encrypt(ZEROS, noise="djn"),
        "holder-exact": lambda: private_key.encrypt(ZEROS, noise="exact"),
        "holder-classic": lambda: private_key.encrypt(ZEROS, noise="classic"),
        "rerandomise": fixed.rerandomize,
        "holder-rerandomise": lambda: private_key.rerandomize(fixed),
    }


NAMES = ["public", "holder-djn", "holder-exact", "holder-classic", "rerandomise", "holder-rerandomise"]


def ciphertexts(array: cl.CipherArray) -> list[int]:
    width = (2 * array.public_key.bits + 7) // 8
    payload = array.to_bytes(rerandomize=False)[-32 - width * array.ciphertext_count : -32]
    return [int.from_bytes(payload[i : i + width], "big") for i in range(0, len(payload), width)]


@pytest.mark.parametrize("name", NAMES)
def test_32_threads_make_different_ciphertexts(private_key, backend, name):
    make = makers(private_key)[name]
    start = threading.Barrier(THREADS)

    def work(_: int) -> list[int]:
        start.wait()
        return [c for _ in range(3) for c in ciphertexts(make())]

    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        seen = [c for part in pool.map(work, range(THREADS)) for c in part]
    assert len(set(seen)) == len(seen) == THREADS * 3 * len(ZEROS)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("name", NAMES)
def test_children_forked_amid_threads_make_different_ciphertexts(private_key, backend, name):
    make = makers(private_key)[name]
    stop = threading.Event()

    def encrypt_until_told() -> None:
        while not stop.is_set():
            make()

    threads = [threading.Thread(target=encrypt_until_told) for _ in range(4)]
    for thread in threads:
        thread.start()
    reader, writer = os.pipe()
    children, seen = [], []
    try:
        for _ in range(6):
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    signal.alarm(60)  # a child that waits for a lock for ever dies of it
                    for c in ciphertexts(make()):
                        os.write(writer, c.to_bytes(512, "big"))
                    status = 0
                finally:
                    os._exit(status)
            children.append(child)
            seen += ciphertexts(make())
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        statuses = [os.waitpid(child, 0)[1] for child in children]
        os.close(writer)
    assert statuses == [0] * len(children)
    with os.fdopen(reader, "rb") as stream:
        data = stream.read()
    seen += [int.from_bytes(data[i : i + 512], "big") for i in range(0, len(data), 512)]
    assert len(set(seen)) == len(seen) == 2 * len(children) * len(ZEROS)


def test_a_fork_amid_the_making_of_tables_leaves_no_lock_behind(private_key, backend):
    # Fresh keys: each thread is making tables, under their locks, when the process forks.
    def grow() -> None:
        key = cl.PublicKey(private_key.public_key.n, private_key.public_key.h_s)
        for count in (1, 40, 400):
            key.encrypt(np.zeros(count))

    shared = cl.PublicKey(private_key.public_key.n, private_key.public_key.h_s)
    for _ in range(5):
        threads = [threading.Thread(target=grow) for _ in range(2)]
        threads.append(threading.Thread(target=lambda: shared.encrypt(np.zeros(300))))
        for thread in threads:
            thread.start()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                signal.alarm(60)
                shared.encrypt(ZEROS)
                status = 0
            finally:
                os._exit(status)
        for thread in threads:
            thread.join()
        assert os.waitpid(child, 0)[1] == 0
