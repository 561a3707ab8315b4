"""The guest of a binning: it has the labels and the key, and judges every column by the sums of its labels."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from cipherlane.binning import (
    BinTable,
    ColumnBins,
    FittedBinning,
    FittedColumn,
    merge_by_label,
    select,
)
from cipherlane.binning.merging import merge_pure, merged
from cipherlane.binning.one_column import bin_column, binary_labels
from cipherlane.errors import ProtocolError
from cipherlane.federation.binning_host import selected_csv
from cipherlane.federation.binning_party import BinningParty, rules_of, split_counts
from cipherlane.federation.binning_results import BinningResult, HostColumn
from cipherlane.federation.binning_state import drop_private_key, seal_private_key, unseal_private_key
from cipherlane.federation.responder import Handler
from cipherlane.paillier import PrivateKey, keygen
from cipherlane.vertical.exchange import needed
from cipherlane.vertical.label_sums import encrypt_labels, unpack_sums
from cipherlane.vertical.messages import GUEST, pack
from cipherlane.vertical.wire import Message

Counts = NDArray[np.int64]


class BinningGuest(BinningParty):
    """A guest: its labels leave it encrypted alone, the private key never.

    Attributes
    ----------
    result
        The tables of all columns, and which are kept; None before the end.
    """

    def _own_handlers(self) -> dict[str, Handler]:
        self._private_key: PrivateKey | None = None
        self._events: NDArray[np.bool_] | None = None
        self._host_keys: dict[str, bytes] = {}
        self._columns: tuple[list[ColumnBins], list[BinTable]] | None = None
        self.result: BinningResult | None = None
        self._own: FittedBinning | None = None
        return {
            "make_binning_key": self._on_make_key,
            "encrypt_labels": self._on_encrypt_labels,
            "evaluate_bins": self._on_evaluate_bins,
        }

    def _reasons_to_decline(self, task: Message) -> list[str]:
        reasons = super()._reasons_to_decline(task)
        try:
            self._events = binary_labels(np.array(needed(self._table.labels, "no labels")), task["event"])
        except ValueError as error:
            # What its labels are is for its own operator.
            self.notify(f"{self.row_source}: {error} (`event` in [binning])")
            reasons.append("its labels are not two, one of them the plan's event; its operator is told more")
        return reasons

    def _on_make_key(self, message: Message) -> bytes:
        start, task = time.perf_counter(), self._current_task()
        self._host_keys = dict(message["box_keys"])
        try:
            # Before anything is encrypted: what cannot be cut ends the run.
            self._columns = self._own_columns()
        except ValueError as error:
            self.notify(f"{self.row_source}: {error}")
            raise ProtocolError(
                f"guest {self.name!r}: one of its columns cannot be cut; its operator is told why"
            ) from error
        self._private_key = key = self._run_key(task)
        seconds = time.perf_counter() - start
        return pack("binning_key", message.round, public_key=key.public_key.to_json(), seconds=seconds)

    def _run_key(self, task: Message) -> PrivateKey:
        """Return a new key pair, or the one under which an interrupted session has added labels."""
        if self._accepted is not None:
            return unseal_private_key(self.sealed_store)
        _, key = keygen(bits=task["key_bits"], scheme=task["scheme"])
        if self._store is not None:
            seal_private_key(self._store, key)
        return key

    def _on_encrypt_labels(self, message: Message) -> bytes:
        start, rows = time.perf_counter(), self._rows_of(message)
        key = needed(self._private_key, "labels are asked for before the key")
        events = needed(self._events, "labels are asked for before the plan's requirements")[rows]
        data = encrypt_labels(key, events)
        sealed = {
            host: self._sealed_to(box_key, "label_ciphertexts", message.round, host, ciphertexts=data)
            for host, box_key in self._host_keys.items()
        }
        seconds = time.perf_counter() - start
        return pack("encrypted_labels", message.round, sealed=sealed, ciphertexts=len(events), seconds=seconds)

    def _on_evaluate_bins(self, message: Message) -> bytes:
        start, task = time.perf_counter(), self._current_task()
        if set(message["bins"]) != set(self._host_keys) or set(message["sums"]) != set(self._host_keys):
            raise ProtocolError(f"sums: expected those of {sorted(self._host_keys)}, got {sorted(message['sums'])}")
        own_bins, own_tables = needed(self._columns, "sums come before the key")
        hosts = {name: self._host_columns(name, message) for name in self._host_keys}
        tables = {self.name: own_tables} | {name: [c.table for c in columns] for name, columns in hosts.items()}
        values = [table.information_value for party in tables.values() for table in party]
        flat = select(values, threshold=task["threshold"], top=task["top"])
        kept = dict(zip(tables, split_counts(flat, [len(party) for party in tables.values()]), strict=True))
        self.result = BinningResult(tables, kept)
        self._own = FittedBinning(
            tuple(
                FittedColumn(table.column, bins, tuple(table.woe.tolist()), bool(keep))
                for table, bins, keep in zip(own_tables, own_bins, kept[self.name], strict=True)
            )
        )
        sealed = {name: self._verdict(name, hosts[name], kept[name], message) for name in hosts}
        return pack("bin_verdicts", message.round, sealed=sealed, seconds=time.perf_counter() - start)

    def _own_columns(self) -> tuple[list[ColumnBins], list[BinTable]]:
        rules, events = rules_of(self._current_task()), needed(self._events, "columns are judged without labels")
        pairs = [
            bin_column(
                name,
                self.values(name),
                events,
                rules,
                is_category=self.is_category(name),
                cuts=self._cuts.get(name),
            )
            for name in self.columns
        ]
        return [bins for bins, _ in pairs], [table for _, table in pairs]

    def _host_columns(self, name: str, message: Message) -> list[HostColumn]:
        """Return a host's columns with their counts, merged as the plan has it."""
        layout = self._unsealed(message["bins"][name], "bin_layout", 0, f"{GUEST}/{name}")
        totals = self._checked_layout(name, layout)
        box = self._unsealed(message["sums"][name], "bin_sum_ciphertexts", message.round, f"{GUEST}/{name}")
        key, rows = needed(self._private_key, "sums come before the key"), len(self.row_ids)
        events = unpack_sums(key, box["ciphertexts"], layout["totals"], rows, name)
        counts = layout["bins"].tolist()
        per_column = split_counts(events, counts)
        wanted = int(needed(self._events, "sums come before labels").sum())
        if any(int(column.sum()) != wanted for column in per_column):
            raise ProtocolError(
                f"sums from {name!r}: the events of a column's bins are not those of the labels; the sums are wrong "
                "there, and nothing of them was used"
            )
        names = layout["names"] or [f"column {j + 1}" for j in range(len(counts))]
        return [
            self._host_column(column, e, t - e, int(ordered))
            for column, e, t, ordered in zip(names, per_column, totals, layout["ordered"], strict=True)
        ]

    def _checked_layout(self, name: str, layout: Message) -> list[Counts]:
        """Return how many rows each bin of each column has, after checking that they add up."""
        bins, ordered = layout["bins"], layout["ordered"]
        rows, least = len(self.row_ids), self._current_task()["least_rows"]
        if not len(bins) or bins.shape != ordered.shape or (bins < 1).any() or ((ordered < 0) | (ordered > bins)).any():
            raise ProtocolError(f"bins of {name!r}: expected at least one bin a column, and at most so many in order")
        if layout["names"] is not None and len(layout["names"]) != len(bins):
            raise ProtocolError(f"bins of {name!r}: expected {len(bins)} names, got {len(layout['names'])}")
        if len(layout["totals"]) != int(bins.sum()):
            raise ProtocolError(f"bins of {name!r}: expected {int(bins.sum())} sizes, got {len(layout['totals'])}")
        totals = split_counts(layout["totals"], bins.tolist())
        for column in totals:
            if (column < 0).any() or int(column.sum()) != rows:
                raise ProtocolError(f"bins of {name!r}: the rows of a column's bins are not {rows}, as there are")
            if len(column) > 1 and int(column.min()) < least:
                raise ProtocolError(f"bins of {name!r}: a bin has fewer rows than the plan's least_rows, {least}")
        return totals

    def _host_column(self, name: str, events: Counts, non_events: Counts, ordered: int) -> HostColumn:
        task, bins = self._current_task(), len(events)
        merge = np.empty(0, dtype=np.int64)
        if ordered:
            merge = merge_by_label(events[:ordered], non_events[:ordered], rules_of(task))
            if task["tell_woe"]:
                first, second = (merged(counts[:ordered], merge) for counts in (events, non_events))
                merge = merge_pure(first, second, task["least_of_each_class"])[merge]
            events, non_events = (
                np.concatenate([merged(counts[:ordered], merge), counts[ordered:]]) for counts in (events, non_events)
            )
        names = tuple(f"bin {k + 1}" for k in range(len(events)))
        return HostColumn(BinTable(name, names, events, non_events), merge, bins)

    def _verdict(self, name: str, columns: list[HostColumn], kept: NDArray[np.bool_], message: Message) -> bytes:
        task = self._current_task()
        told = [
            bool(keep) and task["tell_woe"] and column.may_be_told(task["least_of_each_class"])
            for column, keep in zip(columns, kept, strict=True)
        ]
        # As long whatever the verdict is, so that its size tells the coordinator nothing.
        merges = [
            column.merge if keep else np.arange(len(column.merge)) for column, keep in zip(columns, kept, strict=True)
        ]
        woe = [
            column.padded_woe() if tell else np.zeros(column.bins) for column, tell in zip(columns, told, strict=True)
        ]
        return self._sealed_to(
            self._host_keys[name],
            "bin_verdict",
            message.round,
            name,
            kept=kept.astype(np.uint8),
            merges=np.concatenate([np.empty(0, dtype=np.int64), *merges]),
            told=np.array(told, dtype=np.uint8),
            woe=np.concatenate(woe) if task["tell_woe"] else np.empty(0),
        )

    def _on_keep_bins(self, message: Message) -> bytes:
        result = needed(self.result, "columns are kept before they were judged")
        own = needed(self._own, "columns are kept before they were judged")
        self._write(
            own,
            (self._files.selected, selected_csv(own)),
            (self._files.tables, result.to_csv()),
            (self._files.report, result.to_json()),
        )
        return self._noted(message)

    def _on_finish(self, message: Message) -> bytes:
        # The sums have been decrypted, and what came of them is written.
        if self._store is not None:
            drop_private_key(self._store)
        return super()._on_finish(message)
