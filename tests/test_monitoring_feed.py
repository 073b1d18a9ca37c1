"""What a feed does to the monitor: it stops, it sends files that cannot be read, labels that nobody knows, and labels whose delay nobody wrote down."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from watched import batch, copied, loans, trained

from mlnb.core.project import Project
from mlnb.monitoring.alarms import SILENT, feed_alarms
from mlnb.monitoring.episodes import episodes
from mlnb.monitoring.lens import Lens
from mlnb.monitoring.watch import watch
from mlnb.monitoring.windows import Window, read_windows


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return trained(tmp_path_factory.mktemp("fed"))


@pytest.fixture
def make(base: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Project]:
    monkeypatch.setattr(Lens, "estimator", None)  # has tests of its own
    return lambda **record: copied(base, tmp_path, **record)


def day(i: int) -> str:
    return f"{pd.Timestamp('2026-03-01') + pd.Timedelta(days=i):%Y-%m-%d}"


def window(i: int, rows: int) -> Window:
    return Window(f"{day(i)}T00:00:00+00:00", f"{day(i + 1)}T00:00:00+00:00", rows, "complete" if rows else "empty")


@pytest.mark.parametrize(("rows", "rings"), [
    ([100] * 12 + [0] * SILENT, True),
    ([100] * 12 + [0] * (SILENT - 1), False),
    ([100] * 9 + [0] * SILENT, False),  # too short a history to know what is usual
    ([100] * 5 + [0] + [100] * 6 + [0] * SILENT, True),  # one holiday
    (([100] * 5 + [0] * 2) * 4 + [0] * SILENT, False),  # nothing comes at weekends: silence is not unusual there
    ([0] * 20, False),
    ([100] * 12 + [0] * 7 + [100], False),
])
def test_a_feed_that_stops_is_an_alarm_when_it_came_all_the_time(rows: list[int], rings: bool) -> None:
    made = [window(i, n) for i, n in enumerate(rows)]
    assert bool(list(feed_alarms(made[-1], made[:-1]))) is rings


def test_a_feed_that_stops_is_told_and_over_when_it_goes_on(make: Callable[..., Project]) -> None:
    project = make()
    for i in range(10):
        batch(project, f"{day(i)}.csv", loans(40, i).drop(columns="y"))
    assert not any(a.subject == "feed" for a in watch(project, f"{day(12)}T01:00").alerts)
    silent = watch(project, f"{day(13)}T01:00")
    assert [(a.code, a.subject, a.severity) for a in silent.alerts] == [("MON-DATA", "feed", "critical")] and "2026-03-11" in silent.alerts[0].message
    assert [n.alert.subject for n in silent.told if n.kind == "raised"] == ["feed"]
    batch(project, f"{day(13)}.csv", loans(40, 13).drop(columns="y"))
    assert [n.kind for n in watch(project, f"{day(14)}T01:00").told if n.alert.subject == "feed"] == ["recovered"]


def test_a_feed_that_stopped_is_told_however_long_the_monitor_was_down(make: Callable[..., Project]) -> None:
    project = make(sources={"time": "at"}, data_drift={"check_frequency": "hourly"}, alerts={"file": "told.jsonl"})
    batch(project, "a.csv", loans(400, 1).drop(columns="y").assign(at=pd.date_range("2026-03-01", periods=400, freq="180s")))  # 20 hours
    back = watch(project, "2026-03-04T06:10")
    empty = [w.start[:13] for w in back.windows if not w.rows]
    assert empty == ["2026-03-04T03", "2026-03-04T04", "2026-03-04T05"] and any("58 windows after" in n and "the last 3 are written" in n for n in back.notes)
    assert [(n.kind, n.alert.subject) for n in back.told if n.alert.code == "MON-DATA"] == [("raised", "feed")]
    assert [w.start[:13] for w in watch(project, "2026-03-04T07:10").windows] == ["2026-03-04T06"]
    assert watch(project, "2026-03-04T07:20").due == ()
    batch(project, "b.csv", loans(40, 2).drop(columns="y").assign(at=pd.date_range("2026-03-04T07:00", periods=40, freq="60s")))
    on = watch(project, "2026-03-04T08:10")
    assert [(w.start[:13], w.rows) for w in on.windows] == [("2026-03-04T07", 40)] and [n.kind for n in on.told if n.alert.subject == "feed"] == ["recovered"]


def test_a_damaged_file_is_over_when_it_is_mended_and_not_when_the_next_one_is_whole(make: Callable[..., Project]) -> None:
    project = make()
    (project.path / "asked" / "2026-03-01.parquet").write_bytes(b"PAR1 half of a file")
    for i in (1, 2):
        batch(project, f"{day(i)}.csv", loans(40, i).drop(columns="y"))
    watch(project, f"{day(3)}T01:00")
    assert [(e.subject, e.going) for e in episodes(read_windows(project.path)) if e.code == "MON-DATA"] == [("2026-03-01.parquet", True)]
    loans(40, 0).drop(columns="y").to_parquet(project.path / "asked" / "2026-03-01.parquet")
    assert [n.kind for n in watch(project, f"{day(3)}T02:00").told] == ["withdrawn"]
    assert not [e for e in episodes(read_windows(project.path)) if e.code == "MON-DATA"]


def test_unfinished_files_are_left_out_and_other_forms_are_said(make: Callable[..., Project]) -> None:
    project = make(sources={"batches": "asked/*"})
    batch(project, "2026-03-01.csv", loans(40, 1).drop(columns="y"))
    batch(project, "2026-03-02.csv.tmp", loans(40, 2).drop(columns="y"))
    assert [w.rows for w in watch(project, "2026-03-02T01:00").windows] == [40]
    folder = make_again(project)
    (folder.path / "asked" / "2026-03-02.jsonl").write_text('{"income": 3000}\n')
    came = watch(folder, "2026-03-03T01:00")
    assert any("2026-03-02.jsonl" in note and "not read" in note for note in came.notes)


def make_again(project: Project) -> Project:
    record = project.record("monitoring")
    record.sources.batches = "asked"  # type: ignore[attr-defined]
    project.save_record("monitoring", record)
    return Project(project.path)


def test_the_same_keys_on_another_day_are_new_rows(make: Callable[..., Project]) -> None:
    project = make(sources={"key": "id"})
    rows = loans(60, 1).drop(columns="y")
    batch(project, "2026-03-01.csv", rows)
    batch(project, "2026-03-02T06-30-15.csv", rows.assign(income=rows.income + 50))  # the same customers, a day later
    batch(project, "2026-03-02T06-30-45.csv", rows.assign(income=rows.income + 50, region="a"))  # and once more in that day
    assert [w.rows for w in watch(project, "2026-03-03T01:00").windows] == [60, 60]


def test_labels_that_the_model_does_not_know_are_counted_and_the_others_judged(make: Callable[..., Project]) -> None:
    project = make(sources={"labels": "labels.csv", "key": "id"})
    rows = loans(200, 1)
    batch(project, "2026-03-01.csv", rows.drop(columns="y"))
    rows[["id", "y"]].assign(y=[*["perhaps"] * 40, *rows.y[40:]]).to_csv(project.path / "labels.csv", index=False)
    made, = watch(project, "2026-03-02T01:00").windows
    assert made.metrics["f1"]["rows"] == 160 and any("40 of 200 labels are none that the model knows ('perhaps')" in note for note in made.notes)


@pytest.mark.parametrize(("labels", "words"), [
    (20, "20 rows have a label and an answer, 30 are needed"), (0, "all 200 labels are 'good'")])
def test_why_there_is_no_performance(make: Callable[..., Project], labels: int, words: str) -> None:
    project = make()
    rows = loans(200, 1)
    batch(project, "2026-03-01.csv", rows.assign(y=rows.y.where(rows.index < labels)) if labels else rows.assign(y="good"))
    made, = watch(project, "2026-03-02T01:00").windows
    assert "f1" not in made.metrics and any(words in note for note in made.notes)


def test_labels_are_waited_for_when_nobody_wrote_down_when_they_come(make: Callable[..., Project]) -> None:
    project = make(sources={"labels": "labels.csv", "key": "id"})
    rows = loans(200, 1)
    batch(project, "2026-03-01.csv", rows.drop(columns="y"))
    rows[["id", "y"]].head(60).to_csv(project.path / "labels.csv", index=False)
    first = watch(project, "2026-03-02T01:00")
    assert first.windows[0].metrics["f1"]["rows"] == 60 and any("ground_truth_delay is open" in note for note in first.notes)
    rows[["id", "y"]].to_csv(project.path / "labels.csv", index=False)
    late, = [w for w in watch(project, "2026-03-20T01:00").windows if w.rows]
    assert late.metrics["f1"]["rows"] == 200 and late.status == "complete"


def test_the_ledger_has_the_limit_of_the_record(make: Callable[..., Project]) -> None:
    watched = {"metrics": [{"name": "primary_metric"}, {"name": "prediction_distribution", "alert": "KL divergence > 5"}]}
    project = make(model_performance=watched)
    batch(project, "2026-03-01.csv", loans(400, 1, shift=600).drop(columns="y"))
    came = watch(project, "2026-03-02T01:00")
    found = came.findings.get("DRIFT-PREDICTION")
    assert 0.1 < found.value < 5 and found.threshold == 5 and found.status.value == "pass"
    assert not any(a.code == "DRIFT-PREDICTION" for a in came.alerts)


@pytest.mark.parametrize("wrong", ["9999-12-31", "0001-01-01", "not a date"])
def test_a_time_that_is_none_takes_no_other_row_away(make: Callable[..., Project], wrong: str) -> None:
    project = make(sources={"time": "at"})
    rows = loans(60, 1).drop(columns="y").assign(at=[f"2026-03-01T{i % 24:02}:00:00" for i in range(60)])
    rows.loc[7, "at"] = wrong
    batch(project, "a.csv", rows)
    made, = watch(project, "2026-03-02T01:00").windows
    assert made.rows == 59 and any("the time of 1 rows cannot be read" in note for note in made.notes)


@pytest.mark.parametrize("unit", [1, 1000, 1_000_000, 1_000_000_000])
def test_times_as_numbers_of_any_unit(make: Callable[..., Project], unit: int) -> None:
    project = make(sources={"time": "at"})
    start = int(pd.Timestamp("2026-03-01").timestamp())
    batch(project, "a.csv", loans(48, 1).drop(columns="y").assign(at=[(start + 3600 * i) * unit for i in range(48)]))
    assert [w.rows for w in watch(project, "2026-03-03T01:00").windows] == [24, 24]


@pytest.mark.parametrize(("form", "days", "rows"), [
    ("%d.%m.%Y %H:%M", ("2026-05-01", "2026-05-02"), [24, 24]),  # dots: the day comes first
    ("%d/%m/%Y %H:%M", ("2026-05-12", "2026-05-13"), [24, 24]),  # a thirteenth month there is not
    ("%m/%d/%Y %H:%M", ("2026-05-12", "2026-05-13"), [24, 24]),
    ("%d/%m/%Y %H:%M", ("2026-05-01", "2026-05-02"), []),  # it may be January and February
])
def test_days_and_months_are_not_guessed(make: Callable[..., Project], form: str, days: tuple[str, str], rows: list[int]) -> None:
    project = make(sources={"time": "at"})
    at = pd.date_range(days[0], periods=48, freq="h").strftime(form)
    loans(48, 1).drop(columns="y").assign(at=at).to_parquet(project.path / "asked" / "2026-05-20.parquet")
    watch(project, "2026-05-31")
    made = read_windows(project.path)
    assert [w.rows for w in made if w.rows] == rows and (rows or any(a.code == "MON-DATA" and "cannot be read" in a.message for w in made for a in w.alerts))
    assert {w.start[:10] for w in made if w.rows} == (set(days) if rows else set())


def test_a_log_without_times_is_said(make: Callable[..., Project]) -> None:
    project = make(sources={"batches": "", "requests": "log.jsonl"})
    (project.path / "log.jsonl").write_text('{"rows": [{"income": 3000}], "predictions": [0.3], "status": 200}\n' * 40)
    came = watch(project, "2026-03-02T01:00")
    assert not came.windows and any("the log tells nothing" in note and "40" in note for note in came.notes)
    when = int(pd.Timestamp("2026-03-01T12:00").timestamp() * 1e6)
    (project.path / "log.jsonl").write_text(f'{{"time": "{when}", "rows": [{{"income": 3000, "region": "a"}}], "predictions": [0.3], "status": 200}}\n' * 40)
    assert [w.rows for w in watch(Project(project.path), "2026-03-02T01:00").windows] != []


def test_labels_in_other_capitals_are_no_drift(make: Callable[..., Project]) -> None:
    project = make(sources={"labels": "labels.csv", "key": "id"})
    rows = loans(400, 1)
    batch(project, "2026-03-01.csv", rows.drop(columns="y"))
    rows[["id", "y"]].assign(y=" " + rows.y.str.upper()).to_csv(project.path / "labels.csv", index=False)
    made, = watch(project, "2026-03-02T01:00").windows
    assert made.metrics["f1"]["rows"] == 400 and not any(a.code == "DRIFT-LABEL" for a in made.alerts)


def test_where_nothing_was_found_is_said(make: Callable[..., Project]) -> None:
    project = make(sources={"batches": "aksed"})
    assert any("aksed" in note and "sources.batches" in note for note in watch(project, "2026-03-02T01:00").notes)


def test_a_file_that_cannot_be_read_is_said_at_once(make: Callable[..., Project]) -> None:
    """Its alarm comes with the window in which it came; a turn before that said nothing, and called the day of its rows empty and calm."""
    project = make(sources={"time": "at"})
    now = pd.Timestamp.now("UTC")
    (project.path / "asked").mkdir(exist_ok=True)
    for k in range(5):
        (project.path / "asked" / f"half{k}.csv").write_text('id,at,income\n1,"2026')
    notes = watch(project, now.isoformat()).notes
    assert sum("half" in note and "It is an alarm when the window" in note for note in notes) == 3 and any("2 more files" in note for note in notes)
    assert [a.subject for a in watch(project, (now + pd.Timedelta(days=2)).isoformat()).alerts if a.code == "MON-DATA"]
