"""What is read off counted values, off the edges and off a few columns is what a look at every row would give."""

from __future__ import annotations

import itertools

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlnb.core import column_kinds as kinds_module
from mlnb.core.column_kinds import column_kinds, column_measures, count_levels
from mlnb.core.records_rules import ColumnRules, DataRules
from mlnb.core.tables import Table, open_table
from mlnb.data import violations as violations_module
from mlnb.data.column_facts import column_facts
from mlnb.data.duplicates import duplicate_rows
from mlnb.data.level_tests import judged_by_levels, level_violations
from mlnb.data.quality import assess
from mlnb.data.typos import slips, typos
from mlnb.data.violations import count_violations

WORDS = ["Oslo", "oslo", "OSLO ", " Rome", "Rome", "Osla", "n/a", "N/A", "", "  ", "?", "A-12", "A-1", "b-12", "Malmö", "MALMÖ", "x\ny", "12", "\tRome", "$5"]
PATTERNS = ["", "[A-Z]-[0-9]+", "(?:[A-Za-z]+|[A-Z]\\-[0-9]{2})", "[A-Z].*", "\\$\\s*[0-9]+"]

column_rules = st.builds(
    ColumnRules,
    column=st.just("c"),
    type=st.sampled_from(["", "text"]),
    pattern=st.sampled_from(PATTERNS),
    format=st.sampled_from(PATTERNS),
    levels=st.lists(st.sampled_from(["Oslo", "Rome", "A-12", "Malmö"]), unique=True),
    typos=st.dictionaries(st.sampled_from(["Osla", "A-1", "12"]), st.just("Oslo")),
    spellings=st.dictionaries(st.sampled_from(["oslo", "OSLO", "MALMÖ"]), st.just("Oslo")),
    trimmed=st.sampled_from([None, True]),
    missing=st.lists(st.sampled_from(["n/a", "?", "Rome"]), unique=True),
    required=st.sampled_from([None, True]),
    unique=st.sampled_from([None, True]),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([*WORDS, None]), min_size=1, max_size=30), column_rules, st.lists(st.sampled_from(["N/A", "?"]), max_size=1))
def test_counted_values_break_the_rules_that_rows_break(values: list[str | None], mine: ColumnRules, words: list[str]) -> None:
    expr = ibis.memtable(pa.table({"c": pa.array(values, pa.string())}))
    table = Table(expr, "data", (), (("c", "categorical"),))  # of a kind that is given, nothing is counted
    by_row = count_violations(table, DataRules(missing=words, columns=[mine]))
    assert judged_by_levels(mine)
    by_value = level_violations({value: values.count(value) for value in values}, mine, words)
    assert {v.rule: (v.count, v.example) for v in by_row} == by_value


@pytest.mark.parametrize("pattern", [r"\d+", r"\w", r"(?i)a", r"a\b", r"^a$", r"\S"])
def test_expressions_that_engines_read_in_their_own_way_are_left_to_them(pattern: str) -> None:
    assert not judged_by_levels(ColumnRules(column="c", pattern=pattern))


def test_a_report_asks_rows_and_values_and_gets_the_same_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    n = 3000
    frame = pd.DataFrame({
        "town": rng.choice(["Oslo", "oslo", "Rome ", "Osla", "Rome", "Malmö", "n/a", ""], n, p=[0.4, 0.05, 0.02, 0.001, 0.4, 0.099, 0.02, 0.01]),
        "code": [f"{'AB' if i % 90 else 'A?'}-{i % 60:03}" for i in range(n)],
        "size": [str(i % 40) if i % 70 else "4 oz" for i in range(n)],
        "day": [f"2026-01-{1 + i % 28:02}" if i % 200 else "soon" for i in range(n)],
        "x": rng.normal(size=n),
    })
    quick = assess(open_table(frame), "town")
    monkeypatch.setattr(violations_module, "judged_columns", lambda *_: {})
    slow = assess(open_table(frame), "town")
    assert quick.violations == slow.violations and quick.to_dict() == slow.to_dict()
    assert {v.rule for v in quick.violations} >= {"typo", "spelling", "trimmed", "pattern", "unit", "type"}


def mixed(n: int = 120) -> pd.DataFrame:
    return pd.DataFrame({
        "a": [[1.5, np.nan, -3.0, np.inf][i % 4] for i in range(n)], "b": range(n), "c": [["x", "x ", None, ""][i % 4] for i in range(n)],
        "d": [str(i / 7) for i in range(n)], "e": pd.date_range("2026-01-01", periods=n), "f": [i % 2 == 0 for i in range(n)],
        "g": [f"2026-02-{1 + i % 28}" for i in range(n)], "h": ["k"] * n, "i": [None] * n, "j": [f"id{i}" for i in range(n)],
    })  # fmt: skip


def test_a_wide_table_is_measured_like_a_narrow_one(monkeypatch: pytest.MonkeyPatch) -> None:
    table = pa.Table.from_pandas(mixed(), preserve_index=False)
    odd = table.append_column("z", pa.array([[1.0, float("nan"), 2.0][i % 3] for i in range(table.num_rows)]))  # not-a-number, not missing
    narrow = column_measures(ibis.memtable(odd))
    facts = column_facts(open_table(odd))
    monkeypatch.setattr(kinds_module, "WIDE", 3)
    expr = ibis.memtable(odd)
    wide = column_measures(expr)
    assert column_kinds(expr, wide) == column_kinds(expr, narrow)
    for name in odd.column_names:
        assert wide[name]["filled"] == narrow[name]["filled"] and repr(wide[name].get("low")) == repr(narrow[name].get("low")), name
        assert repr(wide[name].get("high")) == repr(narrow[name].get("high")) and wide[name].get("levels") == narrow[name].get("levels"), name
    assert column_facts(open_table(odd)) == facts


def test_values_are_counted_alike_in_memory_and_by_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    expr = ibis.memtable(mixed()).select("c", "d", "g")
    held = count_levels(expr, ["c", "d", "g"], 120)
    monkeypatch.setattr(kinds_module, "PULLED", 0)
    assert count_levels(expr, ["c", "d", "g"], 120) == held and held["c"] == {"x": 30, "x ": 30, None: 30, "": 30}
    monkeypatch.setattr(kinds_module, "LEVELS", 50)
    assert set(count_levels(expr, ["c", "d", "g"], 120)) == {"c", "g"}


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.sampled_from([0.5, None, 1.5])), min_size=1, max_size=40))
def test_rows_that_a_few_columns_tell_apart_are_counted_like_the_others(rows: list[tuple]) -> None:
    frame = pd.DataFrame([(*row, "u", "v", row[0] * 0.1, row[1] * 0.1, 1.0) for row in rows], columns=list("abcdefgh"))
    assert duplicate_rows(open_table(frame)).count == int(frame.duplicated().sum())


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.text("ab12", min_size=3, max_size=6), st.integers(1, 40), min_size=2, max_size=25))
def test_what_is_left_out_as_no_slip_is_no_slip(counts: dict[str, int]) -> None:
    for typed, meant in typos(counts).items():
        assert slips(typed.casefold(), meant.casefold())
    levels = sorted(counts)
    for typed, meant in itertools.pairwise(levels):
        bare = ["".join("" if c.isdigit() else c for c in word) for word in (typed, meant)]
        if len(typed) != len(meant) and bare[0] == bare[1]:
            assert not slips(typed, meant)
