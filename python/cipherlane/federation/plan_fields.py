"""Strict reading of a plan's sections: unknown names get the closest known one, values get their range."""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any


class Section:
    """One table of a plan that is read field by field; `close` then refuses what was not read.

    Parameters
    ----------
    source
        The file, for messages.
    name
        The section's dotted name, for messages; empty at the top.
    values
        The table as TOML gives it.

    Examples
    --------
    >>> section = Section("plan.toml", "model", {"components": 2, "sed": 1})
    >>> section.whole("components", 2, 1024), section.whole("seed", 0, 9, default=0)
    (2, 0)
    >>> section.close()
    Traceback (most recent call last):
    ...
    ValueError: plan.toml: [model]: unknown field 'sed'; did you mean 'seed'?
    """

    def __init__(self, source: str, name: str, values: Mapping[str, Any]) -> None:
        self._source = source
        self._name = name
        self._values = values
        self._known: list[str] = []

    def error(self, field: str, expected: str, remedy: str = "") -> ValueError:
        """Return the error that says what was expected of `field`."""
        got = f"got {self._values[field]!r}" if field in self._values else "it is missing"
        ending = f"; {remedy}" if remedy else ""
        return ValueError(f"{self._source}: {self._label(field)}: expected {expected}, {got}{ending}")

    def section(self, field: str, *, required: bool = False) -> Section:
        """Return the table under `field`, empty if it is not there."""
        self._known.append(field)
        if required and field not in self._values:
            raise ValueError(f"{self._source}: the section [{self._child(field)}] is missing; add it")
        value = self._values.get(field, {})
        if not isinstance(value, Mapping):
            raise self.error(field, "a table")
        return Section(self._source, self._child(field), value)

    def optional_section(self, field: str) -> Section | None:
        """Return the table under `field`, or None where it is not there."""
        self._known.append(field)
        return self.section(field) if field in self._values else None

    def texts(self) -> dict[str, str]:
        """Return all fields of this table, each of which must be text."""
        return {name: self.text(name) for name in self._values}

    def sections(self, field: str) -> dict[str, Section]:
        """Return the tables under the table `field`, by name, in the file's order."""
        parent = self.section(field, required=True)
        return {name: parent.section(name) for name in parent._values}

    def text(self, field: str, *, default: str | None = None) -> str:
        """Return text."""
        value = self._take(field, default)
        if not isinstance(value, str) or not value:
            raise self.error(field, "text")
        return value

    def optional_text(self, field: str) -> str | None:
        """Return text, or None where the field is not there."""
        self._known.append(field)
        return self.text(field) if field in self._values else None

    def choice(self, field: str, allowed: Collection[str], *, default: str) -> str:
        """Return one of the allowed words."""
        value = self._take(field, default)
        if not isinstance(value, str) or value not in allowed:
            words = ", ".join(f'"{word}"' for word in allowed)
            raise self.error(field, f"one of {words}")
        return value

    def whole(self, field: str, minimum: int, maximum: int, *, default: int | None = None) -> int:
        """Return an integer within bounds."""
        value = self._take(field, default)
        if isinstance(value, bool) or not isinstance(value, int) or not minimum <= value <= maximum:
            raise self.error(field, f"an integer from {minimum} to {maximum}")
        return value

    def optional_whole(self, field: str, minimum: int, maximum: int) -> int | None:
        """Return an integer within bounds, or None where the field is not there."""
        self._known.append(field)
        return self.whole(field, minimum, maximum) if field in self._values else None

    def real(self, field: str, minimum: float, maximum: float, *, default: float | None = None) -> float:
        """Return a finite number within bounds."""
        value = self._take(field, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self.error(field, "a finite number")
        if not minimum <= value <= maximum:
            raise self.error(field, f"a number from {minimum:g} to {maximum:g}")
        return float(value)

    def optional_real(self, field: str, minimum: float, maximum: float) -> float | None:
        """Return a finite number within bounds, or None where the field is not there."""
        self._known.append(field)
        return self.real(field, minimum, maximum) if field in self._values else None

    def flag(self, field: str, *, default: bool) -> bool:
        """Return true or false."""
        value = self._take(field, default)
        if not isinstance(value, bool):
            raise self.error(field, "true or false")
        return value

    def optional_names(self, field: str) -> tuple[str, ...] | None:
        """Return a non-empty list of different names, or None where the field is not there."""
        self._known.append(field)
        if field not in self._values:
            return None
        value = self._values[field]
        names_are_text = isinstance(value, Sequence) and not isinstance(value, str)
        if not names_are_text or not value or not all(isinstance(name, str) and name for name in value):
            raise self.error(field, "a list of column names")
        if len(set(value)) != len(value):
            raise self.error(field, "different column names", "name each column once")
        return tuple(value)

    def close(self) -> None:
        """Refuse the fields that nothing has read."""
        for field in self._values:
            if field not in self._known:
                close = difflib.get_close_matches(field, self._known, n=1)
                known = ", ".join(sorted(set(self._known)))
                hint = f"did you mean {close[0]!r}?" if close else f"known here: {known}"
                where = f"[{self._name}]: " if self._name else ""
                raise ValueError(f"{self._source}: {where}unknown field {field!r}; {hint}")

    def _take(self, field: str, default: Any) -> Any:
        self._known.append(field)
        if field not in self._values and default is None:
            raise self.error(field, "a value", "add it")
        return self._values.get(field, default)

    def _child(self, field: str) -> str:
        return f"{self._name}.{field}" if self._name else field

    def _label(self, field: str) -> str:
        return f"[{self._name}] {field}" if self._name else field
