"""Bad input is answered by a sentence or a finding, never by a traceback and never by silence."""

from __future__ import annotations

import csv
import datetime
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlnb.core.csv_text import csv_fault
from mlnb.core.errors import InputError, MlnbError
from mlnb.core.project import Project
from mlnb.core.tables import open_table
from mlnb.data.features import suggest_features
from mlnb.data.integrity import inspect
from mlnb.data.leakage import audit
from mlnb.data.quality import assess
from mlnb.monitoring.drift import compare

GOOD = "".join(f"{i},{i % 3},{'yes' if i % 2 else 'no'}\n" for i in range(200))  # lines 2 to 201


# a CSV file that is broken somewhere: what is wrong, and the line

FAULTS = {
    "open.csv": ("a,b,y\n1,2,no\n" + '3,"4,no\n' + GOOD, "a quote that opens in line 3 is never closed"),
    "last.csv": ("a,b,y\n" + GOOD + '3,"4,no\n', "a quote that opens in line 202 is never closed"),
    "early.csv": ("a,b,y\n" + GOOD + '1,"he said "hi", then",yes\n', "a quote in line 202 closes before its value ends"),
    "more.csv": ("a,b,y\n" + GOOD + "1,2,3,4,5\n" + GOOD, "line 202 has 5 values and the header names 3"),
    "less.csv": ("a,b,y\n" + GOOD + "1,2\n" + GOOD, "line 202 has 2 values and the header names 3"),
    "short.csv": ("a,b\n" + GOOD, "line 2 has 3 values and the header names 2"),
    "title.csv": ("made in March\na,b,y\n" + GOOD, "line 2 has 3 values and the header names 1"),
    "lines.csv": ('a,b,y\n1,"two\nlines",yes\n' + GOOD + "1,2\n", "line 204 has 2 values"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_the_line_that_breaks_a_csv_file_is_named(tmp_path: Path, name: str) -> None:
    text, said = FAULTS[name]
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=said) as error:
        open_table(tmp_path / name)
    assert str(error.value).startswith(f"{name} cannot be read as CSV: ") and "UTF-8" not in str(error.value)


def test_the_line_with_another_encoding_is_named(tmp_path: Path) -> None:
    (tmp_path / "late.csv").write_bytes(b"a,b,y\n" + GOOD.encode() * 60 + "1,Zürich,yes\n".encode("latin-1"))
    with pytest.raises(InputError, match="line 12002 is not UTF-8 text"):
        open_table(tmp_path / "late.csv")
    (tmp_path / "wide.csv").write_bytes(("a,b,y\n" + GOOD).encode("utf-16"))
    with pytest.raises(InputError, match="UTF-16 and not UTF-8"):
        open_table(tmp_path / "wide.csv")


CELLS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=6)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(CELLS, min_size=2, max_size=2), min_size=1, max_size=12), st.integers(0, 12), st.sampled_from(",;\t|"))
def test_a_fault_is_found_where_it_is_and_nowhere_else(tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], place: int, delimiter: str) -> None:
    path = tmp_path_factory.mktemp("csv") / "t.csv"

    def written(rows: list[list[str]]) -> str:
        text = io.StringIO()
        csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows([["a", "b"], *rows])
        path.write_text(text.getvalue())
        return csv_fault(str(path), delimiter, ["a", "b"])

    assert written(rows) == ""
    place = min(place, len(rows))
    assert written([*rows[:place], ["1", "2", "3"], *rows[place:]]).startswith(f"line {place + 2} has 3 values")


# several files as one table


def test_files_whose_columns_stand_in_another_order_are_refused(tmp_path: Path) -> None:
    """An engine takes the names of the first file, and reads the second one's columns under each other's names."""
    (tmp_path / "1.csv").write_text("age,fee\n31,2\n")
    (tmp_path / "2.csv").write_text("fee,age\n2,31\n")
    with pytest.raises(InputError, match=r"2\.csv begins with the columns fee, age and 1\.csv with age, fee"):
        open_table(tmp_path / "*.csv")
    (tmp_path / "2.csv").write_text("age;fee\n31;2\n")
    with pytest.raises(InputError, match="same delimiter"):
        open_table(tmp_path / "*.csv")


def test_parquet_files_are_matched_by_name(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1], "b": [2]}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"b": [20], "a": [10]}), tmp_path / "2.parquet")
    assert sorted(open_table(tmp_path / "*.parquet").frame().to_numpy().tolist()) == [[1, 2], [10, 20]]
    for extra in ({"a": [1], "b": [2], "c": [3]}, {"a": [1]}):
        pq.write_table(pa.table(extra), tmp_path / "2.parquet")
        with pytest.raises(InputError, match="differ in the columns"):
            open_table(tmp_path / "*.parquet")
    pq.write_table(pa.table({"a": ["x"], "b": [2]}), tmp_path / "2.parquet")
    with pytest.raises(InputError, match="different types"):
        open_table(tmp_path / "*.parquet").kinds  # noqa: B018


def test_yes_is_the_same_word_in_every_file(tmp_path: Path) -> None:
    """An engine reads Yes and No as booleans in the file that holds nothing else, so no row agreed with one of the other file."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=300), "z": rng.normal(size=300), "lines": rng.choice(["Yes", "No"], 300), "y": rng.choice(["on", "off"], 300)})
    train, test = frame[:200].copy(), pd.concat([frame[200:], frame[:60]])
    train.loc[150:170, "lines"] = "No service"
    for name, side in (("train", train), ("test", test)):
        side.to_csv(tmp_path / f"{name}.csv", index=False)
    one, other = str(tmp_path / "train.csv"), str(tmp_path / "test.csv")
    assert open_table(one).frame()["lines"].unique().tolist() == train["lines"].unique().tolist()
    found = audit(one, other, target="y").findings.get("LEAK07")
    assert found is not None and found.status.value == "fail" and found.value == pytest.approx(60 / 160)
    assert inspect(one, other, target="y").findings.get("DATA14").status.value == "pass"  # type: ignore[union-attr]
    assert compare(one, other).columns["lines"].psi < 0.5  # type: ignore[operator]


# names


@pytest.mark.parametrize("kind", ["csv", "parquet", "pandas", "arrow"])
@pytest.mark.parametrize(("names", "said"), [(["a", "A", "y"], "differ in upper and lower case only: 'a' and 'A'"), (["a", "b", "a"], "of the same name: 'a'")])
def test_names_that_an_engine_takes_for_one(tmp_path: Path, kind: str, names: list[str], said: str) -> None:
    table = pa.table([[1, 2], [3, 4], [5, 6]], names=names)
    if kind == "csv":
        (tmp_path / "t.csv").write_text(",".join(names) + "\n1,3,5\n2,4,6\n")
    elif kind == "parquet":
        pq.write_table(table, tmp_path / "t.parquet")
    data: Any = {"pandas": pd.DataFrame([[1, 3, 5], [2, 4, 6]], columns=names), "arrow": table}.get(kind, tmp_path / f"t.{kind}")
    with pytest.raises(InputError, match=said):
        open_table(data)


def test_a_column_without_a_name_takes_no_other_columns_name(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,,column_2\n1,2,3\n4,5,6\n")
    assert open_table(tmp_path / "t.csv").frame().to_dict("list") == {"a": [1, 4], "column_2_": [2, 5], "column_2": [3, 6]}


def methods() -> list[str]:
    """Names that engines and pandas use for themselves, one of each spelling."""
    words = ["self", "by", "having", "exprs", "name", "order", "order_by", "schema", "columns", "row", "rows", "n", "value", "index", "day", "train", "test", "target",
             "time", "entity", "task", "kinds", "expr", "where", "how", "left", "right", "_", "__class__", "None", "null", "select", "from"]  # fmt: skip
    return list({word.lower(): word for word in [*dir(ibis.expr.types.Table), *dir(pd.DataFrame), *words] if word in words or not word.startswith("_")}.values())


HOSTILE = ["a'b", 'q"q', "d.o.t", "new\nline", "🎯", "", "<script>alert(1)</script>", "per%cent", "{brace}", "back\\slash", "tab\tx", "com,ma", "semi;colon", " lead", "-",
           "x" * 300, "day'); drop table x; --"]  # fmt: skip


def named(names: list[str], rows: int = 200) -> pd.DataFrame:
    """A table with these columns, and a target, a time and an entity of odd names."""
    rng = np.random.default_rng(0)
    kinds: list[Callable[[], Any]] = [
        lambda: rng.normal(size=rows).round(3),
        lambda: rng.choice(["u", "v", "w"], rows),
        lambda: rng.integers(0, 50, rows),
        lambda: np.where(rng.random(rows) < 0.2, None, rng.choice(["1.5", "2.5", "x"], rows, p=[0.45, 0.45, 0.1])),
    ]
    frame = pd.DataFrame({name: kinds[i % 4]() for i, name in enumerate(names)})
    return frame.assign(**{"tar'get.": rng.choice(["yes", "no"], rows), "wh\nen": pd.date_range("2024-01-01", periods=rows, freq="h"),
                           'w"ho': rng.integers(0, 30, rows).astype(str)})  # fmt: skip


ROLES = {"target": "tar'get.", "time": "wh\nen", "entity": 'w"ho'}
PASSES: dict[str, Callable[[pd.DataFrame], Any]] = {
    "quality": lambda f: assess(open_table(f), ROLES["target"], ROLES["time"], now=datetime.date(2024, 2, 1)),
    "leaks": lambda f: audit(f[:140], f[140:], **ROLES),
    "integrity": lambda f: inspect(f[:140], f[140:], **ROLES),
    "drift": lambda f: compare(f[:140], f[140:], target=ROLES["target"]),
}


@pytest.mark.parametrize("analysis", PASSES)
def test_columns_may_be_called_anything(analysis: str) -> None:
    words = methods()
    for names in (["self", "by", "having", *words[:: len(words) // 22]], HOSTILE):
        report = PASSES[analysis](named(names))
        crashed = [f for f in report.findings if "error" in f.evidence]
        assert len(report.findings) >= 4 and not crashed
        assert "<script>alert" not in report._repr_html_()


def test_every_method_is_a_column_in_the_queries() -> None:
    frame = named(methods(), 60)
    table = open_table(frame)
    assert table.frame().columns.tolist() == frame.columns.tolist() and len(table.kinds) == frame.shape[1] > 200
    counted = table.aggregate({name: table.typed[name].count() for name in table.columns})
    assert all(counted[name] == table.frame()[name].count() for name in ("self", "by", "having", "count"))
    assert set(compare(frame, frame).columns) == set(frame.columns)


def test_features_of_columns_called_anything() -> None:
    frame = named(["self", "by", "<script>", "a\nb", "d.o.t", "count"])
    plan = suggest_features(frame, **ROLES)
    features, wanted = frame.drop(columns=ROLES["target"]), frame[ROLES["target"]] == "yes"
    made = plan.pipeline().fit(features, wanted).predict(features)
    assert set(plan.frame()["column"]) >= {"self", "by"} and len(made) == len(frame) and "<script>" not in plan._repr_html_()


# roles


def sides() -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"x": rng.normal(size=400), "g": rng.choice(list("abcd"), 400), "when": pd.date_range("2024-01-01", periods=400, freq="h").astype(str),
                          "who": rng.integers(0, 80, 400).astype(str), "y": rng.choice(["yes", "no"], 400)})  # fmt: skip
    return frame[:300].reset_index(drop=True), frame[300:].reset_index(drop=True)


CASES: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], Callable[[pd.DataFrame], pd.DataFrame], dict[str, str], str]] = {
    "one column, two roles": (lambda f: f, lambda f: f, {"time": "y"}, "given as the target and as the time column"),
    "one column, two others": (lambda f: f, lambda f: f, {"time": "who", "entity": "who"}, "given as the time column and as the entity column"),
    "no such task": (lambda f: f, lambda f: f, {"task": "binry"}, "no task 'binry'.*Did you mean 'binary'"),
    "words for a time": (lambda f: f.assign(when="monday").assign(when=lambda g: g["when"].where(g.index % 2 == 0, "tuesday")), lambda f: f, {"time": "when"},
                         "time column 'when' of .* holds categorical values, such as 'monday'"),
    "no times": (lambda f: f.assign(when=None), lambda f: f.assign(when=None), {"time": "when"}, "holds empty values"),
    "no entities": (lambda f: f.assign(who=None), lambda f: f, {"entity": "who"}, "entity column 'who' of .* has no values"),
    "some zones": (lambda f: f.assign(when=f["when"].where(f.index % 2 == 0, f["when"] + "Z")), lambda f: f, {"time": "when"}, "time zone in 150 of 300 rows only"),
    "zones in train": (lambda f: f.assign(when=f["when"] + "+02:00"), lambda f: f, {"time": "when"}, "names a time zone in .* and none in test"),
    "a typed zone in train": (lambda f: f.assign(when=pd.to_datetime(f["when"]).dt.tz_localize("UTC")), lambda f: f.assign(when=pd.to_datetime(f["when"])),
                              {"time": "when"}, "names a time zone in .* and none in test"),
    "words for a time in test": (lambda f: f, lambda f: f.assign(when="monday"), {"time": "when"}, "time column 'when' of test holds constant values, such as 'monday'"),
}  # fmt: skip
BOTH = {"leaks": lambda train, test, given: audit(train, test, "y", **given), "integrity": lambda train, test, given: inspect(train, test, "y", **given)}
ONE = {"quality": lambda train, given: assess(open_table(train), "y", **given), "features": lambda train, given: suggest_features(train, "y", **given)}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("analysis", BOTH)
def test_roles_that_cannot_be_are_refused(analysis: str, case: str) -> None:
    left, right, given, said = CASES[case]
    train, test = sides()
    with pytest.raises(InputError, match=said):
        BOTH[analysis](left(train), right(test), given)


@pytest.mark.parametrize(("analysis", "case"), [("quality", "one column, two roles"), ("quality", "no such task"), ("features", "one column, two roles"),
                                                ("features", "no such task"), ("features", "no times"), ("features", "no entities"), ("features", "some zones")])  # fmt: skip
def test_roles_of_one_table(analysis: str, case: str) -> None:
    left, _, given, said = CASES[case]
    with pytest.raises(InputError, match=said):
        ONE[analysis](left(sides()[0]), given)


def test_a_time_that_is_none_is_a_reason_in_quality() -> None:
    found = assess(open_table(sides()[0].assign(when="some day")), "y", "when", now=datetime.date(2024, 2, 1)).findings.get("DQ-TIMELINESS")
    assert found is not None and found.status.value == "not_checked" and "when holds" in found.message and "can be read as a date" in found.message


def test_three_classes_are_not_binary() -> None:
    train, test = (f.assign(y=np.resize(["a", "b", "c"], len(f))) for f in sides())
    for run in (lambda: audit(train, test, "y", task="binary"), lambda: assess(open_table(train), "y", task="binary"), lambda: suggest_features(train, "y", task="binary")):
        with pytest.raises(InputError, match=r"3 values, such as .* and a binary target has two"):
            run()


def test_labels_without_a_word_in_common_are_refused_and_new_ones_are_noted() -> None:
    train, test = sides()
    with pytest.raises(InputError, match="No label of test occurs in train: y is 'off', 'on' there"):
        audit(train, test.assign(y=test["y"].map({"yes": "on", "no": "off"})), "y")
    report = audit(train, test.assign(y=test["y"].where(test.index % 9 > 0, "maybe")), "y")
    assert report.notes == ("test has labels that train does not have: 'maybe'.",) and "maybe" in report._repr_html_() and report.to_dict()["notes"]
    assert audit(train, test.assign(y=test["y"] + "."), "y").notes == ()  # the same labels with a full stop, as in adult


def test_what_is_odd_about_the_sides_is_noted() -> None:
    train, test = sides()
    report = audit(train.assign(who=train["who"].where(train.index % 3 > 0), extra=1.0), test.drop(columns="y"), "y", entity="who")
    assert [note.split(" ")[0] for note in report.notes] == ["100", "train", "test"]
    assert "100 of 300 rows of train have no who" in report.notes[0] and "'extra'" in report.notes[1] and "test has no y" in report.notes[2]


def test_a_column_of_times_does_not_stand_for_numbers() -> None:
    """Read as train is, all of the test side's values would be missing, and every check would pass."""
    train, test = sides()
    with pytest.raises(InputError, match="'step' holds numeric values in train and datetime values in test"):
        audit(train.assign(step=np.arange(300) * 1.5), test.assign(step=test["when"]), "y")


def test_levels_counted_in_memory_are_those_of_the_query() -> None:
    from mlnb.data.split_checks import _fresh, _in_memory, unseen

    rng = np.random.default_rng(3)
    words = ["a", " a", "b", "B", "", "?", "n/a", None, "c\td", "é", *(f"k{i}" for i in range(300))]
    train, test = (open_table(pd.DataFrame({"g": rng.choice(np.array(words, object), n), "b": rng.random(n) < 0.5, "n": rng.integers(0, n, n)})) for n in (400, 200))
    left, right = _in_memory(train, train.columns), _in_memory(test, test.columns)
    assert left is not None and right is not None
    for name in train.columns:
        levels, chance = unseen(train, test, name)
        found, expected = _fresh(left[name], right[name], test.rows)
        assert found == levels and expected == pytest.approx(chance)
    assert len(unseen(train, test, "g")[0]) > 20


def test_columns_of_another_kind_in_test_are_found() -> None:
    train, test = sides()
    found = inspect(train, test.assign(x=test["g"]), "y").findings.get("DATA14")
    assert found is not None and found.status.value == "fail" and "x: holds numeric values in train and categorical values in test" in found.message


def test_zones_of_a_file_are_seen_although_an_engine_would_read_them(tmp_path: Path) -> None:
    """An engine gives times without a zone its own, and the mixture is gone."""
    train, test = sides()
    for name, side, zones in (("train", train, "Z"), ("test", test, "")):
        side.assign(when=side["when"].where(side.index % 2 == 0, side["when"] + zones)).to_csv(tmp_path / f"{name}.csv", index=False)
    with pytest.raises(InputError, match="names a time zone in 150 of 300 rows only"):
        audit(str(tmp_path / "train.csv"), str(tmp_path / "test.csv"), "y", "when")
    worst = assess(open_table(tmp_path / "train.csv"), "y", "when", now=datetime.date(2024, 2, 1)).findings.get("DQ-TIMELINESS").evidence["worst"]  # type: ignore[union-attr]
    assert [w["count"] for w in worst] == [150] and "time zone" in worst[0]["what"]  # type: ignore[index, attr-defined]
    train.assign(when=train["when"] + "+02:00").to_csv(tmp_path / "train.csv", index=False)
    assert open_table(tmp_path / "train.csv").frame()["when"].min() == pd.Timestamp("2023-12-31 22:00", tz="UTC")


def test_times_with_several_offsets_are_the_moments_they_name() -> None:
    times = ["2024-01-01 10:00:00+02:00", "2024-01-01 09:00:00Z", "2024-01-01T04:30:00-05:00"] * 20
    held = open_table(pd.DataFrame({"when": times, "x": range(60)})).typed.execute()
    assert list(held["when"][:3]) == [pd.Timestamp(f"2024-01-01 {clock}") for clock in ("08:00", "09:00", "09:30")]


@pytest.mark.parametrize("role", ["target", "time", "entity"])
def test_a_project_of_an_empty_column_is_refused(role: str, tmp_path: Path) -> None:
    pd.DataFrame({"none": [None] * 50, "x": range(50), "y": [0, 1] * 25}).to_csv(tmp_path / "d.csv", index=False)
    with pytest.raises(MlnbError, match=rf"'none' was given as the {role}.* has no value in any of 50 rows"):
        Project.create(tmp_path / "p", data=tmp_path / "d.csv", **({"target": "y"} | {role: "none"}))
    assert not (tmp_path / "p").exists()


def test_a_damaged_pipeline_file(tmp_path: Path) -> None:
    (tmp_path / "model.skops").write_text("no model")
    train, test = sides()
    with pytest.raises(InputError, match=r"model\.skops cannot be read as a skops file \(BadZipFile"):
        audit(train, test, "y", pipeline=tmp_path / "model.skops")


@pytest.mark.parametrize(("given", "said"), [({"task": "banana"}, "task: found 'banana'; allowed: .*binary"), ({"time": "y"}, "'y' is the target and the time"),
                                             ({"time": "when", "entity": "when"}, "'when' is the time and the entity")])  # fmt: skip
def test_a_project_of_roles_that_cannot_be(tmp_path: Path, given: dict[str, str], said: str) -> None:
    from mlnb.core.errors import ConfigError
    from mlnb.core.project import Project

    sides()[0].to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(ConfigError, match=said):
        Project.create(tmp_path / "p", tmp_path / "t.csv", target="y", **given)
    assert not (tmp_path / "p").exists()
    project = Project.create(tmp_path / "p", tmp_path / "t.csv", target="y")
    file = project.path / "mlnb.yaml"
    file.write_text(file.read_text() + "\n" + "\n".join(f"{key}: {value}" for key, value in given.items()) + "\n")
    with pytest.raises(ConfigError, match=r"mlnb\.yaml"):
        Project(project.path).config  # noqa: B018
