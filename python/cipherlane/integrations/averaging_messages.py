"""What clients and server send each other to average: the layers' names, types and shapes, and ciphertexts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cipherlane.errors import ProtocolError
from cipherlane.paillier import CipherArray
from cipherlane.vertical.wire import Binary, ListOf, Schema, Text, Whole, decode, encode

_KIND = "encrypted_weights"
_MOST_LAYERS = 1 << 16
_MOST_AXES = 32
_MOST_VALUES = 1 << 40
_SCHEMA: Schema = {
    "names": ListOf(Text(1024), _MOST_LAYERS),
    "dtypes": ListOf(Text(3, "<f[248]"), _MOST_LAYERS),
    "shapes": ListOf(ListOf(Whole(0, _MOST_VALUES), _MOST_AXES), _MOST_LAYERS),
    "most_weight": Whole(1, 1 << 53),
    "added": Whole(1, 1 << 16),
    "ciphertexts": Binary(),
}


@dataclass(frozen=True)
class Layers:
    """Names, floating-point types and shapes of a model's layers, in order."""

    names: tuple[str, ...]
    dtypes: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]

    @property
    def size(self) -> int:
        """Number of values in all layers."""
        return sum(math.prod(shape) for shape in self.shapes)

    def check_same(self, expected: Layers) -> None:
        """Raise `ProtocolError` unless these are the layers of the other contributions."""
        if self == expected:
            return
        if self.names != expected.names:
            missing = sorted(set(expected.names) - set(self.names))
            unknown = sorted(set(self.names) - set(expected.names))
            what = f"missing {missing}, unknown {unknown}" if missing or unknown else "the same names in another order"
            raise ProtocolError(f"layers: expected those of the first contribution; {what}; train one model everywhere")
        for name, got, want in zip(self.names, self._described(), expected._described(), strict=True):
            if got != want:
                raise ProtocolError(
                    f"layers: {name!r}: expected {want} as in the first contribution, got {got}; train one model "
                    "everywhere"
                )

    def _described(self) -> list[str]:
        return [f"{dtype} of shape {shape}" for dtype, shape in zip(self.dtypes, self.shapes, strict=True)]

    def split(self, values: NDArray[np.float64]) -> dict[str, NDArray[np.floating]]:
        """Return flat values of all layers as an array a layer."""
        ends = np.cumsum([math.prod(shape) for shape in self.shapes])
        parts = np.split(values, ends[:-1])
        return {
            name: part.astype(dtype).reshape(shape)
            for name, part, dtype, shape in zip(self.names, parts, self.dtypes, self.shapes, strict=True)
        }


@dataclass(frozen=True)
class AveragingMessage:
    """A contribution or a sum, its ciphertexts not yet read."""

    layers: Layers
    most_weight: int
    added: int
    ciphertexts: bytes


def pack_message(layers: Layers, most_weight: int, added: int, array: CipherArray) -> bytes:
    """Return the message of a contribution (one client added) or of a sum, under fresh randomness."""
    fields: Mapping[str, object] = {
        "names": list(layers.names),
        "dtypes": list(layers.dtypes),
        "shapes": [list(shape) for shape in layers.shapes],
        "most_weight": most_weight,
        "added": added,
        "ciphertexts": array.to_bytes(),
    }
    return encode(_KIND, 0, fields, _SCHEMA)


def unpack_message(data: bytes) -> AveragingMessage:
    """Return what `pack_message` wrote.

    Raises
    ------
    ProtocolError
        The bytes are no such message.
    """
    message = decode(data, {_KIND: _SCHEMA})
    names, dtypes = tuple(message["names"]), tuple(message["dtypes"])
    shapes = tuple(tuple(shape) for shape in message["shapes"])
    if not 0 < len(names) == len(set(names)) == len(dtypes) == len(shapes):
        raise ProtocolError(
            "layers: expected a name, type and shape each, and no name twice; ask for the message again"
        )
    return AveragingMessage(
        Layers(names, dtypes, shapes), message["most_weight"], message["added"], message["ciphertexts"]
    )
