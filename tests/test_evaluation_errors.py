"""The worst cases, what people say about them, and where else to look."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlnb.core.errors import InputError
from mlnb.core.ledger import Ledger
from mlnb.evaluation.confusion_cells import confusion_cell, confusion_cells
from mlnb.evaluation.error_cases import row_losses
from mlnb.evaluation.error_labels import FILE, LABELS, ErrorLabel, error_labels, label_error, row_names
from mlnb.evaluation.error_tree import error_tree
from mlnb.evaluation.errors import error_report
from mlnb.evaluation.explain import contributions
from mlnb.evaluation.label_noise import label_noise
from mlnb.evaluation.neighbours import nearest_rows
from mlnb.evaluation.predictions import predictions
from mlnb.evaluation.residuals import residual_profile
from mlnb.experiments.selection import starting_pipeline


def table(n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame({f"c{i}": rng.choice(list("abcde"), n) for i in range(4)} | {f"x{i}": rng.normal(size=n) for i in range(4)})


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
    report = error_report(model, X, p, worst=10, train=X, train_labels=y)
    assert len(report.cases) == 10 and set(report.importance) == set(X.columns)
    assert [c.loss for c in report.cases] == sorted((c.loss for c in report.cases), reverse=True)
    assert report.frame().shape[0] == 10 and "<table" in report._repr_html_()
    assert all(c.neighbours[0].row == c.row and c.neighbours[0].distance == 0 for c in report.cases), "the row itself is nearest"
    again = error_report(model, X, p, worst=10, train=X, train_labels=y)
    assert json.dumps(report.to_dict()) == json.dumps(again.to_dict())
    said = {c.name: ErrorLabel("rare case") for c in report.cases}
    labelled = error_report(model, X, p, worst=2, labels=said)
    assert labelled.findings.get("EVAL09").status.value == "pass" and labelled.labels == {"rare case": 2}
    assert report.findings.get("EVAL09").status.value == "warn"
    assert (report.cells == ()) == (task == "regression") == (report.noise is None)


def test_labels_without_probabilities_and_scores_that_are_none() -> None:
    truth = np.array(["a", "b"] * 30)
    given = np.where(np.arange(60) < 5, "a", truth)
    loss, name = row_losses(predictions(truth, given))
    assert name == "share of errors" and loss.sum() == (given != truth).sum()
    assert row_losses(predictions(truth, given, y_score=np.linspace(-3, 3, 60)))[1] == "share of errors"
    with pytest.raises(InputError, match="task is ranking"):
        row_losses(predictions([0, 1, 2], y_score=[1.0, 2.0, 3.0], task="ranking"))


def test_a_label_survives_another_evaluation_and_goes_with_its_row(tmp_path: Path) -> None:
    frame = table(20, 5).assign(y=1)
    names = row_names(frame)
    for i, label in enumerate(LABELS):
        label_error(tmp_path, names[i], label, note="seen twice", by="Ada", model="one")
    shuffled = frame.sample(frac=1, random_state=0)
    found = error_labels(tmp_path, "one")
    assert [found[name].label for name in row_names(shuffled.sort_index())[: len(LABELS)]] == list(LABELS)
    assert not any(said.stale for said in found.values())
    other = {said.label for said in error_labels(tmp_path, "two").values() if said.stale}
    assert other == {"missing feature", "threshold", "other"}, "what was said about the row stays true of another model"
    corrected = frame.assign(y=frame.y.where(frame.index != 0, 0))
    assert row_names(corrected)[0] not in found and row_names(corrected)[1:] == names[1:]
    label_error(tmp_path, names[0], "", by="Ada")
    assert names[0] not in error_labels(tmp_path, "one") and len(Ledger(tmp_path / FILE).entries()) == len(LABELS) + 1, "nothing is erased"


def test_stale_labels_do_not_count(data: pd.DataFrame) -> None:
    X, y = data[["x0", "x1", "c0"]], data.y1
    model = starting_pipeline({"x0": "numeric", "x1": "numeric", "c0": "categorical"}, "regression", rows=900).fit(X, y)
    p = predictions(y, model.predict(X), task="regression")
    bare = error_report(model, X, p, worst=3)
    said = {c.name: ErrorLabel("threshold", stale=True) for c in bare.cases}
    found = error_report(model, X, p, worst=3, labels=said).findings.get("EVAL09")
    assert found.status.value == "warn" and found.value == 0 and "3 labels speak of another model" in found.message


def test_unknown_labels_and_bare_others_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Did you mean 'ambiguous'"):
        label_error(tmp_path, "r", "ambigous")
    with pytest.raises(InputError, match="needs a note"):
        label_error(tmp_path, "r", "other", note="  ")
    assert not (tmp_path / FILE).exists()


WRITER = """
import sys
from mlnb.evaluation.error_labels import label_error
for i in range(10_000):
    label_error(sys.argv[1], f"row {i}", "ambiguous", by=sys.argv[2])
    print(i, flush=True)
"""


def test_nothing_that_was_confirmed_is_lost_when_a_writer_is_killed(tmp_path: Path) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), who], stdout=subprocess.PIPE, text=True) for who in ("Ada", "Bob")]
    first = [writer.stdout.readline() for writer in writers]
    assert first == ["0\n", "0\n"]
    time.sleep(0.3)
    confirmed = []
    for writer in writers:
        os.kill(writer.pid, signal.SIGKILL)
        confirmed.append(writer.communicate()[0].count("\n") + 1)
    with open(tmp_path / FILE, "a") as file:
        file.write('{"torn": ')
    label_error(tmp_path, "after", "rare case", by="Cleo")
    found = Ledger(tmp_path / FILE).entries()
    by = [sum(entry.source == who for entry in found) for who in ("Ada", "Bob", "Cleo")]
    assert by[0] >= confirmed[0] and by[1] >= confirmed[1] and by[2] == 1
    assert error_labels(tmp_path)["after"].label == "rare case"


def test_an_honest_tree_is_not_taken_in_by_noise() -> None:
    alarms = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        alarms += bool(error_tree(table(400, seed), rng.exponential(1, 400), random_state=seed).worse)
    assert alarms <= 4
    frame = table(3000, 1)
    loss = np.random.default_rng(2).exponential(0.3 + 0.7 * ((frame.c1 == "b") & (frame.x0 > 0)))
    found = error_tree(frame, loss, depth=2)
    assert "c1 = b" in found.worse[0].conditions and any(word.startswith("x0 > ") for word in found.worse[0].conditions)
    assert sum(leaf.rows for leaf in found.leaves) == found.measured == 1500


def test_residuals_along_a_column_and_over_time() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"size": rng.uniform(size=1500), "kind": rng.choice(["a", "b", None], 1500), "day": pd.date_range("2025", periods=1500, freq="h")})
    late = np.arange(1500) > 1200
    truth = 5 + late * 2.0 + rng.normal(size=1500)
    found = residual_profile(predictions(truth, np.full(1500, 5.4), task="regression"), frame, time="day")
    assert found.over_time[-1].mean < -1 and found.over_time[0].mean == pytest.approx(0.4, abs=0.2)
    assert {by for by, _ in found.systematic} >= {"time"} and {part.name for part in found.by_column["kind"]} == {"a", "b", "kind is missing"}
    calm = residual_profile(predictions(truth - 2 * late, np.full(1500, 5.0), task="regression"), frame, time="day")
    assert not calm.systematic
    y = (rng.random(1500) < 0.3).astype(int)
    odds = residual_profile(predictions(y, y_score=np.where(frame.kind == "a", 0.6, 0.3)), frame[["kind"]])
    assert odds.systematic[0][0] in ("kind", "prediction") and odds.systematic[0][1].mean == pytest.approx(0.3, abs=0.06)


def test_confusions_lead_to_their_rows() -> None:
    rng = np.random.default_rng(1)
    frame, truth = table(800, 6), rng.choice(["x", "y", "z"], 800)
    given = np.where((truth == "y") & (frame.x1 > 0.8), "z", truth)
    p = predictions(truth, given)
    cells = confusion_cells(p, frame)
    assert len(cells) == 1 and set(cells[0].rows) == set(np.flatnonzero((truth == "y") & (given == "z")))
    assert cells[0].typical[0].feature == "x1" and cells[0].typical[0].cell > 0.8 > cells[0].typical[0].diagonal
    assert confusion_cell(p, frame, "x", "z").rows == () and confusion_cell(p, frame, "x", "x").typical == ()
    with pytest.raises(InputError, match="no class 'w'"):
        confusion_cell(p, frame, "w", "x")


def test_confident_learning_by_hand() -> None:
    """Class 0 has the threshold (.9 + .8 + .1) / 3 = .6, class 1 (.8 + .9 + .4) / 3 = .7: row 2 is believed to be 1, row 5 to be 0."""
    p = predictions([0, 0, 0, 1, 1, 1], y_score=[0.1, 0.2, 0.9, 0.8, 0.9, 0.4], positive=1)
    found = label_noise(p)
    assert found.thresholds == pytest.approx((0.6, 0.7))
    assert [(d.row, d.label, d.believed) for d in found.doubts] == [(2, 0, 1), (5, 1, 0)]
    assert found.doubts[0].margin == pytest.approx(0.1 - 0.9)
    assert np.allclose(found.joint, [[2, 1], [1, 2]]) and found.share == pytest.approx(1 / 3)


def test_planted_flips_are_found() -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict

    rng = np.random.default_rng(0)
    X = rng.normal(size=(2000, 5))
    clean = (X @ [2, -2, 1, 0, 0] > 0).astype(int)
    flipped = rng.choice(2000, 100, replace=False)
    y = clean.copy()
    y[flipped] = 1 - y[flipped]
    proba = cross_val_predict(LogisticRegression(), X, y, method="predict_proba", cv=5)
    found = label_noise(predictions(y, y_score=proba[:, 1], positive=1))
    top = {d.row for d in found.doubts[:50]}
    assert len(top & set(flipped.tolist())) / 50 > 0.9, "precision among the most doubtful"
    assert 0.03 < found.share < 0.08
    with pytest.raises(InputError, match="task is regression"):
        label_noise(predictions([1.0, 2.5], [1.0, 2.0], task="regression"))


def test_neighbours_are_those_of_a_plain_search() -> None:
    train, cases = table(300, 7), table(5, 8)
    train.loc[3, "x0"] = np.nan
    weights = {"c0": 1.0, "x0": 2.0, "c1": 0.0}
    found = nearest_rows(cases, train, np.arange(300), weights, k=4)
    both = pd.concat([cases, train], ignore_index=True)
    low, high = both.x0.quantile([0.01, 0.99])
    scaled = ((both.x0 - low) / (high - low)).clip(-0.5, 1.5)
    for i in range(5):
        far = (scaled[5:] - scaled[i]).abs().clip(upper=1).fillna(1) * 2 / 3 + (both.c0[5:] != both.c0[i]) / 3
        assert [n.distance for n in found[i]] == pytest.approx(np.sort(far)[:4], abs=1e-5)
        assert all(n.label == n.row for n in found[i])
    with pytest.raises(InputError, match="no column in common"):
        nearest_rows(cases, train, np.arange(300), {"zzz": 1.0})
    with pytest.raises(InputError, match="each row needs one"):
        nearest_rows(cases, train, np.arange(9))
