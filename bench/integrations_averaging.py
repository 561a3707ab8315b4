"""What a round of federated averaging under encryption costs a client and the server: CPU seconds of one core, bytes.

Ours is measured on all weights. python-paillier, one weight a ciphertext, is measured on a sample and extrapolated.
With --ckks-python PYTHON (an environment with tenseal), CKKS as NVIDIA FLARE's own filters use it is measured on all
weights: another scheme under other assumptions, with approximate results. Every average is compared with numpy's
before a time is told. Encryption is randomised on every side, and what the server returns is re-randomised with
Paillier; FLARE does not do that with CKKS.

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
REPEATS = 3


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

    def medians(self) -> dict[str, float]:
        return {name: statistics.median(found) for name, found in self._seconds.items()}


def ours(private_key: cl.PrivateKey, weights: int, clients: int) -> dict[str, Any]:
    terms = AveragingTerms(parties=clients, most_weight=1000)
    public_key, counts = private_key.public_key, counts_of(clients)
    models = [model(weights, client) for client in range(clients)]
    # Tables that a key's first use makes are no part of a round.
    encrypt_weights(private_key, terms, {"w": models[0][:4000]}, 1)
    encrypt_weights(public_key, terms, {"w": models[0][:4000]}, 1)
    clock = Stopwatch()
    sent = []
    for values, n in zip(models, counts, strict=True):
        work = {"w": values}
        sent.append(clock.run("encrypt", lambda work=work, n=n: encrypt_weights(private_key, terms, work, n)))
    clock.run("encrypt with the public key", lambda: encrypt_weights(public_key, terms, {"w": models[0]}, counts[0]))
    total = EncryptedSum(public_key, terms)
    for part in sent:
        clock.run("add", lambda part=part: total.add(part))
    returned = clock.run("re-randomise", total.to_bytes)
    average = clock.run("decrypt", lambda: decrypt_average(private_key, terms, returned))
    error = np.abs(average.weights["w"] - expected_average(models))
    allowed = terms.tolerance(sum(counts), clients) + np.finfo(np.float32).eps * np.abs(average.weights["w"])
    if (error > allowed).any():
        raise SystemExit("ours: the average is wrong")
    seconds = clock.medians()
    return {
        "cpu_seconds": {**seconds, "server": seconds["add"] + seconds["re-randomise"] / clients},
        "bytes_up": len(sent[0]),
        "bytes_down": len(returned),
        "largest_error": float(error.max()),
        "weights_a_ciphertext": terms.codec.slots(public_key.bits),
        "backend": cl.paillier.current_backend(),
    }


def python_paillier(private_key: cl.PrivateKey, weights: int, clients: int, sample: int) -> dict[str, Any]:
    import phe

    public_key = phe.PaillierPublicKey(private_key.public_key.n)
    secret = phe.PaillierPrivateKey(public_key, private_key.p, private_key.q)
    counts, models = counts_of(clients), [model(sample, client) for client in range(clients)]
    clock = Stopwatch()
    for _ in range(REPEATS):
        sent = [
            clock.run("encrypt", lambda values=values, n=n: [public_key.encrypt(float(v) * n) for v in values])
            for values, n in zip(models, counts, strict=True)
        ]
        total = sent[0]
        for part in sent[1:]:
            total = clock.run("add", lambda total=total, part=part: [a + b for a, b in zip(total, part, strict=True)])
        # What hides the contributions that a ciphertext was made of.
        clock.run("re-randomise", lambda total=total: [one.ciphertext(be_secure=True) for one in total])
        average = clock.run("decrypt", lambda total=total: [secret.decrypt(one) / sum(counts) for one in total])
        if np.abs(np.array(average) - expected_average(models)).max() > 1e-12:
            raise SystemExit("python-paillier: the average is wrong")
    seconds = {name: value * weights / sample for name, value in clock.medians().items()}
    size = 2 * private_key.public_key.bits // 8 * weights
    return {
        "version": phe.__version__,
        "cpu_seconds": {**seconds, "server": seconds["add"] + seconds["re-randomise"] / clients},
        "bytes_up": size,
        "bytes_down": size,
        "extrapolated_from_weights": sample,
    }


def ckks(python: Path, weights: int, clients: int) -> dict[str, Any]:
    script = Path(__file__).with_name("averaging_ckks.py")
    words = [str(python), str(script), str(weights), str(clients), str(SEED)]
    output = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    # TenSEAL prints warnings before it.
    return dict(json.loads(output.splitlines()[-1]))


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
    parser.add_argument("--sample", type=int, default=100, help="weights that python-paillier is measured on")
    parser.add_argument("--ckks-python", type=Path, metavar="PYTHON", help="an interpreter that has tenseal")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    os.environ["CIPHERLANE_THREADS"] = "1"
    _, private_key = cl.keygen(bits=options.bits)
    results = {"Cipherlane, packed": ours(private_key, options.weights, options.clients)}
    results["python-paillier, extrapolated"] = python_paillier(
        private_key, options.weights, options.clients, options.sample
    )
    if options.ckks_python is not None:
        results["TenSEAL CKKS as in FLARE"] = ckks(options.ckks_python, options.weights, options.clients)
    print(f"{options.weights:,} float32 weights, {options.clients} clients, {options.bits}-bit keys; one core;")
    print("server: a client's share of adding and of what follows it")
    print(table(results))
    if options.json is not None:
        settings = {"weights": options.weights, "clients": options.clients, "bits": options.bits}
        document = {"environment": environment(), "settings": settings, "results": results}
        options.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
