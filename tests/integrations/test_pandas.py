"""Encrypted columns in pandas: pandas' own tests of such columns where they do not need the values, and ours."""

from __future__ import annotations

import gc
import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from pandas.tests.extension import base

import cipherlane as cl
from cipherlane.integrations import pandas as adapter
from cipherlane.integrations.pandas import (
    PaillierArray,
    PaillierDtype,
    decrypt_column,
    encrypt_column,
    encrypted_groupby_sum,
)

VALUES = [1.5, 2.0, -3.0, 4.0]


# ---- pandas' own -------------------------------------------------------------------------------------------


@pytest.fixture
def dtype(public_key):
    return PaillierDtype(public_key)


@pytest.fixture(scope="module")
def data(public_key):
    return PaillierArray(public_key.encrypt(np.arange(100) * 3 + 1))


@pytest.fixture
def revealed(private_key, monkeypatch):
    """Let pandas' tests compare, by decrypting."""

    def equal(x, y):
        return isinstance(y, cl.CipherArray) and bool(private_key.decrypt(x) == private_key.decrypt(y))

    monkeypatch.setattr(cl.CipherArray, "__eq__", equal)
    monkeypatch.setattr(cl.CipherArray, "__ne__", lambda x, y: not equal(x, y))


# They make missing values, which there are none of.
MISSING = """
    test_infer_dtype test_contains test_isna_extension_array test_series_constructor_no_data_with_index
    test_series_constructor_scalar_na_with_index test_empty test_getitem_scalar_na test_take test_take_empty
    test_take_non_na_fill_value test_take_pandas_style_negative_raises test_reindex test_reindex_non_na_fill_value
    test_concat_all_na_block test_concat_columns test_concat_extension_arrays_copy_false test_align test_align_frame
    test_align_series_frame test_merge test_concat_with_reindex test_unstack
"""
# They compare elements with each other, or look at the values.
COMPARED = """
    test_merge_on_extension_array test_merge_on_extension_array_duplicates test_array_interface
    test_array_interface_copy test_transpose_frame
"""
# They write into the array.
WRITTEN = "test_copy test_view test_getitem_propagates_readonly_property"
# They expect a number of rows that depends on the version of pandas.
COUNTED = "test_len test_size"


def of_pandas(tests: type) -> type:
    dropped = (MISSING + COMPARED + WRITTEN + " " + COUNTED).split()
    members = dict.fromkeys(dropped) | {"pytestmark": pytest.mark.usefixtures("revealed")}
    return type(tests.__name__, (tests,), members)


TestDtype = of_pandas(base.BaseDtypeTests)
TestInterface = of_pandas(base.BaseInterfaceTests)
TestConstructors = of_pandas(base.BaseConstructorsTests)
TestGetitem = of_pandas(base.BaseGetitemTests)
TestReshaping = of_pandas(base.BaseReshapingTests)
TestPrinting = of_pandas(base.BasePrintingTests)
TestIndex = of_pandas(base.BaseIndexTests)


# ---- ours --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def table(public_key):
    plain = pd.DataFrame({"id": [4, 2, 7, 9], "ward": ["b", "a", None, "b"], "plain": VALUES})
    return plain.assign(dose=encrypt_column(public_key, plain["plain"]))


@pytest.fixture
def decrypted(private_key):
    return lambda series: decrypt_column(private_key, series).tolist()


def test_columns_come_back_with_index_and_name(public_key, private_key):
    series = pd.Series(VALUES, index=list("abcd"), name="dose")
    encrypted = encrypt_column(public_key, series, cl.FixedPoint(scale_bits=20))
    assert encrypted.array.ciphertexts.codec == cl.FixedPoint(scale_bits=20)
    pd.testing.assert_series_equal(decrypt_column(private_key, encrypted), series)


def test_casting_encrypts(public_key, decrypted):
    for numbers in ([1, 2], pd.array([1, 2], dtype="Int64"), pd.array([1.5, 2.5], dtype="Float64"), [True, False]):
        series = pd.Series(numbers)
        assert decrypted(series.astype(PaillierDtype(public_key))) == series.tolist()


@pytest.mark.parametrize("missing", [[1.0, None], pd.array([1, None], dtype="Int64")], ids=["NaN", "NA"])
def test_missing_numbers_are_named(public_key, missing):
    for encrypt in (
        lambda series: encrypt_column(public_key, series),
        lambda series: series.astype(PaillierDtype(public_key)),
    ):
        with pytest.raises(ValueError, match=r"values\[1\].*impute"):
            encrypt(pd.Series(missing))


def test_arithmetic(table, decrypted):
    dose, plain = table["dose"], table["plain"]
    for operation in (
        lambda x: x + plain,
        lambda x: plain + x,
        lambda x: x - 1,
        lambda x: 1 - x,
        lambda x: 2 * x,
        lambda x: x * plain.to_numpy(),
        lambda x: plain.to_numpy() * x,
        lambda x: plain * x,
        lambda x: x + x,
        lambda x: x - x,
        lambda x: -x,
        lambda x: np.add(plain, x),
        lambda x: x + pd.array([1, 2, 3, 4], dtype="Int64"),
    ):
        result = operation(dose)
        assert isinstance(result.dtype, PaillierDtype)
        assert decrypted(result) == operation(plain).tolist()


def test_rows(table, decrypted):
    assert decrypted(table[table.plain > 1.7]["dose"]) == [2.0, 4.0]
    assert decrypted(table.sort_values("id")["dose"]) == [2.0, 1.5, -3.0, 4.0]
    assert decrypted(pd.concat([table, table[1:3]])["dose"]) == [*VALUES, 2.0, -3.0]
    joined = table.merge(pd.DataFrame({"id": [9, 4], "x": [1, 2]}), on="id")
    assert decrypted(joined["dose"]) == [1.5, 4.0]
    assert table["dose"].iloc[0].shape == ()


def test_sums(table, private_key, decrypted):
    assert private_key.decrypt(table["dose"].sum()) == sum(VALUES)
    expected = table.groupby("ward")["plain"].sum()
    for sums in (
        table.groupby("ward")["dose"].sum(),
        table.groupby("ward").agg({"dose": "sum"})["dose"],
        encrypted_groupby_sum(table, "ward", "dose"),
    ):
        pd.testing.assert_series_equal(decrypt_column(private_key, sums), expected, check_names=False)
    two = encrypted_groupby_sum(table.assign(even=table.id % 2 == 0), ["ward", "even"], "dose")
    assert dict(zip(two.index, decrypted(two), strict=True)) == {("a", True): 2.0, ("b", False): 4.0, ("b", True): 1.5}


def test_parquet(table, public_key, decrypted, tmp_path):
    pytest.importorskip("pyarrow")
    path = tmp_path / "doses.parquet"
    derived = table.assign(sums=table["dose"] + 1)
    derived.to_parquet(path)
    read = pd.read_parquet(path)
    assert read.dtypes.to_dict() == derived.dtypes.to_dict()
    assert decrypted(read["sums"]) == [value + 1 for value in VALUES]
    kept = set(cl.paillier.hazmat.to_integers(derived["sums"].array.ciphertexts))
    assert kept.isdisjoint(cl.paillier.hazmat.to_integers(read["sums"].array.ciphertexts)), "written as it was"


def test_another_process_reads_parquet_with_the_key_alone(table, public_key, tmp_path):
    pytest.importorskip("pyarrow")
    path = tmp_path / "doses.parquet"
    table.to_parquet(path)
    code = (
        "import sys, pandas as pd, cipherlane as cl; from cipherlane.integrations.pandas import PaillierDtype;"
        "dtype = PaillierDtype(cl.PublicKey.from_json(sys.argv[1])); print(pd.read_parquet(sys.argv[2])['dose'].dtype)"
    )
    command = [sys.executable, "-c", code, public_key.to_json(), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == PaillierDtype(public_key).name


def test_tables_of_arrow_become_encrypted_columns_where_the_key_is_known(public_key, decrypted, monkeypatch):
    pa = pytest.importorskip("pyarrow")
    from cipherlane.integrations.arrow import to_arrow

    column = pa.table({"x": to_arrow(public_key.encrypt([1, 2]))})
    PaillierDtype(public_key)
    assert decrypted(column.to_pandas()["x"]) == [1, 2]
    monkeypatch.setattr(adapter, "_KNOWN_KEYS", {})
    assert type(column.to_pandas()["x"].iloc[0]) is bytes


def test_files_of_unknown_keys_say_what_to_do(tmp_path):
    pytest.importorskip("pyarrow")
    public_key = cl.keygen(bits=2048)[0]
    series = encrypt_column(public_key, pd.Series([1]))
    name, path = series.dtype.name, tmp_path / "x.parquet"
    series.to_frame("x").to_parquet(path)
    del series, public_key
    gc.collect()
    with pytest.raises(cl.KeyMismatchError, match=rf"{name[9:25]}.*PaillierDtype\(public_key\)"):
        pd.read_parquet(path)


def test_the_text_shows_no_number(table):
    for text in (repr(table), repr(table["dose"]), table.to_html(), repr(table["dose"].array)):
        assert "<encrypted>" in text or "&lt;encrypted&gt;" in text
    assert not any(str(value) in repr(table["dose"]) for value in VALUES)


REFUSED = {
    "mean": (lambda t: t["dose"].mean(), TypeError, "only sum is"),
    "mean of groups": (lambda t: t.groupby("ward")["dose"].mean(), TypeError, "only sum is"),
    "sort": (lambda t: t.sort_values("dose"), TypeError, "sort: .*cannot be compared"),
    "unique": (lambda t: t["dose"].unique(), TypeError, "unique: .*cannot be compared"),
    "duplicates": (lambda t: t["dose"].drop_duplicates(), TypeError, "duplicated: .*cannot be compared"),
    "groups of it": (lambda t: t.groupby("dose").size(), TypeError, "factorize: .*cannot be compared"),
    "equality": (lambda t: t["dose"] == 1, TypeError, "cannot be compared"),
    "division": (lambda t: t["dose"] / 2, TypeError, "reciprocal"),
    "asarray": (lambda t: np.asarray(t["dose"]), TypeError, "decrypt_column"),
    "to_numpy": (lambda t: t["dose"].to_numpy(), TypeError, "decrypt_column"),
    "cast": (lambda t: t["dose"].astype(float), TypeError, "decrypt the column first"),
    "assignment": (lambda t: t["dose"].array.__setitem__(0, 1), TypeError, "never changes"),
    "JSON": (lambda t: t.to_json(), (ValueError, OverflowError), ""),
    "pickle": (lambda t: pickle.dumps(t["dose"]), TypeError, "cannot be pickled"),
    "missing rows": (lambda t: t["dose"].reindex([0, 9]), ValueError, "row 1 of the result would be missing"),
    "length": (lambda t: t["dose"].array + np.ones(2), ValueError, r"expected a number or 4 of them, got shape \(2,\)"),
    "not encrypted": (lambda t: encrypted_groupby_sum(t, "ward", "plain"), TypeError, "'plain'.*dtype float64"),
    "not a series": (lambda t: decrypt_column(None, t), TypeError, "series: expected an encrypted column"),
    "axes": (lambda t: PaillierArray(t["dose"].array.ciphertexts.reshape(2, 2)), ValueError, "one axis"),
    "plain array": (lambda t: PaillierArray([1, 2]), TypeError, "encrypt it first"),
    "no key": (lambda t: PaillierDtype("key"), TypeError, "expected a PublicKey, got str"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_says_what_to_do(table, name):
    operation, error, message = REFUSED[name]
    with pytest.raises(error, match=message):
        operation(table)


def test_keys_do_not_mix(table):
    other = encrypt_column(cl.keygen(bits=2048)[0], table["plain"])
    with pytest.raises(cl.KeyMismatchError, match="same key"):
        table["dose"] + other
