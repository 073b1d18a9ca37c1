"""Six quality scores: counts against pandas, faults planted in known numbers, and columns by the thousand."""

from __future__ import annotations

import datetime

import numpy as np
import pandas as pd
import pytest

from mlnb.core.errors import InputError
from mlnb.core.tables import open_table
from mlnb.data import column_facts as facts_module
from mlnb.data.column_facts import column_facts
from mlnb.data.quality import assess
from mlnb.datasets import make_churn

N = 1000


def clean(seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    income = rng.normal(3000, 500, N).round(2)
    days = pd.date_range("2026-01-01", periods=N, freq="h")
    y = np.where(rng.random(N) < 1 / (1 + np.exp((2900 - income) / 200)), "good", "bad")
    return pd.DataFrame({"income": income, "region": rng.choice(["north", "south"], N), "day": days, "y": y})


def scores(frame: pd.DataFrame, **options: object) -> dict[str, float | None]:
    options = {"target": "y", "time": "day", "now": datetime.date(2026, 2, 12)} | options
    return {name: d.score for name, d in assess(open_table(frame), **options).dimensions.items()}


def test_clean_data_pass_the_gate_in_every_dimension() -> None:
    found = scores(clean())
    assert set(found) == {"completeness", "accuracy", "consistency", "timeliness", "relevance", "volume"}
    assert found["completeness"] == found["consistency"] == 5 and sum(value or 0 for value in found.values()) >= 18


def test_what_is_missing_is_counted_as_pandas_counts_it_and_in_disguise_too() -> None:
    frame = clean()
    frame.loc[:99, "income"] = np.nan
    frame["region"] = frame["region"].mask(frame.index % 10 == 0, "unknown").mask(frame.index % 20 == 1, "  ")
    frame["code"] = np.where(np.arange(N) % 5 == 0, 999.0, np.arange(N) % 7)
    found = column_facts(open_table(frame))
    assert found["income"].null == frame["income"].isna().sum() == 100
    assert (found["region"].disguised, found["code"].disguised, found["code"].stand_in) == (150, 200, "999")


@pytest.mark.parametrize(
    ("dimension", "spoil"),
    [
        ("completeness", lambda f: f.assign(income=f["income"].where(f.index % 2 == 0))),
        ("accuracy", lambda f: f.assign(income=f["income"].astype(str).where(f.index % 4 > 0, "n.n. EUR"))),
        ("consistency", lambda f: pd.concat([f, f.iloc[:300]], ignore_index=True)),
        ("timeliness", lambda f: f.assign(day=f["day"] - pd.Timedelta(days=900))),
        ("relevance", lambda f: f.assign(y=np.random.default_rng(1).permutation(f["y"]))),
        ("volume", lambda f: f.iloc[:60]),
    ],
)
def test_each_fault_lowers_its_own_dimension(dimension: str, spoil: object) -> None:
    before, after = scores(clean()), scores(spoil(clean()))  # type: ignore[operator]
    assert after[dimension] < before[dimension] - 0.5


def test_many_columns_are_counted_like_few(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = make_churn(600).data
    together = column_facts(open_table(frame))
    monkeypatch.setattr(facts_module, "WIDE", 3)
    assert column_facts(open_table(frame)) == together


def test_a_source_of_truth_is_compared_with() -> None:
    frame = clean()
    wrong = frame.assign(income=frame["income"].where(frame.index % 5 > 0, 1.0))
    both = [assess(open_table(f), target="y", truth=open_table(frame)).dimensions["accuracy"].score for f in (frame, wrong)]
    assert both[0] > both[1]


def test_a_person_may_say_otherwise_with_a_reason_and_both_stay_visible() -> None:
    found = assess(open_table(clean()), target="y", adjusted={"volume": (5.0, "a census: there are no more")}).dimensions["volume"]
    assert found.adjusted == 5.0 and found.computed is not None and "census" in str(found.reason)


@pytest.mark.parametrize("options", [{"target": "yy"}, {"time": "dya"}])
def test_columns_that_are_not_there(options: dict) -> None:
    with pytest.raises(InputError, match="Did you mean"):
        scores(clean(), **options)
