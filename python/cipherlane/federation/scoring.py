"""Applying a trained mixture to new rows: through encrypted sums as in training, or from a joint model."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cipherlane import mixture
from cipherlane.federation.arbiter import Arbiter
from cipherlane.federation.coordinator import Coordinator, RoundRecord
from cipherlane.federation.data_party import DataParty, PartyFiles
from cipherlane.federation.engine import Engine, LocalEngine, Role, Transcript
from cipherlane.federation.models import PartyModel, load_models
from cipherlane.federation.plan import PartyPlan, Plan, RequirementsPlan
from cipherlane.federation.registry import check_models_here, party_block
from cipherlane.federation.responder import Responder
from cipherlane.federation.run_session import notices_of
from cipherlane.federation.run_store import check_complete, model_file, plan_of
from cipherlane.federation.sealed_state import PreparedTable
from cipherlane.vertical.exchange import needed
from cipherlane.vertical.tables import read_csv


@dataclass(frozen=True)
class Scores:
    """What a trained mixture says of rows.

    Attributes
    ----------
    id_column
        The guest's id column.
    ids
        The rows' ids, sorted.
    responsibilities
        float64, shape (n, K).
    log_likelihood
        Mean a row.
    """

    id_column: str
    ids: tuple[str, ...]
    responsibilities: NDArray[np.float64]
    log_likelihood: float


def score_run(run: Path, data: Mapping[str, Path], *, transcript: Transcript | None = None) -> Scores:
    """Score new rows with the model of a complete run.

    Each party computes on its own columns with its own block, and the blocks meet in encrypted sums, under
    a fresh key and with the plan's rounding, exactly as in a training round.

    Parameters
    ----------
    run
        The run directory.
    data
        One CSV file for each data party of the run, with the columns it trained on. Of a horizontal run, where every
        party has the whole model and scores its own rows alone: the file of one party.
    transcript
        Where to record the messages.
    """
    plan = plan_of(check_complete(run))
    names = [party.name for party in plan.parties]
    if plan.is_horizontal:
        return _score_alone(run, names, data)
    check_models_here(run)
    plan = scoring_plan(plan, data)
    blocks = {name: party_block(model_file(run, name), name) for name in names}
    parties = {party.name: scoring_party(party, blocks[party.name]) for party in plan.parties}
    roles: list[Responder] = [Arbiter(), *parties.values()]
    guest = parties[plan.guest.name]
    with notices_of(roles):
        weights = blocks[guest.name].weights.tolist()
        _, record = score_through_sums(plan, LocalEngine(list[Role](roles), transcript), weights)
    responsibilities = needed(guest.result, "the guest was given no responsibilities")
    return Scores(plan.guest.id_column, guest.ids, responsibilities, record.log_likelihood)


def scoring_plan(plan: Plan, data: Mapping[str, Path]) -> Plan:
    """Return what is left of a run's plan where its model is applied to other rows.

    Raises
    ------
    ValueError
        There is not one file for each data party, or every party has the whole model.
    """
    if plan.is_horizontal:
        raise ValueError(
            "model: every party of this run has the whole of it and scores its own rows alone, on its own machine: "
            f"cipherlane score models/{plan.guest.name}.npz --data {plan.guest.name}=FILE.csv"
        )
    check_names([party.name for party in plan.parties], data)
    parties = tuple(
        dataclasses.replace(party, data=data[party.name], directory=None, seal_key=None) for party in plan.parties
    )
    # What training required of tables (a number of rows, say) is not required of new rows; the key is one of its own.
    return dataclasses.replace(plan, parties=parties, requirements=RequirementsPlan(), ledger=None, arbiter=None)


def scoring_party(party: PartyPlan, block: PartyModel, files: PartyFiles | None = None) -> DataParty:
    """Return a data party that applies its block to the rows of its file."""
    table = _table(block, party.data)
    return DataParty(
        party.name, party.role, table, id_column=party.id_column, files=files, model=block, declines=party.declines
    )


def score_through_sums(plan: Plan, engine: Engine, weights: list[float]) -> tuple[int, RoundRecord]:
    """Run one E-step over an engine whose parties have a model's blocks; return the rows and what is public of it."""
    coordinator = Coordinator(plan, engine)
    coordinator.open(training=False)
    coordinator.match()
    coordinator.make_key()
    record = coordinator.score(weights)
    return coordinator.rows, record


def score_models(model: Path, data: Mapping[str, Path]) -> Scores:
    """Score new rows with a joint model file, which holds every party's block.

    Whoever has the file and all the columns needs no encryption; responsibilities are exact.
    """
    blocks = load_models(model)
    check_names([block.party for block in blocks], data)
    tables = [_table(block, data[block.party]) for block in blocks]
    for block, table in zip(blocks[1:], tables[1:], strict=True):
        if table.ids != tables[0].ids:
            only = len(set(table.ids) ^ set(tables[0].ids))
            raise ValueError(
                f"{table.source} ({block.party!r}) and {tables[0].source} ({blocks[0].party!r}): {only} ids "
                "are in one file only; keep the same ids in both"
            )
    return _score_rows(blocks, tables)


def _score_alone(run: Path, names: list[str], data: Mapping[str, Path]) -> Scores:
    if len(data) != 1 or not set(data) <= set(names):
        raise ValueError(
            f"data: expected the file of one of {names}, as each has the whole model, got {sorted(data)}; "
            f"give --data {names[0]}=FILE.csv"
        )
    (name,) = data
    block = party_block(model_file(run, name), name)
    return _score_rows([block], [_table(block, data[name])])


def _score_rows(blocks: Sequence[PartyModel], tables: Sequence[PreparedTable]) -> Scores:
    total = sum(block.parameters.log_densities(table.inputs) for block, table in zip(blocks, tables, strict=True))
    found, log_likelihood = mixture.responsibilities(np.asarray(total), blocks[0].weights)
    return Scores(blocks[0].id_column, tables[0].ids, np.asarray(found), float(log_likelihood) / len(tables[0].ids))


def _table(model: PartyModel, path: Path) -> PreparedTable:
    table = read_csv(path, model.id_column, model.preprocessing.columns)
    return PreparedTable.from_table(table, model.preprocessing)


def check_names(expected: list[str], data: Mapping[str, Path]) -> None:
    """Raise `ValueError` unless there is one file for each of the parties expected."""
    if sorted(data) != sorted(expected):
        wanted = " ".join(f"--data {name}=FILE.csv" for name in expected)
        raise ValueError(f"data: expected a file for each of {expected}, got {sorted(data)}; give {wanted}")
