"""Our side: one key pair, and each operation as a case to time."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from cipherlane.benchmark import device
from cipherlane.benchmark.cases import Case, verify
from cipherlane.benchmark.operations import MATRIX_COLUMNS, Operation
from cipherlane.benchmark.workload import SEGMENTS, Workload
from cipherlane.paillier import (
    CipherArray,
    DeviceArray,
    FixedPoint,
    Packed,
    PublicKey,
    WeakKeyWarning,
    current_backend,
    hazmat,
    keygen,
    reference,
)
from cipherlane.paillier.limbs import Limbs, from_limbs

LIBRARY = "cipherlane"
_FROM_TABLES = ("djn", "exact", "short")
_PACKED = Packed(slot_bits=64)
_FIXED = FixedPoint()


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
        """Return the plaintexts at some places: by the same backend, or what comes from a device in plain Python."""
        if device.is_device(current_backend()):
            return self._decrypt_in_python(array, indices)
        if isinstance(array.codec, Packed):  # its slots cannot be picked
            return _picked(self.private_key.decrypt(array), indices)
        return list(self.private_key.decrypt(array.ravel()[np.array(indices)]).tolist())

    def _decrypt_in_python(self, array: CipherArray, indices: list[int]) -> list[Any]:
        key = self.private_key

        def plaintexts(ciphertexts: list[int]) -> list[int]:
            return [reference.decrypt_crt(key.p, key.q, ciphertext) for ciphertext in ciphertexts]

        n, scale_bits = key.public_key.n, array.scale_bits
        if isinstance(array.codec, Packed):
            slots, slot_bits = self.slots_of(array.codec), array.codec.slot_bits
            ciphertexts = hazmat.to_integers(array)
            wanted = sorted({index // slots for index in indices})
            found = plaintexts([ciphertexts[place] for place in wanted])
            digits = {
                place: reference.packed_integers(n, plaintext, slots, slot_bits)
                for place, plaintext in zip(wanted, found, strict=True)
            }
            return [digits[index // slots][index % slots] / 2**scale_bits for index in indices]
        picked = hazmat.to_integers(array.ravel()[np.array(indices)])
        return [reference.decode(n, plaintext, scale_bits) for plaintext in plaintexts(picked)]

    def window_bits(self, operation: Operation) -> int:
        """Return the window of the table that makes the operation's noise; 0 if there is none."""
        if operation.noise not in _FROM_TABLES:
            return 0
        if operation.holder:
            # To the core, short noise is DJN noise with shorter exponents.
            return self.private_key._context(current_backend()).window_bits(
                "exact" if operation.noise == "exact" else "djn"
            )
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
        return self.slots_of(_PACKED) if operation.name == "packed" else 1

    def slots_of(self, codec: Packed) -> int:
        """Return how many values a ciphertext holds under a codec."""
        return codec.slots(self.bits)

    def ciphertexts(self, name: str, count: int) -> CipherArray:
        """Return encryptions of the workload's "values" or "others", made once for the largest batch."""
        place = (name, current_backend())
        array = self._arrays.get(place)
        if array is None or array.size < count:
            numbers = self.workload.values(count) if name == "values" else self.workload.others(count)
            array = self._arrays[place] = self.private_key.encrypt(numbers)
            self._check(array, numbers)
        return array if array.size == count else array[:count]

    def where_batches_lie(self, numbers: Any) -> Any:
        """Return numbers in the memory of the device where the current backend works on one, else as they are."""
        if not device.is_device(current_backend()):
            return numbers
        return self.private_key.decrypt(self.private_key.encrypt(numbers), device=current_backend())

    def _check(self, array: CipherArray, numbers: Any) -> None:
        """Raise `VerificationError` unless a device's ciphertexts hold the numbers: what it decrypts proves nothing."""
        if device.is_device(current_backend()):
            expected = numbers.tolist()
            verify(Case(LIBRARY, "key's holder", len(expected), lambda: array, expected, self.decrypt), "encryption")

    def _work(
        self, operation: Operation, count: int
    ) -> tuple[Callable[[], Any], Callable[[Any, list[int]], list[Any]]]:
        public_key, private_key, workload = self.public_key, self.private_key, self.workload
        floats = workload.floats(count)
        if operation.noise is not None:
            values = self.where_batches_lie(workload.values(count))
        match operation.name:
            case "encrypt" | "encrypt-short":
                return (lambda: public_key.encrypt(values)), self.decrypt
            case "encrypt-classic":
                return (lambda: self.classic_key.encrypt(values)), self.decrypt
            case "holder-djn" | "holder-exact" | "holder-classic" | "holder-short":
                return (lambda: private_key.encrypt(values, noise=operation.noise)), self.decrypt
            case "encode-encrypt":
                return (lambda: public_key.encrypt(floats, codec=_FIXED)), self.decrypt
            case "host-to-host":
                return (lambda: hazmat.to_limbs(public_key.encrypt(floats, codec=_FIXED))), self._decrypt_limbs
            case "packed":
                return (lambda: public_key.encrypt(floats, codec=_PACKED)), self.decrypt
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
                if device.is_device(current_backend()):
                    return (lambda: private_key.decrypt(x, device=current_backend())), _picked
                return (lambda: private_key.decrypt(x)), _picked
            case "to-bytes":
                return (lambda: x.to_bytes(rerandomize=False)), self._decrypt_bytes
            case "from-bytes":
                data = x.to_bytes(rerandomize=False)
                return (lambda: CipherArray.from_bytes(public_key, data)), self.decrypt
        raise ValueError(f"operation: {operation.name!r} is not known here")

    def _decrypt_limbs(self, limbs: Limbs, indices: list[int]) -> list[Any]:
        key = self.private_key
        plaintexts = (reference.decrypt_crt(key.p, key.q, ciphertext) for ciphertext in from_limbs(limbs[indices]))
        return [reference.decode(key.public_key.n, plaintext, _FIXED.scale_bits) for plaintext in plaintexts]

    def _decrypt_bytes(self, data: bytes, indices: list[int]) -> list[Any]:
        return self.decrypt(CipherArray.from_bytes(self.public_key, data), indices)


def _picked(values: Any, indices: list[int]) -> list[Any]:
    if isinstance(values, DeviceArray):
        values = values.to_numpy()
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
