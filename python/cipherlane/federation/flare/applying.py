"""Applying a finished run's model to other rows over sites: the server's part, and the role that a site takes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cipherlane.federation.arbiter import Arbiter
from cipherlane.federation.data_party import PartyFiles
from cipherlane.federation.engine import Engine
from cipherlane.federation.flare.calls import RoleOrder
from cipherlane.federation.logistic_arbiter import LogisticArbiter
from cipherlane.federation.logistic_models import LogisticModel
from cipherlane.federation.logistic_scoring import predict_through_sums, predicting_party
from cipherlane.federation.plan import LOGISTIC, Plan
from cipherlane.federation.registry import Version, final_weights, trained_model
from cipherlane.federation.responder import Responder
from cipherlane.federation.run_store import ASSIGNMENTS_FILE, PREDICTIONS_FILE
from cipherlane.federation.scoring import score_through_sums, scoring_party
from cipherlane.vertical.messages import GUEST


def score_over_engine(plan: Plan, engine: Engine, version: Version) -> tuple[int, float | None]:
    """Let parties that have a version's model score their rows.

    Returns
    -------
    tuple of int and float or None
        How many rows there are, and their mean log-likelihood, which a mixture alone gives.
    """
    if plan.logistic is not None:
        return predict_through_sums(plan, engine), None
    rows, record = score_through_sums(plan, engine, final_weights(version))
    return rows, record.log_likelihood


def scores_file(algorithm: str) -> str:
    """Return what the guest's file of scored rows is called."""
    return PREDICTIONS_FILE if algorithm == LOGISTIC else ASSIGNMENTS_FILE


def scoring_role(order: RoleOrder, model: Callable[[], Path], directory: Callable[[], Path]) -> Responder:
    """Return the role that scores rows by an order.

    Parameters
    ----------
    order
        What the site is to do.
    model
        Finds the model file that the order speaks of; called by a data party alone.
    directory
        Finds where the guest is to keep the scores; called by the guest alone.
    """
    if order.party is None:
        return LogisticArbiter() if order.algorithm == LOGISTIC else Arbiter()
    block = trained_model(model(), order.name, order.algorithm)
    files = PartyFiles()
    if order.party.role == GUEST:
        files = PartyFiles(assignments=directory() / scores_file(order.algorithm))
    if isinstance(block, LogisticModel):
        return predicting_party(order.party, block, files)
    return scoring_party(order.party, block, files)
