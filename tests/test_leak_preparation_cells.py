"""Cells that were filled one by one: from nearest rows, by regression, by the median of a group; and what only looks like it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_diabetes, load_wine
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import RobustScaler, StandardScaler

from mlnb.data.filling_marks import filling_marks
from mlnb.data.leak_preparation import preparation_findings
from mlnb.data.marks import Sides
from mlnb.data.neighbour_marks import neighbour_marks
from mlnb.data.scaling_marks import scaling_marks

Parts = tuple[pd.DataFrame, pd.DataFrame]


def measured(n: int = 900, seed: int = 0, decimals: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    base = rng.normal(size=(n, 2)) @ rng.normal(size=(2, 5)) + 0.6 * rng.normal(size=(n, 5))
    return pd.DataFrame((base * 9 + 60).round(decimals), columns=list("abcde")).assign(y=(base[:, 0] + rng.normal(size=n) > 0).astype(int))


def with_holes(frame: pd.DataFrame, share: float, columns: str, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return frame.assign(**{c: frame[c].mask(rng.random(len(frame)) < share) for c in columns})


def filled(frame: pd.DataFrame, imputer: KNNImputer, whole: bool, target: bool = False) -> Parts:
    names = list("abcde") + ["y"] * target
    late = np.random.default_rng(5).random(len(frame)) < 0.3
    imputer.fit(frame.loc[np.ones(len(frame), bool) if whole else ~late, names])
    done = frame.assign(**dict(zip(names, imputer.transform(frame[names]).T, strict=True)))
    return done[~late], done[late]


def named(parts: Parts, code: str = "LEAK08") -> set[str]:
    found = preparation_findings(*parts, "y").get(code)
    return set(found.columns) if found.status.value == "fail" else set()


IMPUTERS = [KNNImputer(), KNNImputer(n_neighbors=3), KNNImputer(n_neighbors=10, weights="distance"), IterativeImputer(), IterativeImputer(LinearRegression(), max_iter=1)]


@pytest.mark.parametrize("imputer", IMPUTERS, ids=str)
@pytest.mark.parametrize("share", [0.05, 0.3])
def test_cells_made_from_all_rows_are_named_and_cells_made_from_train_are_not(imputer: KNNImputer, share: float) -> None:
    holes = with_holes(measured(), share, "c")
    assert named(filled(holes, imputer, True)) == {"c"}
    assert named(filled(holes, imputer, False)) == set()
    assert {m.over for m in neighbour_marks(Sides(*filled(holes, imputer, False), "y"))} == {"train"}


def test_several_columns_at_once_and_the_target_among_the_distances() -> None:
    holes = with_holes(measured(), 0.1, "abde")
    assert named(filled(holes, KNNImputer(), True)) == set("abde")
    assert named(filled(with_holes(measured(), 0.1, "c"), KNNImputer(), True, target=True)) == {"c"}
    assert not named(filled(holes, KNNImputer(), False)) | named(filled(holes, KNNImputer(), False, target=True))


def test_distances_of_standardised_columns() -> None:
    holes = with_holes(measured() * [1, 100, 1, 1, 0.01, 1], 0.15, "c")
    frame = holes.copy()
    frame[list("abcde")] = StandardScaler().fit_transform(frame[list("abcde")])
    train, test = filled(frame, KNNImputer(), True)
    back = [part.assign(c=part["c"] * holes["c"].std(ddof=0) + holes["c"].mean()).assign(**holes.loc[part.index, list("abde")]) for part in (train, test)]
    assert named((back[0], back[1])) == {"c"}


def test_full_precision_hides_which_cells_were_filled_but_not_what_they_are() -> None:
    holes = with_holes(measured(seed=1, decimals=14), 0.15, "c")
    assert named(filled(holes, KNNImputer(), True)) == {"c"}
    assert named(filled(holes, KNNImputer(), False)) == set()


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10_000), share=st.sampled_from([0.02, 0.1, 0.35]), k=st.sampled_from([1, 3, 5]), decimals=st.sampled_from([0, 1, 14]), own=st.booleans())
def test_neighbours_in_train_never_fail(seed: int, share: float, k: int, decimals: int, own: bool) -> None:
    """Fitted on train; or each side on itself, which is wrong in another way and no leak into train."""
    holes = with_holes(measured(400, seed, decimals), share, "bcd", seed)
    late = np.random.default_rng([seed, 1]).random(len(holes)) < 0.3
    parts = []
    for part in (holes[~late], holes[late]):
        imputer = KNNImputer(n_neighbors=k).fit((part if own else holes[~late])[list("abcde")])
        parts.append(part.assign(**dict(zip("abcde", np.asarray(imputer.transform(part[list("abcde")])).T, strict=True))))
    assert not named((parts[0], parts[1]), "LEAK02")


@pytest.mark.parametrize("seed", range(3))
def test_evenly_spaced_values_are_no_means_of_their_neighbours(seed: int) -> None:
    """A row's neighbours in time lie to both sides of it, and only among all rows are they the next ones."""
    n = 700
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"t": np.arange(n) / 7.0, "year": 2000 + np.arange(n) / 365.25, "u": np.arange(n) / n + 1e-3 * rng.normal(size=n), "y": rng.integers(0, 2, n)})
    late = rng.random(n) < 0.3
    assert neighbour_marks(Sides(frame[~late], frame[late], "y")) == []


@pytest.mark.parametrize("load", [load_wine, load_diabetes])
def test_real_tables_have_no_such_cells(load: object) -> None:
    frame = load(as_frame=True).frame  # type: ignore[operator]
    for seed in range(4):
        late = np.random.default_rng(seed).random(len(frame)) < 0.3
        assert neighbour_marks(Sides(frame[~late], frame[late], "target"), seed) == []


def test_medians_by_group_may_lie_on_the_steps_and_between_them() -> None:
    rng = np.random.default_rng(3)
    n = 500
    group = rng.integers(0, 4, n)
    frame = pd.DataFrame({"g": group.astype(str), "x": (50 + 3 * group + rng.normal(0, 9, n)).round(1), "y": rng.integers(0, 2, n)})
    holes = frame["x"].mask(rng.random(n) < 0.12)
    late = rng.random(n) < 0.35
    tops = holes.groupby(frame["g"]).median()
    assert 0 < (np.abs(tops * 10 - (tops * 10).round()) > 1e-6).sum() < 4  # some of both, or the test shows nothing
    whole = frame.assign(x=holes.fillna(frame["g"].map(tops)))
    honest = frame.assign(x=holes.fillna(frame["g"].map(holes[~late].groupby(frame["g"][~late]).median())))
    assert named((whole[~late], whole[late])) == {"x"}
    assert named((honest[~late], honest[late])) == set()


def test_the_middle_of_a_coarse_column_needs_no_more_than_its_ranks() -> None:
    """Nine cells a value: the median of all rows is met within that many ranks, and that of train is another value."""
    rng = np.random.default_rng(0)
    x = pd.Series(rng.integers(0, 400, 3600).astype(float))
    holes = x.mask(rng.random(len(x)) < 0.1)
    late = np.arange(len(x)) >= 2400
    holes[late] = (holes[late] + 25).clip(upper=399)  # later rows are higher
    frame = pd.DataFrame({"x": holes.fillna(holes.median()), "z": rng.normal(size=len(x)), "y": rng.integers(0, 2, len(x))})
    assert [(m.column, m.over, m.kind) for m in filling_marks(Sides(frame[~late], frame[late], "y"))] == [("x", "all rows", "median")]


def test_quartiles_of_train_explain_a_scaler_whatever_those_of_all_rows_are() -> None:
    rng = np.random.default_rng(2)
    x = rng.integers(40, 90, 1500).astype(float)
    train, test = x[:1000], rng.integers(60, 99, 500).astype(float)
    scaler = RobustScaler().fit(train[:, None])
    parts = [pd.DataFrame({"x": scaler.transform(part[:, None]).ravel()}) for part in (train, test)]
    assert [(m.kind, m.over) for m in scaling_marks(Sides(*parts))] == [("robust", "train")]


def test_groups_of_one_outcome_do_not_make_a_column_of_zeros_an_encoding() -> None:
    rng = np.random.default_rng(4)
    n = 150
    y = np.repeat(["a", "b", "c"], 50)
    length = np.where(y == "a", rng.integers(10, 20, n), rng.integers(30, 70, n)) / 10
    frame = pd.DataFrame({"length": length, "sparse": np.where(rng.random(n) < 0.97, 0.0, rng.gamma(2, 30, n)), "y": y})
    for seed in range(5):
        late = np.random.default_rng(seed).random(n) < 0.3
        assert not named((frame[~late], frame[late]), "LEAK03")


@pytest.mark.parametrize("m", [5, 10, 100])
def test_a_smoothed_mean_of_three_groups_is_found_by_the_strengths_that_people_use(m: int) -> None:
    rng = np.random.default_rng(m)
    group = rng.choice(["DSL", "fibre", "none"], 900)
    y = pd.Series((rng.random(900) < 0.3).astype(int))
    sums = y.groupby(group).agg(["sum", "count"])
    rate = pd.Series(group).map((sums["sum"] + m * y.mean()) / (sums["count"] + m))
    frame = pd.DataFrame({"group": group, "w": rng.normal(size=900), "rate": rate, "y": y})
    assert named((frame[:600], frame[600:]), "LEAK03") == {"rate"}
    frame["rate"] = pd.Series(group).map({"DSL": 0.21, "fibre": 0.33, "none": 0.27})
    assert named((frame[:600], frame[600:]), "LEAK03") == set()


def test_a_target_that_is_a_number_only_in_part_is_still_encoded_by_its_classes() -> None:
    rng = np.random.default_rng(6)
    n = 1500
    y = pd.Series(rng.choice(["0.05", "0.06", "0.07", "0.05%", "0.08%"], n, p=[0.3, 0.25, 0.2, 0.15, 0.1]))
    shop = pd.Series(rng.choice([f"s{i}" for i in range(40)], n))
    frame = pd.DataFrame({"shop": shop, "w": rng.normal(size=n), "rate": (y == "0.05").astype(float).groupby(shop).transform("mean"), "y": y})
    assert named((frame.iloc[:1000], frame.iloc[1000:]), "LEAK03") == {"rate"}


def test_nothing_found_carries_no_number_and_what_is_found_is_counted() -> None:
    frame = measured()
    for finding in preparation_findings(frame[:600], frame[600:], "y"):
        assert finding.status.value == "pass" and finding.value is None and finding.threshold is None
    found = preparation_findings(*filled(with_holes(frame, 0.2, "c"), KNNImputer(), True), "y").get("LEAK08")
    assert (found.value, found.threshold) == (1.0, 0.0)


def test_benches_plant_nothing_that_train_alone_would_have_given() -> None:
    sys.path.insert(0, str(Path(__file__).parent / "benchmarks"))
    try:
        import leak_plants as bench
    finally:
        sys.path.pop(0)
    rng = np.random.default_rng(0)
    x = rng.normal(size=400)
    late = bench.split(bench.Case("t", pd.DataFrame({"row": np.arange(400), "y": 0}), "y"), "random", 0).test["row"]
    plant = next(p for p in bench.PLANTS if p.family.endswith("minmax"))
    for where, leaks in ((np.setdiff1d(np.arange(400), late), False), (late, True)):
        values = x.copy()
        values[where[:2]] = (-9, 9)  # both extremes on one side
        case = bench.Case("t", pd.DataFrame({"x": values, "y": rng.integers(0, 2, 400)}), "y")
        assert (bench.planted(plant, case, 1, "random", 0) is not None) == leaks
