"""The clinic's part of a FLARE job: it knows nothing of encryption."""

from __future__ import annotations

from nvflare.apis.dxo import DXO, DataKind, MetaKey, from_shareable
from nvflare.apis.executor import Executor
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.apis.signal import Signal

from local_training import initial_weights, train


class ClinicTrainer(Executor):
    """Trains on the rows of the clinic that the site's name ends with: site-1, site-2, ..."""

    def execute(self, task_name: str, shareable: Shareable, fl_ctx: FLContext, abort_signal: Signal) -> Shareable:
        clinic = int(fl_ctx.get_identity_name().rsplit("-", 1)[1]) - 1
        weights, rows = train(from_shareable(shareable).data or initial_weights(), clinic)
        return DXO(DataKind.WEIGHTS, data=weights, meta={MetaKey.NUM_STEPS_CURRENT_ROUND: rows}).to_shareable()
