"""The data sets of the experiment, each split by columns between a guest, who has the labels, and a host."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve, toeplitz
from sklearn.datasets import load_digits
from sklearn.model_selection import StratifiedKFold

EXAMPLE = Path(__file__).parents[1] / "breast_cancer"
Rows = NDArray[np.intp]


@dataclass(frozen=True)
class Settings:
    """How the two models are trained on a data set.

    Attributes
    ----------
    components, regularisation, tolerance, iterations
        Of the mixture.
    threshold
        Columns with a larger information value go into the logistic regression.
    batch, rate, epochs
        Of the logistic regression.
    logistic_rows
        It is trained on so many of the training rows at most; None for all.
    """

    components: int = 2
    regularisation: float = 1e-6
    tolerance: float = 1e-3
    iterations: int = 100
    threshold: float = 0.1
    batch: int = 64
    rate: float = 0.3
    epochs: int = 12
    logistic_rows: int | None = None


@dataclass(frozen=True)
class Dataset:
    """A table of two parties, and which of its rows are trained on and tested on in turn.

    Attributes
    ----------
    columns
        The names of each party's columns.
    values
        Each party's values, float64 of shape (n, columns).
    labels
        0 or 1 a row; 1 is the event.
    folds
        Row numbers to train on, and to test on.
    truth
        The probability of the event under the distribution that the rows were drawn from, where it is known.
    """

    key: str
    title: str
    what: str
    event: str
    columns: dict[str, tuple[str, ...]]
    values: dict[str, NDArray[np.float64]]
    labels: NDArray[np.int64]
    folds: list[tuple[Rows, Rows]]
    settings: Settings
    truth: NDArray[np.float64] | None = None

    @property
    def ids(self) -> list[str]:
        """One id a row: its number."""
        return [str(i) for i in range(len(self.labels))]

    @property
    def width(self) -> int:
        """How many columns both parties have."""
        return sum(len(names) for names in self.columns.values())

    @property
    def tested(self) -> Rows:
        """The rows that some fold tests on, in order."""
        return np.sort(np.concatenate([test for _, test in self.folds]))

    def write(self, directory: Path, rows: Rows) -> dict[str, Path]:
        """Write each party's file of some rows; the guest's has the labels."""
        directory.mkdir(parents=True, exist_ok=True)
        ids, paths = self.ids, {}
        for party, values in self.values.items():
            paths[party] = directory / f"{party}.csv"
            with paths[party].open("w", newline="", encoding="utf-8") as stream:
                writer = csv.writer(stream)
                label = ["y"] if party == "guest" else []
                writer.writerow(["id", *label, *self.columns[party]])
                for i, cells in zip(rows.tolist(), values[rows].tolist(), strict=True):
                    writer.writerow([ids[i], *([int(self.labels[i])] if label else []), *map(repr, cells)])
        return paths


def breast(folds: int, epochs: int, used: int | None = None) -> Dataset:
    """The paper's data: 569 tumours; the event is a benign one. Of the folds, the first `used` are run."""
    columns, values, labels = {}, {}, []
    for party in ("guest", "host"):
        with (EXAMPLE / f"{party}.csv").open(newline="", encoding="utf-8") as stream:
            rows = sorted(csv.DictReader(stream), key=lambda row: int(row["id"]))
        columns[party] = tuple(name for name in rows[0] if name not in ("id", "y"))
        values[party] = np.array([[float(row[name]) for name in columns[party]] for row in rows])
        labels = labels or [int(row["y"]) for row in rows]
    truth = np.array(labels)
    return Dataset(
        key="breast",
        title="Breast cancer",
        what="the paper's data (FATE's breast_hetero): 569 tumours, 10 columns at the guest and 20 at the host",
        event="the tumour is benign",
        columns=columns,
        values=values,
        labels=truth,
        folds=_folds(truth, folds)[:used],
        # Labels without any relation to a column give it about 9 (1/286 + 1/170) = 0.08 by chance.
        settings=Settings(threshold=0.3, epochs=epochs),
    )


def digits(folds: int, epochs: int) -> Dataset:
    """Handwritten digits; the guest has the left half of each picture, and the event is an even digit."""
    found = load_digits()
    pixels, truth = found.data, (found.target % 2 == 0).astype(np.int64)
    inked = (pixels > 0).sum(axis=0) >= 0.02 * len(pixels)
    left = np.arange(pixels.shape[1]) % 8 < 4
    chosen = {"guest": np.flatnonzero(inked & left), "host": np.flatnonzero(inked & ~left)}
    return Dataset(
        key="digits",
        title="Handwritten digits",
        what=f"scikit-learn's load_digits: {len(pixels):,} pictures of 8 x 8 pixels; the guest has the "
        "left half of each, "
        "the host the right one, without pixels that are blank in 98 % of the pictures",
        event="the digit is even",
        columns={party: tuple(f"p{j}" for j in places) for party, places in chosen.items()},
        values={party: pixels[:, places] for party, places in chosen.items()},
        labels=truth,
        folds=_folds(truth, folds),
        # Ten components, as there are ten digits. So few rows a component leave covariances of 25 columns nearly
        # singular, hence the regularisation.
        settings=Settings(components=10, regularisation=0.5, threshold=0.05, batch=128, epochs=epochs),
    )


def synthetic(rows: int, tested: int, logistic_rows: int, batch: int, epochs: int) -> Dataset:
    """Two Gaussian classes of equal covariance, independent across parties given the class: both models are true.

    The classes are sqrt(2) 1.6 apart in Mahalanobis distance, 1.6 at each party: the best AUC is Phi(1.6) = 0.945
    with all columns and Phi(1.6 / sqrt(2)) = 0.871 with one party's.
    """
    rng = np.random.default_rng(20_261_127)
    width, share, distance = 10, 0.4, 1.6
    covariance = toeplitz(0.5 ** np.arange(width))
    factor = np.linalg.cholesky(covariance)
    slope = solve(covariance, np.ones(width), assume_a="pos")
    shift = distance / np.sqrt(slope.sum())
    total = rows + tested
    event = rng.random(total) < share
    values = {
        party: rng.normal(size=(total, width)) @ factor.T + shift * event[:, np.newaxis] for party in ("guest", "host")
    }
    # ln p(x | 1) - ln p(x | 0) = shift * slope . (x - shift / 2) at each party.
    score = np.log(share / (1 - share)) + sum(shift * (x - shift / 2) @ slope for x in values.values())
    truth = np.asarray(1 / (1 + np.exp(-score)))
    order = np.arange(total)
    return Dataset(
        key="synthetic",
        title="Synthetic, known truth",
        what=f"{rows:,} rows to train on and {tested:,} to test on, drawn from two Gaussian classes with 10 columns at "
        "each party, independent across parties given the class",
        event="the row is of the second class (40 %)",
        columns={party: tuple(f"x{j}" for j in range(width)) for party in values},
        values=values,
        labels=event.astype(np.int64),
        folds=[(order[:rows], order[rows:])],
        settings=Settings(
            tolerance=1e-4,
            iterations=40,
            threshold=0.02,
            batch=batch,
            rate=0.3,
            epochs=epochs,
            logistic_rows=logistic_rows,
        ),
        truth=truth,
    )


def _folds(labels: NDArray[np.int64], folds: int) -> list[tuple[Rows, Rows]]:
    return list(StratifiedKFold(folds, shuffle=True, random_state=0).split(labels, labels))
