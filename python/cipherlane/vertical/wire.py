"""The bytes that roles exchange: MessagePack under strict schemas, with every length bounded."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import msgpack
import numpy as np

from cipherlane.errors import ProtocolError

WIRE_VERSION = 1
MAXIMUM_MESSAGE_BYTES = 1 << 30
_MAXIMUM_ENTRIES = 1 << 20
_ARRAY_TYPES = ("|u1", "<u2", "<u4", "<i8", "<f8")


class Field(Protocol):
    """A field of a message: checks a value on its way out and on its way in."""

    def pack(self, name: str, value: Any) -> Any:
        """Return `value` in the form MessagePack carries, or raise `ProtocolError`."""

    def unpack(self, name: str, value: Any) -> Any:
        """Return the checked value that came off the wire, or raise `ProtocolError`."""


def _refuse(name: str, expected: str, got: object) -> ProtocolError:
    described = type(got).__name__ if not isinstance(got, str) else "text"
    return ProtocolError(f"field {name!r}: expected {expected}, got {described}")


@dataclass(frozen=True)
class Text:
    """Unicode text of at most `maximum` characters, matching `pattern` where one is given."""

    maximum: int
    pattern: str | None = None

    def pack(self, name: str, value: Any) -> Any:
        """Return the text unchanged after the check."""
        return self.unpack(name, value)

    def unpack(self, name: str, value: Any) -> str:
        """Return the checked text."""
        if not isinstance(value, str):
            raise _refuse(name, "text", value)
        if len(value) > self.maximum:
            raise ProtocolError(f"field {name!r}: expected at most {self.maximum} characters, got {len(value)}")
        if self.pattern is not None and re.fullmatch(self.pattern, value) is None:
            raise ProtocolError(f"field {name!r}: expected text matching {self.pattern}")
        return value


@dataclass(frozen=True)
class Whole:
    """An integer in [`minimum`, `maximum`]."""

    minimum: int
    maximum: int

    def pack(self, name: str, value: Any) -> Any:
        """Return a plain int after the check."""
        return self.unpack(name, int(value) if isinstance(value, np.integer) else value)

    def unpack(self, name: str, value: Any) -> int:
        """Return the checked integer."""
        if isinstance(value, bool) or not isinstance(value, int):
            raise _refuse(name, "an integer", value)
        if not self.minimum <= value <= self.maximum:
            raise ProtocolError(f"field {name!r}: expected an integer in [{self.minimum}, {self.maximum}]")
        return value


@dataclass(frozen=True)
class Real:
    """A finite float64."""

    def pack(self, name: str, value: Any) -> Any:
        """Return a plain float after the check."""
        return self.unpack(name, float(value) if isinstance(value, int | np.floating) else value)

    def unpack(self, name: str, value: Any) -> float:
        """Return the checked float."""
        if not isinstance(value, float):
            raise _refuse(name, "a float", value)
        if not math.isfinite(value):
            raise ProtocolError(f"field {name!r}: expected a finite number")
        return value


@dataclass(frozen=True)
class Flag:
    """True or false."""

    def pack(self, name: str, value: Any) -> Any:
        """Return a plain bool after the check."""
        return self.unpack(name, value)

    def unpack(self, name: str, value: Any) -> bool:
        """Return the checked bool."""
        if not isinstance(value, bool):
            raise _refuse(name, "true or false", value)
        return value


@dataclass(frozen=True)
class Binary:
    """Opaque bytes: ciphertexts, a sealed box, a public key."""

    maximum: int = MAXIMUM_MESSAGE_BYTES
    exactly: int | None = None

    def pack(self, name: str, value: Any) -> Any:
        """Return the bytes after the check."""
        return self.unpack(name, value)

    def unpack(self, name: str, value: Any) -> bytes:
        """Return the checked bytes."""
        if not isinstance(value, bytes):
            raise _refuse(name, "bytes", value)
        if self.exactly is not None and len(value) != self.exactly:
            raise ProtocolError(f"field {name!r}: expected {self.exactly} bytes, got {len(value)}")
        if len(value) > self.maximum:
            raise ProtocolError(f"field {name!r}: expected at most {self.maximum} bytes, got {len(value)}")
        return value


@dataclass(frozen=True)
class Array:
    """A numpy array as element type, shape and raw little-endian bytes; floats must be finite."""

    dtypes: tuple[str, ...]
    dimensions: int

    def __post_init__(self) -> None:
        """Refuse an element type that no message may carry."""
        unknown = [name for name in self.dtypes if name not in _ARRAY_TYPES]
        if unknown:
            raise ValueError(f"dtypes: expected some of {_ARRAY_TYPES}, got {unknown}")

    def pack(self, name: str, value: Any) -> Any:
        """Return the map that stands for the array."""
        array = np.asarray(value)
        dtype = array.dtype.newbyteorder("<").str
        if dtype not in self.dtypes:
            raise ProtocolError(f"field {name!r}: expected an array of {self.dtypes}, got {dtype}")
        if array.ndim != self.dimensions:
            raise ProtocolError(f"field {name!r}: expected {self.dimensions} dimensions, got {array.ndim}")
        contiguous = np.ascontiguousarray(array, dtype=dtype)
        self._check_finite(name, contiguous)
        return {"d": dtype, "s": list(array.shape), "b": contiguous.tobytes()}

    def unpack(self, name: str, value: Any) -> np.ndarray[Any, np.dtype[Any]]:
        """Return a read-only array after checking type, shape, length and finiteness."""
        if not isinstance(value, dict) or set(value) != {"d", "s", "b"}:
            raise _refuse(name, "an array", value)
        dtype, shape, raw = value["d"], value["s"], value["b"]
        if dtype not in self.dtypes:
            raise ProtocolError(f"field {name!r}: expected an array of {self.dtypes}")
        sizes_are_valid = isinstance(shape, list) and all(
            isinstance(size, int) and not isinstance(size, bool) and 0 <= size <= 1 << 40 for size in shape
        )
        if not sizes_are_valid or len(shape) != self.dimensions:
            raise ProtocolError(f"field {name!r}: expected a shape of {self.dimensions} sizes")
        expected = math.prod(shape) * np.dtype(dtype).itemsize
        if not isinstance(raw, bytes) or len(raw) != expected:
            raise ProtocolError(
                f"field {name!r}: shape {tuple(shape)} needs {expected} bytes of data, got another length"
            )
        array: np.ndarray[Any, np.dtype[Any]] = np.frombuffer(raw, dtype=dtype).reshape(shape)
        self._check_finite(name, array)
        return array

    @staticmethod
    def _check_finite(name: str, array: np.ndarray[Any, np.dtype[Any]]) -> None:
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ProtocolError(f"field {name!r}: expected finite numbers only")


@dataclass(frozen=True)
class ListOf:
    """A list of at most `maximum` items of one field type."""

    item: Field
    maximum: int = _MAXIMUM_ENTRIES

    def pack(self, name: str, value: Any) -> Any:
        """Return the packed list."""
        return [self.item.pack(name, entry) for entry in self._checked(name, value)]

    def unpack(self, name: str, value: Any) -> list[Any]:
        """Return the list with every item checked."""
        return [self.item.unpack(name, entry) for entry in self._checked(name, value)]

    def _checked(self, name: str, value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise _refuse(name, "a list", value)
        if len(value) > self.maximum:
            raise ProtocolError(f"field {name!r}: expected at most {self.maximum} items, got {len(value)}")
        return value


@dataclass(frozen=True)
class MapOf:
    """A map from names to items of one field type."""

    item: Field
    maximum: int = 256

    def pack(self, name: str, value: Any) -> Any:
        """Return the packed map."""
        return {key: self.item.pack(name, value[key]) for key in sorted(self._checked(name, value))}

    def unpack(self, name: str, value: Any) -> dict[str, Any]:
        """Return the map with every item checked."""
        return {key: self.item.unpack(name, entry) for key, entry in self._checked(name, value).items()}

    def _checked(self, name: str, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict) or len(value) > self.maximum:
            raise _refuse(name, f"a map of at most {self.maximum} names", value)
        if not all(isinstance(key, str) and 0 < len(key) <= 64 for key in value):
            raise ProtocolError(f"field {name!r}: expected names of 1 to 64 characters as keys")
        return value


@dataclass(frozen=True)
class Nullable:
    """A field that may be absent (null)."""

    item: Field

    def pack(self, name: str, value: Any) -> Any:
        """Return null or the packed value."""
        return None if value is None else self.item.pack(name, value)

    def unpack(self, name: str, value: Any) -> Any:
        """Return None or the checked value."""
        return None if value is None else self.item.unpack(name, value)


Schema = Mapping[str, Field]


@dataclass(frozen=True)
class Message:
    """A decoded message: its kind, the round it belongs to, and its checked fields."""

    kind: str
    round: int
    fields: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        """Return one field."""
        return self.fields[name]


def encode(kind: str, round_number: int, fields: Mapping[str, Any], schema: Schema) -> bytes:
    """Return a message as bytes after checking it against its schema.

    Raises
    ------
    ProtocolError
        A field is missing, unknown, of the wrong type or out of bounds.

    Examples
    --------
    >>> data = encode("noted", 3, {"rows": 7}, {"rows": Whole(0, 100)})
    >>> decode(data, {"noted": {"rows": Whole(0, 100)}})["rows"]
    7
    """
    _check_names(kind, fields, schema)
    body = {name: field.pack(name, fields[name]) for name, field in schema.items()}
    data: bytes = msgpack.packb([WIRE_VERSION, kind, round_number, body], use_bin_type=True)
    if len(data) > MAXIMUM_MESSAGE_BYTES:
        raise ProtocolError(
            f"message {kind!r}: {len(data)} bytes exceed the limit of {MAXIMUM_MESSAGE_BYTES}; "
            "train on fewer rows at a time"
        )
    return data


def decode(data: bytes, schemas: Mapping[str, Schema]) -> Message:
    """Return the message in `data`, which must be of one of the kinds in `schemas`.

    Raises
    ------
    ProtocolError
        The bytes are not one whole message of an allowed kind that fits its schema.
    """
    if not isinstance(data, bytes):
        raise TypeError(f"data: expected bytes, got {type(data).__name__}")
    if len(data) > MAXIMUM_MESSAGE_BYTES:
        raise ProtocolError(f"message of {len(data)} bytes exceeds the limit of {MAXIMUM_MESSAGE_BYTES}")
    outer = _unpack(data)
    if not isinstance(outer, list) or len(outer) != 4:
        raise ProtocolError("message: expected [version, kind, round, fields]")
    version, kind, round_number, body = outer
    if version != WIRE_VERSION or isinstance(version, bool):
        raise ProtocolError(
            f"message: this software speaks wire version {WIRE_VERSION}, the sender another; "
            "install the same version at every party"
        )
    if not isinstance(kind, str) or kind not in schemas:
        raise ProtocolError(f"message: expected one of the kinds {sorted(schemas)}")
    Whole(0, 1 << 31).unpack("round", round_number)
    if not isinstance(body, dict):
        raise ProtocolError(f"message {kind!r}: expected a map of fields")
    schema = schemas[kind]
    _check_names(kind, body, schema)
    return Message(kind, round_number, {name: field.unpack(name, body[name]) for name, field in schema.items()})


def _unpack(data: bytes) -> Any:
    """Return the MessagePack value; no part of it may claim more than the bytes that are there."""
    size = len(data)
    try:
        return msgpack.unpackb(
            data,
            raw=False,
            strict_map_key=True,
            max_str_len=size,
            max_bin_len=size,
            max_array_len=min(size, _MAXIMUM_ENTRIES),
            max_map_len=min(size, _MAXIMUM_ENTRIES),
            max_ext_len=0,
        )
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException) as error:
        raise ProtocolError(f"message of {size} bytes is not whole, valid MessagePack") from error


def _check_names(kind: str, fields: Mapping[str, Any], schema: Schema) -> None:
    missing = sorted(set(schema) - set(fields))
    unknown = sorted(str(name) for name in set(fields) - set(schema))
    if missing or unknown:
        raise ProtocolError(
            f"message {kind!r}: expected the fields {sorted(schema)}; missing {missing}, unknown {unknown}"
        )


def peek(data: bytes) -> tuple[str, int]:
    """Return the kind and round of a message without checking its fields."""
    unpacker = msgpack.Unpacker(raw=False, max_buffer_size=MAXIMUM_MESSAGE_BYTES)
    unpacker.feed(data)
    try:
        length, version = unpacker.read_array_header(), unpacker.unpack()
        kind, round_number = unpacker.unpack(), unpacker.unpack()
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise ProtocolError(f"message of {len(data)} bytes has no valid header") from error
    if length != 4 or version != WIRE_VERSION or not isinstance(kind, str):
        raise ProtocolError("message: expected [version, kind, round, fields]")
    return kind, Whole(0, 1 << 31).unpack("round", round_number)
