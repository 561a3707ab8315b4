"""A data party that bins: its columns, its rows' ids, and what it answers before labels come in."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cipherlane.binning import BinningRules, FittedBinning
from cipherlane.federation import capability
from cipherlane.federation.plan import BINNING, PartyPlan
from cipherlane.federation.responder import Handler
from cipherlane.federation.row_matching import RowMatcher
from cipherlane.files import told
from cipherlane.paillier import current_backend
from cipherlane.vertical.exchange import needed
from cipherlane.vertical.messages import MAXIMUM_COLUMNS, box_context, pack, pack_sealed, unpack_sealed
from cipherlane.vertical.sealed_files import SealedStore
from cipherlane.vertical.sealing import seal
from cipherlane.vertical.tables import Table, column_position, read_csv
from cipherlane.vertical.wire import Message

BINS_FILE = "binning.sealed"
# Encrypted labels of so many rows cross at a time: 134 MB with a 2048-bit key.
ROWS_A_MESSAGE = 1 << 18


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


class BinningParty(RowMatcher):
    """A guest or host whose columns are binned; its values and the edges of its bins never leave it.

    Parameters
    ----------
    name, role
        Who it is.
    table
        Its rows.
    id_column
        The column its ids stand in.
    cuts
        Its own cuts, by column.
    store
        Its sealed directory, for the bins; None keeps none.
    files
        Where it writes its results.
    declines
        Why its operator does not want to take part; None to take part if it can.

    Attributes
    ----------
    fitted
        Its columns' bins in the end; None before.
    """

    def __init__(
        self,
        name: str,
        role: str,
        table: Table,
        *,
        id_column: str = "id",
        cuts: dict[str, list[float]] | None = None,
        store: SealedStore | None = None,
        files: BinningFiles | None = None,
        declines: str | None = None,
    ) -> None:
        super().__init__(name, role)
        # Matched parties' rows are in one order.
        self._table = table.take(sorted(range(len(table.ids)), key=table.ids.__getitem__))
        self._cuts = cuts or {}
        self._store = store
        self._files = files or BinningFiles()
        self._declines = declines
        self._task: Message | None = None
        self.columns = (*table.columns, *table.texts)
        self.schema = "\n".join([id_column, *self.columns]).encode()
        self.fitted: FittedBinning | None = None
        unknown = sorted(set(self._cuts) - set(table.columns))
        if unknown:
            column_position(table.source, list(table.columns), unknown[0], "column to cut")
        self.handlers = {
            "binning_requirements": self._on_requirements,
            **self.match_handlers(),
            **self._own_handlers(),
        }

    def _own_handlers(self) -> dict[str, Handler]:
        """Return the handlers of guest or host, whose state begins here; the base has none."""
        return {}

    @classmethod
    def prepare(cls, plan: PartyPlan, store: SealedStore | None, files: BinningFiles) -> BinningParty:
        """Read the party's file as its section of the plan says."""
        table = read_csv(plan.data, plan.id_column, plan.columns, plan.label_column, plan.categories)
        return cls(
            plan.name,
            plan.role,
            table,
            id_column=plan.id_column,
            cuts=None if plan.cuts is None else read_cuts(plan.cuts),
            store=store,
            files=files,
            declines=plan.declines,
        )

    @property
    def row_ids(self) -> tuple[str, ...]:
        """The ids of its rows."""
        return self._table.ids

    @property
    def row_source(self) -> str:
        """The file that its rows came from."""
        return self._table.source

    # What it has, and whether it takes part.

    def _on_requirements(self, message: Message) -> bytes:
        reasons = self._reasons_to_decline(message)
        self._task = message
        return pack(
            "capability",
            message.round,
            accepts=not reasons,
            reason="; ".join(reasons),
            rows=len(self.row_ids),
            columns=len(self.columns),
            memory_needed=self._memory_needed(message),
            memory_available=capability.available_memory(),
            seconds_per_iteration=None,
            backend=current_backend(),
            threads=capability.threads(),
            software=capability.software(),
            clock=time.time(),
            box_key=self._box.public,
        )

    def _reasons_to_decline(self, task: Message) -> list[str]:
        reasons = [] if self._declines is None else [self._declines]
        if task["algorithm"] != BINNING:
            reasons.append(f"it is set up for {BINNING}")
        if task["columns"] is not None and sorted(task["columns"]) != sorted(self.columns):
            reasons.append("its columns are not those the plan names")
        if task["rows"] is not None and task["rows"] != len(self.row_ids):
            reasons.append(f"the plan requires {task['rows']} rows, it has {len(self.row_ids)}")
        try:
            rules_of(task)
        except ValueError as error:
            reasons.append(str(error))
        return reasons + capability.machine_reasons(task, self._memory_needed(task))

    def _memory_needed(self, task: Message) -> int:
        rows, key_bits = len(self.row_ids), task["key_bits"]
        # Its numbers twice, two bytes a bin's number, and a message's ciphertexts as numbers and, twice, as bytes.
        ciphertexts: int = min(rows, task["rows_a_message"]) * key_bits // 4
        return rows * len(self.columns) * 18 + 3 * ciphertexts

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

    def _current_task(self) -> Message:
        return needed(self._task, "work is asked for before the plan's requirements")

    def _sealed_to(self, key: bytes, kind: str, message: Message, receiver: str, **fields: Any) -> bytes:
        content = pack_sealed(kind, message.round, **fields)
        return seal(key, content, box_context(kind, message.round, receiver))

    def _opened(self, box: bytes, kind: str, round_number: int, receiver: str | None = None) -> Message:
        context = box_context(kind, round_number, receiver or self.name)
        return unpack_sealed(self._box.open(box, context), kind)

    def _keep(self, fitted: FittedBinning) -> None:
        self.fitted = fitted
        if self._store is not None:
            self._store.write(BINS_FILE, fitted.to_json().encode())


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
