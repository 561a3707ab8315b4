"""The arbiter of a horizontal federation: sees sums over parties only, and runs the M-step."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from cipherlane.errors import ProtocolError
from cipherlane.federation.arbiter import Arbiter
from cipherlane.federation.plan import ArbiterPlan
from cipherlane.federation.sealed_state import seal_mixture_state, unseal_mixture_state
from cipherlane.horizontal.mixture_arbiter import MixtureState, next_state
from cipherlane.horizontal.standardisation import column_means, column_scales
from cipherlane.horizontal.statistics import statistics_size
from cipherlane.vertical.exchange import encoding_of, needed, read_ciphertexts
from cipherlane.vertical.messages import ARBITER, box_context, pack, pack_sealed
from cipherlane.vertical.score_encoding import NumberEncoding, parameter_encoding
from cipherlane.vertical.sealed_files import SealedStore
from cipherlane.vertical.sealing import seal
from cipherlane.vertical.wire import Message


class HorizontalArbiter(Arbiter):
    """The holder of the private key; what it makes of the sums goes sealed to the data parties.

    Parameters
    ----------
    store
        Its sealed directory, for checkpoints.
    key
        Where its own key pair lies; None makes one for the run.
    """

    def __init__(self, store: SealedStore, key: ArbiterPlan | None = None) -> None:
        super().__init__(store, key=key)
        self._columns: int | None = None
        self._mixture: MixtureState | None = None
        self.handlers = {
            "arbiter_task": self._on_task,
            "added_column_sums": self._on_added_column_sums,
            "added_column_spreads": self._on_added_column_spreads,
            "added_statistics": self._on_added_statistics,
            "checkpoint": self._on_checkpoint,
            "restore": self._on_restore,
            "finish": self._on_finish,
        }

    def _on_added_column_sums(self, message: Message) -> bytes:
        self._columns = message["columns"]
        summed = self._decrypted(message["ciphertexts"], 2 * self._width(), self._moment_encoding())
        return self._column_values(message, "column_means", column_means(summed))

    def _on_added_column_spreads(self, message: Message) -> bytes:
        task = self._current_task()
        summed = self._decrypted(message["ciphertexts"], self._width(), self._moment_encoding())
        return self._column_values(message, "column_scales", column_scales(summed, task["rows"]))

    def _column_values(self, message: Message, kind: str, values: NDArray[np.float64]) -> bytes:
        content = pack_sealed(kind, message.round, values=values)
        return pack("column_moments", message.round, sealed=self._boxes(kind, content, message.round))

    def _on_added_statistics(self, message: Message) -> bytes:
        task = self._current_task()
        if self._columns is None:
            # Training on from a model needs no sums of columns.
            self._columns = message["columns"]
        starting = time.perf_counter()
        shape = (task["components"], self._width())
        values = statistics_size(*shape, task["covariance_type"])
        summed = self._decrypted(message["ciphertexts"], values, encoding_of(task))
        decrypted = time.perf_counter()
        self._mixture = next_state(
            summed,
            shape=shape,
            rows=task["rows"],
            covariance_type=task["covariance_type"],
            regularisation=task["regularisation"],
            tolerance=task["tolerance"],
            before=self._mixture,
        )
        return self._mixture_reply(
            message, decrypt_seconds=decrypted - starting, e_step_seconds=time.perf_counter() - decrypted
        )

    def _mixture_reply(self, message: Message, *, decrypt_seconds: float, e_step_seconds: float) -> bytes:
        state = needed(self._mixture, "a model is asked for before there is one")
        found = state.parameters
        content = pack_sealed(
            "mixture_parameters",
            message.round,
            weights=found.weights,
            means=found.means,
            covariances=found.covariances.ravel(),
        )
        return pack(
            "mixture",
            message.round,
            sealed=self._boxes("mixture_parameters", content, message.round),
            weights=found.weights,
            counts=state.counts,
            log_likelihood=state.log_likelihood,
            change=state.change,
            converged=state.converged,
            decrypt_seconds=decrypt_seconds,
            e_step_seconds=e_step_seconds,
        )

    def _boxes(self, kind: str, content: bytes, round_number: int) -> dict[str, bytes]:
        keys = self._current_task()["box_keys"]
        return {name: seal(key, content, box_context(kind, round_number, name)) for name, key in keys.items()}

    def _decrypted(self, data: bytes, values: int, encoding: NumberEncoding) -> NDArray[np.float64]:
        public_key, private_key = needed(self._keys, "sums come before the key")
        array = read_ciphertexts(public_key, data, values, encoding, ARBITER)
        return np.asarray(private_key.decrypt(array), dtype=np.float64)

    def _on_checkpoint(self, message: Message) -> bytes:
        store = needed(self._store, "a checkpoint without a directory to keep it in")
        seal_mixture_state(store, message.round, needed(self._mixture, "a checkpoint before a round"))
        return self._noted(message)

    def _on_restore(self, message: Message) -> bytes:
        store = needed(self._store, "a checkpoint is asked for, and there is no directory with one")
        task = self._current_task()
        self._mixture = unseal_mixture_state(store, message.round)
        components, self._columns = self._mixture.parameters.means.shape
        if components != task["components"]:
            raise ProtocolError("checkpoint: it is of another plan; start the run anew")
        return self._mixture_reply(message, decrypt_seconds=0.0, e_step_seconds=0.0)

    def _current_task(self) -> Message:
        return needed(self._task, "sums come before the task")

    def _width(self) -> int:
        return needed(self._columns, "sums come before those of the columns")

    def _moment_encoding(self) -> NumberEncoding:
        task = self._current_task()
        return parameter_encoding(task["packing"], task["parties"])
