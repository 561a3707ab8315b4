"""The rules by which spellings of an id are the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cipherlane.vertical.identifiers import IdRules


@pytest.mark.parametrize(
    ("written", "kept", "folded"),
    [
        ("  12 ", "12", "12"),
        ("007", "007", "007"),
        ("\u00a0A-1\t", "A-1", "a-1"),
        ("Jose\u0301", "Jos\u00e9", "jos\u00e9"),
        ("STRASSE", "STRASSE", "strasse"),
        ("Stra\u00dfe", "Stra\u00dfe", "strasse"),
        ("a  b", "a  b", "a  b"),
    ],
)
def test_what_is_normalised_and_what_is_not(written: str, kept: str, folded: str) -> None:
    assert IdRules().normalise(written) == kept
    assert IdRules(fold_case=True).normalise(written) == folded


@given(st.text(), st.booleans())
def test_normalising_twice_changes_nothing(text: str, fold_case: bool) -> None:
    rules = IdRules(fold_case)
    once = rules.normalise(text)
    assert rules.normalise(once) == once


def test_what_is_no_id_is_refused_with_its_row() -> None:
    rules = IdRules()
    assert rules.apply(["b", " a "]) == ("b", "a")
    for ids, expected in (
        ([], "file.csv: expected at least one id"),
        (["a", "  "], "file.csv: row 2: the id is empty"),
        (["a", "b\x00c"], "row 2: expected an id of at most 256 printable characters"),
        (["x" * 257], "row 1: expected an id of at most 256"),
        (["a", "b", "a ", "b"], r"2 ids are the same .*case kept\) \(rows 1 and 3; rows 2 and 4\)"),
        (["\u00e9", "e\u0301"], "1 ids are the same"),
    ):
        with pytest.raises(ValueError, match=expected):
            rules.apply(ids, "file.csv")
    with pytest.raises(ValueError, match="case folded"):
        IdRules(fold_case=True).apply(["A", "a"])
    assert rules.apply(["A", "a"]) == ("A", "a")
    with pytest.raises(TypeError, match="row 2: expected an id as text, got int"):
        rules.apply(["1", 1])  # type: ignore[list-item]
