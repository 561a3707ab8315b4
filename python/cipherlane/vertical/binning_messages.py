"""Kinds of messages of binning, joined to the others in `cipherlane.vertical.messages`."""

from __future__ import annotations

from collections.abc import Mapping

from cipherlane.vertical.sealing import BOX_KEY_BYTES
from cipherlane.vertical.wire import Array, Binary, Field, Flag, ListOf, MapOf, Nullable, Real, Schema, Text, Whole

_MAXIMUM_ROWS = 1 << 31
_MAXIMUM_COLUMNS = 4096
_short = Text(256)
_box_key = Binary(exactly=BOX_KEY_BYTES)
_counts = Array(("<i8",), 1)
_flags = Array(("|u1",), 1)
_work: dict[str, Field] = {"ciphertexts": Whole(0, _MAXIMUM_ROWS), "seconds": Real()}

BINNING_SCHEMAS: Mapping[str, Schema] = {
    "binning_requirements": {
        "plan_sha256": Text(64, r"[0-9a-f]{64}"),
        "algorithm": _short,
        "key_bits": Whole(0, 4096),
        "scheme": _short,
        "rows_a_message": Whole(1, _MAXIMUM_ROWS),
        "method": _short,
        "bins": Whole(0, 1 << 16),
        "fine_bins": Whole(0, 1 << 16),
        "least_rows": Whole(0, _MAXIMUM_ROWS),
        "significance": Real(),
        "trend": _short,
        "missing": _short,
        "unseen": _short,
        "event": _short,
        "threshold": Nullable(Real()),
        "top": Nullable(Whole(1, 1 << 20)),
        "tell_woe": Flag(),
        "tell_names": Flag(),
        "least_of_each_class": Whole(0, _MAXIMUM_ROWS),
        "columns": Nullable(ListOf(Text(1024), _MAXIMUM_COLUMNS)),
        "rows": Nullable(Whole(0, _MAXIMUM_ROWS)),
        "memory_bytes": Nullable(Whole(0, 1 << 60)),
        "backend": Nullable(_short),
        "software": _short,
    },
    "make_binning_key": {"box_keys": MapOf(_box_key)},
    "binning_key": {"public_key": Text(1 << 16), "seconds": Real()},
    "form_bins": {"public_key": Text(1 << 16), "guest_box_key": _box_key},
    "formed_bins": {"sealed": Binary(), "seconds": Real()},
    "encrypt_labels": {},
    "encrypted_labels": {"sealed": MapOf(Binary()), **_work},
    "add_labels": {"sealed": Binary()},
    "added_labels": {"seconds": Real()},
    "send_bin_sums": {},
    "bin_sums": {"sealed": Binary(), **_work},
    "evaluate_bins": {"bins": MapOf(Binary()), "sums": MapOf(Binary())},
    "bin_verdicts": {"sealed": MapOf(Binary()), "seconds": Real()},
    "keep_bins": {"sealed": Nullable(Binary())},
}

# The contents of boxes between guest and hosts.
BINNING_SEALED: Mapping[str, Schema] = {
    "bin_layout": {
        # Of each column its bins, and how many of them, from the first, may be merged with neighbours.
        "bins": _counts,
        "ordered": _counts,
        "totals": _counts,
        "names": Nullable(ListOf(Text(1024), _MAXIMUM_COLUMNS)),
    },
    "label_ciphertexts": {"ciphertexts": Binary()},
    "bin_sum_ciphertexts": {"ciphertexts": Binary()},
    "bin_verdict": {
        "kept": _flags,
        # The merges of each column's ordered bins, one after the other; of those not kept, none of their bins.
        "merges": _counts,
        # Which columns are told their WoE, and a number a bin, those of merged bins first; empty if none may be told.
        "told": _flags,
        "woe": Array(("<f8",), 1),
    },
}
