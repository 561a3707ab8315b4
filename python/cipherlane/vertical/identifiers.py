"""Rules by which two parties' spellings of an id are the same, and what is no id at all."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

MAXIMUM_LENGTH = 256
_SHOWN = 5


@dataclass(frozen=True)
class IdRules:
    r"""How ids are normalised before they are compared; both sides must use the same rules.

    Ids are text. Always: Unicode normal form C, then white space at both ends taken off. Only if asked for: case
    folded. Nothing else is touched: ``007`` and ``7`` differ, so do ``A-1`` and ``A1``.

    Attributes
    ----------
    fold_case
        Whether upper and lower case are the same (Unicode case folding).

    Examples
    --------
    >>> IdRules().normalise("  cafe\u0301 ") == "caf\u00e9"
    True
    >>> IdRules().normalise("Ab"), IdRules(fold_case=True).normalise("Ab")
    ('Ab', 'ab')
    """

    fold_case: bool = False

    def normalise(self, identifier: str) -> str:
        """Return the id as it is compared."""
        text = unicodedata.normalize("NFC", identifier).strip()
        # Folding may take a text out of normal form.
        return unicodedata.normalize("NFC", text.casefold()) if self.fold_case else text

    def apply(self, identifiers: Sequence[str], source: str = "ids") -> tuple[str, ...]:
        """Return all ids normalised, in their order.

        Parameters
        ----------
        identifiers
            One a row.
        source
            Where they come from, for messages, which count rows from 1.

        Raises
        ------
        TypeError
            An id is no text.
        ValueError
            There are none, or one is empty, too long, not printable, or the same as another after normalising.
        """
        if not identifiers:
            raise ValueError(f"{source}: expected at least one id, got none")
        rows: dict[str, int] = {}
        repeated: list[str] = []
        for row, identifier in enumerate(identifiers, start=1):
            if not isinstance(identifier, str):
                raise TypeError(
                    f"{source}: row {row}: expected an id as text, got {type(identifier).__name__}; "
                    "turn ids into text yourself, so that leading zeros are kept as you mean them"
                )
            text = self.normalise(identifier)
            if not text:
                raise ValueError(f"{source}: row {row}: the id is empty; give every row one")
            if len(text) > MAXIMUM_LENGTH or not text.isprintable():
                raise ValueError(
                    f"{source}: row {row}: expected an id of at most {MAXIMUM_LENGTH} printable characters"
                )
            if text in rows:
                repeated.append(f"rows {rows[text]} and {row}")
            else:
                rows[text] = row
        if repeated:
            shown = "; ".join(repeated[:_SHOWN]) + ("; ..." if len(repeated) > _SHOWN else "")
            raise ValueError(
                f"{source}: {len(repeated)} ids are the same as an earlier one {self.describe()} ({shown}); "
                "keep one row for each id"
            )
        return tuple(rows)

    def describe(self) -> str:
        """Return the rules in words."""
        folded = ", case folded" if self.fold_case else ", case kept"
        return f"after normalising (NFC, white space at both ends taken off{folded})"
