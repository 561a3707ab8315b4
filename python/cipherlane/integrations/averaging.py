"""Weighted averages of model weights that whoever adds them up cannot read.

    client i    c_i = Enc(round(w_i n_i / m · 2^s)), and Enc of n_i and of 1     m: the largest weight, s: scale_bits
    server      c = c_1 + ... + c_K, under fresh randomness                      it has the public key alone
    client      (Σ w_i n_i / m · 2^s, Σ n_i, K) = Dec(c)                         average = Σ w_i n_i / Σ n_i

All values of a model, with n_i and 1, are packed as one array. Clients share the private key, the server has not.
The average differs from the exact one by at most K m / (2 Σ n_i) · 2^-s, half a unit in the last place where every
client's weight is m.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cipherlane.errors import KeyMismatchError, PlaintextOverflowError, ProtocolError
from cipherlane.integrations.averaging_messages import Layers, pack_message, unpack_message
from cipherlane.paillier import CipherArray, Packed, PrivateKey, PublicKey

MOST_PARTIES = 1 << 16
# Weights up to here are floats without rounding.
_MOST_WEIGHT = 1 << 53
# In front of the model's own values: the client's weight, and a one.
_COUNTS = 2


def _check_whole(name: str, value: object, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name}: expected an integer from {least} to {most}, got {type(value).__name__}")
    if not least <= value <= most:
        raise ValueError(f"{name}: expected an integer from {least} to {most}, got {value}")
    return int(value)


@dataclass(frozen=True)
class AveragingTerms:
    """What clients and server agree on beforehand; no sum that keeps to it can wrap.

    A slot has 1 + ⌈log2 parties⌉ + integer_bits + scale_bits bits: room for the sum of `parties` values below
    2^integer_bits in magnitude.

    Parameters
    ----------
    parties : int
        The most clients that are added up, 2 to 65536.
    most_weight : int
        The largest weight n_i that a client may have: rows or steps, below 2^(integer_bits + scale_bits).
    integer_bits : int, default 4
        Model weights are below 2^integer_bits in magnitude.
    scale_bits : int, default 24
        Bits after the point of a model weight at the client whose weight is the largest.
    least_parties : int, default 2
        Sums of fewer clients are refused: an average of one is that client's model.

    Raises
    ------
    TypeError, ValueError
        A value is no integer or out of range.

    Examples
    --------
    >>> terms = AveragingTerms(parties=3, most_weight=10_000)
    >>> terms.codec
    Packed(slot_bits=31, scale_bits=24, headroom_bits=2, axis=None)
    >>> terms.codec.slots(2048)
    66
    """

    parties: int
    most_weight: int
    integer_bits: int = 4
    scale_bits: int = 24
    least_parties: int = 2

    def __post_init__(self) -> None:
        """Check the parameters."""
        _check_whole("parties", self.parties, 2, MOST_PARTIES)
        _check_whole("least_parties", self.least_parties, 1, self.parties)
        _check_whole("integer_bits", self.integer_bits, 0, 64)
        _check_whole("scale_bits", self.scale_bits, 1, 52)
        most = min(_MOST_WEIGHT, (1 << (self.integer_bits + self.scale_bits)) - 1)
        _check_whole("most_weight", self.most_weight, 1, most)

    @property
    def codec(self) -> Packed:
        """How weights become plaintexts."""
        headroom = (self.parties - 1).bit_length()
        return Packed(1 + headroom + self.integer_bits + self.scale_bits, self.scale_bits, headroom)

    @property
    def largest_value(self) -> float:
        """The largest magnitude of a model weight, 2^integer_bits - 2^-scale_bits."""
        return float(2.0**self.integer_bits - 2.0**-self.scale_bits)

    def tolerance(self, total_weight: int, added: int) -> float:
        """Return how far an average can be from the exact one before it is rounded to its dtype.

        Parameters
        ----------
        total_weight : int
            Σ n_i.
        added : int
            K, the clients in it.

        Examples
        --------
        >>> AveragingTerms(parties=4, most_weight=100, scale_bits=20).tolerance(400, 4) == 2**-21
        True
        """
        return 0.5 * added * self.most_weight / total_weight * 2.0**-self.scale_bits


@dataclass(frozen=True)
class Average:
    """What a client learns of a round.

    Attributes
    ----------
    weights
        Σ w_i n_i / Σ n_i by layer, in the clients' order, shapes and floating-point types; float64 for integers.
    total_weight
        Σ n_i.
    parties
        How many clients are in it.
    """

    weights: dict[str, NDArray[np.floating]]
    total_weight: int
    parties: int


def encrypt_weights(
    key: PublicKey | PrivateKey,
    terms: AveragingTerms,
    weights: Mapping[str, ArrayLike],
    weight: int,
    *,
    clip: bool = False,
) -> bytes:
    """Return a client's contribution to a round, encrypted with fresh randomness.

    Parameters
    ----------
    key : PublicKey or PrivateKey
        The federation's; with the private one encryption is faster.
    terms : AveragingTerms
    weights : mapping of str to array_like of real numbers
        The model, by layer.
    weight : int
        n_i, 1 to ``terms.most_weight``. The server does not learn it.
    clip : bool, default False
        Bring values that are too large to ``±terms.largest_value`` instead of refusing them.

    Raises
    ------
    TypeError
        A layer's values are not real numbers, or the weight is no integer.
    ValueError
        There are no weights, one is NaN or infinite, or the client's weight is out of range.
    PlaintextOverflowError
        A value is larger than the terms allow, or the key is too short for one slot.

    Examples
    --------
    >>> import cipherlane as cl
    >>> public_key, private_key = cl.keygen(bits=2048)
    >>> terms = AveragingTerms(parties=2, most_weight=300)
    >>> at_server = EncryptedSum(public_key, terms)
    >>> at_server.add(encrypt_weights(private_key, terms, {"bias": [1.0, -2.0]}, 100))
    >>> at_server.add(encrypt_weights(private_key, terms, {"bias": [2.0, 2.0]}, 300))
    >>> average = decrypt_average(private_key, terms, at_server.to_bytes())
    >>> average.weights["bias"].round(6), average.total_weight, average.parties
    (array([1.75, 1.  ]), 400, 2)
    """
    _check_key("key", key, PublicKey | PrivateKey)
    _check_weight(weight, terms)
    arrays = {name: _checked_layer(name, values, terms, clip) for name, values in _named(weights).items()}
    layers = Layers(
        tuple(arrays),
        tuple(_result_type(np.asarray(weights[name]).dtype) for name in arrays),
        tuple(array.shape for array in arrays.values()),
    )
    flat = np.empty(_COUNTS + layers.size)
    flat[:_COUNTS] = np.array([weight, 1]) * 2.0**-terms.scale_bits
    np.concatenate([array.reshape(-1) for array in arrays.values()], out=flat[_COUNTS:])
    flat[_COUNTS:] *= weight / terms.most_weight
    return pack_message(layers, terms.most_weight, 1, key.encrypt(flat, terms.codec))


class EncryptedSum:
    """The server's part of a round: contributions added up as they arrive, without the private key.

    Parameters
    ----------
    public_key : PublicKey
    terms : AveragingTerms

    Examples
    --------
    >>> import cipherlane as cl
    >>> public_key, _ = cl.keygen(bits=2048)
    >>> terms = AveragingTerms(parties=2, most_weight=1)
    >>> at_server = EncryptedSum(public_key, terms)
    >>> at_server.add(encrypt_weights(public_key, terms, {"w": [0.5]}, 1))
    >>> at_server.added
    1
    >>> at_server.to_bytes()
    Traceback (most recent call last):
    ...
    cipherlane.errors.ProtocolError: sum: expected contributions of at least 2 clients, got 1; wait for more clients
    """

    def __init__(self, public_key: PublicKey, terms: AveragingTerms) -> None:
        _check_key("public_key", public_key, PublicKey)
        self._key = public_key
        self._terms = terms
        self._layers: Layers | None = None
        self._total: CipherArray | None = None
        self._added = 0

    @property
    def added(self) -> int:
        """How many contributions are in it."""
        return self._added

    def add(self, contribution: bytes) -> None:
        """Add a client's contribution; one that is refused changes nothing.

        Raises
        ------
        ProtocolError
            It is no contribution, was made under other terms, or has other layers than the first.
        KeyMismatchError
            It was made with another key.
        PlaintextOverflowError
            There are as many contributions already as the terms allow.
        """
        if self._added >= self._terms.parties:
            raise PlaintextOverflowError(
                f"contribution: the terms have room for {self._terms.parties} clients, and one more came; "
                "raise parties at every site"
            )
        layers, added, array = _read(self._key, self._terms, contribution)
        if added != 1:
            raise ProtocolError(f"contribution: expected that of one client, got a sum of {added}")
        if self._layers is not None:
            layers.check_same(self._layers)
        self._total = array if self._total is None else self._total + array
        self._layers, self._added = layers, self._added + 1

    def to_bytes(self) -> bytes:
        """Return the sum under fresh randomness, for the clients.

        Raises
        ------
        ProtocolError
            Fewer clients than ``terms.least_parties`` contributed.
        """
        if self._total is None or self._layers is None or self._added < self._terms.least_parties:
            raise ProtocolError(
                f"sum: expected contributions of at least {self._terms.least_parties} clients, got {self._added}; "
                "wait for more clients"
            )
        return pack_message(self._layers, self._terms.most_weight, self._added, self._total)


def decrypt_average(private_key: PrivateKey, terms: AveragingTerms, data: bytes) -> Average:
    """Return the average that a sum holds.

    Raises
    ------
    ProtocolError
        It is no sum, was made under other terms, is of fewer clients than ``terms.least_parties``, or holds other
        numbers of clients or weights than it can.
    KeyMismatchError
        It was made with another key.
    """
    _check_key("private_key", private_key, PrivateKey)
    layers, added, array = _read(private_key.public_key, terms, data)
    if added < terms.least_parties:
        raise ProtocolError(
            f"sum: expected one of at least {terms.least_parties} clients, got one of {added}; it would show the "
            "model of those few, so ask the server for a sum of more"
        )
    try:
        values = np.asarray(private_key.decrypt(array))
    except ValueError as error:
        raise ProtocolError(f"sum: {error}") from None
    total, inside = (values[:_COUNTS] * 2.0**terms.scale_bits).astype(np.int64).tolist()
    if inside != added or not added <= total <= added * terms.most_weight:
        raise ProtocolError(
            f"sum: says that it is of {added} clients, and holds {inside} with weights of {total} in all; it was not "
            "made by adding contributions, so look at what the server runs"
        )
    return Average(layers.split(values[_COUNTS:] * (terms.most_weight / total)), total, added)


def _read(key: PublicKey, terms: AveragingTerms, data: bytes) -> tuple[Layers, int, CipherArray]:
    """Return layers, number of clients and ciphertexts of a message made under these terms."""
    message = unpack_message(data)
    try:
        array = CipherArray.from_bytes(key, message.ciphertexts)
    except KeyMismatchError:
        raise
    except ValueError as error:
        raise ProtocolError(f"ciphertexts: {error}") from None
    codec = terms.codec
    if (array.codec, array.scale_bits, message.most_weight) != (codec, terms.scale_bits, terms.most_weight):
        raise ProtocolError(
            f"terms: expected {codec} and a largest weight of {terms.most_weight}, got {array.codec} and "
            f"{message.most_weight}; give every client and the server the same terms"
        )
    if array.bound != message.added * codec.encoded_bound(codec.scale_bits):
        raise ProtocolError(f"bound: not that of {message.added} clients; ask the sender for it again")
    if array.shape != (_COUNTS + message.layers.size,):
        raise ProtocolError(f"ciphertexts: expected {_COUNTS + message.layers.size} values, got shape {array.shape}")
    return message.layers, message.added, array


def _check_weight(weight: object, terms: AveragingTerms) -> None:
    # Without the weight itself: hosts may tell the server what an error says.
    expected = f"weight: expected an integer from 1 to {terms.most_weight}"
    if isinstance(weight, bool) or not isinstance(weight, int | np.integer):
        raise TypeError(f"{expected}, got {type(weight).__name__}")
    if not 1 <= weight <= terms.most_weight:
        what = "a smaller one" if weight < 1 else "a larger one; raise most_weight in the terms at every site"
        raise ValueError(f"{expected}, got {what}")


def _check_key(name: str, key: object, kind: type | UnionType) -> None:
    if not isinstance(key, kind):
        expected = getattr(kind, "__name__", None) or "PublicKey or PrivateKey"
        raise TypeError(f"{name}: expected a {expected}, got {type(key).__name__}")


def _named(weights: Mapping[str, ArrayLike]) -> Mapping[str, ArrayLike]:
    if not isinstance(weights, Mapping):
        raise TypeError(f"weights: expected a mapping from layers' names to arrays, got {type(weights).__name__}")
    if not weights:
        raise ValueError("weights: expected at least one layer, got none; pass the model that was trained")
    return weights


def _checked_layer(name: str, values: ArrayLike, terms: AveragingTerms, clip: bool) -> NDArray[np.float64]:
    array = np.asarray(values)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"weights[{name!r}]: expected real numbers, got an array of {array.dtype}")
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise ValueError(f"weights[{name!r}]: expected finite numbers, got NaN or infinity; look at the training")
    largest = terms.largest_value
    if clip:
        clipped: NDArray[np.float64] = np.clip(array, -largest, largest)
        return clipped
    too_large = np.abs(array) > largest
    if too_large.any():
        index = tuple(int(i) for i in np.argwhere(too_large)[0])
        raise PlaintextOverflowError(
            f"weights[{name!r}]: expected magnitudes below 2^{terms.integer_bits}, got a larger one at index {index}; "
            "raise integer_bits in the terms at every site, or clip"
        )
    return array


def _result_type(dtype: np.dtype[Any]) -> str:
    return dtype.newbyteorder("<").str if dtype.str[1:] in ("f2", "f4", "f8") else "<f8"
