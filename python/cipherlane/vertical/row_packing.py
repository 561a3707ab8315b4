"""Several numbers of a row in one plaintext, and their sums of products with another party's factors out of it.

With numbers v_0, ..., v_R in slots of s bits, and factors f_0, ..., f_R in the opposite order,

    (sum_k v_k 2^(s k)) (sum_k f_k 2^(s (R - k))) = ... + 2^(s R) sum_k v_k f_k + ...,

so one ciphertext a row and one product with a plain number give a whole sum of products, in slot R. Other slots hold
products that nobody is to see: they stay encrypted, and of a masked sum the key's holder gives back slot R alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cipherlane.errors import PlaintextOverflowError
from cipherlane.paillier import FixedPoint
from cipherlane.vertical.logistic_settings import LogisticSettings

# A residual's factors are below 2^this times the row's weight, for all terms and reaches: see the tests.
_FACTOR_BITS = 2
# Between what a slot can hold and the next one. What stands below a slot shows in what is given back of it with
# probability below 2^-(this - 1): as a carry into the bits that are rounded off.
_GUARD_BITS = 10
_ROUNDED_OFF = 2
# A mask is uniform over at least 2^this times the range of what it hides.
HIDING_BITS = 80
_INT64_BITS = 62


@dataclass(frozen=True)
class Slot:
    """What the key's holder gives back of a masked plaintext.

    Attributes
    ----------
    first, bits
        `bits` bits from number `first` on.
    rounded_off
        How many of the lowest only serve to round.
    """

    first: int
    bits: int
    rounded_off: int = 0


@dataclass(frozen=True)
class RowPacking:
    """How a host's R + 1 numbers a row become one plaintext, for two parties and one key.

    Every bound follows from the plan and the number of rows, so all parties know the same.

    Parameters
    ----------
    terms
        R. Slot 0 has the clipped partial score, slots 1 to R have sigma - 1/2 at each node.
    reach
        The largest magnitude of a partial score.
    fraction_bits
        F. Numbers, factors and inputs are rounded to F bits after the point.
    rows
        n, of all that there are to train on.
    weight_bits
        log2 of the largest row weight, rounded up.
    """

    terms: int
    reach: float
    fraction_bits: int
    rows: int
    weight_bits: int

    @classmethod
    def of(cls, settings: LogisticSettings, fraction_bits: int, rows: int, key_bits: int) -> RowPacking | None:
        """Return the packing for a plan's settings, or None where sums would not fit a plaintext."""
        heaviest = max(1.0, settings.positive_weight) * (rows / 2 if settings.class_weight == "balanced" else 1.0)
        packing = cls(settings.terms, settings.reach, fraction_bits, rows, _power_above(heaviest))
        fits = packing.sum_bits + HIDING_BITS + 2 < key_bits and packing._longest_number <= _INT64_BITS
        return packing if fits else None

    @property
    def slot_bits(self) -> int:
        """Width of a slot: a sum over rows of input times residual, a sign, and guard bits."""
        return self._residual_bits + self._input_bits + 1 + _GUARD_BITS

    @property
    def position(self) -> int:
        """Where the sum of products begins."""
        return self.slot_bits * self.terms

    @property
    def residual_bound(self) -> int:
        """A bound on a row's plaintext after its product with factors and the addition of a constant."""
        factors = self.slot_bits * (self.terms - 1) + self._factor_bits + 1
        return 1 << (self.codec.integer_bits + factors + 1)

    @property
    def sum_bits(self) -> int:
        """How long a plaintext of a sum over rows can become, by the bounds that arrays carry along."""
        gradient = self.residual_bound.bit_length() + self._input_bits
        summed = self._longest_number + self._row_bits + 1
        loss = self.codec.integer_bits + summed + self.position + self._term_bits + 1
        return max(gradient, loss)

    @property
    def codec(self) -> FixedPoint:
        """Of a row's plaintext, as a whole number; it has room for a constant in slot R."""
        return FixedPoint(scale_bits=0, integer_bits=self.position + self._longest_number)

    @property
    def slot(self) -> Slot:
        """What the key's holder gives back of a masked sum."""
        bits = self.slot_bits - _GUARD_BITS + _ROUNDED_OFF
        return Slot(self.position - _ROUNDED_OFF, bits, _ROUNDED_OFF)

    @property
    def _factor_bits(self) -> int:
        return self.fraction_bits + _FACTOR_BITS + self.weight_bits

    @property
    def _longest_number(self) -> int:
        """Of constants, which have 2F bits after the point and are below twice the weight; and of factors of losses."""
        return 2 * self.fraction_bits + 1 + self.weight_bits

    @property
    def _term_bits(self) -> int:
        return (self.terms + 1).bit_length()

    @property
    def _residual_bits(self) -> int:
        # R + 1 products of numbers of at most 2^(F - 1) with factors, and a constant.
        return self._longest_number + self._term_bits

    @property
    def _row_bits(self) -> int:
        return (self.rows - 1).bit_length()

    @property
    def _input_bits(self) -> int:
        # Of a standardised column, sum_i |x_i| <= n; twice that leaves room for rounding.
        return self.fraction_bits + self._row_bits + 1

    @property
    def _score_shift(self) -> int:
        return _power_above(2.0 * self.reach)

    def packed(self, features: NDArray[np.float64]) -> NDArray[Any]:
        """Return a row's plaintext as Python integers, shape (n,), from features, shape (n, R + 1), the score last."""
        scaled = features * (1 << self.fraction_bits)
        scaled[:, -1] /= 1 << self._score_shift
        return self._joined(_rounded(np.roll(scaled, 1, axis=1), self.fraction_bits), range(self.terms + 1))

    def residual_factors(self, factors: NDArray[np.float64]) -> NDArray[Any]:
        """Return a row's multiplier, shape (n,), from weighted factors of the features, shape (n, R)."""
        scaled = _rounded(factors * (1 << self.fraction_bits), self._factor_bits)
        return self._joined(scaled, range(self.terms - 1, -1, -1))

    def residual_constants(self, constants: NDArray[np.float64]) -> NDArray[Any]:
        """Return what is added to the rows' plaintexts after that product, for constants of shape (n,)."""
        scaled = _rounded(constants * (1 << 2 * self.fraction_bits), self._longest_number)
        return self._joined(scaled[:, None], [self.terms])

    def loss_factors(self, factors: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return integers, shape (R + 1, n), slot by slot, from weighted factors of the features, shape (n, R + 1)."""
        scaled = factors * (1 << self.fraction_bits)
        scaled[:, -1] *= 1 << self._score_shift
        # No inputs multiply a loss, so that its factors may be as much larger.
        return np.ascontiguousarray(_rounded(np.roll(scaled, 1, axis=1), self._longest_number).T)

    @property
    def loss_shifts(self) -> NDArray[Any]:
        """What the sum over rows of slot k is multiplied by, Python integers of shape (R + 1,)."""
        return np.array([1 << self.slot_bits * k for k in range(self.terms, -1, -1)], dtype=object)

    def inputs(self, values: NDArray[np.float64], party: str) -> NDArray[np.int64]:
        """Return a party's inputs as integers, shape (n, d).

        Raises
        ------
        PlaintextOverflowError
            The sum of magnitudes of a column is too large for a slot.
        """
        with np.errstate(invalid="ignore"):
            scaled = np.rint(values * (1 << self.fraction_bits))
            beyond = np.flatnonzero(~(np.abs(scaled).sum(axis=0) < 2.0**self._input_bits))
        if beyond.size:
            raise PlaintextOverflowError(
                f"party {party!r}: column {beyond[0]}: the magnitudes of its values add up to more than "
                f"{1 << self._row_bits + 1} and do not fit the encoding; standardise this party's columns, "
                "or set packing = false in [encryption]"
            )
        return scaled.astype(np.int64)

    def gradient_bounds(self, inputs: NDArray[np.int64]) -> tuple[int, ...]:
        """Return bounds on the entries of X^T d for integers X, shape (n, d): |d_i| is below four times the weight."""
        largest = 1 << (2 * self.fraction_bits + 2 + self.weight_bits)
        return tuple(int(magnitude) * largest for magnitude in np.abs(inputs).sum(axis=0).tolist())

    def _joined(self, whole: NDArray[np.int64], places: Iterable[int]) -> NDArray[Any]:
        shifts = np.array([1 << self.slot_bits * place for place in places], dtype=object)
        return np.asarray((whole.astype(object) * shifts).sum(axis=1))


def _rounded(scaled: NDArray[np.float64], bits: int) -> NDArray[np.int64]:
    rounded = np.rint(scaled)
    if not (np.abs(rounded) < 2.0**bits).all():
        raise PlaintextOverflowError(
            f"weights of rows: a factor reaches 2^{bits} as an integer; lower logistic.positive_weight or fraction_bits"
        )
    return rounded.astype(np.int64)


def _power_above(value: float) -> int:
    """Return the least e with value <= 2^e, the same on every machine."""
    mantissa, exponent = math.frexp(value)
    return exponent - 1 if mantissa == 0.5 else exponent
