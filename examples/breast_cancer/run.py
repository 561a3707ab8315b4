"""Cluster the breast cancer data of two institutions without pooling it, and judge the result honestly.

Run from anywhere: ``python examples/breast_cancer/run.py [--out DIR]``.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cipherlane.federation import Progress, Run, train
from cipherlane.federation.assignments import compare_with_labels
from cipherlane.vertical.starts import initial_responsibilities
from cipherlane.vertical.tables import Preprocessing, Table, read_csv

from pooled import fit_pooled

HERE = Path(__file__).resolve().parent
WORK = {
    "encrypt": "encrypting (parties)",
    "add": "checking, adding and re-randomising ciphertexts (coordinator)",
    "decrypt": "checking and decrypting (arbiter)",
    "em": "EM: parameters and log-densities (parties)",
    "e_step": "EM: responsibilities (arbiter)",
    "key": "making and giving out the key pair",
    "start": "initial responsibilities: k-means on the guest's columns",
    "parameters": "parameters to the arbiter, encrypted",
    "relay": "packing and carrying messages",
}
CROSSED = {
    "scores_from_parties": "log-density differences, party to coordinator",
    "sums_to_arbiter": "their sums, coordinator to arbiter",
    "parameters_from_parties": "parameters, party to coordinator",
    "parameters_to_arbiter": "parameters, coordinator to arbiter",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="run directory to make (default: under runs/)")
    out = parser.parse_args().out
    print(
        "569 tumours: the guest has 10 columns and the diagnosis, the host 20 others; neither shows the other a number."
    )
    run = train(HERE / "plan.toml", out, progress=show)
    print_run(run)
    print("\nfitting what it is compared with ...", flush=True)
    print_comparison(run)
    print(f"\nrun directory: {run.directory} (report.md, assignments.csv, metrics.json, models)")
    return 0


def show(event: Progress) -> None:
    if event.stage == "agree":
        print(
            "measuring the parties' speed; the first time on a machine this compiles numerical kernels ...", flush=True
        )
    if event.record is not None:
        record = event.record
        seconds = record.seconds["total"]
        print(f"  iteration {record.round:2d}: mean log-likelihood {record.log_likelihood:.6f}, {seconds:.3f} s")


def print_run(run: Run) -> None:
    totals = run.metrics["totals"]
    seconds, ciphertexts = totals["seconds"], totals["ciphertexts"]
    state = "converged" if run.converged else "stopped at the plan's limit"
    print(f"{state} after {run.iterations} iterations")
    print(f"\n{seconds['training']:7.3f} s of training, of which")
    for name, work in WORK.items():
        print(f"{seconds[name]:7.3f} s {work}")
    print(f"{seconds['training'] - sum(seconds[name] for name in WORK):7.3f} s everything else")
    scheme, bits = ciphertexts["scheme"], ciphertexts["key_bits"]
    print(f"\n{ciphertexts['total']:5} ciphertexts of scheme {scheme} with a {bits}-bit key crossed, of which")
    for name, what in CROSSED.items():
        print(f"{ciphertexts[name]:5} {what}")
    print(f"in {totals['messages']} messages of {totals['bytes']} bytes in all")


def print_comparison(run: Run) -> None:
    """Compare with what each alternative reaches; labels serve this comparison only."""
    plan = run.plan
    tables = [_sorted(read_csv(party.data, "id", label_column=party.label_column)) for party in plan.parties]
    guest, host = (Preprocessing.fit(table, standardise=True, imputation="none").apply(table) for table in tables)
    labels = tables[0].labels
    assert labels is not None, "the guest of this example has labels"
    pooled = np.hstack([guest, host])
    blocks = [range(guest.shape[1]), range(guest.shape[1], pooled.shape[1])]
    start = initial_responsibilities(guest, 2, "kmeans", plan.model.seed)
    alternatives = {
        "pooled columns, block-diagonal, same start": _responsibilities(pooled, "block", start, blocks),
        "pooled columns, block-diagonal, own start": _responsibilities(pooled, "block", None, blocks),
        "pooled columns, full covariance": _responsibilities(pooled, "full", None),
        "pooled columns, diagonal covariance": _responsibilities(pooled, "diag", None),
        "guest's columns alone": _responsibilities(guest, "full", None),
        "host's columns alone": _responsibilities(host, "full", None),
    }
    quality = json.loads((run.directory / "quality.json").read_text(encoding="utf-8"))
    print("against the diagnosis (which training never saw):    accuracy     ARI     AUC")
    _print_row("federated, this run", quality)
    for name, responsibilities in alternatives.items():
        _print_row(name, compare_with_labels(labels, responsibilities))
    print(
        "An alternative's own start is k-means on its own columns (seed 0). The federated AUC is of the\n"
        "responsibilities the guest receives, which two decimals tie at 0 and 1."
    )


def _responsibilities(
    inputs: NDArray[np.float64],
    kind: str,
    start: NDArray[np.float64] | None,
    blocks: list[range] | None = None,
) -> NDArray[np.float64]:
    return np.asarray(fit_pooled(inputs, kind, start, blocks).predict_proba(inputs))


def _sorted(table: Table) -> Table:
    return table.take(sorted(range(len(table.ids)), key=table.ids.__getitem__))


def _print_row(name: str, quality: dict[str, float]) -> None:
    print(f"  {name:<50} {quality['accuracy']:.4f}  {quality['adjusted_rand_index']:.4f}  {quality['auc']:.4f}")


if __name__ == "__main__":
    sys.exit(main())
