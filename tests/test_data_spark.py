"""Quality, overlap and joins give the same numbers on Spark as on DuckDB, in one session; what is approximate there is not compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from test_data_store_join import at, view

from mlnb.core.errors import InputError
from mlnb.core.records_rules import ColumnRules, DataRules, Dependency
from mlnb.core.tables import open_table
from mlnb.data.column_facts import column_facts
from mlnb.data.duplicates import duplicate_rows
from mlnb.data.overlap import Overlap, overlap
from mlnb.data.rules import infer_rules
from mlnb.data.store_join import add_features, open_spine
from mlnb.data.store_source import open_view
from mlnb.data.timeliness import rhythm
from mlnb.data.violations import count_violations, flag_cells

pyspark = pytest.importorskip("pyspark", reason="Spark is an extra: pip install mlnb[spark]")


@pytest.fixture(scope="module")
def spark():
    """The session that every test here runs in; `open_table(engine="spark")` takes it."""
    from pyspark.sql import SparkSession

    yield SparkSession.builder.master("local[2]").config("spark.driver.bindAddress", "127.0.0.1").config(
        "spark.driver.host", "127.0.0.1").config("spark.ui.enabled", "false").config("spark.sql.shuffle.partitions", "2").getOrCreate()
    SparkSession.getActiveSession().stop()


@pytest.fixture(scope="module")
def sides(spark, tmp_path_factory: pytest.TempPathFactory):
    rng, n = np.random.default_rng(0), 2000
    code = rng.integers(0, 20, n)
    frame = pd.DataFrame({
        "code": code, "town": np.array([f"Town {i}" for i in range(10)])[code // 2], "size": rng.integers(1, 99, n).astype(str),
        "paid": rng.lognormal(3, 0.5, n), "at": [str(day) for day in pd.date_range("2026-01-01", periods=n, freq="h")],
    })  # fmt: skip
    frame.loc[3, "town"], frame.loc[5, "town"] = "Town 9", "town 1"
    frame.loc[7:12, "size"] = ["12 oz", "many", "n/a", " 7", "", "1,200"]
    frame.loc[20, "paid"], frame.loc[21, "paid"], frame.loc[22, "at"] = 1e9, np.inf, "soon"
    frame = pd.concat([frame, frame.head(30)], ignore_index=True)
    path: Path = tmp_path_factory.mktemp("spark") / "orders.parquet"
    frame.to_parquet(path)
    return open_table(str(path)), open_table(str(path), engine="spark")


RULES = DataRules(columns=[
    ColumnRules(column="size", type="number", units=["oz"], missing=["n/a"], trimmed=True, max=90, required=True),
    ColumnRules(column="town", spellings={"town 1": "Town 1"}, pattern="Town [0-9]+"), ColumnRules(column="paid", type="number", max=1e6),
    ColumnRules(column="at", type="date", latest="2026-03-01")], dependencies=[Dependency(given=["code"], then="town")])  # fmt: skip


def test_rows_kinds_and_facts_are_the_same(sides) -> None:
    duck, spark = sides
    assert duck.rows == spark.rows == 2030 and duck.kinds == spark.kinds
    assert column_facts(duck) == column_facts(spark)


def test_violations_are_the_same(sides) -> None:
    duck, spark = (
        {(v.column, v.rule, v.given): (v.count, v.example if v.rule != "type" else "") for v in count_violations(t, RULES)} for t in sides
    )
    assert duck == spark and duck["town", "dependency", ("code",)][0] == 2 and ("size", "unit", ()) in duck


def test_flagged_cells_are_the_same(sides) -> None:
    duck, spark = (flag_cells(t, RULES) for t in sides)
    pd.testing.assert_frame_equal(duck.astype(str), spark.astype(str))


def test_duplicates_and_rhythm_are_the_same(sides) -> None:
    duck, spark = sides
    assert duplicate_rows(duck) == duplicate_rows(spark) and duplicate_rows(spark).count == 30
    assert rhythm(duck, "at") == rhythm(spark, "at")


def test_rules_are_read_off_alike(sides) -> None:
    duck, spark = (infer_rules(t) for t in sides)
    assert duck == spark


# leaks: what two sides share


def shop(rng: np.random.Generator, rows: int) -> pd.DataFrame:
    return pd.DataFrame({
        "guest": rng.integers(0, 400, rows).astype(str), "town": rng.choice(["New York", "Ulm", "Bad Ems"], rows), "fee": rng.normal(50, 9, rows).round(2),
        "nights": rng.integers(1, 9, rows), "at": pd.Timestamp("2026-01-01") + pd.to_timedelta(rng.integers(0, 10**6, rows), unit="s"),
        "came": rng.choice(["yes", "no"], rows)})  # fmt: skip


@pytest.fixture(scope="module")
def split(spark, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Overlap]:
    """Forty copies on both sides, ten of them with another label; twenty in another spelling; entities on both sides, some of them missing."""
    folder, rng = tmp_path_factory.mktemp("leaks"), np.random.default_rng(1)
    train, test = shop(rng, 1500), shop(rng, 400)
    test.iloc[:40] = train.iloc[:40]
    test.loc[:9, "came"] = test.loc[:9, "came"].map({"yes": "no", "no": "yes"})
    test.iloc[40:60] = train.iloc[40:60]
    test.loc[40:59, "town"] = test.loc[40:59, "town"].str.upper() + " "
    test.loc[100:119, "guest"] = None
    for name, side in (("train", train), ("test", test)):
        side.assign(at=side["at"].astype("datetime64[us]")).to_parquet(folder / f"{name}.parquet")
    return {engine: overlap(*(open_table(str(folder / f"{name}.parquet"), engine=engine) for name in ("train", "test")), "came", "guest") for engine in ("duckdb", "spark")}


def test_shared_rows_are_counted_alike(split: dict[str, Overlap]) -> None:
    duck, spark = split["duckdb"], split["spark"]
    assert duck.columns == spark.columns and duck.rows == spark.rows == 400
    for part in ("exact", "near"):
        one, other = getattr(duck, part), getattr(spark, part)
        assert (one.rows, one.same_target, one.pairs, one.agree) == (other.rows, other.same_target, other.pairs, other.agree)
        assert one.inside == pytest.approx(other.inside) and one.chance == pytest.approx(other.chance, abs=1e-9)
    assert (duck.exact.rows, duck.exact.same_target, duck.near.rows) == (40, 30, 60) and (duck.copies, duck.near_copies) == (spark.copies, spark.near_copies) == (40, 20)
    assert duck.exact.examples == spark.exact.examples or {e["fee"] for e in spark.exact.examples} <= set(shop(np.random.default_rng(1), 1500)["fee"][:40])


def test_entities_are_counted_alike(split: dict[str, Overlap]) -> None:
    duck, spark = split["duckdb"], split["spark"]
    train, test = (f["guest"] for f in _halves())
    both = test[test.notna() & test.isin(train)]
    assert (spark.entities, spark.entity_rows) == (duck.entities, duck.entity_rows) == (both.nunique(), len(both))


def _halves() -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(1)
    train, test = shop(rng, 1500), shop(rng, 400)
    test.iloc[:60] = train.iloc[:60]
    test.loc[100:119, "guest"] = None
    return train, test


# files


def test_csv_files_are_read_alike_and_broken_ones_refused(spark, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("n,came\n" + "".join(f"{i},{'Yes' if i % 3 else 'No'}\n" for i in range(50)))
    one, other = (open_table(str(tmp_path / "t.csv"), engine=engine).frame() for engine in ("duckdb", "spark"))
    assert one["came"].tolist() == other["came"].tolist() and one["n"].tolist() == other["n"].tolist()
    (tmp_path / "t.csv").write_text("n,came\n" + "1,yes\n" * 9 + "1,2,yes\n")
    with pytest.raises(InputError, match=r"t\.csv has a line whose values are more or fewer"):
        open_table(str(tmp_path / "t.csv"), engine="spark").frame()


# features


def test_joins_are_the_same(spark, tmp_path: Path) -> None:
    """Joins over spans instead of as-of joins, the same numbers."""
    rng = np.random.default_rng(0)
    n, m = 400, 300
    event = rng.integers(0, 2000, n)
    frame = pd.DataFrame({"user_id": rng.integers(0, 20, n), "event": [at(int(v)) for v in event],
                          "known": [at(int(v)) for v in event + rng.integers(0, 200, n)], "x": rng.normal(size=n).round(2), "y": rng.choice(list("abc"), n)})
    spine = pd.DataFrame({"user_id": rng.integers(0, 22, m), "due": [at(int(v)) for v in rng.integers(0, 2500, m)], "label": np.arange(m)})
    for name, data in (("v", frame), ("spine", spine)):
        data.astype({c: "datetime64[us]" for c in data if data[c].dtype.kind == "M"}).to_parquet(tmp_path / f"{name}.parquet")
    for store in (view("4h"), view(windows=("2h", "6h"))):
        names = [feature.name for feature in store.views[0].features]
        answers = []
        for engine in ("duckdb", "spark"):
            source = open_view(store, "v", tmp_path, engine)
            table = open_table(tmp_path / "spine.parquet", engine=engine)
            rows = open_spine(table, source.keys, "due")
            answers.append(add_features(rows, [(source, names)]).to_pandas().sort_values("label")[["label", *names]].reset_index(drop=True))
        pd.testing.assert_frame_equal(*answers, check_dtype=False)
