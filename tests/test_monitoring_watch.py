"""The monitor through `watch`: what it makes, what bad batches and clocks do to it, who is told and how often."""

from __future__ import annotations

import datetime
import json
import os
import re
import signal
import socket
import sys
import threading
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from watched import Hook, batch, copied, loans, trained

from mlnb.core.errors import ConfigError, MlnbError
from mlnb.core.findings import plain
from mlnb.core.project import Project
from mlnb.core.records_operations import Monitoring
from mlnb.experiments.tracking import current_experiment
from mlnb.monitoring.airflow import monitor_dag
from mlnb.monitoring.alarms import drift_alarms
from mlnb.monitoring.batch import _watched, project_drift, project_reference
from mlnb.monitoring.board import project_board
from mlnb.monitoring.deliveries import JOURNAL, Journal, deliver
from mlnb.monitoring.drift import compare
from mlnb.monitoring.episodes import episodes
from mlnb.monitoring.exporter import to_prometheus
from mlnb.monitoring.lens import Lens, look
from mlnb.monitoring.limits import project_limits
from mlnb.monitoring.lines import lines
from mlnb.monitoring.notices import Notice, notices
from mlnb.monitoring.playbook import find_method
from mlnb.monitoring.sinks import FileSink, MailSink, SinkError, WebhookSink
from mlnb.monitoring.spans import as_moment, as_text, slot_start, span_seconds
from mlnb.monitoring.watch import BusyError, hold, read_state, watch
from mlnb.monitoring.watch_plan import WatchPlan, read_plan
from mlnb.monitoring.windows import Alert, Window, read_windows, save_window, window_file

DAY2 = "2026-03-02T00:00:00+00:00"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return trained(tmp_path_factory.mktemp("watched"))


@pytest.fixture
def make(base: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Project]:
    monkeypatch.setattr(Lens, "estimator", None)  # has tests of its own
    return lambda **record: copied(base, tmp_path, **record)


def codes(window: Window) -> list[str]:
    return sorted({f"{a.code} {a.subject}" for a in window.alerts})


# windows, rows that come late or twice, and the clock


def test_rows_find_their_windows_and_late_ones_make_them_anew(make: Callable[..., Project]) -> None:
    project = make(sources={"time": "at", "key": "id"}, data_drift={"check_frequency": "6h"})
    frame = loans(400, 1).assign(at=pd.date_range("2026-03-01T00:00", periods=400, freq="180s"))  # 20 hours
    batch(project, "a.csv", frame.iloc[:300])
    first = watch(project, "2026-03-02T00:00")
    assert [(w.start[11:13], w.rows, w.status) for w in first.windows] == [("00", 120, "complete"), ("06", 120, "complete"), ("12", 60, "complete"), ("18", 0, "empty")]
    assert watch(project, "2026-03-02T00:00").due == ()
    batch(project, "b.csv", frame.iloc[300:])
    again = watch(project, "2026-03-02T01:00")
    assert [(w.start[11:13], w.rows) for w in again.windows] == [("12", 120), ("18", 40)] and "made again" in again.windows[0].notes[0]
    batch(project, "b-sent-again.csv", frame.iloc[300:])  # the same bytes
    batch(project, "b-sent-otherwise.csv", frame.iloc[:299:-1])  # the same keys in other bytes
    twice = watch(project, "2026-03-02T02:00")
    assert twice.windows == () and sum("counts once" in note for note in twice.notes) == 2
    batch(project, "c.csv", frame.iloc[395:].assign(region="a"))  # rows that are there already, in part
    part = watch(project, "2026-03-02T03:00").windows
    assert [w.rows for w in part] == [40] and any("5 rows have a id that came before" in note for note in part[0].notes)
    assert sum(w.rows for w in read_windows(project.path)) == 400


def test_a_missed_week_is_caught_up_in_order_and_in_parts(make: Callable[..., Project]) -> None:
    project = make()
    for day in range(1, 8):
        batch(project, f"2026-03-0{day}.csv", loans(40, day).drop(columns="y"))
    dry = watch(project, "2026-03-08T01:00", dry_run=True)
    assert [start[:10] for start, _ in dry.due] == [f"2026-03-0{day}" for day in range(1, 8)] and not (project.path / "monitoring").exists()
    first = watch(project, "2026-03-08T01:00", limit=3)
    assert [w.start[8:10] for w in first.windows] == ["01", "02", "03"] and any("the others wait" in note for note in first.notes)
    assert [w.start[8:10] for w in watch(project, "2026-03-08T01:00").windows] == ["04", "05", "06", "07"]
    later = make_none(project)
    assert later.windows == ()


def make_none(project: Project) -> Any:
    return watch(project, "2026-03-08T02:00", since="2026-03-07")


def test_the_clock_jumps(make: Callable[..., Project]) -> None:
    project = make(sources={"time": "at"})
    at = [*["2026-03-01T10:00"] * 60, "1970-01-01T00:00", "2062-01-01T00:00", "yesterday"]
    batch(project, "a.csv", loans(63, 1).assign(at=at))
    turn = watch(project, "2026-03-02T06:00")
    said = " ".join((*turn.notes, *(n for w in turn.windows for n in w.notes)))
    assert [(w.start[:10], w.rows) for w in turn.windows] == [("1970-01-01", 1), ("2026-03-01", 60)]
    assert "1 rows are from the future" in said and "none is written for them" in said and "time of 1 rows cannot be read" in said
    back = watch(project, "2026-02-20T00:00")  # the clock was set back
    assert back.windows == () and any("before the end of the newest window" in note for note in back.notes) and len(read_windows(project.path)) == 2
    on = watch(project, "2026-03-03T00:00")
    assert [(w.start[:10], w.status) for w in on.windows] == [("2026-03-02", "empty")]


@pytest.mark.parametrize("every", ["hourly", "6h", "daily", "weekly", "5h", "90 min"])
@given(seconds=st.integers(0, 4_000_000_000))
@settings(max_examples=30)
def test_every_moment_has_one_window(every: str, seconds: int) -> None:
    length, moment = span_seconds(every), datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    start = slot_start(moment, length)
    assert start <= moment < start + datetime.timedelta(seconds=length) and slot_start(start, length) == start
    assert as_moment(as_text(start)) == start


# batches that are not as they should be


def bad(project: Project, frame: pd.DataFrame | str) -> Window:
    path = project.path / "asked" / "2026-03-02.csv"
    path.write_text(frame) if isinstance(frame, str) else frame.to_csv(path, index=False)
    turn = watch(project, "2026-03-03T06:00")
    assert not turn.failed and read_state(project)["status"] == "idle"
    (window,) = turn.windows
    assert window == Window.from_dict(json.loads(json.dumps(window.to_dict()))) or window.to_dict() == read_windows(project.path)[-1].to_dict()
    return window


BATCHES: dict[str, tuple[Callable[[], pd.DataFrame | str], list[str], str]] = {
    "calm": (lambda: loans(300, 5), [], ""),
    "missing column": (lambda: loans(300, 5).drop(columns="region"), ["DRIFT-FEATURE region"], "not asked: region"),
    "extra column": (lambda: loans(300, 5).assign(more=1), [], ""),
    "other types": (lambda: loans(300, 5).assign(income="n/a"), ["DRIFT-FEATURE income"], "300 values of income could not be read"),
    "other spellings": (lambda: loans(300, 5).assign(region=lambda d: d["region"].str.upper()), ["DRIFT-FEATURE region"], "spelled otherwise"),
    "all nulls": (lambda: loans(300, 5).assign(income=None), ["DRIFT-FEATURE income"], ""),
    "one row": (lambda: loans(1, 5), [], "too few"),
    "zero rows": (lambda: "id,income,region,y\n", [], "no rows"),
    "infinities": (lambda: loans(300, 5).assign(income=lambda d: d["income"].where(d.index > 4, np.inf)), [], "5 rows hold infinite values"),
    "another table": (lambda: "a,b\n1,2\n", ["DRIFT-FEATURE income", "DRIFT-FEATURE region", "MON-DATA batch"], ""),
    "empty file": (lambda: "", ["MON-DATA 2026-03-02.csv"], ""),
    "torn file": (lambda: 'id,income,region,y\n1,"2,a', ["MON-DATA 2026-03-02.csv"], ""),
}


@pytest.mark.parametrize("name", BATCHES)
def test_bad_batches_are_said_and_stop_nothing(name: str, make: Callable[..., Project]) -> None:
    build, wanted, said = BATCHES[name]
    window = bad(make(), build())
    found = codes(window)
    assert all(any(have.startswith(want[:60]) for have in found) for want in wanted), found
    assert wanted or not found, found
    assert not said or any(said in note for note in window.notes), window.notes


def test_a_mended_file_is_looked_at_again_and_its_alarm_withdrawn(make: Callable[..., Project]) -> None:
    project = make(alerts={"file": "told.jsonl"})
    assert bad(project, "").alerts[0].code == "MON-DATA"
    again = bad(project, loans(300, 5))
    assert again.rows == 300 and not again.alerts and again.batch
    kinds = [json.loads(line)["kind"] for line in (project.path / "told.jsonl").read_text().splitlines()]
    assert kinds == ["raised", "withdrawn"]


def test_the_reference_of_another_model_is_not_taken(make: Callable[..., Project]) -> None:
    project = make()
    path = project.path / "results" / "reference.json"
    kept = json.loads(path.read_text())
    kept["inputs"]["model"], kept["result"]["rows"] = "another", 12
    path.write_text(json.dumps(kept))
    assert bad(project, loans(300, 5)).alerts == () and json.loads(path.read_text())["result"]["rows"] > 100
    kept = json.loads(path.read_text())
    kept["result"]["version"] = 99
    path.write_text(json.dumps(kept))
    with pytest.raises(MlnbError, match="version 99"):
        watch(project, "2026-03-03T07:00")


def standing(project: Project) -> dict[str, str]:
    "Where the checks of drift stand in the ledger."
    return {f.code: f.status.value for f in project.findings() if f.code.startswith("DRIFT-")}


def test_held_out_rows_say_nothing_of_what_the_windows_found(make: Callable[..., Project]) -> None:
    project = make()
    frame = loans(400, 5, shift=900)
    bad(project, frame.assign(y=frame["y"].map({"good": "bad", "bad": "good"})))
    found = standing(project)
    assert found == {"DRIFT-FEATURE": "fail", "DRIFT-LABEL": "warn", "DRIFT-PREDICTION": "warn", "DRIFT-CONCEPT": "fail"}
    report = project_drift(project, multivariate=False)  # as the report does: no batch is named, so it is of the held-out rows
    assert "held-out rows" in report.notes[0] and "pass" in {f.status.value for f in report.findings if f.code == "DRIFT-FEATURE"}
    assert all(f.status.value == "not_checked" for f in project.check("DRIFT-FEATURE"))
    assert standing(project) == found and "window" in (project.result("drift") or {})
    project_drift(project, loans(400, 6), multivariate=False)  # a batch that is named is somebody's own choice
    assert standing(project)["DRIFT-FEATURE"] == "pass"


# labels


def test_labels_that_come_late_and_join_in_part(make: Callable[..., Project]) -> None:
    project = make(sources={"key": "id", "labels": "labels.csv"}, concept_drift={"ground_truth_delay": "2d"})
    rows = loans(300, 1)
    batch(project, "2026-03-01.csv", rows.drop(columns="y"))
    assert watch(project, "2026-03-02T01:00").windows[0].status == "waiting"
    assert watch(project, "2026-03-02T02:00").windows == ()  # nothing new
    rows.iloc[:150][["id", "y"]].assign(id=lambda d: d["id"].astype(str) + ".0").to_csv(project.path / "labels.csv", index=False)
    early = watch(project, "2026-03-02T03:00").windows
    assert [w.labels["share"] for w in early if w.rows] == [0.5] and not early[0].metrics
    due = next(w for w in watch(project, "2026-03-04T03:00").windows if w.rows)
    assert due.status == "waiting" and due.metrics["f1"]["rows"] == 150 and any("150 of 300 rows (50%)" in note for note in due.notes)
    rows[["id", "y"]].to_csv(project.path / "labels.csv", index=False)
    full = next(w for w in watch(project, "2026-03-04T04:00").windows if w.rows)
    assert full.status == "complete" and full.metrics["f1"] == {**full.metrics["f1"], "rows": 300, "kind": "measured"}
    assert not any(w.rows for w in watch(project, "2026-03-09T04:00").windows)


def test_a_world_that_turned_around_is_critical_and_over_when_it_turns_back(make: Callable[..., Project]) -> None:
    project = make(alerts={"file": "told.jsonl"}, model_performance={"metrics": [{"name": "primary_metric", "threshold": 0.5, "window": "1d"}]})
    for day in (1, 2, 3):
        frame = loans(400, day)
        batch(project, f"2026-03-0{day}.csv", frame.assign(y=frame["y"].map({"good": "bad", "bad": "good"})) if day == 2 else frame)
    windows = watch(project, "2026-03-04T00:00").windows
    assert {"DRIFT-CONCEPT f1", "MON-METRIC f1"} <= set(codes(windows[1])) and not [a for w in windows[::2] for a in w.alerts if a.subject == "f1"]
    told = [json.loads(line) for line in (project.path / "told.jsonl").read_text().splitlines()]
    assert [(m["kind"], m["at"][8:10]) for m in told if m["code"] == "DRIFT-CONCEPT"] == [("raised", "02"), ("recovered", "03")]
    assert next(m for m in told if m["code"] == "DRIFT-CONCEPT")["response"] == "retrain with new labels, question the features"


def test_proxies_move_before_outcomes_are_known(make: Callable[..., Project]) -> None:
    project = make(concept_drift={"proxy_metrics": ["mean_score", "complaints"]})
    window = bad(project, loans(300, 5, shift=700).drop(columns="y").assign(complaints=0))
    assert "MON-PROXY mean_score" in codes(window) and window.proxies["mean_score"]["moved"] and window.proxies["complaints"]["reference"] is None


# the service


def test_the_log_of_a_service_is_rows_and_figures(make: Callable[..., Project]) -> None:
    project = make(sources={"batches": "", "requests": "log.jsonl"}, data_drift={"check_frequency": "hourly"},
                   model_performance={"latency": {"p95_ms": 20.0, "alert_threshold_ms": 50.0}, "throughput": {"requests_per_second": 5.0}})
    with (project.path / "log.jsonl").open("w") as log:
        for hour, slow in ((0, 5.0), (1, 80.0)):
            for i, row in enumerate(loans(200, 1 + hour).drop(columns="y").to_dict("records")):
                broken = hour == 1 and i % 10 == 0
                at = f"2026-03-01T{hour:02}:{i * 60 // 200:02}:00+00:00"
                log.write(json.dumps({"request_id": f"{hour}-{i}", "time": at, "arm": "champion", "status": 500 if broken else 200, "latency_ms": slow,
                                      "rows": [row], "predictions": [{"prediction": "good", "probabilities": {"good": 0.7, "bad": 0.3}}],
                                      "error": "boom" if broken else ""}) + "\n")
        log.write('{"torn')
    calm, broken = watch(project, "2026-03-01T02:00").windows
    assert (calm.rows, broken.rows) == (200, 180) and calm.service["p95_ms"] == 5.0 and any("cannot be read: 1" in note for note in broken.notes)
    assert not [c for c in codes(calm) if c.startswith(("MON-ERRORS", "MON-LATENCY"))]
    assert {"MON-ERRORS service", "MON-LATENCY alert_threshold_ms", "MON-LATENCY p95_ms", "MON-TRAFFIC service"} <= set(codes(broken))


def test_metrics_of_a_service_are_differences_between_turns(make: Callable[..., Project], monkeypatch: pytest.MonkeyPatch) -> None:
    import mlnb.monitoring.feed as feed

    project = make(sources={"batches": "", "prometheus": "http://127.0.0.1:1/metrics"}, data_drift={"check_frequency": "hourly"})
    first = watch(project, "2026-03-01T01:00")
    assert any("tells no metrics" in note for note in first.notes) and read_state(project)["status"] == "idle"
    count = iter([(100, 0), (300, 40)])

    def scrape(url: str) -> str:
        ok, bad = next(count)
        return f'mlnb_requests_total{{arm="champion",status="200"}} {ok}\nmlnb_requests_total{{arm="champion",status="500"}} {bad}\n'

    monkeypatch.setattr(feed, "scrape", scrape)
    watch(project, "2026-03-01T02:00")
    (window,) = watch(project, "2026-03-01T03:00").windows
    assert window.service["requests"] == 240 and window.service["errors"] == 40 and codes(window) == ["MON-ERRORS service"]
    assert any("of 2026-03-01T02:00:00+00:00 to 2026-03-01T03:00:00+00:00" in note for note in window.notes)


def test_an_empty_window_says_nothing_of_its_labels(make: Callable[..., Project]) -> None:
    project = make(concept_drift={"ground_truth_delay": "1d"}, sources={"labels": "labels.csv", "key": "id"})
    batch(project, "2026-03-02.csv", loans(200, 5).drop(columns="y"))
    batch(project, "2026-03-05.csv", loans(200, 6).drop(columns="y"))
    loans(100, 5)[["id", "y"]].to_csv(project.path / "labels.csv", index=False)
    full, *empty, other = watch(project, "2026-03-20T06:00", limit=4).windows
    assert full.rows and other.rows and len(empty) == 2 and not any(w.rows for w in empty)
    assert any("labels joined" in note for note in full.notes) and not any("labels" in note for w in empty for note in w.notes)


def test_a_metric_over_one_and_a_half_windows_is_taken_over_one(make: Callable[..., Project]) -> None:
    project = make(model_performance={"metrics": [{"name": "f1", "window": "36h"}, {"name": "accuracy", "window": "49h"}]})
    for day in (1, 2, 3):
        batch(project, f"2026-03-0{day}.csv", loans(100, day))
    turn = watch(project, "2026-03-04T06:00")
    assert [(w.metrics["f1"]["rows"], w.metrics["accuracy"]["rows"]) for w in turn.windows] == [(100, 100), (100, 200), (100, 200)]
    assert sum("it is taken over" in note for note in turn.notes) == 2


def test_answers_that_came_and_are_not_used_are_said(make: Callable[..., Project]) -> None:
    project, rows = make(), loans(300, 5)
    own = np.where(rows["income"] > 2900, "good", "bad")
    for day, served in enumerate((own, np.where(own == "good", "bad", "good"), rows["income"] / 10_000), 1):
        batch(project, f"2026-03-0{day}.csv", rows.assign(id=rows["id"] + day * 1000, prediction=served))
    right, wrong, chances = watch(project, "2026-03-04T06:00").windows
    said = [next((note for note in w.notes if "answers that came with the rows" in note), "") for w in (right, wrong, chances)]
    right_share, wrong_share = (float(words.split("itself; ")[1].split("%")[0]) for words in said[:2])
    assert right_share < 20 and wrong_share > 80 and "was not this model" in said[1] and not said[2]


# telling


def test_a_webhook_that_hangs_stops_neither_the_monitor_nor_the_other_sinks(make: Callable[..., Project]) -> None:
    with Hook(hang=30) as hook:
        project = make(alerts={"file": "told.jsonl", "webhook": {"url": hook.url, "timeout_s": 0.2}})
        batch(project, "2026-03-02.csv", loans(300, 5, shift=900).drop(columns="y"))
        turn = watch(project, "2026-03-03T06:00")
    told = len((project.path / "told.jsonl").read_text().splitlines())
    assert told == len(turn.told) > 0 and turn.delivery.waiting == {"webhook": told} and any("no answer within" in p for p in turn.delivery.problems)
    with Hook() as hook:
        record = project.record("monitoring")
        record.alerts.webhook.url = hook.url
        project.save_record("monitoring", record)
        watch(project, "2026-03-03T07:00")
        watch(project, "2026-03-03T08:00")
        assert len(hook.keys) == len(set(hook.keys)) == told and len((project.path / "told.jsonl").read_text().splitlines()) == told


def alarm(day: int, subject: str = "income", severity: str = "critical") -> Alert:
    return Alert("DRIFT-FEATURE", subject, severity, f"{subject} drifted", f"2026-03-{day:02}T00:00:00+00:00", f"2026-03-{day + 1:02}T00:00:00+00:00")


class Slow:
    """Takes a message when it is let, or after a while."""

    name = "webhook"

    def __init__(self, done: threading.Event, seconds: float = 20, longest: float = 0.0) -> None:
        self.done, self.seconds, self.longest = done, seconds, longest
        self.keys: list[str] = []

    def send(self, message: dict[str, str]) -> None:
        self.keys.append(message["key"])
        self.done.wait(self.seconds)

    def has(self, key: str) -> None: ...


def test_a_file_of_alarms_that_is_none_says_where_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "alarms").mkdir()
    (tmp_path / "taken").write_text("")
    for path, says in ((tmp_path / "alarms", "is a folder: name a file in it"), (tmp_path / "taken" / "a.jsonl", "takes no writing (")):
        with pytest.raises(SinkError, match=re.escape(says)) as error:
            FileSink(path).send({"key": "a"})
        assert str(path) in str(error.value) and "alerts.file" in str(error.value) and "the messages wait" in str(error.value)


def test_a_slow_sink_gets_no_message_twice_and_all_of_them_in_some_turns(tmp_path: Path) -> None:
    slow, all_ = Slow(threading.Event(), 0.1, 5.0), [Notice("raised", alarm(day), alarm(day).start) for day in range(1, 10)]
    found = [deliver(tmp_path / JOURNAL, all_, [slow], "now", budget=0.25) for _ in range(9)]
    assert slow.keys == [n.key for n in all_] and not found[-1].waiting and not any(turn.problems for turn in found) and len([t for t in found if t.sent]) > 1


def test_a_dripping_sink_ends_with_the_budget_and_a_refused_message_blocks_no_other(tmp_path: Path) -> None:
    drip = Slow(threading.Event())
    both = [Notice("raised", alarm(day), alarm(day).start) for day in (1, 2)]
    found = deliver(tmp_path / JOURNAL, both, [drip, FileSink(tmp_path / "f")], "now", budget=0.3)
    assert found.sent == {"file": 2} and found.waiting == {"webhook": 2} and "hangs" in found.problems[0]
    assert "still at a message of an earlier turn" in deliver(tmp_path / JOURNAL, both, [drip], "now").problems[0] and len(drip.keys) == 1
    drip.done.set()
    for _ in range(100):
        if not (found := deliver(tmp_path / JOURNAL, both, [drip], "now")).waiting:
            break
        threading.Event().wait(0.05)
    assert not found.waiting and drip.keys == [n.key for n in both]
    with Hook(status=400) as hook:
        found = deliver(tmp_path / "other.jsonl", both, [WebhookSink(hook.url, "s3cret", pauses=())], "now")
        assert len(hook.keys) == 2 and found.waiting == {"webhook": 2} and hook.bodies[0]["token"] == "Bearer s3cret"
    assert "s3cret" not in (tmp_path / "other.jsonl").read_text()
    slept: list[float] = []
    with Hook(status=503) as hook, pytest.raises(SinkError, match="answered 503"):
        WebhookSink(hook.url, sleep=slept.append).send({"key": "é\n1"})
    assert len(hook.keys) == 3 and slept == [0.5, 2.0] and len(set(hook.keys)) == 1


def test_a_new_sink_begins_with_the_newest_window(tmp_path: Path) -> None:
    past = [Notice("raised", alarm(day), alarm(day).start) for day in (1, 2, 3)]
    deliver(tmp_path / JOURNAL, past, [FileSink(tmp_path / "a")], "now")
    found = deliver(tmp_path / JOURNAL, past, [FileSink(tmp_path / "a"), FileSink(tmp_path / "b", "second")], "now")
    assert found.sent == {"second": 1}


@given(st.lists(st.sampled_from(["", "warning", "critical", "empty"]), max_size=14), st.integers(1, 4))
def test_what_is_told_follows_from_the_windows(days: list[str], repeat: int) -> None:
    windows = [Window(alarm(d + 1).start, alarm(d + 1).end, 0 if word == "empty" else 100, columns={} if word == "empty" else {"income": {}},
                      alerts=(alarm(d + 1, severity=word),) if word in ("warning", "critical") else ()) for d, word in enumerate(days)]
    found = notices(windows, repeat * 86_400)
    keys = [n.key for n in found]
    assert len(keys) == len(set(keys)) and keys == [n.key for n in notices(windows[::-1], repeat * 86_400)]
    balance = 0
    for n in found:
        balance += {"raised": 1, "recovered": -1}.get(n.kind, 0)
        assert balance in (0, 1) and (balance == 1 or n.kind == "recovered")
    for cut in range(len(windows)):  # a prefix says what the whole said then
        assert keys[: len(notices(windows[:cut], repeat * 86_400))] == [n.key for n in notices(windows[:cut], repeat * 86_400)]
    assert ("critical" in days) <= any(n.alert.severity == "critical" for n in found if n.kind != "recovered")


def test_what_too_few_rows_cannot_show_is_not_over() -> None:
    def day(n: int, rows: int, psi: float, severity: str) -> Window:
        alerts = (alarm(n, severity=severity),) if severity != "none" else ()
        return Window(alarm(n).start, alarm(n).end, rows, columns={"income": {"role": "feature", "measure": "psi", "psi": psi, "severity": severity}}, alerts=alerts)

    windows = [day(1, 400, 0.5, "critical"), day(2, 30, 0.4, "none"), day(3, 8, 0.0, "none"), day(4, 400, 0.5, "critical"), day(5, 400, 0.02, "none")]
    assert [(n.kind, n.at or n.alert.start) for n in notices(windows, 30 * 86_400)] == [("raised", alarm(1).start), ("recovered", alarm(5).start)]
    assert [(e.windows, e.going) for e in episodes(windows)] == [(2, False)]


def test_a_file_whose_times_cannot_be_read_is_an_alarm(make: Callable[..., Project]) -> None:
    project = make(data_drift={"check_frequency": "daily"}, sources={"time": "at", "key": "id"})
    batch(project, "2026-03-02.csv", loans(300, 5).assign(at="the second of March"))
    window = watch(project, "2026-03-03T06:00").windows[-1]
    assert any(a.code == "MON-DATA" and "cannot be read" in a.message for a in window.alerts)


def test_labels_of_several_files_of_lines_are_all_read(make: Callable[..., Project]) -> None:
    frame = loans(300, 5)
    project = make(sources={"labels": "days/*.jsonl", "key": "id"})
    batch(project, "2026-03-02.csv", frame.drop(columns="y"))
    (project.path / "days").mkdir()
    for part, rows in enumerate((frame[:150], frame[150:])):
        rows[["id", "y"]].to_json(project.path / "days" / f"{part}.jsonl", orient="records", lines=True)
    assert watch(project, "2026-03-03T06:00").windows[-1].labels["rows"] == 300


def test_mail_goes_out_once_with_an_identity(tmp_path: Path) -> None:
    got: list[str] = []
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        wire, _ = server.accept()
        with wire, wire.makefile("rw", newline="\r\n", encoding="utf-8") as talk:
            def say(line: str) -> None:
                talk.write(line + "\r\n")
                talk.flush()

            say("220 test")
            for line in talk:
                word = line.split()[0].upper()
                if word == "DATA":
                    say("354 go on")
                    while (text := talk.readline().rstrip("\r\n")) != ".":
                        got.append(text)
                say("221 bye" if word == "QUIT" else "250 ok")
                if word == "QUIT":
                    return

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    sink = MailSink(("team@example.org",), "ml@example.org", "127.0.0.1", server.getsockname()[1], starttls=False, project="loans")
    notice = Notice("raised", alarm(1, "tenure\nBcc: thief@example.org"), alarm(1).start)
    found = deliver(tmp_path / JOURNAL, [notice], [sink], "2026-03-02T06:00:00+00:00")
    thread.join(5)
    server.close()
    assert found.sent == {"email": 1} and Journal(tmp_path / JOURNAL).states()["email", notice.key] == "sent"
    assert not any(line.startswith("Bcc") for line in got[: got.index("")]) and sum(line.startswith("Message-ID") for line in got) == 1
    with pytest.raises(SinkError, match="did not take"):
        sink.send({"key": "a"})


# two at once, stopping, and what cannot be done


def test_two_monitors_at_once(make: Callable[..., Project]) -> None:
    project = make()
    batch(project, "2026-03-02.csv", loans(60, 5))
    with hold(project, "2026-03-03T06:00"), pytest.raises(BusyError, match="at work on this project"):
        watch(project, "2026-03-03T06:00", wait=0)
    assert not read_windows(project.path)
    assert len(watch(project, "2026-03-03T06:00").windows) == 1


def test_it_stops_between_windows_and_one_that_fails_holds_up_no_other(make: Callable[..., Project], monkeypatch: pytest.MonkeyPatch) -> None:
    import mlnb.monitoring.watch as module

    project = make()
    for day in (1, 2, 3):
        batch(project, f"2026-03-0{day}.csv", loans(60, day))
    asked = iter([False, True])
    assert len(watch(project, "2026-03-04T00:00", stop=lambda: next(asked)).windows) == 1
    real = module.make_window
    monkeypatch.setattr(module, "make_window", lambda work, start, notes: 1 / 0 if start == DAY2 else real(work, start, notes))
    turn = watch(project, "2026-03-04T00:00")
    assert [w.start[8:10] for w in turn.windows] == ["03"] and "ZeroDivisionError" in turn.failed[0] and read_state(project)["status"] == "failed"
    monkeypatch.undo()
    assert [w.start[8:10] for w in watch(project, "2026-03-04T00:00").windows] == ["02"]
    window_file(project.path, DAY2, "2026-03-03T00:00:00+00:00").write_text("{torn")
    assert [w.start[8:10] for w in watch(project, "2026-03-04T00:00").windows] == ["02"]  # made anew


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_takes_no_writing(make: Callable[..., Project]) -> None:
    project = make()
    batch(project, "2026-03-02.csv", loans(60, 5))
    project.path.chmod(0o500)
    try:
        with pytest.raises(MlnbError, match="Cannot write"):
            watch(project, "2026-03-03T06:00")
    finally:
        project.path.chmod(0o700)


# the command


def run(*words: str) -> tuple[int, dict[str, Any]]:
    from typer.testing import CliRunner

    from mlnb.cli import app

    found = CliRunner().invoke(app, ["monitor", *words, "--json"])
    return found.exit_code, json.loads(found.stdout)


def test_the_command_and_its_exit_codes(make: Callable[..., Project]) -> None:
    project = make()
    batch(project, "2026-03-02.csv", loans(300, 5, shift=900))
    where = ("--project", str(project.path), "--now", "2026-03-03T06:00")
    code, dry = run(*where, "--dry-run")
    assert code == 0 and dry["due"] == [[DAY2, "new"]] and dry["windows"] == []
    with hold(project, "now"):
        assert run(*where, "--wait", "0")[0] == 0 and run(*where, "--wait", "0", "--gate")[0] == 1
    code, first = run(*where, "--gate")
    assert code == 1 and {"windows", "alerts", "findings", "summary", "delivery", "notes"} <= set(first) and first["alerts"][0]["key"].startswith(DAY2)
    assert run(*where)[0] == 0 and run(*where, "--gate")[0] == 1  # the newest window is critical still
    batch(project, "2026-03-03.csv", loans(10, 6, shift=900))  # too few to tell that it is over
    assert run(*where[:2], "--now", "2026-03-04T06:00", "--gate")[0] == 1
    assert run(*where, "--every", "1h")[0] == 2 and run(*where[:2], "--now", "soon")[0] == 2


def test_a_gate_whose_turn_was_interrupted_does_not_hold(make: Callable[..., Project], monkeypatch: pytest.MonkeyPatch) -> None:
    from mlnb.monitoring import watch as module

    project, real = make(), module.make_window
    for day in range(1, 5):
        batch(project, f"2026-03-0{day}.csv", loans(40, day).drop(columns="y"))

    def interrupted(*given: Any, **more: Any) -> Window:
        os.kill(os.getpid(), signal.SIGTERM)
        return real(*given, **more)

    monkeypatch.setattr(module, "make_window", interrupted)
    code, found = run("--project", str(project.path), "--now", "2026-03-05T06:00", "--gate")
    assert code == 130, found
    assert "1 of 4 windows were made" in found["error"] and len(found["windows"]) == 1
    monkeypatch.setattr(module, "make_window", real)
    assert run("--project", str(project.path), "--now", "2026-03-05T06:00", "--gate")[0] == 0 and len(read_windows(project.path)) == 4


def test_a_tracking_server_that_is_away_stops_no_turn_and_gets_what_it_lacks_later(make: Callable[..., Project], tmp_path: Path) -> None:
    from mlnb.core.project_config import load_config, save_config
    from mlnb.experiments.models import quiet_mlflow

    project = make()
    batch(project, "2026-03-02.csv", loans(300, 5, shift=900).drop(columns="y"))
    here, e = project.tracking_uri, current_experiment(project)
    assert e.run_id
    (project.path / "results" / "reference.json").unlink()
    save_config(project.path, load_config(project.path).model_copy(update={"tracking_uri": "http://127.0.0.1:9"}))
    away = Project(project.path)
    assert watch(away, "2026-03-03T06:00").alerts and (project.path / "results" / "reference_profile.json.waits").exists()
    save_config(project.path, load_config(project.path).model_copy(update={"tracking_uri": here}))
    watch(Project(project.path), "2026-03-03T07:00")
    batch(project, "2026-03-03.csv", loans(300, 6).drop(columns="y"))
    watch(Project(project.path), "2026-03-04T06:00")
    assert not (project.path / "results" / "reference_profile.json.waits").exists()
    with quiet_mlflow() as mlflow:
        assert "reference_profile.json" in {f.path for f in mlflow.MlflowClient(tracking_uri=here).list_artifacts(e.run_id)}


def test_the_dag_runs_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[dict[str, Any]] = []

    class Anything:
        def __init__(self, **given: Any) -> None:
            made.append(given)

        def __enter__(self) -> Anything:
            return self

        def __exit__(self, *_: object) -> None: ...

    for name in ("airflow", "airflow.operators", "airflow.operators.bash"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    sys.modules["airflow"].DAG = Anything  # type: ignore[attr-defined]
    sys.modules["airflow.operators.bash"].BashOperator = Anything  # type: ignore[attr-defined]
    exec(compile(monitor_dag('my "loans"', "/srv/it's here", 21_600, gate=True), "dag.py", "exec"), {})
    assert made[0]["schedule"] == datetime.timedelta(hours=6) and made[0]["max_active_runs"] == 1 and made[0]["dag_id"] == "mlnb-monitor-my-loans"
    import shlex

    words = shlex.split(made[1]["bash_command"])
    assert words[:4] == ["mlnb", "monitor", "--project", "/srv/it's here"] and "{{ data_interval_end.isoformat() }}" in words and "--gate" in words


# one rule for `mlnb drift` and for the monitor

METHODS = st.sampled_from(["PSI", "KS-test", "JS-divergence"])


@settings(max_examples=20, deadline=None)
@given(
    METHODS,
    st.sampled_from([None, 0.05, 0.15, 0.3]),
    st.floats(0, 900),
    st.sampled_from([0.0, 0.03, 0.08, 0.6]),
    st.sampled_from([0.0, 0.02, 0.2]),
    st.sampled_from([60, 300, 1500]),
    st.integers(0, 99),
)
def test_what_the_monitor_rings_for_is_what_a_comparison_says(
    lens_of: Callable[[str, float | None], Lens], method: str, threshold: float | None, shift: float, gone: float, new: float, n: int, seed: int
) -> None:
    lens, rng = lens_of(method, threshold), np.random.default_rng(seed)
    frame = loans(n, seed + 1, shift).drop(columns="id")
    frame.loc[rng.random(n) < gone, "income"] = np.nan
    frame.loc[rng.random(n) < new, "region"] = "z"
    seen = look(lens, frame)
    assert seen.given is not None
    found = compare(lens.reference, _watched(lens.experiment, frame, seen.given), method=method, alert_threshold=threshold)  # as `project_drift` does
    window = Window(DAY2, "2026-03-03T00:00:00+00:00", n, columns=json.loads(json.dumps(plain(seen.columns))))
    rung = list(drift_alarms(window, lens.plan, lens.watched, "y", "prediction"))
    said = {name: c for name, c in found.columns.items() if c.role == "feature"}
    decides = find_method(method, threshold)
    expected = {}
    for name, c in said.items():  # the words of a comparison, read by themselves
        m = decides if c.measure == decides.key else find_method("PSI")
        others = [part for part in c.why.split("; ") if not part.startswith(m.title)]
        if c.severity == "critical" or c.alert or c.severity == "warning" and others:
            expected[name] = (c.severity, c.response)
    assert {a.subject: (a.severity, a.response) for a in rung if a.code == "DRIFT-FEATURE"} == expected
    for a in rung:
        if a.code == "DRIFT-FEATURE" and a.threshold is not None:
            m = decides if said[a.subject].measure == decides.key else find_method("PSI")
            assert a.value == pytest.approx(getattr(said[a.subject], m.key)) and a.value > a.threshold
            assert a.threshold == next(limit for limit in (m.critical, m.alert, m.warning) if a.value > limit)
            assert f"above {a.threshold:g} and beyond chance" in a.message
    for code, role in (("DRIFT-LABEL", "label"), ("DRIFT-PREDICTION", "prediction")):
        assert [a.severity for a in rung if a.code == code] == [c.severity for c in found.columns.values() if c.role == role and c.severity != "none"]
    assert seen.report is not None and seen.report.drifted == found.drifted


@pytest.mark.parametrize("method", ["PSI", "KS-test", "JS-divergence"])
def test_the_monitor_and_the_command_agree(make: Callable[..., Project], method: str) -> None:
    project = make(data_drift={"method": method, "check_frequency": "daily"}, sources={"time": "at", "key": "id"})
    frame = loans(500, 3, 350)
    batch(project, "a.csv", frame.assign(at="2026-03-02T01:00:00"))
    (window,) = watch(project, "2026-03-04T00:00").windows[:1]
    found = project_drift(project, frame, method=method, multivariate=False)
    kept = {name: (c["severity"], c["alert"], c["why"], c["response"], c["measure"]) for name, c in window.columns.items()}
    assert kept == {name: (c.severity, c.alert, c.why, c.response, c.measure) for name, c in found.columns.items()}
    assert [name for name in found.drifted if found.columns[name].alert] == [a.subject for a in window.alerts if a.code == "DRIFT-FEATURE"] == ["income"]


@pytest.fixture(scope="module")
def lens_of(base: Project) -> Callable[[str, float | None], Lens]:
    opened = Lens(base, WatchPlan(), current_experiment(base), project_reference(base))

    def made(method: str, threshold: float | None) -> Lens:
        record = Monitoring(data_drift={"method": method, "alert_threshold": threshold})
        return Lens(base, read_plan(record), opened.experiment, opened.reference)

    return made


def column(**more: Any) -> dict[str, Any]:
    return {"kind": "numeric", "role": "feature", "severity": "none", "why": "", "missing": [0.0, 0.0], "new_share": 0.0, **more}


@pytest.mark.parametrize(("columns", "rings"), [
    ({"prediction": {"role": "prediction"}}, True),
    ({"prediction": {"role": "prediction"}, "a": {}}, False),  # features are looked at too: half the level is left
    ({"prediction": {"role": "prediction"}, "a": {"kind": "id"}}, True),  # nothing is said of a key
])
def test_answers_share_the_level_with_the_other_looks(columns: dict[str, Any], rings: bool) -> None:
    made = {name: column(**more, kl=0.3, p=0.03) if name == "prediction" else column(**more) for name, more in columns.items()}
    alarms = list(drift_alarms(Window(DAY2, "2026-03-03T00:00:00+00:00", 500, columns=made), WatchPlan(), []))
    assert [a.code for a in alarms] == ["DRIFT-PREDICTION"] * rings


def test_answers_that_are_gone_ring() -> None:
    c = column(role="prediction", severity="warning", why="missing in 30.0% of the rows, was 0.0%", reasons=["missing"], kl=0.01, p=0.4)
    (alarm,) = drift_alarms(Window(DAY2, "2026-03-03T00:00:00+00:00", 500, columns={"prediction": c}), WatchPlan(), [])
    assert (alarm.code, alarm.message) == ("DRIFT-PREDICTION", "prediction: missing in 30.0% of the rows, was 0.0%")


@pytest.mark.parametrize(("psi", "rings"), [(0.22, True), (0.15, False)])
def test_a_window_kept_before_columns_said_what_decides(tmp_path: Path, psi: float, rings: bool) -> None:
    old = {"severity": "warning", "why": f"PSI {psi:.3g} is above 0.1 and beyond chance", "psi": psi, "p_adjusted": 0.001, "missing": [0.0, 0.0], "kl": 0.2, "p": 0.001}
    save_window(tmp_path, Window(DAY2, "2026-03-03T00:00:00+00:00", 500, columns={"fee": old}))
    (window,) = read_windows(tmp_path)
    assert [a.message for a in drift_alarms(window, WatchPlan(), ["fee"])] == [f"fee: PSI {psi:g} is above 0.1 and beyond chance"] * rings


# ---------------------------------------------------------------- names of the record that lead nowhere


def test_a_metric_of_another_task_takes_no_other_with_it(make: Callable[..., Project]) -> None:
    project = make(model_performance={"metrics": [{"name": "rmse", "threshold": 3.0}, {"name": "recall"}]}, sources={})
    batch(project, "2026-03-02.csv", loans(400, 5).assign(y=lambda d: d["y"].map({"good": "bad", "bad": "good"})))
    turn = watch(project, "2026-03-03T06:00")
    assert {name for name, m in turn.windows[0].metrics.items() if m["kind"] == "measured"} == {"f1", "recall"}
    assert "DRIFT-CONCEPT" in {alert.code for alert in turn.alerts}
    assert any("rmse" in note and "not defined for binary" in note and "f1" in note for note in turn.notes)


def test_a_misspelt_feature_does_not_silence_the_alarms(make: Callable[..., Project]) -> None:
    project = make(data_drift={"features_to_monitor": ["regoin"]}, sources={})
    batch(project, "2026-03-02.csv", loans(400, 5, shift=900).drop(columns="y"))
    turn = watch(project, "2026-03-03T06:00")
    rung = {alert.subject: alert for alert in turn.alerts if alert.code == "DRIFT-FEATURE"}
    assert set(rung) == {"regoin", "income"} and "Did you mean 'region'?" in rung["regoin"].message
    assert any("'regoin'" in note and "'region'" in note for note in turn.notes)


def test_a_misspelt_feature_beside_a_known_one(make: Callable[..., Project]) -> None:
    project = make(data_drift={"features_to_monitor": ["regoin", "region"]}, sources={})
    batch(project, "2026-03-02.csv", loans(400, 5, shift=900).drop(columns="y"))
    assert {alert.subject for alert in watch(project, "2026-03-03T06:00").alerts if alert.code == "DRIFT-FEATURE"} == {"regoin"}  # only region was asked for


# ---------------------------------------------------------------- what the record says in words


@pytest.mark.parametrize(("metric", "words"), [({"alert": "F1 below 0.99"}, "below 0.99"), ({"alert": "< threshold", "threshold": 0.99}, "below 0.99"),
                                               ({"alert": "drop > 5 %"}, "more than 0.05 of the"), ({"alert": "drop > 5 %", "threshold": 0.1}, "more than 0.05 of the")])
def test_alerts_in_words_ring(make: Callable[..., Project], metric: dict[str, Any], words: str) -> None:
    project = make(model_performance={"metrics": [{"name": "primary_metric", **metric}]}, sources={})
    rng = np.random.default_rng(0)
    batch(project, "2026-03-02.csv", loans(400, 5).assign(y=lambda d: np.where(rng.random(len(d)) < 0.3, rng.choice(["good", "bad"], len(d)), d["y"])))
    rung, = (alert for alert in watch(project, "2026-03-03T06:00").alerts if alert.code == "MON-METRIC")
    assert words in rung.message and rung.value < rung.threshold
    drawn = {line.limit for line in lines(read_windows(project.path), project_limits(project)[0]) if line.name == rung.subject}
    shown = [text for text in to_prometheus(project_board(project)).splitlines() if text.startswith("mlnb_metric_threshold{") and f'"{rung.subject}"' in text]
    assert drawn == {rung.threshold} == {float(text.split()[-1]) for text in shown}


def test_alerts_in_words_are_calm_on_the_right_side(make: Callable[..., Project]) -> None:
    project = make(model_performance={"metrics": [{"name": "primary_metric", "alert": "drop > 50 %"}, {"name": "log_loss", "alert": "above 5"}]}, sources={})
    batch(project, "2026-03-02.csv", loans(400, 5))
    assert not [alert for alert in watch(project, "2026-03-03T06:00").alerts if alert.code == "MON-METRIC"]


@pytest.mark.parametrize(("record", "says"), [
    ({"concept_drift": {"method": "adwin please"}}, "performance_degradation"), ({"concept_drift": {"retraining_trigger": "nonsense ~~ words"}}, "PSI > 0.2 on any top-10"),
    ({"model_performance": {"metrics": [{"name": "prediction_distribution", "window": "7d"}]}}, "24 h"),
    ({"model_performance": {"metrics": [{"name": "primary_metric", "alert": "when it is bad"}]}}, "drop > 5 %"),
    ({"model_performance": {"metrics": [{"name": "primary_metric", "alert": "above 0.9"}]}}, "better when it is higher"),
    ({"model_performance": {"metrics": [{"name": "primary_metric", "alert": "below 0.9", "threshold": 0.7}]}}, "one number"),
    ({"model_performance": {"metrics": [{"name": "f1", "alert": "recall below 0.9"}]}}, "about recall")])
def test_what_the_monitor_does_not_do_is_refused(make: Callable[..., Project], record: dict[str, Any], says: str) -> None:
    project = make(sources={}, **record)
    with pytest.raises(ConfigError, match=re.escape(says)):
        watch(project, "2026-03-03T06:00")
    if "better" not in says:  # without a model nobody knows which metric is primary
        assert any(says in wrong for wrong in project.check("MON-CONFIG")[0].evidence["wrong"])


def test_a_window_that_cannot_be_had_is_said(make: Callable[..., Project]) -> None:
    project = make(model_performance={"metrics": [{"name": "primary_metric", "window": "1h"}, {"name": "prediction_distribution", "window": "1d"}]}, sources={})
    assert any("1h" in note and "taken over 24 h" in note for note in watch(project, "2026-03-03T06:00", dry_run=True).notes)
    whole = make_other(project, {"name": "primary_metric", "window": "7d"})
    assert not any("taken over" in note for note in watch(whole, "2026-03-03T06:00", dry_run=True).notes)


def make_other(project: Project, metric: dict[str, Any]) -> Project:
    project.save_record("monitoring", Monitoring(sources={"batches": "asked"}, model_performance={"metrics": [metric]}))
    return project
