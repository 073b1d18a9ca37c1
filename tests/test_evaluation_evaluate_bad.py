"""Bad input to an evaluation, for the function and for the command: a sentence that helps or a note that stands beside the numbers, never a traceback, never silence."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.svm import LinearSVC
from typer.testing import CliRunner

from mlnb.cli import app
from mlnb.core.errors import InputError
from mlnb.core.project import Project
from mlnb.core.project_config import save_config
from mlnb.data.holdout import seal
from mlnb.evaluation.error_runs import errors_of
from mlnb.evaluation.evaluate import evaluate, project_evaluation
from mlnb.evaluation.evaluate_files import evaluate_files
from mlnb.evaluation.predictions import predictions
from mlnb.experiments.sync import pending, sync
from mlnb.experiments.training import train

N = 300  # rows
rng = np.random.default_rng(0)
X = rng.normal(size=N)
D = pd.DataFrame({"x": X, "g": rng.choice(list("ab"), N), "y": (rng.random(N) < 1 / (1 + np.exp(-X))).astype(int), "p": 1 / (1 + np.exp(-X)), "l": (X > 0).astype(int)})
P = rng.dirichlet([1, 1, 1], N)
T = pd.DataFrame({"y": rng.choice(list("abc"), N), "pa": P[:, 0], "pb": P[:, 1], "pc": P[:, 2]})
ALL = {"a": "pa", "b": "pb", "c": "pc"}
MODEL = LogisticRegression().fit(D[["x"]], D["y"])
NONE = np.where(D.index % 50 == 0, np.nan, D["p"])


def words(given: dict[str, Any]) -> list[str]:
    """Options of the function as those of the command."""
    found: list[str] = []
    for name, value in given.items():
        if isinstance(value, dict):
            found += [part for label, column in value.items() for part in ("--score", f"{label}={column}")]
        else:
            found += [part for one in (value if isinstance(value, list) else [value]) for part in (f"--{name}", str(one))]
    return found


def command(tmp_path: Path, rows: pd.DataFrame, given: dict[str, Any], as_json: bool = True) -> tuple[int, dict[str, Any], str]:
    rows.to_csv(tmp_path / "t.csv", index=False)
    if "model" in given:
        skops.io.dump(given["model"], tmp_path / "m.skops")
        given = given | {"model": tmp_path / "m.skops"}
    asked = ["evaluate", "--data", str(tmp_path / "t.csv"), "--target", "y", *words(given), "--resamples", "100"]
    found = CliRunner().invoke(app, [*asked, "--json"] if as_json else asked)
    assert "Traceback" not in found.output and "defect" not in found.output
    return found.exit_code, json.loads(found.stdout) if as_json else {}, " ".join(found.output.split())


REFUSED: dict[str, tuple[pd.DataFrame, dict[str, Any], str]] = {
    "one class, a model": (D[D["y"] == 1], {"model": MODEL}, "All 149 rows are 1, so nothing shows whether the model tells them from others"),
    "the other class, a model": (D[D["y"] == 0], {"model": MODEL}, "All 151 rows are 0, so nothing"),
    "one class, scores": (D[D["y"] == 1], {"score": "p"}, "one class only .1., so there is nothing to tell apart"),
    "one class, labels": (D[D["y"] == 1], {"prediction": "l"}, "one value only .1., so there is nothing to tell apart"),
    "scores beyond 0 to 1": (D.assign(p=D["p"] * 3 - 1), {"score": "p"}, r"since 152 of 300 lie outside 0 to 1\. A metric that ranks needs none: roc_auc, pr_auc"),
    "one score beyond 0 to 1": (D.assign(p=D["p"].where(D.index != 4, 1.2)), {"score": "p"}, "since 1 of 300 lie outside 0 to 1"),
    "no prediction at all": (D.assign(p=np.nan), {"score": "p"}, "No row has a value in p"),
    "text for scores": (D.assign(p="high"), {"score": "p"}, "must be numbers; it holds text such as 'high'"),
    "words against numbers": (D.assign(y=np.where(D["y"], "up", "down")), {"prediction": "l"}, "true labels are text .* predicted ones are numbers .* the same form"),
    "words against a model's numbers": (D[["x"]].assign(y=np.where(D["y"], "up", "down")), {"model": MODEL},
                                        "'y' holds 'down', 'up' and the model answers 0, 1. Give the target"),
    "no column for a class": (T, {"score": {"a": "pa", "b": "pb"}}, "no column of probabilities for 'c', which the target holds as well"),
    "all rows are one entity's": (D.assign(who=1), {"score": "p", "entity": "who"}, "All rows belong to one group"),
    "a column is called otherwise": (D.rename(columns={"x": "X"}), {"model": MODEL}, "lacks columns the model was trained on: x. Did you mean 'X'"),
    "a column of another kind": (D.assign(x="word"), {"model": MODEL}, "raises on more than 200 of 300 rows .ValueError: could not convert string to float: 'word'"),
    "more columns than a model without names takes": (D, {"model": LogisticRegression().fit(D[["x"]].to_numpy(), D["y"])},
                                                      "takes 1 columns by their place, and the table has 4"),
    "no rows": (D[:0], {"score": "p"}, "and no rows. At least one row is needed"),
    "no rows, a model": (D[:0], {"model": MODEL}, "and no rows. At least one row is needed"),
    "one row": (D[:1], {"model": MODEL}, "The one row is 0, so nothing shows"),
    "no outcome is known": (D.assign(y=np.nan), {"score": "p"}, "No row of .* has a value in 'y', so nothing can be evaluated"),
    "a class a binary model has never seen": (D.assign(y=D["y"].where(D.index % 30 > 0, 2)), {"model": MODEL},
                                              "10 rows hold 2, which the model does not know: its classes are 0, 1"),
    "a threshold that is no probability": (D, {"score": "p", "threshold": 5}, "between 0 and 1; got 5"),
    "a positive label that is none": (D, {"score": "p", "positive": "maybe"}, "'maybe' does not occur in the target; its labels are 0, 1"),
    "the target as its own prediction": (D, {"prediction": "y"}, "'y' is the target and cannot be its own prediction"),
    "the target as its own score": (D, {"score": "y"}, "'y' is the target and cannot be its own prediction"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_evaluated_is_said_in_words(tmp_path: Path, case: str) -> None:
    rows, given, said = REFUSED[case]
    with pytest.raises(InputError, match=said):
        evaluate_files(rows, "y", n_resamples=100, **given)
    code, answer, _ = command(tmp_path, rows, given)
    assert code == 2 == answer["exit_code"] and re.search(said.replace("data", "t"), answer["error"])


class Picky(LogisticRegression):
    """Raises on some rows."""

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        if (X["x"] > 1.8).any():
            raise ValueError("x is too large")
        return super().predict_proba(X)  # type: ignore[no-any-return]


NOTED: dict[str, tuple[pd.DataFrame, dict[str, Any], str, int]] = {
    "predictions that are missing": (D.assign(p=NONE), {"score": "p"}, "6 rows were left out since p is missing or infinite there: rows 0, 50, 100, 150, 200, 250", N - 6),
    "predictions that are infinite": (D.assign(p=np.where(np.isnan(NONE), np.inf, NONE)), {"score": "p"}, "6 rows were left out since p is missing or infinite", N - 6),
    "outcomes that are missing": (D.assign(y=D["y"].where(D.index % 10 > 0)), {"score": "p"}, "30 rows were left out since 'y' is missing there", N - 30),
    "a model told 1 from 0 as text": (D[["x", "y"]], {"model": LogisticRegression().fit(D[["x"]], D["y"].astype(str))},
                                      "the model answers '0', '1'; these are taken as the same", N),
    "a model told yes from no": (D[["x"]].assign(y=D["y"].map({0: "no", 1: "yes"})), {"model": MODEL},
                                 "'y' holds '?no'?, '?yes'? and the model answers 0, 1; these are taken as the same|", N),
    "a class that a model of three has never seen": (D[["x"]].assign(y=T["y"].where(D.index % 30 > 0, "d")), {"model": LogisticRegression().fit(D[["x"]], T["y"])},
                                                     "10 rows hold 'd', which the model does not know; whatever it says of them is wrong", N),
    "whole numbers that may be classes": (pd.DataFrame({"y": np.arange(N) % 100, "l": np.arange(N) % 99}), {"prediction": "l"},
                                          "100 different whole numbers and is read as a quantity", N),
    "a model without names for its columns": (D[["x", "l", "y"]], {"model": LogisticRegression().fit(D[["x", "l"]].to_numpy(), D["y"])},
                                              "by their place; it was given x, l, in this order", N),
    "an entity that is missing": (D.assign(who=np.where(D.index < 9, None, (D.index // 2).astype(str))), {"score": "p", "entity": "who"}, "", N),
}  # fmt: skip


@pytest.mark.parametrize("case", NOTED)
def test_what_can_be_evaluated_in_part_is_and_the_rest_is_noted(tmp_path: Path, case: str) -> None:
    rows, given, said, n = NOTED[case]
    made = evaluate_files(rows, "y", n_resamples=100, **given)
    shown = made._repr_html_().replace("&#x27;", "'")
    assert made.contest.n == n and re.search(said, " ".join(made.facts["notes"])) and all(note[:20] in shown for note in made.facts["notes"])
    code, answer, _ = command(tmp_path, rows, given)
    assert code == 0 and re.search(said, " ".join(answer["facts"]["notes"]))
    assert {name: m["value"] for name, m in answer["metrics"].items()} == pytest.approx({name: m["value"] for name, m in made.metrics.items()})


def test_notes_and_what_was_left_out_stand_in_the_lines_of_the_command(tmp_path: Path) -> None:
    rows, given, said, _ = NOTED["predictions that are missing"]
    code, _, shown = command(tmp_path, rows, given, as_json=False)
    assert code == 0 and said in shown
    code, _, shown = command(tmp_path, T[T["y"] != "c"], {"score": ALL}, as_json=False)
    assert code == 0 and "Without ROC-AUC, one against the rest: ROC-AUC, one against the rest needs rows with and without 'c'" in shown


def test_a_model_that_raises_on_some_rows_is_evaluated_on_the_others() -> None:
    bad = np.flatnonzero(D["x"] > 1.8)
    made = evaluate_files(D, "y", Picky().fit(D[["x"]], D["y"]), n_resamples=100)
    assert made.facts["notes"] == [f"{len(bad)} rows were left out since the model does not answer them (ValueError: x is too large): rows {', '.join(map(str, bad))}."]
    rest = evaluate_files(D.drop(index=bad), "y", MODEL, n_resamples=100)
    assert {name: m["value"] for name, m in made.metrics.items()} == {name: m["value"] for name, m in rest.metrics.items()}


class Short(LinearRegression):
    def predict(self, X: pd.DataFrame) -> np.ndarray:
        return super().predict(X)[:-1]  # type: ignore[no-any-return]


def test_an_answer_for_each_row_is_asked_for() -> None:
    with pytest.raises(InputError, match=r"answer of shape \(299,\) to 300 rows; each row needs one"):
        evaluate_files(D[["x", "p"]], "p", Short().fit(D[["x"]], D["p"]))


KINDS = {"1": lambda s: s, "'1'": lambda s: s.astype(str), "True": lambda s: s.astype(bool), "1.0": lambda s: s.astype(float)}


@pytest.mark.parametrize("theirs", KINDS)
@pytest.mark.parametrize("ours", KINDS)
def test_one_is_one_however_it_is_written(ours: str, theirs: str) -> None:
    rows = D[["x"]].assign(y=KINDS[ours](D["y"]))
    expected = evaluate(predictions(D["y"], MODEL.predict(D[["x"]])), n_resamples=100).metrics["f1"]["value"]
    for model in (LogisticRegression().fit(D[["x"]], KINDS[theirs](D["y"])), LinearSVC(C=1e-2).fit(D[["x"]], KINDS[theirs](D["y"]))):
        found = evaluate_files(rows, "y", model, n_resamples=100)
        own = evaluate(predictions(D["y"], (model.decision_function(D[["x"]]) > 0).astype(int)), n_resamples=100).metrics["f1"]["value"]
        assert found.metrics["f1"]["value"] == pytest.approx(own) and found.task == "binary"
    labels = rows.assign(said=KINDS[theirs](pd.Series(MODEL.predict(D[["x"]]))))
    assert evaluate_files(labels, "y", prediction="said", n_resamples=100).metrics["f1"]["value"] == pytest.approx(expected)


def test_scores_that_are_no_probabilities_rank_and_are_not_called_calibrated(tmp_path: Path) -> None:
    rows, given = D.assign(p=D["p"] * 3 - 1), {"score": "p", "metric": "roc_auc"}
    made = evaluate_files(rows, "y", n_resamples=100, **given)
    plain_ = evaluate_files(D, "y", score="p", n_resamples=100)
    assert made.metrics["roc_auc"]["value"] == plain_.metrics["roc_auc"]["value"] and "log_loss" not in made.metrics and not made.calibration
    for found in (made.findings.get("EVAL10").to_dict(), next(f for f in command(tmp_path, rows, given)[1]["findings"] if f["code"] == "EVAL10")):
        assert found["status"] == "not_checked" and "152 values are outside" in found["message"]


@pytest.mark.parametrize(("rows", "said"), [(T.assign(pa=T["pa"] / 2), "add up to 1"), (T.assign(pa=T["pa"] - 0.2, pb=T["pb"] + 0.2), "between 0 and 1")])
def test_probabilities_of_classes_that_are_none(tmp_path: Path, rows: pd.DataFrame, said: str) -> None:
    made = evaluate_files(rows, "y", score=ALL, n_resamples=100)
    code, answer, _ = command(tmp_path, rows, {"score": ALL})
    assert said in made.findings.get("EVAL10").message and code == 0 and "log_loss" not in made.metrics and "log_loss" not in answer["metrics"]
    assert any(said in f["message"] and f["status"] == "not_checked" for f in answer["findings"])


def test_a_class_that_none_of_the_rows_has_may_have_a_column() -> None:
    made = evaluate_files(T[T["y"] != "c"], "y", score=ALL, n_resamples=100)
    assert made.task == "multiclass" and "none of the" in made.contest.skipped["roc_auc_ovr"] and "none of the" in made._repr_html_()


def test_constant_scores_are_guessing() -> None:
    made = evaluate_files(D.assign(p=0.5), "y", score="p", n_resamples=100)
    assert made.metrics["roc_auc"]["value"] == 0.5 and made.findings.get("EVAL08").status == "fail"
    made = evaluate_files(D.assign(l=1), "y", prediction="l", n_resamples=100)
    assert made.metrics["mcc"]["value"] == 0 and "says the same of all 300 rows" in made.findings.get("EVAL08").message  # its F1 is above that of "always 0"


def test_a_segment_of_one_class_is_left_out_and_groups_of_one_row_are_not_called_compared(tmp_path: Path) -> None:
    rows = D.assign(g=np.where(D["y"] == 1, "a", D["g"]), who=[f"r{i}" for i in range(N)])  # all of "b" are 0
    by_auc = evaluate_files(rows, "y", score="p", metric="roc_auc", n_resamples=100)
    assert {s["segment"] for s in by_auc.segments if s["column"] == "g"} <= {"g = a"}
    assert evaluate_files(rows, "y", score="p", protected=["g"], n_resamples=100).findings.get("EVAL07").status == "warn"
    made = evaluate_files(rows, "y", score="p", protected=["who"], n_resamples=100)
    assert made.findings.get("EVAL07").status == "not_checked" and made._repr_html_()
    found = command(tmp_path, rows, {"score": "p", "protected": ["who"]})[1]["findings"]
    assert next(f["status"] for f in found if f["code"] == "EVAL07") == "not_checked"
    lone = D.assign(g=np.where(D.index == 7, "z", D["g"]))
    assert evaluate_files(lone, "y", score="p", protected=["g"], n_resamples=100).groups["g"]["z"]["small"]


@pytest.mark.parametrize("n", [2, 29])
def test_few_rows_are_evaluated_and_said_to_say_little(tmp_path: Path, n: int) -> None:
    rows = D[D["y"].diff() != 0][:n]
    made = evaluate_files(rows, "y", score="p", n_resamples=100)
    assert made.contest.n == n and made.findings.get("EVAL05").status == "warn" and "Fewer than 30 rows" in made.findings.get("EVAL05").message and made._repr_html_()
    assert command(tmp_path, rows, {"score": "p"})[0] == 0
    one = evaluate_files(D[:1], "x", prediction="p", task="regression", n_resamples=100)
    assert one.contest.n == 1 and one.findings.get("EVAL05").status == "warn"


@pytest.mark.parametrize("weight", [np.zeros(4), [1, 1, -1, 1], [1, 1, np.nan, 1], [1, 1, 1]])
def test_weights_that_are_none(weight: Any) -> None:
    with pytest.raises(InputError, match="sample_weight"):
        predictions([0, 1, 0, 1], y_score=[0.1, 0.9, 0.4, 0.3], sample_weight=weight)


def test_a_thousand_classes() -> None:
    names = np.array([f"c{i:03d}" for i in range(1000)])
    r = np.random.default_rng(0)
    truth = r.integers(0, 1000, 1500)
    said = np.where(r.random(1500) < 0.4, truth, r.integers(0, 1000, 1500))
    made = evaluate(predictions(names[truth], names[said]), n_resamples=100)
    assert made.metrics["accuracy"]["value"] == np.mean(truth == said) and np.sum(made.confusion["counts"]) == 1500 and len(made.confusion["labels"]) == 60
    assert made.confusion["labels"][-1] == f"{len({*truth, *said}) - 59:,} others" and len(json.dumps(made.to_dict())) < 100_000 and made._repr_html_()
    few = dict(zip(made.confusion["labels"][:-1], np.diag(made.confusion["counts"])[:-1], strict=True))
    assert all(count == np.sum((names[truth] == name) & (names[said] == name)) for name, count in few.items())


@pytest.mark.parametrize("case", ["a model told 1 from 0 as text", "a class that a model of three has never seen"])
def test_the_errors_of_such_a_model_are_looked_at_beside_columns_it_does_not_take(case: str) -> None:
    rows, given, said, _ = NOTED[case]
    found = errors_of(given["model"], rows.assign(g=D["g"]), "y", worst=5)
    assert re.search(said, found.notes[0]) and len(found.cases) == 5 and list(found.importance) == ["x"]


# a project whose tracking server is away


def test_an_evaluation_without_the_tracking_server_is_kept_said_and_sent_later(tmp_path: Path) -> None:
    income = np.random.default_rng(0).normal(3000, 500, 400).round()
    repaid = np.where(np.random.default_rng(1).random(400) < 1 / (1 + np.exp((2900 - income) / 150)), "Yes", "No")
    pd.DataFrame({"income": income, "y": repaid}).to_csv(tmp_path / "t.csv", index=False)
    made = Project.create(tmp_path / "p", tmp_path / "t.csv", target="y", positive="Yes")
    seal(made)
    key = train(made, "Income tells who repays, by F1 0.8", n_resamples=100).experiment.id
    assert not pending(made)
    shutil.copytree(made.path, tmp_path / "away")
    save_config(tmp_path / "away", made.config.model_copy(update={"tracking_uri": "http://127.0.0.1:9"}))
    found = CliRunner().invoke(app, ["evaluate", "--project", str(tmp_path / "away"), "--json"])
    answer, away = json.loads(found.stdout), Project(tmp_path / "away")
    assert found.exit_code == 0 and "experiments sync" in found.output
    assert answer["facts"]["notes"][0].startswith("The evaluation is kept in the project and is not in MLflow yet.")
    assert [e.id for e in pending(away)] == [key] and project_evaluation(away).metrics["f1"]["value"] == answer["metrics"]["f1"]["value"]
    save_config(tmp_path / "away", away.config.model_copy(update={"tracking_uri": ""}))
    assert sync(Project(tmp_path / "away")).sent == (key,) and not pending(Project(tmp_path / "away"))
    here = project_evaluation(made)
    assert "notes" not in here.facts and not pending(made)
    kept = json.loads(next((made.path / "mlartifacts").rglob("evaluation.json")).read_text())
    assert kept["metrics"]["f1"]["value"] == here.metrics["f1"]["value"] == answer["metrics"]["f1"]["value"]
