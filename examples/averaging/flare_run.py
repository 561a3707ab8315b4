"""Federated averaging under encryption in NVIDIA FLARE's simulator, beside the same averaging in the clear.

    python examples/averaging/flare_run.py [DIRECTORY]

The key pair and FLARE's workspace are left in the directory. In a real federation each client has the private key's
file in its own kit and the server only the public one; docs/integrations/nvflare.md says how they come there.
"""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
from pathlib import Path

import numpy as np
from flare_trainer import ClinicTrainer
from nvflare.job_config.api import FedJob

import cipherlane as cl
from cipherlane.integrations.averaging import Average, AveragingTerms, decrypt_average
from cipherlane.integrations.nvflare.job import add_encrypted_averaging
from cipherlane.integrations.nvflare.persistor import AVERAGE_FILE
from cipherlane.integrations.nvflare.site_keys import private_key_file, public_key_file

from local_training import CLINICS, accuracy, plain_average

ROUNDS = 3
TERMS = AveragingTerms(parties=CLINICS, most_weight=1000)


def simulate(directory: Path, private_key: cl.PrivateKey, rounds: int = ROUNDS) -> Average:
    """Run the job below a directory, and return the last average, decrypted."""
    password = secrets.token_urlsafe(16)
    private_key_file(directory).write_text(private_key.to_pem(password), encoding="utf-8")
    public_key_file(directory).write_text(private_key.public_key.to_json(), encoding="utf-8")
    os.environ |= {"CIPHERLANE_SITE_DIR": str(directory), "CIPHERLANE_PASSWORD": password}

    job = FedJob(name="encrypted", min_clients=CLINICS)
    add_encrypted_averaging(job, TERMS, rounds=rounds)
    job.to_clients(ClinicTrainer(), tasks=["train"])
    job.simulator_run(str(directory / "workspace"), n_clients=CLINICS, log_config="concise")

    (kept,) = (directory / "workspace" / "server").rglob(AVERAGE_FILE)
    return decrypt_average(private_key, TERMS, kept.read_bytes())


def main(directory: Path) -> None:
    _, private_key = cl.keygen(bits=2048)
    average = simulate(directory, private_key)
    plain = plain_average(ROUNDS)
    apart = max(float(np.abs(average.weights[name] - plain[name]).max()) for name in plain)
    print(f"{average.parties} clients, {average.total_weight} rows, {ROUNDS} rounds")
    print(f"accuracy {accuracy(average.weights):.4f} encrypted, {accuracy(plain):.4f} in the clear")
    print(f"largest difference of a weight: {apart:.1e}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as name:
            main(Path(name))
