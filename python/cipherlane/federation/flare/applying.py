"""The role that a site takes where a finished run's model is applied to other rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cipherlane.federation.arbiter import Arbiter
from cipherlane.federation.data_party import PartyFiles
from cipherlane.federation.flare.calls import RoleOrder
from cipherlane.federation.logistic_arbiter import LogisticArbiter
from cipherlane.federation.logistic_models import LogisticModel
from cipherlane.federation.logistic_scoring import predicting_party
from cipherlane.federation.plan import LOGISTIC
from cipherlane.federation.registry import trained_model
from cipherlane.federation.responder import Responder
from cipherlane.federation.run_store import rows_file
from cipherlane.federation.scoring import scoring_party
from cipherlane.vertical.messages import GUEST


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
        files = PartyFiles(assignments=directory() / rows_file(order.algorithm))
    if isinstance(block, LogisticModel):
        return predicting_party(order.party, block, files)
    return scoring_party(order.party, block, files)
