"""Tuning that is watched and interrupted: storage that is locked, deleted or shared, searches of dead kernels, Ctrl-C, and databases by URL."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pandas as pd
import pytest
from test_experiments_tuning import SMALL, problem, quick, rows

from mlnb.core.errors import InputError, MissingError
from mlnb.core.project import Project
from mlnb.data.holdout import seal
from mlnb.experiments import studies
from mlnb.experiments.studies import Place, place_of
from mlnb.experiments.study_reading import studies_now
from mlnb.experiments.tuning_state import TuningState


@pytest.fixture
def project(tmp_path: Path) -> Project:
    rows(120).to_csv(tmp_path / "rows.csv", index=False)
    made = Project.create(tmp_path / "p", tmp_path / "rows.csv", target="y")
    seal(made)
    return made


def test_database_that_another_process_holds_is_said_and_nothing_is_lost(tmp_path, monkeypatch):
    monkeypatch.setattr(studies, "WAIT", 0.2)
    store = tmp_path / "s.db"
    quick(trials=2, storage=store)
    other = sqlite3.connect(store)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(InputError, match=r"s\.db cannot be used .*locked.*the same call goes on"):
        quick(trials=4, storage=store)
    other.rollback()

    def hold(_: object) -> None:
        other.execute("BEGIN EXCLUSIVE")

    with pytest.raises(InputError, match=r"locked.*The best of 3 trials until then: ROC-AUC 0\.\d+ with n_estimators = \d+"):
        quick(trials=6, storage=store, progress=hold)
    other.rollback()
    assert len(quick(trials=4, storage=store).finished) == 4
    with pytest.raises(InputError, match="another process holds it"), filelock(str(store) + ".opening"):
        quick(trials=6, storage=store)


def filelock(path: str):
    from filelock import FileLock

    return FileLock(path)


@pytest.mark.parametrize("ending", ["db", "journal"])
def test_storage_deleted_in_the_middle_says_what_was_found(tmp_path, ending):
    store, copy = tmp_path / f"s.{ending}", tmp_path / "copy"

    def delete(t: object) -> None:
        if len(t.finished) == 3:
            shutil.copy(store, copy)
            store.unlink()

    with pytest.raises(InputError, match=r"deleted or replaced.*Bring the file back.*The best of 3 trials until then: ROC-AUC"):
        quick(trials=6, storage=store, progress=delete)
    shutil.copy(copy, store)
    assert len(quick(trials=6, storage=store).finished) == 6  # the copy goes on


def test_a_study_is_read_without_its_rows_and_looking_makes_no_file(tmp_path):
    store = tmp_path / "s.db"
    found = quick(trials=9, storage=store, patience=0)
    now = studies_now(place_of(store), whole="random_forest")[0]
    assert now.tuning.to_dict() == {**found.to_dict()} and not now.left and not now.alive
    optuna.create_study(storage=f"sqlite:///{store}", study_name="foreign")
    assert [s.name for s in studies_now(place_of(store))] == ["random_forest"]
    assert studies_now(place_of(tmp_path / "none.db")) == [] and not (tmp_path / "none.db").exists()


def test_trials_of_a_dead_process_in_a_database_are_given_up(tmp_path, monkeypatch):
    place = Place("url", f"sqlite+pysqlite:///{tmp_path}/s.db")
    quick(trials=2, storage=place)
    study = optuna.load_study(study_name="random_forest", storage=place.storage())
    trial = study.ask()
    study._storage.record_heartbeat(trial._trial_id)
    with sqlite3.connect(tmp_path / "s.db") as db:
        db.execute("UPDATE trial_heartbeats SET heartbeat = '2001-01-01 00:00:00'")
    found = quick(trials=4, storage=place)
    assert len(found.finished) == 4 and [t.state for t in found.trials].count("failed") == 1


def test_state_says_what_is_wrong_and_starts_nothing(project):
    state = TuningState(project)
    state.choose("random_forest")
    for name, wrong, words in (("trials", "1.5", "whole number"), ("minutes", "-1", "above 0"), ("patience", "x", "0 for never"), ("hypothesis", "hm", "hypothesis")):
        before = getattr(state, name)
        setattr(state, name, wrong)
        assert state.start() is None and words in state.wrong[name].lower(), state.wrong
        setattr(state, name, before)
    state.ranges = dict.fromkeys(state.ranges, "")
    assert state.start() is None and "nothing to search" in state.wrong["ranges"]
    assert not (project.path / "results" / "tuning.db").exists() and not state.running


def watched(state, reached) -> None:
    while not reached():
        assert state.running, (state.problem, state.doing)
        time.sleep(0.2)
        state.refresh()


def test_cancelled_killed_and_reopened_loses_no_trial(project):
    state = TuningState(project)
    state.choose("random_forest")
    state.ranges, state.trials, state.patience = {**state.ranges, "n_estimators": "5 to 10", "max_depth": ""}, "100000", "0"
    thread = state.start()
    assert state.start() is None  # one at a time
    watched(state, lambda: state.now and state.now.done)
    assert state.now.alive
    state.cancel()
    thread.join()
    done = state.now.done
    assert done and state.now.left and "Start goes on" in state.doing and not state.problem
    thread = state.start()
    watched(state, lambda: state.now.done > done)
    state._job._process.kill()
    thread.join()
    assert "signal 9" in state.problem
    again = TuningState(project)
    assert (again.model, again.trials, again.patience, again.ranges["max_depth"]) == ("random_forest", "100000", "0", "") and again.now.left
    again.trials = str(again.now.done + 1)
    again.start().join()
    assert again.now.done == int(again.trials) and not again.now.left and project.result("tuning", fresh=True)["stopped"] == f"{again.trials} trials"
    again.ranges = {**again.ranges, "n_estimators": "5 to 12"}
    assert again.now is None and len(again.studies) == 1  # wider ranges are another study; the old one stays


def test_what_goes_wrong_in_the_process_is_said(project):
    state = TuningState(project)
    (project.path / "results").mkdir(exist_ok=True)
    (project.path / "results" / "tuning.db").write_bytes(b"no database at all" * 500)
    state.start().join()
    assert "tuning.db cannot be used" in state.problem and not state.running


def test_ctrl_c_keeps_what_is_finished_and_says_how_to_go_on(tmp_path):
    rows(120).to_csv(tmp_path / "d.csv", index=False)
    command = [sys.executable, "-c", "from mlnb.cli import main; main()", "tune", "--data", "d.csv", "--target", "y", "--model", "random_forest", "--space",
               "n_estimators=5:10", "--trials", "9999", "--patience", "0", "--folds", "3", "--storage", "s.db", "--json"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert "1 trials, best" in process.stderr.readline()  # no bar: not a terminal
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode == 130 and "are kept in s.db" in err and "The same command goes on." in err and '"error": "interrupted"' in out
    assert studies_now(place_of(tmp_path / "s.db"))[0].done >= 1


def test_report_without_tuning_says_how(project):
    from mlnb.experiments.tuned import project_tuning, tuning_of

    with pytest.raises(MissingError):
        project_tuning(project)
    assert "<code>mlnb tune --hypothesis" in tuning_of(project)._repr_html_()


def test_what_is_not_installed_is_named():
    from mlnb.experiments.tuning_together import tune_together

    for on, module in (("dask", "distributed"), ("spark", "joblibspark")):
        try:
            __import__(module)
        except ImportError:
            with pytest.raises(MissingError, match=module):
                tune_together(problem(), "random_forest", None if on == "dask" else "s.journal", on=on, trials=2, folds=3, space=SMALL)
    with pytest.raises(InputError, match=r"nonsense://…@host/x cannot be used.*driver"):
        quick(storage="nonsense://ada:secret@host/x")
    assert place_of("postgres://u@h/d").where == "postgresql://u@h/d"


@pytest.mark.parametrize("model", ["lightgbm"])
def test_other_boosted_trees_are_tuned(model):
    pytest.importorskip(model)
    from mlnb.experiments.tuning import tune

    frame = rows(150).assign(c=pd.Series(["x", None, "z<b>"] * 50))
    from mlnb.experiments.problems import make_problem

    found = tune(make_problem("binary", frame, target="y", metric="roc_auc"), model, trials=3, folds=3)
    assert len(found.finished) == 3 and set(found.params) == {"learning_rate", "num_leaves", "feature_fraction", "min_data_in_leaf"}


def test_dask_cluster_keeps_the_study_and_shares_the_budget():
    distributed = pytest.importorskip("distributed")
    pytest.importorskip("optuna_integration")
    from mlnb.experiments.tuning_together import tune_together

    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None) as cluster, distributed.Client(cluster) as client:
        found = tune_together(problem(), "random_forest", on="dask", client=client, trials=6, folds=3, space=SMALL, patience=0)
    assert len(found.finished) == 6 and found.stopped == "6 trials"


def test_a_look_between_a_new_model_and_its_ranges(project):
    state = TuningState(project)
    for model in ("random_forest", "neural_net"):
        state.choose(model)
        ranges, state.model = state.ranges, "xgboost"  # what a thread that looks may find
        state.refresh()
        assert state.now is None and state.ranges == ranges
