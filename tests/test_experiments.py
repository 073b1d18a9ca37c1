"""Experiments: ids of their own, a question first, nothing learned from what is scored, and the same seed giving the same run."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlnb.core.errors import InputError, MlnbError
from mlnb.core.project import Project
from mlnb.data.holdout import seal
from mlnb.experiments.folds import make_folds
from mlnb.experiments.identity import check_hypothesis, next_id
from mlnb.experiments.tracking import current_experiment
from mlnb.experiments.training import load_model, train

ASKED = "Income separates those who repay, by F1 0.7 or more"


def table(n: int = 700, task: str = "binary", seed: int = 0, signal: bool = True) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    income, region = rng.normal(3000, 500, n).round(), rng.choice(list("abc"), n)
    score = (income - 2900) / 300 + (region == "a") + rng.logistic(size=n) * 0.5
    score = score if signal else rng.permutation(score)
    y = {"binary": np.where(score > 0, "yes", "no"), "multiclass": np.digitize(score, [-1, 1]).astype(str), "regression": score.round(3)}[task]
    days = pd.date_range("2025-01-01", periods=n, freq="h")
    frame = {"income": income, "region": region, "gender": rng.choice(["f", "m"], n), "who": np.arange(n) // 3, "day": days, "y": y}
    return pd.DataFrame(frame)


def project(folder: Path, frame: pd.DataFrame, **roles: object) -> Project:
    folder.mkdir(parents=True, exist_ok=True)
    frame.to_csv(folder / "t.csv", index=False)
    made = Project.create(folder / "p", folder / "t.csv", target="y", **roles)
    seal(made)
    return made


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, list]:
    """The same run twice with one seed, once with another."""
    made = project(tmp_path_factory.mktemp("runs"), table().drop(columns=["who", "day"]), protected=("gender",))
    return made, [train(made, ASKED, random_state=seed, n_resamples=200).experiment for seed in (0, 0, 1)]


def test_ids_count_up_and_are_never_shared(tmp_path: Path) -> None:
    code = "import sys; from mlnb.experiments.identity import next_id\nfor _ in range(15): print(next_id(sys.argv[1], '2026-03-01'))"
    processes = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) for _ in range(4)]
    found = [name for process in processes for name in process.communicate(timeout=60)[0].split()]
    assert sorted(found) == [f"EXP-2026-03-01-{i:03d}" for i in range(1, 61)]
    assert next_id(tmp_path, "2026-03-02") == "EXP-2026-03-02-001"


@pytest.mark.parametrize("asked", ["", None, "try it", "   "])
def test_there_is_no_run_without_a_question(asked: str | None) -> None:
    with pytest.raises(InputError, match="needs a hypothesis"):
        check_hypothesis(asked)


def test_the_same_seed_gives_the_same_run(runs: tuple[Project, list]) -> None:
    _, (first, second, other) = runs
    assert first.id != second.id and re.fullmatch(r"EXP-\d{4}-\d\d-\d\d-\d{3}", first.id)
    assert (first.metrics, first.model_fingerprint, first.dataset_version) == (second.metrics, second.model_fingerprint, second.dataset_version)
    assert first.metrics != other.metrics


def test_what_is_recorded_is_enough_to_repeat_it(runs: tuple[Project, list]) -> None:
    made, (_, _, last) = runs
    e = current_experiment(made)
    assert e.id == last.id and e.hypothesis == ASKED and e.seed == 1 and set(e.features_used) == {"income", "region"}
    assert "gender" in e.excluded and e.packages["python"] and e.baseline and e.heuristic
    from mlflow import MlflowClient

    run = MlflowClient(tracking_uri=made.tracking_uri).get_run(e.run_id)
    assert run.data.tags["mlnb.hypothesis"] == ASKED and run.data.params["seed"] == "1"
    assert {f.code: f.status.value for f in made.findings()}["EXP-RECORD"] == "pass"


def test_the_kept_model_answers_as_it_did_for_whole_rows_and_single_ones(runs: tuple[Project, list]) -> None:
    made, _ = runs
    model, frame = load_model(made), made.train().frame()
    together = model.predict_proba(frame)
    alone = np.vstack([model.predict_proba(frame.iloc[[i]]) for i in range(5)])
    assert together[:5] == pytest.approx(alone) and (together.sum(axis=1) == pytest.approx(1))


def test_unseen_rows_are_scored_so_noise_stays_noise(tmp_path: Path) -> None:
    noise = project(tmp_path / "a", table(signal=False).drop(columns=["who", "day"]))
    real = project(tmp_path / "b", table().drop(columns=["who", "day"]))
    auc = {name: train(p, ASKED, n_resamples=100).experiment.metrics for name, p in (("noise", noise), ("real", real))}
    both = {name: {**m["primary"], **m["secondary"]}["roc_auc"] for name, m in auc.items()}
    assert abs(both["noise"] - 0.5) < 0.07 and both["real"] > 0.85


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_other_tasks_beat_the_baseline_on_real_signal(tmp_path: Path, task: str) -> None:
    made = project(tmp_path, table(task=task).drop(columns=["who", "day"]))
    e = train(made, ASKED, n_resamples=200).experiment
    assert e.task == task and e.verdict == "promoted" and json.dumps(e.comparison["folds"])


def test_later_rows_are_scored_by_earlier_ones_and_a_person_is_on_one_side() -> None:
    frame = table()
    y = (frame["y"] == "yes").to_numpy()
    split = make_folds(y, "binary", frame["day"], None, 5, 0)
    for train_rows, test_rows in split.splits:
        assert frame["day"].iloc[train_rows].max() <= frame["day"].iloc[test_rows].min()
    split = make_folds(y, "binary", None, frame["who"], 5, 0)
    for train_rows, test_rows in split.splits:
        assert not set(frame["who"].iloc[train_rows]) & set(frame["who"].iloc[test_rows])


@settings(max_examples=40, deadline=None)
@given(st.integers(40, 400), st.integers(2, 6), st.integers(0, 99))
def test_folds_score_every_row_once_in_the_shares_of_the_whole(n: int, k: int, seed: int) -> None:
    y = (np.arange(n) % 4 == 0).astype(int)
    split = make_folds(y, "binary", None, None, k, seed)
    parts = list(split.splits)
    tested = np.concatenate([np.asarray(test) for _, test in parts])
    assert sorted(tested) == list(range(n))
    for rest, test in parts:
        assert not set(rest) & set(test) and abs(y[test].mean() - y.mean()) < 1.5 / len(test)


def test_a_target_that_cannot_be_learned_is_told(tmp_path: Path) -> None:
    made = project(tmp_path, table().drop(columns=["who", "day"]).replace({"y": {"yes": "good", "no": "bad"}}), task="regression")
    with pytest.raises(MlnbError, match="holds no numbers"):
        train(made, ASKED)
    bare = Project.create(tmp_path / "bare", tmp_path / "t.csv", target="y")
    with pytest.raises(MlnbError, match="No holdout is sealed"):
        train(bare, ASKED)
