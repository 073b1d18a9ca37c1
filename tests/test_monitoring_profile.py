"""Profiles: against NumPy and pandas, in memory and by the engine, in parts and whole, and from files that are none."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sqlite3

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlnb.core.errors import InputError
from mlnb.core.tables import open_table
from mlnb.monitoring import counters, engine, scan
from mlnb.monitoring import stream as stream_module
from mlnb.monitoring.column import ColumnProfile, even_cells, merge_columns
from mlnb.monitoring.profile import Profile, profile
from mlnb.monitoring.scan import count_numbers, count_values, find_edges
from mlnb.monitoring.stream import StreamProfile


def frame(rows: int = 3000, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "normal": rng.normal(10, 3, rows),
            "skewed": np.where(rng.random(rows) < 0.1, np.nan, rng.lognormal(0, 1, rows)),
            "large": 1e9 + rng.normal(0, 1, rows),
            "few": rng.integers(0, 4, rows),
            "flag": rng.random(rows) < 0.3,
            "plan": rng.choice(["basic", "family", "premium", None], rows, p=[0.6, 0.2, 0.1, 0.1]),
            "many": [f"item {i}" for i in rng.zipf(1.4, rows) % 400],
            "when": pd.Timestamp("2026-01-01") + pd.to_timedelta(rng.integers(0, 365, rows), unit="D"),
            "said": [" ".join(["word"] * n) + f" {i}" for i, n in enumerate(rng.integers(3, 30, rows))],
            "written": [f"{x:.3f}" if x > 0 else "n/a" for x in rng.normal(1, 1, rows)],
        }
    )


@pytest.fixture(params=["memory", "pieces", "engine"])
def where(request, monkeypatch):
    """The same test in memory, in small pieces that pass through, and by a database that counts for itself."""
    if request.param != "memory":
        monkeypatch.setattr(scan, "IN_MEMORY", 0)
        monkeypatch.setattr(scan, "SAMPLE", 10**9)  # edges from all rows, so that both ways agree
        monkeypatch.setattr(scan, "PIECE", 700)
        monkeypatch.setattr(counters, "CHUNK", 300)
    if request.param == "engine":
        monkeypatch.setattr(scan, "PASSING", ())
        monkeypatch.setattr(engine, "CHUNK", 2)  # several queries
    return request.param


def test_numbers_agree_with_numpy(where):
    data = frame()
    made = profile(data, columns=["normal", "skewed", "large", "few"])
    for name, column in made.columns.items():
        values = data[name].to_numpy(float)
        seen = values[~np.isnan(values)]
        inner = np.histogram(-seen, np.r_[-np.inf, -np.array(column.edges)[::-1], np.inf])[0][::-1]  # bins closed above
        assert list(column.counts) == inner.tolist()
        assert (column.rows, column.missing) == (len(values), np.isnan(values).sum())
        assert (column.low, column.high) == (seen.min(), seen.max())
        assert column.mean == pytest.approx(seen.mean(), rel=1e-9)
        assert column.variance == pytest.approx(seen.var(), rel=1e-6)  # also around a billion


def test_edges_hold_about_equally_many_rows(where):
    counts = profile(frame(), columns=["normal"]).columns["normal"].counts
    assert len(counts) == counters.BINS and max(counts) - min(counts) <= 2


def test_categories_agree_with_pandas(where):
    data = frame()
    made = profile(data, columns=["plan", "many", "flag"])
    counts = data["plan"].value_counts()
    assert dict(made.columns["plan"].values) == counts.to_dict()
    assert made.columns["plan"].missing == data["plan"].isna().sum()
    many, listed = data["many"].value_counts(), made.columns["many"]
    assert many.size == listed.distinct and len(listed.values) == counters.FREQUENT
    assert all(many[value] == n for value, n in listed.values) and listed.rest == len(data) - sum(n for _, n in listed.values)
    assert min(n for _, n in listed.values) >= many.iloc[counters.FREQUENT]
    assert dict(made.columns["flag"].values) == {"true": int(data["flag"].sum()), "false": int((~data["flag"]).sum())}


def test_dates_texts_and_numbers_written_as_text(where):
    data = frame()
    made = profile(data).columns
    assert made["when"].low.startswith("2026-01-01") and made["when"].high.startswith("2026-12-31")
    assert made["said"].kind == "text" and made["said"].mean == pytest.approx(data["said"].str.len().mean())
    bad = (data["written"] == "n/a").sum()
    assert (made["written"].kind, made["written"].missing, made["written"].unread) == ("numeric", bad, bad)


def test_infinities_and_nan_are_counted_and_leave_the_moments_alone(where):
    import pyarrow as pa

    values = np.array([1.0, 2.0, 3.0, np.inf, -np.inf, np.inf, np.nan] * 50)
    column = profile(pa.table({"x": pa.array(values), "y": pa.array(np.arange(350.0))})).columns["x"]
    assert column.infinite == (50, 100) and column.missing == 50
    assert (column.low, column.high, column.mean) == (1.0, 3.0, 2.0)
    assert sum(column.counts) == 300 and column.counts[0] == 50 and column.counts[-1] == 100
    json.loads(profile(pa.table({"x": pa.array(values)})).to_json())  # valid JSON


def test_columns_of_nulls_constants_and_huge_values(where):
    data = pd.DataFrame({"none": np.full(100, np.nan), "one": np.ones(100), "text": ["a"] * 100, "huge": np.linspace(-1e300, 1e300, 100)})
    made = profile(data).columns
    assert made["none"].present == 0 and made["none"].mean is None and made["none"].counts == (0,)
    assert made["one"].counts == (0, 100, 0)
    assert made["text"].values == (("a", 100),)
    assert sum(made["huge"].counts) == 100
    assert Profile.from_json(profile(data).to_json()) == profile(data)


def test_the_later_batch_is_counted_on_the_edges_of_the_first(where):
    first = profile(frame())
    second = profile(frame(500, seed=5), edges_from=first)
    assert all(column.edges == first.columns[name].edges for name, column in second.columns.items())
    assert set(dict(second.columns["plan"].values)) == set(dict(first.columns["plan"].values))


def test_rare_categories_of_the_reference_are_counted_in_the_batch(where):
    reference = pd.DataFrame({"x": ["a"] * 500 + ["rare"] * 500})
    batch = pd.DataFrame({"x": [f"v{i % 150}" for i in range(3000)] + ["rare"]})
    column = profile(batch, edges_from=profile(reference)).columns["x"]
    assert dict(column.values)["rare"] == 1 and column.distinct == 151 and column.rest > 0


@pytest.mark.parametrize("cuts", [(1000,), (10, 1500, 2999)])
def test_parts_add_up_to_the_whole(where, cuts):
    data = frame()
    reference = profile(frame(2000, seed=9))
    parts = [profile(data[a:b].reset_index(drop=True), edges_from=reference) for a, b in zip((0, *cuts), (*cuts, len(data)), strict=True)]
    merged, whole = parts[0], profile(data, edges_from=reference)
    for part in parts[1:]:
        merged = merged.merge(part)
    assert merged.rows == whole.rows
    for name, column in whole.columns.items():
        other = merged.columns[name]
        assert (other.counts, other.missing, other.unread, other.low, other.high) == (
            column.counts, column.missing, column.unread, column.low, column.high)
        if column.mean is not None:
            assert other.mean == pytest.approx(column.mean) and other.variance == pytest.approx(column.variance, rel=1e-6)
        if column.kind in ("categorical", "boolean") and not (column.rest or other.rest):
            assert dict(other.values) == dict(column.values) and other.distinct == column.distinct
        assert other.present == sum(n for _, n in other.values) + other.rest or column.kind not in ("categorical", "boolean")


numbers = st.lists(st.floats(-1e6, 1e6) | st.sampled_from([float("nan"), float("inf"), float("-inf")]), min_size=1, max_size=60)


@settings(max_examples=60, deadline=None)
@given(numbers, numbers, st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=6, unique=True))
def test_merging_is_counting_together(a, b, edges):
    edges = tuple(sorted(edges))
    merged = merge_columns(count_numbers(np.array(a), edges), count_numbers(np.array(b), edges))
    whole = count_numbers(np.array(a + b), edges)
    assert dataclasses.replace(merged, mean=None, variance=None, distinct=None) == dataclasses.replace(
        whole, mean=None, variance=None, distinct=None)
    if whole.mean is not None:
        assert merged.mean == pytest.approx(whole.mean, abs=1e-6)
        assert merged.variance == pytest.approx(whole.variance, rel=1e-6, abs=1e-3)


@settings(max_examples=60, deadline=None)
@given(numbers)
def test_edges_ascend_and_every_value_finds_its_bin(values):
    edges = find_edges(np.array(values))
    assert list(edges) == sorted(set(edges))
    assert sum(count_numbers(np.array(values), edges).counts) == sum(not np.isnan(v) for v in values)


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.text(max_size=3) | st.none(), st.integers(1, 50), max_size=8))
def test_categories_account_for_every_row(counted):
    column = count_values(counted)
    assert column.missing + sum(n for _, n in column.values) + column.rest == column.rows == sum(counted.values())


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-1e4, 1e4), min_size=30, max_size=200))
def test_the_picture_holds_every_row(values):
    column = count_numbers(np.array(values), find_edges(np.array(values)))
    grid = np.linspace(min(values) - 1, max(values) + 1, 30)
    assert even_cells(column, grid)[1].sum() == pytest.approx(len(values))


def test_the_sample_of_a_large_table_is_the_same_each_time(monkeypatch):
    monkeypatch.setattr(scan, "IN_MEMORY", 1000)
    monkeypatch.setattr(scan, "SAMPLE", 800)
    data = frame()
    first, again, other = (profile(data, random_state=seed).columns["normal"] for seed in (1, 1, 2))
    assert first == again and first.edges != other.edges
    assert max(first.counts) < 2 * min(first.counts)  # near enough to equal


def test_json_is_small_and_comes_back_the_same():
    made = profile(frame(), target="flag", prediction="normal")
    assert len(made.to_json()) < 20_000
    assert Profile.from_json(made.to_json()) == made
    assert (made.role("flag"), made.role("normal"), made.role("few")) == ("label", "prediction", "feature")


def test_unknown_fields_of_a_later_version_are_left_out():
    data = profile(frame(), columns=["few"]).to_dict()
    data["columns"]["few"]["sketch"] = [1, 2]
    assert "few" in Profile.from_json(json.dumps(data)).columns


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not whole JSON"),
        ('{"version": 1, "rows"', "not whole JSON"),
        ("[1]", "no saved profile"),
        ('{"columns": {}}', "no saved profile"),
        ('{"version": 99, "columns": {}}', "version 99"),
        ('{"version": 1, "columns": {"a": {"kind": "numeric"}}, "rows": 1, "name": "", "target": "", "prediction": ""}', "damaged"),
        ('{"version": 1, "columns": {"a": 3}, "rows": 1, "name": "", "target": "", "prediction": ""}', "damaged"),
    ],
)
def test_what_is_no_profile_is_told_so(text, said):
    with pytest.raises(InputError, match=said):
        Profile.from_json(text)


def test_files(tmp_path):
    made = profile(frame())
    assert Profile.load(made.save(tmp_path / "deep" / "p.json")) == made
    with pytest.raises(InputError, match="no file"):
        Profile.load(tmp_path / "absent.json")


def test_profiles_that_do_not_fit_are_not_added():
    first, second = profile(frame()), profile(frame(seed=3))
    with pytest.raises(InputError, match="edges_from"):
        first.merge(second)
    with pytest.raises(InputError, match="same columns"):
        first.merge(profile(frame(), columns=["few"]))
    with pytest.raises(InputError, match="another table"):
        profile(pd.DataFrame({"z": [1, 2]}), edges_from=first)
    with pytest.raises(InputError, match="'normal'"):
        profile(frame(), columns=["norml"])
    with pytest.raises(InputError, match="target"):
        profile(frame(), target="flagg")


def test_html_is_escaped_and_has_no_script():
    data = pd.DataFrame({"<script>alert(1)</script>": ["<b>x</b>", "y"] * 30, "n": np.arange(60.0)})
    html = profile(data)._repr_html_()
    assert "<script" not in html and "<b>x" not in html and "&lt;b&gt;x" in html


def test_strange_column_names_survive_the_engine(monkeypatch):
    monkeypatch.setattr(scan, "IN_MEMORY", 0)
    names = ['a"b', "select", "h0_0", "", "x y", "é", "v0"]
    data = pd.DataFrame({name or "blank": np.arange(50.0) + i for i, name in enumerate(names)})
    made = profile(data)
    assert [column.low for column in made.columns.values()] == [float(i) for i in range(len(names))]


def test_csv_parquet_and_frame_give_the_same_profile(tmp_path):
    data = frame(400)[["normal", "few", "plan"]]
    data.to_csv(tmp_path / "d.csv", index=False)
    data.to_parquet(tmp_path / "d.parquet")
    made = [profile(source).columns for source in (data, tmp_path / "d.parquet", tmp_path / "d.csv", open_table(data))]
    assert all(other["few"] == made[0]["few"] and other["plan"] == made[0]["plan"] for other in made)


def test_an_empty_column_profile_has_defaults():
    column = ColumnProfile("id", 5)
    assert column.to_dict() == {"kind": "id", "rows": 5} and ColumnProfile.from_dict(column.to_dict()) == column


def test_another_engine_gives_the_same_numbers(monkeypatch, tmp_path):
    """SQLite knows no count_if and no medians: what is asked of it is plain sums, as of Spark or a warehouse."""
    import ibis

    monkeypatch.setattr(scan, "IN_MEMORY", 10**9)
    data = frame(800)[["normal", "skewed", "plan"]]
    first = profile(data)
    monkeypatch.setattr(scan, "IN_MEMORY", 0)
    with contextlib.closing(sqlite3.connect(tmp_path / "t.sqlite")) as plain:
        data.to_sql("t", plain, index=False)
    connection = ibis.sqlite.connect(tmp_path / "t.sqlite")
    second = profile(connection.table("t"), edges_from=first, distinct=False)
    for name in ("normal", "skewed"):
        a, b = first.columns[name], second.columns[name]
        assert (a.counts, a.missing, a.low, a.high) == (b.counts, b.missing, b.low, b.high)
        assert a.mean == pytest.approx(b.mean) and a.variance == pytest.approx(b.variance)
    assert dict(first.columns["plan"].values) == dict(second.columns["plan"].values)


def test_an_engine_without_a_hash_gives_the_same_sample_each_time(monkeypatch, tmp_path):
    import ibis

    monkeypatch.setattr(scan, "IN_MEMORY", 0)
    monkeypatch.setattr(scan, "SAMPLE", 800)
    data = frame()[["normal", "plan"]]
    with contextlib.closing(sqlite3.connect(tmp_path / "t.sqlite")) as plain:
        data.to_sql("t", plain, index=False)
    table = ibis.sqlite.connect(tmp_path / "t.sqlite").table("t")
    first, again, other = (profile(table, random_state=seed, distinct=False).columns["normal"] for seed in (1, 1, 2))
    assert first == again and first.edges != other.edges
    assert max(first.counts) < 2 * min(first.counts)


@pytest.mark.parametrize("dialect", ["databricks", "bigquery", "snowflake"])
def test_the_query_compiles_for_engines_that_are_not_here(dialect):
    import ibis

    table = ibis.table({"a": "float64"}, name="t")
    sql = ibis.to_sql(engine.number_query(table, {"a": scan.Question("numeric", (0.5, 1.5))}), dialect=dialect)
    assert sql.upper().count("SUM(") == 4  # two edges, two moments


# row by row


class Odd:
    """A cell whose own code fails, whatever it is asked."""

    def __str__(self):
        raise RuntimeError("no")

    __repr__ = __eq__ = __ne__ = __hash__ = __float__ = __str__


ODD = [pd.NA, pd.NaT, 10**400, 10**5000, np.array([1, 2]), np.array([1.0]), "\ud800", b"\xff", 1j, [1, [2]], {"a": 1}, Odd(), True, float("nan"), np.datetime64("2020-01-01")]


@pytest.mark.parametrize("cell", ODD, ids=lambda cell: type(cell).__name__)
@pytest.mark.parametrize("by", ["", "c"])
def test_one_odd_cell_takes_no_other_row_of_a_stream_away(cell, by):
    frame = pd.DataFrame({"x": np.arange(500) / 7, "c": ["a", "b"] * 250, "t": pd.date_range("2020", periods=500), "s": [f"some long text {i}" for i in range(500)]})
    reference = profile(frame, by=by)
    assert [c.kind for c in reference.columns.values()] == ["numeric", "categorical", "datetime", "text"]
    good = frame.iloc[0].to_dict()
    for column in frame:
        stream = StreamProfile(reference)
        stream.update([good] * 500)
        stream.update({**good, column: cell})
        stream.update([{**good, column: cell}, good])
        stream.update([good] * 400)
        made = stream.profile()
        assert made.rows == 903 and {c.rows for c in made.columns.values()} == {903}
        assert all(c.missing == 0 for name, c in made.columns.items() if name != column) and made.columns[column].missing in (0, 2)
        assert Profile.from_json(made.to_json()).rows == 903
        for part in made.segments.values():
            assert {c.rows for c in part.columns.values()} == {part.rows}
        if by:
            assert made.segments["a"].rows == (901 if column == "c" else 903) and made.segments["b"].rows == 0


def test_missing_and_unread_cells_of_a_stream_are_those_of_a_table():
    frame = pd.DataFrame({"x": [1.0, 2.0, 4.0] * 20, "c": ["a", "b", "c"] * 20})
    reference = profile(frame)
    rows = pd.DataFrame({"x": [1.5, "many", None, 10**400, "", "2"], "c": ["a", None, " ", "b", "new", "a"]}, dtype=object)
    stream, table = StreamProfile(reference), profile(rows, edges_from=reference)
    stream.update(rows.to_dict("records"))
    for name, c in stream.profile().columns.items():
        d = table.columns[name]
        assert (c.missing, c.unread, c.infinite, c.counts, dict(c.values)) == (d.missing, d.unread, d.infinite, d.counts, dict(d.values))


def test_a_number_among_the_times_of_a_stream_is_unread():
    times = pd.date_range("2020", periods=50).to_list()
    stream = StreamProfile(profile(pd.DataFrame({"t": times})))
    stream.update([{"t": cell} for cell in [*times, 5, None, pd.NaT, "2019-12-31", pd.Timestamp("2021-01-01 09:00", tz="Asia/Tokyo")]])
    found = stream.profile().columns["t"]
    assert (found.rows, found.missing, found.unread, found.low, found.high) == (55, 3, 1, "2019-12-31 00:00:00", "2021-01-01 00:00:00")


def test_a_frame_that_fails_adds_nothing(monkeypatch):
    frame = pd.DataFrame({"x": np.arange(50.0), "c": ["a", "b"] * 25})
    stream = StreamProfile(profile(frame))
    stream.update(frame)

    def fail(*_):
        raise MemoryError

    monkeypatch.setattr(stream_module, "_read_column", fail)
    with pytest.raises(MemoryError):
        stream.update(frame)
    monkeypatch.setattr(stream_module, "_read", fail)
    stream.update(frame.to_dict("records"))
    with pytest.raises(MemoryError):
        stream.profile()
    monkeypatch.undo()
    made = stream.profile()
    assert made.rows == 100 and {c.rows for c in made.columns.values()} == {100}


@pytest.mark.parametrize("ignored", [False, True])
def test_zones_and_nested_columns_of_a_stream(monkeypatch, ignored):
    if ignored:  # as a library that somebody imports may set it
        monkeypatch.setenv("PYARROW_IGNORE_TIMEZONE", "1")
    frame = pd.DataFrame({"t": pd.date_range("2024-01-01", periods=100, freq="h", tz="Asia/Tokyo"), "x": np.arange(100.0)})
    reference = profile(frame)
    assert reference.columns["t"].low == "2023-12-31 15:00:00+00:00"
    for first, second in ((frame, frame.to_dict("records")), (frame.to_dict("records"), frame)):
        stream = StreamProfile(reference)
        stream.update(first)
        stream.update(second)
        found = stream.profile().columns["t"]
        assert (found.rows, found.missing, found.low, found.high) == (200, 0, reference.columns["t"].low, reference.columns["t"].high)
    for cells in ([[1, 2, i % 3] for i in range(100)], [{"a": i % 3} for i in range(100)], [[i] for i in range(100)]):
        nested = pa.table({"l": cells, "x": np.arange(100.0)})
        reference = profile(nested)
        stream = StreamProfile(reference)
        stream.update(nested)
        found, whole = stream.profile().columns["l"], reference.columns["l"]
        assert (found.kind, found.rows, found.missing, dict(found.values), found.counts) == (whole.kind, 100, 0, dict(whole.values), whole.counts)


def test_high_cardinality_with_half_characters_can_still_be_kept():
    reference = profile(pd.DataFrame({"c": ["a", "b"] * 250}))
    stream = StreamProfile(reference)
    stream.update([{"c": f"\ud800{i}"} for i in range(1500)])
    assert stream.profile().columns["c"].rest and StreamProfile(reference, earlier=stream.profile()).profile().rows == 1500


# times of several zones


def test_merged_times_are_compared_as_moments_and_kept_in_utc():
    tokyo = pd.DataFrame({"t": pd.date_range("2024-01-01 01:30", periods=30, freq="min", tz="Asia/Tokyo"), "x": range(30)})
    utc = pd.DataFrame({"t": pd.date_range("2023-12-31 20:00", periods=30, freq="min", tz="UTC"), "x": range(30)})
    first = profile(tokyo)
    second = profile(utc, edges_from=first)
    for merged in (first.merge(second), second.merge(first)):
        assert (merged.columns["t"].low, merged.columns["t"].high) == ("2023-12-31 16:30:00+00:00", "2023-12-31 20:29:00+00:00")
    there = dataclasses.replace(first.columns["t"], low="2024-01-01 01:30:00+09:00", high="2024-01-01 01:59:00+09:00")
    saved = dataclasses.replace(first, columns={**first.columns, "t": there})
    assert saved.merge(second).columns["t"] == first.merge(second).columns["t"]  # a profile that was saved in the zone of its data
    plain = profile(pd.DataFrame({"t": pd.date_range("2023-12-31 20:30", periods=30, freq="min"), "x": range(30)}))
    assert merge_columns(first.columns["t"], plain.columns["t"]).high == "2023-12-31 20:59:00"
    day = ColumnProfile("datetime", 1, low="2024-01-02", high="2024-01-02")
    assert merge_columns(day, ColumnProfile("datetime", 1, low="2024-01-01 12:00:00", high="2024-01-01 12:00:00")).high == "2024-01-02"


# segments


def cut(made: Profile) -> dict[str, int]:
    return {value: part.rows for value, part in made.segments.items()}


WHOLE = np.arange(300) % 3
FLAG = np.arange(300) % 4 == 0
DAYS = pd.to_datetime("2020-01-01") + pd.to_timedelta(np.arange(300) % 3, unit="D")
TYPES = {
    "whole numbers with a gap": (WHOLE, np.where(np.arange(300) == 299, np.nan, WHOLE)),
    "whole numbers as text": (WHOLE, WHOLE.astype(str)),
    "floats as whole numbers": (WHOLE.astype(float), WHOLE),
    "floats as text": (WHOLE + 0.5, (WHOLE + 0.5).astype(str)),
    "flags as numbers": (FLAG, FLAG.astype(int)),
    "flags as floats": (FLAG, np.where(np.arange(300) == 299, np.nan, FLAG)),
    "flags as words": (FLAG, np.where(FLAG, "True", "False")),
    "numbers as flags": (FLAG.astype(int), FLAG),
    "days as text": (DAYS, DAYS.strftime("%Y-%m-%d")),
    "days as dates": (DAYS, pd.Series(DAYS.date)),
    "dates as days": (pd.Series(DAYS.date), DAYS),
}


@pytest.mark.parametrize("case", TYPES)
@pytest.mark.parametrize("way", ["frame", "csv", "parquet", "passing", "engine", "rows", "arrow"])
def test_a_later_batch_is_cut_into_the_same_segments_whatever_its_type(case, way, tmp_path, monkeypatch):
    then, now = (pd.DataFrame({"x": np.arange(300) / 7, "g": cells}) for cells in TYPES[case])
    reference = profile(then, by="g")
    true = {value: n - (pd.isna(now["g"].iloc[299]) and value == str(then["g"].iloc[299]).lower()) for value, n in cut(reference).items()}
    assert sum(true.values()) >= 299
    if way in ("rows", "arrow"):
        stream = StreamProfile(reference)
        stream.update(now.to_dict("records") if way == "rows" else pa.Table.from_pandas(now))
        assert cut(stream.profile()) == true
        return
    if way in ("passing", "engine"):
        monkeypatch.setattr(scan, "IN_MEMORY", 0)
        monkeypatch.setattr(scan, "PASSING", ("duckdb",) if way == "passing" else ())
    path = tmp_path / f"now.{way}"
    if way in ("csv", "parquet"):
        (now.to_csv if way == "csv" else now.to_parquet)(path, index=False)
    assert cut(profile(path if way in ("csv", "parquet") else now, edges_from=reference)) == true


def test_texts_that_look_alike_stay_apart_and_empty_segments_are_said():
    codes = pd.DataFrame({"x": range(60), "g": ["01", "1", "1.0"] * 20})
    reference = profile(codes, by="g")
    assert cut(profile(codes, edges_from=reference)) == cut(reference) == {"01": 20, "1": 20, "1.0": 20}
    for batch, said in ((codes.assign(g="new"), "none of their values"), (codes[["x"]], "no column 'g'")):
        with pytest.warns(UserWarning, match=said):
            profile(batch, edges_from=reference)


def fourteen(seed: int, weights: np.ndarray, kind: type) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    codes = rng.choice(14, 4000, p=weights / weights.sum())
    return pd.DataFrame({"g": [f"s{code:02d}" for code in codes] if kind is str else codes.astype(kind), "x": rng.normal(size=4000)})


@pytest.mark.parametrize("kind", [str, int])
@pytest.mark.parametrize("known", [True, False])
def test_merged_segments_are_those_of_the_whole_or_left_out(kind, known):
    weights = np.r_[np.ones(7) * 10, np.ones(7)]
    parts = [fourteen(0, weights, kind), fourteen(1, weights[::-1], kind), fourteen(2, np.ones(14), kind)]
    reference = profile(parts[0], columns=["g", "x"] if known else ["x"])
    made = [profile(part, edges_from=reference, columns=["g", "x"] if known else ["x"], by="g") for part in parts]
    for order in ((0, 1, 2), (2, 1, 0), (1, 0, 2)):
        merged = made[order[0]].merge(made[order[1]]).merge(made[order[2]])
        whole = pd.concat([parts[i] for i in order]).groupby("g")["x"]
        for value, part in merged.segments.items():
            rows = whole.get_group(kind(value))
            assert part.rows == len(rows) == part.columns["x"].rows and part.columns["x"].mean == pytest.approx(rows.mean())
        if known and kind is str:  # the values of the reference, the same ones in each part
            assert len(merged.segments) == 10 and merged.partial == ()
            assert cut(merged) == cut(profile(pd.concat([parts[i] for i in order]), edges_from=reference, by="g"))
        else:
            assert set(merged.partial) | set(merged.segments) == {value for each in made for value in each.segments}
            assert merged.partial and "no segments" in repr(merged) and "no segments" in str(merged._repr_html_())
            assert not set(merged.partial) & set(merged.segments) and Profile.from_json(merged.to_json()) == merged


def test_a_segment_of_one_part_stays_where_the_other_surely_has_no_row_of_it():
    edges = profile(pd.DataFrame({"x": range(40)}))
    parts = [profile(pd.DataFrame({"x": range(40), "g": values}), edges_from=edges, columns=["x"], by="g") for values in (["a", "b"] * 20, ["b", "c"] * 20)]
    merged = parts[0].merge(parts[1])
    assert cut(merged) == {"a": 20, "b": 40, "c": 20} and merged.partial == ()
    numbers = [profile(pd.DataFrame({"x": range(40), "g": cells}), edges_from=edges, columns=["x"], by="g") for cells in ([1, 2] * 20, [1.0, 3.0] * 20)]
    assert cut(numbers[0].merge(numbers[1])) == {"1": 40, "2": 20, "3.0": 20}
    gaps = [profile(pd.DataFrame({"x": range(40), "g": values}), edges_from=edges, columns=["x"], by="g") for values in (["a", None] * 20, ["b"] * 40)]
    assert cut(gaps[0].merge(gaps[1])) == {"a": 20} and gaps[0].merge(gaps[1]).partial == ("b",)  # what the first has there is not known


# small things


def test_a_span_of_time_is_seconds_in_a_frame_a_file_and_a_stream(tmp_path):
    spans = pd.DataFrame({"waited": pd.to_timedelta(np.r_[np.arange(99) * 7.5, np.nan], unit="s")})
    seconds = profile(spans.assign(waited=spans["waited"].dt.total_seconds()))
    spans.to_parquet(tmp_path / "spans.parquet")
    assert profile(spans).columns == profile(tmp_path / "spans.parquet").columns == seconds.columns and seconds.columns["waited"].high == 98 * 7.5
    stream = StreamProfile(seconds)
    stream.update(spans)
    stream.update(spans.to_dict("records"))
    stream.update(spans.assign(waited=spans["waited"].astype(object).map(lambda x: x.to_pytimedelta(), na_action="ignore")).to_dict("records"))
    found = stream.profile().columns["waited"]
    assert found.counts == tuple(3 * n for n in seconds.columns["waited"].counts) and found.missing == 3 and found.unread == 0


@pytest.mark.parametrize("way", ["pandas", "arrow", "parquet", "stream"])
def test_numbers_of_two_bytes(way, tmp_path):
    plain = pd.DataFrame({"h": np.r_[np.arange(40) / 4, np.nan].astype("float32"), "x": range(41), "k": ["a", "b", "c"] * 13 + ["a", "b"]})
    frame = plain.astype({"h": "float16"})
    table = pa.Table.from_pandas(frame, preserve_index=False)
    reference = profile(plain)
    if way == "stream":
        for kind in ("numeric", "categorical", "datetime", "id", "text"):
            columns = {"h": ColumnProfile(kind, 1, edges=(1.0,), counts=(1, 0)) if kind in ("numeric", "text") else ColumnProfile(kind, 1)}
            stream = StreamProfile(Profile(1, columns))
            stream.update(table)
            assert stream.profile().columns["h"].rows == 41
        return
    frame.to_parquet(tmp_path / "h.parquet")
    made = profile({"pandas": frame, "arrow": table, "parquet": tmp_path / "h.parquet"}[way], edges_from=reference)
    assert made.columns["h"] == reference.columns["h"] and profile(tmp_path / "h.parquet").columns["h"].kind == "numeric"


@pytest.mark.parametrize("limit", [0, 10**9])
def test_a_column_with_the_name_of_the_segments(limit, monkeypatch):
    monkeypatch.setattr(scan, "IN_MEMORY", limit)
    frame = pd.DataFrame({"__Segment": ["a", "b"] * 50, "__segment_": range(100), "g": ["u", "v", "w", "w"] * 25})
    made = profile(frame, by="g")
    assert cut(made) == {"w": 50, "u": 25, "v": 25} and dict(made.segments["u"].columns["__Segment"].values) == {"a": 25}


@pytest.mark.parametrize("damage", [{"counts": [1, 2]}, {"counts": []}, {"missing": 7}, {"cells": [1]}, {"rows": "many"}])
def test_a_damaged_profile_is_refused_when_it_is_loaded(damage, tmp_path):
    data = profile(pd.DataFrame({"x": np.arange(100) / 7})).to_dict()
    data["columns"]["x"].update(damage)
    (tmp_path / "bad.json").write_text(json.dumps(data))
    with pytest.raises(InputError, match=r"bad\.json is a damaged profile.*Make it again"):
        Profile.load(tmp_path / "bad.json")


def test_an_empty_file_is_told_in_its_own_words(tmp_path):
    frame = pd.DataFrame({"x": pd.array([], float)})
    frame.to_parquet(tmp_path / "z.parquet")
    frame.to_csv(tmp_path / "z.csv", index=False)
    with pytest.raises(InputError, match=r"no rows\. At least one row is needed\.$"):
        profile(tmp_path / "z.parquet")
    with pytest.raises(InputError, match="below the header"):
        profile(tmp_path / "z.csv")


def test_missing_of_both_sorts_in_a_column_that_was_a_category(tmp_path):
    reference = profile(pd.DataFrame({"c": ["a", "b"] * 50}))
    table = pa.table({"c": pa.array([1.5, None, float("nan"), 1.5, None], from_pandas=False)})
    pa.parquet.write_table(table, tmp_path / "c.parquet")
    found = profile(tmp_path / "c.parquet", edges_from=reference).columns["c"]
    assert (found.rows, found.missing, dict(found.values)["1.5"]) == (5, 3, 2)
