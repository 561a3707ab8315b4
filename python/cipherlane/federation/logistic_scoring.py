"""Predicting new rows with a trained logistic regression: each party its part, and only their sum is decrypted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cipherlane.federation.data_party import PartyFiles
from cipherlane.federation.engine import Engine, LocalEngine, Role, Transcript
from cipherlane.federation.logistic_arbiter import LogisticArbiter
from cipherlane.federation.logistic_coordinator import LogisticCoordinator
from cipherlane.federation.logistic_models import LogisticModel, load_logistic_model
from cipherlane.federation.logistic_party import LogisticParty
from cipherlane.federation.plan import PartyPlan, Plan
from cipherlane.federation.predictions import Predictions
from cipherlane.federation.registry import check_models_here
from cipherlane.federation.responder import Responder
from cipherlane.federation.run_session import notices_of
from cipherlane.federation.run_store import check_complete, model_file, plan_of
from cipherlane.federation.scoring import scoring_plan
from cipherlane.federation.sealed_state import PreparedTable
from cipherlane.vertical.exchange import needed
from cipherlane.vertical.messages import GUEST
from cipherlane.vertical.tables import has_column, read_csv


def is_logistic_run(run: Path) -> bool:
    """Return whether the complete run in a directory trained a logistic regression."""
    return plan_of(check_complete(run)).logistic is not None


def predict_run(run: Path, data: Mapping[str, Path], *, transcript: Transcript | None = None) -> Predictions:
    """Return the guest's predictions for new rows with the coefficients of a complete run.

    Each party computes its part of the score; the parts are added under a fresh key, masked by the guest, decrypted by
    the arbiter, and unmasked by the guest, which alone learns the sums.

    Parameters
    ----------
    run
        The run directory.
    data
        One CSV file for each data party of the run, with the columns it trained on. If the guest's has the label
        column too, the labels stand beside the predictions.
    transcript
        Where to record the messages.

    Raises
    ------
    ValueError
        The run is not complete or trained something else, or a file is at fault.
    ProtocolError
        Rows do not match, or a message does not fit the protocol.
    """
    plan = plan_of(check_complete(run))
    if plan.logistic is None:
        raise ValueError(f"{run}: expected a run of logistic regression, got {plan.model.algorithm}; use score_run")
    check_models_here(run)
    plan = scoring_plan(plan, data)
    parties = {party.name: predicting_party(party, model_file(run, party.name)) for party in plan.parties}
    roles: list[Responder] = [LogisticArbiter(), *parties.values()]
    with notices_of(roles):
        predict_through_sums(plan, LocalEngine(list[Role](roles), transcript))
    return needed(parties[plan.guest.name].predictions, "the guest was given no scores")


def predicting_party(party: PartyPlan, model_path: Path, files: PartyFiles | None = None) -> LogisticParty:
    """Return a data party that applies its coefficients to the rows of its file."""
    model = _model(model_path, party)
    label = party.label_column
    if label is not None and not has_column(party.data, label):
        label = None
    table = read_csv(party.data, model.id_column, model.preprocessing.columns, label)
    return LogisticParty(
        party.name,
        party.role,
        PreparedTable.from_table(table, model.preprocessing),
        id_column=party.id_column,
        files=files,
        model=model,
        declines=party.declines,
    )


def predict_through_sums(plan: Plan, engine: Engine) -> int:
    """Let the guest learn the scores of rows over an engine whose parties have coefficients; return how many rows."""
    coordinator = LogisticCoordinator(plan, engine)
    coordinator.open(training=False)
    coordinator.match()
    coordinator.make_key()
    coordinator.score_rows()
    return coordinator.rows


def _model(path: Path, party: PartyPlan) -> LogisticModel:
    model = load_logistic_model(path)
    if model.party != party.name or (model.labels is None) == (party.role == GUEST):
        raise ValueError(f"{path}: expected the model of {party.name!r}, got {model.party!r}; the files were changed")
    return model
