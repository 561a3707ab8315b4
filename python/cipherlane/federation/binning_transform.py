"""Applying what a binning found to new rows of a party, by what it keeps sealed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cipherlane.binning import CategoryBins, FittedBinning
from cipherlane.federation.binning_state import unseal_bins
from cipherlane.federation.plan import PartyPlan, Plan
from cipherlane.federation.run_store import (
    PLAN_FILE,
    check_complete,
    plan_of,
    run_id_of,
    sealed_store_of,
    write_json,
)
from cipherlane.report import read_json
from cipherlane.vertical.seal_keys import parse_seal_key
from cipherlane.vertical.tables import read_csv

# Beside the files of a run at a party's own site, which has no plan.
_SECTION_FILE = "party-{name}.json"


@dataclass(frozen=True)
class TransformedRows:
    """Rows of one party as its bins have them.

    Attributes
    ----------
    id_column
        The column of their ids.
    ids
        In the order of the file.
    columns
        The columns that were kept.
    values
        float64, shape (n, columns).
    form
        "woe" or "index".
    """

    id_column: str
    ids: tuple[str, ...]
    columns: tuple[str, ...]
    values: NDArray[np.float64]
    form: str


def bins_of(run: Path, party: str) -> FittedBinning:
    """Return the bins that a party of a complete binning keeps sealed.

    Parameters
    ----------
    run
        The run's directory, or that of its name among the party's own site's runs.
    party
        Whose bins.

    Raises
    ------
    ValueError
        The run is no complete binning, has no such party, or the file was changed.
    """
    return _bins(run, *_section(run, party))


def _bins(run: Path, section: PartyPlan, run_id: str) -> FittedBinning:
    return unseal_bins(sealed_store_of(run, section.name, run_id, section.directory, section.seal_key))


def keep_section(directory: Path, party: PartyPlan, run_id: str) -> None:
    """Keep at a party's own site what `transform_rows` asks a plan for elsewhere."""
    if (directory / PLAN_FILE).exists():
        return
    fields = {
        "run_id": run_id,
        "name": party.name,
        "role": party.role,
        "id_column": party.id_column,
        "directory": None if party.directory is None else str(party.directory),
        "seal_key": None if party.seal_key is None else party.seal_key.text,
    }
    write_json(_section_file(directory, party.name), fields)


def transform_rows(run: Path, party: str, data: Path, form: str | None = None) -> TransformedRows:
    """Return new rows of one party with its kept columns as weights of evidence or numbers of bins.

    Parameters
    ----------
    run
        As for `bins_of`.
    party
        Whose columns.
    data
        A CSV file with the id column and the columns that were kept.
    form
        "woe" or "index"; default: "woe" where the party knows it.

    Raises
    ------
    ValueError
        The run, the party or a cell is at fault; the message says which and what to do.
    """
    section, run_id = _section(run, party)
    fitted = _bins(run, section, run_id)
    names = tuple(column.name for column in fitted.selected)
    if not names:
        raise ValueError(f"{run}: no column of {party!r} was kept; lower `threshold` in the plan")
    texts = tuple(column.name for column in fitted.selected if isinstance(column.bins, CategoryBins))
    table = read_csv(data, section.id_column, names, None, texts)
    columns: dict[str, Any] = {name: table.values[:, j] for j, name in enumerate(table.columns)} | dict(table.texts)
    used = form or ("woe" if fitted.knows_woe else "index")
    try:
        values = fitted.transform(columns, used)
    except ValueError as error:
        raise ValueError(f"{data}: {error}") from None
    return TransformedRows(section.id_column, table.ids, names, values, used)


def _section(run: Path, party: str) -> tuple[PartyPlan, str]:
    """Return the party's section of the run's plan, and the run's id."""
    if any(run.glob(_SECTION_FILE.format(name="*"))):
        return _own_section(run, party)
    plan = _binning_plan(run)
    found = next((section for section in plan.parties if section.name == party), None)
    if found is None:
        raise ValueError(f"party: expected one of {[section.name for section in plan.parties]}, got {party!r}")
    return found, run_id_of(run)


def _own_section(run: Path, party: str) -> tuple[PartyPlan, str]:
    path = _section_file(run, party)
    if not path.is_file():
        names = [other.stem.partition("-")[2] for other in sorted(run.glob(_SECTION_FILE.format(name="*")))]
        raise ValueError(f"party: expected {' or '.join(map(repr, names))}, whose site this is, got {party!r}")
    fields = read_json(path)
    try:
        directory, key = fields["directory"], fields["seal_key"]
        section = PartyPlan(
            name=party,
            role=fields["role"],
            data=Path(),
            id_column=fields["id_column"],
            directory=None if directory is None else Path(directory),
            seal_key=None if key is None else parse_seal_key(key),
        )
        return section, str(fields["run_id"])
    except (KeyError, TypeError):
        raise ValueError(f"{path}: not what a site keeps of a binning; put it back from a copy") from None


def _section_file(run: Path, party: str) -> Path:
    return run / _SECTION_FILE.format(name=party)


def _binning_plan(run: Path) -> Plan:
    plan = plan_of(check_complete(run))
    if plan.binning is None:
        raise ValueError(f"{run}: not a binning (its algorithm is {plan.model.algorithm!r}); give what `bin` printed")
    return plan
