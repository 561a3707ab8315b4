"""What both sides of an exchange share: sealed responsibilities, the task's encoding, and order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from cipherlane.errors import ProtocolError
from cipherlane.paillier import CipherArray, PublicKey
from cipherlane.vertical.messages import box_context, pack_sealed, unpack_sealed
from cipherlane.vertical.responsibility_table import from_wire, to_wire
from cipherlane.vertical.score_encoding import NumberEncoding
from cipherlane.vertical.sealing import BoxKey, seal
from cipherlane.vertical.wire import Message

_KIND = "responsibility_table"
_Value = TypeVar("_Value")


def seal_responsibilities(
    responsibilities: NDArray[np.float64],
    decimals: int,
    round_number: int,
    box_keys: Mapping[str, bytes],
) -> dict[str, bytes]:
    """Return one box for each receiver, bound to the round whose E-step made the responsibilities."""
    table = to_wire(responsibilities, decimals)
    content = pack_sealed(_KIND, round_number, decimals=decimals, table=table)
    return {name: seal(key, content, box_context(_KIND, round_number, name)) for name, key in box_keys.items()}


def open_responsibilities(
    box: bytes, key: BoxKey, receiver: str, round_number: int, shape: tuple[int, int]
) -> NDArray[np.float64]:
    """Return the responsibilities in a box, which must be of `shape` (n, K) and of that round.

    Raises
    ------
    ProtocolError
        The box is for another receiver or round, was changed, or holds a table of another shape.
    """
    content = unpack_sealed(key.open(box, box_context(_KIND, round_number, receiver)), _KIND)
    if content["table"].shape != shape:
        raise ProtocolError(
            f"responsibilities: expected {shape[0]} rows of {shape[1]} components, got shape {content['table'].shape}"
        )
    return from_wire(content["table"], content["decimals"])


def encoding_of(task: Message) -> NumberEncoding:
    """Return the encoding that a task asks for."""
    return NumberEncoding(task["parties"], task["fraction_bits"], task["integer_bits"], task["packing"])


def read_ciphertexts(
    public_key: PublicKey, data: bytes, values: int, encoding: NumberEncoding, sender: str
) -> CipherArray:
    """Return the ciphertexts of `values` numbers in `encoding` that `sender` sent.

    Raises
    ------
    ProtocolError
        They are valid ciphertexts of another number of values, or encoded in another way.
    """
    array = CipherArray.from_bytes(public_key, data)
    if array.shape != (values,) or array.codec != encoding.codec():
        raise ProtocolError(
            f"ciphertexts from {sender!r}: expected {values} numbers as {encoding.codec()}, "
            f"got shape {array.shape} as {array.codec}"
        )
    return array


def needed(value: _Value | None, problem: str) -> _Value:
    """Return `value`, or raise `ProtocolError` because a message came before what it builds on."""
    if value is None:
        raise ProtocolError(f"out of order: {problem}")
    return value
