"""A data party that bins: its columns, its rows' ids, and what it answers before labels come in."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from cipherlane.binning import BinningRules, FittedBinning
from cipherlane.federation.binning_state import seal_bins, seal_rows, unseal_rows
from cipherlane.federation.party import Party
from cipherlane.federation.plan import BINNING, PartyPlan
from cipherlane.federation.responder import Handler
from cipherlane.files import told, write_whole
from cipherlane.vertical.messages import MAXIMUM_COLUMNS, pack
from cipherlane.vertical.sealed_files import SealedStore
from cipherlane.vertical.tables import Table, column_position, read_csv
from cipherlane.vertical.wire import Message

# Encrypted labels of so many rows cross at a time: 134 MB with a 2048-bit key.
ROWS_A_MESSAGE = 1 << 18
BinningPartyT = TypeVar("BinningPartyT", bound="BinningParty")


@dataclass(frozen=True)
class BinningFiles:
    """Where a party writes what is its own in the end; None writes nothing.

    Attributes
    ----------
    selected
        Its own columns, and which of them were kept.
    tables, report
        The guest's: the counts, weights of evidence and information values of all columns, as CSV and as JSON.
    """

    selected: Path | None = None
    tables: Path | None = None
    report: Path | None = None


class BinningParty(Party[Table, BinningFiles]):
    """A guest or host whose columns are binned; its values and the edges of its bins never leave it.

    Parameters
    ----------
    name, role, table, id_column, store, files, declines
        As for `Party`; rows are put in the order of their ids.
    cuts
        Its own cuts, by column.

    Attributes
    ----------
    fitted
        Its columns' bins in the end; None before.
    """

    algorithm = BINNING

    def __init__(
        self,
        name: str,
        role: str,
        table: Table,
        *,
        id_column: str = "id",
        store: SealedStore | None = None,
        files: BinningFiles | None = None,
        cuts: dict[str, list[float]] | None = None,
        declines: str | None = None,
    ) -> None:
        super().__init__(
            name,
            role,
            # Matched parties' rows are in one order.
            table.take(sorted(range(len(table.ids)), key=table.ids.__getitem__)),
            id_column=id_column,
            columns=(*table.columns, *table.texts),
            store=store,
            files=files or BinningFiles(),
            declines=declines,
        )
        self._cuts = cuts or {}
        self.fitted: FittedBinning | None = None
        unknown = sorted(set(self._cuts) - set(table.columns))
        if unknown:
            column_position(table.source, list(table.columns), unknown[0], "column to cut")
        self.handlers = {
            "binning_requirements": self._on_requirements,
            **self.match_handlers(),
            "checkpoint": self._on_checkpoint,
            "restore": self._on_restore,
            "keep_bins": self._on_keep_bins,
            "finish": self._on_finish,
            **self._own_handlers(),
        }

    @abstractmethod
    def _own_handlers(self) -> dict[str, Handler]:
        """Return the handlers of guest or host alone, whose state begins here."""

    @classmethod
    def prepare(
        cls: type[BinningPartyT], plan: PartyPlan, store: SealedStore, files: BinningFiles, model: None = None
    ) -> BinningPartyT:
        """Read the party's file as its section of the plan says, and seal its rows; no `model` precedes it."""
        table = read_csv(plan.data, plan.id_column, plan.columns, plan.label_column, plan.categories)
        cuts = {} if plan.cuts is None else read_cuts(plan.cuts)
        party = cls._of(plan, table, store, files, cuts=cuts)
        seal_rows(store, party._table, cuts)
        return party

    @classmethod
    def _kept_rows(cls, store: SealedStore) -> tuple[Table, dict[str, Any]]:
        table, cuts = unseal_rows(store)
        return table, {"cuts": cuts}

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of its columns: those of numbers, then those of categories."""
        return (*self._table.columns, *self._table.texts)

    # What it has, and whether it takes part.

    def _reasons_to_decline(self, task: Message) -> list[str]:
        reasons = super()._reasons_to_decline(task)
        if task["algorithm"] != BINNING:
            reasons.append(f"it is set up for {BINNING}")
        try:
            rules_of(task)
        except ValueError as error:
            reasons.append(str(error))
        return reasons

    def _memory_needed(self, task: Message) -> int:
        rows, key_bits = len(self.row_ids), task["key_bits"]
        # Its numbers twice, two bytes a bin's number, and a message's ciphertexts as numbers and, twice, as bytes.
        ciphertexts: int = min(rows, task["rows_a_message"]) * key_bits // 4
        return rows * len(self.columns) * 18 + 3 * ciphertexts

    # What it keeps.

    def _on_checkpoint(self, message: Message) -> bytes:
        return self._noted(message)

    def _on_restore(self, message: Message) -> bytes:
        return self._noted(message)

    @abstractmethod
    def _on_keep_bins(self, message: Message) -> bytes:
        """Keep the bins, and write the results."""

    def _on_finish(self, message: Message) -> bytes:
        return pack("finished", message.round, rows=len(self.row_ids), model_sha256=None)

    def _write(self, fitted: FittedBinning, *results: tuple[Path | None, str]) -> None:
        """Seal the bins, and write results where a place for them is named."""
        self.fitted = fitted
        if self._store is not None:
            seal_bins(self._store, fitted)
        for path, content in results:
            if path is not None:
                write_whole(path, content)

    # Small parts.

    def values(self, column: str) -> NDArray[np.float64] | tuple[str, ...]:
        """Return a column: numbers, or the texts of categories."""
        if column in self._table.texts:
            return self._table.texts[column]
        found: NDArray[np.float64] = self._table.values[:, self._table.columns.index(column)]
        return found

    def is_category(self, column: str) -> bool:
        """Return whether a column holds categories."""
        return column in self._table.texts

    def _rows_of(self, message: Message) -> slice:
        """Return the rows whose labels cross in a round."""
        each = self._current_task()["rows_a_message"]
        start = (message.round - 1) * each
        if not 0 <= start < len(self.row_ids):
            raise ValueError(f"round {message.round}: there are no rows left whose labels could cross")
        return slice(start, min(start + each, len(self.row_ids)))


def rules_of(task: Message) -> BinningRules:
    """Return the rules that a plan's requirements hold."""
    return BinningRules(
        task["method"],
        task["bins"],
        task["fine_bins"],
        task["least_rows"],
        task["significance"],
        task["trend"],
        task["missing"],
        task["unseen"],
    )


def read_cuts(path: Path) -> dict[str, list[float]]:
    """Return a party's own cuts: a JSON object with a list of rising numbers for each column.

    Raises
    ------
    ValueError
        The file is not there or holds something else.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no such file; correct `cuts` in the plan")
    with told(path):
        text = path.read_text(encoding="utf-8", errors="replace")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not valid JSON ({error})") from None
    if not isinstance(content, dict) or not all(isinstance(cuts, list) for cuts in content.values()):
        raise ValueError(f'{path}: expected an object such as {{"age": [30, 45, 60]}}')
    if len(content) > MAXIMUM_COLUMNS:
        raise ValueError(f"{path}: expected at most {MAXIMUM_COLUMNS} columns, got {len(content)}")
    return content


def split_counts(flat: NDArray[Any], counts: Sequence[int]) -> list[NDArray[Any]]:
    """Return a row of numbers in parts of the given lengths, which must add up to all of it."""
    if len(flat) != sum(counts):
        raise ValueError(f"expected {sum(counts)} numbers, got {len(flat)}")
    return np.split(flat, np.cumsum(counts)[:-1])
