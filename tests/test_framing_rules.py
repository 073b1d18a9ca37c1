"""Rules or a model: every combination of answers, and the edges."""

from __future__ import annotations

import itertools

import pandas as pd
import pytest

from mlnb.core.checks import Context, finding, get
from mlnb.core.errors import ConfigError
from mlnb.core.findings import Findings, Status
from mlnb.core.items_framing import SIGNALS
from mlnb.core.tables import open_table
from mlnb.framing.rules import HARD, PATTERN, decide

ORDER = {"rules": 0, "rules_first": 1, "ml": 2}
COMBINATIONS = [dict(zip(SIGNALS, answers, strict=True)) for answers in itertools.product((True, None, False), repeat=6)]


def test_every_verdict_is_reachable_and_explained():
    verdicts = {decide(answers).verdict for answers in COMBINATIONS}
    assert verdicts == set(ORDER)
    for answers in COMBINATIONS:
        decision = decide(answers)
        assert set(decision.decided_by) <= set(SIGNALS) and not set(decision.against) & set(decision.decided_by)
        assert decision.verdict == "rules_first" or decision.decided_by, "only doubt may be without a reason"
        assert decision.reason


def test_an_answer_in_favour_of_a_model_never_moves_the_verdict_towards_rules():
    for answers in COMBINATIONS:
        before = ORDER[decide(answers).verdict]
        for name, answer in answers.items():
            steps = (True, None, False) if name in HARD else (False, None, True)
            for stronger in steps[steps.index(answer) + 1 :]:
                assert ORDER[decide({**answers, name: stronger}).verdict] >= before, (answers, name, stronger)


def test_what_would_change_the_verdict_does_and_nothing_else():
    for answers in COMBINATIONS:
        decision = decide(answers)
        for name in (name for name, answer in answers.items() if answer is None):
            others = {decide({**answers, name: answer}).verdict for answer in (True, False)} - {decision.verdict}
            assert bool(others) == (name in decision.turns)


def test_an_open_hard_signal_asks_for_one_more_reason():
    answers = {"too_complex": True, "adapts": True, "labels_over_1000": True}
    assert decide(answers).verdict == "rules_first"
    assert decide({**answers, "must_be_auditable": False, "rules_under_10": False}).verdict == "ml"
    assert decide({**answers, "changes_fast": True}).verdict == "ml"
    assert "must_be_auditable" in decide({**answers, "changes_fast": True}).turns


def test_auditable_is_never_outvoted():
    assert {decide({**answers, "must_be_auditable": True}).verdict for answers in COMBINATIONS} == {"rules"}


def test_no_model_without_examples():
    assert "ml" not in {decide(answers, labelled=1000).verdict for answers in COMBINATIONS}
    assert decide({name: True for name in PATTERN}, labelled=1001).verdict == "ml"


def test_few_rules():
    assert decide({"rules_under_10": True}).verdict == "rules"
    assert decide({"rules_under_10": True, "labels_over_1000": True}).verdict == "rules"
    contradiction = decide({"rules_under_10": True, "too_complex": True})
    assert contradiction.verdict == "rules_first" and set(contradiction.decided_by) == {"rules_under_10", "too_complex"}


def test_a_count_replaces_an_answer():
    assert decide({"labels_over_1000": True}, labelled=3).answers["labels_over_1000"] is False
    assert decide({"labels_over_1000": False}, labelled=3000).answers["labels_over_1000"] is True


@pytest.mark.parametrize("answer", ["yes", 2, [], 0.5])
def test_an_answer_is_yes_no_or_unknown(answer):
    with pytest.raises(ConfigError, match=r"adapts is .* true, false, or null"):
        decide({"adapts": answer})


def test_a_misspelt_signal_offers_the_nearest():
    with pytest.raises(ConfigError, match="Did you mean 'too_complex'"):
        decide({"to_complex": True})


def test_display_escapes_nothing_it_did_not_write_and_lists_all_signals():
    html = decide({"adapts": True})._repr_html_()
    assert all(name in html for name in SIGNALS) and "rules first" in html
    assert list(decide().frame()["signal"]) == list(SIGNALS)


def test_check_counts_labels_and_knows_when_rules_came_first():
    table = open_table(pd.DataFrame({"x": range(1500), "y": [1.0, 0.0, None] * 500}))
    brief = {"signals": {"too_complex": True, "adapts": True, "changes_fast": True}}
    check = get("FRAME-RULES")
    assert check.verify(Context(brief=brief, data=table, target="y")).status is Status.WARN
    assert check.verify(Context(brief=brief, data=open_table(pd.DataFrame({"y": range(1500)})), target="y")).status is Status.PASS
    passed = Findings([finding("KILL1", "pass", "It is at 61 %.")])
    found = check.verify(Context(brief={"signals": {"adapts": True}}, ledger=passed))
    assert found.status is Status.PASS and "61 %" in found.message
    assert check.verify(Context(brief={"signals": {"rules_under_10": True}}, ledger=passed)).status is Status.FAIL
    assert check.verify(Context(brief={})).status is Status.NOT_CHECKED
    assert check.verify(Context()).status is Status.NOT_CHECKED
