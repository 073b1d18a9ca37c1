"""Metrics against scikit-learn with ties, weights and absent classes; tasks, positive labels, the choice; bad input."""

from __future__ import annotations

import math
import random
import warnings
from functools import partial

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from mlnb.core import catalog
from mlnb.core.checks import Context, get
from mlnb.core.errors import InputError
from mlnb.evaluation.measures import get_metric, metrics_for
from mlnb.evaluation.metrics import METRICS, choose_metric, infer_task, positive_label
from mlnb.evaluation.predictions import predictions

BINARY = {
    "f1": sk.f1_score,
    "precision": sk.precision_score,
    "recall": sk.recall_score,
    "accuracy": sk.accuracy_score,
    "balanced_accuracy": sk.balanced_accuracy_score,
    "mcc": sk.matthews_corrcoef,
    "roc_auc": sk.roc_auc_score,
    "pr_auc": sk.average_precision_score,
    "log_loss": sk.log_loss,
    "brier": sk.brier_score_loss,
}
CLASSES = {
    "macro_f1": lambda y, p, sample_weight=None: sk.f1_score(y, p, average="macro", sample_weight=sample_weight),
    "micro_f1": lambda y, p, sample_weight=None: sk.f1_score(y, p, average="micro", sample_weight=sample_weight),
    "accuracy": sk.accuracy_score,
    "balanced_accuracy": sk.balanced_accuracy_score,
    "mcc": sk.matthews_corrcoef,
}
NUMBERS = {
    "mae": sk.mean_absolute_error,
    "rmse": sk.root_mean_squared_error,
    "r2": sk.r2_score,
    "medae": sk.median_absolute_error,
    "mape": sk.mean_absolute_percentage_error,
}


def two_classes(seed: int, n: int = 400, digits: int = 8) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Truth, score with ties where it has few digits, label, weight."""
    rng = np.random.default_rng(seed)
    score = np.round(rng.beta(1, 2, n), digits)
    return (rng.random(n) < score).astype(int), score, (score > 0.4).astype(int), rng.integers(0, 4, n) + rng.random(n)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("digits", [8, 2, 1])
@pytest.mark.parametrize("name", BINARY)
def test_binary(name: str, digits: int, weighted: bool) -> None:
    truth, score, label, weight = two_classes(digits, digits=digits)
    given = label if METRICS[name].needs == "label" else score
    options = {"sample_weight": weight} if weighted else {}
    assert METRICS[name](truth, given, **options) == pytest.approx(BINARY[name](truth, given, **options), abs=1e-12)


@pytest.mark.parametrize("name", BINARY)
def test_labels_of_any_kind(name: str) -> None:
    truth, score, label, _ = two_classes(5)
    given = label if METRICS[name].needs == "label" else score
    expected = BINARY[name](truth, given)
    for no, yes in (("no", "yes"), (False, True), (-1, 1), (0.0, 1.0)):
        names = np.array([no, yes], dtype=object)
        other = names[label] if METRICS[name].needs == "label" else score
        assert METRICS[name](names[truth], other) == pytest.approx(expected, abs=1e-12)
        assert METRICS[name](pd.Series(names[truth]), pd.Series(other)) == pytest.approx(expected, abs=1e-12)


def test_scores_of_all_kinds_and_the_other_class() -> None:
    truth, score, _, _ = two_classes(6)
    auc = sk.roc_auc_score(truth, score)
    assert METRICS["roc_auc"](truth, np.log(score + 1e-9)) == pytest.approx(auc)  # only the order counts
    assert METRICS["roc_auc"](truth, np.column_stack([1 - score, score])) == pytest.approx(auc)
    assert METRICS["roc_auc"](truth, 1 - score, positive=0) == pytest.approx(auc)
    assert METRICS["pr_auc"](truth, np.full(len(truth), 0.3)) == pytest.approx(truth.mean())
    assert METRICS["roc_auc"](truth, np.zeros(len(truth))) == 0.5  # constant scores are guessing, not an error


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", CLASSES)
def test_classes(name: str, weighted: bool) -> None:
    rng = np.random.default_rng(1)
    truth = rng.choice(["a", "b", "c"], 300, p=[0.7, 0.2, 0.1])
    label = np.where(rng.random(300) < 0.6, truth, rng.choice(["a", "b", "d"], 300))  # "d" is never true
    options = {"sample_weight": rng.random(300)} if weighted else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = CLASSES[name](truth, label, **options)
    assert METRICS[name](truth, label, **options) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
def test_probabilities_of_classes(weighted: bool) -> None:
    rng = np.random.default_rng(2)
    prob = np.array([rng.multinomial(16, row) for row in rng.dirichlet([2, 1, 1, 1], 500)]) / 16  # many ties
    truth = np.array([rng.choice(4, p=row) for row in prob])
    options = {"sample_weight": rng.random(500)} if weighted else {}
    assert METRICS["log_loss"](truth, prob, **options) == pytest.approx(sk.log_loss(truth, prob, **options), abs=1e-9)
    auc = sk.roc_auc_score(truth, prob, multi_class="ovr", **options)
    assert METRICS["roc_auc_ovr"](truth, prob, **options) == pytest.approx(auc, abs=1e-9)


def test_absent_classes_are_named() -> None:
    prob = np.array([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1]])
    expected = sk.log_loss(["a", "b"], prob, labels=["a", "b", "c"])
    assert METRICS["log_loss"](["a", "b"], prob, classes=["a", "b", "c"]) == pytest.approx(expected)
    with pytest.raises(InputError, match="absent from these rows with classes"):
        METRICS["log_loss"](["a", "b"], prob)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", NUMBERS)
def test_numbers(name: str, weighted: bool) -> None:
    rng = np.random.default_rng(3)
    truth = rng.normal(5, 2, 301)
    guess = truth + rng.normal(0, 1, 301).round(1)
    options = {"sample_weight": rng.integers(1, 5, 301).astype(float)} if weighted else {}
    expected = NUMBERS[name](truth, guess, **options)
    assert METRICS[name](truth, guess, task="regression", **options) == pytest.approx(expected, rel=1e-9)


def test_r2_of_a_constant_truth() -> None:
    assert METRICS["r2"]([2.5] * 3, [2.5] * 3) == sk.r2_score([2.5] * 3, [2.5] * 3) == 1
    assert METRICS["r2"]([2.5] * 3, [2.5, 2, 3]) == sk.r2_score([2.5] * 3, [2.5, 2, 3]) == 0
    far = 1e9 + np.arange(10.0)
    assert METRICS["r2"](far, far + 0.5, task="regression") == pytest.approx(sk.r2_score(far, far + 0.5))


@pytest.mark.parametrize("k", [1, 3, 10, 50])
def test_rankings(k: int) -> None:
    rng = np.random.default_rng(k)
    grades, scores = rng.integers(0, 4, (30, 12)), rng.integers(0, 6, (30, 12)).astype(float)
    query = np.repeat(np.arange(30), 12)
    mixed = rng.permutation(360)  # lists need not be contiguous
    given = (grades.ravel()[mixed], scores.ravel()[mixed])
    expected = sk.ndcg_score(grades, scores, k=k)
    assert METRICS["ndcg_at_k"](*given, query=query[mixed], k=k) == pytest.approx(expected)
    hits = grades >= 2
    expected = np.mean([sk.average_precision_score(h, s) if h.any() else 0 for h, s in zip(hits, scores, strict=True)])
    assert METRICS["map"](hits.ravel()[mixed].astype(int), given[1], query=query[mixed]) == pytest.approx(expected)


def test_precision_at_k_is_the_mean_over_random_orders_of_ties() -> None:
    rng = np.random.default_rng(4)
    truth, score = rng.integers(0, 2, 40), rng.integers(0, 4, 40)
    means = []
    for _ in range(4000):
        order = np.lexsort((rng.random(40), -score))
        means.append(truth[order[:15]].mean())
    assert METRICS["precision_at_k"](truth, score, k=15) == pytest.approx(np.mean(means), abs=0.01)
    assert METRICS["precision_at_k"](["bad", "ok", "ok"], [3, 2, 1], k=1) == 1  # the rarer one is the anomaly


def test_recall_at_k() -> None:
    truth, score = np.array([1, 0, 1, 0, 1, 0]), np.array([6, 5, 4, 3, 2, 1])
    assert METRICS["recall_at_k"](truth, score, k=3) == pytest.approx(2 / 3) and METRICS["precision_at_k"](truth, score, k=3) == pytest.approx(2 / 3)
    assert METRICS["recall_at_k"](truth, score, k=6) == 1
    assert METRICS["recall_at_k"](truth, np.zeros(6), k=3) == pytest.approx(0.5)  # all tied: what a random order finds


def test_rankings_that_leave_items_out_as_trec_eval() -> None:
    """Values of trec_eval (through pytrec_eval 0.5): what was relevant and not returned counts as missed; grades are gains."""
    r = random.Random(1)
    grades = [[r.choice([0, 0, 0, 1, 2]) for _ in range(20)] for _ in range(15)]
    scores = [[r.random() if r.random() < 0.6 else -np.inf for _ in range(20)] for _ in range(15)]
    query, flat = np.repeat(np.arange(15), 20), (np.ravel(grades), np.ravel(scores))
    assert METRICS["map"](flat[0] > 0, flat[1], query=query, positive=True) == pytest.approx(0.2840613555315936, abs=1e-12)
    assert METRICS["ndcg_at_k"](*flat, query=query, k=5) == pytest.approx(0.32222825071146033, abs=1e-12)
    assert METRICS["ndcg_at_k"](*flat, query=query, k=10) == pytest.approx(0.38935212593472973, abs=1e-12)


# The sample of NIST's trec_eval, whose data and output are in the public domain (usnistgov/trec_eval, test/): of each topic, how many documents are
# relevant, and the places of those that are among the 500 returned.
SAMPLE = {
    301: (474, [6, 7, 16, 18, 20, 26, 30, 32, 37, 39, 43, 49, 54, 56, 57, 59, 63, 67, 70, 83, 92, 96, 100, 103, 112, 115, 116, 122, 125, 130, 131, 133, 143, 144, 145,
                158, 172, 178, 184, 197, 199, 200, 207, 210, 212, 219, 224, 229, 240, 249, 253, 263, 267, 274, 280, 290, 307, 309, 315, 317, 318, 320, 327, 342, 348,
                384, 394, 419, 435, 491, 495]),
    302: (77, [1, 2, 4, 5, 6, 8, 9, 11, 12, 13, 14, 15, 16, 17, 18, 19, 21, 22, 24, 27, 28, 30, 31, 34, 36, 37, 39, 42, 43, 44, 47, 48, 49, 50, 51, 53, 56, 58, 72, 79, 82,
               84, 116, 154, 289, 301, 331, 353, 394, 458]),
    303: (10, [19, 37, 41, 43, 44, 65, 67, 89, 99, 107]),
}  # fmt: skip


def _topic(relevant: int, places: np.ndarray, returned: int) -> tuple[np.ndarray, np.ndarray]:
    """Grades and scores of what was returned, and of the relevant ones that were not."""
    missed = relevant - len(places)
    return np.r_[np.isin(np.arange(1, returned + 1), places), np.ones(missed)].astype(int), np.r_[-np.arange(returned), np.full(missed, -np.inf)]


def test_the_sample_topic_of_trec_eval() -> None:
    grade, score = _topic(77, np.array(SAMPLE[302][1]), 500)
    assert METRICS["map"](grade, score, task="ranking") == pytest.approx(0.4175, abs=5e-5)
    published = {5: (0.8304, 0.8, 0.0519), 10: (0.7530, 0.7, 0.0909), 15: (0.8085, 0.8, 0.1558), 20: (0.8082, 0.8, 0.2078), 30: (0.7604, 0.7333, 0.2857),
                 100: (0.6046, 0.42, 0.5455), 200: (0.6209, 0.22, 0.5714), 500: (0.6617, 0.1, 0.6494)}  # fmt: skip
    for k, (gain, precision, recall) in published.items():
        assert METRICS["ndcg_at_k"](grade, score, task="ranking", k=k) == pytest.approx(gain, abs=5e-5)
        ranked = np.where(np.isinf(score), -1e6, score)
        for name, value in (("precision_at_k", precision), ("recall_at_k", recall)):
            assert METRICS[name](grade, ranked, k=k, positive=1) == pytest.approx(value, abs=5e-5)


def test_the_sample_of_trec_eval() -> None:
    """MAP .1785 and nDCG@10 .3016 over its three topics, and what each comes to by itself."""
    parts = [_topic(relevant, np.array(places), 500) for relevant, places in SAMPLE.values()]
    for (grade, score), published in zip(parts, (0.0324, 0.4175, 0.0858), strict=True):
        assert METRICS["map"](grade, score, task="ranking") == pytest.approx(published, abs=5e-5)
    grade, score = (np.concatenate(column) for column in zip(*parts, strict=True))
    query = np.repeat(list(SAMPLE), [len(part[0]) for part in parts])
    assert METRICS["map"](grade, score, query=query, task="ranking") == pytest.approx(0.1785, abs=5e-5)
    for k, published in {5: 0.2768, 10: 0.3016, 15: 0.3087, 20: 0.3525}.items():
        assert METRICS["ndcg_at_k"](grade, score, query=query, task="ranking", k=k) == pytest.approx(published, abs=5e-5)
    ranked = np.where(np.isinf(score), -1e6, score)
    for k, published in {5: 0.2667, 10: 0.3000, 20: 0.3667, 30: 0.3333, 100: 0.2467, 200: 0.1600, 500: 0.0873}.items():
        each = [METRICS["precision_at_k"](grade[query == topic], ranked[query == topic], k=k, positive=1) for topic in SAMPLE]
        assert np.mean(each) == pytest.approx(published, abs=5e-5)


def test_sums_of_huge_and_tiny_errors_stay_finite() -> None:
    """Squares beyond what 32 bits hold, and losses of 1e-12, keep their digits on resamples."""
    from mlnb.evaluation.intervals import bootstrap

    rng = np.random.default_rng(0)
    for size in (1e25, 1e-12):
        error = size * rng.exponential(1, 500)
        found = bootstrap(np.zeros(500), error, metrics=["mae", "rmse"], task="regression", n_resamples=200)
        squares = (error / size) ** 2
        by_delta = squares.std() / (2 * np.sqrt(squares.mean()) * np.sqrt(500))
        assert found["rmse"].se / size == pytest.approx(by_delta, rel=0.2) and np.isfinite(found["mae"].high)

# every metric against scikit-learn on small rows, where ties, zero weights and absent classes are the rule


def _both(name: str, ours: object, theirs: object) -> None:
    """The same number, or neither: what scikit-learn calls 0 or NaN for want of a class is an error here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            expected = float(theirs())  # type: ignore[operator]
        except ValueError:
            expected = np.nan
    try:
        found = ours()  # type: ignore[operator]
    except InputError as error:
        assert np.isnan(expected) or "rows with and without" in str(error) and name in ("pr_auc", "roc_auc_ovr"), (name, expected, str(error))
        return
    assert found == pytest.approx(expected, abs=1e-9, nan_ok=True), name


WEIGHT = st.integers(0, 3)
ROWS = {
    "binary": st.tuples(st.integers(0, 1), st.integers(0, 4), st.integers(0, 1), WEIGHT),
    "multiclass": st.tuples(st.integers(0, 2), st.integers(0, 5), st.integers(0, 2), WEIGHT),
    "regression": st.tuples(st.integers(-3, 3), st.integers(-3, 3), st.just(0), WEIGHT),
}
SIMPLEX = np.array([[6, 1, 1], [1, 6, 1], [1, 1, 6], [4, 4, 0], [0, 4, 4], [3, 2, 3]]) / 8


@settings(max_examples=30)
@given(st.lists(ROWS["binary"], min_size=2, max_size=12), st.booleans())
def test_two_classes_of_any_rows(rows: list[tuple[int, ...]], weighted: bool) -> None:
    y, s, label, w = (np.array(column) for column in zip(*rows, strict=True))
    options = {"sample_weight": w.astype(float)} if weighted and w.any() else {}
    for name, theirs in BINARY.items():
        given_ = label if METRICS[name].needs == "label" else s / 4
        more = {"labels": [0, 1]} if name == "log_loss" else {"labels": [0, 1], "pos_label": 1} if name == "brier" else {}
        _both(name, partial(METRICS[name], y, given_, classes=[0, 1], positive=1, **options), partial(theirs, y, given_, **options, **more))


@settings(max_examples=30)
@given(st.lists(ROWS["multiclass"], min_size=2, max_size=12), st.booleans())
def test_three_classes_of_any_rows(rows: list[tuple[int, ...]], weighted: bool) -> None:
    y, place, label, w = (np.array(column) for column in zip(*rows, strict=True))
    options = {"sample_weight": w.astype(float)} if weighted and w.any() else {}
    kept = w > 0 if options else np.ones(len(y), bool)
    for name, theirs in CLASSES.items():
        if len({*y[kept], *label[kept]}) > 1 and {*y} & {*label}:  # one class, or no label right in kind, is an error here
            rest = {"sample_weight": options["sample_weight"][kept]} if options else {}  # a row of weight 0 is no row
            _both(name, partial(METRICS[name], y, label, task="multiclass", **options), partial(theirs, y[kept], label[kept], **rest))
    prob = SIMPLEX[place]
    _both("log_loss", partial(METRICS["log_loss"], y, prob, classes=[0, 1, 2], **options), partial(sk.log_loss, y, prob, labels=[0, 1, 2], **options))
    if {*y[kept]} == {0, 1, 2}:
        _both("roc_auc_ovr", partial(METRICS["roc_auc_ovr"], y, prob, classes=[0, 1, 2], **options), partial(sk.roc_auc_score, y, prob, multi_class="ovr", **options))
    else:
        with pytest.raises(InputError, match="rows with and without"):
            METRICS["roc_auc_ovr"](y, prob, classes=[0, 1, 2], **options)


@settings(max_examples=30)
@given(st.lists(ROWS["regression"], min_size=2, max_size=12), st.booleans())
def test_quantities_of_any_rows(rows: list[tuple[int, ...]], weighted: bool) -> None:
    y, guess, _, w = (np.array(column) for column in zip(*rows, strict=True))
    options = {"sample_weight": w.astype(float)} if weighted and w.any() else {}
    for name, theirs in NUMBERS.items():
        if name != "mape" or y.all():
            _both(name, partial(METRICS[name], y, guess, task="regression", **options), partial(theirs, y, guess, **options))


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=15), st.integers(1, 6))
def test_lists_of_any_rows(rows: list[tuple[int, ...]], k: int) -> None:
    query, score, grade = (np.array(column) for column in zip(*rows, strict=True))
    lists = [query == q for q in np.unique(query)]
    gains = [sk.ndcg_score([grade[q]], [score[q].astype(float)], k=k) if q.sum() > 1 else float(grade[q][0] > 0) for q in lists]
    assert METRICS["ndcg_at_k"](grade, score, query=query, task="ranking", k=k) == pytest.approx(np.mean(gains))
    hit = (grade > 1).astype(int)
    means = [sk.average_precision_score(hit[q], score[q]) if hit[q].any() else 0 for q in lists]
    assert METRICS["map"](hit, score, query=query, task="ranking", positive=1) == pytest.approx(np.mean(means))
    if 0 < hit.sum() < len(hit):
        shares = [hit[list(order)][: min(k, len(hit))] for order in _orders(score)]
        for name, whole in (("precision_at_k", min(k, len(hit))), ("recall_at_k", hit.sum())):
            assert METRICS[name](hit, score, k=min(k, len(hit)), positive=1) == pytest.approx(np.mean([part.sum() for part in shares]) / whole), name


def _orders(score: np.ndarray) -> list[np.ndarray]:
    """Orders in which every tied row stands in every place of its tie equally often: each tie is turned around."""
    size = math.lcm(*np.unique(score, return_counts=True)[1].tolist())
    blocks = [np.flatnonzero(score == value) for value in np.unique(score)[::-1]]
    return [np.concatenate([np.roll(block, turn) for block in blocks]) for turn in range(size)]


def test_every_row_of_the_table_has_its_metric() -> None:
    rare, even = np.repeat([0, 1], [96, 4]), np.repeat([0, 1], [95, 5])
    chosen = [
        choose_metric(even),
        choose_metric(rare),
        choose_metric(list("abc") * 9),
        choose_metric([1.5, 2.25, 3.0]),
        choose_metric([3, 0, 1], "ranking"),
        choose_metric([4, 5, 3], "generation"),
        choose_metric(rare, "anomaly"),
    ]
    assert [c.row for c in chosen] == [row[0] for row in catalog.table("metrics").rows]
    assert [c.metric.name for c in chosen] == [
        "f1", "pr_auc", "macro_f1", "mae", "ndcg_at_k", "mean_rating", "precision_at_k",
    ]  # fmt: skip
    assert chosen[3].beside[0] == "rmse" and choose_metric([1, 0], "ranking").metric.name == "map"
    assert chosen[1].positive == 1 and chosen[1].positive_rate == 0.04
    assert "name the other class" in choose_metric(np.repeat([0, 1], [4, 96])).watch_out
    assert all(set(c.beside) <= set(METRICS) for c in chosen)


def test_metrics_explain_themselves() -> None:
    for name, metric in METRICS.items():
        assert metric.name == name and metric.meaning.endswith(".") and metric.watch_out.endswith(".")
        assert metric.title in metric._repr_html_() and " object at 0x" not in repr(metric)


@pytest.mark.parametrize(
    ("values", "task"),
    [
        (["a", "b"], "binary"),
        ([True, False, True], "binary"),
        ([0, 1, 1], "binary"),
        ([0.0, 1.0, None], "binary"),
        (["a", "b", "c"], "multiclass"),
        ([1, 2, 3] * 7, "multiclass"),
        (np.arange(20).repeat(2), "multiclass"),
        (np.arange(21).repeat(2), "regression"),
        (np.arange(5), "regression"),
        ([0.5, 1.5, 0.5], "regression"),
        (pd.Series(["x", "y", None], dtype="str"), "binary"),
        (pd.Categorical(["x", "y", "z"]), "multiclass"),
    ],
)
def test_infer_task(values: object, task: str) -> None:
    assert infer_task(values) == task


@pytest.mark.parametrize(
    ("values", "given", "label"),
    [
        ([0, 1, 1, 1], None, 1),
        (["No", "Yes", "Yes"], None, "Yes"),
        ([False, True], None, True),
        ([-1, 1, 1], None, 1),
        (["stay", "go", "stay"], None, "go"),
        (["stay", "go"], None, "stay"),  # as many of each: the last in order
        ([1, 2, 2], None, 1),
        ([0, 1], "0", 0),
        ([0.0, 1.0], "1", 1.0),
        ([True, False], "false", False),
        (["stay", "go"], "GO", "go"),
    ],
)
def test_positive_label(values: object, given: object, label: object) -> None:
    assert positive_label(values, given) == label


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: METRICS["roc_auc"]([1, 1], [0.1, 0.2]), "one class only"),
        (lambda: METRICS["roc_auc"]([1, 1], [0.1, 0.2], classes=[0, 1]), "all of the 2 rows"),
        (lambda: METRICS["f1"]([0, 1], [0, 1, 1]), "y_pred has 3 rows and y_true has 2"),
        (lambda: METRICS["f1"](["no", "yes"], [0, 1]), "true labels are text .* predicted ones are numbers"),
        (lambda: METRICS["f1"]([0, 1], [2, 3]), "No predicted label"),
        (lambda: METRICS["macro_f1"](list("abc") * 2, list("ABC") * 2), "No predicted label occurs"),
        (lambda: METRICS["f1"](["1", "0"], [1, 0]), r"true labels are text .* y_pred.astype\(str\) makes them alike"),
        (lambda: METRICS["f1"]([1, 0], ["1", "0"]), r"y_pred.astype\(int\)"),
        (lambda: METRICS["f1"]([True, False], ["Yes", "No"]), "true labels are numbers .* predicted ones are text"),
        (lambda: METRICS["ndcg_at_k"]([0, 1], [0.1, np.inf]), "1 infinite values"),
        (lambda: METRICS["mae"]([1.5, 2.5], [np.nan, 1]), "1 missing values among 2 rows, the first in row 0"),
        (lambda: METRICS["roc_auc"]([0, 1], [0.1, None]), "y_score has 1 missing values among 2 rows"),
        (lambda: METRICS["roc_auc"]([0, 1], [0.1, np.inf]), "1 infinite values, the first in row 1"),
        (lambda: METRICS["roc_auc"]([0, None], [0.1, 0.2]), "missing values"),
        (lambda: METRICS["log_loss"]([0, 1], [0.2, 1.5]), "between 0 and 1; 1 values are outside"),
        (lambda: METRICS["log_loss"](list("abc"), np.full((3, 3), 0.4)), "add up to 1; 3 rows do not"),
        (lambda: METRICS["log_loss"](list("abc"), [0.1, 0.2, 0.3]), "a column for each"),
        (lambda: METRICS["mae"]([1.5, 2.5], ["a", "b"]), "must be numbers; it holds text"),
        (lambda: METRICS["mape"]([0.0, 2.5], [1, 2]), "divides by the truth, which is 0 in 1 of 2"),
        (lambda: METRICS["mae"]([1.5, 2.5], [1, 2], sample_weight=[1, -1]), "must not be negative"),
        (lambda: METRICS["precision_at_k"]([0, 1], [0.1, 0.2], k=3), "k between 1 and the number of rows"),
        (lambda: METRICS["f1"]([], []), "at least one row"),
        (lambda: METRICS["f1"]([[0, 1], [1, 0]], [0, 1]), "must be one column"),
        (lambda: infer_task(pd.to_datetime(["2026-01-01", "2026-01-02"])), "no label and no number"),
        (lambda: infer_task([f"id{i}" for i in range(30)]), "identifier"),
        (lambda: choose_metric([0, 1], "binry"), "Did you mean 'binary'"),
        (lambda: get_metric("logloss"), "Did you mean 'log_loss'"),
        (lambda: positive_label([0, 1], "maybe"), "does not occur in the target; its labels are 0, 1"),
    ],
)
def test_bad_input_is_explained(call: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()  # type: ignore[operator]


def test_one_row_more_or_less_of_everything() -> None:
    """All that can be computed is computed, and nothing warns."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for given in (
            predictions([0, 1], [0, 0], classes=[0, 1]),
            predictions([0, 1], y_score=[0.0, 1.0]),
            predictions(list("abc"), y_score=np.eye(3)),
            predictions([1.5, 2.5], [1.0, 2.0]),
            predictions([1, 0, 1], y_score=[0.3, 0.2, 0.1], task="ranking"),
            predictions([4.0, 5.0], task="generation"),
        ):
            found = {m.name: m.of(given) for m in metrics_for(given)}
            assert found and all(np.isfinite(value) for value in found.values())


class Data:
    """A table of one column."""

    def __init__(self, values: object) -> None:
        self.values = values

    def frame(self, columns: list[str]) -> pd.DataFrame:
        return pd.DataFrame({columns[0]: self.values})


class Used:
    def __init__(self, primary: str) -> None:
        self.primary = primary


@pytest.mark.parametrize(
    ("used", "status"),
    [("pr_auc", "pass"), ("recall", "pass"), ("mcc", "warn"), ("accuracy", "fail"), ("roc_auc", "fail")],
)
def test_the_check_looks_at_the_data(used: str, status: str) -> None:
    context = Context(target="y", data=Data(np.repeat([0, 1], [97, 3])), evaluation=Used(used))
    found = get("METRIC").verify(context)
    assert found.status == status and found.value == 0.03 and found.evidence["metric"] == "pr_auc"
