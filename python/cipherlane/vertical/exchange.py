"""What both sides of an exchange share: sealed responsibilities, the task's encoding, and order."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeVar

import gmpy2
import numpy as np
from numpy.typing import NDArray

from cipherlane.errors import ProtocolError
from cipherlane.paillier import CipherArray, PublicKey, hazmat
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
    box: bytes, key: BoxKey, receiver: str, round_number: int, shape: tuple[int, int], decimals: int
) -> NDArray[np.float64]:
    """Return the responsibilities in a box, which must be of `shape` (n, K), of that round, and of so many decimals.

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
    if content["decimals"] != decimals:
        raise ProtocolError(
            f"responsibilities: they are {_in_words(decimals)} in the plan accepted, and came "
            f"{_in_words(content['decimals'])}"
        )
    return from_wire(content["table"], decimals)


def _in_words(decimals: int) -> str:
    return "exact" if decimals < 0 else f"with {decimals} decimals"


def encoding_of(task: Message) -> NumberEncoding:
    """Return the encoding that a task asks for."""
    return NumberEncoding(task["parties"], task["fraction_bits"], task["integer_bits"], task["packing"])


def check_key(public_key: PublicKey, expected: str | None, receiver: str) -> None:
    """Refuse another key than the one with the fingerprint `expected`; None takes any.

    Raises
    ------
    ProtocolError
        It is another.
    """
    if expected is not None and public_key.fingerprint != expected:
        raise ProtocolError(
            f"{receiver!r}: the arbiter's public key has the fingerprint {public_key.fingerprint}, the plan names "
            f"{expected}; the arbiter uses another key, or somebody on the way exchanged it: do not go on before you "
            "have asked the arbiter"
        )


def read_ciphertexts(
    public_key: PublicKey, data: bytes, values: int, encoding: NumberEncoding, sender: str
) -> CipherArray:
    """Return the ciphertexts of `values` numbers in `encoding` that `sender` sent.

    Raises
    ------
    ProtocolError
        They are valid ciphertexts of another number of values, encoded in another way, or not randomised.
    """
    array = CipherArray.from_bytes(public_key, data)
    if array.shape != (values,) or array.codec != encoding.codec():
        raise ProtocolError(
            f"ciphertexts from {sender!r}: expected {values} numbers as {encoding.codec()}, "
            f"got shape {array.shape} as {array.codec}"
        )
    check_randomised(array, sender)
    return array


def check_randomised(array: CipherArray, sender: str) -> None:
    """Refuse ciphertexts whose random factors are missing or repeat.

    (1 + m n) r^n mod n² is r^n mod n: whatever the plaintext, what is left modulo n is the random factor alone.
    Without one it is 1, and two ciphertexts that share it tell the difference of their plaintexts.

    Raises
    ------
    ProtocolError
        A ciphertext of `array` has no random factor, or the same as another.

    Examples
    --------
    >>> import cipherlane as cl
    >>> public_key, _ = cl.keygen(bits=2048)
    >>> check_randomised(public_key.encrypt([1, 1]), "guest")
    >>> bare = hazmat.from_integers(public_key, [hazmat.encrypt(public_key, 42, 1)])
    >>> check_randomised(bare, "guest")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    cipherlane.errors.ProtocolError: ciphertexts from 'guest': 1 of 1 not randomised, they can be read by anyone; ...
    """
    modulus = gmpy2.mpz(array.public_key.n)
    factors = [gmpy2.mpz(ciphertext) % modulus for ciphertext in hazmat.to_integers(array)]
    missing = factors.count(1)
    if missing:
        raise ProtocolError(
            f"ciphertexts from {sender!r}: {missing} of {len(factors)} not randomised, they can be read by anyone; "
            "install this version of the software there"
        )
    if len(set(factors)) < len(factors):
        raise ProtocolError(
            f"ciphertexts from {sender!r}: random factors repeat, which tells differences of plaintexts; "
            "install this version of the software there"
        )


def covariances_from_wire(
    flat: NDArray[np.float64], shape: tuple[int, int], covariance_type: str
) -> NDArray[np.float64]:
    """Return the covariances of K components over d columns from their numbers in a row.

    Raises
    ------
    ProtocolError
        They are not as many as those have.
    """
    components, columns = shape
    expected = (components, columns, columns) if covariance_type == "full" else shape
    if flat.size != math.prod(expected):
        raise ProtocolError(f"covariances: expected {math.prod(expected)} numbers, got {flat.size}")
    return flat.reshape(expected)


def needed(value: _Value | None, problem: str) -> _Value:
    """Return `value`, or raise `ProtocolError` because a message came before what it builds on."""
    if value is None:
        raise ProtocolError(f"out of order: {problem}")
    return value
