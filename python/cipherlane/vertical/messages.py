"""Every kind of message of the federated algorithms: who may send it to whom, and what it holds.

Kinds in `EDGES` travel between the coordinator and a role. Kinds in `SEALED` never travel bare: they are
the contents of boxes that the coordinator relays and cannot open.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cipherlane.errors import (
    BackendUnavailableError,
    CipherlaneError,
    KeyMismatchError,
    LedgerError,
    MissingExtraError,
    PlaintextOverflowError,
    ProtocolError,
    StorageError,
)
from cipherlane.vertical.binning_messages import BINNING_SCHEMAS, BINNING_SEALED
from cipherlane.vertical.matching import SALT_BYTES
from cipherlane.vertical.responsibility_table import MAXIMUM_DECIMALS, ROUNDING_OFF
from cipherlane.vertical.sealing import BOX_KEY_BYTES
from cipherlane.vertical.wire import (
    Array,
    Binary,
    Field,
    Flag,
    ListOf,
    MapOf,
    Message,
    Nullable,
    Real,
    Schema,
    Text,
    Whole,
    decode,
    encode,
)

COORDINATOR = "coordinator"
ARBITER = "arbiter"
GUEST = "guest"
HOST = "host"
NAME_PATTERN = r"[a-z][a-z0-9_-]{0,31}"
MAXIMUM_ROWS = 1 << 31
MAXIMUM_COMPONENTS = 1024
MAXIMUM_COLUMNS = 4096

_name = Text(32, NAME_PATTERN)
_rows = Whole(0, MAXIMUM_ROWS)
_components = Whole(2, MAXIMUM_COMPONENTS)
_boxes = MapOf(Binary())
_box_key = Binary(exactly=BOX_KEY_BYTES)
_vector = Array(("<f8",), 1)
_decimals = Whole(ROUNDING_OFF, MAXIMUM_DECIMALS)
_digests = Array(("|u1",), 2)
_short = Text(256)
_bits = Whole(0, 4096)
# Of the ledger: opaque here.
_signed = ListOf(Binary(1 << 20), 1024)
_blocks = ListOf(Binary(1 << 26))

_purpose = Text(16, "train|validate|score")
_work: dict[str, Field] = {"em_seconds": Real(), "encrypt_seconds": Real()}

_encoding: dict[str, Field] = {
    "parties": Whole(2, 256),
    "fraction_bits": _bits,
    "integer_bits": _bits,
    "packing": Flag(),
}
_training: dict[str, Field] = {
    "components": _components,
    "key_bits": _bits,
    "scheme": _short,
    "plan_sha256": Text(64, r"[0-9a-f]{64}"),
    "algorithm": _short,
    "covariance_type": _short,
    "regularisation": Real(),
    "decimals": _decimals,
    **_encoding,
}

SCHEMAS: Mapping[str, Schema] = {
    "requirements": {
        **_training,
        # The settings of a logistic regression, as `LogisticSettings` writes them; null for other algorithms.
        "logistic": Nullable(Text(4096)),
        "training": Flag(),
        "share_parameters": _short,
        "max_iterations": Whole(1, 1 << 31),
        "columns": Nullable(ListOf(Text(1024), MAXIMUM_COLUMNS)),
        "rows": Nullable(_rows),
        "memory_bytes": Nullable(Whole(0, 1 << 60)),
        "seconds_per_iteration": Nullable(Real()),
        "backend": Nullable(_short),
        "software": _short,
    },
    "capability": {
        "accepts": Flag(),
        "reason": Text(4096),
        "rows": _rows,
        "columns": Whole(0, MAXIMUM_COLUMNS),
        "memory_needed": Whole(0, 1 << 60),
        "memory_available": Whole(0, 1 << 60),
        "seconds_per_iteration": Nullable(Real()),
        "backend": _short,
        "threads": Whole(1, 1 << 16),
        "software": MapOf(_short),
        "clock": Real(),
        "box_key": _box_key,
    },
    "match_open": {"box_keys": MapOf(_box_key)},
    "match_offer": {"rows": _rows, "sealed": _boxes},
    "match_check": {"sealed": Binary(), "guest_box_key": _box_key},
    "match_result": {
        "matched": Flag(),
        "rows": _rows,
        "only_here": _rows,
        "only_there": _rows,
        "sealed": Nullable(Binary()),
    },
    "match_differs": {"party": _name, "sealed": Binary()},
    "arbiter_task": {
        **_training,
        "rows": _rows,
        "tolerance": Real(),
        "box_keys": MapOf(_box_key),
    },
    "public_key": {"public_key": Text(1 << 16), "box_key": _box_key, "clock": Real()},
    "key": {"public_key": Text(1 << 16), "arbiter_box_key": _box_key, "rows": _rows},
    "initialise": {"start": _short, "seed": Whole(0, (1 << 32) - 1), "box_keys": MapOf(_box_key)},
    "initial_responsibilities": {"sealed": _boxes},
    "start": {"sealed": Binary()},
    "restore": {},
    "weights": {"weights": _vector, "counts": _vector},
    "update": {"sealed": Nullable(Binary()), "weights": _vector, "counts": _vector},
    "evaluate": {},
    "encrypted_scores": {"ciphertexts": Binary(), "em_seconds": Real(), "encrypt_seconds": Real()},
    "score_sums": {"ciphertexts": Binary(), "weights": Nullable(_vector), "receivers": ListOf(_name, 256)},
    "responsibilities": {
        "sealed": _boxes,
        "weights": _vector,
        "counts": _vector,
        "log_likelihood": Real(),
        "change": Nullable(Real()),
        "converged": Flag(),
        "decrypt_seconds": Real(),
        "e_step_seconds": Real(),
    },
    "send_parameters": {},
    "encrypted_parameters": {
        "columns": Whole(1, MAXIMUM_COLUMNS),
        "ciphertexts": Binary(),
        "names": Binary(),
    },
    "joint_parameters": {
        "columns": MapOf(Whole(1, MAXIMUM_COLUMNS)),
        "ciphertexts": _boxes,
        "names": _boxes,
        "weights": _vector,
    },
    "column_sums": {},
    "added_column_sums": {"columns": Whole(1, MAXIMUM_COLUMNS), "ciphertexts": Binary()},
    "column_spreads": {"sealed": Binary()},
    "added_column_spreads": {"ciphertexts": Binary()},
    "column_moments": {"sealed": _boxes},
    "standardise": {"sealed": Binary()},
    "initial_centres": {"sealed": _boxes},
    "begin": {
        "sealed": Nullable(Binary()),
        "seed": Whole(0, (1 << 32) - 1),
        "position": Whole(0, 255),
        "from_model": Flag(),
    },
    "expect": {"sealed": Binary()},
    "encrypted_statistics": {"ciphertexts": Binary(), "em_seconds": Real(), "encrypt_seconds": Real()},
    "added_statistics": {"columns": Whole(1, MAXIMUM_COLUMNS), "ciphertexts": Binary()},
    "mixture": {
        "sealed": _boxes,
        "weights": _vector,
        "counts": _vector,
        "log_likelihood": Nullable(Real()),
        "change": Nullable(Real()),
        "converged": Flag(),
        "decrypt_seconds": Real(),
        "e_step_seconds": Real(),
    },
    "join": {"box_keys": MapOf(_box_key), "tolerance": Real(), "columns": Whole(1, MAXIMUM_COLUMNS)},
    "forward": {
        "purpose": _purpose,
        "position": Whole(0, 255),
        "receiver": _name,
        "sealed": Nullable(Binary()),
    },
    "partial_scores": {"sealed": Binary(), **_work},
    "residuals": {"purpose": _purpose, "sealed": Binary()},
    "encrypted_residuals": {"sealed": _boxes, "masked": Binary(), **_work},
    "gradient": {"sealed": Binary()},
    "masked_gradient": {"masked": Binary(), **_work},
    "masked_sums": {"sealed": _boxes},
    "unmasked_sums": {"sealed": _boxes, "decrypt_seconds": Real()},
    "apply": {"sealed": Binary()},
    "applied": {
        "loss": Nullable(Real()),
        "validation_loss": Nullable(Real()),
        "change": Nullable(Real()),
        "converged": Flag(),
        "best": _rows,
    },
    "settle": {"best": _rows},
    "checkpoint": {},
    "finish": {"sealed": Nullable(Binary()), "weights": Nullable(_vector)},
    "finished": {"rows": _rows, "model_sha256": Nullable(Binary(exactly=32))},
    "noted": {"rows": _rows},
    "failure": {"error": _short, "message": Text(1 << 16)},
    **BINNING_SCHEMAS,
    "ledger_join": {},
    "ledger_account": {"account": Binary(exactly=20)},
    "ledger_open": {"agreement": Text(1 << 20)},
    "ledger_act": {"step": _short},
    "ledger_transactions": {"transactions": _signed},
    "ledger_seal": {"transactions": _signed},
    "ledger_append": {"blocks": _blocks},
    "ledger_fetch": {"first": Whole(0, 1 << 60)},
    "ledger_blocks": {"blocks": _blocks},
    "ledger_head": {"number": Whole(0, 1 << 60), "hash": Binary(exactly=32)},
}

SEALED: Mapping[str, Schema] = {
    **BINNING_SEALED,
    "responsibility_table": {
        "decimals": _decimals,
        "table": Array(("|u1", "<u2", "<u4", "<f8"), 2),
    },
    "match_table": {"salt": Binary(exactly=SALT_BYTES), "digests": _digests},
    "match_missing": {"digests": _digests},
    "column_names": {
        "columns": ListOf(Text(1024), MAXIMUM_COLUMNS),
        "id_column": Text(1024),
        "imputation": _short,
    },
    "column_means": {"values": _vector},
    "column_scales": {"values": _vector},
    "centres": {"means": Array(("<f8",), 2)},
    "mixture_parameters": {"weights": _vector, "means": Array(("<f8",), 2), "covariances": _vector},
    "scores_so_far": {"ciphertexts": Binary()},
    "residuals_for": {"ciphertexts": Binary()},
    # Which bits of each plaintext come back; 0 bits for all.
    "masked_numbers": {"ciphertexts": Binary(), "first_bit": _bits, "bits": _bits},
    "decrypted_numbers": {"numbers": Binary()},
}

_DATA = frozenset({GUEST, HOST})
_to_data = (frozenset({COORDINATOR}), _DATA)
_from_data = (_DATA, frozenset({COORDINATOR}))
_to_arbiter = (frozenset({COORDINATOR}), frozenset({ARBITER}))
_from_arbiter = (frozenset({ARBITER}), frozenset({COORDINATOR}))
_to_guest = (frozenset({COORDINATOR}), frozenset({GUEST}))
_from_guest = (frozenset({GUEST}), frozenset({COORDINATOR}))
_to_host = (frozenset({COORDINATOR}), frozenset({HOST}))
_from_host = (frozenset({HOST}), frozenset({COORDINATOR}))
_to_all = (frozenset({COORDINATOR}), _DATA | {ARBITER})
_from_all = (_DATA | {ARBITER}, frozenset({COORDINATOR}))

EDGES: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    "requirements": _to_data,
    "capability": _from_data,
    "match_open": _to_guest,
    "match_offer": _from_guest,
    "match_check": _to_host,
    "match_result": _from_host,
    "match_differs": _to_guest,
    "arbiter_task": _to_arbiter,
    "public_key": _from_arbiter,
    "key": _to_data,
    "initialise": _to_guest,
    "initial_responsibilities": _from_guest,
    "start": _to_arbiter,
    "restore": _to_all,
    "weights": _from_arbiter,
    "update": _to_data,
    "evaluate": _to_data,
    "encrypted_scores": _from_data,
    "score_sums": _to_arbiter,
    "responsibilities": _from_arbiter,
    "send_parameters": _to_data,
    "encrypted_parameters": _from_data,
    "joint_parameters": _to_arbiter,
    "column_sums": _to_data,
    "added_column_sums": _to_arbiter,
    "column_spreads": _to_data,
    "added_column_spreads": _to_arbiter,
    "column_moments": _from_arbiter,
    "standardise": _to_data,
    "initial_centres": _from_guest,
    "begin": _to_data,
    "expect": _to_data,
    "encrypted_statistics": _from_data,
    "added_statistics": _to_arbiter,
    "mixture": _from_arbiter,
    "join": _to_data,
    "forward": _to_host,
    "partial_scores": _from_host,
    "residuals": _to_guest,
    "encrypted_residuals": _from_guest,
    "gradient": _to_host,
    "masked_gradient": _from_host,
    "masked_sums": _to_arbiter,
    "unmasked_sums": _from_arbiter,
    "apply": _to_data,
    "applied": _from_data,
    "settle": _to_data,
    "checkpoint": _to_all,
    "finish": _to_all,
    "finished": _from_all,
    "noted": _from_all,
    "failure": _from_all,
    "binning_requirements": _to_data,
    "make_binning_key": _to_guest,
    "binning_key": _from_guest,
    "form_bins": _to_host,
    "formed_bins": _from_host,
    "encrypt_labels": _to_guest,
    "encrypted_labels": _from_guest,
    "add_labels": _to_host,
    "added_labels": _from_host,
    "send_bin_sums": _to_host,
    "bin_sums": _from_host,
    "evaluate_bins": _to_guest,
    "bin_verdicts": _from_guest,
    "keep_bins": _to_data,
    "ledger_join": _to_all,
    "ledger_account": _from_all,
    "ledger_open": _to_all,
    "ledger_act": _to_all,
    "ledger_transactions": _from_all,
    "ledger_seal": _to_all,
    "ledger_append": _to_all,
    "ledger_fetch": _to_all,
    "ledger_blocks": _from_all,
    "ledger_head": _from_all,
}

# A refusal may cross as one of these and is raised as the same on the other side.
_ERRORS: Mapping[str, type[Exception]] = {
    error.__name__: error
    for error in (
        BackendUnavailableError,
        CipherlaneError,
        KeyMismatchError,
        LedgerError,
        MissingExtraError,
        PlaintextOverflowError,
        ProtocolError,
        StorageError,
        TypeError,
        ValueError,
    )
}


def pack(kind: str, round_number: int, **fields: Any) -> bytes:
    """Return a message of `kind` as bytes.

    Examples
    --------
    >>> unpack(pack("noted", 2, rows=7), "noted").round
    2
    """
    return encode(kind, round_number, fields, SCHEMAS[kind])


def unpack(data: bytes, *kinds: str) -> Message:
    """Return the message in `data`, which must be of one of `kinds`."""
    return decode(data, {kind: SCHEMAS[kind] for kind in kinds})


def pack_sealed(kind: str, round_number: int, **fields: Any) -> bytes:
    """Return the content of a box as bytes, still to be sealed."""
    return encode(kind, round_number, fields, SEALED[kind])


def unpack_sealed(data: bytes, kind: str) -> Message:
    """Return the message that an opened box holds."""
    return decode(data, {kind: SEALED[kind]})


def box_context(kind: str, round_number: int, receiver: str) -> bytes:
    """Return what a box is bound to: its kind, its round and who may open it."""
    return f"{kind}|{round_number}|{receiver}".encode()


def pack_failure(round_number: int, error: Exception) -> bytes:
    """Return the message by which a role refuses: the name of the error and its text."""
    name = type(error).__name__
    known = name if name in _ERRORS else "ValueError" if isinstance(error, ValueError) else "ProtocolError"
    return pack("failure", round_number, error=known, message=str(error)[: 1 << 16])


def error_named(name: str) -> type[Exception]:
    """Return the error that crosses under a name; a `ProtocolError` for any other."""
    return _ERRORS.get(name, ProtocolError)


def failure_of(message: Message, sender: str) -> Exception:
    """Return the error that a ``failure`` message from `sender` carries, to be raised."""
    text = message["message"]
    named = text if repr(sender) in text else f"{sender}: {text}"
    return error_named(message["error"])(named)
