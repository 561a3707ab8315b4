"""Private set intersection on ids: two parties learn which ids both have, and of the others only how many.

Diffie-Hellman on the curve P-256 (Meadows 1986; Huberman, Franklin, Hogg 1999), as OpenMined's PSI library does it. The
guest sends H(x)^a for each of its ids; a host returns H(x)^(ab), and H(y)^b for each of its own; the guest takes off a
and compares. It then tells each host which of the host's ids all parties share, in a box sealed to that host.

Nothing here opens a file or a connection: each step takes bytes and gives bytes, whatever carries them. With several
hosts the guest goes through the steps with each and tells all of them what is common to all.

An exchange that only counts, for parties that should have no id in common, ends with the answer: the host returns what
it has blinded twice in sorted order, so that the guest learns how many ids both have and not which.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from cipherlane.errors import MissingExtraError, ProtocolError
from cipherlane.vertical.identifiers import IdRules
from cipherlane.vertical.matching import DIGEST_BYTES, SALT_BYTES, draw_salt, salted_digests
from cipherlane.vertical.sealing import BOX_KEY_BYTES, BoxKey, seal
from cipherlane.vertical.wire import Array, Binary, Flag, Message, Schema, Whole, decode, encode

_MAXIMUM_IDS = 1 << 24
_HASH_BYTES = 32
_count = Whole(1, _MAXIMUM_IDS)
_digest = Binary(exactly=_HASH_BYTES)

SCHEMAS: dict[str, Schema] = {
    "align_request": {"fold_case": Flag(), "only_count": Flag(), "ids": _count, "blinded": Binary()},
    "align_answer": {
        "request": _digest,
        "ids": _count,
        "own": Binary(),
        "blinded_twice": Binary(),
        "box_key": Binary(exactly=BOX_KEY_BYTES),
    },
    "align_result": {"answer": _digest, "sealed": Binary()},
    "align_common": {"salt": Binary(exactly=SALT_BYTES), "digests": Array(("|u1",), 2)},
    "align_asking": {
        "key": Binary(maximum=256),
        "request": _digest,
        "own_ids": _digest,
        "fold_case": Flag(),
        "only_count": Flag(),
    },
    "align_answering": {"key": Binary(exactly=BOX_KEY_BYTES), "answer": _digest, "own_ids": _digest},
}
_Value = TypeVar("_Value")


def check_code(message: bytes) -> str:
    """Return a short code of a message, for two people to compare over another channel.

    Examples
    --------
    >>> check_code(b"request")
    '1f58-b914-5b24-d108'
    """
    digits = hashlib.sha256(message).hexdigest()[:16]
    return "-".join(digits[i : i + 4] for i in range(0, 16, 4))


@dataclass(frozen=True, repr=False)
class Asking:
    """The guest's side of an alignment with one host.

    Attributes
    ----------
    request
        What to send to the host.
    only_count
        Whether it asks how many ids both have, and not which.
    """

    request: bytes
    _key: bytes
    _ids: tuple[str, ...]
    _fold_case: bool
    only_count: bool = False

    @classmethod
    def begin(
        cls, ids: Sequence[str], rules: IdRules | None = None, source: str = "ids", *, only_count: bool = False
    ) -> Asking:
        """Blind the ids under a fresh key.

        Parameters
        ----------
        only_count
            Ask how many ids both have, and not which.

        Raises
        ------
        TypeError, ValueError
            The ids do not meet the rules.
        MissingExtraError
            The PSI library is not installed.
        """
        rules = rules or IdRules()
        own = rules.apply(ids, source)
        client = _library().client.CreateWithNewKey(not only_count)
        key: bytes = client.GetPrivateKeyBytes()
        blinded = client.CreateRequest(list(_order(own, key))).SerializeToString()
        fields = {"fold_case": rules.fold_case, "only_count": only_count, "ids": len(own), "blinded": blinded}
        return cls(_encode("align_request", fields), key, own, rules.fold_case, only_count)

    def common(self, answer: bytes) -> tuple[str, ...]:
        """Return the ids that the host has too, normalised and sorted.

        Raises
        ------
        ProtocolError
            The answer is damaged, or to another request.
        ValueError
            The request asked only how many there are.
        """
        if self.only_count:
            raise ValueError("request: it asked only how many ids both have; begin another to learn which")
        client, setup, response = self._received(answer)
        ordered = _order(self._ids, self._key)
        positions = _guarded("answer", lambda: client.GetIntersection(setup, response))
        return tuple(sorted(ordered[position] for position in positions))

    def count(self, answer: bytes) -> int:
        """Return how many of the ids the host has too.

        Raises
        ------
        ProtocolError
            The answer is damaged, or to another request.
        """
        client, setup, response = self._received(answer)
        return int(_guarded("answer", lambda: client.GetIntersectionSize(setup, response)))

    def _received(self, answer: bytes) -> tuple[Any, Any, Any]:
        """Return the library's side that asked, and the two parts of an answer that belongs to it."""
        reply = _decode("align_answer", answer)
        if reply["request"] != _hash(self.request):
            raise ProtocolError("answer: it is to another request; ask that host to answer this one")
        library = _library()
        client = library.client.CreateFromKey(self._key, not self.only_count)
        setup, response = library.ServerSetup(), library.Response()
        _guarded(
            "answer", lambda: (setup.ParseFromString(reply["own"]), response.ParseFromString(reply["blinded_twice"]))
        )
        if len(response.encrypted_elements) != len(self._ids) or len(setup.raw.encrypted_elements) != reply["ids"]:
            raise ProtocolError(f"answer: expected one entry for each of the {len(self._ids)} ids asked about")
        return client, setup, response

    def tell(self, answer: bytes, common: Sequence[str]) -> bytes:
        """Return the message that tells the host of `answer` which ids are common to all parties.

        Raises
        ------
        ValueError
            There is none.
        """
        if not common:
            raise ValueError("common: the parties share no id; check that the id columns mean the same")
        salt = draw_salt()
        content = _encode("align_common", {"salt": salt, "digests": salted_digests(common, salt)})
        about = _hash(answer)
        box = seal(_decode("align_answer", answer)["box_key"], content, _context(about))
        return _encode("align_result", {"answer": about, "sealed": box})

    def to_bytes(self) -> bytes:
        """Return what has to be kept, secret, until the answer is there."""
        fields = {
            "key": self._key,
            "request": _hash(self.request),
            "own_ids": _hash_ids(self._ids),
            "fold_case": self._fold_case,
            "only_count": self.only_count,
        }
        return _encode("align_asking", fields)

    @classmethod
    def from_bytes(cls, kept: bytes, request: bytes, ids: Sequence[str], source: str = "ids") -> Asking:
        """Go on with what `to_bytes` kept, the request that was sent and the same ids in any order.

        Raises
        ------
        ValueError
            They do not belong together.
        """
        state = _decode("align_asking", kept)
        own = IdRules(state["fold_case"]).apply(ids, source)
        if state["own_ids"] != _hash_ids(own) or state["request"] != _hash(request):
            raise ValueError(
                f"{source}: not the ids, or not the request, that this alignment was begun with; begin anew"
            )
        return cls(request, state["key"], own, state["fold_case"], state["only_count"])


@dataclass(frozen=True, repr=False)
class Answering:
    """A host's side of an alignment.

    Attributes
    ----------
    answer
        What to send back to the guest.
    asked
        How many ids the guest asked about.
    only_count
        Whether it asked how many ids both have, and not which: then nothing comes after the answer.
    """

    answer: bytes
    asked: int
    _box: BoxKey
    _ids: tuple[str, ...]
    only_count: bool = False

    @classmethod
    def to(
        cls,
        request: bytes,
        ids: Sequence[str],
        rules: IdRules | None = None,
        *,
        source: str = "ids",
        most_asked: int | None = None,
    ) -> Answering:
        """Blind the guest's ids a second time and the own ones once, under a fresh key.

        Parameters
        ----------
        most_asked
            Refuse a request about more ids than this: whoever asks about all ids there are learns all that are here.

        Raises
        ------
        TypeError, ValueError
            The ids do not meet the rules, the rules are not the guest's, or the request is about too many ids.
        ProtocolError
            The request is damaged.
        MissingExtraError
            The PSI library is not installed.
        """
        rules = rules or IdRules()
        asked = _decode("align_request", request)
        if asked["fold_case"] != rules.fold_case:
            theirs = "folds" if asked["fold_case"] else "keeps"
            raise ValueError(
                f"rules: the guest {theirs} the case of ids, this side does not; agree on one and begin anew"
            )
        if most_asked is not None and asked["ids"] > most_asked:
            raise ValueError(
                f"request: it asks about {asked['ids']} ids, at most {most_asked} are allowed here; "
                "talk to the guest before allowing more"
            )
        own = rules.apply(ids, source)
        library = _library()
        # Where it does not reveal which, the library sorts what it has blinded twice.
        server = library.server.CreateWithNewKey(not asked["only_count"])
        blinded = library.Request()
        _guarded("request", lambda: blinded.ParseFromString(asked["blinded"]))
        if len(blinded.encrypted_elements) != asked["ids"]:
            raise ProtocolError(f"request: expected {asked['ids']} blinded ids, got {len(blinded.encrypted_elements)}")
        # Raw: exact, where a filter would now and then take a foreign id for a common one.
        setup = server.CreateSetupMessage(0.0, asked["ids"], list(own), library.DataStructure.RAW)
        response = _guarded("request", lambda: server.ProcessRequest(blinded))
        box = BoxKey()
        fields = {
            "request": _hash(request),
            "ids": len(own),
            "own": setup.SerializeToString(),
            "blinded_twice": response.SerializeToString(),
            "box_key": box.public,
        }
        return cls(_encode("align_answer", fields), asked["ids"], box, own, asked["only_count"])

    def common(self, result: bytes) -> tuple[str, ...]:
        """Return the ids that all parties have, normalised and sorted.

        Raises
        ------
        ProtocolError
            The result is damaged, to another answer, or names an id that is not here.
        """
        told = _decode("align_result", result)
        about = _hash(self.answer)
        if told["answer"] != about:
            raise ProtocolError("result: it is to another answer; ask the guest for the one to this answer")
        content = _decode("align_common", self._box.open(told["sealed"], _context(about)))
        digests = content["digests"]
        if digests.shape[1:] != (DIGEST_BYTES,):
            raise ProtocolError(f"result: expected digests of {DIGEST_BYTES} bytes")
        told_digests = {row.tobytes() for row in digests}
        found = [name for name in self._ids if salted_digests([name], content["salt"]).tobytes() in told_digests]
        if len(found) != len(digests):
            raise ProtocolError(f"result: {len(digests) - len(found)} of {len(digests)} ids are not here; begin anew")
        return tuple(sorted(found))

    def to_bytes(self) -> bytes:
        """Return what has to be kept, secret, until the result is there."""
        fields = {"key": self._box.private_bytes(), "answer": _hash(self.answer), "own_ids": _hash_ids(self._ids)}
        return _encode("align_answering", fields)

    @classmethod
    def from_bytes(
        cls, kept: bytes, answer: bytes, ids: Sequence[str], rules: IdRules | None = None, source: str = "ids"
    ) -> Answering:
        """Go on with what `to_bytes` kept, the answer that was sent and the same ids in any order.

        Raises
        ------
        ValueError
            They do not belong together.
        """
        state = _decode("align_answering", kept)
        own = (rules or IdRules()).apply(ids, source)
        if state["own_ids"] != _hash_ids(own) or state["answer"] != _hash(answer):
            raise ValueError(f"{source}: not the ids, rules or answer that this alignment was begun with; begin anew")
        return cls(answer, len(own), BoxKey.from_private_bytes(state["key"]), own)


def align(parties: Sequence[Sequence[str]], rules: IdRules | None = None) -> tuple[str, ...]:
    """Return the ids that all parties have, by the whole protocol, with all of them in this process.

    Parameters
    ----------
    parties
        The ids of each, the guest's first.

    Examples
    --------
    >>> align([["b", "a", "x"], ["a ", "b", "y"]])
    ('a', 'b')
    """
    guest, *hosts = parties
    asked = [(Asking.begin(guest, rules, "guest"), ids) for ids in hosts]
    answers = [Answering.to(asking.request, ids, rules, source="host") for asking, ids in asked]
    shared = set((rules or IdRules()).apply(guest, "guest"))
    for (asking, _), answering in zip(asked, answers, strict=True):
        shared.intersection_update(asking.common(answering.answer))
    common = tuple(sorted(shared))
    for (asking, _), answering in zip(asked, answers, strict=True):
        told = answering.common(asking.tell(answering.answer, common))
        if told != common:
            raise ProtocolError("align: a host found other ids than the guest; begin anew")
    return common


def count_common(first: Sequence[str], second: Sequence[str], rules: IdRules | None = None) -> int:
    """Return how many ids two parties both have, by the protocol that only counts, with both in this process.

    Examples
    --------
    >>> count_common(["b", "a", "x"], ["a ", "b", "y"])
    2
    """
    asking = Asking.begin(first, rules, "first", only_count=True)
    return asking.count(Answering.to(asking.request, second, rules, source="second").answer)


def _order(ids: Sequence[str], key: bytes) -> list[str]:
    """Return ids in an order that tells nothing of them, and that whoever has the key finds again."""
    secret = hashlib.sha256(key).digest()
    return sorted(ids, key=lambda name: hashlib.blake2b(name.encode(), key=secret, digest_size=16).digest())


def _encode(kind: str, fields: dict[str, Any]) -> bytes:
    return encode(kind, 0, fields, SCHEMAS[kind])


def _decode(kind: str, data: bytes) -> Message:
    return decode(data, {kind: SCHEMAS[kind]})


def _hash(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _hash_ids(ids: Sequence[str]) -> bytes:
    return _hash("\n".join(sorted(ids)).encode())


def _context(answer: bytes) -> bytes:
    return b"align_common|" + answer


def _guarded(name: str, step: Callable[[], _Value]) -> _Value:
    """Return what the library makes of received bytes, or refuse them in our words."""
    from google.protobuf.message import DecodeError

    try:
        return step()
    except (RuntimeError, DecodeError) as error:
        reason = str(error).splitlines()[0]
        raise ProtocolError(f"{name}: not what the PSI library makes ({reason}); ask for it again") from error


def _library() -> Any:
    try:
        from private_set_intersection import python
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "aligning ids needs the PSI library: pip install 'cipherlane[align]' (wheels: Linux x86-64 with glibc 2.35 "
            "or later, macOS on Apple silicon)"
        ) from error
    return python


__all__ = ["Answering", "Asking", "align", "check_code", "count_common"]
