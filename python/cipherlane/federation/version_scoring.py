"""Applying a version's model to other rows over an engine whose parties have it, whatever the algorithm."""

from __future__ import annotations

from cipherlane.federation.engine import Engine
from cipherlane.federation.logistic_scoring import predict_through_sums
from cipherlane.federation.plan import Plan
from cipherlane.federation.registry import Version, final_weights
from cipherlane.federation.scoring import score_through_sums


def score_version(plan: Plan, engine: Engine, version: Version) -> tuple[int, float | None]:
    """Let the guest learn and keep what a model says of rows.

    Parameters
    ----------
    plan
        What `scoring_plan` leaves of the plan of the version's run.
    engine
        Its parties have the version's model.
    version
        Whose run's metrics have what is public of the model.

    Returns
    -------
    tuple of int and float or None
        The number of rows, and a mixture's mean log-likelihood a row; None of a logistic regression.
    """
    if plan.logistic is not None:
        return predict_through_sums(plan, engine), None
    rows, record = score_through_sums(plan, engine, final_weights(version))
    return rows, record.log_likelihood
