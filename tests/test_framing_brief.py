"""The brief: what is filled in, vague or missing, in the words people use."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from mlnb.core.checks import Context, get
from mlnb.core.errors import ConfigError
from mlnb.core.findings import Status
from mlnb.core.records import new
from mlnb.core.tables import open_table
from mlnb.framing.brief import BriefReport, assess_brief, task_of

GOOD: dict[str, Any] = {
    "business_objective": "Fewer customers leave, so that less is spent on winning new ones",
    "success_metric": "churn down from 5 % to 4 %",
    "baseline": "5 % leave each month",
    "ml_task_type": "classification",
    "prediction_target": "whether a customer cancels within the next 30 days",
    "prediction_consumer": "email",
    "latency_requirement": "batch",
    "data_available": "two years of subscriptions and tickets",
    "data_gaps": "reasons for leaving",
    "ethical_considerations": "older customers are called less often; recall by age within 0.05",
}


def state(name: str, text: Any) -> str:
    report = assess_brief(GOOD | {name: text})
    return next(field.state for field in report.fields if field.name == name)


def test_a_good_brief_passes() -> None:
    report = assess_brief(GOOD)
    assert [field.name for field in report.having("vague", "missing")] == []
    found = report.findings[0]
    assert found.status is Status.PASS and (found.value, found.threshold) == (11, 11)


@pytest.mark.parametrize("text", [
    "reduce churn", "reduce churn a lot", "much better than today", "better by 2027", "a success in Q3 2026", "done by 2026-09-30", "15 %", "> 15", "TODO",
    "tbd", "?", "…", "N/A", "significantly more revenue",
])  # fmt: skip
def test_vague_success_metrics(text: str) -> None:
    assert state("success_metric", text) == "vague"
    assert assess_brief(GOOD | {"success_metric": text}).findings[0].status is Status.FAIL


@pytest.mark.parametrize("text", [
    "reduce churn 15%", "churn −15 %", "halve the churn", "revenue +1.5 Mio. € a year", "95 % of claims within 2 days by 2027", "twice as many leads",
    "Abwanderung um 15 % senken",
])  # fmt: skip
def test_clear_success_metrics(text: str) -> None:
    assert state("success_metric", text) == "filled"


@pytest.mark.parametrize(("name", "text", "expected"), [
    ("baseline", "none", "filled"), ("baseline", "no process today", "filled"), ("baseline", "rather poor", "vague"), ("baseline", "unknown", "vague"),
    ("baseline", "40 % by rule of thumb", "filled"), ("business_objective", "churn", "vague"), ("business_objective", "improve model accuracy", "vague"),
    ("business_objective", "less money is lost to fraud", "filled"), ("ethical_considerations", "none", "vague"),
    ("ethical_considerations", "none, because only machines are concerned", "filled"), ("data_gaps", "none", "filled"), ("data_gaps", "x", "vague"),
    ("latency_requirement", "", "missing"), ("data_available", "   ", "missing"), ("prediction_target", "churn", "vague"),
    ("kill_criteria", [], "missing"), ("kill_criteria", ["when it is no fun"], "vague"), ("kill_criteria", ["after 3 months"], "filled"),
    ("roi_estimate", "", "open"), ("roi_estimate", "200 000 € a year", "filled"),
])  # fmt: skip
def test_single_fields(name: str, text: Any, expected: str) -> None:
    assert state(name, text) == expected


def test_statuses_and_messages() -> None:
    missing = assess_brief(GOOD | {"data_gaps": ""}).findings[0]
    vague = assess_brief(GOOD | {"baseline": "poor"}).findings[0]
    assert missing.status is Status.FAIL and "Missing: Data gaps." in missing.message
    assert vague.status is Status.WARN and "Baseline" in vague.message and "number" in vague.message
    empty = assess_brief(new("problem_brief")).findings[0]
    assert empty.status is Status.FAIL and empty.value == 1, "only the kill criteria of the template are there"


def test_hints_are_not_held_against_it() -> None:
    report = assess_brief(GOOD | {"prediction_target": "which customers cancel", "roi_estimate": "a lot"}, target="churned")
    hints = {field.name: field.hint for field in report.fields if field.hint}
    assert "how far ahead" in hints["prediction_target"] and "number" in hints["roi_estimate"]
    assert report.findings[0].status is Status.PASS


def test_a_mapping_is_checked_like_a_file() -> None:
    assert isinstance(assess_brief({"problem_brief": GOOD}), BriefReport)
    with pytest.raises(ConfigError, match="Did you mean 'classification'"):
        assess_brief(GOOD | {"ml_task_type": "clasification"})
    with pytest.raises(ConfigError, match="Did you mean 'success_metric'"):
        assess_brief({"succes_metric": "5 %"})
    with pytest.raises(ConfigError, match="latency_requirement"):
        assess_brief(GOOD | {"latency_requirement": "soon"})


@pytest.mark.parametrize(("values", "task"), [
    (["yes", "no"] * 50, "classification"), ([True, False] * 50, "classification"), ([0, 1] * 50, ""), ([i * 1.5 for i in range(100)], "regression"),
    ([None] * 100, ""),
])  # fmt: skip
def test_task_of_a_target(values: list[Any], task: str) -> None:
    assert task_of(open_table(pd.DataFrame({"x": range(100), "y": values})), "y") == task


def test_brief_against_the_data() -> None:
    table = open_table(pd.DataFrame({"x": range(100), "y": ["a", "b"] * 50}))
    found = get("FRAME-BRIEF").verify(Context(brief=new("problem_brief", **(GOOD | {"ml_task_type": "regression"})), data=table, target="y"))
    assert found.status is Status.WARN and "looks like classification" in found.message
    found = get("FRAME-BRIEF").verify(Context(brief=new("problem_brief", **GOOD), data=table, target="y"))
    assert found.status is Status.PASS
    assert get("FRAME-BRIEF").verify(Context()).status is Status.NOT_CHECKED


def test_display_escapes() -> None:
    trap = "<script>alert(1)</script> and 5 more words"
    html = assess_brief(GOOD | {"business_objective": trap, "kill_criteria": [trap]})._repr_html_()
    assert "<script>" not in html and "&lt;script&gt;" in html
