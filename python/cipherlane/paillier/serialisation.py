"""The bytes of a CipherArray.

    offset  bytes  what (big-endian)
    0       4      "CLCA"
    4       1      version, 1
    5       1      codec: 0 FixedPoint, 1 Packed as a whole, 2 Packed along the last axis
    6       1      number of axes
    7       1      0
    8       32     SHA-256 digest of the modulus
    40      2      FixedPoint: integer_bits; Packed: slot_bits
    42      2      the codec's scale_bits
    44      2      FixedPoint: 0; Packed: headroom_bits
    46      2      the array's scale_bits
    48      2      length of the bound
    50      8 an axis    shape
            ...    the bound, without leading zeros
            ...    ciphertexts, each of ceil(2 |n| / 8) bytes
            32     SHA-256 of all before

The trailing hash finds damage, not malice: whoever can change the message can change it too.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass

from cipherlane import _native
from cipherlane.errors import KeyMismatchError, PlaintextOverflowError
from cipherlane.paillier.codec import Codec, FixedPoint, Packed, check_bound
from cipherlane.paillier.layout import Layout
from cipherlane.paillier.limbs import Limbs, limb_count

_MAGIC = b"CLCA"
_VERSION = 1
_FIXED = struct.Struct(">4sBBBB32sHHHHH")
_DIGEST_BYTES = 32
_HASHED_AT_A_TIME = 1 << 26


@dataclass(frozen=True)
class Header:
    """What is public about an array."""

    modulus_digest: bytes
    codec: Codec
    scale_bits: int
    bound: int
    shape: tuple[int, ...]

    def to_bytes(self) -> bytes:
        """Return the one form that these contents have."""
        codec = self.codec
        if isinstance(codec, FixedPoint):
            kind, width, headroom = 0, codec.integer_bits, 0
        else:
            kind, width, headroom = 1 if codec.axis is None else 2, codec.slot_bits, codec.headroom_bits
        bound = self.bound.to_bytes((self.bound.bit_length() + 7) // 8, "big")
        fixed = _FIXED.pack(
            _MAGIC,
            _VERSION,
            kind,
            len(self.shape),
            0,
            self.modulus_digest,
            width,
            codec.scale_bits,
            headroom,
            self.scale_bits,
            len(bound),
        )
        return fixed + struct.pack(f">{len(self.shape)}Q", *self.shape) + bound


def ciphertext_width(modulus_bits: int) -> int:
    """Return the number of bytes of a ciphertext."""
    return (2 * modulus_bits + 7) // 8


def pack(header: Header, modulus_bits: int, ciphertexts: Limbs) -> bytes:
    """Return a message of a header and its ciphertexts."""
    head, payload = header.to_bytes(), _native.limbs_to_bytes(ciphertexts, ciphertext_width(modulus_bits))
    return b"".join([head, payload, _digest(head, payload)])


def _digest(*parts: bytes | memoryview) -> bytes:
    state = hashlib.sha256()
    for part in parts:
        # In pieces, so that Ctrl-C need not wait for gigabytes.
        for start in range(0, len(part), _HASHED_AT_A_TIME):
            state.update(memoryview(part)[start : start + _HASHED_AT_A_TIME])
    return state.digest()


def _malformed(what: str) -> ValueError:
    return ValueError(f"data: not a CipherArray as to_bytes writes it: {what}; ask the sender for it again")


def unpack(data: bytes, n: int, modulus_digest: bytes) -> tuple[Header, Layout, Limbs]:
    """Return header, layout and ciphertexts of a message for the key with modulus ``n``.

    Sizes are checked against the length of ``data`` before anything is allocated. That each number is a
    ciphertext is left to the caller.

    Raises
    ------
    KeyMismatchError
        If the message belongs to another modulus.
    ValueError
        If it is not exactly what `pack` would have written.
    """
    if not data.startswith(_MAGIC):
        raise _malformed(f"it does not start with {_MAGIC!r}")
    if len(data) < _FIXED.size + _DIGEST_BYTES:
        raise _malformed(f"truncated, got {len(data)} bytes")
    _, version, kind, axes, zero, digest, width, codec_scale, headroom, scale_bits, bound_length = _FIXED.unpack_from(
        data
    )
    if version != _VERSION:
        raise ValueError(f"data: expected version {_VERSION} of a CipherArray, got {version}; update to read it")
    if digest != modulus_digest:
        raise KeyMismatchError("data: encrypted for another key than the one given; use the key that it was made with")
    header_end = _FIXED.size + 8 * axes + bound_length
    if len(data) < header_end + _DIGEST_BYTES:
        raise _malformed(f"truncated, got {len(data)} bytes")
    shape = struct.unpack_from(f">{axes}Q", data, _FIXED.size)
    bound = int.from_bytes(data[_FIXED.size + 8 * axes : header_end], "big")
    bits = n.bit_length()
    try:
        codec = _codec(kind, width, codec_scale, headroom)
        codec.check_fits(n)
        check_bound("bound", bound, codec, n)
        layout = Layout.of(shape, codec, bits)
    except (ValueError, PlaintextOverflowError) as error:
        raise _malformed(str(error)) from None
    header = Header(digest, codec, scale_bits, bound, shape)
    if scale_bits > bits or zero != 0 or header.to_bytes() != data[:header_end]:
        raise _malformed("its header contradicts itself")
    expected = header_end + layout.count * ciphertext_width(bits) + _DIGEST_BYTES
    if len(data) != expected:
        what = "truncated" if len(data) < expected else "followed by other bytes"
        raise _malformed(f"{what}, expected {expected} bytes and got {len(data)}")
    if _digest(memoryview(data)[:-_DIGEST_BYTES]) != data[-_DIGEST_BYTES:]:
        raise _malformed("its checksum does not match")
    payload = data[header_end:-_DIGEST_BYTES]
    return header, layout, _native.limbs_from_bytes(payload, layout.count, ciphertext_width(bits), limb_count(2 * bits))


def _codec(kind: int, width: int, scale_bits: int, headroom: int) -> Codec:
    if kind == 0:
        return FixedPoint(scale_bits=scale_bits, integer_bits=width)
    if kind in (1, 2):
        axis = None if kind == 1 else -1
        return Packed(slot_bits=width, scale_bits=scale_bits, headroom_bits=headroom, axis=axis)
    raise ValueError(f"codec {kind} is unknown")
