"""Whether time tells a secret: Welch's t between two classes of inputs, as in dudect.

For decryption and for encryption by the key's holder, two classes are timed in random order on one thread: one fixed
input over and over, and random ones; first inputs are ciphertexts or plaintexts, then whole keys of one length. Of each
class the slowest tenth is left out, which is where the rest of the machine interferes. |t| above 4.5 calls for a closer
look, and below it nothing was found with this many measurements. The machine must be quiet, and this is no proof: what
proves something is tests/native/test_constant_time.py. The control shows what the machine adds by itself.

O. Reparaz, J. Balasch, I. Verbauwhede, "Dude, is my code constant time?", DATE 2017.
"""

from __future__ import annotations

import argparse
import random
import time
import warnings
from collections.abc import Callable

import numpy as np

import cipherlane as cl
from cipherlane import _native

THRESHOLD = 4.5
KEPT = 0.9
ZEROS = np.zeros(8, dtype=np.int64)  # a group of lanes


def welch_t(a: np.ndarray, b: np.ndarray) -> float:
    """Return the difference of means in standard errors."""
    return float((a.mean() - b.mean()) / np.sqrt(a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b)))


def measure(fixed: list[Callable[[], object]], various: list[Callable[[], object]], count: int) -> float:
    """Return t for ``count`` calls of either class, each class spread over as many objects."""
    source = random.Random(1)
    times: tuple[list[int], list[int]] = ([], [])
    for run in [*fixed, *various]:
        run()
    for _ in range(2 * count):
        which = source.randrange(2)
        run = source.choice((fixed, various)[which])
        start = time.thread_time_ns()
        run()
        times[which].append(time.thread_time_ns() - start)
    a, b = (np.sort(np.array(part, dtype=np.float64))[: int(KEPT * len(part))] for part in times)
    return welch_t(a, b)


def keys_of_one_length(bits: int, count: int) -> tuple[list[cl.PrivateKey], list[cl.PrivateKey]]:
    """Return the same key several times, each with memory of its own, and as many different ones."""
    first = cl.keygen(bits)[1]
    pairs = [
        (cl.PrivateKey(first.p, first.q, h_s=first.public_key.h_s, generators=first.generators), cl.keygen(bits)[1])
        for _ in range(count)
    ]
    return [same for same, _ in pairs], [other for _, other in pairs]


def comparisons(bits: int, objects: int) -> dict[str, tuple[list[Callable[[], object]], list[Callable[[], object]]]]:
    """Return the pairs of classes by name."""
    same, different = keys_of_one_length(bits, objects)
    key = same[0]
    source = np.random.default_rng(1)
    plain = [source.integers(-(2**62), 2**62, 8) for _ in range(objects)]
    fixed_arrays = [key.public_key.encrypt(plain[0])] * objects
    arrays = [key.public_key.encrypt(values) for values in plain]

    def decrypt(k: cl.PrivateKey, x: cl.CipherArray) -> Callable[[], object]:
        context, batch = k._context(x._backend()), x._batch(x._backend())
        return lambda: context.decrypt(batch)

    def encrypt(k: cl.PrivateKey, noise: str) -> Callable[[], object]:
        return lambda: k.encrypt(ZEROS, noise=noise)

    found = {
        "decrypt: one ciphertext or many": (
            [decrypt(key, x) for x in fixed_arrays],
            [decrypt(key, x) for x in arrays],
        ),
        # Nothing differs here but where the objects lie in memory: what the machine itself contributes.
        "control: decrypt, one key in both classes": tuple(
            [decrypt(k, k.public_key.encrypt(ZEROS)) for k in keys]
            for keys in (
                same,
                [
                    cl.PrivateKey(key.p, key.q, h_s=key.public_key.h_s, generators=key.generators)
                    for _ in range(objects)
                ],
            )
        ),
        "decrypt: one key or many": tuple(
            [decrypt(k, k.public_key.encrypt(ZEROS)) for k in keys] for keys in (same, different)
        ),
    }
    for noise in ("djn", "exact", "classic"):
        found[f"encrypt by the holder, {noise}: one key or many"] = tuple(
            [encrypt(k, noise) for k in keys] for keys in (same, different)
        )
    return found  # type: ignore[return-value]


def main() -> None:
    """Print t for every comparison on every backend."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--bits", type=int, default=1024)
    arguments.add_argument("--count", type=int, default=2000, help="measurements a class")
    arguments.add_argument("--objects", type=int, default=8, help="keys or ciphertexts a class")
    arguments.add_argument("--backend", choices=cl.backends(), help="default: all")
    given = arguments.parse_args()
    warnings.simplefilter("ignore", cl.paillier.WeakKeyWarning)
    _native.set_thread_count(1)
    for backend in [given.backend] if given.backend else cl.backends():
        with cl.use_backend(backend):
            for name, (fixed, various) in comparisons(given.bits, given.objects).items():
                t = measure(fixed, various, given.count)
                verdict = "look closer" if abs(t) > THRESHOLD else "nothing found"
                print(f"{backend:9} {name:52} t = {t:+7.2f}  {verdict}", flush=True)


if __name__ == "__main__":
    main()
