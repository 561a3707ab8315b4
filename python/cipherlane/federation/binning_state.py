"""What the parties of a binning keep sealed while it is on: their rows, the guest's key, and a host's sums so far."""

from __future__ import annotations

import json

import numpy as np

from cipherlane.binning import FittedBinning
from cipherlane.federation.sealed_state import TABLE_FILE, read_checkpoint, write_checkpoint
from cipherlane.paillier import CipherArray, PrivateKey, PublicKey
from cipherlane.paillier.pem import Secrets, from_plain, to_plain
from cipherlane.vertical.messages import MAXIMUM_COLUMNS
from cipherlane.vertical.sealed_files import SealedStore
from cipherlane.vertical.tables import Table
from cipherlane.vertical.wire import Array, Binary, ListOf, Nullable, Schema, Text, decode, encode

BINS_FILE = "binning.sealed"
_KEY_FILE = "private-key.sealed"
_KIND = "binning_table"
# Lists of texts as JSON: they may be as long as the table.
_SCHEMA: Schema = {
    "source": Text(1 << 16),
    "ids": Binary(),
    "labels": Nullable(Binary()),
    "columns": ListOf(Text(1024), MAXIMUM_COLUMNS),
    # The bits of float64: missing cells are NaN, which no message may hold.
    "values": Array(("<i8",), 2),
    "texts": Binary(),
    "cuts": Binary(),
}


def seal_rows(store: SealedStore, table: Table, cuts: dict[str, list[float]]) -> None:
    """Keep a party's rows, in the order of their ids, and its own cuts."""
    fields = {
        "source": table.source,
        "ids": _packed(table.ids),
        "labels": None if table.labels is None else _packed(table.labels),
        "columns": list(table.columns),
        "values": table.values.view(np.int64),
        "texts": _packed(dict(table.texts)),
        "cuts": _packed(cuts),
    }
    store.write(TABLE_FILE, encode(_KIND, 0, fields, _SCHEMA))


def unseal_rows(store: SealedStore) -> tuple[Table, dict[str, list[float]]]:
    """Return what `seal_rows` kept."""
    found = decode(store.read(TABLE_FILE), {_KIND: _SCHEMA})
    labels, texts = found["labels"], json.loads(found["texts"])
    table = Table(
        found["source"],
        tuple(json.loads(found["ids"])),
        tuple(found["columns"]),
        found["values"].view(np.float64),
        None if labels is None else tuple(json.loads(labels)),
        {name: tuple(column) for name, column in texts.items()},
    )
    return table, json.loads(found["cuts"])


def _packed(content: object) -> bytes:
    return json.dumps(content).encode()


def seal_private_key(store: SealedStore, key: PrivateKey) -> None:
    """Keep the run's private key: sums that were made under it are lost without it."""
    store.write(_KEY_FILE, to_plain(Secrets(key.p, key.q, key.public_key.h_s, key.generators)))


def unseal_private_key(store: SealedStore) -> PrivateKey:
    """Return the run's private key."""
    found = from_plain(store.read(_KEY_FILE))
    return PrivateKey(found.p, found.q, h_s=found.h_s, generators=found.generators)


def drop_private_key(store: SealedStore) -> None:
    """Delete the run's private key, which a finished run has no use for."""
    store.remove(_KEY_FILE)


def seal_sums(store: SealedStore, part: int, sums: CipherArray) -> None:
    """Keep a host's sums after a part of the labels."""
    # They stay where they were made.
    write_checkpoint(store, part, sums.to_bytes(rerandomize=False))


def unseal_sums(store: SealedStore, part: int, key: PublicKey) -> CipherArray:
    """Return a host's sums as they were after a part of the labels."""
    return CipherArray.from_bytes(key, read_checkpoint(store, part))


def seal_bins(store: SealedStore, fitted: FittedBinning) -> None:
    """Keep a party's bins, which new rows are transformed with."""
    store.write(BINS_FILE, fitted.to_json().encode())


def unseal_bins(store: SealedStore) -> FittedBinning:
    """Return a party's bins."""
    return FittedBinning.from_json(store.read(BINS_FILE))
