"""Planted defects are found by their own check, and honest data keeps every check quiet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlnb.core.errors import InputError
from mlnb.core.items_integrity import ITEMS
from mlnb.data.integrity import IntegrityReport, inspect
from mlnb.data.outliers import joint_distance, tail_limit, value_limits
from mlnb.data.split_checks import by_chance
from mlnb.data.ties import correlation_ratio, cramers_v

ROWS = 1_200


def clean(seed: int = 0, n: int = ROWS) -> pd.DataFrame:
    """Honest data with what often looks wrong: long tails, gaps, grades, symbols, many levels, natural twins of categories."""
    rng = np.random.default_rng(seed)
    y = rng.random(n) < 0.3
    return pd.DataFrame({
        "id": [f"K{i:07}" for i in rng.permutation(n)], "income": rng.lognormal(9, 1, n), "claims": rng.poisson(2, n), "heavy": rng.standard_t(3, n),
        "gaps": np.where(rng.random(n) < 0.2, np.nan, rng.normal(size=n)), "grade": rng.choice(["A", "A-", "A+", "B"], n),
        "test": rng.choice(["+", "-", "?"], n, p=[0.5, 0.45, 0.05]), "town": [f"town {i}" for i in rng.zipf(1.6, n) % 300],
        "note": [" ".join(["word"] * int(k)) + f" {i}" for i, k in enumerate(rng.lognormal(1.5, 0.8, n) + 1)],
        "signal": rng.normal(size=n) + y, "y": np.where(y, "yes", "no")})  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_honest_data_alarms_nobody(seed: int) -> None:
    data = clean(seed)
    report = inspect(data.iloc[:800], data.iloc[800:], target="y")
    assert not report.findings.having("fail", "warn"), [f.message for f in report.findings.having("fail", "warn")]


def _copy(d: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([d, d.iloc[:40]], ignore_index=True)


def _relabel(d: pd.DataFrame) -> pd.DataFrame:
    twins = d.iloc[:90].assign(y=d["y"].iloc[:90].map({"yes": "no", "no": "yes"}))
    return pd.concat([d, twins], ignore_index=True).drop(columns="id")


PLANTS: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "DATA01": lambda d: d.assign(same="x"),
    "DATA02": lambda d: d.assign(claims=d["claims"].astype(str).where(d.index % 50 != 0, "many")),
    "DATA03": lambda d: d.assign(town=d["town"].where(d.index % 40 != 0, "n/a").where(d.index % 40 != 1, None)),
    "DATA04": lambda d: d.assign(town=d["town"].where(d.index % 300 != 0, "Mal\u00c3\u00a9").where(d.index % 300 != 1, "!!")),
    "DATA05": lambda d: d.assign(town=d["town"].where(d.index % 20 != 0, d["town"].str.upper())),
    "DATA06": lambda d: d.assign(note=d["note"].where(d.index != 5, "x" * 30_000)),
    "DATA07": _relabel,
    "DATA08": _copy,
    "DATA09": lambda d: d.assign(signal=d["signal"].where(d.index != 9, 4_000.0)),
    "DATA10": lambda d: d.assign(cents=d["income"] * 100),
    "DATA11": lambda d: d.assign(id=[f"K{i:07}" for i in d["y"].map({"no": 0, "yes": 1}).rank(method="first").astype(int)]),
    "DATA12": lambda d: d.assign(y=np.where(d.index % 50 == 0, "yes", "no")),
    "DATA13": lambda d: d.assign(y=d["y"].where(d.index > 3, "other")),
}


@pytest.mark.parametrize("code", PLANTS)
def test_a_planted_defect_is_found_by_its_check(code: str) -> None:
    found = inspect(PLANTS[code](clean()), target="y").findings.get(code)
    assert found.status.value in ("warn", "fail"), found.message
    assert found.fix and found.evidence and len(found.message) > 20


def test_what_a_split_brings() -> None:
    d = clean()
    train, test = d.iloc[:800], d.iloc[800:].copy()
    test.loc[test.index[:50], "grade"] = "Z"
    test.loc[test.index[:9], "y"] = "YES"
    found = inspect(train, test, target="y").findings
    assert found.get("DATA14").columns == ("grade",) and "'Z'" in found.get("DATA14").message
    assert found.get("DATA15").status.value == "fail" and "written 'yes' in train" in found.get("DATA15").message
    small = inspect(train, test.iloc[:60], target="y").findings.get("DATA16")
    assert small.status.value == "warn" and small.evidence["rows needed"] == 385


def test_without_target_or_test_rows_nothing_is_guessed() -> None:
    found = inspect(clean()).findings
    assert [f.code for f in found] == [item.id for item in ITEMS]
    assert {f.code for f in found.having("not_checked")} == {"DATA07", "DATA11", "DATA12", "DATA13", "DATA14", "DATA15", "DATA16"}
    number = inspect(clean(), target="income").findings
    assert {f.code for f in number.having("not_applicable")} >= {"DATA07", "DATA12", "DATA13"}
    with pytest.raises(InputError, match="income"):
        inspect(clean(), target="incme")


def test_the_report_survives_json_and_escapes_what_it_shows() -> None:
    report = inspect(clean().assign(**{"<script>alert(1)</script>": "x"}), target="y")
    assert IntegrityReport.from_dict(report.to_dict()).findings == report.findings
    assert "<script>alert" not in report._repr_html_() and (report.frame()["code"] == "DATA01").any()


@pytest.mark.parametrize("name", ["normal", "lognormal", "exponential", "t3", "pareto"])
def test_a_tail_is_left_in_one_table_of_a_hundred_at_most(name: str) -> None:
    draw = {"normal": lambda r, n: r.normal(size=n), "lognormal": lambda r, n: r.lognormal(0, 1, n), "exponential": lambda r, n: r.exponential(1, n),
            "t3": lambda r, n: r.standard_t(3, n), "pareto": lambda r, n: r.pareto(3, n)}[name]  # fmt: skip
    alarms = 0
    for seed in range(100):
        values = draw(np.random.default_rng(seed), 1000)
        low, high = value_limits(values, 1000)
        alarms += bool(((values < low) | (values > high)).any())
    assert alarms <= 4  # of 100 at a rate of 1 in 100, more than 4 come up in 1 of 300 tests


def test_combinations_are_seen_and_normal_ones_are_not() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3000, 1)) + 0.2 * rng.normal(size=(3000, 4))
    honest = joint_distance(pd.DataFrame(x))
    assert honest.max() < tail_limit(honest, 3000, 0.01, heavy=False)
    x[7] = [2, -2, 2, -2]
    odd = joint_distance(pd.DataFrame(x))
    assert np.flatnonzero(odd > tail_limit(odd, 3000, 0.01, heavy=False)).tolist() == [7]


def test_ties_agree_with_other_libraries() -> None:
    from scipy.stats import chi2_contingency
    from scipy.stats.contingency import association

    rng = np.random.default_rng(0)
    a = rng.integers(0, 4, 5000)
    b = np.where(rng.random(5000) < 0.6, a, rng.integers(0, 4, 5000))
    table = pd.crosstab(a, b).to_numpy()
    assert cramers_v(a, b) == pytest.approx(association(table, correction=False), abs=0.01)  # many rows: the correction is small
    assert chi2_contingency(table).statistic > 0
    numbers = a + rng.normal(0, 1, 5000)
    groups = pd.Series(numbers).groupby(a)
    eta = 1 - sum(((g - g.mean()) ** 2).sum() for _, g in groups) / ((numbers - numbers.mean()) ** 2).sum()
    assert correlation_ratio(a, numbers)[0] == pytest.approx(np.sqrt(eta), abs=0.01)
    assert not by_chance(12, 2.0) and by_chance(5, 2.0)


TRUE = {  # what is known to be so, and no false alarm
    "telco_churn/Telco-Customer-Churn.csv": ("Churn", {"DATA09", "DATA10"}),
    "bank_marketing/bank-additional.csv": ("y", {"DATA10", "DATA11"}),
    "bike_sharing/day.csv": ("cnt", {"DATA09", "DATA10", "DATA11"}),
    "german_credit/german_data_credit.csv": ("", set()),
}


@pytest.mark.parametrize("file", TRUE)
def test_real_data_fails_nothing_but_what_is_known(shared_data: Callable[[str], Path], file: str) -> None:
    target, known = TRUE[file]
    found = inspect(shared_data(file), target=target).findings
    assert {f.code for f in found.having("fail", "warn")} <= known, [f.message for f in found.having("fail", "warn")]
