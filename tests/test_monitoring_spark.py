"""Profiles and drift on Spark give DuckDB's numbers, and the same queries are SQL for warehouses that are not here."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import ibis
import numpy as np
import pandas as pd
import pytest
import sqlglot
from sqlglot import exp
from typer.testing import CliRunner

from mlnb.cli import app
from mlnb.core.tables import Table, open_table
from mlnb.monitoring import scan
from mlnb.monitoring.counters import Question
from mlnb.monitoring.distinct import REGISTERS
from mlnb.monitoring.drift import compare
from mlnb.monitoring.engine import number_query, register_query, value_query
from mlnb.monitoring.profile import Profile, profile


def frame(seed: int, shift: float = 0.0, rows: int = 1500) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame({
        "usage": np.where(rng.random(rows) < 0.1, np.nan, rng.normal(shift, 1, rows)), "large": 1e9 + rng.normal(0, 1, rows),
        "tickets": rng.integers(0, 5, rows), "odd": np.where(rng.random(rows) < 0.02, np.inf, rng.random(rows)),
        "plan": rng.choice(["basic", "family", "premium", None], rows, p=[0.5, 0.3, 0.1, 0.1]), "item": [f"i{i}" for i in rng.zipf(1.3, rows) % 400],
        "paid": rng.random(rows) < 0.3, "day": pd.Timestamp("2026-01-01") + pd.to_timedelta(rng.integers(0, 90, rows), unit="D"),
        "said": [" ".join(["word"] * k) + str(i) for i, k in enumerate(rng.integers(3, 9, rows))]})  # fmt: skip


@pytest.fixture(scope="module")
def spark():
    """The session that `open_table(engine="spark")` takes."""
    pytest.importorskip("pyspark", reason="Spark is an extra: pip install mlnb[spark]")
    if not shutil.which("java"):
        pytest.skip("Spark needs Java 17: apt-get install openjdk-17-jre-headless")
    from pyspark.sql import SparkSession

    yield SparkSession.builder.master("local[2]").config("spark.driver.bindAddress", "127.0.0.1").config(
        "spark.driver.host", "127.0.0.1").config("spark.ui.enabled", "false").config("spark.sql.shuffle.partitions", "2").getOrCreate()
    SparkSession.getActiveSession().stop()


@pytest.fixture(scope="module")
def sides(spark, tmp_path_factory: pytest.TempPathFactory):
    """A reference and two batches as files."""
    folder: Path = tmp_path_factory.mktemp("spark")
    for name, seed, shift in (("then", 0, 0.0), ("now", 1, 0.6), ("calm", 2, 0.0)):
        frame(seed, shift).to_parquet(folder / f"{name}.parquet", coerce_timestamps="us")
    return folder


def same(a: Profile, b: Profile) -> None:
    assert a.rows == b.rows and list(a.columns) == list(b.columns)
    for name, x in a.columns.items():
        y = b.columns[name]
        assert (x.kind, x.rows, x.missing, x.unread, x.edges, x.counts, x.infinite) == (y.kind, y.rows, y.missing, y.unread, y.edges, y.counts, y.infinite), name
        assert (dict(x.values), x.rest, x.unlisted) == (dict(y.values), y.rest, y.unlisted), name
        assert x.mean is y.mean is None or x.mean == pytest.approx(y.mean), name
        assert x.variance is y.variance is None or x.variance == pytest.approx(y.variance, rel=1e-6), name
        assert x.low == y.low if x.kind != "datetime" else str(x.low)[:10] == str(y.low)[:10], name


def test_a_profile_is_the_same(sides, monkeypatch) -> None:
    reference = profile(sides / "then.parquet", random_state=1)
    monkeypatch.setattr(scan, "IN_MEMORY", 0)  # counted by Spark itself
    duck, spark = (profile(sides / "now.parquet", edges_from=reference, engine=engine, distinct=False) for engine in ("duckdb", "spark"))
    same(duck, spark)


def test_registers_of_spark_add_up_among_themselves(sides, monkeypatch) -> None:
    monkeypatch.setattr(scan, "IN_MEMORY", 0)
    reference = profile(sides / "then.parquet", columns=["usage"])
    first, second = (profile(sides / f"{name}.parquet", edges_from=reference, engine="spark") for name in ("then", "now"))
    both = profile(open_table(str(sides / "[nt]*.parquet"), engine="spark"), edges_from=reference)
    merged, error = first.merge(second), 4 * 1.04 / REGISTERS**0.5
    assert merged.columns["usage"].registers == both.columns["usage"].registers != "" and merged.columns["usage"].hashed == "pyspark"
    exact = pd.concat([frame(0), frame(1, 0.6)])["usage"].nunique()
    assert abs(merged.columns["usage"].distinct / exact - 1) < error
    ours = first.merge(reference).columns["usage"]  # other hashes: known is how many there are at least
    assert ours.registers == "" and ours.distinct == max(first.columns["usage"].distinct, reference.columns["usage"].distinct)


def test_drift_is_the_same_and_the_command_takes_the_engine(sides, monkeypatch) -> None:
    monkeypatch.setattr(scan, "IN_MEMORY", 0)
    kept = profile(sides / "then.parquet", columns=["usage", "tickets", "plan", "item"]).save(sides / "then.json")
    duck, spark = (compare(kept, sides / "now.parquet", engine=engine) for engine in ("duckdb", "spark"))
    assert duck.drifted == spark.drifted == ["usage"]
    for name, c in duck.columns.items():
        assert (c.psi, c.ks, c.js, c.p, c.severity) == pytest.approx((spark.columns[name].psi, spark.columns[name].ks, spark.columns[name].js,
                                                                      spark.columns[name].p, spark.columns[name].severity)) if c.psi else True
    found = CliRunner().invoke(app, ["drift", str(kept), str(sides / "calm.parquet"), "--engine", "spark", "--json"])
    assert found.exit_code == 0 and json.loads(found.stdout)["summary"]["fail"] == 0
    wrong = CliRunner().invoke(app, ["drift", str(kept), str(sides / "calm.parquet"), "--engine", "sparc"])
    assert wrong.exit_code == 2 and "'spark'" in wrong.output


def test_the_quality_of_a_table_is_the_same(sides) -> None:
    def score(*more: str) -> dict:
        found = CliRunner().invoke(app, ["quality", str(sides / "then.parquet"), "--json", *more])
        assert found.exit_code == 0, found.output
        return json.loads(found.stdout)

    duck, spark = score(), score("--engine", "spark")
    assert duck["total"] == spark["total"] and duck["rows"] == spark["rows"]
    assert [(f["code"], f["status"]) for f in duck["findings"]] == [(f["code"], f["status"]) for f in spark["findings"]]


def test_edges_taken_on_spark_are_used_by_both(sides, monkeypatch) -> None:
    monkeypatch.setattr(scan, "IN_MEMORY", 0)
    columns = ["usage", "tickets", "plan"]
    spark = profile(sides / "then.parquet", columns=columns, engine="spark", by="plan", segments=1)
    duck = profile(sides / "then.parquet", edges_from=spark)
    same(duck, spark)
    same(duck.segments["basic"], spark.segments["basic"])


# warehouses

DUCKDB_ONLY = ("histogram", "list_value", "map", "approx_count_distinct_duckdb", "try_cast")


def queries() -> dict[str, tuple[ibis.Table, int]]:
    """The queries of a profile and how many measures each has."""
    table = ibis.table({"usage": "float64", "tickets": "int64", "plan": "string"}, name="batch")
    values = scan._values(Table(table), {"usage": "numeric", "tickets": "numeric", "plan": "categorical"}, lengths=True)
    asked = {"usage": Question("numeric", (-1.0, 0.0, 1.0)), "tickets": Question("numeric", (1.0, 2.0))}
    return {"numbers": (number_query(values, asked), 1 + 2 * 5 + 5), "values": (value_query(values["plan"], ["basic"]), 2),
            "registers": (register_query(values["usage"]), 3)}  # fmt: skip


@pytest.mark.parametrize("dialect", ["bigquery", "snowflake", "databricks"])
@pytest.mark.parametrize("query", ["numbers", "values", "registers"])
def test_the_queries_are_sql_for_engines_that_are_not_here(dialect, query) -> None:
    made, measures = queries()[query]
    sql = ibis.to_sql(made, dialect=dialect)
    tree = sqlglot.parse_one(sql, dialect=dialect)
    assert measures == len(made.columns)
    if tree.named_selects != ["*"]:
        assert {str(name).lower() for name in tree.named_selects} == {name.lower() for name in made.columns}
    names = {(node.name if isinstance(node, exp.Anonymous) else node.sql_name()).lower() for node in tree.find_all(exp.Func)}
    assert not names & set(DUCKDB_ONLY), names
    if query == "numbers":
        assert sum(isinstance(node, exp.Sum) for node in tree.walk()) == 2 * 2 + 5  # two moments a column, and one sum an edge
