"""Profiles and drift on Spark give DuckDB's numbers, and the same queries are SQL for warehouses that are not here."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
import pytest
import sqlglot
from ibis.expr.operations import InMemoryTable
from ibis.expr.types import core
from sqlglot import exp
from typer.testing import CliRunner

from mlnb.cli import app
from mlnb.core.tables import Table, open_table
from mlnb.data import quality, same_rows, sample
from mlnb.data.same_rows import sample_rows
from mlnb.monitoring import scan
from mlnb.monitoring.counters import Question
from mlnb.monitoring.distinct import REGISTERS
from mlnb.monitoring.drift import compare
from mlnb.monitoring.engine import number_query, register_query, value_query
from mlnb.monitoring.paired_rows import pair_rows
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


# large tables, of which a sample is taken


@pytest.fixture(scope="module")
def large(spark, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sides of more rows than edges are taken from, as Parquet files, one of them in two parts, and as CSV."""
    folder: Path = tmp_path_factory.mktemp("large")
    for name, seed, shift in (("then", 3, 0.0), ("now", 4, 0.6)):
        made = frame(seed, shift, rows=24_000)[["usage", "tickets", "plan"]]
        made.to_csv(folder / f"{name}.csv", index=False)
        for part, rows in (("a", made[:14_000]), ("b", made[14_000:])):
            rows.to_parquet(folder / f"{name} {part}.parquet")
    return folder


@pytest.mark.parametrize("kind", [" *.parquet", ".csv"])
def test_drift_of_large_files_without_a_saved_profile_is_the_same(large, kind, monkeypatch) -> None:
    monkeypatch.setattr(scan, "IN_MEMORY", 0)  # 24,000 rows, of which 20,000 are drawn
    then, now = (str(large / f"{name}{kind}") for name in ("then", "now"))
    assert profile(then, columns=["usage"], distinct=False).columns["usage"].edges != profile(
        then, columns=["usage"], distinct=False, random_state=1).columns["usage"].edges  # a sample indeed
    duck, spark = (compare(then, now, engine=engine).to_dict() for engine in ("duckdb", "spark"))
    assert duck["summary"] == spark["summary"] and [f["message"] for f in duck["findings"]] == [f["message"] for f in spark["findings"]]
    assert list(duck["columns"]) == list(spark["columns"])
    for name, c in duck["columns"].items():
        for measure, value in c.items():
            assert spark["columns"][name][measure] == (pytest.approx(value) if isinstance(value, (float, list)) else value), (name, measure)


def test_the_command_takes_large_files_on_spark(large, monkeypatch) -> None:
    monkeypatch.setattr(scan, "IN_MEMORY", 0)
    found = CliRunner().invoke(app, ["drift", str(large / "then a.parquet"), str(large / "now a.parquet"), "--engine", "spark", "--json"])
    assert found.exit_code in (0, 1) and json.loads(found.stdout)["columns"]["usage"]["severity"] in ("warning", "critical"), found.output


def test_rows_of_both_sides_are_the_same(large) -> None:
    duck, spark = (pair_rows(*(open_table(str(large / f"{name} *.parquet"), engine=engine) for name in ("then", "now"))) for engine in ("duckdb", "spark"))
    assert duck.sizes == spark.sizes == (10_000, 10_000)
    np.testing.assert_array_equal(duck.x, spark.x)
    np.testing.assert_array_equal(duck.place, spark.place)


def test_a_large_table_of_spark_gives_the_same_sample_whatever_the_order(large, spark, monkeypatch) -> None:
    monkeypatch.setattr(scan, "IN_MEMORY", 0)
    monkeypatch.setattr(scan, "SAMPLE", 2000)
    table = open_table(str(large / "then *.parquet"), engine="spark").expr
    turned = table.order_by(ibis.desc("usage"))
    first, again, other = (profile(Table(t, "t"), columns=["usage", "plan"], distinct=False, random_state=seed).columns["usage"]
                           for t, seed in ((table, 0), (turned, 0), (table, 1)))
    assert first.edges == again.edges != other.edges and max(first.counts) < 2 * min(first.counts)
    drawn = sample_rows(table.select("plan"), 0.1).to_pandas()["plan"].value_counts(dropna=False)  # four values: none is left out, none taken whole
    whole = frame(3, rows=24_000)["plan"].value_counts(dropna=False)
    assert all(abs(drawn[value] - 0.1 * n) <= 1 for value, n in whole.items()) and len(drawn) == 4
    names = ["usage", "tickets", "plan"]
    rows = pair_rows(Table(table, "then"), frame(4, rows=500)[names], most=1000)
    np.testing.assert_array_equal(rows.x, pair_rows(Table(table, "then"), frame(4, rows=500)[names], most=1000).x)
    assert rows.sizes == (1000, 500) and len(np.unique(rows.place[:1000])) > 900


def test_some_rows_of_a_table_of_spark_are_the_same_whatever_the_order(large, spark) -> None:
    """Positions are those of the files where there are files, and mean nothing in a table whose parts come in any order."""
    files, part = str(large / "then *.parquet"), ["usage", "plan"]
    duck, spark_ = (open_table(files, engine=engine) for engine in ("duckdb", "spark"))
    pd.testing.assert_frame_equal(sample.sample_rows(duck, 1000), sample.sample_rows(spark_, 1000))
    assert sample.sample_table(duck, 1000).expr.to_pyarrow().to_pydict() == sample.sample_table(spark_, 1000).expr.to_pyarrow().to_pydict()
    tables = [Table(t, "t") for t in (spark_.expr, spark_.expr.order_by(ibis.desc("usage")))]
    drawn = [sample.sample_rows(t, 1000, part) for t in tables]
    pd.testing.assert_frame_equal(*drawn)
    pd.testing.assert_frame_equal(*(sample.sample_table(t, 1000).frame(part) for t in tables))
    whole = frame(3, rows=24_000)
    assert 850 < len(drawn[0]) <= 1000 and abs(drawn[0]["usage"].median() - whole["usage"].median()) < 0.15 and set(drawn[0]["plan"]) == set(whole["plan"])


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


@pytest.fixture
def sent(monkeypatch) -> dict[str, ibis.Expr]:
    """The queries that an engine is sent while a test runs; questions to rows that are in memory already are not among them."""
    found: dict[str, ibis.Expr] = {}
    for kind in (core.Expr, ir.Table, ir.Column, ir.Scalar):
        for name, real in vars(kind).copy().items():
            def noted(self, *given, real=real, **named):
                if not self.op().find(InMemoryTable):
                    found[str(self.op())] = self
                return real(self, *given, **named)

            if name in ("to_pyarrow", "execute"):
                monkeypatch.setattr(kind, name, noted)
    return found


WAREHOUSES = ("bigquery", "snowflake", "databricks")


def sql_of(query: ibis.Expr, dialect: str) -> str:
    """SQL that the warehouse's own grammar reads, without what DuckDB alone has."""
    sql = str(ibis.to_sql(query, dialect=dialect))
    tree = sqlglot.parse_one(sql, dialect=dialect)
    names = {(node.name if isinstance(node, exp.Anonymous) else node.sql_name()).lower() for node in tree.find_all(exp.Func)}
    assert not names & set(DUCKDB_ONLY) - {"try_cast"}, sql
    assert dialect != "bigquery" or "TRY_CAST" not in sql, sql  # its name there is SAFE_CAST
    return sql


def test_all_that_a_profile_asks_is_sql_for_engines_that_are_not_here(tmp_path, sent, monkeypatch) -> None:
    for module, name, value in ((scan, "IN_MEMORY", 0), (scan, "SAMPLE", 300), (scan, "PASSING", ()), (same_rows, "SEEDED", ())):
        monkeypatch.setattr(module, name, value)  # DuckDB is treated as every other engine
    data = frame(5).assign(length=lambda f: f["usage"].round(2).map(lambda x: f" {x}"), since=lambda f: f["day"].dt.strftime("%Y-%m-%d"), on=lambda f: f["day"].dt.date,
                           number=range(1500), row=[f"r-{i:05}" for i in range(1500)])  # fmt: skip
    data.to_parquet(tmp_path / "t.parquet", coerce_timestamps="us")
    found = profile(Table(open_table(tmp_path / "t.parquet").expr, "t"), by="plan", segments=2)
    assert {c.kind for c in found.columns.values()} == {"numeric", "boolean", "datetime", "categorical", "text", "id"} and sum(found.columns["odd"].infinite)
    assert found.columns["length"].kind == "numeric" and found.columns["since"].kind == "datetime" and list(found.segments) == ["basic", "family"]
    columns = {name for query in sent.values() if isinstance(query, ir.Table) for name in query.columns}
    assert {same_rows.TIMES, "low", "high", "m", "v", "a0", "z0", "h0_0", "value", "register"} <= columns  # sample, infinities, dates, numbers, values, registers
    for dialect in WAREHOUSES:
        made = [sql_of(query, dialect) for query in sent.values()]
        assert sum("'basic'" in sql and "IN (" in sql or "= 'basic'" in sql for sql in made) > 3  # segments
        assert any(("SAFE_CAST" if dialect == "bigquery" else "TRY_CAST") in sql for sql in made)  # numbers and dates that are text


def test_all_that_the_quality_of_a_table_asks_is_sql_for_engines_that_are_not_here(tmp_path, sent, monkeypatch) -> None:
    monkeypatch.setattr(quality, "LOOKED", 500)  # as of a larger table
    monkeypatch.setattr(same_rows, "SEEDED", ())  # DuckDB is treated as every other engine
    data = frame(6).assign(size=lambda f: f["tickets"].map(lambda n: f"{n} oz"), since=lambda f: f["day"].dt.strftime("%Y-%m-%d"))
    data.to_parquet(tmp_path / "t.parquet", coerce_timestamps="us")
    found = quality.assess(Table(open_table(tmp_path / "t.parquet").expr, "t"), "paid", "day")
    assert found.rows == 1500 and len(sent) >= 10
    for dialect in WAREHOUSES:
        made = [sql_of(query, dialect) for query in sent.values()]
        assert any(same_rows.TIMES in sql for sql in made) and not any(str(sample.GOLDEN) in sql for sql in made)  # the sample, by no position
