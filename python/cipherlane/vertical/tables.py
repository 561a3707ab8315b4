"""A party's own table: reading it from CSV with exact errors, and making it ready for the model."""

from __future__ import annotations

import csv
import difflib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_MISSING_CELLS = frozenset({"", "na", "n/a", "nan", "null", "none"})
IMPUTATIONS = ("none", "mean", "median")


@dataclass(frozen=True)
class Table:
    """Rows of numbers with one id each, and for a guest perhaps one label each.

    Attributes
    ----------
    source
        The file the rows came from, for messages.
    ids
        One id a row, as text, all different.
    columns
        Names of the d feature columns.
    values
        float64, shape (n, d); NaN marks a missing cell.
    labels
        One label a row as text, or None.
    texts
        Columns of categories by their name, one text a row; "" marks a missing cell.
    """

    source: str
    ids: tuple[str, ...]
    columns: tuple[str, ...]
    values: NDArray[np.float64]
    labels: tuple[str, ...] | None = None
    texts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def take(self, order: Sequence[int]) -> Table:
        """Return the table with its rows in the given order."""
        return Table(
            self.source,
            tuple(self.ids[i] for i in order),
            self.columns,
            np.ascontiguousarray(self.values[np.asarray(order, dtype=np.int64)]),
            None if self.labels is None else tuple(self.labels[i] for i in order),
            {name: tuple(column[i] for i in order) for name, column in self.texts.items()},
        )


def read_csv(
    path: Path,
    id_column: str,
    columns: Sequence[str] | None = None,
    label_column: str | None = None,
    text_columns: Sequence[str] = (),
) -> Table:
    """Return the rows of a CSV file with a header line.

    Parameters
    ----------
    path
        The file: UTF-8, comma-separated, quotes as in RFC 4180.
    id_column
        The column with the row's id; compared between parties as text.
    columns
        The feature columns; default: every column but the id and the label.
    label_column
        The column with the label, which is never part of the features.
    text_columns
        Those of them that hold categories.

    Raises
    ------
    ValueError
        The file, and where there is one the row and column, at fault, with what to do.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.reader(stream, strict=True)
            return _read_rows(str(path), reader, id_column, columns, label_column, text_columns)
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file; correct `data` in the plan or the --data argument") from None
    except (IsADirectoryError, PermissionError) as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror}); give a readable CSV file") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 text ({error.reason}); save it as UTF-8") from None
    except csv.Error as error:
        raise ValueError(f"{path}: not valid CSV ({error}); check its quotes") from None


def _read_rows(
    source: str,
    reader: Iterator[list[str]],
    id_column: str,
    columns: Sequence[str] | None,
    label_column: str | None,
    text_columns: Sequence[str],
) -> Table:
    header = [name.strip() for name in next(reader, [])]
    if not header:
        raise ValueError(f"{source}: the file is empty; expected a header line and rows")
    if not all(name.isprintable() for name in header):
        raise ValueError(f"{source}: the header holds control characters; expected CSV, that is, text with commas")
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise ValueError(f"{source}: the header names {repeated[0]!r} more than once; rename one of them")
    id_position = column_position(source, header, id_column, "id column")
    label_position = None if label_column is None else column_position(source, header, label_column, "label column")
    reserved = {id_column, label_column}
    names = [name for name in header if name not in reserved] if columns is None else list(columns)
    if not names:
        raise ValueError(f"{source}: no feature column beside {sorted(filter(None, reserved))}; add one")
    places = {name: column_position(source, header, name, "column") for name in (*names, *text_columns)}
    texts: dict[str, list[str]] = {name: [] for name in names if name in text_columns}
    if len(texts) != len(text_columns):
        raise ValueError(f"{source}: the columns of categories must be feature columns; name them in both, or in none")
    names = [name for name in names if name not in texts]
    positions = [places[name] for name in names]
    ids: list[str] = []
    labels: list[str] = []
    rows: list[list[float]] = []
    for number, cells in enumerate(filter(None, reader), start=1):
        if len(cells) != len(header):
            raise ValueError(f"{source}: row {number}: expected {len(header)} cells as in the header, got {len(cells)}")
        ids.append(_identifier(source, number, id_column, cells[id_position]))
        if label_position is not None:
            labels.append(_label(source, number, str(label_column), cells[label_position]))
        rows.append([_number(source, number, name, cells[at]) for name, at in zip(names, positions, strict=True)])
        for name, column in texts.items():
            column.append(_category(source, number, name, cells[places[name]]))
    if not rows:
        raise ValueError(f"{source}: a header but no rows; expected at least two rows")
    _check_unique(source, id_column, ids)
    return Table(
        source,
        tuple(ids),
        tuple(names),
        np.array(rows, dtype=np.float64),
        tuple(labels) if label_position is not None else None,
        {name: tuple(column) for name, column in texts.items()},
    )


def has_column(path: Path, name: str) -> bool:
    """Return whether the header line of a CSV file names a column; False where the file cannot be read."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            return name in [cell.strip() for cell in next(csv.reader(stream), [])]
    except (OSError, UnicodeDecodeError, csv.Error):
        # `read_csv` says what is wrong with it.
        return False


def column_position(source: str, header: list[str], name: str, what: str) -> int:
    """Return where `name` stands in a header, or raise `ValueError` with the closest name there is."""
    if name in header:
        return header.index(name)
    close = difflib.get_close_matches(name, header, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else f"; it has {', '.join(header[:20])}"
    if len(header) == 1 and ";" in header[0]:
        hint = "; its header has semicolons where commas are expected"
    raise ValueError(f"{source}: there is no {what} {name!r}{hint}")


def _identifier(source: str, number: int, column: str, cell: str) -> str:
    text = cell.strip()
    if not text:
        raise ValueError(f"{source}: row {number}, column {column!r}: the id is missing; give every row one")
    if len(text) > 256 or not text.isprintable():
        raise ValueError(
            f"{source}: row {number}, column {column!r}: expected an id of at most 256 printable characters"
        )
    return text


def _label(source: str, number: int, column: str, cell: str) -> str:
    text = cell.strip()
    if not text:
        raise ValueError(
            f"{source}: row {number}, column {column!r}: the label is missing; "
            "label every row or leave label_column out"
        )
    return text


def _category(source: str, number: int, column: str, cell: str) -> str:
    text = cell.strip()
    if len(text) > 256 or not text.isprintable():
        raise ValueError(
            f"{source}: row {number}, column {column!r}: expected a category of at most 256 printable characters"
        )
    return "" if text.lower() in _MISSING_CELLS else text


def _number(source: str, number: int, column: str, cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        if cell.strip().lower() in _MISSING_CELLS:
            return float("nan")
        value = float("inf")
        problem = f"expected a number, got {cell.strip()[:40]!r}"
    else:
        problem = f"expected a finite number, got {cell.strip()[:40]!r}"
        if "_" in cell:
            value, problem = float("inf"), f"expected a number, got {cell.strip()[:40]!r}"
    if value in (float("inf"), float("-inf")):
        raise ValueError(
            f"{source}: row {number}, column {column!r}: {problem}; "
            "correct the cell, or leave the column out of `columns` in the plan"
        )
    return value


def _check_unique(source: str, id_column: str, ids: list[str]) -> None:
    if len(set(ids)) == len(ids):
        return
    ordered = sorted(ids)
    repeated = sorted({a for a, b in itertools.pairwise(ordered) if a == b})
    shown = ", ".join(repeated[:5])
    raise ValueError(
        f"{source}: column {id_column!r}: {len(repeated)} ids stand more than once ({shown}); keep one row for each id"
    )


@dataclass(frozen=True)
class Preprocessing:
    """How a party turns its raw numbers into model inputs: z = (x' - centre) / scale.

    x' is x with its missing cells replaced by `fill`. Each array has shape (d,). Fitted on the party's
    own rows; nothing of it is needed from, or told to, another party.
    """

    columns: tuple[str, ...]
    centre: NDArray[np.float64]
    scale: NDArray[np.float64]
    fill: NDArray[np.float64]
    imputation: str

    @classmethod
    def fit(cls, table: Table, *, standardise: bool, imputation: str) -> Preprocessing:
        """Fit on `table`: population standard deviation (ddof = 0), mean or median of what is present.

        Raises
        ------
        ValueError
            A column is constant or has no value at all, or a cell is missing and `imputation` is "none".
        """
        if imputation not in IMPUTATIONS:
            raise ValueError(f"impute: expected one of {IMPUTATIONS}, got {imputation!r}")
        check_present(table, imputation)
        values = table.values
        empty = np.flatnonzero(np.isnan(values).all(axis=0))
        if empty.size:
            raise ValueError(
                f"{table.source}: column {table.columns[empty[0]]!r} has no value in any row; "
                "leave it out of `columns` in the plan"
            )
        fill = np.nanmedian(values, axis=0) if imputation == "median" else np.nanmean(values, axis=0)
        filled = np.where(np.isnan(values), fill, values)
        constant = np.flatnonzero(filled.max(axis=0) == filled.min(axis=0))
        if constant.size:
            raise ValueError(
                f"{table.source}: column {table.columns[constant[0]]!r} is constant over its "
                f"{len(table.ids)} rows and tells rows apart in no way; "
                "leave it out of `columns` in the plan"
            )
        width = values.shape[1]
        centre = filled.mean(axis=0) if standardise else np.zeros(width)
        scale = filled.std(axis=0) if standardise else np.ones(width)
        # A spread too small for float64 has a zero standard deviation although the values differ.
        if not (np.isfinite(scale).all() and (scale > 0).all() and np.isfinite(centre).all()):
            column = table.columns[int(np.flatnonzero(~(np.isfinite(scale) & (scale > 0)))[0])]
            raise ValueError(f"{table.source}: column {column!r} has a spread float64 cannot standardise; rescale it")
        return cls(table.columns, centre, scale, fill, imputation)

    def apply(self, table: Table) -> NDArray[np.float64]:
        """Return the model inputs, float64 of shape (n, d).

        Raises
        ------
        ValueError
            The columns are others than those fitted, or a cell is missing where none may be.
        """
        if table.columns != self.columns:
            raise ValueError(f"{table.source}: expected the columns {list(self.columns)}, got {list(table.columns)}")
        check_present(table, self.imputation)
        filled = np.where(np.isnan(table.values), self.fill, table.values)
        return np.ascontiguousarray((filled - self.centre) / self.scale)


def check_present(table: Table, imputation: str) -> None:
    """Raise `ValueError` if a cell is missing where none may be, with its row and column."""
    if imputation != "none":
        return
    missing = np.argwhere(np.isnan(table.values))
    if missing.size:
        row, column = missing[0]
        raise ValueError(
            f"{table.source}: row {row + 1}, column {table.columns[column]!r}: the value is missing "
            f'({len(missing)} such cells); fill it in, or set `impute` to "mean" or "median" in the plan'
        )
