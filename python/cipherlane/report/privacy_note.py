"""What a run showed to whom, in a few plain sentences for its report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cipherlane.report.binning_words import binning_privacy_note, is_binning
from cipherlane.report.run_files import is_horizontal, is_logistic

# Share of rows of the breast cancer example whose log-density ratio at the other party follows within 1 %
# from the last responsibilities, by decimals kept. tests/federation/test_privacy_figures.py measures it.
_RECOVERED = {-1: "94 %", 4: "5 to 6 %", 3: "2 to 3 %", 2: "less than 1 %"}


def showed(metrics: Mapping[str, Any]) -> list[str]:
    """Return one line for each thing that somebody learned in the run that left these metrics."""
    if is_logistic(metrics):
        return logistic_privacy_note(metrics["rows"], len(metrics["parties"]))
    if is_horizontal(metrics):
        return horizontal_privacy_note(metrics["rows"], len(metrics["parties"]))
    if is_binning(metrics):
        return binning_privacy_note(metrics["binning"], metrics["rows"])
    return privacy_note(metrics["privacy"], metrics["rows"])


def horizontal_privacy_note(rows: int, parties: int) -> list[str]:
    """Return one line for each thing that somebody learned in a run of parties with the same columns.

    Parameters
    ----------
    rows
        Of all parties together.
    parties
        How many data parties there were.
    """
    others = "the other party's own" if parties == 2 else "those of the other parties together"
    return [
        "No row left its party, nor anything of a single row: ids, features, responsibilities and labels stayed.",
        "Every data party has the model of every round, and with it the sums over all parties: less its own, these are "
        f"{others} (rows, means and covariances of each component, and of each column at the start). With few rows "
        "in a component that comes close to the rows themselves.",
        "The arbiter knows the model of every round and the columns' means and deviations; it saw sums over parties "
        "only. Arbiter and coordinator together could decrypt each party's sums: they must not be one institution.",
        "The guest's k-means centres, where the plan starts from them, are known to the other data parties.",
        "The coordinator knows component sizes, weights, the mean log-likelihood of each round, each party's number of "
        "rows and columns, timings and versions; everything else it carried was encrypted.",
        f"Each party knows how many rows there are in all ({rows}).",
    ]


def logistic_privacy_note(rows: int, parties: int) -> list[str]:
    """Return one line for each thing that somebody learned in a run of logistic regression.

    Parameters
    ----------
    rows
        How many rows were matched.
    parties
        How many data parties there were.
    """
    others = "the host's part is that score less the guest's own" if parties == 2 else "the hosts' parts only added up"
    return [
        f"The parties know each other's ids: all {rows} of them are matched.",
        "The arbiter learned nothing of rows, labels, gradients or losses: each number that it decrypted was masked by "
        "a uniform residue modulo n.",
        "Every party learned the gradient of its own coefficients in every step, that is, its columns times residuals, "
        "summed over the rows of a batch. The first one tells a host how its columns differ between the classes.",
        f"The guest learned the total loss of each batch, and at the end the score of each row: {others}.",
        "The coordinator knows the mean loss of each epoch, numbers of rows and columns, timings and versions; "
        "ciphertexts passed it in boxes that it cannot open, so not even with the arbiter could it read one.",
        "Coefficients stayed with their party, labels with the guest. Arbiter and a host that share what they have "
        "could decrypt each row's residual, and with it the labels; arbiter and guest the hosts' partial scores: the "
        "arbiter must be no party.",
    ]


def privacy_note(privacy: Mapping[str, Any], rows: int) -> list[str]:
    """Return one line for each thing that somebody learned in a run of parties with the same rows.

    Parameters
    ----------
    privacy
        The plan's ``[privacy]`` section as the run's metrics keep it.
    rows
        How many rows were matched.
    """
    return [
        f"The parties know each other's ids: all {rows} of them are matched.",
        _responsibilities(int(privacy["responsibility_decimals"])),
        "The arbiter knows the responsibilities and each round's total log-likelihood; it saw sums over "
        "parties only. Arbiter and one party together could tell the other's log-density ratios: they must "
        "not be the same institution.",
        _parameters(str(privacy["share_parameters"])),
        "The coordinator knows component sizes, weights, the mean log-likelihood of each round, numbers of "
        "rows and columns, timings and versions; everything else it carried was encrypted.",
        "Labels stayed with the guest.",
    ]


def _responsibilities(decimals: int) -> str:
    how = "exact" if decimals < 0 else f"rounded to {decimals} decimals"
    known = _RECOVERED.get(decimals)
    measured = (
        f" On the breast cancer example that gives away the other party's log-density ratio within 1 % "
        f"for {known} of the rows."
        if known
        else ""
    )
    return (
        f"Every data party received each round's responsibilities, {how}. From a row's responsibilities and "
        f"its own part a party can estimate the other's.{measured} Rounding mitigates this; it is no proof."
    )


def _parameters(shared: str) -> str:
    when = {"end": "at the end", "every_round": "in every round"}
    if shared not in when:
        return "Each party's means and covariances stayed with it."
    return (
        f"The arbiter received every party's means, covariances and column statistics {when[shared]}, to "
        'assemble the joint model (share_parameters = "never" forbids it).'
    )
