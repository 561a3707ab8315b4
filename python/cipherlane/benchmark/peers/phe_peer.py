"""python-paillier: the library most people start with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cipherlane.benchmark.cases import Case
from cipherlane.benchmark.operations import MATRIX_COLUMNS, Operation
from cipherlane.benchmark.ours import Ours
from cipherlane.benchmark.peers.peer import CAVEATS, Peer, PeerSession
from cipherlane.benchmark.randomisation import Randomisation
from cipherlane.benchmark.workload import SEGMENTS
from cipherlane.paillier import hazmat


class PhePeer(Peer):
    """python-paillier, on gmpy2 where that is installed."""

    name = "phe"
    module = "phe"
    distribution = "phe"
    install = "pip install phe"
    description = "python-paillier; classic r^n, an exponent beside every ciphertext, gmpy2's powers"

    def session(self, ours: Ours) -> PeerSession:
        """Return the library with our key."""
        return _Session(ours)


class _Session(PeerSession):
    def __init__(self, ours: Ours) -> None:
        import phe

        self.ours = ours
        self.encrypted_number = phe.EncryptedNumber
        self.public_key = phe.PaillierPublicKey(ours.public_key.n)
        self.private_key = phe.PaillierPrivateKey(self.public_key, ours.private_key.p, ours.private_key.q)

    def cases(self, operation: Operation, count: int) -> list[Case]:
        """Return the library's way, by its public interface."""
        # The private key does not encrypt, and there is no form for the wire.
        if (operation.holder and operation.noise is not None) or operation.name in ("to-bytes", "from-bytes"):
            return []
        how, run = self._work(operation, count)
        makes = operation.noise is not None
        return [
            Case(
                library="phe",
                method=how,
                count=count,
                run=run,
                expected=self.ours.workload.expected(operation, count),
                plaintexts=_picked if operation.holder else self._decrypted,
                randomisation=Randomisation("classic", self.ours.bits) if makes else None,
                caveat=CAVEATS.get(operation.name),
            )
        ]

    def _work(self, operation: Operation, count: int) -> tuple[str, Callable[[], Any]]:
        workload, public_key, private_key = self.ours.workload, self.public_key, self.private_key
        if operation.noise is not None and operation.name != "rerandomize":
            numbers = workload.floats(count) if operation.unit == "value" else workload.values(count)
            plain = [value.item() for value in numbers]
            return "public_key.encrypt(v)", lambda: [public_key.encrypt(value) for value in plain]
        if operation.name == "matmul":
            vector = self._ciphertexts("values", MATRIX_COLUMNS)
            rows = [[int(weight) for weight in row] for row in workload.weights(count)]
            return "sum(w * e), entry by entry", lambda: [_dot(row, vector) for row in rows]
        a = self._ciphertexts("values", count)
        match operation.name:
            case "rerandomize":
                return "e.obfuscate()", lambda: [_obfuscated(e) for e in a]
            case "add":
                b = self._ciphertexts("others", count)
                return "e + f", lambda: [e + f for e, f in zip(a, b, strict=True)]
            case "subtract":
                b = self._ciphertexts("others", count)
                return "e - f", lambda: [e - f for e, f in zip(a, b, strict=True)]
            case "multiply":
                factors = [int(factor) for factor in workload.factors(count)]
                return "e * k", lambda: [e * k for e, k in zip(a, factors, strict=True)]
            case "sum":
                return "sum(...)", lambda: [_total(a)]
            case "segment-sum":
                members: list[list[Any]] = [[] for _ in range(SEGMENTS)]
                for segment, e in zip(workload.segment_ids(count), a, strict=True):
                    members[segment].append(e)
                # An empty segment has no sum there; a small batch may leave one.
                zero = public_key.encrypt(0)
                return "sum(...) of each", lambda: [_total(some) if some else zero for some in members]
            case "decrypt" | "decrypt-short":
                return "private_key.decrypt(e), CRT", lambda: [private_key.decrypt(e) for e in a]
        raise ValueError(f"operation: {operation.name!r} is not known here")

    def _ciphertexts(self, name: str, count: int) -> list[Any]:
        numbers = hazmat.to_integers(self.ours.ciphertexts(name, count))
        return [self.encrypted_number(self.public_key, int(c), 0) for c in numbers]

    def _decrypted(self, result: list[Any], indices: list[int]) -> list[Any]:
        return [self.private_key.decrypt(result[index]) for index in indices]


def _picked(result: list[Any], indices: list[int]) -> list[Any]:
    return [result[index] for index in indices]


def _total(numbers: list[Any]) -> Any:
    total = numbers[0]
    for number in numbers[1:]:
        total = total + number
    return total


def _dot(weights: list[int], vector: list[Any]) -> Any:
    return _total([e * weight for weight, e in zip(weights, vector, strict=True)])


def _obfuscated(number: Any) -> Any:
    number.obfuscate()
    return number
