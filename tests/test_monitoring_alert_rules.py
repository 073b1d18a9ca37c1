"""The rules for Prometheus ring for every alarm of the monitor, each once and as bad as the monitor found it, and for nothing else."""

from __future__ import annotations

import dataclasses
import datetime
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from mlnb.evaluation.rates import wilson
from mlnb.monitoring.alarms import drift_alarms, feed_alarms, metric_alarms, service_alarms
from mlnb.monitoring.alert_rules import alert_rules
from mlnb.monitoring.board import Board, moment
from mlnb.monitoring.episodes import Acknowledgement, episodes
from mlnb.monitoring.exporter import to_prometheus
from mlnb.monitoring.limits import Limits
from mlnb.monitoring.watch_plan import WatchedMetric, WatchPlan
from mlnb.monitoring.window_example import make_windows
from mlnb.monitoring.windows import Alert, Window

START, END = "2026-03-02T00:00:00+00:00", "2026-03-03T00:00:00+00:00"
NOW = datetime.datetime(2026, 3, 3, 1, tzinfo=datetime.UTC)
CALM = {"kind": "numeric", "role": "feature", "severity": "none", "why": "", "missing": [0.0, 0.0], "new_share": 0.0, "psi": 0.02, "kl": 0.01, "p": 0.4, "chi2_p": None,
        "reasons": (), "limit": None}
THEN = {"f1": {"value": 0.72, "low": 0.7, "high": 0.74}}
SERVICE = {"requests": 50_000, "error_rate": 0.001, "error_low": 0.0005, "p50_ms": 5.0, "p95_ms": 12.0, "p99_ms": 20.0, "per_second": 5.0}
PLAN = WatchPlan(metrics=(WatchedMetric("f1", 0.66, 0),), latency={"p50_ms": 10.0, "p95_ms": 20.0, "p99_ms": 60.0, "alert_threshold_ms": 200.0}, per_second=5.0)

Series = tuple[str, Mapping[str, str], float]
SELECTOR = r'(\w+)\{((?:"(?:\\.|[^"\\])*"|[^}"])*)\}'


def select(there: Sequence[Series], selector: str) -> list[Series]:
    """Series that a selector picks, as Prometheus does: a label that is not there is empty, and a pattern has to fit the whole value."""
    name, inside = re.fullmatch(SELECTOR, selector).groups()  # type: ignore[union-attr]
    holds = {"=": str.__eq__, "!=": str.__ne__, "=~": lambda v, p: bool(re.fullmatch(p, v)), "!~": lambda v, p: not re.fullmatch(p, v)}
    asked = re.findall(r'(\w+)(=~|!~|!=|=)"((?:\\.|[^"\\])*)"', inside)
    return [s for s in there if s[0] == name and all(holds[how](s[1].get(key, ""), wanted) for key, how, wanted in asked)]


def ringing(there: Sequence[Series], rules: Mapping[str, Any], now: datetime.datetime = NOW) -> Iterator[tuple[str, Mapping[str, str], str]]:
    """Name, labels and severity of every alert that these rules make of these series; the service's own metrics are not among them."""
    for rule in (rule for group in rules["groups"] for rule in group["rules"]):
        found: list[Series] = []
        if hit := re.fullmatch(rf"({SELECTOR}) == 1", rule["expr"]):
            found = [s for s in select(there, hit[1]) if s[2] == 1]
        elif hit := re.fullmatch(rf"time\(\) - ({SELECTOR}) > (\d+)", rule["expr"]):
            found = [s for s in select(there, hit[1]) if now.timestamp() - s[2] > float(hit[4])]
        elif hit := re.fullmatch(rf"absent\(({SELECTOR})\)", rule["expr"]):
            found = [] if select(there, hit[1]) else [("", {}, 1.0)]
        else:
            assert rule["alert"] in ("MlnbErrorRate", "MlnbLatency"), rule["expr"]
        for _, labels, _ in found:
            yield rule["alert"], labels, labels["severity"] if rule["labels"]["severity"] == "{{ $labels.severity }}" else rule["labels"]["severity"]


def exported(board: Board) -> list[Series]:
    return [(s.name, s.labels, s.value) for family in text_string_to_metric_families(to_prometheus(board)) for s in family.samples]


def board(*windows: Window, **more: Any) -> Board:
    return Board(windows, name="churn", now=NOW, **more)


def window(*columns: tuple[str, Mapping[str, Any]], **more: Any) -> Window:
    calm = {"fee": CALM, "tenure": CALM} if columns else {}
    return Window(START, END, **{"rows": 500, **more}, columns=calm | {name: {**CALM, **c} for name, c in columns})


def drifts(w: Window, plan: WatchPlan = PLAN) -> list[Alert]:
    return list(drift_alarms(w, plan, ["fee", "tenure"], "y", "prediction"))


def serves(**figures: Any) -> list[Alert]:
    return list(service_alarms(window(service=SERVICE | figures), PLAN))


def measures(value: float, kind: str = "measured", width: float = 0.02) -> list[Alert]:
    return list(metric_alarms(window(metrics={"f1": {"value": value, "low": value - width, "high": value + width, "kind": kind}}), PLAN, THEN))


def silent() -> list[Alert]:
    days = [Window(f"2026-02-{day:02}T00:00:00+00:00", f"2026-02-{day + 1:02}T00:00:00+00:00", 500 * (day < 15), "complete" if day < 15 else "empty") for day in range(1, 18)]
    return list(feed_alarms(days[-1], days[:-1]))


def proxies() -> list[Alert]:
    moved = {"value": 0.2, "low": 0.15, "high": 0.25, "reference": 0.1, "moved": True}
    return list(metric_alarms(window(proxies={"complaints": moved}), WatchPlan(), {}))


PSI = {"severity": "warning", "psi": 0.22, "alert": True, "reasons": ("measure",), "limit": 0.2, "why": "PSI 0.22 is above 0.2 and beyond chance"}
KS = {**PSI, "measure": "ks", "ks": 0.19, "limit": 0.177}
GONE = {"severity": "warning", "reasons": ("missing",), "missing": [0.0, 0.3], "why": "missing in 30.0% of the rows, was 0.0%"}
ANSWERS = {"role": "prediction", "kl": 0.5, "p": 1e-9}
EVERY = {  # the kind of alarm -> how the monitor raises it, and which rule has to ring
    "a feature drifts": (drifts(window(("fee", PSI))), ["MlnbFeatureDrift"]),
    "a feature drifts by another measure": (drifts(window(("fee", KS)), WatchPlan(measure="ks", limit=0.177)), ["MlnbFeatureDrift"]),
    "a feature is missing in some rows": (drifts(window(("fee", GONE))), ["MlnbFeatureDrift"]),
    "a feature holds new values": (drifts(window(("fee", PSI | {"reasons": ("new",), "alert": False}))), ["MlnbFeatureDrift"]),
    "a feature drifts far": (drifts(window(("fee", PSI | {"severity": "critical", "psi": 0.4}))), ["MlnbFeatureDriftCritical"]),
    "a feature that is to be watched is nowhere": (list(drift_alarms(window(("fee", {})), PLAN, ["fee", "tenvre"], "y", "prediction")), ["MlnbFeatureDrift"]),
    "a feature is gone": (drifts(window(drift={"absent": ["tenure"]})), ["MlnbFeatureDriftCritical"]),
    "the predictions differ": (drifts(window(("prediction", ANSWERS))), ["MlnbPredictionDrift"]),
    "the predictions are missing": (drifts(window(("prediction", GONE | {"role": "prediction"}))), ["MlnbPredictionDrift"]),
    "the labels differ": (drifts(window(("y", {"role": "label", "severity": "warning", "chi2_p": 1e-6}))), ["MlnbLabelDrift"]),
    "a file is broken": (drifts(window(drift={"broken": ["b.csv: is empty"]})), ["MlnbData"]),
    "the feed stopped": (silent(), ["MlnbData"]),
    "performance is too low": (measures(0.6), ["MlnbPerformance", "MlnbPerformance"]),
    "performance fell": (measures(0.672, width=0.002), ["MlnbPerformance"]),
    "performance may be too low": (measures(0.65, width=0.2), ["MlnbPerformanceUnsure"]),
    "performance is expected to be too low": (measures(0.6, "estimated"), ["MlnbPerformanceUnsure"]),
    "a proxy moved": (proxies(), ["MlnbProxy"]),
    "answers are late": (serves(p99_ms=300.0), ["MlnbService", "MlnbService"]),
    "the median is slow": (serves(p50_ms=11.0), ["MlnbService"]),
    "some answers are slow": (serves(p95_ms=30.0), ["MlnbService"]),
    "requests fail": (serves(error_rate=0.05, error_low=0.04), ["MlnbService"]),
    "few requests come": (serves(per_second=1.0), ["MlnbService"]),
    "no request comes": (serves(requests=0, per_second=0.0), ["MlnbService"]),
    "a kind that has no rule of its own": ([Alert("OWN-CHECK", "fee", "critical", "x", START, END)], ["MlnbAlarm"]),
}


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("limits", [Limits(), Limits(measure="ks", alert=0.177)], ids=["psi", "ks"])
@pytest.mark.parametrize("project", ["churn", ""])
def test_every_alarm_makes_one_rule_ring_as_bad_as_it_is(name: str, limits: Limits, project: str) -> None:
    alarms, wanted = EVERY[name]
    assert len(alarms) == len(wanted), "the monitor itself raises these"
    rung = list(ringing(exported(board(window(alerts=tuple(alarms)), limits=limits)), alert_rules(project, limits)))
    assert [rule for rule, _, _ in rung] == wanted
    assert sorted((labels["code"], labels["subject"], severity) for _, labels, severity in rung) == sorted((a.code, a.subject, a.severity) for a in alarms)


def test_every_code_and_severity_of_the_monitor_was_tried() -> None:
    raised = {(a.code, a.severity) for alarms, _ in EVERY.values() for a in alarms}
    assert raised == {("DRIFT-FEATURE", "warning"), ("DRIFT-FEATURE", "critical"), ("DRIFT-PREDICTION", "warning"), ("DRIFT-LABEL", "warning"), ("DRIFT-CONCEPT", "critical"),
                      ("MON-METRIC", "warning"), ("MON-METRIC", "critical"), ("MON-PROXY", "warning"), ("MON-LATENCY", "warning"), ("MON-LATENCY", "critical"),
                      ("MON-ERRORS", "critical"), ("MON-TRAFFIC", "warning"), ("MON-TRAFFIC", "critical"), ("MON-DATA", "critical"), ("OWN-CHECK", "critical")}


def test_alarms_of_one_window_ring_side_by_side() -> None:
    alarms = {a.key: a for found, _ in EVERY.values() for a in found}.values()
    rung = list(ringing(exported(board(window(alerts=tuple(alarms)))), alert_rules("churn")))
    assert len(rung) == len({(a.code, a.subject) for a in alarms}) == len({(labels["code"], labels["subject"]) for _, labels, _ in rung})


@pytest.mark.parametrize("limits", [Limits(metrics={"f1": 0.66}), Limits(measure="ks", alert=0.177)], ids=["psi", "ks"])
def test_what_is_no_alarm_for_the_monitor_rings_nowhere(limits: Limits) -> None:
    w = window(("fee", {"psi": 0.6, "why": "PSI 0.6 is not beyond chance at these sizes"}), ("not watched", PSI | {"severity": "critical", "psi": 3.0}),
               ("prediction", ANSWERS | {"p": 0.3}), prediction={"kl": 0.5}, service=SERVICE | {"error_rate": 0.02, "error_low": 0.003},
               metrics={"f1": {"value": 0.7, "low": 0.6, "high": 0.8, "kind": "measured"}})
    assert not [*drifts(w), *service_alarms(w, PLAN), *metric_alarms(w, PLAN, THEN)]
    there = exported(board(w, limits=limits))
    assert {"mlnb_drift_psi", "mlnb_prediction_kl", "mlnb_window_error_rate"} <= {name for name, _, _ in there}
    assert not list(ringing(there, alert_rules("churn", limits)))


def test_over_a_month_rules_ring_for_the_alarms_that_are_open() -> None:
    windows, rules = make_windows(), alert_rules("churn")
    for n in range(1, len(windows) + 1):
        at = datetime.datetime.fromisoformat(windows[n - 1].end)
        is_open = [(e.code, e.subject, e.latest.severity) for e in episodes(windows[:n]) if e.open]
        rung = [(labels["code"], labels["subject"], severity) for _, labels, severity in ringing(exported(board(*windows[:n])), rules, at)]
        assert sorted(rung) == sorted(is_open)


def test_an_alarm_that_somebody_knows_rings_again_when_it_gets_worse() -> None:
    first, = drifts(window(("fee", PSI)))
    known = (Acknowledgement(first.key, "Ada", "known", END, "warning"),)
    w, later = window(alerts=(first,)), dataclasses.replace(window(), start=END, end="2026-03-04T00:00:00+00:00")
    assert not list(ringing(exported(board(w, acknowledged=known)), alert_rules("churn")))
    worse = dataclasses.replace(later, alerts=(dataclasses.replace(first, severity="critical", start=later.start, end=later.end),))
    assert [rule for rule, _, _ in ringing(exported(board(w, worse, acknowledged=known)), alert_rules("churn"))] == ["MlnbFeatureDriftCritical"]


def test_prometheus_says_when_nothing_comes() -> None:
    there, rules = exported(board(window())), alert_rules("churn")
    assert [rule for rule, *_ in ringing([], rules)] == ["MlnbExporterDown"]
    assert [rule for rule, *_ in ringing(there, rules, NOW + datetime.timedelta(days=3))] == ["MlnbMonitorStopped"]
    assert not list(ringing(there, rules))


def test_hourly_windows_that_are_made_once_a_day_ring_only_when_a_day_was_missed() -> None:
    there, rules = exported(board(window())), alert_rules("churn", length=3600, every=86_400)
    last = moment(window().end)
    rung = {hours: [rule for rule, *_ in ringing(there, rules, last + datetime.timedelta(hours=hours))] for hours in (2, 25, 48, 50)}
    assert rung == {2: [], 25: [], 48: [], 50: ["MlnbMonitorStopped"]}


@pytest.mark.parametrize("name", EVERY)
def test_value_limit_and_response_of_the_alarm_stand_beside_it(name: str) -> None:
    for a in EVERY[name][0]:
        there = [s for s in exported(board(window(alerts=(a,)))) if s[1].get("code") == a.code and s[1].get("subject") == a.subject]
        found = {metric: (labels, value) for metric, labels, value in there}
        assert found.get("mlnb_alert_value", (0, None))[1] == a.value and found.get("mlnb_alert_limit", (0, None))[1] == a.threshold
        assert found["mlnb_alert_response"][0]["response"] == a.response if a.response else "mlnb_alert_response" not in found
    for rule in alert_rules("churn")["groups"][0]["rules"][:-2]:
        assert all(f"{metric}{{project=%q,code=%q,subject=%q}}" in rule["annotations"][part] for metric, part in
                   (("mlnb_alert_value", "summary"), ("mlnb_alert_limit", "summary"), ("mlnb_alert_response", "description")))


@pytest.mark.parametrize("limit", [0.0, 0.01, 0.07])
def test_failures_ring_where_the_monitor_would_call_them_beyond_chance(limit: float) -> None:
    rule = next(r for g in alert_rules("churn", Limits(error_rate=limit))["groups"] for r in g["rules"] if r["alert"] == "MlnbErrorRate")
    counted = {f"sum by (arm) (increase({name}[5m]))": short for name, short in (("mlnb_request_errors_total", "bad"), ("mlnb_requests_total", "all_"))}
    expr = rule["expr"]
    for words, short in counted.items():
        expr = expr.replace(words, short)
    for total in (1, 9, 50, 400, 10_000):
        for bad in {0, 1, 2, 3, round(limit * total), round(1.5 * limit * total), total} & set(range(total + 1)):
            rings = eval(expr, {"sqrt": math.sqrt, "bad": bad, "all_": total})
            assert rings == (bad / total > limit and float(wilson(bad, total)[0]) > limit), (bad, total)
