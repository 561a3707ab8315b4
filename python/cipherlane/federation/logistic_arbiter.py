"""The arbiter of a logistic regression: decrypts numbers that each party masked, and learns nothing from them."""

from __future__ import annotations

import time

from cipherlane.errors import ProtocolError
from cipherlane.federation.arbiter import Arbiter
from cipherlane.federation.plan import ArbiterPlan
from cipherlane.vertical.exchange import needed
from cipherlane.vertical.masks import decrypted_masked
from cipherlane.vertical.messages import ARBITER, MAXIMUM_COLUMNS, box_context, pack, pack_sealed, unpack_sealed
from cipherlane.vertical.row_packing import Slot
from cipherlane.vertical.sealed_files import SealedStore
from cipherlane.vertical.sealing import seal
from cipherlane.vertical.wire import Message


class LogisticArbiter(Arbiter):
    """The holder of the private key. All that it decrypts is uniform, whatever the parties have.

    Of a plaintext that packs the numbers of rows it gives back the slot with their sum of products, and no other.

    Parameters
    ----------
    store
        Its sealed directory; it keeps nothing there. None where nothing may be kept (scoring).
    key
        Where its own key pair lies, if the plan names one.
    """

    def __init__(self, store: SealedStore | None = None, key: ArbiterPlan | None = None) -> None:
        super().__init__(store, None, key)
        self.handlers = {
            "arbiter_task": self._on_task,
            "masked_sums": self._on_masked_sums,
            "checkpoint": self._noted,
            "restore": self._noted,
            "finish": self._on_finish,
        }

    def _on_masked_sums(self, message: Message) -> bytes:
        task = needed(self._task, "masked numbers come before the task")
        _, private_key = needed(self._keys, "masked numbers come before the key")
        started = time.perf_counter()
        box_keys, replies = task["box_keys"], {}
        unknown = sorted(set(message["sealed"]) - set(box_keys))
        if unknown:
            raise ProtocolError(f"masked numbers: expected those of some of {sorted(box_keys)}, got {unknown}")
        # A gradient, the intercept's and a loss; when rows are scored, one packed number at least a row.
        most = max(MAXIMUM_COLUMNS + 2, task["rows"])
        for name, box in message["sealed"].items():
            context = box_context("masked_numbers", message.round, f"{ARBITER}/{name}")
            content = unpack_sealed(self._box.open(box, context), "masked_numbers")
            slot = Slot(content["first_bit"], content["bits"]) if content["bits"] else None
            numbers = decrypted_masked(private_key, content["ciphertexts"], most, name, slot)
            answer = pack_sealed("decrypted_numbers", message.round, numbers=numbers)
            replies[name] = seal(box_keys[name], answer, box_context("decrypted_numbers", message.round, name))
        return pack("unmasked_sums", message.round, sealed=replies, decrypt_seconds=time.perf_counter() - started)
