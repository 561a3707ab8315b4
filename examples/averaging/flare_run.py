"""Federated averaging under encryption in NVIDIA FLARE's simulator, beside the same averaging in the clear.

    python examples/averaging/flare_run.py [DIRECTORY] [--workflow recipe|FedAvg|ScatterAndGather]

The key pair and FLARE's workspace are left in the directory. In a real federation each client has the private key's
file in its own kit and the server only the public one; docs/integrations/nvflare.md says how they come there.
"""

from __future__ import annotations

import argparse
import os
import secrets
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from flare_trainer import ClinicTrainer
from nvflare.fuel.utils.constants import FrameworkType
from nvflare.job_config.api import FedJob
from nvflare.recipe.sim_env import SimEnv

import cipherlane as cl
from cipherlane.integrations.averaging import Average, AveragingTerms, decrypt_average
from cipherlane.integrations.nvflare.job import FED_AVG, SCATTER_AND_GATHER, add_encrypted_averaging
from cipherlane.integrations.nvflare.persistor import AVERAGE_FILE
from cipherlane.integrations.nvflare.recipe import EncryptedFedAvgRecipe
from cipherlane.integrations.nvflare.site_keys import private_key_file, public_key_file

from local_training import CLINICS, accuracy, plain_average

RECIPE = "recipe"
ROUNDS = 3
SCRIPT = Path(__file__).resolve().with_name("flare_script.py")
TERMS = AveragingTerms(parties=CLINICS, most_weight=1000)


def simulate(
    directory: Path,
    private_key: cl.PrivateKey,
    workflow: str,
    rounds: int = ROUNDS,
    clinics: int = CLINICS,
    **options: Any,
) -> Average:
    """Run the job below a directory, and return the last average, decrypted; options are those of the recipe or job."""
    password = secrets.token_urlsafe(16)
    private_key_file(directory).write_text(private_key.to_pem(password), encoding="utf-8")
    public_key_file(directory).write_text(private_key.public_key.to_json(), encoding="utf-8")
    os.environ |= {"CIPHERLANE_SITE_DIR": str(directory), "CIPHERLANE_PASSWORD": password}

    workspace = directory / "workspace"
    if workflow == RECIPE:
        options = {"train_script": str(SCRIPT), "framework": FrameworkType.RAW, **options}
        recipe = EncryptedFedAvgRecipe(terms=TERMS, name="encrypted", min_clients=clinics, num_rounds=rounds, **options)
        recipe.run(SimEnv(num_clients=clinics, workspace_root=str(workspace), log_config="concise"))
    else:
        job = FedJob(name="encrypted", min_clients=clinics)
        add_encrypted_averaging(job, TERMS, rounds=rounds, workflow=workflow, clients=clinics, **options)
        job.to_clients(ClinicTrainer(), tasks=["train"])
        job.simulator_run(str(workspace), n_clients=clinics, log_config="concise")

    (kept,) = workspace.rglob(AVERAGE_FILE)
    return decrypt_average(private_key, TERMS, kept.read_bytes())


def main(directory: Path, workflow: str) -> None:
    _, private_key = cl.keygen(bits=2048)
    average = simulate(directory, private_key, workflow)
    plain = plain_average(ROUNDS)
    apart = max(float(np.abs(average.weights[name] - plain[name]).max()) for name in plain)
    print(f"{average.parties} clients, {average.total_weight} rows, {ROUNDS} rounds")
    print(f"accuracy {accuracy(average.weights):.4f} encrypted, {accuracy(plain):.4f} in the clear")
    print(f"largest difference of a weight: {apart:.1e}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("directory", type=Path, nargs="?")
    parser.add_argument("--workflow", default=RECIPE, choices=[RECIPE, FED_AVG, SCATTER_AND_GATHER])
    options = parser.parse_args()
    if options.directory is not None:
        options.directory.mkdir(parents=True, exist_ok=True)
        main(options.directory, options.workflow)
    else:
        with tempfile.TemporaryDirectory() as name:
            main(Path(name), options.workflow)
