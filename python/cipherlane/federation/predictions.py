"""The guest's result of a logistic regression: a probability for each row, and how it compares with labels."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from cipherlane.files import write_whole
from cipherlane.vertical.separable_logistic import logistic

COLUMNS = ("index", "label", "predict_result", "predict_score", "predict_detail", "type")
_THRESHOLD = 0.5
_MOST_ROC_POINTS = 200


@dataclass(frozen=True)
class Predictions:
    """What a logistic regression says of rows.

    Attributes
    ----------
    ids
        One id a row.
    labels
        The rows' own labels, or None where they have none.
    classes
        The names of the negative and the positive class.
    scores
        float64, shape (n,): the linear score of all parties together.
    types
        "train", "validate" or "test" for each row.
    """

    ids: tuple[str, ...]
    labels: tuple[str, ...] | None
    classes: tuple[str, str]
    scores: NDArray[np.float64]
    types: tuple[str, ...]

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """Probability of the positive class, float64 of shape (n,)."""
        return logistic(self.scores)

    @property
    def results(self) -> tuple[str, ...]:
        """The likelier class of each row."""
        return tuple(self.classes[int(p > _THRESHOLD)] for p in self.probabilities)

    def columns(self) -> dict[str, list[Any]]:
        """Return the table as lists by column: index, label, predict_result, predict_score, predict_detail and type.

        Examples
        --------
        >>> found = Predictions(("a",), ("1",), ("0", "1"), np.array([2.0]), ("test",))
        >>> found.columns()["predict_result"], found.columns()["predict_detail"]
        (['1'], [{'0': 0.119202922, '1': 0.880797078}])
        """
        positive = [float(f"{p:.9g}") for p in self.probabilities]
        negative = [float(f"{p:.9g}") for p in logistic(-self.scores)]
        return {
            "index": list(self.ids),
            "label": [None] * len(self.ids) if self.labels is None else list(self.labels),
            "predict_result": list(self.results),
            "predict_score": positive,
            "predict_detail": [
                {self.classes[0]: low, self.classes[1]: high} for low, high in zip(negative, positive, strict=True)
            ],
            "type": list(self.types),
        }

    def to_pandas(self) -> Any:
        """Return `columns` as a pandas data frame; pandas must be installed."""
        import pandas  # type: ignore[import-untyped, unused-ignore]

        return pandas.DataFrame(self.columns(), columns=list(COLUMNS))

    def write_rows(self, stream: TextIO) -> None:
        """Write the table as CSV to an open text stream."""
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        columns = self.columns()
        columns["label"] = ["" if label is None else label for label in columns["label"]]
        columns["predict_score"] = [format(p, ".9g") for p in columns["predict_score"]]
        columns["predict_detail"] = [json.dumps(detail) for detail in columns["predict_detail"]]
        writer.writerows(zip(*(columns[name] for name in COLUMNS), strict=True))

    def write(self, path: Path) -> None:
        """Write the table as a CSV file."""
        stream = io.StringIO(newline="")
        self.write_rows(stream)
        write_whole(path, stream.getvalue())

    def quality(self) -> dict[str, Any] | None:
        """Return how the probabilities compare with the labels; None without labels of both classes.

        Returns
        -------
        dict
            "accuracy" at a threshold of 1/2, "auc", "log_loss", "counts" (rows by label, then by result) and "roc",
            pairs of false and true positive rate; with validation rows also "validation" of those alone.
        """
        if self.labels is None or set(self.labels) != set(self.classes):
            return None
        found = self._compared(np.ones(len(self.ids), dtype=np.bool_))
        held_out = np.array([kind == "validate" for kind in self.types])
        if held_out.any() and len({label for label, out in zip(self.labels, held_out, strict=True) if out}) > 1:
            found["validation"] = {
                k: v for k, v in self._compared(held_out).items() if k in ("rows", "accuracy", "auc")
            }
        return found

    def write_quality(self, path: Path) -> None:
        """Write `quality` as JSON, if there is one."""
        found = self.quality()
        if found is not None:
            write_whole(path, json.dumps(found, indent=2) + "\n")

    def _compared(self, chosen: NDArray[np.bool_]) -> dict[str, Any]:
        # Here: it takes seconds to load, and of the sites only the guest's compares.
        from sklearn.metrics import log_loss, roc_auc_score, roc_curve

        labels = np.array(self.labels)[chosen]
        truth = (labels == self.classes[1]).astype(np.intp)
        probabilities, scores = self.probabilities[chosen], self.scores[chosen]
        called = (probabilities > _THRESHOLD).astype(np.intp)
        counts = np.zeros((2, 2), dtype=np.int64)
        np.add.at(counts, (truth, called), 1)
        false_rates, true_rates, _ = roc_curve(truth, scores)
        shown = np.unique(np.linspace(0, len(false_rates) - 1, _MOST_ROC_POINTS).astype(np.intp))
        return {
            "labels": list(self.classes),
            "rows": int(chosen.sum()),
            "accuracy": float((truth == called).mean()),
            "auc": float(roc_auc_score(truth, scores)),
            "log_loss": float(log_loss(truth, probabilities, labels=[0, 1])),
            "counts": counts.tolist(),
            "roc": [[float(false_rates[i]), float(true_rates[i])] for i in shown],
        }


def predictions_of(
    ids: Sequence[str],
    labels: Sequence[str] | None,
    classes: tuple[str, str],
    scores: NDArray[np.float64],
    validation: NDArray[np.intp] | None,
) -> Predictions:
    """Return predictions for training rows, of which `validation` were held out, or for new rows if that is None."""
    types = np.full(len(ids), "test" if validation is None else "train", dtype=object)
    if validation is not None:
        types[validation] = "validate"
    return Predictions(tuple(ids), None if labels is None else tuple(labels), classes, scores, tuple(types.tolist()))
