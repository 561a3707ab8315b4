"""Masks around encrypted numbers: their key's holder decrypts something uniform, and only who masked it learns more."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from cipherlane.errors import ProtocolError
from cipherlane.paillier import CipherArray, FixedPoint, PrivateKey, PublicKey, hazmat
from cipherlane.vertical.exchange import check_randomised
from cipherlane.vertical.row_packing import HIDING_BITS, Slot


@dataclass(frozen=True)
class Masks:
    """What a party added to its numbers before the key's holder saw them, one number each.

    Attributes
    ----------
    n
        The modulus.
    values
        What was added.
    slot
        Which bits come back; None for all.
    """

    n: int
    values: tuple[int, ...]
    slot: Slot | None = None

    def removed(self, masked: Sequence[int], bounds: Sequence[int]) -> list[int]:
        """Return the signed integers behind masked ones.

        Raises
        ------
        ProtocolError
            They are not as many, or one is beyond what its operations can have made.
        """
        if len(masked) != len(self.values):
            raise ProtocolError(f"masked numbers: expected {len(self.values)}, got {len(masked)}")
        signed = [self._unmasked(number, mask) for number, mask in zip(masked, self.values, strict=True)]
        if any(abs(number) > bound for number, bound in zip(signed, bounds, strict=True)):
            raise ProtocolError("masked numbers: one is not what was sent; the arbiter's answer is of something else")
        return signed

    def _unmasked(self, number: int, mask: int) -> int:
        if self.slot is None:
            return _signed(number - mask, self.n)
        # What stands below the slot can move the difference by one, and rounding takes that away.
        difference = _signed(number - (mask >> self.slot.first), 1 << self.slot.bits)
        half = (1 << self.slot.rounded_off) >> 1
        return (difference + half) >> self.slot.rounded_off


def _signed(number: int, modulus: int) -> int:
    """Return the number of least magnitude that is the same modulo `modulus`."""
    found = number % modulus
    return found - modulus if found > modulus // 2 else found


def masked(arrays: Sequence[CipherArray], slot: Slot | None = None) -> tuple[bytes, Masks]:
    """Return arrays' plaintexts, each plus a fresh mask, as bytes of one array; and the masks.

    Where all of a plaintext comes back, a mask is uniform in [0, n), so what is decrypted is uniform whatever stood
    there. With several values a plaintext, one mask covers them.

    Where a slot alone comes back, sums must not wrap: with |v| < 2^B, a mask is 2^B plus a number uniform in
    [0, n - 2^(B + 1)), so what is decrypted is uniform up to a share of 2^(B + 1) / n, at most 2^-80. Scales and bounds
    do not travel.

    Raises
    ------
    ValueError
        Plaintexts are too long to be hidden without wrapping.
    """
    public_key = arrays[0].public_key
    n, square = public_key.n, public_key.n**2
    ciphertexts = [number for array in arrays for number in hazmat.to_integers(array)]
    offset = 0 if slot is None else 1 << max(array.bound for array in arrays).bit_length()
    if offset << (HIDING_BITS + 1) > n:
        raise ValueError(f"arrays: expected plaintexts at least {HIDING_BITS + 2} bits shorter than the key")
    masks = [offset + secrets.randbelow(n - 2 * offset) for _ in ciphertexts]
    added = [c * (1 + mask * n) % square for c, mask in zip(ciphertexts, masks, strict=True)]
    # `to_bytes` re-randomises what was not just encrypted.
    return hazmat.from_integers(public_key, added).to_bytes(), Masks(n, tuple(masks), slot)


def decrypted_masked(private_key: PrivateKey, data: bytes, most: int, sender: str, slot: Slot | None = None) -> bytes:
    """Return the plaintexts of at most `most` masked numbers of a sender, or a slot of each, big-endian."""
    public_key = private_key.public_key
    array = CipherArray.from_bytes(public_key, data)
    if array.codec != FixedPoint(scale_bits=0) or array.ndim != 1 or not 0 < array.size <= most:
        raise ProtocolError(
            f"masked numbers from {sender!r}: expected 1 to {most} integers, got shape {array.shape} as {array.codec}"
        )
    check_randomised(array, sender)
    plaintexts = hazmat.decrypt(private_key, hazmat.to_integers(array))
    if slot is not None:
        plaintexts = [(number >> slot.first) & ((1 << slot.bits) - 1) for number in plaintexts]
    width = _number_bytes(public_key, slot)
    return b"".join(number.to_bytes(width, "big") for number in plaintexts)


def _number_bytes(public_key: PublicKey, slot: Slot | None) -> int:
    bits = public_key.n.bit_length() if slot is None else slot.bits
    return -(-bits // 8)


def numbers_from(data: bytes, public_key: PublicKey, slot: Slot | None = None) -> list[int]:
    """Return what `decrypted_masked` wrote.

    Raises
    ------
    ProtocolError
        They are not whole numbers of that width.
    """
    width = _number_bytes(public_key, slot)
    if len(data) % width:
        raise ProtocolError(f"masked numbers: expected {width} bytes each, got {len(data)} bytes")
    return [int.from_bytes(data[start : start + width], "big") for start in range(0, len(data), width)]
