"""Rules read off data: known errors found, honest data left alone, counts as pandera counts them, files that survive people."""

from __future__ import annotations

import datetime
import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from mlnb.core.errors import ConfigError, InputError
from mlnb.core.records_rules import ColumnRules, DataRules, Dependency
from mlnb.core.tables import Table, open_table
from mlnb.data.column_facts import column_facts, text_levels
from mlnb.data.duplicates import duplicate_examples, duplicate_rows
from mlnb.data.fitness import timeliness
from mlnb.data.formats import date_style, shape_pattern, units_beside
from mlnb.data.quality import assess
from mlnb.data.rule_schema import failures, validate
from mlnb.data.rules import infer_rules, load_rules, save_rules, value_range
from mlnb.data.truth import compare_truth
from mlnb.data.typos import slips, typos
from mlnb.data.violations import count_violations, flag_cells


def cells_of(table) -> set[tuple[int, str]]:
    return set(flag_cells(table, infer_rules(table))[["row", "column"]].itertuples(index=False, name=None))


@pytest.mark.parametrize("name", ["dirty_hospital", "dirty_beers"])
def test_wrong_cells_are_flagged_and_right_ones_are_not(shared_data, name: str) -> None:
    sides = [
        pd.read_csv(shared_data(name) / f"{side}.csv", dtype=str, keep_default_na=False) for side in ("dirty", "clean")
    ]
    differ = sides[0].to_numpy() != sides[1].to_numpy()
    wrong = {(row, sides[0].columns[column]) for row, column in zip(*differ.nonzero(), strict=True)}
    found = cells_of(open_table(shared_data(name) / "dirty.csv"))
    assert len(found & wrong) / len(found) >= 0.95 and len(found & wrong) / len(wrong) >= 0.9
    twin = cells_of(open_table(shared_data(name) / "clean.csv"))
    assert len(twin) <= 0.003 * differ.size


@pytest.mark.parametrize("name", ["dirty_hospital", "dirty_beers"])
def test_the_clean_twin_scores_higher(shared_data, name: str) -> None:
    dirty, clean = (assess(open_table(shared_data(name) / f"{side}.csv")).dimensions for side in ("dirty", "clean"))
    assert all(clean[d].score > dirty[d].score - 0.02 for d in ("accuracy", "consistency"))
    assert max(clean[d].score - dirty[d].score for d in ("accuracy", "consistency")) > 1


@pytest.mark.parametrize(
    "file", ["telco_churn/Telco-Customer-Churn.csv", "bank_marketing/bank-additional.csv", "bike_sharing/day.csv"]
)
def test_honest_data_is_left_alone(shared_data, file: str) -> None:
    table = open_table(shared_data(file))
    flagged = flag_cells(table, infer_rules(table))
    wrong = flagged[flagged["dimension"] != "completeness"]
    assert len(wrong) <= 0.003 * table.rows * len(table.columns), wrong["rule"].value_counts().to_dict()


def dirty(n: int = 300) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    code = rng.integers(0, 12, n)
    frame = pd.DataFrame({
        "code": code, "town": np.array(["Oslo", "Bergen", "Rome", "Paris"])[code // 3], "size": rng.integers(1, 90, n).astype(str),
        "age": rng.normal(40, 9, n).round(), "key": [f"k-{1000 + i}" for i in range(n)], "day": pd.date_range("2026-01-01", periods=n).astype(str),
    })  # fmt: skip
    frame.loc[2, "town"], frame.loc[4, "town"], frame.loc[9, "town"] = "Bergxn", "oslo", " Rome "
    frame.loc[3, "town"] = "Rome" if frame.loc[3, "town"] != "Rome" else "Oslo"
    frame.loc[5:8, "size"] = ["12 oz", "many", "n/a", "1,200"]
    frame.loc[11, "age"], frame.loc[12, "age"], frame.loc[13, "key"], frame.loc[14, "day"] = (
        400,
        np.inf,
        "k1013",
        "01/02/2026",
    )
    return frame


FULL = DataRules(columns=[
    ColumnRules(column="town", typos={"Bergxn": "Bergen"}, spellings={"oslo": "Oslo"}, levels=["Oslo", "Bergen", "Rome", "Paris"]),
    ColumnRules(column="size", type="number", units=["oz"], missing=["n/a"], max=80, required=True), ColumnRules(column="age", type="number", min=0, max=120),
    ColumnRules(column="key", pattern="k-[0-9]+"), ColumnRules(column="day", type="date", latest="2026-09-01", format="[0-9]{4}-[0-9]{2}-[0-9]{2}")],
    dependencies=[Dependency(given=["code"], then="town")])  # fmt: skip


def test_pandera_finds_what_the_database_counts() -> None:
    frame = dirty()
    ours = {
        (v.column, "dependency code → town" if v.rule == "dependency" else v.rule): v.count
        for v in count_violations(open_table(frame), FULL)
    }
    theirs = failures(frame, FULL)
    rows = theirs.assign(column=theirs["column"].where(~theirs["check"].str.startswith("dependency"), "town"))
    counted = rows.groupby(["column", "check"])["row"].nunique().to_dict()
    counted["size", "required"] = (
        1  # the word for missing is a missing value too: the database says it once, as the word
    )
    ours["size", "required"] = 1
    assert (
        counted == ours
        and ours["town", "typo"] == 1
        and ours["size", "unit"] == 2
        and ours["town", "dependency code → town"] == 2
    )  # the wrong town, and the one in blanks


def test_flagged_cells_and_counts_agree() -> None:
    table = open_table(dirty())
    cells = flag_cells(table, FULL).groupby(["column", "rule"]).size().to_dict()
    assert cells == {(v.column, v.rule): v.count for v in count_violations(table, FULL)}


def test_nothing_passes_silently(monkeypatch: pytest.MonkeyPatch) -> None:
    from pandera.config import CONFIG

    monkeypatch.setattr(CONFIG, "validation_enabled", False)
    with pytest.raises(InputError, match="breaks"):
        validate(dirty(), FULL)
    with pytest.raises(InputError, match="no pandas frame"):
        validate(open_table(dirty()), FULL)
    found = failures(dirty().drop(columns="size"), FULL)
    assert ("size", "column_in_dataframe") in set(found[["column", "check"]].itertuples(index=False, name=None))


@given(st.text("abcdefgh", min_size=4, max_size=12), st.integers(0, 11))
@settings(max_examples=60, deadline=None)
def test_a_slip_is_one_slip_and_digits_are_none(word: str, at: int) -> None:
    at %= len(word)
    assert slips(word[:at] + "x" + word[at + 1 :], word) == 1 and slips(word[:at] + "x" + word[at:], word) == 1
    assert slips(f"{word}1", f"{word}2") is None and not typos({f"{word}1": 50, f"{word}2": 1})


@given(st.lists(st.floats(-1e6, 1e6), min_size=60, max_size=200), st.floats(0.01, 100), st.floats(-1e3, 1e3))
@settings(max_examples=60, deadline=None)
def test_a_range_holds_the_middle_of_the_data(values: list[float], scale: float, shift: float) -> None:
    numbers = np.array(values) * scale + shift
    low, high = value_range(numbers)
    q = np.quantile(numbers, [0.1, 0.9])
    assert (low is None or low <= q[0]) and (high is None or high >= q[1])


@pytest.mark.parametrize("draw", ["normal", "lognormal", "exponential", "uniform"])
def test_honest_tails_stay_in_range_and_errors_do_not(draw: str) -> None:
    rng = np.random.default_rng(1)
    values = getattr(rng, draw)(size=20_000) + (50 if draw == "normal" else 0)
    low, high = value_range(values)
    assert ((values < low) | (values > high)).sum() == 0 and high < 1000 * values.max()


def test_formats() -> None:
    assert units_beside({f"{i} kg": 2 for i in range(50)})[1].endswith("kg") and units_beside(
        {f"{i}": 2 for i in range(50)}
    ) == ([], "")
    assert date_style({f"{i:02}.03.2026": 1 for i in range(1, 29)}) and not date_style({f"1.{i}": 1 for i in range(30)})
    assert shape_pattern({f"AB-{i}": 1 for i in range(100, 180)}) == "AB-[0-9]{3}"


def test_a_file_keeps_what_people_write(tmp_path: Path) -> None:
    rules = infer_rules(open_table(dirty()))
    path = save_rules(rules, tmp_path / "rules.yaml")
    text = path.read_text().replace("    - column: age", "    - column: age  # years, asked at the door")
    path.write_text(text)
    save_rules(load_rules(path), path)
    assert path.read_text() == text and load_rules(path) == rules
    path.write_text(text.replace("      max: ", "      maxx: ", 1))
    with pytest.raises(ConfigError, match=r"line .*maxx: unknown field.*Did you mean 'max'"):
        load_rules(path)
    path.write_text(text.replace("version: 1", "version: 2").replace("  columns:", "  shapes: []\n  columns:"))
    with pytest.raises(ConfigError, match="version 2 and this mlnb knows versions up to 1"):
        load_rules(path)
    with pytest.raises(ConfigError, match=r"no such column.*Did you mean"):
        load_rules(save_rules(rules, tmp_path / "other.yaml"), open_table(dirty().rename(columns={"age": "ages"})))


def test_edited_rules_are_run_again(tmp_path: Path) -> None:
    table, path = open_table(dirty()), tmp_path / "rules.yaml"
    rules = infer_rules(table)
    save_rules(rules, path)
    loose = load_rules(path)
    edited = loose.model_copy(
        update={"columns": [c.model_copy(update={"max": 30.0}) if c.column == "age" else c for c in loose.columns]}
    )
    before, after = (assess(table, rules=r).dimensions["accuracy"].score for r in (loose, edited))
    assert after < before


def test_the_command_saves_reads_and_lists(tmp_path: Path) -> None:
    from mlnb.cli import app

    dirty().to_csv(tmp_path / "d.csv", index=False)
    run = CliRunner().invoke
    first = run(
        app,
        [
            "quality",
            str(tmp_path / "d.csv"),
            "--save-rules",
            str(tmp_path / "r.yaml"),
            "--cells",
            str(tmp_path / "c.csv"),
            "--json",
        ],
    )
    assert first.exit_code == 0, first.output
    second = run(app, ["quality", str(tmp_path / "d.csv"), "--rules", str(tmp_path / "r.yaml"), "--json"])
    found, again = (json.loads(r.stdout) for r in (first, second))
    assert found["total"] == again["total"] and set(found["dimensions"]) == {
        "completeness",
        "accuracy",
        "consistency",
        "timeliness",
        "relevance",
        "volume",
    }
    assert found["dimensions"]["accuracy"]["examples"] and len(pd.read_csv(tmp_path / "c.csv")) > 5
    assert run(app, ["quality", str(tmp_path / "d.csv"), "--need", "dayly"]).exit_code == 2


def test_duplicates_as_pandas_counts_them_and_within_the_error_said() -> None:
    frame = pd.DataFrame(np.random.default_rng(0).integers(0, 40, (20_000, 3)), columns=list("abc"))
    exact, estimated = duplicate_rows(open_table(frame)), duplicate_rows(open_table(frame), part=5000)
    assert exact.count == frame.duplicated().sum() and exact.error == 0
    assert estimated.error > 0 and abs(estimated.count - exact.count) < 4 * estimated.error


def test_truth_by_key_by_order_and_with_other_columns() -> None:
    truth = pd.DataFrame({"id": range(50), "age": range(20, 70), "yes": [True, False] * 25})
    data = truth.assign(yes=["yes", "no"] * 25, more=1).sample(frac=1, random_state=1).reset_index(drop=True)
    data.loc[[1, 2], "age"] = [999, 998]
    found = compare_truth(open_table(data), open_table(truth))
    assert found.key == ("id",) and found.counts == {"age": 2, "yes": 0} and found.only_here == ("more",)
    assert {e["row"] for e in found.examples} == {1, 2}
    with pytest.raises(InputError, match="share no column"):
        compare_truth(open_table(data[["age"]]), open_table(truth[["yes"]]))
    with pytest.raises(InputError, match=r"has no column 'idd'.*Did you mean 'id'"):
        compare_truth(open_table(data), open_table(truth), key=["idd"])


@pytest.mark.parametrize(
    ("days", "need", "low", "high"),
    [(0, "daily", 5, 5), (90, "daily", 0, 0), (6, "weekly", 5, 5), (10, "daily", 1, 4), (200, "yearly", 5, 5)],
)
def test_age_against_the_need(days: int, need: str, low: float, high: float) -> None:
    newest = datetime.date(2026, 5, 1)
    table = open_table(pd.DataFrame({"at": pd.date_range(end=newest, periods=30, freq="D")}))
    assert low <= timeliness(table, "at", newest + datetime.timedelta(days=days), need).computed <= high


def test_times_that_are_none_and_times_of_several_zones() -> None:
    now = datetime.date(2026, 2, 1)
    mixed = ["2026-01-30T10:00:00Z", "2026-01-31 09:00:00", "2026-01-31T23:00:00+02:00"] * 10 + ["soon"]
    found = timeliness(open_table(pd.DataFrame({"at": mixed})), "at", now)
    assert found.computed is not None and [w["count"] for w in found.worst] == [1, 10]
    assert timeliness(open_table(pd.DataFrame({"at": ["soon", "later"]})), "at", now).computed is None
    assert timeliness(open_table(pd.DataFrame({"at": pd.to_datetime(["2027-01-01"])})), "at", now).computed == 0


BAD = {
    "one row": pd.DataFrame({"a": [1], "b": ["x"]}),
    "infinities": pd.DataFrame({"a": [np.inf, -np.inf, 1.0] * 30, "y": [0, 1, 1] * 30}),
    "mixed types": pd.DataFrame({"a": [1, "x", 2.5, None] * 30, "y": [0, 1, 1, 0] * 30}),
    "all missing": pd.DataFrame({"a": [None] * 60, "b": range(60)}),
    "script": pd.DataFrame({"<script>alert(1)</script>": ["a", "<b>"] * 40, "n": range(80)}),
    "quotes": pd.DataFrame({"it's \"a\" 'b'": ["o'x", '"', "%", "\\"] * 20, "select": range(80)}),
    "lists": pd.DataFrame({"a": [[1], [2]] * 30, "b": range(60)}),
    "dates as text": pd.DataFrame({"d": ["01/02/2026", "2026-02-01"] * 40}),
}


@pytest.mark.parametrize("name", list(BAD))
def test_odd_tables_have_a_report(name: str) -> None:
    table = open_table(BAD[name])
    report = assess(table)
    assert 0 <= report.total <= 30 and "<script>" not in report._repr_html_() and json.dumps(report.to_dict())
    assert flag_cells(table, report.rules)["row"].between(0, table.rows - 1).all()


def test_a_target_without_values_is_an_error_and_not_a_score_of_zero() -> None:
    with pytest.raises(InputError, match="'y' has no values"):
        assess(open_table(pd.DataFrame({"a": range(60), "y": [None] * 60})), target="y")


def test_thousands_of_columns() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.random((60, 3000)), columns=[f"c{i}" for i in range(3000)])
    frame.iloc[3, 7] = np.inf
    report = assess(open_table(frame))
    assert report.columns == 3000 and [(v.column, v.rule) for v in report.violations if v.rule == "type"] == [
        ("c7", "type")
    ]


@pytest.mark.parametrize("moment", ["os.fsync", "os.replace"])
def test_a_kill_in_the_middle_of_writing_leaves_the_old_rules(moment: str, tmp_path: Path) -> None:
    path = save_rules(
        DataRules(columns=[ColumnRules(column="age", type="number", max=120)]), tmp_path / "data_rules.yaml"
    )
    path.write_text(path.read_text() + "# agreed with the clinic\n")
    before = path.read_bytes()
    script = textwrap.dedent(f"""
        import os, signal
        from mlnb.data.rules import load_rules, save_rules
        rules = load_rules({str(path)!r})
        rules.columns[0].max = 99
        {moment} = lambda *args: os.kill(os.getpid(), signal.SIGKILL)
        save_rules(rules, {str(path)!r})
    """)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=os.environ | {"PYTHONPATH": os.getcwd()}
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert path.read_bytes() == before and load_rules(path).columns[0].max == 120
    rules = load_rules(path)  # and the lock of the dead process holds nobody up
    rules.columns[0].max = 110
    assert load_rules(save_rules(rules, path)).columns[0].max == 110 and "# agreed with the clinic" in path.read_text()


@pytest.mark.parametrize("part", [10_000, 300])
def test_duplicate_rows_are_shown_with_the_row_they_repeat(part: int) -> None:
    frame = pd.DataFrame(
        {
            "a": range(1000),
            "b": [f"x{i % 7}" for i in range(1000)],
            "c": [None if i % 3 else i / 2 for i in range(1000)],
        }
    )
    frame = pd.concat([frame, frame.iloc[[4, 17, 100, 4, 250, 333, 601, 702]]], ignore_index=True)
    shown = duplicate_examples(open_table(frame), most=3, part=part)
    assert 0 < len(shown) <= 3
    for example in shown:
        first = int(str(example["what"]).split("row ")[1].split(",")[0])
        assert first < example["row"] and frame.iloc[first].equals(frame.iloc[example["row"]].rename(first))
    assert duplicate_examples(open_table(frame.head(1000))) == []
    if part > 1000:
        assert (
            shown[0]["row"] == 1001 and assess(open_table(frame)).dimensions["consistency"].examples[0]["row"] == 1001
        )


@pytest.mark.parametrize(
    ("low", "high"),
    [(0.0, 10.0), (-3.0, 10.0), (0.0, np.inf), (-np.inf, np.inf), (0.0, np.nan), (np.nan, np.nan), (-999.0, 999.0)],
)
def test_what_the_edges_answer_is_what_every_row_would_say(low: float, high: float) -> None:
    values = (
        np.r_[np.full(20, low), np.linspace(0, 9, 2000), np.full(20, high)] if low == low else np.full(2040, np.nan)
    )
    frame = pd.DataFrame({"x": values, "row": range(2040)})
    rules = DataRules(
        columns=[
            ColumnRules(column="x", type="number", min=-1, max=20, required=True),
            ColumnRules(column="row", type="number", max=2040),
        ]
    )
    found = {(v.column, v.rule): v.count for v in count_violations(open_table(frame), rules)}
    x = open_table(frame).expr.x.to_pandas().to_numpy(float)
    wanted = {
        "required": int(np.isnan(x).sum()),
        "type": int(np.isinf(x).sum()),
        "range": int((np.isfinite(x) & ((x < -1) | (x > 20))).sum()),
    }
    assert found == {("x", rule): n for rule, n in wanted.items() if n}
    facts = column_facts(open_table(frame))["x"]
    assert facts.infinite == wanted["type"] and facts.disguised == (40 if high == 999 else 0)


def test_text_counted_value_by_value_is_text_counted_row_by_row() -> None:
    frame = pd.DataFrame(
        {
            "town": [
                ["Rome", "rome ", "Oslo", " ", "", None, "n/a", "N/A", "Malmö", "MALMÖ"][i % 10] for i in range(500)
            ],
            "other": ["x", "y"] * 250,
        }
    )
    table = open_table(frame)
    assert set(text_levels(table)) == {"town", "other"} and text_levels(table)["town"][None] == 50
    row_by_row = Table(table.expr, table.name, (), tuple(table.kinds.items()))  # kinds that are given are not measured
    assert column_facts(table) == column_facts(row_by_row, levels={})
