"""Metrics by group against fairlearn and by hand; small, single-class and missing groups; corrections; thresholds and costs."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from fairlearn.metrics import MetricFrame, selection_rate
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from statsmodels.stats.multitest import multipletests

from mlnb.core.errors import InputError
from mlnb.evaluation.costs import CostMatrix, cost_threshold
from mlnb.evaluation.group_metrics import group_metrics
from mlnb.evaluation.group_samples import group_codes, group_resamples, group_values
from mlnb.evaluation.groups import group_rates, slice_scores
from mlnb.evaluation.measures import METRICS
from mlnb.evaluation.predictions import predictions
from mlnb.evaluation.several import bonferroni, holm, joint_level
from mlnb.evaluation.thresholds import choose_threshold, operating_points, rule

FOUR = {"accuracy": sk.accuracy_score, "recall": sk.recall_score, "precision": sk.precision_score, "selection_rate": selection_rate}


def people(n: int = 3000, seed: int = 0) -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    score = rng.random(n)
    who = pd.DataFrame({"sex": rng.choice(["f", "m", "x"], n, p=[0.5, 0.4, 0.1]), "age": rng.choice([20, 40, 60, 80], n)})
    return (rng.random(n) < score).astype(int), score, who


@pytest.mark.parametrize("weighted", [False, True])
def test_values_are_fairlearns(weighted: bool) -> None:
    truth, score, who = people()
    label, weight = (score > 0.4).astype(int), np.random.default_rng(1).random(3000) if weighted else None
    more = {} if weight is None else {"sample_params": {name: {"sample_weight": weight} for name in FOUR}}
    frame = MetricFrame(metrics=FOUR, y_true=truth, y_pred=label, sensitive_features=who, **more)
    found = group_metrics(predictions(truth, label, sample_weight=weight), who, list(FOUR), n_resamples=50)
    assert found.groups == tuple(frame.by_group.index)
    assert np.abs(found.values - frame.by_group[list(FOUR)].to_numpy()).max() < 1e-12
    assert np.abs(found.overall - frame.overall[list(FOUR)].to_numpy()).max() < 1e-12
    if not weighted:
        assert found.spread["recall"]["difference"] == pytest.approx(frame.difference()["recall"], abs=1e-12)
        assert found.spread["recall"]["ratio"] == pytest.approx(frame.ratio()["recall"], abs=1e-12)


def test_all_kinds_of_metrics_by_group() -> None:
    truth, score, who = people(600)
    p = predictions(truth, y_score=score)
    names = ["f1", "mcc", "brier", "log_loss", "roc_auc", "pr_auc", "fpr"]
    codes, groups = group_codes(who[["sex"]])
    values, why = group_values(p, codes, len(groups), names)
    for g in range(len(groups)):
        part = p.take(codes == g)
        assert values[g, :6] == pytest.approx([METRICS[name].of(part) for name in names[:6]], abs=1e-12)
        negative = part.truth == 0
        assert values[g, 6] == part.label[negative].mean()
    assert not why


def test_resamples_by_group_as_copying_rows() -> None:
    truth, score, who = people(900)
    p = predictions(truth, y_score=score)
    codes, _ = group_codes(who[["sex"]])
    found = group_resamples(p, codes, 3, ["recall", "brier"], 1500)
    rng, copied = np.random.default_rng(0), []
    for _ in range(300):
        rows = rng.integers(0, 900, 900)
        part = rows[codes[rows] == 1]
        copied.append((p.label[part][p.truth[part] == 1].mean(), ((p.score[part] - p.truth[part]) ** 2).mean()))
    assert found[:, 1].std(axis=0) == pytest.approx(np.std(copied, axis=0), rel=0.15)
    assert found[:, 1].mean(axis=0) == pytest.approx(np.mean(copied, axis=0), rel=0.02)


def test_groups_of_one_row_of_one_class_and_of_nobody_known() -> None:
    truth, label = np.array([1, 0, 0, 1, 1, 0, 0]), np.array([1, 0, 1, 1, 0, 0, 0])
    who = pd.DataFrame({"g": ["a", "b", "b", None, "c", "c", "c"]})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = group_metrics(predictions(truth, label), who, ["accuracy", "recall", "f1"], n_resamples=200)
        assert "missing" in found._repr_html_() and found.to_dict()["groups"][0]["small"]
    assert found.groups == (("a",), ("b",), ("c",), (None,)) and found.n.tolist() == [1, 2, 3, 1]
    assert found.values[0, 0] == 1 and 0 < found.low[0, 0] < 0.25 and found.high[0, 0] == 1
    assert np.isnan(found.values[1, 1]) and np.isnan(found.low[1, 1])  # no positives, so no recall
    scored = group_metrics(predictions(truth, y_score=label * 0.5 + 0.1), who, ["roc_auc"], n_resamples=20)
    assert np.isnan(scored.values[:2]).all() and "one class" in str(scored.undefined["roc_auc"]) or "all of the" in str(scored.undefined["roc_auc"])


def test_only_the_planted_group_differs() -> None:
    truth, score, who = people(8000, 3)
    bad = ((who.sex == "m") & (who.age == 40)).to_numpy()
    truth = np.where(bad, np.random.default_rng(0).integers(0, 2, 8000), truth)
    found = group_metrics(predictions(truth, y_score=score), who, ["accuracy"])
    assert [found.groups[g] for g in np.flatnonzero(found.p[:, 0] < 0.05)] == [("m", 40)]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
@settings(max_examples=60, deadline=None)
def test_corrections_as_statsmodels(values: list[float]) -> None:
    assert np.allclose(holm(values), multipletests(values, method="holm")[1], atol=1e-15)
    assert np.allclose(bonferroni(values), multipletests(values, method="bonferroni")[1])


def test_corrections_leave_out_what_was_not_compared() -> None:
    assert np.allclose(holm([0.01, np.nan, 0.02]), [0.02, np.nan, 0.02], equal_nan=True)
    assert joint_level(0.95, 5) == pytest.approx(0.99)


def test_segments_and_protected_groups_hold_their_counts() -> None:
    truth, score, who = people(2000)
    p = predictions(truth, y_score=score)
    for name in ("f1", "roc_auc", "brier"):
        found = slice_scores(p, who, METRICS[name])
        for s in found:
            rows = (who[s["column"]].astype(str) == s["segment"].split(" = ")[1]).to_numpy()
            assert s["rows"] == rows.sum() and s["value"] == pytest.approx(METRICS[name].of(p.take(rows)), abs=1e-12)
            assert s["low"] < s["value"] < s["high"]
    rates = group_rates(p, who)["sex"]["f"]
    rows = (who.sex == "f").to_numpy()
    assert rates["tp"] == int((p.truth[rows] & p.label[rows]).sum()) and rates["n"] == rows.sum()


# thresholds and costs


@pytest.mark.parametrize("digits", [8, 1])
def test_operating_points_as_counting(digits: int) -> None:
    truth, score, _ = people(300)
    score = np.round(score, digits)
    points = operating_points(predictions(truth, y_score=score))
    for t, tp, fp in zip(points.threshold, points.tp, points.fp, strict=True):
        assert ((score >= t) & (truth == 1)).sum() == tp and ((score >= t) & (truth == 0)).sum() == fp
    assert len(points.threshold) == len(np.unique(score)) + 1


def test_rules_find_the_best_threshold_there_is() -> None:
    truth, score, _ = people(300)
    score = np.round(score, 2)
    p, cuts = predictions(truth, y_score=score), np.unique(score)
    best = max(sk.fbeta_score(truth, score >= t, beta=2) for t in cuts)
    assert choose_threshold(p, "f", 2).points.f(2).max() == pytest.approx(best)
    at = choose_threshold(p, "precision", 0.8)
    assert at.rates["precision"]["value"] >= 0.8
    assert at.rates["recall"]["value"] == pytest.approx(max(sk.recall_score(truth, score >= t) for t in cuts if sk.precision_score(truth, score >= t) >= 0.8))
    at = choose_threshold(p, "recall", 0.9)
    assert at.rates["recall"]["value"] >= 0.9 and sk.recall_score(truth, score >= at.threshold + 0.011) < 0.9
    assert choose_threshold(p, "capacity", 0.1).rates["flagged"]["value"] <= 0.1
    assert choose_threshold(p).low <= choose_threshold(p).threshold <= choose_threshold(p).high and choose_threshold(p).optimism > 0


@given(st.floats(0.1, 50), st.floats(0.1, 50), st.floats(-5, 0.05), st.floats(-5, 0.05))
@settings(max_examples=60, deadline=None)
def test_at_the_threshold_both_answers_cost_the_same(fp: float, fn: float, tp: float, tn: float) -> None:
    costs = CostMatrix(fp, fn, tp, tn)
    t = costs.threshold
    assert 0 < t < 1 and t * tp + (1 - t) * fp == pytest.approx(t * fn + (1 - t) * tn, abs=1e-9)


def test_cost_threshold_is_the_cheapest_and_its_interval_holds_theory() -> None:
    held, costs = [], CostMatrix(fp=1, fn=4)
    for seed in range(60):
        truth, score, _ = people(1000, seed)
        found = cost_threshold(predictions(truth, y_score=score), costs, n_resamples=200)
        held.append(found.low <= costs.threshold <= found.high)
        assert found.cost["threshold"] <= min(found.cost.values()) + 1e-12
    assert np.mean(held) > 0.85  # calibrated scores
    by_hand = [(score >= t) for t in np.unique(score)]
    cheapest = min(((~flag & (truth == 1)).sum() * 4 + (flag & (truth == 0)).sum()) / 1000 for flag in by_hand)
    assert found.cost["threshold"] == pytest.approx(cheapest)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: CostMatrix(fp=1, fn=np.nan), "finite"),
        (lambda: CostMatrix(fp=0, fn=1), "no threshold is needed"),
        (lambda: rule("precision"), "needs a share"),
        (lambda: rule("precison", 0.5), "Did you mean 'precision'"),
        (lambda: operating_points(predictions([1, 1], y_score=[0.1, 0.2], classes=[0, 1])), "all of the 2 rows"),
        (lambda: operating_points(predictions(list("abc"), y_score=np.eye(3))), "two classes"),
        (lambda: cost_threshold(predictions([0, 1], y_score=[0.1, 2.0]), CostMatrix(1, 1)), "between 0 and 1"),
        (lambda: choose_threshold(predictions([1, 0, 0], y_score=[0.1, 0.2, 0.3]), "precision", 0.9), "the highest is 0.333"),
        (lambda: group_metrics(predictions([0, 1], [0, 1]), pd.DataFrame({"a": [1]})), "1 rows of attributes and 2"),
        (lambda: group_metrics(predictions([0, 1], [0, 1]), pd.DataFrame({"a": [1, 2]}), ["accuracyy"]), "Did you mean 'accuracy'"),
        (lambda: group_metrics(predictions([0, 1], [0, 1]), pd.DataFrame(index=[0, 1])), "at least one column"),
        (lambda: holm([2.0]), "between 0 and 1"),
    ],
)
def test_bad_input_is_explained(call: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()  # type: ignore[operator]


def test_constant_scores_give_one_threshold() -> None:
    points = operating_points(predictions([0, 1, 1], y_score=[0.4, 0.4, 0.4]))
    assert len(points.threshold) == 2 and choose_threshold(predictions([0, 1, 1], y_score=[0.4, 0.4, 0.4])).rates["recall"]["value"] == 1
