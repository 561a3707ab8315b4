"""Raw gmpy2: the textbook formulas on GMP integers, with no library between."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

import gmpy2

from cipherlane.benchmark.cases import Case
from cipherlane.benchmark.operations import MATRIX_COLUMNS, Operation
from cipherlane.benchmark.ours import Ours
from cipherlane.benchmark.peers.peer import CAVEATS, Peer, PeerSession
from cipherlane.benchmark.randomisation import Randomisation
from cipherlane.benchmark.workload import SEGMENTS
from cipherlane.paillier import hazmat

_FLOAT_SCALE = 2.0**40


class Gmpy2Peer(Peer):
    """GMP through gmpy2."""

    name = "gmpy2"
    module = "gmpy2"
    distribution = "gmpy2"
    install = "pip install gmpy2"
    description = "GMP's modular powers and products, called from Python one by one; variable-time"

    def session(self, ours: Ours) -> PeerSession:
        """Return the formulas under our key."""
        return _Session(ours)


class _Session(PeerSession):
    def __init__(self, ours: Ours) -> None:
        self.ours = ours
        key = ours.private_key
        self.p, self.q, self.n = (gmpy2.mpz(number) for number in (key.p, key.q, key.public_key.n))
        self.square = self.n * self.n
        self.p_square, self.q_square = self.p * self.p, self.q * self.q
        assert key.public_key.h_s is not None  # of scheme "djn" or "short"
        self.h_s = gmpy2.mpz(key.public_key.h_s)
        self.alpha_bits = key.public_key.exponent_bits or (ours.bits + 1) // 2
        # Constants of the Chinese remainder theorem, for ciphertexts and for plaintexts.
        self.q_square_inverse = gmpy2.invert(self.q_square, self.p_square)
        self.q_inverse = gmpy2.invert(self.q, self.p)
        self.h_p = gmpy2.invert((gmpy2.powmod(1 + self.n, self.p - 1, self.p_square) - 1) // self.p, self.p)
        self.h_q = gmpy2.invert((gmpy2.powmod(1 + self.n, self.q - 1, self.q_square) - 1) // self.q, self.q)

    # ---- noise ---------------------------------------------------------------------------------------------

    def _classic(self) -> Any:
        return gmpy2.powmod(gmpy2.mpz(1 + secrets.randbelow(int(self.n) - 1)), self.n, self.square)

    def _djn(self) -> Any:
        return gmpy2.powmod(self.h_s, gmpy2.mpz(secrets.randbits(self.alpha_bits)), self.square)

    def _joined(self, u_p: Any, u_q: Any) -> Any:
        return u_q + self.q_square * ((u_p - u_q) * self.q_square_inverse % self.p_square)

    def _holder_classic(self) -> Any:
        # r -> r^q permutes Z_p*, so r^n mod p^2 is distributed like s^p.
        return self._joined(
            gmpy2.powmod(gmpy2.mpz(1 + secrets.randbelow(int(self.p) - 1)), self.p, self.p_square),
            gmpy2.powmod(gmpy2.mpz(1 + secrets.randbelow(int(self.q) - 1)), self.q, self.q_square),
        )

    def _holder_djn(self) -> Any:
        alpha = gmpy2.mpz(secrets.randbits(self.alpha_bits))
        return self._joined(gmpy2.powmod(self.h_s, alpha, self.p_square), gmpy2.powmod(self.h_s, alpha, self.q_square))

    def _noises(self, operation: Operation) -> list[tuple[str, Callable[[], Any], Randomisation]]:
        """Return the ways to randomise, the one like ours first."""
        alpha_bits, bits = self.alpha_bits, self.ours.bits
        from_h_s = operation.noise if operation.noise in ("djn", "short") else None
        if operation.holder:
            if from_h_s is not None:
                return [("h_s^alpha mod p^2, q^2", self._holder_djn, Randomisation(from_h_s, alpha_bits, holder=True))]
            classic_by_holder = Randomisation("classic", (bits + 1) // 2, holder=True)
            return [("r^p mod p^2, r^q mod q^2", self._holder_classic, classic_by_holder)]
        classic = ("powmod(r, n, n^2)", self._classic, Randomisation("classic", bits))
        if from_h_s is None:
            return [classic]
        ours = ("powmod(h_s, alpha, n^2)", self._djn, Randomisation(from_h_s, alpha_bits))
        # A key of scheme "short" cannot decrypt classic noise.
        return [ours, classic] if from_h_s == "djn" else [ours]

    # ---- operations ----------------------------------------------------------------------------------------

    def cases(self, operation: Operation, count: int) -> list[Case]:
        """Return the textbook formula, with every noise that fits."""
        if operation.noise is not None:
            return [
                self._case(
                    operation, count, f"(1 + m n) {how}", self._encryption(operation, count, noise), randomisation
                )
                for how, noise, randomisation in self._noises(operation)
            ]
        how, run = self._plain(operation, count)
        return [self._case(operation, count, how, run, None)]

    def _encryption(self, operation: Operation, count: int, noise: Callable[[], Any]) -> Callable[[], list[Any]]:
        n, square = self.n, self.square
        if operation.name == "rerandomize":
            old = self._ciphertexts("values", count)
            return lambda: [c * noise() % square for c in old]
        if operation.unit == "value":
            floats = [float(value) for value in self.ours.workload.floats(count)]
            return lambda: [(1 + gmpy2.mpz(round(value * _FLOAT_SCALE)) * n) * noise() % square for value in floats]
        plaintexts = [gmpy2.mpz(int(value)) for value in self.ours.workload.values(count)]
        return lambda: [(1 + m * n) * noise() % square for m in plaintexts]

    def _plain(self, operation: Operation, count: int) -> tuple[str, Callable[[], Any]]:
        square, n = self.square, self.n
        if operation.name == "matmul":
            vector = self._ciphertexts("values", MATRIX_COLUMNS)
            rows = [[int(weight) for weight in row] for row in self.ours.workload.weights(count)]
            return "powmod and product, entry by entry", lambda: [self._row(row, vector) for row in rows]
        a = self._ciphertexts("values", count)
        match operation.name:
            case "add":
                b = self._ciphertexts("others", count)
                return "a * b % n^2", lambda: [c * d % square for c, d in zip(a, b, strict=True)]
            case "subtract":
                b = self._ciphertexts("others", count)
                return "a * invert(b) % n^2", lambda: [
                    c * gmpy2.invert(d, square) % square for c, d in zip(a, b, strict=True)
                ]
            case "multiply":
                factors = [int(factor) for factor in self.ours.workload.factors(count)]
                return "powmod(c, k, n^2)", lambda: [
                    gmpy2.powmod(c, k, square) for c, k in zip(a, factors, strict=True)
                ]
            case "sum":
                return "a * b % n^2", lambda: [self._product(a)]
            case "segment-sum":
                ids = [int(segment) for segment in self.ours.workload.segment_ids(count)]
                return "a * b % n^2", lambda: self._segments(a, ids)
            case "decrypt" | "decrypt-short":
                return "CRT, powmod(c, p - 1, p^2)", lambda: [self._decrypted(c) for c in a]
            case "to-bytes":
                width = 2 * ((self.ours.bits + 7) // 8)
                return "int(c).to_bytes", lambda: b"".join(int(c).to_bytes(width, "big") for c in a)
            case "from-bytes":
                width = 2 * ((self.ours.bits + 7) // 8)
                data = b"".join(int(c).to_bytes(width, "big") for c in a)
                return "int.from_bytes, range, gcd", lambda: self._read(data, width, n)
        raise ValueError(f"operation: {operation.name!r} is not known here")

    def _ciphertexts(self, name: str, count: int) -> list[Any]:
        return [gmpy2.mpz(c) for c in hazmat.to_integers(self.ours.ciphertexts(name, count))]

    def _product(self, ciphertexts: list[Any]) -> Any:
        total = gmpy2.mpz(1)
        for c in ciphertexts:
            total = total * c % self.square
        return total

    def _row(self, weights: list[int], vector: list[Any]) -> Any:
        total = gmpy2.mpz(1)
        for weight, c in zip(weights, vector, strict=True):
            total = total * gmpy2.powmod(c, weight, self.square) % self.square
        return total

    def _segments(self, ciphertexts: list[Any], ids: list[int]) -> list[Any]:
        totals = [gmpy2.mpz(1)] * SEGMENTS
        for segment, c in zip(ids, ciphertexts, strict=True):
            totals[segment] = totals[segment] * c % self.square
        return totals

    def _read(self, data: bytes, width: int, n: Any) -> list[Any]:
        numbers = [
            gmpy2.mpz(int.from_bytes(data[start : start + width], "big")) for start in range(0, len(data), width)
        ]
        if not all(0 < c < self.square and gmpy2.gcd(c, n) == 1 for c in numbers):
            raise ValueError("data: expected ciphertexts")
        return numbers

    def _decrypted(self, c: Any) -> Any:
        m_p = (gmpy2.powmod(c, self.p - 1, self.p_square) - 1) // self.p * self.h_p % self.p
        m_q = (gmpy2.powmod(c, self.q - 1, self.q_square) - 1) // self.q * self.h_q % self.q
        m = m_q + self.q * ((m_p - m_q) * self.q_inverse % self.p)
        return m if 2 * m < self.n else m - self.n

    # ---- checks --------------------------------------------------------------------------------------------

    def _case(
        self,
        operation: Operation,
        count: int,
        how: str,
        run: Callable[[], Any],
        randomisation: Randomisation | None,
    ) -> Case:
        def plaintexts(result: Any, indices: list[int]) -> list[Any]:
            if operation.name in ("decrypt", "decrypt-short"):
                return [result[index] for index in indices]
            if operation.name == "to-bytes":
                result = self._read(result, 2 * ((self.ours.bits + 7) // 8), self.n)
            found = [self._own_decrypted(result[index]) for index in indices]
            return [value / _FLOAT_SCALE for value in found] if operation.unit == "value" else found

        return Case(
            library="gmpy2",
            method=how,
            count=count,
            run=run,
            expected=self.ours.workload.expected(operation, count),
            plaintexts=plaintexts,
            randomisation=randomisation,
            caveat=CAVEATS.get(operation.name),
        )

    def _own_decrypted(self, ciphertext: Any) -> int:
        """Decrypt with our key, not with the formulas that are being checked."""
        m = int(hazmat.decrypt(self.ours.private_key, [int(ciphertext)])[0])
        return m if 2 * m < int(self.n) else m - int(self.n)
