"""What the guest of a binning has in the end: every column's table, and which columns are kept."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cipherlane.binning import BinTable
from cipherlane.binning.merging import Merge

FORMAT = 1


@dataclass(frozen=True)
class HostColumn:
    """A host's column as the guest knows it: counts of merged bins, how to merge, and how many bins there were."""

    table: BinTable
    merge: Merge
    bins: int

    def may_be_told(self, least: int) -> bool:
        """Return whether every bin has at least `least` rows of each class."""
        return int(min(self.table.events.min(), self.table.non_events.min())) >= least

    def padded_woe(self) -> NDArray[np.float64]:
        """Return the WoE of the merged bins, and zeros up to as many as there were bins."""
        return np.pad(self.table.woe, (0, self.bins - len(self.table.woe)))


@dataclass(frozen=True)
class BinningResult:
    """The tables of all columns by party, and which of them are kept.

    Attributes
    ----------
    tables
        The guest's columns, then the hosts'. The hosts' bins are numbered: their edges are known to the hosts alone.
    kept
        bool, one a column, by party.
    """

    tables: Mapping[str, Sequence[BinTable]]
    kept: Mapping[str, NDArray[np.bool_]]

    def selected(self, party: str) -> list[str]:
        """Return the names of a party's columns that are kept."""
        return [t.column for t, keep in zip(self.tables[party], self.kept[party], strict=True) if keep]

    def information_values(self, party: str) -> dict[str, float]:
        """Return the information value of a party's columns by name."""
        return {table.column: table.information_value for table in self.tables[party]}

    def to_csv(self) -> str:
        """Return one line a bin: counts, weight of evidence, the bin's and the column's information value."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["party", "column", "bin", "events", "non_events", "woe", "iv", "column_iv", "kept"])
        for party, tables in self.tables.items():
            for table, keep in zip(tables, self.kept[party], strict=True):
                total = table.information_value
                writer.writerows([party, table.column, *row, total, int(keep)] for row in table.rows())
        return text.getvalue()

    def to_json(self) -> str:
        """Return the same as JSON, for the run's report."""
        columns: list[dict[str, Any]] = [
            {
                "party": party,
                "column": table.column,
                "bins": list(table.names),
                "events": table.events.tolist(),
                "non_events": table.non_events.tolist(),
                "woe": table.woe.tolist(),
                "iv": table.iv.tolist(),
                "information_value": table.information_value,
                "kept": bool(keep),
            }
            for party, tables in self.tables.items()
            for table, keep in zip(tables, self.kept[party], strict=True)
        ]
        return json.dumps({"format": FORMAT, "columns": columns}, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> BinningResult:
        """Return what `to_json` wrote.

        Raises
        ------
        ValueError
            The text is something else.
        """
        tables: dict[str, list[BinTable]] = {}
        kept: dict[str, list[bool]] = {}
        try:
            for column in json.loads(text)["columns"]:
                counts = [np.array(column[name], dtype=np.int64) for name in ("events", "non_events")]
                table = BinTable(column["column"], tuple(column["bins"]), *counts)
                tables.setdefault(column["party"], []).append(table)
                kept.setdefault(column["party"], []).append(bool(column["kept"]))
        except (ValueError, KeyError, TypeError, RecursionError):
            raise ValueError("not the tables of a binning; the run's files were changed") from None
        return cls(tables, {party: np.array(flags) for party, flags in kept.items()})
