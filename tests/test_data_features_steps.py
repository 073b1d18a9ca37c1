"""The feature steps against scikit-learn's own checks, against other implementations, and against their promises."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, TargetEncoder
from sklearn.utils.estimator_checks import parametrize_with_checks

from mlnb.core.errors import InputError, MlnbError
from mlnb.data.features_base import FeatureError, UnfittedError
from mlnb.data.features_cyclical import Cyclical
from mlnb.data.features_embedding import CategoryEmbedding
from mlnb.data.features_history import clock
from mlnb.data.features_levels import OneHot, TargetEncoding
from mlnb.data.features_numeric import Bins, LogTransform, RawValue, standardize
from mlnb.data.features_pairs import Differences, Products, Ratios
from mlnb.data.features_temporal import Lags, Rolling, TimeSince
from mlnb.data.features_text import SentenceEmbeddings, Tfidf


class _Embedder:
    """A small embedder: counts of hashed words, the same on every machine; with a name that is the same in every process."""

    def __call__(self, texts: list[str]) -> np.ndarray:
        found = np.zeros((len(texts), 8))
        for row, text in enumerate(texts):
            for word in text.lower().split():
                found[row, zlib.crc32(word.encode()) % 8] += 1
        return found

    def __repr__(self) -> str:
        return "embed"


embed = _Embedder()


STEPS: list[Any] = [
    RawValue(), LogTransform(), Bins(), Bins(method="supervised", encode="ordinal"), OneHot(), TargetEncoding(), CategoryEmbedding(),
    CategoryEmbedding(method="hash"), Lags(), Rolling(), TimeSince(), Cyclical(), Tfidf(), SentenceEmbeddings(embed), Ratios(), Differences(), Products()]


@parametrize_with_checks(STEPS)
def test_scikit_learn_checks(estimator: Any, check: Any) -> None:
    check(estimator)


# ---- numbers


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True, width=64), min_size=1, max_size=30))
@settings(max_examples=60, deadline=None)
def test_signed_logarithm_keeps_order_and_comes_back(values: list[float]) -> None:
    column = pd.DataFrame({"x": values})
    step = LogTransform().fit(column)
    logs = step.transform(column)[:, 0]
    finite = np.isfinite(values)
    assert np.isnan(logs[~finite]).all() and np.isfinite(logs[finite]).all()
    assert (np.diff(logs[finite][np.argsort(np.array(values)[finite], kind="stable")]) >= 0).all()
    back = step.inverse_transform(logs[:, None])[:, 0]
    assert np.allclose(back[finite], np.array(values)[finite], rtol=1e-9, atol=1e-9)


def test_standardize_is_learnt_from_the_rows_of_fit_and_survives_infinities() -> None:
    step = standardize().fit(pd.DataFrame({"x": [1.0, 3.0, np.inf, None]}))
    assert step.transform(pd.DataFrame({"x": [2.0, 4.0]}))[:, 0].tolist() == [0, 2]


def test_quantile_bins_hold_equally_many_rows_like_scikit_learn() -> None:
    x = np.random.default_rng(0).normal(size=1000)[:, None]
    ours = Bins(bins=5, encode="ordinal").fit_transform(x)[:, 0]
    theirs = KBinsDiscretizer(5, encode="ordinal", strategy="quantile", quantile_method="averaged_inverted_cdf").fit_transform(x)[:, 0]
    assert (ours == theirs).mean() > 0.99 and np.ptp(np.bincount(ours.astype(int))) <= 2


def test_bins_of_a_column_with_few_values_never_are_empty() -> None:
    step = Bins(bins=5).fit(pd.DataFrame({"x": [0.0] * 95 + [1, 2, 3, 4, 5], "gone": [np.nan] * 100}))
    found = step.transform(pd.DataFrame({"x": [0.0] * 95 + [1, 2, 3, 4, 5], "gone": [np.nan] * 100}))
    assert (found.sum(axis=1) == 2).all() and found.shape[1] == len(step.get_feature_names_out()) == len(set(step.get_feature_names_out()))


# ---- categories


@given(st.integers(0, 10_000), st.sampled_from(["binary", "regression", "multiclass"]), st.sampled_from(["auto", 10.0]))
@settings(max_examples=25, deadline=None)
def test_encodings_equal_scikit_learns(seed: int, task: str, smooth: Any) -> None:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"a": rng.integers(0, 9, 150).astype(str), "b": rng.integers(0, 40, 150).astype(str)})
    y = {"binary": rng.integers(0, 2, 150), "regression": rng.normal(size=150), "multiclass": rng.integers(0, 4, 150)}[task]
    ours, theirs = TargetEncoding(smooth=smooth).fit(frame, y), TargetEncoder(smooth=smooth).fit(frame, y)
    new = pd.DataFrame({"a": ["3", "never", "5"], "b": ["17", "1", "never"]})
    assert np.allclose(ours.transform(new), theirs.transform(new))
    assert all(np.allclose(x, z) for x, z in zip(ours.encodings_, theirs.encodings_, strict=True))
    assert all((x == z).all() for x, z in zip(ours.categories_, theirs.categories_, strict=True))
    assert np.allclose(ours.target_mean_, theirs.target_mean_)


@given(st.integers(0, 10_000), st.integers(0, 199))
@settings(max_examples=25, deadline=None)
def test_the_own_label_never_changes_the_own_encoding(seed: int, row: int) -> None:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"c": rng.integers(0, 30, 200), "who": rng.integers(0, 50, 200), "t": rng.integers(0, 60, 200)})
    y = rng.normal(size=200)
    other = y.copy()
    other[row] += 1000
    for role in ({"group": "who"}, {"time": "t"}):
        one, two = (TargetEncoding(**role).fit_transform(frame, z)[:, 0] for z in (y, other))
        kin = frame["who"] == frame["who"][row] if "group" in role else frame["t"] <= frame["t"][row]
        assert np.array_equal(one[kin], two[kin], equal_nan=True)


def test_fit_transform_is_cross_fitted_and_transform_is_not() -> None:
    rng = np.random.default_rng(0)
    frame, y = pd.DataFrame({"id": [f"u{i}" for i in rng.integers(0, 800, 1000)]}), rng.integers(0, 2, 1000)
    step = TargetEncoding()
    crossed = step.fit_transform(frame, y)[:, 0]
    naive = step.transform(frame)[:, 0]
    assert abs(np.corrcoef(crossed, y)[0, 1]) < 0.12 < 0.6 < np.corrcoef(naive, y)[0, 1]
    assert np.array_equal(naive, clone(step).fit(frame, y).transform(frame)[:, 0])


def test_a_pipeline_with_target_encoding_does_not_learn_noise() -> None:
    rng = np.random.default_rng(1)
    frame, y = pd.DataFrame({"id": [f"u{i}" for i in rng.integers(0, 700, 1500)]}), rng.integers(0, 2, 1500)
    assert abs(cross_val_score(make_pipeline(TargetEncoding(), LogisticRegression()), frame, y, cv=5).mean() - 0.5) < 0.06


def test_earlier_encoding_equals_a_loop() -> None:
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"c": rng.integers(0, 4, 80), "t": rng.integers(0, 25, 80)})
    y = rng.integers(0, 2, 80)
    found = TargetEncoding(time="t", smooth=3.0).fit_transform(frame, y)[:, 0]
    for i in range(80):
        past = frame["t"] < frame["t"][i]
        own = past & (frame["c"] == frame["c"][i])
        want = np.nan if not past.any() else (y[own].sum() + 3 * y[past].mean()) / (own.sum() + 3)
        assert np.isclose(found[i], want, equal_nan=True)


def test_a_thousand_classes_and_a_hundred_thousand_levels() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"c": rng.integers(0, 100_000, 120_000).astype(str)})
    found = TargetEncoding().fit_transform(frame, rng.integers(0, 1000, 120_000).astype(str))
    assert found.shape == (120_000, 20) and np.isfinite(found).all()
    assert CategoryEmbedding(method="hash", size=4).fit_transform(frame).shape == (120_000, 4)
    both = CategoryEmbedding("c", size=4).fit_transform(frame.assign(d=rng.integers(0, 9, 120_000)))
    assert both.shape == (120_000, 4) and np.isfinite(both).all()


def test_levels_mean_the_same_whatever_type_they_come_in() -> None:
    y = [0, 1, 1, 0]
    step = TargetEncoding(smooth=1.0).fit(pd.DataFrame({"c": [1, 2, 2, 3]}), y)
    for column in ([1, 2, 3], [1.0, 2.0, 3.0], ["1", "2", "3"]):
        assert np.allclose(step.transform(pd.DataFrame({"c": column}))[:, 0], [0.25, 5 / 6, 0.25])
    text = TargetEncoding(smooth=1.0).fit(pd.DataFrame({"c": pd.Categorical(["1", "2", "2", "3"])}), y)
    assert np.allclose(text.transform(pd.DataFrame({"c": [1.0, 2.0, 3.0]}))[:, 0], [0.25, 5 / 6, 0.25])


def test_one_hot_groups_rare_levels_and_takes_unseen_ones_for_rare() -> None:
    frame = pd.DataFrame({"c": ["a"] * 500 + ["b"] * 490 + [f"r{i}" for i in range(10)]})
    step = OneHot(rare=0.01).fit(frame)
    assert list(step.get_feature_names_out()) == ["c_a", "c_b", "c_infrequent_sklearn"]
    assert step.transform(pd.DataFrame({"c": ["zzz"]})).tolist() == [[0, 0, 1]]


# ---- the past


def _log(rng: np.random.Generator, n: int) -> pd.DataFrame:
    frame = pd.DataFrame({"t": pd.Timestamp("2026-01-01") + pd.to_timedelta(rng.integers(0, 40 * 24, n), unit="h"),
                          "who": rng.choice(["a", "b", "c"], n), "x": rng.normal(size=n).round(2), "flag": rng.integers(0, 4, n) == 0})
    frame.loc[rng.random(n) < 0.08, "x"] = np.nan
    frame.loc[rng.random(n) < 0.05, "t"] = pd.NaT
    frame.loc[rng.random(n) < 0.05, "who"] = None
    return frame


def _slow(frame: pd.DataFrame, i: int, shift: str = "") -> dict[str, Any]:
    """Features of one row, the slow way."""
    t, who = frame["t"][i], frame["who"][i]
    if pd.isna(t) or pd.isna(who):
        return {}
    limit = t - pd.Timedelta(shift) if shift else t
    past = frame[(frame["who"] == who) & (frame["t"] < limit)]
    moments = past.groupby("t")["x"].mean().sort_index()
    week = past.loc[past["t"] >= t - pd.Timedelta("7D"), "x"].dropna()
    rows = past[past["t"].isin(moments.index[-3:])]["x"].dropna()
    last = past.loc[past["flag"], "t"].max()
    asof = moments[moments.index <= min(t - pd.Timedelta("2D"), limit)]
    return {"lag1": moments.iloc[-1] if len(moments) else np.nan, "lag3": moments.iloc[-3] if len(moments) > 2 else np.nan,
            "lag2d": asof.iloc[-1] if len(asof) else np.nan, "mean7d": week.mean(), "std7d": week.std(), "min7d": week.min(), "n7d": len(week),
            "mean3": rows.mean(), "max3": rows.max(), "since": (t - last).total_seconds() / 86400 if pd.notna(last) else np.nan}


@pytest.mark.parametrize("shift", ["", "1D"])
@pytest.mark.parametrize("seed", range(4))
def test_history_equals_a_loop_over_rows(seed: int, shift: str) -> None:
    frame = _log(np.random.default_rng(seed), 120)
    late: Any = shift or 0
    lags = Lags("x", "t", "who", (1, 3, "2d"), shift=late).fit_transform(frame)
    week = Rolling("x", "t", "who", ("7d",), ("mean", "std", "min", "count"), shift=late).fit_transform(frame)
    three = Rolling("x", "t", "who", (3,), ("mean", "max"), shift=late).fit_transform(frame)
    since = TimeSince("flag", "t", "who", shift=late).fit_transform(frame)
    found = np.hstack([lags, week, three, since])
    for i in range(len(frame)):
        want = _slow(frame, i, shift)
        names = ("lag1", "lag3", "lag2d", "mean7d", "std7d", "min7d", "n7d", "mean3", "max3", "since")
        assert np.allclose(found[i], [want.get(name, np.nan) for name in names], equal_nan=True), i


def test_windows_equal_pandas() -> None:
    rng = np.random.default_rng(5)
    times = pd.Timestamp("2026-01-01") + pd.to_timedelta(np.sort(rng.choice(4000, 300, replace=False)), unit="h")
    frame = pd.DataFrame({"t": times, "x": rng.normal(size=300)})
    ours = Rolling("x", "t", windows=("5d",), statistics=("mean", "std", "min", "max", "sum", "count")).fit_transform(frame)
    theirs = frame.set_index("t")["x"].rolling("5D", closed="left")
    for i, name in enumerate(("mean", "std", "min", "max")):
        assert np.allclose(ours[:, i], getattr(theirs, name)(), equal_nan=True)
    assert np.allclose(ours[:, 5], theirs.count().fillna(0))


HISTORY = [lambda: Lags("x", "t", "who", (1, 2, "3d")), lambda: Rolling("x", "t", "who", (4, "7d")), lambda: TimeSince("flag", "t", "who"),
           lambda: TargetEncoding(time="t")]


@given(st.integers(0, 100_000), st.integers(0, 3), st.integers(0, 39))
@settings(max_examples=60, deadline=None)
def test_no_future_row_changes_an_earlier_feature(seed: int, which: int, day: int) -> None:
    rng = np.random.default_rng(seed)
    frame = _log(rng, 60)
    y = pd.Series(rng.normal(size=60))
    limit = pd.Timestamp("2026-01-01") + pd.Timedelta(day * 24, unit="h")
    late, other, z = (frame["t"] >= limit).to_numpy(), frame.copy(), y.copy()
    other.loc[late, "x"] = rng.choice([1e300, -1e300, np.nan, np.inf], late.sum())
    other.loc[late, "flag"] = ~other.loc[late, "flag"]
    z[late] += 1e6
    step = HISTORY[which]
    columns = ["who", "t"] if which == 3 else list(frame)
    one, two = step().fit_transform(frame[columns], y), step().fit_transform(other[columns], z)
    early = (frame["t"] <= limit).to_numpy()
    assert np.array_equal(one[early], two[early], equal_nan=True)
    if which < 3 and early.any():  # nor do later rows that were not there at fit
        fitted = step().fit(frame[early])
        assert np.array_equal(fitted.transform(frame)[early], one[early], equal_nan=True)


@given(st.integers(0, 100_000), st.integers(0, 2))
@settings(max_examples=30, deadline=None)
def test_the_order_of_rows_does_not_matter_and_neither_does_company(seed: int, which: int) -> None:
    rng = np.random.default_rng(seed)
    frame = _log(rng, 50).drop_duplicates(["t", "who"])
    step = HISTORY[which]().fit(frame)
    found, order = step.transform(frame), rng.permutation(len(frame))
    assert np.array_equal(step.transform(frame.iloc[order]), found[order], equal_nan=True)
    assert np.array_equal(step.transform(frame.iloc[order[:7]]), found[order[:7]], equal_nan=True)
    assert np.array_equal(HISTORY[which]().fit_transform(frame.iloc[order]), found[order], equal_nan=True)


def test_the_first_test_row_finds_its_history_and_keep_limits_it() -> None:
    train = pd.DataFrame({"t": pd.date_range("2026-01-01", periods=5), "x": [1.0, 2, 3, 4, 5]})
    test = pd.DataFrame({"t": pd.date_range("2026-01-06", periods=2), "x": [6.0, 7]})
    assert Lags("x", "t", lags=(1, 5)).fit(train).transform(test).tolist() == [[5, 1], [6, 2]]
    short = Lags("x", "t", lags=(1, 5), keep=2).fit(train)
    assert np.array_equal(short.transform(test), [[5, np.nan], [6, np.nan]], equal_nan=True) and len(short.past_time_) == 2


def test_duplicated_moments_are_one_moment_whose_value_is_the_mean() -> None:
    frame = pd.DataFrame({"t": [1, 1, 2], "who": ["a", "a", "a"], "x": [10.0, 20, 5]})
    assert np.array_equal(Lags("x", "t", "who", (1,)).fit_transform(frame)[:, 0], [np.nan, np.nan, 15], equal_nan=True)


def test_zones_are_put_in_order_and_mixtures_refused() -> None:
    same = pd.DataFrame({"t": ["2026-03-01T10:00:00+01:00", "2026-03-01T09:30:00Z", "2026-03-01T12:00:00+03:00"], "x": [1.0, 2, 3]})
    assert np.array_equal(Lags("x", "t", lags=(1,)).fit_transform(same)[:, 0], [np.nan, 2, np.nan], equal_nan=True)
    for times, words in ((["2026-03-01T10:00:00Z", "2026-03-01T10:00:00"], "with a zone"), (["yesterday", "today", "2026-13-45"], "no dates"),
                         ([None, None, None], "no time in any row")):
        with pytest.raises(FeatureError, match=words):
            Lags("x", "t").fit(pd.DataFrame({"t": times, "x": np.arange(float(len(times)))}))
    fitted = Lags("x", "t").fit(pd.DataFrame({"t": ["2026-03-01", "2026-03-02"], "x": [1.0, 2]}))
    with pytest.raises(FeatureError, match="dates without a zone in training and now holds numbers"):
        fitted.transform(pd.DataFrame({"t": [1, 2], "x": [1.0, 2]}))
    stamps = clock(pd.Series(pd.to_datetime(["2026-03-01T00:00:00.000001"]).tz_localize("Europe/Berlin")))
    assert stamps[1] == "zoned" and stamps[0][0] == pd.Timestamp("2026-02-28T23:00:00.000001").value / 1000


@pytest.mark.parametrize("step", [Lags("x", "t", lags=(-1,)), Lags("x", "t", lags=("soon",)), Rolling("x", "t", windows=(0,)), Rolling("x", "t", windows=("-7d",)),
                                  Rolling("x", "t", statistics=()), Lags("x", "when"), Lags("y", "t"), Lags("x", "t", shift="-1d")])
def test_what_would_see_the_future_or_cannot_be_is_refused(step: Any) -> None:
    with pytest.raises(InputError):
        step.fit_transform(pd.DataFrame({"t": pd.date_range("2026-01-01", periods=3), "x": [1.0, 2, 3]}))


def test_an_event_date_after_the_row_is_no_feature() -> None:
    frame = pd.DataFrame({"t": pd.to_datetime(["2026-01-10", "2026-01-10"]), "churned_on": pd.to_datetime(["2026-01-01", "2026-02-01"])})
    assert np.array_equal(TimeSince(time="t").fit_transform(frame)[:, 0], [9, np.nan], equal_nan=True)


# ---- circles, pairs, text


@given(st.integers(0, 10 * 365 * 24 * 60))
@settings(max_examples=40, deadline=None)
def test_circles_are_circles_and_come_round(minutes: int) -> None:
    base = pd.Timestamp("2020-01-01") + pd.Timedelta(minutes, unit="min")
    step = Cyclical(parts=("hour", "weekday", "month")).fit(pd.DataFrame({"t": pd.date_range("2020-01-01", periods=500, freq="31h")}))
    one, day, week = (step.transform(pd.DataFrame({"t": [base + pd.Timedelta(h, unit="h")]}))[0] for h in (0, 24, 168))
    assert np.allclose(np.hypot(one[::2], one[1::2]), 1) and np.allclose(one[:2], day[:2]) and np.allclose(one[2:4], week[2:4])


@given(st.lists(st.tuples(st.floats(allow_nan=True, allow_infinity=True), st.floats(allow_nan=True, allow_infinity=True)), min_size=1, max_size=20))
@settings(max_examples=60, deadline=None)
def test_pairs_never_give_infinities(rows: list[tuple[float, float]]) -> None:
    frame = pd.DataFrame(rows, columns=["a", "b"])
    for step in (Ratios(), Differences(), Products()):
        assert not np.isinf(step.fit_transform(frame)).any()


def test_tfidf_is_scikit_learns_and_survives_columns_without_words() -> None:
    frame = pd.DataFrame({"note": ["a red cat", "a blue dog", "red red dog"], "none": [None, "", "..."]})
    step = Tfidf().fit(frame)
    want = TfidfVectorizer(token_pattern=r"(?u)\b\w+\b", sublinear_tf=True).fit_transform(frame["note"]).toarray()
    assert np.allclose(step.transform(frame), want) and all(name.startswith("note_") for name in step.get_feature_names_out())


def test_equal_texts_are_embedded_once() -> None:
    asked: list[str] = []

    def counting(texts: list[str]) -> np.ndarray:
        asked.extend(texts)
        return embed(texts)

    frame = pd.DataFrame({"note": ["same", "same", "other", None] * 50})
    found = SentenceEmbeddings(counting, batch=1).fit(frame).transform(frame)
    assert sorted(asked[1:]) == ["other", "same"] and not found[3].any() and np.array_equal(found[0], found[1])


# ---- what all steps promise


FRAME = pd.DataFrame({"t": [4.0, 2, 3, 1], "a": [1.0, -5, 0, 1e9], "b": [3.0, np.nan, np.inf, 2]})


@pytest.mark.parametrize("step", STEPS, ids=lambda s: type(s).__name__)
def test_frames_in_frames_out(step: Any) -> None:
    y = [0, 1, 0, 1]
    step = clone(step).set_output(transform="pandas")
    with pytest.raises(UnfittedError):
        step.transform(FRAME)
    out = step.fit(FRAME, y).transform(FRAME.set_axis([10, 11, 12, 13]))
    assert list(out.columns) == list(step.get_feature_names_out()) and list(out.index) == [10, 11, 12, 13] and out.columns.is_unique
    assert not np.isinf(out.to_numpy(dtype=float)).any()
    for wrong in (FRAME[["t", "a"]], FRAME.rename(columns={"a": "aa"}), FRAME.head(0)):
        with pytest.raises(MlnbError):
            step.transform(wrong)


@pytest.mark.parametrize("step", STEPS, ids=lambda s: type(s).__name__)
def test_one_row_and_a_column_of_nothing(step: Any) -> None:
    frame = pd.DataFrame({"t": [1.0], "a": [np.nan], "b": [2.0]})
    step = clone(step)
    if isinstance(step, TargetEncoding):
        step.fit(frame.assign(b=1.0), [1.5])
        return
    assert len(step.fit(frame, [1]).transform(frame)) == 1
