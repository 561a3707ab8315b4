from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cipherlane.vertical.tables import Preprocessing, Table, read_csv

GOOD = "id,y,a,b\n7,1,0.5,-1\n3,0,1e3,2\n"


def _write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "party.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_table_is_read_with_ids_labels_and_columns_as_told(tmp_path: Path) -> None:
    path = _write(tmp_path, GOOD)
    table = read_csv(path, "id", label_column="y")
    assert (table.ids, table.labels, table.columns) == (("7", "3"), ("1", "0"), ("a", "b"))
    np.testing.assert_array_equal(table.values, [[0.5, -1.0], [1000.0, 2.0]])
    assert read_csv(path, "id", ["b"]).values.tolist() == [[-1.0], [2.0]]
    assert read_csv(path, "id").columns == ("y", "a", "b")


def test_quotes_blank_lines_and_byte_order_marks_are_read(tmp_path: Path) -> None:
    path = _write(tmp_path, '\ufeffid,"a"\n\n"x, y", 1.5 \n\nz,2\n')
    table = read_csv(path, "id")
    assert table.ids == ("x, y", "z")
    assert table.values.tolist() == [[1.5], [2.0]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "the file is empty"),
        ("id,a\n", "a header but no rows"),
        ("id,a,a\n1,2,3\n", "the header names 'a' more than once"),
        ("key,a\n1,2\n", "there is no id column 'id'; it has key, a"),
        ("id;a\n1;2\n", "there is no id column 'id'; its header has semicolons where commas are expected"),
        ("i\x00d,a\n1,2\n", "(the header holds control characters; expected CSV|not valid CSV)"),
        ("ids,a\n1,2\n", "there is no id column 'id'; did you mean 'ids'"),
        ("id\n1\n", "no feature column"),
        ("id,a\n1\n", "row 1: expected 2 cells as in the header, got 1"),
        ("id,a\n1,2\n2,3,4\n", "row 2: expected 2 cells as in the header, got 3"),
        ("id,a\n1,2\n,3\n", "row 2, column 'id': the id is missing"),
        ("id,a\n1,2\n1,3\n2,4\n", r"column 'id': 1 ids stand more than once \(1\); keep one row"),
        ("id,a\n1,abc\n", "row 1, column 'a': expected a number, got 'abc'; correct the cell"),
        ("id,a\n1,1_000\n", "row 1, column 'a': expected a number, got '1_000'"),
        ("id,a\n1,2\n2,inf\n", "row 2, column 'a': expected a finite number, got 'inf'"),
        ("id,a\n1,-1e999\n", "row 1, column 'a': expected a finite number"),
        ('id,a\n1,"2\n', "not valid CSV"),
    ],
)
def test_a_bad_file_is_refused_with_file_row_and_column(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(ValueError, match=f"party.csv: {expected}"):
        read_csv(_write(tmp_path, text), "id")


def test_unreadable_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"absent\.csv: no such file"):
        read_csv(tmp_path / "absent.csv", "id")
    with pytest.raises(ValueError, match="cannot be read"):
        read_csv(tmp_path, "id")
    (tmp_path / "latin.csv").write_bytes(b"id,a\n\xff,1\n")
    with pytest.raises(ValueError, match="not UTF-8"):
        read_csv(tmp_path / "latin.csv", "id")
    with pytest.raises(ValueError, match="row 1, column 'y': the label is missing"):
        read_csv(_write(tmp_path, "id,y,a\n1,,2\n"), "id", label_column="y")
    with pytest.raises(ValueError, match="there is no column 'c'"):
        read_csv(_write(tmp_path, GOOD), "id", ["c"])


def _table(values: list[list[float]]) -> Table:
    columns = tuple(f"x{i}" for i in range(len(values[0])))
    return Table("t.csv", tuple(map(str, range(len(values)))), columns, np.array(values))


def test_standardised_columns_have_mean_zero_and_deviation_one() -> None:
    table = _table([[1.0, 10.0], [2.0, 30.0], [6.0, 20.0]])
    inputs = Preprocessing.fit(table, standardise=True, imputation="none").apply(table)
    np.testing.assert_allclose(inputs.mean(axis=0), 0, atol=1e-15)
    np.testing.assert_allclose(inputs.std(axis=0), 1, atol=1e-15)
    plain = Preprocessing.fit(table, standardise=False, imputation="none").apply(table)
    np.testing.assert_array_equal(plain, table.values)


@pytest.mark.parametrize(("imputation", "filled"), [("mean", 4.0), ("median", 2.0)])
def test_missing_cells_are_filled_with_what_was_fitted(imputation: str, filled: float) -> None:
    table = _table([[1.0], [2.0], [9.0], [np.nan]])
    fitted = Preprocessing.fit(table, standardise=False, imputation=imputation)
    assert fitted.apply(table)[3, 0] == filled
    assert fitted.apply(_table([[np.nan]]))[0, 0] == filled


def test_missing_constant_and_foreign_columns_are_refused() -> None:
    with pytest.raises(ValueError, match=r"row 2, column 'x1': the value is missing \(1 such cells\)"):
        Preprocessing.fit(_table([[1.0, 2.0], [3.0, np.nan]]), standardise=True, imputation="none")
    with pytest.raises(ValueError, match="column 'x1' is constant over its 2 rows"):
        Preprocessing.fit(_table([[1.0, 2.0], [3.0, 2.0]]), standardise=True, imputation="none")
    with pytest.raises(ValueError, match="column 'x0' has no value in any row"):
        Preprocessing.fit(_table([[np.nan], [np.nan]]), standardise=True, imputation="mean")
    with pytest.raises(ValueError, match="'x0' has a spread float64 cannot standardise"):
        Preprocessing.fit(_table([[0.0], [5e-324]]), standardise=True, imputation="none")
    with pytest.raises(ValueError, match="impute: expected one of"):
        Preprocessing.fit(_table([[0.0], [1.0]]), standardise=True, imputation="zero")
    fitted = Preprocessing.fit(_table([[0.0], [1.0]]), standardise=True, imputation="none")
    with pytest.raises(ValueError, match="expected the columns"):
        fitted.apply(_table([[0.0, 1.0]]))


def test_columns_of_categories_are_read_as_text_beside_numbers(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("id,blood,age,y\n2, ab ,41,1\n1,NA,,0\n3,,7.5,1\n")
    table = read_csv(path, "id", None, "y", ["blood"])
    assert table.columns == ("age",) and table.texts == {"blood": ("ab", "", "")}
    ordered = table.take([1, 0, 2])
    assert ordered.ids == ("1", "2", "3") and ordered.texts == {"blood": ("", "ab", "")}
    assert np.isnan(ordered.values[0, 0]) and ordered.values[1:, 0].tolist() == [41.0, 7.5]
    alone = read_csv(path, "id", ["blood"], "y", ["blood"])
    assert alone.columns == () and alone.values.shape == (3, 0)
    for columns, texts, said in [
        (None, ["blod"], "did you mean 'blood'"),
        (["age"], ["blood"], "must be feature columns"),
        (None, ["y"], "must be feature columns"),
    ]:
        with pytest.raises(ValueError, match=said):
            read_csv(path, "id", columns, "y", texts)
    path.write_text(f"id,blood,age\n1,{'a' * 300},3\n")
    with pytest.raises(ValueError, match="row 1, column 'blood': expected a category of at most 256"):
        read_csv(path, "id", None, None, ["blood"])
