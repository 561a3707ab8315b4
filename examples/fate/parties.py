"""FATE's hetero logistic regression, binning and SecureBoost, each party a process that FATE's launcher starts.

`run.py` calls this once with FATE's own Paillier and once with Cipherlane's. By hand:

    python examples/fate/parties.py --parties guest:9999 host:10000 arbiter:10001 --task logistic --out DIRECTORY \
        --paillier cipherlane --guest_data GUEST.csv --host_data HOST.csv
"""

import argparse
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

from cipherlane.integrations.fate import install

from fate_clock import randomise_their_encryptions, time_operations


def early_options() -> argparse.Namespace:
    """Return what has to be known before FATE reads its own options, in its workers too."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--paillier", choices=("fate", "cipherlane"), required=True)
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_known_args(sys.argv[1:])[0]


# At the top of the script: FATE's launcher and its workers start new interpreters, and each of them imports this.
EARLY = early_options()
if EARLY.paillier == "cipherlane":
    install(pickle_private_keys=True)  # binning and trees decrypt in workers of the guest
else:
    randomise_their_encryptions()
time_operations(EARLY.out)


@dataclass
class Options:
    task: str = field(default="logistic")
    paillier: str = field(default="cipherlane")
    out: str = field(default=".")
    guest_data: str = field(default=None)
    host_data: str = field(default=None)
    key_bits: int = field(default=2048)
    epochs: int = field(default=3)
    bins: int = field(default=10)
    trees: int = field(default=1)


def table(ctx, options):
    """Return this party's columns as FATE's data frame; rows lie in the same order at both."""
    from fate.arch.dataframe import CSVReader

    label = {"label_name": "y", "label_type": "int32"} if ctx.is_on_guest else {}
    reader = CSVReader(match_id_name="id", delimiter=",", dtype="float64", **label)
    return reader.to_frame(ctx, options.guest_data if ctx.is_on_guest else options.host_data)


def logistic(ctx, options):
    """Train FATE's coordinated logistic regression, and return this party's weights or the arbiter's losses."""
    from fate.ml.glm.hetero.coordinated_lr import (
        CoordinatedLRModuleArbiter,
        CoordinatedLRModuleGuest,
        CoordinatedLRModuleHost,
    )

    shared = {
        "epochs": options.epochs,
        "batch_size": None,
        "optimizer_param": {
            "method": "sgd",
            "penalty": "l2",
            "alpha": 0.01,
            "optimizer_params": {"lr": 0.5, "weight_decay": 0},
        },
        "learning_rate_param": {"method": "constant", "scheduler_params": {"factor": 1.0}},
    }
    if ctx.is_on_arbiter:
        module = CoordinatedLRModuleArbiter(early_stop="weight_diff", tol=1e-9, **shared)
        module.fit(ctx)
        return {}
    start = {"method": "zeros", "fit_intercept": True}
    module = (CoordinatedLRModuleGuest if ctx.is_on_guest else CoordinatedLRModuleHost)(init_param=start, **shared)
    module.fit(ctx, table(ctx, options))
    return {"weights": module.estimator.w.reshape(-1).tolist()}


def binning(ctx, options):
    """Bin both parties' columns by the guest's encrypted labels, and return what the guest learns of the host's."""
    from fate.ml.feature_binning import HeteroBinningModuleGuest, HeteroBinningModuleHost

    if ctx.is_on_arbiter:
        return {}
    data = table(ctx, options)
    module = (HeteroBinningModuleGuest if ctx.is_on_guest else HeteroBinningModuleHost)(
        method="quantile", n_bins=options.bins, bin_col=data.schema.columns.to_list(), category_col=[]
    )
    module.fit(ctx, data)
    module.compute_metrics(ctx, module._bin_obj.bucketize_data(data))
    if not ctx.is_on_guest:
        return {}
    (metrics,) = module._bin_obj._host_metrics_summary.values()
    return {name: metrics[name] for name in ("event_count", "non_event_count", "woe", "iv")}


def trees(ctx, options):
    """Grow FATE's SecureBoost trees, whose histograms are packed, and return the guest's scores of its rows."""
    from fate.ml.ensemble import HeteroSecureBoostGuest, HeteroSecureBoostHost

    if ctx.is_on_arbiter:
        return {}
    if not ctx.is_on_guest:
        HeteroSecureBoostHost(num_trees=options.trees, max_depth=3).fit(ctx, table(ctx, options))
        return {}
    module = HeteroSecureBoostGuest(num_trees=options.trees, max_depth=3)
    module.fit(ctx, table(ctx, options))
    scores = module.get_train_predict().as_pd_df()
    return {"scores": dict(zip(scores["id"].astype(str), scores.iloc[:, -1].map(str), strict=True))}


def party(ctx):
    """Run this process's role and write what it ends with."""
    from fate.arch.launchers.argparser import HfArgumentParser

    options, _ = HfArgumentParser(Options).parse_args_into_dataclasses(return_remaining_strings=True)
    ctx.cipher.set_phe(ctx.device, {"kind": "paillier", "key_length": options.key_bits})
    result = {"logistic": logistic, "binning": binning, "trees": trees}[options.task](ctx, options)
    (Path(options.out) / f"{ctx.local.role}.json").write_text(json.dumps(result))


if __name__ == "__main__":
    from fate.arch.launchers.multiprocess_launcher import launch

    launch(party, extra_args_desc=[Options])
