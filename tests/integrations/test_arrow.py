"""Encrypted columns in Arrow and Parquet: what comes back, what stands in the metadata, what is refused."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys

import numpy as np
import pytest

import cipherlane as cl
from cipherlane.paillier import hazmat
from cipherlane.paillier.columns import ColumnDescription

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
adapter = pytest.importorskip("cipherlane.integrations.arrow")
PaillierType, from_arrow, to_arrow = adapter.PaillierType, adapter.from_arrow, adapter.to_arrow

ARRAYS = {
    "floats": lambda key: key.encrypt([1.5, -2.0, 0.25]),
    "integers": lambda key: key.encrypt([1, 2, 3]) * 7 - 1,
    "products": lambda key: key.encrypt([1.5, -2.0, 0.25]) * 0.5,
    "rows": lambda key: key.encrypt(np.arange(12.0).reshape(3, 2, 2)),
    "packed rows": lambda key: key.encrypt(
        np.arange(150).reshape(3, 50), codec=cl.Packed(slot_bits=40, scale_bits=0, axis=-1)
    ),
    "none": lambda key: key.encrypt([1.5])[:0],
}


@pytest.fixture(params=ARRAYS)
def array(request, public_key):
    return ARRAYS[request.param](public_key)


@pytest.fixture
def column(public_key):
    return to_arrow(public_key.encrypt([1.5, -2.0, 0.25]))


def test_arrays_come_back(array, public_key, private_key):
    column = to_arrow(array)
    column.validate(full=True)
    again = from_arrow(public_key, column)
    assert (again.shape, again.codec, again.scale_bits, again.bound) == (
        array.shape,
        array.codec,
        array.scale_bits,
        array.bound,
    )
    assert np.array_equal(private_key.decrypt(again), private_key.decrypt(array))


def test_parquet_keeps_type_and_values(array, public_key, private_key, tmp_path):
    table = pa.table({"id": np.arange(len(array)), "x": to_arrow(array)})
    pq.write_table(table, tmp_path / "x.parquet")
    read = pq.read_table(tmp_path / "x.parquet")
    assert read.schema == table.schema
    assert np.array_equal(private_key.decrypt(from_arrow(public_key, read["x"])), private_key.decrypt(array))


def test_a_process_without_cipherlane_sees_bytes_and_metadata(public_key, tmp_path):
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"x": to_arrow(public_key.encrypt([1, 2]))}), path)
    code = (
        "import sys, json, pyarrow.parquet as pq; field = pq.read_schema(sys.argv[1]).field('x');"
        "print(json.dumps([str(field.type), {k.decode(): v.decode() for k, v in field.metadata.items()}]))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    stored, metadata = json.loads(done.stdout)
    assert stored == f"fixed_size_binary[{public_key.bits // 4}]"
    assert metadata["ARROW:extension:name"] == "cipherlane.paillier"
    assert json.loads(metadata["ARROW:extension:metadata"]) == {
        "format": "cipherlane-paillier-column",
        "version": 1,
        "fingerprint": public_key.fingerprint,
        "modulus": public_key.modulus_digest.hex(),
        "scheme": "djn",
        "bits": 1024,
        "codec": {"name": "fixed-point", "scale_bits": 0, "integer_bits": 64},
        "scale_bits": 0,
        "bound": f"{2**64:x}",
        "row_shape": [],
    }


def test_the_bytes_are_the_ciphertexts(public_key):
    x = public_key.encrypt([1, 2])
    assert [int.from_bytes(row, "big") for row in to_arrow(x).storage.to_pylist()] == hazmat.to_integers(x)


def test_rows_are_chosen_and_joined_by_arrow(public_key, private_key, column):
    table = pa.table({"id": [7, 8, 9], "x": column})
    values = {7: 1.5, 8: -2.0, 9: 0.25}
    joined = table.join(pa.table({"id": [9, 7], "z": [1, 2]}), "id", join_type="inner")
    for chosen in (
        table.slice(1),
        table.take([2, 0]),
        table.filter(pa.compute.greater(table["id"], 7)),
        pa.concat_tables([table, table.slice(1, 1), table]).slice(2, 3),
        table.sort_by([("id", "descending")]),
        pa.table({"id": joined["id"], "x": joined["x"]}),
    ):
        assert private_key.decrypt(from_arrow(public_key, chosen["x"])).tolist() == [
            values[i] for i in chosen["id"].to_pylist()
        ]


def test_only_stale_ciphertexts_are_rerandomised(public_key):
    x = public_key.encrypt([1, 2])
    assert to_arrow(x).equals(to_arrow(x)) and not to_arrow(x, rerandomize=True).equals(to_arrow(x))
    total = x.segment_sum([1, 1], 3)
    assert to_arrow(total, rerandomize=False).storage[0].as_py() == (1).to_bytes(256, "big")
    assert (1).to_bytes(256, "big") not in to_arrow(total).storage.to_pylist()


def test_a_key_of_the_same_modulus_is_taken_and_another_named(public_key, private_key, column):
    with pytest.warns(cl.paillier.WeakKeyWarning):
        classic = cl.PublicKey(public_key.n)
    assert private_key.decrypt(from_arrow(classic, column)).tolist() == [1.5, -2.0, 0.25]
    other = cl.keygen(bits=2048)[0]
    with pytest.raises(cl.KeyMismatchError, match=rf"{public_key.fingerprint[:16]}.*{other.fingerprint[:16]}"):
        from_arrow(other, column)


def rebuilt(column: pa.ExtensionArray, rows: list[bytes | None]) -> pa.ExtensionArray:
    return pa.ExtensionArray.from_storage(column.type, pa.array(rows, column.storage.type))


@pytest.mark.parametrize("what", ["zero", "too large", "shares a factor"])
def test_numbers_that_are_no_ciphertexts_are_refused(public_key, private_key, column, what):
    number, message = {
        "zero": (0, r"ciphertexts\[1\]: expected a number above 0"),
        "too large": (public_key.n**2, r"ciphertexts\[1\]: expected a number below n\^2"),
        "shares a factor": (private_key.p, r"ciphertexts\[1\]: shares a factor"),
    }[what]
    rows = column.storage.to_pylist()
    rows[1] = number.to_bytes(256, "big")
    with pytest.raises(ValueError, match=message):
        from_arrow(public_key, rebuilt(column, rows))


def test_nulls_are_refused_by_row(public_key, column):
    rows = [*column.storage.to_pylist(), None]
    with pytest.raises(ValueError, match=r"column\[3\].*null"):
        from_arrow(public_key, rebuilt(column, rows))


BAD_METADATA = {
    "version": ({"version": 2}, "expected version 1"),
    "format": ({"format": "x"}, "format"),
    "bits": ({"bits": 2048}, "rows of 512 bytes"),
    "bits of no key": ({"bits": 10}, "bits: expected an integer from 1024"),
    "bits as text": ({"bits": "1024"}, "bits: expected"),
    "fingerprint": ({"fingerprint": "ab"}, "64 hexadecimal"),
    "scheme": ({"scheme": "rsa"}, "scheme 'rsa'"),
    "codec": ({"codec": {"name": "float"}}, "'float' is unknown"),
    "codec's fields": ({"codec": {"name": "packed"}}, "do not go together"),
    "codec as text": ({"codec": "fixed-point"}, "expected an object"),
    "scale": ({"scale_bits": -1}, "scale_bits: expected"),
    "negative bound": ({"bound": "-1"}, "do not go together"),
    "bound in another form": ({"bound": "0x1"}, "contradicts itself"),
    "bound of nothing": ({"bound": "x"}, "invalid literal"),
    "shape": ({"row_shape": [-1]}, "row_shape"),
    "shape beyond all": ({"row_shape": [2**40, 2]}, "2\\^40"),
    "another field": ({"more": 1}, "expected the fields"),
}


@pytest.mark.parametrize("name", BAD_METADATA)
def test_metadata_that_contradict_themselves_are_refused(column, name):
    change, message = BAD_METADATA[name]
    fields = json.loads(column.type.__arrow_ext_serialize__()) | change
    with pytest.raises(ValueError, match=message):
        PaillierType.__arrow_ext_deserialize__(column.storage.type, json.dumps(fields).encode())


def test_text_that_is_no_metadata_is_refused(column):
    for text in ("", "[]", "{", "[" * 60000, " " * 70000):
        with pytest.raises(ValueError, match="its description is not as Cipherlane writes it"):
            ColumnDescription.from_json(text)


def test_a_bound_beyond_the_key_is_refused(public_key, column):
    fields = json.loads(column.type.__arrow_ext_serialize__()) | {"bound": f"{public_key.n:x}"}
    made = PaillierType(ColumnDescription.from_json(json.dumps(fields)))
    with pytest.raises(ValueError, match="bound: the result could reach"):
        from_arrow(public_key, pa.ExtensionArray.from_storage(made, column.storage))


BAD_ARGUMENTS = {
    "plain": (lambda key: to_arrow([1.0]), TypeError, "encrypt it first"),
    "scalar": (lambda key: to_arrow(key.encrypt(1)), ValueError, "at least one axis"),
    "packed as a whole": (lambda key: to_arrow(key.encrypt([1], codec=cl.Packed())), ValueError, "share ciphertexts"),
    "one packed row": (
        lambda key: to_arrow(key.encrypt([1], codec=cl.Packed(axis=-1))),
        ValueError,
        "share ciphertexts",
    ),
    "no key": (lambda key: from_arrow("key", to_arrow(key.encrypt([1]))), TypeError, "expected a PublicKey, got str"),
    "no column": (lambda key: from_arrow(key, [b"1"]), TypeError, "expected an Arrow array, got list"),
    "other column": (lambda key: from_arrow(key, pa.array([b"1"])), TypeError, "cipherlane.paillier, got binary"),
}


@pytest.mark.parametrize("name", BAD_ARGUMENTS)
def test_other_arguments_are_refused(public_key, name):
    operation, error, message = BAD_ARGUMENTS[name]
    with pytest.raises(error, match=message):
        operation(public_key)


def test_types_compare_and_are_copied(public_key, column):
    assert pickle.loads(pickle.dumps(column.type)) == column.type
    assert column.type != to_arrow(public_key.encrypt([1])).type
    assert public_key.fingerprint[:16] in str(column.type)


def test_columns_that_differ_are_not_joined_as_they_are(public_key, column):
    """Their bytes are of one width: joined, those of one would be read at the scale, or with the key, of the other."""
    with pytest.warns(cl.paillier.WeakKeyWarning):
        classic = cl.PublicKey(public_key.n)
    for other in (public_key.encrypt([1]), classic.encrypt([1.5]), public_key.encrypt([1.5]) + 1):
        assert to_arrow(other).type != column.type
        with pytest.raises((TypeError, pa.ArrowInvalid)):
            pa.chunked_array([column, to_arrow(other)])
        with pytest.raises(pa.ArrowInvalid):
            pa.concat_tables([pa.table({"x": column}), pa.table({"x": to_arrow(other)})])


def test_without_pyarrow_the_extra_is_named():
    code = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "try:\n    import cipherlane.integrations.arrow\n"
        "except ImportError as error: print(type(error).__name__, error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "MissingExtraError this adapter needs pyarrow: pip install 'cipherlane[arrow]'"
