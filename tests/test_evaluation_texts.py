"""Texts against sacreBLEU and rouge-score, agreement against published tables and scikit-learn, generation as a whole."""

from __future__ import annotations

import random

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import fleiss_kappa as sm_fleiss

from mlnb.core.errors import InputError
from mlnb.evaluation.agreement import agreement, alpha_of, cohen_kappa, coincidences, fleiss_kappa
from mlnb.evaluation.generation import evaluate_texts
from mlnb.evaluation.text_scores import text_scores
from mlnb.evaluation.texts import bleu_counts, bleu_of, chrf_counts, chrf_of


def texts() -> tuple[list[str], list[list[str]]]:
    r = random.Random(0)
    words = 'the a cat dog sat on mat. Hello, world! it\'s 3.5 1,000 dollars U.S. well-known (yes) "no" running quickly'.split()
    own = [" ".join(r.choices(words, k=r.randint(1, 25))) for _ in range(60)]
    right = [[" ".join(w if r.random() < 0.7 else r.choice(words) for w in t.split()[: r.randint(1, 30)]), " ".join(r.choices(words, k=10))] for t in own]
    return own, right


def test_corpus_scores_as_sacrebleu() -> None:
    """Values of sacreBLEU 2.6 for the same texts."""
    own, right = texts()
    found = evaluate_texts(own, right)
    assert found.scores["bleu"].value == pytest.approx(45.485474847180825, abs=1e-10)
    assert found.scores["chrf"].value == pytest.approx(62.76749641269292, abs=1e-10)
    assert float(bleu_of(bleu_counts("a b c x y z", ["a b c d e f g h"]))) == pytest.approx(21.64910073203448)  # smoothed
    assert bleu_of(bleu_counts("the cat", ["a dog"])) == 0 and chrf_of(chrf_counts("", ["a"])) == 0


def test_rouge_l_as_rouge_score() -> None:
    assert text_scores(*texts())["rouge_l"].mean() == pytest.approx(0.647251594826542, abs=1e-12)


def test_corpus_bleu_resamples_whole_texts() -> None:
    own, right = texts()
    counts = np.array([bleu_counts(t, r) for t, r in zip(own, right, strict=True)])
    rng = np.random.default_rng(0)
    by_hand = [float(bleu_of(counts[rng.integers(0, 60, 60)].sum(axis=0))) for _ in range(1000)]
    found = evaluate_texts(own, right).scores["bleu"]
    assert found.se == pytest.approx(np.std(by_hand), rel=0.12)


@pytest.mark.parametrize("weights", [None, "linear", "quadratic"])
def test_cohen_as_scikit_learn(weights: str | None) -> None:
    rng = np.random.default_rng(0)
    a = rng.integers(0, 4, 200)
    b = np.where(rng.random(200) < 0.6, a, rng.integers(0, 4, 200))
    counts = np.bincount(a * 4 + b, minlength=16).reshape(4, 4)
    assert cohen_kappa(counts, weights) == pytest.approx(cohen_kappa_score(a, b, weights=weights), abs=1e-12)


def test_fleiss_published() -> None:
    """The example of Fleiss (1971) as it is retold: ten subjects, fourteen raters, kappa 0.210."""
    counts = np.array([[0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1], [7, 7, 0, 0, 0], [3, 2, 6, 3, 0],
                       [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7]])  # fmt: skip
    assert round(fleiss_kappa(counts), 3) == 0.21 and fleiss_kappa(counts) == pytest.approx(sm_fleiss(counts))


def test_krippendorff_published() -> None:
    """Krippendorff (2011), section D: four observers, twelve units, gaps."""
    n = -1
    codes = np.array([[0, 1, 2, 2, 1, 0, 3, 0, 1, n, n, n], [0, 1, 2, 2, 1, 1, 3, 0, 1, 4, n, 2],
                      [n, 2, 2, 2, 1, 2, 3, 1, 1, 4, 0, n], [0, 1, 2, 2, 1, 3, 3, 0, 1, 4, 0, n]]).T  # fmt: skip
    sums, values = coincidences(codes, 5).sum(axis=0), np.arange(1, 6)
    assert [round(float(alpha_of(sums, values, s)), 3) for s in ("nominal", "ordinal", "interval")] == [0.743, 0.815, 0.849]
    given = np.where(codes < 0, np.nan, codes + 1.0)
    found = agreement(given, "interval")
    assert round(found.alpha.value, 3) == 0.849 and found.kappa is None and found.items == 11


def test_agreement_of_coins_is_none() -> None:
    coins = np.random.default_rng(0).integers(0, 2, (300, 4))
    found = agreement(coins, "nominal")
    assert found.alpha.low < 0 < found.alpha.high and abs(found.kappa.value) < 0.1 and "not surely" in found.verdict
    assert agreement(np.repeat(coins[:, :1], 3, axis=1), "nominal").alpha.value == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: evaluate_texts(["a"], ["a", "b"]), "1 texts and 2 references"),
        (lambda: evaluate_texts([], []), "there has to be a text"),
        (lambda: evaluate_texts(["a", None], ["a", "b"]), "Text 1 is None"),
        (lambda: evaluate_texts(["a"], [[]]), "Text 0"),
        (lambda: evaluate_texts(["a", "b"], ["a", "b"], [1]), "2 texts and ratings of 1"),
        (lambda: evaluate_texts(["a", "b"], ["a", "b"], ["good", "bad"]), "Ratings are numbers"),
        (lambda: evaluate_texts(["a", "b"], ["a", "b"], [1, np.nan]), "1 texts have no rating, the first in row 1"),
        (lambda: agreement([[1, 2], [2, 2]], "ordnal"), "Did you mean 'ordinal'"),
        (lambda: agreement([[1], [2]]), "at least two raters"),
        (lambda: agreement([[1, 1], [1, 1]]), "two different labels"),
        (lambda: cohen_kappa(np.eye(2), "cubic"), "weights is None"),
    ],
)
def test_bad_input_is_explained(call: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()  # type: ignore[operator]


def test_a_text_rated_by_one_person_has_no_agreement() -> None:
    found = evaluate_texts(["a b", "c", "d e"], ["a b", "d", "e"], [5, 1, 3])
    assert found.agreement is None and found.rating.value == 3 and "One rating a text" in found._repr_html_()
    assert found.follows["rouge_l"] > 0.9 and "Nobody rated" in evaluate_texts(["a"], ["a"])._repr_html_()
