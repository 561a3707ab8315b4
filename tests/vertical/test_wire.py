from __future__ import annotations

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cipherlane.errors import ProtocolError
from cipherlane.vertical import messages
from cipherlane.vertical.wire import (
    Array,
    Binary,
    Flag,
    ListOf,
    MapOf,
    Nullable,
    Real,
    Text,
    Whole,
    decode,
    encode,
    peek,
)

SCHEMA = {
    "name": Text(8, r"[a-z]+"),
    "count": Whole(0, 10),
    "value": Real(),
    "on": Flag(),
    "raw": Binary(maximum=16),
    "key": Binary(exactly=4),
    "table": Array(("<f8", "|u1"), 2),
    "list": ListOf(Whole(0, 3), maximum=2),
    "map": MapOf(Real(), maximum=2),
    "none": Nullable(Real()),
}
GOOD = {
    "name": "abc",
    "count": 7,
    "value": 1.5,
    "on": True,
    "raw": b"xyz",
    "key": b"1234",
    "table": np.arange(6.0).reshape(2, 3),
    "list": [1, 2],
    "map": {"a": 1.0},
    "none": None,
}


def test_a_message_comes_back_as_it_went() -> None:
    message = decode(encode("kind", 3, GOOD, SCHEMA), {"kind": SCHEMA})
    assert (message.kind, message.round) == ("kind", 3)
    np.testing.assert_array_equal(message["table"], GOOD["table"])
    assert {k: v for k, v in message.fields.items() if k != "table"} == {k: v for k, v in GOOD.items() if k != "table"}
    assert not message["table"].flags.writeable


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("name", "ABC", "matching"),
        ("name", "abcdefghi", "at most 8"),
        ("name", 3, "expected text"),
        ("count", 11, r"\[0, 10\]"),
        ("count", True, "an integer"),
        ("count", 1.0, "an integer"),
        ("value", float("nan"), "finite"),
        ("value", float("inf"), "finite"),
        ("on", 1, "true or false"),
        ("raw", b"x" * 17, "at most 16 bytes"),
        ("raw", "text", "bytes"),
        ("key", b"123", "expected 4 bytes"),
        ("table", np.array([[np.nan]]), "finite numbers"),
        ("table", np.arange(3.0), "2 dimensions"),
        ("table", np.array([["a"]], dtype=object), "expected an array"),
        ("table", np.zeros((1, 1), dtype=np.float32), "expected an array"),
        ("list", [1, 2, 3], "at most 2 items"),
        ("list", [9], r"\[0, 3\]"),
        ("map", {"a": 1.0, "b": 1.0, "c": 1.0}, "at most 2 names"),
        ("map", {"": 1.0}, "names of 1 to 64"),
    ],
)
def test_a_value_outside_the_schema_does_not_leave(field: str, value: object, expected: str) -> None:
    with pytest.raises(ProtocolError, match=expected):
        encode("kind", 0, {**GOOD, field: value}, SCHEMA)


def _tampered(**changes: object) -> bytes:
    outer = msgpack.unpackb(encode("kind", 1, GOOD, SCHEMA))
    outer[3].update(changes)
    return msgpack.packb(outer)


@pytest.mark.parametrize(
    "array",
    [
        {"d": "<f8", "s": [2, 3], "b": b"short"},
        {"d": "<f8", "s": [1 << 39, 1 << 39], "b": b""},
        {"d": "<f8", "s": [-1, -1], "b": b"\0" * 8},
        {"d": "<f8", "s": [True, 1], "b": b"\0" * 8},
        {"d": "|O", "s": [1, 1], "b": b"\0" * 8},
        {"d": "<f8", "s": [1, 1], "b": np.array(np.inf).tobytes()},
        {"d": "<f8", "s": [1], "b": b"\0" * 8},
        {"d": "<f8", "s": [1, 1], "b": b"\0" * 8, "x": 1},
        [1, 2],
    ],
)
def test_a_malformed_array_is_refused(array: object) -> None:
    with pytest.raises(ProtocolError):
        decode(_tampered(table=array), {"kind": SCHEMA})


def test_missing_unknown_and_foreign_parts_are_refused() -> None:
    data = encode("kind", 1, GOOD, SCHEMA)
    with pytest.raises(ProtocolError, match="unknown \\['extra'\\]"):
        decode(_tampered(extra=1), {"kind": SCHEMA})
    with pytest.raises(ProtocolError, match="missing \\['more'\\]"):
        decode(data, {"kind": {**SCHEMA, "more": Flag()}})
    with pytest.raises(ProtocolError, match="one of the kinds \\['other'\\]"):
        decode(data, {"other": SCHEMA})
    outer = msgpack.unpackb(data)
    with pytest.raises(ProtocolError, match="wire version"):
        decode(msgpack.packb([2, *outer[1:]]), {"kind": SCHEMA})
    with pytest.raises(ProtocolError, match="version, kind"):
        decode(msgpack.packb(outer[:3]), {"kind": SCHEMA})
    with pytest.raises(TypeError, match="expected bytes"):
        decode("text", {"kind": SCHEMA})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\xdd\xff\xff\xff\xff",  # a list that claims 2^32 - 1 items
        b"\xc6\xff\xff\xff\xff",  # bytes that claim 4 GiB
        b"\x91" * 100_000,  # nested without end
        b"\xc7\x01\x05x",  # an extension type
    ],
)
def test_claims_beyond_the_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode(data, {"kind": SCHEMA})
    with pytest.raises(ProtocolError):
        peek(data)


@given(st.data())
def test_no_cut_or_changed_message_does_more_than_be_refused(data: st.DataObject) -> None:
    whole = encode("kind", 1, GOOD, SCHEMA)
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(ProtocolError):
        decode(whole[:cut], {"kind": SCHEMA})
    with pytest.raises(ProtocolError):
        decode(whole + whole[:1], {"kind": SCHEMA})
    changed = bytearray(whole)
    changed[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        message = decode(bytes(changed), {"kind": SCHEMA})
    except ProtocolError:
        return
    assert set(message.fields) == set(SCHEMA)


def test_every_kind_has_an_edge_and_no_sealed_kind_has_one() -> None:
    assert set(messages.SCHEMAS) == set(messages.EDGES)
    assert not set(messages.SEALED) & set(messages.EDGES)
    for senders, receivers in messages.EDGES.values():
        assert (senders == {messages.COORDINATOR}) != (receivers == {messages.COORDINATOR})


def test_a_failure_crosses_with_its_type_and_its_sender() -> None:
    data = messages.pack_failure(2, ValueError("columns: expected three"))
    error = messages.failure_of(messages.unpack(data, "failure"), "host")
    assert type(error) is ValueError
    assert str(error) == "host: columns: expected three"
    unknown = messages.failure_of(messages.unpack(messages.pack_failure(0, KeyError("x")), "failure"), "h")
    assert type(unknown) is ProtocolError
