"""Records: exact field names, files that survive editing from both sides, errors a person can act on."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlnb.core import records
from mlnb.core.errors import ConfigError, InputError, MissingError, MlnbError
from mlnb.core.items_framing import SIGNALS
from mlnb.core.record_errors import RecordError
from mlnb.core.record_model import Part
from mlnb.core.yaml_read import plain_yaml, read_model, yaml
from mlnb.core.yaml_write import fresh_text, updated_text

# Every field of every template, as a tree; a set has fields without parts below them.
FIELDS: dict[str, Any] = {
    "problem_brief": {
        "business_objective", "success_metric", "baseline", "ml_task_type", "prediction_target", "prediction_consumer",
        "latency_requirement", "data_available", "data_gaps", "ethical_considerations", "kill_criteria"},
    "feature_plan": {"feature_types": {"numerical", "categorical", "temporal", "text", "interaction"}},
    "feature_store": {"offline_store": {"storage", "compute", "refresh"}, "online_store": {"storage", "latency_target", "refresh"},
                      "registry": {"naming", "documentation"}},
    "experiment": {
        **dict.fromkeys(("id", "hypothesis", "dataset_version", "features_used", "model_type", "hyperparameters", "training_time",
                         "baseline_comparison", "verdict", "notes"), ()),
        "metrics": {"primary", "secondary"}, "artifacts": {"model_path", "notebook_path", "confusion_matrix"}},
    "serving_config": {
        "model": {"format", "version", "size_mb", "load_time_seconds"},
        "infrastructure": {"compute", "instances", "autoscale_metric", "autoscale_target"},
        "api": {"endpoint", "input_schema", "output_schema", "timeout_ms", "rate_limit"},
        "reliability": {"health_check", "readiness_check", "graceful_shutdown", "circuit_breaker", "fallback"}},
    "ab_test": {
        **dict.fromkeys(("name", "hypothesis", "primary_metric", "guardrail_metrics", "minimum_sample_size",
                         "minimum_runtime_days"), ()),
        "traffic_split": {"control", "treatment"}, "decision_criteria": {"ship", "iterate", "kill"}},
    "rag_pipeline": {
        "ingestion": {"chunking": {"strategy", "chunk_size", "overlap", "metadata_to_preserve"},
                      "embedding": {"model", "dimensions"}, "vector_store": ()},
        "retrieval": {"strategy": (), "top_k": (), "reranking": {"model", "top_n"}, "filters": ()},
        "generation": {"model", "system_prompt", "temperature", "max_tokens"}},
    "monitoring": {
        "model_performance": {"metrics": {"name", "threshold", "window", "alert"},
                              "latency": {"p50_ms", "p95_ms", "p99_ms", "alert_threshold_ms"},
                              "throughput": {"requests_per_second", "error_rate_threshold"}},
        "data_drift": {"method", "features_to_monitor", "check_frequency", "alert_threshold"},
        "concept_drift": {"method", "ground_truth_delay", "proxy_metrics", "retraining_trigger"}},
    "retraining": {
        "triggers": {"type", "frequency", "condition"},
        "pipeline": {"1_data_validation": (), "2_training": (), "3_evaluation": (),
                     "4_deployment": {"canary_deployment", "monitor_for", "auto_rollback_if", "gradual_rollout"},
                     "5_notification": ()}},
    "model_card": {
        **dict.fromkeys(("model_name", "version", "date", "owner", "description", "intended_use", "out_of_scope_uses",
                         "limitations", "ethical_considerations"), ()),
        "training_data": {"source", "size", "date_range", "known_biases"},
        "evaluation": {"metrics", "datasets", "sliced_metrics"}, "maintenance": {"retraining_schedule", "monitoring", "contact"}},
    "ml_costs": {
        "training": {"compute_cost_per_run", "runs_per_month", "data_storage_monthly", "experiment_tracking"},
        "inference": {"cost_per_1k_predictions": (), "daily_volume": (), "monthly_cost": (),
                      "cost_per_query_breakdown": {"compute", "model_api_calls", "vector_db", "data_transfer"}},
        "optimization_targets": {"cost_per_prediction", "monthly_budget", "cost_reduction_goal"}},
}
SCORED = {"score", "adjusted", "reason", "by"}
FIELDS["data_quality"] = {
    "source": (), "need": (), "truth": (), "truth_key": (), "assessed_on": (), "history": {"date", "total"},
    "dimensions": dict.fromkeys(("completeness", "accuracy", "consistency", "timeliness", "relevance", "volume"), SCORED)}
EXTRA = {  # what goes beyond the templates
    "problem_brief": {"signals", *(f"signals.{name}" for name in SIGNALS), "roi_estimate"},
    "experiment": {"seed", "git_commit", "packages", "computed_verdict", "verdict_by", "verdict_reason"},
    "feature_plan": {"columns", "pairs", "left_out", "reasons", "lags", "windows", "pairs_measured"},
    "feature_store": {"version", "entities", *(f"entities.{name}" for name in ("name", "keys", "description")), "online_store.url",
                      "views", *(f"views.{name}" for name in ("name", "entity", "source", "event_time", "known_time", "ttl", "features")),
                      *(f"views.features.{name}" for name in ("name", "column", "window", "aggregation", "description", "data_type",
                                                              "source_table", "owner", "created_date", "known_issues"))},
    "monitoring": {"sources", *(f"sources.{name}" for name in ("batches", "time", "key", "labels", "requests", "prometheus")),
                   "alerts", *(f"alerts.{name}" for name in ("file", "webhook", "email", "repeat_after")),
                   *(f"alerts.webhook.{name}" for name in ("url", "url_env", "token_env", "timeout_s")),
                   *(f"alerts.email.{name}" for name in ("to", "from", "smtp", "starttls", "user_env", "password_env"))},
    "retraining": {"data", "months", "golden_set", "guardrails", "guardrails.metric", "guardrails.loss", "limits",
                   *(f"limits.{name}" for name in ("new_labels", "evaluation_share", "golden_loss", "requests", "tuning_trials"))},
    "serving_config": {"infrastructure.instances.min", "infrastructure.instances.max"},
}
NAMES = list(records.RECORDS)


def _dotted(tree: Any, prefix: str = "") -> set[str]:
    found = set()
    for name in tree:
        found.add(f"{prefix}{name}")
        if isinstance(tree, dict):
            found |= _dotted(tree[name], f"{prefix}{name}.")
    return found


def _names(model: type[Part], prefix: str = "") -> set[str]:
    import typing

    from mlnb.core.record_model import inner

    found = set()
    for name, field in model.model_fields.items():
        found.add(path := f"{prefix}{field.alias or name}")
        kind = inner(field.annotation)
        kind = typing.get_args(kind)[0] if typing.get_origin(kind) is list else kind
        if isinstance(kind, type) and issubclass(kind, Part):
            found |= _names(kind, f"{path}.")
    return found


def _keys(data: Any, prefix: str = "") -> set[str]:
    "Dotted names of the keys of nested data; lists of mappings count as one mapping."
    if isinstance(data, list):
        return set().union(*(_keys(entry, prefix) for entry in data)) if data else set()
    if not isinstance(data, dict):
        return set()
    return set().union(*({f"{prefix}{key}"} | _keys(value, f"{prefix}{key}.") for key, value in data.items())) if data else set()


@pytest.fixture
def written(shared_data) -> dict[str, Any]:
    "The templates as they were first written, by the name of the record; `text` has the YAML of each."
    found = {}
    for block in re.findall(r"```yaml\n(.*?)```", shared_data("../seed.md").read_text(), re.S):
        top = block.split(":", 1)[0]
        name = {"feature_types": "feature_plan"}.get(top, top)
        if name in records.RECORDS:
            found[name] = block
    return found


@pytest.mark.parametrize("name", NAMES)
def test_field_names_are_exact(name: str) -> None:
    assert _names(records.record_model(name)) == _dotted(FIELDS[name]) | EXTRA.get(name, set())


@pytest.mark.parametrize("name", [name for name in NAMES if name != "data_quality"])
def test_the_written_template_has_these_fields_and_loads(name: str, written: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "any.yaml"
    path.write_text(written[name])
    data = plain_yaml(yaml().load(written[name]))
    assert _keys(data.get(name, data)) == _dotted(FIELDS[name])
    record = records.load(path)
    assert type(record) is records.record_model(name)
    prose = {"kill_criteria", "decision_criteria", "generation", "model_performance"}  # said in other words
    mine, theirs = (each.model_dump(by_alias=True, exclude=prose) for each in (records.new(name), record))
    assert theirs == mine


@pytest.mark.parametrize("name", NAMES)
def test_every_field_explains_itself(name: str) -> None:
    def walk(model: type[Part]) -> None:
        for field in model.model_fields.values():
            assert field.title and field.description and not field.description.endswith(".")
        for other in model.model_fields.values():
            for kind in (other.annotation, *getattr(other.annotation, "__args__", ())):
                if isinstance(kind, type) and issubclass(kind, Part):
                    walk(kind)

    walk(records.record_model(name))


@pytest.mark.parametrize("name", NAMES)
def test_a_new_file_is_explained_loads_and_fits_its_schema(name: str, tmp_path: Path) -> None:
    record = records.new(name)
    path = records.save(record, tmp_path / f"{name}.yaml")
    assert records.load(path) == records.load(path, name) == record
    assert path.read_text().count("#") > len(type(record).model_fields)
    schema = records.schema(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(plain_yaml(yaml().load(path.read_text())), schema)


def test_schemas_refuse_what_the_models_refuse(tmp_path: Path) -> None:
    paths = records.export_schemas(tmp_path / "schemas")
    assert [path.name for path in paths] == [f"{name}.schema.json" for name in NAMES]
    schema = json.loads((tmp_path / "schemas" / "ab_test.schema.json").read_text())
    for bad in ({"ab_test": {"nam": ""}}, {"ab_test": {"minimum_runtime_days": 3}}, {"abtest": {}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(bad, schema)


BAD = [
    ("problem_brief", "ml_task_type: clustring", 2, "problem_brief.ml_task_type", "'clustring'", "Did you mean 'clustering'?"),
    ("problem_brief", "latency_requirement: fast", 2, "problem_brief.latency_requirement", "'fast'", "real-time, near-real-time, batch"),
    ("problem_brief", "baselin: none", 2, "problem_brief.baselin", "unknown field", "Did you mean 'baseline'?"),
    ("problem_brief", "baseline: 12", 2, "problem_brief.baseline", "12 (a whole number)", "text, so put it in quotes"),
    ("problem_brief", "kill_criteria:\n  - ok\n  - 5", 4, "problem_brief.kill_criteria.1", "5", "text"),
    ("problem_brief", "signals:\n    adapts: perhaps", 3, "problem_brief.signals.adapts", "'perhaps'", "true or false"),
    ("problem_brief", "signals: yes", 2, "problem_brief.signals", "'yes'", "a mapping"),
    ("data_quality", "dimensions:\n    volume:\n      score: 7", 4, "data_quality.dimensions.volume.score", "7", "at most 5"),
    ("data_quality", "dimensions:\n    volume: {adjusted: 3}", 3, "data_quality.dimensions.volume", "reason", "leave adjusted empty"),
    ("data_quality", "history:\n  - {date: 1 March, total: 12}", 3, "data_quality.history.0.date", "'1 March'", "2026-03-01"),
    ("data_quality", "assessed_on: 2026-02-30", 2, "data_quality.assessed_on", "'2026-02-30'", "a day of the calendar"),
    ("experiment", "id: EXP-7", 2, "experiment.id", "'EXP-7'", "EXP-YYYY-MM-DD-NNN"),
    ("experiment", "verdict: promote", 2, "experiment.verdict", "'promote'", "promoted, archived, iterate"),
    ("experiment", "metrics:\n    primary: {auc: good}", 3, "experiment.metrics.primary.auc", "'good'", "a number"),
    ("experiment", "artifacts:\n  - model_path: a\n  - model_pth: b", 4, "experiment.artifacts.model_pth", "unknown", "'model_path'"),
    ("serving_config", "api:\n    timeout_ms: 0.5", 3, "serving_config.api.timeout_ms", "0.5", "a whole number"),
    ("serving_config", "infrastructure:\n    instances: {min: 3, max: 1}", 3,
     "serving_config.infrastructure.instances", "min is 3", "max"),
    ("serving_config", "reliability: {circuit_breaker: 1}", 2, "serving_config.reliability.circuit_breaker", "1", "true or false"),
    ("ab_test", "traffic_split: {control: 70, treatment: 20}", 2, "ab_test.traffic_split", "make 90", "make 100"),
    ("ab_test", "minimum_runtime_days: 6", 2, "ab_test.minimum_runtime_days", "6", "at least 7"),
    ("rag_pipeline", "ingestion:\n    chunking: {chunk_size: 0}", 3, "rag_pipeline.ingestion.chunking.chunk_size", "0", "more than 0"),
    ("rag_pipeline", "ingestion:\n    chunking: {chunk_size: 9, overlap: 9}", 3,
     "rag_pipeline.ingestion.chunking", "overlap 9", "below"),
    ("rag_pipeline", "ingestion:\n    chunking:\n      strategy: tokens", 4,
     "rag_pipeline.ingestion.chunking.strategy", "'tokens'", "semantic"),
    ("monitoring", "model_performance:\n    throughput: {error_rate_threshold: 1.5}", 3,
     "monitoring.model_performance.throughput.error_rate_threshold", "1.5", "at most 1"),
    ("monitoring", "data_drift: {method: chi2}", 2, "monitoring.data_drift.method", "'chi2'", "PSI, KS-test, JS-divergence"),
    ("retraining", "triggers:\n  - type: daily", 3, "retraining.triggers.0.type", "'daily'", "scheduled, performance, drift"),
    ("retraining", "pipeline:\n    6_party: []", 3, "retraining.pipeline.6_party", "unknown field", "1_data_validation"),
    ("model_card", "limitations: none", 2, "model_card.limitations", "'none'", "a list"),
    ("ml_costs", "training: {runs_per_month: -1}", 2, "ml_costs.training.runs_per_month", "-1", "at least 0"),
    ("ml_costs", "training: {runs_per_month: .nan}", 2, "ml_costs.training.runs_per_month", "nan", "a finite number"),
]


@pytest.mark.parametrize("row", BAD, ids=lambda row: f"{row[0]}-{row[3].split('.')[-1]}")
def test_a_bad_value_is_named_with_its_line(row: tuple[str, str, int, str, str, str], tmp_path: Path) -> None:
    name, text, line, field, found, allowed = row
    path = tmp_path / "bad.yaml"
    path.write_text(f"{name}:\n" + textwrap.indent(text, "  ") + "\n")
    with pytest.raises(RecordError) as caught:
        records.load(path)
    message = str(caught.value)
    assert message.startswith(f"bad.yaml, line {line}, {field}: ") and "\n" not in message
    assert found in message and allowed in message
    assert isinstance(caught.value, ConfigError) and caught.value.exit_code == 2
    assert (caught.value.problems[0].line, caught.value.problems[0].field) == (line, field)


def test_all_errors_are_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "many.yaml"
    path.write_text("ab_test:\n  minimum_runtime_days: 1\n  nme: x\n  # note\n  hypothesis: [a]\n")
    with pytest.raises(RecordError) as caught:
        records.load(path)
    lines = str(caught.value).splitlines()
    assert lines[0] == "many.yaml has 3 errors:"
    assert [line.split(",")[0].strip() for line in lines[1:]] == ["line 2", "line 3", "line 5"]


BOMB = b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (n + 1, n + 1, b",".join([b"*%c" % n] * 9)) for n in range(97, 104))
FILES = [
    (b"", "the file is empty"),
    (b"  \n# only a comment\n", "problem_brief"),
    (b"problem_brief:\n  baseline: 'torn", "line 2"),
    (b"problem_brief:\n  baseline: a: b\n", "line 2"),
    (b"problem_brief:\n\tbaseline: tab\n", "line 2"),
    (b"problem_brief:\n  baseline: a\n  baseline: b\n", "duplicate key"),
    (b"problem_brief: {}\n---\nproblem_brief: {}\n", "document"),
    (b"- a\n- b\n", "a list"),
    (b"just words\n", "'just words'"),
    (b"problem_brief: words\n", "'words'"),
    (b"problem_brief: {}\nab_test: {}\n", "`ab_test:` stands at the top"),
    (b"something: {}\n", "`something:` stands at the top"),
    (b"problem_brief:\n  baseline: caf\xe9\n", "line 2: byte 0xe9 is no UTF-8"),
    (b"problem_brief:\n  baseline: \x00\n", "this is no YAML"),
    (b"problem_brief: !!python/object/apply:os.system [ls]\n", "!!python/object/apply:os.system"),
    (b"problem_brief: {baseline: !secret x}\n", "!secret"),
    (BOMB, "multiply"),
]


@pytest.mark.parametrize(("raw", "words"), FILES, ids=[words for _, words in FILES])
def test_a_file_that_is_no_record_says_so(raw: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "record.yaml"
    path.write_bytes(raw)
    with pytest.raises(RecordError) as caught:
        records.load(path)
    assert words in str(caught.value) and "record.yaml" in str(caught.value)


def test_places_that_hold_no_file(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match=r"no file .*nowhere\.yaml"):
        records.load(tmp_path / "nowhere.yaml")
    with pytest.raises(MissingError, match="is a folder"):
        records.load(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="Cannot write"):
        records.save(records.new("ab_test"), tmp_path / "file" / "ab_test.yaml")
    with pytest.raises(InputError, match="'model_card'"):
        records.new("modelcard")


def test_blanks_placeholders_and_dates_are_not_errors(tmp_path: Path) -> None:
    path = tmp_path / "card.yaml"
    path.write_text("model_card:\n  date: 2026-03-01\n  owner:\n  limitations: ~\n  training_data:\n")
    card = records.load(path)
    assert (card.date, card.owner, card.limitations, card.training_data.source) == ("2026-03-01", "", [], "")
    path.write_text("model_card:\n")
    assert records.load(path) == records.new("model_card")


def test_an_assignment_is_checked() -> None:
    record = records.new("ab_test")
    with pytest.raises(ValueError, match="greater than or equal to 7"):
        record.minimum_runtime_days = 3
    assert record.minimum_runtime_days is None
    with pytest.raises(RecordError, match="minimum_runtime_days"):
        records.new("ab_test", minimum_runtime_days=3)


def test_saving_checks_what_was_put_in_behind_its_back(tmp_path: Path) -> None:
    record = records.new("rag_pipeline")
    record.ingestion.chunking.__dict__["overlap"] = 9999
    with pytest.raises(RecordError, match="overlap 9999"):
        records.save(record, tmp_path / "rag.yaml")
    assert not (tmp_path / "rag.yaml").exists()


HAND = """\
# Kept by the growth team
---
problem_brief:   # version 3

    # agreed on 1 March
    business_objective: "fewer cancellations"   # not revenue
    success_metric: 'churn
      down to 4 %'
    baseline: call everybody   # 1e3 calls a day
    ml_task_type: classification
    latency_requirement: batch (minutes-hours)
    data_gaps: ~
    kill_criteria:
    - heuristic as good    # ask Ada

    - two weeks of cleaning
    - "no better than chance"
    signals: {adapts: True, changes_fast: null}   # from the workshop
# end
"""


def _comments(text: str) -> list[str]:
    return re.findall(r"(?:^|\s)(#.*)$", text, re.M)


def test_saving_without_a_change_leaves_every_byte(tmp_path: Path) -> None:
    for raw in (HAND.encode(), HAND.replace("\n", "\r\n").encode(), b"\xef\xbb\xbf" + HAND.encode()):
        path = tmp_path / "brief.yaml"
        path.write_bytes(raw)
        records.save(records.load(path), path)
        assert path.read_bytes() == raw


def test_only_the_changed_value_changes(tmp_path: Path) -> None:
    path = tmp_path / "brief.yaml"
    path.write_bytes(HAND.replace("\n", "\r\n").encode())
    record = records.load(path)
    record.business_objective = "fewer cancelled now"
    records.save(record, path)
    assert path.read_bytes().decode() == HAND.replace("fewer cancellations", "fewer cancelled now").replace("\n", "\r\n")
    record.kill_criteria = record.kill_criteria[1:]
    record.prediction_target = "cancels within 30 days"
    records.save(record, path)
    text = path.read_bytes().decode().replace("\r\n", "\n")
    assert records.load(path) == record
    assert "# ask Ada" not in text and 'success_metric: \'churn\n      down to 4 %\'\n' in text
    assert "    prediction_target: cancels within 30 days\n" in text and "signals: {adapts: True, changes_fast: null}   # from" in text


words = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)
briefs = st.fixed_dictionaries({}, optional={
    "business_objective": words, "success_metric": words, "baseline": words, "data_gaps": words,
    "ml_task_type": st.sampled_from(["", "regression", "clustering"]), "kill_criteria": st.lists(words, max_size=4),
    "signals": st.fixed_dictionaries({}, optional={name: st.sampled_from([True, False, None]) for name in SIGNALS}),
})
plain_values = st.recursive(st.none() | st.booleans() | st.integers(-10**6, 10**6) | st.floats(allow_nan=False) | words,
                            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3), max_leaves=6)
few = settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])


@few
@given(briefs)
def test_any_values_come_back_and_comments_stay(values: dict[str, Any]) -> None:
    old = records.new("problem_brief", **plain_yaml(yaml().load(HAND))["problem_brief"])
    record = records.new("problem_brief", **(old.model_dump() | values))
    text = updated_text(HAND, record, "problem_brief")
    assert records.new("problem_brief", **plain_yaml(yaml().load(text))["problem_brief"]) == record
    entries = {"# ask Ada"} if "kill_criteria" in values else set()
    assert {*_comments(HAND)} - entries - {"# from the workshop"} <= {*_comments(text)}


@few
@given(briefs)
def test_any_values_come_back_from_a_new_file(values: dict[str, Any]) -> None:
    record = records.new("problem_brief", **values)
    text = fresh_text(record, "problem_brief")
    assert records.new("problem_brief", **plain_yaml(yaml().load(text))["problem_brief"]) == record


@few
@given(st.dictionaries(words, plain_values, max_size=4), st.dictionaries(words, plain_values, max_size=4))
def test_free_mappings_come_back_whatever_they_hold(before: dict[str, Any], after: dict[str, Any]) -> None:
    first, second = (records.new("experiment", hyperparameters=each) for each in (before, after))
    text = updated_text(fresh_text(first, "experiment"), second, "experiment")
    assert records.new("experiment", **plain_yaml(yaml().load(text))["experiment"]) == second


def test_lists_of_parts_and_listed_parts_keep_their_comments(tmp_path: Path) -> None:
    path = tmp_path / "retraining.yaml"
    path.write_text(textwrap.dedent("""\
        retraining:
          triggers:
            - type: scheduled
              frequency: weekly   # Sundays
            - type: drift         # see the playbook
              condition: PSI > 0.2
          pipeline:
            4_deployment:         # ops
              - monitor_for: 6h   # a shift
              - canary_deployment: 5%
    """))
    record = records.load(path)
    assert record.pipeline.deployment.monitor_for == "6h" and record.pipeline.deployment.gradual_rollout.startswith("5%")
    record.triggers = [record.triggers[1], records.new("retraining").triggers[1]]
    record.pipeline.deployment.canary_deployment = "10%"
    records.save(record, path)
    text = path.read_text()
    assert records.load(path) == record
    assert "type: drift         # see the playbook" in text and "- canary_deployment: 10%" in text and "# a shift" in text
    assert text.index("monitor_for") < text.index("canary_deployment") and "gradual_rollout" not in text


def test_a_file_with_errors_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "ab_test.yaml"
    path.write_text(text := "ab_test:\n  minimum_runtime_days: 3   # being edited\n")
    with pytest.raises(RecordError, match=r"line 2, ab_test\.minimum_runtime_days"):
        records.save(records.new("ab_test"), path)
    assert path.read_text() == text


def test_an_alias_is_not_changed_on_both_sides(tmp_path: Path) -> None:
    path = tmp_path / "monitoring.yaml"
    path.write_text("monitoring:\n  data_drift: {features_to_monitor: &top [a, b]}\n  concept_drift: {proxy_metrics: *top}\n")
    record = records.load(path)
    record.data_drift.features_to_monitor = ["a", "c"]
    records.save(record, path)
    assert records.load(path) == record and record.concept_drift.proxy_metrics == ["a", "b"]


@pytest.mark.parametrize("moment", ["os.fsync", "os.replace"])
def test_a_kill_in_the_middle_leaves_the_old_file(moment: str, tmp_path: Path) -> None:
    path = records.save(records.new("problem_brief", baseline="old"), tmp_path / "problem_brief.yaml")
    before = path.read_bytes()
    script = textwrap.dedent(f"""
        import os, signal
        from mlnb.core import records
        record = records.load({str(path)!r})
        record.baseline = "new"
        {moment} = lambda *args: os.kill(os.getpid(), signal.SIGKILL)
        records.save(record, {str(path)!r})
    """)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=os.environ | {"PYTHONPATH": os.getcwd()})
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert path.read_bytes() == before and records.load(path).baseline == "old"
    record = records.load(path)  # and the lock of the dead process holds nobody up
    record.baseline = "newer"
    assert records.load(records.save(record, path)).baseline == "newer"


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = records.save(records.new("ab_test", name="old"), tmp_path / "ab_test.yaml")

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(MlnbError, match="No space left on device"):
        records.save(records.new("ab_test", name="new"), path)
    assert records.load(path).name == "old" and [p.name for p in tmp_path.glob("*.tmp")] == []


def test_writers_at_once_leave_one_of_their_files(tmp_path: Path) -> None:
    path = tmp_path / "ab_test.yaml"
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: records.save(records.new("ab_test", name=f"writer {n}"), path), range(8)))
    assert re.fullmatch(r"writer \d+", records.load(path).name)


def test_missing_names_what_is_empty_and_needed() -> None:
    assert records.missing(records.new("ab_test", name="x", guardrail_metrics=["latency"])) == [
        "hypothesis", "primary_metric", "minimum_sample_size", "minimum_runtime_days"]
    assert "notes" not in records.missing(records.new("experiment")) and "hypothesis" in records.missing(records.new("experiment"))
    assert "baseline" in records.missing(records.new("problem_brief", baseline="  "))
    assert "triggers.0.type" in records.missing(records.new("retraining", triggers=[{}]))


def test_quality_totals() -> None:
    scores = {name: {"score": 2.5} for name in ("completeness", "accuracy", "consistency", "timeliness", "relevance", "volume")}
    quality = records.new("data_quality", dimensions=scores)
    assert quality.total == 15
    quality.dimensions.volume = {"score": 2.5, "adjusted": 5, "reason": "a second source is on its way", "by": "Ada"}
    assert quality.total == 17.5 and quality.dimensions.volume.score == 2.5
    assert records.new("data_quality").total is None


def test_a_model_without_a_key_stands_at_the_top(tmp_path: Path) -> None:
    path = records.save(records.new("feature_plan", columns={"amount": ["log_transform"]}), tmp_path / "feature_plan.yaml")
    assert path.read_text().splitlines()[2].startswith("feature_types:")
    assert read_model(path, records.record_model("feature_plan")).columns == {"amount": ["log_transform"]}


def test_records_load_pydantic_only_when_asked() -> None:
    script = "import sys, mlnb.core.records; print([m for m in ('pydantic', 'ruamel.yaml', 'filelock', 'pandas') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip() == "[]"
