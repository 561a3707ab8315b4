"""Federated averaging with TenSEAL's CKKS, with the settings of NVIDIA FLARE's own filters; run by another script.

It needs tenseal and numpy alone, so that it can have an environment of its own, and prints its results as JSON.

    python bench/averaging_ckks.py WEIGHTS CLIENTS SEED
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np
import tenseal


def model(weights: int, client: int, seed: int) -> np.ndarray:
    """Return a client's weights; the same as in the script that runs this one."""
    return np.random.default_rng((seed, client)).normal(scale=0.1, size=weights).astype(np.float32)


def main(weights: int, clients: int, seed: int) -> None:
    context = tenseal.context(
        tenseal.SCHEME_TYPE.CKKS,
        poly_modulus_degree=8192,
        coeff_mod_bit_sizes=[60, 40, 40],
        encryption_type=tenseal.ENCRYPTION_TYPE.SYMMETRIC,
        n_threads=1,
    )
    context.generate_relin_keys()
    context.global_scale = 2**40
    models = [model(weights, client, seed) for client in range(clients)]
    counts = [1000 - 100 * client for client in range(clients)]
    seconds = {}
    begin = time.process_time()
    sent = [
        tenseal.ckks_vector(context, values * np.float64(n)).serialize()
        for values, n in zip(models, counts, strict=True)
    ]
    seconds["encrypt"] = (time.process_time() - begin) / clients
    begin = time.process_time()
    total = tenseal.ckks_vector_from(context, sent[0])
    for part in sent[1:]:
        total = total + tenseal.ckks_vector_from(context, part)
    total = total * (1.0 / sum(counts))
    returned = total.serialize()
    seconds["server"] = (time.process_time() - begin) / clients
    begin = time.process_time()
    average = np.array(tenseal.ckks_vector_from(context, returned).decrypt())
    seconds["decrypt"] = time.process_time() - begin
    expected = np.average([values.astype(np.float64) for values in models], axis=0, weights=counts)
    error = float(np.abs(average - expected).max())
    if error > 1e-3:
        raise SystemExit(f"CKKS: the average is wrong by {error}")
    print(
        json.dumps(
            {
                "version": tenseal.__version__,
                "cpu_seconds": seconds,
                "bytes_up": len(sent[0]),
                "bytes_down": len(returned),
                "largest_error": error,
            }
        )
    )


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:4]))
