"""The words for a binning's figures, and what such a run showed to whom."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

BINNING_CIPHERTEXTS = (
    ("labels", "labels, guest to each host"),
    ("sums", "sums of labels by bin, packed, host to guest"),
)


def is_binning(metrics: Mapping[str, Any]) -> bool:
    """Whether a run binned columns."""
    return bool(metrics.get("algorithm") == "binning")


def binning_privacy_note(binning: Mapping[str, Any], rows: int) -> list[str]:
    """Return one line for each thing that somebody learned in a run that binned columns.

    Parameters
    ----------
    binning
        The plan's sections ``[binning]`` and ``[privacy]`` as the run's metrics keep them.
    rows
        How many rows were matched.
    """
    by_label = binning["rules"]["method"] in ("chi-merge", "optimal")
    if binning["tell_woe"]:
        told = (
            "Hosts were told the weight of evidence of the bins of their kept columns. Each host can compute the share "
            "of events among the rows of each of those bins, and knows which rows these are; no bin it was told of "
            f"has fewer than {binning['least_of_each_class']} rows of a class."
        )
    else:
        told = "Hosts were told which of their columns are kept, and no weight of evidence."
    lines = [
        f"The parties know each other's ids: all {rows} of them are matched.",
        "Labels left the guest encrypted alone, one ciphertext a row, under a key whose private half it alone has. "
        "It can read what it is sent: sums over bins, never a row's value.",
        "The guest knows how many rows and events each bin of each host's column has, and so the columns' information "
        f"values; no bin has fewer than {binning['rules']['least_rows']} rows. Edges, categories and which rows are in "
        "a bin stayed with the host. A guest that breaks the protocol could encrypt other numbers than labels and "
        "learn which rows are in a bin.",
        told,
    ]
    if by_label:
        lines.append(
            "Hosts were also told which neighbouring bins of their kept columns to merge: that their shares of events "
            "are alike, and where they change."
        )
    names = "knows" if binning["tell_names"] else "does not know"
    lines.append(f"The guest {names} the names of the hosts' columns.")
    lines.append(
        "The coordinator knows numbers of rows, columns and ciphertexts, timings and versions; all else that it "
        "carried was sealed to its receiver."
    )
    return lines
