"""The coefficients of a logistic regression, read from the model files that lie beside a report."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cipherlane.report.html_parts import charts, section, table
from cipherlane.report.svg import Series, signed_lying_bars

_MODELS = "models"
_INTERCEPT = "intercept"


@dataclass(frozen=True)
class Coefficient:
    """What one column adds to a row's score.

    Attributes
    ----------
    party, column
        Whose column it is, and its name.
    standardised
        A standard deviation of the column.
    original
        A unit of the column as its file has it.
    """

    party: str
    column: str
    standardised: float
    original: float


@dataclass(frozen=True)
class Coefficients:
    """Those of the parties whose model files there are.

    Attributes
    ----------
    columns
        Party by party, in the order of columns.
    intercepts
        The guest's, of standardised columns and of columns as they are; None where some party's file is elsewhere.
    """

    columns: tuple[Coefficient, ...]
    intercepts: tuple[float, float] | None


def read_coefficients(run: Path, parties: Iterable[str]) -> Coefficients | None:
    """Return the coefficients that lie in a run directory, or None where all are at the sites that made them.

    With z = (x - c) / s, w z = (w / s) x - w c / s: the intercept of columns as they are takes up the last part.

    Raises
    ------
    ValueError
        A file is no model of a logistic regression.
    """
    names = list(parties)
    columns: list[Coefficient] = []
    intercept: float | None = None
    shift, found = 0.0, 0
    for name in names:
        path = run / _MODELS / f"{name}.npz"
        if not path.is_file():
            continue
        found += 1
        try:
            with np.load(path, allow_pickle=False) as archive:
                header = json.loads(str(archive["header"]))
                weights, centre, scale = archive["coefficients"], archive["centre"], archive["scale"]
            own = zip(header["columns"], weights.tolist(), (weights / scale).tolist(), strict=True)
            columns += [Coefficient(name, str(column), *both) for column, *both in own]
            shift += float((weights * centre / scale).sum())
            intercept = float(header["intercept"]) if header["intercept"] is not None else intercept
        except (OSError, KeyError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(f"{path}: not a whole model file of this software ({error})") from error
    if not found:
        return None
    if intercept is None or found < len(names):
        return Coefficients(tuple(columns), None)
    return Coefficients(tuple(columns), (intercept, intercept - shift))


def coefficient_section(found: Coefficients | None) -> str:
    """Return the coefficients as bars and as a table."""
    if found is None:
        return section("The coefficients", "<p>Each party's coefficients lie with that party alone.</p>")
    owners = list(dict.fromkeys(one.party for one in found.columns))
    bars = signed_lying_bars(
        "Coefficients of standardised columns",
        "log-odds a standard deviation",
        [f"{one.party}: {one.column}" for one in found.columns],
        [Series(owner, [one.standardised if one.party == owner else 0.0 for one in found.columns]) for owner in owners],
    )
    return section(
        "The coefficients",
        "<p>A score is the log-odds of the positive class. Each party has its own coefficients only; they stand "
        "together here because this directory holds the files of these parties.</p>",
        charts(bars),
        table(_HEAD, _rows(found), (2, 3), texts=True),
    )


def coefficient_lines(found: Coefficients | None) -> list[str]:
    """Return the coefficients as lines of Markdown."""
    if found is None:
        return []
    return [
        "## The coefficients",
        "",
        f"| {' | '.join(_HEAD)} |",
        "|---|---|---|---|",
        *(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in _rows(found)),
        "",
    ]


_HEAD = ("party", "column", "a standard deviation", "a unit of the column")


def _rows(found: Coefficients) -> Sequence[Sequence[str]]:
    rows = [(one.party, one.column, f"{one.standardised:.6g}", f"{one.original:.6g}") for one in found.columns]
    if found.intercepts is not None:
        standardised, original = found.intercepts
        rows.append(("", _INTERCEPT, f"{standardised:.6g}", f"{original:.6g}"))
    return rows
