"""A later batch of a project against what its model was trained on."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlnb.core.errors import MlnbError
from mlnb.core.project import Project
from mlnb.data.holdout import open_holdout, seal
from mlnb.experiments.crossval import answers
from mlnb.experiments.tracking import current_experiment
from mlnb.experiments.training import load_model, train
from mlnb.monitoring import batch
from mlnb.monitoring.batch import ANSWER, _unseen, answer_column, project_drift, project_reference
from mlnb.monitoring.drift import compare
from mlnb.monitoring.profile import Profile, profile


def loans(n: int, seed: int, shift: float = 0.0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    income = rng.normal(3000 + shift, 500, n).round()
    y = np.where(rng.random(n) < 1 / (1 + np.exp((2900 - income) / 300)), "good", "bad")
    return pd.DataFrame({"income": income, "region": rng.choice(list("abcd"), n), "y": y})


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("watched")
    loans(1500, 0).to_csv(folder / "t.csv", index=False)
    made = Project.create(folder / "p", folder / "t.csv", target="y")
    seal(made)
    train(made, "Income tells who repays, by F1 0.7", n_resamples=100)
    return made


def status(report: object) -> dict[str, str]:
    return {f.code: f.status.value for f in report.findings}  # type: ignore[attr-defined]


def test_the_reference_is_of_rows_the_model_answered_without_having_seen_them(project: Project) -> None:
    reference = project_reference(project)
    assert set(reference.columns) == {"income", "region", "y", "prediction"} and reference.rows == project.train().rows
    assert (reference.target, reference.prediction) == ("y", "prediction")
    assert reference.columns["prediction"].rows == open_holdout(project).seal.rows and not open_holdout(project).looks
    assert project_reference(project).to_json() == reference.to_json()


def test_a_lost_reference_comes_back_from_beside_the_model(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    reference, path = project_reference(project).to_json(), project.path / "results" / "reference.json"
    assert current_experiment(project).run_id
    path.unlink()
    with monkeypatch.context() as patch:
        patch.setattr(batch, "_unseen", lambda *_: pytest.fail("it was made from the training rows again"))
        assert project_reference(project).to_json() == reference and path.exists()
    path.unlink()
    with monkeypatch.context() as patch:
        patch.setattr(batch.Profile, "load", lambda *_: dataclasses.replace(Profile.from_json(reference), model="EXP-2020-01-01-001"))
        assert project_reference(project).to_json() == reference, "a copy of another model is not taken"


def test_the_profile_of_another_model_is_not_taken_for_this_one(project: Project) -> None:
    reference, path = project_reference(project), project.path / "results" / "reference.json"
    path.write_text(path.read_text().replace(reference.model, "EXP-2020-01-01-001"))
    assert project_reference(project).to_json() == reference.to_json()


def test_a_batch_like_the_training_data_is_calm(project: Project) -> None:
    found = status(project_drift(project, loans(800, 5)))
    assert found["DRIFT-FEATURE"] == "pass" and found["DRIFT-LABEL"] == "pass" and found["DRIFT-CONCEPT"] == "pass"


def test_a_model_that_is_surer_than_those_of_its_cross_validation_raises_no_alarm(tmp_path: Path) -> None:
    def rule(n: int, seed: int) -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        table = pd.DataFrame({f"x{i}": rng.normal(size=n) for i in range(4)})
        up = (table["x0"] + table["x1"] > 0) ^ (rng.random(n) < 0.05)
        return table.assign(at=pd.Timestamp("2026-01-01") + pd.to_timedelta(np.arange(n), unit="h"), y=np.where(up, "yes", "no"))

    rule(800, 0).to_csv(tmp_path / "t.csv", index=False)
    made = Project.create(tmp_path / "p", tmp_path / "t.csv", target="y", time="at", positive="yes")
    seal(made)
    train(made, "Two numbers tell the answer, by F1 0.8", n_resamples=100, folds=3)  # folds in time: the first learns from a quarter of the rows
    report = project_drift(made, rule(1000, 1), multivariate=False)
    c = report.columns["prediction"]
    assert status(report)["DRIFT-PREDICTION"] == "pass" and c.kl is not None and c.kl < 0.1
    e, own = current_experiment(made), report.reference.columns["prediction"]
    crossed = profile(pd.DataFrame({ANSWER: answer_column(_unseen(made, e)[1], e)})).columns[ANSWER]
    kept = dataclasses.replace(report.reference, columns={**report.reference.columns, ANSWER: crossed})
    unfair = compare(kept, rule(1000, 1).drop(columns="at").assign(**{ANSWER: answer_column(answers(load_model(made), rule(1000, 1), e.classes), e)}))
    assert unfair.columns[ANSWER].kl > 2 * c.kl and own.rows == open_holdout(made).seal.rows, "what the answers of the folds would have said"


def test_the_held_out_rows_are_not_held_against_themselves(project: Project) -> None:
    report = project_drift(project, multivariate=False)
    found = report.findings.get("DRIFT-PREDICTION")
    assert found.status.value == "not_checked" and "held-out rows" in found.message and status(report)["DRIFT-FEATURE"] == "pass"
    assert "prediction" not in report.drifted and report._repr_html_()


def test_a_shift_is_answered_by_the_playbook(project: Project, tmp_path: Path) -> None:
    loans(800, 6, shift=600).to_csv(tmp_path / "later.csv", index=False)
    report = project_drift(project, str(tmp_path / "later.csv"))
    found = report.findings.get("DRIFT-FEATURE")
    assert found.status.value == "fail" and found.columns == ("income",) and "24 h" in found.fix
    assert report.columns["income"].psi > 0.25 and report.columns["region"].severity == "none"
    assert status(report)["DRIFT-PREDICTION"] == "warn" and project.findings().get("DRIFT-FEATURE").status.value == "fail"


def test_labels_may_come_later(project: Project) -> None:
    report = project_drift(project, loans(500, 7).drop(columns="y"))
    assert status(report)["DRIFT-LABEL"] == "not_checked" and status(report)["DRIFT-CONCEPT"] == "not_checked"
    assert status(report)["DRIFT-FEATURE"] == "pass"


def test_a_world_that_turned_around_is_concept_drift(project: Project) -> None:
    later = loans(800, 8)
    turned = later.assign(y=later["y"].map({"good": "bad", "bad": "good"}))
    assert status(project_drift(project, turned))["DRIFT-CONCEPT"] == "fail"


def test_a_lost_column_fails(project: Project) -> None:
    found = project_drift(project, loans(500, 9).drop(columns="region")).findings.get("DRIFT-FEATURE")
    assert found.status.value == "fail" and "region" in found.columns


def test_there_is_nothing_to_watch_before_training(tmp_path: Path) -> None:
    loans(100, 0).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(MlnbError, match="mlnb run"):
        project_drift(Project.create(tmp_path / "p", tmp_path / "t.csv", target="y"), loans(50, 1))
