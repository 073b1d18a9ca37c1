"""Real data: an estimate holds while the world does, and labels show when it does not. And the functions of a project."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlnb.core.errors import InputError
from mlnb.core.project import Project
from mlnb.data.holdout import seal
from mlnb.experiments.training import train
from mlnb.monitoring.estimated import fit_estimator
from mlnb.monitoring.label_windows import label_counts, label_windows
from mlnb.monitoring.project_estimates import project_estimate, project_estimator
from mlnb.monitoring.project_labels import (
    project_held,
    project_measured,
    project_performance,
    project_proxies,
    project_relation,
)
from mlnb.monitoring.realised import hold, track
from mlnb.monitoring.windows import Window


def encoded(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.apply(lambda c: c if c.dtype.kind in "if" else c.astype("category").cat.codes)


def test_the_banks_campaign_changes_under_the_model(shared_data: Callable[[str], Path]) -> None:
    """Calls in order of time: from the crisis on, who subscribes is another matter."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    bank = pd.read_csv(shared_data("bank_marketing") / "bank-additional-full.csv.gz", sep=";").iloc[::4]
    x, y = encoded(bank.drop(columns=["y", "duration"])), bank["y"].to_numpy()
    n = 4500
    model = HistGradientBoostingClassifier(max_iter=40, random_state=0)
    rng = np.random.default_rng(0)
    known = rng.permutation(n)
    fit, unseen = known[:3300], known[3300:]
    crossed = cross_val_predict(model, x.iloc[fit], y[fit], cv=StratifiedKFold(3, shuffle=True, random_state=0), method="predict_proba")
    model.fit(x.iloc[fit], y[fit])
    estimator = fit_estimator(y[fit], crossed, task="binary", classes=model.classes_.tolist(), positive="yes", metrics=["brier", "roc_auc"], primary="brier")
    assert hold(estimator, model.predict_proba(x.iloc[unseen]), y[unseen])["brier"].inside
    parts = [slice(a, a + 950) for a in range(n, len(bank) - 900, 950)]
    record = track([hold(estimator, model.predict_proba(x.iloc[part]), y[part], start=str(part.start)) for part in parts], "brier")
    assert record.off and record.worse and not record.held[-1].inside
    outcomes = label_windows(label_counts(y[:n]), {f"{part.start:05}": label_counts(y[part]) for part in parts})
    assert outcomes.windows[-1].changed and outcomes.findings[0].status.value == "warn"


def test_customers_of_one_time_are_estimated_well(shared_data: Callable[[str], Path]) -> None:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import cross_val_predict

    telco = pd.read_csv(shared_data("telco_churn") / "Telco-Customer-Churn.csv")
    telco["TotalCharges"] = pd.to_numeric(telco["TotalCharges"], errors="coerce")
    x, y = encoded(telco.drop(columns=["Churn", "customerID"])), telco["Churn"].to_numpy()
    order = np.random.default_rng(1).permutation(len(x))
    fit, later = order[:4500], order[4500:]
    model = HistGradientBoostingClassifier(max_iter=40, random_state=0)
    crossed = cross_val_predict(model, x.iloc[fit], y[fit], cv=3, method="predict_proba")
    model.fit(x.iloc[fit], y[fit])
    estimator = fit_estimator(y[fit], crossed, task="binary", classes=model.classes_.tolist(), positive="Yes")
    held = hold(estimator, model.predict_proba(x.iloc[later]), y[later])
    assert len(held) == 10 and sum(h.inside for h in held.values()) >= 8, {n: (h.low, h.realised, h.high) for n, h in held.items()}


def test_bicycles_of_the_next_year_are_not_what_the_estimate_says(shared_data: Callable[[str], Path]) -> None:
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.model_selection import KFold, cross_val_predict

    day = pd.read_csv(shared_data("bike_sharing") / "day.csv")
    names = ["season", "mnth", "weekday", "workingday", "weathersit", "temp", "hum", "windspeed"]
    past, later = day[day["yr"] == 0], day[day["yr"] == 1]
    model = HistGradientBoostingRegressor(max_iter=60, random_state=0)
    crossed = cross_val_predict(model, past[names], past["cnt"], cv=KFold(5, shuffle=True, random_state=0))
    model.fit(past[names], past["cnt"])
    estimator = fit_estimator(past["cnt"], crossed, task="regression", features=past[names], metrics=["mae", "rmse"])
    months = [hold(estimator, model.predict(part[names]), part["cnt"], part[names], start=f"2012-{m:02}") for m, part in later.groupby("mnth")]
    record = track(months, "mae")
    assert record.off and record.worse and sum(h.inside for h in record.held) <= 2
    assert all(m["mae"].realised > 1.5 * m["mae"].value for m in months[3:])


def loans(n: int, seed: int, turned: bool = False) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    income, region = rng.normal(3000, 500, n).round(), rng.choice(list("abc"), n)
    margin = (income - 2900) / 250 * np.where(turned & (region == "b"), -1, 1)
    return pd.DataFrame({"income": income, "region": region, "y": np.where(rng.random(n) < 1 / (1 + np.exp(-margin)), "good", "bad")})


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("labels")
    loans(1500, 0).to_csv(folder / "t.csv", index=False)
    made = Project.create(folder / "p", folder / "t.csv", target="y")
    seal(made)
    train(made, "Income tells who repays, by F1 0.7", n_resamples=100)
    return made


def test_a_projects_estimator_is_made_once_and_kept_with_the_model(project: Project) -> None:
    import mlflow

    from mlnb.experiments.tracking import current_experiment

    made = project_estimator(project)
    e = current_experiment(project)
    assert (project.path / "results" / "estimator.json").exists() and made.model == e.id and made.primary == e.comparison["primary"]
    assert project_estimator(project).to_dict() == made.to_dict()
    files = {f.path for f in mlflow.MlflowClient(tracking_uri=project.tracking_uri).list_artifacts(e.run_id)}
    assert "estimator.json" in files


def test_a_project_is_estimated_without_labels_and_held_against_them(project: Project, tmp_path: Path) -> None:
    later = loans(800, 5)
    later.drop(columns="y").to_csv(tmp_path / "later.csv", index=False)
    found = project_estimate(project, str(tmp_path / "later.csv"), note=True)
    assert found.metrics == project_estimate(project, later).metrics and found.rows == 800  # labels are not looked at
    held, measured = project_held(project, later), project_measured(project, later)
    assert sum(h.inside for h in held.values()) >= 0.7 * len(held)
    for name, m in measured.items():
        assert m["low"] <= m["value"] <= m["high"] and m["value"] == pytest.approx(held[name].realised) and m["kind"] == "measured"
    with pytest.raises(InputError, match="income"):
        project_estimate(project, later.drop(columns="income"))
    with pytest.raises(InputError, match="no rows"):
        project_estimate(project, later.head(0))


def test_a_projects_windows_name_the_column_that_changed(project: Project) -> None:
    windows = [Window(f"2026-{m:02}-01", f"2026-{m + 1:02}-01", 700, metrics=project_measured(project, loans(700, m, turned=m >= 4))) for m in range(1, 7)]
    late = pd.concat([loans(700, m, turned=True) for m in (4, 5, 6)])
    over = project_performance(project, windows, late, note=True)
    assert over.change == "2026-04-01" and "region" in over.findings[0].columns
    assert project.findings().get("DRIFT-CONCEPT").status.value == "fail"
    assert "region" in project_relation(project, late).changed
    calm = project_performance(project, windows[:3], note=True)
    assert calm.findings[0].status.value == "pass" and not calm.change


def test_outcomes_of_other_spelling_are_the_same_and_strange_ones_are_refused(project: Project) -> None:
    later = loans(300, 9)
    shouted = later.assign(y=later["y"].str.upper())
    assert project_measured(project, shouted) == project_measured(project, later)
    with pytest.raises(InputError, match="maybe"):
        project_measured(project, later.assign(y="maybe"))
    with pytest.raises(InputError, match="no column 'y'"):
        project_held(project, later.drop(columns="y"))
    with pytest.raises(InputError, match="outcome yet"):
        project_held(project, later.assign(y=None))
    assert project_measured(project, later.head(10)) == {}
    one = project_measured(project, later[later["y"] == "bad"])
    assert "roc_auc" not in one and "accuracy" in one


def test_a_projects_proxies_have_the_training_rows_as_reference(project: Project) -> None:
    found = project_proxies(project, loans(600, 11).assign(clicked=1), ["share positive", "clicked"])
    assert found["share positive"]["reference"] is not None and not found.moved and found["clicked"]["reference"] is None
    assert not project_proxies(project, loans(100, 1))  # none is named in monitoring.yaml
