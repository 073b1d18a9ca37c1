"""What Prometheus and Grafana are given: read back by Prometheus' own parser, and every query held against the metrics that there are."""

from __future__ import annotations

import dataclasses
import datetime
import json
import math
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from ruamel.yaml import YAML

from mlnb.core.errors import InputError
from mlnb.core.project import Project
from mlnb.deployment.service_metrics import ServiceMetrics
from mlnb.monitoring.alert_rules import alert_rules, write_rules
from mlnb.monitoring.board import Board, project_board
from mlnb.monitoring.episodes import Acknowledgement
from mlnb.monitoring.exporter import METRICS, serve_metrics, to_prometheus, write_metrics
from mlnb.monitoring.grafana import SERVICE_METRICS, grafana_dashboard, write_grafana
from mlnb.monitoring.limits import Limits
from mlnb.monitoring.window_example import make_windows
from mlnb.monitoring.windows import FOLDER, Alert, Window, save_window

UTC = datetime.UTC
NOW = datetime.datetime(2026, 3, 31, 6, tzinfo=UTC)


@pytest.fixture(scope="module")
def board() -> Board:
    return Board(tuple(make_windows()), Limits(metrics={"roc_auc": 0.8}), name="churn", now=NOW)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    pd.DataFrame({"x": range(9), "y": [0, 1, 0] * 3}).to_csv(tmp_path / "t.csv", index=False)
    made = Project.create(tmp_path / "churn", tmp_path / "t.csv", target="y")
    for w in make_windows()[-9:]:
        save_window(made.path, w)
    return made


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample by name and labels; a name or a series that comes twice is a mistake."""
    found: dict[Any, float] = {}
    families = list(text_string_to_metric_families(text))
    assert len({family.name for family in families}) == len(families) and all(family.type == "gauge" and family.documentation for family in families)
    for family in families:
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in found, f"{key} twice"
            found[key] = sample.value
    return found


def one(found: dict[Any, float], name: str, **labels: str) -> float:
    return found[name, tuple(sorted({"project": "churn", **labels}.items()))]


# --- Prometheus -----------------------------------------------------------------------------------------------------


def test_the_figures_are_those_of_the_latest_window_that_has_them(board: Board) -> None:
    found, last = samples(to_prometheus(board)), board.windows[-1]
    assert one(found, "mlnb_drift_psi", feature="tenure") == last.columns["tenure"]["psi"]
    assert one(found, "mlnb_drift_severity", feature="payment") == 2 and one(found, "mlnb_drift_severity", feature="age") == 0
    measured = board.windows[22].metrics["roc_auc"]
    assert one(found, "mlnb_metric_value", metric="roc_auc", kind="measured") == measured["value"]
    assert one(found, "mlnb_metric_low", metric="roc_auc", kind="estimated") == last.metrics["roc_auc"]["low"]
    assert one(found, "mlnb_metric_threshold", metric="roc_auc") == 0.8
    assert one(found, "mlnb_window_latency_seconds", quantile="0.99") == pytest.approx(last.service["p99_ms"] / 1000)
    assert one(found, "mlnb_window_staleness_seconds") == 6 * 3600 and one(found, "mlnb_windows_waiting") == 7
    end = datetime.datetime(2026, 3, 31, tzinfo=UTC).timestamp()
    assert one(found, "mlnb_window_end_timestamp_seconds", part="window") == end == one(found, "mlnb_window_end_timestamp_seconds", part="drift")
    assert one(found, "mlnb_window_end_timestamp_seconds", part="performance measured") == end - 7 * 86_400
    assert one(found, "mlnb_alerts", severity="critical") == sum(name == "mlnb_alert_firing" and dict(labels)["severity"] == "critical" for name, labels in found)


def test_a_window_that_could_not_tell_leaves_the_figure_before_in_place(board: Board) -> None:
    until = dataclasses.replace(board, windows=board.windows[:14])  # the last of them has no rows
    found = samples(to_prometheus(until))
    assert one(found, "mlnb_window_rows") == 0 and one(found, "mlnb_drift_psi", feature="tenure") == until.windows[12].columns["tenure"]["psi"]
    assert one(found, "mlnb_window_end_timestamp_seconds", part="window") > one(found, "mlnb_window_end_timestamp_seconds", part="drift")


def test_an_acknowledged_alarm_goes_on_but_says_so(board: Board) -> None:
    key = board.windows[-1].alerts[0].key
    found = samples(to_prometheus(dataclasses.replace(board, acknowledged=(Acknowledgement(key, "Ada", "known", "2026-03-31T00:00:00+00:00"),))))
    said = {dict(labels)["acknowledged"] for name, labels in found if name == "mlnb_alert_firing"}
    assert said == {"true", "false"} and sum(dict(labels).get("acknowledged") == "true" for _, labels in found) == 1


@settings(max_examples=80)
@given(st.text(min_size=1), st.text(), st.text())
def test_any_name_arrives_as_it_is(feature: str, subject: str, name: str) -> None:
    w = make_windows(1)[0]
    alert = Alert("MON-DATA", subject, "warning", "x", w.start, w.end)
    found = samples(to_prometheus(Board((dataclasses.replace(w, columns={feature: {"psi": 0.5, "severity": "warning"}}, alerts=(alert,)),), name=name)))
    hits = [dict(labels) for at, labels in found if at == "mlnb_drift_psi"]
    clean = [text.encode("utf-8", "replace").decode() for text in (feature, name, subject)]
    assert len(hits) == 1 and hits[0]["feature"] == clean[0] and hits[0].get("project", "") == clean[1]
    assert [dict(labels)["subject"] for at, labels in found if at == "mlnb_alert_firing"] == [clean[2]]


def test_odd_windows_give_no_line_that_prometheus_would_refuse() -> None:
    w = Window("2026-01-01T00:00:00+00:00", "2026-01-02T00:00:00+00:00", 3, columns={"a": {"psi": float("nan"), "severity": "odd"}, "b": {"psi": None}},
               metrics={"f1": {"value": float("inf")}}, service={"p99_ms": "slow", "error_rate": None}, labels={"share": "x"}, proxies={"p": {"value": None}})
    found = samples(to_prometheus(Board((w,))))
    assert all(math.isfinite(value) for value in found.values()) and not any(name in ("mlnb_drift_psi", "mlnb_metric_value", "mlnb_drift_severity") for name, _ in found)
    assert to_prometheus(Board(())) == ""


def test_thousands_of_features_are_cut_to_the_most_important() -> None:
    w = dataclasses.replace(make_windows(1)[0], columns={f"c{i}": {"psi": 0.1, "severity": "none", "importance": i} for i in range(3000)})
    found = samples(to_prometheus(Board((w,))))
    shown = {dict(labels)["feature"] for name, labels in found if name == "mlnb_drift_psi"}
    assert len(shown) == 200 and "c2999" in shown and found["mlnb_drift_features", ()] == 3000


def test_every_metric_that_is_described_is_made_and_the_other_way_round(board: Board) -> None:
    found = samples(to_prometheus(board))
    assert {name for name, _ in found} == set(METRICS)
    for name, labels in found:
        assert {key for key, _ in labels} == {"project", *METRICS[name][1]}


def test_the_file_is_whole_and_named_as_node_exporter_wants_it(project: Project, tmp_path: Path) -> None:
    path = write_metrics(project, tmp_path / "metrics" / "churn.prom", NOW)
    assert samples(path.read_text()) and [p.name for p in path.parent.iterdir()] == ["churn.prom"]
    with pytest.raises(InputError, match=r"node_exporter reads no other files. Name it churn.prom"):
        write_metrics(project, tmp_path / "churn.txt")


@pytest.fixture
def address(project: Project) -> Iterator[str]:
    server = serve_metrics(project, port=0, clock=lambda: NOW)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    assert server.server_address[0] == "127.0.0.1"
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_server_shows_new_windows_and_survives_damaged_ones(address: str, project: Project) -> None:
    def scrape() -> dict[Any, float]:
        with urllib.request.urlopen(f"{address}/metrics", timeout=30) as answer:
            assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
            return samples(answer.read().decode())

    before = scrape()
    assert one(before, "mlnb_window_staleness_seconds") == 6 * 3600
    newest = max((project.path / FOLDER).iterdir())
    newest.write_text("{")
    assert one(scrape(), "mlnb_window_staleness_seconds") == 30 * 3600
    newest.unlink()
    head = urllib.request.urlopen(urllib.request.Request(f"{address}/metrics", method="HEAD"), timeout=30)
    assert head.read() == b"" and int(head.headers["Content-Length"]) > 1000
    for path in ("/", "/metrics/../../etc/passwd", "/records"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(address + path, timeout=30)


def test_a_port_that_is_taken_is_said(address: str, project: Project) -> None:
    with pytest.raises(InputError, match="Choose another port"):
        serve_metrics(project, port=int(address.rsplit(":", 1)[1]))


# --- Grafana and the rules ------------------------------------------------------------------------------------------

NAMES = ("", "churn", 'odd "name" \\ {x="y"}')


def names_in(expr: str) -> set[str]:
    return set(re.findall(r"\bmlnb_[a-z_]+", re.sub(r'"(?:\\.|[^"\\])*"', '""', expr)))


def labels_in(expr: str) -> list[tuple[str, set[str]]]:
    """Metric and the labels it is selected by."""
    plain = re.sub(r'"(?:\\.|[^"\\])*"', '""', expr)
    return [(name, set(re.findall(r"(\w+)\s*[=!]", inside))) for name, inside in re.findall(r"(mlnb_\w+)\{([^}]*)\}", plain)]


def queries(name: str) -> list[str]:
    limits = Limits(metrics={"roc_auc": 0.8, "rmse": 3.0}, latency={"alert_threshold_ms": 250.0})
    made = grafana_dashboard(name, limits)
    asked = [target["expr"] for panel in made["panels"] for target in panel.get("targets", ())]
    asked += [variable["definition"] for variable in made["templating"]["list"] if variable["type"] == "query"]
    return asked + [rule["expr"] for group in alert_rules(name, limits)["groups"] for rule in group["rules"]]


@pytest.mark.parametrize("name", NAMES)
def test_every_query_names_only_metrics_and_labels_that_there_are(name: str) -> None:
    asked = queries(name)
    assert len(asked) > 30
    known = {metric: {"project", *labels} for metric, (_, labels) in METRICS.items()} | {metric: set(labels) for metric, labels in SERVICE_METRICS.items()}
    for expr in asked:
        assert names_in(expr) and names_in(expr) <= set(known)
        for metric, labels in labels_in(expr):
            assert labels <= known[metric], (metric, labels)
        plain = re.sub(r'"(?:\\.|[^"\\])*"', '""', expr)
        assert all(plain.count(a) == plain.count(b) for a, b in ("()", "{}", "[]"))


def test_the_services_metrics_are_those_it_has() -> None:
    service = ServiceMetrics()
    service.seen("champion", 200, 0.01, False)
    service.seen("challenger", 500, 0.01, True)
    there: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(service.text().decode()):
        for sample in family.samples:
            there.setdefault(sample.name, set()).update(sample.labels)
    for metric, labels in SERVICE_METRICS.items():
        assert there[metric] == set(labels)


@pytest.mark.parametrize("name", NAMES)
def test_panels_have_numbers_of_their_own_and_do_not_overlap(name: str) -> None:
    made = json.loads(json.dumps(grafana_dashboard(name)))
    ids = [panel["id"] for panel in made["panels"]]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in made["panels"]:
        x, y, w, h = (panel["gridPos"][key] for key in "xywh")
        cells = {(i, j) for i in range(x, x + w) for j in range(y, y + h)}
        assert x >= 0 and x + w <= 24 and not cells & taken
        taken |= cells
    for panel in made["panels"]:
        targets = panel.get("targets", [])
        assert len({target["refId"] for target in targets}) == len(targets)
        assert all(target["datasource"]["uid"] == "${datasource}" for target in targets) and (targets or panel["type"] == "row")
    bands = [panel for panel in made["panels"] if panel["title"].startswith("Performance: ")]
    legends = {target["legendFormat"] for target in bands[0]["targets"]}
    used = {value for override in bands[0]["fieldConfig"]["overrides"] for p in override["properties"] for value in [p["value"]] if p["id"] == "custom.fillBelowTo"}
    assert used == {"measured low", "estimated low"} <= legends and {override["matcher"]["options"] for override in bands[0]["fieldConfig"]["overrides"]} == legends
    assert len(made["uid"]) <= 40 and made["schemaVersion"] >= 39


def test_two_projects_have_two_dashboards() -> None:
    assert grafana_dashboard("a")["uid"] != grafana_dashboard("b")["uid"] and grafana_dashboard("a") == grafana_dashboard("a")


def test_rules_on_the_service_and_lines_hold_the_limits_of_the_record(project: Project, tmp_path: Path) -> None:
    record = project.path / "records" / "monitoring.yaml"
    record.parent.mkdir(exist_ok=True)
    record.write_text("monitoring:\n  model_performance:\n    metrics: [{name: roc_auc, threshold: 0.77}, {name: rmse, threshold: 4},\n"
                      "      {name: prediction_distribution, alert: KL > 0.33}]\n"
                      "    latency: {alert_threshold_ms: 125}\n    throughput: {error_rate_threshold: 0.07}\n  data_drift: {method: PSI, alert_threshold: 0.17}\n")
    read = YAML(typ="safe").load(write_rules(project, tmp_path / "rules.yml").read_text())
    rules = [rule for group in read["groups"] for rule in group["rules"]]
    said = {rule["alert"]: rule["expr"] for rule in rules}
    for alert, words in (("MlnbErrorRate", "> 0.07"), ("MlnbLatency", "> 0.125"), ("MlnbMonitorStopped", "> 259200")):
        assert words in said[alert]
    assert len(said) == len(rules)
    assert all(set(rule) == {"alert", "expr", "for", "labels", "annotations"} and rule["labels"]["severity"] for rule in rules)
    assert "> 176400" not in said["MlnbMonitorStopped"] and "> 345600" in write_rules(project, tmp_path / "rare.yml", 1.5 * 86_400).read_text()
    lines = {panel["title"]: panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", [{}])[-1].get("value")
             for panel in json.loads(write_grafana(project, tmp_path / "g.json").read_text())["panels"] if panel["type"] == "timeseries"}
    assert (lines["Latency"], lines["Share of failed requests"], lines["Divergence of the predictions"]) == (0.125, 0.07, 0.33)
    assert lines["Population stability index, the ten furthest"] == 0.17
    index = next(panel for panel in grafana_dashboard(limits=Limits(measure="ks"))["panels"] if panel["title"].startswith("Population"))
    assert "thresholds" not in index["fieldConfig"]["defaults"]  # no line of PSI where another measure decides


def test_rules_are_yaml_whatever_the_name(tmp_path: Path) -> None:
    from mlnb.monitoring.alert_rules import _yaml

    for name in NAMES:
        made = alert_rules(name, Limits(latency={"alert_threshold_ms": 250.0}))
        assert YAML(typ="safe").load(_yaml(made)) == made


def test_without_a_limit_for_latency_there_is_no_rule_for_it() -> None:
    assert "MlnbLatency" not in {rule["alert"] for group in alert_rules()["groups"] for rule in group["rules"]}


def test_of_a_project(project: Project) -> None:
    assert 'project="churn"' in to_prometheus(project_board(project))
