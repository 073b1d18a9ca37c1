"""Batch files that are put away, emptied, corrected or sent again, and what people are told of it."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from killed import said_by
from watched import WATCH_KILLED, batch, copied, loans, trained

from mlnb.core.project import Project
from mlnb.monitoring.batches import INDEX
from mlnb.monitoring.episodes import episodes
from mlnb.monitoring.lens import Lens
from mlnb.monitoring.notices import notices
from mlnb.monitoring.watch import watch
from mlnb.monitoring.windows import Alert, Window, read_windows


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return trained(tmp_path_factory.mktemp("put_away"))


@pytest.fixture
def make(base: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Project]:
    monkeypatch.setattr(Lens, "estimator", None)  # has tests of its own
    return lambda **record: copied(base, tmp_path, **{"alerts": {"file": "told.jsonl"}, "data_drift": {"features_to_monitor": ["income"]}, **record})


def rows(day: int, shift: float = 0, n: int = 300) -> pd.DataFrame:
    return loans(n, day, shift).drop(columns="y")


def days(project: Project, shifts: list[float]) -> None:
    for day, shift in enumerate(shifts, 1):
        batch(project, f"2026-03-{day:02}.csv", rows(day, shift))


def told(project: Project, subject: str = "income") -> list[tuple[str, str]]:
    lines = [json.loads(line) for line in (project.path / "told.jsonl").read_text().splitlines()]
    assert max(Counter(line["key"] for line in lines).values()) == 1
    return [(line["kind"], line["at"][8:10]) for line in lines if line["subject"] == subject]


def kept(project: Project) -> list[dict[str, Any]]:
    return [w.to_dict() for w in read_windows(project.path) if w.rows]


# files that are put away


@pytest.mark.parametrize("gone", [("01",), ("01", "02"), ("03",), ("02", "04"), ("04",), ("01", "02", "03", "04")])
def test_windows_stay_when_their_files_are_put_away_and_nobody_is_told_twice(make: Callable[..., Project], gone: tuple[str, ...]) -> None:
    project = make()
    days(project, [900, 0, 900, 0])
    watch(project, "2026-03-05T01:00")
    before = kept(project)
    first = [("raised", "01"), ("recovered", "02"), ("raised", "03"), ("recovered", "04")]
    assert told(project) == first
    for day in gone:
        (project.path / "asked" / f"2026-03-{day}.csv").unlink()
    assert watch(project, "2026-03-05T02:00").due == () and kept(project) == before and told(project) == first
    batch(project, "2026-03-05.csv", rows(5))
    assert [w.start[8:10] for w in watch(project, "2026-03-06T02:00").windows] == ["05"] and kept(project)[:4] == before and told(project) == first


def test_a_feed_that_stopped_is_told_when_all_files_were_put_away(make: Callable[..., Project]) -> None:
    project = make()
    days(project, [0] * 10)
    watch(project, "2026-03-11T01:00")
    for path in (project.path / "asked").iterdir():
        path.unlink()
    assert [(w.start[8:10], w.status) for w in watch(project, "2026-03-14T01:00").windows] == [("11", "empty"), ("12", "empty"), ("13", "empty")]
    assert told(project, "feed") == [("raised", "13")]


def test_a_window_whose_files_are_gone_in_part_stays_until_as_many_rows_are_there(make: Callable[..., Project]) -> None:
    project = make()
    for hour in (1, 2, 3):
        batch(project, f"2026-03-01T0{hour}.csv", rows(hour, n=100))
    watch(project, "2026-03-02T01:00")
    before = kept(project)
    (project.path / "asked" / "2026-03-01T01.csv").unlink()
    turn = watch(project, "2026-03-02T02:00")
    assert turn.due == () and any("files of 1 windows (2026-03-01 00:00) are gone" in note for note in turn.notes)
    batch(project, "2026-03-01T04.csv", rows(4, n=20))
    assert watch(project, "2026-03-02T03:00").due == () and kept(project) == before
    batch(project, "2026-03-01T05.csv", rows(5, n=90))
    assert [w.rows for w in watch(project, "2026-03-02T04:00").windows] == [310]
    batch(project, "2026-03-01T01.csv", rows(1, n=100))  # it was only away
    assert [w.rows for w in watch(project, "2026-03-02T05:00").windows] == [410]
    assert not json.loads((project.path / INDEX).read_text())["gone"]


def test_a_file_that_is_renamed_is_not_gone(make: Callable[..., Project]) -> None:
    project = make()
    days(project, [0, 0])
    watch(project, "2026-03-03T01:00")
    (project.path / "asked" / "2026-03-01.csv").rename(project.path / "asked" / "2026-03-01_done.csv")
    assert watch(project, "2026-03-03T02:00").due == () and not json.loads((project.path / INDEX).read_text())["gone"]
    batch(project, "2026-03-01_more.csv", rows(9, n=20))
    assert [w.rows for w in watch(project, "2026-03-03T03:00").windows] == [320]


@pytest.mark.parametrize("dated", [True, False])
def test_a_file_that_is_replaced_by_an_empty_one_is_believed_and_over_is_not_told_again(make: Callable[..., Project], dated: bool) -> None:
    project = make(sources={} if dated else {"time": "at"})
    for day, shift in enumerate([900, 0, 0], 1):
        batch(project, f"2026-03-{day:02}.csv" if dated else f"part{day}.csv", rows(day, shift).assign(**{} if dated else {"at": f"2026-03-{day:02}T10:00"}))
    watch(project, "2026-03-04T01:00")
    assert told(project) == [("raised", "01"), ("recovered", "02")]
    path = project.path / "asked" / ("2026-03-02.csv" if dated else "part2.csv")
    path.write_text("id,income,region" + ("" if dated else ",at") + "\n")
    assert [(w.start[8:10], w.rows, w.status) for w in watch(project, "2026-03-04T02:00").windows] == [("02", 0, "empty")]
    assert told(project) == [("raised", "01"), ("recovered", "02")] and not [e for e in episodes(read_windows(project.path)) if e.going]


def test_a_damaged_file_that_is_removed_takes_its_alarm_with_it(make: Callable[..., Project]) -> None:
    project = make()
    (project.path / "asked" / "2026-03-01.csv").write_text('id,income\n1,"2')
    batch(project, "2026-03-02.csv", rows(2))
    watch(project, "2026-03-03T01:00")
    (project.path / "asked" / "2026-03-01.csv").unlink()  # the first there is
    watch(project, "2026-03-03T02:00")
    assert told(project, "2026-03-01.csv") == [("raised", "01"), ("withdrawn", "01")]


# alarms that come back


def test_a_file_that_is_damaged_once_more_is_told_once_more(make: Callable[..., Project]) -> None:
    project = make()
    path, good = project.path / "asked" / "2026-03-01.csv", rows(1)
    for hour in range(1, 7):
        path.write_text('id,income\n1,"2') if hour % 2 else good.to_csv(path, index=False)
        watch(project, f"2026-03-02T0{hour}:00")
        watch(project, f"2026-03-02T0{hour}:30")
    assert told(project, path.name) == [("raised", "01"), ("withdrawn", "01")] * 3


def test_an_alarm_where_over_was_told_is_told(make: Callable[..., Project]) -> None:
    project = make()
    days(project, [900, 0])
    watch(project, "2026-03-03T01:00")
    batch(project, "2026-03-02.csv", rows(2, 900))
    watch(project, "2026-03-03T02:00")
    watch(project, "2026-03-03T03:00")
    assert told(project) == [("raised", "01"), ("recovered", "02"), ("lasting", "02")]  # the day after, it would be told again anyway
    alert = Alert("DRIFT-FEATURE", "income", "critical", "", "2026-03-01T00:00:00+00:00", "2026-03-01T01:00:00+00:00")
    after = Alert("DRIFT-FEATURE", "income", "critical", "", "2026-03-01T01:00:00+00:00", "2026-03-01T02:00:00+00:00")
    hours = [Window(a.start, a.end, 300, columns={"income": {}}, alerts=(a,)) for a in (alert, after)]
    sent = {alert.key: alert, f"{after.start}/DRIFT-FEATURE/income/recovered": alert}
    assert [n.key for n in notices(hours, told=sent)] == [alert.key, after.key] and [n.kind for n in notices(hours)] == ["raised"]


def test_over_keeps_its_key_when_an_earlier_window_shows_it_now(make: Callable[..., Project]) -> None:
    project = make()
    days(project, [900])
    batch(project, "2026-03-02.csv", rows(2, n=5))  # too few to tell
    batch(project, "2026-03-03.csv", rows(3))
    watch(project, "2026-03-04T01:00")
    batch(project, "2026-03-02-more.csv", rows(12))
    watch(project, "2026-03-04T02:00")
    assert told(project) == [("raised", "01"), ("recovered", "03")]


# corrections


def later(path: Path, seconds: int) -> None:
    stat = path.stat()
    os.utime(path, (stat.st_atime, stat.st_mtime + seconds))


@pytest.mark.parametrize("time", ["", "at"])
def test_the_same_keys_with_other_values_are_a_correction(make: Callable[..., Project], time: str) -> None:
    project = make(sources={"key": "id", **({"time": time} if time else {})})
    frame = rows(1, 900).assign(at="2026-03-01T10:00")
    batch(project, "batch_2026-03-01.csv", frame)
    assert {a.subject for a in watch(project, "2026-03-02T01:00").alerts} == {"income", "prediction"}
    later(batch(project, "batch_2026-03-01_v2.csv", frame.assign(income=frame.income - 900)), 60)
    turn = watch(project, "2026-03-02T02:00")
    assert [w.rows for w in turn.windows] == [300] and not turn.alerts and told(project) == [("raised", "01"), ("withdrawn", "01")]
    said = "batch_2026-03-01_v2.csv has the keys of batch_2026-03-01.csv with other values: it counts, and batch_2026-03-01.csv no more"
    assert said in turn.windows[0].notes and said in turn.notes
    later(batch(project, "batch_2026-03-01_again.csv", frame.iloc[::-1]), 120)  # the first once more: a repetition, and no correction of the correction
    turn = watch(project, "2026-03-02T03:00")
    assert turn.due == () and any("batch_2026-03-01_again.csv repeats batch_2026-03-01.csv" in note for note in turn.notes)
    (project.path / "asked" / "batch_2026-03-01.csv").unlink()
    (project.path / "asked" / "batch_2026-03-01_again.csv").unlink()
    assert watch(project, "2026-03-02T04:00").due == ()


def test_the_file_that_was_written_last_is_the_correction_whatever_its_name(make: Callable[..., Project]) -> None:
    project = make(sources={"key": "id"})
    later(batch(project, "2026-03-01_b.csv", rows(1, 900)), -60)
    batch(project, "2026-03-01_a.csv", rows(1))
    turn = watch(project, "2026-03-02T01:00")
    assert not turn.alerts and any(note.startswith("2026-03-01_a.csv has the keys of 2026-03-01_b.csv") for note in turn.notes)


def test_the_same_content_in_another_form_is_a_repetition_and_is_compared_once(make: Callable[..., Project], monkeypatch: pytest.MonkeyPatch) -> None:
    import mlnb.monitoring.batches as module

    project = make(sources={"key": "id"})
    frame = rows(1).assign(seen=pd.Timestamp("2026-03-01T10:00"), late=[True, False] * 150)
    batch(project, "2026-03-01.csv", frame)
    frame[frame.columns[::-1]].iloc[::-1].to_parquet(project.path / "asked" / "2026-03-01.parquet")
    first = watch(project, "2026-03-02T01:00")
    assert [w.rows for w in first.windows] == [300] and any("repeats" in note for note in first.notes) and not any("other values" in note for note in first.notes)
    monkeypatch.setattr(module, "_content", lambda *given: pytest.fail("it was compared before"))
    assert watch(project, "2026-03-02T02:00").due == ()


def test_rows_that_are_in_two_files_count_as_they_came_last(make: Callable[..., Project]) -> None:
    project = make(sources={"key": "id"})
    frame = rows(1)
    later(batch(project, "2026-03-01_a.csv", frame), -60)
    part = frame.iloc[:40].assign(income=lambda d: d["income"].where(d.index >= 30, 99_999))[["id", "income"]]  # the region is not sent again
    batch(project, "2026-03-01_b.csv", pd.concat([part, rows(2, n=10)[["id", "income"]]]))
    made, = watch(project, "2026-03-02T01:00").windows
    profile = made.columns["region"]
    assert made.rows == 310 and any("40 rows have a id that came before; they count once, 30 of them with other values" in note for note in made.notes)
    assert made.columns["income"]["means"][1] == pytest.approx(pd.concat([part.income, frame.income[40:], rows(2, n=10).income]).mean(), rel=1e-6)
    assert profile["missing"][1] == pytest.approx(10 / 310)


def test_killed_at_every_step_nothing_is_lost_and_nobody_is_told_twice(make: Callable[..., Project], tmp_path: Path) -> None:
    project = make(sources={"key": "id"})
    frame = rows(1, 900, n=60)
    batch(project, "2026-03-01.csv", frame)
    batch(project, "2026-03-02.csv", rows(2, n=60))
    batch(project, "2026-03-03.csv", rows(3, 900, n=60))
    (project.path / "asked" / "2026-03-04.csv").write_text('id,income\n1,"2')
    watch(project, "2026-03-05T01:00")
    later(batch(project, "2026-03-01_mended.csv", frame.assign(income=frame.income - 900)), 60)
    (project.path / "asked" / "2026-03-02.csv").unlink()
    batch(project, "2026-03-04.csv", rows(4, n=60))
    template = tmp_path / "template"
    template.mkdir()
    for part in (project.path, project.path.parent / "t.csv"):
        part.rename(template / part.name)
    runs = [json.loads(line) for line in said_by(WATCH_KILLED, str(template), "2026-03-05T02:00")]
    assert sum(code == -9 for _, code in runs) > 8 and runs[-1][1] == 0
    for path, _ in runs:
        done = Project(path)
        rung = {w.start[8:10]: [a.subject for a in w.alerts if a.code != "DRIFT-PREDICTION"] for w in read_windows(done.path)}
        assert rung == {"01": [], "02": [], "03": ["income"], "04": []}, path
        whole = "".join(line for line in (done.path / "told.jsonl").read_text().splitlines(keepends=True) if line.endswith("}\n"))
        (done.path / "told.jsonl").write_text(whole)  # without a line that the kill cut off
        assert told(done)[:3] == [("raised", "01"), ("recovered", "02"), ("raised", "03")] and ("withdrawn", "01") in told(done), path
        assert told(done, "2026-03-04.csv") == [("raised", "04"), ("withdrawn", "04")] and ("recovered", "04") in told(done), path
