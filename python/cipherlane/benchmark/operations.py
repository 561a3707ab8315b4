"""The operations that are measured: names, what counts as one, and how they are randomised."""

from __future__ import annotations

from dataclasses import dataclass

from cipherlane.benchmark.randomisation import Randomisation
from cipherlane.paillier.short_parameters import least_exponent_bits

MATRIX_COLUMNS = 64
WEIGHT_BITS = 24
HOST_TO_HOST = "host-to-host"


@dataclass(frozen=True)
class Operation:
    """One kind of work.

    Attributes
    ----------
    name, title : str
        For the command line and JSON; for people.
    unit : str
        What is counted.
    noise : str or None
        Of the ciphertexts made, as in `Randomisation`; None if none is made.
    holder : bool
        Whether it is done with the private key.
    most : int
        Largest batch, unless one is asked for.
    patience : float
        How many times the usual time a call may take, for the batch to be the one that is meant.
    scheme : {"djn", "short"}
        Of the key.
    """

    name: str
    title: str
    unit: str = "ciphertext"
    noise: str | None = None
    holder: bool = False
    most: int = 4096
    patience: float = 1.0
    scheme: str = "djn"

    def randomisation(self, bits: int) -> Randomisation | None:
        """Return how its ciphertexts are randomised under a key of ``bits`` bits."""
        if self.noise is None:
            return None
        return Randomisation(self.noise, self._exponent_bits(bits), self.holder)

    def _exponent_bits(self, bits: int) -> int:
        if self.noise == "short":
            return least_exponent_bits(bits)
        return bits if self.noise == "classic" and not self.holder else (bits + 1) // 2


OPERATIONS: dict[str, Operation] = {
    operation.name: operation
    for operation in (
        Operation("encrypt", "encrypt", noise="djn"),
        Operation("encrypt-classic", "encrypt", noise="classic"),
        Operation("encrypt-short", "encrypt", noise="short", scheme="short"),
        Operation("holder-djn", "encrypt, key's holder", noise="djn", holder=True),
        Operation("holder-exact", "encrypt, key's holder", noise="exact", holder=True),
        Operation("holder-classic", "encrypt, key's holder", noise="classic", holder=True),
        Operation("holder-short", "encrypt, key's holder", noise="short", holder=True, scheme="short"),
        Operation("encode-encrypt", "encode float64, encrypt", unit="value", noise="djn"),
        Operation(HOST_TO_HOST, "float64 in, ciphertexts out (host)", unit="value", noise="djn"),
        Operation("packed", "encode, pack, encrypt (values)", unit="value", noise="djn", most=1 << 17),
        Operation("add", "add"),
        Operation("subtract", "subtract"),
        Operation("multiply", "multiply by a 64-bit integer"),
        Operation("sum", "sum"),
        Operation("segment-sum", "sums of 16 segments"),
        Operation("matmul", "matrix @ x (rows of 64 weights)", unit="row of 64 weights", most=1000, patience=10),
        Operation("rerandomize", "re-randomise", noise="djn"),
        Operation("decrypt", "decrypt", holder=True),
        Operation("decrypt-short", "decrypt, short key", holder=True, scheme="short"),
        Operation("to-bytes", "to_bytes, fresh"),
        Operation("from-bytes", "from_bytes, checked"),
    )
}

# On a processor nothing has to be moved; on a device these are what its rows are about.
ON_PROCESSOR = tuple(name for name in OPERATIONS if name != HOST_TO_HOST)
ON_DEVICE = (
    "encrypt",
    "encrypt-classic",
    "holder-djn",
    "holder-exact",
    HOST_TO_HOST,
    "add",
    "subtract",
    "multiply",
    "segment-sum",
    "matmul",
    "decrypt",
)
