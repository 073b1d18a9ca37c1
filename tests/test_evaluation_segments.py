"""Planted segments are found, luck is not, and contributions add up."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mlnb.core.errors import InputError
from mlnb.evaluation.errors import LABELS, error_report, label_error
from mlnb.evaluation.explain import contributions
from mlnb.evaluation.predictions import predictions
from mlnb.evaluation.segments import conditions, worst_segments
from mlnb.experiments.selection import starting_pipeline


def table(n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame({f"c{i}": rng.choice(list("abcde"), n) for i in range(4)} | {f"x{i}": rng.normal(size=n) for i in range(4)})


def test_luck_is_no_segment() -> None:
    alarms = sum(bool(worst_segments(table(1500, seed), np.random.default_rng(100 + seed).exponential(1, 1500))) for seed in range(40))
    assert alarms <= 6  # 5 % of 40, and what a binomial allows above it


@pytest.mark.parametrize("missing", [False, True])
def test_a_planted_pair_is_found_by_its_own_name(missing: bool) -> None:
    frame = table(4000, 1)
    planted = (frame.c0 == "b") & (frame.c1 == "d")
    if missing:
        frame.loc[planted, "x0"] = np.nan
    loss = np.random.default_rng(2).exponential(0.4, 4000) + 0.6 * planted
    worst = worst_segments(frame, loss)
    names = {str(s) for s in worst}
    assert ("x0 is missing" if missing else "c0 = b and c1 = d") in names
    assert worst[0].rows == planted.sum()
    assert worst[0].loss == pytest.approx(loss[planted].mean()) and worst[0].rest == pytest.approx(loss[~planted].mean())
    assert worst[0].low > 0


def test_conditions_cover_every_row_once() -> None:
    for column in (pd.Series(np.arange(100.0)), pd.Series([None, 1.5, 2.5] * 10), pd.Series([True, False, None] * 5, dtype="boolean"),
                   pd.Series(pd.date_range("2025", periods=50)), pd.Series([np.inf, -np.inf, 0.0] * 9)):
        codes, words = conditions(column.rename("x"))
        assert codes.min() >= 0 and codes.max() < len(words)
    assert conditions(pd.Series([f"id{i}" for i in range(50)], name="id"))[1] == []


def test_small_segments_and_wrong_lengths() -> None:
    frame = pd.DataFrame({"g": ["a"] * 200 + ["b"] * 5})
    assert worst_segments(frame, np.r_[np.zeros(200), np.full(5, 9.0)]) == []
    with pytest.raises(InputError, match="each row needs one"):
        worst_segments(frame, np.zeros(3))


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    frame = table(900, 4).assign(text=rng.choice(["late again and angry", "all is fine here", "asked for a refund"], 900))
    frame["y3"] = np.where(frame.x0 + 0.5 * rng.normal(size=900) > 0.5, "high", np.where(frame.c0 == "a", "low", "mid"))
    frame["y1"] = 10 * frame.x1 + rng.normal(size=900)
    return frame


@pytest.mark.parametrize(("target", "task"), [("y3", "multiclass"), ("y1", "regression")])
def test_contributions_add_up_and_the_report_covers_every_task(data: pd.DataFrame, target: str, task: str) -> None:
    X, y = data.drop(columns=["y3", "y1"]), data[target]
    kinds = {name: "text" if name == "text" else "numeric" if name.startswith("x") else "categorical" for name in X}
    model = starting_pipeline(kinds, task, rows=len(X)).fit(X, y)
    found = contributions(model, X.head(50))
    total = found.values.sum(axis=-1) + found.base
    if task == "regression":
        assert np.allclose(total, model.predict(X.head(50)), atol=1e-2)
        p = predictions(y, model.predict(X), task="regression")
    else:
        e = np.exp(total - total.max(axis=1, keepdims=True))
        assert np.allclose(e / e.sum(axis=1, keepdims=True), model.predict_proba(X.head(50)), atol=1e-3)
        p = predictions(y, y_score=model.predict_proba(X), task="multiclass", classes=list(model.classes_))
    report = error_report(model, X, p, worst=10)
    assert len(report.cases) == 10 and set(report.importance) == set(X.columns)
    assert [c.loss for c in report.cases] == sorted((c.loss for c in report.cases), reverse=True)
    assert report.frame().shape[0] == 10 and "<table" in report._repr_html_()
    again = error_report(model, X, p, worst=10)
    assert report.to_dict() == again.to_dict()
    labelled = error_report(model, X, p, worst=2, labels={c.row: LABELS[0] for c in report.cases})
    assert labelled.findings[0].status.value == "pass" and labelled.labels == {LABELS[0]: 2}
    assert report.findings[0].status.value == "warn"


def test_an_unknown_label_is_refused() -> None:
    with pytest.raises(InputError, match="Did you mean 'ambiguous'"):
        label_error(None, 1, "ambigous")  # type: ignore[arg-type]
