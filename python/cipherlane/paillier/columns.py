"""Encrypted numbers as a column of a table: bytes of one width for each row, and what is public about them as text.

A row is one entry along the first axis: its ciphertexts one after the other, big-endian, ceil(2 |n| / 8) bytes each.
The text is JSON:

    format, version   "cipherlane-paillier-column", 1
    fingerprint       of the public key, 64 hexadecimal digits
    modulus           SHA-256 digest of its modulus, which is what ciphertexts belong to
    scheme, bits      of the key
    codec             {"name": "fixed-point", "scale_bits", "integer_bits"}, or
                      {"name": "packed", "slot_bits", "scale_bits", "headroom_bits"} along the last axis
    scale_bits        of the array
    bound             what an encoded value may have reached in magnitude, hexadecimal
    row_shape         lengths of the other axes

Unlike the form of `CipherArray.to_bytes` there is no checksum, so that rows can be chosen and joined without the key.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from cipherlane import _native
from cipherlane.errors import KeyMismatchError, PlaintextOverflowError
from cipherlane.paillier.cipher_array import CipherArray
from cipherlane.paillier.codec import Codec, FixedPoint, Packed, check_bound
from cipherlane.paillier.layout import Layout
from cipherlane.paillier.limbs import limb_count
from cipherlane.paillier.public_key import LEAST_BITS, MOST_BITS, PublicKey
from cipherlane.paillier.serialisation import ciphertext_width

_FORMAT = "cipherlane-paillier-column"
_VERSION = 1
_MOST_CHARACTERS = 65536
_FIELDS = ("format", "version", "fingerprint", "modulus", "scheme", "bits", "codec", "scale_bits", "bound", "row_shape")


def _malformed(what: str) -> ValueError:
    return ValueError(f"column: its description is not as Cipherlane writes it: {what}; write the column anew")


def _integer(fields: dict[str, Any], name: str, least: int, most: int) -> int:
    value = fields.get(name)
    if type(value) is not int or not least <= value <= most:
        raise _malformed(f"{name}: expected an integer from {least} to {most}, got {value!r}")
    return value


def _digits(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or len(value) != 64 or set(value) - set("0123456789abcdef"):
        raise _malformed(f"{name}: expected 64 hexadecimal digits, got {value!r}")
    return value


@dataclass(frozen=True)
class ColumnDescription:
    """What is public about a column.

    Attributes
    ----------
    fingerprint, modulus, scheme, bits
        Of the key: see the module.
    codec : FixedPoint or Packed
    scale_bits, bound : int
        Of the array.
    row_shape : tuple of int
    """

    fingerprint: str
    modulus: str
    scheme: str
    bits: int
    codec: Codec
    scale_bits: int
    bound: int
    row_shape: tuple[int, ...]

    @classmethod
    def of(cls, array: CipherArray) -> ColumnDescription:
        """Return that of an array.

        Raises
        ------
        ValueError
            If it has no axes, or one plaintext holds values of several rows.
        """
        if not isinstance(array, CipherArray):
            raise TypeError(f"x: expected a CipherArray, got {type(array).__name__}; encrypt it first")
        if not array.shape:
            raise ValueError("x: expected at least one axis, the rows of the column, got a scalar; use x.reshape(1)")
        if array._layout.free_axes == 0:
            raise ValueError(
                "x: its rows share ciphertexts, so they cannot be a column; encrypt with FixedPoint, or rows of "
                "several values with Packed(axis=-1)"
            )
        key = array.public_key
        return cls(
            key.fingerprint,
            key.modulus_digest.hex(),
            key.scheme,
            key.bits,
            array.codec,
            array.scale_bits,
            array.bound,
            array.shape[1:],
        )

    @property
    def width(self) -> int:
        """Number of bytes of a row."""
        return Layout.of((1, *self.row_shape), self.codec, self.bits).count * ciphertext_width(self.bits)

    def to_json(self) -> str:
        """Return the description as one line of JSON."""
        codec = self.codec
        packed = isinstance(codec, Packed)
        written: dict[str, object] = {"name": "packed" if packed else "fixed-point", "scale_bits": codec.scale_bits}
        if isinstance(codec, Packed):
            written |= {"slot_bits": codec.slot_bits, "headroom_bits": codec.headroom_bits}
        else:
            written["integer_bits"] = codec.integer_bits
        fields = {
            "format": _FORMAT,
            "version": _VERSION,
            "fingerprint": self.fingerprint,
            "modulus": self.modulus,
            "scheme": self.scheme,
            "bits": self.bits,
            "codec": written,
            "scale_bits": self.scale_bits,
            "bound": f"{self.bound:x}",
            "row_shape": list(self.row_shape),
        }
        return json.dumps(fields, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> ColumnDescription:
        """Return the description that `to_json` wrote.

        Raises
        ------
        ValueError
            If it is not exactly what `to_json` writes.
        """
        if len(text) > _MOST_CHARACTERS:
            raise _malformed(f"expected at most {_MOST_CHARACTERS} characters, got {len(text)}")
        try:
            fields = json.loads(text)
        except (json.JSONDecodeError, RecursionError):
            raise _malformed("it is not JSON") from None
        if not isinstance(fields, dict) or fields.get("format") != _FORMAT:
            raise _malformed(f"expected an object of format {_FORMAT!r}")
        if fields.get("version") != _VERSION:
            raise ValueError(
                f"column: expected version {_VERSION} of a column, got {fields.get('version')!r}; update to read it"
            )
        if sorted(fields) != sorted(_FIELDS):
            raise _malformed(f"expected the fields {', '.join(_FIELDS)}, got {', '.join(sorted(fields))}")
        bits = _integer(fields, "bits", LEAST_BITS, MOST_BITS)
        lengths = fields["row_shape"]
        if not isinstance(lengths, list) or any(type(length) is not int or length < 0 for length in lengths):
            raise _malformed(f"row_shape: expected lengths of axes, got {lengths!r}")
        try:
            bound = int(str(fields["bound"]), 16)
            codec = _codec(fields["codec"])
            if Layout.of((1, *lengths), codec, bits).free_axes == 0 or codec.slots(bits) < 1 or bound < 0:
                raise ValueError("codec, bound and row_shape do not go together")
        except (ValueError, TypeError) as error:
            raise _malformed(str(error)) from None
        if fields["scheme"] not in ("djn", "classic", "short"):
            raise _malformed(f"scheme {fields['scheme']!r} is unknown")
        description = cls(
            _digits(fields, "fingerprint"),
            _digits(fields, "modulus"),
            fields["scheme"],
            bits,
            codec,
            _integer(fields, "scale_bits", 0, bits),
            bound,
            tuple(lengths),
        )
        if description.to_json() != json.dumps(fields, sort_keys=True):
            raise _malformed("it contradicts itself")
        return description


def _codec(fields: object) -> Codec:
    if not isinstance(fields, dict):
        raise ValueError(f"codec: expected an object, got {fields!r}")
    parameters = dict(fields)
    name = parameters.pop("name", None)
    if name == "fixed-point":
        return FixedPoint(**parameters)
    if name == "packed":
        return Packed(**parameters, axis=-1)
    raise ValueError(f"codec {name!r} is unknown")


def to_column(array: CipherArray, rerandomize: bool | None = None) -> tuple[ColumnDescription, bytes]:
    """Return the description of an array's rows, and their bytes.

    Parameters
    ----------
    array : CipherArray
        With at least one axis.
    rerandomize : bool, optional
        Give the ciphertexts fresh randomness first. Default: unless they are fresh, as after encryption.

    Raises
    ------
    TypeError, ValueError
        If it is no CipherArray, has no axes, or its rows share ciphertexts.
    """
    description = ColumnDescription.of(array)
    context, batch = array._to_be_shown(rerandomize)._here()
    return description, _native.limbs_to_bytes(context.download(batch), ciphertext_width(description.bits))


def from_column(
    public_key: PublicKey, description: ColumnDescription, rows: int, data: bytes | memoryview
) -> CipherArray:
    """Return the array of a column's rows, after checking all of it.

    Raises
    ------
    TypeError
        If ``public_key`` is not a PublicKey.
    KeyMismatchError
        If the column belongs to another key.
    ValueError
        If the description contradicts the key or the number of bytes, or a number is no ciphertext of this key: not in
        [1, n²), or not coprime to n.
    """
    if not isinstance(public_key, PublicKey):
        raise TypeError(f"public_key: expected a PublicKey, got {type(public_key).__name__}")
    if description.modulus != public_key.modulus_digest.hex():
        raise KeyMismatchError(
            f"column: encrypted for the key with fingerprint {description.fingerprint[:16]}..., and the one given has "
            f"{public_key.fingerprint[:16]}...; use the key that it was made with"
        )
    codec, bits = description.codec, public_key.bits
    try:
        codec.check_fits(public_key.n)
        check_bound("bound", description.bound, codec, public_key.n)
        layout = Layout.of((rows, *description.row_shape), codec, bits)
    except (ValueError, PlaintextOverflowError) as error:
        raise _malformed(str(error)) from None
    width = ciphertext_width(bits)
    if description.bits != bits or len(data) != layout.count * width:
        raise _malformed(f"expected {layout.count * width} bytes of a {bits}-bit key in {rows} rows, got {len(data)}")
    limbs = _native.limbs_from_bytes(bytes(data), layout.count, width, limb_count(2 * bits))
    return CipherArray._from_limbs(public_key, limbs, layout, codec, description.scale_bits, description.bound)
