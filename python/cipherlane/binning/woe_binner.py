"""Binning of columns that one party has together with the labels, in scikit-learn's style."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from cipherlane.binning.fitted import FittedBinning, FittedColumn
from cipherlane.binning.one_column import bin_column, binary_labels
from cipherlane.binning.rules import BinningRules
from cipherlane.binning.selection import select
from cipherlane.binning.values import Column


class WoeBinner(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Cuts columns into bins, and replaces values by the weight of evidence of their bins.

    WoE_k = ln((event_k / events) / (non_event_k / non_events)); IV = Σ (event rate - non-event rate) · WoE_k.

    Parameters
    ----------
    method, bins, fine_bins, least_rows, significance, trend, missing, unseen
        As in `BinningRules`.
    categorical : sequence of str or int, optional
        The columns that hold categories: names, or positions where columns have none.
    cuts : mapping of str or int to sequence of float, optional
        Cuts to use for a column in place of those that the method makes.
    event : object, default 1
        The label that is an event.
    threshold : float, optional
        Keep columns whose IV is above it.
    top : int, optional
        Keep as many columns, those with the largest IV. With both, both must hold.
    form : {"woe", "index"}, default "woe"
        What `transform` gives: weights of evidence, or numbers of bins.

    Attributes
    ----------
    tables_ : tuple of BinTable
        One a column.
    information_values_ : ndarray of float64, shape (columns,)
    selected_ : ndarray of bool, shape (columns,)
    fitted_ : FittedBinning
        What can be kept as JSON and applied to new rows.
    feature_names_in_ : ndarray of object
        Where X has names.
    n_features_in_ : int

    Examples
    --------
    >>> x = np.arange(40.0).reshape(-1, 1)
    >>> y = (x[:, 0] > 15).astype(int)
    >>> y[[3, 30]] = 1 - y[[3, 30]]
    >>> binner = WoeBinner(bins=2).fit(x, y)
    >>> binner.tables_[0].events.tolist(), binner.transform(x[[0, 39]]).round(3).tolist()
    ([5, 19], [[-1.504], [2.539]])
    """

    def __init__(
        self,
        method: str = "quantile",
        bins: int = 10,
        *,
        fine_bins: int = 50,
        least_rows: int = 5,
        significance: float = 0.05,
        trend: str = "auto",
        missing: str = "bin",
        unseen: str = "error",
        categorical: Sequence[str | int] = (),
        cuts: Mapping[str | int, Sequence[float]] | None = None,
        event: object = 1,
        threshold: float | None = None,
        top: int | None = None,
        form: str = "woe",
    ) -> None:
        self.method = method
        self.bins = bins
        self.fine_bins = fine_bins
        self.least_rows = least_rows
        self.significance = significance
        self.trend = trend
        self.missing = missing
        self.unseen = unseen
        self.categorical = categorical
        self.cuts = cuts
        self.event = event
        self.threshold = threshold
        self.top = top
        self.form = form

    def fit(self, X: Any, y: ArrayLike) -> WoeBinner:
        """Find the bins of every column of X, shape (n, d), by the labels y, shape (n,).

        Raises
        ------
        ValueError
            The rows of X and y are not as many, the labels are not two, or a column cannot be cut; it is named.
        """
        rules = BinningRules(
            self.method,
            _plain(self.bins),
            _plain(self.fine_bins),
            _plain(self.least_rows),
            float(self.significance),
            self.trend,
            self.missing,
            self.unseen,
        )
        names, columns = _columns(X)
        labels = binary_labels(y, self.event)
        if columns and len(labels) != len(columns[0]):
            raise ValueError(f"y: expected {len(columns[0])} labels as X has rows, got {len(labels)}")
        categorical, cuts = set(self.categorical), dict(self.cuts or {})
        unknown = sorted(map(str, (categorical | set(cuts)) - set(names)))
        if unknown:
            raise ValueError(f"categorical, cuts: there is no column {unknown[0]!r}")
        both = sorted(map(str, categorical & set(cuts)))
        if both:
            raise ValueError(f"cuts: the column {both[0]!r} holds categories, which are not cut; leave it out of one")
        found, tables = [], []
        for name, values in zip(names, columns, strict=True):
            bins, table = bin_column(
                str(name), values, labels, rules, is_category=name in categorical, cuts=cuts.get(name)
            )
            found.append(bins)
            tables.append(table)
        self.tables_ = tuple(tables)
        self.information_values_ = np.array([table.information_value for table in tables])
        self.selected_ = select(self.information_values_.tolist(), threshold=self.threshold, top=_plain(self.top))
        self.fitted_ = FittedBinning(
            tuple(
                FittedColumn(table.column, bins, tuple(table.woe.tolist()), bool(kept))
                for table, bins, kept in zip(tables, found, self.selected_, strict=True)
            )
        )
        self.n_features_in_ = len(names)
        if hasattr(X, "columns"):
            self.feature_names_in_ = np.array([str(name) for name in names], dtype=object)
        return self

    def transform(self, X: Any) -> NDArray[np.float64]:
        """Return the selected columns of X as weights of evidence, or numbers of bins, shape (n, selected).

        Raises
        ------
        NotFittedError
            `fit` was not called; it is a ValueError.
        ValueError
            X has other columns than those fitted, or a value that the bins refuse.
        """
        check_is_fitted(self, "fitted_")
        names, columns = _columns(X)
        if [str(name) for name in names] != [column.name for column in self.fitted_.columns]:
            raise ValueError(f"X: expected the columns {[c.name for c in self.fitted_.columns][:20]}, got {names[:20]}")
        values = {str(name): column for name, column in zip(names, columns, strict=True)}
        made = self.fitted_.transform(values, self.form)
        return made if made.size else np.empty((len(columns[0]) if columns else 0, 0))

    def get_feature_names_out(self, input_features: object = None) -> NDArray[np.object_]:
        """Return the names of the selected columns."""
        check_is_fitted(self, "fitted_")
        return np.array([column.name for column in self.fitted_.selected], dtype=object)


def _plain(number: Any) -> Any:
    """Return NumPy's integers, which searches over parameters give, as Python's."""
    return int(number) if isinstance(number, np.integer) else number


def _columns(X: Any) -> tuple[list[str | int], list[Column]]:
    """Return the names, or positions, of columns and what they hold."""
    if hasattr(X, "columns"):
        return list(X.columns), [np.asarray(X[name]) for name in X.columns]
    array = np.asarray(X)
    if array.ndim != 2:
        raise ValueError(f"X: expected two dimensions, rows and columns, got shape {array.shape}")
    return list(range(array.shape[1])), [array[:, j] for j in range(array.shape[1])]
