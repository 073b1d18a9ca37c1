"""What comes late to the monitor: labels after their window, labels after nobody waits for them, labels for the answers of a model that has been replaced."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from watched import batch, copied, loans, trained

from mlnb.core.project import Project
from mlnb.monitoring import label_files
from mlnb.monitoring.label_keys import among, key_numbers
from mlnb.monitoring.lens import Lens
from mlnb.monitoring.watch import watch
from mlnb.monitoring.windows import read_windows


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return trained(tmp_path_factory.mktemp("late"))


@pytest.fixture
def make(base: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Project]:
    monkeypatch.setattr(Lens, "estimator", None)  # has tests of its own
    return lambda **record: copied(base, tmp_path, **record)


def turned(frame: pd.DataFrame) -> pd.DataFrame:
    "The same rows in a world where who repays is turned around."
    return frame.assign(y=frame["y"].map({"good": "bad", "bad": "good"}))


def standing(project: Project) -> dict[str, tuple[str, str]]:
    "Status of each check of drift in the ledger, and the day it is of."
    found = Project(project.path).findings()
    return {f.code: (f.status.value, str((f.evidence.get("window") or ("",))[0])[:10]) for f in found if f.code.startswith("DRIFT-")}


def label(project: Project, *frames: pd.DataFrame) -> None:
    pd.concat(frames)[["id", "y"]].to_csv(project.path / "labels.csv", index=False)


def test_the_ledger_has_each_check_from_the_newest_window_that_can_tell(make: Callable[..., Project]) -> None:
    project = make(sources={"key": "id", "labels": "labels.csv"}, concept_drift={"ground_truth_delay": "2d"})
    rows = [turned(loans(300, day)) for day in range(1, 6)]
    for day in range(1, 5):
        batch(project, f"2026-03-0{day}.csv", rows[day - 1].drop(columns="y"))
    watch(project, "2026-03-05T01:00")
    before = standing(project)
    assert before["DRIFT-CONCEPT"][0] == "not_checked" and before["DRIFT-FEATURE"] == ("pass", "2026-03-04")
    label(project, *rows[:2])
    turn = watch(project, "2026-03-05T02:00")
    assert turn.findings.get("DRIFT-CONCEPT") and standing(project) == {**before, "DRIFT-CONCEPT": ("fail", "2026-03-02"), "DRIFT-LABEL": ("warn", "2026-03-02")}
    batch(project, "2026-03-05.csv", rows[4].drop(columns="y"))
    watch(project, "2026-03-06T02:00")
    assert standing(project)["DRIFT-FEATURE"][1] == "2026-03-05" and standing(project)["DRIFT-CONCEPT"] == ("fail", "2026-03-02")
    batch(project, "2026-03-01-more.csv", loans(20, 9).drop(columns="y"))  # an old window that is made again says nothing new
    entries = (project.path / "ledger.jsonl").read_text()
    assert [w.start[:10] for w in watch(project, "2026-03-06T03:00").windows] == ["2026-03-01"] and (project.path / "ledger.jsonl").read_text() == entries


def told(project: Project, subject: str) -> list[tuple[str, str]]:
    lines = [json.loads(line) for line in (project.path / "told.jsonl").read_text().splitlines()]
    return [(line["kind"], line["at"][8:10]) for line in lines if line["subject"] == subject]


def test_labels_that_come_when_nobody_waits_for_them_make_their_windows_anew(make: Callable[..., Project], monkeypatch: pytest.MonkeyPatch) -> None:
    project = make(sources={"key": "id", "labels": "labels.csv"}, concept_drift={"ground_truth_delay": "1d"}, alerts={"file": "told.jsonl"})
    rows = [turned(loans(200, day)) for day in range(1, 7)]
    for day in range(1, 7):
        batch(project, f"2026-03-0{day}.csv", rows[day - 1].drop(columns="y"))
        watch(project, f"2026-03-0{day + 1}T01:00")
    stands = {w.start[8:10]: (w.status, w.labels["phase"]) for w in read_windows(project.path)}
    assert stands["04"] == ("complete", "overdue") and stands["05"] == ("waiting", "due") and stands["06"] == ("waiting", "early")
    assert told(project, "labels") == [("raised", "01")]  # once, whatever windows follow
    label(project, *rows[:2], rows[5].iloc[:100], loans(50, 99))
    again = watch(project, "2026-03-07T02:00")
    assert [w.start[8:10] for w in again.windows if w.labels["rows"]] == ["01", "02", "06"]
    assert again.windows[0].labels["phase"] == "overdue" and again.windows[0].metrics["f1"]["rows"] == 200 and "DRIFT-CONCEPT" in {a.code for a in again.windows[0].alerts}
    assert told(project, "labels") == [("raised", "01"), ("withdrawn", "01")]  # the first window has its labels; that the third has none is said by the next that is overdue
    reads: list[int] = []
    read = label_files._read
    monkeypatch.setattr(label_files, "_read", lambda *given: reads.append(1) or read(*given))
    assert watch(project, "2026-03-07T03:00").due == () and not reads  # nothing is read where no label has changed
    label(project, *rows)
    last = watch(project, "2026-03-07T04:00")
    assert [w.start[8:10] for w in last.windows] == ["03", "04", "05", "06"] and {w.labels["share"] for w in read_windows(project.path)} == {1.0}
    assert watch(project, "2026-03-07T05:00").due == ()


def test_overdue_labels_ring_once_and_are_over_when_labels_come_again(make: Callable[..., Project]) -> None:
    project = make(sources={"key": "id", "labels": "labels.csv"}, concept_drift={"ground_truth_delay": "1d"}, alerts={"file": "told.jsonl"})
    rows = [loans(100, day) for day in range(1, 9)]
    for day in range(1, 9):
        batch(project, f"2026-03-0{day}.csv", rows[day - 1].drop(columns="y"))
        label(project, rows[0], *rows[4:day])  # of the second to the fourth day none will ever come
        watch(project, f"2026-03-{day + 1:02}T01:00")
    assert told(project, "labels") == [("raised", "02"), ("recovered", "05")]


@pytest.mark.parametrize(("keys", "come", "found"), [
    (["a-1", "a-2"], ["A-2"], True), ([1, 2], ["2.0"], True), (["a"], ["b"], False), ([1.0, None], [None, 3], False), (range(5000), range(2500, 2600), True),
])
def test_a_key_is_found_among_those_that_came(keys: list[object], come: list[object], found: bool) -> None:
    ours, theirs = (np.unique(key_numbers(pd.Series(list(each)))) for each in (keys, come))
    assert bool(among(ours[ours > 0], theirs).any()) is found
