"""The self-test: faults are what they say they are, what is heard is new, the answer is the same every time."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_diabetes, load_iris

from mlnb.core.errors import InputError
from mlnb.core.findings import Finding, Findings, Status
from mlnb.data.leak_faults import LEAK_FAULTS
from mlnb.data.quality_faults import QUALITY_FAULTS
from mlnb.data.selftest import FAULTS, self_test
from mlnb.data.selftest_copy import Copy, Fault, Unplantable, bounded_copy, moments, some
from mlnb.data.selftest_trials import Sensitivity, Trial, heard
from mlnb.datasets import load_example

KEYS = [fault.key for fault in FAULTS]


@pytest.fixture(scope="module")
def churn() -> pd.DataFrame:
    return load_example("churn", n=2500).data


@pytest.fixture(scope="module")
def copies(churn: pd.DataFrame) -> dict[str, Copy]:
    """Three tasks, with and without time and entity."""
    iris, diabetes = load_iris(as_frame=True).frame, load_diabetes(as_frame=True, scaled=False).frame
    return {
        "binary": bounded_copy(churn, "churned", "snapshot_date", "customer_id", rows=1200),
        "multiclass": bounded_copy(iris, "target"),
        "regression": bounded_copy(diabetes, "target"),
    }


def planted(copy: Copy, key: str, strength: float, seed: int = 0) -> Copy:
    return next(fault for fault in FAULTS if fault.key == key).plant(copy, strength, np.random.default_rng(seed))


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_a_fault_spoils_a_copy_and_never_what_it_came_from(copies: dict[str, Copy], task: str, key: str) -> None:
    copy = copies[task]
    before = copy.frame.copy(deep=True)
    fault = next(fault for fault in FAULTS if fault.key == key)
    for strength in fault.strengths:
        try:
            spoilt = fault.plant(copy, strength, np.random.default_rng(3))
            again = fault.plant(copy, strength, np.random.default_rng(3))
        except Unplantable as error:
            assert str(error) and (task, key) != ("binary", "number")
            continue
        assert spoilt is not copy and (spoilt.late or not spoilt.frame.equals(copy.frame)), "something is different"
        pd.testing.assert_frame_equal(spoilt.frame, again.frame)
        assert len(spoilt.held) == len(spoilt.frame) and spoilt.target in spoilt.frame
        assert set(spoilt.columns) <= set(spoilt.frame.columns)
    pd.testing.assert_frame_equal(copy.frame, before)


def test_strengths_mean_what_they_say(copies: dict[str, Copy]) -> None:
    copy = copies["binary"]
    test_rows = int(copy.held.sum())
    for share in (0.02, 0.1, 0.5):
        train = {tuple(row) for row in copy.train.astype(str).itertuples(index=False)}
        twins = sum(tuple(row) in train for row in planted(copy, "duplicates", share).test.astype(str).itertuples(index=False))
        assert twins == round(share * test_rows)
        shared = planted(copy, "entities", share)
        assert abs(shared.test["customer_id"].isin(shared.train["customer_id"]).mean() - share) < 0.02
        later = planted(copy, "future", share)
        assert abs((moments(later.frame[later.columns[0]]) > moments(later.frame["snapshot_date"])).mean() - share) < 0.06
        gaps = planted(copy, "missing", share)
        before, after = (x.frame[gaps.columns[0]].isna().sum() for x in (copy, gaps))
        assert after - before == round(share * (len(copy.frame) - before))
    numbers = [np.corrcoef(spoilt.frame[spoilt.columns[0]], copy.answers.values)[0, 1] ** 2
               for spoilt in (planted(copy, "number", share) for share in (0.5, 0.9, 0.99))]
    assert np.allclose(numbers, (0.5, 0.9, 0.99), atol=0.05)
    codes = planted(copy, "relabelled", 1.0)
    assert codes.frame.groupby("churned")[codes.columns[0]].nunique().eq(1).all()
    mixed = planted(copy, "shuffled", 0.5)
    assert (moments(mixed.test["snapshot_date"]) < moments(copy.train["snapshot_date"]).max()).mean() == pytest.approx(0.5, abs=0.03)


def test_scaled_and_imputed_fit_all_rows_and_not_train(copies: dict[str, Copy]) -> None:
    for copy in copies.values():
        spoilt = planted(copy, "scaled", 1.0)
        values = spoilt.frame[list(spoilt.columns)]
        assert np.allclose(values.mean(), 0, atol=1e-8) and np.allclose(values.std(ddof=0), 1)
        assert (values[~spoilt.held].mean().abs() > 1e-6).all()
        filled = planted(copy, "imputed", 0.3)
        name = filled.columns[0]
        common = filled.frame[name].mode()[0]
        left = filled.frame[name][filled.frame[name] != common]
        assert common == pytest.approx(left.mean(), rel=1e-6) or abs(left.mean() - common) < 1e-6 * filled.frame[name].std()


def test_the_lead_is_the_outcome_of_the_next_row(copies: dict[str, Copy]) -> None:
    copy = copies["binary"]
    spoilt = planted(copy, "lead", 1.0)
    ordered = spoilt.frame.iloc[np.argsort(moments(spoilt.frame["snapshot_date"]), kind="stable")]
    assert (ordered[spoilt.columns[0]].to_numpy()[:-1] == ordered["churned"].to_numpy()[1:]).all()


def test_a_copy_is_split_as_a_holdout_is(copies: dict[str, Copy], churn: pd.DataFrame) -> None:
    copy = copies["binary"]
    assert moments(copy.train["snapshot_date"]).max() < moments(copy.test["snapshot_date"]).min()
    assert not set(copy.train["customer_id"]) & set(copy.test["customer_id"])
    assert not copy.frame.duplicated().any() and len(copy.frame) <= 1200
    doubled = bounded_copy(pd.concat([churn.head(300)] * 2), "churned")
    assert len(doubled.frame) <= 300
    shares = [side["target"].value_counts(normalize=True) for side in (copies["multiclass"].train, copies["multiclass"].test)]
    assert np.allclose(*(share.sort_index() for share in shares), atol=0.05)


@given(share=st.floats(0.0, 1.0), n=st.integers(1, 300), seed=st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_some_draws_the_share_and_at_least_one(share: float, n: int, seed: int) -> None:
    rows = some(share, np.arange(100, 100 + n), np.random.default_rng(seed))
    assert len(rows) == min(max(round(share * n), 1), n) == len(set(rows)) and (np.diff(rows) > 0).all() and rows.min() >= 100


def fault(codes: tuple[str, ...] = ("LEAK04",)) -> Fault:
    return Fault("x", "x", "leak", "share", (0.5,), codes, lambda copy, strength, rng: copy)


def test_only_what_is_new_is_heard() -> None:
    old = Findings([Finding("LEAK04", "fail", columns=("a",)), Finding("LEAK07", "warn", value=0.01), Finding("DQ-ACCURACY", "pass", value=4.0)])
    assert heard(old, old, fault(), 0.5, ["b"]).outcome == "missed"
    assert heard(old, Findings([Finding("LEAK04", "fail", columns=("a", "b"))]), fault(), 0.5, ["b"]).outcome == "fail"
    assert heard(old, Findings([Finding("LEAK04", "warn", columns=("b",))]), fault(), 0.5, ["b"]).outcome == "warn"
    assert heard(old, Findings([Finding("LEAK04", "pass", columns=("b",))]), fault(), 0.5, ["b"]).outcome == "missed", "a check that passes says nothing"
    assert heard(old, Findings([Finding("LEAK07", "warn", value=0.01)]), fault(("LEAK07",)), 0.5, ()).outcome == "missed"
    assert heard(old, Findings([Finding("LEAK07", "warn", value=0.2)]), fault(("LEAK07",)), 0.5, ()).outcome == "warn", "the same warning, much louder"
    assert heard(old, Findings([Finding("LEAK07", "fail", value=0.2)]), fault(("LEAK07",)), 0.5, ()).outcome == "fail"
    assert heard(old, Findings([Finding("DQ-ACCURACY", "pass", value=3.5)]), fault(("DQ-",)), 0.5, ()).outcome == "named"
    assert heard(old, Findings([Finding("DQ-ACCURACY", "pass", value=4.0)]), fault(("DQ-",)), 0.5, ()).outcome == "missed"
    assert heard(old, Findings([Finding("DQ-ACCURACY", "pass", value=3.9, columns=("b",))]), fault(("DQ-",)), 0.5, ["b"]).outcome == "named"
    assert heard(old, Findings([Finding("DQ-ACCURACY", "fail", value=1, columns=("c",))]), fault(("DQ-",)), 0.5, ["b"]).outcome == "missed"
    assert heard(old, Findings([Finding("LEAK08", "not_checked", message="no test rows")]), fault(("LEAK08",)), 0.5, ["b"]).message == "no test rows"


@given(st.lists(st.sampled_from(["fail", "warn", "named", "missed"]), min_size=1, max_size=6))
@settings(max_examples=100, deadline=None)
def test_found_from_is_the_weakest_strength_without_a_miss_above(outcomes: list[str]) -> None:
    trials = tuple(Trial("x", float(i), outcome) for i, outcome in enumerate(outcomes))
    sensitivity = Sensitivity("x", "a fault", "leak", "share", trials)
    least = sensitivity.found_from
    if least is None:
        assert outcomes[-1] == "missed" and sensitivity.finding().status is Status.FAIL
    else:
        assert "missed" not in outcomes[int(least):] and (least == 0 or outcomes[int(least) - 1] == "missed")
        assert sensitivity.finding().status is (Status.PASS if least <= 1 else Status.WARN)


@pytest.fixture(scope="module")
def tested(churn: pd.DataFrame) -> object:
    keys = ["number", "duplicates", "shuffled", "copies", "stale", "spellings"]
    return self_test(churn, "churned", "snapshot_date", "customer_id", faults=keys, rows=1500, workers=1)


def test_blatant_faults_are_found_and_noise_is_left_alone(tested: object) -> None:
    found = {kind.key: kind.found_from for kind in tested.kinds}
    assert all(value is not None for value in found.values()), found
    assert found["duplicates"] <= 0.05 and found["shuffled"] <= 0.1 and found["stale"] <= 10 and found["number"] <= 0.99
    assert tested.noise == 12 and tested.suspected == () and tested.findings.get("SELF-NOISE").status is Status.PASS
    assert "final_invoice_days" in tested.untouched.get("LEAK04").columns, "the leak that the data has itself is told apart"
    html = tested._repr_html_()
    assert html.count("data:image/png") == 2 and "final_invoice_days" in html and "<script" not in html
    json.dumps(tested.to_dict())


def test_the_same_seed_gives_the_same_answer_in_any_number_of_processes(churn: pd.DataFrame) -> None:
    few = churn[["plan", "monthly_fee", "tenure_months", "churned"]]
    one, two = (self_test(few, "churned", faults=["code", "typos"], rows=600, workers=workers).to_dict() for workers in (1, 2))
    assert one == two
    assert self_test(few, "churned", faults=["code"], rows=600, workers=1, random_state=1).to_dict()["faults"]["code"] != one["faults"]["code"]


def test_what_cannot_be_planted_is_not_applicable() -> None:
    frame = pd.DataFrame({"value": np.random.default_rng(0).normal(size=200), "target": np.random.default_rng(1).normal(size=200)})
    test = self_test(frame, "target", faults=["stale", "typos", "contradictions"], workers=1)
    assert {f.status for f in test.findings} == {Status.NOT_APPLICABLE} and "no time column" in test.findings.get("SELF-STALE").message
    assert test.frame().empty and "Self-test" in test._repr_html_()


def test_a_stopped_test_says_so(churn: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="Stopped after 2 of"):
        done = []
        self_test(churn, "churned", faults=["stale", "copies"], time="snapshot_date", rows=300, workers=1, progress=lambda share: not done.append(share) and len(done) < 2)


@pytest.mark.parametrize(("change", "words"), [
    ({"target": "churnd"}, "Did you mean 'churned'"), ({"target": ""}, "needs the target"), ({"time": "when"}, "given as the time column"),
    ({"faults": ["typo"]}, "Did you mean 'typos'"), ({"rows": 20}, "different rows with a target")])
def test_wrong_input_is_told(churn: pd.DataFrame, change: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        self_test(churn, **{"target": "churned", "workers": 1, **change})


def test_odd_tables_do_not_break_it() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"<script>": rng.choice(["a", "b"], 150), "empty": np.nan, "one": 1, "many words": [f"row {i} of them" for i in range(150)],
                          "flag": rng.random(150) < 0.5, "number": rng.normal(size=150), "inf": np.where(rng.random(150) < 0.1, np.inf, 1.5),
                          "answer": rng.choice(["x", "y", "z"], 150)})
    test = self_test(frame, "answer", faults=["number", "near_duplicates", "missing", "outliers", "contradictions"], workers=1)
    assert len(test.kinds) == 5 and "<script>" not in test._repr_html_()


def test_quality_and_leak_faults_have_names_of_their_own() -> None:
    assert len(KEYS) == len(set(KEYS)) == len(LEAK_FAULTS) + len(QUALITY_FAULTS)
    for each in FAULTS:
        assert list(each.strengths) == sorted(each.strengths) and len(each.strengths) == 4 and each.codes


@pytest.mark.parametrize(("name", "target"), [("german_credit/german_data_credit.csv", ""), ("bike_sharing/day.csv", "cnt")])
def test_on_real_data_noise_is_left_alone(shared_data: object, name: str, target: str) -> None:
    path: Path = shared_data(name)
    frame = pd.read_csv(path).drop(columns=["casual", "registered"], errors="ignore")
    test = self_test(frame, target or frame.columns[-1], faults=["number", "duplicates"], workers=1)
    assert test.suspected == () and all(kind.found_from is not None for kind in test.kinds)
