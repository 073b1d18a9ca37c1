"""Every way in which data cannot be read has a sentence, and every way in which it can gives the same table."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlnb.core.errors import InputError
from mlnb.core.tables import Table, open_table


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


FRAME = pd.DataFrame({"age": [31, 44, 27], "city": ["Rome", "Oslo", None], "fee": [9.9, None, 19.9], "ok": [True, False, True],
                      "when": pd.to_datetime(["2025-01-01", "2025-02-01", "2025-03-01"])})


@pytest.fixture
def sources(tmp_path: Path) -> dict[str, object]:
    import polars as pl
    import pyarrow as pa

    FRAME.to_csv(tmp_path / "a.csv", index=False)
    FRAME.to_csv(tmp_path / "s.csv", index=False, sep=";")
    FRAME.to_parquet(tmp_path / "a.parquet")
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress((tmp_path / "a.csv").read_bytes()))
    (tmp_path / "bom.csv").write_bytes(b"\xef\xbb\xbf" + (tmp_path / "a.csv").read_bytes())
    return {"csv": tmp_path / "a.csv", "text path": str(tmp_path / "a.csv"), "semicolon": tmp_path / "s.csv",
            "gzip": tmp_path / "a.csv.gz", "byte order mark": tmp_path / "bom.csv", "parquet": tmp_path / "a.parquet",
            "glob": str(tmp_path / "a.parq*"), "pandas": FRAME, "polars": pl.from_pandas(FRAME),
            "arrow": pa.Table.from_pandas(FRAME, preserve_index=False)}


def test_every_source_gives_the_same_table(sources: dict[str, object]) -> None:
    for name, source in sources.items():
        table = open_table(source)
        assert table.columns == list(FRAME.columns), name
        assert table.rows == 3, name
        assert table.kinds == {"age": "numeric", "city": "categorical", "fee": "numeric", "ok": "boolean", "when": "datetime"}, name
        frame = table.frame()
        assert frame["fee"].isna().tolist() == [False, True, False], name
        assert frame["city"].isna().tolist() == [False, False, True], name
        assert pd.to_datetime(frame["when"]).tolist() == FRAME["when"].tolist(), name


def test_an_ibis_table_and_a_table_pass_through() -> None:
    import ibis

    table = open_table(ibis.memtable(FRAME))
    assert table.rows == 3 and open_table(table) is table


BAD = {
    "empty.csv": (b"", "empty"),
    "blank.csv": (b"\n\n", "empty"),
    "header.csv": (b"age,city\n", "no rows"),
    "twice.csv": (b"age,fee,age\n1,2,3\n", "'age'"),
    "latin.csv": (b"city\n" + "Zürich\n".encode("latin-1") * 30, "not UTF-8"),
    "zero.csv": (b"a,b\n\0\0\0,1\n", "zero bytes"),
    "cut.csv.gz": (gzip.compress(b"a,b\n" + b"1,2\n" * 5000)[:40], "cannot be"),
    "noise.parquet": (b"PAR1" + bytes(range(200)), "Parquet"),
    "table.xlsx": (b"PK\3\4", "neither CSV nor Parquet"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_read_is_said_in_a_sentence(tmp_path: Path, name: str) -> None:
    content, expected = BAD[name]
    with pytest.raises(InputError, match=expected) as error:
        open_table(write(tmp_path / name, content)).frame()
    assert "\n" not in str(error.value)
    assert name in str(error.value)


def test_half_a_parquet_file(tmp_path: Path) -> None:
    FRAME.to_parquet(tmp_path / "whole.parquet")
    half = write(tmp_path / "half.parquet", (tmp_path / "whole.parquet").read_bytes()[:600])
    with pytest.raises(InputError, match="no whole Parquet file"):
        open_table(half)


def test_a_parquet_file_without_rows(tmp_path: Path) -> None:
    FRAME.iloc[:0].to_parquet(tmp_path / "none.parquet")
    with pytest.raises(InputError, match="no rows"):
        open_table(tmp_path / "none.parquet")


def test_missing_files_and_folders_offer_what_is_there(tmp_path: Path) -> None:
    write(tmp_path / "customers.csv", "a\n1\n")
    with pytest.raises(InputError, match=r"Did you mean 'customers\.csv'"):
        open_table(tmp_path / "custmers.csv")
    with pytest.raises(InputError, match=r"is a folder.*customers\.csv"):
        open_table(tmp_path)
    with pytest.raises(InputError, match="does not exist either"):
        open_table(tmp_path / "nowhere" / "x.csv")


def test_one_row_is_a_table() -> None:
    assert open_table(pd.DataFrame({"a": [1]})).kinds == {"a": "numeric"}


def test_frames_that_are_none() -> None:
    for wrong in (42, None, [1, 2], {"a": [1]}, pd.Series([1])):
        with pytest.raises(InputError, match="is no table"):
            open_table(wrong)
    with pytest.raises(InputError, match="no columns"):
        open_table(pd.DataFrame(index=[1, 2]))


def test_odd_frames_are_read() -> None:
    frame = pd.DataFrame({1: [1, "two", None], "<script>alert(1)</script>": [1.0, np.inf, np.nan], "x y\"z": ["a", "b", "c"],
                          "null": [None, None, None]})
    table = open_table(frame)
    assert table.columns == ["1", "<script>alert(1)</script>", 'x y"z', "null"]
    assert table.kinds["null"] == "empty"
    back = table.frame()
    assert back["1"].tolist()[:2] == ["1", "two"]
    assert np.isinf(back["<script>alert(1)</script>"][1])


def test_ten_thousand_columns() -> None:
    table = open_table(pd.DataFrame(np.arange(20_000).reshape(2, 10_000), columns=[f"c{i}" for i in range(10_000)]))
    assert len(table.kinds) == 10_000 and set(table.kinds.values()) == {"numeric"}


def test_names_for_a_file_without_header(tmp_path: Path) -> None:
    path = write(tmp_path / "raw.data", "39,State\n50,Private\n")
    assert open_table(path, columns=["age", "work"]).frame()["age"].tolist() == [39, 50]
    with pytest.raises(InputError, match="has 2 columns and 3 names"):
        open_table(path, columns=["a", "b", "c"])


def test_a_header_is_a_header_even_when_all_columns_are_text(tmp_path: Path) -> None:
    table = open_table(write(tmp_path / "t.csv", "name,city\nada,london\nalan,london\n"))
    assert table.columns == ["name", "city"] and table.rows == 2


def test_numbers_and_dates_written_as_text(tmp_path: Path) -> None:
    rows = "".join(f"{'' if i % 20 else ' '}{i}.5,2025-01-{1 + i % 28:02d}\n" if i % 10 else " ,unknown\n" for i in range(100))
    table = open_table(write(tmp_path / "t.csv", "fee,day\n" + rows))
    assert table.kinds == {"fee": "numeric", "day": "datetime"}
    frame = table.frame()
    assert frame["fee"].isna().sum() == 10 and frame["day"].isna().sum() == 10


def test_kinds_are_taken_over_from_the_training_data() -> None:
    train = open_table(pd.DataFrame({"fee": ["1.5", "2.5", "x"] * 10}))
    batch = open_table(pd.DataFrame({"fee": ["x", "y", "3.5"]})).like(train)
    assert batch.frame()["fee"].isna().tolist() == [True, True, False]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.one_of(st.none(), st.integers(-10**6, 10**6)), min_size=1, max_size=40),
       st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=8), min_size=1, max_size=40))
def test_frames_come_back_as_they_went_in(numbers: list[int | None], words: list[str]) -> None:
    size = min(len(numbers), len(words))
    frame = pd.DataFrame({"n": pd.array(numbers[:size], dtype="Int64"), "w": words[:size]})
    table = open_table(frame)
    raw = table.expr.to_pandas()
    assert [None if pd.isna(v) else int(v) for v in raw["n"]] == numbers[:size]
    assert raw["w"].tolist() == words[:size]


def test_the_fingerprint_follows_the_content(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a.csv", "x\n1\n"), write(tmp_path / "b.csv", "x\n1\n")
    assert open_table(first).fingerprint() == open_table(second).fingerprint()
    assert open_table(write(tmp_path / "c.csv", "x\n2\n")).fingerprint() != open_table(first).fingerprint()
    assert open_table(FRAME).fingerprint() == open_table(FRAME.copy()).fingerprint()


def test_a_table_aggregates_in_one_call() -> None:
    table = open_table(FRAME)
    t = table.typed
    assert table.aggregate(n=t.count(), top=t.age.max(), cities=t.city.nunique()) == {"n": 3, "top": 44, "cities": 2}
    assert isinstance(table, Table)


def test_a_value_of_a_csv_file_is_the_same_text_in_every_query(tmp_path: Path) -> None:
    """DuckDB 2.0 took 'True' for the text of a boolean where a query wanted nothing but its text, and 'true' elsewhere, so hashes of rows changed."""
    (tmp_path / "t.csv").write_text("n,y\n" + "".join(f"{i}.50,{'True' if i % 3 else 'False'}\n" for i in range(50)))
    rows = open_table(tmp_path / "t.csv").expr
    texts = {name: rows[name].cast("string") for name in rows.columns}
    alone = rows.select(**texts).to_pandas()
    beside = rows.select(**texts, **{f"{name}_": rows[name] for name in rows.columns}).to_pandas()
    assert set(alone["y"]) == set(beside["y"]) == {"true", "false"} and alone["n"].tolist() == beside["n"].tolist() and alone["n"][0] == "0.5"


# types that no engine knows


def unusual() -> dict[str, tuple[object, list[object]]]:
    """Columns as pandas or Arrow hold them, and the values that every reader has to see."""
    import uuid

    import pyarrow as pa

    ids = [uuid.UUID(int=i) for i in range(3)]
    return {
        "nanoseconds": (pa.array([90 * 10**9, None, 1500 * 10**6], pa.duration("ns")), [90.0, None, 1.5]),
        "milliseconds": (pa.array([90_000, None, 1500], pa.duration("ms")), [90.0, None, 1.5]),
        "seconds": (pa.array([90, None, 2], pa.duration("s")), [90.0, None, 2.0]),
        "months": (pa.array([pa.MonthDayNano([1, 1, 10**9]), None, pa.MonthDayNano([0, 1, 0])]), [31 * 86400 + 1.0, None, 86400.0]),
        "wide decimals": (pa.array([1, None, 3], pa.int32()).cast(pa.decimal256(40, 2)), [1.0, None, 3.0]),
        "fixed bytes": (pa.array([b"ab", None, b"cd"], pa.binary(2)), [b"ab", None, b"cd"]),
        "runs": (pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int32()), pa.array(["a", "b"])), ["a", "a", "b"]),
        "identifiers": (pa.ExtensionArray.from_storage(pa.uuid(), pa.array([ids[0].bytes, None, ids[2].bytes], pa.binary(16))), [str(ids[0]), None, str(ids[2])]),
        "bins": (pd.cut(pd.Series([5, None, 15]), [0, 10, 20]), ["(0, 10]", None, "(10, 20]"]),
        "intervals": (pd.Series(pd.arrays.IntervalArray.from_tuples([(0, 1), None, (1, 2)])), ["(0.0, 1.0]", None, "(1.0, 2.0]"]),
        "periods": (pd.Series(pd.PeriodIndex(["2025-01", None, "2025-03"], freq="M")), ["2025-01", None, "2025-03"]),
        "differences": (pd.Series(pd.to_timedelta([1, None, 3], unit="D")), [86400.0, None, 259200.0]),
        "categories of differences": (pd.Series(pd.Categorical(pd.to_timedelta([1, None, 3], unit="D"))), [86400.0, None, 259200.0]),
        "categories of all sorts": (pd.Series(pd.Categorical([1, None, "a"])), ["1", None, "a"]),
        "sparse": (pd.Series(pd.arrays.SparseArray([1, 0, 1])), [1, 0, 1]),
        "complex": (pd.Series([1j, 2j, 3j]), ["1j", "2j", "3j"]),
    }


@pytest.mark.parametrize("name", unusual())
def test_types_that_no_engine_knows_are_read_as_what_they_hold(name: str, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    held, wanted = unusual()[name]
    tables: list[object] = [pa.table({"x": held})] if isinstance(held, pa.Array) else [pd.DataFrame({"x": held})]
    if name in ("nanoseconds", "milliseconds", "seconds", "wide decimals", "fixed bytes", "identifiers"):
        pq.write_table(tables[0], tmp_path / "x.parquet")
        tables.append(tmp_path / "x.parquet")
    for data in tables:
        table = open_table(data)
        assert table.expr.to_pyarrow()["x"].to_pylist() == wanted
        assert set(table.kinds) == {"x"} and len(table.expr.to_pandas()) == 3


def test_spans_of_time_of_a_database_and_of_files_in_several_units(tmp_path: Path) -> None:
    import ibis
    import pyarrow as pa
    import pyarrow.parquet as pq

    connection = ibis.duckdb.connect()
    connection.raw_sql("CREATE TABLE waits AS SELECT to_minutes(i) AS waited, uuid() AS key FROM range(300) t(i)")
    table = open_table(connection.table("waits"))
    assert dict(table.kinds) == {"waited": "numeric", "key": "id"} and table.expr["waited"].max().to_pyarrow().as_py() == 299 * 60
    for unit in ("s", "ms"):
        pq.write_table(pa.table({"waited": pa.array([1, 2], pa.duration(unit))}), tmp_path / f"{unit}.parquet")
    with pytest.raises(InputError, match=r"times of waited in different units\. Write them with one"):
        open_table(str(tmp_path / "*.parquet"))


@pytest.mark.parametrize("cells", [["inf"] * 4, ["inf", "-inf", "Infinity", "nan"], ["-inf", "", "inf", "inf"]])
def test_a_column_of_nothing_but_infinity_is_no_date(cells: list[str], tmp_path: Path) -> None:
    table = open_table(write(tmp_path / "i.csv", "a,b\n" + "".join(f"{cell},{i}\n" for i, cell in enumerate(cells))))
    assert len(table.expr.to_pandas()) == 4 and table.kinds["a"] in ("numeric", "constant")


def test_keys_are_read_as_they_are_written_whatever_they_were_in_training(tmp_path: Path) -> None:
    then = open_table(pd.DataFrame({"id": [f"{i:05}" for i in range(20)] * 5, "fee": [1.5 * (i % 7) for i in range(100)]}))
    now = open_table(pd.DataFrame({"id": [f"A{i}" for i in range(60)], "fee": [str(i % 7) for i in range(60)]}))
    assert then.kinds["id"] == "numeric" and now.like(then).frame()["id"].isna().all()
    kept = now.like(then, raw=["id", "unknown"]).frame()
    assert kept["id"].tolist() == [f"A{i}" for i in range(60)] and kept["fee"].tolist() == [i % 7 for i in range(60)]
