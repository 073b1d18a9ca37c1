"""Resampling counts against theory and against copied rows; intervals, comparisons, published rates; bad input."""

from __future__ import annotations

import tracemalloc
import warnings

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk
from statsmodels.stats.proportion import proportion_confint

from mlnb.core.errors import InputError
from mlnb.evaluation.bootstrap import bootstrap_values
from mlnb.evaluation.confusion import Weights
from mlnb.evaluation.intervals import bootstrap, paired_difference, rate_interval, wilson
from mlnb.evaluation.measures import METRICS
from mlnb.evaluation.predictions import Predictions, predictions
from mlnb.evaluation.resampling import Resampler, resample_counts


def rows(seed: int = 0, n: int = 300, digits: int = 8) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    score = np.round(rng.beta(1, 2, n), digits)
    return (rng.random(n) < score).astype(int), score


def agree(ours: np.ndarray, theirs: np.ndarray) -> bool:
    """Two samples of one distribution; a wrong spread of 10 % fails at these sizes."""
    spread = np.sqrt((ours.var() / len(ours)) + theirs.var() / len(theirs))
    same_spread = abs(np.log(ours.std() / theirs.std())) < 4 * np.sqrt(0.5 / len(ours) + 0.5 / len(theirs))
    return abs(ours.mean() - theirs.mean()) < 4 * spread and same_spread and stats.ks_2samp(ours, theirs).pvalue > 1e-4


# counts


@pytest.mark.parametrize("n", [7, 1000, 4096, 20_011])
def test_counts_are_multinomial(n: int) -> None:
    rng = np.random.default_rng(n)
    size = max(20, 400_000 // n)
    counts = resample_counts(rng, n, size)
    assert counts.shape == (size, n) and (counts.sum(axis=1, dtype=int) == n).all()
    seen = np.bincount(counts.ravel(), minlength=12)[:12]
    expected = stats.binom.pmf(np.arange(12), n, 1 / n) * counts.size
    keep = expected > 10
    rest = counts.size - seen[keep].sum(), counts.size - expected[keep].sum()
    chi = ((seen[keep] - expected[keep]) ** 2 / expected[keep]).sum() + (rest[0] - rest[1]) ** 2 / max(rest[1], 5)
    assert stats.chi2.sf(chi, keep.sum()) > 1e-4
    half = counts[:, : n // 2].sum(axis=1, dtype=int)  # a sum of cells is binomial: rows depend on each other
    share = (n // 2) / n
    assert abs(half.mean() - n * share) < 5 * np.sqrt(n * share * (1 - share) / size)
    assert 0.6 < half.var() / (n * share * (1 - share)) < 1.6


def test_counts_beyond_the_expected_number_are_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    from mlnb.evaluation import resampling

    monkeypatch.setattr(resampling, "_poisson_counts", lambda rng, n, size: np.full((size, n), 2, np.uint8))
    counts = resample_counts(np.random.default_rng(0), 5000, 3)
    assert (counts.sum(axis=1, dtype=int) == 5000).all() and counts.max() > 2


def test_cells_are_the_sum_of_their_rows() -> None:
    sizes = np.array([900, 90, 10])
    cells = Resampler(3, sizes=sizes).draw(np.random.default_rng(0), 4000).counts
    each = resample_counts(np.random.default_rng(1), 1000, 4000)
    by_row = np.add.reduceat(each, [0, 900, 990], axis=1)
    assert all(agree(cells[:, j].astype(float), by_row[:, j].astype(float)) for j in range(3))


# one formula, weights or copies

ORACLES = {
    "f1": sk.f1_score, "precision": sk.precision_score, "recall": sk.recall_score, "accuracy": sk.accuracy_score,
    "balanced_accuracy": sk.balanced_accuracy_score, "mcc": sk.matthews_corrcoef, "roc_auc": sk.roc_auc_score,
    "pr_auc": sk.average_precision_score, "log_loss": sk.log_loss, "brier": sk.brier_score_loss,
    "mae": sk.mean_absolute_error, "rmse": sk.root_mean_squared_error, "r2": sk.r2_score,
    "medae": sk.median_absolute_error, "mape": sk.mean_absolute_percentage_error,
}  # fmt: skip


def arguments(name: str, digits: int = 8, n: int = 300) -> tuple[np.ndarray, np.ndarray, Predictions]:
    truth, score = rows(3, n, digits)
    needs = METRICS[name].needs
    if needs == "value":
        truth, other = score + 1, score + 1 + np.round(np.random.default_rng(1).normal(0, 0.3, n), digits)
        return truth, other, predictions(truth, other, task="regression")
    other = (score > 0.4).astype(int) if needs == "label" else score
    return truth, other, predictions(truth, **{"y_pred" if needs == "label" else "y_score": other})


@pytest.mark.parametrize("digits", [8, 1])
@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.float64])
@pytest.mark.parametrize("name", ORACLES)
def test_counts_give_what_copied_rows_give(name: str, kind: type, digits: int) -> None:
    truth, other, p = arguments(name, digits)
    counts = np.random.default_rng(7).multinomial(300, np.full(300, 1 / 300), 8).astype(kind)
    statistic = METRICS[name].statistic(p, name)
    ours = METRICS[name].formula(statistic(Weights(counts).arranged(statistic.order)))
    for value, line in zip(ours, counts.astype(int), strict=True):
        copied = np.repeat(np.arange(300), line)
        assert value == pytest.approx(ORACLES[name](truth[copied], other[copied]), rel=2e-6)


@pytest.mark.parametrize(("name", "n"), [("roc_auc", 300), ("pr_auc", 300), ("f1", 300), ("log_loss", 300), ("medae", 300), ("r2", 300),
                                         ("roc_auc", 5000), ("mae", 5000)])  # fmt: skip
def test_same_distribution_as_resampling_rows(name: str, n: int) -> None:
    truth, other, p = arguments(name, 2, n)
    ours = bootstrap_values([(METRICS[name], p)], 2000)[:, 0]
    rng = np.random.default_rng(1)
    theirs = np.array([ORACLES[name](truth[i], other[i]) for i in (rng.integers(0, n, n) for _ in range(120))])
    assert agree(ours, theirs)


def test_same_distribution_for_classes() -> None:
    rng = np.random.default_rng(0)
    prob = rng.dirichlet([2, 1, 1], 300)
    truth = np.array([rng.choice(3, p=row) for row in prob])
    found = bootstrap(truth, y_score=prob, n_resamples=2000)
    label = prob.argmax(axis=1)
    theirs = []
    for _ in range(80):
        i = rng.integers(0, 300, 300)
        theirs.append([sk.f1_score(truth[i], label[i], average="macro"), sk.log_loss(truth[i], prob[i]),
                       sk.roc_auc_score(truth[i], prob[i], multi_class="ovr")])  # fmt: skip
    for name, column in zip(("macro_f1", "log_loss", "roc_auc_ovr"), np.transpose(theirs), strict=True):
        assert agree(found.samples[:, list(found).index(name)], column)


def test_strata_and_groups_as_resampling_them() -> None:
    truth, score = rows(5)
    group = np.arange(300) // 10
    rng = np.random.default_rng(2)
    strata, groups = [], []
    places = [np.flatnonzero(truth == code) for code in (0, 1)]
    members = [np.flatnonzero(group == code) for code in range(30)]
    for _ in range(120):
        i = np.concatenate([rng.choice(part, len(part)) for part in places])
        strata.append(sk.average_precision_score(truth[i], score[i]))
        i = np.concatenate([members[j] for j in rng.integers(0, 30, 30)])
        groups.append(sk.average_precision_score(truth[i], score[i]))
    for options, theirs in (({"stratify": True}, strata), ({"groups": group}, groups)):
        ours = bootstrap(truth, y_score=score, metrics="pr_auc", n_resamples=2000, **options).samples[:, 0]
        assert agree(ours, np.array(theirs))


def test_few_distinct_scores_are_cells_and_agree() -> None:
    truth, score = rows(6, 5000, 1)
    ours = bootstrap(truth, y_score=score, metrics=["roc_auc", "log_loss"])
    rng = np.random.default_rng(0)
    theirs = [sk.roc_auc_score(truth[i], score[i]) for i in (rng.integers(0, 5000, 5000) for _ in range(100))]
    assert agree(ours.samples[:, 0], np.array(theirs))
    assert ours["roc_auc"].value == pytest.approx(sk.roc_auc_score(truth, score))


def test_sample_weights() -> None:
    truth, score = rows(8)
    weight = np.random.default_rng(0).random(300) + 0.1
    ours = bootstrap(
        truth, y_score=score, metrics=["roc_auc", "f1", "log_loss"], sample_weight=weight, n_resamples=2000
    )
    rng = np.random.default_rng(1)
    theirs = []
    for _ in range(100):
        i = rng.integers(0, 300, 300)
        theirs.append([sk.roc_auc_score(truth[i], score[i], sample_weight=weight[i]),
                       sk.f1_score(truth[i], score[i] >= 0.5, sample_weight=weight[i]),
                       sk.log_loss(truth[i], score[i], sample_weight=weight[i])])  # fmt: skip
    assert all(agree(ours.samples[:, j], column) for j, column in enumerate(np.transpose(theirs)))


def test_lists_are_resampled_whole() -> None:
    rng = np.random.default_rng(0)
    grades, scores = rng.integers(0, 4, (60, 8)), rng.random((60, 8))
    found = bootstrap(grades.ravel(), y_score=scores.ravel(), query=np.repeat(np.arange(60), 8), task="ranking", k=5)
    each = np.array([sk.ndcg_score(g[None], s[None], k=5) for g, s in zip(grades, scores, strict=True)])
    assert list(found) == ["ndcg_at_k"] and found["ndcg_at_k"].value == pytest.approx(each.mean())
    assert found["ndcg_at_k"].se == pytest.approx(each.std() / np.sqrt(60), rel=0.1)


def test_precision_at_k_as_resampling_rows() -> None:
    rng = np.random.default_rng(0)
    truth, score = rng.random(400) < 0.1, rng.permutation(400)
    ours = bootstrap(truth, y_score=score, task="anomaly", k=50, n_resamples=2000).samples[:, 0]
    draws = (rng.integers(0, 400, 400) for _ in range(500))
    theirs = [truth[i][np.argsort(-score[i], kind="stable")[:50]].mean() for i in draws]
    assert agree(ours, np.array(theirs))


# the interval


@pytest.mark.parametrize("name", ["mae", "roc_auc"])
def test_coverage(name: str) -> None:
    """Of 200 intervals at 95 %, between 90 and 99.5 % hold the truth: 3 standard errors either way."""
    hits = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        if name == "mae":
            error = rng.exponential(1, 400)
            found, true = bootstrap(np.zeros(400), error, metrics="mae", task="regression", n_resamples=250)["mae"], 1.0
        else:
            truth = rng.random(200) < 0.4
            score, true = rng.normal(0, 1, 200) + truth, stats.norm.cdf(1 / np.sqrt(2))
            found = bootstrap(truth, y_score=score, metrics="roc_auc", n_resamples=250)["roc_auc"]
        hits.append(found.low <= true <= found.high)
    assert 0.9 <= np.mean(hits) <= 0.995


def test_same_seed_same_intervals_whatever_the_threads_and_the_company() -> None:
    truth, score = rows(9, 6000)
    p = predictions(truth, y_score=score)
    names = ("roc_auc", "f1", "log_loss")
    one = bootstrap_values([(METRICS[name], p) for name in names], 200, threads=1)
    assert np.array_equal(one, bootstrap_values([(METRICS[name], p) for name in names], 200, threads=4))
    for j, name in enumerate(names):
        assert np.array_equal(one[:, j], bootstrap_values([(METRICS[name], p)], 200)[:, 0])
    assert not np.array_equal(one, bootstrap_values([(METRICS[name], p) for name in names], 200, random_state=1))


def test_resamples_without_a_positive_are_counted_and_strata_help() -> None:
    truth, score = np.zeros(202, int), np.linspace(0, 1, 202)
    truth[[120, 190]] = 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loose = bootstrap(truth, y_score=score, metrics=["roc_auc", "pr_auc"])
    assert 80 < loose["roc_auc"].undefined < 200  # (1 - 1/101)^202 is 13 %
    assert loose.findings[0].status == "warn" and "stratify" in loose.findings[0].message
    strict = bootstrap(truth, y_score=score, metrics=["roc_auc"], stratify=True)
    assert strict["roc_auc"].undefined == 0 and strict.findings[0].status == "pass"
    assert np.ptp(strict.samples) > 0


def test_results_are_plain_and_drawn() -> None:
    truth, score = rows(1)
    found = bootstrap(truth, y_score=score)
    expected = "f1 roc_auc pr_auc precision recall brier accuracy balanced_accuracy mcc log_loss"
    assert set(found) == set(expected.split())
    assert all(i.low <= i.value <= i.high for i in found.values())
    assert found.to_dict()["metrics"]["f1"]["value"] == found["f1"].value and len(found.frame()) == 10
    assert "<img" in found._repr_html_() and found.plot() is not None
    better = paired_difference(truth, score, 1 - score, "brier")
    assert better.better == "a" and better.probability == 1 and better.interval.value < 0
    assert better.to_dict()["better"] == "a" and "The first is better" in better._repr_html_()


def test_memory_stays_small() -> None:
    truth, score = rows(2, 100_000)
    p = predictions(truth, y_score=score)
    tracemalloc.start()
    bootstrap_values([(METRICS[name], p) for name in ("roc_auc", "pr_auc", "f1", "log_loss")], 40, threads=2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6


# comparisons


@pytest.mark.parametrize("name", ["roc_auc", "f1", "log_loss"])
def test_paired_difference_as_resampling_rows(name: str) -> None:
    truth, score = rows(4)
    other = np.clip(score + np.random.default_rng(0).normal(0, 0.15, 300), 0.01, 0.99)
    a, b = ((score > 0.5).astype(int), (other > 0.5).astype(int)) if name == "f1" else (score, other)
    a = np.clip(a, 0.01, 0.99) if name == "log_loss" else a
    found = paired_difference(truth, a, b, name, n_resamples=2000)
    rng = np.random.default_rng(1)
    draws = (rng.integers(0, 300, 300) for _ in range(120))
    theirs = np.array([ORACLES[name](truth[i], a[i]) - ORACLES[name](truth[i], b[i]) for i in draws])
    assert agree(found.samples, theirs)
    assert found.interval.value == pytest.approx(ORACLES[name](truth, a) - ORACLES[name](truth, b))
    sign = 1 if METRICS[name].greater_is_better else -1
    assert found.probability == pytest.approx(np.mean(sign * theirs > 0), abs=0.16)


def test_numbers_and_classes_can_be_compared_too() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(0, 1, 200)
    assert paired_difference(truth, truth + 0.1, truth - 1, "mae", task="regression").better == "a"
    kinds = rng.integers(0, 3, 200)
    assert paired_difference(kinds, kinds, np.zeros(200, int), "macro_f1").better == "a"


# rates


def test_wilson_published() -> None:
    """Newcombe (1998), method 3."""
    published = {
        (81, 263): (0.2553, 0.3662),
        (15, 148): (0.0624, 0.1605),
        (0, 20): (0, 0.1611),
        (1, 29): (0.0061, 0.1718),
    }
    for (hits, trials), (low, high) in published.items():
        found = rate_interval(hits, trials)
        assert (round(found.low, 4), round(found.high, 4)) == (low, high)


def test_wilson_as_statsmodels() -> None:
    trials = np.repeat([1, 2, 10, 137, 100_000], 4)
    hits = np.round(trials * np.tile([0, 0.3, 0.99, 1], 5))
    for level in (0.8, 0.95, 0.999):
        low, high = wilson(hits, trials, level)
        expected = np.array([proportion_confint(h, n, 1 - level, "wilson") for h, n in zip(hits, trials, strict=True)])
        assert np.allclose(low, expected[:, 0], atol=1e-12) and np.allclose(high, expected[:, 1], atol=1e-12)
    assert [float(edge) for edge in wilson(0, 0)] == [0, 1]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bootstrap([0, 1, 1], y_score=[0.1, 0.2, 0.3], level=95), "level must be at least 0.5 and below 1"),
        (lambda: bootstrap([0, 1, 1], y_score=[0.1, 0.2, 0.3], n_resamples=1), "n_resamples must be at least 2"),
        (lambda: bootstrap([0, 1, 1], y_score=[0.1, np.nan, 0.3]), "missing values"),
        (lambda: bootstrap([1, 1, 1], y_score=[0.1, 0.2, 0.3]), "one value only"),
        (lambda: bootstrap([0, 1, 1]), "No metric of a binary task"),
        (lambda: bootstrap([0, 1, 1], y_score=[0.1, 0.2, 0.3], metrics=["mae"]), "MAE is for regression"),
        (lambda: bootstrap([0, 1, 1], [0, 1, 1], metrics=["roc_auc"]), "ROC-AUC needs scores"),
        (lambda: bootstrap([0, 1, 1], y_score=[0.1, 2, 0.3], metrics=["f1"]), "needs predicted labels"),
        (lambda: bootstrap([0, 1, 1], [0, 1, 1], groups=[1, 1]), "groups has 2 rows"),
        (lambda: bootstrap([0, 1, 1], [0, 1, 1], groups=[1, 1, 1]), "one group"),
        (lambda: bootstrap([0, 1, 1], [0, 1, 1], groups=[1, 2, 3], stratify=True), "not both"),
        (lambda: bootstrap([0.5, 1.5], [0, 1], stratify=True), "stratify=True takes the classes"),
        (lambda: bootstrap([1, 0], y_score=[0.2, 0.1], task="ranking"), "one list only"),
        (lambda: rate_interval(-1, 5), "hits"),
        (lambda: rate_interval(0, 0), "at least one trial"),
    ],
)
def test_bad_input_is_explained(call: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()  # type: ignore[operator]
