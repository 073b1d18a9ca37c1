"""Twenty-one checks of a model: planted faults are found, honest models are left alone, odd inputs are answered."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeRegressor

from mlnb.core.context import MissingPart
from mlnb.core.errors import InputError
from mlnb.core.items_model import ITEMS
from mlnb.core.project import Project
from mlnb.core.project_config import save_config
from mlnb.data.holdout import open_holdout, seal
from mlnb.datasets import load_example
from mlnb.evaluation.evaluate import project_evaluation
from mlnb.evaluation.fit_checks import folds_differ
from mlnb.evaluation.model_checks import COVERS, ModelReport, inspect_model, project_model_checks
from mlnb.evaluation.model_subject import mean_of, ratio_of, subject
from mlnb.evaluation.place_checks import residual_patterns
from mlnb.evaluation.reading_checks import clusters_of
from mlnb.evaluation.tuning_checks import read_study
from mlnb.experiments.training import ensure_trained

CODES = [item.id for item in ITEMS]
FEATURES = list("abcde")


def numbers(n: int, seed: int, noise: float = 1.0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    f = pd.DataFrame(rng.normal(size=(n, 5)), columns=FEATURES)
    return f.assign(y=f.a + f.b + f.c + f.d + f.e + noise * rng.normal(size=n))


def classes(n: int, seed: int, level: float = 0.0) -> pd.DataFrame:
    f = numbers(n, seed)
    chance = 1 / (1 + np.exp(-(f.a - f.b + level)))
    return f.assign(y=np.where(np.random.default_rng(seed + 99).random(n) < chance, "yes", "no"))


def status(model: object, train: pd.DataFrame, test: pd.DataFrame, code: str, **given: object) -> str:
    return inspect_model(model, train, test, "y", only=(code,), **given).findings[0].status.value  # type: ignore[arg-type]


def line(train: pd.DataFrame) -> LinearRegression:
    return LinearRegression().fit(train[FEATURES], train.y)


# ------------------------------------------------------------ numbers


def test_means_agree_with_scipy_and_clusters_with_statsmodels() -> None:
    import statsmodels.api as sm
    from scipy.stats import ttest_1samp

    rng = np.random.default_rng(0)
    x, groups = rng.normal(0.3, 1, 90), rng.integers(0, 25, 90)
    interval = ttest_1samp(x, 0).confidence_interval(0.95)
    made = mean_of(x)
    assert (made.low, made.high) == pytest.approx((interval.low, interval.high), rel=1e-6)
    fit = sm.OLS(x, np.ones(90)).fit(cov_type="cluster", cov_kwds={"groups": groups, "use_correction": True})
    assert mean_of(x, groups).error == pytest.approx(float(fit.bse[0]), rel=0.02)  # statsmodels also corrects by (n - 1) / (n - k)


def test_intervals_of_ratios_hold_what_they_say() -> None:
    rng, held = np.random.default_rng(1), 0
    for _ in range(600):
        whole = rng.exponential(2, 150)
        made = ratio_of(0.5 * whole + rng.normal(0, 0.5, 150), whole)
        held += made.low <= 0.5 <= made.high
    assert 0.92 <= held / 600 <= 0.975


def test_the_null_of_folds_is_uniform() -> None:
    "Honest folds are called different in about one of a hundred tables."
    found = [folds_differ(subject(line(train), train, train, "y", random_state=seed)).value for seed in range(40) for train in [numbers(150, seed)]]
    assert sum(p < 0.01 for p in found) <= 2 and 0.3 < np.mean(found) < 0.7


# ------------------------------------------------------------ honest models


@pytest.mark.parametrize("make", [numbers, classes], ids=["numbers", "classes"])
def test_an_honest_model_is_left_alone(make: object) -> None:
    train, test = make(500, 0), make(400, 1)  # type: ignore[operator]
    used = FEATURES if make is numbers else ["a", "b"]  # type: ignore[comparison-overlap]
    train, test = train[[*used, "y"]], test[[*used, "y"]]
    model = (LinearRegression() if make is numbers else LogisticRegression()).fit(train[used], train.y)  # type: ignore[comparison-overlap]
    report = inspect_model(model, train, test, "y", clock=itertools.count().__next__)
    assert [f.code for f in report.findings] == CODES
    assert not [(f.code, f.message) for f in report.findings if f.status.value in ("warn", "fail", "not_checked")]
    assert ModelReport.from_dict(report.to_dict()).to_dict() == report.to_dict()
    assert report.to_dict() == inspect_model(model, train, test, "y", clock=itertools.count().__next__).to_dict()


# ------------------------------------------------------------ planted faults


def test_learned_by_heart() -> None:
    train, test = numbers(400, 0, 2.0), numbers(300, 1, 2.0)
    assert status(DecisionTreeRegressor(random_state=0).fit(train[FEATURES], train.y), train, test, "MODEL01") in ("warn", "fail")
    noise = [f.assign(y=np.random.default_rng(i).normal(size=len(f))) for i, f in enumerate((train, test))]
    assert status(DecisionTreeRegressor(random_state=0).fit(noise[0][FEATURES], noise[0].y), *noise, "MODEL01") == "fail"


def test_a_gap_that_costs_nothing_is_no_fault() -> None:
    rng = np.random.default_rng(0)
    sides = [pd.DataFrame(rng.uniform(-2, 2, (n, 2)), columns=["a", "b"]) for n in (600, 400)]
    sides = [f.assign(y=np.sign(f.a * f.b) * 3 + rng.normal(size=len(f))) for f in sides]
    near = KNeighborsRegressor(12, weights="distance").fit(sides[0][["a", "b"]], sides[0].y)  # knows each training row by heart
    found = inspect_model(near, *sides, "y", only=("MODEL01",)).findings[0]
    assert found.evidence["skill"]["train"] > 0.99 and found.evidence["low"] > 0.02 and found.status == "pass"  # type: ignore[index, operator]


def test_too_little_learned_and_beaten_by_the_default() -> None:
    train, test = numbers(500, 0, 0.5), numbers(300, 1, 0.5)
    weak = Ridge(alpha=5_000).fit(train[FEATURES], train.y)
    assert {status(weak, train, test, code) for code in ("MODEL02", "MODEL09")} == {"warn"}


def test_a_drowned_class_and_a_missed_one() -> None:
    train, test = classes(1500, 0, -3.5), classes(1500, 1, -3.5)
    assert status(LogisticRegression(C=0.001).fit(train[FEATURES], train.y), train, test, "MODEL04") == "warn"
    three = [f.assign(y=np.where(np.random.default_rng(i).random(len(f)) < 0.04, "rare", f.y)) for i, f in enumerate((classes(1500, 2), classes(1500, 3)))]
    assert status(LogisticRegression().fit(three[0][FEATURES], three[0].y), *three, "MODEL05") == "warn"


def test_correlated_useless_and_golden_features() -> None:
    twin, idle = (np.random.default_rng(seed).normal(size=600) for seed in (5, 6))
    train, test = (f.assign(a2=f.a * 1000 + twin, idle=idle) for f in (numbers(600, 0), numbers(600, 1)))
    model = LinearRegression().fit(train.drop(columns="y"), train.y)
    found = inspect_model(model, train, test, "y", only=("MODEL08", "MODEL12")).findings
    assert [f.status.value for f in found] == ["warn"] * 2
    assert set(found[0].columns) == {"a", "a2"} and "idle" in found[1].columns
    leak = [f.assign(refund=f.y * 2) for f in (train, test)]
    golden = inspect_model(LinearRegression().fit(leak[0].drop(columns="y"), leak[0].y), *leak, "y", only=("MODEL11",)).findings[0]
    assert golden.status == "warn" and golden.columns == ("refund",)


def test_units_that_turn_the_order_of_coefficients() -> None:
    sides = [f.assign(y=f.a + 2 * f.b + 3 * f.c + 4 * f.d + 5 * f.e) for f in (numbers(300, 0), numbers(200, 1))]
    assert status(line(sides[0]), *sides, "MODEL06") == "pass"
    units = [f.assign(a=f.a / 30, e=f.e * 30) for f in sides]
    found = inspect_model(line(units[0]), *units, "y", only=("MODEL06",)).findings[0]
    assert found.status == "warn" and found.value == pytest.approx(0.7)  # a against four, e against three, of ten pairs


def test_probabilities_that_changed_their_meaning() -> None:
    train = classes(1000, 0)
    model = LogisticRegression().fit(train[FEATURES], train.y)
    assert [status(model, train, classes(1000, 1, level), "MODEL20") for level in (0.0, 1.2)] == ["pass", "warn"]


def test_one_row_of_overlap_is_told_from_a_random_split() -> None:
    days = pd.Series(pd.date_range("2026-01-01", periods=600, freq="D"))
    train, test = numbers(400, 0).assign(day=days[:400]), numbers(200, 1).assign(day=days[400:].to_numpy())
    model = line(train)
    assert status(model, train, test, "MODEL13", time="day") == "pass"
    assert status(model, train.assign(day=[*days[:399].tolist(), days[450]]), test, "MODEL13", time="day") == "warn"
    assert status(model, train, test.assign(day=days[:200].to_numpy()), "MODEL13", time="day") == "fail"
    assert status(model, train.assign(day=days[:400].astype(str)), test.assign(day=days[400:].astype(str).to_numpy()), "MODEL13", time="day") == "pass"


# ------------------------------------------------------------ tuning


@pytest.mark.parametrize(("best", "trials", "expected"), [
    (0.5, [], "pass"), (1.0, [], "warn"), (0.99, [], "warn"),
    (1.0, [{"params": {"x": v}, "value": v} for v in np.linspace(0.01, 1, 20)], "warn"),
    (1.0, [{"params": {"x": v}, "value": (-1) ** i} for i, v in enumerate(np.linspace(0.01, 1, 20))], "pass"),
])
def test_best_at_the_edge(best: float, trials: list, expected: str) -> None:
    train, test = numbers(100, 0), numbers(100, 1)
    assert status(line(train), train, test, "MODEL14", study={"ranges": {"x": (0.2, 1.0)}, "best": {"x": best}, "trials": trials}) == expected


def test_edges_that_cannot_move_are_no_fault_and_searches_are_read() -> None:
    train, test = numbers(100, 0), numbers(100, 1)
    assert status(line(train), train, test, "MODEL14", study={"ranges": {"model__subsample": (0.5, 1.0)}, "best": {"model__subsample": 1.0}}) == "pass"
    search = GridSearchCV(Ridge(), {"alpha": [0.001, 0.01, 100.0, 10_000.0]}).fit(train[FEATURES], train.y)
    assert read_study(None, search)["ranges"] == {"alpha": (0.001, 10_000.0)}
    assert status(search, train, test, "MODEL16") == "pass"


def test_rounds_past_the_best_of_classes() -> None:
    train, test = classes(500, 0), classes(400, 1)
    long, short = (HistGradientBoostingClassifier(max_iter=n, learning_rate=rate, early_stopping=False, random_state=0).fit(train[FEATURES], train.y)
                   for n, rate in ((200, 0.3), (15, 0.1)))
    assert [status(m, train, test, "MODEL17") for m in (long, short)] == ["warn", "pass"]


# ------------------------------------------------------------ false alarms that were


def test_fits_that_differ_by_luck_are_no_difference_of_folds() -> None:
    "An unstable learner differs from fold to fold on the same rows; dealing rows alone calls that a difference of folds."

    def product(n: int, seed: int) -> pd.DataFrame:
        f = numbers(n, seed)
        return f.assign(y=f.a + 2 * f.b * f.c + 0.3 * np.random.default_rng(seed).normal(size=n))

    found = []
    for seed in range(16):
        train, test = product(2_000, seed), product(1_500, seed + 100)
        tree = DecisionTreeRegressor(max_depth=4, max_features=2, random_state=np.random.RandomState(seed)).fit(train[FEATURES], train.y)
        found.append(folds_differ(subject(tree, train, test, "y", random_state=seed)).value)
    assert sum(p < 0.01 for p in found) <= 1 and np.mean(found) > 0.3


def test_a_fold_of_other_rows_is_still_found() -> None:
    train, test = numbers(1_000, 0), numbers(500, 1)
    rows = np.arange(1_000)
    splits = [(rows[rows % 5 != k], rows[rows % 5 == k]) for k in range(5)]
    train.loc[rows % 5 == 2, "y"] += 2.5 * np.random.default_rng(0).normal(size=200)
    found = inspect_model(line(train), train, test, "y", folds=splits, only=("MODEL03",)).findings[0]
    assert found.status == "warn" and found.evidence["fold"] == 3  # type: ignore[index]


def test_features_that_refitting_misses_are_not_called_useless() -> None:
    "A model that was fitted badly ignores a feature; fitted again it needs it, so leaving it out is no advice to give."

    class Lazy(LinearRegression):
        def fit(self, X: pd.DataFrame, y: np.ndarray) -> Lazy:
            super().fit(X, y)
            if len(X) == 600:
                self.coef_[4] = 0.0
            return self

    train, test = numbers(600, 0), numbers(600, 1)
    found = inspect_model(Lazy().fit(train[FEATURES], train.y), train, test, "y", only=("MODEL12",)).findings[0]
    assert found.status == "pass" and found.evidence["suspected"] == ["e"]  # type: ignore[index]


def test_a_part_in_which_nothing_happened_is_no_certainty() -> None:
    "Residuals of a part without an event hardly vary; what its probabilities admit says how far off it may be."
    from mlnb.evaluation.predictions import predictions
    from mlnb.evaluation.residuals import residual_profile

    said = np.full(400, 0.03)
    happened = (np.arange(400) % 40 == 39) & (np.arange(400) > 100)
    where = pd.DataFrame({"part": np.repeat(["first", "second", "third", "fourth"], 100)})
    parts = residual_profile(predictions(happened, y_score=said, positive=True), where).by_column["part"]
    assert parts[0].mean == pytest.approx(0.03) and parts[0].deviate == pytest.approx(0.03 / np.sqrt(0.03 * 0.97 / 100))


def test_a_fit_has_the_luck_of_its_own_rows() -> None:
    "A model of few rows is off somewhere on any new rows; that is told of few models, as it is no pattern."
    words = np.array([f"level {i}" for i in range(6)], dtype=object)
    warned = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        f = pd.DataFrame({"x": words[rng.integers(0, 6, 1_200)], "y": rng.normal(size=1_200)})
        train, test = f[:300].reset_index(drop=True), f[300:].reset_index(drop=True)
        model = make_pipeline(OneHotEncoder(), LinearRegression()).fit(train[["x"]], train.y)
        warned += residual_patterns(subject(model, train, test, "y")).status != "pass"
    assert warned <= 2


def test_rivals_see_the_columns_of_the_model_only() -> None:
    train, test = (f.assign(leak=f.y) for f in (numbers(400, 0), numbers(300, 1)))
    model = make_pipeline(make_column_transformer((StandardScaler(), FEATURES)), LinearRegression()).fit(train.drop(columns="y"), train.y)
    s = subject(model, train, test, "y")
    assert list(s.train) == FEATURES
    assert status(model, train, test, "MODEL09") == "pass"


# ------------------------------------------------------------ projects


def test_a_project_is_examined_when_it_is_asked_for_and_spends_one_look(tmp_path: Path) -> None:
    example = load_example("breast_cancer")
    example.data.sample(300, random_state=0).to_csv(tmp_path / "d.csv", index=False)
    project = Project.create(tmp_path / "p", tmp_path / "d.csv", target=example.target)
    seal(project)
    ensure_trained(project)
    with pytest.raises(MissingPart, match="mlnb check MODEL"):
        project.context()["model_checks"]
    found = project.check("model")
    few = {f.code for f in found if f.status == "not_checked"}
    assert [f.code for f in found] == CODES and few <= {"MODEL20"}  # sixty test rows are few for parts of probabilities
    assert open_holdout(project).book.count == 1
    project_evaluation(project)
    assert open_holdout(project).book.count == 1
    kept = project_model_checks(project)
    assert project.check("evaluation").get("MODEL01").message == kept.findings.get("MODEL01").message  # type: ignore[union-attr]
    save_config(project.path, project.config.model_copy(update={"exclude": (example.data.columns[0],)}))
    later = Project(project.path)
    assert later.findings().get("MODEL01").status == "stale"  # type: ignore[union-attr]
    assert later.result("model_checks", fresh=True) is None


# ------------------------------------------------------------ clusters, bad input, cover


def test_clusters_are_chains_of_ties() -> None:
    rng = np.random.default_rng(0)
    base = rng.normal(size=2_000)
    frame = pd.DataFrame({"a": base, "b": np.exp(base), "c": -base + rng.normal(0, 0.01, 2_000), "d": rng.normal(size=2_000), "e": 1.0})
    assert clusters_of(frame)[0] == [["a", "b", "c"]]


def test_a_model_without_probabilities_is_examined_by_its_labels() -> None:
    train, test = classes(400, 0), classes(300, 1)
    report = inspect_model(LinearSVC().fit(train[FEATURES], train.y), train, test, "y", only=("MODEL01", "MODEL02", "MODEL12"))
    assert all(f.status != "not_checked" for f in report.findings)


def test_a_model_that_cannot_be_fitted_again_hides_nothing() -> None:
    class Fixed:
        def predict(self, frame: pd.DataFrame) -> np.ndarray:
            return frame[FEATURES].sum(axis=1).to_numpy()

    report = inspect_model(Fixed(), numbers(200, 0), numbers(200, 1), "y", only=("MODEL01", "MODEL03", "MODEL12"))
    assert [f.status.value for f in report.findings] == ["pass", "not_checked", "pass"]
    assert "cannot be fitted again" in report.findings[1].message


def test_bad_input_is_refused() -> None:
    train, test = numbers(100, 0), numbers(100, 1)
    for given, words in (((line(train), train, test, "z"), "no column 'z'"), ((line(train), train, test[:5], "y"), "5 rows"),
                         (("model", train, test, "y"), "no predict"), ((line(train), train, test.drop(columns="a"), "y"), "not there: a")):
        with pytest.raises(InputError, match=words):
            inspect_model(*given)
    with pytest.raises(InputError, match="ranges"):
        read_study({"best": {}})


def test_labels_that_training_did_not_know_and_missing_targets_are_left_out() -> None:
    train, test = classes(300, 0), classes(300, 1)
    model = RandomForestClassifier(20, min_samples_leaf=10, random_state=0).fit(train[FEATURES], train.y)
    test.loc[:9, "y"], test.loc[10:19, "y"] = "never", None
    assert inspect_model(model, train, test, "y", only=("MODEL01",)).facts["test rows looked at"] == 280


def test_large_tables_are_sampled() -> None:
    train = pd.concat([numbers(25_000, 0)] * 2, ignore_index=True)
    report = inspect_model(line(train), train, numbers(200, 1), "y", only=("MODEL01",))
    assert report.facts["train rows"] == 50_000 and 15_000 < report.facts["train rows looked at"] <= 20_000


def test_the_lists_of_others_are_covered() -> None:
    said = " ".join(row[1] + row[2] for row in COVERS)
    assert all(f"SKD{i:03}" in said for i in range(1, 17))
    suite = ("TrainTestPerformance", "SimpleModelComparison", "ModelInferenceTime", "UnusedFeatures", "BoostingOverfit", "WeakSegmentsPerformance",
             "RegressionErrorDistribution", "CalibrationScore", "SingleDatasetPerformance", "RocReport", "ConfusionMatrixReport", "PredictionDrift")
    assert all(name in said for name in suite)
