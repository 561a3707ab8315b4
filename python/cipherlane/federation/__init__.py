"""Federated training across parties: plans, roles, the engine that carries their calls, and runs.

`bin_columns` bins columns by the guest's labels, and `transform_rows` applies the bins to new rows.

`train` runs a plan from beginning to end; `load_plan` and `parse_plan` read one; `score_run` and
`score_models` apply a trained mixture to new rows, `predict_run` a logistic regression.
"""

from __future__ import annotations

from cipherlane.federation.binning_run import BinningRun, bin_columns
from cipherlane.federation.binning_transform import bins_of, transform_rows
from cipherlane.federation.engine import Engine, LocalEngine, Role, Transcript
from cipherlane.federation.logistic_scoring import predict_run
from cipherlane.federation.plan import Plan
from cipherlane.federation.plan_reader import load_plan, parse_plan
from cipherlane.federation.predictions import Predictions
from cipherlane.federation.run_session import Progress
from cipherlane.federation.scoring import Scores, score_models, score_run
from cipherlane.federation.training import Run, train

__all__ = [
    "BinningRun",
    "Engine",
    "LocalEngine",
    "Plan",
    "Predictions",
    "Progress",
    "Role",
    "Run",
    "Scores",
    "Transcript",
    "bin_columns",
    "bins_of",
    "load_plan",
    "parse_plan",
    "predict_run",
    "score_models",
    "score_run",
    "train",
    "transform_rows",
]
