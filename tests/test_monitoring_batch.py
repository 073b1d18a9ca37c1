"""A later batch of a project against what its model was trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlnb.core.errors import MlnbError
from mlnb.core.project import Project
from mlnb.data.holdout import seal
from mlnb.experiments.training import train
from mlnb.monitoring.batch import project_drift, project_reference


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
    assert project_reference(project).to_json() == reference.to_json()


def test_a_batch_like_the_training_data_is_calm(project: Project) -> None:
    found = status(project_drift(project, loans(800, 5)))
    assert found["DRIFT-FEATURE"] == "pass" and found["DRIFT-LABEL"] == "pass" and found["DRIFT-CONCEPT"] == "pass"


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
