"""A checker of a run's whole transcript: who said what to whom, and whether a secret stands in the clear.

It is given what nobody in a real run has together, every message and every secret, and looks for
messages of a kind that may not travel on their edge, for secret numbers in any common encoding, for the
private key, for a single party's ciphertexts on their way to the arbiter, and for a ciphertext that crosses
twice, as it would if equal numbers were encrypted alike or one were passed on without fresh randomness.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cipherlane.errors import KeyMismatchError, ProtocolError
from cipherlane.federation.engine import Transcript
from cipherlane.paillier import CipherArray, PublicKey, hazmat
from cipherlane.vertical.messages import ARBITER, COORDINATOR, EDGES, unpack, unpack_sealed
from cipherlane.vertical.wire import Message, peek

_FIXED_POINT_BITS = (16, 20, 24, 30, 32, 40, 48, 52, 64)
_DECIMAL_TEXT = re.compile(rb"-?\d+\.\d{3,}(?:[eE][+-]?\d+)?")
_TEXT_DIGITS = (4, 5, 6, 8, 10, 12)
# An encoding with fewer significant bits than this turns up by chance and says nothing. One with fewer than the second
# does so where an array's bound, all ones, stands before three bytes of a ciphertext: by count, two of 24,210 arrays of
# ciphertexts. It tells something next to another.
_LEAST_ENTROPY_BITS = 20
_LONE_ENTROPY_BITS = 24
_LEAST_DIGITS = 6
# What the arbiter is sent: sums over parties, or what was re-randomised on its way.
_FROM_SUMS = ("score_sums", "joint_parameters", "added_column_sums", "added_column_spreads", "added_statistics")


@dataclass(frozen=True)
class Finding:
    """One thing in the transcript that should not be there."""

    index: int
    sender: str
    receiver: str
    kind: str
    problem: str


class Secrets:
    """Numbers that must not cross in the clear, in every encoding they might be found in.

    Parameters
    ----------
    values
        Features, log-densities, parameters: any arrays of floats. Numbers without enough digits to tell
        them from chance (0, 1, 0.5, ...) are left out.
    """

    def __init__(self, values: Iterable[NDArray[np.float64]]) -> None:
        joined = np.concatenate([np.asarray(array, dtype=np.float64).ravel() for array in values])
        finite = np.unique(joined[np.isfinite(joined)])
        # Numbers that float16 holds exactly are too short to be told from chance.
        with np.errstate(over="ignore"):
            self.numbers = finite[finite.astype(np.float16).astype(np.float64) != finite]
        self.words = np.unique(np.concatenate([self._float_words(), *self._fixed_point_words(_LEAST_ENTROPY_BITS)]))
        self.lone_words = np.unique(np.concatenate([self._float_words(), *self._fixed_point_words(_LONE_ENTROPY_BITS)]))
        self.halves = np.unique(self.numbers.astype("<f4").view("<u4"))
        self.singles = np.unique(self.numbers.astype(np.float32).astype(np.float64))
        self.texts = {
            f"{value:.{digits}{style}}".encode()
            for value in self.numbers
            for digits in _TEXT_DIGITS
            for style in ("f", "e")
        } | {repr(float(value)).encode() for value in self.numbers}
        self.texts = {text for text in self.texts if sum(48 <= byte <= 57 for byte in text.lstrip(b"-0.")) >= 6}

    def _float_words(self) -> NDArray[np.uint64]:
        words: NDArray[np.uint64] = self.numbers.astype("<f8").view("<u8")
        return words

    def _fixed_point_words(self, entropy_bits: int) -> list[NDArray[np.uint64]]:
        words = []
        for bits in _FIXED_POINT_BITS:
            scaled = np.rint(self.numbers * 2.0**bits)
            telling = (np.abs(scaled) < 2.0**63) & (np.abs(scaled) >= 2.0**entropy_bits)
            words.append(scaled[telling].astype("<i8").view("<u8"))
        return words


def check_transcript(
    transcript: Transcript,
    roles: Mapping[str, str],
    secrets: Secrets,
    *,
    key_numbers: Sequence[int] = (),
) -> list[Finding]:
    """Return everything in `transcript` that should not be there; an empty list is a pass.

    Parameters
    ----------
    transcript
        Of a run with ``keep_messages=True``.
    roles
        Every role's kind by its name, the coordinator left out.
    secrets
        The numbers to look for.
    key_numbers
        Secret integers of the private key (p, q): looked for as bytes, hexadecimal and decimal text.

    Raises
    ------
    ValueError
        The transcript's messages were not kept.
    """
    if len(transcript.messages) != len(transcript.entries):
        raise ValueError("transcript: its messages were not kept; train with keep_messages=True")
    kinds = {**roles, COORDINATOR: COORDINATOR}
    needles = _key_needles(key_numbers)
    from_parties: set[bytes] = set()
    ciphertexts = _Ciphertexts()
    findings = []
    entries = [*transcript.entries, *transcript.ledger_entries]
    messages = [*transcript.messages, *transcript.ledger_messages]
    for entry, data in zip(entries, messages, strict=True):
        sender, receiver = kinds.get(entry.sender), kinds.get(entry.receiver)
        problems = [*_edge_problems(data, sender, receiver), *_byte_problems(data, secrets)]
        problems += ["a number of the private key" for needle in needles if needle in data.lower()]
        message = _decoded(data)
        if message is not None:
            problems += [*_value_problems(message, secrets), *ciphertexts.problems(message)]
            if sender == ARBITER or receiver == ARBITER:
                problems += _single_party_problems(message, from_parties)
            else:
                from_parties.update(_binaries(message.fields))
        findings += [Finding(entry.index, entry.sender, entry.receiver, entry.kind, problem) for problem in problems]
    return findings


def check_box(content: bytes, secrets: Secrets) -> list[str]:
    """Return what should not be in a box that the coordinator relays, given what was sealed in it.

    A transcript holds boxes closed. Whoever seals one, or a test that watches, can have its content checked.
    """
    problems = _byte_problems(content, secrets)
    kind, _ = peek(content)
    return problems + _value_problems(unpack_sealed(content, kind), secrets)


def _edge_problems(data: bytes, sender: str | None, receiver: str | None) -> list[str]:
    try:
        kind, _ = peek(data)
        unpack(data, kind)
    except (ProtocolError, KeyError) as error:
        return [f"not a message that fits its schema: {error}"]
    senders, receivers = EDGES[kind]
    if sender not in senders or receiver not in receivers:
        return [f"a {kind!r} message may not go from a {sender} to a {receiver}"]
    return []


def _byte_problems(data: bytes, secrets: Secrets) -> list[str]:
    """Look for secrets at every offset of the raw bytes."""
    problems = []
    raw = np.frombuffer(data, dtype=np.uint8)
    for order, name in (("<", "little"), (">", "big")):
        for offset in range(8):
            usable = (len(raw) - offset) // 8 * 8
            words = raw[offset : offset + usable].view(f"{order}u8").astype(np.uint64)
            found = _members(words, secrets.words)
            if _members(words, secrets.lone_words).any() or (found[:-1] & found[1:]).any():
                problems.append(f"a secret as a 64-bit number, {name}-endian")
        for offset in range(4):
            usable = (len(raw) - offset) // 4 * 4
            halves = raw[offset : offset + usable].view(f"{order}u4").astype(np.uint32)
            found = _members(halves, secrets.halves)
            # One 32-bit hit in a long ciphertext is chance; two side by side are not.
            if (found[:-1] & found[1:]).any():
                problems.append(f"secrets as 32-bit floats, {name}-endian")
    if any(text in secrets.texts for text in _DECIMAL_TEXT.findall(data)):
        problems.append("a secret as text")
    return problems


def _members(values: NDArray[Any], known: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which of `values` stand in the sorted array `known`."""
    if not known.size:
        return np.zeros(values.shape, dtype=np.bool_)
    places = np.minimum(np.searchsorted(known, values), len(known) - 1)
    found: NDArray[np.bool_] = known[places] == values
    return found


def _value_problems(message: Message, secrets: Secrets) -> list[str]:
    """Look for secrets among the decoded numbers, where a single 32-bit float counts too."""
    numbers = np.array(list(_numbers(message.fields)), dtype=np.float64)
    if _members(numbers, secrets.numbers).any():
        return ["a secret as a number in a field"]
    if _members(numbers, secrets.singles).any():
        return ["a secret as a number in a field, rounded to 32 bits"]
    return []


def _single_party_problems(message: Message, from_parties: set[bytes]) -> list[str]:
    if message.kind not in _FROM_SUMS:
        return []
    if any(value in from_parties for name, value in _named_binaries(message.fields) if name != "names"):
        return ["one party's own ciphertexts, not re-randomised"]
    return []


class _Ciphertexts:
    """Every ciphertext that has crossed, one by one, under the keys that have crossed."""

    def __init__(self) -> None:
        self._keys: list[PublicKey] = []
        self._seen: set[int] = set()

    def problems(self, message: Message) -> list[str]:
        """Take in a message, and say what is wrong with its ciphertexts."""
        if message.kind in ("public_key", "key"):
            return self._take_key(message["public_key"])
        problems = []
        for name, data in _named_binaries(message.fields):
            if name != "ciphertexts":
                continue
            numbers = self._numbers(data)
            if numbers is None:
                problems.append("ciphertexts that are not whole, or of no key that has crossed")
            elif len(set(numbers)) < len(numbers) or not self._seen.isdisjoint(numbers):
                problems.append("a ciphertext that crossed before: equal numbers would show")
            self._seen.update(numbers or ())
        return problems

    def _take_key(self, text: str) -> list[str]:
        try:
            self._keys.append(PublicKey.from_json(text))
        except ValueError:
            return ["a public key that is none"]
        return []

    def _numbers(self, data: bytes) -> list[int] | None:
        for key in reversed(self._keys):
            try:
                return hazmat.to_integers(CipherArray.from_bytes(key, data))
            except (KeyMismatchError, ValueError):
                continue
        return None


def _decoded(data: bytes) -> Message | None:
    try:
        kind, _ = peek(data)
        return unpack(data, kind)
    except (ProtocolError, KeyError):
        return None


def _numbers(value: Any) -> Iterable[float]:
    if isinstance(value, np.ndarray):
        yield from value.astype(np.float64).ravel().tolist()
    elif isinstance(value, float):
        yield value
    elif isinstance(value, Mapping):
        for entry in value.values():
            yield from _numbers(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from _numbers(entry)


def _named_binaries(fields: Mapping[str, Any]) -> Iterable[tuple[str, bytes]]:
    for name, value in fields.items():
        if isinstance(value, bytes):
            yield name, value
        elif isinstance(value, Mapping):
            yield from ((name, entry) for entry in value.values() if isinstance(entry, bytes))


def _binaries(fields: Mapping[str, Any]) -> Iterable[bytes]:
    return (value for _, value in _named_binaries(fields))


def _significant_digits(text: bytes) -> int:
    return sum(48 <= byte <= 57 for byte in text.lstrip(b"-0."))


def _key_needles(numbers: Sequence[int]) -> list[bytes]:
    needles = []
    for number in numbers:
        raw = number.to_bytes((number.bit_length() + 7) // 8, "big")
        needles += [raw.lower(), raw[::-1].lower(), f"{number:x}".encode(), str(number).encode()]
    return needles


__all__ = ["Finding", "Secrets", "check_box", "check_transcript"]
