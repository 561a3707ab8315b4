"""What a data party encrypts in a round: K - 1 log-density differences a row, and one mean.

With a_ik = log N(x_i; mu_k, Sigma_k) over the party's own columns, the posterior of a row depends on the
parties' sums of a_ik - a_iK only, and the total log-likelihood besides on the sum of (1/n) sum_i a_iK. So
a party sends n (K - 1) differences and that one mean: n (K - 1) + 1 numbers in place of n K, and the key's
holder never sees how unusual a single row is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cipherlane.errors import PlaintextOverflowError
from cipherlane.paillier import FixedPoint, Packed

PARAMETER_FRACTION_BITS = 64
PARAMETER_INTEGER_BITS = 60


@dataclass(frozen=True)
class NumberEncoding:
    """Fixed point for numbers that several parties add: v is sent as rint(v 2^fraction_bits).

    With packing, a slot has 1 sign bit, `integer_bits`, `fraction_bits`, and ceil(log2 parties) bits of
    headroom: |v| < 2^integer_bits at each of P parties keeps the sum of P below 2^(slot_bits - 1), so no
    slot ever carries into its neighbour.

    Examples
    --------
    >>> encoding = NumberEncoding(parties=2)
    >>> encoding.slot_bits, encoding.ciphertexts(570, key_bits=2048)
    (62, 18)
    """

    parties: int
    fraction_bits: int = 40
    integer_bits: int = 20
    packing: bool = True

    @property
    def headroom_bits(self) -> int:
        """Bits that the sum over parties may grow by: ceil(log2 P)."""
        return (self.parties - 1).bit_length()

    @property
    def slot_bits(self) -> int:
        """Width of one packed value."""
        return 1 + self.integer_bits + self.fraction_bits + self.headroom_bits

    def codec(self) -> FixedPoint | Packed:
        """Return the codec to encrypt with."""
        if self.packing:
            return Packed(slot_bits=self.slot_bits, scale_bits=self.fraction_bits, headroom_bits=self.headroom_bits)
        return FixedPoint(scale_bits=self.fraction_bits, integer_bits=self.integer_bits)

    def ciphertexts(self, values: int, key_bits: int) -> int:
        """Return how many ciphertexts `values` numbers take under a key of `key_bits` bits."""
        slots = (key_bits - 2) // self.slot_bits if self.packing else 1
        return -(-values // slots)

    def check_fits(self, values: NDArray[np.float64], party: str, what: str) -> None:
        """Raise `PlaintextOverflowError` unless every |value| < 2^integer_bits, naming party and remedy."""
        beyond = self.beyond(values)
        if beyond.size:
            raise PlaintextOverflowError(
                f"party {party!r}: {what}: {beyond.size} of {values.size} numbers reach 2^{self.integer_bits} and do "
                "not fit the encoding; standardise this party's columns, remove extreme rows, use fewer components, "
                "or raise model.regularisation or encryption.integer_bits in the plan"
            )

    def beyond(self, values: NDArray[np.float64]) -> NDArray[np.intp]:
        """Return the positions of the values that do not fit."""
        # rint may carry a value just below the limit up to it; half a unit covers that.
        limit = 2.0**self.integer_bits - 2.0 ** -(self.fraction_bits + 1)
        return np.flatnonzero(~(np.abs(values) < limit))


def parameter_encoding(packing: bool, parties: int = 1) -> NumberEncoding:
    """Return the encoding of raw columns' moments, added over `parties`, or of model parameters, which never are."""
    return NumberEncoding(parties, PARAMETER_FRACTION_BITS, PARAMETER_INTEGER_BITS, packing)


def score_vector(log_densities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the n (K - 1) differences a_ik - a_iK, row by row, then the mean of a_iK.

    Parameters
    ----------
    log_densities
        float64, shape (n, K).

    Examples
    --------
    >>> score_vector(np.array([[-1.0, -3.0], [-2.5, -2.0]]))
    array([ 2. , -0.5, -2.5])
    """
    last = log_densities[:, -1]
    differences = log_densities[:, :-1] - last[:, None]
    return np.append(differences.ravel(), last.mean())


def split_score_vector(vector: NDArray[np.float64], rows: int, components: int) -> tuple[NDArray[np.float64], float]:
    """Return the (n, K) log-densities relative to the last component, and the mean of the last.

    Raises
    ------
    ValueError
        The vector has not n (K - 1) + 1 entries.
    """
    expected = rows * (components - 1) + 1
    if vector.shape != (expected,):
        raise ValueError(f"scores: expected {expected} numbers, got shape {vector.shape}")
    relative = np.zeros((rows, components))
    relative[:, :-1] = vector[:-1].reshape(rows, components - 1)
    return relative, float(vector[-1])
