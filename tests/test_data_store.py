"""Names, definitions, the registry, the export, the checks and the commands of the feature store."""

from __future__ import annotations

import ast
import datetime as dt
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlnb.cli import main
from mlnb.core.checks import run
from mlnb.core.errors import ConfigError, InputError
from mlnb.core.items_data import FEATURE_NAME
from mlnb.core.project import Project
from mlnb.core.record_errors import RecordError
from mlnb.core.records import load, new, save
from mlnb.core.records_data import FeatureStore, seconds_of
from mlnb.data.store import Store, open_store, project_uses, write_table
from mlnb.data.store_checks import recompute, target_ms
from mlnb.data.store_feast import feast_history
from mlnb.data.store_names import AGGREGATIONS, check_name, name_pattern, suggest_name

DAY = dt.datetime(2026, 3, 1)
DOCS = {"description": "credit score", "data_type": "float", "source_table": "crm.scores", "owner": "risk", "created_date": "2026-01-05",
        "known_issues": "none known"}


def definition(**view: object) -> FeatureStore:
    base = {"name": "scores", "entity": "user", "source": "scores.parquet", "event_time": "at", "known_time": "written",
            "features": [{"name": "user_score_all_last", "column": "score", **DOCS}]}
    return FeatureStore(entities=[{"name": "user", "keys": ["user_id"]}], views=[{**base, **view}])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    days = [0, 4, 8, 2, 6]
    pd.DataFrame({"user_id": [1, 1, 1, 2, 2], "at": [DAY + dt.timedelta(days=d) for d in days],
                  "written": [DAY + dt.timedelta(days=d + 1) for d in days], "score": [0.1, 0.2, 0.3, 0.4, 0.5]}).to_parquet(tmp_path / "scores.parquet")
    (tmp_path / "records").mkdir()
    save(definition(), tmp_path / "records" / "feature_store.yaml")
    return tmp_path


@pytest.fixture
def spine() -> pd.DataFrame:
    return pd.DataFrame({"user_id": [1, 1, 2, 2, 3], "due": [DAY + dt.timedelta(days=d) for d in (1, 5, 5, 10, 5)], "repaid": [0, 1, 0, 1, 1]})


# -- names ---------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "best"), [
    ("purchase_count_30d_sum", "user_purchase_count_30d_sum"), ("user_purchase_count_30days_sum", "user_purchase_count_30d_sum"),
    ("userPurchaseCount30dSum", "user_purchase_count_30d_sum"), ("user-purchase-count-30d-sum", "user_purchase_count_30d_sum"),
    ("usr_amount_7_days_avg", "user_amount_7d_mean"), ("user_amount_sum_24h", "user_amount_24h_sum"), ("USER_AGE", "user_age_all_last"),
    ("user_amount_30d_summ", "user_amount_30d_sum"), ("user", "user_value_all_last"), ("user_x_lifetime_total", "user_x_all_sum"),
])
def test_nearest_names(name: str, best: str) -> None:
    check = check_name(name, "user")
    assert not check.ok and check.nearest == best and best in check.message
    assert check_name(best, "user").ok


@given(st.text(max_size=40), st.sampled_from(["user", "shop_item", "a"]), st.sampled_from([("", ""), ("30d", "sum")]))
def test_whatever_is_typed_the_nearest_name_is_valid(name: str, entity: str, computed: tuple[str, str]) -> None:
    best = suggest_name(name, entity, FEATURE_NAME, *computed)
    assert name_pattern(FEATURE_NAME, [entity]).fullmatch(best), best
    assert check_name(best, entity, FEATURE_NAME, *computed).ok


@given(st.from_regex(r"[a-z][a-z0-9]{0,5}(_[a-z0-9]{1,5}){0,3}", fullmatch=True), st.sampled_from(["all", "30d", "12h", "1w"]), st.sampled_from(AGGREGATIONS))
def test_every_name_by_the_pattern_is_taken_and_taken_apart(feature: str, window: str, aggregation: str) -> None:
    parts = dict(check_name(f"user_{feature}_{window}_{aggregation}", "user").parts)
    assert parts["window"] == window and parts["aggregation"] == aggregation and parts["feature_name"] == feature


def test_another_pattern() -> None:
    assert check_name("amount__user__30d", "user", "{feature_name}__{entity}__{window}").ok
    with pytest.raises(ConfigError, match="who"):
        check_name("x", "user", "{who}_{feature_name}")


# -- definitions ---------------------------------------------------------------------------------------------------------------------------


def test_a_file_keeps_its_definitions(folder: Path) -> None:
    assert load(folder / "records" / "feature_store.yaml") == definition()


def test_the_template_without_definitions_stays_as_it_was() -> None:
    assert {"offline_store", "online_store", "registry"} <= set(new("feature_store").model_dump())


@pytest.mark.parametrize(("text", "words"), [
    ("{version: 2, streams: [1]}", "version is 2; this mlnb reads up to 1"),
    ("{views: [{name: v, entity: user, source: a.parquet, event_time: t, features: [{name: f}]}]}", "about 'user'; entities are (none)"),
    ("{entities: [{name: user, keys: []}]}", "no keys"),
    ("{entities: [{name: user, keys: [a]}, {name: user, keys: [b]}]}", "two entities are called 'user'"),
    ("{entities: [{name: user, keys: [a]}], views: [{name: v, entity: user, source: a.parquet, event_time: t, ttl: 30 days, features: [{name: f}]}]}", "such as 30d"),
    ("{entities: [{name: user, keys: [a]}], views: [{name: v, entity: user, source: a.parquet, event_time: t, features: [{name: f, window: 3d}]}]}",
     "has a window and no aggregation"),
    ("{entities: [{name: user, keys: [a]}], views: [{name: v, entity: user, source: a.parquet, event_time: t, features: [{name: f, window: 3d, "
     "aggregation: average}]}]}", "aggregation"),
    ("{entities: [{name: user, keys: [a]}], views: [{name: v, entity: user, source: a.parquet, event_time: t, features: [{name: f}, {name: f}]}]}",
     "two features are called 'f'"),
    ("{entities: [{name: user, keys: [a]}], views: [{name: v, entity: user, source: a.parquet, event_time: t, features: [{name: f, ownr: me}]}]}", "owner"),
    ("{online_store: {url: 'redis://me:hush@cache:6379/0'}}", "MLNB_REDIS_PASSWORD"),
])
def test_definitions_that_cannot_be_used_are_said(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "feature_store.yaml").write_text(f"feature_store: {text}\n")
    with pytest.raises(RecordError) as said:
        open_store(tmp_path)
    assert words in str(said.value) and "hush" not in str(said.value)


def test_spans() -> None:
    assert [seconds_of(span) for span in ("90s", "5m", "2h", "1d", "1w", "", "all")] == [90, 300, 7200, 86_400, 604_800, None, None]


# -- registry and checks -------------------------------------------------------------------------------------------------------------------


def test_registry_escapes_and_counts(folder: Path) -> None:
    evil = "<script>alert(1)</script>"
    features = [{"name": "user_score_all_last", "column": "score", **DOCS, "description": evil}, {"name": "bad", "column": "score"}]
    store = Store(definition(features=features, ttl="5d"), folder)
    registry = store.registry(DAY + dt.timedelta(days=30), {evil: ["user_score_all_last"]})
    page = registry._repr_html_()
    assert evil not in page and "&lt;script&gt;" in page
    (found,) = registry.findings
    assert found.status.value == "fail" and found.columns == ("bad",) and found.value == 0.5
    first, second = registry.to_dict()["features"]
    assert first["stale"] is True and first["used_by"] == [evil] and second["nearest_name"] == "user_bad_all_last"
    assert registry.lineage().to_dict("list")["used_by"] == [evil, ""]
    assert store.registry(DAY + dt.timedelta(days=9)).to_dict()["features"][0]["stale"] is False


def test_registry_shows_a_source_that_is_gone(folder: Path) -> None:
    (folder / "scores.parquet").unlink()
    entry = open_store(folder).registry(DAY).entries[0]
    assert "There is no file" in entry.fresh.problem and "unreadable" in open_store(folder)._repr_html_()


def project_of(folder: Path, training: pd.DataFrame) -> Project:
    training.to_parquet(folder / "training.parquet")
    return Project.create(folder, folder / "training.parquet", target="repaid", time="due")


def test_training_features_that_were_known_pass_and_others_fail(folder: Path, spine: pd.DataFrame) -> None:
    good = open_store(folder).join(spine, "due").frame()
    project = project_of(folder, good)
    assert run("FS-OFFLINE", project.context())[0].status.value == "pass"
    rows = pd.read_parquet(folder / "scores.parquet")
    late = pd.DataFrame({"user_id": [1], "at": [DAY], "written": [DAY + dt.timedelta(days=20)], "score": [9.9]})
    pd.concat([rows, late]).to_parquet(folder / "scores.parquet")  # arrives later: what was known then stays
    assert run("FS-OFFLINE", project.context())[0].status.value == "pass"
    rows.assign(score=rows.score.where(rows.score != 0.1, 0.15)).to_parquet(folder / "scores.parquet")  # history is overwritten
    found = run("FS-OFFLINE", project.context())[0]
    assert found.status.value == "fail" and found.columns == ("user_score_all_last",)
    assert found.evidence["examples"][0]["used"] == 0.1 and found.evidence["examples"][0]["computed_again"] == 0.15


def test_features_joined_with_the_newest_values_fail(folder: Path, spine: pd.DataFrame) -> None:
    newest = pd.read_parquet(folder / "scores.parquet").sort_values("at").groupby("user_id")["score"].last()
    found = run("FS-OFFLINE", project_of(folder, spine.assign(user_score_all_last=spine.user_id.map(newest))).context())[0]
    assert found.status.value == "fail" and found.value == pytest.approx(3 / 5)


def test_missing_on_one_side_is_a_difference_and_last_digits_are_none(folder: Path, spine: pd.DataFrame) -> None:
    from mlnb.core.tables import open_table

    store = open_store(folder)
    good = store.join(spine, "due").frame()
    assert recompute(store, open_table(good.assign(user_score_all_last=good.user_score_all_last * (1 + 1e-13))), "due").equal
    assert recompute(store, open_table(good.assign(user_score_all_last=good.user_score_all_last.fillna(0))), "due").differing == {"user_score_all_last": 1}
    assert recompute(store, open_table(good.assign(user_score_all_last=None)), "due").differing == {"user_score_all_last": 4}


def test_checks_of_a_project_without_features(tmp_path: Path, spine: pd.DataFrame) -> None:
    found = run(["FS-OFFLINE", "FS-ONLINE", "FS-REGISTRY"], project_of(tmp_path, spine).context())
    assert [f.status.value for f in found] == ["not_checked"] * 3 and "add entities and views" in found[0].message


def test_online_check_measures(folder: Path, spine: pd.DataFrame) -> None:
    project = project_of(folder, spine)
    open_store(project).materialise(DAY + dt.timedelta(days=30))
    found = run("FS-ONLINE", project.context())[0]
    assert found.status.value in ("pass", "fail") and found.threshold == 10 and found.value == found.evidence["p99_ms"] > 0
    assert found.evidence["lookups"] == 2000 and found.evidence["entities"] == 2
    record = definition()
    record.online_store.latency_target = "<0.000001ms p99"  # no machine is that fast
    save(record, folder / "records" / "feature_store.yaml")
    assert run("FS-ONLINE", project.context())[0].status.value == "fail"
    assert [target_ms(words) for words in ("<10ms p99", "<2.5 ms", "1s", "soon")] == [10, 2.5, 1000, 10]


def test_experiments_are_users(folder: Path, spine: pd.DataFrame) -> None:
    project = project_of(folder, spine)
    assert project_uses(project) == {}
    project.save_record("experiment", new("experiment", id="EXP-2026-03-01-001", features_used=["user_score_all_last"]))
    entry = open_store(project).registry(uses=project_uses(project)).entries[0]
    assert entry.used_by == ("EXP-2026-03-01-001",)


# -- Feast ---------------------------------------------------------------------------------------------------------------------------------


def test_export_is_python_that_says_what_it_should(folder: Path, tmp_path: Path) -> None:
    """Whether `feast apply` takes it, and its joins give the same, is shown by tests/benchmarks/bench_store.py."""
    evil = "'''\"); import os; os.system('true') #\n\\"
    store = Store(definition(features=[{"name": "user_score_all_last", "column": "score", **DOCS, "description": evil}], ttl="3d"), folder, name="shop 1")
    made = store.export_feast(tmp_path / "repo")
    tree = ast.parse((made.folder / "definitions.py").read_text())
    calls = {node.targets[0].id: node.value for node in tree.body if isinstance(node, ast.Assign)}
    assert set(calls) == {"entity_user", "source_scores", "view_scores"} and len(tree.body) == 3 + len([n for n in tree.body if not isinstance(n, ast.Assign)])
    assert [type(node).__name__ for node in tree.body if not isinstance(node, ast.Assign)] == ["Expr", "ImportFrom", "ImportFrom"]
    arguments = {keyword.arg: keyword.value for keyword in calls["view_scores"].keywords}
    fields = [{k.arg: k.value for k in field.keywords} for field in arguments["schema"].elts]
    assert [ast.literal_eval(field["name"]) for field in fields] == ["user_id", "user_score_all_last"]
    assert [field["dtype"].id for field in fields] == ["Int64", "Float64"] and ast.literal_eval(fields[1]["description"]) == evil
    assert ast.literal_eval(fields[1]["tags"])["owner"] == "risk"
    source = {k.arg: ast.literal_eval(k.value) for k in calls["source_scores"].keywords}
    data = pd.read_parquet(made.folder / source["path"])
    assert set(data) == {"user_id", source["timestamp_field"], "user_score_all_last"} and str(data["event_timestamp"].dtype).endswith("UTC]")
    assert "project: shop_1" in (made.folder / "feature_store.yaml").read_text()


def test_exported_history_answers_as_the_join_does(folder: Path) -> None:
    """The newest exported row at or before a moment is the answer, whatever that moment."""
    for ttl in ("", "2d", "36h", "12h"):
        store = Store(definition(ttl=ttl), folder)
        asked = pd.DataFrame([(u, DAY + dt.timedelta(hours=h)) for u in (1, 2) for h in range(-3, 300, 3)], columns=["user_id", "due"])
        asked["due"] = asked.due.astype("datetime64[us]")
        ours = store.join(asked, "due").frame()["user_score_all_last"]
        history = feast_history(store.source("scores")).to_pandas().sort_values("event_timestamp")
        history["event_timestamp"] = history.event_timestamp.astype("datetime64[us]")
        theirs = asked.reset_index().sort_values("due")
        theirs = pd.merge_asof(theirs, history, left_on="due", right_on="event_timestamp", by="user_id").set_index("index")["user_score_all_last"].sort_index()
        pd.testing.assert_series_equal(ours, theirs, check_names=False, check_index_type=False)


# -- writing and commands ------------------------------------------------------------------------------------------------------------------


def test_a_join_that_cannot_be_written_leaves_what_was_there(folder: Path, spine: pd.DataFrame) -> None:
    table = open_store(folder).join(spine, "due")
    path = write_table(table, folder / "out" / "training.parquet")
    before = path.read_bytes()
    for name in ("training.xlsx", "training"):
        with pytest.raises(InputError, match=r"neither .parquet nor .csv"):
            write_table(table, folder / "out" / name)
    (folder / "file").write_text("")
    with pytest.raises(InputError, match="Cannot write"):
        write_table(table, folder / "file" / "training.parquet")
    assert path.read_bytes() == before and [p.name for p in path.parent.iterdir()] == ["training.parquet"]


Mlnb = Callable[..., tuple[int, str, str]]


@pytest.fixture
def mlnb(capsys: pytest.CaptureFixture, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Mlnb:
    monkeypatch.chdir(folder)

    def call(*words: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["store", *(str(word) for word in words)])
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err and "defect" not in out + err, err
        return int(ended.value.code or 0), out, " ".join(err.split())

    return call


def test_commands_from_definitions_to_lookups(mlnb: Mlnb, folder: Path, spine: pd.DataFrame) -> None:
    spine.to_csv(folder / "spine.csv", index=False)
    code, out, _ = mlnb("join", "spine.csv", "--time", "due", "--out", "training.csv", "--json")
    assert code == 0 and json.loads(out)["missing"] == {"user_score_all_last": pytest.approx(1 / 5)}
    assert pd.read_csv("training.csv")["user_score_all_last"].fillna(-1).tolist() == [0.1, 0.2, 0.4, 0.5, -1]
    assert mlnb("get", "user_id=1")[0] == 2
    code, out, _ = mlnb("materialise", "--end", "2026-04-01", "--json")
    assert code == 0 and json.loads(out)["views"][0]["rows"] == 2
    assert json.loads(mlnb("get", "user_id=1", "--json")[1])["features"] == {"user_id": 1, "user_score_all_last": 0.3}
    code, out, _ = mlnb("list", "--page", "page.html", "--json")
    assert code == 0 and json.loads(out)["features"][0]["feature"] == "user_score_all_last" and "user_score_all_last" in Path("page.html").read_text()
    assert mlnb("export", "feast")[0] == 0 and Path("feast/definitions.py").is_file()
    code, out, _ = mlnb("check", "--gate", "--json")
    assert code == 0 and json.loads(out)["summary"]["pass"] == 1
    project_of(folder, pd.read_csv("training.csv", parse_dates=["due"]))
    code, out, _ = mlnb("check", "--json")
    assert code == 0 and {f["code"]: f["status"] for f in json.loads(out)["findings"]}["FS-OFFLINE"] == "pass"


@pytest.mark.parametrize(("words", "said"), [
    (("get", "user_id"), "Write COLUMN=VALUE"), (("get", "user_id=one"), "(text); view scores has keys that are number"),
    (("get", "usr_id=1"), "The key 'user_id' of view scores is not given"), (("get", "user_id=1", "--feature", "user_score_all_lst"), "Did you mean 'user_score_all_last'?"),
    (("get", "user_id=1", "--at", "noon"), "'noon' is no moment"), (("materialise", "score"), "Did you mean 'scores'?"),
    (("materialise", "--start", "2026-05-01", "--end", "2026-04-01"), "Give a later end"),
    (("join", "gone.csv", "--time", "due", "--out", "x.csv"), "There is no file"),
    (("join", "records/feature_store.yaml", "--time", "due", "--out", "x.csv"), "neither CSV nor Parquet"),
    (("list", "--project", "elsewhere"), "There is no feature_store.yaml"),
])
def test_commands_say_what_is_wrong(mlnb: Mlnb, words: tuple[str, ...], said: str) -> None:
    mlnb("materialise", "--end", "2026-04-01")
    code, out, err = mlnb(*words)
    assert code == 2 and said in err and not out


def test_wrong_names_stop_a_join_and_not_the_registry(mlnb: Mlnb, folder: Path, spine: pd.DataFrame) -> None:
    save(definition(features=[{"name": "score", "column": "score", **DOCS}]), folder / "records" / "feature_store.yaml")
    spine.to_csv(folder / "spine.csv", index=False)
    code, _, err = mlnb("join", "spine.csv", "--time", "due", "--out", "training.csv")
    assert code == 2 and "Nearest: user_score_all_last" in err and not Path("training.csv").exists()
    assert mlnb("list")[0] == 0
    assert mlnb("check", "--gate")[0] == 1
    shutil.rmtree(folder / "records")


def test_a_finding_about_the_store_goes_stale_when_its_history_changes(folder: Path, spine: pd.DataFrame) -> None:
    project = project_of(folder, open_store(folder).join(spine, "due").frame())
    project.check("FS-OFFLINE", "DQ-VOLUME")
    assert {f.code: f.status.value for f in project.findings() if f.code in ("FS-OFFLINE", "FS-ONLINE")} == {"FS-OFFLINE": "pass", "FS-ONLINE": "not_checked"}
    rows = pd.read_parquet(folder / "scores.parquet")
    rows.assign(score=rows.score * 2).to_parquet(folder / "scores.parquet")
    found = {f.code: f.status.value for f in project.findings()}
    assert found["FS-OFFLINE"] == "stale" and found["DQ-VOLUME"] != "stale", "the training data did not change"
    (folder / "records" / "feature_store.yaml").write_text("feature_store: [")
    assert project.findings(), "a broken record stops nobody from reading what is known"
