"""Every parser of bytes or text from elsewhere: valid examples of what it reads, and the errors it may raise."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

import cipherlane as cl
from cipherlane.binning import CategoryBins, FittedBinning, FittedColumn, NumericBins
from cipherlane.errors import ProtocolError
from cipherlane.federation import models, sealed_state
from cipherlane.federation.binning_party import read_cuts
from cipherlane.federation.flare.calls import RoleOrder
from cipherlane.federation.plan import ALGORITHM, HORIZONTAL, ArbiterPlan, PartyPlan
from cipherlane.federation.plan_reader import parse_plan
from cipherlane.paillier import pem
from cipherlane.paillier.columns import ColumnDescription, from_column, to_column
from cipherlane.vertical import alignment, messages, seal_keys, sealed_files, sealing, wire
from cipherlane.vertical.mixture_arbiter import RoundState
from cipherlane.vertical.mixture_party import PartyParameters
from cipherlane.vertical.tables import Preprocessing, read_csv

from ledger_parsers import ledger_parsers
from parser_under_test import Parser, as_text

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "breast_cancer"
_DIGEST_BYTES = 32


def _private_keys() -> tuple[cl.PrivateKey, cl.PrivateKey]:
    """Return a DJN key with generators and a short key."""
    content = json.loads((ROOT / "tests" / "data" / "paillier_test_keys.json").read_text())
    (p, q, h_s), (short_p, short_q, short_h_s) = (
        [int(content[kind][0][name], 16) for name in ("p", "q", "h_s")] for kind in ("keys", "short_keys")
    )
    generators = tuple(int(g, 16) for g in content["keys"][0]["generators"])
    short = content["short_keys"][0]
    orders = tuple(int(order, 16) for order in short["orders"])
    return (
        cl.PrivateKey(p, q, h_s=h_s, generators=generators),
        cl.PrivateKey(short_p, short_q, h_s=short_h_s, exponent_bits=short["exponent_bits"], orders=orders),
    )


def _cipher_arrays(key: cl.PublicKey) -> list[Parser]:
    codecs = [None, cl.Packed(), cl.Packed(slot_bits=40, scale_bits=10, axis=-1)]
    arrays = [key.encrypt(np.arange(6.0).reshape(2, 3), codec=codec) for codec in codecs]
    arrays += [key.encrypt(np.zeros((0, 3))), key.encrypt(7), arrays[0] * 3]
    corpus = [array.to_bytes() for array in arrays]
    columns = [to_column(array) for array in arrays if array._layout.free_axes]

    def column(text: str) -> object:
        description = ColumnDescription.from_json(text)
        rows = b"".join(data for known, data in columns if known.width == description.width)
        return from_column(key, description, len(rows) // description.width if description.width else 0, rows)

    def with_checksum(data: bytes) -> object:
        return cl.CipherArray.from_bytes(key, data + hashlib.sha256(data).digest())

    return [
        Parser("cipher_array", lambda data: cl.CipherArray.from_bytes(key, data), corpus, (ValueError,)),
        # The checksum would stop nearly every mutation before the fields are looked at.
        Parser("cipher_array_fields", with_checksum, [data[:-_DIGEST_BYTES] for data in corpus], (ValueError,)),
        Parser(
            "column", as_text(column), [description.to_json().encode() for description, _ in columns], (ValueError,)
        ),
    ]


def _keys(private_key: cl.PrivateKey, short_key: cl.PrivateKey) -> list[Parser]:
    public_key = private_key.public_key
    classic = cl.PublicKey(public_key.n)
    password = "password"

    @contextlib.contextmanager
    def replaced(name: str, value: object) -> Iterator[None]:
        original = getattr(pem, name)
        setattr(pem, name, value)
        try:
            yield
        finally:
            setattr(pem, name, original)

    def quick_scrypt() -> contextlib.AbstractContextManager[None]:
        # scrypt is made to be slow, and it is not what is read.
        return replaced("_derive", lambda password, salt, n, r, p: hashlib.sha256(password + salt).digest())

    def body(data: bytes) -> object:
        # What an authentic file of either version holds: the first byte says which.
        with replaced("unseal", lambda text, password: pem.from_plain(data[1:], 1 + (data[:1] == b"2"))):
            return cl.PrivateKey.from_pem("", password)

    def unlocked(text: str) -> object:
        with quick_scrypt():
            return cl.PrivateKey.from_pem(text, password)

    with quick_scrypt():
        armoured = [key.to_pem(password).encode() for key in (private_key, short_key)]
    plain = {
        "generators": [f"{g:x}" for g in private_key.generators or ()],
        "h_s": f"{public_key.h_s:x}",
        "p": f"{private_key.p:x}",
        "q": f"{private_key.q:x}",
    }
    short = {
        "exponent_bits": short_key.public_key.exponent_bits,
        "generators": None,
        "h_s": f"{short_key.public_key.h_s:x}",
        "orders": [f"{order:x}" for order in short_key.orders or ()],
        "p": f"{short_key.p:x}",
        "q": f"{short_key.q:x}",
    }
    public = [key.to_json().encode() for key in (public_key, classic, short_key.public_key)]
    bodies = [b"1" + json.dumps(plain).encode(), b"2" + json.dumps(short).encode()]
    return [
        Parser("public_key", as_text(cl.PublicKey.from_json), public, (ValueError,)),
        Parser("private_key", as_text(unlocked), armoured, (ValueError,)),
        Parser("private_key_body", body, bodies, (ValueError,)),
    ]


def _messages() -> list[Parser]:
    receiver = sealing.BoxKey()
    orders = [
        RoleOrder(
            bytes(16),
            "first",
            32 * "0",
            False,
            HORIZONTAL,
            "guest",
            "guest",
            False,
            PartyPlan("guest", "guest", Path("a/b.csv")),
        ),
        RoleOrder(
            bytes(16),
            "first",
            32 * "0",
            True,
            ALGORITHM,
            "arbiter",
            "arbiter",
            True,
            None,
            arbiter=ArbiterPlan(64 * "0", Path("a.pem"), seal_keys.VariableKey("NAME")),
        ),
    ]
    orders = [order.to_bytes() for order in orders]
    asked = {"fold_case": False, "only_count": False, "ids": 2, "blinded": bytes(70)}
    answered = {"request": bytes(32), "ids": 2, "own": b"own", "blinded_twice": b"twice", "box_key": bytes(32)}
    aligning = [
        wire.encode(kind, 0, fields, alignment.SCHEMAS[kind])
        for kind, fields in (("align_request", asked), ("align_answer", answered))
    ]
    examples = [
        messages.pack("noted", 2, rows=7),
        messages.pack("weights", 1, weights=np.array([0.25, 0.75]), counts=np.array([1.0, 3.0])),
        messages.pack("update", 3, sealed=b"box", weights=np.ones(2), counts=np.ones(2)),
        messages.pack("match_offer", 0, rows=3, sealed={"host": b"box"}),
        messages.pack("encrypted_scores", 1, ciphertexts=bytes(40), em_seconds=0.5, encrypt_seconds=1.0),
        messages.pack("score_sums", 1, ciphertexts=b"", weights=None, receivers=["guest", "host"]),
        messages.pack("public_key", 0, public_key="{}", box_key=bytes(32), clock=1.5e9),
        messages.pack("begin", 0, sealed=None, seed=1, position=2, from_model=False),
        messages.pack("added_statistics", 1, columns=3, ciphertexts=bytes(40)),
        messages.pack("joint_parameters", 4, columns={"guest": 3}, ciphertexts={}, names={}, weights=np.ones(2)),
        messages.pack("ledger_account", 0, account=bytes(20)),
        messages.pack("ledger_open", 0, agreement="{}"),
        messages.pack("ledger_act", 0, step="commit"),
        messages.pack("ledger_transactions", 0, transactions=[b"signed", b""]),
        messages.pack("ledger_blocks", 0, blocks=[bytes(40)]),
        messages.pack("ledger_head", 0, number=3, hash=bytes(32)),
        messages.pack("bin_sums", 1, sealed=bytes(60), ciphertexts=2, seconds=0.5),
        messages.pack("evaluate_bins", 1, bins={"host": bytes(60)}, sums={"host": bytes(60)}),
        messages.pack_failure(1, ValueError("no such column")),
    ]
    counts, flags = np.array([2, 3]), np.array([1, 0], dtype=np.uint8)
    sealed = [
        messages.pack_sealed("responsibility_table", 1, decimals=2, table=np.zeros((3, 1), dtype=np.uint8)),
        messages.pack_sealed("match_table", 0, salt=bytes(32), digests=np.zeros((2, 16), dtype=np.uint8)),
        messages.pack_sealed("centres", 0, means=np.ones((2, 3))),
        messages.pack_sealed("bin_layout", 0, bins=counts, ordered=counts, totals=counts, names=["a"]),
        messages.pack_sealed("bin_verdict", 1, kept=flags, merges=counts, told=flags, woe=np.ones(2)),
        messages.pack_sealed("column_names", 0, columns=["a", "b"], id_column="id", imputation="none"),
    ]

    def message(data: bytes) -> object:
        parsed = messages.unpack(data, *messages.SCHEMAS)
        return messages.failure_of(parsed, "host") if parsed.kind == "failure" else parsed

    box = sealing.seal(receiver.public, b"content", b"context")
    refusals = (ProtocolError,)
    return [
        Parser("message", message, examples, refusals),
        Parser("message_head", wire.peek, examples, refusals),
        Parser("sealed_message", lambda data: wire.decode(data, messages.SEALED), sealed, refusals),
        Parser(
            "role_order",
            lambda data: RoleOrder.from_bytes(data, EXAMPLES),
            orders,
            (ProtocolError, TypeError, ValueError),
        ),
        Parser("alignment", lambda data: wire.decode(data, alignment.SCHEMAS), aligning, refusals),
        Parser("sealed_box", lambda data: receiver.open(data, b"context"), [box], refusals),
        Parser("box_key", lambda data: sealing.seal(data, b"content", b"context"), [receiver.public], refusals),
    ]


def _files(directory: Path) -> list[Parser]:
    plan = (EXAMPLES / "plan.toml").read_bytes()
    account = b'[ledger.accounts]\nhost = "0x' + 40 * b"a" + b'"\n'
    arbiter = b'[arbiter]\npublic_key_fingerprint = "' + 64 * b"0" + b'"\nprivate_key = "a.pem"\n'
    plans = [plan, plan + arbiter, plan + b'[ledger]\nvalidators = ["guest", "host"]\naccess_hours = 2.5\n' + account]
    table = b"".join((EXAMPLES / "guest.csv").read_bytes().splitlines(keepends=True)[:5])
    table_path, model_path = directory / "table.csv", directory / "model.npz"

    def csv(data: bytes) -> object:
        table_path.write_bytes(data)
        return read_csv(table_path, "id", label_column="y")

    preprocessing = Preprocessing(("a", "b"), np.zeros(2), np.ones(2), np.zeros(2), "none")
    parameters = PartyParameters(np.zeros((2, 2)), np.stack([np.eye(2)] * 2), "full")
    models.save_models(model_path, [models.PartyModel("guest", "id", parameters, preprocessing, np.full(2, 0.5))])
    model = model_path.read_bytes()

    fitted = FittedBinning(
        (
            FittedColumn("age", NumericBins((30.0, 45.5), missing=3), (0.5, -0.25, 0.0, 1.5)),
            FittedColumn("blood", CategoryBins(("a", "b"), ("ab",), missing=0), None, kept=False),
        )
    )
    cuts_path = directory / "cuts.json"

    def cuts(data: bytes) -> object:
        cuts_path.write_bytes(data)
        return read_cuts(cuts_path)

    def load(data: bytes) -> object:
        model_path.write_bytes(data)
        return models.load_models(model_path)

    with zipfile.ZipFile(io.BytesIO(model)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    names = sorted(members)

    def member(data: bytes) -> object:
        # One member of the archive, with a checksum that fits: the first byte says which.
        replaced = names[data[0] % len(names)] if data else names[0]
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            for name, value in members.items():
                archive.writestr(name, data[1:] if name == replaced else value)
        return load(content.getvalue())

    return [
        Parser(
            "plan",
            as_text(parse_plan),
            [
                *plans,
                (EXAMPLES / "binning.toml").read_bytes(),
                b"[model]\ncomponents = 2\n[parties.a]\nrole='guest'\n",
            ],
            (ValueError,),
        ),
        Parser("fitted_binning", as_text(FittedBinning.from_json), [fitted.to_json().encode()], (ValueError,)),
        Parser("cuts", cuts, [b'{"age": [30, 45.5], "x": []}'], (ValueError,)),
        Parser("table", csv, [table, b'\xef\xbb\xbfid,y,a\r\n"1",x,2\r\n2,y,nan\r\n'], (ValueError,)),
        Parser("model", load, [model], (ValueError,)),
        Parser("model_member", member, [bytes([i]) + members[name] for i, name in enumerate(names)], (ValueError,)),
    ]


def _sealed_files(directory: Path) -> list[Parser]:
    store = sealed_files.SealedStore(directory / "sealed")
    table_file, checkpoint_file = sealed_state.TABLE_FILE, sealed_state._checkpoint_file(3)
    prepared = sealed_state.PreparedTable(
        "guest.csv", ("1", "2"), ("x", "y"), np.zeros((2, 2)), Preprocessing(("a", "b"), *[np.ones(2)] * 3, "none")
    )
    prepared.seal(store)
    table, table_raw = store.read(table_file), (store.directory / table_file).read_bytes()
    parameters = PartyParameters(np.zeros((2, 2)), np.stack([np.eye(2)] * 2), "full")
    sealed_state.seal_parameters(store, 3, parameters)
    party = store.read(checkpoint_file)
    responsibilities = np.array([[0.25, 0.75], [1.0, 0.0]])
    state = RoundState(responsibilities, np.full(2, 0.5), np.ones(2), -1.0, None, False)
    sealed_state.seal_round_state(store, 3, state, np.full(2, 0.5))
    arbiter = store.read(checkpoint_file)

    def raw(data: bytes) -> object:
        (store.directory / table_file).write_bytes(data)
        return sealed_state.PreparedTable.unseal(store)

    def resealed(name: str, unseal: Callable[[], object]) -> Callable[[bytes], object]:
        def parse(data: bytes) -> object:
            store.write(name, data)
            return unseal()

        return parse

    refusals = (ValueError, ProtocolError)
    unseal_table = resealed(table_file, lambda: sealed_state.PreparedTable.unseal(store))
    unseal_party = resealed(checkpoint_file, lambda: sealed_state.unseal_parameters(store, 3))
    unseal_arbiter = resealed(checkpoint_file, lambda: sealed_state.unseal_round_state(store, 3))
    return [
        Parser("sealed_file", raw, [table_raw], refusals),
        Parser("sealed_table", unseal_table, [table], refusals),
        Parser("party_checkpoint", unseal_party, [party], refusals),
        Parser("arbiter_checkpoint", unseal_arbiter, [arbiter], refusals),
    ]


def all_parsers() -> dict[str, Parser]:
    """Return every parser by its name. They share a directory that lives as long as the process."""
    warnings.simplefilter("ignore", cl.paillier.WeakKeyWarning)
    directory = tempfile.TemporaryDirectory(prefix="cipherlane-fuzz-")
    _alive.append(directory)
    private_key, short_key = _private_keys()
    parsers = [
        *_cipher_arrays(private_key.public_key),
        *_keys(private_key, short_key),
        *_messages(),
        *_files(Path(directory.name)),
        *_sealed_files(Path(directory.name)),
        *ledger_parsers(Path(directory.name)),
    ]
    return {parser.name: parser for parser in parsers}


_alive: list[tempfile.TemporaryDirectory[str]] = []
