"""Binning at one party; known answers: the paper, numpy, pandas, SciPy, scikit-learn, optbinning, exhaustive search."""

from __future__ import annotations

import csv
import itertools
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2, chi2_contingency
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import KBinsDiscretizer

from cipherlane.binning import (
    BinningRules,
    CategoryBins,
    FittedBinning,
    NumericBins,
    WoeBinner,
    category_bins,
    chi_merge,
    information_values,
    merge_small,
    numeric_bins,
    optimal_merge,
    select,
    weight_of_evidence,
)
from cipherlane.binning.merging import chi_squared, merge_pure

GUEST = Path(__file__).parents[2] / "examples" / "breast_cancer" / "guest.csv"
# The paper's Table 1: cut, events, non-events, WoE = ln(non-event rate / event rate), IV of the bin.
PAPER = [
    (-1.047670, 57, 0, -4.223783, 0.670339),
    (-0.784675, 57, 0, -4.223783, 0.670339),
    (-0.612797, 55, 2, -2.793036, 0.403950),
    (-0.469910, 55, 2, -2.793036, 0.403950),
    (-0.269040, 56, 2, -2.811055, 0.414430),
    (-0.053674, 41, 16, -0.419834, 0.016531),
    (0.232100, 31, 25, 0.306038, 0.009515),
    (0.840923, 5, 52, 2.862955, 0.662137),
    (1.536720, 0, 57, 5.266082, 1.420925),
    (None, 0, 56, 5.248537, 1.391434),
]


@pytest.fixture(scope="module")
def breast() -> tuple[np.ndarray, np.ndarray]:
    with GUEST.open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    return np.array([[float(row[f"x{j}"]) for j in range(10)] for row in rows]), np.array([int(r["y"]) for r in rows])


def counts(seed: int, bins: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 30, bins), rng.integers(0, 30, bins)


# ---- the paper's table ----------------------------------------------------------------------------------------


def test_the_papers_table_to_all_printed_digits(breast):
    x, y = breast
    binner = WoeBinner(least_rows=1).fit(x[:, :1], y)
    cuts = binner.fitted_.columns[0].bins.cuts
    rows = binner.tables_[0].rows("paper")
    assert len(rows) == len(PAPER) and len(cuts) == 9
    for (cut, events, non_events, woe, iv), found, (_, e, n, w, v) in zip(PAPER, [*cuts, None], rows, strict=True):
        assert (e, n) == (events, non_events)
        assert (f"{w:.6f}", f"{v:.6f}") == (f"{woe:.6f}", f"{iv:.6f}")
        assert found is None if cut is None else f"{found:.6f}" == f"{cut:.6f}"
    standard = binner.tables_[0].rows()
    assert [row[3] for row in standard] == [-row[3] for row in rows]
    # Printed digits round each of the ten parts.
    assert binner.information_values_[0] == pytest.approx(sum(row[4] for row in PAPER), abs=5e-6)


# ---- cuts and membership --------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [11, 100, 569, 1000])
@pytest.mark.parametrize("bins", [2, 3, 7, 10])
def test_quantile_cuts_are_numpys_inverted_cdf(n, bins):
    x = np.random.default_rng(n).normal(size=n)
    ours = numeric_bins(x, BinningRules(bins=bins, least_rows=1)).cuts
    theirs = np.quantile(x, np.arange(1, bins) / bins, method="inverted_cdf")
    assert list(ours) == sorted(set(theirs.tolist()))


def test_membership_is_that_of_pandas_cut():
    x = np.round(np.random.default_rng(1).normal(size=500), 1)
    bins = numeric_bins(x, BinningRules(bins=8))
    codes = pd.cut(pd.Series(x), [-np.inf, *bins.cuts, np.inf], right=True).cat.codes
    assert bins.index(x).tolist() == codes.tolist()


def test_width_cuts_are_scikit_learns_uniform_bins():
    x = np.random.default_rng(2).uniform(-3, 9, size=(400, 1))
    edges = KBinsDiscretizer(6, encode="ordinal", strategy="uniform").fit(x).bin_edges_[0]
    ours = numeric_bins(x[:, 0], BinningRules(bins=6, method="width", least_rows=1)).cuts
    assert ours == pytest.approx(edges[1:-1], rel=1e-12)


def test_ties_few_rows_and_one_value_give_fewer_bins():
    rules = BinningRules(bins=10, least_rows=1)
    assert numeric_bins(np.array([0.0] * 90 + [1.0] * 10), rules).cuts == (0.0,)
    assert numeric_bins(np.array([3.0, 1.0, 2.0]), rules).count == 3
    assert numeric_bins(np.full(50, 7.0), rules).count == 1
    assert numeric_bins(np.full(50, 7.0), BinningRules(method="width")).count == 1


def test_one_value_has_no_information_and_a_threshold_drops_it():
    x = np.column_stack([np.full(40, 7.0), np.arange(40.0)])
    binner = WoeBinner(bins=4, threshold=0.0).fit(x, [0, 1] * 10 + [1] * 20)
    assert binner.information_values_[0] == 0.0 and binner.tables_[0].woe.tolist() == [0.0]
    assert binner.selected_.tolist() == [False, True]


def test_cuts_of_ones_own_and_bins_without_rows_are_merged():
    x, y = np.arange(30.0), np.array([0, 1, 1] * 10)
    binner = WoeBinner(cuts={0: [-5.0, 9.5, 19.5, 100.0]}).fit(x.reshape(-1, 1), y)
    assert binner.fitted_.columns[0].bins.cuts == (9.5, 19.5)
    assert binner.tables_[0].events.sum() == 20
    for bad in ([1.0, 1.0], [2.0, 1.0], [1.0, np.nan], ["a"], "12", 3.0):
        with pytest.raises(ValueError, match="expected cuts"):
            WoeBinner(cuts={0: bad}).fit(x.reshape(-1, 1), y)
    with pytest.raises(ValueError, match="cuts: the column '0' holds categories, which are not cut"):
        WoeBinner(cuts={0: [9.5]}, categorical=[0]).fit(x.reshape(-1, 1), y)


# ---- evidence --------------------------------------------------------------------------------------------------


def test_evidence_is_scipys_relative_entropy_both_ways():
    from scipy.stats import entropy

    e, n = counts(3, 9)
    e, n = e + 1, n + 1
    # IV = KL(p || q) + KL(q || p) for the distributions of events and non-events over bins.
    assert information_values(e, n).sum() == pytest.approx(entropy(e, n) + entropy(n, e), rel=1e-12)
    assert weight_of_evidence(e, n) == pytest.approx(np.log(e / e.sum()) - np.log(n / n.sum()), rel=1e-12)


def test_a_count_of_zero_adds_a_half_to_both_counts_and_to_no_total():
    woe = weight_of_evidence([0, 4, 6], [3, 0, 7])
    assert woe == pytest.approx(
        [math.log((0.5 / 10) / (3.5 / 10)), math.log((4.5 / 10) / (0.5 / 10)), math.log((6 / 10) / (7 / 10))]
    )
    iv = information_values([0, 4, 6], [3, 0, 7])
    assert iv == pytest.approx(
        [(0.05 - 0.35) * math.log(0.05 / 0.35), (0.45 - 0.05) * math.log(9), -0.1 * math.log(6 / 7)]
    )


@pytest.mark.parametrize(
    ("events", "non_events", "message"),
    [
        ([1, 2], [0, 0], "non_events: there are none"),
        ([0, 0], [1, 2], "events: there are none"),
        ([1, 2], [1], "expected 2 counts"),
        ([1, -2], [1, 2], "whole numbers"),
        ([1.5, 2], [1, 2], "whole numbers"),
        ([], [], "whole numbers"),
    ],
)
def test_counts_that_are_none(events, non_events, message):
    with pytest.raises(ValueError, match=message):
        weight_of_evidence(events, non_events)


# ---- merging ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", [(10, 20, 20, 10), (5, 0, 3, 9), (1, 40, 2, 3)])
def test_chi_squared_is_scipys_without_correction(table):
    a, b, c, d = table
    assert chi_squared(a, b, c, d) == pytest.approx(chi2_contingency([[a, b], [c, d]], correction=False).statistic)


@pytest.mark.parametrize("seed", range(6))
def test_chi_merge_is_the_rule_step_by_step_with_scipy(seed):
    e, n = counts(seed, 14)
    e, n = e + 1, n + 1
    groups = [[i] for i in range(14)]

    def statistic(left, right):
        cells = [[e[g].sum(), n[g].sum()] for g in (left, right)]
        return chi2_contingency(cells, correction=False).statistic

    while len(groups) > 1:
        values = [statistic(a, b) for a, b in itertools.pairwise(groups)]
        if min(values) >= chi2.ppf(0.95, 1) and len(groups) <= 6:
            break
        at = values.index(min(values))
        groups[at] += groups.pop(at + 1)
    expected = [k for k, group in enumerate(groups) for _ in group]
    assert chi_merge(e, n, most_bins=6).tolist() == expected


def every_merge(bins: int, most: int):
    for steps in itertools.product((0, 1), repeat=bins - 1):
        merge = np.cumsum([0, *steps])
        if merge[-1] < most:
            yield merge


def exhaustive(e, n, most, trend, least):
    best, where = -np.inf, None
    for merge in every_merge(len(e), most):
        a, b = np.bincount(merge, e), np.bincount(merge, n)
        if (a == 0).any() or (b == 0).any() or (a + b < least).any():
            continue
        steps = np.diff(a / (a + b))
        rising, falling = (steps >= 0).all(), (steps <= 0).all()
        fits = {"none": True, "increasing": rising, "decreasing": falling, "auto": rising or falling}[trend]
        iv = ((a / e.sum() - b / n.sum()) * np.log((a / e.sum()) / (b / n.sum()))).sum()
        if fits and iv > best + 1e-12:
            best, where = iv, merge
    return best, where


@pytest.mark.parametrize("trend", ["auto", "increasing", "decreasing", "none"])
@pytest.mark.parametrize("seed", range(8))
def test_the_optimal_merge_is_that_of_exhaustive_search(seed, trend):
    e, n = counts(100 + seed, 10)
    merge = optimal_merge(e, n, most_bins=4, trend=trend, least_rows=12)
    a, b = np.bincount(merge, e), np.bincount(merge, n)
    best, _ = exhaustive(e, n, 4, trend, 12)
    assert len(a) <= 4
    assert information_values(a, b).sum() == pytest.approx(best, rel=1e-12)
    steps = np.diff(a / (a + b))
    if trend != "none":
        assert (steps >= -1e-15).all() or (steps <= 1e-15).all()


def test_no_merge_fits_and_all_is_one_bin():
    assert optimal_merge([3, 0, 2], [0, 4, 0], least_rows=10).tolist() == [0, 0, 0]


@pytest.mark.parametrize("seed", range(5))
def test_merging_small_and_pure_bins_leaves_none(seed):
    e, n = counts(200 + seed, 20)
    small = merge_small(e + n, 40)
    assert np.bincount(small, e + n).min() >= 40
    pure = merge_pure(e, n, 25)
    assert min(np.bincount(pure, e).min(), np.bincount(pure, n).min()) >= 25
    assert merge_small([1, 1, 1], 99).tolist() == [0, 0, 0]


# optbinning 1.0.0: OptimalBinning(solver="cp", monotonic_trend="descending", user_splits=<the 5 % quantiles>,
# max_n_bins=5, min_bin_size=25/569, min_bin_n_event=1, min_bin_n_nonevent=1), status OPTIMAL.
@pytest.mark.parametrize(
    ("column", "cuts", "iv"),
    [
        (0, (-0.674921, -0.26904, 0.2321, 0.522016), 6.617075434086291),
        (1, (-0.748629, -0.34152, 0.052562, 0.658341), 1.288449096460332),
        (4, (-1.296166, -0.875341, 0.233707, 0.597545), 0.9400930641122056),
        (8, (-0.753491, -0.334485, 0.450138, 1.137695), 1.0778150480881137),
    ],
)
def test_the_optimal_merge_is_optbinnings(breast, column, cuts, iv):
    x, y = breast
    binner = WoeBinner("optimal", bins=5, fine_bins=20, least_rows=25).fit(x[:, [column]], y)
    assert binner.fitted_.columns[0].bins.cuts == cuts
    assert binner.information_values_[0] == pytest.approx(iv, rel=1e-12)


@pytest.mark.parametrize("method", ["chi-merge", "optimal"])
def test_bins_by_labels_beat_none_and_follow_the_rules(breast, method):
    x, y = breast
    binner = WoeBinner(method, bins=5, least_rows=20).fit(x, y)
    for table in binner.tables_:
        rows = table.events + table.non_events
        assert 2 <= len(rows) <= 5 and rows.min() >= 20 and rows.sum() == 569
        if method == "optimal":
            rates = table.events / rows
            assert (np.diff(rates) >= 0).all() or (np.diff(rates) <= 0).all()


# ---- categories, missing values, selection ---------------------------------------------------------------------


def test_rare_categories_share_a_bin_and_unseen_ones_follow_the_rule():
    values = ["a"] * 20 + ["b"] * 12 + ["c"] * 3 + ["d"] * 1 + [""] * 6
    bins = category_bins(values, BinningRules(least_rows=5))
    assert bins.names == ("a", "other", "missing")  # c and d are 4 rows, so the next rarest joins them
    assert np.bincount(bins.index(values)).tolist() == [20, 16, 6]
    with pytest.raises(ValueError, match="'e' was not there when bins were formed"):
        bins.index(["a", "e"], "blood")
    lenient = category_bins(values, BinningRules(least_rows=5, unseen="other"))
    assert lenient.index(["e", "a", ""]).tolist() == [1, 0, 2]
    none_rare = category_bins(["a"] * 9 + ["b"] * 5, BinningRules(unseen="other"))
    assert none_rare.index(["e"]).tolist() == [0]  # the largest bin
    assert category_bins(list("abcdef") * 6, BinningRules(bins=3)).names == ("a", "b", "c", "other")


def test_missing_values_have_a_bin_join_the_largest_or_are_refused():
    x = np.arange(40.0)
    x[:6] = np.nan
    bins = numeric_bins(x, BinningRules(bins=2))
    assert bins.names[-1] == "missing" and np.bincount(bins.index(x)).tolist() == [17, 17, 6]
    few = np.array([np.nan, np.nan, *([0.0] * 10), *range(1, 9)])
    bins = numeric_bins(few, BinningRules(bins=2))
    assert bins.names[0].endswith("or missing") and np.bincount(bins.index(few)).tolist() == [12, 8]
    with pytest.raises(ValueError, match=r"age: row 1: the value is missing \(6 such rows\)"):
        numeric_bins(x, BinningRules(missing="error"), column="age")
    with pytest.raises(ValueError, match="age: row 2: the value is missing"):
        numeric_bins(np.arange(9.0)).index(np.array([1.0, np.nan]), "age")
    with pytest.raises(ValueError, match="has no value in any row"):
        numeric_bins(np.full(4, np.nan))
    with pytest.raises(ValueError, match="infinite"):
        numeric_bins(np.array([1.0, np.inf]))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([1] * 20, "every row has the label 1"),
        ([0, 1, 2] + [0] * 17, "expected two different ones, got 3"),
        ([0.0, 1.0, np.nan] + [0.0] * 17, "one is missing"),
        ([None, 0] * 10, "one is missing"),
        ([2, 3] * 10, "expected the event 1"),
        ([0, 1] * 9, "expected 20 labels"),
    ],
)
def test_labels_that_are_not_binary(labels, message):
    with pytest.raises(ValueError, match=message):
        WoeBinner().fit(np.arange(20.0).reshape(-1, 1), labels)


def test_selection_by_threshold_by_number_and_by_both():
    values = [0.5, 0.1, 0.5, 0.02, 0.3]
    assert select(values).all()
    assert select(values, threshold=0.1).tolist() == [True, False, True, False, True]
    assert select(values, top=1).tolist() == [True, False, False, False, False]
    assert select(values, threshold=0.2, top=4).tolist() == [True, False, True, False, True]
    assert select(values, threshold=0.0, top=2).tolist() == [True, False, True, False, False]
    for top in (0, 1.5, True, "2"):
        with pytest.raises(ValueError, match="top: expected an integer of at least 1"):
            select(values, top=top)
    for threshold in (np.nan, np.inf, "0.1"):
        with pytest.raises(ValueError, match="threshold: expected a finite number"):
            select(values, threshold=threshold)


def test_numbers_of_numpys_are_numbers(breast):
    x, y = breast
    searched = WoeBinner(bins=np.int64(6), least_rows=np.int32(5), top=np.int64(4)).fit(x, y)
    assert searched.fitted_ == WoeBinner(bins=6, top=4).fit(x, y).fitted_


# ---- the estimator ---------------------------------------------------------------------------------------------


def test_it_works_in_a_pipeline_and_helps_a_linear_model():
    rng = np.random.default_rng(5)
    x = rng.normal(size=(3000, 2))
    y = (rng.random(3000) < 1 / (1 + np.exp(2 - 2 * x[:, 0] ** 2))).astype(int)  # no line tells these apart
    plain = LogisticRegression().fit(x, y)
    binned = make_pipeline(clone(WoeBinner(bins=8)), LogisticRegression()).fit(x, y)
    auc = [roc_auc_score(y, model.predict_proba(x)[:, 1]) for model in (plain, binned)]
    assert auc[1] > auc[0] + 0.2


def test_a_frame_with_names_categories_and_missing_cells():
    rng = np.random.default_rng(6)
    y = rng.integers(0, 2, 300)
    frame = pd.DataFrame(
        {
            "age": np.where(rng.random(300) < 0.1, np.nan, rng.normal(size=300) + y),
            "blood": rng.choice(["a", "b", None], 300),
        }
    )
    binner = WoeBinner(bins=4, categorical=["blood"]).fit(frame, y)
    made = binner.transform(frame)
    assert made.shape == (300, 2) and list(binner.get_feature_names_out()) == ["age", "blood"]
    assert binner.tables_[1].names == ("a", "b", "missing")
    # Rows without a value have the WoE of those rows.
    for name, j in (("blood", 1), ("age", 0)):
        rows = frame[name].isna().to_numpy()
        e, n = y[rows].sum(), (1 - y)[rows].sum()
        assert made[rows, j] == pytest.approx(np.log((e / y.sum()) / (n / (1 - y).sum())))
    with pytest.raises(ValueError, match="expected the columns"):
        binner.transform(frame[["blood", "age"]])
    with pytest.raises(ValueError, match="blood: expected numbers"):
        WoeBinner().fit(frame, y)
    with pytest.raises(NotFittedError):
        WoeBinner().transform(frame)
    with pytest.raises(ValueError, match="there is no column 'bloood'"):
        WoeBinner(categorical=["bloood"]).fit(frame, y)


def test_every_form_of_missing_cell_of_a_frame_is_one():
    y = np.resize([0, 1], 60)
    numbers = [float(i) for i in range(60)]
    frame = pd.DataFrame({"n": numbers, "c": np.resize(["a", "b", "c"], 60)})
    frame.loc[:9, "n"] = np.nan
    frame.loc[:9, "c"] = None
    nullable = frame.convert_dtypes()
    assert nullable["n"].isna().sum() == 10 and nullable["n"].dtype != float
    expected = WoeBinner(bins=3, categorical=["c"]).fit(frame, y).transform(frame)
    assert np.array_equal(WoeBinner(bins=3, categorical=["c"]).fit(nullable, y).transform(nullable), expected)


def test_a_binning_that_was_kept_takes_frames_with_missing_cells():
    pandas = pytest.importorskip("pandas")
    group = ["a", "b", None, float("nan")] * 10
    frame = pandas.DataFrame({"age": [*range(39), None], "group": pandas.Series(group, dtype=object)})
    binner = WoeBinner(bins=3, least_rows=2, categorical=["group"]).fit(frame, [0, 1, 1, 0] * 10)
    kept = FittedBinning.from_json(binner.fitted_.to_json())
    assert np.array_equal(kept.transform(frame), binner.transform(frame))


def test_a_binning_that_was_kept_transforms_alike(breast):
    x, y = breast
    binner = WoeBinner(bins=6, top=4).fit(x, y)
    kept = FittedBinning.from_json(binner.fitted_.to_json())
    again = kept.transform({str(j): x[:, j] for j in range(10)})
    assert np.array_equal(again, binner.transform(x)) and again.shape == (569, 4)
    index = kept.transform({str(j): x[:, j] for j in range(10)}, "index")
    assert set(np.unique(index)) == set(range(6))
    with pytest.raises(ValueError, match=r"0: row 3: expected a finite number, got inf; correct it"):
        kept.transform({str(j): np.array([0.0, 1.0, np.inf]) for j in range(10)})


@pytest.mark.parametrize(
    "damage",
    ["", "{}", "[]", '{"format": 2, "columns": []}', '{"format": 1, "columns": [{}]}']
    + [
        f'{{"format": 1, "columns": [{{"name": "a", "bins": {bins}, "woe": {woe}, "kept": true}}]}}'
        for bins, woe in [
            ('{"kind": "numeric", "cuts": [2, 1], "missing": null}', "null"),
            ('{"kind": "numeric", "cuts": [1], "missing": 7}', "null"),
            ('{"kind": "numeric", "cuts": [1], "missing": null}', "[1.0]"),
            ('{"kind": "numeric", "cuts": [1], "missing": null}', "[1.0, NaN]"),
            ('{"kind": "cat"}', "null"),
            ('{"kind": "category", "categories": ["a", "a"], "rare": [], "missing": null, "largest": 0}', "null"),
        ]
    ],
)
def test_a_damaged_binning_is_refused(damage):
    with pytest.raises(ValueError, match="not a whole binning"):
        FittedBinning.from_json(damage)


@pytest.mark.parametrize(
    "fields",
    [
        {"method": "quantil"},
        {"bins": 1},
        {"bins": True},
        {"least_rows": 0},
        {"significance": 0.0},
        {"trend": "up"},
        {"missing": "drop"},
        {"unseen": "ignore"},
        {"fine_bins": 1000},
    ],
)
def test_rules_out_of_range_are_named(fields):
    with pytest.raises(ValueError, match=next(iter(fields))):
        BinningRules(**fields)


def test_merging_keeps_the_bin_of_missing_values():
    bins = NumericBins((1.0, 2.0, 3.0), missing=4).merged(np.array([0, 0, 1, 1]))
    assert (bins.cuts, bins.missing) == ((2.0,), 2)
    shared = NumericBins((1.0, 2.0, 3.0), missing=2).merged(np.array([0, 0, 1, 1]))
    assert (shared.cuts, shared.missing) == ((2.0,), 1)
    for bad in ([0, 0, 1], [0, 2, 2, 2], [1, 1, 1, 1], [0, 1, 0, 1]):
        with pytest.raises(ValueError, match="merge"):
            bins.merged(np.array(bad))
    with pytest.raises(ValueError, match="merge"):
        CategoryBins(("a",)).merged(np.array([0]))
