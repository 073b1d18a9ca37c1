"""Calibration of classes, quantities and quantiles by hand and against scikit-learn, statsmodels and SciPy; false alarms; what corrections gain; bad input."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss
from typer.testing import CliRunner

from mlnb.cli import app
from mlnb.core.errors import InputError
from mlnb.evaluation.calibration import calibration, recalibrate
from mlnb.evaluation.calibration_parts import calibration_page, calibration_parts
from mlnb.evaluation.class_reliability import class_calibration
from mlnb.evaluation.corrections import Correction, fit_correction
from mlnb.evaluation.evaluate import Evaluation, evaluate
from mlnb.evaluation.predictions import predictions
from mlnb.evaluation.quantile_reliability import pit_calibration, quantile_calibration
from mlnb.evaluation.value_reliability import value_calibration


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


def three(seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    prob = rng.dirichlet([2, 1, 0.7], n)
    return np.array(list("abc"))[(rng.random(n)[:, None] > prob.cumsum(axis=1)).sum(axis=1).clip(0, 2)], prob


def cubed(prob: np.ndarray, power: float = 2.0) -> np.ndarray:
    return prob**power / (prob**power).sum(axis=1, keepdims=True)


def test_classes_one_by_one_are_as_two_classes_are() -> None:
    truth, prob = three(0, 900)
    found = class_calibration(truth, prob)
    for k, name in enumerate("abc"):
        alone = calibration((truth == name).astype(int), prob[:, k])
        assert found.classes[name].ece == pytest.approx(alone.ece) and found.classes[name].slope == pytest.approx(alone.slope)
        rate, mean = calibration_curve(truth == name, prob[:, k], n_bins=10, strategy="quantile")
        assert np.allclose(found.classes[name].bins.observed, rate, atol=0.03) and np.allclose(found.classes[name].bins.predicted, mean, atol=0.01)
    assert found.ece == pytest.approx(np.mean([c.ece for c in found.classes.values()]))
    assert found.brier == pytest.approx(brier_score_loss(truth, prob, labels=list("abc"), scale_by_half=False))
    parts = found.parts
    assert found.brier == pytest.approx(parts["reliability"] - parts["resolution"] + parts["uncertainty"] + parts["within bins"])
    json.dumps(found.to_dict(), allow_nan=False)


def test_a_class_that_is_off_is_found_behind_a_good_first_choice() -> None:
    truth, prob = three(1, 4000)
    mixed = prob.copy()
    mixed[:, 1], mixed[:, 2] = prob[:, 1] * 0.6, prob[:, 2] + prob[:, 1] * 0.4
    found = class_calibration(truth, mixed)
    assert found.verdicts["a"] == "pass" and found.status == "fail" and found.verdicts["c"] == "fail"
    assert "c: " in found.finding.message and "too high on average" in found.finding.message


def test_many_curves_raise_no_false_alarm() -> None:
    """Sixteen perfectly calibrated models of six classes, 112 curves: hardly one model is warned of."""
    status = []
    for seed in range(16):
        rng = np.random.default_rng(seed)
        prob = rng.dirichlet(np.full(6, 0.5), 150)
        truth = (rng.random(150)[:, None] > prob.cumsum(axis=1)).sum(axis=1).clip(0, 5)
        status.append(class_calibration(predictions(truth, y_score=prob, task="multiclass", classes=range(6)), n_simulations=100).status)
    assert status.count("pass") >= 15


def test_absent_classes_and_few_rows_are_said() -> None:
    found = class_calibration(["a", "b", "a", "b", "a", "a"], np.tile([0.5, 0.3, 0.2], (6, 1)), classes=["a", "b", "c"])
    assert found.absent == ("c",) and "No row is c" in found.finding.message and np.isnan(found.classes["c"].slope)
    assert len(found.top.bins.count) == 1 and found.classes["c"].ece == pytest.approx(0.2)
    json.dumps(found.to_dict(), allow_nan=False)
    assert "<img" in found._repr_html_()


def test_values_by_hand() -> None:
    truth, value = [1.0, 3.0, 2.0, 6.0, 8.0, 10.0], [1.0, 2.0, 3.0, 6.0, 7.0, 8.0]
    found = value_calibration(truth, value, n_bins=2)
    # first three: 2 and 2; last three: 7 and 8
    assert found.ece == pytest.approx(0.5) and found.parts["reliability"] == pytest.approx(0.5)
    assert found.parts["resolution"] == pytest.approx(9) and found.parts["uncertainty"] == pytest.approx(np.var(truth))
    assert found.mse == pytest.approx(np.mean((np.array(truth) - value) ** 2))
    assert found.high[1] - 8 == pytest.approx(4.302653 * 2 / np.sqrt(3), rel=1e-6)  # Student's, two degrees of freedom
    assert found.bias[0] == pytest.approx(-0.5)


def test_the_line_of_values_as_statsmodels() -> None:
    rng = np.random.default_rng(0)
    value = rng.gamma(2, 3, 400)
    truth = 1 + 0.8 * value + rng.normal(size=400) * value
    found = value_calibration(truth, value)
    model = sm.OLS(truth, sm.add_constant(value)).fit(cov_type="HC1", use_t=True)
    assert (found.intercept[0], found.slope[0]) == pytest.approx(tuple(model.params))
    assert np.allclose([found.intercept[1:], found.slope[1:]], model.conf_int(), rtol=1e-6)


def test_calibrated_values_are_left_alone_and_others_are_not() -> None:
    status = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        value = rng.gamma(3, 2, (60, 400)[seed % 2])
        status.append(value_calibration(value * rng.gamma(2, 0.5, len(value)), value, n_simulations=300).status)
    assert status.count("warn") <= 3
    rng = np.random.default_rng(0)
    value = rng.gamma(3, 2, 2000)
    assert value_calibration(value + rng.normal(size=2000), value + 1).status == "warn"
    assert "too high on average" in value_calibration(value + rng.normal(size=2000), value + 1).finding.message
    flat = value_calibration(value, np.full(2000, value.mean()))
    assert flat.status == "pass" and np.isnan(flat.slope[0]) and flat.ece == pytest.approx(0, abs=1e-9)
    json.dumps(flat.to_dict(), allow_nan=False)
    few = value_calibration([1.0, 2.5], [1.0, 2.0])
    assert few.status == "pass" and few.n == 2
    json.dumps(few.to_dict(), allow_nan=False)


def test_quantiles_by_hand() -> None:
    truth = np.arange(10.0)
    found = quantile_calibration(truth, {0.1: np.full(10, 2.5), 0.5: np.full(10, 4.5), 0.9: np.full(10, 7.5)})
    assert found.observed.tolist() == pytest.approx([0.3, 0.5, 0.8]) and found.ece == pytest.approx(0.1) and found.kuleshov == pytest.approx(0.05)
    assert found.pit.tolist() == pytest.approx([3, 2, 3, 2])
    (held,) = found.intervals
    assert (held["nominal"], held["observed"], held["width"]) == pytest.approx((0.8, 0.5, 5.0))
    assert held["score"] == pytest.approx(5 + (2.5 + 1.5 + 0.5 + 0.5 + 1.5) / 0.1 / 10)
    from sklearn.metrics import mean_pinball_loss

    assert found.pinball["0.1"] == pytest.approx(mean_pinball_loss(truth, np.full(10, 2.5), alpha=0.1))


def test_where_the_truth_falls_is_the_same_by_quantiles_and_by_distribution() -> None:
    from scipy.stats import norm

    rng = np.random.default_rng(0)
    centre = rng.normal(size=1500)
    truth, levels = centre + rng.normal(size=1500), (0.1, 0.3, 0.5, 0.7, 0.9)
    one = pit_calibration(norm.cdf(truth, centre, 1.3), levels)
    other = quantile_calibration(truth, {tau: norm.ppf(tau, centre, 1.3) for tau in levels})
    assert np.allclose(one.observed, other.observed) and one.ece == pytest.approx(other.ece) and one.p_value == other.p_value
    assert one.status == "warn" and "too wide" in one.finding.message and np.allclose(one.pit, other.pit)
    late = pit_calibration(norm.cdf(truth, centre + 0.5, 1), levels)
    assert "lower than predicted throughout" in late.finding.message


def test_counts_that_equal_their_quantile_are_no_fault() -> None:
    from scipy.stats import poisson

    rng = np.random.default_rng(0)
    mean = rng.gamma(2, 1, 4000)
    truth = rng.poisson(mean).astype(float)
    found = quantile_calibration(truth, {tau: poisson.ppf(tau, mean) for tau in (0.1, 0.5, 0.9)})
    assert found.status == "pass"
    assert quantile_calibration(truth, {0.1: mean + 9, 0.9: mean}).crossed == 4000


def test_calibrated_quantiles_are_left_alone() -> None:
    p = [pit_calibration(np.random.default_rng(seed).random(80), n_simulations=400).p_value for seed in range(200)]
    assert 0.02 <= np.mean(np.array(p) <= 0.1) <= 0.18, "p-values are even"


def test_temperature_as_the_likelihood_says() -> None:
    truth, prob = three(2, 6000)
    codes = np.searchsorted(list("abc"), truth)
    found = fit_correction(codes, cubed(prob, 2.5), "temperature", "multiclass")
    assert found.temperature == pytest.approx(2.5, abs=0.15)
    kept = Correction.from_dict(json.loads(json.dumps(found.to_dict())))
    assert np.allclose(kept.transform(cubed(prob, 2.5)), found.transform(cubed(prob, 2.5)))

    def likelihood(t: float) -> float:
        return float(np.log(cubed(cubed(prob, 2.5), 1 / t)[np.arange(6000), codes]).mean())

    assert likelihood(found.temperature) > max(likelihood(found.temperature * 1.02), likelihood(found.temperature / 1.02))


@pytest.mark.parametrize("method", ["temperature", "isotonic", "sigmoid", ""])
def test_classes_are_repaired(method: str) -> None:
    truth, prob = three(3, 2000)
    found = recalibrate(truth, cubed(prob), method)
    assert found.worth_it and found.before.status == "fail" and found.after.status == "pass"
    assert np.allclose(found.transform(cubed(prob)).sum(axis=1), 1)
    assert method or recalibrate(truth, prob).gain.high > 0
    json.dumps(found.to_dict(), allow_nan=False)


def test_one_against_the_rest_as_scikit_learn() -> None:
    from sklearn.isotonic import IsotonicRegression

    truth, prob = three(4, 800)
    codes = np.searchsorted(list("abc"), truth)
    ours = fit_correction(codes, prob, "isotonic", "multiclass").transform(prob)
    theirs = np.column_stack([IsotonicRegression(y_min=0, y_max=1).fit(prob[:, k], codes == k).predict(prob[:, k]) for k in range(3)])
    assert np.allclose(ours, theirs / theirs.sum(axis=1, keepdims=True))


def test_quantities_are_repaired_and_lines_go_on() -> None:
    rng = np.random.default_rng(0)
    value = rng.gamma(3, 2, 2000)
    truth = 2 + 1.5 * value + rng.normal(size=2000)
    found = recalibrate(truth, value, task="regression")
    assert found.method == "linear" and found.worth_it and found.after.status == "pass"
    assert found.transform([0.0, 1000.0]) == pytest.approx([2, 1502], rel=0.05)
    bent = recalibrate(truth**2, value, task="regression")
    assert bent.method == "isotonic" and bent.worth_it


def test_corrections_of_good_predictions_are_hardly_ever_praised() -> None:
    """Where nothing is wrong, trying every method and keeping the best must not find a gain: at most two of 40 may."""
    praised = 0
    for seed in range(40):
        truth, prob = rows(seed, 250)
        praised += recalibrate(truth, prob, n_bins=5, random_state=seed).gain.high < 0
    assert praised <= 2


def test_the_interval_of_the_gain_covers_what_new_rows_gain() -> None:
    """The gain of a correction on twenty thousand new rows lies in the interval about as often as promised."""
    held, (new, tidy) = 0, rows(999, 20_000)
    for seed in range(40):
        truth, prob = rows(seed, 600)
        found = recalibrate(truth, sharpened(prob, 1.6), "sigmoid", random_state=seed)
        real = np.mean((found.transform(sharpened(tidy, 1.6)) - new) ** 2) - np.mean((sharpened(tidy, 1.6) - new) ** 2)
        held += found.gain.low <= real <= found.gain.high
    assert held >= 34


def test_entities_are_kept_together() -> None:
    """A hundred customers with twenty equal rows each: rows on their own look surer than they are."""
    rng = np.random.default_rng(0)
    prob = np.repeat(rng.beta(1, 2, 100), 20)
    truth, whom = np.repeat((rng.random(100) < sharpened(prob[::20], 0.7)).astype(int), 20), np.repeat(np.arange(100), 20)
    alone, together = recalibrate(truth, prob, "sigmoid"), recalibrate(truth, prob, "sigmoid", groups=whom)
    assert together.gain.high - together.gain.low > 3 * (alone.gain.high - alone.gain.low)
    with pytest.raises(InputError, match="cannot be dealt"):
        recalibrate(truth, prob, "sigmoid", groups=np.repeat([0, 1], 1000))


def test_an_evaluation_holds_the_calibration_of_every_task() -> None:
    rng = np.random.default_rng(0)
    truth, prob = three(5, 600)
    binary, sharp = rows(5, 600)
    value = rng.gamma(3, 2, 600)
    made = {"multiclass": evaluate(predictions(truth, y_score=cubed(prob)), n_resamples=20),
            "binary": evaluate(predictions(binary, y_score=sharpened(sharp)), n_resamples=20),
            "regression": evaluate(predictions(value + rng.normal(size=600), value, task="regression"), n_resamples=20,
                                   quantiles={0.1: value - 0.5, 0.9: value + 0.5})}  # fmt: skip
    for task, e in made.items():
        e = Evaluation.from_dict(json.loads(json.dumps(e.to_dict(), allow_nan=False)))
        found, page = e.findings.get("EVAL10"), calibration_page(e.calibration, e.calibrated)
        assert found.status.value == "fail" and "<img" in page and "Would a correction help?" in page
        assert e.calibration["recalibration"]["worth_it"] == (task != "regression")
    assert "Would a correction help?" in made["binary"]._repr_html_()
    assert "too narrow" in made["regression"].calibrated["message"] and "interval of" in calibration_page(made["regression"].calibration, made["regression"].calibrated)


def test_what_cannot_be_calibrated_says_why() -> None:
    truth, prob = rows(5, 300)
    none = calibration_parts(predictions(truth, y_score=prob * 7))
    assert set(none) == {"calibrated"} and none["calibrated"]["status"] == "not_checked" and "between 0 and 1" in none["calibrated"]["message"]
    assert calibration_parts(predictions(truth, prob > 0.5)) == {}
    tiny = calibration_parts(predictions([0, 1, 1, 0, 1], y_score=[0.1, 0.7, 0.8, 0.4, 0.9]))
    assert "smaller class has rows, 2" in tiny["calibration"]["recalibration"]["why_not"]
    assert "Not tried" in calibration_page(tiny["calibration"], tiny["calibrated"])
    one = calibration_parts(predictions(np.ones(60, int), y_score=np.linspace(0.5, 1, 60), classes=[0, 1], positive=1))
    assert "smaller class has rows, 0" in one["calibration"]["recalibration"]["why_not"]
    json.dumps(one, allow_nan=False)
    assert "no probabilities" in calibration_page({}, {})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: class_calibration(predictions([0, 1], y_score=[0.1, 0.9])), "this is a binary task"),
        (lambda: class_calibration(["a", "b", "c"], [[0.5, 0.4, 0.3]] * 3), "add up to 1"),
        (lambda: value_calibration([1.0, 2.0], [np.inf, 1.0]), "infinite"),
        (lambda: value_calibration(predictions([0, 1], y_score=[0.1, 0.9])), "there is `calibration`"),
        (lambda: quantile_calibration([1.0, 2.0], {}), "Levels of quantiles"),
        (lambda: quantile_calibration([1.0, 2.0], {1.0: [1, 2]}), "Levels of quantiles"),
        (lambda: quantile_calibration([1.0, 2.0], {0.5: [1, np.nan]}), "missing"),
        (lambda: pit_calibration([0.5, -0.1]), "between 0 and 1"),
        (lambda: recalibrate([1.5, 2.5, 3.5, 4.5], [1, 2, 3, 4], task="regression"), "pairs of rows, 2"),
        (lambda: recalibrate([0, 1] * 9, [0.2, 0.3] * 9, "temperature"), "for a binary task"),
    ],
)
def test_bad_input_of_the_others_is_explained(call: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()  # type: ignore[operator]


def test_the_command_holds_predicted_quantiles_against_what_happened(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    middle = 3 * rng.normal(size=600)
    frame = pd.DataFrame({"y": middle + rng.normal(size=600), "p": middle, "low": middle - 1.2816, "high": middle + 1.2816, "narrow": middle + 0.2})
    frame.to_csv(tmp_path / "q.csv", index=False)
    given = ["evaluate", "--data", str(tmp_path / "q.csv"), "--target", "y", "--prediction", "p", "--resamples", "100", "--json", "--quantile", "0.1=low"]
    honest, wrong = (json.loads(CliRunner().invoke(app, [*given, "--quantile", f"0.9={name}"]).stdout) for name in ("high", "narrow"))
    status = [next(f["status"] for f in found["findings"] if f["code"] == "EVAL10") for found in (honest, wrong)]
    assert status == ["pass", "fail"] and [q["level"] for q in honest["calibration"]["spread"]["quantiles"]] == [0.1, 0.9]
    for words in ("0.1:low", "2=low", "=low", "0.5="):
        answer = CliRunner().invoke(app, [*given[:-1], words])
        assert answer.exit_code == 2 and "LEVEL=COLUMN" in answer.stdout + answer.stderr
