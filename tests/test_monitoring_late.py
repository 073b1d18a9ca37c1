"""What comes late to the monitor: labels after their window, labels after nobody waits for them, labels for the answers of a model that has been replaced."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from watched import batch, copied, loans, trained

from mlnb.core.project import Project
from mlnb.monitoring.lens import Lens
from mlnb.monitoring.watch import watch


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
