"""Calibration by hand and against scikit-learn and statsmodels; false alarms; recalibration; bad input."""

from __future__ import annotations

import json

import numpy as np
import pytest
import statsmodels.api as sm
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from mlnb.core.errors import InputError
from mlnb.evaluation.calibration import calibration, recalibrate


def rows(seed: int, n: int, b: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    prob = rng.beta(1, b, n)
    return (rng.random(n) < prob).astype(int), prob


def sharpened(prob: np.ndarray, power: float = 2.0) -> np.ndarray:
    return prob**power / (prob**power + (1 - prob) ** power)


def test_ece_by_hand() -> None:
    truth = [0, 0, 1, 1, 0, 1, 1, 1, 1, 0]
    prob = [0.1, 0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.7, 0.9, 0.9]
    found = calibration(truth, prob, n_bins=2)
    # first five: mean 0.22, rate 0.4; last five: mean 0.76, rate 0.8
    assert found.ece == pytest.approx((0.18 + 0.04) / 2)
    assert found.brier == pytest.approx(brier_score_loss(truth, prob))
    assert found.parts["reliability"] == pytest.approx((0.18**2 + 0.04**2) / 2)
    assert found.parts["resolution"] == pytest.approx(0.2**2)
    assert found.parts["uncertainty"] == pytest.approx(0.6 * 0.4)


@pytest.mark.parametrize("n_bins", [2, 5, 10, 40])
def test_as_scikit_learn_and_the_parts_add_up(n_bins: int) -> None:
    truth, prob = rows(0, 1000)
    found = calibration(truth, prob, n_bins=n_bins)
    rate, mean = calibration_curve(truth, prob, n_bins=n_bins, strategy="quantile")
    assert np.allclose(found.bins.observed, rate, atol=0.03) and np.allclose(found.bins.predicted, mean, atol=0.01)
    assert found.bins.count.tolist() == [1000 // n_bins] * n_bins
    parts = found.parts
    assert found.brier == pytest.approx(
        parts["reliability"] - parts["resolution"] + parts["uncertainty"] + parts["within bins"]
    )
    assert found.ece == pytest.approx(np.abs(found.bins.observed - found.bins.predicted).mean())


def test_murphy_is_exact_where_probabilities_are_constant_in_bins() -> None:
    rng = np.random.default_rng(0)
    prob = rng.choice([0.1, 0.5, 0.9], 600)
    truth = (rng.random(600) < prob).astype(int)
    found = calibration(truth, prob, n_bins=10)
    assert len(found.bins.count) == 3 and found.parts["within bins"] == pytest.approx(0, abs=1e-12)
    assert found.bins.predicted.tolist() == pytest.approx([0.1, 0.5, 0.9])


def test_slope_as_statsmodels() -> None:
    truth, prob = rows(3, 2000)
    prob = np.clip(prob, 0.01, 0.99)
    odds = np.log(prob / (1 - prob))
    model = sm.Logit(truth, sm.add_constant(2 * odds)).fit(disp=0)
    found = calibration(truth, sharpened(prob))
    assert (found.intercept, found.slope) == pytest.approx(tuple(model.params), rel=1e-5)
    assert found.slope == pytest.approx(0.5, abs=0.07)


def test_perfect_models_are_left_alone() -> None:
    """Of 60 perfectly calibrated models, small and large, rare and not, hardly any is even warned of."""
    status = []
    for seed in range(60):
        truth, prob = rows(seed, (60, 300, 3000)[seed % 3], (2, 15)[seed % 2])
        if 0 < truth.sum() < len(truth):
            status.append(calibration(truth, prob, n_simulations=300).status)
    assert status.count("fail") == 0 and status.count("warn") <= 3


def test_chance_does_not_depend_on_grouping_rows() -> None:
    truth, prob = rows(1, 5000)
    found = calibration(truth, prob, n_simulations=2000)
    rng = np.random.default_rng(0)
    each = [
        np.abs(np.bincount(found.bins.code, rng.random(5000) < prob) / found.bins.count - found.bins.predicted).mean()
        for _ in range(1000)
    ]
    assert found.ece_by_chance == pytest.approx(np.mean(each), rel=0.04)


def test_miscalibration_is_found_and_named() -> None:
    truth, prob = rows(4, 4000)
    extreme, cautious = calibration(truth, sharpened(prob)), calibration(truth, sharpened(prob, 0.4))
    assert extreme.status == cautious.status == "fail"
    finding = extreme.findings[0]
    assert finding.code == "EVAL10" and "too extreme" in finding.message and "p < 0.001" in finding.message
    assert "too cautious" in cautious.findings[0].message
    json.dumps(extreme.to_dict(), allow_nan=False)
    assert "<img" in extreme._repr_html_() and len(extreme.frame()) == 10


def test_classes_are_judged_by_the_most_probable() -> None:
    rng = np.random.default_rng(0)
    prob = rng.dirichlet([1, 1, 1], 3000)
    truth = np.array(list("abc"))[[rng.choice(3, p=row) for row in prob]]
    good = calibration(truth, prob)
    assert good.of == "the most probable class" and good.status == "pass"
    sharp = prob**3 / (prob**3).sum(axis=1, keepdims=True)
    assert calibration(truth, sharp).status == "fail"


def test_positive_label_and_constant_probabilities() -> None:
    truth, prob = rows(5, 500)
    named = np.where(truth == 1, "churned", "stayed")
    assert calibration(named, prob, positive="churned").ece == calibration(truth, prob).ece
    flat = calibration(truth, np.full(500, truth.mean()))
    assert flat.ece == pytest.approx(0) and flat.status == "pass" and np.isnan(flat.slope)
    json.dumps(flat.to_dict(), allow_nan=False)


@pytest.mark.parametrize("method", ["isotonic", "sigmoid"])
def test_recalibration_repairs_and_says_so(method: str) -> None:
    truth, prob = rows(6, 5000)
    found = recalibrate(truth, sharpened(prob), method)
    assert found.worth_it and found.before.status == "fail" and found.after.status == "pass"
    assert found.gain.high < 0 and "correction brings the error" in found.findings[0].message
    new, tidy = rows(7, 5000)
    assert calibration(new, found.transform(sharpened(tidy))).status == "pass"
    assert np.all(np.diff(found.transform(np.linspace(0, 1, 200))) >= 0)
    json.dumps(found.to_dict(), allow_nan=False)


def test_recalibration_of_a_good_model_is_not_praised() -> None:
    truth, prob = rows(8, 2000)
    found = recalibrate(truth, prob)
    assert not found.worth_it and "would not help" in found.findings[0].message


def test_cross_fitting_does_not_flatter() -> None:
    """Isotonic regression on its own rows makes noise look informative; the cross-fitted result must not."""
    rng = np.random.default_rng(0)
    truth, noise = rng.integers(0, 2, 600), rng.random(600)
    found = recalibrate(truth, noise, "isotonic")
    assert found.after.brier > 0.25  # a constant 0.5 would have 0.25
    assert np.mean((found.transform(noise) - truth) ** 2) < 0.25  # fitted and judged on the same rows


def test_sigmoid_survives_separation() -> None:
    truth, prob = np.repeat([0, 1], 50), np.concatenate([np.linspace(0.1, 0.4, 50), np.linspace(0.6, 0.9, 50)])
    assert np.isfinite(recalibrate(truth, prob, "sigmoid").transform([0.0, 0.5, 1.0])).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: calibration([0, 1], [0.2, 1.2], n_bins=2), "between 0 and 1"),
        (lambda: calibration([0, 1], [0.2, np.nan]), "missing values"),
        (lambda: calibration([1, 1], [0.2, 0.3]), "one value only"),
        (lambda: calibration([0, 1, 1], [0.2, 0.3]), "y_score has 2 rows"),
        (lambda: calibration([0.5, 1.5, 2.25], [0.2, 0.3, 0.4]), "this is a regression task"),
        (lambda: calibration([0, 1], [0.2, 0.3], n_bins=10), "n_bins must be between 2 and"),
        (lambda: calibration([0, 1] * 9, [0.2, 0.3] * 9, level=1.5), "level must be"),
        (lambda: recalibrate([0, 1] * 9, [0.2] * 18), "All predictions are 0.2"),
        (lambda: recalibrate([0] * 9 + [1], np.linspace(0, 1, 10)), "smaller class has rows, 1"),
        (lambda: recalibrate([0, 1], [0.2, 0.3], "platt"), "There is no method 'platt'"),
    ],
)
def test_bad_input_is_explained(call: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()  # type: ignore[operator]
