"""The score: nothing proven is nothing, stale evidence does not count, and a next step brings what it promises."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlnb.core import catalog
from mlnb.core.checks import finding
from mlnb.core.findings import Findings
from mlnb.core.items_rubric import RUBRIC_WEIGHTS
from mlnb.core.project import Project
from mlnb.rubric.score import band, score

CODES = list(catalog.ITEMS)


def found(statuses: dict[str, str]) -> Findings:
    return Findings(finding(code, status, "measured") for code, status in statuses.items())


def test_nothing_measured_is_nothing_proven_and_everything_possible() -> None:
    empty = score(Findings([]))
    assert (empty.total, round(empty.possible)) == (0, 100) and not any(d.measured for d in empty.dimensions.values())


def test_everything_held_is_a_hundred_and_everything_failed_is_less_than_possible() -> None:
    assert score(found(dict.fromkeys(CODES, "pass"))).total == pytest.approx(100)
    assert score(found(dict.fromkeys(CODES, "fail"))).total < 25


def test_weights_sum_to_a_hundred() -> None:
    assert sum(RUBRIC_WEIGHTS.values()) == 100 and set(score(Findings([])).dimensions) == set(RUBRIC_WEIGHTS)


@pytest.mark.parametrize(("better", "worse"), [("pass", "warn"), ("warn", "fail"), ("pass", "stale"), ("attested", "not_checked")])
def test_what_counts_more(better: str, worse: str) -> None:
    totals = [score(found(dict.fromkeys(CODES, "pass") | {"LEAK04": status, "EVAL05": status})).total for status in (better, worse)]
    assert totals[0] > totals[1]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["pass", "fail", "warn", "not_checked", "attested", "stale", "not_applicable"]), min_size=len(CODES),
                max_size=len(CODES)))  # fmt: skip
def test_a_next_step_brings_what_it_promises(statuses: list[str]) -> None:
    state = dict(zip(CODES, statuses, strict=True))
    before = score(found(state))
    assert 0 <= before.total <= before.possible + 1e-9 <= 100 + 1e-6
    assert [a.gain for a in before.next] == sorted((a.gain for a in before.next), reverse=True)
    for action in before.next[:2]:
        assert score(found(state | {action.code: "pass"})).total >= before.total + action.gain - 1e-6


def test_bands_follow_the_total() -> None:
    assert len({band(total) for total in (5, 35, 55, 75, 95)}) >= 4


def test_a_project_is_scored_by_its_ledger_and_loses_points_when_evidence_goes_stale(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,y\n" + "".join(f"{i},{'good' if i % 3 else 'bad'}\n" for i in range(200)))
    project = Project.create(tmp_path / "p", tmp_path / "t.csv", target="y")
    assert score(project.findings()).total == 0
    project.attest("FRAME-BRIEF", by="Ada", why="agreed in the review")
    signed = score(project.findings()).total
    assert signed > 0
    project.attest("FRAME-RULES", by="Ada", why="long ago", until="2020-01-01")
    assert score(project.findings()).total == signed, "an attestation that has ended proves nothing"
    project.note([finding("DQ-COMPLETENESS", "pass", "5 of 5")], inputs=("data",))
    with_data = score(project.findings()).total
    (tmp_path / "t.csv").write_text((tmp_path / "t.csv").read_text() + "999,good\n")
    data = project.path / project.config.data
    data.write_text(data.read_text() + "999,good\n")
    assert project.findings().get("DQ-COMPLETENESS").status.value == "stale" and score(project.findings()).total <= with_data


def test_the_page_is_safe_and_complete() -> None:
    html = score(found({"LEAK04": "fail", "FRAME-BRIEF": "pass"}))._repr_html_()
    assert "of 100 proven" in html and "<script" not in html and html.count("<details") == len(RUBRIC_WEIGHTS)
