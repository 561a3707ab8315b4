"""The arbiter: holds the private key, sees sums over parties only, and runs the E-step."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cipherlane.errors import ProtocolError
from cipherlane.federation.arbiter_key import arbiter_keys
from cipherlane.federation.models import PartyModel, save_models
from cipherlane.federation.plan import ArbiterPlan
from cipherlane.federation.responder import Responder
from cipherlane.federation.sealed_state import seal_round_state, unseal_round_state
from cipherlane.paillier import PrivateKey, PublicKey
from cipherlane.vertical.exchange import (
    encoding_of,
    needed,
    open_responsibilities,
    read_ciphertexts,
    seal_responsibilities,
)
from cipherlane.vertical.messages import ARBITER, box_context, pack, unpack_sealed
from cipherlane.vertical.mixture_arbiter import RoundState, first_state, next_state
from cipherlane.vertical.mixture_party import PartyParameters
from cipherlane.vertical.score_encoding import parameter_encoding
from cipherlane.vertical.sealed_files import SealedStore
from cipherlane.vertical.sealing import BoxKey
from cipherlane.vertical.tables import Preprocessing
from cipherlane.vertical.wire import Message


class Arbiter(Responder):
    """The holder of the private key, which never leaves it and is kept in memory only, unless its own file holds it.

    Parameters
    ----------
    store
        Its sealed directory, for checkpoints; None where nothing is to be kept (scoring).
    joint_model
        Where to write the joint model, if the parties send their parameters.
    key
        Where its own key pair lies; None makes one for the run.
    """

    def __init__(
        self, store: SealedStore | None = None, joint_model: Path | None = None, key: ArbiterPlan | None = None
    ) -> None:
        super().__init__(ARBITER, ARBITER)
        self._store = store
        self._joint_file = joint_model
        self._own_key = key
        self._joint: list[PartyModel] = []
        self._box = BoxKey()
        self._task: Message | None = None
        self._keys: tuple[PublicKey, PrivateKey] | None = None
        self._state: RoundState | None = None
        self._used_weights: NDArray[np.float64] | None = None
        self.handlers = {
            "arbiter_task": self._on_task,
            "start": self._on_start,
            "score_sums": self._on_score_sums,
            "joint_parameters": self._on_joint_parameters,
            "checkpoint": self._on_checkpoint,
            "restore": self._on_restore,
            "finish": self._on_finish,
        }

    def _on_task(self, message: Message) -> bytes:
        self._task = message
        self._keys = arbiter_keys(message["key_bits"], message["scheme"], self._own_key)
        return pack(
            "public_key",
            message.round,
            public_key=self._keys[0].to_json(),
            box_key=self._box.public,
            clock=time.time(),
        )

    def _on_start(self, message: Message) -> bytes:
        task = needed(self._task, "responsibilities come before the task")
        shape = (task["rows"], task["components"])
        decimals = task["decimals"]
        first = open_responsibilities(message["sealed"], self._box, self.name, message.round, shape, decimals)
        self._state = first_state(first)
        return pack("weights", message.round, weights=self._state.weights, counts=self._state.counts)

    def _on_score_sums(self, message: Message) -> bytes:
        task = needed(self._task, "sums come before the task")
        starting = time.perf_counter()
        sums = self._decrypted_sums(message["ciphertexts"], task)
        decrypted = time.perf_counter()
        state = self._state_before(message["weights"], task)
        self._used_weights = state.weights
        self._state = next_state(state, sums, decimals=task["decimals"], tolerance=task["tolerance"])
        return self._responsibilities_reply(
            message,
            message["receivers"],
            decrypt_seconds=decrypted - starting,
            e_step_seconds=time.perf_counter() - decrypted,
        )

    def _decrypted_sums(self, data: bytes, task: Message) -> NDArray[np.float64]:
        public_key, private_key = needed(self._keys, "sums come before the key")
        values = task["rows"] * (task["components"] - 1) + 1
        array = read_ciphertexts(public_key, data, values, encoding_of(task), ARBITER)
        return np.asarray(private_key.decrypt(array), dtype=np.float64)

    def _state_before(self, weights: NDArray[np.float64] | None, task: Message) -> RoundState:
        if weights is None:
            return needed(self._state, "sums come before initial responsibilities")
        # Scoring: a trained model's weights stand in for those of a round before.
        if weights.shape != (task["components"],) or (weights <= 0).any():
            raise ProtocolError(f"weights: expected {task['components']} positive numbers")
        uniform = np.full((task["rows"], task["components"]), 1.0 / task["components"])
        return RoundState(uniform, weights, uniform.sum(axis=0))

    def _responsibilities_reply(
        self, message: Message, receivers: list[str], *, decrypt_seconds: float, e_step_seconds: float
    ) -> bytes:
        task = needed(self._task, "responsibilities are asked for before the task")
        state = needed(self._state, "responsibilities are asked for before a round")
        box_keys = task["box_keys"]
        unknown = sorted(set(receivers) - set(box_keys))
        if unknown:
            raise ProtocolError(f"receivers: expected some of {sorted(box_keys)}, got {unknown}")
        return pack(
            "responsibilities",
            message.round,
            sealed=seal_responsibilities(
                state.responsibilities,
                task["decimals"],
                message.round,
                {name: box_keys[name] for name in receivers},
            ),
            weights=state.weights,
            counts=state.counts,
            log_likelihood=needed(state.log_likelihood, "no round has been computed"),
            change=state.change,
            converged=state.converged,
            decrypt_seconds=decrypt_seconds,
            e_step_seconds=e_step_seconds,
        )

    def _on_joint_parameters(self, message: Message) -> bytes:
        task = needed(self._task, "parameters come before the task")
        public_key, private_key = needed(self._keys, "parameters come before the key")
        encoding = parameter_encoding(task["packing"])
        components, kind = task["components"], task["covariance_type"]
        weights = message["weights"]
        joint: list[PartyModel] = []
        for party, width in message["columns"].items():
            context = box_context("column_names", message.round, f"{ARBITER}/{party}")
            names = unpack_sealed(self._box.open(message["names"][party], context), "column_names")
            if len(names["columns"]) != width:
                raise ProtocolError(f"party {party!r}: expected {width} column names")
            triangle = width * (width + 1) // 2 if kind == "full" else width
            count = components * (width + triangle)
            data = message["ciphertexts"][party]
            array = read_ciphertexts(public_key, data, count + 3 * width, encoding, party)
            vector = np.asarray(private_key.decrypt(array), dtype=np.float64)
            centre, scale, fill = vector[count:].reshape(3, width)
            joint.append(
                PartyModel(
                    party,
                    names["id_column"],
                    PartyParameters.from_vector(vector[:count], components, width, kind),
                    Preprocessing(tuple(names["columns"]), centre, scale, fill, names["imputation"]),
                    weights,
                )
            )
        self._joint = joint
        return self._noted(message)

    def _on_checkpoint(self, message: Message) -> bytes:
        store = needed(self._store, "a checkpoint without a directory to keep it in")
        state = needed(self._state, "a checkpoint before a round")
        weights = needed(self._used_weights, "a checkpoint before a round")
        seal_round_state(store, message.round, state, weights)
        return self._noted(message)

    def _on_restore(self, message: Message) -> bytes:
        store = needed(self._store, "a checkpoint is asked for, and there is no directory with one")
        task = needed(self._task, "a checkpoint is asked for before the task")
        self._state, self._used_weights = unseal_round_state(store, message.round)
        expected = (task["rows"], task["components"])
        if self._state.responsibilities.shape != expected:
            raise ProtocolError("checkpoint: it is of another table or plan; start the run anew")
        return self._responsibilities_reply(message, sorted(task["box_keys"]), decrypt_seconds=0.0, e_step_seconds=0.0)

    def _on_finish(self, message: Message) -> bytes:
        digest = None
        if self._joint_file is not None and self._joint:
            digest = save_models(self._joint_file, self._joint)
        return pack("finished", message.round, rows=self._rows(), model_sha256=digest)

    def _noted(self, message: Message) -> bytes:
        return pack("noted", message.round, rows=self._rows())

    def _rows(self) -> int:
        rows: int = needed(self._task, "no task yet")["rows"]
        return rows
