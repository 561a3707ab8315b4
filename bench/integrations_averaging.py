"""What a round of federated averaging under encryption costs a client and the server: CPU seconds of one core, bytes.

Ours is measured on all weights. python-paillier, one weight a ciphertext, is measured on a sample and extrapolated.
With --ckks-python PYTHON (an environment with tenseal), CKKS as NVIDIA FLARE's own filters use it is measured on all
weights: another scheme under other assumptions, with approximate results. Every average is compared with numpy's
before a time is told. Rounds of all sides take turns, and a figure is the median of its rounds. Encryption is
randomised on every side, and what the server returns is re-randomised with Paillier; FLARE does not do that with CKKS.

    python bench/integrations_averaging.py --ckks-python ENVIRONMENT/bin/python --json bench/results/averaging.json
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from timing import environment

import cipherlane as cl
from cipherlane.benchmark.clock import timed
from cipherlane.integrations.averaging import AveragingTerms, EncryptedSum, decrypt_average, encrypt_weights

SEED = 7


def model(weights: int, client: int) -> np.ndarray:
    """Return a client's weights; the same as in averaging_ckks.py."""
    return np.random.default_rng((SEED, client)).normal(scale=0.1, size=weights).astype(np.float32)


def counts_of(clients: int) -> list[int]:
    return [1000 - 100 * client for client in range(clients)]


def expected_average(models: list[np.ndarray]) -> np.ndarray:
    return np.average([one.astype(np.float64) for one in models], axis=0, weights=counts_of(len(models)))


class Stopwatch:
    """CPU seconds by name: the median of the calls that were made under it."""

    def __init__(self) -> None:
        self._seconds: dict[str, list[float]] = {}

    def run(self, name: str, work: Any) -> Any:
        result: list[Any] = []
        self._seconds.setdefault(name, []).append(timed(lambda: result.append(work())).cpu)
        return result[0]

    def medians(self, clients: int) -> dict[str, float]:
        found = {name: statistics.median(seconds) for name, seconds in self._seconds.items()}
        return {**found, "server": found["add"] + found["re-randomise"] / clients}


class Ours:
    """Rounds with this package, all weights."""

    def __init__(self, private_key: cl.PrivateKey, weights: int, clients: int) -> None:
        self._key, self._counts = private_key, counts_of(clients)
        self._terms = AveragingTerms(parties=clients, most_weight=1000)
        self._models = [model(weights, client) for client in range(clients)]
        self._clock = Stopwatch()
        self._facts: dict[str, Any] = {}
        # Tables that a key's first use makes are no part of a round.
        for key in (private_key, private_key.public_key):
            encrypt_weights(key, self._terms, {"w": self._models[0][:4000]}, 1)

    def round(self) -> None:
        key, terms, counts, run = self._key, self._terms, self._counts, self._clock.run
        sent = []
        for values, n in zip(self._models, counts, strict=True):
            work = {"w": values}
            sent.append(run("encrypt", lambda work=work, n=n: encrypt_weights(key, terms, work, n)))
        first = {"w": self._models[0]}
        run("encrypt with the public key", lambda: encrypt_weights(key.public_key, terms, first, counts[0]))
        total = EncryptedSum(key.public_key, terms)
        for part in sent:
            run("add", lambda part=part: total.add(part))
        returned = run("re-randomise", total.to_bytes)
        average = run("decrypt", lambda: decrypt_average(key, terms, returned))
        error = np.abs(average.weights["w"] - expected_average(self._models))
        allowed = terms.tolerance(sum(counts), len(counts)) + np.finfo(np.float32).eps * np.abs(average.weights["w"])
        if (error > allowed).any():
            raise SystemExit("ours: the average is wrong")
        self._facts = {"bytes_up": len(sent[0]), "bytes_down": len(returned), "largest_error": float(error.max())}

    def figures(self) -> dict[str, Any]:
        return {
            "cpu_seconds": self._clock.medians(len(self._counts)),
            **self._facts,
            "weights_a_ciphertext": self._terms.codec.slots(self._key.public_key.bits),
            "backend": cl.paillier.current_backend(),
        }


class PythonPaillier:
    """Rounds with python-paillier on a sample of the weights."""

    def __init__(self, private_key: cl.PrivateKey, weights: int, clients: int, sample: int) -> None:
        import phe

        self._public = phe.PaillierPublicKey(private_key.public_key.n)
        self._secret = phe.PaillierPrivateKey(self._public, private_key.p, private_key.q)
        self._counts, self._weights, self._sample = counts_of(clients), weights, sample
        self._models = [model(sample, client) for client in range(clients)]
        self._clock, self._version = Stopwatch(), phe.__version__
        self._bytes = 2 * private_key.public_key.bits // 8 * weights

    def round(self) -> None:
        public, secret, counts, run = self._public, self._secret, self._counts, self._clock.run
        sent = [
            run("encrypt", lambda values=values, n=n: [public.encrypt(float(v) * n) for v in values])
            for values, n in zip(self._models, counts, strict=True)
        ]
        total = sent[0]
        for part in sent[1:]:
            total = run("add", lambda total=total, part=part: [a + b for a, b in zip(total, part, strict=True)])
        # What hides the contributions that a ciphertext was made of.
        run("re-randomise", lambda: [one.ciphertext(be_secure=True) for one in total])
        average = run("decrypt", lambda: [secret.decrypt(one) / sum(counts) for one in total])
        if np.abs(np.array(average) - expected_average(self._models)).max() > 1e-12:
            raise SystemExit("python-paillier: the average is wrong")

    def figures(self) -> dict[str, Any]:
        medians = self._clock.medians(len(self._counts))
        return {
            "version": self._version,
            "cpu_seconds": {name: value * self._weights / self._sample for name, value in medians.items()},
            "bytes_up": self._bytes,
            "bytes_down": self._bytes,
            "extrapolated_from_weights": self._sample,
        }


class Ckks:
    """Rounds with TenSEAL, each in a process of the environment that has it."""

    def __init__(self, python: Path, weights: int, clients: int) -> None:
        script = Path(__file__).with_name("averaging_ckks.py")
        self._words = [str(python), str(script), str(weights), str(clients), str(SEED)]
        self._rounds: list[dict[str, Any]] = []

    def round(self) -> None:
        output = subprocess.run(self._words, check=True, capture_output=True, text=True).stdout
        # TenSEAL prints warnings before it.
        self._rounds.append(json.loads(output.splitlines()[-1]))

    def figures(self) -> dict[str, Any]:
        times = [one["cpu_seconds"] for one in self._rounds]
        medians = {name: statistics.median(one[name] for one in times) for name in times[0]}
        return {**self._rounds[-1], "cpu_seconds": medians}


def table(results: dict[str, dict[str, Any]]) -> str:
    lines = [f"{'':<34}{'encrypt s':>12}{'server s':>12}{'decrypt s':>12}{'MB up':>10}{'MB down':>10}"]
    for name, found in results.items():
        seconds = found["cpu_seconds"]
        times = "".join(f"{seconds[part]:>12,.2f}" for part in ("encrypt", "server", "decrypt"))
        lines.append(f"{name:<34}{times}{found['bytes_up'] / 1e6:>10,.1f}{found['bytes_down'] / 1e6:>10,.1f}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=int, default=1_000_000)
    parser.add_argument("--clients", type=int, default=3)
    parser.add_argument("--bits", type=int, default=2048)
    parser.add_argument("--sample", type=int, default=50, help="weights that python-paillier is measured on")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ckks-python", type=Path, metavar="PYTHON", help="an interpreter that has tenseal")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    os.environ["CIPHERLANE_THREADS"] = "1"
    _, private_key = cl.keygen(bits=options.bits)
    sides: dict[str, Ours | PythonPaillier | Ckks] = {
        "Cipherlane, packed": Ours(private_key, options.weights, options.clients),
        "python-paillier, extrapolated": PythonPaillier(private_key, options.weights, options.clients, options.sample),
    }
    if options.ckks_python is not None:
        sides["TenSEAL CKKS as in FLARE"] = Ckks(options.ckks_python, options.weights, options.clients)
    for _ in range(options.rounds):
        for side in sides.values():
            side.round()
    results = {name: side.figures() for name, side in sides.items()}
    print(f"{options.weights:,} float32 weights, {options.clients} clients, {options.bits}-bit keys; one core;")
    print("server: a client's share of adding and of what follows it")
    print(table(results))
    if options.json is not None:
        settings = {
            "weights": options.weights,
            "clients": options.clients,
            "bits": options.bits,
            "rounds": options.rounds,
        }
        document = {"environment": environment(), "settings": settings, "results": results}
        options.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
