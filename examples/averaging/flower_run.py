"""Federated averaging under encryption in Flower's simulation engine, beside the same averaging in the clear.

    python examples/averaging/flower_run.py

The server's app is given the public key alone. In a real federation each node names its own file of the private key,
`flower-supernode --node-config 'cipherlane-key-file="..."'`; docs/integrations/flower.md says how it comes there.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.simulation import run_simulation

import cipherlane as cl
from cipherlane.integrations.averaging import Average, AveragingTerms, decrypt_average
from cipherlane.integrations.flower.client_mod import PaillierMod
from cipherlane.integrations.flower.encrypted_arrays import ARRAYS, message_in
from cipherlane.integrations.flower.strategy import EncryptedFedAvg

from local_training import CLINICS, accuracy, initial_weights, plain_average, train

ROUNDS = 3
TERMS = AveragingTerms(parties=CLINICS, most_weight=1000)


def client_app(key_file: Path) -> ClientApp:
    """Return the clinics' app; the mod is all that it has to do with encryption."""
    app = ClientApp(mods=[PaillierMod(TERMS, key_file)])

    @app.train()
    def _train(message: Message, context: Context) -> Message:
        received = message.content[ARRAYS]
        weights, rows = train(
            {name: array.numpy() for name, array in received.items()}, int(context.node_config["partition-id"])
        )
        content = RecordDict({ARRAYS: _record(weights), "metrics": MetricRecord({"num-examples": rows})})
        return Message(content=content, reply_to=message)

    return app


def _record(weights: dict[str, np.ndarray]) -> ArrayRecord:
    return ArrayRecord({name: Array(values) for name, values in weights.items()})


def simulate(directory: Path, private_key: cl.PrivateKey, rounds: int = ROUNDS) -> Average:
    """Run the federation, its files below a directory, and return the last average, decrypted."""
    password = secrets.token_urlsafe(16)
    key_file, result_file = directory / "averaging.private.pem", directory / "average.cipherlane"
    key_file.write_text(private_key.to_pem(password), encoding="utf-8")
    os.environ["CIPHERLANE_PASSWORD"] = password
    server = ServerApp()
    public_key = cl.PublicKey.from_json(private_key.public_key.to_json())

    @server.main()
    def _serve(grid: Grid, context: Context) -> None:
        strategy = EncryptedFedAvg(public_key, TERMS, min_train_nodes=CLINICS, min_available_nodes=CLINICS)
        result = strategy.start(grid, _record(initial_weights()), num_rounds=rounds)
        result_file.write_bytes(message_in(result.arrays))

    run_simulation(server, client_app(key_file), num_supernodes=CLINICS)
    return decrypt_average(private_key, TERMS, result_file.read_bytes())


def main() -> None:
    _, private_key = cl.keygen(bits=2048)
    with tempfile.TemporaryDirectory() as directory:
        average = simulate(Path(directory), private_key)
    plain = plain_average(ROUNDS)
    apart = max(float(np.abs(average.weights[name] - plain[name]).max()) for name in plain)
    print(f"{average.parties} clients, {average.total_weight} rows, {ROUNDS} rounds")
    print(f"accuracy {accuracy(average.weights):.4f} encrypted, {accuracy(plain):.4f} in the clear")
    print(f"largest difference of a weight: {apart:.1e}")


if __name__ == "__main__":
    main()
