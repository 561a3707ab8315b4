"""A host of a binning: it cuts its columns, adds encrypted labels by bin, and is told which columns are kept."""

from __future__ import annotations

import csv
import io
import time

import numpy as np
from numpy.typing import NDArray

from cipherlane.binning import ColumnBins, FittedBinning, FittedColumn, category_bins, numeric_bins
from cipherlane.errors import ProtocolError
from cipherlane.federation.binning_party import BinningParty, rules_of, split_counts
from cipherlane.federation.binning_state import seal_sums, unseal_sums
from cipherlane.federation.responder import Handler
from cipherlane.paillier import CipherArray, PublicKey
from cipherlane.vertical.exchange import needed
from cipherlane.vertical.label_sums import add_labels, pack_sums, packed_count, read_labels
from cipherlane.vertical.messages import GUEST, pack
from cipherlane.vertical.wire import Message


class BinningHost(BinningParty):
    """A host: it sees labels encrypted alone, and knows of them what the plan has it told."""

    def _own_handlers(self) -> dict[str, Handler]:
        self._public_key: PublicKey | None = None
        self._guest_key = b""
        self._bins: list[ColumnBins] = []
        self._indices: NDArray[np.uint16] | None = None
        self._sums: CipherArray | None = None
        return {
            "form_bins": self._on_form_bins,
            "add_labels": self._on_add_labels,
            "send_bin_sums": self._on_send_bin_sums,
        }

    def _on_form_bins(self, message: Message) -> bytes:
        start, task = time.perf_counter(), self._current_task()
        self._public_key = PublicKey.from_json(message["public_key"])
        self._guest_key = message["guest_box_key"]
        try:
            self._form()
        except ValueError as error:
            # Names of columns and what is in them are for its own operator.
            self.notify(f"{self.row_source}: {error}")
            raise ProtocolError(
                f"host {self.name!r}: one of its columns cannot be cut; its operator is told why"
            ) from error
        indices = needed(self._indices, "bins without rows")
        totals = [np.bincount(indices[:, j], minlength=bins.count) for j, bins in enumerate(self._bins)]
        sealed = self._sealed_to(
            self._guest_key,
            "bin_layout",
            message.round,
            f"{GUEST}/{self.name}",
            bins=np.array([bins.count for bins in self._bins], dtype=np.int64),
            ordered=np.array([self._mergeable(j) for j in range(len(self._bins))], dtype=np.int64),
            totals=np.concatenate(totals).astype(np.int64),
            names=list(self.columns) if task["tell_names"] else None,
        )
        return pack("formed_bins", message.round, sealed=sealed, seconds=time.perf_counter() - start)

    def _form(self) -> None:
        rules = rules_of(self._current_task())
        columns = []
        for name in self.columns:
            values = self.values(name)
            bins: ColumnBins
            if isinstance(values, tuple):
                bins = category_bins(values, rules, column=name)
            else:
                bins = numeric_bins(values, rules, cuts=self._cuts.get(name), column=name)
            self._bins.append(bins)
            columns.append(bins.index(values, name).astype(np.uint16))  # type: ignore[arg-type]
        self._indices = np.column_stack(columns)

    def _mergeable(self, column: int) -> int:
        """Return how many bins of a column the guest may merge: none where cuts are the host's own."""
        return 0 if self.columns[column] in self._cuts else self._bins[column].ordered

    def _on_add_labels(self, message: Message) -> bytes:
        start, rows = time.perf_counter(), self._rows_of(message)
        indices = needed(self._indices, "labels come before the bins")
        key = needed(self._public_key, "labels come before the key")
        box = self._unsealed(message["sealed"], "label_ciphertexts", message.round)
        labels = read_labels(key, box["ciphertexts"], rows.stop - rows.start, GUEST)
        self._sums = add_labels(self._sums, labels, indices[rows], [bins.count for bins in self._bins])
        return pack("added_labels", message.round, seconds=time.perf_counter() - start)

    def _on_checkpoint(self, message: Message) -> bytes:
        seal_sums(self.sealed_store, message.round, needed(self._sums, "a checkpoint comes before labels"))
        return super()._on_checkpoint(message)

    def _on_restore(self, message: Message) -> bytes:
        key = needed(self._public_key, "sums are gone back to before the key")
        sums = unseal_sums(self.sealed_store, message.round, key)
        if len(sums) != sum(bins.count for bins in self._bins):
            raise ProtocolError("checkpoint: its sums are of other bins; start the run anew")
        self._sums = sums
        return super()._on_restore(message)

    def _on_send_bin_sums(self, message: Message) -> bytes:
        start, rows = time.perf_counter(), len(self.row_ids)
        if self._rows_of(message).stop != rows:
            raise ProtocolError("sums are asked for before the labels of all rows have come")
        sums = needed(self._sums, "sums are asked for before labels")
        sealed = self._sealed_to(
            self._guest_key,
            "bin_sum_ciphertexts",
            message.round,
            f"{GUEST}/{self.name}",
            ciphertexts=pack_sums(sums, rows).to_bytes(),
        )
        self._sums = None
        count = packed_count(len(sums), rows, sums.public_key.bits)
        return pack("bin_sums", message.round, sealed=sealed, ciphertexts=count, seconds=time.perf_counter() - start)

    def _on_keep_bins(self, message: Message) -> bytes:
        needed(self._indices, "a verdict comes before the bins")
        box = needed(message["sealed"], "a host is told nothing of its columns")
        verdict = self._unsealed(box, "bin_verdict", message.round)
        try:
            fitted = self._judged(verdict)
        except ValueError as error:
            raise ProtocolError(f"verdict from {GUEST!r}: does not fit the bins of {self.name!r} ({error})") from error
        self._write(fitted, (self._files.selected, selected_csv(fitted)))
        return self._noted(message)

    def _judged(self, verdict: Message) -> FittedBinning:
        """Return the bins of the columns as merged, with those that are kept and what is told of them."""
        count = len(self._bins)
        if verdict["kept"].shape != (count,) or verdict["told"].shape != (count,):
            raise ValueError(f"expected {count} columns, got {len(verdict['kept'])}")
        kept, told = verdict["kept"].astype(bool), verdict["told"].astype(bool)
        merges = split_counts(verdict["merges"], [self._mergeable(j) for j in range(count)])
        bins = [b.merged(merge) if len(merge) else b for b, merge in zip(self._bins, merges, strict=True)]
        if told.any() or len(verdict["woe"]):
            # Of each column as many numbers as it had bins; those of its merged bins come first.
            padded = split_counts(verdict["woe"], [b.count for b in self._bins])
        else:
            padded = [np.empty(0)] * count
        return FittedBinning(
            tuple(
                FittedColumn(name, b, tuple(w[: b.count].tolist()) if told[j] else None, bool(kept[j]))
                for j, (name, b, w) in enumerate(zip(self.columns, bins, padded, strict=True))
            )
        )


def selected_csv(fitted: FittedBinning) -> str:
    """Return a party's columns, their numbers of bins and whether they are kept, as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["column", "bins", "kept"])
    writer.writerows([column.name, column.bins.count, int(column.kept)] for column in fitted.columns)
    return text.getvalue()
