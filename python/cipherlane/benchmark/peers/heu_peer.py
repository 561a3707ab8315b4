"""HEU, the encryption of SecretFlow: its ZPaillier schema, a C++ fixed-base table without SIMD."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cipherlane.benchmark.cases import Case
from cipherlane.benchmark.operations import MATRIX_COLUMNS, Operation
from cipherlane.benchmark.ours import Ours
from cipherlane.benchmark.peers.peer import CAVEATS, Peer, PeerSession
from cipherlane.benchmark.randomisation import Randomisation
from cipherlane.benchmark.workload import SEGMENTS


class HeuPeer(Peer):
    """HEU's arrays."""

    name = "heu"
    module = "heu"
    distribution = "sf-heu"
    install = "pip install sf-heu==0.5.2b0 (Python 3.10 and 3.11, Linux on x86-64 or macOS on ARM)"
    description = (
        "SecretFlow HEU, ZPaillier: h_s^r with r of exactly half the key's bits from a table of windows of 10 bits; "
        "a key of its own of the same size"
    )

    def session(self, ours: Ours) -> PeerSession:
        """Return the library with a key of its own, of the same size."""
        return _Session(ours)


class _Session(PeerSession):
    def __init__(self, ours: Ours) -> None:
        import heu.numpy
        import heu.phe

        self.ours = ours
        self.array_type = heu.numpy.CiphertextArray
        self.kit = heu.numpy.setup(heu.phe.SchemaType.ZPaillier, ours.bits)
        self.encoder = self.kit.bigint_encoder()
        self.float_encoder = self.kit.float_encoder()
        self.encryptor = self.kit.encryptor()
        self.decryptor = self.kit.decryptor()
        self.evaluator = self.kit.evaluator()
        self.arrays: dict[str, Any] = {}

    def cases(self, operation: Operation, count: int) -> list[Case]:
        """Return the library's way, by its array interface."""
        # The private key does not encrypt, and there is no call to re-randomise.
        if (operation.holder and operation.noise is not None) or operation.name == "rerandomize":
            return []
        how, run = self._work(operation, count)
        # What its encryptor draws, whichever of our public modes it stands beside.
        drawn = Randomisation("djn", self.ours.bits // 2) if operation.noise is not None else None
        # What it writes is the Montgomery form that it computes with, c 2^k mod n^2 for a k of its own.
        caveats = {
            **CAVEATS,
            "to-bytes": "Montgomery form",
            "from-bytes": "Montgomery form, unchecked",
        }
        return [
            Case(
                library="heu",
                method=how,
                count=count,
                run=run,
                expected=self.ours.workload.expected(operation, count),
                plaintexts=lambda result, indices: self._plaintexts(operation, result, indices),
                randomisation=drawn,
                caveat=caveats.get(operation.name),
            )
        ]

    def _work(self, operation: Operation, count: int) -> tuple[str, Callable[[], Any]]:
        workload, kit, evaluator = self.ours.workload, self.kit, self.evaluator
        if operation.unit == "value":
            floats = workload.floats(count)
            return "kit.array(v, float_encoder), encrypt", lambda: self.encryptor.encrypt(
                kit.array(floats, self.float_encoder)
            )
        if operation.noise is not None:
            plain = self._plain(workload.values(count))
            return "encryptor.encrypt", lambda: self.encryptor.encrypt(plain)
        if operation.name == "matmul":
            vector = self._ciphertexts("values", MATRIX_COLUMNS)
            weights = self._plain(workload.weights(count))
            return "evaluator.matmul", lambda: evaluator.matmul(weights, vector)
        a = self._ciphertexts("values", count)
        match operation.name:
            case "add":
                b = self._ciphertexts("others", count)
                return "evaluator.add", lambda: evaluator.add(a, b)
            case "subtract":
                b = self._ciphertexts("others", count)
                return "evaluator.sub", lambda: evaluator.sub(a, b)
            case "multiply":
                factors = self._plain(workload.factors(count))
                return "evaluator.mul", lambda: evaluator.mul(a, factors)
            case "sum":
                return "evaluator.sum", lambda: evaluator.sum(a)
            case "segment-sum":
                ids = workload.segment_ids(count)
                members = [np.flatnonzero(ids == segment).tolist() for segment in range(SEGMENTS)]
                return "evaluator.batch_select_sum", lambda: evaluator.batch_select_sum(a, members)
            case "decrypt" | "decrypt-short":
                return "decryptor.decrypt, CRT", lambda: self.decryptor.decrypt(a)
            case "to-bytes":
                return "serialize", a.serialize
            case "from-bytes":
                data = a.serialize()
                return "load_from", lambda: self.array_type.load_from(data)
        raise ValueError(f"operation: {operation.name!r} is not known here")

    def _plain(self, numbers: Any) -> Any:
        # As Python integers: 64-bit unsigned ones would pass through floats.
        return self.kit.array(np.array(numbers.tolist(), dtype=object), self.encoder)

    def _ciphertexts(self, name: str, count: int) -> Any:
        """Return encryptions of the workload's "values" or "others", made once for the largest batch."""
        array = self.arrays.get(name)
        if array is None or array.size < count:
            workload = self.ours.workload
            numbers = workload.values(count) if name == "values" else workload.others(count)
            array = self.arrays[name] = self.encryptor.encrypt(self._plain(numbers))
        return array if array.size == count else array[0:count]

    def _plaintexts(self, operation: Operation, result: Any, indices: list[int]) -> list[Any]:
        if operation.name == "sum":
            return [int(self.encoder.decode(self.decryptor.phe.decrypt(result)))]
        if operation.name == "to-bytes":
            result = self.array_type.load_from(result)
        plain = result if operation.holder else self.decryptor.decrypt(result)
        decoded = plain.to_numpy(self.float_encoder if operation.unit == "value" else self.encoder)
        return [decoded.reshape(-1)[index] for index in indices]
