"""Private set intersection on ids: what it finds, what crosses, and what is refused."""

from __future__ import annotations

import random
from typing import Any

import pytest

from cipherlane.errors import MissingExtraError, ProtocolError
from cipherlane.vertical import alignment
from cipherlane.vertical.alignment import SCHEMAS, Answering, Asking, align, check_code, count_common
from cipherlane.vertical.identifiers import IdRules
from cipherlane.vertical.wire import decode, encode

GUEST = [f"patient {number}" for number in range(40)]
HOST = [f"patient {number}" for number in range(25, 70)]
COMMON = tuple(sorted(f"patient {number}" for number in range(25, 40)))


@pytest.fixture(autouse=True)
def library() -> Any:
    return pytest.importorskip("private_set_intersection.python", reason="the extra `align` is not installed")


def _changed(kind: str, data: bytes, **fields: Any) -> bytes:
    message = decode(data, {kind: SCHEMAS[kind]})
    return encode(kind, 0, {**message.fields, **fields}, SCHEMAS[kind])


def test_both_sides_find_the_common_ids_in_one_order_whatever_the_order_of_their_rows() -> None:
    rng = random.Random(3)
    for _ in range(3):
        asking = Asking.begin(rng.sample(GUEST, len(GUEST)))
        answering = Answering.to(asking.request, rng.sample(HOST, len(HOST)))
        assert answering.asked == len(GUEST)
        assert asking.common(answering.answer) == COMMON
        assert answering.common(asking.tell(answering.answer, COMMON)) == COMMON


def test_with_several_hosts_each_is_told_only_what_all_have() -> None:
    third = [f"patient {number}" for number in (30, 31, 90)]
    assert align([GUEST, HOST, third]) == ("patient 30", "patient 31")
    asking = Asking.begin(GUEST)
    answering = Answering.to(asking.request, HOST)
    assert answering.common(asking.tell(answering.answer, ("patient 30",))) == ("patient 30",)


def test_nothing_that_crosses_holds_an_id_and_nothing_repeats() -> None:
    crossed = []
    for _ in range(2):
        asking = Asking.begin(GUEST)
        answering = Answering.to(asking.request, HOST)
        crossed += [asking.request, answering.answer, asking.tell(answering.answer, COMMON)]
    for message in crossed:
        assert b"patient" not in message
    elements: list[bytes] = []
    for request in (crossed[0], crossed[3]):
        blinded = alignment._library().Request()
        blinded.ParseFromString(decode(request, SCHEMAS_REQUEST)["blinded"])
        elements += blinded.encrypted_elements
    # Fresh keys: the same id never looks the same twice.
    assert len(set(elements)) == 2 * len(GUEST)


SCHEMAS_REQUEST = {"align_request": SCHEMAS["align_request"]}


def test_the_order_of_a_request_tells_nothing_of_the_ids() -> None:
    orders = {tuple(alignment._order(GUEST, bytes([key]) * 32)) for key in range(5)}
    assert len(orders) == 5
    assert all(set(order) == set(GUEST) for order in orders)
    assert tuple(sorted(GUEST)) not in orders


def test_both_sides_can_stop_and_go_on_later() -> None:
    asking = Asking.begin(GUEST)
    kept = asking.to_bytes()
    answering = Answering.to(asking.request, HOST)
    kept_there = answering.to_bytes()
    again = Asking.from_bytes(kept, asking.request, list(reversed(GUEST)))
    assert again.common(answering.answer) == COMMON
    result = again.tell(answering.answer, COMMON)
    assert Answering.from_bytes(kept_there, answering.answer, list(reversed(HOST))).common(result) == COMMON
    with pytest.raises(ValueError, match="not the ids, or not the request, that this alignment was begun with"):
        Asking.from_bytes(kept, asking.request, GUEST[1:])
    with pytest.raises(ValueError, match="not the ids, rules or answer"):
        Answering.from_bytes(kept_there, answering.answer, HOST[1:])
    with pytest.raises(ValueError, match="not the ids, rules or answer"):
        Answering.from_bytes(kept_there, answering.answer + b"x", HOST)


def test_messages_of_other_alignments_are_told_apart() -> None:
    first, second = Asking.begin(GUEST), Asking.begin(GUEST)
    answering = Answering.to(first.request, HOST)
    other = Answering.to(second.request, HOST)
    with pytest.raises(ProtocolError, match="it is to another request"):
        second.common(answering.answer)
    with pytest.raises(ProtocolError, match="it is to another answer"):
        answering.common(second.tell(other.answer, COMMON))


def test_damaged_messages_are_refused() -> None:
    asking = Asking.begin(GUEST)
    answering = Answering.to(asking.request, HOST)
    result = asking.tell(answering.answer, COMMON)
    for data in (b"", b"x" * 40, asking.request[:-1], answering.answer):
        with pytest.raises(ProtocolError):
            Answering.to(data, HOST)
    for blinded in (b"\x08\xff", b"", b"\x08\x01\x12\x02ab"):
        with pytest.raises(ProtocolError, match="request: "):
            Answering.to(_changed("align_request", asking.request, blinded=blinded, ids=1), HOST)
    with pytest.raises(ProtocolError, match="request: expected 41 blinded ids, got 40"):
        Answering.to(_changed("align_request", asking.request, ids=41), HOST)
    for fields in ({"own": b"\x0a\x05"}, {"blinded_twice": b"\x0a\x02ab"}, {"blinded_twice": b""}, {"own": b""}):
        with pytest.raises(ProtocolError, match="answer: "):
            asking.common(_changed("align_answer", answering.answer, **fields))
    sealed = decode(result, {"align_result": SCHEMAS["align_result"]})["sealed"]
    with pytest.raises(ProtocolError, match="sealed box"):
        answering.common(_changed("align_result", result, sealed=sealed[:-1] + b"\0"))
    with pytest.raises(ProtocolError, match="1 of 2 ids are not here"):
        answering.common(asking.tell(answering.answer, ("patient 1", "patient 30")))


def test_a_host_can_limit_what_it_is_asked_and_rules_must_agree() -> None:
    asking = Asking.begin(GUEST)
    with pytest.raises(ValueError, match="asks about 40 ids, at most 39 are allowed here"):
        Answering.to(asking.request, HOST, most_asked=39)
    with pytest.raises(ValueError, match="the guest keeps the case of ids, this side does not"):
        Answering.to(asking.request, HOST, IdRules(fold_case=True))
    with pytest.raises(ValueError, match="the parties share no id"):
        align([["a"], ["b"]])


def test_a_count_is_right_and_tells_not_which() -> None:
    assert count_common(GUEST, HOST) == len(COMMON)
    assert count_common(["a"], ["b"]) == 0
    asking = Asking.begin(GUEST, only_count=True)
    answering = Answering.to(asking.request, HOST)
    assert answering.only_count and answering.asked == len(GUEST)
    kept = Asking.from_bytes(asking.to_bytes(), asking.request, GUEST)
    assert kept.count(answering.answer) == len(COMMON)
    with pytest.raises(ValueError, match="it asked only how many ids both have"):
        kept.common(answering.answer)


def test_the_order_of_an_answer_that_only_counts_is_the_host_s() -> None:
    """The guest cannot tell by place which of its ids an element belongs to, even if it knows which are common."""
    found = []
    for only_count in (False, True):
        asking = Asking.begin(GUEST, only_count=only_count)
        answer = decode(Answering.to(asking.request, HOST).answer, {"align_answer": SCHEMAS["align_answer"]})
        library = alignment._library()
        setup, response = library.ServerSetup(), library.Response()
        setup.ParseFromString(answer["own"])
        response.ParseFromString(answer["blinded_twice"])
        client = library.client.CreateFromKey(asking._key, True)
        ordered = alignment._order(GUEST, asking._key)
        found.append({ordered[position] for position in client.GetIntersection(setup, response)})
        if only_count:
            assert list(response.encrypted_elements) == sorted(response.encrypted_elements)
    assert found[0] == set(COMMON)
    # A guest that looks where it may not sees other ids than the common ones.
    assert len(found[1]) == len(COMMON) and found[1] != set(COMMON)


def test_no_secret_is_shown() -> None:
    asking = Asking.begin(GUEST)
    answering = Answering.to(asking.request, HOST)
    for side in (asking, answering):
        assert "patient" not in repr(side) and "_key" not in repr(side)
    assert check_code(asking.request) != check_code(answering.answer)


def test_a_missing_library_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "private_set_intersection", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'cipherlane\[align\]'"):
        Asking.begin(["a"])
