"""The dashboard's data and pages: what is read from windows, what is said of it, and what odd windows must not break."""

from __future__ import annotations

import ast
import dataclasses
import datetime
import json
import os
import re
import sys
import threading
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlnb.core.errors import InputError
from mlnb.core.findings import Status
from mlnb.core.project import Project
from mlnb.monitoring.alert_view import alerts_html, evidence_html
from mlnb.monitoring.board import Board, board_pages, project_board, within
from mlnb.monitoring.episodes import FILE, RANK, Acknowledgement, acknowledge, episodes, read_acknowledged
from mlnb.monitoring.heat import heat
from mlnb.monitoring.limits import Limits, project_limits
from mlnb.monitoring.lines import expected_and_realised, lines
from mlnb.monitoring.outcome_view import labels_html
from mlnb.monitoring.panel import MonitoringPanel
from mlnb.monitoring.panel_state import BoardState
from mlnb.monitoring.panel_view import feature_html, still_html
from mlnb.monitoring.window_example import example_reference, make_windows
from mlnb.monitoring.windows import FOLDER, Alert, Window, read_windows, save_window, window_file

UTC = datetime.UTC
TRAP = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def windows() -> list[Window]:
    return make_windows()


def make_project(folder: Path, windows: list[Window], name: str = "churn") -> Project:
    pd.DataFrame({"x": range(9), "y": [0, 1, 0] * 3}).to_csv(folder / "t.csv", index=False)
    project = Project.create(folder / name, folder / "t.csv", target="y")
    for w in windows:
        save_window(project.path, w)
    project.save_result("reference", example_reference().to_dict())
    return project


@pytest.fixture
def project(tmp_path: Path, windows: list[Window]) -> Project:
    return make_project(tmp_path, windows[15:])


@pytest.mark.parametrize(("measures", "says", "not_says"), [
    ({}, "PSI above 0.1 ", "verdicts"), ({"tenure": "ks", "fee": "ks"}, "verdicts by PSI and KS", "above 0.1")])  # fmt: skip
def test_the_map_says_which_measure_the_verdicts_are_by(windows: list[Window], measures: dict[str, str], says: str, not_says: str) -> None:
    changed = [dataclasses.replace(w, columns={name: {**c, "measure": measures.get(name, "psi")} for name, c in w.columns.items()}) for w in windows]
    title = heat(changed).plot().axes[0].get_title()
    assert says in title and not_says not in title


def hours(n: int, **parts: Any) -> list[Window]:
    """Hourly windows; a part may be a function of the hour."""
    first = datetime.datetime(2026, 1, 1, tzinfo=UTC)
    made = []
    for k in range(n):
        start, end = ((first + datetime.timedelta(hours=k + j)).isoformat() for j in (0, 1))
        made.append(Window(start, end, 10, **{name: part(k) if callable(part) else part for name, part in parts.items()}))
    return made


# --- the example: what is planted must be there ---------------------------------------------------------------------


def test_the_example_holds_the_troubles_it_promises(windows: list[Window]) -> None:
    kinds = {e.subject: e for e in episodes(windows, "critical")}
    assert set(kinds) == {"payment", "tenure", "service"} and not kinds["service"].going
    assert all(e.since[:10] > "2026-03-20" for e in episodes(windows) if e.code.startswith("DRIFT"))
    assert windows[13].rows == 0 and windows[13].status == "empty" and [w.status for w in windows[-7:]] == ["waiting"] * 7
    assert {a.subject for w in make_windows(45) for a in w.alerts if a.code == "DRIFT-CONCEPT"} == {"roc_auc"}  # seen once labels are there
    assert make_windows(4, random_state=1) != make_windows(4, random_state=2)


# --- episodes -------------------------------------------------------------------------------------------------------


def alarm(w: Window, code: str = "DRIFT-FEATURE", subject: str = "a", severity: str = "warning") -> Alert:
    return Alert(code, subject, severity, f"{subject} moved", w.start, w.end, 0.2, 0.1)


def ringing(pattern: str, code: str = "DRIFT-FEATURE") -> list[Window]:
    """One window a letter: w and c ring, . is calm, o has no rows, ? waits for labels."""
    made = []
    for w, letter in zip(hours(len(pattern)), pattern, strict=True):
        status = {"o": "empty", "?": "waiting"}.get(letter, "complete")
        rings = (alarm(w, code, "a", {"w": "warning", "c": "critical"}[letter]),) if letter in "wc" else ()
        made.append(dataclasses.replace(w, status=status, rows=0 if letter == "o" else 50, columns={} if letter == "o" else {"a": {"psi": 0.0}}, alerts=rings,
                                        metrics={} if letter in "o?" else {"a": {"kind": "measured"}}))
    return made


@pytest.mark.parametrize(("pattern", "code", "found"), [
    ("ww.cc", "DRIFT-FEATURE", [(2, "critical", True), (2, "warning", False)]),
    ("wowo", "DRIFT-FEATURE", [(2, "warning", True)]),  # no rows say nothing about drift
    ("wo.w", "DRIFT-FEATURE", [(1, "warning", True), (1, "warning", False)]),
    ("cw??", "DRIFT-CONCEPT", [(2, "critical", True)]),  # nor does a window without labels about performance
    ("c??.", "DRIFT-CONCEPT", [(1, "critical", False)]),
    ("....", "DRIFT-FEATURE", []),
])
def test_an_episode_ends_with_the_first_window_that_could_have_shown_it(pattern: str, code: str, found: list[tuple[int, str, bool]]) -> None:
    assert [(e.windows, e.severity, e.going) for e in episodes(ringing(pattern, code))] == found


@settings(max_examples=60)
@given(st.text("wc.o?", min_size=1, max_size=30))
def test_episodes_lose_no_alarm_and_count_none_twice(pattern: str) -> None:
    windows = ringing(pattern)
    found = episodes(windows)
    assert sorted(key for e in found for key in e.keys) == sorted(a.key for w in windows for a in w.alerts)
    assert sum(e.going for e in found) <= 1 and sum(e.windows for e in found) == sum(letter in "wc" for letter in pattern)


def test_an_acknowledged_alarm_is_open_again_when_it_gets_worse() -> None:
    windows = ringing("wwc")
    known = Acknowledgement(windows[1].alerts[0].key, "Ada", "seen", "2026-01-01T03:00:00+00:00", "warning")
    worse, (calm,) = episodes(windows, acknowledged=[known]), episodes(windows[:2], acknowledged=[known])
    assert worse[0].open and worse[0].acknowledged == known and not calm.open and calm.going
    assert Board(tuple(windows[:2]), acknowledged=(known,)).verdict[0] is Status.PASS
    assert Board(tuple(windows), acknowledged=(known,)).verdict[0] is Status.FAIL


def test_acknowledging_never_takes_an_alarm_away(project: Project) -> None:
    before = {path.name: path.read_bytes() for path in (project.path / FOLDER).iterdir()}
    key = episodes(project_board(project).windows)[0].keys[0]
    acknowledge(project.path, key, "Ada", "seen", datetime.datetime(2026, 4, 1, tzinfo=UTC))
    assert {path.name: path.read_bytes() for path in (project.path / FOLDER).iterdir()} == before
    board = project_board(project)
    assert any(key in e.keys and e.acknowledged is not None for e in board.episodes)


def test_acknowledgements_survive_a_cut_off_line_and_many_writers(project: Project) -> None:
    keys = [a.key for w in project_board(project).windows for a in w.alerts]
    (project.path / FILE).write_text('{"key": "x", "by": "Ev')  # a process died here
    now = datetime.datetime(2026, 4, 1, tzinfo=UTC)
    threads = [threading.Thread(target=acknowledge, args=(project.path, key, f"Ada {i}", "seen", now)) for i, key in enumerate(keys[:8])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {each.key for each in read_acknowledged(project.path)} == set(keys[:8])


# --- lines ----------------------------------------------------------------------------------------------------------


def test_what_could_not_be_measured_is_a_gap_and_never_a_zero() -> None:
    values: list[Any] = [0.8, float("nan"), None, "0.7", True, float("inf"), 0.0]
    found = lines(hours(7, metrics=lambda k: {"f1": {"value": values[k], "low": 0.1, "high": 0.9}}))
    assert found[0].values == (0.8, None, None, None, None, None, 0.0) and len(found[0].rows()) == 2


def test_measured_and_estimated_are_kept_apart_and_the_estimate_stays(windows: list[Window]) -> None:
    found = {line.kind: line for line in lines(windows) if line.part == "performance"}
    assert [v is None for v in found["measured"].values] == [w.status != "complete" for w in windows]
    assert [v is None for v in found["estimated"].values] == [w.rows == 0 for w in windows]
    rows = expected_and_realised(windows)
    assert len(rows) == 22 and rows[0]["expected"] != rows[0]["realised"]
    apart = dataclasses.replace(windows[0], metrics={"f1": {"value": 0.5, "low": 0.4, "high": 0.6, "kind": "measured", "estimated": {"value": 0.9, "low": 0.85, "high": 0.95}}})
    assert [row["apart"] for row in expected_and_realised([apart])] == [True]


def test_an_estimate_beside_the_truth_is_found_and_the_primary_metric_comes_first() -> None:
    entry = {"value": 0.7, "low": 0.6, "high": 0.8, "kind": "measured", "expected": {"value": 0.75, "low": 0.7, "high": 0.8}}
    found = lines(hours(1, metrics={"accuracy": entry, "f1": entry}), Limits(watched=("f1",)))
    assert [(line.name, line.kind, line.values[0]) for line in found[:2]] == [("f1", "measured", 0.7), ("f1", "estimated", 0.75)]


def test_a_limit_comes_from_the_record_or_from_what_the_metric_was() -> None:
    w = hours(1, metrics={"rmse": {"value": 3.0, "reference": 2.0}, "f1": {"value": 0.5, "reference": 0.8}})
    found = {line.name: line.limit for line in lines(w, Limits(metrics={"f1": 0.7}))}
    assert found["f1"] == 0.7 and found["rmse"] == pytest.approx(2.1)  # an error may grow by 5 %


def test_limits_are_those_of_the_record(project: Project) -> None:
    path = project.path / "records" / "monitoring.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text("monitoring:\n  model_performance:\n    metrics: [{name: f1, threshold: 0.6}, {name: prediction_distribution, alert: KL divergence > 0.3}]\n"
                    "    latency: {p95_ms: 80, alert_threshold_ms: 200}\n    throughput: {error_rate_threshold: 0.02}\n  data_drift: {method: PSI, alert_threshold: 0.15}\n")
    limits, problem = project_limits(project)
    assert not problem and (limits.metrics, limits.kl, limits.error_rate, limits.alert) == ({"f1": 0.6}, 0.3, 0.02, 0.15)
    found = {(line.part, line.name): line.limit for line in project_board(project).lines}
    assert (found["service", "p99_ms"], found["service", "p95_ms"], found["service", "error_rate"], found["prediction", "kl"]) == (200, 80, 0.02, 0.3)
    path.write_text("monitoring: [")
    assert project_limits(project)[0] == Limits() and "cannot be used" in project_board(project).remarks[0]


# --- the heat map ---------------------------------------------------------------------------------------------------


def severities(k: int) -> dict[str, dict[str, Any]]:
    hot = k == 777
    return {"a": {"psi": 0.9 if hot else 0.01, "severity": "critical" if hot else "none", "importance": 0.1}, "b": {"psi": 0.02, "severity": "none", "importance": 0.9},
            "y": {"psi": 3.0, "severity": "critical", "role": "label"}}


def test_hundreds_of_windows_are_put_together_and_the_worst_of_each_cell_stays() -> None:
    windows = hours(1000, columns=severities)
    found = heat(windows)
    assert found.features == ("b", "a") and len(found.starts) <= 60 and found.each == 17
    assert found.starts[0] == windows[0].start and found.ends[-1] == windows[-1].end
    assert [k for k, s in enumerate(found.severity[1]) if s == "critical"] == [next(k for k, end in enumerate(found.ends) if end >= windows[777].end)]
    assert len(found.plot().axes[0].collections[0].get_paths()) == 2 * len(found.starts)


@settings(max_examples=40)
@given(st.integers(0, 400), st.integers(1, 80))
def test_every_window_is_in_one_cell(n: int, cells: int) -> None:
    windows = hours(n, columns={"a": {"psi": 0.1, "severity": "none"}})
    found = heat(windows, most_cells=cells)
    assert len(found.starts) <= cells and len(found.starts) == len(set(found.starts))
    assert all(end == start for end, start in zip(found.ends, found.starts[1:], strict=False))  # nothing between two cells, nothing twice
    assert (found.starts[:1], found.ends[-1:]) == ((windows[0].start,), (windows[-1].end,)) if n else found.features == ()


def test_severity_can_be_read_without_colours(windows: list[Window]) -> None:
    drawn = [text.get_text() for text in heat(windows).plot().axes[0].texts]
    flat = [kind for row in heat(windows).severity for kind in row]
    assert drawn.count("✖") == flat.count("critical") > 0 and drawn.count("▲") == flat.count("warning") > 0


def test_columns_that_come_go_or_cannot_be_compared_leave_cells_empty() -> None:
    windows = hours(3, columns=lambda k: [{"a": {"psi": None, "severity": "not_compared"}}, {"b": {"psi": float("nan")}}, {}][k])
    found = heat(windows)
    assert set(found.features) == {"a", "b"} and found.psi[found.features.index("a")] == (None, None, None)
    assert found.severity[found.features.index("a")] == ("not_compared", "", "")
    assert "nothing to compare" in heat([])._repr_html_() and found.plot() is not None


# --- pages ----------------------------------------------------------------------------------------------------------


def test_every_page_says_in_words_when_there_is_nothing() -> None:
    assert list(board_pages(Board(()))) == ["Verdict"] and "mlnb monitor" in board_pages(Board(()))["Verdict"]
    pages = board_pages(Board(tuple(hours(2))))
    for title, words in (("Performance", "No window holds a metric"), ("Drift", "No window holds a feature"), ("Service", "Nothing is known of the service"),
                         ("Alarms", "No alarm rang"), ("Predictions", "No proxy is watched")):
        assert words in pages[title]


def test_names_and_messages_are_escaped_everywhere(tmp_path: Path) -> None:
    nasty = 'javascript:alert(1)//"><b>'
    w = hours(2, columns={TRAP: {"psi": 0.5, "severity": "critical", "why": TRAP, "response": TRAP, "missing": [0, 0.5]}},
              metrics={TRAP: {"value": 0.5, "low": 0.4, "high": 0.6}},
              proxies={TRAP: {"value": 1.0}}, notes=(TRAP,), labels={"share": 0.2, "problems": TRAP}, model=TRAP)
    w = [dataclasses.replace(x, alerts=(dataclasses.replace(alarm(x), subject=TRAP, message=TRAP, response=TRAP, evidence=nasty),)) for x in w]
    known = (Acknowledgement(w[0].alerts[0].key, TRAP, TRAP, "2026-01-01T00:00:00+00:00"),)
    project = make_project(tmp_path, w)
    shown = Board(tuple(w), name=TRAP, acknowledged=known, base="..", remarks=(TRAP,))._repr_html_() + still_html(BoardState(project))
    assert TRAP not in shown and "onerror=alert(1)&gt;" in shown and "href" not in shown and "<script" not in shown


def test_evidence_is_a_link_only_within_the_project() -> None:
    assert evidence_html("monitoring/windows/a b#1?.json", "..") == (
        '<a href="../monitoring/windows/a b%231%3F.json" title="monitoring/windows/a b#1?.json">figures of the window</a>')
    for path in ("javascript:alert(1)", "/etc/passwd", "../secret", "a/../../b", "http://x/y", "\\\\host\\x", ""):
        assert "href" not in evidence_html(path, "..")


def test_thousands_of_alarms_make_a_short_page() -> None:
    windows = [dataclasses.replace(w, columns={"a": {}}, alerts=tuple(alarm(w, subject=f"c{i}") for i in range(200))) for w in hours(20)]
    shown = alerts_html(episodes(windows))
    assert len(shown) < 60_000 and "170 more go on" in shown


def test_late_labels_are_overdue_only_after_their_day(windows: list[Window]) -> None:
    on_time = labels_html(windows, datetime.datetime(2026, 3, 31, tzinfo=UTC))
    assert "7 of 30 windows wait" in on_time and "overdue" not in on_time
    assert "7 are overdue" in labels_html(windows, datetime.datetime(2026, 5, 1, tzinfo=UTC))


def test_a_monitor_that_stopped_is_said(windows: list[Window]) -> None:
    calm = Board(tuple(windows[:10]), now=datetime.datetime(2026, 3, 11, 20, tzinfo=UTC))
    late = dataclasses.replace(calm, now=datetime.datetime(2026, 3, 20, tzinfo=UTC))
    assert calm.verdict[0] is Status.PASS and late.verdict[0] is Status.WARN and "9 days ago" in late.verdict[1]


def test_data_apart_from_html(windows: list[Window]) -> None:
    board = Board(tuple(windows))
    plain = json.loads(json.dumps(board.to_dict(), allow_nan=False))
    assert plain["status"] == "fail" and plain["windows"] == 30 and len(plain["episodes"]) == len(board.episodes)
    frame = board.frame()
    assert frame.query("part == 'performance' and kind == 'measured'").shape[0] == 22 and set(frame.columns) >= {"start", "value", "low", "high"}
    assert list(Board(()).frame().columns) == list(frame.columns)
    with pytest.raises(InputError, match="allowed are all, 24 hours"):
        within(windows, "fortnight")


def test_files_that_somebody_edited_leave_the_dashboard_standing(project: Project) -> None:
    path = window_file(project.path, "2026-03-20T00:00:00+00:00", "2026-03-21T00:00:00+00:00")
    data = json.loads(path.read_text())
    path.write_text(json.dumps({**data, "metrics": {"roc_auc": {"value": "high"}}, "columns": {"tenure": {"psi": "big", "severity": "odd", "profile": {"kind": 3}}},
                                "prediction": {"edges": [1], "counts": []}, "service": {"p99_ms": None}, "labels": {"share": "half"}, "proxies": {"x": {}}}))
    (project.path / FOLDER / "broken.json").write_text("{")
    board = project_board(project)
    assert "1 windows cannot be read" in board.remarks[0] and len(board._repr_html_()) > 10_000


# --- the panel's state ----------------------------------------------------------------------------------------------


def test_project_panel_is_this_one(project: Project) -> None:
    panel = project.panel("monitoring")
    assert isinstance(panel, MonitoringPanel) and "15 windows" in repr(panel)
    still = panel._repr_html_()
    assert "Drift by feature and window" in still and "What is watched" in still and "Is it decided what is watched" not in still and "MON-CONFIG" in still


def test_the_state_follows_the_disk(project: Project, windows: list[Window]) -> None:
    state = BoardState(project)
    assert not state.refresh() and len(state.board.windows) == 15
    save_window(project.path, windows[14])
    assert state.refresh() and len(state.board.windows) == 16
    seen: list[Any] = []
    state.observe(seen.append, "board")
    state.period = "24 hours"
    assert len(seen) == 1 and len(state.board.windows) == 1 and len(state.whole.windows) == 16


def test_a_window_is_read_again_when_its_file_changed_and_only_then(project: Project, windows: list[Window], monkeypatch: pytest.MonkeyPatch) -> None:
    before, parsed = read_windows(project.path), []
    whole = Window.from_dict
    monkeypatch.setattr(Window, "from_dict", lambda data: parsed.append(data["start"]) or whole(data))
    assert read_windows(project.path) == before and not parsed
    other = dataclasses.replace(windows[20], rows=windows[20].rows + 1)
    stamp = window_file(project.path, other.start, other.end).stat().st_mtime_ns
    path = save_window(project.path, other)
    os.utime(path, ns=(stamp, stamp))  # a copy that kept its time
    after = read_windows(project.path)
    assert parsed == [other.start] and next(w for w in after if w.start == other.start).rows == other.rows
    path.write_text("{")
    assert len(read_windows(project.path)) == len(before) - 1
    save_window(project.path, windows[20])
    assert read_windows(project.path) == before


def test_a_feature_without_counts_or_reference_is_shown_without_a_picture(project: Project) -> None:
    state = BoardState(project)
    assert "<img" in feature_html(state)
    (project.path / "results" / "reference.json").unlink()
    assert state.refresh() and "no reference profile" in feature_html(state) and "PSI" in feature_html(state)
    state.window = "2020-01-01"
    assert "is not in that window" in feature_html(state)


def test_what_is_chosen_is_always_there(project: Project) -> None:
    state = BoardState(project)
    assert state.feature in ("payment", "tenure") and state.window == state.windows[0]
    state.feature, state.window = "discount", state.windows[-1]
    state.period = "24 hours"
    assert state.feature == "discount" and state.window == state.windows[0]  # the window is out of the period, the feature is not


def test_a_monitor_that_is_not_there_is_said(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlnb.monitoring.watch", None)
    state = BoardState(project)
    state.run()
    assert "no monitor to run" in state.doing and not state.running


def test_a_project_without_a_model_says_so(project: Project) -> None:
    state = BoardState(project)
    state.run()
    assert "No model is trained yet" in state.doing and not state.running


def test_a_run_shows_its_windows_and_can_be_stopped(project: Project, windows: list[Window]) -> None:
    state, seen = BoardState(project, lambda: datetime.datetime(2026, 3, 31, tzinfo=UTC)), []  # type: BoardState, list[Any]

    def monitor(project: Project, now: datetime.datetime, stop: Any) -> Any:
        made = []
        for w in windows[:15]:
            if stop():
                break
            made.append(w)
            save_window(project.path, w)
            (project.path / "monitoring" / "state.json").write_text(json.dumps({"status": "at work", "made": len(made), "of": 15}))
            state.follow()
            seen.append((state.running, state.progress))
            if len(made) == 3:
                state.cancel()
                state.run()  # a second one does nothing while the first is at work
        return type("Turn", (), {"windows": tuple(made), "told": (1,), "failed": (), "notes": ("late rows",)})

    state.monitor = monitor
    state.run()
    assert seen == [(True, 1 / 15), (True, 2 / 15), (True, 3 / 15)] and not state.running
    assert state.doing == "3 windows made, 1 new message. It was stopped; the next run goes on from there." and len(state.whole.windows) == 18
    state.cancel()  # nothing runs: nothing happens
    state.monitor = lambda project, now, stop: 1 / 0
    state.run()
    assert state.doing.startswith("It broke off: ZeroDivisionError") and not state.running


def test_widgets_and_state_move_each_other(project: Project) -> None:
    panel = MonitoringPanel(project)

    def find(widget: Any, words: str) -> Any:
        if getattr(widget, "description", "") == words:
            return widget
        return next((hit for child in getattr(widget, "children", ()) if (hit := find(child, words)) is not None), None)

    box = panel.widget
    find(box, "Show alarms").value = "critical only"
    assert {e.severity for e in panel.state.board.episodes} <= {"critical"} and find(box, "Alarm to acknowledge").options
    panel.state.severity = "all alarms"
    assert find(box, "Show alarms").value == "all alarms"
    find(box, "Seen in").value = panel.state.windows[3]
    assert panel.state.window == panel.state.windows[3]
    find(box, "Feature").value = "discount"
    texts: list[str] = []

    def collect(widget: Any) -> None:
        texts.append(str(getattr(widget, "value", "")))
        for child in getattr(widget, "children", ()):
            collect(child)

    collect(box)
    assert any("PSI" in text and "<img" in text for text in texts) and not any(re.search(r"<svg|<script", text) for text in texts)


def test_ranks_cover_what_windows_say() -> None:
    assert RANK == {"none": 0, "warning": 1, "critical": 2}


def test_classes_are_shown_as_shares(windows: list[Window]) -> None:
    from mlnb.monitoring.board_plots import plot_prediction

    answers = hours(3, prediction=lambda k: {"kl": 0.0, "profile": {"kind": "categorical", "values": [["a", 6 + k], ["b", 4 - k]]}} if k else {})
    drawn = plot_prediction(lines(answers), answers).axes[0]
    assert [text.get_text() for text in drawn.get_legend().get_texts()] == ["a", "b"]
    assert [round(float(y), 2) for y in drawn.lines[0].get_ydata()[1:]] == [0.7, 0.8]


def test_a_feature_that_the_rows_lack_is_critical_on_the_map() -> None:
    found = heat(hours(2, columns=lambda k: {"a": {"psi": 0.0, "severity": "none"}} if k else {}, drift=lambda k: {} if k else {"absent": ["a", "b"]}))
    assert dict(zip(found.features, found.severity, strict=True)) == {"a": ("critical", "none"), "b": ("critical", "")}


@pytest.mark.parametrize("with_windows", [False, True])
def test_the_report_shows_each_section_or_says_why_not(tmp_path: Path, windows: list[Window], with_windows: bool, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    from mlnb.monitoring import batch
    from mlnb.monitoring.drift import compare

    project = make_project(tmp_path, windows if with_windows else [])
    frame = pd.DataFrame({"x": range(90), "y": [0, 1, 0] * 30})
    monkeypatch.setattr(batch, "project_drift", lambda project, current: compare(frame, frame, target="y"))
    cells = [cell for cell in json.loads((root / "templates" / "monitoring.ipynb").read_text())["cells"] if cell["cell_type"] == "code"]
    names: dict[str, Any] = {}
    shown = ""
    for cell in cells:
        body = ast.parse("".join(cell["source"])).body
        last = body.pop() if isinstance(body[-1], ast.Expr) else None
        exec(compile(ast.Module(body, []), "report", "exec"), names)
        if "parameters" in cell["metadata"].get("tags", ()):
            names |= {"project": str(project.path), "now": "2026-04-20"}
        if last is not None:
            shown += str(eval(compile(ast.Expression(last.value), "report", "eval"), names)._repr_html_())
    there = {"../monitoring/windows/": with_windows, "7 are overdue": with_windows, "Drift by feature and window": with_windows,
             "tenure in training and in the window": with_windows,
             "Nothing has been watched over time yet": not with_windows, "There are no windows to compare": not with_windows, "DRIFT-CONCEPT": True,
             "MON-CONFIG": True, "Every field of records/monitoring.yaml": True, "Milliseconds within which 95 % come": True}
    assert {words: words in shown for words in there} == there
    assert len(shown) < 2_000_000 and str(tmp_path) not in shown


def test_alarms_of_the_model_before_are_not_called_for_after_another_took_over(windows: list[Window]) -> None:
    until = windows[:-1] if not windows[-1].alerts else windows
    old = Board(tuple(until), model=until[-1].model)
    assert old.verdict[0] is Status.FAIL and "took over" not in old.verdict[1]
    new = dataclasses.replace(old, model="EXP-2026-04-01-001")
    assert new.verdict[0] is Status.WARN and new.verdict[1].startswith(f"EXP-2026-04-01-001 took over and has no window yet; what follows is of {until[-1].model}. ")
    damaged = Alert("MON-DATA", "x.csv", "critical", "x.csv cannot be read", until[-1].start, until[-1].end)
    feed = dataclasses.replace(until[-1], alerts=(*until[-1].alerts, damaged))
    assert dataclasses.replace(new, windows=(*until[:-1], feed)).verdict[0] is Status.FAIL  # a feed is broken for every model
