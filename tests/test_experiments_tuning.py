"""Tuning: exact ranges, kills in the middle, several processes, other people's studies, broken storage, and what training makes of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlnb.core.errors import InputError, MissingError
from mlnb.experiments.networks import NeuralNet
from mlnb.experiments.pipelines import starting_pipeline
from mlnb.experiments.problems import make_problem
from mlnb.experiments.spaces import SPACES, learner_of, space_for
from mlnb.experiments.studies import place_of
from mlnb.experiments.tuning import tune
from mlnb.experiments.workers import at_work, heal, working

SMALL = {"n_estimators": (10, 40)}


def rows(n: int = 150, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.normal(size=(n, 3)), columns=list("abc"))
    frame["y"] = np.where(frame["a"] * frame["b"] + rng.normal(0, 0.5, n) > 0, "yes", "no")
    return frame


def problem(n: int = 150, seed: int = 0):
    return make_problem("binary", rows(n, seed), target="y", metric="roc_auc")


def quick(p=None, **options):
    return tune(p or problem(), "random_forest", **{"trials": 6, "folds": 3, "space": SMALL, **options})


def test_ranges_are_those_of_the_methodology():
    found = {model: {p.name: (p.low, p.high) for p in space if not p.choices} for model, space in SPACES.items()}
    assert found == {
        "xgboost": {"learning_rate": (0.01, 0.3), "max_depth": (3, 10), "n_estimators": (100, 1000), "min_child_weight": (1, 10)},
        "lightgbm": {"learning_rate": (0.01, 0.3), "num_leaves": (15, 255), "feature_fraction": (0.5, 1.0), "min_data_in_leaf": (5, 100)},
        "neural_net": {"learning_rate": (1e-5, 1e-2), "batch_size": (32, 512), "dropout": (0.1, 0.5)},
        "random_forest": {"n_estimators": (100, 1000), "max_depth": (5, 30), "min_samples_leaf": (1, 20)},
    }
    assert [p.name for p in SPACES["neural_net"]] == ["learning_rate", "batch_size", "hidden_dims", "dropout"]


@given(st.sampled_from([(m, p) for m, space in SPACES.items() for p in space if not p.choices]), st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_every_place_in_a_range_is_inside_it(case, share):
    p = case[1]
    value = p.at(share)
    assert p.low <= value <= p.high and p.clipped(value) == value
    assert not p.edge(value) if 0.15 < share < 0.85 else True


def test_lightgbm_calls_two_parameters_otherwise():
    assert {p.name: p.setting for p in SPACES["lightgbm"]}["feature_fraction"] == "colsample_bytree"
    assert {p.name: p.setting for p in SPACES["lightgbm"]}["min_data_in_leaf"] == "min_child_samples"


def test_first_trial_is_the_defaults_and_the_rest_is_the_same_every_time():
    one, two = quick(random_state=4), quick(random_state=4)
    assert one.trials[0].params == {"n_estimators": 40, "max_depth": 30, "min_samples_leaf": 1}
    assert one.to_dict() == two.to_dict()
    assert one.trials[3].params != quick(random_state=5).trials[3].params


def test_defaults_outside_the_range_are_scored_as_they_are():
    from mlnb.experiments.crossval import fitted

    p, found = problem(), quick()
    scores = []
    for train, test in p.folds(3).splits:
        part, held = p.take(train), p.take(test)
        made = fitted(starting_pipeline(p.kinds, p.kind, len(part), "", 0, "random_forest"), part.frame, part.y)
        scores.append(held.value(p.answers(made, held.frame)))
    assert found.defaults["max_depth"] is None and found.default_folds == pytest.approx(scores)


def test_best_is_what_cross_validation_of_its_settings_gives():
    from sklearn.metrics import roc_auc_score

    p, found = problem(), quick()
    values = []
    for train, test in p.folds(3).splits:
        made = starting_pipeline(p.kinds, p.kind, len(train), "", 0, "random_forest")
        learner_of(made).set_params(**found.params)
        made.fit(p.frame.iloc[train], p.y[train])
        values.append(roc_auc_score(p.y[test] == "yes", made.predict_proba(p.frame.iloc[test])[:, 1]))
    assert found.best.value == pytest.approx(np.mean(values))


@pytest.mark.parametrize("ending", ["db", "journal"])
def test_goes_on_where_it_stopped_as_if_it_had_not(tmp_path, ending):
    store = tmp_path / f"s.{ending}"
    quick(trials=3, storage=store)
    whole, resumed = quick(trials=7), quick(trials=7, storage=store)
    assert [t.params for t in resumed.trials] == [t.params for t in whole.trials]
    assert len(quick(trials=7, storage=store).trials) == 7  # nothing more to do
    assert not (tmp_path / f"s.{ending}.workers").exists()


SCRIPT = """
import sys, time
sys.path.insert(0, {tests!r})
from test_experiments_tuning import problem, quick
def seen(t):
    print(len(t.finished), flush=True)
    time.sleep({pause})
quick(trials={trials}, storage={store!r}, progress=seen, patience=0)
"""


def begun(store: Path, trials: int, pause: float = 0.0) -> subprocess.Popen:
    code = SCRIPT.format(tests=str(Path(__file__).parent), trials=trials, store=str(store), pause=pause)
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})


@pytest.mark.parametrize("ending", ["db", "journal"])
def test_killed_in_the_middle_of_a_trial(tmp_path, ending):
    store = tmp_path / f"s.{ending}"
    process = begun(store, 10_000)
    for _ in range(3):
        process.stdout.readline()
    study = optuna.load_study(study_name="random_forest", storage=place_of(store).storage())
    while study.get_trials(deepcopy=False)[-1].state.name != "RUNNING":
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = [t for t in study.get_trials() if t.state.name in ("COMPLETE", "PRUNED")]
    found = quick(trials=len(before) + 2, storage=store, patience=0)
    assert len(found.finished) == len(before) + 2  # none lost, none counted twice
    assert not [t for t in found.trials if t.state == "running"]
    kept = {t.number: t.params for t in found.trials}
    assert all(kept[t.number] == t.params for t in before)


@pytest.mark.parametrize("ending", ["db", "journal"])
def test_two_processes_share_the_budget(tmp_path, ending):
    store = tmp_path / f"s.{ending}"
    both = [begun(store, 12) for _ in range(2)]
    said = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    found = quick(trials=12, storage=store, patience=0)
    assert len(found.finished) == 12 and not [t for t in found.trials if t.state == "running"]
    study = optuna.load_study(study_name="random_forest", storage=place_of(store).storage())
    assert len({t.user_attrs["worker"] for t in study.trials if t.state.name == "COMPLETE"}) >= 1
    assert sum(t.params == found.trials[0].params and t.state.name == "COMPLETE" for t in study.trials) == 1  # the defaults once


def test_a_live_worker_keeps_its_trial_and_a_dead_one_loses_it(tmp_path):
    place = place_of(tmp_path / "s.db")
    study = optuna.create_study(storage=place.storage())
    with at_work(place) as me:
        study.ask().set_user_attr("worker", me)
        study.ask().set_user_attr("worker", "gone")
        assert working(place) == {me} and heal(study, place) == 1
        assert [t.state.name for t in study.trials] == ["RUNNING", "FAIL"]
    assert heal(study, place) == 1 and study.trials[0].state.name == "FAIL"


def test_other_data_model_or_seed_is_refused(tmp_path):
    store = tmp_path / "s.db"
    quick(storage=store)
    for other, word in ((lambda: quick(problem(seed=1), storage=store), "data was"), (lambda: quick(storage=store, random_state=1), "seed was"),
                        (lambda: quick(storage=store, space={"n_estimators": (10, 50)}), "space was"), (lambda: quick(storage=store, folds=4), "folds was")):
        with pytest.raises(InputError, match=word):
            other()
    assert len(quick(storage=store).trials) == 6
    optuna.create_study(storage=f"sqlite:///{store}", study_name="foreign").enqueue_trial({"x": 1})
    with pytest.raises(InputError, match="something else"):
        quick(storage=store, name="foreign")


def test_storage_that_cannot_be_used(tmp_path):
    torn = tmp_path / "torn.db"
    torn.write_bytes(b"no database at all" * 500)
    with pytest.raises(InputError, match=r"torn\.db cannot be used"):
        quick(storage=torn)
    assert torn.read_bytes().startswith(b"no database")
    journal = tmp_path / "torn.journal"
    journal.write_bytes(b'{"op_code": 0, "worker\n not json \n{}\n')
    with pytest.raises(InputError, match=r"torn\.journal cannot be used"):
        quick(storage=journal)
    with pytest.raises(InputError, match="no known kind"):
        quick(storage=tmp_path / "s.xlsx")
    with pytest.raises(InputError, match="does not exist"):
        quick(storage=tmp_path / "nowhere" / "s.db")


@pytest.mark.parametrize(("wrong", "said"), [
    ({"trials": 0}, "at least 1 trial"), ({"minutes": 0}, "more than 0 minutes"), ({"patience": -1}, "patience"), ({"strategy": "bayes"}, "bayesian"),
    ({"pruner": "mean"}, "median"), ({"space": {"max_dept": (1, 2)}}, "max_depth"), ({"space": {"max_depth": (9, 3)}}, "smaller first"),
    ({"first": [{"depth": 3}]}, "not searched")])
def test_wrong_options(wrong, said):
    with pytest.raises(InputError, match=said):
        quick(**wrong)


def test_single_class_and_unknown_model():
    with pytest.raises(InputError):
        make_problem("binary", rows().assign(y="yes"), target="y")
    with pytest.raises(InputError, match="Did you mean 'xgboost'"):
        tune(problem(), "xgbost")
    with pytest.raises(InputError, match="no search space"):
        tune(problem(), "linear")


def test_grid_for_few_parameters_only():
    found = quick(strategy="grid", trials=100, space={"n_estimators": (10, 20), "max_depth": None}, patience=0)
    assert found.stopped == "grid" and {(t.params["n_estimators"], t.params["min_samples_leaf"]) for t in found.trials} >= {(10, 1), (20, 20)}
    with pytest.raises(InputError, match="256 points"):
        tune(problem(), "xgboost", strategy="grid")


def test_stops_when_nothing_is_gained_and_when_told():
    assert quick(trials=50, patience=5).stopped == "no gain in 5 trials"
    seen = []
    found = quick(trials=50, patience=0, progress=seen.append, stop=lambda: len(seen) >= 3)
    assert found.stopped == "cancelled" and len(found.finished) == 3
    with pytest.raises(MissingError, match="No trial was finished"):
        quick(stop=lambda: True)


def test_clock_that_goes_backwards_changes_nothing(monkeypatch):
    ticks = iter(range(10**9, 0, -3600))
    monkeypatch.setattr(time, "time", lambda: float(next(ticks)))
    assert len(quick(minutes=10.0).finished) == 6


def test_pruned_trials_score_fewer_folds_and_are_never_the_best():
    found = quick(trials=25, folds=5, patience=0)
    pruned = [t for t in found.trials if t.state == "pruned"]
    assert pruned and all(len(t.folds) < 5 for t in pruned) and found.best.state == "complete"
    assert all(t.state == "complete" for t in quick(trials=12, pruner="none").trials)


def test_by_hand_tries_each_parameter_by_itself():
    found = quick(by_hand=True, trials=7, pruner="none")
    first = found.trials[0].params
    changed = [[name for name in first if t.params[name] != first[name]] for t in found.trials[1:7]]
    assert changed == [["n_estimators"]] * 2 + [["max_depth"]] * 2 + [["min_samples_leaf"]] * 2


def test_time_aware_folds_are_used():
    frame = rows(200).assign(day=pd.date_range("2024-01-01", periods=200))
    found = quick(make_problem("binary", frame, target="y", time="day", metric="roc_auc"))
    assert "time order" in found.words


def test_neural_net_learns_and_dropout_is_exact_in_the_mean():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 3))
    y = 3 * X[:, 0] - X[:, 1] + 100
    net = NeuralNet("regression", "64", 1e-2, 32, 0.1).fit(X, y)
    assert np.corrcoef(net.predict(X), y)[0, 1] > 0.95 and abs(net.predict(X).mean() - y.mean()) < 0.3
    found = tune(problem(), "neural_net", trials=3, folds=3)
    assert len(found.finished) == 3 and set(found.params) == {p.name for p in space_for("neural_net")}


def test_nothing_that_is_written_by_a_trial_touches_the_holdout(tmp_path):
    from mlnb.core.project import Project
    from mlnb.data.holdout import seal
    from mlnb.experiments.tracking import current_experiment
    from mlnb.experiments.training import load_model
    from mlnb.experiments.tuned import project_tuning, tune_project

    rows(300).to_csv(tmp_path / "rows.csv", index=False)
    project = Project.create(tmp_path / "p", data=tmp_path / "rows.csv", target="y")
    seal(project)
    assert project.check("TUNE")[0].status.value == "not_checked"
    sealed = len(pd.read_parquet(project.holdout_dir / "train.parquet"))
    found = tune_project(project, "random_forest", "A tuned forest beats the defaults by two points of AUC", "roc_auc", trials=6, folds=3, space=SMALL)
    assert found.rows == sealed < 300 and project_tuning(project).best == found.best
    e = current_experiment(project)
    assert e.hypothesis.startswith("A tuned forest") and "Tuned: 6 trials" in e.notes
    assert bool(e.settings.get("tuned")) == (found.gain.value > 0)
    if found.gain.value > 0:
        assert e.hyperparameters["n_estimators"] == found.params["n_estimators"] and learner_of(load_model(project)).max_depth == found.params["max_depth"]
    assert project.check("TUNE")[0].value == 6
