"""The least multiplications an operation needs, in products of two limbs.

With L limbs, R = 2^(w L) > 4 n: in n-adic Montgomery form a product mod n² costs 5 L² limb products, a square
3.5 L², (1 + m n) X 2 L², and a product with a fixed table's entry, in factored form, 4 L². The same holds mod p² with
half the limbs, H. On a GPU n may fill its limbs, and R has one more. What is cheaper than a product by an order of
magnitude (carries, encoding, randomness) is left out, so the floor cannot be reached.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cipherlane.benchmark.operations import HOST_TO_HOST, MATRIX_COLUMNS, OPERATIONS, WEIGHT_BITS
from cipherlane.paillier.short_parameters import least_order_bits

PRODUCT = 5.0
SQUARE = 3.5
ONE_PLUS = 2.0
TABLE_PRODUCT = 4.0


@dataclass(frozen=True)
class Multiplier:
    """A backend's multiplier: bits of a limb, instructions for a whole product of two, bits that n leaves free."""

    limb_bits: int
    instructions: int
    free_bits: int = 2


MULTIPLIERS = {
    "cuda": Multiplier(32, 1, free_bits=0),
    "ifma": Multiplier(52, 2),
    "avx512": Multiplier(26, 1),
    "avx2": Multiplier(26, 1),
    "portable": Multiplier(60, 1),
}


@dataclass(frozen=True)
class Setting:
    """What the cost of an operation depends on."""

    full: float  # L²
    half: float  # H²
    bits: int
    exponent_bits: int  # of noise from a table
    window_bits: int
    count: int
    slots: int


def _windows(exponent_bits: int, window_bits: int) -> int:
    return -(-exponent_bits // max(1, window_bits))


def _power(exponent_bits: int) -> float:
    """Return the cost in L² of a power: squares, and products for the best fixed window and its table."""
    products = min((1 << window) - 2 + _windows(exponent_bits, window) for window in range(1, 11))
    return exponent_bits * SQUARE + products * PRODUCT


def _table_power(setting: Setting, area: float) -> float:
    """Return the cost of a power times 1 + m n: the first window is read, the others are products."""
    products = _windows(setting.exponent_bits, setting.window_bits) - 1
    return (products * TABLE_PRODUCT + ONE_PLUS) * area


def _encrypt(setting: Setting) -> float:
    return _table_power(setting, setting.full)


def _holder_table(setting: Setting) -> float:
    return 2 * _table_power(setting, setting.half) + _joining(setting)


def _holder_classic(setting: Setting) -> float:
    return 2 * (_power(setting.bits // 2) + ONE_PLUS) * setting.half + _joining(setting)


def _joining(setting: Setting) -> float:
    """U = u_q + q² ((u_p - u_q) q^-2 mod p²): a product mod p², and one of 2H by 2H limbs."""
    return (PRODUCT + 4) * setting.half


def _matmul(setting: Setting) -> float:
    """Return the cost of a row: shared squares, and a table of powers of each x_j shared by all rows."""
    shared = (
        min(
            setting.count * _windows(WEIGHT_BITS, window) * MATRIX_COLUMNS + MATRIX_COLUMNS * ((1 << window) - 2)
            for window in range(1, 11)
        )
        / setting.count
    )
    return (shared * PRODUCT + WEIGHT_BITS * SQUARE) * setting.full


_COSTS: dict[str, Callable[[Setting], float]] = {
    "encrypt": _encrypt,
    "encrypt-short": _encrypt,
    "encrypt-classic": lambda s: (_power(s.bits) + ONE_PLUS) * s.full,
    "holder-djn": _holder_table,
    "holder-exact": _holder_table,
    "holder-short": _holder_table,
    "holder-classic": _holder_classic,
    "encode-encrypt": _encrypt,
    HOST_TO_HOST: _encrypt,
    "packed": lambda s: _encrypt(s) / s.slots,
    "add": lambda s: PRODUCT * s.full,
    # An inverse in a batch costs three products (Montgomery's trick).
    "subtract": lambda s: 4 * PRODUCT * s.full,
    "multiply": lambda s: _power(64) * s.full,
    "sum": lambda s: PRODUCT * s.full * (s.count - 1) / s.count,
    "segment-sum": lambda s: PRODUCT * s.full,
    "matmul": _matmul,
    # It starts with the ciphertext, so that no window is just read.
    "rerandomize": lambda s: _table_power(s, s.full) + TABLE_PRODUCT * s.full,
    # The last digit of the power is the logarithm; joining costs a product mod p.
    "decrypt": lambda s: 2 * _power(s.bits // 2) * s.half + 3 * s.half,
    # The order of a short key's noise mod p is 2 s for a prime s of that length.
    "decrypt-short": lambda s: 2 * _power(least_order_bits(s.bits) + 1) * s.half + 3 * s.half,
    # Two reductions lead out of Montgomery form, one product joins the digits.
    "to-bytes": lambda s: 3 * s.full,
    # A product leads into Montgomery form, one more into the batch's common factor with n.
    "from-bytes": lambda s: 2 * PRODUCT * s.full,
}


def limb_products(
    operation: str, backend: str, bits: int, *, window_bits: int = 0, count: int = 1, slots: int = 1
) -> float:
    """Return the least limb products for one of an operation.

    Parameters
    ----------
    operation, backend : str
    bits : int
        Of the key.
    window_bits : int
        Of the table for the base of the noise, where there is one.
    count : int
        Size of the batch, over which shared work is spread.
    slots : int
        Values a ciphertext holds.

    Examples
    --------
    >>> limb_products("add", "ifma", 2048)  # 5 * 40 * 40
    8000.0
    """
    multiplier = MULTIPLIERS[backend]
    full, half = (-(-(size + multiplier.free_bits) // multiplier.limb_bits) for size in (bits, bits // 2))
    randomisation = OPERATIONS[operation].randomisation(bits)
    exponent_bits = 0 if randomisation is None else randomisation.exponent_bits
    return _COSTS[operation](Setting(float(full**2), float(half**2), bits, exponent_bits, window_bits, count, slots))


def instructions(backend: str, products: float) -> float:
    """Return the multiplications that the peak counts, for so many limb products."""
    return MULTIPLIERS[backend].instructions * products
