"""The aggregates of quality give the same numbers on Spark as on DuckDB; what is approximate there is not compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlnb.core.records_rules import ColumnRules, DataRules, Dependency
from mlnb.core.tables import open_table
from mlnb.data.column_facts import column_facts
from mlnb.data.duplicates import duplicate_rows
from mlnb.data.rules import infer_rules
from mlnb.data.timeliness import rhythm
from mlnb.data.violations import count_violations, flag_cells

pyspark = pytest.importorskip("pyspark", reason="Spark is an extra: pip install mlnb[spark]")


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory):
    from pyspark.sql import SparkSession

    SparkSession.builder.master("local[2]").config("spark.driver.bindAddress", "127.0.0.1").config(
        "spark.driver.host", "127.0.0.1").config("spark.ui.enabled", "false").config("spark.sql.shuffle.partitions", "2").getOrCreate()
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
    yield open_table(str(path)), open_table(str(path), engine="spark")
    SparkSession.getActiveSession().stop()


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
