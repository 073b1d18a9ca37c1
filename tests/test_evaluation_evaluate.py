"""An evaluation against scikit-learn and fairlearn, with weak segments, unfair rates and useless models planted."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fairlearn.metrics import MetricFrame, selection_rate, true_positive_rate
from sklearn import metrics as sk

from mlnb.core.errors import InputError
from mlnb.core.project import Project
from mlnb.data.holdout import open_holdout, seal
from mlnb.evaluation.curve_points import curve_points
from mlnb.evaluation.errors import project_errors
from mlnb.evaluation.evaluate import Evaluation, evaluate, project_evaluation
from mlnb.evaluation.given_scores import given_scores
from mlnb.evaluation.groups import group_rates
from mlnb.evaluation.predictions import predictions
from mlnb.experiments.training import train
from mlnb.framing.framing import project_framing

N = 1500


def answers(task: str, skill: float = 1.5, seed: int = 0) -> tuple:
    """Truth and predictions of a model with some skill."""
    rng = np.random.default_rng(seed)
    if task == "regression":
        truth = rng.normal(size=N)
        return truth, truth * min(skill, 1) + rng.normal(0, 0.5, N)
    classes = np.array(["no", "yes"]) if task == "binary" else np.array(["a", "b", "c"])
    truth = rng.choice(len(classes), N, p=[0.8, 0.2] if task == "binary" else [0.5, 0.3, 0.2])
    logits = rng.normal(size=(N, len(classes))) + skill * np.eye(len(classes))[truth]
    proba = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return classes[truth], proba[:, 1] if task == "binary" else proba


def made(task: str, skill: float = 1.5, **options: object) -> Evaluation:
    truth, given = answers(task, skill)
    p = predictions(truth, given, task=task) if task == "regression" else predictions(truth, y_score=given, task=task)
    base = np.full(N, np.mean(truth)) if task == "regression" else None
    share = pd.Series(truth).value_counts(normalize=True).sort_index().to_numpy()
    flat = {"binary": np.full(N, 0.2), "multiclass": np.tile(share, (N, 1))}.get(task)
    rival = predictions(truth, base, task=task) if base is not None else predictions(truth, y_score=flat, task=task)
    return evaluate(p, {"flat": rival}, facts={"names": {"baseline": "flat"}}, n_resamples=300, **options)


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_metrics_are_those_of_scikit_learn(task: str) -> None:
    truth, given = answers(task)
    found = {name: m["value"] for name, m in made(task).metrics.items()}
    if task == "regression":
        expected = {"mae": sk.mean_absolute_error(truth, given), "rmse": sk.root_mean_squared_error(truth, given), "r2": sk.r2_score(truth, given)}
    elif task == "binary":
        y, label = (truth == "yes").astype(int), (given >= 0.5).astype(int)
        expected = {"roc_auc": sk.roc_auc_score(y, given), "pr_auc": sk.average_precision_score(y, given), "f1": sk.f1_score(y, label),
                    "log_loss": sk.log_loss(y, given), "brier": sk.brier_score_loss(y, given), "mcc": sk.matthews_corrcoef(y, label)}  # fmt: skip
    else:
        label = np.array(["a", "b", "c"])[given.argmax(1)]
        expected = {"accuracy": sk.accuracy_score(truth, label), "balanced_accuracy": sk.balanced_accuracy_score(truth, label),
                    "log_loss": sk.log_loss(truth, given)}  # fmt: skip
    assert {name: found[name] for name in expected} == pytest.approx(expected)


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_values_lie_in_their_intervals_and_the_page_is_kept_whole(task: str) -> None:
    e = made(task)
    assert all(m["low"] <= m["value"] <= m["high"] for m in e.metrics.values())
    kept = json.loads(json.dumps(e.to_dict(), allow_nan=False))
    assert Evaluation.from_dict(kept).to_dict() == e.to_dict() == made(task).to_dict()
    assert "<script" not in e._repr_html_() and e.plot().axes


@pytest.mark.parametrize(("skill", "status"), [(1.5, "pass"), (0.0, "warn fail")])
def test_only_a_model_with_skill_beats_the_baseline(skill: float, status: str) -> None:
    truth, given = answers("regression", skill)
    assert made("regression", skill).findings.get("EVAL08").status.value in status.split()
    assert len(truth) == len(given)


def test_rows_of_one_customer_are_resampled_together() -> None:
    """Every row ten times: rows drawn one by one make the interval too narrow by the root of ten."""
    truth, given = (np.repeat(part[:150], 10) for part in answers("regression"))
    p = predictions(truth, given, task="regression")
    wide, narrow = (evaluate(p, primary="mae", entity=entity, n_resamples=500).metrics["mae"] for entity in (np.arange(1500) // 10, None))
    ratio = (wide["high"] - wide["low"]) / (narrow["high"] - narrow["low"])
    assert 2.5 < ratio < 4.0


def test_curves_are_those_of_scikit_learn() -> None:
    truth, given = answers("binary")
    found = curve_points(predictions(truth, y_score=given, positive="yes"), 0.3)["yes"]
    y = (truth == "yes").astype(int)
    assert sk.auc(found["fpr"], found["tpr"]) == pytest.approx(sk.roc_auc_score(y, given), abs=2e-3)
    assert found["at"]["precision"] == pytest.approx(sk.precision_score(y, given >= 0.3))
    assert found["at"]["recall"] == pytest.approx(sk.recall_score(y, given >= 0.3))
    assert max(map(len, (found["fpr"], found["precision"]))) <= 203


def test_rates_by_group_are_those_of_fairlearn() -> None:
    truth, given = answers("binary")
    group = np.random.default_rng(1).choice(["f", "m", "x"], N, p=[0.5, 0.45, 0.05])
    found = group_rates(predictions(truth, y_score=given, positive="yes"), pd.DataFrame({"g": group}))["g"]
    y, label = (truth == "yes").astype(int), (given >= 0.5).astype(int)
    frame = MetricFrame(metrics={"selection_rate": selection_rate, "tpr": true_positive_rate}, y_true=y, y_pred=label, sensitive_features=group)
    for name, row in frame.by_group.iterrows():
        assert {k: found[name][k]["value"] for k in row.index} == pytest.approx(dict(row))


def test_a_group_that_gets_less_is_told() -> None:
    truth, given = answers("binary")
    group = np.where(np.arange(N) % 2, "f", "m")
    poorer = np.where(group == "f", given * 0.5, given)
    for scores, status in ((given, "pass"), (poorer, "warn")):
        e = evaluate(predictions(truth, y_score=scores, positive="yes"), protected=pd.DataFrame({"gender": group}), n_resamples=100)
        assert e.findings.get("EVAL07").status.value == status


def test_a_weak_segment_is_named_and_only_that() -> None:
    truth, given = answers("binary", 2.5)
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"region": rng.choice(list("nsew"), N), "age": rng.integers(18, 80, N)})
    broken = np.where(frame["region"] == "n", rng.permutation(given), given)
    e = evaluate(predictions(truth, y_score=broken, positive="yes"), segments=frame, n_resamples=100)
    assert [s["segment"] for s in e.segments if s["weak"]] == ["region = n"] and e.findings.get("EVAL06").status.value == "warn"
    calm = evaluate(predictions(truth, y_score=given, positive="yes"), segments=frame, n_resamples=100)
    assert calm.findings.get("EVAL06").status.value == "pass"


def test_a_score_that_came_with_the_data() -> None:
    rng = np.random.default_rng(0)
    honest = rng.beta(1, 3, 3000)
    frame = pd.DataFrame({"honest": honest, "loud": np.sqrt(honest), "share": rng.random(3000), "y": rng.random(3000) < honest})
    found = given_scores(frame, "y", True).columns
    assert {name: c.status for name, c in found.items()} == {"honest": "pass", "loud": "fail"}


def width(interval: dict) -> float:
    return interval["high"] - interval["low"]


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_the_level_reaches_every_interval_and_is_95_of_100_when_not_given(task: str) -> None:
    frame = pd.DataFrame({"region": np.random.default_rng(3).choice(list("ns"), N)})
    plain, same, wide = (made(task, segments=frame, protected=frame, **level) for level in ({}, {"level": 0.95}, {"level": 0.99}))
    assert plain.to_dict() == same.to_dict() and plain.contest.level == 0.95 and "95 % interval" in plain.findings.get("EVAL05").message
    assert all(width(wide.metrics[name]) > width(m) and wide.metrics[name]["value"] == m["value"] for name, m in plain.metrics.items())
    assert width(wide.contest.differences["flat"]) > width(plain.contest.differences["flat"])
    assert all(width(w) > width(s) for w, s in zip(wide.segments, plain.segments, strict=True)) and len(plain.segments) == 2
    for group, rates in plain.groups["region"].items():
        pairs = [(wide.groups["region"][group][k], r) for k, r in rates.items() if isinstance(r, dict) and "low" in r]
        assert bool(pairs) == (task != "regression") and all(width(w) > width(r) for w, r in pairs)
    if plain.calibration:
        assert all(width(w) > width(b) for w, b in zip(wide.calibration["bins"], plain.calibration["bins"], strict=True))
    with pytest.raises(InputError, match="level must be"):
        made(task, level=95)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda p: evaluate(p, segments=pd.DataFrame({"a": [1, 2]})), "each row needs one"),
        (lambda p: evaluate(p, primary="f11"), "Did you mean 'f1'"),
        (lambda p: evaluate(p, primary="rmse"), "(?i)root|rmse"),
    ],
)
def test_what_cannot_be_evaluated_is_told(call: object, said: str) -> None:
    truth, given = answers("binary")
    with pytest.raises(InputError, match=said):
        call(predictions(truth, y_score=given, positive="yes"))  # type: ignore[operator]


# a whole project


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("evaluated")
    rng = np.random.default_rng(0)
    income = rng.normal(3000, 500, 1200).round()
    frame = pd.DataFrame({"income": income, "gender": rng.choice(["f", "m"], 1200), "who": np.arange(1200) // 2,
                          "y": np.where(rng.random(1200) < 1 / (1 + np.exp((2900 - income) / 150)), "Yes", "No")})  # fmt: skip
    frame.to_csv(folder / "t.csv", index=False)
    made = Project.create(folder / "p", folder / "t.csv", target="y", entity="who", protected=("gender",), positive="Yes")
    seal(made)
    train(made, "Income tells who repays, by F1 0.8", n_resamples=200)
    project_evaluation(made)
    return made


def test_the_findings_of_a_project_lie_in_the_ledger_and_go_stale(project: Project) -> None:
    found = {f.code: f.status.value for f in project.findings()}
    assert found["EVAL02"] == found["EVAL05"] == found["EVAL08"] == "pass" and found["EVAL04"] == "not_applicable"
    assert "groups" in project.findings().get("EVAL05").message
    assert project.check("METRIC").get("METRIC").status.value == "pass"  # "Yes" in mlnb.yaml, True in the data


def test_kill_criteria_rest_on_the_evaluation(project: Project) -> None:
    evidence = project.findings().get("EVAL08").evidence
    found = project_framing(project).findings
    ratio = evidence["heuristic"] / evidence["model"]
    assert found.get("KILL1").status.value == ("fail" if ratio > 0.9 else "pass") and f"{ratio:.0%}" in found.get("KILL1").message
    assert found.get("KILL3").status.value == "pass"


def test_looking_again_costs_no_further_look(project: Project) -> None:
    looks = Path(project.holdout_dir / "looks.jsonl").read_text().count("\n")
    first = project_evaluation(project).to_dict()
    assert project_evaluation(project).to_dict() == first
    assert Path(project.holdout_dir / "looks.jsonl").read_text().count("\n") == looks


def test_a_second_look_widens_the_intervals_and_is_said(project: Project, tmp_path: Path) -> None:
    shutil.copytree(project.path, tmp_path / "p")
    shutil.copy(project.path.parent / "t.csv", tmp_path / "t.csv")
    again = Project(tmp_path / "p")
    first, holdout = project_evaluation(again), open_holdout(again)
    assert holdout.book.count == 1 == first.facts["looks"] and first.contest.level == 0.95 and "95 % interval" in first._repr_html_()
    assert "adjusted" not in first.findings.get("EVAL05").message + first._repr_html_()
    holdout.rows(why="what the rows look like", where="a test")
    second = project_evaluation(again)
    assert holdout.book.count == 2 == second.facts["looks"] and second.contest.level == pytest.approx(0.975)
    assert all(m["value"] == first.metrics[name]["value"] for name, m in second.metrics.items())
    ratios = [width(m) / width(first.metrics[name]) for name, m in second.metrics.items() if width(first.metrics[name])]
    assert min(ratios) > 1 and 1.05 < np.mean(ratios) < 1.25  # 2.24 against 1.96 standard errors: 1.14
    finding = again.findings().get("EVAL05")
    assert "97.5 % interval" in finding.message and "adjusted for 2 looks" in finding.message
    assert finding.evidence["looks"] == 2 and finding.evidence["level"] == pytest.approx(0.975)
    assert "97.5 % interval (adjusted for 2 looks)" in second._repr_html_()
    assert project_evaluation(again).to_dict() == second.to_dict() and holdout.book.count == 2


def test_an_evaluation_kept_before_looks_counted_is_used_as_it_is(project: Project, tmp_path: Path) -> None:
    shutil.copytree(project.path, tmp_path / "p")
    shutil.copy(project.path.parent / "t.csv", tmp_path / "t.csv")
    file = tmp_path / "p" / "results" / "evaluation.json"
    document = json.loads(file.read_text())
    del document["result"]["facts"]["looks"]
    document["result"]["facts"]["mark"] = "kept"
    file.write_text(json.dumps(document))
    assert project_evaluation(Project(tmp_path / "p")).facts["mark"] == "kept"


def test_errors_are_the_worst_rows_and_sum_to_the_models_margin(project: Project) -> None:
    report = project_errors(project)
    losses = [case.loss for case in report.cases]
    assert losses == sorted(losses, reverse=True) and len(losses) == 50
    assert report.findings.get("EVAL09").status.value == "warn" and max(report.importance, key=report.importance.get) == "income"


# any model, any file


def test_rows_that_a_model_cannot_answer_are_named_and_the_rest_is_evaluated(tmp_path: Path) -> None:
    from mlnb.evaluation.evaluate_files import evaluate_files

    truth, given = answers("binary")
    frame = pd.DataFrame({"y": truth, "p": given, "c": np.arange(N) % 3})
    frame.loc[[7, 1200], "p"] = np.nan
    found = evaluate_files(frame, "y", score="p", positive="yes", n_resamples=100)
    assert found.contest.n == N - 2 and "rows 7, 1200" in found.facts["notes"][0].replace(" and ", ", ")
    kept = frame["p"].notna()
    assert found.metrics["roc_auc"]["value"] == pytest.approx(sk.roc_auc_score(frame["y"][kept] == "yes", frame["p"][kept]))
    frame.to_csv(tmp_path / "t.csv", index=False)
    assert evaluate_files(tmp_path / "t.csv", "y", score="p", positive="yes", n_resamples=100).metrics == found.metrics


def test_a_second_model_is_compared_as_delong_does() -> None:
    from mlnb.evaluation.versus import versus

    truth, one = answers("binary")
    other = np.clip(one + np.random.default_rng(5).normal(0, 0.3, N), 0, 1)
    a, b = (predictions(truth, y_score=s, positive="yes") for s in (one, other))
    ab, ba = versus(a, b, "roc_auc"), versus(b, a, "roc_auc")
    assert ab.better == "first" and ba.better == "second" and ab.metrics[0]["probability"] == pytest.approx(1 - ba.metrics[0]["probability"])
    assert ab.metrics[0]["low"] == pytest.approx(ab.delong["low"], abs=0.004) and ab.metrics[0]["high"] == pytest.approx(ab.delong["high"], abs=0.004)
    with pytest.raises(InputError, match="not the same"):
        versus(a, b.take(np.arange(10)), "roc_auc")


@pytest.mark.parametrize("decimals", [1, 12])
def test_the_slider_says_what_the_rows_say(decimals: int) -> None:
    from mlnb.evaluation.costs import CostMatrix
    from mlnb.evaluation.evaluation_parts import kept_points
    from mlnb.evaluation.panel_state import cheapest, decide

    truth, given = answers("binary")
    truth, given = truth[:400], given[:400].round(decimals)
    points, yes, costs = kept_points(predictions(truth, y_score=given, positive="yes")), truth == "yes", CostMatrix(fp=1, fn=7)
    means = []
    for t in [*np.unique(given), *np.linspace(0, 1, 33), 1.5]:
        d, flagged = decide(points, t, costs), given >= t
        assert (d.tp, d.fp, d.fn, d.tn) == ((flagged & yes).sum(), (flagged & ~yes).sum(), (~flagged & yes).sum(), (~flagged & ~yes).sum())
        means.append(d.cost)
    assert decide(points, cheapest(points, costs), costs).cost == pytest.approx(min(means))


def test_training_rows_among_the_tested_are_counted() -> None:
    from mlnb.evaluation.evaluate_files import shared_with_train

    rng = np.random.default_rng(0)
    train = pd.DataFrame({"x": rng.normal(size=200), "k": rng.integers(0, 9, 200), "y": rng.choice(["a", "b"], 200)})
    test = pd.concat([train[:5].astype({"k": float}), train[:3].assign(x=9.0)])
    assert shared_with_train(test, train) == 5
