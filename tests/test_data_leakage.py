"""The leak audit: planted leaks of every kind are found, and honest, strong or merely many columns are not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from mlnb.core.errors import InputError
from mlnb.data.leakage import audit
from mlnb.datasets import load_example, make_churn


def honest(n: int = 800, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    a, b, c = rng.normal(size=n), rng.exponential(size=n), rng.choice(list("pqrs"), n)
    y = rng.random(n) < 1 / (1 + np.exp(-(a + 0.5 * b - 1 + (c == "p"))))
    return pd.DataFrame({"a": a, "b": b, "c": c, "noise": rng.normal(size=n), "y": y.astype(int)})


def status(report: object, code: str) -> str:
    return report.findings.get(code).status.value  # type: ignore[attr-defined]


def leak(frame: pd.DataFrame, kind: str) -> pd.Series:
    rng, y = np.random.default_rng(9), frame["y"]
    return {
        "the target in other words": y.map({1: "left", 0: "stayed"}),
        "the target with a little noise": y + rng.normal(0, 0.05, len(frame)),
        "filled only when it happened": pd.Series(np.where(y == 1, rng.normal(size=len(frame)), np.nan)),
        "a code for each outcome": pd.Series(np.where(y == 1, rng.choice(["x1", "x2"], len(frame)), rng.choice(["z1", "z2", "z3"], len(frame)))),
        "known for some rows only": pd.Series(np.where(rng.random(len(frame)) < 0.8, y * 2.0, 9.0)),
    }[kind]


KINDS = ["the target in other words", "the target with a little noise", "filled only when it happened", "a code for each outcome",
         "known for some rows only"]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_column_that_knows_the_answer_is_named(kind: str) -> None:
    frame = honest()
    report = audit(frame.assign(leak=leak(frame, kind)), target="y")
    found = report.findings.get("LEAK04")
    assert found.status.value in ("fail", "warn") and found.columns == ("leak",) and "exclude" in found.fix


def test_honest_columns_do_not_alarm() -> None:
    assert [status(audit(honest(seed=seed), target="y"), "LEAK04") for seed in range(8)] == ["pass"] * 8


def test_a_strong_honest_feature_is_no_failure() -> None:
    rng = np.random.default_rng(0)
    frame = honest()
    strong = frame["y"] * 1.8 + rng.normal(size=len(frame))  # ROC-AUC about 0.9
    assert status(audit(frame.assign(strong=strong), target="y"), "LEAK04") != "fail"


@pytest.mark.parametrize("rows", [40, 120])
def test_many_columns_and_few_rows_are_chance(rows: int) -> None:
    rng = np.random.default_rng(rows)
    frame = pd.DataFrame(rng.normal(size=(rows, 300)), columns=[f"c{i}" for i in range(300)]).assign(y=np.arange(rows) % 2)
    assert status(audit(frame, target="y"), "LEAK04") == "pass"


@pytest.mark.parametrize("name", ["breast_cancer", "wine", "diabetes"])
def test_real_data_without_a_leak_do_not_fail(name: str) -> None:
    example = load_example(name)
    assert status(audit(example.data, target=example.target), "LEAK04") != "fail"


def test_telco_churn_holds_no_leak(shared_data: Callable) -> None:
    assert status(audit(shared_data("telco_churn") / "Telco-Customer-Churn.csv", target="Churn"), "LEAK04") == "pass"


def test_parts_of_a_sum_are_named(shared_data: Callable) -> None:
    found = audit(shared_data("bike_sharing") / "day.csv", target="cnt").findings.get("LEAK04")
    assert found.status.value == "fail" and {"casual", "registered"} <= set(found.columns) and "cnt = " in found.message


def test_the_planted_leak_of_the_example() -> None:
    churn = make_churn(4000)
    found = audit(churn.data, target="churned", entity="customer_id", time="snapshot_date").findings.get("LEAK04")
    assert found.status.value == "fail" and found.columns == ("final_invoice_days",)


# both sides of a split


def sides(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    return frame[:600].reset_index(drop=True), frame[600:].reset_index(drop=True)


def test_rows_on_both_sides_are_counted() -> None:
    train, test = sides(honest())
    assert status(audit(train, test, target="y"), "LEAK07") == "pass"
    copied = pd.concat([train, test.iloc[:50]], ignore_index=True)
    found = audit(copied, test, target="y").findings.get("LEAK07")
    assert found.status.value == "fail" and "50" in found.message


def test_rows_that_merely_look_alike_are_not() -> None:
    """Three small categories: nearly every test row has a twin in train by nature."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({name: rng.integers(0, 3, 800) for name in ("p", "q", "r")}).assign(y=rng.integers(0, 2, 800))
    assert status(audit(*sides(frame), target="y"), "LEAK07") != "fail"


def test_near_copies_differ_in_case_blanks_and_jitter() -> None:
    frame = honest()
    frame["text"] = [f"Customer {i} wrote, a letter" for i in range(len(frame))]
    train, test = sides(frame)
    near = test.iloc[:60].assign(text=test["text"].str.upper().str.replace(",", " "), a=test["a"] + 1e-9)
    found = audit(pd.concat([train, near], ignore_index=True), test, target="y").findings.get("LEAK07")
    assert found.status.value in ("fail", "warn") and "60" in found.message


def test_entities_on_both_sides() -> None:
    frame = honest().assign(who=np.arange(800) // 4)
    shuffled = frame.sample(frac=1, random_state=0).reset_index(drop=True)
    assert status(audit(*sides(frame), target="y", entity="who"), "LEAK07") == "pass"
    found = audit(*sides(shuffled), target="y", entity="who").findings.get("LEAK07")
    assert found.status.value == "fail" and "who" in found.message


def test_time_that_was_shuffled() -> None:
    frame = honest().assign(day=pd.date_range("2025-01-01", periods=800, freq="h"))
    assert status(audit(*sides(frame), target="y", time="day"), "LEAK05") == "pass"
    shuffled = frame.sample(frac=1, random_state=0).reset_index(drop=True)
    assert status(audit(*sides(shuffled), target="y", time="day"), "LEAK05") == "fail"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"target": "z"}, "no column 'z'"),
        ({"target": ""}, "needs the target"),
        ({"time": "dya"}, "no column 'dya'"),
        ({"entity": "w"}, "no column 'w'"),
    ],
)
def test_what_cannot_be_audited_is_told(change: dict, said: str) -> None:
    with pytest.raises(InputError, match=said):
        audit(honest(60), **({"target": "y"} | change))


@pytest.mark.parametrize("values", [[1] * 60, [None] * 60])
def test_a_target_that_tells_nothing(values: list) -> None:
    with pytest.raises(InputError, match=r"one value only|no values at all"):
        audit(honest(60).assign(y=values), target="y")


def test_the_same_seed_gives_the_same_report() -> None:
    assert audit(honest(), target="y", random_state=3).to_dict() == audit(honest(), target="y", random_state=3).to_dict()
