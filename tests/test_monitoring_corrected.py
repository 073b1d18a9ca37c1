"""Labels that are corrected, damaged, put away or spread over files, and metrics that rest on the labels of several windows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from killed import said_by
from watched import WATCH_KILLED, batch, copied, loans, trained

from mlnb.core.project import Project
from mlnb.core.tables import open_table
from mlnb.monitoring.episodes import episodes
from mlnb.monitoring.feed import FileFeed
from mlnb.monitoring.label_files import find_labels
from mlnb.monitoring.label_keys import FOLDER, key_numbers
from mlnb.monitoring.lens import Lens
from mlnb.monitoring.watch import watch
from mlnb.monitoring.windows import Window, read_windows

DELAY = {"ground_truth_delay": "1d"}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return trained(tmp_path_factory.mktemp("corrected"))


@pytest.fixture
def make(base: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Project]:
    monkeypatch.setattr(Lens, "estimator", None)  # has tests of its own
    return lambda **record: copied(base, tmp_path, **{"sources": {"key": "id", "labels": "labels.csv"}, "concept_drift": DELAY, **record})


def turned(frame: pd.DataFrame) -> pd.DataFrame:
    "The same rows in a world where who repays is turned around."
    return frame.assign(y=frame["y"].map({"good": "bad", "bad": "good"}))


def label(project: Project, *frames: pd.DataFrame, name: str = "labels.csv") -> Path:
    path = project.path / name
    path.parent.mkdir(exist_ok=True)
    pd.concat(frames)[[name for name in ("id", "y", "known_at") if name in frames[0]]].to_csv(path, index=False)
    return path


def days(project: Project, rows: list[pd.DataFrame]) -> None:
    for day, frame in enumerate(rows, 1):
        batch(project, f"2026-03-{day:02}.csv", frame.drop(columns="y"))


def made(turn: Any) -> list[str]:
    return [w.start[8:10] for w in turn.windows if w.rows]


def f1(project: Project) -> dict[str, float]:
    return {w.start[8:10]: round(w.metrics["f1"]["value"], 6) for w in read_windows(project.path) if w.metrics.get("f1", {}).get("kind") == "measured"}


def kinds(project: Project, code: str) -> list[tuple[str, str]]:
    lines = [json.loads(line) for line in (project.path / "told.jsonl").read_text().splitlines()]
    return [(line["kind"], line["at"][8:10]) for line in lines if line["code"] == code]


# labels that are corrected


def test_labels_that_are_corrected_make_their_window_anew_and_no_other(make: Callable[..., Project], monkeypatch: pytest.MonkeyPatch) -> None:
    project = make(alerts={"file": "told.jsonl"})
    rows = [loans(700, day) for day in (1, 2, 3)]  # more keys than any sample
    days(project, rows)
    label(project, *rows)
    watch(project, "2026-03-08T01:00")
    before = f1(project)
    read: list[str] = []
    real = FileFeed.rows
    monkeypatch.setattr(FileFeed, "rows", lambda feed, start, wanted: read.append(start[8:10]) or real(feed, start, wanted))
    label(project, *rows[::-1], loans(50, 9))  # labels of other rows, and all in another order
    assert watch(project, "2026-03-08T02:00").due == () and not read
    last = int(np.argmax(key_numbers(rows[1]["id"])))  # whichever sample is taken by number, this is not in it
    label(project, rows[0], rows[1].assign(y=rows[1].y.where(rows[1].index != last, rows[1].y.map({"good": "bad", "bad": "good"}))), rows[2], loans(50, 9))
    assert made(watch(project, "2026-03-08T03:00")) == ["02"] and set(read) == {"02"}
    assert {day for day, value in f1(project).items() if value != before[day]} == {"02"}
    label(project, rows[0], turned(rows[1]), rows[2], loans(50, 9))
    turn = watch(project, "2026-03-08T04:00")
    assert made(turn) == ["02"] and {"DRIFT-CONCEPT"} <= {alert.code for alert in turn.alerts}
    label(project, *rows)
    assert made(watch(project, "2026-03-08T05:00")) == ["02"] and f1(project) == before
    assert kinds(project, "DRIFT-CONCEPT") == [("raised", "02"), ("recovered", "03"), ("withdrawn", "02")]
    assert watch(project, "2026-03-08T06:00").due == ()


def test_the_latest_label_holds_and_a_copy_of_it_is_no_change(make: Callable[..., Project]) -> None:
    project = make(sources={"key": "id", "labels": "days"})
    rows = loans(300, 1)
    days(project, [rows])
    label(project, rows.assign(known_at="2026-03-03"), name="days/1.csv")
    watch(project, "2026-03-08T01:00")
    before = f1(project)
    label(project, rows.assign(known_at="2026-03-04"), name="days/2.csv")  # the same once more
    assert not made(watch(project, "2026-03-08T02:00"))
    label(project, turned(rows).assign(known_at="2026-03-05"), name="days/3.csv")
    assert made(watch(project, "2026-03-08T03:00")) == ["01"] and f1(project) != before
    label(project, rows.assign(known_at="2026-03-06"), name="days/4.csv")  # and back: the same outcomes are there, and others hold
    assert made(watch(project, "2026-03-08T04:00")) == ["01"] and f1(project) == before


@pytest.mark.parametrize("n", [1, 40])
def test_of_many_keys_without_label_none_is_missed(make: Callable[..., Project], n: int) -> None:
    project = make()
    rows = loans(900, 1)
    days(project, [rows])
    label(project, rows.iloc[:50])
    watch(project, "2026-03-08T01:00")
    assert read_windows(project.path)[0].labels["phase"] == "overdue"
    late = rows.iloc[np.argsort(key_numbers(rows["id"]))[-n:]]  # those that no sample of the smallest numbers has
    label(project, rows.iloc[:50], late)
    assert made(watch(project, "2026-03-08T02:00")) == ["01"] and read_windows(project.path)[0].labels["rows"] == len({*rows.id[:50], *late.id})


def test_labels_that_are_put_away_leave_their_windows_as_they_are(make: Callable[..., Project]) -> None:
    project = make(sources={"key": "id", "labels": "days/*.csv"})
    rows = [loans(200, day) for day in (1, 2)]
    days(project, rows)
    for day in (1, 2):
        label(project, rows[day - 1], name=f"days/{day}.csv")
    watch(project, "2026-03-08T01:00")
    before = f1(project)
    (project.path / "days" / "1.csv").unlink()
    turn = watch(project, "2026-03-08T02:00")
    assert turn.due == () and any("labels of 1 windows (2026-03-01 00:00) are there no more" in note for note in turn.notes)
    (project.path / "days" / "2.csv").unlink()
    assert watch(project, "2026-03-08T03:00").due == () and f1(project) == before
    label(project, turned(rows[0]), name="days/1.csv")
    assert made(watch(project, "2026-03-08T04:00")) == ["01"]


def test_many_windows_and_labels_are_compared_without_reading_a_window(make: Callable[..., Project], monkeypatch: pytest.MonkeyPatch) -> None:
    project = make()
    rows = [loans(60, day) for day in range(1, 9)]
    days(project, rows)
    label(project, *rows[:7])
    watch(project, "2026-03-12T01:00")
    monkeypatch.setattr(FileFeed, "rows", lambda *given: pytest.fail("a window was read"))
    many = pd.DataFrame({"id": np.arange(200_000) + 10**9, "y": "good"})
    label(project, *rows[:7], many)
    assert watch(project, "2026-03-12T02:00").due == ()


def test_a_window_whose_kept_keys_are_gone_is_made_anew(make: Callable[..., Project]) -> None:
    project = make()
    rows = loans(60, 1)
    days(project, [rows])
    label(project, rows)
    watch(project, "2026-03-08T01:00")
    for path in (project.path / FOLDER).iterdir():
        path.write_bytes(b"torn")
    label(project, turned(rows))
    assert made(watch(project, "2026-03-08T02:00")) == ["01"] and made(watch(project, "2026-03-08T03:00")) == []


def test_a_clock_that_was_set_back_loses_no_label_and_undoes_nothing(make: Callable[..., Project]) -> None:
    project = make(concept_drift={"ground_truth_delay": "2d"})
    rows = [loans(200, day) for day in (1, 2)]
    days(project, rows)
    label(project, rows[0].iloc[:100], rows[1].iloc[:100])
    watch(project, "2026-03-05T06:00")
    before = f1(project)
    assert set(before) == {"01", "02"} and {w.labels["phase"] for w in read_windows(project.path) if w.rows} == {"due"}
    assert watch(project, "2026-03-03T06:00").due == () and f1(project) == before  # it was early then, and is measured already
    label(project, rows[0], turned(rows[1]))
    assert made(watch(project, "2026-03-02T06:00")) == ["01"]  # the second day has yet to come
    assert made(watch(project, "2026-03-05T07:00")) == ["02"] and {w.labels["share"] for w in read_windows(project.path) if w.rows} == {1.0}


# labels that cannot be read, and folders of them


def test_a_damaged_file_of_labels_rings_until_it_is_mended(make: Callable[..., Project]) -> None:
    project = make(alerts={"file": "told.jsonl"}, concept_drift={"ground_truth_delay": "0"})
    rows = [loans(200, day) for day in (1, 2, 3, 4)]
    days(project, rows)
    path = label(project, *rows[:1])
    watch(project, "2026-03-02T01:00")
    before = f1(project)
    path.write_text('id,y\n1,"go')
    turn = watch(project, "2026-03-03T01:00")
    assert [(a.code, a.subject, a.severity) for a in turn.alerts if a.code == "MON-DATA"] == [("MON-DATA", "labels in labels.csv", "critical")]
    assert made(turn) == ["02"] and f1(project) == before and any("labels cannot be read: labels.csv" in note for note in turn.notes)
    watch(project, "2026-03-04T01:00")
    assert [(e.windows, e.going) for e in episodes(read_windows(project.path)) if "labels in" in e.subject] == [(2, True)]
    label(project, *rows)
    assert made(watch(project, "2026-03-04T02:00")) == ["02", "03"] and set(f1(project)) == {"01", "02", "03"} and f1(project)["01"] == before["01"]
    assert not [a for w in read_windows(project.path) for a in w.alerts if a.code == "MON-DATA"]
    assert kinds(project, "MON-DATA") == [("raised", "02"), ("lasting", "03"), ("withdrawn", "02")]
    assert made(watch(project, "2026-03-05T02:00")) == ["04"]


def test_a_file_of_labels_that_is_damaged_and_replaced_by_a_calm_one_is_over(make: Callable[..., Project]) -> None:
    project = make(sources={"key": "id", "labels": "days"})
    rows = [loans(60, day) for day in (1, 2)]
    days(project, rows)
    label(project, *rows, name="days/1.csv")
    (project.path / "days" / "2.csv").write_text('id,y\n1,"go')
    first = watch(project, "2026-03-02T01:00")
    assert [w.labels["rows"] for w in first.windows] == [60] and [a.subject for a in first.alerts] == ["labels in 2.csv"]
    (project.path / "days" / "2.csv").unlink()
    second = watch(project, "2026-03-03T01:00")
    assert made(second) == ["01", "02"] and not second.alerts and not [e for e in episodes(read_windows(project.path)) if e.going]


@pytest.mark.parametrize("bad", ["b.csv", "b.parquet", "b.jsonl", "b.csv.gz", "b.jsonl.gz"])
def test_a_folder_of_labels_is_read_file_by_file(make: Callable[..., Project], bad: str) -> None:
    project = make(sources={"key": "id", "labels": "days"})
    rows = loans(300, 1)
    days(project, [rows])
    label(project, rows[:100], name="days/1.csv")
    rows[100:200][["id", "y"]].to_parquet(project.path / "days" / "2.parquet")
    rows[200:250][["id", "y"]].to_json(project.path / "days" / "3.jsonl", orient="records", lines=True)
    rows[250:][["id", "y"]].rename(columns={"id": "ID"}).to_csv(project.path / "days" / "4.csv.gz", index=False)
    label(project, rows[:0], name="days/5.csv")  # a header, and no label yet
    (project.path / "days" / "6.csv.tmp").write_text("half of a fi")
    assert watch(project, "2026-03-02T01:00").windows[0].labels["rows"] == 300
    (project.path / "days" / bad).write_bytes(b'{"id": 1, "y"\x80: 3}\n1,2,3\n"')
    made_, = (w for w in read_windows(project.path))
    batch(project, "2026-03-02.csv", loans(60, 2).drop(columns="y"))
    turn = watch(project, "2026-03-03T01:00")
    assert made(turn) == ["02"] and [a.subject for a in turn.alerts if a.code == "MON-DATA"] == [f"labels in {bad}"] and made_.labels["rows"] == 300


def test_labels_of_any_form_stand_for_the_same_outcomes(tmp_path: Path) -> None:
    rows, like = loans(50, 1)[["id", "y"]], open_table(loans(200, 2))
    numbers = np.sort(key_numbers(rows["id"]))
    found = set()
    for form, frame in (("a.csv", rows), ("b.parquet", rows[::-1]), ("c.csv", rows.astype({"id": float})), ("d.csv", pd.concat([rows, rows[:9]]))):
        frame.to_csv(tmp_path / form, index=False) if form.endswith("csv") else frame.to_parquet(tmp_path / form)
        found.add(find_labels(tmp_path, form, like, "id", "y").joined(numbers))
    assert len(found) == 1 and next(iter(found))[0] == 50


@pytest.mark.parametrize(("name", "content", "says"), [
    ("a.jsonl", b"1\n2\n", "has no column 'id'"), ("a.jsonl", b'{"id": 1, "y": ["good"]}\n', "holds lists or objects in y"),
    ("a.jsonl", b"\xff\xfe", "is no file of JSON lines"), ("a.csv", b"", "is empty"),
    ("a.csv", b"id,outcome\n1,good\n", "has no column 'y'; its columns are id, outcome"), ("a.csv", b"\x00\x01", "is not text"),
    ("a.csv.gz", b"no", "cannot be opened"), ("a.parquet", b"PAR1", "cannot be read as Parquet"), ("a.jsonl", b"", ""), ("a.csv", b"id,y\n,good\n,\n", "")])
def test_whatever_a_file_of_labels_holds_it_is_said(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(content)
    labels = find_labels(tmp_path, name, open_table(loans(200, 2)), "id", "y")
    assert labels.joined(np.sort(key_numbers(pd.Series([1, 2])))) == (0, "0") and bool(labels.faults) is bool(says)
    assert all(words.startswith(f"{name}: ") and says in words for words in labels.faults)


# metrics over several windows

WEEK = {"metrics": [{"name": "primary_metric", "window": "3d"}]}


def test_labels_of_a_window_make_those_anew_whose_metrics_reach_back_to_it(make: Callable[..., Project]) -> None:
    project = make(model_performance=WEEK)
    rows = [loans(100, day) for day in range(1, 7)]
    days(project, rows)
    label(project, *rows[:1], *rows[2:])
    watch(project, "2026-03-12T01:00")
    assert {w.start[8:10]: w.metrics["f1"]["rows"] for w in read_windows(project.path) if "f1" in w.metrics} == {"01": 100, "03": 200, "04": 200, "05": 300, "06": 300}
    label(project, *rows)
    assert made(watch(project, "2026-03-12T02:00")) == ["02", "03", "04"]
    assert {w.start[8:10]: w.metrics["f1"]["rows"] for w in read_windows(project.path) if "f1" in w.metrics} == {
        "01": 100, "02": 200, "03": 300, "04": 300, "05": 300, "06": 300}
    assert watch(project, "2026-03-12T03:00").due == ()
    batch(project, "2026-03-04-more.csv", loans(50, 44).drop(columns="y"))
    assert made(watch(project, "2026-03-12T04:00")) == ["04", "05", "06"] and watch(project, "2026-03-12T05:00").due == ()


def test_when_only_the_first_was_made_the_others_follow(make: Callable[..., Project]) -> None:
    project = make(model_performance=WEEK)
    rows = [loans(100, day) for day in range(1, 5)]
    days(project, rows)
    label(project, turned(rows[0]), *rows[1:])
    watch(project, "2026-03-12T01:00")
    before = f1(project)
    label(project, *rows)
    assert made(watch(project, "2026-03-12T02:00", limit=1)) == ["01"]
    assert made(watch(project, "2026-03-12T03:00")) == ["02", "03"] and watch(project, "2026-03-12T04:00").due == ()
    assert {day for day, value in f1(project).items() if value != before[day]} == {"01", "02", "03"}


# kills


def whole(folder: Path) -> list[dict[str, Any]]:
    shown = [w.to_dict() for w in read_windows(folder, strict=True)]
    return json.loads(json.dumps([{**w, "notes": [note for note in w["notes"] if "made again" not in note]} for w in shown]))


def test_killed_at_every_step_no_correction_is_lost(make: Callable[..., Project], tmp_path: Path) -> None:
    project = make(alerts={"file": "told.jsonl"}, model_performance={"metrics": [{"name": "primary_metric", "window": "2d"}]})
    rows = [loans(200, day) for day in (1, 2, 3)]
    days(project, rows)
    label(project, *rows)
    watch(project, "2026-03-08T01:00")
    label(project, turned(rows[0]), *rows[1:])
    template = tmp_path / "template"
    template.mkdir()
    for part in (project.path, project.path.parent / "t.csv"):
        part.rename(template / part.name)
    runs = [json.loads(line) for line in said_by(WATCH_KILLED, str(template), "2026-03-08T02:00")]
    assert sum(code == -9 for _, code in runs) > 8 and runs[-1][1] == 0
    wanted = whole(Path(runs[-1][0]))
    assert [w["labels"]["before"] != "" for w in wanted if w["rows"]] == [False, True, True]
    for path, _ in runs:
        assert whole(Path(path)) == wanted, path
        keys = [json.loads(line)["key"] for line in (Path(path) / "told.jsonl").read_text().splitlines() if line.endswith("}")]
        assert len(keys) == len(set(keys)) and any("DRIFT-CONCEPT" in key for key in keys), path


def test_a_window_of_an_earlier_version_is_made_anew_once(make: Callable[..., Project]) -> None:
    project = make()
    rows = loans(60, 1)
    days(project, [rows])
    label(project, rows)
    watch(project, "2026-03-08T01:00")
    from mlnb.monitoring.windows import save_window

    old, = (w for w in read_windows(project.path) if w.rows)
    save_window(project.path, Window.from_dict({**old.to_dict(), "labels": {k: v for k, v in old.labels.items() if k not in ("joined", "before")}}))
    label(project, rows, loans(9, 5))
    assert made(watch(project, "2026-03-08T02:00")) == ["01"] and watch(project, "2026-03-08T03:00").due == ()


@pytest.mark.parametrize("away", ["damaged", "put away", "rows put away"])
def test_a_metric_that_reaches_back_does_not_lose_what_was_put_away_or_damaged(make: Callable[..., Project], away: str) -> None:
    project = make(sources={"key": "id", "labels": "labels"}, model_performance=WEEK)
    rows = [loans(200, day) for day in (1, 2, 3)]
    days(project, rows)
    label(project, rows[0], name="labels/a.csv")
    second = label(project, rows[1], rows[2], name="labels/b.csv")
    watch(project, "2026-03-06T01:00")
    before = {w.start[8:10]: (w.metrics["f1"]["value"], w.metrics["f1"]["rows"]) for w in read_windows(project.path) if w.rows}
    assert [n for _, n in before.values()] == [200, 400, 600]
    label(project, turned(rows[0]), name="labels/a.csv")
    kept = second.read_bytes()
    asked = project.path / "asked" / "2026-03-02.csv"
    batch_kept = asked.read_bytes()
    if away == "damaged":
        second.write_text('id,y\n1,"good')
    else:
        (second if away == "put away" else asked).unlink()
    assert made(watch(project, "2026-03-06T02:00")) == ["01"]
    assert made(watch(project, "2026-03-06T03:00")) == []
    after = {w.start[8:10]: (w.metrics["f1"]["value"], w.metrics["f1"]["rows"]) for w in read_windows(project.path) if w.rows}
    assert after["01"][0] < before["01"][0] and [after[day] for day in ("02", "03")] == [before[day] for day in ("02", "03")]
    second.write_bytes(kept)
    asked.write_bytes(batch_kept)
    assert made(watch(project, "2026-03-06T04:00")) == [*(["01"] if away == "damaged" else []), "02", "03"]  # its alarm is over
    last = {w.start[8:10]: (w.metrics["f1"]["value"], w.metrics["f1"]["rows"]) for w in read_windows(project.path) if w.rows}
    assert all(last[day][0] < before[day][0] and last[day][1] == before[day][1] for day in ("02", "03"))
