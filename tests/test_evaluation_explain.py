"""Contributions add up to the model's answer, however they were found, and shuffling is a check on them."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from xgboost import XGBClassifier, XGBRegressor

from mlnb.core.errors import InputError
from mlnb.evaluation.explain import answer_of, contributions
from mlnb.evaluation.explain_row import explain_row
from mlnb.evaluation.explain_sampling import sampled_values
from mlnb.evaluation.explain_summary import explanation
from mlnb.evaluation.explain_trees import encode
from mlnb.evaluation.importance import ImportanceCheck, shuffled_increase


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"plan": rng.choice(["basic", "plus", "pro"], 500), "plan_age": rng.normal(size=500), "fee": rng.gamma(2, 10, 500)})
    frame.loc[::17, "fee"] = np.nan
    return frame


def encoder() -> object:
    return make_column_transformer((OneHotEncoder(), ["plan"]), (make_pipeline(SimpleImputer(), StandardScaler()), ["plan_age", "fee"]))


MODELS = {"forest": RandomForestClassifier(20, max_depth=5, random_state=0), "extra": ExtraTreesClassifier(20, max_depth=5, random_state=0),
          "boosting": GradientBoostingClassifier(n_estimators=20), "xgboost": XGBClassifier(n_estimators=20, max_depth=3)}  # fmt: skip


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("name", MODELS)
def test_trees_add_up_and_one_hot_is_one_column(data: pd.DataFrame, name: str, classes: int) -> None:
    y = pd.cut(data.plan_age + (data.plan == "pro"), [-9, 0.3, 9] if classes == 2 else [-9, -0.3, 0.8, 9], labels=False)
    model = make_pipeline(encoder(), MODELS[name]).fit(data, y)
    found = contributions(model, data.head(40), background=data, draws=5)
    assert found.columns == ("plan", "plan_age", "fee")
    total, proba = found.values.sum(axis=-1) + found.base, model.predict_proba(data.head(40))
    if found.unit == "log odds":
        e = np.exp(total - total.max(axis=1, keepdims=True)) if classes == 3 else None
        proba_of = 1 / (1 + np.exp(-total)) if e is None else e / e.sum(axis=1, keepdims=True)
        assert np.allclose(proba_of, proba[:, 1] if classes == 2 else proba, atol=1e-3)
    else:
        assert np.allclose(total, proba[:, 1] if classes == 2 else proba, atol=1e-6)
    assert (found.method == "exact") == ((name, classes) != ("boosting", 3)), "shap has no exact way for boosting of several classes"


def test_regression_and_early_stopping_add_up(data: pd.DataFrame) -> None:
    X, y = data[["plan_age", "fee"]].fillna(0), 3 * data.plan_age + np.sin(data.fee.fillna(0))
    stopped = XGBRegressor(n_estimators=200, early_stopping_rounds=3, learning_rate=0.5, max_depth=6)
    stopped.fit(X[:250], y[:250], eval_set=[(X[250:], y[250:])], verbose=False)
    assert stopped.best_iteration < 150
    for model in (stopped, RandomForestRegressor(20, random_state=0).fit(X, y), HistGradientBoostingRegressor(max_iter=20).fit(X, y)):
        found = contributions(model, X.head(30))
        assert found.method == "exact" and np.allclose(found.values.sum(axis=1) + found.base, model.predict(X.head(30)), atol=1e-3)


def test_sampling_gives_the_values_of_shapley_by_definition() -> None:
    rng = np.random.default_rng(1)
    table = pd.DataFrame(rng.normal(size=(40, 3)), columns=list("abc"))

    def answer(rows: pd.DataFrame) -> np.ndarray:
        return (rows.a * rows.b + np.maximum(rows.c, rows.a)).to_numpy()

    def value(names: tuple[str, ...], row: pd.Series) -> float:
        return float(answer(table.assign(**{name: row[name] for name in names})).mean())

    found = sampled_values(answer, table.head(2), table, draws=40)
    for i in range(2):
        row = table.iloc[i]
        for j, name in enumerate("abc"):
            others, exact = [other for other in "abc" if other != name], 0.0
            for k in range(3):
                weight = math.factorial(k) * math.factorial(2 - k) / 6
                exact += sum(weight * (value((*s, name), row) - value(s, row)) for s in itertools.combinations(others, k))
            assert found[i, j] == pytest.approx(exact, abs=0.15)
    assert np.allclose(found.sum(axis=1), answer(table.head(2)), atol=1e-12), "they add up whatever the sample"


def test_any_model_is_explained_by_sampling_and_says_so(data: pd.DataFrame) -> None:
    y = (data.plan_age + (data.plan == "pro") > 0.3).astype(int)
    model = make_pipeline(encoder(), LogisticRegression()).fit(data, y)
    found = contributions(model, data.head(90), background=data, draws=6, most=25)
    assert found.method == "sampled from 6 background rows" and found.values.shape == (25, 3) and found.unit == "probability"
    assert np.allclose(found.values.sum(axis=1) + found.base, model.predict_proba(data.head(25))[:, 1])
    assert next(iter(found.importance())) == "plan_age"
    with pytest.raises(InputError, match="no row to explain"):
        contributions(model, data.head(0))
    with pytest.raises(InputError, match="background rows"):
        contributions(model, data.head(3), background=data.head(0))


def test_an_uncertain_way_back_is_not_guessed(data: pd.DataFrame) -> None:
    from sklearn.decomposition import PCA

    y = data.plan_age > 0
    model = Pipeline([("encode", encoder()), ("mix", PCA(2)), ("model", RandomForestClassifier(5))]).fit(data, y)
    assert encode(model, data) is None
    assert contributions(model, data.head(4), background=data, draws=3).columns == tuple(data.columns)


def test_shuffling_finds_what_was_learned_in_vain() -> None:
    rng = np.random.default_rng(2)
    X = pd.DataFrame(rng.normal(size=(600, 4)), columns=["strong", "weak", "noise", "idle"])
    truth = 3 * X.strong + X.weak
    found = shuffled_increase(lambda rows: np.abs(3 * rows.strong + rows.weak + 1.5 * rows.noise - truth), X)
    check = ImportanceCheck({"strong": 2.4, "noise": 1.2, "weak": 0.8, "idle": 0.0}, {k: v[0] for k, v in found.items()}, {k: v[1] for k, v in found.items()}, 600)
    assert found["idle"] == (0.0, 0.0) and found["strong"][0] > found["weak"][0] > 0
    assert len(check.disagreements) == 1 and check.disagreements[0].startswith("noise") and 0 < check.agreement < 1
    assert "noise that was learned" in check._repr_html_() and check.to_dict()["disagreements"] == list(check.disagreements)


def test_the_picture_is_made_of_counts(data: pd.DataFrame) -> None:
    y = (data.plan_age + (data.plan == "pro") > 0.3).astype(int)
    model = make_pipeline(encoder(), RandomForestClassifier(10, max_depth=4, random_state=0)).fit(data, y)
    rare = data.assign(plan=data.plan.where(data.index != 3, "pro"))
    found = explanation(contributions(model, rare), rare)
    assert all(sum(s.counts) == len(data) for s in found.swarms) and {s.column for s in found.swarms} == set(data.columns)
    plan = next(s for s in found.swarms if s.column == "plan")
    assert {level for level, *_ in plan.levels} == {"basic", "plus", "pro"} and all(h is None for h in plan.heights)
    age = next(s for s in found.swarms if s.column == "plan_age")
    known = [h for h in age.heights if h is not None]
    assert known[-1] > known[0], "high values push upwards"
    assert len(str(found.to_dict())) < 20_000 and answer_of(model)(data.head(3)).shape == (3,)


def test_one_row_is_explained_towards_what_is_asked(data: pd.DataFrame) -> None:
    y = pd.cut(data.plan_age + (data.plan == "pro"), [-9, -0.3, 0.8, 9], labels=["low", "middle", "high"]).astype(str)
    model, row = make_pipeline(encoder(), MODELS["forest"]).fit(data, y), data.iloc[[17]]  # its fee is missing
    proba = dict(zip(model.classes_, model.predict_proba(row)[0], strict=True))
    for name in ("low", "high"):
        found = explain_row(model, row, towards=name)
        assert found.towards == name and found.total == pytest.approx(proba[name]) and {part[0] for part in found.parts} == set(data.columns)
    assert explain_row(model, row).towards == max(proba, key=lambda k: proba[k])
    assert "missing" in explain_row(model, row)._repr_html_()
    line = make_pipeline(encoder(), LogisticRegression()).fit(data, y == "low")
    found = explain_row(line, row, data, draws=9)
    assert "9 background rows" in found.method and found.total == pytest.approx(line.predict_proba(row)[0, 1])
    wrong = ((lambda: explain_row(model, data), "One row"), (lambda: explain_row(line, row), "sampling"), (lambda: explain_row(model, row, towards="huge"), "no class"))
    for call, words in wrong:
        with pytest.raises(InputError, match=words):
            call()
