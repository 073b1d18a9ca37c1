"""Two models side by side: groups, runs, a model from elsewhere, costs, candidates kept in a project, and the options of `mlnb evaluate` that say so."""

from __future__ import annotations

import dataclasses
import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, cohen_kappa_score, f1_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mlnb import cli_evaluate, cli_experiments
from mlnb.core.errors import InputError, MissingError
from mlnb.core.project import Project
from mlnb.data.holdout import open_holdout, seal
from mlnb.evaluation.costs import CostMatrix, read_costs
from mlnb.evaluation.evaluate_files import file_answers
from mlnb.evaluation.predictions import predictions
from mlnb.evaluation.project_pairs import project_costs, project_pair, project_rival
from mlnb.evaluation.side_by_side import group_gaps, side_by_side
from mlnb.evaluation.skew import project_skew
from mlnb.experiments.files import amend_experiment
from mlnb.experiments.panel import ExperimentsPanel
from mlnb.experiments.selected import project_choices, select_project
from mlnb.experiments.training import train


def scored(n: int = 1500, seed: int = 0):
    rng = np.random.default_rng(seed)
    truth, part = rng.random(n) < 0.4, rng.choice(["left", "right", None], n, p=[0.5, 0.45, 0.05])
    noise = rng.normal(size=n)
    one = 2.0 * truth - 1 + noise
    other = 2.0 * truth - 1 + noise * np.where(part == "left", 2.5, 1.0)  # worse on the left, the same elsewhere
    return truth, *(1 / (1 + np.exp(-x)) for x in (one, other)), pd.DataFrame({"side": part, "size": rng.normal(size=n), "row": np.arange(n).astype(str)})


def test_groups_have_the_values_of_scikit_learn_and_only_the_planted_one_differs() -> None:
    truth, one, other, frame = scored()
    p, q = (predictions(truth, y_score=s, positive=True) for s in (one, other))
    found = group_gaps(p, q, frame[["side", "size"]], "roc_auc", n_resamples=400)
    sides = {r["group"]: r for r in found.rows if r["attribute"] == "side"}
    for name, mask in (("left", frame["side"] == "left"), ("right", frame["side"] == "right"), ("missing", frame["side"].isna())):
        mask = mask.to_numpy()
        assert sides[name]["n"] == mask.sum()
        assert sides[name]["a"] == pytest.approx(roc_auc_score(truth[mask], one[mask])) and sides[name]["b"] == pytest.approx(roc_auc_score(truth[mask], other[mask]))
    assert sides["left"]["better"] == "a" and sides["right"]["better"] == "" == sides["missing"]["better"] and sides["right"]["difference"] == 0
    assert sum(r["attribute"] == "size" for r in found.rows) == 4  # numbers in four parts
    back = group_gaps(q, p, frame[["side"]], "roc_auc", n_resamples=400)
    assert [r["better"] for r in back.rows if r["group"] == "left"] == ["b"]


def test_groups_without_both_outcomes_and_small_ones_are_left_out() -> None:
    truth, one, other, _ = scored(400)
    p, q = (predictions(truth, y_score=s, positive=True) for s in (one, other))
    cut = pd.DataFrame({"part": np.where(truth, "yes", "no"), "few": ["rare"] * 10 + ["usual"] * 390, "one": ["all"] * 400})
    found = group_gaps(p, q, cut, "roc_auc", n_resamples=100)
    assert [r["group"] for r in found.rows] == ["usual", "all"]


def test_equal_models_seldom_differ_in_any_of_ten_groups() -> None:
    """The intervals hold for all groups together: false alarms in at most one of twenty comparisons, within what 40 of them tell."""
    rng, alarms = np.random.default_rng(5), 0
    for _ in range(40):
        truth, logit = rng.random(600) < 0.5, rng.normal(size=600)
        base = 1.2 * truth + logit
        p, q = (predictions(truth, y_score=1 / (1 + np.exp(-(base + rng.normal(size=600)))), positive=True) for _ in range(2))
        parts = pd.DataFrame({"part": rng.integers(0, 10, 600).astype(str)})
        alarms += any(r["better"] for r in group_gaps(p, q, parts, "accuracy", n_resamples=200).rows)
    assert alarms <= 6  # P(more | 5 %) = 0.3 %


def test_a_better_average_that_costs_a_group_is_a_warning_as_is_a_worse_model_in_use() -> None:
    truth, one, other, frame = scored(2000)
    p, q = (predictions(truth, y_score=s, positive=True) for s in (one, other))
    fine, worse = (side_by_side(*pair, "roc_auc", ("A", "B"), used="A", protected=frame[["side"]], n_resamples=200) for pair in ((p, q), (q, p)))
    assert fine.findings[0].status == "pass" and worse.findings[0].status == "warn" and "A is in use" in worse.findings[0].message
    mixed = predictions(truth, y_score=np.where(frame["side"] == "right", 1 - one, one), positive=True)
    torn = side_by_side(mixed, q, "roc_auc", ("A", "B"), used="B", protected=frame[["side"]], n_resamples=200)
    assert torn.findings[0].status == "warn" and "side: left" in torn.findings[0].message


def test_names_are_escaped() -> None:
    truth, one, other, frame = scored(300)
    p, q = (predictions(truth, y_score=s, positive=True) for s in (one, other))
    found = side_by_side(p, q, "f1", ("<script>", "$\\alpha"), "<b>", protected=frame[["side"]].rename(columns={"side": "<i>"}), n_resamples=100)
    shown = found._repr_html_() + found.groups._repr_html_()
    assert "<script>" not in shown and "<b>" not in shown and "<i>" not in shown
    found.plot()


# A project


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """A project with two runs: boosted trees, then a linear model."""
    folder, rng = tmp_path_factory.mktemp("pairs"), np.random.default_rng(1)
    people = pd.DataFrame({"months": rng.integers(1, 72, 700), "fee": rng.normal(50, 15, 700).round(2), "plan": rng.choice(["a", "b"], 700)})
    people["left"] = (rng.random(700) < 1 / (1 + np.exp(0.09 * people["months"] - 0.05 * people["fee"]))).astype(int)
    people.to_csv(folder / "people.csv", index=False)
    people.assign(fee=people["fee"] * 2).to_csv(folder / "later.csv", index=False)
    project = Project.create(folder / "small", folder / "people.csv", "left", protected=("plan",))
    seal(project)
    first = train(project, "Boosted trees beat the constant", folds=3, n_resamples=60, now=1.77e9).experiment.id
    line = make_pipeline(make_column_transformer((StandardScaler(), ["months", "fee"])), LogisticRegression())
    second = train(project, "A line is as good as trees", line, folds=3, n_resamples=60, now=1.77e9).experiment.id
    return folder / "small", first, second


@pytest.fixture
def project(made: tuple[Path, str, str], tmp_path: Path) -> Project:
    shutil.copytree(made[0], tmp_path / "small")
    shutil.copy(made[0].parent / "people.csv", tmp_path)
    shutil.copy(made[0].parent / "later.csv", tmp_path)
    return Project(tmp_path / "small")


def test_two_runs_are_compared_on_rows_that_neither_had_seen_and_the_holdout_stays_closed(project: Project, made: tuple[Path, str, str]) -> None:
    looks = open_holdout(project).book.count
    found = project_pair(project, n_resamples=200)
    assert (found.a, found.b, found.used) == (made[2], made[1], made[2]) and open_holdout(project).book.count == looks
    kept = [pd.read_parquet(project.path / "results" / "experiments" / key / "oof.parquet") for key in (found.a, found.b)]
    areas = [roc_auc_score(k["truth"], k["p(1)"]) for k in kept]
    auc = next(m for m in found.versus.metrics if m["metric"] == "roc_auc")
    assert [auc["a"], auc["b"]] == pytest.approx(areas, abs=1e-6)
    assert found.versus.folds["n"] == 3 and {r["group"] for r in found.groups.rows} == {"a", "b"} and found.runs.paired
    assert json.loads(json.dumps(found.to_dict()))["versus"]["winner"] == found.versus.better
    assert "very rows" not in found.rows
    amend_experiment(project, made[1], settings={"tuned": True})
    assert f"The settings of {made[1]} were chosen on these very rows" in project_pair(project, n_resamples=100).rows


def test_rows_that_only_one_run_answered_are_left_out(project: Project, made: tuple[Path, str, str]) -> None:
    path = project.path / "results" / "experiments" / made[1] / "oof.parquet"
    pd.read_parquet(path).iloc[::2].to_parquet(path)
    found = project_pair(project, n_resamples=100)
    assert found.versus.n == len(pd.read_parquet(path)) and found.versus.folds == {}


@pytest.mark.parametrize("how", ["other data", "no answers", "another target", "killed", "twice", "absent", "one run"])
def test_what_cannot_be_compared_says_why(project: Project, made: tuple[Path, str, str], how: str) -> None:
    _, first, second = made
    kept = project.path / "results" / "experiments"
    if how == "other data":
        amend_experiment(project, first, dataset_version="0" * 64)
        assert "different data" in project_pair(project).rows
    elif how == "no answers":
        (kept / first / "oof.parquet").unlink()
        found = project_pair(project, second, first)
        assert f"{first} kept no answers" in found.rows and found.findings[0].status == "not_checked" and found.runs.differing
    elif how == "another target":
        amend_experiment(project, first, target="went")
        assert "only finished run" in project_pair(project).rows
    elif how == "one run":
        (kept / f"{first}.json").unlink()
        found = project_pair(project)
        assert found.b == "" and "mlnb run comparison -p other" in found.rows and found.versus is None
    elif how == "killed":
        amend_experiment(project, first, status="killed", error="Its process ended before it was finished.")
        assert "only finished run" in project_pair(project).rows
        with pytest.raises(InputError, match=r"is killed.*process ended"):
            project_pair(project, second, first)
    else:
        with pytest.raises(InputError if how == "twice" else MissingError, match="named twice" if how == "twice" else "no experiment"):
            project_pair(project, second, second if how == "twice" else "EXP-2020-01-01-001")


def test_a_model_from_elsewhere_costs_one_look_and_a_pickle_needs_trust(project: Project, made: tuple[Path, str, str], tmp_path: Path) -> None:
    model = LogisticRegression().fit(pd.DataFrame({"months": [1, 70, 5, 60], "fee": [60, 40, 50, 45.0]}), [1, 0, 1, 0])
    file = tmp_path / "theirs.pkl"
    file.write_bytes(pickle.dumps(model))
    looks = open_holdout(project).book.count
    with pytest.raises(InputError, match="trust"):
        project_rival(project, file, n_resamples=100)
    assert open_holdout(project).book.count == looks  # nothing was looked at for a model that was not opened
    found = project_rival(project, file, trust=True, n_resamples=100)
    after = open_holdout(project).book.count
    assert found.b == "theirs.pkl" and found.used == made[2] and after == looks + 2  # the project's own evaluation, and this comparison
    frame = open_holdout(project).reread().frame()
    f1 = next(m for m in found.versus.metrics if m["metric"] == "f1")
    assert f1["b"] == pytest.approx(f1_score(frame["left"], model.predict(frame[["months", "fee"]])))
    project_rival(project, file, trust=True, n_resamples=100)
    assert open_holdout(project).book.count == after


# Costs


@pytest.mark.parametrize("words", ["", "fp=1", "fn=5", "fp=1, fn", "fp=1, fn=x", "fp=1, fm=5", "1, 5", "fp=5, fn=1, tn=9", "fp=1, fn=nan"])
def test_costs_that_cannot_be_read_are_refused(words: str) -> None:
    with pytest.raises(InputError):
        read_costs(words)


def test_costs_of_the_project_choose_a_threshold_on_training_rows(project: Project) -> None:
    assert project_costs(project) is None
    path = project.path / "mlnb.yaml"
    path.write_text(path.read_text().replace('costs: ""', "costs: fp=1, fn=4"))
    before = Project(project.path).fingerprints()
    assert before["config"] == project.fingerprints()["config"]  # what costs are is no input of any check
    looks = open_holdout(project).book.count
    found = project_costs(Project(project.path), n_resamples=100)
    kept = pd.read_parquet(project.path / "results" / "oof.parquet")
    costs = [((kept["p(1)"] >= t) & (kept["truth"] == 0)).mean() + 4 * ((kept["p(1)"] < t) & (kept["truth"] == 1)).mean() for t in np.linspace(0, 1, 2001)]
    assert found.cost["threshold"] == pytest.approx(min(costs), abs=2e-3) and found.theory == 0.2 and open_holdout(project).book.count == looks


# Candidates


def test_a_selection_is_kept_until_the_data_change(project: Project) -> None:
    assert project_choices(project) is None
    assert "No candidates were compared" in ExperimentsPanel(project)._repr_html_()
    found = select_project(project, ["constant", "one_rule", "linear"], folds=3, inner=2)
    kept = project_choices(project)
    assert kept.selection["winner"] == found.winner and kept.selection["bias"] == found.bias.to_dict() and kept.tuning is None
    assert "plan" not in str(kept.selection["settings"]) and kept.findings[0].code == "EXP-SELECT" and found.winner in kept._repr_html_()
    panel = ExperimentsPanel(project)
    assert "what was chosen" in panel._repr_html_() and found.winner in panel._repr_html_()
    project.check("EXP-SELECT")
    said = project.findings().get("EXP-SELECT")  # what was measured outlives a training and says more than it
    assert "by nested cross-validation" in said.message and "The model in use is" in said.message and said.value == pytest.approx(found.score.value)
    data = project.path.parent / "people.csv"
    data.write_text(data.read_text() + "3,50.0,a,1\n")
    assert project_choices(Project(project.path)) is None


# A later batch is no log of requests


def test_a_later_batch_is_not_laid_beside_earlier_rows_of_the_same_people(project: Project) -> None:
    rows = pd.read_csv(project.path.parent / "people.csv").assign(who=lambda f: np.arange(len(f)))
    rows.to_csv(project.path.parent / "people.csv", index=False)
    pd.read_csv(project.path.parent / "later.csv").assign(who=np.arange(len(rows))).to_csv(project.path.parent / "later.csv", index=False)
    fresh = Project.create(project.path.parent / "fresh", project.path.parent / "people.csv", "left", entity="who", current=str(project.path.parent / "later.csv"))
    found = {f.code: f for f in project_skew(fresh).findings}
    assert found["SKEW1"].status == "not_checked" and found["SKEW4"].status == "fail" and "fee" in found["SKEW4"].columns


# The command


def run(capsys: pytest.CaptureFixture[str], *words: object, app=cli_evaluate.commands) -> tuple[int, dict, str]:
    with pytest.raises(SystemExit) as end:
        app([*map(str, words), "--json"], prog_name="mlnb")
    out, err = capsys.readouterr()
    return int(end.value.code or 0), json.loads(out), err


@pytest.fixture
def table(tmp_path: Path) -> Path:
    truth, one, other, frame = scored(900)
    frame.assign(y=np.where(truth, "yes", "no"), p=one, q=other, half=["x", "y"] * 450).to_csv(tmp_path / "scored.csv", index=False)
    return tmp_path / "scored.csv"


def test_options_of_evaluate_add_groups_costs_and_another_score(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    known = ("--data", table, "--target", "y", "--score", "p", "--positive", "yes", "--resamples", 100)
    code, found, _ = run(capsys, *known, "--groups", "side,half", "--costs", "fp=1,fn=5", "--against", "q")
    frame = pd.read_csv(table)
    group = next(g for g in found["group_metrics"]["groups"] if (g["side"], g["half"], g["metric"]) == ("left", "x", "accuracy"))
    part = frame[(frame["side"] == "left") & (frame["half"] == "x")]
    assert code == 0 and group["n"] == len(part) and group["value"] == pytest.approx(accuracy_score(part["y"] == "yes", part["p"] >= 0.5))
    delong = found["against"]["delong"]
    assert delong["a"] == pytest.approx(roc_auc_score(frame["y"], frame["p"])) and delong["b"] == pytest.approx(roc_auc_score(frame["y"], frame["q"]))
    assert found["against"]["winner"] == "p" and found["costs"]["theory"] == pytest.approx(1 / 6) and found["costs"]["costs"] == dataclasses.asdict(CostMatrix(1, 5))
    plain = run(capsys, *known)[1]
    assert not {"group_metrics", "costs", "against", "texts"} & set(plain) and plain["metrics"] == found["metrics"]


def test_texts_and_raters(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    labels = rng.choice(["bug", "wish", "praise"], 80)
    second = np.where(rng.random(80) < 0.8, labels, rng.choice(["bug", "wish", "praise"], 80))
    right = [f"the {w} in room {i}" for i, w in enumerate(labels)]
    pd.DataFrame({"said": right, "right": right, "also": [None] * 80, "anna": labels, "ben": second, "stars": rng.integers(1, 6, 80)}).to_csv(tmp_path / "t.csv", index=False)
    where = ("--data", tmp_path / "t.csv")
    code, found, _ = run(capsys, *where, "--rating", "anna", "--rating", "ben", "--scale", "nominal", "--resamples", 100)
    assert code == 0 and found["agreement"]["kappa"]["value"] == pytest.approx(cohen_kappa_score(labels, second)) and found["agreement"]["items"] == 80
    code, found, _ = run(capsys, *where, "--text", "said", "--reference", "right,also", "--rating", "stars", "--resamples", 100)
    assert code == 0 and found["texts"]["scores"]["exact_match"]["value"] == 1 and found["texts"]["scores"]["bleu"]["value"] == pytest.approx(100)
    assert found["texts"]["rating"]["value"] == pytest.approx(pd.read_csv(tmp_path / "t.csv")["stars"].mean())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--groups", "nothing"), "no column 'nothing'"),
        (("--against", "nothing"), "no column 'nothing'"),
        (("--costs", "fp=1"), "leave out fn"),
        (("--text", "p"), "about texts"),
        (("--score", "p", "--score", "q", "--costs", "fp=1,fn=2"), "LABEL=COLUMN"),
    ],
)
def test_options_that_do_not_fit_are_refused_in_words(table: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str) -> None:
    code, found, err = run(capsys, "--data", table, "--target", "y", "--score", "p", "--positive", "yes", *words)
    assert code == 2 and said in found["error"] and "Traceback" not in err


@pytest.mark.parametrize("words", [("--rating", "p"), ("--text", "p"), ("--reference", "p"), ("--text", "p", "--reference", "q", "--scale", "nominal")])
def test_texts_need_references_and_agreement_two_people(table: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]) -> None:
    code, found, _ = run(capsys, "--data", table, *words)
    assert code == 2 and found["error"]


def test_rows_and_answers_of_a_file(table: Path) -> None:
    frame = pd.read_csv(table)
    frame.loc[:9, "y"] = None
    frame.loc[20:24, "p"] = None
    rows, one = file_answers(frame, "y", score="p", positive="yes")
    assert len(rows) == 890 and len(one.p) == 885 == one.good.sum() and len(one.notes) == 2


def test_runs_are_compared_on_the_command_line(project: Project, made: tuple[Path, str, str], capsys: pytest.CaptureFixture[str]) -> None:
    code, found, _ = run(capsys, "compare", made[1], made[2], "--resamples", 60, "--project", project.path, app=cli_experiments.commands)
    assert code == 0 and found["versus"]["delong"]["n"] == found["versus"]["n"] and found["used"] == made[2] and len(found["groups"]) == 2 and found["fields"]
