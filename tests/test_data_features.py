"""Suggestions of features: on real data, where something is planted, and as a plan, a record, a pipeline, a file, checks and a command."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest
from pydantic import BaseModel
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from threadpoolctl import threadpool_limits
from typer.testing import CliRunner
from xgboost import XGBClassifier

from mlnb.core.errors import InputError
from mlnb.core.project import Project
from mlnb.core.records import load
from mlnb.data.features import suggest_features, with_model
from mlnb.data.features_base import FeatureError
from mlnb.data.features_checks import cross_fit_gap, future_test
from mlnb.data.features_extraction import LlmExtraction
from mlnb.data.features_measures import comes_round
from mlnb.data.features_plan import Plan, build
from mlnb.data.features_temporal import Lags


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Trees of small tables: several threads wait for each other longer than they work."""
    with threadpool_limits(1):
        yield


def raw(frame: pd.DataFrame, model: Any, scale: bool = False) -> Any:
    """What one does without thinking: numbers as they are, everything else one-hot."""
    numbers = make_column_selector(dtype_include="number")(frame)
    rest = [name for name in frame if name not in numbers]
    return make_pipeline(make_column_transformer((StandardScaler() if scale else "passthrough", numbers),
                                                 (OneHotEncoder(handle_unknown="ignore", sparse_output=False), rest)), model)


def scores(model: Any, frame: pd.DataFrame, y: Any, task: str) -> np.ndarray:
    folds = KFold(5, shuffle=True, random_state=0) if task == "regression" else StratifiedKFold(5, shuffle=True, random_state=0)
    return cross_val_score(model, frame, y, cv=folds, scoring="r2" if task == "regression" else "roc_auc", error_score="raise")


def compare(frame: pd.DataFrame, target: str, theirs: Any, ours: Any = None, **roles: str) -> tuple[np.ndarray, np.ndarray, Any]:
    """Scores of the suggested pipeline, of the other one, and the report."""
    report = suggest_features(frame, target, **roles)  # type: ignore[arg-type]
    X, y = frame.drop(columns=target), frame[target]
    y = y if report.task == "regression" else (y == sorted(y.unique())[-1]).astype(int)
    return scores(report.pipeline(ours), X, y, report.task), scores(theirs(X), X, y, report.task), report


# ---- planted


def planted(kind: str) -> tuple[pd.DataFrame, Callable[[pd.DataFrame], Any], Any, dict[str, str]]:
    rng = np.random.default_rng(7)
    n = 2000
    if kind == "hour":
        frame = pd.DataFrame({"at": (pd.Timestamp("2026-01-01") + pd.to_timedelta(rng.integers(0, 60 * 24, n), unit="h")).astype(str), "x": rng.normal(size=n)})
        frame["y"] = np.cos((pd.to_datetime(frame["at"]).dt.hour - 8) / 24 * 2 * np.pi) + 0.3 * frame["x"] + rng.normal(0, 0.5, n)
        seconds = FunctionTransformer(lambda X: X.assign(at=pd.to_datetime(X["at"]).astype("datetime64[s]").astype("int64")))
        return frame, lambda X: make_pipeline(seconds, StandardScaler(), Ridge()), Ridge(), {"family": "distances"}
    if kind == "hour as a number":
        frame = pd.DataFrame({"hr": rng.integers(0, 24, n), "x": rng.normal(size=n)})
        frame["y"] = np.cos((frame["hr"] - 8) / 24 * 2 * np.pi) + 0.3 * frame["x"] + rng.normal(0, 0.5, n)
        return frame, lambda X: raw(X, Ridge(), scale=True), Ridge(), {"family": "distances"}
    if kind == "skewed":
        frame = pd.DataFrame({"income": rng.lognormal(8, 1.5, n), "x": rng.normal(size=n)})
        frame["y"] = np.log(frame["income"]) + frame["x"] + rng.normal(0, 1, n)
        return frame, lambda X: raw(X, Ridge(), scale=True), Ridge(), {"family": "distances"}
    if kind == "bend":
        frame = pd.DataFrame({"age": rng.uniform(18, 90, n), "x": rng.normal(size=n)})
        frame["y"] = np.where(abs(frame["age"] - 54) > 18, 1.0, 0.0) + rng.normal(0, 0.4, n)
        return frame, lambda X: raw(X, Ridge(), scale=True), Ridge(), {"family": "distances"}
    if kind == "ratio":
        frame = pd.DataFrame({"clicks": rng.lognormal(3, 0.5, n), "views": rng.lognormal(5, 0.5, n), "x": rng.normal(size=n)})
        ratio = frame["clicks"] / frame["views"]
        frame["y"] = (np.sin(8 * np.log(ratio)) + rng.normal(0, 0.3, n) > 0).astype(int)
        return frame, lambda X: raw(X, XGBClassifier(n_estimators=60, n_jobs=1)), XGBClassifier(n_estimators=60, n_jobs=1), {}
    frame = pd.DataFrame({"shop": [f"s{i}" for i in rng.integers(0, 250, n)], "x": rng.normal(size=n)})
    effect = rng.normal(0, 1.5, 250)
    frame["y"] = (effect[frame["shop"].str[1:].astype(int)] + rng.normal(0, 1, n) > 0).astype(int)
    return frame, lambda X: raw(X, XGBClassifier(n_estimators=60, n_jobs=1)), XGBClassifier(n_estimators=60, n_jobs=1), {}


@pytest.mark.parametrize(("kind", "column", "pattern"), [
    ("hour", "at", "cyclical_encoding"), ("hour as a number", "hr", "cyclical_encoding"), ("skewed", "income", "log_transform"),
    ("bend", "age", "bin_to_categorical"), ("ratio", "", "ratios"), ("many shops", "shop", "target_encoding")])
def test_what_is_planted_is_found_and_pays(kind: str, column: str, pattern: str) -> None:
    frame, theirs, model, roles = planted(kind)
    ours, plain, report = compare(frame, "y", theirs, model, **roles)
    found = report.plan.columns[column] if column else tuple(p.pattern for p in report.pairs)
    assert pattern in found
    gap = ours - plain
    assert gap.mean() > 2 * gap.std(ddof=1) / 5**0.5 and gap.mean() > 0.005, (ours.mean(), plain.mean())


def test_nothing_is_combined_and_nothing_looks_back_where_there_is_nothing() -> None:
    for seed in range(3):
        rng = np.random.default_rng(seed)
        frame = pd.DataFrame(rng.lognormal(size=(1500, 8)), columns=list("abcdefgh"))
        frame["y"] = rng.integers(0, 2, 1500)
        frame["t"] = np.arange(1500)
        report = suggest_features(frame, "y", time="t")
        assert not report.pairs and report.plan.pairs_measured and not report.plan.having("lag_features", "rolling_statistics")


def test_history_is_proposed_where_it_tells_and_pays() -> None:
    rng = np.random.default_rng(3)
    rows = []
    for shop in range(40):
        level = rng.normal(0, 1, 61).cumsum()
        rows.append(pd.DataFrame({"shop": f"s{shop}", "day": pd.date_range("2026-01-01", periods=60), "visits": level[:-1] + rng.normal(0, 0.3, 60),
                                  "noise": rng.normal(size=60), "y": np.diff(level) * 0 + np.r_[0, level[:-2]] + rng.normal(0, 0.5, 60)}))
    frame = pd.concat(rows).sample(frac=1, random_state=0).reset_index(drop=True)
    report = suggest_features(frame, "y", time="day", entity="shop")
    assert "lag_features" in report.plan.columns["visits"] and "lag_features" not in report.plan.columns["noise"]
    early = (frame["day"] < "2026-02-20").to_numpy()
    X, y = frame.drop(columns="y"), frame["y"]
    fitted = report.pipeline().fit(X[early], y[early])
    without = with_model(build(Plan({"visits": ("raw_value",), "noise": ("raw_value",)})), None, "regression").fit(X[early], y[early])
    assert fitted.score(X[~early], y[~early]) > without.score(X[~early], y[~early]) + 0.02
    assert report.findings.get("FE-TIME").status == "pass" and "Replacing all later rows" in report.findings.get("FE-TIME").message


# ---- real data

def test_on_real_data_not_worse_than_one_hot_and_xgboost(shared_data: Callable[[str], Path]) -> None:
    """One table; bench_features.py does the same on four, whole."""
    frame = pd.read_csv(shared_data("bank_marketing/bank-additional.csv"), sep=";").drop(columns="duration").sample(2000, random_state=0, ignore_index=True)
    report = suggest_features(frame, "y")
    X, y = frame.drop(columns="y"), (frame["y"] == "yes").astype(int)
    model = XGBClassifier(n_estimators=100, max_depth=4, learning_rate=0.1, n_jobs=1)
    gap = scores(report.pipeline(model), X, y, report.task) - scores(raw(X, model), X, y, report.task)
    assert gap.mean() > -max(2 * gap.std(ddof=1) / 5**0.5, 0.005)
    assert not report.findings.failed


# ---- the plan as data, record, file


def _mixed(n: int = 400) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({
        "day": pd.date_range("2025-01-01", periods=n, freq="17h"), "who": [f"w{i}" for i in rng.integers(0, 8, n)], "amount": rng.lognormal(3, 1, n),
        "size": rng.normal(size=n), "hr": rng.integers(0, 24, n), "plan": rng.choice(["a", "b", None], n), "town": [f"t{i}" for i in rng.integers(0, 60, n)],
        "joined": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 300, n), unit="D"), "member": rng.random(n) < 0.5,
        "note": [" ".join(rng.choice(["late", "broken", "thanks", "please", "refund", "invoice", "never", "again"], 5)) + f" {i}" for i in range(n)],
        "nothing": None, "same": 1, "row": [f"r{i}x" for i in range(n)]})
    frame["y"] = np.where(np.log(frame["amount"]) + frame["note"].str.contains("refund") + rng.normal(size=n) > 3.4, "yes", "no")
    return frame


@pytest.fixture(scope="module")
def mixed() -> Any:
    frame = _mixed()
    return frame, suggest_features(frame, "y", time="day", entity="who", exclude=["size"])


def test_every_column_has_a_pattern_or_a_reason(mixed: Any) -> None:
    _, report = mixed
    plan = report.plan
    assert {name: plan.columns[name][0] for name in plan.columns} == {
        "day": "cyclical_encoding", "amount": "log_transform", "hr": "cyclical_encoding", "plan": "one_hot", "town": "target_encoding",
        "joined": "time_since_event", "member": "raw_value", "note": "tfidf"}
    assert set(plan.left_out) == {"who", "size", "nothing", "same", "row"} and all(plan.left_out.values()) and all(plan.reasons[c] for c in plan.columns)
    assert {f.code: f.status.value for f in report.findings} == {"FE-NUM": "pass", "FE-CAT": "pass", "FE-TIME": "pass", "FE-TEXT": "pass", "FE-INTER": "not_applicable"} \
        or report.findings.get("FE-INTER").status in ("pass", "warn")
    json.dumps(report.to_dict(), allow_nan=False)
    assert set(report.frame()["column"]) >= set(plan.columns)


def test_the_record_gives_the_same_plan_back(mixed: Any, tmp_path: Path) -> None:
    frame, report = mixed
    path = report.save(tmp_path / "feature_plan.yaml")
    again = Plan.from_record(load(path, "feature_plan"), time="day", entity="who")  # type: ignore[arg-type]
    assert again.columns == report.plan.columns and again.pairs == report.plan.pairs and again.left_out == report.plan.left_out
    X, y = frame.drop(columns="y"), frame["y"]
    one, two = (build(p).fit_transform(X, y) for p in (again, report.plan))
    assert np.array_equal(np.asarray(one), np.asarray(two), equal_nan=True)


def test_the_pipeline_is_saved_without_pickle_and_answers_the_same(mixed: Any, tmp_path: Path) -> None:
    from mlnb.experiments.models import FILE, load_skops, save_model

    frame, report = mixed
    X, y = frame.drop(columns="y"), frame["y"]
    fitted = report.pipeline().fit(X, y)
    save_model(fitted, tmp_path / "model", X.head(20))
    again = load_skops(tmp_path / "model" / FILE)
    later = X.assign(day=X["day"] + pd.Timedelta(900, unit="h")).tail(30)
    assert np.array_equal(again.predict_proba(later), fitted.predict_proba(later))


def test_the_pipeline_copes_with_what_comes_later(mixed: Any) -> None:
    frame, report = mixed
    X, y = frame.drop(columns="y"), frame["y"]
    fitted = report.pipeline().fit(X, y)
    odd = X.tail(3).assign(plan="new", town=None, amount=[np.inf, np.nan, -5.0], note=None, member=[True, None, False], who="somebody new")
    assert np.isfinite(fitted.predict_proba(odd)).all()
    with pytest.raises(FeatureError, match="missing: town"):
        fitted.predict(X.drop(columns="town"))
    with pytest.raises(FeatureError, match="expected to hold numbers"):
        fitted.predict(X.assign(amount="a lot"))
    with pytest.raises(FeatureError, match="pandas frame"):
        fitted.predict(X.to_numpy())
    linear = suggest_features(frame, "y", time="day", family="distances").pipeline(Ridge())
    assert np.isfinite(linear.fit(X, y == "yes").predict(odd)).all()


def test_names_from_outside_are_escaped() -> None:
    rng = np.random.default_rng(0)
    name = "<img src=x onerror=alert(1)>"
    frame = pd.DataFrame({name: rng.lognormal(size=300), "b": rng.normal(size=300), "y": rng.integers(0, 2, 300)})
    shown = suggest_features(frame, "y")._repr_html_()
    assert "<img src=x" not in shown and "&lt;img src=x" in shown


# ---- input that cannot be used


@pytest.mark.parametrize(("frame", "words"), [
    (pd.DataFrame({"a": [1, 2], "y": [None, None]}), "no values"), (pd.DataFrame({"a": [1], "y": [1]}), "one value only"),
    (pd.DataFrame({"a": [1, 2], "z": [1, 0]}), "no column 'y'"), (pd.DataFrame({"a": [], "y": []}), "no rows")])
def test_tables_that_cannot_be_used(frame: pd.DataFrame, words: str) -> None:
    with pytest.raises(InputError, match=words):
        suggest_features(frame, "y")


def test_a_thousand_classes_infinities_and_a_hundred_thousand_levels() -> None:
    rng = np.random.default_rng(0)
    n = 110_000
    frame = pd.DataFrame({"user": [f"u{i}" for i in rng.permutation(n) % 100_000], "x": np.where(rng.random(n) < 0.01, np.inf, rng.normal(size=n)),
                          "y": [f"c{i}" for i in rng.integers(0, 1000, n)]})
    report = suggest_features(frame, "y")
    assert report.measures["x"].infinite > 0 and (report.plan.columns.get("user", ("id",))[0] in ("embedding", "id"))
    features = report.transformer().fit_transform(frame.drop(columns="y").head(20_000), frame["y"].head(20_000))
    assert len(features) == 20_000 and not np.isinf(np.asarray(features)).any()


@pytest.mark.parametrize(("name", "values", "what"), [
    ("hr", range(24), "hour"), ("Month", range(1, 13), "month"), ("weekday", range(7), "weekday"), ("day_of_week", range(1, 8), "weekday"),
    ("MonthlyCharges", range(1, 13), ""),
    ("hours_per_week", range(1, 60), ""), ("hour", [9, 10, 11], ""), ("rating", range(1, 8), ""), ("hour", np.linspace(0, 23, 50), ""), ("mnth", range(1, 13), "month")])
def test_what_comes_round(name: str, values: Any, what: str) -> None:
    assert comes_round(name, np.array(list(values) * 3, dtype=float))[0] == what


# ---- checks


@pytest.fixture
def project(tmp_path: Path) -> Project:
    from mlnb.data.holdout import seal

    frame = _mixed(600).drop(columns=["nothing"])
    frame.to_parquet(tmp_path / "data.parquet")
    made = Project.create(tmp_path / "p", tmp_path / "data.parquet", "y", time="day", entity="who", exclude=["size"])
    seal(made)
    return made


CODES = ("FE-NUM", "FE-CAT", "FE-TIME", "FE-TEXT", "FE-INTER")


def test_checks_of_a_project(project: Project) -> None:
    found = project.check(*CODES)
    assert all(f.status == "not_checked" and "feature_plan.yaml" in f.message for f in found)
    report = suggest_features(project.train(), "y", time="day", entity="who", exclude=["size"])
    report.save(project.path / "records" / "feature_plan.yaml")
    found = project.check(*CODES)
    assert {f.code: f.status.value for f in found if f.code != "FE-INTER"} == dict.fromkeys(CODES[:4], "pass")
    assert found.get("FE-CAT").evidence["cross_fit"]["correlation"] < found.get("FE-CAT").evidence["cross_fit"]["chance"]
    record: Any = project.record("feature_plan")
    changed = record.model_copy(update={"columns": record.columns | {"amount": ["tfidf"], "plan": ["one_hot", "embedding"], "note": [], "town": ["one_hot"]}})
    project.save_record("feature_plan", changed)
    found = project.check(*CODES)
    assert {f.code: (f.status.value, f.columns) for f in found if f.code in CODES[:2] + CODES[3:4]} == {
        "FE-NUM": ("fail", ("amount",)), "FE-CAT": ("fail", ("plan",)), "FE-TEXT": ("fail", ("note",))}


def test_the_trials_catch_what_they_are_for() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"t": rng.permutation(300), "x": rng.normal(size=300), "c": rng.integers(0, 60, 300).astype(str)})

    class Leaky(Lags):
        def _look(self, past: Any, entity: Any, time: Any, first: Any, end: Any) -> np.ndarray:
            return super()._look(past, entity, time, first, np.minimum(end + 2, len(past)))

    assert future_test(Leaky("x", "t", lags=(1,)).fit_transform, frame, "t")[0] > 0
    assert future_test(Lags("x", "t", lags=(1,)).fit_transform, frame, "t") == (0, 150)

    class Naive:
        def fit_transform(self, X: pd.DataFrame, y: Any) -> np.ndarray:
            return pd.Series(pd.factorize(y, sort=True)[0]).groupby(X["c"].to_numpy()).transform("mean").to_numpy()[:, None]

    for y in (rng.normal(size=300), rng.integers(0, 2, 300), rng.choice(["a", "b"], 300)):
        gap, chance = cross_fit_gap(Naive(), frame, y)
        honest, _ = cross_fit_gap(build(Plan({"c": ("target_encoding",)})), frame[["c"]], y)
        assert gap > chance > honest


# ---- extraction by a language model


class Form(BaseModel):
    mood: Literal["calm", "angry"]
    amount: float | None = None


def test_a_model_that_errs_is_asked_again_and_told_why() -> None:
    prompts: list[str] = []

    def client(prompt: str) -> str:
        prompts.append(prompt)
        return '{"mood": "furious"}' if len(prompts) == 1 else 'Here you are: {"mood": "angry", "amount": 3}'

    found = LlmExtraction(Form, client).fit_transform(pd.DataFrame({"note": ["give me 3"]}))
    assert found.tolist() == [[0, 1, 3, 0]] and len(prompts) == 2 and "did not fit" in prompts[1] and "mood" in prompts[1]


def test_failures_are_listed_by_row_and_the_rest_is_kept(tmp_path: Path) -> None:
    asked: list[str] = []

    def client(prompt: str) -> str:
        asked.append(prompt)
        if "bad" in prompt.rsplit("Text:", 1)[1]:
            raise TimeoutError("no answer in 30 s")
        return '{"mood": "calm"}'

    frame = pd.DataFrame({"note": ["good", "bad", "good", "fine", "bad"]})
    step = LlmExtraction(Form, client, cache=tmp_path, tries=2, on_failure="flag").set_output(transform="pandas")
    out = step.fit_transform(frame)
    assert out["note_failed"].tolist() == [0, 1, 0, 0, 1] and out["note_mood_calm"].isna().tolist() == [False, True, False, False, True]
    assert [f["row"] for f in step.failures_] == [1, 4] and "TimeoutError: no answer in 30 s" in str(step.failures_[0]["problem"])
    assert len(asked) == 4  # two texts that work, one that was tried twice; equal texts once
    with pytest.raises(FeatureError, match=r"2 of 5 texts could not be read, in rows 1, 4"):
        LlmExtraction(Form, client, cache=tmp_path, tries=1).fit_transform(frame)
    assert len(asked) == 5  # what fitted came from the cache
    for file in tmp_path.iterdir():
        file.write_text('{"mood": "cal')
    LlmExtraction(Form, client, cache=tmp_path, tries=1, on_failure="flag").fit_transform(frame)
    assert len(asked) == 8 and all(json.loads(file.read_text())["mood"] == "calm" for file in tmp_path.iterdir())
    LlmExtraction(Form, client, cache=tmp_path, tries=1, on_failure="flag", model="another").fit_transform(frame)
    assert len(asked) == 11  # another model's answers are other answers


# ---- the command


def test_the_command_writes_the_plan_of_a_project_once(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlnb.cli_features import commands

    monkeypatch.chdir(project.path)
    line = ["holdout/train.parquet", "--target", "y", "--time", "day", "--entity", "who", "--exclude", "size", "--json"]
    first = CliRunner().invoke(commands, line)
    path = project.path / "records" / "feature_plan.yaml"
    assert first.exit_code == 0 and path.exists() and "Plan: " in first.stderr
    document = json.loads(first.stdout)
    assert document["columns"]["amount"]["patterns"][0] == "log_transform" and "onerror" not in first.stdout
    assert {f["code"] for f in document["findings"]} == set(CODES) and document["pairs_measured"] is not None
    path.write_text(path.read_text().replace("log_transform", "raw_value"))
    kept = path.read_text()
    again = CliRunner().invoke(commands, line)
    assert again.exit_code == 0 and path.read_text() == kept and "stays as it is" in again.stderr
    assert CliRunner().invoke(commands, [*line, "--save", str(path)]).exit_code == 0 and path.read_text() != kept


def test_a_default_model_takes_words_and_gaps() -> None:
    frame = _mixed(300)
    model = suggest_features(frame, "y").pipeline()
    assert isinstance(model.steps[-1][1], HistGradientBoostingClassifier)
    assert set(model.fit(frame.drop(columns="y"), frame["y"]).predict(frame.drop(columns="y"))) == {"yes", "no"}
