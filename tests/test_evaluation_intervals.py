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
from mlnb.evaluation.accelerated import method_interval, widened
from mlnb.evaluation.bootstrap import bootstrap_values, percentile_interval
from mlnb.evaluation.confusion import Weights
from mlnb.evaluation.influence import influences
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


# sums, few rows and blocks


def test_resamples_that_share_counts_are_as_good_as_independent_ones() -> None:
    """Quantiles over 1000 resamples scatter as those of independent ones do, and neighbours in sorted data do not show."""
    from mlnb.evaluation.resampled_sums import _uses, resampled_means

    n = 16_384
    column = np.sort(np.random.default_rng(0).exponential(1, n))[:, None]  # the worst order of rows for turning
    assert _uses(n) == 8
    ends = []
    for seed in range(40):
        found = resampled_means(column, 400, lambda number, seed=seed: np.random.default_rng([seed, number + 10_000]))[:, 0]
        ends.append((found.mean(), found.std(), *np.quantile(found, [0.025, 0.975])))
    se = column.std() / np.sqrt(n)
    middle, spread, low, high = np.transpose(ends)
    assert abs(middle.mean() - column.mean()) < 4 * se / np.sqrt(400 * 40) and middle.std() < 1.5 * se / np.sqrt(400)
    assert abs(spread.mean() / se - 1) < 0.03
    assert low.std() < 1.5 * se * 0.134 and high.std() < 1.5 * se * 0.134  # of a normal's 2.5 % quantile from 400 values
    at = column.mean() - 1.96 * se, column.mean() + 1.96 * se
    assert abs(low.mean() - at[0]) < 0.1 * se and abs(high.mean() - at[1]) < 0.1 * se


@pytest.mark.parametrize("weighted", [False, True])
def test_sums_in_single_precision_are_checked_in_double(weighted: bool) -> None:
    from mlnb.evaluation.resampled_sums import resampled_means
    from mlnb.evaluation.resampling import resample_counts as draw

    rng = np.random.default_rng(0)
    columns = np.column_stack([rng.lognormal(0, 3, 3000), 1e9 + rng.normal(0, 1, 3000), rng.normal(0, 1e-9, 3000)])
    weight = rng.random(3000) if weighted else None
    ours = resampled_means(columns, 50, lambda number: np.random.default_rng(5), weight=weight)
    rng, w = np.random.default_rng(5), np.ones(3000) if weight is None else weight
    counts = draw(rng, 3000, 50).astype(float) * w
    exact = counts @ columns / counts.sum(axis=1)[:, None]
    assert (np.abs(ours - exact) < 1e-4 * exact.std(axis=0)).all()


def test_a_median_from_few_rows_is_distributed_as_from_all() -> None:
    rng = np.random.default_rng(0)
    error = rng.exponential(1, 20_001)
    p = predictions(np.zeros(20_001), error, task="regression")
    ours = bootstrap_values([(METRICS["medae"], p)], 2000)[:, 0]
    theirs = np.array([np.median(error[rng.integers(0, 20_001, 20_001)]) for _ in range(600)])
    assert agree(ours, theirs)
    other = predictions(np.zeros(20_001), error[::-1] * 1.01, task="regression")
    pair = bootstrap_values([(METRICS["medae"], p), (METRICS["medae"], other)], 1000)
    both = np.array([[np.median(error[i]), np.median(error[::-1][i]) * 1.01] for i in (rng.integers(0, 20_001, 20_001) for _ in range(400))])
    assert agree(pair[:, 0] - pair[:, 1], both[:, 0] - both[:, 1])


@pytest.mark.parametrize("tied", [False, True])
def test_the_top_from_few_rows_is_distributed_as_from_all(tied: bool) -> None:
    rng = np.random.default_rng(0)
    truth, score = rng.random(20_000) < 0.02, rng.normal(0, 1, 20_000)
    score = np.round(score + 2 * truth, 1 if tied else 9)
    p = predictions(truth, y_score=score, task="anomaly", k=200)
    ours = bootstrap_values([(METRICS["precision_at_k"], p), (METRICS["recall_at_k"], p)], 2000)
    theirs = []
    for _ in range(300):
        i = rng.integers(0, 20_000, 20_000)
        first = i[np.lexsort((rng.random(20_000), -score[i]))][:200]
        theirs.append((truth[first].mean(), truth[first].sum() / truth[i].sum()))
    for j, column in enumerate(np.transpose(theirs)):
        if tied:  # drawing lots among ties adds noise to theirs; means agree
            assert ours[:, j].mean() == pytest.approx(column.mean(), rel=0.03)
        else:
            assert agree(ours[:, j], column)


def test_blocks_as_drawing_blocks() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 1, 500)
    for i in range(1, 500):
        noise[i] += 0.7 * noise[i - 1]
    found = bootstrap(np.zeros(500), noise, metrics=["mae", "medae"], task="regression", block=12, n_resamples=2000)
    theirs = []
    for _ in range(600):
        starts = rng.integers(0, 500 - 12 + 1, 42)
        i = (starts[:, None] + np.arange(12)).ravel()[:500]
        theirs.append((np.abs(noise[i]).mean(), np.median(np.abs(noise[i]))))
    assert all(agree(found.samples[:, j], column) for j, column in enumerate(np.transpose(theirs)))
    assert found.scheme == "blocks of 12 rows"
    score = np.clip(0.5 + noise / 10, 0, 1)
    curve = bootstrap((rng.random(500) < score).astype(int), y_score=score, metrics=["roc_auc", "f1"], block=True, n_resamples=50)
    assert curve.scheme == "blocks of 8 rows" and curve["roc_auc"].se > 0


# BCa


@pytest.mark.parametrize("name", ["mae", "rmse", "r2", "f1", "roc_auc", "pr_auc"])
def test_acceleration_as_scipys_jackknife(name: str) -> None:
    from mlnb.evaluation.accelerated import acceleration

    truth, other, p = arguments(name, 8, 120)
    left = np.array([ORACLES[name](np.delete(truth, i), np.delete(other, i)) for i in range(120)])
    given = left.mean() - left
    exact = (given**3).sum() / (6 * (given**2).sum() ** 1.5)
    assert acceleration((METRICS[name], p)) == pytest.approx(exact, abs=0.003)


def test_bca_as_scipy() -> None:
    rng = np.random.default_rng(0)
    error = rng.lognormal(0, 1, 150)
    theirs = stats.bootstrap((error,), np.mean, n_resamples=20_000, method="BCa", random_state=0).confidence_interval
    ours = bootstrap(np.zeros(150), error, metrics="mae", task="regression", n_resamples=20_000)["mae"]
    assert ours.method == "bootstrap, BCa" and (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.08 * ours.se)


def test_acceleration_by_groups_leaves_out_groups() -> None:
    from mlnb.evaluation.accelerated import acceleration

    rng = np.random.default_rng(0)
    whom = np.repeat(np.arange(40), 5)
    error = np.repeat(rng.lognormal(0, 1, 40), 5)
    p = predictions(np.zeros(200), error, task="regression")
    single = predictions(np.zeros(40), error[::5], task="regression")
    assert acceleration((METRICS["mae"], p), whom) == pytest.approx(acceleration((METRICS["mae"], single)), rel=1e-6)
    assert acceleration((METRICS["medae"], p)) == 0


@pytest.mark.parametrize("scene", ["skewed errors, 300 rows", "80 lists", "150 ratings"])
def test_intervals_hold_the_truth_as_often_as_they_say(scene: str) -> None:
    """200 simulations: 95 % within three and a half standard errors; the benchmark of coverage has the finer figures."""
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).parent / "benchmarks"))
    from bench_coverage import simulate

    for _, name, found in simulate(scene, 200, 300):
        assert 0.89 <= found["default"] <= 0.995, (name, found)


# DeLong

_OUTCOME = [int(c) for c in "00001101001011001011101000000000100110110000000001100010001010011101101111000110100000010000000000001111110001000"]
_S100B = [
    0.13, 0.14, 0.1, 0.04, 0.13, 0.1, 0.47, 0.16, 0.18, 0.1, 0.12, 0.1, 0.44, 0.71, 0.04, 0.08, 0.49, 0.04, 0.07, 0.33, 0.09, 0.09, 0.07, 0.11, 0.07,
    0.17, 0.07, 0.11, 0.13, 0.19, 0.05, 0.16, 0.41, 0.14, 0.34, 0.35, 0.48, 0.09, 0.96, 0.25, 0.5, 0.46, 0.16, 0.07, 0.43, 0.45, 0.11, 0.08, 0.09,
    0.86, 0.52, 0.08, 0.06, 0.13, 2.07, 0.1, 0.14, 0.15, 0.07, 0.06, 0.77, 0.05, 0.09, 0.3, 0.03, 0.09, 0.04, 0.23, 0.7, 0.09, 0.27, 0.71, 0.08,
    0.26, 0.08, 0.16, 0.09, 0.13, 0.1, 0.08, 0.11, 0.33, 0.11, 0.28, 0.07, 0.1, 0.32, 0.22, 0.07, 0.05, 0.24, 0.38, 0.1, 0.15, 0.08, 0.14, 0.1, 0.07,
    0.04, 0.19, 0.56, 0.14, 0.58, 0.32, 0.82, 0.74, 0.15, 0.47, 0.17, 0.44, 0.15, 0.5, 0.48,
]  # fmt: skip
_WFNS = [int(c) for c in "11113254125255125225211112121134214541425511241125521251222151125214524414121421232421451154221113125225552445111"]


def test_delong_published() -> None:
    """pROC's aSAH data, its roc.test(s100b, wfns): Z = -2.209, p = 0.02718; its variances and covariance to ten digits."""
    from mlnb.evaluation.delong import auc_covariance, delong_interval, delong_test

    assert (len(_OUTCOME), sum(_OUTCOME), len(_S100B), len(_WFNS)) == (113, 41, 113, 113)
    areas, covariance = auc_covariance(np.array(_OUTCOME), np.array([_S100B, _WFNS], float))
    assert areas == pytest.approx([0.73136856368563685, 0.82367886178861793], rel=1e-12)
    assert np.diag(covariance) == pytest.approx([0.0026686824571724378, 0.0014699147088236264], rel=1e-10)
    assert covariance[0, 1] == pytest.approx(0.0011961556737675448, rel=1e-10)
    found = delong_test(_OUTCOME, _S100B, _WFNS)
    assert (round(found.a, 4), round(found.b, 4), round(found.z, 3), round(found.p, 5)) == (0.7314, 0.8237, -2.209, 0.02718)
    plain = delong_interval(_OUTCOME, _S100B, scale="plain")
    assert (round(plain.low, 4), round(plain.high, 4)) == (0.6301, 0.8326)  # pROC's ci(): 0.6301-0.8326


def test_delong_by_definition_and_against_the_bootstrap() -> None:
    from mlnb.evaluation.delong import auc_covariance, delong_interval, delong_test

    truth, score = rows(11, 400, 1)
    pairs = (score[truth == 1][:, None] > score[truth == 0]) + (score[truth == 1][:, None] == score[truth == 0]) / 2
    by_hand = pairs.mean(axis=1).var(ddof=1) / len(pairs) + pairs.mean(axis=0).var(ddof=1) / pairs.shape[1]
    assert auc_covariance(truth, score[None])[1][0, 0] == pytest.approx(by_hand, rel=1e-12)
    boot = bootstrap(truth, y_score=score, metrics="roc_auc", n_resamples=4000)["roc_auc"]
    assert delong_interval(truth, score).se == pytest.approx(boot.se, rel=0.06)
    other = score + np.random.default_rng(0).normal(0, 0.2, 400)
    gap = paired_difference(truth, score, other, "roc_auc", n_resamples=4000)
    found = delong_test(truth, score, other)
    assert found.difference.se == pytest.approx(gap.interval.se, rel=0.06) and (found.difference.low > 0) == (found.p < 0.05)


def test_delong_of_constant_and_perfect_scores() -> None:
    from mlnb.evaluation.delong import delong_interval, delong_test

    perfect, constant = delong_interval([0, 0, 0, 1, 1, 1], [1, 2, 3, 4, 5, 6]), delong_interval([0, 1, 0, 1], [1, 1, 1, 1])
    assert perfect.value == 1 and perfect.low < 0.6 and constant.value == 0.5 and constant.low < 0.5 < constant.high
    assert delong_test([0, 1, 0, 1], [1, 1, 1, 1], [2, 2, 2, 2]).p == 1


# differences of rates


def test_newcombe_published() -> None:
    """Newcombe (1998): independent 56/70 and 48/80, method 10; paired (1998c), table III, method 10."""
    from mlnb.evaluation.rate_differences import paired_rate_difference, rate_difference

    found = rate_difference(56, 70, 48, 80)
    assert (round(found.low, 4), round(found.high, 4)) == (0.0524, 0.3339)
    published = {(36, 12, 2, 0): (0.0569, 0.3404), (20, 12, 2, 16): (0.0562, 0.3292), (54, 0, 0, 0): (-0.0664, 0.0664)}
    for counts, ends in published.items():
        found = paired_rate_difference(*counts, method="newcombe")
        assert (round(found.low, 4), round(found.high, 4)) == ends


def test_newcombe_as_statsmodels() -> None:
    from statsmodels.stats.proportion import confint_proportions_2indep

    from mlnb.evaluation.rate_differences import rate_difference

    for counts in ((9, 10, 3, 10), (0, 20, 5, 30), (500, 1000, 480, 1000)):
        found = rate_difference(*counts)
        assert (found.low, found.high) == pytest.approx(confint_proportions_2indep(*counts, method="newcomb", compare="diff"), abs=1e-12)


@pytest.mark.parametrize("counts", [(36, 12, 2, 0), (20, 12, 2, 16), (12, 9, 2, 21), (100, 1, 0, 5)])
def test_tango_inverts_the_score_test(counts: tuple[int, int, int, int]) -> None:
    """At each end the score statistic, its nuisance parameter found by maximising the likelihood on a grid, is the normal quantile."""
    from mlnb.evaluation.rate_differences import paired_rate_difference

    _, only_a, only_b, _ = counts
    n, found = sum(counts), paired_rate_difference(*counts)
    for delta in (found.low, found.high):
        q = np.linspace(max(0, -delta), (1 - delta) / 2, 400_001)[1:-1]  # share of pairs that only the second gets right
        likelihood = only_a * np.log(q + delta) + (only_b * np.log(q) if only_b else 0) + (n - only_a - only_b) * np.log1p(-2 * q - delta)
        best = q[likelihood.argmax()]
        z = (only_a - only_b - n * delta) / np.sqrt(n * (2 * best + delta * (1 - delta)))
        assert abs(z) == pytest.approx(1.95996, abs=2e-3)


def test_mcnemar_as_statsmodels() -> None:
    from statsmodels.stats.contingency_tables import mcnemar as sm_mcnemar

    from mlnb.evaluation.rate_differences import mcnemar

    for a, b in ((9, 1), (30, 41), (5, 5)):
        assert mcnemar(a, b) == pytest.approx(sm_mcnemar([[10, a], [b, 10]], exact=True).pvalue)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bootstrap([0.5, 1.5, 2.5], [0, 1, 2], metrics="mae", method="t"), "There is no method 't'"),
        (lambda: bootstrap([0.5, 1.5, 2.5, 3.5], [0, 1, 2, 3], metrics="mae", block=3), "between 1 row and half of them, 2"),
        (lambda: bootstrap([0.5, 1.5, 2.5, 3.5], [0, 1, 2, 3], metrics="mae", block=2, groups=[1, 1, 2, 2]), "not both"),
        (lambda: bootstrap([1, 0, 1, 0], y_score=[0.1, 0.2, 0.3, 0.4], task="ranking", query=[1, 1, 2, 2], block=2), "no meaning"),
    ],
)
def test_ways_to_resample_that_cannot_be(call: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()  # type: ignore[operator]


def test_few_groups_get_wider_intervals_which_hold_the_truth() -> None:
    """Twelve groups: percentiles hold the mean in 91 % of the samples, by theory; two hundred simulations."""
    assert widened(0.95, 12) == pytest.approx(1 - 2 * stats.norm.cdf(-np.sqrt(12 / 11) * stats.t.isf(0.025, 11)))
    whom, hits = np.arange(36) // 3, np.zeros(2)
    for seed in range(200):
        rng = np.random.default_rng(seed)
        error = np.repeat(rng.normal(0, 1, 12), 3) + 10
        p = predictions(np.zeros(36), error, task="regression")
        samples = bootstrap_values([(METRICS["mae"], p)], 250, seed, groups=whom)[:, 0]
        plain = percentile_interval("mae", error.mean(), samples, 0.95)
        wide = method_interval((METRICS["mae"], p), error.mean(), samples, 0.95, "percentile", whom)
        hits += [i.low <= 10 <= i.high for i in (plain, wide)]
    assert hits[0] / 200 < 0.94 and 0.92 <= hits[1] / 200 <= 0.985 and hits[1] > hits[0]


# influences


@pytest.mark.parametrize("digits", [8, 2])
def test_influences_are_derivatives_by_weight_whatever_the_ties(digits: int) -> None:
    truth, score = rows(3, 250, digits)
    three = np.random.default_rng(4).multinomial(10**digits, [0.5, 0.3, 0.2], 250) / 10**digits
    of_three = (three.cumsum(axis=1) - 1e-9 < np.random.default_rng(5).random((250, 1))).sum(axis=1).clip(0, 2)
    tasks = {"roc_auc": (truth, score, {}), "pr_auc": (truth, score, {}), "roc_auc_ovr": (of_three, three, {"classes": [0, 1, 2], "task": "multiclass"})}
    for name, (y, given, more) in tasks.items():
        found = influences(name, predictions(y, y_score=given, **more))
        for k in range(0, 250, 25):
            up, down = (METRICS[name].of(predictions(y, y_score=given, sample_weight=np.where(np.arange(250) == k, 1 + s, 1.0), **more)) for s in (0.01, -0.01))
            assert (up - down) / 0.02 * 250 == pytest.approx(found[k], abs=2e-3), (name, k)
        assert abs(found.mean()) < 1e-9


def test_sums_of_influences_are_distributed_as_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    from mlnb.evaluation import influence

    truth, score = rows(7, 36_000)
    p = predictions(truth, y_score=score)
    whom = np.arange(36_000) // 2
    for groups in (None, whom):
        jobs, exact = [(METRICS[name], p) for name in ("roc_auc", "pr_auc")], None
        for large in (10**9, 1000):
            monkeypatch.setattr(influence, "LARGE", large)
            made = bootstrap_values(jobs, 400, large % 7, groups=groups)
            assert exact is None or all(agree(a, b) for a, b in zip(exact.T, made.T, strict=True))
            assert exact is None or not np.array_equal(exact, made)
            exact = made


def test_few_rows_of_a_class_or_few_groups_are_resampled(monkeypatch: pytest.MonkeyPatch) -> None:
    from mlnb.evaluation import bootstrap as module
    from mlnb.evaluation import influence

    monkeypatch.setattr(influence, "LARGE", 1000)
    monkeypatch.setattr(module, "_run_influences", lambda *_: pytest.fail("summed"))
    truth, score = rows(8, 30_000)
    bootstrap_values([(METRICS["roc_auc"], predictions(truth, y_score=score))], 3, groups=np.arange(30_000) // 20)
    bootstrap_values([(METRICS["roc_auc"], predictions((truth == 1) & (np.arange(30_000) < 3000), y_score=score))], 3)
