"""Our side: one key pair, and each operation as a case to time."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from cipherlane.benchmark.cases import Case
from cipherlane.benchmark.operations import MATRIX_COLUMNS, Operation
from cipherlane.benchmark.workload import SEGMENTS, Workload
from cipherlane.paillier import (
    CipherArray,
    FixedPoint,
    Packed,
    PublicKey,
    WeakKeyWarning,
    current_backend,
    keygen,
)

LIBRARY = "cipherlane"
_FROM_TABLES = ("djn", "exact", "short")


class Ours:
    """A key pair of ``bits`` bits, of scheme "djn" or "short", and ciphertexts under it.

    All use the backend and the threads that are set when they are called.
    """

    def __init__(self, bits: int, workload: Workload, scheme: str = "djn") -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", WeakKeyWarning)  # 1024 bits are measured, not recommended
            self.public_key, self.private_key = keygen(bits, scheme)
            self.classic_key = PublicKey(self.public_key.n)
        self.bits = bits
        self.workload = workload
        self._arrays: dict[tuple[str, str], CipherArray] = {}
        self._warmed: set[tuple[str, str, bool]] = set()

    def case(self, operation: Operation, count: int) -> Case:
        """Return an operation on a batch of ``count``: ciphertexts, values, or rows of the matrix."""
        run, plaintexts = self._work(operation, count)
        return Case(
            library=LIBRARY,
            method=operation.title,
            count=count,
            run=run,
            expected=self.workload.expected(operation, count),
            plaintexts=plaintexts,
            randomisation=operation.randomisation(self.bits),
        )

    def decrypt(self, array: CipherArray, indices: list[int]) -> list[Any]:
        """Return the plaintexts at some places."""
        if isinstance(array.codec, Packed):  # its slots cannot be picked
            return _picked(self.private_key.decrypt(array), indices)
        return list(self.private_key.decrypt(array.ravel()[np.array(indices)]).tolist())

    def window_bits(self, operation: Operation) -> int:
        """Return the window of the table that makes the operation's noise; 0 if there is none."""
        if operation.noise not in _FROM_TABLES:
            return 0
        if operation.holder:
            # To the core, short noise is DJN noise with shorter exponents.
            return self.private_key._context().window_bits("exact" if operation.noise == "exact" else "djn")
        return self.public_key.context().window_bits

    def needs_warming(self, operation: Operation) -> bool:
        """Return whether the operation's noise comes from a table, and this is the first time that it is asked."""
        if operation.noise not in _FROM_TABLES:
            return False
        table = (current_backend(), operation.noise, operation.holder)
        first = table not in self._warmed
        self._warmed.add(table)
        return first

    def slots(self, operation: Operation) -> int:
        """Return how many values a ciphertext of the operation holds."""
        return Packed().slots(self.bits) if operation.name == "packed" else 1

    def ciphertexts(self, name: str, count: int) -> CipherArray:
        """Return encryptions of the workload's "values" or "others", made once for the largest batch."""
        place = (name, current_backend())
        array = self._arrays.get(place)
        if array is None or array.size < count:
            numbers = self.workload.values(count) if name == "values" else self.workload.others(count)
            array = self._arrays[place] = self.private_key.encrypt(numbers)
        return array if array.size == count else array[:count]

    def _work(
        self, operation: Operation, count: int
    ) -> tuple[Callable[[], Any], Callable[[Any, list[int]], list[Any]]]:
        public_key, private_key, workload = self.public_key, self.private_key, self.workload
        values, floats = workload.values(count), workload.floats(count)
        match operation.name:
            case "encrypt" | "encrypt-short":
                return (lambda: public_key.encrypt(values)), self.decrypt
            case "encrypt-classic":
                return (lambda: self.classic_key.encrypt(values)), self.decrypt
            case "holder-djn" | "holder-exact" | "holder-classic" | "holder-short":
                return (lambda: private_key.encrypt(values, noise=operation.noise)), self.decrypt
            case "encode-encrypt":
                return (lambda: public_key.encrypt(floats, codec=FixedPoint())), self.decrypt
            case "packed":
                return (lambda: public_key.encrypt(floats, codec=Packed(slot_bits=64))), self.decrypt
            case "matmul":
                weights, vector = workload.weights(count), self.ciphertexts("values", MATRIX_COLUMNS)
                return (lambda: weights @ vector), self.decrypt
        x = self.ciphertexts("values", count)
        match operation.name:
            case "add":
                y = self.ciphertexts("others", count)
                return (lambda: x + y), self.decrypt
            case "subtract":
                y = self.ciphertexts("others", count)
                return (lambda: x - y), self.decrypt
            case "multiply":
                factors = workload.factors(count)
                return (lambda: x * factors), self.decrypt
            case "sum":
                return (lambda: x.sum().reshape(1)), self.decrypt
            case "segment-sum":
                segment_ids = workload.segment_ids(count)
                return (lambda: x.segment_sum(segment_ids, SEGMENTS)), self.decrypt
            case "rerandomize":
                return x.rerandomize, self.decrypt
            case "decrypt" | "decrypt-short":
                return (lambda: private_key.decrypt(x)), _picked
            case "to-bytes":
                return (lambda: x.to_bytes(rerandomize=False)), self._decrypt_bytes
            case "from-bytes":
                data = x.to_bytes(rerandomize=False)
                return (lambda: CipherArray.from_bytes(public_key, data)), self.decrypt
        raise ValueError(f"operation: {operation.name!r} is not known here")

    def _decrypt_bytes(self, data: bytes, indices: list[int]) -> list[Any]:
        return self.decrypt(CipherArray.from_bytes(self.public_key, data), indices)


def _picked(values: Any, indices: list[int]) -> list[Any]:
    return [values[index] for index in indices]


def entry_by_entry(ours: Ours, rows: int) -> Case:
    """Return matrix @ x as one would write it without: multiply every entry, then add."""
    weights, vector = ours.workload.weights(rows), ours.ciphertexts("values", MATRIX_COLUMNS)
    values = ours.workload.values(MATRIX_COLUMNS)
    return Case(
        library=LIBRARY,
        method="(matrix * x).sum(axis=1)",
        count=rows,
        run=lambda: (vector * weights).sum(axis=1),
        expected=[int(row @ values) for row in weights],
        plaintexts=ours.decrypt,
    )
