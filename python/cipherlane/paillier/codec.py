"""How numbers become plaintexts: one public fixed scale an array, one value or several a plaintext.

    v  ->  i = round(v · 2^scale_bits), ties to even;    plaintext = Σ_k i_k · 2^(slot_bits · k) mod n

A negative integer i is held as n - |i|. The scale belongs to the array, never to an element, so it says
nothing of the values.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from cipherlane.errors import PlaintextOverflowError

DEFAULT_SCALE_BITS = 40
_MOST_BITS = 4096


def _check_bits(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name}: expected a number of bits (int), got {type(value).__name__}")
    if not least <= value <= _MOST_BITS:
        raise ValueError(f"{name}: expected {least} to {_MOST_BITS} bits, got {value}")


@dataclass(frozen=True)
class FixedPoint:
    """One value a plaintext: round(v · 2^scale_bits), for |v| < 2^integer_bits.

    Parameters
    ----------
    scale_bits : int, default 40
        Bits after the point; the rounding error is at most 2^-(scale_bits + 1). With 0, decryption gives
        integers.
    integer_bits : int, default 64
        Bits before the point. It only bounds what is accepted, so that sums and products can be proven to
        fit; it costs nothing else.

    Examples
    --------
    >>> from cipherlane import FixedPoint
    >>> FixedPoint(scale_bits=20)
    FixedPoint(scale_bits=20, integer_bits=64)
    """

    scale_bits: int = DEFAULT_SCALE_BITS
    integer_bits: int = 64

    def __post_init__(self) -> None:
        """Check the parameters."""
        _check_bits("scale_bits", self.scale_bits, 0)
        _check_bits("integer_bits", self.integer_bits, 0)

    @property
    def factor_scale_bits(self) -> int:
        """Bits after the point of a float factor or addend where this codec itself has none to give."""
        return self.scale_bits or DEFAULT_SCALE_BITS

    def slots(self, modulus_bits: int) -> int:
        """Return how many values a plaintext holds: one."""
        return 1

    def capacity(self, n: int) -> int:
        """Return the largest magnitude that a plaintext can hold, (n - 1) / 2."""
        return (n - 1) // 2

    def value_bits(self, scale_bits: int) -> int:
        """Return the e for which |v| < 2^e is required."""
        return self.integer_bits

    def encoded_bound(self, scale_bits: int) -> int:
        """Return what an encoded value can reach in magnitude."""
        return 1 << (self.integer_bits + scale_bits)

    def check_fits(self, n: int) -> None:
        """Raise `PlaintextOverflowError` if a plaintext below ``n`` cannot hold every value of this codec."""
        if self.encoded_bound(self.scale_bits) > self.capacity(n):
            raise PlaintextOverflowError(
                f"codec: {self} needs {self.scale_bits + self.integer_bits + 2} bits, the key has "
                f"{n.bit_length()}; lower scale_bits or integer_bits, or use a longer key"
            )

    def joined(self, other: Codec) -> FixedPoint:
        """Return the codec of a result of two arrays."""
        if not isinstance(other, FixedPoint):
            raise ValueError(
                f"codec: one array has {self}, the other {other}; packed and unpacked arrays do not mix, so "
                "encrypt both with the same codec"
            )
        return FixedPoint(max(self.scale_bits, other.scale_bits), max(self.integer_bits, other.integer_bits))

    @property
    def remedy(self) -> str:
        """What a user can do when values or sums do not fit."""
        return "use a codec with fewer integer_bits or scale_bits, a longer key, or decrypt and encrypt again"


@dataclass(frozen=True)
class Packed:
    """Several values a plaintext: signed digits of slot_bits each, so that sums work slot by slot.

    Values must satisfy |round(v · 2^scale_bits)| < 2^(slot_bits - 1 - headroom_bits); 2^headroom_bits of them
    can then be added before a slot could overflow. A plaintext of a 2048-bit key has 31 slots of 64 bits.

    Parameters
    ----------
    slot_bits : int, default 64
        Width of a slot, sign included.
    scale_bits : int, default 24
        Bits after the point.
    headroom_bits : int, default 8
        Room for sums: log2 of how many values can be added, or of how far they can be multiplied.
    axis : {None, -1}, default None
        None packs the whole array in C order; only operations on the whole array are possible then. -1 packs
        each row along the last axis; the leading axes can be indexed, summed, and multiplied by integer
        matrices.

    Examples
    --------
    >>> from cipherlane import Packed
    >>> Packed(slot_bits=32, scale_bits=10).slots(2048)
    63
    """

    slot_bits: int = 64
    scale_bits: int = 24
    headroom_bits: int = 8
    axis: int | None = None

    def __post_init__(self) -> None:
        """Check the parameters."""
        _check_bits("slot_bits", self.slot_bits, 2)
        _check_bits("scale_bits", self.scale_bits, 0)
        _check_bits("headroom_bits", self.headroom_bits, 0)
        if self.axis is not None and (isinstance(self.axis, bool) or self.axis != -1):
            raise ValueError(f"axis: expected None (the whole array) or -1 (the last axis), got {self.axis!r}")
        if self.value_bits(self.scale_bits) < 0:
            raise ValueError(
                f"slot_bits: {self.slot_bits} bits have no room for a sign, {self.headroom_bits} "
                f"headroom_bits and {self.scale_bits} scale_bits; raise slot_bits to at least "
                f"{self.scale_bits + self.headroom_bits + 1}"
            )

    def slots(self, modulus_bits: int) -> int:
        """Return how many values a plaintext holds: floor((modulus_bits - 2) / slot_bits)."""
        return (modulus_bits - 2) // self.slot_bits

    def capacity(self, n: int) -> int:
        """Return the largest magnitude that a slot can hold, 2^(slot_bits - 1) - 1."""
        return (1 << (self.slot_bits - 1)) - 1

    def value_bits(self, scale_bits: int) -> int:
        """Return the e for which |v| < 2^e is required."""
        return self.slot_bits - 1 - self.headroom_bits - scale_bits

    def encoded_bound(self, scale_bits: int) -> int:
        """Return what an encoded value can reach in magnitude."""
        return (1 << (self.slot_bits - 1 - self.headroom_bits)) - 1

    def check_fits(self, n: int) -> None:
        """Raise `PlaintextOverflowError` if not one slot fits a plaintext below ``n``."""
        if self.slots(n.bit_length()) < 1:
            raise PlaintextOverflowError(
                f"codec: slot_bits {self.slot_bits} does not fit a key of {n.bit_length()} bits; use at "
                f"most {n.bit_length() - 2}"
            )

    def joined(self, other: Codec) -> Packed:
        """Return the codec of a result of two arrays, whose slots must lie alike."""
        if not isinstance(other, Packed) or (self.slot_bits, self.axis) != (other.slot_bits, other.axis):
            raise ValueError(
                f"codec: one array has {self}, the other {other}; their slots do not line up, so encrypt "
                "both with the same slot_bits and axis"
            )
        return replace(
            self,
            scale_bits=max(self.scale_bits, other.scale_bits),
            headroom_bits=min(self.headroom_bits, other.headroom_bits),
        )

    @property
    def remedy(self) -> str:
        """What a user can do when values or sums do not fit."""
        return "use a codec with wider slot_bits or fewer scale_bits, or decrypt and encrypt again"


Codec = FixedPoint | Packed


def check_codec(codec: object) -> Codec:
    """Return ``codec`` if it is one, else raise `TypeError`."""
    if not isinstance(codec, (FixedPoint, Packed)):
        raise TypeError(f"codec: expected FixedPoint(...) or Packed(...), got {type(codec).__name__}")
    return codec


def check_bound(operation: str, bound: int, codec: Codec, n: int) -> None:
    """Raise `PlaintextOverflowError` if a result could leave what a plaintext, or a slot, can hold."""
    capacity = codec.capacity(n)
    if bound > capacity:
        holder = "a slot" if isinstance(codec, Packed) else f"a plaintext of this {n.bit_length()}-bit key"
        raise PlaintextOverflowError(
            f"{operation}: the result could reach 2^{math.log2(bound):.2f} as an integer, and {holder} holds "
            f"up to 2^{math.log2(capacity):.2f}; {codec.remedy}"
        )
