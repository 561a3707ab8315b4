"""Paillier on one core, next to raw gmpy2 and python-paillier in the same run.

Everything is verified before it is timed. Times are CPU seconds of this process with one thread; a ratio is the median
over rounds in which ours and the peer run one after the other.

    python bench/paillier.py --bits 2048 --json bench/results/paillier-portable.json
"""

from __future__ import annotations

import argparse
import os
import secrets
import warnings
from collections.abc import Iterator
from pathlib import Path

os.environ["CIPHERLANE_THREADS"] = "1"

import gmpy2
import numpy as np
import phe
from timing import Row, compare, environment, table, write_json

import cipherlane as cl


def verify(public_key: cl.PublicKey, private_key: cl.PrivateKey, values: np.ndarray) -> None:
    """Every operation that is about to be timed gives the right plaintexts."""
    x = public_key.encrypt(values)
    y = private_key.encrypt(values)
    expected = values.tolist()
    factors = np.arange(len(values)) - 3
    checks = {
        "encrypt": (x, expected),
        "encrypt by the key's holder": (y, expected),
        "add": (x + y, [2 * value for value in expected]),
        "subtract": (x - y, [0 for _ in expected]),
        "multiply": (x * factors, [value * int(k) for value, k in zip(expected, factors, strict=True)]),
        "sum": (x.sum(), sum(expected)),
        "to_bytes": (cl.CipherArray.from_bytes(public_key, x.to_bytes()), expected),
    }
    for name, (result, want) in checks.items():
        if private_key.decrypt(result).tolist() != want:
            raise AssertionError(f"{name}: wrong result, nothing is timed")


def rows_for(bits: int, scale: float, rounds: int) -> Iterator[Row]:
    """All operations at one key size; ``scale`` stretches the batches."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # 1024 bits are measured, not recommended
        public_key, private_key = cl.keygen(bits)
        classic_key = cl.PublicKey(public_key.n)
    peer_public = phe.PaillierPublicKey(public_key.n)
    peer_private = phe.PaillierPrivateKey(peer_public, private_key.p, private_key.q)
    n = gmpy2.mpz(public_key.n)
    square = n * n

    def count(base: int) -> int:
        return max(8, int(base * scale * (2048 / bits) ** 3))

    small, medium, large = count(40), count(400), count(4000)
    rng = np.random.default_rng(1)
    values = rng.integers(-(2**31), 2**31, large)
    verify(public_key, private_key, values[:64])

    obfuscators = [gmpy2.mpz(secrets.randbelow(public_key.n - 1) + 1) for _ in range(small)]
    plaintexts = [gmpy2.mpz(int(value) % public_key.n) for value in values[:large]]

    def peer_encrypt() -> list[gmpy2.mpz]:
        return [
            (1 + m * n) * gmpy2.powmod(r, n, square) % square for m, r in zip(plaintexts, obfuscators, strict=False)
        ]

    alpha = f"{bits} bits, DJN, alpha of {bits // 2} bits"
    powm = "gmpy2 (1+mn) r^n"
    for _ in range(4):
        public_key.encrypt(values[:large])  # until the fixed-base table has reached its size
        private_key.encrypt(values[:medium])
        private_key.encrypt(values[:medium], noise="exact")
    yield compare(
        "encrypt", alpha, lambda: public_key.encrypt(values[:medium]), medium, powm, peer_encrypt, small,
        rounds=rounds, target=20,
    )  # fmt: skip
    yield compare(
        "encrypt, key's holder", alpha, lambda: private_key.encrypt(values[:medium]), medium, powm, peer_encrypt,
        small, rounds=rounds,
    )  # fmt: skip
    yield compare(
        "encrypt, key's holder", f"{bits} bits, exact classic noise",
        lambda: private_key.encrypt(values[:medium], noise="exact"), medium, powm, peer_encrypt, small, rounds=rounds,
    )  # fmt: skip
    yield compare(
        "encrypt", f"{bits} bits, classic r^n", lambda: classic_key.encrypt(values[:small]), small, powm,
        peer_encrypt, small, rounds=rounds,
    )  # fmt: skip

    x = public_key.encrypt(values[:large])
    y = public_key.encrypt(values[:large])
    a = [gmpy2.mpz(c) for c in cl.paillier.hazmat.to_integers(x)]
    b = [gmpy2.mpz(c) for c in cl.paillier.hazmat.to_integers(y)]
    yield compare(
        "add", f"{bits} bits", lambda: x + y, large, "gmpy2 a*b % nn",
        lambda: [c * d % square for c, d in zip(a, b, strict=True)], large, rounds=rounds, target=1.2,
    )  # fmt: skip
    x_part, y_part = x[:medium], y[:medium]
    yield compare(
        "subtract", f"{bits} bits", lambda: x_part - y_part, medium, "gmpy2 a*invert(b) % nn",
        lambda: [c * gmpy2.invert(d, square) % square for c, d in zip(a[:medium], b, strict=False)], medium,
        rounds=rounds,
    )  # fmt: skip
    factors = rng.integers(2**62, 2**63 - 1, medium)
    exponents = [int(factor) for factor in factors]
    yield compare(
        "multiply", f"{bits} bits, 63-bit integers", lambda: x_part * factors, medium, "gmpy2 powmod",
        lambda: [gmpy2.powmod(c, k, square) for c, k in zip(a, exponents, strict=False)], medium, rounds=rounds,
    )  # fmt: skip

    def peer_sum() -> gmpy2.mpz:
        total = gmpy2.mpz(1)
        for c in a:
            total = total * c % square
        return total

    yield compare("sum", f"{bits} bits", lambda: x.sum(), large, "gmpy2 a*b % nn", peer_sum, large, rounds=rounds)
    x_small = x[: 2 * small]
    yield compare(
        "decrypt", f"{bits} bits, CRT", lambda: private_key.decrypt(x_small), 2 * small, "python-paillier, CRT",
        lambda: [peer_private.raw_decrypt(int(c)) for c in a[: 2 * small]], 2 * small, rounds=rounds, target=1.2,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bits", type=int, nargs="+", default=[2048], help="key sizes (default: 2048)")
    parser.add_argument("--backend", default=None, help="backend (default: the best usable one)")
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each comparison (default: 7)")
    parser.add_argument("--scale", type=float, default=1.0, help="stretch all batches by this (default: 1)")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    backend = arguments.backend or cl.backends()[0]
    rows: list[Row] = []
    with cl.use_backend(backend):
        for bits in arguments.bits:
            rows.extend(rows_for(bits, arguments.scale, arguments.rounds))
    print(f"backend {backend}, one core, {environment()['processor']}, gmpy2 {gmpy2.version()} ({gmpy2.mp_version()})")
    print(table(rows))
    if arguments.json:
        write_json(arguments.json, rows, backend=backend, gmp=gmpy2.mp_version(), phe=phe.__version__)


if __name__ == "__main__":
    main()
