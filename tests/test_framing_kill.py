"""Kill criteria at and around their limits, whatever direction the metric has."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest

from mlnb.core.checks import Context, finding, get
from mlnb.core.findings import Finding, Findings, Status
from mlnb.core.records import new
from mlnb.framing.kill import heuristic_share, kill_criteria, lead_over_random, own_criteria


def measured(**scores: object) -> Findings:
    return Findings([finding("EVAL08", "pass", "", evidence={"metric": "f1", "greater_is_better": True, **scores})])


def verify(code: str, **scores: object) -> Finding:
    return get(code).verify(Context(evaluation=SimpleNamespace(findings=measured(**scores))))


@pytest.mark.parametrize(("heuristic", "model", "up", "share"), [
    (0.45, 0.5, True, 0.9), (0.5, 0.5, True, 1.0), (0.6, 0.5, True, 1.2), (0.0, 0.5, True, 0.0), (10, 9, False, 0.9), (9, 10, False, 10 / 9),
    (5, 0, False, 0.0), (0, 0, False, 1.0), (0, 5, False, math.inf), (0.1, 0.0, True, math.inf), (-0.3, -0.2, True, 0.0), (-0.1, -0.2, True, math.inf),
])  # fmt: skip
def test_share_of_the_heuristic(heuristic: float, model: float, up: bool, share: float) -> None:
    assert heuristic_share(heuristic, model, up) == pytest.approx(share)


@pytest.mark.parametrize(("model", "random", "up", "lead"), [
    (0.55, 0.5, True, 0.1), (0.5, 0.5, True, 0.0), (0.4, 0.5, True, -0.2), (9, 10, False, 0.1), (11, 10, False, -0.1), (0.3, 0.0, True, 0.3),
    (0.1, -0.1, True, 2.0),
])  # fmt: skip
def test_lead_over_random(model: float, random: float, up: bool, lead: float) -> None:
    assert lead_over_random(model, random, up) == pytest.approx(lead)


@pytest.mark.parametrize(("heuristic", "status"), [(0.62, "pass"), (0.63, "pass"), (0.631, "fail"), (0.7, "fail"), (0.9, "fail")])
def test_kill1_is_tripped_above_90_percent(heuristic: float, status: str) -> None:
    found = verify("KILL1", model=0.7, heuristic=heuristic)
    assert found.status.value == status and found.threshold == 0.9 and f"{heuristic:.3g}" in found.message


def test_kill1_where_less_is_better() -> None:
    assert verify("KILL1", model=9.0, heuristic=10.0, greater_is_better=False).status is Status.PASS
    assert verify("KILL1", model=9.1, heuristic=10.0, greater_is_better=False).status is Status.FAIL


def test_kill1_takes_the_baseline_where_there_is_no_heuristic() -> None:
    assert "baseline reaches 50%" in verify("KILL1", model=0.8, baseline=0.4).message
    assert "heuristic reaches 75%" in verify("KILL1", model=0.8, baseline=0.4, heuristic=0.6).message
    assert verify("KILL1", model=0.8).status is Status.NOT_CHECKED


@pytest.mark.parametrize(("model", "status"), [(0.5, "fail"), (0.55, "fail"), (0.5501, "pass"), (0.3, "fail"), (0.9, "pass")])
def test_kill3_is_tripped_at_10_percent_or_less(model: float, status: str) -> None:
    found = verify("KILL3", model=model, random=0.5)
    assert found.status.value == status and found.threshold == 0.1


def test_kill3_where_less_is_better_and_where_random_is_zero() -> None:
    assert verify("KILL3", model=8.9, random=10.0, greater_is_better=False).status is Status.PASS
    assert verify("KILL3", model=9.0, random=10.0, greater_is_better=False).status is Status.FAIL
    assert verify("KILL3", model=0.11, random=0.0).status is Status.PASS
    assert verify("KILL3", model=0.1, random=0.0).status is Status.FAIL


def quality(*totals: tuple[str, float]) -> Finding:
    record = new("data_quality", history=[{"date": day, "total": total} for day, total in totals])
    return get("KILL2").verify(Context(records={"data_quality": record}))


@pytest.mark.parametrize(("totals", "status"), [
    ([("2026-03-01", 18.0)], "pass"), ([("2026-03-01", 12.0)], "warn"), ([("2026-03-01", 12.0), ("2026-03-14", 17.9)], "warn"),
    ([("2026-03-01", 12.0), ("2026-03-15", 17.9)], "fail"), ([("2026-03-01", 12.0), ("2026-03-15", 18.0)], "pass"),
    ([("2026-03-15", 18.0), ("2026-03-01", 12.0)], "pass"), ([("2026-03-01", 12.0), ("2026-03-16", 25.0)], "warn"),
    ([("2026-03-01", 20.0), ("2026-04-01", 12.0)], "fail"), ([("2026-03-01", 12.0), ("2026-03-05", 20.0), ("2026-06-01", 21.0)], "pass"),
    ([], "not_checked"), ([("", 12.0)], "not_checked"),
])  # fmt: skip
def test_kill2_and_the_calendar(totals: list[tuple[str, float]], status: str) -> None:
    assert quality(*totals).status.value == status


def test_kill2_says_its_numbers() -> None:
    found = quality(("2026-03-01", 12.0), ("2026-03-20", 16.5))
    assert (found.value, found.threshold) == (16.5, 18) and "16.5 of 30 after 19 days" in found.message
    assert found.evidence["deadline"] == "2026-03-15" and len(found.evidence["history"]) == 2
    assert "needed by 2026-03-15" in quality(("2026-03-01", 12.0)).message


def test_the_ledger_stands_in_for_an_evaluation() -> None:
    ledger = measured(model=0.8, heuristic=0.4, random=0.5)
    report = kill_criteria(Context(ledger=ledger))
    assert [f.status.value for f in report.findings] == ["pass", "not_checked", "pass"] and report.tripped == ()
    stale = Findings([ledger[0].replace(status=Status.STALE, evidence={**ledger[0].evidence, "changed": ["data"]})])
    assert "data changed" in kill_criteria(Context(ledger=stale)).findings[0].message
    assert kill_criteria(Context()).findings[2].status is Status.NOT_CHECKED


def test_own_criteria() -> None:
    defaults = new("problem_brief").kill_criteria
    templates = ["Baseline heuristic achieves >90% of ML performance", "Data quality too poor after 2 weeks of cleaning",
                 "Model can't beat random by >10% on holdout set"]  # fmt: skip
    assert own_criteria([*defaults, *templates, "  ", "Legal says no"]) == ("Legal says no",)
    html = kill_criteria(Context(brief=new("problem_brief", kill_criteria=["<script>x</script>"])))._repr_html_()
    assert "&lt;script&gt;" in html and "<script>" not in html
