"""Every planted truth of the examples, found again by means that do not know how it was planted."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import calibration_curve
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict

from mlnb.core.errors import InputError
from mlnb.datasets import churn_batches, load_example, make_churn, split_at_drift

SEEDS = (0, 1, 2)
LATER = ["customer_id", "snapshot_date", "last_feedback", "final_invoice_days", "churned"]  # not for a model as they are


@pytest.fixture(scope="module")
def churn():
    return make_churn()


@pytest.fixture(scope="module")
def features(churn):
    frame = churn.data.drop(columns=LATER)
    return frame.assign(**{name: frame[name].astype("category") for name in frame if not pd.api.types.is_numeric_dtype(frame[name])})


@pytest.fixture(scope="module")
def predicted(churn, features):
    model = HistGradientBoostingClassifier(max_iter=120, max_depth=4, learning_rate=0.08, categorical_features="from_dtype",
                                           random_state=0)
    return cross_val_predict(model, features, churn.data["churned"], cv=GroupKFold(5), groups=churn.data["customer_id"],
                             method="predict_proba")[:, 1]


def test_the_same_seed_gives_the_same_table_and_another_seed_another():
    assert make_churn(500, seed=7).data.equals(make_churn(500, seed=7).data)
    assert make_churn(500, seed=7).truths == make_churn(500, seed=7).truths
    assert not make_churn(500, seed=7).data.equals(make_churn(500, seed=8).data)


@pytest.mark.parametrize("n", [200, 333, 2000])
def test_the_number_of_rows_is_the_one_asked_for(n):
    data, truths = make_churn(n)
    assert len(data) == n == len(truths.probability)
    assert list(data.index) == list(range(n))


def test_too_few_rows_are_refused():
    with pytest.raises(InputError, match="at least 200"):
        make_churn(199)


@pytest.mark.parametrize("seed", SEEDS)
def test_rate_and_best_auc_are_in_the_documented_range(seed):
    data, truths = make_churn(seed=seed)
    assert 0.20 <= truths.churn_rate <= 0.25
    assert data["churned"].mean() == truths.churn_rate
    assert 0.80 <= truths.best_auc <= 0.86
    assert roc_auc_score(data["churned"], truths.probability) == pytest.approx(truths.best_auc, abs=0.02)


def test_best_auc_is_the_mean_over_labels_drawn_from_the_probabilities():
    truths = make_churn(2000).truths
    rng, p = np.random.default_rng(0), np.array(truths.probability)
    drawn = [roc_auc_score(rng.random(len(p)) < p, p) for _ in range(60)]
    assert np.mean(drawn) == pytest.approx(truths.best_auc, abs=0.004)


def test_outcomes_follow_the_probabilities(churn):
    p, y = np.array(churn.truths.probability), churn.data["churned"].to_numpy()
    assert abs((y - p).sum()) < 4 * np.sqrt((p * (1 - p)).sum())


def test_the_leak_separates_almost_perfectly_by_being_filled_or_not(churn):
    filled = churn.data[churn.truths.leak["column"]].notna()
    assert roc_auc_score(churn.data["churned"], filled) > 0.98
    assert churn.data[churn.truths.leak["column"]].corr(churn.data["churned"]) != pytest.approx(1)
    assert 0 < filled[churn.data["churned"] == 0].mean() < 0.01


def test_nothing_but_the_leak_comes_near(churn, features):
    y = churn.data["churned"]
    for name in features:
        values = features[name]
        if values.dtype == "category":
            values = values.map(y.groupby(values, observed=True).mean()).astype(float)
        codes = values.fillna(values.median())
        assert max(roc_auc_score(y, codes), 1 - roc_auc_score(y, codes)) < 0.75, name


def test_a_model_is_good_and_fails_in_the_weak_segment(churn, predicted):
    y, rows = churn.data["churned"].to_numpy(), np.zeros(len(churn.data), bool)
    rows[list(churn.truths.weak_segment["rows"])] = True
    assert 0.06 <= churn.truths.weak_segment["share"] <= 0.08
    assert 0.75 < roc_auc_score(y, predicted) <= churn.truths.best_auc
    assert roc_auc_score(y[rows], predicted[rows]) < 0.6 < 0.75 < roc_auc_score(y[~rows], predicted[~rows])
    assert y[rows].mean() == pytest.approx(0.5, abs=0.06)
    inside = np.logical_and.reduce([churn.data[k] == v for k, v in churn.truths.weak_segment["where"].items()])
    assert (inside == rows).all()


def test_the_old_score_is_overconfident_and_not_dominant(churn):
    y, score = churn.data["churned"], churn.data["legacy_score"]
    seen, said = calibration_curve(y, score, n_bins=10, strategy="uniform")
    share = np.histogram(score, np.linspace(0, 1, 11))[0] / len(score)
    assert (share * np.abs(seen - said)).sum() == pytest.approx(churn.truths.miscalibration["ece"], abs=0.02)
    assert churn.truths.miscalibration["ece"] > 0.1
    assert seen[0] > said[0] and seen[-1] < said[-1]  # too low below, too high above
    slope = LogisticRegression(C=1e6).fit(np.log(score.clip(1e-4, 1 - 1e-4) / (1 - score.clip(1e-4, 1 - 1e-4))).to_frame(), y).coef_[0, 0]
    assert slope < 0.5  # calibrated would be 1
    assert roc_auc_score(y, score) < 0.72


def psi(reference, current):
    if pd.api.types.is_numeric_dtype(reference):
        edges = np.r_[-np.inf, np.unique(np.quantile(reference.dropna(), np.linspace(0, 1, 11)[1:-1])), np.inf]
        p, q = (np.histogram(x.dropna(), edges)[0] / x.notna().sum() for x in (reference, current))
    else:
        p = reference.value_counts(normalize=True)
        q = current.value_counts(normalize=True).reindex(p.index).fillna(0)
    p, q = np.maximum(p, 1e-4), np.maximum(q, 1e-4)
    return float(((p - q) * np.log(p / q)).sum())


@pytest.mark.parametrize("seed", SEEDS)
def test_the_drift_is_where_it_is_said_to_be(seed):
    churn = make_churn(seed=seed)
    before, after = split_at_drift(churn)
    assert before["snapshot_date"].max() < pd.Timestamp(churn.truths.drift["date"]) <= after["snapshot_date"].min()
    assert all(psi(before[name], after[name]) > 0.25 for name in churn.truths.drift["columns"])
    for name in churn.truths.drift["stable"]:
        if name not in ("last_feedback", churn.truths.high_cardinality):  # many levels: PSI is large by chance alone
            assert psi(before[name], after[name]) < 0.05, name


def test_months_before_the_drift_do_not_drift():
    churn = make_churn(20_000)
    months = list(churn_batches(churn).values())
    assert len(months) == 24 and sum(map(len, months)) == 20_000
    early, later = pd.concat(months[:9]), pd.concat(months[9:18])
    assert all(psi(early[name], later[name]) < 0.02 for name in churn.truths.drift["columns"])


def test_the_relation_changes_too():
    churn = make_churn(40_000)
    before, after = split_at_drift(churn)

    def weight(part):
        part = part[(part["plan"] != "family") | (part["region"] != "north")]
        x = pd.DataFrame({"tickets": part["support_tickets"], "delays": part["payment_delays"], "tenure": np.log1p(part["tenure_months"]),
                          "usage": part["usage_hours"].fillna(part["usage_hours"].median()), "fee": part["monthly_fee"]})
        return LogisticRegression(max_iter=2000).fit((x - x.mean()), part["churned"]).coef_[0, 0]

    assert weight(after) > weight(before) + 0.08


def test_copies_are_exactly_the_rows_that_are_named(churn):
    assert np.flatnonzero(churn.data.duplicated()).tolist() == churn.truths.duplicates["rows"]
    assert len(churn.truths.duplicates["rows"]) == round(0.01 * len(churn.data))
    copies, originals = (churn.data.iloc[churn.truths.duplicates[key]].reset_index(drop=True) for key in ("rows", "of"))
    assert copies.equals(originals)


def test_gaps_depend_on_what_is_seen_and_not_on_the_outcome():
    data, truths = make_churn(20_000)
    gaps = data["usage_hours"].isna()
    rates = gaps.groupby(data["plan"]).mean()
    assert rates["basic"] == pytest.approx(truths.missing["usage_hours"]["basic"], abs=0.02)
    assert (rates.drop("basic") < 0.05).all()
    within = gaps[data["plan"] == "basic"].groupby(data["churned"][data["plan"] == "basic"]).mean()
    assert abs(within[0] - within[1]) < 0.03


def test_many_levels_and_each_says_something(churn):
    levels = churn.data[churn.truths.high_cardinality]
    assert levels.nunique() >= 60
    half = np.arange(len(levels)) % 2 == 0
    rates = churn.data["churned"][half].groupby(levels[half]).mean()
    assert roc_auc_score(churn.data["churned"][~half], levels[~half].map(rates).fillna(rates.mean())) > 0.54


def test_comments_vary_and_say_something(churn):
    said = churn.data[["last_feedback", "churned"]].dropna()
    assert said["last_feedback"].nunique() > 0.5 * len(said)
    words = CountVectorizer(min_df=5).fit_transform(said["last_feedback"])
    p = cross_val_predict(LogisticRegression(C=0.1, max_iter=500), words, said["churned"], cv=3, method="predict_proba")[:, 1]
    assert 0.55 < roc_auc_score(said["churned"], p) < 0.75


def test_customers_come_back_and_stay_who_they_are(churn):
    customers = churn.data.groupby("customer_id")
    assert customers.ngroups < 0.7 * len(churn.data)
    assert (customers[["gender", "age", "plan", "region", "device_model"]].nunique() == 1).all(axis=None)
    assert churn.data["snapshot_date"].is_monotonic_increasing


@pytest.mark.parametrize("name", ["churn", "breast_cancer", "wine", "diabetes"])
def test_examples_are_whole(name):
    example = load_example(name)
    assert example.name == name and len(example.data) > 100 and len(example.current) > 40
    for column in (example.target, example.time, example.entity, *example.protected, *example.exclude):
        assert not column or column in example.data
    assert example.data.columns.equals(example.current.columns)
    assert set(example.brief) == set(load_example("wine").brief) and len(example.brief["kill_criteria"]) == 3
    assert any(sign.isdigit() for sign in example.brief["success_metric"])
    assert example.hypothesis and example.source


def test_real_examples_are_whole_split_and_without_truth():
    sizes = {"breast_cancer": 569, "wine": 178, "diabetes": 442}
    for name, rows in sizes.items():
        example = load_example(name, seed=3)
        assert len(example.data) + len(example.current) == rows and not example.truths
        assert not pd.concat([example.data, example.current]).duplicated().any()
        assert load_example(name, seed=3).current.equals(example.current)
        assert not load_example(name, seed=4).current.equals(example.current)


def test_positions_in_the_truths_hold_in_the_example_table():
    example = load_example("churn")
    inside = [row for row in example.truths["duplicates"]["rows"] if row < len(example.data)]
    assert np.flatnonzero(example.data.duplicated()).tolist() == inside


def test_a_wrong_name_offers_the_nearest():
    with pytest.raises(InputError, match="'breast_cancer'"):
        load_example("breast_cancr")
